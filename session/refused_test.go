package session_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// halfway is a browser whose login has passed its first step, with a challenge open.
func (w *world) halfway(who, method string) (*browser, session.Asking) {
	w.t.Helper()
	w.passkey(who)
	b := w.browser(who)
	must(w.t, b.begin(method))
	asked, err := b.challenge("passkey")
	must(w.t, err)
	return b, asked
}

func TestSecondStepFirst(t *testing.T) {
	w := newWorld(t)
	code, key := w.give("corp/alice", "code", "c1"), w.passkey("corp/alice")
	b := w.browser("")
	must(t, b.begin("double", claiming("corp", "alice")))
	_, err := b.challenge("passkey")
	wantErr(t, err, session.ErrWrongStep)
	asked, err := b.challenge("code")
	must(t, err)
	wantErr(t, b.verify("passkey", key.answer(t, asked.PublicKey)), session.ErrWrongStep)
	wantErr(t, b.verify("device", nil), session.ErrWrongStep)
	tried := w.kind.tried.Load()
	must(t, b.verify("code", code.answer(t, asked.PublicKey)))
	if w.kind.tried.Load() != tried+1 {
		t.Error("the refused answers were looked at")
	}
	b.wantState(authn.KindAuthenticating)
	must(t, b.prove(key))
	b.wantState(authn.KindAuthenticated)
}

// A login after its first step opens nothing that a session does.
func TestHalfwayOpensNothing(t *testing.T) {
	w := newWorld(t)
	b, _ := w.halfway("corp/root", "admin")
	s := b.open()
	ctx := context.Background()
	wantErr(t, s.Allows(), session.ErrNotAuthenticated)
	wantErr(t, s.AllowsDevice(), session.ErrNotAuthenticated)
	for name, call := range map[string]func() error{
		"sessions":    func() error { _, err := s.Sessions(ctx); return err },
		"credentials": func() error { _, err := s.Credentials(ctx); return err },
		"enrol":       func() error { _, err := s.EnrolChallenge(ctx, "passkey"); return err },
		"enrolled":    func() error { _, err := s.Enrol(ctx, "passkey", "x", nil); return err },
		"remove":      func() error { return s.RemoveCredential(ctx, w.passkey("corp/root").id) },
		"rename":      func() error { return s.RenameCredential(ctx, w.passkey("corp/root").id, "x") },
		"administer":  func() error { _, err := s.Administer(ctx); return err },
		"step up":     func() error { return s.StepUp(ctx, adminFloor) },
		"revoke":      func() error { return s.RevokeSession(ctx, s.ID()) },
		"others":      func() error { _, err := s.RevokeOtherSessions(ctx); return err },
	} {
		if err := call(); !errors.Is(err, session.ErrNotAuthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Nor does the workflow of an invitation.
	p := w.browser("corp/root")
	must(t, p.redeem(w.invite("corp/root")))
	s = p.open()
	wantErr(t, s.Allows(), session.ErrNotAuthenticated)
	_, err := s.Administer(ctx)
	wantErr(t, err, session.ErrNotAuthenticated)
	_, err = s.Sessions(ctx)
	wantErr(t, err, session.ErrNotAuthenticated)
	wantErr(t, s.RemoveCredential(ctx, w.passkey("corp/root").id), session.ErrNotAuthenticated)
	_, err = s.Challenge(ctx, "passkey")
	wantErr(t, err, session.ErrWrongStep)
}

func TestVerifyWhereNothingRuns(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	guest := w.browser("corp/alice")
	wantErr(t, guest.verify("passkey", nil), session.ErrWrongStep)
	finished, asked := w.halfway("corp/alice", "admin")
	answer := k.answer(t, asked.PublicKey)
	must(t, finished.verify("passkey", answer))
	wantErr(t, finished.verify("passkey", answer), session.ErrWrongStep)
	wantErr(t, finished.prove(k), session.ErrWrongStep)

	late, asked := w.halfway("corp/alice", "admin")
	w.wait(authn.DefaultLoginTime)
	wantErr(t, late.verify("passkey", k.answer(t, asked.PublicKey)), session.ErrLoginExpired)
	wantErr(t, late.prove(k), session.ErrLoginExpired)
	late.wantState(authn.KindGuest)
	wantErr(t, late.do(func(ctx context.Context, s *session.Session) error { return s.Cancel(ctx) }), session.ErrLoginExpired)
}

func TestSwitchingMethodKeepsNoEvidence(t *testing.T) {
	w := newWorld(t)
	code, key := w.give("corp/alice", "code", "c1"), w.passkey("corp/alice")
	b := w.browser("")
	must(t, b.begin("double", claiming("corp", "alice")))
	must(t, b.prove(code))
	must(t, b.begin("double", claiming("corp", "alice")))
	_, err := b.challenge("passkey")
	wantErr(t, err, session.ErrWrongStep)
	must(t, b.begin("open", claiming("corp", "alice")))
	if done := b.open().State().(authn.Authenticating).Login.Done(); len(done) != 0 {
		t.Errorf("the new login has %v", done)
	}
	_ = key
	w.wantEvent("corp", authn.LoginReplaced, authn.ReasonReplaced)
}

func TestContradictions(t *testing.T) {
	w := newWorld(t)
	alice, labs := w.passkey("corp/alice"), w.passkey("labs/alice")
	for _, c := range []struct {
		name, cert, method string
		key                *authenticator
	}{
		{"bob's certificate, alice's passkey", "corp/bob", "admin", alice},
		{"alice's certificate of labs, alice's passkey of corp", "labs/alice", "admin", alice},
		{"alice's certificate of corp, alice's passkey of labs", "corp/alice", "admin", labs},
		{"the tenant labs, alice's passkey of corp", "labs/alice", "partner", alice},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			b := w.browser(c.cert)
			must(t, b.begin(c.method))
			wantErr(t, b.prove(c.key), session.ErrInvalidCredential)
			wantErr(t, b.open().Allows(), session.ErrNotAuthenticated)
			tenant, _, _ := cut(c.cert)
			w.wantEvent(tenant, authn.FactorFailed, authn.ReasonSubject)
		})
	}
	w.t = t
	// A passkey without a certificate.
	b := w.browser("")
	wantErr(t, b.begin("admin"), session.ErrCertificateRequired)
	wantErr(t, b.prove(alice), session.ErrWrongStep)
	b.wantState(authn.KindGuest)
	// The evidence of two users on a device: its tenant binds the person.
	k := w.browser("corp/lobby")
	must(t, k.begin("kiosk"))
	must(t, k.begin("attendant"))
	wantErr(t, k.prove(labs), session.ErrInvalidCredential)
	wantErr(t, k.open().Allows(), session.ErrNotAuthenticated)
}

