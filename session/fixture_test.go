package session_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/memory"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

const policyText = `version: 1
origin: https://portal.example
anchors:
  corp:   { ca: corp.crt, tenant: corp }
  labs:   { ca: labs.crt, tenant: labs }
  kiosks: { ca: kiosks.crt, tenant: corp }
factors:
  device:
    kind: mtls
    anchors: [corp, labs]
    identify: [{ from: san.uri, pattern: "spiffe://test/{tenant}/user/{user}" }]
    bind: key
  kiosk-cert:
    kind: mtls
    anchors: [kiosks]
    identify: [{ from: san.uri, pattern: "spiffe://test/{tenant}/kiosk/{user}" }]
    principal: device
  partner-cert: { kind: mtls, anchors: [corp, labs], identify: [{ from: anchor }] }
  passkey: { kind: typed, strong: true }
  code:    { kind: typed }
methods:
  admin:     { steps: [device, passkey], session: { idle: 15m, absolute: 8h } }
  partner:   { steps: [partner-cert, passkey] }
  flexible:  { steps: [device, { any_of: [passkey, code] }], session: { idle: 15m, absolute: 8h } }
  open:      { steps: [code] }
  double:    { steps: [code, passkey] }
  bare:      { steps: [passkey] }
  badge:     { steps: [device] }
  kiosk:     { steps: [kiosk-cert], session: { idle: 12h, absolute: 24h } }
  attendant: { steps: [passkey], on: kiosk, session: { idle: 5m, absolute: 1h } }
rules:
  - { route: /admin/*, methods: [admin, flexible, partner] }
  - { route: /open/*, methods: [open, double, bare] }
  - { route: /badge/*, methods: [badge] }
  - { route: /kiosk/*, methods: [kiosk, attendant] }
  - { methods: [admin] }
floors:
  - { name: admin, route: /admin/*, aal: 2, phishing_resistant: true }
`

// pki is made once: keys are slow to make, and every world may share them.
type pki struct{ corp, labs, kiosks *mtlstest.CA }

var thePKI struct {
	once sync.Once
	pki
}

func authorities(t testing.TB) pki {
	thePKI.once.Do(func() {
		thePKI.pki = pki{mtlstest.NewCA(t, "corp"), mtlstest.NewCA(t, "labs"), mtlstest.NewCA(t, "kiosks")}
	})
	return thePKI.pki
}

// certificates are made once for each name.
var certificates sync.Map

