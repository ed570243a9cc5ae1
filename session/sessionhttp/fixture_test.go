package sessionhttp_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
	"github.com/sallyport-auth/sallyport/factors/jwt"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/oauth"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
	"github.com/sallyport-auth/sallyport/stores/memory"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

const policyText = `version: 1
origin: ORIGIN
anchors:
  staff:  { ca: staff.crt, tenant: corp }
  kiosks: { ca: kiosks.crt, tenant: corp }
factors:
  device:     { kind: mtls, anchors: [staff], identify: [{ from: subject.cn, pattern: "{user}", tenant: corp }] }
  kiosk-cert: { kind: mtls, anchors: [kiosks], identify: [{ from: subject.cn, pattern: "{user}", tenant: corp }], principal: device }
  passkey:    { kind: fido2 }
methods:
  admin:     { steps: [device, passkey], session: { idle: 15m, absolute: 8h } }
  badge:     { steps: [device], session: { idle: 15m, absolute: 8h } }
  kiosk:     { steps: [kiosk-cert], session: { idle: 12h, absolute: 24h } }
  attendant: { steps: [passkey], on: kiosk, session: { idle: 5m, absolute: 1h } }
rules:
  - { route: /badge/*, methods: [admin, badge] }
  - { route: /kiosk/*, methods: [kiosk, attendant] }
  - { methods: [admin] }
floors:
  - { name: admin, route: /admin/*, aal: 2, phishing_resistant: true }
limits:
  attempts: { per_credential: 5, window: 15m, per_source: 50, per_tenant: 1000 }
`

// portal is a small application behind TLS, with a clock that tests move.
type portal struct {
	t        testing.TB
	engine   *session.Engine
	sessions *sessionhttp.Sessions
	store    *memory.Store // beneath the hooks
	dir      string
	staff    *mtlstest.CA
	kiosks   *mtlstest.CA
	server   *httptest.Server
	origin   string
	users    map[string]session.User
	pages    sync.Map // path to http.Handler
	log      *logged

	mu    sync.Mutex
	now   time.Time
	fault func(op string) storetest.Fault
	hook  func(op string)
}

