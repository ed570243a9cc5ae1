package sessionhttp_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

func (a answer) wantIn() {
	a.t.Helper()
	if a.status != 200 || string(a.body) != "in" {
		a.t.Errorf("%d %s, want in", a.status, a.body)
	}
}

// Who passes which guard.
func TestGuards(t *testing.T) {
	p := newPortal(t)
	must(t, p.engine.SetPolicy(p.policy(append(withJobs, "  - { route: /badge/*, methods: [admin, badge] }\n", "",
		"methods: [kiosk, attendant] }", "methods: [admin, badge, kiosk, job, attendant] }")...)))
	need := func(needs ...sessionhttp.Need) func(http.Handler) http.Handler { return p.sessions.Require(needs...) }
	guards := map[string]func(http.Handler) http.Handler{
		"person":         need(),
		"floor":          need(sessionhttp.Floor("admin")),
		"no such floor":  need(sessionhttp.Floor("nothing")),
		"floor unnamed":  need(sessionhttp.Floor("")),
		"aal":            need(sessionhttp.Meet(authn.Requirement{AAL: 2})),
		"method admin":   need(sessionhttp.Method("admin")),
		"method kiosk":   need(sessionhttp.Method("kiosk")),
		"tenant":         need(sessionhttp.Tenant("corp")),
		"another tenant": need(sessionhttp.Tenant("labs")),
		"no tenant":      need(sessionhttp.Tenant("")),
		"certificate":    need(sessionhttp.Certificate()),
		"fresh":          need(sessionhttp.MaxAge("passkey", 10*time.Minute)),
		"fresh, any":     need(sessionhttp.MaxAge("", 10*time.Minute)),
		"both":           need(sessionhttp.Floor("admin"), sessionhttp.Tenant("labs")),
		"method job":     need(sessionhttp.Method("job")),
		"device":         p.sessions.RequireDevice(),
		"workload":       p.sessions.RequireWorkload(),
	}
	for name, g := range guards {
		p.guarded("/kiosk/"+strings.ReplaceAll(name, " ", "_"), g)
	}
	alice := p.signedIn("alice")
	badge := p.person("bob")
	badge.want(200, "POST", "/auth/login", map[string]any{"method": "badge"})
	device := p.person("lobby")
	device.want(200, "POST", "/auth/login", map[string]any{"method": "kiosk"})
	job := p.person("backup")
	job.want(200, "POST", "/auth/login", map[string]any{"method": "job"})
	above := p.person("lobby")
	above.auth = alice.auth
	above.want(200, "POST", "/auth/login", map[string]any{"method": "kiosk"})
	above.want(200, "POST", "/auth/login", map[string]any{"method": "attendant"})
	above.answer(200)
	halfway := p.person("alice")
	halfway.want(200, "POST", "/auth/login", nil)
	browsers := map[string]*browser{"guest": p.person("alice"), "halfway": halfway, "alice": alice, "badge": badge, "device": device, "above": above, "workload": job}

	const (
		in        = sessionhttp.Code("in")
		nobody    = sessionhttp.CodeNotAuthenticated
		more      = sessionhttp.CodeInsufficient
		forbidden = sessionhttp.CodeForbidden
		cert      = sessionhttp.CodeCertificateRequired
	)
	for name, want := range map[string]map[string]sessionhttp.Code{
		"person":         {"alice": in, "badge": in, "above": in},
		"floor":          {"alice": in, "badge": more, "above": in},
		"no such floor":  {"alice": forbidden, "badge": forbidden, "above": forbidden},
		"floor unnamed":  {"alice": forbidden, "badge": forbidden, "above": forbidden},
		"aal":            {"alice": in, "badge": more, "above": in},
		"method admin":   {"alice": in, "badge": forbidden, "above": forbidden},
		"method kiosk":   {"alice": forbidden, "badge": forbidden, "above": forbidden}, // a device is no person
		"tenant":         {"alice": in, "badge": in, "above": in},
		"another tenant": {"alice": forbidden, "badge": forbidden, "above": forbidden},
		"no tenant":      {"alice": forbidden, "badge": forbidden, "above": forbidden},
		"certificate":    {"alice": in, "badge": in, "above": cert},
		"fresh":          {"alice": in, "badge": more, "above": in},
		"fresh, any":     {"alice": in, "badge": more, "above": in}, // ambient evidence is never fresh
		"both":           {"alice": forbidden, "badge": more, "above": forbidden},
		"method job":     {"alice": forbidden, "badge": forbidden, "above": forbidden}, // nor is a workload
		"device":         {"device": in, "above": in},
		"workload":       {"workload": in},
	} {
		for who, b := range browsers {
			code, ok := want[who]
			if !ok {
				code = nobody
			}
			got := b.get("/kiosk/" + strings.ReplaceAll(name, " ", "_"))
			switch code {
			case in:
				got.wantIn()
			case forbidden, cert:
				got.wants(403, code)
			default:
				got.wants(401, code)
			}
			if t.Failed() {
				t.Fatalf("%s at %q", who, name)
			}
		}
	}
}

