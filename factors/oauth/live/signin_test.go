package live_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
	"github.com/sallyport-auth/sallyport/factors/oauth"
	"github.com/sallyport-auth/sallyport/factors/oauth/live"
)

// The code flow with PKCE, state, nonce and iss, at a provider that refuses whoever has no PKCE.
func TestSignIn(t *testing.T) {
	p := newPortal(t)
	provider := p.start(nil)
	b := p.bench(provider, "par: off")
	walk := p.as("alice", nil)
	linked := b.link(alice, walk)
	c := b.challenge()
	if !strings.Contains(c.RedirectTo, "code_challenge_method=S256") {
		t.Errorf("no PKCE in %s", c.RedirectTo)
	}
	back := walk(c.RedirectTo)
	if back.Query().Get("iss") != provider.Issuer {
		t.Errorf("the response is not one with iss: %s", back)
	}
	got, err := b.verify(c, back)
	if err != nil {
		t.Fatal(err)
	}
	e := got.Evidence
	if e.Subject != alice.Subject() || e.Credential != linked.ID || e.Issuer != provider.Issuer || !e.Since.Equal(time.Unix(0, 0)) {
		t.Errorf("evidence %+v", e)
	}
	if len(e.Handles) != 2 || !strings.HasPrefix(e.Handles[0], "sid:"+provider.Issuer+"\x00") || e.Handles[1] != "sub:"+provider.Issuer+"\x00alice" {
		t.Errorf("handles %q", e.Handles)
	}
	_, err = b.verify(c, back)
	rejected(t, "the code twice", err, oauth.ReasonCode)
	_, err = b.login(p.as("bob", nil))
	rejected(t, "bob is linked to nobody", err, factors.ReasonUserUnknown)
}

// A code of another login, brought with this login's state, is the one thing that only PKCE and the nonce tell.
func TestInjectedCode(t *testing.T) {
	p := newPortal(t)
	b := p.bench(p.start(nil), "")
	walk := p.as("alice", nil)
	b.link(alice, walk)
	mine, theirs := b.challenge(), b.challenge()
	back, stolen := walk(mine.RedirectTo), walk(theirs.RedirectTo)
	q := back.Query()
	q.Set("code", stolen.Query().Get("code"))
	back.RawQuery = q.Encode()
	_, err := b.verify(mine, back)
	rejected(t, "the code of another login", err, oauth.ReasonCode)
}

func TestCancelled(t *testing.T) {
	p := newPortal(t)
	b := p.bench(p.start(nil), "")
	_, err := b.login(p.as("alice", url.Values{"cancel": {"yes"}}))
	rejected(t, "whoever signs in cancels", err, oauth.ReasonDenied)
}

func TestWrongPassword(t *testing.T) {
	p := newPortal(t)
	b := p.bench(p.start(nil), "")
	answers := live.As("alice")
	answers.Set("password", "wrong")
	if back, err := live.NewVisitor(t, p.ca).Go(b.challenge().RedirectTo, answers); err == nil {
		t.Errorf("the provider sends one back with %s", back)
	}
}

// The algorithms that the factor takes, as the provider signs with them.
func TestAlgorithms(t *testing.T) {
	p := newPortal(t)
	algorithms := []string{"RS256", "PS256", "ES256", "EdDSA"}
	var clients []live.Client
	for _, a := range algorithms {
		clients = append(clients, p.client(a, "client_secret_basic", live.Client{"id_token_signed_response_alg": a}))
	}
	provider := live.Start(t, p.ca, live.Config{Clients: clients})
	section := func(client string, only string) string {
		return "issuer: " + provider.Issuer + "\nclient_id: " + client + "\nclient_secret: { file: secret }\nalgorithms: [" + only + "]"
	}
	for i, a := range algorithms {
		walk := p.as("alice", nil)
		b := newBench(t, p.origin, p.ca, section(a, a), nil)
		b.link(alice, walk)
		b.signedIn(walk)
		b = newBench(t, p.origin, p.ca, section(a, algorithms[(i+1)%len(algorithms)]), nil)
		_, err := b.login(walk)
		rejected(t, a+" where the policy does not have it", err, jose.ReasonAlgorithm)
	}
}

