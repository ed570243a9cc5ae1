package revocation

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// stepCA is step-ca, a certificate authority that we did not write, with an issuing CA of this test's own.
type stepCA struct {
	t       *testing.T
	program string
	folder  string
	api     string // host and port of what issues and revokes
	lists   string // address of the list
	root    *mtlstest.CA
	issuing *mtlstest.CA
	key     *ecdsa.PrivateKey // of the provisioners, who may ask for certificates
	client  *http.Client
	cmd     *exec.Cmd
	said    bytes.Buffer // to be read when it has stopped
}

// Provisioners: certificates of the one name the place of the list, those of the other do not.
const (
	naming = "naming"
	silent = "silent"
)

func newStepCA(t *testing.T) *stepCA {
	t.Helper()
	s := &stepCA{t: t, program: stepProgram(t), folder: t.TempDir(), api: freeAddress(t), root: mtlstest.NewCA(t, "Root CA")}
	s.issuing = s.root.Intermediate("Issuing CA")
	s.key = mtlstest.NewKey(t).(*ecdsa.PrivateKey)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.root.Pool()}}}
	t.Cleanup(s.client.CloseIdleConnections)
	plain := freeAddress(t)
	s.lists = "http://" + plain + "/crl"
	key, err := x509.MarshalPKCS8PrivateKey(s.issuing.Key)
	if err != nil {
		t.Fatal(err)
	}
	s.write("root.crt", s.root.PEM())
	s.write("issuing.crt", s.issuing.PEM())
	s.write("issuing.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	public := jose.JSONWebKey{Key: s.key.Public(), KeyID: "tests", Algorithm: "ES256", Use: "sig"}
	template := fmt.Sprintf(`{"subject": {{ toJson .Subject }}, "keyUsage": ["digitalSignature"], "extKeyUsage": ["clientAuth"], "crlDistributionPoints": [%q]}`, s.lists)
	config, err := json.Marshal(map[string]any{
		"root": s.file("root.crt"), "crt": s.file("issuing.crt"), "key": s.file("issuing.key"), "address": s.api, "insecureAddress": plain, "dnsNames": []string{"127.0.0.1"},
		"db":  map[string]string{"type": "bbolt", "dataSource": s.file("db")},
		"crl": map[string]any{"enabled": true, "generateOnRevoke": true, "cacheDuration": "24h", "idpURL": s.lists},
		"authority": map[string]any{"provisioners": []map[string]any{
			{"type": "JWK", "name": naming, "key": public, "options": map[string]any{"x509": map[string]string{"template": template}}},
			{"type": "JWK", "name": silent, "key": public},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.write("ca.json", config)
	t.Cleanup(s.stop)
	s.start()
	return s
}

// stepProgram is step-ca as install.sh built it.
func stepProgram(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "sallyport", "step-ca-v0.30.2")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
		t.Fatal("step-ca is missing: run factors/mtls/revocation/install.sh")
	}
	t.Skip("step-ca is missing: run factors/mtls/revocation/install.sh")
	return ""
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *stepCA) file(name string) string { return filepath.Join(s.folder, name) }

func (s *stepCA) write(name string, b []byte) {
	s.t.Helper()
	if err := os.WriteFile(s.file(name), b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start starts it and waits until it answers.
func (s *stepCA) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.program, s.file("ca.json"))
	s.cmd.Env = append(os.Environ(), "STEPPATH="+s.folder)
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !s.answers(s.lists) || !s.answers("https://"+s.api+"/health"); {
		if time.Now().After(deadline) {
			s.stop()
			s.t.Fatalf("step-ca does not answer:\n%s", &s.said)
		}
	}
}

func (s *stepCA) answers(address string) bool {
	res, err := s.client.Get(address)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func (s *stepCA) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait()
	s.cmd = nil
	if s.t.Failed() {
		s.t.Logf("step-ca said:\n%s", &s.said)
	}
}

// call makes a call of the API with a token by which a provisioner allows it.
func (s *stepCA) call(provisioner, path, subject string, body map[string]any, into any) {
	s.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, (&jose.SignerOptions{}).WithHeader("kid", "tests"))
	if err != nil {
		s.t.Fatal(err)
	}
	now := time.Now()
	if body["ott"], err = jwt.Signed(signer).Claims(jwt.Claims{Issuer: provisioner, Subject: subject, Audience: jwt.Audience{"https://" + s.api + path}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute))}).Serialize(); err != nil {
		s.t.Fatal(err)
	}
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := s.client.Post("https://"+s.api+path, "application/json", bytes.NewReader(b))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode/100 != 2 {
		s.t.Fatalf("%s: %s %v", path, res.Status, err)
	}
}

