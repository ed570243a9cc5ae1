package sessionhttp_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors/jwt/issuer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/oauth/oauthtest"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

// mints is an issuer of the portal's own; its keys are in keys.json beside the policy.
func (p *portal) mints() *issuer.Issuer {
	p.t.Helper()
	keys, err := issuer.OpenKeys(filepath.Join(p.dir, "keys"), 0, p.clock())
	must(p.t, err)
	made, err := issuer.New(issuer.Config{URL: p.origin, Keys: keys, Audiences: []string{"api"}, Scopes: []string{"read"}, Now: p.clock})
	must(p.t, err)
	published, err := keys.Published(p.clock())
	must(p.t, err)
	must(p.t, os.WriteFile(filepath.Join(p.dir, "keys.json"), published, 0o600))
	return made
}

// A token that the portal minted for alice of corp, from a session without a certificate, is shown with the certificate of another
// tenant's gateway: it must not be alice of labs.
func TestTokenOfOneTenantInAnother(t *testing.T) {
	p := newPortal(t)
	mints := p.mints()
	labs := mtlstest.NewCA(t, "Labs CA")
	must(t, os.WriteFile(filepath.Join(p.dir, "labs.crt"), labs.PEM(), 0o600))
	must(t, p.engine.SetPolicy(p.policy(
		"  kiosks: {", "  labs:   { ca: labs.crt, tenant: labs }\n  kiosks: {",
		"  passkey:    { kind: fido2 }\n", `  passkey:    { kind: fido2 }
  gateway:    { kind: mtls, anchors: [staff, labs], identify: [{ from: anchor }] }
  own:        { kind: jwt, issuer: "`+p.origin+`", audience: api, algorithms: [ES256], keys: { file: keys.json }, tenant_claim: tenant }
`,
		"  badge:     { steps: [device]", "  web:       { steps: [passkey] }\n  service:   { steps: [gateway, own], each_request: true }\n  badge:     { steps: [device]",
		"  - { route: /kiosk/*", "  - { route: /v1/*, methods: [service] }\n  - { route: /web/*, methods: [web] }\n  - { route: /kiosk/*")))
	op := p.engine.Operate("labs")
	must(t, op.CreateTenant(t.Context(), "Labs"))
	_, err := op.CreateUser(t.Context(), session.NewUser{Name: "alice"})
	must(t, err)
	p.pages.Store("/web/mint", p.sessions.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := sessionhttp.From(r.Context())
		who, err := s.Grant(r.Context())
		must(t, err)
		token, err := mints.Mint(r.Context(), issuer.Grant{Principal: who, Session: s.ID(), Peer: s.Request().Peer, Audience: "api", Scopes: []string{"read"}})
		must(t, err)
		_, _ = w.Write([]byte(token.Text))
	})))
	p.pages.Store("/v1/who", p.sessions.RequireEach(sessionhttp.Scope("read"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := sessionhttp.Principal(r.Context())
		_, _ = w.Write([]byte(who.Names.Tenant + "/" + who.Names.User))
	})))
	enrols := p.signedIn("alice")
	b := p.browser(nil)
	b.auth = enrols.auth
	b.want(200, "POST", "/auth/login", map[string]any{"method": "web", "return_to": "/web/x"})
	b.answer(200)
	token := string(b.get("/web/mint").body)
	use := func(by *browser) answer { return by.send("GET", "/v1/who", nil, bearing("Bearer "+token)) }
	if got := use(p.person("gateway")); got.status != 200 || string(got.body) != "corp/alice" {
		t.Fatalf("set-up: %d %s %s", got.status, got.body, p.log)
	}
	foreign := labs.Issue(mtlstest.Leaf{CN: "gateway", NotAfter: time.Now().AddDate(0, 0, 30)})
	if got := use(p.browser(&foreign)); got.status == 200 {
		t.Errorf("the token of corp's alice is taken for %s", got.body)
	}
}