// The provider has claims for userinfo alone, as OpenID Connect Core section 5.4 says.
func TestUserinfo(t *testing.T) {
	p := newPortal(t)
	provider := p.start(nil)
	b := p.bench(provider, "userinfo: on\nemail: verified\nscopes: [profile]\nattributes: { groups: groups }")
	walk := p.as("alice", nil)
	b.link(alice, walk)
	e := b.signedIn(walk)
	if !slices.Equal(e.Attributes["email"], []string{"alice@acme.example"}) || !slices.Equal(e.Attributes["groups"], []string{"staff", "admins"}) {
		t.Errorf("attributes %v", e.Attributes)
	}
	without := p.bench(provider, "email: verified\nscopes: [profile]\nattributes: { groups: groups }")
	without.link(alice, walk)
	if e := without.signedIn(walk); len(e.Attributes) > 0 {
		t.Errorf("attributes without userinfo: %v", e.Attributes)
	}
}

func TestNewUsers(t *testing.T) {
	p := newPortal(t)
	b := p.bench(p.start(nil), "provision: on\nuserinfo: on\nemail: verified\nscopes: [profile]")
	for name, want := range map[string]struct{ display, email string }{"alice": {"Alice Example", "alice@acme.example"}, "bob": {"Bob Example", ""}} {
		got, err := b.login(p.as(name, nil))
		if err != nil {
			t.Fatal(err)
		}
		email := strings.Join(got.Evidence.Attributes["email"], " ")
		if got.Provision == nil || got.Provision.Name != name || got.Provision.Display != want.display || email != want.email || got.Evidence.Subject.User != "" {
			t.Errorf("%s: %+v, evidence %+v", name, got.Provision, got.Evidence)
		}
	}
}

func TestMaxAge(t *testing.T) {
	p := newPortal(t)
	provider := p.start(nil)
	b := p.bench(provider, "max_age: 1h")
	walk := p.as("alice", url.Values{"ago": {"600"}})
	b.link(alice, walk)
	e := b.signedIn(walk)
	if age := e.At.Sub(e.Since); age < 10*time.Minute || age > 12*time.Minute {
		t.Errorf("a sign-in ten minutes ago is %v old", age)
	}
	_, err := b.login(p.as("alice", url.Values{"ago": {"7200"}}))
	rejected(t, "a sign-in of two hours ago, which the provider passes off as an answer", err, oauth.ReasonAuthTime)

	// A step-up asks for a fresh one: the provider has a session, and asks all the same.
	r := b.request(alice.Subject())
	r.MaxAge = time.Minute
	c, err := b.factor.Challenge(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	back := walk(c.RedirectTo) // signs in again, ten minutes ago as before
	v := verification(b, c, back)
	v.Request = r
	_, err = b.factor.Verify(t.Context(), v)
	rejected(t, "a step-up with a sign-in of ten minutes ago", err, oauth.ReasonAuthTime)
}

func TestFreshSignIn(t *testing.T) {
	p := newPortal(t)
	b := p.bench(p.start(nil), "max_age: 1h")
	v := live.NewVisitor(t, p.ca)
	old := live.As("alice")
	old.Set("ago", "600")
	b.link(alice, func(address string) *url.URL { return v.SignIn(address, old) })
	r := b.request(alice.Subject())
	r.MaxAge = time.Minute
	c, err := b.factor.Challenge(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	in := verification(b, c, v.SignIn(c.RedirectTo, live.As("alice")))
	in.Request = r
	got, err := b.factor.Verify(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if age := got.Evidence.At.Sub(got.Evidence.Since); age > 2*time.Minute {
		t.Errorf("a fresh sign-in is %v old", age)
	}
}

func TestClasses(t *testing.T) {
	p := newPortal(t)
	b := p.bench(p.start(nil), "acr: [gold]\nassurance: { aal: 2, phishing_resistant: true }")
	b.link(alice, p.as("alice", url.Values{"acr": {"gold"}}))
	e := b.signedIn(p.as("alice", url.Values{"acr": {"gold"}}))
	if e.Strength.Category != authn.Know|authn.Have || !e.Strength.PhishingResistant {
		t.Errorf("strength %+v", e.Strength)
	}
	for _, other := range []string{"silver", ""} {
		_, err := b.login(p.as("alice", url.Values{"acr": {other}}))
		rejected(t, "class "+other, err, oauth.ReasonACR)
	}
}
