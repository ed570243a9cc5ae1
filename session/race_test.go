package session_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// interruption is what happens to the caller of an operation while it is under way.
type interruption struct {
	name string
	// ready is called before the operation is; do happens in the midst of it.
	ready func(w *world, who string) (do func(caller *browser))
	// ends says whose sessions are over afterwards: all that rest on the user, tenant or certificate, also one that is only
	// being made; or those that were the user's when it happened.
	endsAll, endsThen bool
	rotates           bool
}

func interruptions() []interruption {
	ctx := context.Background()
	program := func(w *world) *session.Admin { return w.Operate("corp") }
	return []interruption{
		{name: "sign-out", endsThen: true, ready: func(w *world, _ string) func(*browser) {
			return func(b *browser) { must(w.t, b.twin().signOut(true)) }
		}},
		{name: "ended by its owner", endsThen: true, ready: func(w *world, who string) func(*browser) {
			other := w.login(who)
			return func(*browser) {
				// Where an enrolment by invitation came first, it has ended this session, and there is nothing to do.
				_ = other.do(func(ctx context.Context, s *session.Session) error { _, err := s.RevokeOtherSessions(ctx); return err })
			}
		}},
		{name: "ended by the administrator", endsThen: true, ready: func(w *world, who string) func(*browser) {
			return func(*browser) {
				_, err := program(w).EndUserSessions(ctx, w.user(who).ID)
				must(w.t, err)
			}
		}},
		{name: "user suspended", endsAll: true, ready: func(w *world, who string) func(*browser) {
			return func(*browser) { must(w.t, program(w).SetStatus(ctx, w.user(who).ID, session.Suspended)) }
		}},
		{name: "tenant suspended", endsAll: true, ready: func(w *world, who string) func(*browser) {
			return func(*browser) { must(w.t, program(w).SetTenantStatus(ctx, session.Suspended)) }
		}},
		{name: "certificate denied", endsAll: true, ready: func(w *world, who string) func(*browser) {
			return func(b *browser) { must(w.t, program(w).Deny(ctx, factors.CertificateDenials(b.chain[0])[0])) }
		}},
		{name: "rotation", rotates: true, ready: func(w *world, who string) func(*browser) {
			return func(b *browser) {
				method := "admin"
				if _, kiosk := b.open().State().(authn.Authenticated); kiosk && strings.HasPrefix(b.chain[0].Subject.CommonName, "lobby") {
					method = "attendant"
				}
				if b.cookie != "" {
					_ = b.twin().begin(method)
				}
			}
		}},
	}
}

// Every operation is interrupted at every call of the store that it makes, just before the call and just after it. What
// may come of it:
//
//   - If the interruption came before the operation had written to the caller's session, the operation fails and nothing
//     of it is there: an ended or rotated session does nothing any more.
//   - If it came after, the operation may be complete: it counts as having happened first. What it won is over all the
//     same.
//   - The cookie that the caller had before never opens anything again, and a new one opens nothing that the interruption
//     ended. A sign-out that carries a secret which was replaced is a guest's, and ends nothing.
func TestEveryInterleaving(t *testing.T) {
	for _, op := range operations() {
		for _, in := range interruptions() {
			t.Run(op.name+"/"+in.name, func(t *testing.T) {
				for n := 1; ; n++ {
					if !interleave(t, op, in, n, true) || !interleave(t, op, in, n, false) {
						break
					}
				}
			})
		}
	}
}

// who is whose session an operation is made in.
func (op operation) who() string {
	switch op.name {
	case "invite", "make an administrator", "let in again", "allow a certificate", "suspend", "deny":
		return "corp/root"
	}
	return "corp/alice"
}

// rotates reports whether an operation replaces the caller's secret.
func (op operation) rotates() bool {
	switch op.name {
	case "last step", "certificate alone", "sign-in elsewhere", "person on a kiosk", "step-up", "redeem", "enrol with an invitation":
		return true
	}
	return false
}

// interleave interrupts the nth call, before it or after it. It reports whether there was such a call.
func interleave(t *testing.T, op operation, in interruption, n int, before bool) bool {
	t.Helper()
	w := newWorld(t)
	interrupt := in.ready(w, op.who())
	r := op.ready(w)
	old := r.by.twin()
	at, wrote := "", false
	now := func(name string) {
		w.before, w.after = nil, nil
		at = name
		interrupt(old)
	}
	// One caller at a time reads the deny list, and an interruption would wait for it.
	w.before = func(name string) {
		if name == "ListDenials" {
			return
		}
		if n--; n == 0 && before {
			now("before " + name)
		}
	}
	w.after = func(name string) {
		if name == "ListDenials" {
			return
		}
		wrote = wrote || name == "SwapSession" || name == "SaveValues" || name == "CreateSession"
		if n == 0 && !before {
			now("after " + name)
		}
	}
	err := r.act()
	w.before, w.after = nil, nil
	if at == "" {
		return false
	}
	check := func(bad bool, what string) {
		if bad {
			t.Errorf("%s: %s (the operation answered: %v)", at, what, err)
		}
	}
	ends := in.endsAll || in.endsThen
	// A row that was not the user's yet is none of those that end then.
	stranger := in.endsThen && !wrote && (old.cookie == "" || (op.name == "person on a kiosk" || op.name == "sign-in elsewhere") && in.name != "sign-out")
	guests := in.name == "sign-out" && wrote && op.rotates()
	opens := w.live
	if op.name == "person on a kiosk" && in.name == "user suspended" {
		opens = w.personal // the device stays
	}
	check(ends && !stranger && opens(old), "the old cookie opens a session")
	check(ends && !stranger && !guests && w.personal(r.by), "the new cookie opens a session")
	harmless := op.name == "touch" || op.name == "sign out" || op.name == "redeem" && old.cookie == ""
	if old.cookie != "" && !wrote && !harmless && !stranger {
		check(err == nil && op.name != "save values", "it is said to be done") // a guest has values too
		check(r.gained(), "it was done by a session that was no more")
	}
	if in.endsAll && op.name == "redeem" {
		check(r.by.enrol(w.newKey("corp/alice", "passkey", "later")) == nil, "a suspended user enrols")
	}
	if in.name == "user suspended" && op.who() == "corp/alice" {
		check(strings.HasPrefix(at, "before Enrol") && w.stored("passkey", "new"), "a suspended user got a credential")
	}
	if in.rotates && old.cookie != "" && op.name != "save values" && op.name != "touch" {
		check(w.live(old), "the old cookie opens a session")
	}
	return true
}

// personal reports whether a browser's cookie opens the session of a person.
func (w *world) personal(b *browser) bool {
	s, err := w.Open(context.Background(), b.request())
	if err != nil {
		return false
	}
	_, ok := s.Person()
	return ok
}

// A hundred requests of one session at the same moment as its end: what was saved was saved before, and afterwards
// nothing works.
func TestSignOutAmongMany(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	done := make(chan struct{})
	start := make(chan struct{})
	const many = 50
	for i := range many {
		s := b.open()
		go func() {
			<-start
			_ = s.SaveValues(context.Background(), []byte(fmt.Sprint(i)))
			_ = s.StepUp(context.Background(), fresh)
			done <- struct{}{}
		}()
	}
	out := b.open()
	go func() {
		<-start
		if err := out.SignOut(context.Background(), false); err != nil {
			t.Error(err)
		}
		done <- struct{}{}
	}()
	close(start)
	for range many + 1 {
		<-done
	}
	b.wantState(authn.KindGuest)
	if err := out.SaveValues(context.Background(), nil); err == nil {
		t.Error("an ended session takes values")
	}
}
