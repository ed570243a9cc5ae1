package revocation

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The page has every key and every reason.
func TestThePageIsWhole(t *testing.T) {
	page := read(t, "../../../docs/revocation.md")
	for _, m := range regexp.MustCompile(`authn\.Reason = "([a-z_]+)"`).FindAllStringSubmatch(read(t, "reasons.go"), -1) {
		if !strings.Contains(page, "`"+m[1]+"`") {
			t.Errorf("the page has no reason %s", m[1])
		}
	}
	keys := reflect.TypeFor[Written]()
	for i := range keys.NumField() {
		if key := keys.Field(i).Tag.Get("yaml"); !strings.Contains(page, "| `"+key+"` |") {
			t.Errorf("the page has no key %s", key)
		}
	}
}
