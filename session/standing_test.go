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

// A session that a denial had refused is back when the denial is taken back.
func TestDeniedSessionStaysEnded(t *testing.T) {
	for by := 1; by < 4; by++ {
		w := newWorld(t)
		ctx := context.Background()
		b := w.login("corp/alice")
		d := factors.CertificateDenials(b.chain[0])[by]
		must(t, w.Operate("corp").Deny(ctx, d))
		b.wantState(authn.KindGuest)
		all, err := w.store.ListDenials(ctx)
		must(t, err)
		must(t, w.Operate("corp").Allow(ctx, all[0].ID))
		if b.open().Allows() == nil {
			t.Errorf("a session revoked by denying its certificate's %s works again", d.By)
		}
	}
}

// Every store call of a sign-in fails once, before and after; nobody is ever more than he has proven, and a suspended
// user never gets in.
func TestFaultsDuringASuspendedLogin(t *testing.T) {
	for n := 1; n < 40; n++ {
		for _, how := range []storetest.Fault{storetest.Before, storetest.After} {
			w := newWorld(t)
			b, asked := w.halfway("corp/alice", "admin")
			old := b.twin()
			answer := w.passkey("corp/alice").answer(t, asked.PublicKey)
			u := w.account("corp/alice")
			u.Status = session.Suspended
			must(t, w.store.SetUser(context.Background(), u))
			calls := 0
			w.fail = func(string) storetest.Fault {
				if calls++; calls == n {
					return how
				}
				return storetest.None
			}
			_ = b.verify("passkey", answer)
			w.fail = nil
			if b.open().Allows() == nil || old.open().Allows() == nil {
				t.Errorf("fault %d %v: a suspended user is in", n, how)
			}
		}
	}
}

// An account is suspended while an invitation for it is redeemed; let in again, the workflow is there.
func TestWorkflowEndsWithSuspension(t *testing.T) {
	w := newWorld(t)
	b := w.browser("corp/alice")
	code := w.invite("corp/alice")
	ctx := context.Background()
	w.before = func(op string) {
		if op == "HoldInvitation" {
			w.before = nil
			must(t, w.Operate("corp").SetStatus(ctx, w.user("corp/alice").ID, session.Suspended))
		}
	}
	err := b.redeem(code)
	if err == nil {
		t.Error("a workflow was opened for a user who is suspended")
	}
	must(t, w.Operate("corp").SetStatus(ctx, w.user("corp/alice").ID, session.Active))
	if b.enrol(w.newKey("corp/alice", "passkey", "x")) == nil {
		t.Error("and survives until the user is let in again")
	}
}

// An enrolment's store fails "after": nobody knows. Then the session's other half.
func TestEnrolmentOfUnknownOutcome(t *testing.T) {
	w := newWorld(t)
	old := w.login("corp/alice")
	w.wait(time.Second)
	n := w.browser("corp/alice")
	must(t, n.redeem(w.invite("corp/alice")))
	asked, err := n.enrolChallenge("passkey")
	must(t, err)
	w.fail = only("Enrol", 1, storetest.After)
	wantAs[*session.UnavailableError](t, n.enrolAnswer(w.newKey("corp/alice", "passkey", "new"), asked))
	w.fail = nil
	if w.stored("passkey", "new") && old.open().Allows() == nil {
		t.Error("the invitation is spent, the passkey is stored, and the sessions from before live on")
	}
}

// The program dies between suspending a user and ending the sessions.
func TestSuspensionCutShort(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	w.fail = func(op string) storetest.Fault {
		if op == "EndSessions" {
			return storetest.Before
		}
		return storetest.None
	}
	err := w.Operate("corp").SetStatus(context.Background(), w.user("corp/alice").ID, session.Suspended)
	w.fail = nil
	if err == nil || w.account("corp/alice").Status != session.Suspended {
		t.Fatal("the set-up is not what it should be", err)
	}
	w.wait(10 * time.Minute)
	if err := b.open().Allows(); err == nil {
		t.Error("a suspended user works on, ten minutes later")
	}
}

