package session_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

// The same secret under two names: what a claim with different spelling counts against.
func TestBudgetKeysDoNotCollide(t *testing.T) {
	w := newWorld(t)
	code := w.give("corp/alice", "code", "c1")
	code.handle = nil
	for i := range 5 { // tries to spend somebody else's budget by what it claims
		b := w.browser("")
		b.source = "198.51.100.1"
		must(t, b.begin("open", claiming("corp", "alice\x00192.0.2.1")))
		wrong := *code
		wrong.secret = fmt.Sprint(i)
		_ = b.prove(&wrong)
	}
	b := w.browser("")
	must(t, b.begin("open", claiming("corp", "alice")))
	must(t, b.prove(code))
}

// Callers whose address is not known share one budget.
func TestUnknownSources(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	nowhere := func(b *browser) *session.Session {
		r := b.request()
		r.Source = netip.Addr{}
		s, err := w.Open(context.Background(), r)
		must(t, err)
		return s
	}
	for range 50 {
		wantErr(t, nowhere(w.browser("corp/lobby")).Begin(context.Background(), session.Begin{Method: "admin"}), session.ErrInvalidCredential)
	}
	b, asked := w.halfway("corp/alice", "admin")
	if err := nowhere(b).Verify(context.Background(), "passkey", k.answer(t, asked.PublicKey)); err != nil {
		t.Errorf("somebody else's bad certificates lock a good one: %v", err)
	}
}

// Twenty at once from twenty addresses, with the same certificate.
func TestInsiderFromManyAddresses(t *testing.T) {
	w := newWorld(t)
	code := w.give("corp/alice", "code", "c1")
	n := 0
	refused, locked := guesses(t, w, 20, func() (*browser, *authenticator) {
		b := w.browser("corp/alice")
		n++
		b.source = fmt.Sprintf("192.0.2.%d", n)
		must(t, b.begin("flexible", claiming("corp", fmt.Sprintf("x%d", n)), returning("/admin/x")))
		return b, code
	})
	if refused != 5 || locked != 15 {
		t.Error(refused, locked)
	}
}

// Step-ups count like logins.
func TestStepUpGuesses(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	var bs []*browser
	for range 4 {
		bs = append(bs, w.login("corp/alice"))
	}
	before := w.kind.tried.Load()
	w.wait(2 * time.Minute)
	for i := range 20 {
		b := bs[i%4]
		must(t, b.stepUp(fresh))
		wrong := *k
		wrong.secret = "x"
		_ = b.prove(&wrong)
	}
	if n := w.kind.tried.Load() - before; n != 5 {
		t.Error(n)
	}
}

// Typed guesses of an outsider from one address lock the certificate and passkey of somebody at the same address.
func TestOutsidersLockNoAddress(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	code := w.give("corp/bob", "code", "c1")
	code.handle = nil
	for i := range 50 {
		b := w.browser("") // nothing to show
		must(t, b.begin("open", claiming("corp", fmt.Sprintf("x%d", i))))
		wrong := *code
		wrong.secret = "guess"
		_ = b.prove(&wrong)
	}
	alice := w.browser("corp/alice") // the same source, with certificate and passkey
	must(t, alice.begin("admin"))
	if err := alice.prove(k); err != nil {
		t.Errorf("a certificate and passkey are locked out by an outsider's typed guesses: %v", err)
	}
}

// A thousand guesses of outsiders lock everybody's passkey without certificate, in every tenant.
func TestOutsidersLockNoPasskey(t *testing.T) {
	w := newWorld(t)
	labs, corp := w.give("labs/alice", "passkey", "labs-key"), w.give("corp/bob", "passkey", "corp-key")
	code := w.give("corp/alice", "code", "c1")
	code.handle = nil
	for i := range 1000 {
		b := w.browser("")
		b.source = fmt.Sprintf("198.51.100.%d", i/40)
		must(t, b.begin("open", claiming("corp", fmt.Sprintf("x%d", i))))
		wrong := *code
		wrong.secret = "guess"
		_ = b.prove(&wrong)
	}
	b := w.browser("")
	b.source = "203.0.113.5"
	must(t, b.begin("bare"))
	if err := b.prove(labs); err != nil {
		t.Errorf("typed guesses at corp lock a passkey of labs from elsewhere: %v", err)
	}
	b = w.browser("")
	b.source = "203.0.113.6"
	must(t, b.begin("bare", claiming("corp", "bob")))
	if err := b.prove(corp); err != nil {
		t.Errorf("typed guesses at corp lock a passkey of corp from elsewhere: %v", err)
	}
}

// Five wrong answers of one person at a kiosk lock everybody's passkey there.
func TestKioskIsNotLockedForAll(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.passkey("corp/alice"), w.passkey("corp/bob")
	b := w.browser("corp/lobby")
	must(t, b.begin("kiosk"))
	for range 5 {
		must(t, b.begin("attendant"))
		wrong := *bob
		wrong.secret = "guess"
		wantErr(t, b.prove(&wrong), session.ErrInvalidCredential)
	}
	must(t, b.begin("attendant"))
	if err := b.prove(alice); err != nil {
		t.Errorf("alice's passkey is locked because bob's failed: %v", err)
	}
}

