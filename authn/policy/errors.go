package policy

import (
	"fmt"
	"strings"
)

// Error says what is wrong with a policy file, and where.
type Error struct {
	File    string
	Line    int    // from 1; 0: nowhere in particular
	Column  int    // from 1
	Text    string // of the line, without the space around it
	Message string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("policy: ")
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	b.WriteString(e.Message)
	if e.Text != "" {
		fmt.Fprintf(&b, ": %q", e.Text)
	}
	return b.String()
}