// A suspended user's right code is told from a wrong one by what becomes of the login.
func TestSuspendedUserIsNoOracle(t *testing.T) {
	w := newWorld(t)
	code := w.give("corp/alice", "code", "c1")
	code.handle = nil
	must(t, w.Operate("corp").SetStatus(context.Background(), w.user("corp/alice").ID, session.Suspended))
	var calls int
	w.before = func(string) { calls++ }
	try := func(secret string) (authn.StateKind, int) {
		b := w.browser("")
		must(t, b.begin("open", claiming("corp", "alice")))
		k := *code
		k.secret = secret
		calls = 0
		wantErr(t, b.prove(&k), session.ErrInvalidCredential)
		return b.open().State().Kind(), calls
	}
	right, n := try(code.secret)
	wrong, m := try("guess")
	if right != wrong {
		t.Errorf("with the right code the login of a suspended user is %s, with a wrong one %s", right, wrong)
	}
	if n != m {
		t.Errorf("%d calls of the store with the right code, %d with a wrong one", n, m)
	}
}

// A session is revoked while it enrols; afterwards its credential appears.
func TestNoCredentialAfterRevocation(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	asked, err := b.enrolChallenge("passkey")
	must(t, err)
	after := -1
	w.before = func(op string) {
		if op != "Enrol" {
			return
		}
		w.before = nil
		ctx := context.Background()
		_, err := w.Operate("corp").EndUserSessions(ctx, w.user("corp/alice").ID)
		must(t, err)
		all, err := w.store.Credentials(ctx, "corp", w.user("corp/alice").ID, "passkey")
		must(t, err)
		after = len(all) // what the administrator sees after the revocation has returned
	}
	err = b.enrolAnswer(w.newKey("corp/alice", "passkey", "attackers"), asked)
	all, lerr := w.store.Credentials(context.Background(), "corp", w.user("corp/alice").ID, "passkey")
	must(t, lerr)
	if len(all) != after {
		t.Errorf("a credential appeared after all sessions were ended: %d were there, now %d (enrolment answered %v)", after, len(all), err)
	}
}

const oneStep, twoSteps = "attendant: { steps: [passkey], on: kiosk", "attendant: { steps: [code, passkey], on: kiosk"

// A sign-on under way above a device survives that its user's sessions and running logins were all ended.
func TestLoginsUnderWayEnd(t *testing.T) {
	ctx := context.Background()
	for name, revoke := range map[string]func(w *world){
		"ended by the administrator": func(w *world) {
			_, err := w.Operate("corp").EndUserSessions(ctx, w.user("corp/alice").ID)
			must(w.t, err)
		},
		"suspended and let in again": func(w *world) {
			must(w.t, w.Operate("corp").SetStatus(ctx, w.user("corp/alice").ID, session.Suspended))
			must(w.t, w.Operate("corp").SetStatus(ctx, w.user("corp/alice").ID, session.Active))
		},
	} {
		for _, where := range []string{"above a device", "as a guest"} {
			t.Run(name+"/"+where, func(t *testing.T) {
				w := newWorld(t, oneStep, twoSteps)
				key, code := w.passkey("corp/alice"), w.give("corp/alice", "code", "c1")
				b := w.browser("corp/lobby")
				if where == "above a device" {
					must(t, b.begin("kiosk"))
					must(t, b.begin("attendant"))
				} else {
					b = w.browser("")
					must(t, b.begin("double", claiming("corp", "alice")))
				}
				must(t, b.prove(code))
				w.wait(time.Second)
				revoke(w)
				if b.prove(key) == nil {
					if _, ok := b.open().Person(); ok {
						t.Error("a login that was under way when all of the user's were ended was completed with the evidence from before")
					}
				}
			})
		}
	}
}

// The tenant is suspended while a credential is enrolled.
func TestNoCredentialInASuspendedTenant(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	asked, err := b.enrolChallenge("passkey")
	must(t, err)
	w.before = func(op string) {
		if op == "Enrol" {
			w.before = nil
			must(t, w.Operate("corp").SetTenantStatus(context.Background(), session.Suspended))
		}
	}
	err = b.enrolAnswer(w.newKey("corp/alice", "passkey", "new"), asked)
	if w.stored("passkey", "new") {
		t.Errorf("a credential was stored in a suspended tenant (answered %v)", err)
	}
}

