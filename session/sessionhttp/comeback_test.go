package sessionhttp_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/oauth/oauthtest"
)

func TestComingBackAfterTheLoginIsOver(t *testing.T) {
	for name, over := range map[string]func(p *portal, b *browser, provider *oauthtest.Server){
		"cancel":   func(_ *portal, b *browser, _ *oauthtest.Server) { b.want(200, "POST", "/auth/cancel", nil) },
		"sign-out": func(_ *portal, b *browser, _ *oauthtest.Server) { b.do("POST", "/auth/logout", nil) },
		"another login": func(_ *portal, b *browser, _ *oauthtest.Server) {
			b.want(200, "POST", "/auth/login", map[string]any{"method": "visit"})
		},
		"a new challenge":  func(_ *portal, b *browser, p *oauthtest.Server) { b.toProvider(p, "visit", "dave") },
		"ten minutes":      func(p *portal, _ *browser, _ *oauthtest.Server) { p.wait(11 * time.Minute) },
		"another's policy": func(p *portal, _ *browser, _ *oauthtest.Server) { must(p.t, p.engine.SetPolicy(p.policy())) },
	} {
		t.Run(name, func(t *testing.T) {
			p, provider := visitors(t, oauthtest.Config{})
			b := p.person("alice")
			back := b.toProvider(provider, "visit", "carol")
			over(p, b, provider)
			got := b.send("GET", back, nil, page)
			if to := got.header.Get("Location"); got.status != 303 || !strings.HasPrefix(to, "/login?error=") {
				t.Errorf("%d to %q", got.status, to)
			}
			if state := b.want(200, "GET", "/auth/session", nil); state["state"] == "authenticated" {
				t.Errorf("signed in: %v", state)
			}
		})
	}
}

func TestComingBackAtOnceSignsInOnce(t *testing.T) {
	p, provider := visitors(t, oauthtest.Config{})
	b := p.person("alice")
	back := b.toProvider(provider, "visit", "carol")
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		c := b.copy()
		wg.Go(func() {
			got := c.send("GET", back, nil, page)
			if got.header.Get("Location") == "/visit/home" {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d of them signed in", in.Load())
	}
}

func TestComingBackWithAnotherCertificateOrCookie(t *testing.T) {
	p, provider := visitors(t, oauthtest.Config{})
	b := p.person("alice")
	back := b.toProvider(provider, "visit", "carol")
	for name, c := range map[string]*browser{"another certificate": p.person("bob"), "none": p.browser(nil)} {
		c.setCookie(b.cookie())
		if got := c.send("GET", back, nil, page); got.header.Get("Location") == "/visit/home" {
			t.Errorf("%s: signed in", name)
		}
	}
	b.send("GET", back, nil, page).wantsRedirect("/visit/home")
}

func TestLinkAndLoginAtAProvider(t *testing.T) {
	p, provider := visitors(t, oauthtest.Config{})
	b := p.person("alice")
	b.send("GET", b.toProvider(provider, "visit", "carol"), nil, page).wantsRedirect("/visit/home")
	count := func() int { return len(b.want(200, "GET", "/auth/credentials", nil)["credentials"].([]any)) }
	had := count()
	to := b.want(200, "POST", "/auth/credentials/idp/challenge", nil)["redirect_to"].(string)
	link, err := provider.SignIn(context.Background(), to, "dave")
	must(t, err)
	link = strings.TrimPrefix(link, p.origin)
	login := b.toProvider(provider, "visit", "dave")
	b.send("GET", link, nil, page).wantsRedirect("/login?error=invalid_credential")
	if count() != had {
		t.Error("linked by the answer to a challenge that is over")
	}
	b.want(200, "POST", "/auth/cancel", nil)
	b.want(200, "POST", "/auth/credentials/idp/challenge", nil)
	b.send("GET", login, nil, page).wantsRedirect("/login?error=invalid_credential")
	if got := b.want(200, "GET", "/auth/session", nil)["principal"].(map[string]any); !strings.HasPrefix(got["user"].(string), "sub-carol~") || count() != had {
		t.Errorf("it is %v", got)
	}
	// Through the calls of the contract, too.
	q := func(path string) map[string]any {
		_, query, _ := strings.Cut(path, "?")
		return map[string]any{"credential": map[string]any{"query": query}}
	}
	for _, c := range []struct{ path, back string }{{"/auth/factors/idp/verify", link}, {"/auth/credentials/idp/verify", login}} {
		if got := b.do("POST", c.path, q(c.back)); got.status == 200 {
			t.Errorf("%s took an answer to another question", c.path)
		}
	}
	if count() != had {
		t.Error("linked")
	}
}

func TestTokensInTheQueryAndTwice(t *testing.T) {
	p := service(t)
	a := p.person("alice")
	for _, query := range []string{"access_token=alice.read", "x=1&ACCESS_TOKEN=alice.read", "%61ccess_token=x", "access%5ftoken=x", "access_token", "a=b&access%5Ftoken&c"} {
		for _, with := range []func(*http.Request){bearing(), bearing("Bearer alice.read")} {
			if got := a.send("GET", "/v1/read?"+query, nil, with); got.status != 401 {
				t.Errorf("%s: %d", query, got.status)
			}
		}
	}
	for _, values := range [][]string{{"Bearer alice.read", "Bearer alice.read"}, {"Bearer alice.read, Bearer alice.read"}, {"Bearer alice.read", ""}, {"Basic x", "Bearer alice.read"},
		{"Bearer"}, {"Bearer "}, {"Bearer\talice.read"}, {"Bearer alice.read x"}, {"Token alice.read"}, {"alice.read"}} {
		if got := a.send("GET", "/v1/read", nil, bearing(values...)); got.status != 401 {
			t.Errorf("%q: %d", values, got.status)
		}
	}
	if got := a.send("GET", "/v1/read", nil, bearing("bearer  alice.read")); got.status >= 300 {
		t.Errorf("a good one: %d", got.status)
	}
}

// Who signed out everywhere at their provider is not signed in by a code that was given out before, and may sign in anew.
func TestCodeFromBeforeALogout(t *testing.T) {
	p, provider := visitors(t, oauthtest.Config{})
	b := p.person("alice")
	back := b.toProvider(provider, "visit", "carol")
	p.wait(30 * time.Second)
	form := url.Values{"logout_token": {provider.LogoutToken("portal", "carol", "")}}.Encode()
	out := p.browser(nil).send("POST", "/auth/factors/idp/corp/backchannel-logout", strings.NewReader(form), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
	if out.status != 200 {
		t.Fatalf("%d %s", out.status, out.body)
	}
	p.wait(time.Second)
	b.send("GET", back, nil, page)
	if got := b.want(200, "GET", "/auth/session", nil); got["state"] == "authenticated" {
		t.Errorf("signed in by a sign-in that was over: %v", got)
	}
	b.send("GET", b.toProvider(provider, "visit", "carol"), nil, page).wantsRedirect("/visit/home")
}
