package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

func atKiosk(w *world, who string) *browser {
	b := w.browser("corp/lobby")
	k := w.passkey(who)
	must(w.t, b.begin("kiosk"))
	must(w.t, b.begin("attendant"))
	must(w.t, b.prove(k))
	return b
}

// The person idles out while a request's body is slow; the request then begins a login on the device.
func TestValuesGoWithAPersonOfASlowRequest(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	b := atKiosk(w, "corp/alice")
	must(t, b.do(func(ctx context.Context, s *session.Session) error { return s.SaveValues(ctx, []byte("alice's cart")) }))
	w.wait(4 * time.Minute)
	s := b.open() // touches
	w.wait(6 * time.Minute)
	must(t, s.Begin(ctx, session.Begin{Method: "attendant"}))
	b.take(s)
	n := b.open()
	if _, ok := n.Person(); ok {
		t.Fatal("setup")
	}
	if v := n.Values(); len(v) != 0 {
		t.Errorf("nobody is signed in, and the values are %q", v)
	}
}

// The same where the person's standing lapsed and ending rows broke off.
func TestValuesGoWithASuspendedPerson(t *testing.T) {
	w := newWorld(t)
	b := atKiosk(w, "corp/alice")
	must(t, b.do(func(ctx context.Context, s *session.Session) error { return s.SaveValues(ctx, []byte("alice's cart")) }))
	w.wait(time.Second)
	w.fail = only("EndSessions", 1, storetest.Before)
	_ = w.Operate("corp").SetStatus(context.Background(), w.user("corp/alice").ID, session.Suspended)
	w.fail = nil
	w.wait(2 * time.Second)
	must(t, b.begin("attendant"))
	n := b.open()
	if v := n.Values(); len(v) != 0 {
		t.Errorf("nobody is signed in, and the values are %q", v)
	}
}

// Signing out of a kiosk while the audit log is down.
func TestSignOutIsNotTakenBack(t *testing.T) {
	w := newWorld(t)
	b := atKiosk(w, "corp/alice")
	w.fail = func(op string) storetest.Fault {
		if op == "AddEvents" {
			return storetest.Before
		}
		return storetest.None
	}
	wantAs[*session.UnavailableError](t, b.signOut(false))
	w.fail = nil
	if _, ok := b.open().Person(); ok {
		t.Error("the sign-out was undone: the person is signed in, with a fresh cookie")
	}
}

// A session is revoked by id while it enrols; the new credential is used before it is taken away again.
func TestSessionsOfACredentialTakenBack(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	b := w.login("corp/alice")
	id := b.open().ID()
	asked, err := b.enrolChallenge("passkey")
	must(t, err)
	k := w.newKey("corp/alice", "passkey", "attackers")
	w.before = func(op string) {
		if op == "Enrol" {
			w.before = nil
			must(t, w.Operate("corp").EndSession(ctx, id))
		}
	}
	thief := w.browser("corp/alice")
	w.after = func(op string) {
		if op == "Enrol" {
			w.after = nil
			must(t, thief.begin("admin"))
			must(t, thief.prove(k))
		}
	}
	wantErr(t, b.enrolAnswer(k, asked), session.ErrConflict)
	if w.stored("passkey", "attackers") {
		t.Fatal("stored")
	}
	w.wait(10 * time.Minute)
	if thief.open().Allows() == nil {
		t.Error("the credential was taken back, and the session won with it lives on")
	}
}

// The person signs out of a kiosk while a request of theirs enrols.
func TestNoCredentialAfterKioskSignOut(t *testing.T) {
	w := newWorld(t)
	b := atKiosk(w, "corp/alice")
	asked, err := b.enrolChallenge("passkey")
	must(t, err)
	twin := b.twin()
	w.before = func(op string) {
		if op == "Enrol" {
			w.before = nil
			must(t, twin.signOut(false))
		}
	}
	wantErr(t, b.enrolAnswer(w.newKey("corp/alice", "passkey", "late"), asked), session.ErrConflict)
	if w.stored("passkey", "late") {
		t.Error("signed out, and then a credential was stored in the person's name")
	}
}

func administering(w *world, who string) (*browser, *session.Admin) {
	b := w.login(who)
	a, err := b.open().Administer(context.Background())
	must(w.t, err)
	return b, a
}

// An undo restores what somebody else changed.
func TestUndoTouchesNothingElse(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	_, a := administering(w, "corp/root")
	bob := w.user("corp/bob").ID
	set := 0
	w.after = func(op string) {
		if op != "SetUser" {
			return
		}
		if set++; set == 1 {
			w.after = nil
			_, err := w.Operate("corp").EndUserSessions(ctx, w.user("corp/root").ID)
			must(t, err)
			must(t, w.Operate("corp").SetStatus(ctx, bob, session.Suspended))
		}
	}
	wantErr(t, a.SetAdmin(ctx, bob, true), session.ErrConflict)
	if u := w.account("corp/bob"); u.Status != session.Suspended {
		t.Errorf("bob was suspended, and is %s: the undo of an administrator who was thrown out let bob in again", u.Status)
	}
}

// An administrator removes their own passkey, hours after they proved anything.
func TestAdministratorsRemoveTheirOwnAsEverybody(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	b := w.login("corp/root")
	for range 10 {
		w.wait(10 * time.Minute)
		b.open()
	}
	s := b.open()
	k := w.passkey("corp/root")
	wantErr(t, s.RemoveCredential(ctx, k.id), session.ErrConflict)
	s = b.open()
	a, err := s.Administer(ctx)
	must(t, err)
	err = a.RemoveCredential(ctx, w.user("corp/root").ID, "passkey", k.id)
	if err == nil {
		t.Error("removed one's own only passkey with evidence 100 minutes old, as the last administrator")
	}
}

