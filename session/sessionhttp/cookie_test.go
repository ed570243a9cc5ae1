package sessionhttp_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

const name = sessionhttp.CookieName

// wantCookie fails unless the answer sets the session cookie, and with exactly these attributes.
func (a answer) wantCookie() string {
	a.t.Helper()
	set := a.header["Set-Cookie"]
	if len(set) != 1 {
		a.t.Fatalf("Set-Cookie is %q, want one", set)
	}
	value, rest, _ := strings.Cut(strings.TrimPrefix(set[0], name+"="), ";")
	if value == "" || strings.HasPrefix(value, name) || rest != " Path=/; HttpOnly; Secure; SameSite=Lax" {
		a.t.Fatalf("Set-Cookie: %s", set[0])
	}
	return value
}

func (a answer) wantNoCookie() {
	a.t.Helper()
	if set := a.header["Set-Cookie"]; len(set) > 0 {
		a.t.Errorf("Set-Cookie: %q, want none", set)
	}
}

// The cookie is set when a row is made, when the secret is replaced and when the session ends, and at no other time.
func TestCookie(t *testing.T) {
	p := newPortal(t)
	b := p.person("alice")
	b.get("/auth/session").wantNoCookie()
	enrolled := b.do("POST", "/auth/invitations/redeem", map[string]any{"code": p.invite("alice")}).wantCookie()
	made := b.do("POST", "/auth/credentials/passkey/challenge", nil)
	made.wantNoCookie()
	credential, err := b.auth.Create(raw(t, made.json()["publicKey"]))
	must(t, err)
	b.do("POST", "/auth/credentials/passkey/verify", map[string]any{"credential": credential}).wantCookie()

	begun := b.post("/auth/login", "{}").wantCookie()
	if begun == enrolled {
		t.Error("a login begins with the secret that was there before")
	}
	asked := b.do("POST", "/auth/factors/passkey/challenge", nil)
	asked.wantNoCookie()
	got, err := b.auth.Get(raw(t, asked.json()["publicKey"]))
	must(t, err)
	thief := b.copy()
	won := b.do("POST", "/auth/factors/passkey/verify", map[string]any{"credential": got}).wantCookie()
	if won == begun {
		t.Error("the session has the secret of the login")
	}
	if s := thief.state(); s != "guest" {
		t.Errorf("the secret of the login is good for %s after it", s)
	}
	for _, path := range []string{"/auth/session", "/auth/sessions", "/auth/credentials", "/admin/whoami", "/nothing"} {
		b.get(path).wantNoCookie()
	}
	p.wait(2 * time.Minute) // far enough to be written down
	b.get("/admin/whoami").wantNoCookie()

	b.post("/auth/step-up", `{"factors":["passkey"]}`).wantNoCookie()
	if risen := b.do("POST", "/auth/factors/passkey/verify", map[string]any{"credential": b.assertion()}).wantCookie(); risen == won {
		t.Error("a step-up leaves the secret as it was")
	}
	out := b.do("POST", "/auth/logout", nil)
	if set := out.header["Set-Cookie"]; len(set) != 1 || set[0] != name+"=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("Set-Cookie at the end: %q", set)
	}
	if b.cookie() != "" {
		t.Error("the browser has a cookie after the end")
	}
	b.do("POST", "/auth/logout", nil).wantNoCookie()
}

