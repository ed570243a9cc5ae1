package main

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"

	"github.com/sallyport-auth/sallyport/authn"
)

// picture is a method drawn as a row of doors, and the same in words for those who do not see it.
type picture struct {
	Name  string
	Words string
	SVG   template.HTML
}

const (
	doorWidth  = 150
	doorHeight = 84
	doorGap    = 54
)

// draw draws a method.
func draw(m authn.Method) picture {
	var b bytes.Buffer
	tallest := 1
	for _, s := range m.Steps {
		tallest = max(tallest, len(s.AnyOf))
	}
	height := tallest*(doorHeight+14) + 20
	columns := len(m.Steps) + 2
	width := columns*doorWidth + (columns-1)*doorGap
	fmt.Fprintf(&b, `<svg class="doors" viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(words(m)))
	middle := height / 2
	terminal(&b, 0, middle, "Guest", "")
	for i, step := range m.Steps {
		x := (i + 1) * (doorWidth + doorGap)
		arrow(&b, x-doorGap, middle, x)
		top := middle - (len(step.AnyOf)*(doorHeight+14)-14)/2
		for j, f := range step.AnyOf {
			door(&b, x, top+j*(doorHeight+14), f)
		}
	}
	last := (columns - 1) * (doorWidth + doorGap)
	arrow(&b, last-doorGap, middle, last)
	terminal(&b, last, middle, "Inside", lifetime(m))
	b.WriteString(`</svg>`)
	return picture{Name: m.Name, Words: words(m), SVG: template.HTML(b.String())} // #nosec: every text in it is escaped above
}

func arrow(b *bytes.Buffer, x, y, to int) {
	fmt.Fprintf(b, `<path class="way" d="M%d %d H%d m-7 -6 l7 6 l-7 6"/>`, x+6, y, to-6)
}

func terminal(b *bytes.Buffer, x, y int, text, small string) {
	fmt.Fprintf(b, `<rect class="end" x="%d" y="%d" width="%d" height="56" rx="28"/>`, x+5, y-28, doorWidth-10)
	line := y + 5
	if small != "" {
		line = y - 3
		fmt.Fprintf(b, `<text class="small" x="%d" y="%d">%s</text>`, x+doorWidth/2, y+15, template.HTMLEscapeString(small))
	}
	fmt.Fprintf(b, `<text class="name" x="%d" y="%d">%s</text>`, x+doorWidth/2, line, template.HTMLEscapeString(text))
}

func door(b *bytes.Buffer, x, y int, f authn.Factor) {
	fmt.Fprintf(b, `<rect class="door" x="%d" y="%d" width="%d" height="%d" rx="10"/>`, x, y, doorWidth, doorHeight)
	fmt.Fprintf(b, `<circle class="knob" cx="%d" cy="%d" r="4"/>`, x+doorWidth-16, y+doorHeight/2)
	fmt.Fprintf(b, `<text class="name" x="%d" y="%d">%s</text>`, x+doorWidth/2, y+36, template.HTMLEscapeString(f.Name))
	fmt.Fprintf(b, `<text class="small" x="%d" y="%d">%s</text>`, x+doorWidth/2, y+58, template.HTMLEscapeString(proves(f)))
}

func proves(f authn.Factor) string {
	switch f.Kind {
	case "mtls":
		return "the machine"
	case "fido2":
		return "the person"
	}
	return f.Kind
}

func lifetime(m authn.Method) string {
	return span(m.Session.Absolute) + " at most"
}

func words(m authn.Method) string {
	var steps []string
	for _, s := range m.Steps {
		steps = append(steps, strings.Join(s.Names(), " or "))
	}
	return "Method " + m.Name + ": " + strings.Join(steps, ", then ") + "."
}