// The policy rises while a request's body is slow.
func TestSlowRequestUnderANewPolicy(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	asked, err := b.enrolChallenge("passkey")
	must(t, err)
	s := b.open()
	w.setPolicy("methods: [admin, flexible, partner]", "methods: [partner]", "  - { methods: [admin] }", "  - { methods: [partner] }")
	w.wait(3 * time.Minute)
	if b.open().Allows() == nil {
		t.Fatal("setup")
	}
	k := w.newKey("corp/alice", "passkey", "late")
	_, err = s.Enrol(context.Background(), "passkey", "late", k.answer(t, asked.PublicKey))
	if err == nil {
		t.Error("three minutes after the session's method was taken off the policy, a slow request enrols a passkey")
	}
}

// The certificate's key is denied while a request's body is slow.
func TestSlowRequestWithADeniedKey(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	b := w.login("corp/alice")
	asked, err := b.enrolChallenge("passkey")
	must(t, err)
	s := b.open()
	must(t, w.Operate("corp").Deny(ctx, factors.CertificateDenials(b.chain[0])[1]))
	w.wait(3 * time.Minute)
	k := w.newKey("corp/alice", "passkey", "late")
	if _, err = s.Enrol(ctx, "passkey", "late", k.answer(t, asked.PublicKey)); err == nil {
		t.Error("three minutes after the certificate's key was denied, a slow request enrols a passkey")
	}
}

// seen wrote a touch that the request itself does not know of.
func TestTouchedIsNotIdle(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	w.wait(14*time.Minute + 50*time.Second)
	s := b.open()
	if s.Allows() != nil {
		t.Fatal("setup")
	}
	w.wait(20 * time.Second)
	if _, err := s.RevokeOtherSessions(context.Background()); err != nil {
		t.Errorf("seen twenty seconds ago, and: %v", err)
	}
}

// A stale sign-out finds another person and lets go; what the first one's request saves next makes a row.
func TestValuesAfterAStaleSignOut(t *testing.T) {
	w := newWorld(t)
	b := atKiosk(w, "corp/alice")
	stale := b.twin()
	s := stale.open()
	must(t, b.signOut(false))
	must(t, b.begin("attendant"))
	must(t, b.prove(w.passkey("corp/bob")))
	must(t, s.SignOut(context.Background(), false))
	err := s.SaveValues(context.Background(), []byte("alice's"))
	if v, changed := s.Cookie(); err == nil || changed {
		t.Errorf("the values of a person who is gone are saved (%v), cookie changed %v %q", err, changed, v)
	}
}

// The session runs out in a slow request; its values become a guest's.
func TestValuesOfASlowRequest(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	must(t, b.do(func(ctx context.Context, s *session.Session) error { return s.SaveValues(ctx, []byte("alice's")) }))
	s := b.open()
	w.wait(20 * time.Minute)
	_ = s.Cancel(context.Background())
	if err := s.SaveValues(context.Background(), []byte("alice's")); err == nil {
		b.take(s)
		t.Errorf("values of a principal that is over are a guest's now: %q %s", b.open().Values(), b.open().State().Kind())
	}
}

// An insider locks a colleague's passkey.
func TestInsidersLockNoPasskey(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	mallory := w.browser("corp/bob")
	mallory.source = "198.51.100.7"
	for range 5 {
		must(t, mallory.begin("partner", returning("/admin/x")))
		bad := *k
		bad.secret = "x"
		_ = mallory.prove(&bad)
	}
	al := w.browser("corp/alice")
	must(t, al.begin("partner", returning("/admin/x")))
	if err := al.prove(k); err != nil {
		t.Errorf("alice's passkey, with her own certificate from her own address: %v", err)
	}
}

// Whoever signs in again and is suspended in that very moment has neither the new session nor the one before.
func TestSuspendedWhileSigningInAgain(t *testing.T) {
	ctx := context.Background()
	for who, begin := range map[string]func(*world) (*browser, session.User, func() error){ // the last is the end of the second login
		"a person": func(w *world) (*browser, session.User, func() error) {
			b, k := w.login("corp/alice"), w.give("corp/alice", "passkey", "second")
			must(w.t, b.begin("admin"))
			asked, err := b.challenge("passkey")
			must(w.t, err)
			return b, w.account("corp/alice"), func() error { return b.verify("passkey", k.answer(w.t, asked.PublicKey)) }
		},
		"a workload": func(w *world) (*browser, session.User, func() error) {
			b := w.running()
			return b, w.theJob(), func() error { return b.begin("job", returning("/jobs/x")) }
		},
	} {
		t.Run(who, func(t *testing.T) {
			w := workshop(t)
			b, u, finish := begin(w)
			set := func(status session.Status) {
				u, err := w.store.User(ctx, "corp", u.ID)
				must(t, err)
				u.Status = status
				must(t, w.store.SetUser(ctx, u)) // and no session is ended yet
			}
			w.after = func(op string) {
				if op == "SwapSession" { // one, which saves what was won
					w.after = nil
					set(session.Suspended)
				}
			}
			wantErr(t, finish(), session.ErrInvalidCredential)
			set(session.Active)
			w.wait(2 * time.Second)
			b.wantState(authn.KindGuest)
		})
	}
}