// Ending the other sessions fails after the invitation was spent; nothing ever does it again.
func TestInvitationEndsOldSessionsThoughItFails(t *testing.T) {
	w := newWorld(t)
	old := w.login("corp/alice")
	w.wait(time.Second)
	n := w.browser("corp/alice")
	code := w.invite("corp/alice")
	must(t, n.redeem(code))
	asked, err := n.enrolChallenge("passkey")
	must(t, err)
	w.fail = only("EndSessions", 1, storetest.Before)
	k := w.newKey("corp/alice", "passkey", "new")
	wantAs[*session.UnavailableError](t, n.enrolAnswer(k, asked))
	w.fail = nil
	if !w.stored("passkey", "new") {
		return
	}
	wantErr(t, n.redeem(code), session.ErrInvalidCredential) // it is spent: it cannot be tried again
	must(t, n.begin("admin"))
	must(t, n.prove(k))
	if old.open().Allows() == nil {
		t.Error("the recovery is complete, and the session of whoever had the account before lives on")
	}
}

// A cloned passkey is flagged, ending its sessions fails, and trying again does nothing.
func TestSessionsOfAClonedPasskeyEnd(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	thief := w.login("corp/alice")
	b := w.browser("corp/alice")
	clone := func() error {
		must(t, b.begin("admin"))
		asked, err := b.challenge("passkey")
		must(t, err)
		back := *k
		back.counter = 0
		return b.verify("passkey", back.answer(t, asked.PublicKey))
	}
	w.fail = only("ListSessions", 1, storetest.Before)
	wantAs[*session.UnavailableError](t, clone())
	w.fail = nil
	for range 3 {
		wantErr(t, clone(), session.ErrInvalidCredential)
	}
	c, err := w.store.Credential(context.Background(), "corp", "passkey", k.id)
	must(t, err)
	if c.Flagged != "" && thief.open().Allows() == nil {
		t.Error("the passkey is flagged as cloned, and a session won with it lives on")
	}
}

// The tenant's suspension is cut short.
func TestTenantSuspensionCutShort(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	w.fail = only("EndSessions", 1, storetest.Before)
	wantAs[*session.UnavailableError](t, w.Operate("corp").SetTenantStatus(context.Background(), session.Suspended))
	w.fail = nil
	if b.open().Allows() == nil {
		t.Error("a user of a suspended tenant works on")
	}
}

// A session is signed out, or ended by its owner, while it enrols: its credential is gone when that is said to be done.
func TestNoCredentialAfterSignOut(t *testing.T) {
	for name, end := range map[string]func(old, other *browser) error{
		"signed out": func(old, _ *browser) error { return old.signOut(false) },
		"ended by its owner": func(old, other *browser) error {
			id := old.open().ID()
			return other.do(func(ctx context.Context, s *session.Session) error { return s.RevokeSession(ctx, id) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b, other := w.login("corp/alice"), w.login("corp/alice")
			asked, err := b.enrolChallenge("passkey")
			must(t, err)
			old := b.twin()
			w.before = func(op string) {
				if op == "Enrol" {
					w.before = nil
					must(t, end(old, other))
				}
			}
			wantErr(t, b.enrolAnswer(w.newKey("corp/alice", "passkey", "late"), asked), session.ErrConflict)
			if w.stored("passkey", "late") {
				t.Error("it is there")
			}
			w.wantEvent("corp", session.CredentialRefused, session.ReasonChangedMeanwhile)
		})
	}
}

// What was read before a change is not put in force after it: the next request sees the change, within the same moment.
func TestReadsThatMeetAChange(t *testing.T) {
	ctx := context.Background()
	t.Run("deny list", func(t *testing.T) {
		w := newWorld(t)
		b := w.login("corp/alice")
		w.wait(2 * time.Second)
		w.after = func(op string) {
			if op == "ListDenials" {
				w.after = nil
				must(t, w.Operate("corp").Deny(ctx, factors.CertificateDenials(b.chain[0])[1]))
			}
		}
		b.open()
		if w.after != nil {
			t.Fatal("the list was not read")
		}
		b.wantState(authn.KindGuest)
	})
	t.Run("standing", func(t *testing.T) {
		w := newWorld(t)
		b := w.login("corp/alice")
		w.wait(2 * time.Second)
		w.after = func(op string) {
			if op == "User" {
				w.after = nil
				w.fail = only("EndSessions", 1, storetest.Before)
				wantAs[*session.UnavailableError](t, w.Operate("corp").SetStatus(ctx, w.user("corp/alice").ID, session.Suspended))
				w.fail = nil
			}
		}
		b.open()
		if w.after != nil {
			t.Fatal("nobody asked for the user")
		}
		b.wantState(authn.KindGuest)
	})
}
