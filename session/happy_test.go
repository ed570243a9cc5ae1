package session_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
)

var adminFloor = authn.Requirement{AAL: 2, PhishingResistant: true}

func TestEnrolAndLogin(t *testing.T) {
	w := newWorld(t)
	k := w.newKey("corp/alice", "passkey", "k1")
	b := w.browser("corp/alice")
	must(t, b.redeem(w.invite("corp/alice")))
	b.wantState(authn.KindPending)
	must(t, b.enrol(k))
	b.wantState(authn.KindGuest)

	planted := b.cookie
	must(t, b.begin("admin"))
	if b.cookie == planted {
		t.Error("beginning a login did not replace the secret")
	}
	b.wantState(authn.KindAuthenticating)
	half := b.cookie
	must(t, b.prove(k))
	if b.cookie == half {
		t.Error("finishing a login did not replace the secret")
	}
	b.route = "/admin/keys"
	s := b.open()
	must(t, s.Allows(adminFloor))
	p, _ := s.Person()
	if p.Subject != w.user("corp/alice").Subject() || p.Names.User != "alice" {
		t.Errorf("signed in as %+v", p.Subject)
	}
	if a := p.Assurance(); a.AAL != 2 || !a.PhishingResistant || !slices.Equal(a.AMR, []string{"swk", "pin", "mfa"}) {
		t.Errorf("assurance %+v", a)
	}
	w.wantEvent("corp", authn.LoginFinished, "")
	w.wantEvent("corp", authn.CredentialAdded, "")

	must(t, b.signOut(false))
	if b.cookie != "" {
		t.Error("the cookie was not ended")
	}
	w.wantEvent("corp", authn.SessionEnded, authn.ReasonSignedOut)
}

func TestStepUpAddsAndRemovesCredentials(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	first, second := w.passkey("corp/alice"), w.newKey("corp/alice", "passkey", "k2")
	must(t, b.enrol(second))

	w.wait(6 * time.Minute)
	remove := func(id string) error {
		return b.do(func(ctx context.Context, s *session.Session) error { return s.RemoveCredential(ctx, id) })
	}
	want := wantAs[*session.InsufficientError](t, remove(first.id)).Want
	if want.MaxAge == 0 || want.AAL != 2 || !want.PhishingResistant {
		t.Errorf("removing a passkey demands %+v", want)
	}
	before := b.cookie
	must(t, b.stepUp(want))
	must(t, b.prove(second))
	if b.cookie == before {
		t.Error("a step-up did not replace the secret")
	}
	must(t, remove(first.id))
	wantErr(t, remove(second.id), session.ErrConflict)
	b.wantState(authn.KindAuthenticated)

	// The session was won with a passkey that is gone. It steps up with the one that is left.
	w.wait(10 * time.Minute)
	must(t, b.stepUp(want))
	must(t, b.prove(second))
	b.wantState(authn.KindAuthenticated)
	w.wantEvent("corp", authn.StepUpFinished, "")
	w.wantEvent("corp", session.CredentialRemoved, "")
}

