package session_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// A challenge of one factor of a step is not answered through another.
func TestChallengeOfTheOtherChoice(t *testing.T) {
	w := newWorld(t)
	key, code := w.passkey("corp/alice"), w.give("corp/alice", "code", "c1")
	b := w.browser("corp/alice")
	must(t, b.begin("flexible", returning("/admin/x")))
	asked, err := b.challenge("passkey")
	must(t, err)
	tried := w.kind.tried.Load()
	wantErr(t, b.verify("code", code.answer(t, asked.PublicKey)), session.ErrWrongStep)
	wantErr(t, b.verify("code", key.answer(t, asked.PublicKey)), session.ErrWrongStep)
	if w.kind.tried.Load() != tried {
		t.Error("the answer was looked at")
	}
	must(t, b.verify("passkey", key.answer(t, asked.PublicKey)))
}

// The credential of an earlier step is lost before the last.
func TestEarlierCredentialIsCheckedAtTheEnd(t *testing.T) {
	ctx := context.Background()
	for why, change := range map[authn.Reason]func(w *world){
		session.ReasonCredentialRemoved: func(w *world) {
			must(w.t, w.store.RemoveCredential(ctx, "corp", w.user("corp/alice").ID, "code", "c1", w.account("corp/alice").Epoch))
		},
		authn.ReasonSubject: func(w *world) {
			must(w.t, w.store.RemoveCredential(ctx, "corp", w.user("corp/alice").ID, "code", "c1", w.account("corp/alice").Epoch))
			w.give("corp/bob", "code", "c1")
		},
		factors.ReasonFlagged: func(w *world) {
			c, err := w.store.Credential(ctx, "corp", "code", "c1")
			must(w.t, err)
			c.Flagged = reasonCloned
			must(w.t, w.store.UpdateCredential(ctx, c))
		},
	} {
		t.Run(string(why), func(t *testing.T) {
			w := newWorld(t)
			key, code := w.passkey("corp/alice"), w.give("corp/alice", "code", "c1")
			b := w.browser("")
			must(t, b.begin("double", claiming("corp", "alice")))
			must(t, b.prove(code))
			change(w)
			wantErr(t, b.prove(key), session.ErrInvalidCredential)
			b.wantState(authn.KindAuthenticating) // as after a wrong credential
			w.wantEvent("corp", authn.FactorFailed, why)
		})
	}
}

// The key of the certificate is denied while the passkey is being verified. That ends no rows by itself.
func TestCertificateIsCheckedAtTheEnd(t *testing.T) {
	w := newWorld(t)
	b, asked := w.halfway("corp/alice", "admin")
	answer := w.passkey("corp/alice").answer(t, asked.PublicKey)
	w.kind.hook = func() {
		must(t, w.Operate("corp").Deny(context.Background(), factors.CertificateDenials(b.chain[0])[2]))
	}
	wantErr(t, b.verify("passkey", answer), session.ErrInvalidCredential)
	w.wantEvent("corp", authn.FactorFailed, factors.ReasonRevoked)
	b.wantState(authn.KindGuest)
}

// A session that must not be is given to nobody, even if it cannot be ended.
func TestSessionThatCannotBeEnded(t *testing.T) {
	ctx := context.Background()
	for name, spoil := range map[string]func(w *world, op string) storetest.Fault{
		"suspended": func(w *world, op string) storetest.Fault {
			if op == "AddEvents" { // the session is saved by now
				u := w.account("corp/alice")
				u.Status = session.Suspended
				must(w.t, w.store.SetUser(ctx, u))
			}
			return storetest.None
		},
		"audit fails": func(_ *world, op string) storetest.Fault {
			if op == "AddEvents" {
				return storetest.Before
			}
			return storetest.None
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b, asked := w.halfway("corp/alice", "admin")
			old := b.twin()
			w.fail = func(op string) storetest.Fault {
				if op == "EndSessions" {
					return storetest.Before
				}
				return spoil(w, op)
			}
			err := b.verify("passkey", w.passkey("corp/alice").answer(t, asked.PublicKey))
			w.fail = nil
			wantAs[*session.UnavailableError](t, err)
			b.wantState(authn.KindGuest)
			old.wantState(authn.KindGuest)
		})
	}
}