// Age is counted from the interactive proof, and a step-up renews it.
func TestGuardMaxAge(t *testing.T) {
	p := newPortal(t)
	p.guarded("/fresh", p.sessions.Require(sessionhttp.MaxAge("passkey", 5*time.Minute)))
	p.guarded("/device", p.sessions.Require(sessionhttp.MaxAge("device", 5*time.Minute)))
	b := p.signedIn("alice")
	b.get("/device").wantIn() // verified with every request
	p.wait(5 * time.Minute)
	b.get("/fresh").wantIn()
	p.wait(time.Second)
	got := b.get("/fresh")
	got.wants(401, sessionhttp.CodeInsufficient)
	if h := got.header.Get("WWW-Authenticate"); h != `Bearer error="insufficient_user_authentication", max_age="300"` {
		t.Errorf("WWW-Authenticate: %s", h)
	}
	b.post("/auth/step-up", string(raw(t, got.json()["step_up"])))
	b.get("/fresh").wants(401, sessionhttp.CodeInsufficient) // it is not complete
	b.answer(200)
	b.get("/fresh").wantIn()
}

// A browser that asked for a page is sent to the login page, anybody else gets the problem.
func TestGuardSendsBrowsersToTheLoginPage(t *testing.T) {
	p := newPortal(t)
	must(t, p.engine.SetPolicy(p.policy("methods: [admin] }\nfloors", "methods: [badge, admin] }\nfloors")))
	p.guarded("/page", p.sessions.Require(sessionhttp.Floor("admin")))
	p.guarded("/old", p.sessions.Require(sessionhttp.MaxAge("passkey", time.Minute)))
	p.guarded("/closed", p.sessions.Require(sessionhttp.Tenant("labs")))
	const html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	ask := func(b *browser, method, path, accept string) answer {
		return b.send(method, path, nil, func(r *http.Request) { r.Header.Set("Accept", accept) })
	}
	redirected := func(a answer, to url.Values) {
		t.Helper()
		if a.status != 303 || a.header.Get("Location") != "/login?"+to.Encode() {
			t.Errorf("%d %s, want 303 /login?%s", a.status, a.header.Get("Location"), to.Encode())
		}
		a.wantNoCookie()
	}
	guest, badge := p.person("alice"), p.person("bob")
	badge.want(200, "POST", "/auth/login", map[string]any{"method": "badge"})
	redirected(ask(guest, "GET", "/page?a=b&c=//d", html), url.Values{"return_to": {"/page?a=b&c=//d"}})
	redirected(ask(guest, "HEAD", "/page", html), url.Values{"return_to": {"/page"}})
	redirected(ask(badge, "GET", "/page", html), url.Values{"return_to": {"/page"}, "need": {"admin"}})
	redirected(ask(badge, "GET", "/old", html), url.Values{"return_to": {"/old"}})
	for _, accept := range []string{"application/json", "*/*", "", "application/problem+json"} {
		ask(guest, "GET", "/page", accept).wants(401, sessionhttp.CodeNotAuthenticated)
		ask(badge, "GET", "/page", accept).wants(401, sessionhttp.CodeInsufficient)
	}
	ask(guest, "POST", "/page", html).wants(401, sessionhttp.CodeNotAuthenticated)
	ask(badge, "GET", "/closed", html).wants(403, sessionhttp.CodeForbidden) // signing in would not help
	if got := ask(guest, "HEAD", "/page", ""); got.status != 401 || len(got.body) > 0 {
		t.Errorf("HEAD: %d %q", got.status, got.body)
	}

	plain, err := sessionhttp.New(p.engine, sessionhttp.Config{})
	must(t, err)
	p.guarded("/page", plain.Require())
	ask(guest, "GET", "/page", html).wants(401, sessionhttp.CodeNotAuthenticated)
}

