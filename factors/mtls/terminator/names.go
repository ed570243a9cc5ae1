package terminator

import (
	"fmt"
	"net/http"
	"strings"
)

// maxName bounds the name of a header.
const maxName = 100

// names are the headers that are the terminator's alone.
type names struct {
	list   []name
	prefix string        // of numbered headers, folded; empty: none
	length [maxName]bool // whether one has a length, less one
}

type name struct{ exact, folded string }

// newNames takes the names of a shape, and of further headers.
func newNames(s *shape, further ...string) (*names, error) {
	n := &names{prefix: fold(s.prefix)}
	for _, p := range s.names() {
		if *p != "" {
			further = append(further, *p)
		}
	}
	for _, exact := range further {
		folded := fold(exact)
		for _, other := range n.list {
			if other.folded == folded {
				return nil, fmt.Errorf("%q: %w", exact, errSameHeader)
			}
		}
		n.list = append(n.list, name{exact, folded})
		n.length[len(exact)-1] = true
	}
	return n, nil
}

// fold reads a name as the most careless of programs does: letters of either case, digits, and dashes for all else.
func fold(s string) string {
	return strings.Map(func(r rune) rune { return rune(foldByte(byte(r))) }, s)
}

func foldByte(c byte) byte {
	switch {
	case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		return c
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A'
	}
	return '-'
}

// folds reports whether s reads as folded.
func folds(s, folded string) bool {
	if len(s) != len(folded) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if foldByte(s[i]) != folded[i] {
			return false
		}
	}
	return true
}

// is tells whether a header is the terminator's, or could be taken for one.
func (n *names) is(key string) (exact, alias bool) {
	if l := len(key); l > 0 && l <= maxName && n.length[l-1] {
		for i := range n.list {
			if n.list[i].exact == key {
				return true, false
			}
			alias = alias || folds(key, n.list[i].folded)
		}
	}
	return false, alias || n.numbered(key)
}

// numbered reports whether a header is one of a numbered chain: those that the terminator sets are known by name, and any
// other is the client's.
func (n *names) numbered(key string) bool {
	l := len(n.prefix)
	return l > 0 && len(key) > l && folds(key[:l], n.prefix) && strings.Trim(key[l:], "0123456789") == ""
}

// scan looks for headers that are the terminator's, and for those that could be taken for them.
func (n *names) scan(h http.Header) (exact, alias bool) {
	for key := range h {
		e, a := n.is(key)
		exact, alias = exact || e, alias || a
	}
	return exact, alias
}

// remove removes them.
func (n *names) remove(h http.Header) {
	for key := range h {
		if exact, alias := n.is(key); exact || alias {
			delete(h, key)
		}
	}
}
