package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// page asks for a page as a browser does, or sends a form, and gives status, body and where it is sent on.
func (c *caller) page(path string, form url.Values) (status int, body, to string) {
	c.t.Helper()
	method, content := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, content = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, c.url+path, content)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
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
	return res.StatusCode, string(b), res.Header.Get("Location")
}

// sees asks for a page that must hold a text.
func (c *caller) sees(status int, path, text string) {
	c.t.Helper()
	if got, body, to := c.page(path, nil); got != status || !strings.Contains(body, text) {
		c.t.Errorf("%s: %d (to %q), want %d with %q in\n%s", path, got, to, status, text, body)
	}
}

// sends sends a form that must lead to another page.
func (c *caller) sends(path string, form url.Values, want string) {
	c.t.Helper()
	if got, _, to := c.page(path, form); got != http.StatusSeeOther || to != want {
		c.t.Errorf("%s: %d to %q, want 303 to %q", path, got, to, want)
	}
}

func signedIn(t *testing.T, name string) (*running, *caller) {
	t.Helper()
	r := start(t, t.TempDir())
	c := r.caller(name)
	c.enrol(r.invited[name])
	c.login()
	return r, c
}

// What a browser shows is a page, also where a form comes too late.
func TestPagesOfNobody(t *testing.T) {
	r := start(t, t.TempDir())
	nobody := r.caller("alice")
	for path, want := range map[string]string{
		"/":                      "/login?return_to=%2F",
		"/account":               "/login?return_to=%2Faccount",
		"/admin/audit?name=a%2F": "/login?return_to=%2Fadmin%2Faudit%3Fname%3Da%252F",
	} {
		if got, _, to := nobody.page(path, nil); got != http.StatusSeeOther || to != want {
			t.Errorf("%s: %d to %q, want %q", path, got, to, want)
		}
	}
	nobody.sends("/account/sessions/end-others", url.Values{}, "/login?return_to=%2Faccount&unsent=1")
	nobody.sends("/admin/users/x/suspend", url.Values{}, "/login?return_to=%2Fadmin%2Fusers&unsent=1")
	nobody.sends("/admin/users", url.Values{"name": {"eve"}}, "/login?return_to=%2Fadmin%2Fusers&unsent=1")
	nobody.sees(http.StatusOK, "/login?return_to=%2Fadmin%2Fusers&unsent=1", "What you sent was not done")
	nobody.sees(http.StatusNotFound, "/nothing", "Nothing here")
	nobody.sees(http.StatusOK, "/login?return_to=//evil.example/", `data-return="/"`)
	if got, _, _ := nobody.page("/logout", nil); got != http.StatusMethodNotAllowed {
		t.Errorf("GET /logout: %d", got)
	}
	nobody.sees(http.StatusMethodNotAllowed, "/logout", "Not in this way")
}

// Whoever comes with a certificate from elsewhere learns that it does not help; an administrator learns why.
func TestPagesOfAStranger(t *testing.T) {
	r, alice := signedIn(t, "alice")
	elsewhere := folder(t)
	stranger := r.caller("")
	pair, err := tls.LoadX509KeyPair(elsewhere.path("alice.crt"), elsewhere.path("alice.key"))
	if err != nil {
		t.Fatal(err)
	}
	// The server names the authorities it would take, by name alone: this one has the same name.
	stranger.client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{pair}
	stranger.sees(http.StatusOK, "/login", "does not open this portal")
	stranger.sees(http.StatusOK, "/enrol", "does not open this portal")
	if _, body, _ := stranger.page("/login", nil); strings.Contains(body, "corp") || strings.Contains(body, "use-passkey") || !strings.Contains(body, "data-try") {
		t.Errorf("the page tells a stranger more than no, or tries nothing:\n%s", body)
	}
	// Any site can make a browser ask for a page: that costs nobody an attempt.
	for range 60 {
		stranger.page("/login", nil)
	}
	stranger.want(http.StatusUnauthorized, "POST", "/auth/login", map[string]any{}) // as the page's script does
	alice.sees(http.StatusOK, "/admin/audit?portal=1", "<code>certificate_untrusted</code>")
}

// Bob is nobody's administrator, and the pages say so.
func TestPagesOfBob(t *testing.T) {
	_, bob := signedIn(t, "bob")
	bob.sees(http.StatusOK, "/", "Good to see you, <bdi>bob</bdi>")
	for _, path := range []string{"/admin", "/admin/users", "/admin/invitations", "/admin/sessions", "/admin/certificates", "/admin/audit", "/admin/method"} {
		bob.sees(http.StatusForbidden, path, "That is not yours to do")
	}
	if got, _, _ := bob.page("/admin/users", url.Values{"name": {"eve"}}); got != http.StatusForbidden {
		t.Errorf("bob makes a user: %d", got)
	}
	if _, body, _ := bob.page("/", nil); strings.Contains(body, "/admin/") {
		t.Error("bob is shown a way to the administration")
	}
}

// A floor without a name asks for a step-up as well, and never sends a browser in circles.
func TestPagesBelowAFloor(t *testing.T) {
	r, alice := signedIn(t, "alice")
	r.edit(t, "floors:\n", "floors:\n  - { route: /account/*, factors: [passkey], max_age: 1ms }\n")
	for got := http.StatusOK; got == http.StatusOK; {
		got, _, _ = alice.page("/account", nil)
	}
	_, _, to := alice.page("/account", nil)
	alice.sees(http.StatusOK, to, "Confirm with a passkey")
	alice.sends("/account/sessions/end-others", url.Values{}, "/login?return_to=%2Faccount&unsent=1")
	if got, _, to := alice.page("/login?return_to=%2F", nil); got != http.StatusSeeOther || to != "/" {
		t.Errorf("the login page with nothing to prove: %d to %q", got, to)
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{0: "just now", 59 * time.Second: "just now", 60 * time.Second: "a minute ago",
		59 * time.Minute: "59 minutes ago", 90 * time.Minute: "an hour ago", 23 * time.Hour: "23 hours ago", 24 * time.Hour: "yesterday", 72 * time.Hour: "3 days ago"} {
		if got := ago(now, now.Add(-d)); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := ago(now, time.Time{}); got != "never" {
		t.Errorf("never: %q", got)
	}
}

func TestAgentName(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36":                                   "Chrome on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14.1; rv:140.0) Gecko/20100101 Firefox/140.0":                                                     "Firefox on macOS",
		"curl/7.88.1": "curl",
		"":            "Another program",
	} {
		if got := agentName(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}
