//go:build unix

package behind

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// commands are those of a section of the README, in order.
func commands(t *testing.T, heading string) []string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("there is no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var out []string
	for _, block := range strings.Split(section, "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		out = append(out, block)
	}
	return out
}

// does runs commands of the README in the data folder.
func (s *site) does(block string) string {
	s.t.Helper()
	block = strings.ReplaceAll(block, "https://localhost:8443", s.url)
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", block)
	cmd.Dir = s.data
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v:\n%s\n%s", err, block, out)
	}
	return string(out)
}

func TestReadmeChecksTheDeployment(t *testing.T) {
	need(t, "curl", "curl")
	s := start(t)
	blocks := commands(t, "Check the deployment")
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of commands", len(blocks))
	}
	checks := strings.Split(strings.TrimSpace(s.does(blocks[0])), "\n")
	if last := checks[len(checks)-1]; len(checks) < 20 || !strings.HasSuffix(last, " passed, 0 warnings, 0 failed, 0 unknown, 0 skipped") {
		t.Errorf("the probe:\n%s", strings.Join(checks, "\n"))
	}
	check := blocks[1]
	if got := s.does(check); !strings.Contains(got, "client_certificate_required") {
		t.Errorf("a forged header: %s", got)
	}
	with := strings.Replace(check, "--silent", "--silent --cert pki/bob.crt --key pki/bob.key", 1)
	if got := s.does(with); !strings.Contains(got, `"user":"bob"`) {
		t.Errorf("with a certificate besides: %s", got)
	}
	// The check is one: the header is what the portal takes from nginx itself.
	cert, _, _ := strings.Cut(check, "\n")
	direct := cert + "\n" + `curl --silent --unix-socket portal.sock -H "X-SSL-Client-Cert: $cert" -H "X-SSL-Client-Verify: SUCCESS" -X POST http://` + strings.TrimPrefix(s.url, "https://") + `/auth/login`
	if got := s.does(direct); !strings.Contains(got, `"user":"alice"`) {
		t.Errorf("by the socket: %s", got)
	}
}

func TestReadmeRevokesACertificate(t *testing.T) {
	need(t, "openssl", "openssl")
	s := start(t)
	blocks := commands(t, "Revoke a certificate")
	if len(blocks) != 3 {
		t.Fatalf("%d blocks of commands", len(blocks))
	}
	alice, bob := s.caller("alice"), s.caller("bob")
	alice.signIn(s.invited["alice"])
	bob.signIn(s.invited["bob"])
	for _, block := range blocks {
		s.does(block)
	}
	// Within five seconds; how soon is the machine's business.
	for alice.user() != "" {
		if t.Context().Err() != nil {
			t.Fatal("alice is still in")
		}
	}
	if got := alice.want(http.StatusUnauthorized, "POST", "/auth/login", struct{}{}); got["code"] != "invalid_credential" {
		t.Errorf("alice begins anew: %v", got)
	}
	if got := bob.user(); got != "bob" {
		t.Errorf("bob: %q", got)
	}
	if s.interrupt(); !strings.Contains(s.said.String(), "reason=revoked") {
		t.Error("the audit log does not say why")
	}
}
