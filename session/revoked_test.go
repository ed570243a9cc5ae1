package session_test

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
	"github.com/sallyport-auth/sallyport/session"
)

// lists is a file of lists that the policy of a world names.
type lists struct {
	t    *testing.T
	file string
	n    int64
}

func newLists(t *testing.T) *lists {
	l := &lists{t: t, file: filepath.Join(t.TempDir(), "all.crl")}
	l.write(mtlstest.List{})
	return l
}

// edits are what makes a policy look its certificates up.
func (l *lists) edits() []string {
	return l.with("max_age: 24h")
}

// with is edits, with other settings beside the file.
func (l *lists) with(settings string) []string {
	return []string{"    bind: key\n", "    bind: key\n    revocation: { crl: [" + l.file + "], " + settings + " }\n"}
}

// write makes a newer list of the staff's authority.
func (l *lists) write(list mtlstest.List) {
	l.t.Helper()
	l.n++
	list.Number = l.n
	must(l.t, os.WriteFile(l.file, append(authorities(l.t).corp.ListPEM(list), authorities(l.t).labs.ListPEM(mtlstest.List{})...), 0o600))
}

// A certificate that its authority revoked ends the sessions and logins that were won with it, on the next request, and
// begins none.
func TestRevokedCertificateEndsSessions(t *testing.T) {
	l := newLists(t)
	w := newWorld(t, l.edits()...)
	b, half, other := w.login("corp/alice"), w.browser("corp/alice"), w.login("corp/bob")
	must(t, half.begin("admin"))
	kept := b.twin()
	l.write(mtlstest.List{Revoked: []*x509.Certificate{b.chain[0]}})
	w.setPolicy(l.edits()...)
	b.wantState(authn.KindGuest)
	half.wantState(authn.KindGuest)
	other.wantState(authn.KindAuthenticated)
	wantErr(t, w.browser("corp/alice").begin("admin"), session.ErrInvalidCredential)
	w.wantEvent("corp", session.SessionRefused, factors.ReasonRevoked)
	// What has ended stays so when the authority thinks better of it.
	l.write(mtlstest.List{})
	w.setPolicy(l.edits()...)
	kept.wantState(authn.KindGuest)
	must(t, w.browser("corp/alice").begin("admin"))
}

// Where nothing is known any more nothing is decided: nobody gets in or on, and sessions are there again when it is.
func TestStaleListEndsNoSession(t *testing.T) {
	l := newLists(t)
	w := newWorld(t, l.edits()...)
	b := w.login("corp/alice")
	l.write(mtlstest.List{NextUpdate: w.clock().Add(time.Minute)})
	w.setPolicy(l.edits()...)
	b.wantState(authn.KindAuthenticated)
	w.wait(time.Minute)
	_, err := w.Open(context.Background(), b.request())
	wantAs[*session.UnavailableError](t, err)
	if u := wantAs[*revocation.UndecidedError](t, err); u.Reason != revocation.ReasonStale {
		t.Error(u)
	}
	wantAs[*session.UnavailableError](t, w.browser("corp/alice").begin("admin"))
	l.write(mtlstest.List{})
	w.setPolicy(l.edits()...)
	b.wantState(authn.KindAuthenticated)
}

// What is known of a certificate is too old, and the policy lets it pass with a further factor: guards ask for that one, on
// every request, until something newer is known.
func TestStaleCertificateNeedsAFurtherFactor(t *testing.T) {
	l := newLists(t)
	edits := l.with("stale: { step_up: [passkey], allow_until: 2h }")
	w := newWorld(t, edits...)
	weak, strong := w.browser("corp/alice"), w.login("corp/alice")
	code, passkey := w.give("corp/alice", "code", "c1"), w.give("corp/alice", "passkey", "p2")
	login := func(b *browser) {
		t.Helper()
		must(t, b.begin("flexible"))
		must(t, b.prove(code))
	}
	weak.route, strong.route = "/admin/x", "/admin/x"
	login(weak)
	late := mtlstest.List{NextUpdate: w.clock().Add(time.Minute)}
	l.write(late)
	w.setPolicy(edits...)
	// The floor of the route is for the passkey: an open one shows what a stale certificate costs.
	edits = append(edits, "  - { name: admin, route: /admin/*, aal: 2, phishing_resistant: true }\n", "  - { name: admin, route: /other/*, aal: 2, phishing_resistant: true }\n")
	w.setPolicy(edits...)
	must(t, weak.open().Allows())
	w.wait(2 * time.Minute)

	wants := func(err error) {
		t.Helper()
		if want := wantAs[*session.InsufficientError](t, err).Want; !slices.Equal(want.Factors, []string{"passkey"}) {
			t.Errorf("it wants %+v", want)
		}
	}
	must(t, strong.open().Allows())
	weak.wantState(authn.KindAuthenticated)
	wants(weak.open().Allows())
	wants(weak.do(func(ctx context.Context, s *session.Session) error { _, err := s.Grant(ctx); return err }))
	wants(weak.do(func(ctx context.Context, s *session.Session) error { _, err := s.RevokeOtherSessions(ctx); return err }))
	// A login with a stale certificate is one, and worth as little.
	again := w.browser("corp/alice")
	again.route = "/admin/x"
	login(again)
	wants(again.open().Allows())

	must(t, weak.stepUp(authn.Requirement{Factors: []string{"passkey"}}))
	must(t, weak.prove(passkey))
	must(t, weak.open().Allows())

	l.write(mtlstest.List{})
	w.setPolicy(edits...)
	must(t, again.open().Allows())
	l.write(late)
	w.setPolicy(edits...) // an older list takes nothing back, but this one is newer
	wants(again.open().Allows())
	w.wait(2 * time.Hour)
	wantAs[*session.UnavailableError](t, w.browser("corp/alice").begin("flexible"))
}

// A request that is authenticated by itself has nothing to step up with.
func TestStaleCertificateOnEachRequest(t *testing.T) {
	l := newLists(t)
	edits := slices.Concat(elsewherePolicy, l.with("stale: { step_up: [passkey] }"))
	w := newWorld(t, edits...)
	_, err := w.browser("corp/alice").ask("/v1/x", "alice:read")
	must(t, err)
	l.write(mtlstest.List{NextUpdate: w.clock().Add(-time.Minute)})
	w.setPolicy(edits...)
	_, err = w.browser("corp/alice").ask("/v1/x", "alice:read")
	wantAs[*session.InsufficientError](t, err)
}

// The factor that is wanted besides is one that can be asked for.
func TestFurtherFactorMustBeThere(t *testing.T) {
	for _, name := range []string{"nobody", "device", "kiosk-cert"} {
		l := newLists(t)
		w := newWorld(t)
		if err := w.SetPolicy(w.policy(l.with("stale: { step_up: [" + name + "] }")...)); err == nil {
			t.Errorf("%s is a factor to step up with", name)
		}
	}
}
