package jwt

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
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
	page := read(t, "../../docs/jwt.md")
	for _, source := range []string{"doc.go", "../internal/jose/fault.go"} {
		for _, m := range regexp.MustCompile(`authn\.Reason = "((?:token|claims?|json|proof|early)_[a-z_]+)"`).FindAllStringSubmatch(read(t, source), -1) {
			if !strings.Contains(page, "`"+m[1]+"`") {
				t.Errorf("the page has no reason %s", m[1])
			}
		}
	}
	keys := reflect.TypeFor[written]()
	for i := range keys.NumField() {
		if key := keys.Field(i).Tag.Get("yaml"); !strings.Contains(page, "| `"+key+"` |") {
			t.Errorf("the page has no key %s", key)
		}
	}
}

// The section that the page shows is a good one.
func TestThePagesSection(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "../../docs/jwt.md"), "\n```yaml\n")
	section, _, _ := strings.Cut(rest, "\n```\n")
	folder := t.TempDir()
	text := "version: 1\norigin: https://portal.example\nanchors:\n  staff: { ca: staff-ca.crt, tenant: corp }\n" + section + "\nrules: [{ methods: [api] }]\n"
	for name, content := range map[string]string{"policy.yaml": text, "staff-ca.crt": string(mtlstest.NewCA(t, "staff").PEM())} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := policy.Load(filepath.Join(folder, "policy.yaml"), mtls.Kind(), Kind())
	if err != nil {
		t.Fatal(err)
	}
	if w := p.Warnings(); len(w) > 0 {
		t.Error(w)
	}
}
