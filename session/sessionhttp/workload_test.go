package sessionhttp_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

// withJobs adds to the policy of a portal a factor that names programs, and their methods.
var withJobs = slices.Clip([]string{
	"  passkey:    { kind: fido2 }\n", `  job-cert:   { kind: mtls, anchors: [kiosks], identify: [{ from: subject.cn, pattern: "{user}", tenant: corp }], principal: workload }
  sensor:     { kind: mtls, anchors: [kiosks], identify: [{ from: subject.cn, pattern: "{user}", tenant: corp }], principal: device }
  passkey:    { kind: fido2 }
`,
	"  attendant: {", `  job:       { steps: [job-cert], session: { idle: 1h, absolute: 8h } }
  cron:      { steps: [job-cert], each_request: true }
  reading:   { steps: [sensor], each_request: true }
  call:      { steps: [device], each_request: true }
  attendant: {`,
	"  - { methods: [admin] }\n", "  - { route: /jobs/*, methods: [job, cron] }\n  - { route: /readings/*, methods: [reading] }\n  - { route: /calls/*, methods: [call] }\n  - { methods: [admin] }\n",
})

func withWorkloads(t *testing.T) *portal {
	t.Helper()
	p := newPortal(t)
	must(t, p.engine.SetPolicy(p.policy(withJobs...)))
	return p
}

const docJob = `{"tenant":"corp","user":"backup","class":"workload","method":"job","factors":[{"name":"job-cert","kind":"mtls","at":"TIME"}],"amr":["swk"],"aal":1,"phishing_resistant":true,"authenticated_at":"TIME","expires_at":"TIME"}`

// What a workload's session looks like, and what it is refused.
func TestContractOfAWorkload(t *testing.T) {
	p := withWorkloads(t)
	p.guarded("/jobs/x", p.sessions.RequireWorkload())
	b := p.person("backup")
	b.do("POST", "/auth/login", map[string]any{"method": "job", "return_to": "/jobs/x"}).wantGolden(`{"state":"authenticated","principal":` + docJob + `}`)
	b.do("GET", "/auth/session", nil).wantGolden(`{"state":"authenticated","principal":` + docJob + `}`)
	b.get("/jobs/x").wantIn()

	code := p.invite("bob")
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/auth/step-up", map[string]any{"factors": []string{"passkey"}}},
		{"POST", "/auth/step-up", map[string]any{"aal": 2}},
		{"POST", "/auth/credentials/passkey/challenge", nil},
		{"GET", "/auth/credentials", nil},
		{"GET", "/auth/sessions", nil},
		{"POST", "/auth/invitations/redeem", map[string]any{"code": code}},
		{"POST", "/auth/login", map[string]any{"method": "attendant"}},
		{"POST", "/auth/factors/passkey/challenge", nil},
	} {
		if got := b.do(c.method, c.path, c.body); got.status < 400 {
			t.Errorf("%s %s: %d %s", c.method, c.path, got.status, got.body)
		}
		b.do("GET", "/auth/session", nil).wantGolden(`{"state":"authenticated","principal":` + docJob + `}`)
	}
	b.want(204, "POST", "/auth/logout", nil)
	b.get("/jobs/x").wants(401, sessionhttp.CodeNotAuthenticated)
}

// Each request by itself: whoever is named passes the guard of their class, and no other.
func TestEachRequestOfAWorkload(t *testing.T) {
	p := withWorkloads(t)
	guards := map[string]func(http.Handler) http.Handler{"person": p.sessions.RequireEach(), "device": p.sessions.RequireEachDevice(), "workload": p.sessions.RequireEachWorkload()}
	routes := map[string]string{"person": "/calls/", "device": "/readings/", "workload": "/jobs/"}
	browsers := map[string]*browser{"person": p.person("alice"), "device": p.person("lobby"), "workload": p.person("backup")}
	for guard, g := range guards {
		for _, route := range routes {
			p.guarded(route+guard, g)
		}
	}
	for class, b := range browsers {
		for guard := range guards {
			got := b.get(routes[class] + guard)
			if class == guard {
				got.wantIn()
			} else {
				got.wants(401, sessionhttp.CodeNotAuthenticated)
			}
			if got.header.Get("Set-Cookie") != "" {
				t.Errorf("%s at %s: a cookie", class, guard)
			}
		}
	}
	// A certificate of the right authority that names nobody of the class is as good as none.
	browsers["device"].get("/jobs/workload").wants(401, sessionhttp.CodeInvalidCredential)
	browsers["workload"].get("/readings/device").wants(401, sessionhttp.CodeInvalidCredential)
	p.page("/jobs/who", p.sessions.RequireEachWorkload()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, person := sessionhttp.Principal(r.Context()); person {
			t.Error("a person is there")
		}
		who, ok := sessionhttp.Workload(r.Context())
		if d := sessionhttp.PrincipalOf(who); ok {
			_, _ = w.Write([]byte(strings.Join([]string{d.Tenant, d.User, d.Class, d.Method}, " ")))
		}
	})).ServeHTTP)
	if got := browsers["workload"].get("/jobs/who"); string(got.body) != "corp backup workload cron" {
		t.Errorf("it is %q", got.body)
	}
	// From the next request on.
	must(t, p.engine.Operate("corp").SetStatus(t.Context(), p.users["backup"].ID, session.Suspended))
	browsers["workload"].get("/jobs/workload").wants(401, sessionhttp.CodeInvalidCredential)
}
