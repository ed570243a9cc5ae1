package oauth_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

// The sections that the page shows are good ones.
func TestThePagesSections(t *testing.T) {
	page, err := os.ReadFile("../../docs/oauth.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ACME_CLIENT_SECRET", "FORGE_SECRET"} {
		t.Setenv(name, secret)
	}
	parts := strings.Split(string(page), "\n```yaml\n")
	if len(parts) != 3 {
		t.Fatalf("%d sections", len(parts)-1)
	}
	for _, part := range parts[1:] {
		section, _, _ := strings.Cut(part, "\n```\n")
		folder := t.TempDir()
		if err := os.Mkdir(filepath.Join(folder, "secrets"), 0o700); err != nil {
			t.Fatal(err)
		}
		factor := regexp.MustCompile(`(?m)^  ([a-z-]+):$`).FindStringSubmatch(section)[1]
		text := "version: 1\norigin: " + origin + "\n" + section + "\n  door: { kind: gate }\nmethods: { partner: { steps: [door, " + factor + "] } }\nrules: [{ methods: [partner] }]\n"
		for name, content := range map[string]string{"policy.yaml": text, "secrets/globex": secret} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := policy.Load(filepath.Join(folder, "policy.yaml"), gate{}, oauth.Kind(), oauth.PlainKind()); err != nil {
			t.Errorf("%s\n%v", section, err)
		}
	}
}
