package policy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// characters refuses what is no text, and what an editor may show otherwise than it is read: a carriage return alone ends a
// line for a YAML parser, and a line separator for some.
func (s *source) characters(src []byte) error {
	line, column := 1, 1
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		why := ""
		switch {
		case r == utf8.RuneError && size == 1:
			why = "the file is not valid UTF-8"
		case r == '\r' && i+1 < len(src) && src[i+1] == '\n', r == '\n', r == '\t':
		case r == '\r':
			why = "a carriage return that ends no line"
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			why = fmt.Sprintf("the character U+%04X is not read here", r)
		case unicode.Is(unicode.Bidi_Control, r):
			why = fmt.Sprintf("the character U+%04X, which changes how a line is shown, is not read here", r)
		}
		if why != "" {
			return &Error{File: s.file, Line: line, Column: column, Text: s.line(line), Message: why}
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		i += size
	}
	return nil
}

// Bounds on the shape of a file, far beyond any policy: the parser's work grows faster than they do.
const (
	maxDepth     = 64
	maxDocuments = 64
	maxKeys      = 12_000 // at one indentation
)

// size refuses a file that would take the parser long, before it is parsed.
func (s *source) size(tokens token.Tokens) error {
	flow, documents, line, inLine := 0, 0, 0, 0
	keys := map[int]int{}
	for _, t := range tokens {
		if t.Position == nil {
			continue
		}
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(flow-1, 0)
		case token.DocumentHeaderType:
			documents++
		case token.AnchorType, token.AliasType, token.TagType, token.MappingKeyType:
			inLine++
		case token.SequenceEntryType, token.MappingValueType:
			if flow > 0 {
				break
			}
			inLine++
			if t.Type == token.MappingValueType && t.Prev != nil && t.Prev.Position != nil {
				keys[t.Prev.Position.Column]++
			}
		}
		var why string
		switch {
		case flow > maxDepth || inLine > maxDepth:
			why = fmt.Sprintf("the file is nested deeper than %d", maxDepth)
		case documents > maxDocuments:
			why = "a policy is one document: this is another"
		case t.Prev != nil && t.Prev.Position != nil && keys[t.Prev.Position.Column] > maxKeys:
			why = fmt.Sprintf("more than %d keys", maxKeys)
		default:
			continue
		}
		return &Error{File: s.file, Line: line, Column: t.Position.Column, Text: s.line(line), Message: why}
	}
	return nil
}

// unseen are the characters that are not drawn though they count as letters or marks.
var unseen = []*unicode.RangeTable{unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector}

// textFault says why text cannot be compared with what callers send: it would look like another; empty: it can.
func textFault(text string) string {
	if strings.TrimSpace(text) != text {
		return "begins or ends with a space"
	}
	for _, r := range text {
		if !unicode.IsPrint(r) || unicode.In(r, unseen...) || r == utf8.RuneError || r == '\u2800' {
			return fmt.Sprintf("holds the character U+%04X", r)
		}
	}
	return ""
}
