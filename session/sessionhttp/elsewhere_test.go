package sessionhttp_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/oauth/oauthtest"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

// visitors is a portal whose people sign in at a provider of their tenant's.
func visitors(t *testing.T, c oauthtest.Config) (*portal, *oauthtest.Server) {
	t.Helper()
	p := newPortal(t)
	factor := p.origin + "/auth/factors/idp"
	c.Now = p.clock
	c.Users = []oauthtest.User{{Name: "carol", Subject: "sub-carol"}, {Name: "dave", Subject: "sub-dave"}}
	c.Clients = []oauthtest.Client{{ID: "portal", Secret: "the client's secret", RedirectURIs: []string{factor + "/callback", factor + "/corp/callback"},
		PostLogoutRedirectURIs: []string{p.origin + "/login"}}}
	provider := oauthtest.Start(t, c)
	t.Setenv("CLIENT_SECRET", "the client's secret")
	must(t, p.engine.SetPolicy(p.policy(
		"  passkey:    { kind: fido2 }\n", `  passkey:    { kind: fido2 }
  gateway:    { kind: mtls, anchors: [staff], identify: [{ from: anchor }] }
  idp:        { kind: oauth, provision: on, per_tenant: { corp: { issuer: "`+provider.Issuer+`", client_id: portal, client_secret: { env: CLIENT_SECRET } } } }
`,
		"  badge:     { steps: [device]", "  visit:     { steps: [gateway, idp] }\n  thorough:  { steps: [gateway, idp, passkey] }\n  badge:     { steps: [device]",
		"  - { route: /kiosk/*", "  - { route: /visit/*, methods: [visit, thorough] }\n  - { route: /kiosk/*")))
	p.guarded("/visit/home", p.sessions.Require())
	return p, provider
}

// toProvider begins a login and goes to the provider; it gives the address that the provider sends the browser back to.
func (b *browser) toProvider(provider *oauthtest.Server, method, user string) string {
	b.p.t.Helper()
	b.want(200, "POST", "/auth/login", map[string]any{"method": method, "return_to": "/visit/home"})
	to := b.want(200, "POST", "/auth/factors/idp/challenge", nil)
	if to["kind"] != "oauth" || to["factor"] != "idp" || to["publicKey"] != nil {
		b.p.t.Fatalf("the challenge is %v", to)
	}
	back, err := provider.SignIn(context.Background(), to["redirect_to"].(string), user)
	must(b.p.t, err)
	path, ok := strings.CutPrefix(back, b.p.origin)
	if !ok {
		b.p.t.Fatalf("sent to %s", back)
	}
	return path
}

func page(r *http.Request) { r.Header.Set("Accept", "text/html") }

func (a answer) wantsRedirect(to string) {
	a.t.Helper()
	if a.status != http.StatusSeeOther || a.header.Get("Location") != to {
		a.t.Errorf("%d to %q, want %q: %s", a.status, a.header.Get("Location"), to, a.body)
	}
}

func TestSignInAtAProvider(t *testing.T) {
	for name, c := range map[string]oauthtest.Config{"that names itself": {}, "with a redirect URI of its own": {NoIssuer: true}} {
		t.Run(name, func(t *testing.T) {
			p, provider := visitors(t, c)
			b := p.person("alice")
			back := b.toProvider(provider, "visit", "carol")
			if own := strings.HasPrefix(back, "/auth/factors/idp/corp/callback?"); own != c.NoIssuer {
				t.Errorf("sent back to %s", back)
			}
			b.send("GET", back, nil, page).wantsRedirect("/visit/home")
			state := b.want(200, "GET", "/auth/session", nil)
			principal := state["principal"].(map[string]any)
			if state["state"] != "authenticated" || !strings.HasPrefix(principal["user"].(string), "sub-carol~") || principal["tenant"] != "corp" || principal["method"] != "visit" {
				t.Errorf("signed in as %v", state)
			}
			if got := b.get("/visit/home"); got.status != 200 {
				t.Errorf("%d %s", got.status, got.body)
			}
			out := b.post("/auth/logout", "{}")
			if link := out.header.Get("Link"); out.status != 204 || !strings.HasPrefix(link, "<"+provider.Issuer) || !strings.Contains(link, url.QueryEscape(p.origin+"/login")) {
				t.Errorf("%d, Link: %s", out.status, link)
			}
		})
	}
}