// What the policy says of a route binds, whatever the guard asks, and from the next request on.
func TestGuardsAndThePolicy(t *testing.T) {
	p := newPortal(t)
	for _, path := range []string{"/admin/x", "/badge/x", "/kiosk/x", "/x"} {
		p.guarded(path, p.sessions.Require())
	}
	alice := p.signedIn("alice")
	badge := p.person("bob")
	badge.want(200, "POST", "/auth/login", map[string]any{"method": "badge"})
	alice.get("/admin/x").wantIn()
	alice.get("/badge/x").wantIn()
	badge.get("/badge/x").wantIn()
	// A method that is not on offer for the route counts for nothing there.
	badge.get("/x").wants(401, sessionhttp.CodeNotAuthenticated)
	badge.get("/admin/x").wants(401, sessionhttp.CodeNotAuthenticated)
	alice.get("/kiosk/x").wants(401, sessionhttp.CodeNotAuthenticated)

	// A floor for the route, from the next request on.
	must(t, p.engine.SetPolicy(p.policy("limits:", "  - { name: badge, route: /badge/*, aal: 2 }\nlimits:")))
	got := badge.get("/badge/x")
	got.wants(401, sessionhttp.CodeInsufficient)
	if string(raw(t, got.json()["step_up"])) != `{"aal":2}` {
		t.Errorf("step_up: %s", got.body)
	}
	alice.get("/badge/x").wantIn()
	// A floor that a live session no longer meets.
	p.wait(2 * time.Minute)
	must(t, p.engine.SetPolicy(p.policy("aal: 2, phishing_resistant: true }", "aal: 2, max_age: 1m }")))
	alice.get("/admin/x").wants(401, sessionhttp.CodeInsufficient)
	alice.get("/x").wantIn()
	// A method taken away.
	must(t, p.engine.SetPolicy(p.policy("methods: [admin, badge] }", "methods: [admin] }")))
	badge.get("/badge/x").wants(401, sessionhttp.CodeNotAuthenticated)
	alice.get("/badge/x").wantIn()
	// And given back: nothing was lost meanwhile.
	must(t, p.engine.SetPolicy(p.policy()))
	badge.get("/badge/x").wantIn()
	alice.get("/admin/x").wantIn()
}

// A suspended user is out at once.
func TestGuardAfterSuspension(t *testing.T) {
	p := newPortal(t)
	p.guarded("/x", p.sessions.Require())
	b := p.signedIn("alice")
	b.get("/x").wantIn()
	must(t, p.engine.Operate("corp").SetStatus(t.Context(), p.users["alice"].ID, session.Suspended))
	b.get("/x").wants(401, sessionhttp.CodeNotAuthenticated)
}

// A guard without Middleware lets nobody pass, and says why to operators. So does the router of the contract.
func TestGuardWithoutMiddleware(t *testing.T) {
	p := newPortal(t)
	reached := false
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })
	for name, h := range map[string]http.Handler{"guard": p.sessions.Require()(next), "device": p.sessions.RequireDevice()(next), "workload": p.sessions.RequireWorkload()(next), "router": p.sessions.Handler()} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/session", nil))
		var doc struct{ Code sessionhttp.Code }
		must(t, json.Unmarshal(w.Body.Bytes(), &doc))
		if w.Code != 503 || doc.Code != sessionhttp.CodeUnavailable || reached {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if !strings.Contains(p.log.String(), "without Middleware") {
		t.Error("operators do not learn of it")
	}
	if _, ok := sessionhttp.Principal(t.Context()); ok || sessionhttp.From(t.Context()) != nil {
		t.Error("somebody is there without Middleware")
	}
}

// A guard that names a floor which is not there says so to operators, once for each policy, and lets nobody in.
func TestGuardWithAFloorThatIsNotThere(t *testing.T) {
	p := newPortal(t)
	p.guarded("/page", p.sessions.Require(sessionhttp.Floor("admn")))
	b := p.signedIn("alice")
	logged := func(want int) {
		t.Helper()
		const line = `level=ERROR msg="a guard asks for a floor that the policy does not have: nobody passes" floor=admn route=/page`
		if n := strings.Count(p.log.String(), line); n != want {
			t.Errorf("%d lines, want %d: %s", n, want, p.log)
		}
	}
	p.person("bob").get("/page").wants(401, sessionhttp.CodeNotAuthenticated)
	logged(0)
	for range 3 {
		b.get("/page").wants(403, sessionhttp.CodeForbidden)
	}
	logged(1)
	must(t, p.engine.SetPolicy(p.policy("name: admin, route", "name: admn, route")))
	b.get("/page").wantIn()
	must(t, p.engine.SetPolicy(p.policy()))
	for range 3 {
		b.get("/page").wants(403, sessionhttp.CodeForbidden)
	}
	logged(2)
}

