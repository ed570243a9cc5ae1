package sessionhttp_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

var (
	anyTime = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`)
	anyID   = regexp.MustCompile(`"id":"[A-Za-z0-9_-]+"`)
	anyKey  = regexp.MustCompile(`"publicKey":\{.*\}`)
	address = regexp.MustCompile(`"source":"127\.0\.0\.1"`)
)

// golden is the body with what differs in each run replaced.
func (a answer) golden() string {
	s := anyTime.ReplaceAllString(string(a.body), `"TIME"`)
	s = anyID.ReplaceAllString(s, `"id":"ID"`)
	s = address.ReplaceAllString(s, `"source":"ADDRESS"`)
	return strings.TrimSuffix(anyKey.ReplaceAllString(s, `"publicKey":{}}`), "\n")
}

func (a answer) wantGolden(want string) {
	a.t.Helper()
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		a.t.Errorf("%d %s %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	if got := a.golden(); got != want {
		a.t.Errorf("got  %s\nwant %s", got, want)
	}
}

const (
	docGuest      = `{"state":"guest"}`
	docPending    = `{"state":"pending","workflow":"enrol","tenant":"corp","user":"alice","factors":["passkey"],"expires_at":"TIME"}`
	docLogin      = `{"state":"authenticating","login":{"method":"admin","tenant":"corp","user":"alice","done":["device"],"next":["passkey"],"expires_at":"TIME"}}`
	docEvidence   = `{"name":"device","kind":"mtls","at":"TIME"},{"name":"passkey","kind":"fido2","at":"TIME"}`
	docPrincipal  = `{"tenant":"corp","user":"alice","method":"admin","factors":[` + docEvidence + `],"amr":["swk","hwk","user","mfa"],"aal":2,"phishing_resistant":true,"authenticated_at":"TIME","expires_at":"TIME"}`
	docSignedIn   = `{"state":"authenticated","principal":` + docPrincipal + `}`
	docStepUp     = `{"state":"authenticated","principal":` + docPrincipal + `,"step_up":{"next":["passkey"],"expires_at":"TIME"}}`
	docAsked      = `{"factor":"passkey","kind":"fido2","expires_at":"TIME","publicKey":{}}`
	docMade       = `{"id":"ID","factor":"passkey","kind":"fido2","name":"laptop","created_at":"TIME"}`
	docCredential = `{"credentials":[{"id":"ID","factor":"passkey","kind":"fido2","name":"laptop","created_at":"TIME","last_used_at":"TIME"}]}`
	docSession    = `{"sessions":[{"id":"ID","current":true,"method":"admin","created_at":"TIME","last_seen_at":"TIME","expires_at":"TIME","client":{"source":"ADDRESS","agent":"golden"}}]}`
)

// The contract from end to end, every document to the letter.
func TestContract(t *testing.T) {
	p := newPortal(t)
	b := p.person("alice")
	call := func(method, path, body string) answer {
		t.Helper()
		return b.send(method, path, strings.NewReader(body), func(r *http.Request) {
			asJSON(r)
			r.Header.Set("User-Agent", "golden")
		})
	}
	b.get("/auth/session").wantGolden(docGuest)
	call("POST", "/auth/invitations/redeem", `{"code":"`+p.invite("alice")+`"}`).wantGolden(docPending)
	asked := call("POST", "/auth/credentials/passkey/challenge", "")
	asked.wantGolden(docAsked)
	made, err := b.auth.Create(raw(t, asked.json()["publicKey"]))
	must(t, err)
	call("POST", "/auth/credentials/passkey/verify", `{"credential":`+string(made)+`,"name":"laptop"}`).wantGolden(docMade)
	b.get("/auth/session").wantGolden(docGuest)

	call("POST", "/auth/login", "").wantGolden(docLogin)
	b.get("/auth/session").wantGolden(docLogin)
	call("POST", "/auth/cancel", "").wantGolden(docGuest)
	call("POST", "/auth/login", `{"method":"admin","tenant":"corp","user":"alice","return_to":"/admin/whoami"}`).wantGolden(docLogin)
	asked = call("POST", "/auth/factors/passkey/challenge", "{}")
	asked.wantGolden(docAsked)
	got, err := b.auth.Get(raw(t, asked.json()["publicKey"]))
	must(t, err)
	call("POST", "/auth/factors/passkey/verify", `{"credential":`+string(got)+`}`).wantGolden(docSignedIn)
	b.get("/auth/session").wantGolden(docSignedIn)
	if who := b.get("/admin/whoami"); who.golden() != docPrincipal {
		t.Errorf("whoami: %s", who.body)
	}

	call("POST", "/auth/step-up", `{"factors":["passkey"],"aal":2,"phishing_resistant":true,"max_age":300}`).wantGolden(docStepUp)
	b.get("/auth/session").wantGolden(docStepUp)
	call("POST", "/auth/cancel", "").wantGolden(docSignedIn)
	call("POST", "/auth/step-up", `{"max_age":0}`).wantGolden(docStepUp)
	call("POST", "/auth/factors/passkey/verify", `{"credential":`+string(b.assertion())+`}`).wantGolden(strings.Replace(docSignedIn, docEvidence,
		docEvidence+`,{"name":"passkey","kind":"fido2","at":"TIME"}`, 1))

	call("GET", "/auth/credentials", "").wantGolden(docCredential)
	call("GET", "/auth/sessions", "").wantGolden(docSession)
	id := b.get("/auth/credentials").json()["credentials"].([]any)[0].(map[string]any)["id"].(string)
	call("DELETE", "/auth/credentials/"+id, "").wants(409, sessionhttp.CodeConflict) // the last
	second := b.addPasskey("phone")["id"].(string)
	wantNothing(t, call("PATCH", "/auth/credentials/"+second, `{"name":"telephone"}`))
	wantNothing(t, call("DELETE", "/auth/credentials/"+second, ""))
	wantNothing(t, call("DELETE", "/auth/sessions", ""))
	wantNothing(t, call("POST", "/auth/logout", ""))
	b.get("/auth/session").wantGolden(docGuest)
}

func wantNothing(t *testing.T, a answer) {
	t.Helper()
	if a.status != 204 || len(a.body) > 0 {
		t.Errorf("%d %s, want 204 and nothing", a.status, a.body)
	}
}

// A kiosk's device stays when the person above it signs out.
func TestContractOnAKiosk(t *testing.T) {
	p := newPortal(t)
	must(t, p.engine.SetPolicy(p.policy("  - { route: /badge/*, methods: [admin, badge] }\n", "")))
	alice := p.person("alice")
	alice.enrol(p.invite("alice"))
	b := p.person("lobby")
	b.auth = alice.auth
	device := `{"tenant":"corp","user":"lobby","class":"device","method":"kiosk","factors":[{"name":"kiosk-cert","kind":"mtls","at":"TIME"}],"amr":["swk"],"aal":1,"phishing_resistant":true,"authenticated_at":"TIME","expires_at":"TIME"}`
	alone := `{"state":"authenticated","principal":` + device + `}`
	b.do("POST", "/auth/login", map[string]any{"method": "kiosk"}).wantGolden(alone)
	b.do("POST", "/auth/login", map[string]any{"method": "attendant"}).wantGolden(`{"state":"authenticated","login":{"method":"attendant","tenant":"corp","done":[],"next":["passkey"],"expires_at":"TIME"},"principal":` + device + `}`)
	b.do("POST", "/auth/cancel", nil).wantGolden(alone)
	b.want(200, "POST", "/auth/login", nil) // above a device, what a person wants is to sign in on it
	b.do("POST", "/auth/factors/passkey/verify", map[string]any{"credential": b.assertion()}).wantGolden(`{"state":"authenticated","principal":{"tenant":"corp","user":"alice","method":"attendant","factors":[{"name":"passkey","kind":"fido2","at":"TIME"}],"amr":["hwk","user","mfa"],"aal":2,"phishing_resistant":true,"authenticated_at":"TIME","expires_at":"TIME"},"device":` + device + `}`)
	wantNothing(t, b.do("POST", "/auth/logout", nil))
	b.get("/auth/session").wantGolden(alone)
	b.want(200, "POST", "/auth/invitations/redeem", map[string]any{"code": p.invite("bob")})
	b.get("/auth/session").wantGolden(`{"state":"authenticated","principal":` + device + `,"onboarding":{"workflow":"enrol","user":"bob","factors":["passkey"],"expires_at":"TIME"}}`)
	b.addPasskey("bob's")
	b.get("/auth/session").wantGolden(alone)
}

// The challenges are what browsers parse.
func TestContractPublicKey(t *testing.T) {
	p := newPortal(t)
	b := p.person("alice")
	b.want(200, "POST", "/auth/invitations/redeem", map[string]any{"code": p.invite("alice")})
	made := b.want(200, "POST", "/auth/credentials/passkey/challenge", nil)["publicKey"].(map[string]any)
	for _, member := range []string{"challenge", "rp", "user", "pubKeyCredParams"} {
		if made[member] == nil {
			t.Errorf("creation options without %s", member)
		}
	}
	b.addPasskey("x")
	b.want(200, "POST", "/auth/login", nil)
	asked := b.want(200, "POST", "/auth/factors/passkey/challenge", nil)["publicKey"].(map[string]any)
	if asked["challenge"] == nil || asked["rpId"] != "localhost" || asked["publicKey"] != nil {
		t.Errorf("request options: %v", asked)
	}
}

// What a caller may not do is answered with the code of the contract.
func TestCodes(t *testing.T) {
	p := newPortal(t)
	b := p.signedIn("alice")
	bare, guest, halfway := p.browser(nil), p.person("alice"), p.person("alice")
	halfway.want(200, "POST", "/auth/login", nil)
	pending := p.person("bob")
	pending.want(200, "POST", "/auth/invitations/redeem", map[string]any{"code": p.invite("bob")})
	for _, c := range []struct {
		who          *browser
		method, path string
		body         any
		status       int
		code         sessionhttp.Code
	}{
		{bare, "POST", "/auth/login", nil, 403, sessionhttp.CodeCertificateRequired},
		{bare, "POST", "/auth/invitations/redeem", map[string]any{"code": "x"}, 403, sessionhttp.CodeCertificateRequired},
		{p.person("mallory"), "POST", "/auth/login", nil, 401, sessionhttp.CodeInvalidCredential},
		{guest, "POST", "/auth/login", map[string]any{"method": "nothing"}, 403, sessionhttp.CodeForbidden},
		{guest, "POST", "/auth/invitations/redeem", map[string]any{"code": "x"}, 401, sessionhttp.CodeInvalidCredential},
		{guest, "POST", "/auth/invitations/redeem", map[string]any{"code": p.invite("bob")}, 401, sessionhttp.CodeInvalidCredential},
		{guest, "POST", "/auth/invitations/redeem", map[string]any{}, 400, sessionhttp.CodeBadRequest},
		{guest, "POST", "/auth/factors/passkey/challenge", nil, 409, sessionhttp.CodeWrongStep},
		{guest, "POST", "/auth/factors/passkey/verify", map[string]any{"credential": map[string]any{}}, 409, sessionhttp.CodeWrongStep},
		{guest, "POST", "/auth/cancel", nil, 409, sessionhttp.CodeWrongStep},
		{guest, "POST", "/auth/step-up", map[string]any{"aal": 2}, 401, sessionhttp.CodeNotAuthenticated},
		{guest, "GET", "/auth/credentials", nil, 401, sessionhttp.CodeNotAuthenticated},
		{guest, "GET", "/auth/sessions", nil, 401, sessionhttp.CodeNotAuthenticated},
		{guest, "DELETE", "/auth/sessions", nil, 401, sessionhttp.CodeNotAuthenticated},
		{guest, "DELETE", "/auth/sessions/x", nil, 401, sessionhttp.CodeNotAuthenticated},
		{guest, "DELETE", "/auth/credentials/x", nil, 401, sessionhttp.CodeNotAuthenticated},
		{guest, "PATCH", "/auth/credentials/x", map[string]any{"name": "x"}, 401, sessionhttp.CodeNotAuthenticated},
		{guest, "POST", "/auth/credentials/passkey/challenge", nil, 401, sessionhttp.CodeNotAuthenticated},
		{halfway, "POST", "/auth/factors/device/challenge", nil, 409, sessionhttp.CodeWrongStep},
		{halfway, "POST", "/auth/factors/device/verify", map[string]any{}, 409, sessionhttp.CodeWrongStep},
		{halfway, "POST", "/auth/factors/nothing/challenge", nil, 409, sessionhttp.CodeWrongStep},
		{halfway, "POST", "/auth/factors/passkey/verify", map[string]any{"credential": map[string]any{}}, 409, sessionhttp.CodeWrongStep},
		{halfway, "GET", "/auth/sessions", nil, 401, sessionhttp.CodeNotAuthenticated},
		{halfway, "POST", "/auth/credentials/passkey/challenge", nil, 401, sessionhttp.CodeNotAuthenticated},
		{halfway, "POST", "/auth/step-up", map[string]any{"aal": 2}, 401, sessionhttp.CodeNotAuthenticated},
		{pending, "GET", "/auth/sessions", nil, 401, sessionhttp.CodeNotAuthenticated},
		{pending, "GET", "/admin/whoami", nil, 401, sessionhttp.CodeNotAuthenticated},
		{pending, "POST", "/auth/factors/passkey/challenge", nil, 409, sessionhttp.CodeWrongStep},
		{b, "POST", "/auth/step-up", nil, 400, sessionhttp.CodeBadRequest},
		{b, "POST", "/auth/step-up", map[string]any{"aal": 4}, 400, sessionhttp.CodeBadRequest},
		{b, "POST", "/auth/step-up", map[string]any{"aal": -1}, 400, sessionhttp.CodeBadRequest},
		{b, "POST", "/auth/step-up", map[string]any{"max_age": -1}, 400, sessionhttp.CodeBadRequest},
		{b, "POST", "/auth/step-up", map[string]any{"factors": []string{"nothing"}}, 400, sessionhttp.CodeBadRequest},
		{b, "POST", "/auth/step-up", map[string]any{"factors": []string{"passkey", "passkey"}}, 400, sessionhttp.CodeBadRequest},
		{b, "POST", "/auth/step-up", map[string]any{"factors": []string{"device", "passkey", "device"}}, 400, sessionhttp.CodeBadRequest},
		{b, "POST", "/auth/step-up", map[string]any{"factors": strings.Split(strings.Repeat("passkey,", 17), ",")}, 400, sessionhttp.CodeBadRequest},
		{b, "POST", "/auth/step-up", map[string]any{"factors": []string{"kiosk-cert"}}, 403, sessionhttp.CodeForbidden},
		{b, "POST", "/auth/step-up", map[string]any{"aal": 3}, 403, sessionhttp.CodeForbidden},
		{b, "DELETE", "/auth/credentials/nothing", nil, 404, sessionhttp.CodeNotFound},
		{b, "PATCH", "/auth/credentials/nothing", map[string]any{"name": "x"}, 404, sessionhttp.CodeNotFound},
		{b, "PATCH", "/auth/credentials/nothing", map[string]any{"name": ""}, 400, sessionhttp.CodeBadRequest},
		{b, "DELETE", "/auth/sessions/nothing", nil, 404, sessionhttp.CodeNotFound},
		{b, "POST", "/auth/credentials/nothing/challenge", nil, 404, sessionhttp.CodeNotFound},
		{b, "POST", "/auth/login", map[string]any{"user": strings.Repeat("a", 257)}, 400, sessionhttp.CodeBadRequest},
		{b, "GET", "/auth/nothing", nil, 404, sessionhttp.CodeNotFound},
		{b, "GET", "/auth", nil, 404, sessionhttp.CodeNotFound},
		{b, "GET", "/auth/factors/passkey/callback", nil, 404, sessionhttp.CodeNotFound},
	} {
		got := c.who.do(c.method, c.path, c.body)
		got.wants(c.status, c.code)
		if t.Failed() {
			t.Fatalf("%s %s %v", c.method, c.path, c.body)
		}
		got.wantNoCookie()
	}
	if b.state() != "authenticated" || halfway.state() != "authenticating" || pending.state() != "pending" {
		t.Error("what was refused changed something")
	}
}

// A call that is not there for a method says which are.
func TestMethods(t *testing.T) {
	p := newPortal(t)
	b := p.person("alice")
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/auth/session", "GET, HEAD"}, {"GET", "/auth/login", "POST"}, {"PUT", "/auth/sessions", "DELETE, GET, HEAD"},
		{"GET", "/auth/credentials/x", "DELETE, PATCH"}, {"GET", "/auth/factors/passkey/verify", "POST"}, {"DELETE", "/auth/logout", "POST"},
	} {
		got := b.do(c.method, c.path, nil)
		got.wants(405, sessionhttp.CodeBadRequest)
		if allow := strings.Join(got.header["Allow"], ", "); allow != c.allow {
			t.Errorf("%s %s: Allow: %s, want %s", c.method, c.path, allow, c.allow)
		}
	}
	head, get := b.do("HEAD", "/auth/session", nil), b.get("/auth/session")
	if head.status != 200 || len(head.body) > 0 || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
		t.Errorf("HEAD: %d %v %q", head.status, head.header, head.body)
	}
}

// The router answers in the same way wherever and however it is mounted.
func TestMounting(t *testing.T) {
	p := newPortal(t)
	chain := func(h http.Handler) http.Handler { return mtls.Middleware(mtls.FromTLS())(p.sessions.Middleware(h)) }
	mux := http.NewServeMux()
	mux.Handle("/a/b/", http.StripPrefix("/a/b", p.sessions.Handler()))
	nested := chi.NewRouter()
	nested.Route("/a", func(r chi.Router) { r.Mount("/b", p.sessions.Handler()) })
	for _, m := range []struct {
		how, base string
		handler   http.Handler
	}{{"StripPrefix", "/a/b", mux}, {"the root", "", p.sessions.Handler()}, {"a router in a router", "/a/b", nested}} {
		for _, c := range []struct {
			method, path string
			status       int
			code         sessionhttp.Code
			allow        string
		}{
			{"GET", "/session", 200, "", ""},
			{"PUT", "/session", 405, sessionhttp.CodeBadRequest, "GET, HEAD"},
			{"OPTIONS", "/sessions", 405, sessionhttp.CodeBadRequest, "DELETE, GET, HEAD"},
			{"GET", "/credentials/%61", 405, sessionhttp.CodeBadRequest, "DELETE, PATCH"},
			{"GET", "/nothing", 404, sessionhttp.CodeNotFound, ""},
		} {
			r := httptest.NewRequest(c.method, p.origin+m.base+c.path, nil)
			w := httptest.NewRecorder()
			chain(m.handler).ServeHTTP(w, r)
			var doc struct{ Code sessionhttp.Code }
			must(t, json.Unmarshal(w.Body.Bytes(), &doc))
			if w.Code != c.status || doc.Code != c.code || w.Header().Get("Allow") != c.allow {
				t.Errorf("%s: %s %s: %d %s, Allow: %q", m.how, c.method, c.path, w.Code, w.Body, w.Header().Get("Allow"))
			}
		}
	}
	w := httptest.NewRecorder()
	chain(p.sessions.Handler()).ServeHTTP(w, httptest.NewRequest("BREW", p.origin+"/nothing", nil))
	if w.Code != 404 || w.Header()["Allow"] != nil {
		t.Errorf("an unknown method where nothing is: %d %v", w.Code, w.Header())
	}
}

func TestBodies(t *testing.T) {
	p := newPortal(t)
	b := p.person("alice")
	send := func(kind string, body io.Reader) answer {
		t.Helper()
		return b.send("POST", "/auth/login", body, func(r *http.Request) {
			if kind != "" {
				r.Header.Set("Content-Type", kind)
			}
		})
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "text/json", "application/json; =", "json"} {
		send(kind, strings.NewReader("{}")).wants(415, sessionhttp.CodeBadRequest)
	}
	for _, kind := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON"} {
		if got := send(kind, strings.NewReader("{}")); got.status != 200 {
			t.Errorf("%s: %d", kind, got.status)
		}
	}
	if got := send("text/plain", nil); got.status != 200 {
		t.Errorf("no body: %d %s", got.status, got.body)
	}
	full := `{"user":"` + strings.Repeat("a", 65536-11) + `"}`
	send("application/json", strings.NewReader(full)).wants(400, sessionhttp.CodeBadRequest) // the most that is read; the name is too long
	send("application/json", strings.NewReader(full+" ")).wants(413, sessionhttp.CodeTooLarge)
	send("application/json", io.MultiReader(strings.NewReader(full+" "))).wants(413, sessionhttp.CodeTooLarge) // of unknown length
	send("text/plain", strings.NewReader(full+" ")).wants(413, sessionhttp.CodeTooLarge)
	for _, body := range []string{`{"unknown":1}`, `{"user":"a","user":"b"}`, `{"User":"alice"}`, `{"METHOD":"admin"}`, `{} {}`, `{}x`, `[]`, `null`, `"x"`, `1`, ` `, `{`,
		`{"user":1}`, `{"user":["a"]}`, "{\"user\":\"\xff\"}", `{"user":"\ud800"}`, "\xef\xbb\xbf{}", `{"user":"a",}`, `{'user':'a'}`, `{"user":"a"/**/}`, "{}\x00"} {
		send("application/json", strings.NewReader(body)).wants(400, sessionhttp.CodeBadRequest)
		if t.Failed() {
			t.Fatalf("%q", body)
		}
	}
	if got := send("application/json", strings.NewReader(" \n{\t}\r\n ")); got.status != 200 {
		t.Errorf("white space: %d", got.status)
	}
	// Every call that takes a body reads it in this way.
	in := p.signedIn("bob")
	for _, path := range []string{"/auth/factors/passkey/challenge", "/auth/factors/passkey/verify", "/auth/step-up", "/auth/cancel", "/auth/logout", "/auth/invitations/redeem",
		"/auth/credentials/passkey/challenge", "/auth/credentials/passkey/verify"} {
		in.post(path, `{"unknown":1}`).wants(400, sessionhttp.CodeBadRequest)
		in.post(path, `{"credential":{"a":1,"a":2}}`).wants(400, sessionhttp.CodeBadRequest)
		in.send("POST", path, strings.NewReader("{}"), nil).wants(415, sessionhttp.CodeBadRequest)
		in.send("POST", path, bytes.NewReader(make([]byte, 65537)), asJSON).wants(413, sessionhttp.CodeTooLarge)
		if t.Failed() {
			t.Fatal(path)
		}
	}
	second := in.addPasskey("second")["id"].(string)
	other := in.copy()
	other.setCookie("")
	other.login()
	for _, path := range []string{"/auth/sessions", "/auth/sessions/x", "/auth/sessions/" + other.sessionID(), "/auth/credentials/x", "/auth/credentials/" + second} {
		for _, c := range []struct {
			kind, body string
			status     int
			code       sessionhttp.Code
		}{
			{"application/json", `{"unknown":1}`, 400, sessionhttp.CodeBadRequest}, {"application/json", `[]`, 400, sessionhttp.CodeBadRequest},
			{"text/plain", `{}`, 415, sessionhttp.CodeBadRequest}, {"", `{}`, 415, sessionhttp.CodeBadRequest},
			{"application/json", strings.Repeat(" ", 65537), 413, sessionhttp.CodeTooLarge}, {"text/plain", strings.Repeat("x", 1<<20), 413, sessionhttp.CodeTooLarge},
		} {
			for _, body := range []io.Reader{strings.NewReader(c.body), io.MultiReader(strings.NewReader(c.body))} { // of known length, and not
				in.send("DELETE", path, body, func(r *http.Request) { r.Header.Set("Content-Type", c.kind) }).wants(c.status, c.code)
				if t.Failed() {
					t.Fatalf("DELETE %s %s %.20s", path, c.kind, c.body)
				}
			}
		}
	}
	if other.state() != "authenticated" || len(in.get("/auth/credentials").json()["credentials"].([]any)) != 2 {
		t.Error("a call that was refused ended something")
	}
	wantNothing(t, in.send("DELETE", "/auth/sessions", strings.NewReader("{}"), asJSON))
	wantNothing(t, in.send("DELETE", "/auth/sessions", nil, nil)) // nothing is left to end
	if other.state() != "guest" || in.state() != "authenticated" {
		t.Error("DELETE sessions ended the wrong ones")
	}
	wantNothing(t, in.send("DELETE", "/auth/credentials/"+second, strings.NewReader("{}"), asJSON))
	for _, path := range []string{"/auth/factors/passkey/verify", "/auth/invitations/redeem", "/auth/credentials/passkey/verify"} {
		in.do("POST", path, nil).wants(415, sessionhttp.CodeBadRequest) // it needs one
	}
	for _, body := range []string{`{"code":"1","password":"2"}`, `{"credential":{},"code":"1"}`} {
		in.post("/auth/factors/passkey/verify", body).wants(400, sessionhttp.CodeBadRequest)
	}
	if in.state() != "authenticated" {
		t.Error("what was refused changed something")
	}
}

// Ending all other sessions where there are none is done, and nothing that anybody would have to know of.
func TestNothingToEnd(t *testing.T) {
	p := newPortal(t)
	b := p.signedIn("alice")
	ended := func() int { return strings.Count(p.log.String(), "msg=session.revoked") }
	wantNothing(t, b.do("DELETE", "/auth/sessions", nil))
	if b.state() != "authenticated" || ended() != 0 {
		t.Errorf("%s, %d events", b.state(), ended())
	}
	other := b.copy()
	other.setCookie("")
	other.login()
	wantNothing(t, b.do("DELETE", "/auth/sessions", nil))
	if b.state() != "authenticated" || other.state() != "guest" || ended() != 1 {
		t.Errorf("%s beside %s, %d events", b.state(), other.state(), ended())
	}
}

// Too many attempts: the caller learns when to come back.
func TestLocked(t *testing.T) {
	p := newPortal(t)
	b := p.signedIn("alice")
	b = b.copy()
	attacker := p.person("alice")
	attacker.want(200, "POST", "/auth/login", nil)
	attacker.auth = b.auth
	attacker.auth.BadSignature = true
	for range 5 {
		if attacker.state() != "authenticating" {
			attacker.want(200, "POST", "/auth/login", nil)
		}
		attacker.do("POST", "/auth/factors/passkey/verify", map[string]any{"credential": attacker.assertion()}).wants(401, sessionhttp.CodeInvalidCredential)
	}
	p.wait(time.Minute + time.Millisecond)
	attacker.want(200, "POST", "/auth/login", nil)
	got := attacker.do("POST", "/auth/factors/passkey/verify", map[string]any{"credential": attacker.assertion()})
	got.wants(429, sessionhttp.CodeLocked)
	seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
	if err != nil || seconds != 14*60 {
		t.Fatalf("Retry-After: %q", got.header.Get("Retry-After"))
	}
	attacker.auth.BadSignature = false
	p.wait(time.Duration(seconds) * time.Second)
	attacker.want(200, "POST", "/auth/login", nil)
	attacker.answer(200)
}

func TestLoginExpired(t *testing.T) {
	p := newPortal(t)
	b := p.person("alice")
	b.enrol(p.invite("alice"))
	b.want(200, "POST", "/auth/login", nil)
	late := b.assertion()
	p.wait(time.Hour)
	b.do("POST", "/auth/factors/passkey/verify", map[string]any{"credential": late}).wants(401, sessionhttp.CodeLoginExpired)
	b.do("POST", "/auth/factors/passkey/challenge", nil).wants(401, sessionhttp.CodeLoginExpired)
	b.get("/auth/session").wantGolden(docGuest)
}

// A challenge is answered once, and refused answers say nothing of why.
func TestChallengeOnce(t *testing.T) {
	p := newPortal(t)
	b := p.person("alice")
	b.enrol(p.invite("alice"))
	b.want(200, "POST", "/auth/login", nil)
	first := b.assertion()
	b.do("POST", "/auth/factors/passkey/challenge", nil)
	b.do("POST", "/auth/factors/passkey/verify", map[string]any{"credential": first}).wants(401, sessionhttp.CodeInvalidCredential) // of the challenge before
	again := b.assertion()
	b.want(200, "POST", "/auth/factors/passkey/verify", map[string]any{"credential": again})
	b.do("POST", "/auth/factors/passkey/verify", map[string]any{"credential": again}).wants(409, sessionhttp.CodeWrongStep)
}

// What is needed is in the problem, in the words of RFC 9470 and as the body of the call that gets it.
func TestInsufficient(t *testing.T) {
	p := newPortal(t)
	b := p.signedIn("alice")
	p.wait(10 * time.Minute)
	got := b.do("POST", "/auth/credentials/passkey/challenge", nil)
	got.wants(401, sessionhttp.CodeInsufficient)
	if h := got.header.Get("WWW-Authenticate"); h != `Bearer error="insufficient_user_authentication", acr_values="aal2", max_age="300"` {
		t.Errorf("WWW-Authenticate: %s", h)
	}
	want := raw(t, got.json()["step_up"])
	if string(want) != `{"aal":2,"max_age":300,"phishing_resistant":true,"user_verified":true}` {
		t.Errorf("step_up: %s", want)
	}
	b.post("/auth/step-up", string(want)).wantGolden(docStepUp)
	b.answer(200)
	b.want(200, "POST", "/auth/credentials/passkey/challenge", nil)
	p.browser(nil).get("/admin/whoami").wants(401, sessionhttp.CodeNotAuthenticated)
}

// A store that is down decides nothing: every call answers "unavailable", with nothing of why.
func TestUnavailable(t *testing.T) {
	p := newPortal(t)
	b := p.signedIn("alice")
	guest := p.person("bob")
	p.breaks(func(string) storetest.Fault { return storetest.Before })
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/auth/session", ""}, {"POST", "/auth/login", "{}"}, {"POST", "/auth/logout", ""}, {"GET", "/auth/sessions", ""}, {"GET", "/admin/whoami", ""}, {"POST", "/auth/step-up", `{"aal":2}`},
	} {
		got := b.send(c.method, c.path, strings.NewReader(c.body), asJSON)
		got.wants(503, sessionhttp.CodeUnavailable)
		got.wantNoCookie()
		if strings.Contains(string(got.body), "storetest") {
			t.Errorf("%s", got.body)
		}
	}
	guest.post("/auth/login", "{}").wants(503, sessionhttp.CodeUnavailable)
	if !strings.Contains(p.log.String(), "injected fault") {
		t.Error("operators do not learn why")
	}
	p.breaks(nil)
	b.want(200, "GET", "/admin/whoami", nil)
}

// Problem documents are those of RFC 9457, with members that are stable.
func TestProblemDocument(t *testing.T) {
	p := newPortal(t)
	got := p.browser(nil).get("/auth/nothing")
	var doc map[string]any
	must(t, json.Unmarshal(got.body, &doc))
	if len(doc) != 4 || doc["type"] != "about:blank" || doc["title"] == "" || doc["status"] != 404.0 || doc["code"] != "not_found" {
		t.Errorf("%s", got.body)
	}
}

// sessionID is the public id of the browser's session.
func (b *browser) sessionID() string {
	b.p.t.Helper()
	for _, s := range b.get("/auth/sessions").json()["sessions"].([]any) {
		if s := s.(map[string]any); s["current"] == true {
			return s["id"].(string)
		}
	}
	b.p.t.Fatal("the session is not in its own list")
	return ""
}