// The key server of one tenant's issuer is down. Requests with tokens of another tenant's issuer have nothing to do with it.
func TestOneIssuerThatIsDownDoesNotTakeTheOthersAlong(t *testing.T) {
	p := newPortal(t)
	mints := p.mints()
	must(t, p.engine.SetPolicy(p.policy(
		"  passkey:    { kind: fido2 }\n", `  passkey:    { kind: fido2 }
  labs-token: { kind: jwt, issuer: "https://issuer.labs.example", audience: api, algorithms: [ES256], keys: { url: "https://127.0.0.1:1/keys" }, tenant: labs }
  corp-token: { kind: jwt, issuer: "`+p.origin+`", audience: api, algorithms: [ES256], keys: { file: keys.json }, tenant: corp }
`,
		"  badge:     { steps: [device]", "  labs-api:  { steps: [labs-token], each_request: true }\n  corp-api:  { steps: [corp-token], each_request: true }\n  badge:     { steps: [device]",
		"  - { route: /kiosk/*", "  - { route: /v1/*, tenant: labs, methods: [labs-api] }\n  - { route: /v1/*, methods: [corp-api] }\n  - { route: /kiosk/*")))
	p.guarded("/v1/read", p.sessions.RequireEach(sessionhttp.Scope("read")))
	token, err := mints.Mint(context.Background(), issuer.Grant{Session: "s", Audience: "api", Scopes: []string{"read"}, Principal: authn.Principal{Login: "l",
		Subject: p.users["alice"].Subject(), Names: authn.Names{Tenant: "corp", User: "alice"}, Method: authn.Method{Name: "web"}, Deadline: p.clock().Add(time.Hour)}})
	must(t, err)
	if got := p.browser(nil).send("GET", "/v1/read", nil, bearing("Bearer "+token.Text)); got.status != 200 {
		t.Errorf("corp's token, while labs's issuer is down: %d %s", got.status, got.body)
	}
}

// twoIDPs is a portal with two factors at one provider: one for signing in, and one that asks anew, for step-ups.
func twoIDPs(t *testing.T) (*portal, *oauthtest.Server) {
	t.Helper()
	p := newPortal(t)
	factor := p.origin + "/auth/factors/"
	provider := oauthtest.Start(t, oauthtest.Config{Now: p.clock, Users: []oauthtest.User{{Name: "carol", Subject: "sub-carol"}},
		Clients: []oauthtest.Client{{ID: "portal", Secret: "the client's secret", RedirectURIs: []string{factor + "idp/callback", factor + "strong/callback"}}}})
	t.Setenv("CLIENT_SECRET", "the client's secret")
	at := `tenant: corp, issuer: "` + provider.Issuer + `", client_id: portal, client_secret: { env: CLIENT_SECRET }`
	must(t, p.engine.SetPolicy(p.policy(
		"  passkey:    { kind: fido2 }\n", `  passkey:    { kind: fido2 }
  gateway:    { kind: mtls, anchors: [staff], identify: [{ from: anchor }] }
  idp:        { kind: oauth, provision: on, `+at+` }
  strong:     { kind: oauth, prompt: login, `+at+` }
`,
		"  badge:     { steps: [device]", "  visit:     { steps: [gateway, idp] }\n  badge:     { steps: [device]",
		"  - { route: /kiosk/*", "  - { route: /visit/*, methods: [visit] }\n  - { route: /kiosk/*")))
	return p, provider
}

// The list gives ids, and DELETE takes one: it must remove the credential that was meant.
func TestCredentialsOfTwoFactorsHaveIDsOfTheirOwn(t *testing.T) {
	p, provider := twoIDPs(t)
	b := p.person("alice")
	b.send("GET", b.toProvider(provider, "visit", "carol"), nil, page).wantsRedirect("/visit/home")
	to := b.want(200, "POST", "/auth/credentials/strong/challenge", nil)
	back, err := provider.SignIn(context.Background(), to["redirect_to"].(string), "carol")
	must(t, err)
	b.send("GET", strings.TrimPrefix(back, p.origin), nil, page).wantsRedirect("/login")
	factorOf := map[string]string{}
	of := func() (all []any) { return b.want(200, "GET", "/auth/credentials", nil)["credentials"].([]any) }
	if len(of()) != 2 {
		t.Fatalf("set-up: %v", of())
	}
	strong := ""
	for _, c := range of() {
		id, factor := c.(map[string]any)["id"].(string), c.(map[string]any)["factor"].(string)
		if other, twice := factorOf[id]; twice {
			t.Errorf("%s and %s have the id %s", other, factor, id)
		}
		factorOf[id] = factor
		if factor == "strong" {
			strong = id
		}
	}
	got := b.do("DELETE", "/auth/credentials/"+url.PathEscape(strong), nil)
	left := of()
	if len(left) != 1 || left[0].(map[string]any)["factor"] != "idp" {
		t.Errorf("DELETE of the credential of strong: %d %s, and left are %v", got.status, got.body, left)
	}
}

