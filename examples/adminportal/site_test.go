package main

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ask asks for something with any method, and gives the answer with its body read.
func (c *caller) ask(method, path string) (*http.Response, string) {
	c.t.Helper()
	req, err := http.NewRequest(method, c.url+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res, string(b)
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	r := start(t, t.TempDir())
	c := r.caller("")
	for _, path := range []string{"/healthz", "/", "/login", "/nothing", "/assets/", "/assets/nothing.css", "/assets/style.css", "/auth/session", "/auth/nothing", "/a%2Fb"} {
		res, _ := c.ask(http.MethodGet, path)
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=31536000"} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if got := res.Header.Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors 'none'") {
			t.Errorf("%s: Content-Security-Policy is %q", path, got)
		}
		want := "no-store"
		if path == "/assets/style.css" {
			want = "public, max-age=300"
		}
		if got := res.Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control is %q", path, got)
		}
	}
}

func TestMethodsOfTheSite(t *testing.T) {
	r := start(t, t.TempDir())
	c := r.caller("alice")
	for path, status := range map[string]int{"/healthz": 200, "/login": 200, "/enrol": 200, "/": 401, "/admin/users": 401, "/assets/style.css": 200, "/nothing": 404, "/assets/": 404} {
		got, body := c.ask(http.MethodHead, path)
		if got.StatusCode != status || body != "" {
			t.Errorf("HEAD %s: %d %q, want %d", path, got.StatusCode, body, status)
		}
	}
	for _, tt := range []struct{ method, path, allow string }{
		{"POST", "/healthz", "GET, HEAD"}, {"DELETE", "/", "GET, HEAD"}, {"GET", "/logout", "POST"}, {"PUT", "/admin/users", "GET, HEAD, POST"}, {"POST", "/assets/style.css", "GET, HEAD"},
		{"DELETE", "/assets/x", "GET, HEAD"}, {"OPTIONS", "/login", "GET, HEAD"}, {"HEAD", "/logout", "POST"},
	} {
		got, _ := c.ask(tt.method, tt.path)
		if got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q, want %q", tt.method, tt.path, got.StatusCode, got.Header.Get("Allow"), tt.allow)
		}
	}
	if _, body := c.ask(http.MethodGet, "/assets/"); strings.Contains(body, "icon.svg\"><") || strings.Contains(body, "<pre>") {
		t.Errorf("the folder of the assets is listed:\n%s", body)
	}
}

// Whoever ends their own session, in whatever way, is told that they are out.
func TestEndingOnesOwnSession(t *testing.T) {
	own := func(base string) func(*testing.T, *running, *caller) (string, url.Values) {
		return func(_ *testing.T, _ *running, c *caller) (string, url.Values) {
			list := c.want(http.StatusOK, "GET", "/auth/sessions", nil)["sessions"].([]any)
			return base + list[0].(map[string]any)["id"].(string) + "/end", url.Values{}
		}
	}
	for name, form := range map[string]func(*testing.T, *running, *caller) (string, url.Values){
		"my account":   own("/account/sessions/"),
		"the sessions": own("/admin/sessions/"),
		"signed out of all": func(t *testing.T, _ *running, c *caller) (string, url.Values) {
			_, body, _ := c.page("/admin/users", nil)
			m := regexp.MustCompile(`data-user="alice"[\s\S]*?action="(/admin/users/[^/]+/sign-out)"`).FindStringSubmatch(body)
			if m == nil {
				t.Fatalf("no such form in\n%s", body)
			}
			return m[1], url.Values{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, c := signedIn(t, "alice")
			path, values := form(t, r, c)
			c.sends(path, values, "/login?signed-out=1")
			c.sees(http.StatusOK, "/login?signed-out=1", "You are signed out")
			if status, _ := c.call("GET", "/admin/whoami", nil); status != http.StatusUnauthorized {
				t.Errorf("the session goes on: %d", status)
			}
		})
	}
}

func (r *running) pem(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.data, "pki", name+".crt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// One paste of the wrong file does not shut the portal for everybody.
func TestDenyTheAuthority(t *testing.T) {
	r, alice := signedIn(t, "alice")
	ca := r.pem(t, "staff-ca")
	for _, text := range []string{ca, fingerprint(ca)} {
		status, body, _ := alice.page("/admin/certificates", url.Values{"certificate": {text}, "note": {"oops"}})
		if status != http.StatusBadRequest || !strings.Contains(body, "certificate of an authority") {
			t.Errorf("%d\n%s", status, body)
		}
	}
	status, body, _ := alice.page("/admin/certificates", url.Values{"certificate": {r.pem(t, "alice")}})
	if status != http.StatusConflict || !strings.Contains(body, "lock yourself out") {
		t.Errorf("one's own: %d\n%s", status, body)
	}
	alice.want(http.StatusOK, "POST", "/auth/login", map[string]any{})
}

// A page for which another way of signing in is on offer than the one in use leads to the sign-in page, and stays there.
func TestPagesOfAnotherMethod(t *testing.T) {
	r, alice := signedIn(t, "alice")
	r.edit(t, "methods:\n", "methods:\n  short: { steps: [device, passkey], session: { idle: 5m, absolute: 1h } }\n")
	r.edit(t, "  - { methods: [admin] }", "  - { route: /admin/*, methods: [short] }\n  - { methods: [admin] }")
	to := ""
	for got := http.StatusOK; got != http.StatusSeeOther; {
		got, _, to = alice.page("/admin/users", nil)
	}
	alice.sees(http.StatusOK, to, "Sign in with a passkey")
	alice.sees(http.StatusOK, to, "in another way")
	alice.want(http.StatusOK, "POST", "/auth/login", map[string]any{"return_to": "/admin/users"})
	alice.answer("/auth/factors/passkey", alice.auth.Get)
	alice.sees(http.StatusOK, "/admin/users", "Add a user")
}

// The step-up that a page asks for is one that the call takes, whatever the floor wants.
func TestStepUpOfAPage(t *testing.T) {
	r := start(t, t.TempDir())
	r.edit(t, "user_verification: required", "user_verification: preferred")
	r.edit(t, "aal: 2, phishing_resistant: true", "user_verified: true")
	alice := r.caller("alice")
	alice.enrol(r.invited["alice"])
	for asked := ""; asked != "preferred"; {
		alice.want(http.StatusOK, "POST", "/auth/login", map[string]any{})
		options := alice.want(http.StatusOK, "POST", "/auth/factors/passkey/challenge", map[string]any{})
		asked = options["publicKey"].(map[string]any)["userVerification"].(string)
	}
	alice.auth.NotVerified = true
	alice.login()
	_, _, to := alice.page("/admin/users", nil)
	_, body, _ := alice.page(to, nil)
	m := regexp.MustCompile(`data-step-up="([^"]*)"`).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("%s: no step-up in\n%s", to, body)
	}
	var want map[string]any
	if err := json.Unmarshal([]byte(html.UnescapeString(m[1])), &want); err != nil || want["user_verified"] != true {
		t.Fatalf("%v %v", want, err)
	}
	alice.want(http.StatusOK, "POST", "/auth/step-up", want)
	alice.auth.NotVerified = false
	alice.answer("/auth/factors/passkey", alice.auth.Get)
	alice.sees(http.StatusOK, "/admin/users", "bob")
}

