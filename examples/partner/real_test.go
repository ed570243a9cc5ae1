package main

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/oauth/live"
)

// A provider that others wrote, for Acme, from the first page to signing out at the provider. It and the portal have
// certificates of one authority, as in a company.
func TestProviderThatOthersWrote(t *testing.T) {
	ca := mtlstest.NewCA(t, "Acme servers")
	data := t.TempDir()
	writeAuthority(t, ca, filepath.Join(data, "pki"))
	addr := freeAddress(t)
	portal := "https://" + addr
	provider := live.Start(t, ca, live.Config{Clients: []live.Client{{
		"client_id": "portal", "client_secret": "a secret of at least thirty-two bytes", "token_endpoint_auth_method": "client_secret_basic",
		"redirect_uris": []string{portal + "/auth/factors/partner-idp/callback"}, "response_types": []string{"code"}, "grant_types": []string{"authorization_code"},
		"backchannel_logout_uri": portal + "/auth/factors/partner-idp/acme/backchannel-logout", "backchannel_logout_session_required": true,
		"post_logout_redirect_uris": []string{portal + "/signed-out"}, "id_token_signed_response_alg": "RS256",
	}}})
	secret := filepath.Join(data, "secret.txt")
	if err := os.WriteFile(secret, []byte("a secret of at least thirty-two bytes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", ca.File())
	p := spawn(t, data, addr, "-issuer", provider.Issuer, "-client-id", "portal", "-client-secret-file", secret)
	r := &running{t: t, url: portal, data: data}
	s := r.surfer("acme-gateway")
	in := url.Values{"username": {"alice"}, "password": {live.Password}}
	page := s.sees(s.provider(), http.StatusOK, `name="password"`)
	if !strings.HasPrefix(page.at.String(), provider.Issuer) {
		t.Fatalf("signed in at %s", page.at)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the portal's log:\n%s", p.err.String())
		}
	})
	home := s.send(page, "", in)
	me := s.is("acme", "alice")
	if me["method"] != "partner" {
		t.Errorf("%v", me)
	}
	out := s.send(home, "/logout/everywhere", nil)
	if !strings.HasPrefix(out.at.String(), provider.Issuer) {
		t.Fatalf("%s\n%s", out.at, out.body)
	}
	s.nobody()
	// Whoever signs out at the provider is signed out here, also where they did not begin here.
	other := r.surfer("acme-gateway")
	home = other.send(other.provider(), "", in)
	other.is("acme", "alice")
	if home.at.Host != addr {
		t.Errorf("ended at %s", home.at)
	}
	other.send(other.get(provider.Issuer+"/session/end"), "", url.Values{"logout": {"yes"}})
	other.nobody()
}

// writeAuthority puts an authority where the portal keeps that of its server.
func writeAuthority(t *testing.T, ca *mtlstest.CA, dir string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"server-ca.crt": ca.PEM(), "server-ca.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	return "localhost:" + port
}
