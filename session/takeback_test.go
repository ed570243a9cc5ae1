package session_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// Begin inside a session leaves what was proven there as it is, also with other evidence.
func TestSignOnKeepsThePrincipal(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	before, _ := b.open().Person()
	for range 3 {
		must(t, b.begin("admin"))
		wrong := *w.passkey("corp/alice")
		wrong.secret = "x"
		wantErr(t, b.prove(&wrong), session.ErrInvalidCredential)
	}
	after, ok := b.open().Person()
	if !ok || !reflect.DeepEqual(before, after) {
		t.Error("changed")
	}
}

// An ambient step after an interactive one fails: the login neither counts the failure nor forgets the challenge.
func TestAmbientAfterInteractiveRefused(t *testing.T) {
	w := newWorld(t, "badge:     { steps: [device] }", "badge:     { steps: [passkey, device] }")
	k := w.passkey("corp/alice")
	bob := w.browser("corp/bob")
	passes := 0
	for range 4 {
		must(t, bob.begin("badge", returning("/badge/x")))
		n := w.count("corp", authn.FactorPassed)
		wantErr(t, bob.prove(k), session.ErrInvalidCredential)
		passes += w.count("corp", authn.FactorPassed) - n
	}
	if passes == 0 {
		t.Error("alice's passkey was verified in bob's hands again and again, and the audit log has no factor.passed")
	}
}

// The same, and the account is suspended: no login is refused, by the log.
func TestAmbientLastStepSuspended(t *testing.T) {
	w := newWorld(t, "badge:     { steps: [device] }", "badge:     { steps: [passkey, device] }")
	k := w.passkey("corp/alice")
	b := w.browser("corp/alice")
	must(t, b.begin("badge", returning("/badge/x")))
	asked, err := b.challenge("passkey")
	must(t, err)
	u := w.account("corp/alice")
	u.Status = session.Suspended
	must(t, w.store.SetUser(context.Background(), u))
	wantErr(t, b.verify("passkey", k.answer(t, asked.PublicKey)), session.ErrInvalidCredential)
	w.wantEvent("corp", authn.FactorFailed, session.ReasonUserSuspended)
	b.wantState(authn.KindAuthenticating) // as after a wrong credential
}

// Parallel step-ups and logins do not lend each other anything.
func TestBorrowedChallenge(t *testing.T) {
	w := newWorld(t)
	a, asked := w.halfway("corp/alice", "admin")
	answer := w.passkey("corp/alice").answer(t, asked.PublicKey)
	other, _ := w.halfway("corp/alice", "admin")
	wantErr(t, other.verify("passkey", answer), session.ErrInvalidCredential)
	must(t, a.verify("passkey", answer))
}

// The store fails once after a step-up was saved; the session that was there before is gone.
func TestFailedStepUpLeavesTheSession(t *testing.T) {
	w := newWorld(t)
	b, k := w.login("corp/alice"), w.passkey("corp/alice")
	w.wait(2 * time.Minute)
	must(t, b.stepUp(fresh))
	asked, err := b.challenge("passkey")
	must(t, err)
	n := 0
	w.fail = func(op string) storetest.Fault {
		if op == "Tenant" {
			if n++; n == 2 {
				return storetest.Before
			}
		}
		return storetest.None
	}
	err = b.verify("passkey", k.answer(t, asked.PublicKey))
	w.fail = nil
	if err == nil {
		t.Fatal("not failed")
	}
	b.wantState(authn.KindAuthenticated)
}

// A login that cannot be begun (the audit log is down) ends the session that it was begun in.
func TestFailedBeginLeavesTheSession(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	w.fail = only("AddEvents", 1, storetest.Before)
	err := b.begin("admin")
	w.fail = nil
	wantAs[*session.UnavailableError](t, err)
	b.wantState(authn.KindAuthenticated)
}
