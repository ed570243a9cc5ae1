package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// A session is revoked by one of its own in-flight requests' store faults: nothing comes back.
func TestFaultsDuringSignOut(t *testing.T) {
	for n := 1; n < 10; n++ {
		for _, how := range []storetest.Fault{storetest.Before, storetest.After} {
			w := newWorld(t)
			b := w.login("corp/alice")
			old := b.twin()
			calls := 0
			w.fail = func(string) storetest.Fault {
				if calls++; calls == n {
					return how
				}
				return storetest.None
			}
			err := b.signOut(false)
			w.fail = nil
			if err == nil && old.open().Allows() == nil {
				t.Errorf("fault %d %v: signed out, and still in", n, how)
			}
		}
	}
}

// An invitation withdrawn in time; the request came late.
func TestSlowRedemption(t *testing.T) {
	w := newWorld(t)
	code, err := w.Operate("corp").Invite(context.Background(), w.user("corp/alice").ID, time.Minute)
	must(t, err)
	b := w.browser("corp/alice")
	s := b.open()
	w.wait(time.Hour)
	if s.Redeem(context.Background(), code) == nil {
		t.Error("an invitation of one minute is redeemed after an hour")
	}
}

// A session that has idled out is alive again once a request that was in flight writes.
func TestIdleSessionStaysOver(t *testing.T) {
	for name, write := range map[string]func(s *session.Session) error{
		"step-up":  func(s *session.Session) error { return s.StepUp(context.Background(), fresh) },
		"sessions": func(s *session.Session) error { _, err := s.RevokeOtherSessions(context.Background()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.login("corp/alice")
			w.wait(time.Minute)
			s := b.open() // coarse: nothing is written
			w.wait(14*time.Minute + 30*time.Second)
			b.wantState(authn.KindGuest) // idle since 15 minutes: over
			t.Log(write(s))
			b.wantState(authn.KindGuest)
		})
	}
	t.Run("touch", func(t *testing.T) {
		w := newWorld(t)
		b := w.login("corp/alice")
		w.wait(14 * time.Minute)
		w.before = func(op string) {
			if op == "TouchSession" {
				w.before = nil
				w.wait(2 * time.Minute)
				b.twin().wantState(authn.KindGuest)
			}
		}
		b.open()
		b.wantState(authn.KindGuest)
	})
}

// A request that was begun in time and whose answer comes late.
func TestSlowAnswer(t *testing.T) {
	w := newWorld(t)
	b, asked := w.halfway("corp/alice", "admin")
	s := b.open() // the head of the request; its body takes its time
	answer := w.passkey("corp/alice").answer(t, asked.PublicKey)
	w.wait(12 * time.Minute) // challenge: 5 minutes, login: 10
	if s.Verify(context.Background(), "passkey", answer) == nil {
		b.take(s)
		if b.open().Allows() == nil {
			t.Error("a challenge of 5 minutes in a login of 10 was answered after 12")
		}
	}
}

// The session's absolute deadline is over when a credential is added with it.
func TestSlowEnrolment(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	asked, err := b.enrolChallenge("passkey")
	must(t, err)
	s := b.open()
	k := w.newKey("corp/alice", "passkey", "late")
	w.wait(9 * time.Hour)
	b.wantState(authn.KindGuest)
	if _, err := s.Enrol(context.Background(), "passkey", "late", k.answer(t, asked.PublicKey)); err == nil {
		t.Error("a session that ended an hour ago added a passkey, nine hours after its challenge")
	}
}

// The other sessions that RevokeOtherSessions ends; sign-on inside.
func TestOldCookiesAreDead(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	old := b.twin()
	must(t, b.begin("admin"))
	old.wantState(authn.KindGuest)
	half := b.twin()
	must(t, b.prove(w.passkey("corp/alice")))
	half.wantState(authn.KindGuest)
	w.wait(2 * time.Minute)
	must(t, b.stepUp(fresh))
	up := b.twin()
	must(t, b.prove(w.passkey("corp/alice")))
	up.wantState(authn.KindGuest)
}