// Whoever comes with a secret that is unknown, stale or not one is a guest, and the cookie is left alone: it may be of use
// on another request.
func TestCookieOfNobody(t *testing.T) {
	p := newPortal(t)
	b := p.signedIn("alice")
	good := b.cookie()
	selector, secret, _ := strings.Cut(good, ".")
	ended := p.browser(b.cert)
	ended.auth = b.auth
	ended.login()
	old := ended.cookie()
	ended.want(204, "POST", "/auth/logout", nil)
	other := p.person("bob")
	other.want(403, "POST", "/auth/login", map[string]any{"method": "none"})
	last := "A"
	if strings.HasSuffix(secret, "A") {
		last = "E"
	}
	for what, v := range map[string]string{
		"unknown":                    strings.Repeat("A", 22) + "." + secret,
		"right selector, wrong":      selector + "." + strings.Repeat("A", 43),
		"right but for the last bit": selector + "." + secret[:42] + last,
		"padded":                     good + "=",
		"selector alone":             selector,
		"selector and dot":           selector + ".",
		"long":                       good + strings.Repeat("A", 200),
		"twice the dot":              selector + "." + secret[:20] + "." + secret[21:],
		"empty":                      "",
		"ended":                      old,
		"quoted":                     `"` + good + `"`,
	} {
		thief := p.browser(b.cert)
		got := thief.send("GET", "/auth/session", nil, func(r *http.Request) { r.Header.Set("Cookie", name+"="+v) })
		if got.status != 200 || string(got.body) != `{"state":"guest"}`+"\n" {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
		got.wantNoCookie()
	}
	if b.state() != "authenticated" {
		t.Error("the good cookie is good no more")
	}
}

// A browser sends one cookie of a name with the prefix __Host-. Two were planted by somebody, and neither counts; nor does a
// name that only looks like it.
func TestCookieNames(t *testing.T) {
	p := newPortal(t)
	b := p.signedIn("alice")
	good := name + "=" + b.cookie()
	for what, c := range map[string]struct {
		header []string
		state  string
	}{
		"alone":              {[]string{good}, "authenticated"},
		"among others":       {[]string{"a=1; " + good + "; b=2"}, "authenticated"},
		"in a second header": {[]string{"a=1", good}, "authenticated"},
		"with tabs":          {[]string{"a=1;\t" + good + " ; b=2"}, "authenticated"},
		"twice":              {[]string{good + "; " + good}, "guest"},
		"twice, other value": {[]string{good + "; " + name + "=x"}, "guest"},
		"twice, headers":     {[]string{name + "=x", good}, "guest"},
		"odd case":           {[]string{strings.ToLower(good[:7]) + good[7:] + "; __HOST-sallyport=x"}, "guest"},
		// Browsers let a sibling site set these names, which are not the one with the prefix.
		"no-break space":  {[]string{"\u00a0" + good}, "guest"},
		"em space":        {[]string{"a=1; \u2003" + good}, "guest"},
		"next line":       {[]string{"\u0085" + good}, "guest"},
		"beside":          {[]string{"\u00a0" + name + "=x; " + good}, "authenticated"},
		"space in name":   {[]string{name + " =" + b.cookie()}, "guest"},
		"value of spaces": {[]string{name + "= " + b.cookie()}, "guest"},
	} {
		thief := p.browser(b.cert)
		got := thief.send("GET", "/auth/session", nil, func(r *http.Request) { r.Header["Cookie"] = c.header })
		if s := got.json()["state"]; s != c.state {
			t.Errorf("%s: %v, want %s", what, s, c.state)
		}
	}
}

// Whoever plants a cookie before the login does not share the session.
func TestCookiePlanted(t *testing.T) {
	p := newPortal(t)
	victim := p.person("alice")
	victim.enrol(p.invite("alice"))
	for what, plant := range map[string]func(b *browser){
		"a guest's values": func(b *browser) {
			p.page("/put", func(_ http.ResponseWriter, r *http.Request) { p.sessions.Values.Put(r.Context(), "k", "v") })
			b.get("/put")
		},
		"a login begun": func(b *browser) { b.want(200, "POST", "/auth/login", nil) },
	} {
		attacker := p.person("bob")
		plant(attacker)
		planted := attacker.cookie()
		if planted == "" {
			t.Fatalf("%s: no cookie to plant", what)
		}
		b := p.browser(victim.cert)
		b.auth = victim.auth
		b.setCookie(planted)
		b.want(200, "POST", "/auth/login", nil)
		if b.cookie() == planted {
			t.Errorf("%s: the planted cookie is the victim's", what)
		}
		if got := b.answer(200); got["state"] != "authenticated" {
			t.Fatalf("%s: %v", what, got)
		}
		if s := attacker.state(); s == "authenticated" {
			t.Errorf("%s: the attacker is %s", what, s)
		}
		thief := p.browser(victim.cert) // with the victim's certificate even
		thief.setCookie(planted)
		if s := thief.state(); s == "authenticated" {
			t.Errorf("%s: the planted cookie is worth %s", what, s)
		}
	}
}

// A cookie opens the session with its certificate only, and losing it for a request ends nothing.
func TestCookieWithoutItsCertificate(t *testing.T) {
	p := newPortal(t)
	b := p.signedIn("alice")
	for what, cert := range map[string]func() *browser{
		"none":    func() *browser { return p.browser(nil) },
		"bob's":   func() *browser { return p.person("bob") },
		"new key": func() *browser { return p.person("alice") },
		"kiosk's": func() *browser { return p.person("lobby") },
		"copied":  func() *browser { return p.browser(b.cert) },
	} {
		thief := cert()
		thief.setCookie(b.cookie())
		got := thief.get("/auth/session")
		want := "guest"
		if what == "copied" {
			want = "authenticated"
		}
		if s := got.json()["state"]; s != want {
			t.Errorf("%s: %v", what, s)
		}
		got.wantNoCookie()
		if want == "guest" {
			thief.get("/admin/whoami").wants(401, sessionhttp.CodeNotAuthenticated)
		}
	}
	b.want(200, "GET", "/admin/whoami", nil)
}
