package live_test

import (
	"net/url"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/oauth"
	"github.com/sallyport-auth/sallyport/factors/oauth/live"
)

// in is the same portal for somebody of whom only the tenant is known.
func (b *bench) in(tenant string, c factors.Challenge, back *url.URL) (factors.Verified, error) {
	v := verification(b, c, back)
	v.Request = b.request(authn.Subject{Tenant: tenant})
	return b.factor.Verify(b.t.Context(), v)
}

func (b *bench) challengeIn(tenant string) factors.Challenge {
	b.t.Helper()
	c, err := b.factor.Challenge(b.t.Context(), b.request(authn.Subject{Tenant: tenant}))
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// Two partners, each with a provider of its own, and an alice at each.
func TestTwoProviders(t *testing.T) {
	p := newPortal(t)
	a, g := p.start(nil), p.start(nil)
	b := newBench(t, p.origin, p.ca, "client_id: portal\nclient_secret: { file: secret }\nper_tenant:\n  acme: { issuer: "+a.Issuer+" }\n  globex: { issuer: "+g.Issuer+" }", nil)
	atAcme, atGlobex := p.as("alice", nil), p.as("alice", nil)
	b.link(alice, atAcme)
	e := b.signedIn(atAcme)
	if e.Issuer != a.Issuer {
		t.Errorf("issuer %s", e.Issuer)
	}

	c := b.challengeIn("globex")
	_, err := b.in("globex", c, atGlobex(c.RedirectTo))
	rejected(t, "the alice of another partner", err, factors.ReasonUserUnknown)
	other := factors.User{Tenant: "globex", ID: "u-other-alice", Name: "alice"}
	b.link(other, atGlobex)
	c = b.challengeIn("globex")
	got, err := b.in("globex", c, atGlobex(c.RedirectTo))
	if err != nil || got.Evidence.Subject != other.Subject() || got.Evidence.Issuer != g.Issuer || got.Evidence.Credential == e.Credential {
		t.Errorf("evidence %+v, %v", got.Evidence, err)
	}

	// Mix-up: the response of one provider with the state of a login at the other (RFC 9207 section 1).
	mine, theirs := b.challengeIn("acme"), b.challengeIn("globex")
	back, foreign := atAcme(mine.RedirectTo), atGlobex(theirs.RedirectTo)
	q := foreign.Query()
	q.Set("state", back.Query().Get("state"))
	foreign.RawQuery = q.Encode()
	_, err = b.in("acme", mine, foreign)
	rejected(t, "the response of another provider", err, oauth.ReasonResponseIssuer)
	_, err = b.in("globex", mine, back)
	rejected(t, "the challenge of another tenant", err, oauth.ReasonChallenge)
}

// One is down, and the other does not notice.
func TestOneOfTwoIsDown(t *testing.T) {
	p := newPortal(t)
	a, g := p.start(nil), p.start(live.Client{"id_token_signed_response_alg": "ES256"})
	b := newBench(t, p.origin, p.ca, "client_id: portal\nclient_secret: { file: secret }\nper_tenant:\n  acme: { issuer: "+a.Issuer+" }\n  globex: { issuer: "+g.Issuer+" }", nil)
	g.Stop()
	walk := p.as("alice", nil)
	b.link(alice, walk)
	b.signedIn(walk)
	_, err := b.factor.Challenge(t.Context(), b.request(authn.Subject{Tenant: "globex"}))
	undecided(t, "the provider is down", err)
}
