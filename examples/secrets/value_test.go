package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// What put says it has stored is what get gives. A value that is no text cannot be stored, and must not be replaced by another in silence.
func TestValueThatIsNoText(t *testing.T) {
	r := start(t, t.TempDir(), "localhost:0")
	value := "key \xff\xfe\x00 end"
	if _, err := r.command(value, "put", "-as", "writer", "binary"); err != nil {
		return // refused, and said so
	}
	if got, err := r.command("", "get", "-as", "writer", "binary"); err != nil || strings.TrimSuffix(got, "\n") != value {
		t.Errorf("put %q without an error, and got %q, %v", value, got, err)
	}
}

// The body of a put is read in one way (design 13: no duplicate or case-folded names, valid text).
func TestBodiesThatCanBeReadInTwoWays(t *testing.T) {
	r := start(t, t.TempDir(), "localhost:0")
	for name, body := range map[string]string{"a name twice": `{"value":"one","value":"two"}`, "a name in capitals": `{"VALUE":"one"}`,
		"both": `{"value":"one","Value":"two"}`, "half a surrogate pair": `{"value":"\ud800"}`} {
		token, err := readToken(filepath.Join(r.data, "tokens/writer.jwt"))
		if err != nil {
			t.Fatal(err)
		}
		status, _, b := r.ask("writer", "PUT", "/v1/secrets/odd", body, "Content-Type", "application/json", "Authorization", "Bearer "+token)
		if status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, b)
		}
	}
}

// A value that is too large is refused, and never cut.
func TestValueThatIsCut(t *testing.T) {
	r := start(t, t.TempDir(), "localhost:0")
	value := strings.Repeat("x", maxValue) + "\r\nand more that nobody would miss until it is needed"
	if _, err := r.command(value, "put", "-as", "writer", "cut"); err == nil {
		got, err := r.command("", "get", "-as", "writer", "cut")
		t.Errorf("put %d bytes without an error, and got %d, %v", len(value), len(got), err)
	}
}
