package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// A sign-out that carries a secret which was replaced meanwhile is handed a fresh one.
func TestStaleSignOut(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	b := w.browser("corp/lobby")
	must(t, b.begin("kiosk"))
	must(t, b.begin("attendant"))
	must(t, b.prove(k))
	stale := b.twin() // has read the cookie; its request is in flight
	s := stale.open()
	must(t, b.signOut(false))     // the kiosk goes on: alice leaves,
	must(t, b.begin("attendant")) // and bob signs in; the secret was replaced three times
	must(t, b.prove(w.passkey("corp/bob")))
	err := s.SignOut(context.Background(), false)
	stale.take(s)
	t.Log("sign-out answered", err)
	if stale.open().State().Kind() != authn.KindGuest {
		t.Error("a secret that was replaced has got a new one that opens the session")
	}
	if _, ok := b.open().Person(); !ok {
		t.Error("the stale sign-out signed out somebody else")
	}
}

// The person at a kiosk idles out; what the application kept for him is there for whoever comes next.
func TestValuesGoWithTheirPerson(t *testing.T) {
	w := newWorld(t)
	b := atKiosk(w, "corp/alice")
	must(t, b.do(func(ctx context.Context, s *session.Session) error { return s.SaveValues(ctx, []byte("alice's cart")) }))
	late := b.open()
	w.wait(6 * time.Minute)
	s := b.open()
	if _, ok := s.Person(); ok || s.State().Kind() != authn.KindAuthenticated {
		t.Fatal("the set-up is not what it should be")
	}
	if v := s.Values(); len(v) != 0 {
		t.Errorf("nobody is signed in, and the values are %q", v)
	}
	s = b.open() // a request later the row was saved without the person
	if v := s.Values(); len(v) != 0 {
		t.Errorf("a request later the values are %q", v)
	}
	if err := late.SaveValues(context.Background(), []byte("alice's late write")); err == nil {
		t.Errorf("a write of the person's request landed in the device's values: %q", b.open().Values())
	}
}

// A person who may not sign in on a kiosk takes the device with him.
func TestRefusedPersonLeavesTheDevice(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	b := w.browser("corp/lobby")
	must(t, b.begin("kiosk"))
	must(t, b.begin("attendant"))
	w.after = func(op string) {
		if op == "SwapSession" {
			u := w.account("corp/alice")
			u.Status = session.Suspended
			must(t, w.store.SetUser(context.Background(), u))
		}
	}
	asked, err := b.challenge("passkey")
	must(t, err)
	u := w.account("corp/alice")
	u.Status = session.Active
	must(t, w.store.SetUser(context.Background(), u))
	wantErr(t, b.verify("passkey", k.answer(t, asked.PublicKey)), session.ErrInvalidCredential)
	w.after = nil
	b.wantState(authn.KindAuthenticated)
}

// The kiosk's method is no longer on offer; its people pass all the same.
func TestPersonFallsWithTheDevicesMethod(t *testing.T) {
	w := newWorld(t)
	b := atKiosk(w, "corp/alice")
	b.route = "/kiosk/x"
	must(t, b.open().Allows())
	w.setPolicy("- { route: /kiosk/*, methods: [kiosk, attendant] }", "- { route: /kiosk/*, methods: [attendant] }\n  - { route: /elsewhere/*, tenant: labs, methods: [kiosk] }")
	if b.open().AllowsDevice() == nil {
		t.Fatal("set-up")
	}
	if b.open().Allows() == nil {
		t.Error("the device may not be here any more, and the person above it may")
	}
}

// A person who is not in force on a request takes the values along, though the row is as it was.
func TestValuesOfAPersonWhoIsNotInForce(t *testing.T) {
	w := newWorld(t)
	b := atKiosk(w, "corp/alice")
	must(t, b.do(func(ctx context.Context, s *session.Session) error { return s.SaveValues(ctx, []byte("alice's cart")) }))
	w.wait(time.Second)
	w.fail = only("EndSessions", 1, storetest.Before)
	wantAs[*session.UnavailableError](t, w.Operate("corp").SetStatus(context.Background(), w.user("corp/alice").ID, session.Suspended))
	w.fail = nil
	s := b.open()
	if _, person := s.Person(); person || s.State().Kind() != authn.KindAuthenticated {
		t.Fatal("the set-up is not what it should be")
	}
	if v := s.Values(); len(v) != 0 {
		t.Errorf("nobody is signed in, and the values are %q", v)
	}
	wantErr(t, s.SaveValues(context.Background(), []byte("somebody's")), session.ErrConflict)
}

// A sign-out wins against a step-up that came in between. It is not handed the secret that the step-up made.
func TestSignOutThatMetAStepUp(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	b := w.browser("corp/lobby")
	must(t, b.begin("kiosk"))
	must(t, b.begin("attendant"))
	must(t, b.prove(k))
	stale := b.twin()
	s := stale.open()
	must(t, b.stepUp(fresh))
	must(t, b.prove(k))
	must(t, s.SignOut(context.Background(), false))
	stale.take(s)
	if _, person := b.open().Person(); person {
		t.Error("the person is there still")
	}
	stale.wantState(authn.KindGuest)
}

// What is minted for a person on a device ends with the device: the person does.
func TestGrantEndsWithTheDevice(t *testing.T) {
	w := newWorld(t, "kiosk:     { steps: [kiosk-cert], session: { idle: 12h, absolute: 24h } }", "kiosk:     { steps: [kiosk-cert], session: { idle: 10m, absolute: 10m } }")
	b := atKiosk(w, "corp/alice")
	b.route = "/kiosk/x"
	s := b.open()
	device, _ := s.State().(authn.Authenticated).Device()
	p, err := s.Grant(context.Background())
	if must(t, err); !p.Deadline.Equal(device.Deadline) {
		t.Errorf("granted until %v on a device until %v", p.Deadline, device.Deadline)
	}
}
