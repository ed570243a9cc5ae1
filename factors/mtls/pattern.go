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

// covers reports whether everything that q matches is matched by p too. Where that depends on what a capture of q holds it
// reports false: a rule is called dead only if it is.
func (p pattern) covers(q pattern) bool {
	if p.from != q.from {
		return false
	}
	rest := q.symbols()
	for i, part := range p.parts {
		if part.capture == "" {
			for _, r := range part.literal {
				if len(rest) == 0 || rest[0].capture || rest[0].r != r {
					return false
				}
				rest = rest[1:]
			}
			continue
		}
		end := len(rest)
		if i+1 < len(p.parts) {
			separator, _ := utf8.DecodeRuneInString(p.parts[i+1].literal)
			if end = p.until(separator, rest); end < 0 {
				return false
			}
		}
		if end == 0 || !p.holdsAll(rest[:end]) {
			return false
		}
		rest = rest[end:]
	}
	return len(rest) == 0
}

// symbol is a character of a pattern, or a whole capture, and then r is the character that ends it (0: the end).
type symbol struct {
	r       rune
	capture bool
}

func (p pattern) symbols() []symbol {
	var out []symbol
	for i, part := range p.parts {
		if part.capture != "" {
			s := symbol{capture: true}
			if i+1 < len(p.parts) {
				s.r, _ = utf8.DecodeRuneInString(p.parts[i+1].literal)
			}
			out = append(out, s)
		}
		for _, r := range part.literal {
			out = append(out, symbol{r: r})
		}
	}
	return out
}

// until is where the first separator stands in whatever the symbols match; negative: that depends on a capture.
func (p pattern) until(separator rune, symbols []symbol) int {
	for i, s := range symbols {
		switch {
		case !s.capture && s.r == separator:
			return i
		case s.capture && s.r != separator && !(p.from == fromURI && strings.ContainsRune("/?#%", separator)):
			return -1
		}
	}
	return -1
}

// holdsAll is holds for all that the symbols match. A capture alone holds what another may; with a literal beside it, it
// is never "." or "..", for it cannot be "." itself.
func (p pattern) holdsAll(symbols []symbol) bool {
	var literal strings.Builder
	for _, s := range symbols {
		if s.capture {
			literal.WriteByte('x')
		} else {
			literal.WriteRune(s.r)
		}
	}
	return p.holds(literal.String())
}
