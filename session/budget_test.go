package session_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// guesses has n logins answer wrongly at once, each in a session of its own, and says what came of it.
func guesses(t *testing.T, w *world, n int, one func() (*browser, *authenticator)) (refused, locked int) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	start := make(chan struct{})
	for range n {
		b, k := one()
		asked, err := b.challenge(k.factor)
		must(t, err)
		wrong := *k
		wrong.secret = "guess"
		s, answer := b.open(), wrong.answer(t, asked.PublicKey)
		wg.Go(func() {
			<-start
			err := s.Verify(context.Background(), k.factor, answer)
			mu.Lock()
			defer mu.Unlock()
			var l *session.LockedError
			switch {
			case errors.Is(err, session.ErrInvalidCredential):
				refused++
			case errors.As(err, &l) && l.Until.After(w.clock()):
				locked++
			default:
				t.Errorf("refused with %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	return refused, locked
}

func TestTwentyGuessesAgainstFive(t *testing.T) {
	w := newWorld(t)
	code := w.give("corp/alice", "code", "c1")
	outsider := func() (*browser, *authenticator) {
		b := w.browser("")
		must(t, b.begin("open", claiming("corp", "alice")))
		anonymous := *code
		anonymous.handle = nil
		return b, &anonymous
	}
	insider := func() (*browser, *authenticator) {
		b := w.browser("corp/alice")
		must(t, b.begin("flexible", returning("/admin/x")))
		return b, code
	}
	for name, who := range map[string]func() (*browser, *authenticator){"outsiders": outsider, "insiders": insider} {
		before := w.kind.tried.Load()
		refused, locked := guesses(t, w, 20, who)
		if tried := w.kind.tried.Load() - before; tried != 5 || refused != 5 || locked != 15 {
			t.Errorf("%s: %d were tried, %d refused and %d locked out", name, tried, refused, locked)
		}
	}
	w.wantEvent("corp", session.AttemptLocked, session.ReasonLocked)
	// The right answer is locked out too, until the window is over.
	b, k := insider()
	err := b.prove(k)
	until := wantAs[*session.LockedError](t, err).Until
	w.wait(until.Sub(w.clock()))
	b, k = insider()
	must(t, b.prove(k))
}

// Whoever has nothing to show locks out nobody who has.
func TestOutsidersLockOutNobody(t *testing.T) {
	w := newWorld(t)
	code := w.give("corp/alice", "code", "c1")
	code.handle = nil
	for i := range 12 {
		b := w.browser("")
		b.source = fmt.Sprintf("192.0.2.%d", 10+i%2)
		must(t, b.begin("open", claiming("corp", "alice")))
		wrong := *code
		wrong.secret = "guess"
		if err := b.prove(&wrong); err == nil {
			t.Fatal("a guess was accepted")
		}
	}
	// From elsewhere, and with a certificate.
	b := w.browser("")
	must(t, b.begin("open", claiming("corp", "alice")))
	must(t, b.prove(code))
	w.login("corp/alice")
	with := w.browser("corp/alice")
	with.source = "192.0.2.10"
	must(t, with.begin("flexible", claiming("corp", "alice"), returning("/admin/x")))
	must(t, with.prove(code))
	// A failed code does not lock the passkey.
	for range 6 {
		b := w.browser("corp/alice")
		must(t, b.begin("flexible", returning("/admin/x")))
		wrong := *code
		wrong.secret = "guess"
		_ = b.prove(&wrong)
	}
	must(t, with.begin("flexible", claiming("corp", "alice"), returning("/admin/x")))
	wantAs[*session.LockedError](t, with.prove(code))
	must(t, with.prove(w.passkey("corp/alice")))
}

func TestSuccessGivesItsAttemptBack(t *testing.T) {
	w := newWorld(t)
	for range 60 { // more than the budget of the credential and of the source
		w.login("corp/alice")
	}
	b := w.browser("corp/alice")
	must(t, b.begin("admin"))
	w.kind.down = errors.New("cannot decide")
	for range 10 { // nor does what was not decided cost anything
		wantAs[*session.UnavailableError](t, b.prove(w.passkey("corp/alice")))
	}
	w.kind.down = nil
	must(t, b.prove(w.passkey("corp/alice")))
}

// Bad certificates and invitations cost their source.
func TestSourceBudget(t *testing.T) {
	w := newWorld(t)
	b := w.browser("corp/lobby") // nobody that the method admin knows
	for range 50 {
		wantErr(t, b.begin("admin"), session.ErrInvalidCredential)
	}
	wantAs[*session.LockedError](t, b.begin("admin"))
	wantAs[*session.LockedError](t, b.redeem("x"))
	good := w.browser("corp/alice")
	must(t, good.begin("admin")) // a good certificate costs nothing
	far := w.browser("corp/alice")
	far.source = "2001:db8::1"
	for range 50 {
		wantErr(t, far.redeem("x"), session.ErrInvalidCredential)
	}
	far.source = "2001:db8::2:1" // of the same /64
	wantAs[*session.LockedError](t, far.redeem(w.invite("corp/alice")))
	far.source = "2001:db8:0:1::1"
	must(t, far.redeem(w.invite("corp/alice")))
}

func TestStoreThatCannotCountRefuses(t *testing.T) {
	for name, op := range map[string]string{"attempts": "TakeAttempt", "ledger": "Spend"} {
		for _, fault := range []storetest.Fault{storetest.Before, storetest.After} {
			w := newWorld(t)
			b, asked := w.halfway("corp/alice", "admin")
			tried := w.kind.tried.Load()
			w.fail = only(op, 1, fault)
			wantAs[*session.UnavailableError](t, b.verify("passkey", w.passkey("corp/alice").answer(t, asked.PublicKey)))
			if w.kind.tried.Load() != tried {
				t.Errorf("%s: it was tried all the same", name)
			}
			w.fail = nil
			b.wantState(authn.KindAuthenticating)
			must(t, b.prove(w.passkey("corp/alice")))
		}
	}
}

// only makes the nth call of an operation from now on fail.
func only(op string, n int, how storetest.Fault) func(string) storetest.Fault {
	calls := 0
	return func(o string) storetest.Fault {
		if o != op {
			return storetest.None
		}
		if calls++; calls != n {
			return storetest.None
		}
		return how
	}
}

// Names that exist and names that do not cost the same calls and get the same answers.
func TestUnknownCostsTheSame(t *testing.T) {
	w := newWorld(t)
	code := w.give("corp/alice", "code", "c1")
	must(t, w.Operate("corp").SetStatus(context.Background(), w.user("corp/bob").ID, session.Suspended))
	w.give("corp/bob", "code", "c2")
	var calls []string
	w.before = func(op string) { calls = append(calls, op) }
	run := func(tenant, user string) (trail []string, tried int64) {
		calls = nil
		before := w.kind.tried.Load()
		b := w.browser("")
		must(t, b.begin("open", claiming(tenant, user)))
		wrong := *code
		wrong.handle, wrong.id, wrong.secret = nil, "", "guess"
		wantErr(t, b.prove(&wrong), session.ErrInvalidCredential)
		b.wantState(authn.KindAuthenticating)
		return calls, w.kind.tried.Load() - before
	}
	known, tried := run("corp", "alice")
	for _, c := range [][2]string{{"corp", "nobody"}, {"corp", "bob"}, {"labs", "bob"}, {"nowhere", "alice"}} {
		got, n := run(c[0], c[1])
		if fmt.Sprint(got) != fmt.Sprint(known) || n != tried {
			t.Errorf("%s/%s: %d tried, calls\n%v, want\n%v", c[0], c[1], n, got, known)
		}
		w.wait(time.Hour)
	}

	// Invitations: one that does not exist, one of somebody else, one that is spent.
	redeem := func(code string) []string {
		calls = nil
		wantErr(t, w.browser("corp/alice").redeem(code), session.ErrInvalidCredential)
		return calls
	}
	w.before = nil
	foreign, withdrawn := w.invite("labs/alice"), w.invite("corp/root")
	w.invite("corp/root")
	w.before = func(op string) { calls = append(calls, op) }
	redeem("unknown") // reads the deny list, which is then good for a second
	want := redeem("unknown")
	for name, code := range map[string]string{"another tenant's": foreign, "withdrawn": withdrawn} {
		if got := redeem(code); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s invitation: calls\n%v, want\n%v", name, got, want)
		}
	}
}
