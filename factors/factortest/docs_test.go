package factortest_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/factortest"
)

func TestBadge(t *testing.T) {
	key := []byte("a secret of the reader")
	f, err := Badges(nil).Build(&settings{name: "desk", reader: "lobby", key: key}, factors.Env{})
	if err != nil {
		t.Fatal(err)
	}
	factortest.Run(t, suite(f, key))
}

// TestDocs: all Go text in the page about factors is text of this repository that compiles.
func TestDocs(t *testing.T) {
	text := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	sources := []string{text("example_test.go"), text("docs_test.go"), text("../factor.go")}
	parts := strings.Split(text("../../docs/factors.md"), "\n```go\n")
	if len(parts) < 4 {
		t.Fatalf("%d pieces of Go", len(parts)-1)
	}
	for _, part := range parts[1:] {
		code, _, _ := strings.Cut(part, "\n```\n")
		if !slices.ContainsFunc(sources, func(s string) bool { return strings.Contains(s, code+"\n") }) {
			t.Errorf("the page shows what is nowhere:\n%s", code)
		}
	}
}
