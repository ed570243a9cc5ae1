package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                                 "",
		"-issuer https://idp -client-id c": "",
		"-issuer https://idp -client-id c -client-secret-file f": "",
		"more":                             "unknown argument",
		"-issuer https://idp":              "belong together",
		"-client-id c":                     "belong together",
		"-client-secret-file f":            "belong together",
		"-issuer x -client-id c -policy p": "-policy",
		"-addr nothing":                    "",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// Each partner's gateway has a certificate of that partner's authority, and nobody else can read a key.
func TestCertificates(t *testing.T) {
	r := start(t, t.TempDir())
	dir := filepath.Join(r.data, "pki")
	read := func(name string) *x509.Certificate {
		b, err := os.ReadFile(filepath.Join(dir, name+".crt"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(b)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, x := range partners {
		leaf := read(x.id + "-gateway")
		for _, y := range partners {
			if err := leaf.CheckSignatureFrom(read(y.id + "-ca")); (err == nil) != (x.id == y.id) {
				t.Errorf("%s by the authority of %s: %v", x.id, y.id, err)
			}
		}
		for _, file := range []string{x.id + "-ca.key", x.id + "-gateway.key", x.id + "-gateway.p12"} {
			if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v %v", file, info, err)
			}
		}
	}
	for _, file := range []string{"client-secret", "policy.yaml"} {
		if info, err := os.Stat(filepath.Join(r.data, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", file, info, err)
		}
	}
}

// The policy follows the addresses until somebody changes it.
func TestPolicyIsKeptOnceChanged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	lines := func(at string) map[string]string {
		return map[string]string{"{{origin}}": "https://" + at, "{{acme}}": provider{issuer: "https://idp.acme.example", client: "c"}.line(),
			"{{globex}}": provider{issuer: "https://idp.globex.example", client: "c", secret: "s"}.line()}
	}
	read := func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, at := range []string{"localhost:1", "localhost:2"} {
		if kept, err := writePolicy(file, lines(at)); kept || err != nil || !strings.Contains(read(), "origin: https://"+at+"\n") {
			t.Errorf("%s: %v %v\n%s", at, kept, err, read())
		}
	}
	own := strings.Replace(read(), "idle: 30m", "idle: 5m", 1)
	if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept, err := writePolicy(file, lines("localhost:3")); !kept || err != nil || read() != own {
		t.Errorf("%v %v\n%s", kept, err, read())
	}
}

// A policy of one's own: its providers are not replaced quietly, and the demonstration's send people back to its origins.
func TestPolicyOfOnesOwn(t *testing.T) {
	data := t.TempDir()
	r := start(t, data)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.stop())
	file := filepath.Join(data, "policy.yaml")
	b, err := os.ReadFile(file)
	must(err)
	first := strings.TrimPrefix(r.url, "https://")
	own := strings.Replace(string(b), "origin: https://"+first, "origins: [https://"+first+", { origin: \"https://127.0.0.1:1\", rp_id: localhost }]", 1)
	must(os.WriteFile(file, []byte(own), 0o600))
	o, err := parse([]string{"-addr", "localhost:0", "-data", data, "-issuer", "https://idp.example", "-client-id", "c"}, io.Discard)
	must(err)
	o.now = time.Now
	if err := o.run(t.Context(), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "changed by hand") {
		t.Errorf("a provider that the policy does not have: %v", err)
	}
	r = start(t, data, "-addr", first) // the flag that comes last counts
	if s := r.surfer("acme-gateway"); s.signIn("alice").status != http.StatusOK {
		t.Error("not signed in")
	}
	r.stop()
	r = start(t, data) // at another address than the policy's
	page := r.surfer("acme-gateway").get(r.issuer("acme") + "/authorize?client_id=partner-portal&response_type=code&scope=openid&state=s&nonce=n&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&redirect_uri=" +
		url.QueryEscape("https://127.0.0.1:1/auth/factors/partner-idp/callback"))
	if page.status != http.StatusOK || !strings.Contains(page.body, `name="password"`) {
		t.Errorf("%d %s", page.status, page.body)
	}
}

// A real provider takes the place of Acme's, and only of that.
func TestRealProvider(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "it's a secret")
	if err := os.WriteFile(secret, []byte("s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), "-issuer", "https://idp.example/realm", "-client-id", "our id", "-client-secret-file", secret)
	pol, err := policy.Load(filepath.Join(r.data, "policy.yaml"), factors.PolicyKinds(kinds())...)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(pol.File)
	if text := string(b); !strings.Contains(text, `issuer: "https://idp.example/realm", client_id: "our id"`) || strings.Count(text, "https://localhost:") != 2 {
		t.Errorf("%s", text)
	}
	for _, want := range []string{"whoever https://idp.example/realm knows", r.url + "/auth/factors/partner-idp/callback", r.url + "/auth/factors/partner-idp/acme/callback",
		r.url + "/auth/factors/partner-idp/acme/backchannel-logout", r.url + "/signed-out"} {
		if !strings.Contains(r.said, want) {
			t.Errorf("%q is not in\n%s", want, r.said)
		}
	}
	if strings.Contains(r.said, "/acme\n") || r.issuer("globex") == "" {
		t.Errorf("%s", r.said)
	}
}

// The portal asks a browser for a certificate, and a provider must not: whoever has none has nothing to answer.
func TestProvidersAskForNoCertificate(t *testing.T) {
	r := start(t, t.TempDir())
	s := r.surfer("acme-gateway")
	asked := false
	tr := s.web.Transport.(*http.Transport)
	get := tr.TLSClientConfig.GetClientCertificate
	tr.TLSClientConfig.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) { asked = true; return get(i) }
	s.sees(s.get(r.issuer("globex")+"/.well-known/openid-configuration"), http.StatusOK, "authorization_endpoint")
	if asked {
		t.Error("a provider asks for a certificate")
	}
	s.get("/login")
	if !asked {
		t.Error("the portal asks for none")
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	r := start(t, t.TempDir())
	s := r.surfer("acme-gateway")
	for _, path := range []string{"/healthz", "/login", "/nothing", "/assets/nothing", "/assets/style.css", "/auth/session", "/signed-out", "/portal/whoami"} {
		res, err := s.web.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Strict-Transport-Security") == "" || res.Header.Get("Referrer-Policy") != "no-referrer" ||
			!strings.Contains(res.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %v", path, res.Header)
		}
	}
}

// What a provider says of somebody does not leave its place on a page.
func TestErrorsOnTheLoginPage(t *testing.T) {
	r := start(t, t.TempDir())
	s := r.surfer("acme-gateway")
	for code, want := range map[string]string{"unavailable": "cannot be reached", "login_expired": "took too long", "%3Cscript%3E": "That did not work. Start again."} {
		page := s.sees(s.get("/login?error="+code), http.StatusOK, want, "Sign in at Acme")
		if strings.Contains(page.body, "<script") {
			t.Errorf("%s:\n%s", code, page.body)
		}
	}
	for _, to := range []string{"https://evil.example/", "//evil.example/", "/\\evil.example"} {
		if page := s.get("/login?return_to=" + to); strings.Contains(page.body, "evil") {
			t.Errorf("%s:\n%s", to, page.body)
		}
	}
}

// A provider that is down says so, and takes nothing away.
func TestProviderThatIsDown(t *testing.T) {
	r := start(t, t.TempDir(), "-issuer", "https://localhost:1", "-client-id", "c")
	s := r.surfer("acme-gateway")
	s.sees(s.provider(), http.StatusOK, "cannot be reached at the moment", "Sign in at Acme")
}
