package sessionhttp_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

// tokenKind is a kind of factor for tests whose token is "user.scope.scope", and is taken for what it says. With the
// scheme DPoP it wants the proof "good".
type tokenKind struct{}

type tokenFactor struct {
	name string
	env  factors.Env
}

func (tokenKind) Name() string { return "token" }

func (tokenKind) Settings(s *policy.Section) (policy.Settings, error) {
	return tokenFactor{name: s.Name()}, s.Decode(&struct{}{})
}

func (tokenKind) Build(s policy.Settings, env factors.Env) (factors.Factor, error) {
	f := s.(tokenFactor)
	f.env = env
	return f, nil
}

func (f tokenFactor) Place() policy.Place { return policy.Place{EachRequest: true} }

func (f tokenFactor) Describe() authn.Factor {
	return authn.Factor{Name: f.name, Kind: "token", Ambient: true, Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have}}
}

func (f tokenFactor) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	c := v.Carried
	switch {
	case c.Refused != "":
		return factors.Verified{}, factors.Reject(c.Refused, "")
	case c.Token == "":
		return factors.Verified{}, factors.Reject(factors.ReasonNoToken, "")
	case c.Scheme == "DPoP" && c.Proof != "good":
		return factors.Verified{}, &factors.Rejection{Reason: "nonce", Nonce: "a-nonce"}
	case c.Scheme == "DPoP" && (c.Method != "GET" || !strings.HasPrefix(c.URL, v.Origin.URL+"/v1/")):
		return factors.Verified{}, factors.Reject("another_request", "")
	}
	parts := strings.Split(c.Token, ".")
	u, err := f.env.Directory.UserNamed(ctx, "corp", parts[0], authn.ClassPerson)
	if errors.Is(err, factors.ErrNotFound) {
		return factors.Verified{}, factors.Reject(factors.ReasonUserUnknown, "")
	}
	return factors.Verified{Evidence: authn.Evidence{Subject: u.Subject(), Names: authn.Names{Tenant: "corp", User: u.Name}, Credential: parts[0], Key: "token",
		Strength: authn.Strength{Category: authn.Have}, At: v.Now, Scopes: parts[1:]}}, err
}

// service is a portal with an API.
func service(t *testing.T) *portal {
	t.Helper()
	p := newPortal(t)
	must(t, p.engine.SetPolicy(p.policy(
		"  passkey:    { kind: fido2 }\n", "  passkey:    { kind: fido2 }\n  token:      { kind: token }\n",
		"  badge:     { steps: [device]", "  service:   { steps: [device, token], each_request: true }\n  badge:     { steps: [device]",
		"  - { route: /kiosk/*", "  - { route: /v1/*, methods: [service] }\n  - { route: /kiosk/*")))
	p.guarded("/v1/read", p.sessions.RequireEach(sessionhttp.Scope("read")))
	p.guarded("/v1/write", p.sessions.RequireEach(sessionhttp.Scope("read", "write")))
	p.page("/v1/who", p.sessions.RequireEach()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := sessionhttp.Principal(r.Context())
		p.sessions.Values.Put(r.Context(), "seen", true) // is lost
		_, _ = w.Write([]byte(who.Names.User + " " + strings.Join(who.Scopes(), " ")))
	})).ServeHTTP)
	return p
}

func bearing(values ...string) func(*http.Request) {
	return func(r *http.Request) {
		for _, v := range values {
			r.Header.Add("Authorization", v)
		}
	}
}