// While the code is on its way, the policy gets another provider for the tenant, or makes no new users any more. What the policy in
// force does not trust wins nothing: the check at the end is by the policy in force.
func TestProviderThatIsGoneWhenTheLoginEnds(t *testing.T) {
	for name, edit := range map[string]func(idp string) string{
		"another provider": func(idp string) string {
			return strings.Replace(idp, "issuer: \"", "issuer: \"https://other.example/", 1)
		},
		"provision: off": func(idp string) string { return strings.Replace(idp, "provision: on", "provision: off", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			p, provider := visitors(t, oauthtest.Config{})
			idp := `  idp:        { kind: oauth, provision: on, per_tenant: { corp: { issuer: "` + provider.Issuer + `", client_id: portal, client_secret: { env: CLIENT_SECRET } } } }
`
			next := p.policy("  passkey:    { kind: fido2 }\n", "  passkey:    { kind: fido2 }\n  gateway:    { kind: mtls, anchors: [staff], identify: [{ from: anchor }] }\n"+edit(idp),
				"  badge:     { steps: [device]", "  visit:     { steps: [gateway, idp] }\n  thorough:  { steps: [gateway, idp, passkey] }\n  badge:     { steps: [device]",
				"  - { route: /kiosk/*", "  - { route: /visit/*, methods: [visit, thorough] }\n  - { route: /kiosk/*")
			b := p.person("alice")
			back := b.toProvider(provider, "visit", "carol")
			p.before(func(op string) {
				if op == "Spend" { // the callback was read, and nobody has been asked
					p.before(nil)
					must(t, p.engine.SetPolicy(next))
				}
			})
			got := b.send("GET", back, nil, page)
			if state := b.want(200, "GET", "/auth/session", nil); state["state"] == "authenticated" {
				t.Errorf("%d to %s: signed in as %v", got.status, got.header.Get("Location"), state["principal"].(map[string]any)["user"])
			}
			if got := b.get("/visit/home"); got.status == 200 {
				t.Error("and in")
			}
		})
	}
}

// The session of a provider that the policy has replaced since: a certificate's session ends with its anchor on the next request.
func TestSessionOfAProviderThatIsGone(t *testing.T) {
	p, provider := visitors(t, oauthtest.Config{})
	b := p.person("alice")
	b.send("GET", b.toProvider(provider, "visit", "carol"), nil, page).wantsRedirect("/visit/home")
	must(t, p.engine.SetPolicy(p.policy("  passkey:    { kind: fido2 }\n", `  passkey:    { kind: fido2 }
  gateway:    { kind: mtls, anchors: [staff], identify: [{ from: anchor }] }
  idp:        { kind: oauth, provision: on, per_tenant: { corp: { issuer: "https://other.example", client_id: portal, client_secret: { env: CLIENT_SECRET } } } }
`,
		"  badge:     { steps: [device]", "  visit:     { steps: [gateway, idp] }\n  badge:     { steps: [device]",
		"  - { route: /kiosk/*", "  - { route: /visit/*, methods: [visit] }\n  - { route: /kiosk/*")))
	if got := b.get("/visit/home"); got.status == 200 {
		t.Error("the policy trusts another provider now, and whoever the old one vouched for is in")
	}
}

// Whoever has a token and no certificate learns that one is required, before the token is looked at (docs/jwt.md), whatever is down.
func TestTokenIsNotLookedAtWithoutTheCertificate(t *testing.T) {
	p := newPortal(t)
	mints := p.mints()
	must(t, p.engine.SetPolicy(p.policy(
		"  passkey:    { kind: fido2 }\n", `  passkey:    { kind: fido2 }
  own:        { kind: jwt, issuer: "`+p.origin+`", audience: api, algorithms: [ES256], keys: { url: "https://127.0.0.1:1/keys" }, tenant: corp, bound_to_certificate: required }
`,
		"  badge:     { steps: [device]", "  service:   { steps: [device, own], each_request: true }\n  badge:     { steps: [device]",
		"  - { route: /kiosk/*", "  - { route: /v1/*, methods: [service] }\n  - { route: /kiosk/*")))
	p.guarded("/v1/read", p.sessions.RequireEach())
	token, err := mints.Mint(context.Background(), issuer.Grant{Session: "s", Audience: "api", Principal: authn.Principal{Login: "l",
		Subject: p.users["alice"].Subject(), Names: authn.Names{Tenant: "corp", User: "alice"}, Method: authn.Method{Name: "web"}, Deadline: p.clock().Add(time.Hour)}})
	must(t, err)
	p.browser(nil).send("GET", "/v1/read", nil, bearing("Bearer "+token.Text)).wants(403, sessionhttp.CodeCertificateRequired)
}

