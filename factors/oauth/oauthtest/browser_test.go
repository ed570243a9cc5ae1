package oauthtest_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/sallyport-auth/sallyport/factors/oauth/oauthtest"
)

// surfer is a browser that fills in forms.
type surfer struct {
	t   *testing.T
	web *http.Client
}

func newSurfer(t *testing.T) *surfer {
	return &surfer{t, &http.Client{Jar: jar(t), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (s *surfer) get(address string) (*http.Response, string) {
	s.t.Helper()
	return s.read(s.web.Get(address))
}

func (s *surfer) read(res *http.Response, err error) (*http.Response, string) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(b)
}

var (
	actionOf = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	inputOf  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// send sends the form of a page with what was typed into it.
func (s *surfer) send(page string, typed url.Values) (*http.Response, string) {
	s.t.Helper()
	m := actionOf.FindStringSubmatch(page)
	if m == nil {
		s.t.Fatalf("no form in\n%s", page)
	}
	form := url.Values{}
	for _, in := range inputOf.FindAllStringSubmatch(page, -1) {
		form.Set(html.UnescapeString(in[1]), html.UnescapeString(in[2]))
	}
	for name, v := range typed {
		form[name] = v
	}
	return s.read(s.web.PostForm(html.UnescapeString(m[1]), form))
}

func typed(name, password string) url.Values {
	return url.Values{"username": {name}, "password": {password}}
}

// to is where an answer sends a browser.
func to(t *testing.T, res *http.Response, body string) url.Values {
	t.Helper()
	if res.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d\n%s", res.StatusCode, body)
	}
	return queryOf(t, res.Header.Get("Location"))
}

func TestSignInPage(t *testing.T) {
	c := newParty(t, oauthtest.Start(t, config(func(c *oauthtest.Config) { c.Title = `<Acme> & "sons"` })))
	s := newSurfer(t)
	res, page := s.get(c.address(oauth2.SetAuthURLParam("login_hint", `al"ice`)))
	policy := res.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self' https://portal.example", "style-src 'sha256-"} {
		if !strings.Contains(policy, want) {
			t.Errorf("%q is not in %q", want, policy)
		}
	}
	for _, want := range []string{"&lt;Acme&gt;", `value="al&#34;ice"`, `<label for="username">`, `<label for="password">`, `lang="en"`} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
	if strings.Contains(page, "<script") || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v\n%s", res.Header, page)
	}
	for _, wrong := range []url.Values{typed("alice", "nothing"), typed("nobody", ""), typed("bob", "wonderland")} {
		res, body := s.send(page, wrong)
		if res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "do not belong together") {
			t.Errorf("%v: %d", wrong, res.StatusCode)
		}
	}
	res, body := s.send(page, typed("alice", "wonderland"))
	if _, err := c.exchange(to(t, res, body).Get("code")); err != nil {
		t.Error(err)
	}
	if res, _ := s.send(page, typed("alice", "wonderland")); res.StatusCode != http.StatusBadRequest {
		t.Errorf("the page a second time: %d", res.StatusCode)
	}
	_, page = newSurfer(t).get(c.address())
	if res, _ := s.send(page, typed("bob", "builder")); res.StatusCode != http.StatusBadRequest {
		t.Errorf("the page of another browser: %d", res.StatusCode)
	}
}

func TestCancel(t *testing.T) {
	c := newParty(t, oauthtest.Start(t, config(nil)))
	s := newSurfer(t)
	_, page := s.get(c.address())
	res, body := s.send(page, url.Values{"cancel": {"yes"}})
	if got := to(t, res, body); got.Get("error") != "access_denied" || got.Get("state") != "the-state" {
		t.Errorf("%v", got)
	}
}