func TestEachRequest(t *testing.T) {
	p := service(t)
	alice, nobody := p.person("alice"), p.browser(nil)
	for name, c := range map[string]struct {
		by      *browser
		path    string
		headers []string
		status  int
		code    sessionhttp.Code
		scheme  string
	}{
		"certificate and token":       {by: alice, path: "/v1/read", headers: []string{"Bearer alice.read"}, status: 200},
		"the scheme in another case":  {by: alice, path: "/v1/read", headers: []string{"bEaReR alice.read"}, status: 200},
		"no certificate":              {nobody, "/v1/read", []string{"Bearer alice.read"}, 403, sessionhttp.CodeCertificateRequired, ""},
		"neither":                     {nobody, "/v1/read", nil, 403, sessionhttp.CodeCertificateRequired, ""},
		"no token":                    {alice, "/v1/read", nil, 401, sessionhttp.CodeNotAuthenticated, "Bearer"},
		"another user's token":        {alice, "/v1/read", []string{"Bearer bob.read"}, 401, sessionhttp.CodeInvalidCredential, `Bearer error="invalid_token"`},
		"nobody's token":              {alice, "/v1/read", []string{"Bearer nobody.read"}, 401, sessionhttp.CodeInvalidCredential, `Bearer error="invalid_token"`},
		"too few scopes":              {alice, "/v1/write", []string{"Bearer alice.read"}, 403, sessionhttp.CodeForbidden, `Bearer error="insufficient_scope", scope="read write"`},
		"two headers":                 {alice, "/v1/read", []string{"Bearer alice.read", "Bearer alice.read"}, 401, sessionhttp.CodeInvalidCredential, `Bearer error="invalid_token"`},
		"two in one header":           {alice, "/v1/read", []string{"Bearer alice.read, Bearer alice.read"}, 401, sessionhttp.CodeInvalidCredential, `Bearer error="invalid_token"`},
		"another scheme":              {alice, "/v1/read", []string{"Basic YTpi"}, 401, sessionhttp.CodeInvalidCredential, `Bearer error="invalid_token"`},
		"an empty one":                {alice, "/v1/read", []string{"Bearer "}, 401, sessionhttp.CodeInvalidCredential, `Bearer error="invalid_token"`},
		"a huge one":                  {alice, "/v1/read", []string{"Bearer alice." + strings.Repeat("x", 17<<10)}, 401, sessionhttp.CodeInvalidCredential, `Bearer error="invalid_token"`},
		"in the query":                {alice, "/v1/read?access_token=alice.read", nil, 401, sessionhttp.CodeInvalidCredential, `Bearer error="invalid_token"`},
		"in the query and the header": {alice, "/v1/read?x=1&%61ccess_token=z", []string{"Bearer alice.read"}, 401, sessionhttp.CodeInvalidCredential, `Bearer error="invalid_token"`},
		"no nonce":                    {alice, "/v1/read", []string{"DPoP alice.read"}, 401, sessionhttp.CodeInvalidCredential, `DPoP error="use_dpop_nonce"`},
	} {
		got := c.by.send("GET", c.path, nil, bearing(c.headers...))
		if c.status == 200 {
			if got.status != 200 || string(got.body) != "in" {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		} else {
			got.wants(c.status, c.code)
		}
		if h := got.header.Get("WWW-Authenticate"); h != c.scheme || got.header.Get("Set-Cookie") != "" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, got.header)
		}
		if strings.Contains(c.scheme, "nonce") != (got.header.Get("DPoP-Nonce") == "a-nonce") {
			t.Errorf("%s: nonce %q", name, got.header.Get("DPoP-Nonce"))
		}
	}
	got := alice.send("GET", "/v1/read", nil, func(r *http.Request) { bearing("DPoP alice.read")(r); r.Header.Set("DPoP", "good") })
	if got.status != 200 {
		t.Errorf("with a proof: %d %s", got.status, got.body)
	}
	got = alice.send("GET", "/v1/read", nil, func(r *http.Request) {
		bearing("DPoP alice.read")(r)
		r.Header["Dpop"] = []string{"good", "good"}
	})
	got.wants(401, sessionhttp.CodeInvalidCredential)
	got = alice.send("GET", "/v1/read", nil, func(r *http.Request) {
		bearing("DPoP alice.read")(r)
		r.Header.Set("DPoP", strings.Repeat("x", 17<<10))
	})
	if h := got.header.Get("WWW-Authenticate"); h != `Bearer error="invalid_token"` {
		t.Errorf("a huge proof: %s", h)
	}
	// Operators learn what it was.
	for _, why := range []authn.Reason{sessionhttp.ReasonTokenTwice, sessionhttp.ReasonTokenInQuery, sessionhttp.ReasonTokenScheme, sessionhttp.ReasonTokenMalformed} {
		if !strings.Contains(p.log.String(), "reason="+string(why)) {
			t.Errorf("the log does not say %s", why)
		}
	}
	for _, secret := range []string{"alice.read", "YTpi"} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	before := strings.Count(p.log.String(), "reason="+string(sessionhttp.ReasonTokenMalformed))
	alice.send("GET", "/v1/read", nil, bearing("Bearer alice."+strings.Repeat("x", 17<<10)))
	if strings.Count(p.log.String(), "reason="+string(sessionhttp.ReasonTokenMalformed)) == before {
		t.Error("a huge token was looked at")
	}
}

func TestEachRequestIsApartFromSessions(t *testing.T) {
	p := service(t)
	b := p.signedIn("alice")
	before := b.cookie()
	b.get("/v1/read").wants(401, sessionhttp.CodeNotAuthenticated) // a session is no token
	got := b.send("GET", "/v1/who", nil, bearing("Bearer alice.read.write"))
	if got.status != 200 || string(got.body) != "alice read write" || got.header.Get("Set-Cookie") != "" {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
	if b.cookie() != before || b.want(200, "GET", "/auth/session", nil)["state"] != "authenticated" {
		t.Error("the session is another")
	}
	// Nor is a token a session, nor does a browser get a page instead of an answer.
	a := p.person("alice")
	a.send("GET", "/admin/whoami", nil, bearing("Bearer alice.read")).wants(401, sessionhttp.CodeNotAuthenticated)
	a.send("GET", "/v1/read", nil, page).wants(401, sessionhttp.CodeNotAuthenticated)
	a.send("POST", "/v1/read", nil, func(r *http.Request) { bearing("Bearer alice.read")(r); r.Header.Set("Sec-Fetch-Site", "cross-site") }).wants(403, sessionhttp.CodeCrossOrigin)
}
