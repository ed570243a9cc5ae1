package mtls

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
)

const clientExtensions = `basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
`

// The recipe of docs/mtls.md makes certificates that are good.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatal("install the Debian package openssl")
		}
		t.Skip("install the Debian package openssl")
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "client.ext"), []byte(clientExtensions), 0o600); err != nil {
		t.Fatal(err)
	}
	ec := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}
	for _, args := range [][]string{
		append([]string{"req", "-x509", "-subj", "/CN=Staff CA", "-keyout", "ca.key", "-out", "ca.crt"}, ec...),
		append([]string{"req", "-new", "-subj", "/CN=alice", "-keyout", "alice.key", "-out", "alice.csr"}, ec...),
		{"x509", "-req", "-in", "alice.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "365", "-extfile", "client.ext", "-out", "alice.crt"},
		{"x509", "-req", "-in", "alice.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "365", "-out", "bare.crt"},
	} {
		cmd := exec.Command("openssl", args...)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	ca, err := readAuthorities(filepath.Join(folder, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(policy.Anchor{Name: "staff", Tenant: "corp", Certificates: ca}).factor(t, byCommonName)
	for file, good := range map[string]bool{"alice.crt": true, "bare.crt": false} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		e, err := verify(t, f, request(parseAll(t, fromPEM(t, string(text))), time.Now()))
		if (err == nil) != good || good && e.Subject != (authn.Subject{Tenant: "corp", User: "u-alice"}) {
			t.Errorf("%s: %+v, %v", file, e.Subject, err)
		}
	}
}