// Removing a credential ends what was won with it, also where the second look for such sessions fails, and also where
// there are more of them than a list shows.
func TestRemovedCredentialEndsItsSessions(t *testing.T) {
	ctx := context.Background()
	setup := func(t *testing.T) (w *world, mine, victim *browser) {
		w = newWorld(t)
		w.passkey("corp/alice")
		old := w.give("corp/alice", "passkey", "old")
		victim = w.browser("corp/alice")
		must(t, victim.begin("admin"))
		must(t, victim.prove(old))
		w.wait(time.Second)
		return w, w.login("corp/alice"), victim
	}
	remove := func(b *browser) error {
		return b.do(func(ctx context.Context, s *session.Session) error { return s.RemoveCredential(ctx, "old") })
	}
	t.Run("the second look fails", func(t *testing.T) {
		w, mine, victim := setup(t)
		w.fail = only("ListSessions", 2, storetest.Before)
		wantAs[*session.UnavailableError](t, remove(mine))
		w.fail = nil
		victim.wantState(authn.KindGuest)
		mine.wantState(authn.KindAuthenticated)
	})
	t.Run("very many sessions", func(t *testing.T) {
		w, mine, victim := setup(t)
		selector, _, _ := strings.Cut(mine.cookie, ".")
		row, err := w.store.Session(ctx, selector, w.clock())
		must(t, err)
		for i := range 1000 {
			row.Selector, row.ID, row.Created = fmt.Sprintf("%022d", i), "", w.clock()
			must(t, w.store.CreateSession(ctx, row))
		}
		must(t, remove(mine))
		victim.wantState(authn.KindGuest)
		mine.wantState(authn.KindAuthenticated)
	})
}

// Denying a certificate ends the login that was begun with it inside a session without one.
func TestDenialFindsWhatRunsInside(t *testing.T) {
	w := newWorld(t)
	code := w.give("corp/alice", "code", "c1")
	b := w.browser("")
	must(t, b.begin("open", claiming("corp", "alice")))
	must(t, b.prove(code))
	b.present(w.certificate("corp/alice"))
	must(t, b.begin("admin"))
	must(t, w.Operate("corp").DenyCertificate(context.Background(), b.chain[0], ""))
	b.wantState(authn.KindGuest)
}

func TestStepUpToNothing(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	wantErr(t, b.stepUp(authn.Requirement{}), session.ErrBadRequest)
	wantErr(t, b.stepUp(authn.Requirement{Name: "admin"}), session.ErrBadRequest)
	wantErr(t, b.stepUp(authn.Requirement{Factors: []string{"unheard-of"}}), session.ErrBadRequest)
	wantErr(t, b.stepUp(authn.Requirement{AAL: 3}), session.ErrForbidden)
	wantErr(t, b.stepUp(authn.Requirement{Factors: []string{"kiosk-cert"}}), session.ErrForbidden)
}

// Cancelling and failing a step-up change nothing of the session.
func TestStepUpThatFails(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	before, _ := b.open().Person()
	must(t, b.stepUp(fresh))
	must(t, b.do(func(ctx context.Context, s *session.Session) error { return s.Cancel(ctx) }))
	must(t, b.stepUp(fresh))
	bobs := w.passkey("corp/bob")
	wantErr(t, b.prove(bobs), session.ErrInvalidCredential) // never somebody else's
	after, ok := b.open().Person()
	if !ok || asJSON(t, before) != asJSON(t, after) {
		t.Errorf("the principal was %+v and is %+v", before, after)
	}
}

// Taking the right away stops an administrator in the midst of a request.
func TestAdministratorNoMore(t *testing.T) {
	w := newWorld(t)
	root := w.login("corp/root")
	err := root.administer(func(ctx context.Context, a *session.Admin) error {
		must(t, w.Operate("corp").SetAdmin(ctx, w.user("corp/root").ID, false))
		_, err := a.Invite(ctx, w.user("corp/alice").ID, 0)
		return err
	})
	wantErr(t, err, session.ErrForbidden)
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}
