package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

const (
	maxPolicyFile = 1 << 20
	maxOtherFile  = 16 << 20
)

// source is a policy file while it is read.
type source struct {
	file  string
	lines []string
	files []string          // read for it, the policy first
	sums  map[string][]byte // of their content, and of the state of those that could not be read
}

func newSource(file string, src []byte) *source {
	s := &source{file: file, lines: strings.Split(string(src), "\n"), sums: map[string][]byte{}}
	s.saw(file, src)
	return s
}

func (s *source) saw(path string, content []byte) {
	if _, ok := s.sums[path]; !ok {
		s.files = append(s.files, path)
	}
	s.sums[path] = sumOf(content, nil)
}

// sumOf tells one state of a file from another, of one that cannot be read too.
func sumOf(content []byte, err error) []byte {
	if err != nil {
		content = []byte("unreadable: " + err.Error())
	}
	sum := sha256.Sum256(content)
	return sum[:]
}

// epoch is derived from the content of every file that was read, and never zero.
func (s *source) epoch() uint64 {
	h := sha256.New()
	for _, f := range s.files {
		h.Write(s.sums[f])
	}
	return binary.BigEndian.Uint64(h.Sum(nil)) | 1
}

func (s *source) at(n ast.Node, format string, args ...any) error {
	e := &Error{File: s.file, Message: fmt.Sprintf(format, args...)}
	// The token of a mapping without braces is its first colon: it begins at its first key.
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		p := n.GetToken().Position
		e.Line, e.Column = p.Line, p.Column
		e.Text = s.line(p.Line)
	}
	return e
}

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	text := strings.TrimSpace(s.lines[n-1])
	if len(text) > 160 {
		text = strings.ToValidUTF8(text[:160], "") + "…"
	}
	return text
}

func (s *source) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(s.file), path)
}

// read reads another file that the policy names.
func (s *source) read(path string) ([]byte, error) {
	full := s.resolve(path)
	b, err := readBounded(full, maxOtherFile)
	if err != nil {
		s.sums[full] = sumOf(nil, err)
		return nil, err
	}
	s.saw(full, b)
	return b, nil
}

// readBounded reads a regular file: to open a pipe could block for ever.
func readBounded(path string, limit int64) ([]byte, error) {
	about, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !about.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, nil
}

// root parses the file into the one mapping that it must be.
func (s *source) root(src []byte) (*ast.MappingNode, error) {
	if len(src) > maxPolicyFile {
		return nil, s.at(nil, "the file is larger than %d bytes", maxPolicyFile)
	}
	if err := s.characters(src); err != nil {
		return nil, err
	}
	tokens := lexer.Tokenize(strings.ReplaceAll(string(src), "\r\n", "\n")) // in comments it would count both as lines
	if err := s.size(tokens); err != nil {
		return nil, err
	}
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, s.syntax(err)
	}
	docs := slices.DeleteFunc(slices.Clone(f.Docs), func(d *ast.DocumentNode) bool { return d.Body == nil })
	if len(docs) == 0 {
		return nil, s.at(nil, "the file is empty")
	}
	if len(f.Docs) > 1 {
		return nil, s.at(docs[len(docs)-1].Body, "a policy is one document: this is another")
	}
	m, ok := docs[0].Body.(*ast.MappingNode)
	if !ok {
		return nil, s.at(docs[0].Body, "a policy is a mapping")
	}
	return m, nil
}

// syntax gives an error of the parser its position.
func (s *source) syntax(err error) error {
	var y yaml.Error
	if !asYAML(err, &y) || y.GetToken() == nil || y.GetToken().Position == nil {
		return s.at(nil, "not YAML")
	}
	p := y.GetToken().Position
	return &Error{File: s.file, Line: p.Line, Column: p.Column, Text: s.line(p.Line), Message: y.GetMessage()}
}

func asYAML(err error, target *yaml.Error) bool {
	for err != nil {
		if y, ok := err.(yaml.Error); ok {
			*target = y
			return true
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return false
		}
		err = u.Unwrap()
	}
	return false
}