// An administrator takes a lost passkey away: its owner is signed out, and needs an invitation.
func TestLostPasskeyIsRemoved(t *testing.T) {
	r, alice := signedIn(t, "alice")
	bob := r.caller("bob")
	bob.enrol(r.invited["bob"])
	bob.login()
	_, body, _ := alice.page("/admin/users", nil)
	m := regexp.MustCompile(`data-user="bob"[\s\S]*?action="(/admin/users/[^/]+/remove-passkey)"[\s\S]*?name="factor" value="([^"]+)"[\s\S]*?name="id" value="([^"]+)"`).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("no such form in\n%s", body)
	}
	alice.sends(m[1], url.Values{"factor": {m[2]}, "id": {html.UnescapeString(m[3])}}, "/admin/users")
	if got := bob.want(http.StatusOK, "GET", "/auth/session", nil); got["state"] != "guest" {
		t.Errorf("bob is %v", got["state"])
	}
	alice.sees(http.StatusOK, "/admin/audit?user=bob", "credential.removed")
}

// Names and notes stay in their place: nothing in them turns, hides or breaks what is around them.
func TestDisorderlyTexts(t *testing.T) {
	_, alice := signedIn(t, "alice")
	evil := "\u202eevil\u2066\u200f \"><script>alert(1)</script>"
	alice.page("/admin/users", url.Values{"name": {"dis"}, "display": {evil}})
	alice.page("/admin/certificates", url.Values{"certificate": {strings.Repeat("ab", 32)}, "note": {evil}})
	list := alice.want(http.StatusOK, "GET", "/auth/credentials", nil)["credentials"].([]any)
	alice.page("/account/passkeys/"+list[0].(map[string]any)["id"].(string)+"/name", url.Values{"name": {evil}})
	for _, path := range []string{"/account", "/admin/users", "/admin/invitations", "/admin/certificates", "/admin/audit", "/admin/sessions", "/admin/method",
		"/admin/audit?name=" + url.QueryEscape(evil), "/admin/certificates?note=" + url.QueryEscape(evil), "/admin/users?display=" + url.QueryEscape(evil),
		"/login?need=" + url.QueryEscape(evil)} {
		status, body, _ := alice.page(path, nil)
		if status >= 400 || strings.ContainsAny(body, "\u202e\u2066\u200f\x07") || strings.Contains(body, "<script>") {
			t.Errorf("%s: %d\n%s", path, status, body)
		}
	}
	alice.sees(http.StatusOK, "/admin/users", "<bdi>evil &#34;&gt;")
}

// Whoever denies a certificate without a word finds later whose it was.
func TestDenialsSayWhose(t *testing.T) {
	r, alice := signedIn(t, "alice")
	alice.sends("/admin/certificates", url.Values{"certificate": {r.pem(t, "bob")}}, "/admin/certificates")
	alice.sees(http.StatusOK, "/admin/certificates", "certificate of bob")
	alice.sends("/admin/certificates", url.Values{"certificate": {strings.Repeat("ab", 32)}, "note": {"lost"}}, "/admin/certificates")
	alice.sees(http.StatusOK, "/admin/certificates", "<bdi>lost</bdi>")
}

func TestDenialOfASession(t *testing.T) {
	r, alice := signedIn(t, "alice")
	bob := r.caller("bob")
	bob.enrol(r.invited["bob"])
	bob.login()
	alice.sends("/admin/certificates", url.Values{"certificate": {fingerprint(r.pem(t, "bob"))}}, "/admin/certificates")
	alice.sees(http.StatusOK, "/admin/certificates", "certificate of bob")
	if status, _ := bob.call("GET", "/auth/sessions", nil); status != http.StatusUnauthorized {
		t.Errorf("bob's session goes on: %d", status)
	}
}

// The trail tells two events of a minute apart.
func TestSecondsOfTheTrail(t *testing.T) {
	_, alice := signedIn(t, "alice")
	_, body, _ := alice.page("/admin/audit", nil)
	if !regexp.MustCompile(`data-seconds>[^<]*\d\d:\d\d:\d\d UTC<`).MatchString(body) {
		t.Errorf("no seconds in\n%s", body)
	}
}