// Without the middleware that reads certificates nobody can sign in with one. Operators learn what is missing, once.
func TestGuardWithoutCertificates(t *testing.T) {
	p := newPortal(t)
	cert := p.certificate("alice")
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	must(t, err)
	login := func(s *sessionhttp.Sessions, presented bool, before func(http.Handler) http.Handler) int {
		r := httptest.NewRequest("POST", p.origin+"/login", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
		if presented {
			r.TLS.PeerCertificates = []*x509.Certificate{leaf}
		}
		w := httptest.NewRecorder()
		before(s.Middleware(s.Handler())).ServeHTTP(w, r)
		return w.Code
	}
	bare, middleware := func(h http.Handler) http.Handler { return h }, mtls.Middleware(mtls.FromTLS())
	const (
		unread   = `level=WARN msg="a client certificate came with the connection and was not read: mtls.Middleware must stand before Middleware"`
		unasked  = `level=WARN msg="a client certificate is required, and no request has carried one so far`
		required = http.StatusForbidden
	)
	for _, c := range []struct {
		what      string
		policy    *policy.Policy
		presented bool
		before    func(http.Handler) http.Handler
		status    int
		warning   string
	}{
		{"read", p.policy(), true, middleware, 200, ""},
		{"not read", p.policy(), true, bare, required, unread},
		{"not sent, not read", p.policy(), false, bare, required, unasked},
		{"not sent", p.policy(), false, middleware, required, unasked},
		{"not used", p.policy("admin:     { steps: [device, passkey]", "admin:     { steps: [passkey]", "  device:     { kind: mtls, anchors: [staff], identify: [{ from: subject.cn, pattern: \"{user}\", tenant: corp }] }\n", "",
			"  badge:     { steps: [device], session: { idle: 15m, absolute: 8h } }\n", "", "[admin, badge]", "[admin]",
			"  kiosk-cert: { kind: mtls, anchors: [kiosks], identify: [{ from: subject.cn, pattern: \"{user}\", tenant: corp }], principal: device }\n", "",
			"  kiosk:     { steps: [kiosk-cert], session: { idle: 12h, absolute: 24h } }\n", "", "  attendant: { steps: [passkey], on: kiosk, session: { idle: 5m, absolute: 1h } }\n", "",
			"  - { route: /kiosk/*, methods: [kiosk, attendant] }\n", ""), true, bare, 200, ""},
	} {
		log := &logged{}
		engine, err := session.New(session.Config{Policy: c.policy, Kinds: kinds(), Store: p.store, Log: slog.New(slog.NewTextHandler(log, nil))})
		must(t, err)
		s, err := sessionhttp.New(engine, sessionhttp.Config{})
		must(t, err)
		for range 3 {
			if got := login(s, c.presented, c.before); got != c.status {
				t.Errorf("%s: %d", c.what, got)
			}
		}
		want := 1
		if c.warning == "" {
			want = 0
		}
		if n := strings.Count(log.String(), "WARN msg=\"a client certificate"); n != want || !strings.Contains(log.String(), c.warning) {
			t.Errorf("%s: %d warnings in %s", c.what, n, log)
		}
	}
	// Somebody who has none is nothing to wonder at where others have.
	p.signedIn("alice")
	p.browser(nil).post("/auth/login", "{}").wants(403, sessionhttp.CodeCertificateRequired)
	if strings.Contains(p.log.String(), "msg=\"a client certificate") {
		t.Errorf("%s", p.log)
	}
}

func TestNew(t *testing.T) {
	if _, err := sessionhttp.New(nil, sessionhttp.Config{}); err == nil {
		t.Error("New without an engine works")
	}
	p := newPortal(t)
	for _, page := range []string{"login", "//evil.example", "https://evil.example/login", "/login?x", "/login#x", "/\\x"} {
		if _, err := sessionhttp.New(p.engine, sessionhttp.Config{LoginPage: page}); err == nil {
			t.Errorf("%q is a login page", page)
		}
	}
}

// Nothing that opens anything is in the log.
func TestNothingSecretInTheLog(t *testing.T) {
	p := newPortal(t)
	code := p.invite("alice")
	b := p.person("alice")
	b.enrol(code)
	b.want(200, "POST", "/auth/login", nil)
	secrets := []string{code, b.cookie()}
	b.answer(200)
	secrets = append(secrets, b.cookie())
	b.get("/auth/sessions")
	b.want(204, "POST", "/auth/logout", nil)
	log := p.log.String()
	if !strings.Contains(log, "login.finished") || !strings.Contains(log, slog.LevelInfo.String()) {
		t.Fatalf("the log holds nothing: %s", log)
	}
	for _, s := range secrets {
		for _, part := range strings.Split(s, ".") {
			if strings.Contains(log, part) {
				t.Errorf("%q is in the log", part)
			}
		}
	}
}
