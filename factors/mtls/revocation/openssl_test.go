package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// openssl is a CA of OpenSSL's own: `openssl ca` with its database, and `openssl ocsp` over it.
type openssl struct {
	t      *testing.T
	folder string
	mu     sync.Mutex
	last   []byte // the last answer of the responder
}

const opensslConfig = `[ca]
default_ca = staff
[staff]
database = index.txt
new_certs_dir = .
serial = serial
crlnumber = crlnumber
certificate = ca.crt
private_key = ca.key
default_md = sha256
default_days = 30
default_crl_days = 1
unique_subject = no
policy = anything
crl_extensions = crl_ext
[anything]
commonName = supplied
[crl_ext]
authorityKeyIdentifier = keyid:always
[ca_ext]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[client_ext]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[ocsp_ext]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = OCSPSigning
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
noCheck = ignored
[req]
distinguished_name = none
prompt = no
[none]
CN = nobody
`

func newOpenSSL(t *testing.T, key ...string) *openssl {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatal("install the Debian package openssl")
		}
		t.Skip("install the Debian package openssl")
	}
	o := &openssl{t: t, folder: t.TempDir()}
	for name, text := range map[string]string{"openssl.cnf": opensslConfig, "index.txt": "", "serial": "1000\n", "crlnumber": "01\n"} {
		if err := os.WriteFile(filepath.Join(o.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.run(append(append([]string{"req", "-x509", "-config", "openssl.cnf", "-extensions", "ca_ext", "-subj", "/CN=Staff CA", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "30"}, "-newkey"), key...)...)
	return o
}

func (o *openssl) run(args ...string) []byte {
	o.t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = o.folder
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err := cmd.Run(); err != nil {
		o.t.Errorf("openssl %v: %v\n%s", args, err, &bad)
	}
	return out.Bytes()
}

func (o *openssl) issue(name, extensions string) *x509.Certificate {
	o.t.Helper()
	o.run("req", "-new", "-config", "openssl.cnf", "-subj", "/CN="+name, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name+".key", "-out", name+".csr")
	o.run("ca", "-config", "openssl.cnf", "-batch", "-notext", "-extensions", extensions, "-in", name+".csr", "-out", name+".crt")
	return o.certificate(name)
}

func (o *openssl) certificate(name string) *x509.Certificate {
	o.t.Helper()
	text, err := os.ReadFile(filepath.Join(o.folder, name+".crt"))
	if err != nil {
		o.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		o.t.Fatalf("%s: no PEM", name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

func (o *openssl) revoke(name, reason string) {
	o.t.Helper()
	o.run("ca", "-config", "openssl.cnf", "-revoke", name+".crt", "-crl_reason", reason)
}

func (o *openssl) list() string {
	o.t.Helper()
	o.run("ca", "-config", "openssl.cnf", "-gencrl", "-out", "ca.crl")
	return filepath.Join(o.folder, "ca.crl")
}

// respond is a responder: one process for each question, because `openssl ocsp -port` listens everywhere.
func (o *openssl) respond(args ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		question, err := io.ReadAll(r.Body)
		if err != nil {
			o.t.Error(err)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if err := os.WriteFile(filepath.Join(o.folder, "question"), question, 0o600); err != nil {
			o.t.Error(err)
		}
		o.run(append([]string{"ocsp", "-index", "index.txt", "-CA", "ca.crt", "-reqin", "question", "-respout", "answer", "-nmin", "5"}, args...)...)
		if o.last, err = os.ReadFile(filepath.Join(o.folder, "answer")); err != nil {
			o.t.Error(err)
		}
		_, _ = w.Write(o.last)
	}
}

func (o *openssl) path(name string) []Subject {
	chain := []*x509.Certificate{o.certificate(name), o.certificate("ca")}
	return Path(chain, []factors.Marks{factors.MarksOf(chain[0]), factors.MarksOf(chain[1])})
}

var opensslKeys = map[string][]string{
	"P-256":   {"ec", "-pkeyopt", "ec_paramgen_curve:P-256"},
	"RSA":     {"rsa:2048"},
	"Ed25519": {"ed25519"},
}

func TestListOfOpenSSL(t *testing.T) {
	for name, key := range opensslKeys {
		t.Run(name, func(t *testing.T) {
			o := newOpenSSL(t, key...)
			o.issue("alice", "client_ext")
			o.issue("bob", "client_ext")
			b := newBench(t, Config{})
			at := o.list()
			now := time.Now()
			for _, who := range []string{"alice", "bob"} {
				wantReason(t, check(b.checker(Written{CRL: []string{at}}), now, o.path(who)), "")
			}
			o.revoke("bob", "keyCompromise")
			at = o.list()
			checker := b.checker(Written{CRL: []string{at}})
			wantReason(t, check(checker, now, o.path("alice")), "")
			wantReason(t, check(checker, now, o.path("bob")), factors.ReasonRevoked)
			wantReason(t, check(checker, now.Add(25*time.Hour), o.path("alice")), ReasonStale)
		})
	}
}

func TestResponderOfOpenSSL(t *testing.T) {
	for name, key := range opensslKeys {
		if name == "Ed25519" {
			continue // golang.org/x/crypto/ocsp reads no answers that are signed so
		}
		t.Run(name, func(t *testing.T) {
			o := newOpenSSL(t, key...)
			o.issue("alice", "client_ext")
			o.issue("bob", "client_ext")
			o.issue("signer", "ocsp_ext")
			o.revoke("bob", "superseded")
			s := newServer(t)
			delegated := []string{"-rsigner", "signer.crt", "-rkey", "signer.key"}
			own := []string{"-rsigner", "ca.crt", "-rkey", "ca.key"}
			now := time.Now()
			for _, c := range []struct {
				name  string
				by    []string
				nonce string
				who   string
				why   authn.Reason
				cause authn.Reason
			}{
				{"a signer", delegated, "required", "alice", "", ""},
				{"a signer, named by its key", append([]string{"-resp_key_id"}, delegated...), "required", "alice", "", ""},
				{"a signer that is not shown", append([]string{"-resp_no_certs"}, delegated...), "", "alice", ReasonUnavailable, ReasonSignature},
				{"the CA", own, "required", "alice", "", ""},
				{"the CA, which is not shown", append([]string{"-resp_no_certs"}, own...), "required", "alice", "", ""},
				{"revoked", delegated, "required", "bob", factors.ReasonRevoked, ""},
				{"a client", []string{"-rsigner", "alice.crt", "-rkey", "alice.key"}, "", "alice", ReasonUnavailable, ReasonSignature},
			} {
				t.Run(c.name, func(t *testing.T) {
					s.on("/", o.respond(c.by...))
					err := check(newBench(t, Config{}).checker(Written{OCSP: s.URL, Nonce: c.nonce, Timeout: maxTimeout}), now, o.path(c.who))
					wantReason(t, err, c.why)
					if c.cause != "" {
						wantCause(t, err, c.cause)
					}
				})
			}
			t.Run("replayed", func(t *testing.T) {
				s.on("/", o.respond(delegated...))
				w := Written{OCSP: s.URL, Timeout: maxTimeout}
				wantReason(t, check(newBench(t, Config{}).checker(w), now, o.path("alice")), "")
				s.has("/", o.last) // it has the nonce of the question before
				err := check(newBench(t, Config{}).checker(w), now, o.path("alice"))
				wantReason(t, err, ReasonUnavailable)
				wantCause(t, err, ReasonNonce)
			})
			t.Run("of a certificate that it does not have", func(t *testing.T) {
				s.on("/", o.respond(delegated...))
				if err := os.WriteFile(filepath.Join(o.folder, "index.txt"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				wantReason(t, check(newBench(t, Config{}).checker(Written{OCSP: s.URL, Timeout: maxTimeout}), now, o.path("alice")), ReasonUnknown)
			})
		})
	}
}