// Whoever is signed in is not asked again, unless the client wants it.
func TestSingleSignOn(t *testing.T) {
	now := time.Now()
	c := newParty(t, oauthtest.Start(t, config(func(c *oauthtest.Config) { c.Now = func() time.Time { return now } })))
	s := newSurfer(t)
	none := oauth2.SetAuthURLParam("prompt", "none")
	res, body := s.get(c.address(none))
	if got := to(t, res, body); got.Get("error") != "login_required" {
		t.Errorf("prompt none of a guest: %v", got)
	}
	_, page := s.get(c.address())
	s.send(page, typed("alice", "wonderland"))
	now = now.Add(10 * time.Minute)
	for what, tt := range map[string]struct {
		more []oauth2.AuthCodeOption
		want string
	}{
		"nothing asked for":    {nil, "code"},
		"none":                 {[]oauth2.AuthCodeOption{none}, "code"},
		"young enough":         {[]oauth2.AuthCodeOption{oauth2.SetAuthURLParam("max_age", "600")}, "code"},
		"too old":              {[]oauth2.AuthCodeOption{oauth2.SetAuthURLParam("max_age", "599")}, "page"},
		"now":                  {[]oauth2.AuthCodeOption{oauth2.SetAuthURLParam("max_age", "0")}, "page"},
		"login":                {[]oauth2.AuthCodeOption{oauth2.SetAuthURLParam("prompt", "login")}, "page"},
		"too old, and silence": {[]oauth2.AuthCodeOption{none, oauth2.SetAuthURLParam("max_age", "60")}, "error"},
	} {
		res, body := s.get(c.address(tt.more...))
		got := "page"
		if res.StatusCode == http.StatusSeeOther {
			got = "error"
			if to(t, res, body).Has("code") {
				got = "code"
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", what, got, tt.want)
		}
	}
}

// receiver takes logout tokens.
func receiver(t *testing.T, status int) (address string, got *atomic.Int64) {
	got = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("logout_token") != "" {
			got.Add(1)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server.URL, got
}

func TestSignOut(t *testing.T) {
	address, told := receiver(t, http.StatusNoContent)
	c := newParty(t, oauthtest.Start(t, config(func(c *oauthtest.Config) { c.Clients[0].BackchannelLogoutURI = address })))
	s := newSurfer(t)
	_, page := s.get(c.address())
	s.send(page, typed("alice", "wonderland"))
	end := c.provider.Issuer + "/end-session?" + url.Values{"client_id": {"portal"}, "post_logout_redirect_uri": {"https://portal.example/bye"}, "state": {"x y"}}.Encode()
	res, page := s.get(end)
	if res.StatusCode != http.StatusOK || !strings.Contains(page, "You are signed in as alice") || told.Load() != 0 {
		t.Fatalf("%d %d\n%s", told.Load(), res.StatusCode, page)
	}
	if res, page = s.send(strings.ReplaceAll(page, `name="session"`, `name="nothing"`), url.Values{"sure": {"yes"}}); res.StatusCode != http.StatusOK {
		t.Errorf("a form of somebody else's signed alice out: %d", res.StatusCode)
	}
	res, body := s.send(page, url.Values{"sure": {"yes"}})
	if got := res.Header.Get("Location"); got != "https://portal.example/bye?state=x+y" || told.Load() != 1 {
		t.Errorf("%d, to %q, %d told\n%s", res.StatusCode, got, told.Load(), body)
	}
	if res, _ := s.get(c.address()); res.StatusCode != http.StatusOK {
		t.Errorf("still signed in: %d", res.StatusCode)
	}
	if res, _ := s.get(end); res.StatusCode != http.StatusSeeOther {
		t.Errorf("nobody to sign out: %d", res.StatusCode)
	}
	if res, _ := s.get(c.provider.Issuer + "/end-session?client_id=portal&post_logout_redirect_uri=https://elsewhere.example/"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("to an address that is not registered: %d", res.StatusCode)
	}
}

// An ID token says who wants to leave: nobody is asked.
func TestSignOutWithAHint(t *testing.T) {
	c := newParty(t, oauthtest.Start(t, config(nil)))
	s := newSurfer(t)
	_, page := s.get(c.address())
	res, body := s.send(page, typed("alice", "wonderland"))
	token, err := c.exchange(to(t, res, body).Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	good := token.Extra("id_token").(string)
	for _, tt := range []struct {
		hint string
		want int
	}{{good[:len(good)-6] + "AAAAAA", http.StatusOK}, {good, http.StatusSeeOther}} {
		res, body := s.get(c.provider.Issuer + "/end-session?" + url.Values{"id_token_hint": {tt.hint}, "client_id": {"portal"}, "post_logout_redirect_uri": {"https://portal.example/bye"}}.Encode())
		if res.StatusCode != tt.want {
			t.Errorf("%d, want %d\n%s", res.StatusCode, tt.want, body)
		}
	}
}

func TestBackchannelLogout(t *testing.T) {
	for status, good := range map[int]bool{http.StatusOK: true, http.StatusNoContent: true, http.StatusBadRequest: false} {
		address, told := receiver(t, status)
		c := newParty(t, oauthtest.Start(t, config(func(c *oauthtest.Config) { c.Clients[0].BackchannelLogoutURI = address })))
		c.signIn()
		c.signIn()
		if err := c.provider.Logout(t.Context(), "bob"); err != nil || told.Load() != 0 {
			t.Errorf("nobody: %v, %d told", err, told.Load())
		}
		if err := c.provider.Logout(t.Context(), "alice"); (err == nil) != good || told.Load() != 2 {
			t.Errorf("%d: %v, %d told", status, err, told.Load())
		}
		if err := c.provider.Logout(t.Context(), "alice"); err != nil || told.Load() != 2 {
			t.Errorf("a second time: %v, %d told", err, told.Load())
		}
	}
}

// Several providers share a host, each below its own path and with its own sessions.
func TestProvidersBesideEachOther(t *testing.T) {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s := newSurfer(t)
	for i, name := range []string{"acme", "globex"} {
		issuer := server.URL + "/idp/" + name
		p := oauthtest.New(config(func(c *oauthtest.Config) { c.Issuer = issuer }))
		mux.Handle("/idp/"+name+"/", p)
		c := newParty(t, &oauthtest.Server{Provider: p, Server: server})
		c.claims()
		res, page := s.get(c.address())
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: the session of another provider is good: %d", name, res.StatusCode)
		}
		s.send(page, typed("alice", "wonderland"))
		if p.Calls(oauthtest.SignInEndpoint) != 1 || p.Calls(oauthtest.TokenEndpoint) != 1 {
			t.Errorf("%d: %d %d calls", i, p.Calls(oauthtest.SignInEndpoint), p.Calls(oauthtest.TokenEndpoint))
		}
	}
}

func TestConfigurationsThatCannotBe(t *testing.T) {
	for _, c := range []oauthtest.Config{{}, {Issuer: "localhost"}, {Issuer: "http://localhost/"}, {Issuer: "ftp://localhost"}, {Issuer: "http://localhost?x"},
		{Issuer: "http://localhost", Algorithm: "none"}, {Issuer: "http://localhost", Users: []oauthtest.User{{Name: "a"}, {Name: "a"}}},
		{Issuer: "http://localhost", Clients: []oauthtest.Client{{}}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("taken: %v", fmt.Sprint(c.Issuer, c.Algorithm))
				}
			}()
			oauthtest.New(c)
		}()
	}
}
