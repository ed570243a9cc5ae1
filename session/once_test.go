package session_test

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// ask makes a request that is authenticated by itself.
func (b *browser) ask(route, token string) (*session.Session, error) {
	b.w.t.Helper()
	b.route = route
	r := b.request()
	if token != "" {
		r.Carried = factors.Carried{Scheme: "Bearer", Token: token, Method: "GET", URL: "https://portal.example" + route}
	}
	return b.w.Once(context.Background(), r)
}

func TestRequestAuthenticatedByItself(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	var s *session.Session
	writes := []string{}
	w.before = func(op string) {
		if !slices.Contains([]string{"UserNamed", "User", "Tenant", "ListDenials"}, op) {
			writes = append(writes, op)
		}
	}
	s, err := b.ask("/v1/secrets", "alice:read,write")
	must(t, err)
	w.before = nil
	if len(writes) > 0 {
		t.Errorf("it asked the store for %v", writes)
	}
	p, ok := s.Person()
	if !ok || p.Subject != w.user("corp/alice").Subject() || p.Method.Name != "service" {
		t.Fatalf("it is %+v", p)
	}
	if !slices.Equal(p.Scopes(), []string{"read", "write"}) {
		t.Errorf("scopes %v", p.Scopes())
	}
	must(t, s.Allows())
	if v, changed := s.Cookie(); changed || v != "" || s.ID() != "" {
		t.Error("it has a cookie")
	}
}

