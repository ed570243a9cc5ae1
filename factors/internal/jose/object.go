package jose

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sallyport-auth/sallyport/authn"
)

const (
	maxMembers = 256
	maxDepth   = 16
)

// object is a JSON object, read strictly. Nothing in it aliases what it was read from.
type object []member

type member struct {
	name  string // without escapes
	value string // as it is written
}

// value is how the member called name is written; empty: there is none.
func (o object) value(name string) string {
	for i := range o {
		if o[i].name == name {
			return o[i].value
		}
	}
	return ""
}

type reader struct {
	from    bytes.Buffer
	decoder jsontext.Decoder
}

var readers = sync.Pool{New: func() any { return new(reader) }}

func (r *reader) reset(b []byte) {
	r.from = *bytes.NewBuffer(b)
	r.decoder.Reset(&r.from)
}

// readObject reads text that is one object and nothing beside it. Names that differ from one of known, or from each other,
// only in case are refused; broken is the reason where it is not such an object for another cause.
func readObject(b []byte, known []string, broken authn.Reason) (object, error) {
	text := string(b)
	if !utf8.ValidString(text) || strings.HasPrefix(text, "\ufeff") {
		return nil, fault(ReasonText)
	}
	if deeper(text, maxDepth) {
		return nil, fault(ReasonDeep)
	}
	r := readers.Get().(*reader)
	defer readers.Put(r)
	r.reset(b)
	defer r.reset(nil)
	o, err := r.object(text, known)
	var f *Fault
	switch {
	case err == nil:
		return o, nil
	case errors.As(err, &f):
		return nil, err
	case errors.Is(err, jsontext.ErrDuplicateName):
		return nil, fault(ReasonDuplicate)
	case jsontext.Value(b).IsValid(jsontext.AllowInvalidUTF8(true)) && !jsontext.Value(b).IsValid(): // half a surrogate pair
		return nil, fault(ReasonText)
	default:
		return nil, fault(broken)
	}
}

var errNotOneObject = errors.New("jose: not one object")

// object reads text, which is what r was reset to.
func (r *reader) object(text string, known []string) (object, error) {
	d := &r.decoder
	if d.PeekKind() != '{' {
		return nil, errNotOneObject
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	o, odd := make(object, 0, 12), false
	for d.PeekKind() != '}' {
		m, unusual, err := nextMember(d, text, known)
		if err != nil {
			return nil, err
		}
		if len(o) == maxMembers {
			return nil, fault(ReasonTooLarge)
		}
		o, odd = append(o, m), odd || unusual
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, errNotOneObject
	}
	if odd && o.folds() {
		return nil, fault(ReasonFolded)
	}
	return o, nil
}

// nextMember reads a name and its value. An unusual name is one that could be taken for another.
func nextMember(d *jsontext.Decoder, text string, known []string) (m member, unusual bool, err error) {
	quoted, err := next(d, text)
	if err != nil {
		return member{}, false, err
	}
	name, escaped := unquote(quoted)
	unusual = escaped || !plain(name)
	if unusual && twin(name, escaped, known) {
		return member{}, false, fault(ReasonFolded)
	}
	value, err := next(d, text)
	return member{name, value}, unusual, err
}

// next is the next value as it is written in text, which is what d reads.
func next(d *jsontext.Decoder, text string) (string, error) {
	v, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	end := int(d.InputOffset())
	return text[end-len(v) : end], nil
}

// unquote reads a string that the decoder has passed.
func unquote(quoted string) (s string, escaped bool) {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], false
	}
	b, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return "", true
	}
	return string(b), true
}

// plain reports whether no other name of these characters alone could be taken for this one.
func plain(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// twin reports whether a careless reader would take name for a known one that it is not.
func twin(name string, escaped bool, known []string) bool {
	for _, k := range known {
		if strings.EqualFold(name, k) && (escaped || name != k) {
			return true
		}
	}
	return false
}

// folds reports whether two names differ only in case.
func (o object) folds() bool {
	for i := range o {
		if plain(o[i].name) {
			continue
		}
		for j := range o {
			if i != j && strings.EqualFold(o[i].name, o[j].name) {
				return true
			}
		}
	}
	return false
}

// deeper reports whether brackets in text are open more than limit deep. Text that is no JSON is judged by the decoder.
func deeper(text string, limit int) bool {
	depth, inside := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inside && c == '\\':
			i++
		case c == '"':
			inside = !inside
		case inside:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
