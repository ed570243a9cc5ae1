package live_test

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/oauth"
	"github.com/sallyport-auth/sallyport/factors/oauth/live"
)

// dex starts dex with the client portal. It does not name itself in responses, so that it has a redirect URI of its own.
func (p *portal) dex() *live.Dex {
	p.t.Helper()
	return live.StartDex(p.t, p.ca, live.DexClient{ID: "portal", Secret: secret, RedirectURIs: []string{p.callback("acme")}})
}

func (p *portal) dexBench(d *live.Dex, more string) *bench {
	p.t.Helper()
	return newBench(p.t, p.origin, p.ca, "issuer: "+d.Issuer+"\nclient_id: portal\nclient_secret: { file: secret }\n"+more, nil)
}

// asDex is somebody with an account of dex.
func (p *portal) asDex(name string) walker {
	v := live.NewVisitor(p.t, p.ca)
	return func(address string) *url.URL {
		p.t.Helper()
		return v.SignIn(address, live.AsDex(name+"@acme.example"))
	}
}

// The code flow with PKCE at a provider that names itself nowhere in the response.
func TestDex(t *testing.T) {
	p := newPortal(t)
	d := p.dex()
	b := p.dexBench(d, "email: verified\nscopes: [profile]\nattributes: { name: name }")
	walk := p.asDex("alice")
	b.link(alice, walk)
	c := b.challenge()
	back := walk(c.RedirectTo)
	if back.Query().Has("iss") || back.Path != "/auth/factors/idp/acme/callback" {
		t.Errorf("sent back to %s", back)
	}
	got, err := b.verify(c, back)
	if err != nil {
		t.Fatal(err)
	}
	e := got.Evidence
	if e.Subject != alice.Subject() || e.Issuer != d.Issuer || !slices.Equal(e.Attributes["email"], []string{"alice@acme.example"}) || !slices.Equal(e.Attributes["name"], []string{"alice"}) {
		t.Errorf("evidence %+v", e)
	}
	_, err = b.verify(c, back)
	rejected(t, "the code twice", err, oauth.ReasonCode)
	mine, theirs := b.challenge(), b.challenge()
	injected, stolen := walk(mine.RedirectTo), walk(theirs.RedirectTo)
	q := injected.Query()
	q.Set("code", stolen.Query().Get("code"))
	injected.RawQuery = q.Encode()
	_, err = b.verify(mine, injected)
	rejected(t, "the code of another login", err, oauth.ReasonCode)
	_, err = b.login(p.asDex("bob"))
	rejected(t, "bob is linked to nobody", err, factors.ReasonUserUnknown)
}

// What dex signs has at_hash, so that the sign-ins above have proved that it is checked and that it agrees.
func TestDexHashesAccessTokens(t *testing.T) {
	p := newPortal(t)
	d := p.dex()
	c := bare(t, p.ca, d.Issuer, p.callback("acme"))
	access, id := c.signIn(p.asDex("alice"))
	token := c.verified(id)
	if token.AccessTokenHash == "" || token.VerifyAccessToken(access) != nil || token.VerifyAccessToken(access+"x") == nil {
		t.Errorf("at_hash %q", token.AccessTokenHash)
	}
}

func TestDexRefusals(t *testing.T) {
	p := newPortal(t)
	d := p.dex()
	v := live.NewVisitor(t, p.ca)
	b := p.dexBench(d, "")
	if back, err := v.Go(b.challenge().RedirectTo, url.Values{"login": {"alice@acme.example"}, "password": {"wrong"}}); err == nil {
		t.Errorf("a wrong password leads to %s", back)
	}
	answers := live.AsDex("alice@acme.example")
	answers.Set("approval", "rejected")
	if back, err := v.Go(b.challenge().RedirectTo, answers); err == nil {
		t.Errorf("no consent leads to %s", back) // dex shows a page of its own
	}
	_, err := p.dexBench(d, "par: required").factor.Challenge(t.Context(), b.request(acme))
	undecided(t, "dex takes no pushed requests, which the policy requires", err)
	_, err = p.dexBench(d, "acr: [gold]").login(p.asDex("alice"))
	rejected(t, "dex says nothing of classes", err, oauth.ReasonACR)
	wrong := newBench(t, p.origin, p.ca, "issuer: "+d.Issuer+"\nclient_id: portal\nclient_secret: { file: wrong }", map[string][]byte{"wrong": []byte("another secret")})
	_, err = wrong.login(p.asDex("alice"))
	undecided(t, "another secret", err)
}

func TestDexSaysWhen(t *testing.T) {
	p := newPortal(t)
	b := p.dexBench(p.dex(), "max_age: 1h")
	walk := p.asDex("alice")
	b.link(alice, walk)
	e := b.signedIn(walk)
	if age := e.At.Sub(e.Since); age < -time.Minute || age > 2*time.Minute {
		t.Errorf("a sign-in of just now is %v old", age)
	}
}