func cut(who string) (tenant, name string, ok bool) {
	for i := range who {
		if who[i] == '/' {
			return who[:i], who[i+1:], true
		}
	}
	return who, "", false
}

func TestCookiePlantedBeforeLogin(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	attacker := w.browser("corp/alice") // even with the certificate in hand
	must(t, attacker.do(func(ctx context.Context, s *session.Session) error { return s.SaveValues(ctx, []byte("mine")) }))
	victim := w.browser("corp/alice")
	victim.cookie = attacker.cookie
	must(t, victim.begin("admin"))
	attacker.wantState(authn.KindGuest)
	if v := victim.open().Values(); len(v) != 0 {
		t.Errorf("the login inherits the values %q", v)
	}
	stale := victim.twin()
	must(t, victim.prove(k))
	attacker.wantState(authn.KindGuest)
	stale.wantState(authn.KindGuest)
	wantErr(t, attacker.open().SaveValues(context.Background(), nil), nil)
	victim.wantState(authn.KindAuthenticated)
}

func TestChallengeOnce(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	b, asked := w.halfway("corp/alice", "admin")
	wrong := *k
	wrong.secret = "guess"
	bad, good := wrong.answer(t, asked.PublicKey), k.answer(t, asked.PublicKey)
	wantErr(t, b.verify("passkey", bad), session.ErrInvalidCredential)
	wantErr(t, b.verify("passkey", good), session.ErrWrongStep)

	// Replaced by another one.
	first, err := b.challenge("passkey")
	must(t, err)
	_, err = b.challenge("passkey")
	must(t, err)
	wantErr(t, b.verify("passkey", k.answer(t, first.PublicKey)), session.ErrInvalidCredential)

	// Of another login.
	_, foreign := w.halfway("corp/alice", "admin")
	_, err = b.challenge("passkey")
	must(t, err)
	wantErr(t, b.verify("passkey", k.answer(t, foreign.PublicKey)), session.ErrInvalidCredential)

	// One second too late, and just in time.
	asked, err = b.challenge("passkey")
	must(t, err)
	w.wait(asked.Expires.Sub(w.clock()) + time.Second)
	wantErr(t, b.verify("passkey", k.answer(t, asked.PublicKey)), session.ErrInvalidCredential)
	w.wantEvent("corp", authn.FactorFailed, authn.ReasonChallengeLate)
	must(t, b.begin("admin"))
	asked, err = b.challenge("passkey")
	must(t, err)
	w.wait(asked.Expires.Sub(w.clock()) - time.Second)
	must(t, b.verify("passkey", k.answer(t, asked.PublicKey)))
}