func TestNothingCanBeDoneWithARequestAlone(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	ctx := context.Background()
	for name, do := range map[string]func(s *session.Session) error{
		"begin":       func(s *session.Session) error { return s.Begin(ctx, session.Begin{Method: "badge"}) },
		"step up":     func(s *session.Session) error { return s.StepUp(ctx, authn.Requirement{AAL: 2}) },
		"redeem":      func(s *session.Session) error { return s.Redeem(ctx, "CODE") },
		"enrol":       func(s *session.Session) error { _, err := s.EnrolChallenge(ctx, "passkey"); return err },
		"challenge":   func(s *session.Session) error { _, err := s.Challenge(ctx, "passkey"); return err },
		"verify":      func(s *session.Session) error { return s.Verify(ctx, "token", nil) },
		"come back":   func(s *session.Session) error { _, err := s.Return(ctx, "idp", nil); return err },
		"grant":       func(s *session.Session) error { _, err := s.Grant(ctx); return err },
		"cancel":      func(s *session.Session) error { return s.Cancel(ctx) },
		"sign out":    func(s *session.Session) error { return s.SignOut(ctx, true) },
		"keep values": func(s *session.Session) error { return s.SaveValues(ctx, []byte("x")) },
		"administer":  func(s *session.Session) error { _, err := s.Administer(ctx, authn.Requirement{}); return err },
		"end others":  func(s *session.Session) error { _, err := s.RevokeOtherSessions(ctx); return err },
		"remove":      func(s *session.Session) error { return s.RemoveCredential(ctx, "id") },
		"rename":      func(s *session.Session) error { return s.RenameCredential(ctx, "id", "name") },
	} {
		s, err := w.browser("corp/root").ask("/v1/x", "root:all")
		must(t, err)
		w.before = func(op string) {
			if strings.HasPrefix(op, "Create") || strings.HasPrefix(op, "Swap") || op == "SaveValues" || strings.HasPrefix(op, "Remove") || strings.HasPrefix(op, "End") {
				t.Errorf("%s: %s", name, op)
			}
		}
		if err := do(s); !errors.Is(err, session.ErrForbidden) && !errors.Is(err, session.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
		w.before = nil
		if _, changed := s.Cookie(); changed {
			t.Errorf("%s: there is a cookie", name)
		}
	}
}

func TestTokenAloneIsNotEnough(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	for _, token := range []string{"", "alice:read", "nobody:read", "labs/alice:read"} {
		_, err := w.browser("").ask("/v1/x", token)
		wantErr(t, err, session.ErrCertificateRequired)
	}
	_, err := w.browser("corp/alice").ask("/v1/x", "")
	wantErr(t, err, session.ErrNotAuthenticated)
	refused := w.browser("corp/alice")
	refused.route = "/v1/x"
	r := refused.request()
	r.Peer, r.PeerRefused, r.Carried = factors.PeerCertChain{}, errors.New("refused"), factors.Carried{Scheme: "Bearer", Token: "alice:read"}
	_, err = w.Once(context.Background(), r)
	wantErr(t, err, session.ErrBadRequest)
	// The legacy switch is per method, and says so in the log.
	s, err := w.browser("").ask("/legacy/x", "alice:read")
	must(t, err)
	if p, _ := s.Person(); p.Subject != w.user("corp/alice").Subject() {
		t.Errorf("it is %+v", p.Subject)
	}
	if !strings.Contains(w.log.String(), "insecure_allow_token_without_certificate") {
		t.Error("the log does not complain")
	}
	// With a certificate it must be the right one all the same.
	_, err = w.browser("corp/bob").ask("/legacy/x", "alice:read")
	wantErr(t, err, session.ErrInvalidCredential)
}

func TestRequestsThatAreRefused(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	ctx := context.Background()
	for name, c := range map[string]struct {
		who, route, token string
		want              error
	}{
		"the token of another user":    {"corp/alice", "/v1/x", "bob:read", session.ErrInvalidCredential},
		"of another tenant":            {"corp/alice", "/v1/x", "labs/alice:read", session.ErrInvalidCredential},
		"of nobody":                    {"corp/alice", "/v1/x", "nobody:read", session.ErrInvalidCredential},
		"a certificate that is no one": {"corp/lobby", "/v1/x", "alice:read", session.ErrInvalidCredential},
		"a route with no such method":  {"corp/alice", "/admin/x", "alice:read", session.ErrForbidden},
	} {
		b := w.browser(c.who)
		s, err := b.ask(c.route, c.token)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := s.Person(); ok || s.State().Kind() != authn.KindGuest {
			t.Errorf("%s: somebody is there", name)
		}
	}
	must(t, w.Operate("corp").SetStatus(ctx, w.user("corp/bob").ID, session.Suspended))
	_, err := w.browser("corp/bob").ask("/v1/x", "bob:read")
	wantErr(t, err, session.ErrInvalidCredential)
	digest := factors.TokenDigest("issuer", "alice:read")
	must(t, w.Operate("corp").Deny(ctx, factors.Denial{By: factors.DenyToken, Value: hex.EncodeToString(digest[:])}))
	_, err = w.browser("corp/alice").ask("/v1/x", "alice:read")
	wantErr(t, err, session.ErrInvalidCredential)
	w.wantEvent("corp", authn.FactorFailed, factors.ReasonRevoked)
	_, err = w.browser("corp/alice").ask("/v1/x", "alice:write")
	must(t, err)
	digest = factors.TokenDigest("issuer", "alice")
	must(t, w.Operate("labs").Deny(ctx, factors.Denial{By: factors.DenyTokenSubject, Value: hex.EncodeToString(digest[:])}))
	if _, err = w.browser("corp/alice").ask("/v1/x", "alice:write"); err != nil {
		t.Errorf("another tenant's denial: %v", err)
	}
	must(t, w.Operate("corp").Deny(ctx, factors.Denial{By: factors.DenyTokenSubject, Value: hex.EncodeToString(digest[:])}))
	_, err = w.browser("corp/alice").ask("/v1/x", "alice:write")
	wantErr(t, err, session.ErrInvalidCredential)
	// Tokens issued since are good: these tests issue each a minute ago.
	w.wait(2 * time.Minute)
	_, err = w.browser("corp/alice").ask("/v1/x", "alice:write")
	must(t, err)
}

func TestBadTokensCountAgainstTheirSource(t *testing.T) {
	w := newWorld(t, append(slices.Clone(elsewherePolicy), "floors:\n", "limits: { attempts: { per_source: 5 } }\nfloors:\n")...)
	for range 5 {
		_, err := w.browser("corp/alice").ask("/v1/x", "nobody:read")
		wantErr(t, err, session.ErrInvalidCredential)
	}
	_, err := w.browser("corp/alice").ask("/v1/x", "nobody:read")
	wantAs[*session.LockedError](t, err)
	if _, err := w.browser("corp/alice").ask("/v1/x", "alice:read"); err != nil {
		t.Errorf("a good one costs nothing, and is refused: %v", err)
	}
}

func TestFreshNonceCostsNothing(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	w.tokens.nonce = "n1"
	for range 60 {
		_, err := w.browser("corp/alice").ask("/v1/x", "alice:read")
		if e := wantAs[*session.ProofError](t, err); e.Nonce != "n1" {
			t.Fatal("another nonce")
		}
		wantErr(t, err, session.ErrInvalidCredential)
	}
}

func TestFloorsBindRequestsAlone(t *testing.T) {
	w := newWorld(t, append(slices.Clone(elsewherePolicy), "floors:\n", "floors:\n  - { name: strict, route: /v1/strict/*, factors: [device] }\n")...)
	_, err := w.browser("corp/alice").ask("/v1/strict/x", "alice:read")
	must(t, err)
	w.setPolicy(append(slices.Clone(elsewherePolicy), "  - { route: /v1/*, methods: [service] }\n", "  - { route: /v1/*, methods: [legacy] }\n",
		"floors:\n", "floors:\n  - { name: strict, route: /v1/strict/*, factors: [device] }\n")...)
	_, err = w.browser("").ask("/v1/strict/x", "alice:read")
	if e := wantAs[*session.InsufficientError](t, err); e.Want.Name != "strict" {
		t.Errorf("refused by %q", e.Want.Name)
	}
	_, err = w.browser("").ask("/v1/x", "alice:read")
	must(t, err)
}

func TestStoreThatFailsRefusesRequests(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	calls := w.calls(func() { _, err := w.browser("corp/alice").ask("/v1/x", "alice:read"); must(t, err) })
	for n := 1; n <= calls; n++ {
		w := newWorld(t, elsewherePolicy...)
		op := w.nth(n, storetest.Before)
		s, err := w.browser("corp/alice").ask("/v1/x", "alice:read")
		if _, ok := s.Person(); ok || err == nil {
			t.Errorf("%s failed, and the request passed", *op)
		} else if errors.Is(err, session.ErrInvalidCredential) {
			t.Errorf("%s failed, and the caller is to blame: %v", *op, err)
		}
	}
}

func TestTokensAreGrantedBySessionsThatLive(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.login("corp/alice")
	b.route = "/admin/x"
	s := b.open()
	p, err := s.Grant(context.Background())
	if must(t, err); p.Subject != w.user("corp/alice").Subject() {
		t.Errorf("granted for %+v", p.Subject)
	}
	must(t, b.twin().signOut(true))
	if _, err := s.Grant(context.Background()); err == nil {
		t.Error("granted after the session ended")
	}
	_, err = w.browser("corp/alice").open().Grant(context.Background())
	wantErr(t, err, session.ErrNotAuthenticated)
}

func TestHostOfATenantTakesItsOwnRequests(t *testing.T) {
	w := newWorld(t, append(slices.Clone(elsewherePolicy), oneOrigin, twoOrigins)...)
	b := w.browser("corp/alice")
	b.host = "labs.example"
	_, err := b.ask("/v1/x", "alice:read")
	wantErr(t, err, session.ErrInvalidCredential)
	c := w.browser("labs/alice")
	c.host = "labs.example"
	_, err = c.ask("/v1/x", "labs/alice:read")
	must(t, err)
}

// tokenOf is how tokens name the session that a browser has.
func tokenOf(b *browser) string {
	s := b.open()
	p, _ := s.Person()
	return s.ID() + "." + p.Login
}

func TestSessionsThatTokensRestOn(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	ctx := context.Background()
	b := w.login("corp/alice")
	id, alice := tokenOf(b), w.user("corp/alice")
	live := func(tenant, user, id string) bool {
		t.Helper()
		ok, err := w.tokens.env.Live.SessionLive(ctx, w.clock(), tenant, user, id)
		must(t, err)
		return ok
	}
	if !live("corp", alice.ID, id) {
		t.Fatal("the session is not there")
	}
	for name, ok := range map[string]bool{
		"another tenant": live("labs", alice.ID, id), "another user": live("corp", w.user("corp/bob").ID, id), "another session": live("corp", alice.ID, "id"), "another login": live("corp", alice.ID, b.open().ID()+".x"), "no login": live("corp", alice.ID, b.open().ID()),
		"no session": live("corp", alice.ID, ""), "nobody": live("corp", "", id), "no tenant": live("", alice.ID, id),
	} {
		if ok {
			t.Errorf("%s: it is live", name)
		}
	}
	guest := w.browser("corp/bob")
	must(t, guest.begin("admin"))
	if live("corp", w.user("corp/bob").ID, guest.open().ID()+".") {
		t.Error("a login under way is a session")
	}
	// A suspension whose ending of rows broke off.
	u := w.account("corp/alice")
	u.Cutoff = w.clock().Add(time.Second)
	must(t, w.store.SetUser(ctx, u))
	w.wait(2 * time.Second)
	if live("corp", alice.ID, id) {
		t.Error("a session from before the cutoff is live")
	}
	c := w.login("corp/alice")
	id = tokenOf(c)
	must(t, c.twin().signOut(true))
	if live("corp", alice.ID, id) {
		t.Error("a session that ended is live")
	}
	d := w.login("corp/alice")
	id = tokenOf(d)
	w.wait(16 * time.Minute)
	if live("corp", alice.ID, id) {
		t.Error("a session that idled out is live")
	}
	w.fail = func(op string) storetest.Fault {
		if op == "ListSessions" {
			return storetest.Before
		}
		return storetest.None
	}
	if ok, err := w.tokens.env.Live.SessionLive(ctx, w.clock(), "corp", alice.ID, id); ok || err == nil {
		t.Error("a store that fails says that it is live")
	}
}

func TestTokensDoNotStepUp(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.login("corp/alice")
	err := b.do(func(ctx context.Context, s *session.Session) error {
		return s.StepUp(ctx, authn.Requirement{Factors: []string{"token"}})
	})
	wantErr(t, err, session.ErrForbidden)
}

// A request's factors are looked at once: what is spent by looking, as a proof of possession is, is good all the same.
func TestWhatARequestCarriesIsVerifiedOnce(t *testing.T) {
	firstOfAll := append(slices.Clone(elsewherePolicy), "  token:   { kind: token }\n", "", "factors:\n", "factors:\n  token:   { kind: token }\n")
	for name, c := range map[string]struct {
		policy     []string
		who, route string
	}{
		"certificate and token":                    {elsewherePolicy, "corp/alice", "/v1/x"},
		"where the token's factor stands first":    {firstOfAll, "corp/alice", "/v1/x"},
		"without certificate, where that is taken": {elsewherePolicy, "", "/legacy/x"},
	} {
		w := newWorld(t, c.policy...)
		w.tokens.once = true
		ask := func() error {
			b := w.browser(c.who)
			b.route = c.route
			r := b.request()
			r.Carried = factors.Carried{Scheme: "DPoP", Token: "alice:read", Proof: "p1", Method: "GET", URL: "https://portal.example" + c.route}
			_, err := w.Once(context.Background(), r)
			return err
		}
		if err := ask(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := ask(); !errors.Is(err, session.ErrInvalidCredential) {
			t.Errorf("%s: and again: %v", name, err)
		}
	}
}

func TestDenialWithoutATimeDenies(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	d := factors.CertificateDenials(w.browser("corp/alice").chain[0])[0]
	d.ID, d.Tenant = "d1", "corp"
	must(t, w.store.AddDenial(context.Background(), d))
	wantErr(t, w.browser("corp/alice").begin("badge"), session.ErrInvalidCredential)
}

func TestSubjectDeniedOnceMore(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	digest := factors.TokenDigest("issuer", "alice")
	deny := factors.Denial{By: factors.DenyTokenSubject, Value: hex.EncodeToString(digest[:])}
	must(t, w.Operate("corp").Deny(context.Background(), deny))
	w.wait(10 * time.Minute)
	_, err := w.browser("corp/alice").ask("/v1/x", "alice:read") // issued a minute ago: after the denial
	must(t, err)
	must(t, w.Operate("corp").Deny(context.Background(), deny))
	_, err = w.browser("corp/alice").ask("/v1/x", "alice:read")
	wantErr(t, err, session.ErrInvalidCredential)
}

func TestRefusedCertificatesDoNotFillTheAuditLog(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	for range 200 {
		b := w.browser("corp/alice")
		b.route = "/v1/x"
		r := b.request()
		r.Peer, r.PeerRefused, r.Carried = factors.PeerCertChain{}, errors.New("refused"), factors.Carried{Scheme: "Bearer", Token: "alice:read"}
		_, err := w.Once(context.Background(), r)
		wantErr(t, err, session.ErrBadRequest)
	}
	n := 0
	for _, tenant := range []string{"", "corp"} {
		for _, e := range w.events(tenant) {
			if e.Reason == session.ReasonCertificateRefused {
				n++
			}
		}
	}
	if n != 1 {
		t.Errorf("%d events of one caller", n)
	}
}
