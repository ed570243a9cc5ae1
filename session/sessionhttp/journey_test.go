package sessionhttp_test

import (
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
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
	"github.com/sallyport-auth/sallyport/stores/memory"
)

// portal is a small application behind TLS.
type portal struct {
	t        *testing.T
	engine   *session.Engine
	sessions *sessionhttp.Sessions
	store    session.Store
	ca       *mtlstest.CA
	server   *httptest.Server
	origin   string
	users    map[string]session.User
}

func newPortal(t *testing.T) *portal {
	t.Helper()
	p := &portal{t: t, store: memory.New(), ca: mtlstest.NewCA(t, "Staff CA"), users: map[string]session.User{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.origin = fmt.Sprintf("https://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), p.ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	pol, err := policy.Parse(filepath.Join(dir, "policy.yaml"), []byte(fmt.Sprintf(`version: 1
origin: %s
anchors: { staff: { ca: ca.crt, tenant: corp } }
factors:
  device: { kind: mtls, anchors: [staff], identify: [{ from: subject.cn, pattern: "{user}", tenant: corp }] }
  passkey: { kind: fido2 }
methods:
  admin: { steps: [device, passkey], session: { idle: 15m, absolute: 8h } }
rules: [{ methods: [admin] }]
floors: [{ name: admin, route: /admin/*, aal: 2, phishing_resistant: true }]
`, p.origin)), mtls.Kind(), fido2.Kind())
	if err != nil {
		t.Fatal(err)
	}
	p.engine, err = session.New(session.Config{Policy: pol, Kinds: []factors.Kind{mtls.Kind(), fido2.Kind()}, Store: p.store, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	p.sessions, err = sessionhttp.New(p.engine, sessionhttp.Config{LoginPage: "/login"})
	if err != nil {
		t.Fatal(err)
	}
	p.serve(l)
	op := p.engine.Operate("corp")
	if err := op.CreateTenant(t.Context(), "Corp"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob"} {
		u, err := op.CreateUser(t.Context(), session.NewUser{Name: name, Admin: name == "alice"})
		if err != nil {
			t.Fatal(err)
		}
		p.users[name] = u
	}
	return p
}

func (p *portal) serve(l net.Listener) {
	r := chi.NewRouter()
	r.Use(mtls.Middleware(mtls.FromTLS()), p.sessions.Middleware)
	r.Mount("/auth", p.sessions.Handler())
	r.With(p.sessions.Require(sessionhttp.Floor("admin"))).Get("/admin/whoami", func(w http.ResponseWriter, r *http.Request) {
		who, _ := sessionhttp.Principal(r.Context())
		_ = json.NewEncoder(w).Encode(sessionhttp.PrincipalOf(who))
	})
	p.server = httptest.NewUnstartedServer(r)
	p.server.Listener.Close()
	p.server.Listener = l
	p.server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return mtls.WithConn(ctx) }
	p.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	p.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.server.StartTLS()
	p.t.Cleanup(p.server.Close)
}

// browser is a client with a certificate, a cookie jar and an authenticator.
type browser struct {
	p      *portal
	client *http.Client
	auth   *fido2test.Authenticator
}

func (p *portal) browser(cert *tls.Certificate) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(p.server.Certificate())
	c := &tls.Config{RootCAs: roots, ServerName: "example.com"}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	tr := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	p.t.Cleanup(tr.CloseIdleConnections)
	return &browser{p: p, auth: fido2test.New(p.origin), client: &http.Client{Jar: jar, Transport: tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) do(method, path string, body any) (int, map[string]any) {
	b.p.t.Helper()
	var in io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			b.p.t.Fatal(err)
		}
		in = bytes.NewReader(raw)
	}
	r, err := http.NewRequest(method, b.p.origin+path, in)
	if err != nil {
		b.p.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.p.t.Fatal(err)
	}
	defer res.Body.Close()
	out := map[string]any{}
	raw, _ := io.ReadAll(res.Body)
	if len(bytes.TrimSpace(raw)) > 0 && strings.Contains(res.Header.Get("Content-Type"), "json") || json.Valid(raw) && len(raw) > 0 {
		if err := json.Unmarshal(raw, &out); err != nil {
			b.p.t.Fatalf("%s: %v in %s", path, err, raw)
		}
	}
	return res.StatusCode, out
}

func (b *browser) want(status int, method, path string, body any) map[string]any {
	b.p.t.Helper()
	got, out := b.do(method, path, body)
	if got != status {
		b.p.t.Fatalf("%s %s: %d %v, want %d", method, path, got, out, status)
	}
	return out
}

func raw(t *testing.T, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		b.p.t.Fatal(err)
	}
	return b.want(200, "POST", "/auth/credentials/passkey/verify", map[string]any{"credential": made, "name": name})
}

func (b *browser) answer(status int) map[string]any {
	b.p.t.Helper()
	c := b.want(200, "POST", "/auth/factors/passkey/challenge", nil)
	got, err := b.auth.Get(raw(b.p.t, c["publicKey"]))
	if err != nil {
		b.p.t.Fatal(err)
	}
	return b.want(status, "POST", "/auth/factors/passkey/verify", map[string]any{"credential": got})
}

func (b *browser) login() map[string]any {
	b.p.t.Helper()
	b.want(200, "POST", "/auth/login", nil)
	return b.answer(200)
}

func (p *portal) invite(name string) string {
	p.t.Helper()
	code, err := p.engine.Operate("corp").Invite(p.t.Context(), p.users[name].ID, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	return code
}

func TestJourney(t *testing.T) {
	p := newPortal(t)
	cert := p.ca.Issue(mtlstest.Leaf{CN: "alice"})
	b := p.browser(&cert)
	if got := b.want(200, "GET", "/auth/session", nil); got["state"] != "guest" {
		t.Fatalf("%v", got)
	}
	b.want(401, "GET", "/admin/whoami", nil)
	b.enrol(p.invite("alice"))
	if got := b.want(200, "POST", "/auth/login", nil); got["state"] != "authenticating" {
		t.Fatalf("%v", got)
	}
	b.want(401, "GET", "/admin/whoami", nil)
	b.want(401, "GET", "/auth/sessions", nil)
	if got := b.answer(200); got["state"] != "authenticated" {
		t.Fatalf("%v", got)
	}
	who := b.want(200, "GET", "/admin/whoami", nil)
	if who["user"] != "alice" || who["aal"] != 2.0 || who["phishing_resistant"] != true {
		t.Fatalf("%v", who)
	}
	second := b.addPasskey("second")
	if got := b.want(200, "GET", "/auth/credentials", nil); len(got["credentials"].([]any)) != 2 {
		t.Fatalf("%v", got)
	}
	if got := b.want(200, "POST", "/auth/step-up", map[string]any{"factors": []string{"passkey"}}); got["step_up"] == nil || got["state"] != "authenticated" {
		t.Fatalf("%v", got)
	}
	b.answer(200)
	b.want(204, "DELETE", "/auth/credentials/"+second["id"].(string), nil)
	other := p.browser(&cert)
	other.auth = b.auth
	b.auth.Forget(b.auth.Passkeys()[0].ID)
	other.login()
	list := b.want(200, "GET", "/auth/sessions", nil)["sessions"].([]any)
	if len(list) != 2 {
		t.Fatalf("%v", list)
	}
	for _, s := range list {
		if s := s.(map[string]any); s["current"] == false {
			b.want(204, "DELETE", "/auth/sessions/"+s["id"].(string), nil)
		}
	}
	other.want(401, "GET", "/admin/whoami", nil)
	b.want(204, "POST", "/auth/logout", nil)
	b.want(401, "GET", "/admin/whoami", nil)
}