func TestChallengeOfRegistrationAndLoginAreApart(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	b := w.login("corp/alice")
	asked, err := b.enrolChallenge("passkey")
	must(t, err)
	wantErr(t, b.verify("passkey", k.answer(t, asked.PublicKey)), session.ErrWrongStep)
	must(t, b.stepUp(authn.Requirement{MaxAge: time.Minute}))
	asked, err = b.challenge("passkey")
	must(t, err)
	wantErr(t, b.enrolAnswer(w.newKey("corp/alice", "passkey", "k9"), asked), session.ErrWrongStep)
	must(t, b.verify("passkey", k.answer(t, asked.PublicKey)))

	p := w.browser("corp/bob")
	must(t, p.redeem(w.invite("corp/bob")))
	asked, err = p.enrolChallenge("passkey")
	must(t, err)
	wantErr(t, p.verify("passkey", k.answer(t, asked.PublicKey)), session.ErrWrongStep)
}

func TestHundredAnswersAtOnce(t *testing.T) {
	w := newWorld(t)
	b, asked := w.halfway("corp/alice", "admin")
	answer := w.passkey("corp/alice").answer(t, asked.PublicKey)
	before := w.kind.tried.Load()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var cookies []string
	start := make(chan struct{})
	for range 100 {
		s := b.open()
		wg.Go(func() {
			<-start
			err := s.Verify(context.Background(), "passkey", answer)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				v, _ := s.Cookie()
				cookies = append(cookies, v)
			} else if !errors.Is(err, session.ErrWrongStep) {
				t.Errorf("refused with %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	if n := w.kind.tried.Load() - before; n != 1 || len(cookies) != 1 {
		t.Fatalf("%d answers were looked at and %d sessions came of it", n, len(cookies))
	}
	b.wantState(authn.KindGuest)
	b.cookie = cookies[0]
	b.wantState(authn.KindAuthenticated)
	if n := w.count("corp", authn.LoginFinished); n != 1 {
		t.Errorf("%d logins are in the log", n)
	}
}

func TestCounterBackFlagsAndEnds(t *testing.T) {
	w := newWorld(t)
	signedIn := w.login("corp/alice")
	k := w.passkey("corp/alice")
	b := w.browser("corp/alice")
	must(t, b.begin("admin"))
	k.counter -= 2
	wantErr(t, b.prove(k), session.ErrInvalidCredential)
	signedIn.wantState(authn.KindGuest)
	w.wantEvent("corp", session.CredentialFlagged, reasonCloned)
	k.counter += 10
	must(t, b.begin("admin"))
	wantErr(t, b.prove(k), session.ErrInvalidCredential)
	w.wantEvent("corp", authn.FactorFailed, factors.ReasonFlagged)
}

// Between the first step and the last, what the login rests on goes away.
func TestCheckedAgainAtTheEnd(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		change func(w *world)
		why    authn.Reason
		err    error
	}{
		{"nothing", func(*world) {}, "", nil},
		{"user suspended", func(w *world) {
			u, err := w.store.User(ctx, "corp", w.user("corp/alice").ID)
			must(w.t, err)
			u.Status = session.Suspended
			must(w.t, w.store.SetUser(ctx, u))
		}, session.ReasonUserSuspended, session.ErrInvalidCredential},
		{"tenant suspended", func(w *world) { must(w.t, w.store.SetTenantStatus(ctx, "corp", session.Suspended, w.clock())) }, session.ReasonTenantSuspended, session.ErrInvalidCredential},
		{"user suspended, sessions ended", func(w *world) {
			must(w.t, w.Operate("corp").SetStatus(ctx, w.user("corp/alice").ID, session.Suspended))
		}, "", session.ErrWrongStep},
		{"method no longer offered", func(w *world) {
			w.setPolicy("methods: [admin] }", "methods: [badge] }", "[admin, flexible, partner]", "[flexible, partner]")
		}, authn.ReasonNotOnOffer, session.ErrInvalidCredential},
		{"floor raised", func(w *world) {
			w.setPolicy("floors:", "floors:\n  - { tenant: corp, factors: [code] }", "methods: [admin] }", "methods: [admin, double] }")
		}, authn.ReasonFloor, session.ErrInvalidCredential},
		{"floor raised elsewhere", func(w *world) {
			w.setPolicy("floors:", "floors:\n  - { tenant: labs, factors: [code] }", "methods: [admin] }", "methods: [admin, double] }")
		}, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			b, asked := w.halfway("corp/alice", "admin")
			c.change(w)
			err := b.verify("passkey", w.passkey("corp/alice").answer(t, asked.PublicKey))
			if !errors.Is(err, c.err) {
				t.Errorf("got %v, want %v", err, c.err)
			}
			if c.err == nil {
				b.wantState(authn.KindAuthenticated)
				return
			}
			// A subject that is not in good standing is refused like a wrong credential: the login goes on.
			state, event := authn.KindGuest, authn.LoginRefused
			if c.why == session.ReasonUserSuspended || c.why == session.ReasonTenantSuspended {
				state, event = authn.KindAuthenticating, authn.FactorFailed
			}
			b.wantState(state)
			if c.why != "" {
				w.wantEvent("corp", event, c.why)
			}
		})
	}
}

func TestDeadlinesAreNeverStretched(t *testing.T) {
	w := newWorld(t)
	b, k := w.login("corp/alice"), w.passkey("corp/alice")
	made, _ := b.open().Person()
	fresh := authn.Requirement{MaxAge: time.Minute}
	for w.clock().Before(made.Deadline) {
		must(t, b.stepUp(fresh))
		must(t, b.prove(k))
		p, ok := b.open().Person()
		if !ok || p.Deadline.After(made.Deadline) {
			t.Fatalf("the deadline went from %v to %v", made.Deadline, p.Deadline)
		}
		w.wait(14 * time.Minute)
		if w.clock().Before(made.Deadline) {
			b.wantState(authn.KindAuthenticated)
		}
	}
	b.wantState(authn.KindGuest)
	wantErr(t, b.stepUp(fresh), session.ErrNotAuthenticated)
}

func TestIdle(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	for range 10 { // activity keeps it, though a touch is written once in a while only
		w.wait(14 * time.Minute)
		b.wantState(authn.KindAuthenticated)
	}
	w.wait(15 * time.Minute)
	b.wantState(authn.KindGuest)
}

func TestClaimedTenantThatDiffers(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	b := w.browser("corp/alice")
	wantErr(t, b.begin("admin", claiming("labs", "alice")), session.ErrInvalidCredential)
	b.wantState(authn.KindGuest)
	w.wantEvent("", authn.FactorFailed, session.ReasonClaimDiffers)
	// Bound by the last step, and by one before it.
	for _, method := range []string{"bare", "double"} {
		b := w.browser("")
		must(t, b.begin(method, claiming("labs", "alice")))
		k := k
		if method == "double" {
			k = w.give("corp/alice", "code", "c1")
		}
		wantErr(t, b.prove(k), session.ErrInvalidCredential)
		b.wantState(authn.KindGuest)
	}
	w.wantEvent("corp", authn.LoginRefused, session.ReasonClaimDiffers)
	w.wantEvent("", authn.LoginRefused, session.ReasonClaimDiffers)
}
