package sessionhttp_test

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

// Writes come from the portal's own pages, or from clients that are no browsers.
func TestCrossOrigin(t *testing.T) {
	p := newPortal(t)
	p.page("/app", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") })
	b := p.person("alice")
	host := strings.TrimPrefix(p.origin, "https://")
	for _, c := range []struct {
		what         string
		origin, site string
		refused      bool
	}{
		{"no browser", "", "", false},
		{"own page", p.origin, "same-origin", false},
		{"own page, no referrer", "null", "same-origin", false},
		{"typed", "", "none", false},
		{"old browser", p.origin, "", false},
		{"other site", "https://evil.example", "cross-site", true},
		{"sibling", "https://sub.localhost", "same-site", true},
		{"own origin, cross-site", p.origin, "cross-site", true},
		{"own origin, same-site", p.origin, "same-site", true},
		{"cross-site alone", "", "cross-site", true},
		{"unknown site", "", "elsewhere", true},
		{"old browser, other site", "https://evil.example", "", true},
		{"old browser, sandboxed", "null", "", true},
		{"old browser, other port", "https://localhost:1", "", true},
		{"old browser, other scheme", "http://" + host, "", true},
		{"old browser, no origin", "localhost", "", true},
		{"old browser, user in it", "https://" + host + "@evil.example", "", true},
	} {
		edit := func(r *http.Request) {
			asJSON(r)
			for name, v := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site} {
				if v != "" {
					r.Header.Set(name, v)
				}
			}
		}
		for _, path := range []string{"/auth/cancel", "/app"} {
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
				got := b.send(method, path, strings.NewReader("{}"), edit)
				if c.refused {
					got.wants(403, sessionhttp.CodeCrossOrigin)
				} else if got.status == 403 || path == "/app" && string(got.body) != "in" {
					t.Errorf("%s: %s %s: %d %s", c.what, method, path, got.status, got.body)
				}
				if t.Failed() {
					t.Fatalf("%s: %s %s", c.what, method, path)
				}
			}
			if got := b.send("GET", path, nil, edit); got.status == 403 {
				t.Errorf("%s: reading %s: %d", c.what, path, got.status)
			}
		}
	}
}