// issue has a certificate issued, and gives its path to the issuing CA, which the anchor is.
func (s *stepCA) issue(provisioner, name string) []Subject {
	s.t.Helper()
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}}, mtlstest.NewKey(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	var answer struct{ Crt string }
	s.call(provisioner, "/1.0/sign", name, map[string]any{"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))}, &answer)
	block, _ := pem.Decode([]byte(answer.Crt))
	if block == nil {
		s.t.Fatal("no certificate came")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		s.t.Fatal(err)
	}
	return Path([]*x509.Certificate{leaf, s.issuing.Certificate}, []factors.Marks{factors.MarksOf(leaf), factors.MarksOf(s.issuing.Certificate)})
}

func (s *stepCA) revoke(path []Subject) {
	s.t.Helper()
	serial := path[0].Certificate.SerialNumber.String()
	s.call(naming, "/1.0/revoke", serial, map[string]any{"serial": serial, "passive": true, "reasonCode": 1}, new(struct{}))
}

// wantInTheEnd holds what a check comes to once a fetch that runs is done.
func wantInTheEnd(t *testing.T, c *Checker, now time.Time, path []Subject, why authn.Reason) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err := check(c, now, path); err == nil && why == "" || err != nil && reasonOf(err) == why {
			return
		}
	}
	wantReason(t, check(c, now, path), why)
}

func TestListOfStepCA(t *testing.T) {
	s := newStepCA(t)
	alice, bob, carol := s.issue(naming, "alice"), s.issue(naming, "bob"), s.issue(silent, "carol")
	kept := Folder(t.TempDir())
	b := newBench(t, Config{Store: kept})
	strict := b.checker(Written{CRL: []string{s.lists}})
	now := time.Now()

	wantReason(t, check(strict, now, alice), "")
	wantReason(t, check(strict, now, bob), "")
	wantReason(t, check(strict, now, carol), ReasonUnknown) // it does not say that the list is about it

	s.revoke(bob)
	wantReason(t, check(strict, now, bob), "") // the list at hand is good for longer
	wantInTheEnd(t, strict, now.Add(61*time.Minute), bob, factors.ReasonRevoked)
	wantReason(t, check(strict, now.Add(61*time.Minute), alice), "")

	// It is down: what is known holds until it is too old, and then what the policy says.
	s.stop()
	down := now.Add(3 * time.Hour)
	for deadline := time.Now().Add(time.Minute); !b.counter.has(ReasonUnreachable) && time.Now().Before(deadline); {
		wantReason(t, check(strict, down, alice), "")
	}
	if !b.counter.has(ReasonUnreachable) {
		t.Error("nothing says that the server cannot be reached")
	}
	tooOld := now.Add(25 * time.Hour)
	wantReason(t, check(strict, tooOld, alice), ReasonStale)
	wantReason(t, check(strict, tooOld, bob), factors.ReasonRevoked)
	lenient := b.checker(Written{CRL: []string{s.lists}, Stale: &policy.TextOr[WrittenStale]{Mapping: &WrittenStale{AllowUntil: 2 * time.Hour}}})
	wantReason(t, check(lenient, tooOld, alice), "")
	wantReason(t, check(lenient, tooOld, bob), factors.ReasonRevoked)
	wantReason(t, check(lenient, tooOld.Add(3*time.Hour), alice), ReasonStale)
	restarted := newBench(t, Config{Store: kept}).checker(Written{CRL: []string{s.lists}})
	wantReason(t, check(restarted, down, alice), "")
	wantReason(t, check(restarted, down, bob), factors.ReasonRevoked)
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{s.lists}}), down, alice), ReasonUnavailable)

	// It is back, and goes on where it was.
	s.start()
	s.revoke(alice)
	back := tooOld.Add(4 * time.Hour)
	wantInTheEnd(t, strict, back, alice, factors.ReasonRevoked)
	wantReason(t, check(strict, back, bob), factors.ReasonRevoked)
}
