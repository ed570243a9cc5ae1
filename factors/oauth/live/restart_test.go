package live_test

import (
	"net/url"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/oauth"
	"github.com/sallyport-auth/sallyport/factors/oauth/live"
)

// The factor knows the old keys. While somebody is on the way, the provider gets others.
func TestOtherKeysDuringALogin(t *testing.T) {
	p := newPortal(t)
	provider := p.start(nil)
	b := p.bench(provider, "par: off")
	walk := p.as("alice", nil)
	b.link(alice, walk)
	b.signedIn(walk)
	c := b.challenge()
	provider.Restart()
	got, err := b.verify(c, walk(c.RedirectTo))
	if err != nil {
		t.Fatal(err)
	}
	if got.Evidence.Subject != alice.Subject() {
		t.Errorf("evidence of %+v", got.Evidence.Subject)
	}
	b.signedIn(walk) // and the new keys are known from now on
}

// The provider is gone when the code comes back. Nothing is decided; once it is there again it does not know the code, and
// the next sign-in is as any.
func TestGoneBeforeTheCodeIsSpent(t *testing.T) {
	p := newPortal(t)
	provider := p.start(nil)
	b := p.bench(provider, "")
	walk := p.as("alice", nil)
	b.link(alice, walk)
	c := b.challenge()
	back := walk(c.RedirectTo)
	provider.Stop()
	_, err := b.verify(c, back)
	undecided(t, "the provider is gone", err)
	provider.Start()
	_, err = b.verify(c, back)
	rejected(t, "a code that the provider has forgotten", err, oauth.ReasonCode)
	b.signedIn(walk)
}

// The provider is gone when somebody begins, and forgets whoever is signing in.
func TestGoneBeforeTheSignIn(t *testing.T) {
	p := newPortal(t)
	provider := p.start(nil)
	b := p.bench(provider, "par: required")
	walk := p.as("alice", nil)
	b.link(alice, walk)
	provider.Stop()
	_, err := b.factor.Challenge(t.Context(), b.request(acme))
	undecided(t, "the provider is gone", err)
	provider.Start()
	c := b.challenge()
	provider.Restart()
	back := walk(c.RedirectTo)
	if back.Query().Get("error") != "invalid_request_uri" {
		t.Errorf("a request that the provider has forgotten: %s", back)
	}
	_, err = b.verify(c, back)
	rejected(t, "a request that the provider has forgotten", err, oauth.ReasonResponse) // it has forgotten the state too
	b.signedIn(walk)
}

// A factor that never reached its provider works once it is there.
func TestGoneFromTheStart(t *testing.T) {
	p := newPortal(t)
	provider := p.start(nil)
	provider.Stop()
	b := p.bench(provider, "")
	_, err := b.factor.Challenge(t.Context(), b.request(acme))
	undecided(t, "the provider was never there", err)
	provider.Start()
	walk := p.as("alice", nil)
	b.link(alice, walk)
	b.signedIn(walk)
}

// Somebody has the page of the provider open when it restarts: the page says so, and a new login works.
func TestRestartWhileThePageIsOpen(t *testing.T) {
	p := newPortal(t)
	provider := p.start(nil)
	b := p.bench(provider, "")
	walk := p.as("alice", nil)
	b.link(alice, walk)
	v := live.NewVisitor(t, p.ca)
	page := v.Open(b.challenge().RedirectTo)
	provider.Restart()
	if back, err := v.Send(page, live.As("alice")); err == nil {
		t.Errorf("sent back to %v", back)
	}
	b.signedIn(walker(func(address string) *url.URL { return v.SignIn(address, live.As("alice")) }))
}