func TestComingBackRefused(t *testing.T) {
	p, provider := visitors(t, oauthtest.Config{})
	b := p.person("alice")
	back := b.toProvider(provider, "visit", "carol")
	// In another browser, and with another state: nothing happens to this login.
	p.person("alice").send("GET", back, nil, page).wantsRedirect("/login?error=wrong_step")
	p.person("alice").get(back).wants(409, sessionhttp.CodeWrongStep)
	path, query, _ := strings.Cut(back, "?")
	values, _ := url.ParseQuery(query)
	values.Set("state", "forged")
	b.send("GET", path+"?"+values.Encode(), nil, page).wantsRedirect("/login?error=invalid_credential")
	b.get(path+"?"+values.Encode()).wants(401, sessionhttp.CodeInvalidCredential)
	b.get(path+"?"+strings.Repeat("x", 9000)).wants(413, sessionhttp.CodeTooLarge)
	b.send("GET", back, nil, page).wantsRedirect("/visit/home")
	b.send("GET", back, nil, page).wantsRedirect("/login?error=wrong_step")
	b.get("/auth/factors/nothing/callback?x").wants(404, sessionhttp.CodeNotFound)
	if b.want(200, "GET", "/auth/session", nil)["state"] != "authenticated" {
		t.Error("the session is gone")
	}
	// A provider that is down is nobody's fault.
	c := p.person("bob")
	back = c.toProvider(provider, "visit", "dave")
	provider.Lie(oauthtest.TokenDown)
	c.send("GET", back, nil, page).wantsRedirect("/login?error=unavailable")
}

func TestSignInAtAProviderIsNotTheWholeLogin(t *testing.T) {
	p, provider := visitors(t, oauthtest.Config{})
	b := p.person("alice")
	b.send("GET", b.toProvider(provider, "thorough", "carol"), nil, page).wantsRedirect("/login")
	if state := b.want(200, "GET", "/auth/session", nil); state["state"] != "authenticating" {
		t.Errorf("the state is %v", state)
	}
	b.get("/visit/home").wants(401, sessionhttp.CodeNotAuthenticated)
}

func TestBackChannelLogout(t *testing.T) {
	p, provider := visitors(t, oauthtest.Config{})
	carol, dave := p.person("alice"), p.person("bob")
	carol.send("GET", carol.toProvider(provider, "visit", "carol"), nil, page).wantsRedirect("/visit/home")
	dave.send("GET", dave.toProvider(provider, "visit", "dave"), nil, page).wantsRedirect("/visit/home")
	out := p.browser(nil) // the provider's program: no cookie, no certificate
	give := func(tenant, body, kind string) answer {
		return out.send("POST", "/auth/factors/idp/"+tenant+"/backchannel-logout", strings.NewReader(body), func(r *http.Request) {
			r.Header.Set("Content-Type", kind)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Origin", "https://idp.example")
		})
	}
	const form = "application/x-www-form-urlencoded"
	token := url.Values{"logout_token": {provider.LogoutToken("portal", "carol", "")}}.Encode()
	give("corp", token, "application/json").wants(415, sessionhttp.CodeBadRequest)
	give("corp", "logout_token=x", form).wants(400, sessionhttp.CodeBadRequest)
	give("corp", "", form).wants(400, sessionhttp.CodeBadRequest)
	give("corp", "x="+strings.Repeat("x", 70<<10), form).wants(413, sessionhttp.CodeTooLarge)
	if got := give("elsewhere", token, form); got.status == 200 {
		t.Error("taken for a tenant that has no provider")
	}
	if carol.get("/visit/home").status != 200 {
		t.Fatal("something ended the session")
	}
	if got := give("corp", token, form); got.status != 200 || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", got.status, got.body)
	}
	give("corp", token, form).wants(400, sessionhttp.CodeBadRequest)
	carol.get("/visit/home").wants(401, sessionhttp.CodeNotAuthenticated)
	if dave.get("/visit/home").status != 200 {
		t.Error("another user's session ended")
	}
	// Nothing else is spared the look at where it comes from.
	dave.send("POST", "/auth/logout", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }).wants(403, sessionhttp.CodeCrossOrigin)
	dave.send("POST", "/auth/factors/idp/challenge", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }).wants(403, sessionhttp.CodeCrossOrigin)
}