// A step-up with a maximum age of zero asks for a sign-in made now. One that was made at the provider, after the question and seconds before
// the browser is back, is that.
func TestStepUpWithMaxAgeZeroAtAProvider(t *testing.T) {
	p, provider := visitors(t, oauthtest.Config{})
	b := p.person("alice")
	b.send("GET", b.toProvider(provider, "visit", "carol"), nil, page).wantsRedirect("/visit/home")
	p.wait(10 * time.Minute)
	b.want(200, "POST", "/auth/step-up", map[string]any{"factors": []string{"idp"}, "max_age": 0})
	to := b.want(200, "POST", "/auth/factors/idp/challenge", nil)
	p.wait(5 * time.Second)
	back, err := provider.SignIn(context.Background(), to["redirect_to"].(string), "carol")
	must(t, err)
	p.wait(3 * time.Second) // of consent, redirect and exchange
	got := b.send("GET", strings.TrimPrefix(back, p.origin), nil, page)
	if got.status != 303 || strings.Contains(got.header.Get("Location"), "error") {
		t.Errorf("%d to %s: %s", got.status, got.header.Get("Location"), p.log)
	}
}

// A tenant may be called what is escaped in a path. Its provider comes back to, and tells of sign-outs at, the addresses that the factor
// and the documents give.
func TestTenantWhoseNameIsEscaped(t *testing.T) {
	const tenant = "Acme, Inc."
	p := newPortal(t)
	acme := mtlstest.NewCA(t, "Acme CA")
	must(t, os.WriteFile(filepath.Join(p.dir, "acme.crt"), acme.PEM(), 0o600))
	factor := p.origin + "/auth/factors/idp/" + url.PathEscape(tenant)
	provider := oauthtest.Start(t, oauthtest.Config{Now: p.clock, NoIssuer: true, Users: []oauthtest.User{{Name: "carol", Subject: "sub-carol"}},
		Clients: []oauthtest.Client{{ID: "portal", Secret: "the client's secret", RedirectURIs: []string{factor + "/callback"}}}})
	t.Setenv("CLIENT_SECRET", "the client's secret")
	must(t, p.engine.SetPolicy(p.policy(
		"  kiosks: {", "  acme:   { ca: acme.crt, tenant: \""+tenant+"\" }\n  kiosks: {",
		"  passkey:    { kind: fido2 }\n", `  passkey:    { kind: fido2 }
  gateway:    { kind: mtls, anchors: [acme], identify: [{ from: anchor }] }
  idp:        { kind: oauth, provision: on, per_tenant: { "`+tenant+`": { issuer: "`+provider.Issuer+`", client_id: portal, client_secret: { env: CLIENT_SECRET } } } }
`,
		"  badge:     { steps: [device]", "  visit:     { steps: [gateway, idp] }\n  badge:     { steps: [device]",
		"  - { route: /kiosk/*", "  - { route: /visit/*, methods: [visit] }\n  - { route: /kiosk/*")))
	p.guarded("/visit/home", p.sessions.Require())
	must(t, p.engine.Operate(tenant).CreateTenant(t.Context(), tenant))
	c := acme.Issue(mtlstest.Leaf{CN: "gateway", NotAfter: time.Now().AddDate(0, 0, 30)})
	b := p.browser(&c)
	b.send("GET", b.toProvider(provider, "visit", "carol"), nil, page).wantsRedirect("/visit/home")
	token := url.Values{"logout_token": {provider.LogoutToken("portal", "carol", "")}}.Encode()
	got := p.browser(nil).send("POST", strings.TrimPrefix(factor, p.origin)+"/backchannel-logout", strings.NewReader(token), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
	if got.status != 200 {
		t.Errorf("back-channel logout: %d %s", got.status, got.body)
	}
}
