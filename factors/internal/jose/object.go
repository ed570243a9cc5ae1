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

// reader is a decoder of text, with room for it: what is read are parts of the text, never of the room.
type reader struct {
	room    []byte
	from    bytes.Buffer
	decoder jsontext.Decoder
}

var readers = sync.Pool{New: func() any { return new(reader) }}

func newReader(text string) *reader {
	r := readers.Get().(*reader)
	r.room = append(r.room[:0], text...)
	r.from = *bytes.NewBuffer(r.room)
	r.decoder.Reset(&r.from)
	return r
}

// maxRoom is how much room is kept from one use to the next.
const maxRoom = 16 << 10

func (r *reader) done() {
	clear(r.room)
	if cap(r.room) > maxRoom {
		r.room = nil
	}
	r.from = bytes.Buffer{}
	r.decoder.Reset(&r.from)
	readers.Put(r)
}

// readObject reads text that is one object and nothing beside it. Names that differ from one of known, or from each other,
// only in case are refused; broken is the reason where it is not such an object for another cause.
func readObject(text string, known []string, broken authn.Reason) (object, error) {
	if !utf8.ValidString(text) || strings.HasPrefix(text, "\ufeff") {
		return nil, fault(ReasonText)
	}
	if deeper(text, maxDepth) {
		return nil, fault(ReasonDeep)
	}
	r := newReader(text)
	defer r.done()
	o, err := r.object(text, known)
	if err != nil {
		return nil, syntax(text, err, broken)
	}
	return o, nil
}

// syntax says why text, which is UTF-8, is not read.
func syntax(text string, err error, broken authn.Reason) error {
	var f *Fault
	v := jsontext.Value(text)
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fault(ReasonDuplicate)
	case !v.IsValid() && v.IsValid(jsontext.AllowInvalidUTF8(true)): // half a surrogate pair
		return fault(ReasonText)
	default:
		return fault(broken)
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
	o, odd := make(object, 0, min(strings.Count(text, ",")+1, 16)), false
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
	if strings.Count(text, "{")+strings.Count(text, "[") <= limit { // as nearly always
		return false
	}
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
