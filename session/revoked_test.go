package session_test

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
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
	return []string{"    bind: key\n", "    bind: key\n    revocation: { crl: [" + l.file + "], max_age: 24h }\n"}
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