func TestPersonAboveKiosk(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	b := w.browser("corp/lobby")
	b.route = "/kiosk/home"
	must(t, b.begin("kiosk"))
	must(t, b.open().AllowsDevice())
	wantErr(t, b.open().Allows(), session.ErrNotAuthenticated)

	must(t, b.do(func(ctx context.Context, s *session.Session) error { return s.SaveValues(ctx, []byte("device")) }))
	must(t, b.begin("attendant"))
	must(t, b.open().AllowsDevice())
	must(t, b.prove(k))
	s := b.open()
	must(t, s.Allows())
	must(t, s.AllowsDevice())
	if len(s.Values()) != 0 {
		t.Error("the person inherits the device's values")
	}
	p, _ := s.Person()
	if p.Subject != w.user("corp/alice").Subject() || p.Assurance().AAL != 2 {
		t.Errorf("the person is %+v %+v", p.Subject, p.Assurance())
	}
	personal := b.cookie
	must(t, b.signOut(false))
	if b.cookie == personal || b.cookie == "" {
		t.Error("signing the person out did not replace the secret")
	}
	must(t, b.open().AllowsDevice())
	wantErr(t, b.open().Allows(), session.ErrNotAuthenticated)

	// A person falls when idle, the device stays.
	must(t, b.begin("attendant"))
	must(t, b.prove(k))
	w.wait(5 * time.Minute)
	must(t, b.open().AllowsDevice())
	wantErr(t, b.open().Allows(), session.ErrNotAuthenticated)

	// Without the device's certificate nothing is left.
	must(t, b.begin("attendant"))
	must(t, b.prove(k))
	stolen := b.twin()
	stolen.chain = nil
	stolen.wantState(authn.KindGuest)
	must(t, b.signOut(true))
	b.wantState(authn.KindGuest)
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	w := newWorld(t)
	one, two, three := w.login("corp/alice"), w.login("corp/alice"), w.login("corp/alice")
	other := w.login("labs/alice")
	var list []session.Summary
	must(t, one.do(func(ctx context.Context, s *session.Session) (err error) {
		list, err = s.Sessions(ctx)
		return err
	}))
	if len(list) != 3 {
		t.Fatalf("%d sessions are listed", len(list))
	}
	must(t, one.do(func(ctx context.Context, s *session.Session) error { return s.RevokeSession(ctx, two.open().ID()) }))
	two.wantState(authn.KindGuest)
	three.wantState(authn.KindAuthenticated)
	wantErr(t, one.do(func(ctx context.Context, s *session.Session) error { return s.RevokeSession(ctx, other.open().ID()) }), session.ErrNotFound)
	must(t, one.do(func(ctx context.Context, s *session.Session) error { _, err := s.RevokeOtherSessions(ctx); return err }))
	three.wantState(authn.KindGuest)
	one.wantState(authn.KindAuthenticated)
	other.wantState(authn.KindAuthenticated)
}

func TestAdministration(t *testing.T) {
	w := newWorld(t)
	root, alice := w.login("corp/root"), w.login("corp/alice")
	wantErr(t, alice.do(func(ctx context.Context, s *session.Session) error { _, err := s.Administer(ctx); return err }), session.ErrForbidden)
	admin := func(call func(context.Context, *session.Admin) error) error {
		return root.do(func(ctx context.Context, s *session.Session) error {
			a, err := s.Administer(ctx, adminFloor)
			if err != nil {
				return err
			}
			return call(ctx, a)
		})
	}
	id := w.user("corp/alice").ID
	must(t, admin(func(ctx context.Context, a *session.Admin) error { return a.SetStatus(ctx, id, session.Suspended) }))
	alice.wantState(authn.KindGuest)
	wantErr(t, w.browser("corp/alice").begin("badge"), session.ErrInvalidCredential)
	must(t, admin(func(ctx context.Context, a *session.Admin) error { return a.SetStatus(ctx, id, session.Active) }))
	alice = w.login("corp/alice")
	must(t, admin(func(ctx context.Context, a *session.Admin) error { _, err := a.EndUserSessions(ctx, id); return err }))
	alice.wantState(authn.KindGuest)
	// The administrator of one tenant knows nothing of another.
	foreign := w.user("labs/alice").ID
	wantErr(t, admin(func(ctx context.Context, a *session.Admin) error { return a.SetStatus(ctx, foreign, session.Suspended) }), session.ErrNotFound)
	wantErr(t, admin(func(ctx context.Context, a *session.Admin) error { _, err := a.Invite(ctx, foreign, 0); return err }), session.ErrNotFound)
	wantErr(t, admin(func(ctx context.Context, a *session.Admin) error {
		return a.EndSession(ctx, w.login("labs/alice").open().ID())
	}), session.ErrNotFound)
	wantErr(t, admin(func(ctx context.Context, a *session.Admin) error {
		return a.SetStatus(ctx, w.user("corp/root").ID, session.Suspended)
	}), session.ErrConflict)
	ev := w.wantEvent("corp", session.UserChanged, "")
	if ev.By != w.user("corp/root").ID {
		t.Errorf("the change was made by %q", ev.By)
	}
}
