package oauth

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// The page has every key and every reason.
func TestDocs(t *testing.T) {
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	page := read("../../docs/oauth.md")
	for _, m := range regexp.MustCompile(`authn\.Reason = "([a-z_]+)"`).FindAllStringSubmatch(read("doc.go"), -1) {
		if !strings.Contains(page, "`"+m[1]+"`") {
			t.Errorf("the page has no reason %s", m[1])
		}
	}
	keys := reflect.TypeFor[section]()
	for i := range keys.NumField() {
		key := keys.Field(i).Tag.Get("yaml")
		if !strings.Contains(page, "`"+key) && !strings.Contains(page, "    "+key+":") {
			t.Errorf("the page has no key %s", key)
		}
	}
}