// Wrong answers of many people at a kiosk, at a factor that can be guessed, lock nobody's passkey there.
func TestTypedGuessesAtAKioskDoNotLockItsPasskeys(t *testing.T) {
	w := newWorld(t, "  attendant: {", "  pin:       { steps: [code], on: kiosk }\n  attendant: {", "methods: [kiosk, attendant]", "methods: [kiosk, attendant, pin]")
	alice, code := w.passkey("corp/alice"), w.give("corp/alice", "code", "c1")
	b := w.browser("corp/lobby")
	must(t, b.begin("kiosk"))
	for i := range 51 {
		must(t, b.begin("pin"))
		wrong := *code
		wrong.id = fmt.Sprint(i)
		if err := b.prove(&wrong); i == 50 {
			wantAs[*session.LockedError](t, err)
		} else {
			wantErr(t, err, session.ErrInvalidCredential)
		}
	}
	must(t, b.begin("attendant"))
	if err := b.prove(alice); err != nil {
		t.Errorf("a passkey is locked because of what others typed: %v", err)
	}
}

// Whoever claims another name each time has as many budgets as names, against the same credential.
func TestClaimedNamesShareABudget(t *testing.T) {
	for name, start := range map[string]func(w *world, i int) *browser{
		"outsider": func(w *world, i int) *browser {
			b := w.browser("")
			must(w.t, b.begin("open", claiming("corp", fmt.Sprintf("x%d", i))))
			return b
		},
		"tenant only": func(w *world, i int) *browser {
			b := w.browser("corp/bob")
			must(w.t, b.begin("partner", claiming("corp", fmt.Sprintf("x%d", i)), returning("/admin/x")))
			return b
		},
	} {
		w := newWorld(t)
		w.passkey("corp/alice")
		k := w.give("corp/alice", "code", "c1")
		if name != "outsider" {
			k = w.give("corp/alice", "passkey", "p2")
		}
		before := w.kind.tried.Load()
		for i := range 20 {
			b := start(w, i)
			wrong := *k
			wrong.secret = "guess"
			_ = b.prove(&wrong)
		}
		if tried := w.kind.tried.Load() - before; tried > 5 {
			t.Errorf("%s: %d guesses at one credential were tried against a budget of five", name, tried)
		}
	}
}

// Give-back: what an outsider's own success gives back is no more than it took.
func TestGiveBackIsNotMore(t *testing.T) {
	w := newWorld(t)
	code := w.give("corp/alice", "code", "c1")
	mine := w.give("corp/bob", "code", "c2")
	code.handle, mine.handle = nil, nil
	tried := 0
	for range 20 {
		b := w.browser("")
		must(t, b.begin("open", claiming("corp", "alice")))
		wrong := *code
		wrong.secret = "guess"
		before := w.kind.tried.Load()
		_ = b.prove(&wrong)
		tried += int(w.kind.tried.Load() - before)
		must(t, b.begin("open", claiming("corp", "bob")))
		must(t, b.prove(mine))
	}
	if tried != 5 {
		t.Errorf("%d", tried)
	}
}

// A guess that claims the same user by way of another tenant name or handle.
func TestClaimedTenantsShareABudget(t *testing.T) {
	w := newWorld(t)
	code := w.give("corp/alice", "code", "c1")
	before := w.kind.tried.Load()
	for i := range 20 {
		b := w.browser("")
		must(t, b.begin("open", claiming(fmt.Sprintf("t%d", i), "alice"))) // the tenant claimed is free
		wrong := *code
		wrong.secret = "guess"
		_ = b.prove(&wrong)
	}
	if n := w.kind.tried.Load() - before; n > 5 {
		t.Errorf("%d guesses at one code against a budget of five, by claiming other tenants", n)
	}
}

// After five wrong answers, an attempt of the last window is given back into the next.
func TestGiveBackIntoTheNextWindow(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	var good []*session.Session
	var answers [][]byte
	for range 5 { // five good answers in flight at the end of a window
		b, asked := w.halfway("corp/alice", "admin")
		s := b.open()
		good = append(good, s)
		_ = k
		other := w.newKey("corp/alice", "passkey", k.id)
		other.counter = 0
		answers = append(answers, nil)
		answers[len(answers)-1] = k.answer(t, asked.PublicKey)
	}
	_ = answers
	tried := 0
	// The give-back of the first is held up until the window is over and four wrong answers were counted in the next.
	w.before = func(op string) {
		if op != "GiveAttempt" {
			return
		}
		w.before = nil
		w.wait(16 * time.Minute)
		for range 5 {
			b := w.browser("corp/alice")
			must(t, b.begin("admin"))
			wrong := *k
			wrong.secret = "guess"
			_ = b.prove(&wrong)
			tried++
		}
	}
	must(t, good[0].Verify(context.Background(), "passkey", answers[0]))
	before := w.kind.tried.Load()
	b := w.browser("corp/alice")
	must(t, b.begin("admin"))
	wrong := *k
	wrong.secret = "guess"
	_ = b.prove(&wrong)
	if w.kind.tried.Load() != before {
		t.Errorf("a sixth guess was tried in one window, after %d", tried)
	}
}
