package policy

import (
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml/ast"
)

// Section is the part of the file that belongs to one factor, and a view of what of the policy was read before it.
type Section struct {
	name    string
	key     ast.Node
	node    *ast.MappingNode
	source  *source
	anchors []Anchor
	origins []Origin
}

// Name is the name of the factor.
func (s *Section) Name() string { return s.name }

// Anchors are all trust anchors of the policy.
func (s *Section) Anchors() []Anchor { return s.anchors }

// Origins are the origins of the policy.
func (s *Section) Origins() []Origin { return s.origins }

// Decode reads the section into a struct with `yaml:"name"` tags, strictly: an unknown key, a key twice, a value of
// another type than the field's is an error with its position. Nothing is converted: text is text, 5 is a number. A
// time.Duration is written 15m and must be above zero. The key "kind" is not for the struct.
func (s *Section) Decode(into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("policy: Decode needs a pointer to a struct, not %T", into)
	}
	rest := &ast.MappingNode{BaseNode: s.node.BaseNode, Start: s.node.Start}
	for _, m := range s.node.Values {
		if key, ok := m.Key.(*ast.StringNode); !ok || key.Value != "kind" {
			rest.Values = append(rest.Values, m)
		}
	}
	return s.source.structure(rest, v.Elem())
}

// Errorf makes an error with the position of a part of the section, such as "identify[0].pattern"; an empty path is the
// section itself.
func (s *Section) Errorf(path, format string, args ...any) error {
	message := fmt.Sprintf("factor %q: ", s.name) + fmt.Sprintf(format, args...)
	if path == "" {
		return s.source.at(s.key, "%s", message)
	}
	return s.source.at(nodeAt(s.node, path), "%s: %s", path, message)
}

// Resolve makes a path of the file relative to the file's own folder.
func (s *Section) Resolve(path string) string { return s.source.resolve(path) }

// ReadFile reads a file that the section names, at most 16 MiB. A change of it is a change of the policy.
func (s *Section) ReadFile(path string) ([]byte, error) { return s.source.read(path) }
