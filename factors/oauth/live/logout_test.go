package live_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/oauth"
	"github.com/sallyport-auth/sallyport/factors/oauth/live"
)

// notice waits for a logout token of the provider's.
func (p *portal) notice() url.Values {
	p.t.Helper()
	select {
	case form := <-p.notices:
		return form
	case <-time.After(time.Minute):
		p.t.Fatal("the provider says nothing of a logout")
	}
	return nil
}

func (b *bench) over(form url.Values) (factors.Over, error) {
	return b.factor.Notice(b.t.Context(), factors.Notice{Now: time.Now(), Tenant: "acme", Form: form})
}

// RP-initiated logout, and the back-channel logout that the provider sends because of it, name the session that was won.
func TestLogout(t *testing.T) {
	p := newPortal(t)
	provider := live.Start(t, p.ca, live.Config{Clients: []live.Client{p.client("portal", "client_secret_basic", nil),
		p.client("other", "client_secret_basic", live.Client{"backchannel_logout_uri": p.origin + "/other/backchannel-logout"})}})
	b := p.bench(provider, "")
	v := live.NewVisitor(t, p.ca)
	answers := live.As("alice")
	answers.Set("logout", "yes") // of the page where one signs out
	walk := func(address string) *url.URL { return v.SignIn(address, answers) }
	b.link(alice, walk)
	e := b.signedIn(walk)
	elsewhere := b.signedIn(p.as("alice", nil)) // in another browser
	if e.Handles[0] == elsewhere.Handles[0] || e.Handles[1] != elsewhere.Handles[1] {
		t.Errorf("two sessions of one user: %q, %q", e.Handles, elsewhere.Handles)
	}

	leave, err := b.factor.SignOutURL(t.Context(), e, p.origin+"/")
	if err != nil {
		t.Fatal(err)
	}
	if back := v.SignIn(leave, answers); back.String() != p.origin+"/" {
		t.Errorf("sent back to %s", back)
	}
	form := p.notice()
	over, err := b.over(form)
	if err != nil {
		t.Fatal(err)
	}
	if len(over.Handles) != 1 || over.Handles[0] != e.Handles[0] || !over.Final || over.ID == "" {
		t.Errorf("%+v, where %q is over", over, e.Handles[0])
	}
	if again, err := b.over(form); err != nil || again.ID != over.ID {
		t.Errorf("the same notice again: %+v, %v", again, err)
	}
	other := newBench(t, p.origin, p.ca, "issuer: "+provider.Issuer+"\nclient_id: other\nclient_secret: { file: secret }", nil)
	_, err = other.over(form)
	rejected(t, "a notice to another client", err, oauth.ReasonAudience)

	// Whoever signed out is asked who they are.
	silent := url.Values{}
	if back, err := v.Go(b.challenge().RedirectTo, silent); err == nil {
		t.Errorf("signed in without a word: %s", back)
	}
}

// What the provider signs for one purpose is none for another.
func TestLogoutTokenIsNoIDToken(t *testing.T) {
	p := newPortal(t)
	provider := p.start(nil)
	b := p.bench(provider, "")
	config := bare(t, p.ca, provider.Issuer, p.callback(""))
	_, idToken := config.signIn(p.as("alice", nil))
	_, err := b.over(url.Values{"logout_token": {idToken}})
	rejected(t, "an ID token as a logout token", err, oauth.ReasonEvents)
	_, err = b.over(url.Values{"logout_token": {idToken, idToken}})
	rejected(t, "two tokens", err, factors.ReasonMalformed)
}
