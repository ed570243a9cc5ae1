package live_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/oauth/live"
)

// arrived waits for a browser that was sent back.
func (p *portal) arrived() *url.URL {
	p.t.Helper()
	select {
	case back := <-p.came:
		return back
	case <-time.After(time.Minute):
		p.t.Fatal("no browser came back")
	}
	return nil
}

func TestSignInWithChromium(t *testing.T) {
	p := newPortal(t)
	b := p.bench(p.start(nil), "max_age: 1h")
	b.link(alice, p.as("alice", nil))
	c := live.StartChromium(t, p.ca)
	e := b.signedIn(func(address string) *url.URL {
		c.Open(address)
		c.See("Sign in to portal")
		c.Type("#username", "alice")
		c.Type("#password", "wrong")
		c.Click("#go")
		c.See("That was not right.")
		c.Type("#username", "alice")
		c.Type("#password", live.Password)
		c.Click("#go")
		c.See("You are back at the portal.")
		return p.arrived()
	})
	if age := e.At.Sub(e.Since); age < -time.Minute || age > 3*time.Minute {
		t.Errorf("a sign-in of just now is %v old", age)
	}
	// The provider has a session of this browser now, and asks nothing.
	b.signedIn(func(address string) *url.URL {
		c.Open(address)
		c.See("You are back at the portal.")
		return p.arrived()
	})
}

func TestSignInAtDexWithChromium(t *testing.T) {
	p := newPortal(t)
	b := p.dexBench(p.dex(), "")
	b.link(alice, p.asDex("alice"))
	c := live.StartChromium(t, p.ca)
	b.signedIn(func(address string) *url.URL {
		c.Open(address)
		c.See("Log in to Your Account")
		c.Type("#login", "alice@acme.example")
		c.Type("#password", live.Password)
		c.Click("#submit-login")
		c.See("Grant Access")
		c.Click("button.theme-btn--success")
		c.See("You are back at the portal.")
		return p.arrived()
	})
}