// world is an engine with its store, its clock and the people in it.
type world struct {
	t      testing.TB
	pki    pki
	dir    string
	store  *memory.Store // beneath the hooks
	kind   *typedKind
	away   *elsewhereKind
	tokens *tokenKind
	log    *logged
	*session.Engine

	mu     sync.Mutex
	now    time.Time
	before func(op string)
	after  func(op string)
	fail   func(op string) storetest.Fault

	users map[string]session.User // "corp/alice"
	keys  map[string]*authenticator
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

// newWorld makes the tenants corp and labs, which both have a user alice; bob, the administrator root and the kiosk lobby
// are in corp. Nobody has a passkey yet. edits replace pairs of text in the policy.
func newWorld(t testing.TB, edits ...string) *world {
	t.Helper()
	w := &world{t: t, pki: authorities(t), dir: t.TempDir(), store: memory.New(), kind: &typedKind{}, away: &elsewhereKind{}, tokens: &tokenKind{}, log: &logged{}, now: time.Now().Truncate(time.Second),
		users: map[string]session.User{}, keys: map[string]*authenticator{}}
	for name, ca := range map[string]*mtlstest.CA{"corp": w.pki.corp, "labs": w.pki.labs, "kiosks": w.pki.kiosks} {
		if err := os.WriteFile(filepath.Join(w.dir, name+".crt"), ca.PEM(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.Engine, err = session.New(session.Config{Operator: "corp", Policy: w.policy(edits...), Kinds: w.kinds(), Store: w.hooked(), Now: w.clock,
		Log: slog.New(slog.NewTextHandler(w.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w.populate()
	return w
}

func (w *world) kinds() []factors.Kind {
	return []factors.Kind{mtls.Kind(), fido2.Kind(), w.kind, w.away, w.tokens}
}

func (w *world) policy(edits ...string) *policy.Policy {
	w.t.Helper()
	text := policyText
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			w.t.Fatalf("the policy has no %q", edits[i])
		}
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	p, err := policy.Parse(filepath.Join(w.dir, "policy.yaml"), []byte(text), mtls.Kind(), fido2.Kind(), w.kind, w.away, w.tokens)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// setPolicy puts an edited policy in force.
func (w *world) setPolicy(edits ...string) {
	w.t.Helper()
	if err := w.SetPolicy(w.policy(edits...)); err != nil {
		w.t.Fatal(err)
	}
}

// hooked is the store with the hooks of the world around it, which may be changed while nothing runs.
func (w *world) hooked() session.Store {
	call := func(hook *func(string)) func(string) {
		return func(op string) {
			if *hook != nil {
				(*hook)(op)
			}
		}
	}
	s := storetest.Hooked(w.store, call(&w.before), call(&w.after))
	return storetest.Faulty(s, func(op string, _ int) storetest.Fault {
		if w.fail == nil {
			return storetest.None
		}
		return w.fail(op)
	})
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) populate() {
	w.t.Helper()
	ctx := context.Background()
	for _, tenant := range []string{"corp", "labs"} {
		must(w.t, w.Operate(tenant).CreateTenant(ctx, tenant))
	}
	for _, u := range []struct {
		tenant string
		session.NewUser
	}{
		{"corp", session.NewUser{Name: "alice"}}, {"labs", session.NewUser{Name: "alice"}}, {"corp", session.NewUser{Name: "bob"}},
		{"corp", session.NewUser{Name: "root", Admin: true}}, {"corp", session.NewUser{Name: "lobby", Class: authn.ClassDevice}},
	} {
		made, err := w.Operate(u.tenant).CreateUser(ctx, u.NewUser)
		must(w.t, err)
		w.users[u.tenant+"/"+u.Name] = made
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr fails unless err is want.
func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// wantAs fails unless err is of a type.
func wantAs[E error](t testing.TB, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %T", err, e)
	}
	return e
}

// certificate issues, once, the certificate of "corp/alice", or of a device "corp/lobby".
func (w *world) certificate(who string) tls.Certificate {
	w.t.Helper()
	if c, ok := certificates.Load(who); ok {
		return c.(tls.Certificate)
	}
	tenant, name, _ := strings.Cut(who, "/")
	ca, path := w.pki.corp, "/user/"
	switch {
	case tenant == "labs":
		ca = w.pki.labs
	case name == "lobby":
		ca, path = w.pki.kiosks, "/kiosk/"
	}
	c := ca.Issue(mtlstest.Leaf{CN: name, URIs: []string{"spiffe://test/" + tenant + path + name}, NotAfter: time.Now().AddDate(0, 0, 30)})
	certificates.Store(who, c)
	return c
}

// browser holds a cookie and a certificate, and makes one request after the other.
type browser struct {
	w      *world
	cookie string
	chain  []*x509.Certificate
	source string
	route  string
	host   string
}

// browser makes one that presents the certificate of who; empty: none.
func (w *world) browser(who string) *browser {
	w.t.Helper()
	b := &browser{w: w, source: "192.0.2.1", host: "portal.example"}
	if who != "" {
		b.present(w.certificate(who))
	}
	return b
}

func (b *browser) present(c tls.Certificate) {
	b.chain = mtlstest.Chain(b.w.t, c)
}

// twin has the same cookie and certificate.
func (b *browser) twin() *browser {
	c := *b
	return &c
}

// peer is what the middleware makes of the browser's certificate.
func peerOf(chain []*x509.Certificate) (peer factors.PeerCertChain, refused error) {
	r := httptest.NewRequest(http.MethodGet, "https://portal.example/", nil)
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: chain}
	mtls.Middleware(mtls.FromTLS())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		peer, refused = factors.PeerCertChainFrom(r.Context())
	})).ServeHTTP(httptest.NewRecorder(), r)
	return peer, refused
}

func (b *browser) request() session.Request {
	origin, _ := b.w.Policy().Origin(b.host)
	r := session.Request{Cookie: b.cookie, Origin: origin, Route: b.route, Source: netip.MustParseAddr(b.source), Agent: "test"}
	if r.Route == "" {
		r.Route = "/"
	}
	r.Peer, r.PeerRefused = peerOf(b.chain)
	return r
}

// open reads the session and leaves the cookie as it is.
func (b *browser) open() *session.Session {
	b.w.t.Helper()
	s, err := b.w.Open(context.Background(), b.request())
	if err != nil {
		b.w.t.Fatal(err)
	}
	return s
}

// do makes one request and keeps the cookie that comes of it.
func (b *browser) do(call func(context.Context, *session.Session) error) error {
	b.w.t.Helper()
	s, err := b.w.Open(context.Background(), b.request())
	if err != nil {
		return err
	}
	err = call(context.Background(), s)
	b.take(s)
	return err
}

// take does with the cookie what a browser would.
func (b *browser) take(s *session.Session) {
	if v, changed := s.Cookie(); changed {
		b.cookie = v
	} else if s.Ended() {
		b.cookie = ""
	}
}

func (b *browser) begin(method string, more ...func(*session.Begin)) error {
	b.w.t.Helper()
	wish := session.Begin{Method: method}
	for _, m := range more {
		m(&wish)
	}
	return b.do(func(ctx context.Context, s *session.Session) error { return s.Begin(ctx, wish) })
}

func claiming(tenant, user string) func(*session.Begin) {
	return func(b *session.Begin) { b.Tenant, b.User = tenant, user }
}

func returning(path string) func(*session.Begin) {
	return func(b *session.Begin) { b.ReturnTo = path }
}

func (b *browser) challenge(factor string) (asked session.Asking, err error) {
	b.w.t.Helper()
	err = b.do(func(ctx context.Context, s *session.Session) error {
		asked, err = s.Challenge(ctx, factor)
		return err
	})
	return asked, err
}

func (b *browser) verify(factor string, credential []byte) error {
	b.w.t.Helper()
	return b.do(func(ctx context.Context, s *session.Session) error { return s.Verify(ctx, factor, credential) })
}

// prove asks for a challenge and answers it.
func (b *browser) prove(k *authenticator) error {
	b.w.t.Helper()
	asked, err := b.challenge(k.factor)
	if err != nil {
		return err
	}
	return b.verify(k.factor, k.answer(b.w.t, asked.PublicKey))
}

func (b *browser) redeem(code string) error {
	b.w.t.Helper()
	return b.do(func(ctx context.Context, s *session.Session) error { return s.Redeem(ctx, code) })
}

func (b *browser) enrolChallenge(factor string) (asked session.Asking, err error) {
	b.w.t.Helper()
	err = b.do(func(ctx context.Context, s *session.Session) error {
		asked, err = s.EnrolChallenge(ctx, factor)
		return err
	})
	return asked, err
}

func (b *browser) enrolAnswer(k *authenticator, asked session.Asking) error {
	b.w.t.Helper()
	return b.do(func(ctx context.Context, s *session.Session) error {
		_, err := s.Enrol(ctx, k.factor, k.id, k.answer(b.w.t, asked.PublicKey))
		return err
	})
}

func (b *browser) enrol(k *authenticator) error {
	b.w.t.Helper()
	asked, err := b.enrolChallenge(k.factor)
	if err != nil {
		return err
	}
	return b.enrolAnswer(k, asked)
}

func (b *browser) stepUp(want authn.Requirement) error {
	b.w.t.Helper()
	return b.do(func(ctx context.Context, s *session.Session) error { return s.StepUp(ctx, want) })
}

func (b *browser) signOut(all bool) error {
	b.w.t.Helper()
	return b.do(func(ctx context.Context, s *session.Session) error { return s.SignOut(ctx, all) })
}

// wantState fails unless the browser's session is in a state now.
func (b *browser) wantState(kind authn.StateKind) {
	b.w.t.Helper()
	if got := b.open().State().Kind(); got != kind {
		b.w.t.Errorf("the state is %s, want %s", got, kind)
	}
}

func (w *world) user(who string) session.User { return w.users[who] }

// invite makes an invitation in the name of the program.
func (w *world) invite(who string) string {
	w.t.Helper()
	u := w.user(who)
	code, err := w.Operate(u.Tenant).Invite(context.Background(), u.ID, 0)
	must(w.t, err)
	return code
}

// newKey is an authenticator in somebody's hand that nothing knows yet.
func (w *world) newKey(who, factor, id string) *authenticator {
	return &authenticator{factor: factor, id: id, handle: w.user(who).Handle, secret: "secret-of-" + id}
}

// passkey gives somebody a passkey, by an invitation.
func (w *world) passkey(who string) *authenticator {
	w.t.Helper()
	if k, ok := w.keys[who]; ok {
		return k
	}
	k := w.newKey(who, "passkey", strings.ReplaceAll(who, "/", "-")+"-1")
	b := w.browser(who)
	must(w.t, b.redeem(w.invite(who)))
	must(w.t, b.enrol(k))
	w.keys[who] = k
	return k
}

// store a credential without asking anybody.
func (w *world) give(who, factor, id string) *authenticator {
	w.t.Helper()
	ctx := context.Background()
	k := w.newKey(who, factor, id)
	u, err := w.store.User(ctx, w.user(who).Tenant, w.user(who).ID)
	must(w.t, err)
	best := authn.Strength{Category: authn.Know}
	if factor == "passkey" {
		best = authn.Strength{Category: authn.Have, PhishingResistant: true, UserVerified: true}
	}
	must(w.t, w.store.Enrol(ctx, session.Enrolled{At: w.clock(), Epoch: u.Epoch, Credential: factors.Credential{Tenant: u.Tenant, User: u.ID,
		Factor: factor, Kind: "typed", ID: id, Name: id, Data: []byte(`{"secret":"` + k.secret + `"}`), Best: best, Created: w.clock(), Version: 1}}))
	return k
}

// login signs somebody in by the method admin.
func (w *world) login(who string) *browser {
	w.t.Helper()
	k := w.passkey(who)
	b := w.browser(who)
	must(w.t, b.begin("admin"))
	must(w.t, b.prove(k))
	b.wantState(authn.KindAuthenticated)
	return b
}

// events are those of a tenant, oldest first; an empty tenant is the portal.
func (w *world) events(tenant string) []session.Event {
	w.t.Helper()
	all, err := w.store.Events(context.Background(), session.EventFilter{Tenant: tenant, Portal: tenant == "", Limit: 1000})
	must(w.t, err)
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

// wantEvent fails unless the newest events of a tenant hold one of what happened, for a reason.
func (w *world) wantEvent(tenant string, what authn.Occurrence, why authn.Reason) session.Event {
	w.t.Helper()
	all := w.events(tenant)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].What == what && all[i].Reason == why {
			return all[i]
		}
	}
	w.t.Errorf("no event %s %s; there are %s", what, why, brief(all))
	return session.Event{}
}

func (w *world) count(tenant string, what authn.Occurrence) int {
	n := 0
	for _, e := range w.events(tenant) {
		if e.What == what {
			n++
		}
	}
	return n
}

func brief(events []session.Event) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString("\n  " + string(e.What) + " " + string(e.Reason))
	}
	return b.String()
}
