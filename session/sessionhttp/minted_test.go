package sessionhttp_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/jwt/issuer"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

// A portal mints a token for a person who is signed in. It is good with the certificate of the session, for as long as the
// session is there, and for nothing but requests.
func TestTokensOfThePortalsOwn(t *testing.T) {
	p := newPortal(t)
	keys, err := issuer.OpenKeys(filepath.Join(p.dir, "keys"), 0, p.clock())
	must(t, err)
	mints, err := issuer.New(issuer.Config{URL: p.origin, Keys: keys, Audiences: []string{"api"}, Scopes: []string{"read", "write"}, Now: p.clock})
	must(t, err)
	published, err := keys.Published(p.clock())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(p.dir, "keys.json"), published, 0o600))
	must(t, p.engine.SetPolicy(p.policy(
		"  passkey:    { kind: fido2 }\n", "  passkey:    { kind: fido2 }\n  own:        { kind: jwt, issuer: \""+p.origin+"\", audience: api, algorithms: [ES256], keys: { file: keys.json }, bound_to_certificate: required, session: live }\n",
		"  badge:     { steps: [device]", "  service:   { steps: [device, own], each_request: true }\n  badge:     { steps: [device]",
		"  - { route: /kiosk/*", "  - { route: /v1/*, methods: [service] }\n  - { route: /kiosk/*")))
	mint := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := sessionhttp.From(r.Context())
		who, err := s.Grant(r.Context())
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		token, err := mints.Mint(r.Context(), issuer.Grant{Principal: who, Session: s.ID(), Peer: s.Request().Peer, Audience: "api", Scopes: []string{"read"}})
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write([]byte(token.Text))
	})
	p.pages.Store("/mint", p.sessions.Require()(mint))
	p.pages.Store("/v1/mint", p.sessions.RequireEach()(mint))
	p.guarded("/v1/read", p.sessions.RequireEach(sessionhttp.Scope("read")))
	p.guarded("/v1/write", p.sessions.RequireEach(sessionhttp.Scope("write")))

	b := p.signedIn("alice")
	token := string(b.get("/mint").body)
	use := func(by *browser, path, token string) answer {
		return by.send("GET", path, nil, bearing("Bearer "+token))
	}
	program := p.browser(b.cert) // no cookie
	if got := use(program, "/v1/read", token); got.status != 200 {
		t.Fatalf("%d %s: %s", got.status, got.body, p.log)
	}
	use(program, "/v1/write", token).wants(403, sessionhttp.CodeForbidden)
	use(p.person("alice"), "/v1/read", token).wants(401, sessionhttp.CodeInvalidCredential) // another certificate of hers
	use(p.person("bob"), "/v1/read", token).wants(401, sessionhttp.CodeInvalidCredential)
	use(p.browser(nil), "/v1/read", token).wants(403, sessionhttp.CodeCertificateRequired)
	if got := use(program, "/v1/mint", token); got.status != http.StatusForbidden {
		t.Errorf("a token mints: %d %s", got.status, got.body)
	}
	use(program, "/mint", token).wants(401, sessionhttp.CodeNotAuthenticated)
	// It ends with the session.
	if b.post("/auth/logout", "{}").status != 204 {
		t.Fatal("not signed out")
	}
	use(program, "/v1/read", token).wants(401, sessionhttp.CodeInvalidCredential)
	// Suspension ends what is left.
	d := p.browser(b.cert)
	d.auth = b.auth
	d.login()
	third := string(d.get("/mint").body)
	if got := use(program, "/v1/read", third); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	must(t, p.engine.Operate("corp").SetStatus(t.Context(), p.users["alice"].ID, session.Suspended))
	use(program, "/v1/read", third).wants(401, sessionhttp.CodeInvalidCredential)
}
