//go:build unix

package behind

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// caller is somebody with or without a certificate, with a cookie jar and an authenticator.
type caller struct {
	t      *testing.T
	url    string
	client *http.Client
	auth   *fido2test.Authenticator
	header http.Header // on every request
}

// caller has the certificate of a name; an empty name is none.
func (s *site) caller(name string) *caller {
	s.t.Helper()
	if name == "" {
		return s.callerWith()
	}
	cert, err := tls.LoadX509KeyPair(s.file("pki/"+name+".crt"), s.file("pki/"+name+".key"))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.callerWith(cert)
}

func (s *site) callerWith(certs ...tls.Certificate) *caller {
	s.t.Helper()
	ca, err := os.ReadFile(s.file("pki/server-ca.crt"))
	if err != nil {
		s.t.Fatal(err)
	}
	conf := &tls.Config{RootCAs: x509.NewCertPool()}
	conf.RootCAs.AppendCertsFromPEM(ca)
	if len(certs) > 0 { // whatever authorities the server names
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certs[0], nil }
	}
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	s.t.Cleanup(tr.CloseIdleConnections)
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &caller{t: s.t, url: s.url, client: &http.Client{Transport: tr, Jar: jar, CheckRedirect: stay}, auth: fido2test.New(s.url), header: http.Header{}}
}

func (c *caller) call(method, path string, body any) (int, string) {
	c.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := http.NewRequest(method, c.url+path, bytes.NewReader(b))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header = c.header.Clone()
	r.Header.Set("Content-Type", "application/json")
	res, err := c.client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func (c *caller) want(status int, method, path string, body any) map[string]any {
	c.t.Helper()
	got, text := c.call(method, path, body)
	out := map[string]any{}
	if err := json.Unmarshal([]byte(text), &out); err != nil || got != status {
		c.t.Fatalf("%s %s: %d %s, want %d", method, path, got, text, status)
	}
	return out
}

func (c *caller) answer(path string, how func(json.RawMessage) (json.RawMessage, error)) map[string]any {
	c.t.Helper()
	options, err := json.Marshal(c.want(http.StatusOK, "POST", path+"/challenge", struct{}{})["publicKey"])
	if err != nil {
		c.t.Fatal(err)
	}
	credential, err := how(options)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.want(http.StatusOK, "POST", path+"/verify", map[string]any{"credential": credential})
}

// signIn enrols a passkey with an invitation and signs in with it.
func (c *caller) signIn(code string) {
	c.t.Helper()
	c.want(http.StatusOK, "POST", "/auth/invitations/redeem", map[string]string{"code": code})
	c.answer("/auth/credentials/passkey", c.auth.Create)
	c.want(http.StatusOK, "POST", "/auth/login", struct{}{})
	if got := c.answer("/auth/factors/passkey", c.auth.Get); got["state"] != "authenticated" {
		c.t.Fatalf("%v", got)
	}
}

// user is who is signed in, or in a login.
func (c *caller) user() string {
	c.t.Helper()
	state := c.want(http.StatusOK, "GET", "/auth/session", nil)
	for _, part := range []string{"principal", "login"} {
		if in, ok := state[part].(map[string]any); ok {
			return in["user"].(string)
		}
	}
	return ""
}

// forge sends somebody's certificate in the way that nginx does, with all that could pass for it.
func (c *caller) forge(s *site, name string) {
	c.t.Helper()
	text, err := os.ReadFile(s.file("pki/" + name + ".crt"))
	if err != nil {
		c.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	for header, value := range map[string]string{"X-SSL-Client-Cert": url.PathEscape(string(pem.EncodeToMemory(block))), "X-SSL-Client-Verify": "SUCCESS"} {
		for _, n := range []string{http.CanonicalHeaderKey(header), strings.ReplaceAll(header, "-", "_"), strings.ReplaceAll(header, "-", ".")} {
			c.header[n] = []string{value}
		}
	}
}

func TestLoginThroughNginx(t *testing.T) {
	s := start(t)
	alice := s.caller("alice")
	alice.signIn(s.invited["alice"])
	if got := alice.user(); got != "alice" {
		t.Errorf("signed in as %q", got)
	}
	if got := alice.want(http.StatusOK, "GET", "/admin/whoami", nil); got["user"] != "alice" || got["phishing_resistant"] != true {
		t.Errorf("behind the floor: %v", got)
	}

	t.Run("the session is nothing without the certificate", func(t *testing.T) {
		for _, name := range []string{"", "bob"} {
			thief := s.caller(name)
			thief.client.Jar = alice.client.Jar
			if got := thief.user(); got != "" {
				t.Errorf("with the certificate %q: %q", name, got)
			}
		}
		if got := alice.user(); got != "alice" {
			t.Errorf("afterwards: %q", got)
		}
	})
	t.Run("a forged header is nothing", func(t *testing.T) {
		nobody := s.caller("")
		nobody.forge(s, "alice")
		if got := nobody.want(http.StatusForbidden, "POST", "/auth/login", struct{}{}); got["code"] != "client_certificate_required" {
			t.Errorf("without a certificate: %v", got)
		}
		nobody.client.Jar = alice.client.Jar
		if got := nobody.user(); got != "" {
			t.Errorf("with the session: %q", got)
		}
		bob := s.caller("bob")
		bob.forge(s, "alice")
		bob.want(http.StatusOK, "POST", "/auth/login", struct{}{})
		if got := bob.user(); got != "bob" {
			t.Errorf("with a certificate of another: %q", got)
		}
	})
	t.Run("without a certificate a page explains", func(t *testing.T) {
		if status, text := s.caller("").call("GET", "/login", nil); status != http.StatusOK || !strings.Contains(text, "Your browser showed no certificate") {
			t.Errorf("%d %s", status, text)
		}
	})
	t.Run("a certificate of another authority ends at nginx", func(t *testing.T) {
		foreign := s.callerWith(mtlstest.NewCA(t, "Sallyport demo staff CA").Issue(mtlstest.Leaf{CN: "alice"}))
		if status, text := foreign.call("POST", "/auth/login", struct{}{}); status != http.StatusBadRequest || !strings.Contains(text, "nginx") {
			t.Errorf("%d %s", status, text)
		}
	})
}