// A handshake of another protocol is a GET that browsers send with cookies to any origin: it counts as a write.
func TestCrossOriginUpgrade(t *testing.T) {
	p := newPortal(t)
	p.page("/socket", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") })
	ask := func(more string) answer {
		return p.raw(nil, "GET /socket HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+more+"\r\n")
	}
	for _, own := range []string{"", "Origin: https://HOST\r\n", "Sec-Fetch-Site: same-origin\r\nOrigin: https://HOST\r\n"} {
		if got := ask(own); string(got.body) != "in" {
			t.Errorf("%q: %d %s", own, got.status, got.body)
		}
	}
	for _, other := range []string{"Origin: https://evil.example\r\n", "Origin: null\r\n", "Origin: http://HOST\r\n", "Sec-Fetch-Site: cross-site\r\n",
		"Sec-Fetch-Site: same-site\r\nOrigin: https://sub.localhost\r\n"} {
		ask(other).wants(403, sessionhttp.CodeCrossOrigin)
	}
}

func TestHosts(t *testing.T) {
	p := newPortal(t)
	p.page("/app", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") })
	for _, path := range []string{"/app", "/auth/session"} {
		for _, host := range []string{"evil.example", "localhost", "127.0.0.1:443", "HOST.evil.example", "evil.example:443", "HOST.", "LOCALHOST:1", "xHOST"} {
			p.raw(nil, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n").wants(400, sessionhttp.CodeBadRequest)
		}
		p.raw(nil, "GET "+path+" HTTP/1.0\r\n\r\n").wants(400, sessionhttp.CodeBadRequest)
		// What a header says of the host counts for nothing.
		p.raw(nil, "GET "+path+" HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: HOST\r\nForwarded: host=HOST\r\n\r\n").wants(400, sessionhttp.CodeBadRequest)
		// Hosts have no case (RFC 9110 section 4.2.3).
		host := strings.TrimPrefix(p.origin, "https://")
		for _, host := range []string{host, strings.ToUpper(host), "L" + host[1:]} {
			if got := p.browser(nil).send("GET", path, nil, func(r *http.Request) { r.Host = host }); got.status != 200 {
				t.Errorf("%s at %s: %d", path, host, got.status)
			}
		}
	}
}

// In other scripts there are letters whose small ones are ASCII. They make another host.
func TestHostsInOtherScripts(t *testing.T) {
	p := newPortal(t)
	must(t, p.engine.SetPolicy(p.policy("origin: "+p.origin, "origin: https://kiosk.example")))
	for host, want := range map[string]int{"KIOSK.EXAMPLE": 404, "\u212aiosk.example": 400, "k\u0130osk.example": 400} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/nothing", nil)
		r.Host = host
		p.router().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", host, w.Code, want)
		}
	}
}

// Operators learn at which host the portal was asked for, whatever a client writes there.
func TestForeignHostsAreLogged(t *testing.T) {
	p := newPortal(t)
	for host, want := range map[string]string{
		"evil.example:8443":         `level=WARN msg="a request for a host that no origin of the policy has" origins=`,
		"evil.example":              "host=evil.example\n",
		"":                          `host=""`,
		strings.Repeat("x", 10000):  "host=" + strings.Repeat("x", 100) + "\n",
		"a\nlevel=ERROR msg=forged": `host="a\\nlevel=ERROR msg=forged"`,
		"\u202e":                    `host=\u202e`,
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.Host = host
		p.router().ServeHTTP(w, r)
		if w.Code != 400 || !strings.Contains(p.log.String(), want) {
			t.Errorf("%.30q: %d, no %s", host, w.Code, want)
		}
	}
	if strings.Contains(p.log.String(), "\nlevel=ERROR") || strings.Contains(p.log.String(), strings.Repeat("x", 101)) {
		t.Error("a host writes the log")
	}
}

// Where a browser shows the answer it is a page that says what to do, under the same status.
func TestRefusalsAsPages(t *testing.T) {
	p := newPortal(t)
	b := p.browser(nil)
	const html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	cases := map[string]struct {
		line, more string
		status     int
		code       sessionhttp.Code
		says       []string
	}{
		"host":         {"GET /x?y HTTP/1.1\r\nHost: evil.example", "", 400, sessionhttp.CodeBadRequest, []string{p.origin + "/", "origins"}},
		"no host":      {"GET /x HTTP/1.0", "", 400, sessionhttp.CodeBadRequest, []string{p.origin + "/"}},
		"path":         {"GET /a%2fb HTTP/1.1\r\nHost: HOST", "", 400, sessionhttp.CodeBadRequest, []string{`href="/"`}},
		"dots":         {"GET /a/../b HTTP/1.1\r\nHost: HOST", "", 400, sessionhttp.CodeBadRequest, []string{`href="/"`}},
		"cross origin": {"POST /x HTTP/1.1\r\nHost: HOST", "Content-Length: 0\r\nSec-Fetch-Site: cross-site\r\n", 403, sessionhttp.CodeCrossOrigin, []string{`href="/"`, "another site"}},
	}
	for what, c := range cases {
		ask := func(accept string) answer {
			return p.raw(nil, c.line+"\r\n"+c.more+accept+"\r\n")
		}
		got := ask("Accept: " + html + "\r\n")
		if got.status != c.status || got.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(string(got.body), "<!doctype html>") {
			t.Errorf("%s: %d %s %s", what, got.status, got.header.Get("Content-Type"), got.body)
		}
		for _, text := range c.says {
			if !strings.Contains(string(got.body), text) {
				t.Errorf("%s: no %s in %s", what, text, got.body)
			}
		}
		for _, other := range []string{"evil", "<script", "<style", "style=", "src=", "sessionhttp"} { // nothing of the request's, nothing that the policy forbids
			if strings.Contains(string(got.body), other) {
				t.Errorf("%s: %s in %s", what, other, got.body)
			}
		}
		if got.header.Get("Cache-Control") != "no-store" || !strings.Contains(got.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %v", what, got.header)
		}
		for _, accept := range []string{"", "Accept: */*\r\n", "Accept: application/json\r\n"} {
			ask(accept).wants(c.status, c.code)
		}
	}
	if got := b.send("HEAD", "/a%2fb", nil, func(r *http.Request) { r.Header.Set("Accept", html) }); got.status != 400 || len(got.body) > 0 {
		t.Errorf("HEAD: %d %s", got.status, got.body)
	}
	// The portal's own origin is not for everyone to learn where it is a tenant's.
	must(t, p.engine.SetPolicy(p.policy("origin: "+p.origin, "origins: [{ origin: \"https://labs.example\", tenant: labs }]")))
	got := p.raw(nil, "GET / HTTP/1.1\r\nHost: evil.example\r\nAccept: text/html\r\n\r\n")
	if got.status != 400 || strings.Contains(string(got.body), "labs") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// A path that the policy and a router could read in different ways is refused before either does.
func TestPaths(t *testing.T) {
	p := newPortal(t)
	p.page("/a/b", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") })
	for _, path := range []string{"/a%2fb", "/a%2Fb", "/%2e%2e/a", "/a/%2E/b", "/a%5cb", "/a%00b", "/admin/..", "/admin/../a/b", "/admin/.", "/./admin/whoami", "/..",
		"/admin/../../a", "/a/%2e./b", "/admin/x/.."} {
		p.raw(nil, "GET "+path+" HTTP/1.1\r\nHost: HOST\r\n\r\n").wants(400, sessionhttp.CodeBadRequest)
	}
	for _, path := range []string{"/a/b", "/a/b?x=/../%2f", "/%61/b", "/.well-known/x", "/..a/b.", "/a/...", "/a./b"} {
		if got := p.raw(nil, "GET "+path+" HTTP/1.1\r\nHost: HOST\r\n\r\n"); got.status == 400 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// A floor of /admin/* binds whatever a router takes for a path below it.
func TestPathsAndFloors(t *testing.T) {
	p := newPortal(t)
	for _, path := range []string{"//admin/whoami", "/admin//whoami", "/admin/whoami/", "/%61dmin/whoami", "/admin/%77hoami"} {
		got := p.raw(nil, "GET "+path+" HTTP/1.1\r\nHost: HOST\r\n\r\n")
		if got.status != 401 && got.status != 404 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// Whatever a router takes for a path below /admin, the policy does too: other paths never get as far as a router.
func TestRoutersAndFloors(t *testing.T) {
	p := newPortal(t)
	var route string
	admin := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { route = sessionhttp.From(r.Context()).Request().Route })
	other := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	mux := http.NewServeMux()
	mux.Handle("/admin/", admin)
	mux.Handle("/admin", admin)
	mux.Handle("/", other)
	plain, clean, mounted := chi.NewRouter(), chi.NewRouter(), chi.NewRouter()
	clean.Use(middleware.CleanPath, middleware.StripSlashes)
	mounted.Mount("/admin", admin)
	mounted.Handle("/*", other)
	for _, r := range []chi.Router{plain, clean} {
		r.Handle("/admin", admin)
		r.Handle("/admin/*", admin)
		r.Handle("/*", other)
	}
	routers := map[string]http.Handler{"net/http": mux, "chi": plain, "chi that cleans": clean, "chi that mounts": mounted}
	for name, h := range routers {
		routers[name] = p.sessions.Middleware(h)
	}
	parts := []string{"/", "/", "/", "/", "admin", "admin", "admin", "..", "..", "/", "//", "admin", "Admin", "%61dmin", "admin/", "/admin", "a", "x", ".", "..", "%2e", "%2f", "%5c", "\\", ";", "?", "#", "%", "%25", "%2561dmin", "%00",
		"*", ":", "@", "https:", "localhost", "%C0%AF", "\xc0\xaf", "\uff41dmin", "%20", "+", "&"}
	random := rand.New(rand.NewPCG(1, 2))
	below := 0
	for range 10_000 {
		target := [...]string{"/", "/", "/", "", p.origin}[random.IntN(5)]
		for range 1 + random.IntN(6) {
			target += parts[random.IntN(len(parts))]
		}
		text := "GET " + target + " HTTP/1.1\r\nHost: " + strings.TrimPrefix(p.origin, "https://") + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			continue
		}
		for name, h := range routers {
			route = ""
			h.ServeHTTP(httptest.NewRecorder(), r.Clone(t.Context()))
			if route == "" {
				continue
			}
			below++
			if !policy.MatchRoute("/admin/*", route) {
				t.Errorf("%s takes %q to /admin, and the policy to %q", name, target, route)
			}
		}
	}
	if below < 500 {
		t.Errorf("%d requests get there: the test tests nothing", below)
	}
}

// Every answer tells browsers not to keep it, not to guess and not to frame it.
func TestHeaders(t *testing.T) {
	p := newPortal(t)
	b := p.signedIn("alice")
	p.guarded("/guarded", p.sessions.Require())
	p.page("/app", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") })
	answers := map[string]answer{
		"state":        b.get("/auth/session"),
		"problem":      b.get("/auth/nothing"),
		"method":       b.send("PUT", "/auth/session", nil, nil),
		"refused":      p.browser(nil).get("/guarded"),
		"page":         b.get("/app"),
		"no page":      b.get("/nothing"),
		"host":         p.raw(nil, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
		"path":         p.raw(nil, "GET /%2f HTTP/1.1\r\nHost: HOST\r\n\r\n"),
		"cross origin": b.send("POST", "/app", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }),
		"redirected": p.browser(nil).send("GET", "/guarded", nil, func(r *http.Request) {
			r.Header.Set("Accept", "text/html")
		}),
		"ended": b.do("POST", "/auth/logout", nil),
	}
	for what, a := range answers {
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Strict-Transport-Security": "max-age=31536000"} {
			if got := a.header[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q", what, name, got)
			}
		}
		if csp := a.header["Content-Security-Policy"]; len(csp) != 1 || !strings.Contains(csp[0], "frame-ancestors 'none'") {
			t.Errorf("%s: Content-Security-Policy is %q", what, csp)
		}
	}
}

// A handler may say otherwise of its own pages, but an answer that carries the cookie is kept by nobody.
func TestHeadersOfTheApplication(t *testing.T) {
	p := newPortal(t)
	p.page("/asset", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "max-age=60") })
	p.page("/put", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		p.sessions.Values.Put(r.Context(), "k", "v")
	})
	b := p.browser(nil)
	if got := b.get("/asset").header.Get("Cache-Control"); got != "max-age=60" {
		t.Errorf("an asset: %s", got)
	}
	got := b.get("/put")
	got.wantCookie()
	if c := got.header.Get("Cache-Control"); c != "no-store" {
		t.Errorf("with a cookie: %s", c)
	}
}

// Where somebody else ends TLS, browsers are told all the same to come back over TLS.
func TestHeadersBehindATerminator(t *testing.T) {
	p := newPortal(t)
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/nothing", nil)
	r.Host = strings.TrimPrefix(p.origin, "https://")
	p.router().ServeHTTP(w, r)
	if w.Header().Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security")
	}
}

func TestLocalPath(t *testing.T) {
	for _, good := range []string{"/", "/a", "/a/b?c=d&e=https://x", "/a#b", "/a:b", "/?//x", "/a//b", "/ä", "/a%20b"} {
		if !sessionhttp.LocalPath(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"", "a", "//evil.example", "///evil.example", "/\\evil.example", "\\/evil.example", "https://evil.example", "HTTPS:evil.example",
		"javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "\t//evil.example", " //evil.example", "/%0d%0aSet-Cookie:x", "/%00",
		"/./\\evil.example", "/..//evil.example", "/.//evil.example", "/a/..//evil.example", "/a\x00", "/a\x7fb", "/%zz", "/%2f/evil.example",
		"/%5cevil.example", "http:/evil.example", "?x", "#x", "/" + strings.Repeat("a", 2048)} {
		if sessionhttp.LocalPath(bad) {
			t.Errorf("%q is let by", bad)
		}
	}
}

// A login remembers where to return to only if that is a path here.
func TestReturnTo(t *testing.T) {
	p := newPortal(t)
	b := p.person("alice")
	b.want(200, "POST", "/auth/login", map[string]any{"return_to": "/admin/whoami?x=1"})
	for _, bad := range []string{"//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/a/..//evil.example"} {
		b.do("POST", "/auth/login", map[string]any{"return_to": bad}).wants(400, sessionhttp.CodeBadRequest)
	}
}
