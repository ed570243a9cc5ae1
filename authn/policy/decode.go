package policy

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// custom is a type that reads its own node.
type custom interface {
	fromNode(s *source, n ast.Node) error
}

// TextOr is a field of a struct for [Section.Decode] that is written as a text or as a mapping.
type TextOr[T any] struct {
	Text    string
	Mapping *T // nil: it was a text
}

func (t *TextOr[T]) fromNode(s *source, n ast.Node) error {
	if _, ok := n.(*ast.MappingNode); ok {
		t.Mapping = new(T)
		return s.structure(n, reflect.ValueOf(t.Mapping).Elem())
	}
	var err error
	t.Text, err = s.text(n)
	return err
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	customType   = reflect.TypeFor[custom]()
	nodeType     = reflect.TypeFor[ast.Node]()
)

// decode reads a node into a value, strictly: nothing is converted, no key is unknown or twice.
func (s *source) decode(n ast.Node, into reflect.Value) error {
	if err := s.plain(n); err != nil {
		return err
	}
	if into.CanAddr() && into.Addr().Type().Implements(customType) {
		return into.Addr().Interface().(custom).fromNode(s, n)
	}
	if into.Type() == durationType {
		return s.duration(n, into)
	}
	switch into.Kind() {
	case reflect.Pointer:
		v := reflect.New(into.Type().Elem())
		if err := s.decode(n, v.Elem()); err != nil {
			return err
		}
		into.Set(v)
		return nil
	case reflect.String:
		text, err := s.text(n)
		into.SetString(text)
		return err
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			return s.at(n, "true or false is wanted here")
		}
		into.SetBool(b.Value)
		return nil
	case reflect.Int, reflect.Int64:
		return s.integer(n, into)
	case reflect.Slice:
		return s.sequence(n, into)
	case reflect.Map:
		return s.mapping(n, into)
	case reflect.Struct:
		return s.structure(n, into)
	}
	return s.at(n, "cannot be read into %s", into.Type())
}

// plain refuses what makes one part of a file mean something that stands elsewhere.
func (s *source) plain(n ast.Node) error {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return s.at(n, "anchors, aliases, merge keys and tags of YAML are not read here: write it out")
	}
	return nil
}

func (s *source) text(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	}
	if _, ok := n.(*ast.BoolNode); ok {
		return "", s.at(n, "text is wanted here, and true and false are none: write one of the words that the key takes, or put quotes around it")
	}
	return "", s.at(n, "text is wanted here: put quotes around it")
}

func (s *source) duration(n ast.Node, into reflect.Value) error {
	text, err := s.text(n)
	if err != nil {
		return s.at(n, "a duration is wanted here, such as 15m or 8h")
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return s.at(n, "not a duration: write it like 15m or 8h")
	}
	into.SetInt(int64(d))
	return nil
}

func (s *source) integer(n ast.Node, into reflect.Value) error {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		return s.at(n, "a whole number is wanted here")
	}
	switch v := i.Value.(type) {
	case int64:
		into.SetInt(v)
		return nil
	case uint64:
		if v <= 1<<40 {
			into.SetInt(int64(v))
			return nil
		}
	}
	return s.at(n, "the number is too large")
}

func (s *source) sequence(n ast.Node, into reflect.Value) error {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		return s.at(n, "a list is wanted here")
	}
	out := reflect.MakeSlice(into.Type(), len(seq.Values), len(seq.Values))
	for i, v := range seq.Values {
		if err := s.decode(v, out.Index(i)); err != nil {
			return err
		}
	}
	into.Set(out)
	return nil
}

func (s *source) mapping(n ast.Node, into reflect.Value) error {
	pairs, err := s.pairs(n)
	if err != nil {
		return err
	}
	out := reflect.MakeMap(into.Type())
	for _, p := range pairs {
		v := reflect.New(into.Type().Elem()).Elem()
		if err := s.decode(p.value, v); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(p.key), v)
	}
	into.Set(out)
	return nil
}

// pair is one entry of a mapping, in the order of the file.
type pair struct {
	key   string
	at    ast.Node
	value ast.Node
}

func (s *source) pairs(n ast.Node) ([]pair, error) {
	if err := s.plain(n); err != nil {
		return nil, err
	}
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return nil, s.at(n, "a mapping is wanted here")
	}
	var pairs []pair
	seen := make(map[string]bool, len(m.Values))
	for _, v := range m.Values {
		if err := s.plain(v.Key); err != nil {
			return nil, err
		}
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			return nil, s.at(v.Key, "a name is wanted here")
		}
		if seen[key.Value] {
			return nil, s.at(key, "%q is here twice", key.Value)
		}
		seen[key.Value] = true
		pairs = append(pairs, pair{key.Value, key, v.Value})
	}
	return pairs, nil
}

func (s *source) structure(n ast.Node, into reflect.Value) error {
	pairs, err := s.pairs(n)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		field, ok := fieldFor(into, p.key)
		if !ok {
			return s.at(p.at, "unknown key %q: here are %s", p.key, strings.Join(fieldNames(into.Type()), ", "))
		}
		if err := s.decode(p.value, field); err != nil {
			return err
		}
	}
	if node := into.FieldByName("Node"); node.IsValid() && node.Type() == nodeType {
		node.Set(reflect.ValueOf(n))
	}
	return nil
}

func fieldFor(into reflect.Value, key string) (reflect.Value, bool) {
	for i := range into.NumField() {
		if into.Type().Field(i).Tag.Get("yaml") == key && key != "" {
			return into.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "" {
			names = append(names, tag)
		}
	}
	return names
}

// nodeAt follows a path such as "identify[0].pattern" from a node, as far as it goes.
func nodeAt(n ast.Node, path string) ast.Node {
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		var next ast.Node
		switch at := n.(type) {
		case *ast.MappingNode:
			for _, v := range at.Values {
				if key, ok := v.Key.(*ast.StringNode); ok && key.Value == part {
					next = v.Value
				}
			}
		case *ast.SequenceNode:
			var i int
			if _, err := fmt.Sscanf(part, "%d", &i); err == nil && i >= 0 && i < len(at.Values) {
				next = at.Values[i]
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}
