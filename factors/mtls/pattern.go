package mtls

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// pattern matches a whole value: literals, compared byte for byte, and at most one {user} and one {tenant}.
type pattern struct {
	from  source
	text  string
	parts []part
}

// part is a literal, or with capture "user" or "tenant" a capture.
type part struct {
	literal string
	capture string
}

var errPattern = errors.New("mtls: bad pattern")

// parsePattern reads a pattern for values of one source. A capture reaches up to the first character of the literal
// behind it and never holds that character, so there is one way to match or none.
func parsePattern(from source, text string) (pattern, error) {
	p := pattern{from: from, text: text}
	if len(text) > maxName {
		return p, fmt.Errorf("%w: longer than %d bytes", errPattern, maxName)
	}
	for rest := text; rest != ""; {
		open := strings.IndexAny(rest, "{}")
		switch {
		case open < 0:
			p.parts, rest = append(p.parts, part{literal: rest}), ""
			continue
		case rest[open] == '}':
			return p, fmt.Errorf("%w: a } without a {", errPattern)
		case open > 0:
			p.parts, rest = append(p.parts, part{literal: rest[:open]}), rest[open:]
			continue
		}
		name, after, closed := strings.Cut(rest[1:], "}")
		if !closed {
			return p, fmt.Errorf("%w: a { without a }", errPattern)
		}
		if err := p.addCapture(name); err != nil {
			return p, err
		}
		rest = after
	}
	return p, p.check()
}

func (p *pattern) addCapture(name string) error {
	switch {
	case name != "user" && name != "tenant":
		return fmt.Errorf("%w: %q is not known; there are {user} and {tenant}", errPattern, "{"+name+"}")
	case p.captures(name):
		return fmt.Errorf("%w: {%s} twice", errPattern, name)
	case len(p.parts) > 0 && p.parts[len(p.parts)-1].capture != "":
		return fmt.Errorf("%w: nothing separates {%s} from what is before it", errPattern, name)
	}
	p.parts = append(p.parts, part{capture: name})
	return nil
}

func (p pattern) captures(name string) bool {
	for _, q := range p.parts {
		if q.capture == name {
			return true
		}
	}
	return false
}

// check refuses a pattern that no acceptable value can match.
func (p pattern) check() error {
	example := p.fill("x")
	why := valueFault(p.from, example)
	if mailbox := p.from == fromEmail || p.from == fromUPN; mailbox && example != p.text && !strings.Contains(p.text, "@") {
		why = nameFault(example) // a capture holds the "@"
	}
	if why != "" {
		return fmt.Errorf("%w: it can never match: such a %s %s", errPattern, p.from, why)
	}
	return nil
}

// fill is the pattern with every capture replaced.
func (p pattern) fill(with string) string {
	var b strings.Builder
	for _, q := range p.parts {
		if q.capture != "" {
			b.WriteString(with)
		}
		b.WriteString(q.literal)
	}
	return b.String()
}

// match reports whether the whole value matches, and what was captured.
func (p pattern) match(value string) (user, tenant string, ok bool) {
	rest := value
	for i, q := range p.parts {
		if q.capture == "" {
			if rest, ok = strings.CutPrefix(rest, q.literal); !ok {
				return "", "", false
			}
			continue
		}
		end := len(rest)
		if i+1 < len(p.parts) {
			separator, _ := utf8.DecodeRuneInString(p.parts[i+1].literal)
			end = strings.IndexRune(rest, separator)
		}
		if end <= 0 || !p.holds(rest[:end]) {
			return "", "", false
		}
		if q.capture == "user" {
			user = rest[:end]
		} else {
			tenant = rest[:end]
		}
		rest = rest[end:]
	}
	return user, tenant, rest == ""
}

// holds reports whether a capture may be s. In a URI it is one path segment at most, and not an encoded or relative one
// (compare SPIFFE-ID section 2.2).
func (p pattern) holds(s string) bool {
	if s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	return p.from != fromURI || !strings.ContainsAny(s, "/?#%") && s != "." && s != ".."
}

// covers reports whether everything that q matches is matched by p too, as far as that can be told without guessing.
func (p pattern) covers(q pattern) bool {
	if p.from != q.from {
		return false
	}
	if len(q.parts) == 1 && q.parts[0].capture == "" {
		_, _, ok := p.match(q.text)
		return ok
	}
	if len(p.parts) == 1 && p.parts[0].capture != "" {
		return p.from != fromURI || len(q.parts) == 1
	}
	if len(p.parts) != len(q.parts) {
		return false
	}
	for i := range p.parts {
		if p.parts[i].literal != q.parts[i].literal || (p.parts[i].capture == "") != (q.parts[i].capture == "") {
			return false
		}
	}
	return true
}