// logged is a log that tests read.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// authorities are made once: keys are slow to make, and every portal may share them.
var authorities = sync.OnceValue(func() [2]*mtlstest.CA {
	t := new(testing.T)
	return [2]*mtlstest.CA{mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Kiosk CA")}
})

func newPortal(t testing.TB) *portal {
	t.Helper()
	p := &portal{t: t, store: memory.New(), dir: t.TempDir(), users: map[string]session.User{}, log: &logged{}, now: time.Now().Truncate(time.Second)}
	cas := authorities()
	p.staff, p.kiosks = cas[0], cas[1]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p.origin = fmt.Sprintf("https://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	must(t, os.WriteFile(filepath.Join(p.dir, "staff.crt"), p.staff.PEM(), 0o600))
	must(t, os.WriteFile(filepath.Join(p.dir, "kiosks.crt"), p.kiosks.PEM(), 0o600))
	p.engine, err = session.New(session.Config{Policy: p.policy(), Kinds: kinds(), Store: p.hooked(), Now: p.clock,
		Log: slog.New(slog.NewTextHandler(p.log, nil))})
	must(t, err)
	p.sessions, err = sessionhttp.New(p.engine, sessionhttp.Config{LoginPage: "/login"})
	must(t, err)
	p.serve(l)
	op := p.engine.Operate("corp")
	must(t, op.CreateTenant(t.Context(), "Corp"))
	for _, u := range []session.NewUser{{Name: "alice", Admin: true}, {Name: "bob"}, {Name: "lobby", Class: authn.ClassDevice}, {Name: "backup", Class: authn.ClassWorkload}} {
		made, err := op.CreateUser(t.Context(), u)
		must(t, err)
		p.users[u.Name] = made
	}
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func kinds() []factors.Kind {
	return []factors.Kind{mtls.Kind(), fido2.Kind(), oauth.Kind(), jwt.Kind(), tokenKind{}}
}

// policy is the policy of the portal, with pairs of text replaced.
func (p *portal) policy(edits ...string) *policy.Policy {
	p.t.Helper()
	text := strings.ReplaceAll(policyText, "ORIGIN", p.origin)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			p.t.Fatalf("the policy has no %q", edits[i])
		}
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	pol, err := policy.Parse(filepath.Join(p.dir, "policy.yaml"), []byte(text), mtls.Kind(), fido2.Kind(), oauth.Kind(), jwt.Kind(), tokenKind{})
	must(p.t, err)
	return pol
}

func (p *portal) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *portal) wait(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

// breaks makes calls of the store fail from now on; nil: none.
func (p *portal) breaks(fault func(op string) storetest.Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// before is called before each call of the store from now on; nil: nothing is.
func (p *portal) before(hook func(op string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = hook
}

func (p *portal) hooked() session.Store {
	s := storetest.Hooked(p.store, func(op string) {
		p.mu.Lock()
		hook := p.hook
		p.mu.Unlock()
		if hook != nil {
			hook(op)
		}
	}, nil)
	return storetest.Faulty(s, func(op string, _ int) storetest.Fault {
		p.mu.Lock()
		fault := p.fault
		p.mu.Unlock()
		if fault == nil {
			return storetest.None
		}
		return fault(op)
	})
}

// page puts a handler of the application at a path.
func (p *portal) page(path string, h http.HandlerFunc) { p.pages.Store(path, http.Handler(h)) }

// guarded puts a page that answers "in" behind a guard.
func (p *portal) guarded(path string, guard func(http.Handler) http.Handler) {
	p.pages.Store(path, guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") })))
}

func (p *portal) router() http.Handler {
	r := chi.NewRouter()
	r.Use(mtls.Middleware(mtls.FromTLS()), p.sessions.Middleware)
	r.Mount("/auth", p.sessions.Handler())
	r.With(p.sessions.Require(sessionhttp.Floor("admin"))).Get("/admin/whoami", func(w http.ResponseWriter, r *http.Request) {
		who, _ := sessionhttp.Principal(r.Context())
		_ = json.NewEncoder(w).Encode(sessionhttp.PrincipalOf(who))
	})
	r.HandleFunc("/*", func(w http.ResponseWriter, r *http.Request) {
		if h, ok := p.pages.Load(r.URL.Path); ok {
			h.(http.Handler).ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	})
	return r
}

func (p *portal) serve(l net.Listener) {
	p.server = httptest.NewUnstartedServer(p.router())
	_ = p.server.Listener.Close()
	p.server.Listener = l
	p.server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return mtls.WithConn(ctx) }
	p.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"}}
	p.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.server.StartTLS()
	p.t.Cleanup(p.server.Close)
}

// certificate issues a certificate for a name once, and again for another key.
func (p *portal) certificate(name string) *tls.Certificate {
	ca := p.staff
	if name == "lobby" || name == "backup" {
		ca = p.kiosks
	}
	c := ca.Issue(mtlstest.Leaf{CN: name, NotAfter: time.Now().AddDate(0, 0, 30)})
	return &c
}

func (p *portal) tls(cert *tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(p.server.Certificate())
	c := &tls.Config{RootCAs: roots, ServerName: "example.com"}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	return c
}

// browser is a client with a certificate, a cookie jar and an authenticator.
type browser struct {
	p      *portal
	client *http.Client
	auth   *fido2test.Authenticator
	cert   *tls.Certificate
}

func (p *portal) browser(cert *tls.Certificate) *browser {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	must(p.t, err)
	b := &browser{p: p, auth: fido2test.New(p.origin), client: &http.Client{Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	b.present(cert)
	return b
}

// person is a browser with the certificate of a name and, once enrolled, a passkey.
func (p *portal) person(name string) *browser {
	p.t.Helper()
	return p.browser(p.certificate(name))
}

// signedIn is a person who has enrolled and signed in.
func (p *portal) signedIn(name string) *browser {
	p.t.Helper()
	b := p.person(name)
	b.enrol(p.invite(name))
	b.login()
	return b
}

// present makes the browser show another certificate; nil: none. The connections it had are left.
func (b *browser) present(cert *tls.Certificate) {
	tr := &http.Transport{TLSClientConfig: b.p.tls(cert), ForceAttemptHTTP2: true}
	b.p.t.Cleanup(tr.CloseIdleConnections)
	b.client.Transport, b.cert = tr, cert
}

// copy is another browser with the same cookies, certificate and authenticator.
func (b *browser) copy() *browser {
	c := b.p.browser(b.cert)
	c.auth = b.auth
	u, _ := url.Parse(b.p.origin)
	c.client.Jar.SetCookies(u, b.client.Jar.Cookies(u))
	return c
}

// cookie is the value of the session cookie that the browser has.
func (b *browser) cookie() string {
	u, _ := url.Parse(b.p.origin)
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == sessionhttp.CookieName {
			return c.Value
		}
	}
	return ""
}

// setCookie plants a session cookie.
func (b *browser) setCookie(v string) {
	u, _ := url.Parse(b.p.origin)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: sessionhttp.CookieName, Value: v, Path: "/", Secure: true}})
}

// answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

func (a answer) json() map[string]any {
	a.t.Helper()
	out := map[string]any{}
	if err := json.Unmarshal(a.body, &out); err != nil {
		a.t.Fatalf("%v in %q", err, a.body)
	}
	return out
}

// wants fails unless the answer is this problem.
func (a answer) wants(status int, code sessionhttp.Code) {
	a.t.Helper()
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		a.t.Errorf("%d %s %s, want %d %s", a.status, a.header.Get("Content-Type"), a.body, status, code)
		return
	}
	if got := a.json(); got["code"] != string(code) || got["status"] != float64(status) {
		a.t.Errorf("%s, want %d %s", a.body, status, code)
	}
}

// send makes a request with a body as it is, and lets edit change it.
func (b *browser) send(method, path string, body io.Reader, edit func(*http.Request)) answer {
	b.p.t.Helper()
	r, err := http.NewRequest(method, b.p.origin+path, body)
	must(b.p.t, err)
	if edit != nil {
		edit(r)
	}
	res, err := b.client.Do(r)
	must(b.p.t, err)
	return b.p.read(res)
}

func (p *portal) read(res *http.Response) answer {
	p.t.Helper()
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	must(p.t, err)
	return answer{p.t, res.StatusCode, res.Header, raw}
}

func (b *browser) get(path string) answer {
	b.p.t.Helper()
	return b.send("GET", path, nil, nil)
}

// post sends a text as JSON.
func (b *browser) post(path, text string) answer {
	b.p.t.Helper()
	return b.send("POST", path, strings.NewReader(text), asJSON)
}

func asJSON(r *http.Request) { r.Header.Set("Content-Type", "application/json") }

// raw sends text as it is over a connection of HTTP/1.1 and reads the answer. HOST in it is the portal's.
func (p *portal) raw(cert *tls.Certificate, text string) answer {
	p.t.Helper()
	c, err := tls.Dial("tcp", p.server.Listener.Addr().String(), p.tls(cert))
	must(p.t, err)
	defer c.Close()
	_, err = io.WriteString(c, strings.ReplaceAll(text, "HOST", strings.TrimPrefix(p.origin, "https://")))
	must(p.t, err)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(p.t, err)
	return p.read(res)
}

// do makes a call of the contract.
func (b *browser) do(method, path string, body any) answer {
	b.p.t.Helper()
	if body == nil {
		return b.send(method, path, nil, nil)
	}
	raw, err := json.Marshal(body)
	must(b.p.t, err)
	return b.send(method, path, bytes.NewReader(raw), asJSON)
}

// want makes a call and fails the test unless it is answered with a status.
func (b *browser) want(status int, method, path string, body any) map[string]any {
	b.p.t.Helper()
	got := b.do(method, path, body)
	if got.status != status {
		b.p.t.Fatalf("%s %s: %d %s, want %d", method, path, got.status, got.body, status)
	}
	if len(got.body) == 0 {
		return nil
	}
	return got.json()
}

// state is what GET session says.
func (b *browser) state() string {
	b.p.t.Helper()
	state, _ := b.want(200, "GET", "/auth/session", nil)["state"].(string)
	return state
}

func raw(t testing.TB, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

func (b *browser) enrol(code string) {
	b.p.t.Helper()
	b.want(200, "POST", "/auth/invitations/redeem", map[string]any{"code": code})
	b.addPasskey("first")
}

func (b *browser) addPasskey(name string) map[string]any {
	b.p.t.Helper()
	c := b.want(200, "POST", "/auth/credentials/passkey/challenge", nil)
	made, err := b.auth.Create(raw(b.p.t, c["publicKey"]))
	must(b.p.t, err)
	return b.want(200, "POST", "/auth/credentials/passkey/verify", map[string]any{"credential": made, "name": name})
}

// assertion opens a challenge and answers it, without sending the answer.
func (b *browser) assertion() json.RawMessage {
	b.p.t.Helper()
	c := b.want(200, "POST", "/auth/factors/passkey/challenge", nil)
	got, err := b.auth.Get(raw(b.p.t, c["publicKey"]))
	must(b.p.t, err)
	return got
}

func (b *browser) answer(status int) map[string]any {
	b.p.t.Helper()
	return b.want(status, "POST", "/auth/factors/passkey/verify", map[string]any{"credential": b.assertion()})
}

func (b *browser) login() map[string]any {
	b.p.t.Helper()
	b.want(200, "POST", "/auth/login", nil)
	return b.answer(200)
}

func (p *portal) invite(name string) string {
	p.t.Helper()
	code, err := p.engine.Operate("corp").Invite(p.t.Context(), p.users[name].ID, 0)
	must(p.t, err)
	return code
}
