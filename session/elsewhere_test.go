package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

func TestSignInElsewhereMakesAUserWithoutRights(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.begin("visit", returning("/visit/home?x=1")))
	came, err := b.comeBack("idp", elsewhereAnswer{State: b.toElsewhere("idp"), Sub: "sub-1"})
	must(t, err)
	if came.ReturnTo != "/visit/home?x=1" || came.Linked {
		t.Errorf("came back as %+v", came)
	}
	p, ok := b.open().Person()
	if !ok || !strings.HasPrefix(p.Names.User, "sub-1~") || p.Subject.Tenant != "corp" {
		t.Fatalf("signed in as %+v", p)
	}
	u, err := w.store.User(context.Background(), "corp", p.Subject.User)
	must(t, err)
	if u.Admin || u.Class != authn.ClassPerson || u.Status != session.Active || len(u.Handle) != 64 {
		t.Errorf("the user is %+v", u)
	}
	w.wantEvent("corp", session.UserCreated, "")
	// The same identity is the same user, and in another tenant another one.
	again := w.browser("corp/bob")
	must(t, again.visit("sub-1", ""))
	if q, _ := again.open().Person(); q.Subject != p.Subject {
		t.Errorf("the second time they are %+v", q.Subject)
	}
	other := w.browser("labs/alice")
	must(t, other.visit("sub-1", ""))
	if q, _ := other.open().Person(); q.Subject.Tenant != "labs" || q.Subject.User == p.Subject.User {
		t.Errorf("in another tenant they are %+v", q.Subject)
	}
}

func TestNameThatExistsLinksToNothing(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	for sub, want := range map[string]string{"alice": "alice~", "root": "root~", "a b": "user-", strings.Repeat("x", 63): "user-"} {
		b := w.browser("corp/bob")
		if len(sub) == 63 {
			must(t, b.visit(sub, "")) // takes the name
			_, err := w.Operate("labs").CreateUser(context.Background(), session.NewUser{Name: sub})
			must(t, err)
			b = w.browser("labs/alice")
		}
		must(t, b.visit(sub, ""))
		p, _ := b.open().Person()
		if !strings.HasPrefix(p.Names.User, want) {
			t.Errorf("%.10s is called %q", sub, p.Names.User)
		}
		if p.Subject.User == w.user("corp/alice").ID || p.Subject.User == w.user("corp/root").ID {
			t.Errorf("%s became somebody who was there", sub)
		}
		u, err := w.store.User(context.Background(), p.Subject.Tenant, p.Subject.User)
		if must(t, err); u.Admin {
			t.Errorf("%s has rights", sub)
		}
	}
}

func TestOneIdentityAtOnceIsOneUser(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	const n = 12
	browsers, states := make([]*browser, n), make([]string, n)
	for i := range browsers {
		browsers[i] = w.browser("corp/alice")
		must(t, browsers[i].begin("visit"))
		states[i] = browsers[i].toElsewhere("idp")
	}
	var wg sync.WaitGroup
	for i, b := range browsers {
		wg.Go(func() {
			if _, err := b.comeBack("idp", elsewhereAnswer{State: states[i], Sub: "sub-1"}); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	first, _ := browsers[0].open().Person()
	for _, b := range browsers {
		if p, _ := b.open().Person(); p.Subject != first.Subject || first.Subject.User == "" {
			t.Errorf("%+v and %+v", first.Subject, p.Subject)
		}
	}
}

func TestNoUserIsMadeInASuspendedTenant(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("labs/alice")
	must(t, b.begin("visit"))
	state := b.toElsewhere("idp")
	before, _ := w.store.Users(context.Background(), "labs")
	suspend := func() { must(t, w.Operate("labs").SetTenantStatus(context.Background(), session.Suspended)) }
	w.away.hook = suspend
	if _, err := b.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"}); err == nil {
		t.Error("signed in")
	}
	w.away.hook = nil
	must(t, w.Operate("labs").SetTenantStatus(context.Background(), session.Active))
	c := w.browser("labs/alice")
	must(t, c.begin("visit"))
	state = c.toElsewhere("idp")
	w.before = func(op string) {
		if op == "Provision" {
			w.before = nil
			suspend()
		}
	}
	if _, err := c.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"}); err == nil {
		t.Error("signed in although the tenant was suspended in between")
	}
	w.before = nil
	after, _ := w.store.Users(context.Background(), "labs")
	if len(after) != len(before) {
		t.Errorf("%d users became %d", len(before), len(after))
	}
}

func TestAnswerToAnotherChallengeSpendsNothing(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.begin("visit"))
	state := b.toElsewhere("idp")
	for range 60 { // more than any budget
		_, err := b.twin().comeBack("idp", elsewhereAnswer{State: "another", Sub: "mallory"})
		wantErr(t, err, session.ErrInvalidCredential)
	}
	if n := w.count("corp", authn.FactorFailed); n > 1 {
		t.Errorf("%d events", n)
	}
	_, err := b.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"})
	must(t, err)
	b.wantState(authn.KindAuthenticated)
	_, err = b.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"})
	wantErr(t, err, session.ErrWrongStep)
	b.wantState(authn.KindAuthenticated)
}

func TestComingBackOnceAmongMany(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.begin("visit"))
	state := b.toElsewhere("idp")
	var wg sync.WaitGroup
	var mu sync.Mutex
	passed := 0
	for range 20 {
		c := b.twin()
		wg.Go(func() {
			if _, err := c.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"}); err == nil {
				mu.Lock()
				passed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if passed != 1 {
		t.Errorf("%d came back", passed)
	}
}

func TestComingBackElsewhere(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.begin("visit"))
	state := b.toElsewhere("idp")
	for name, c := range map[string]*browser{"another browser": w.browser("corp/alice"), "one without a certificate": w.browser("")} {
		if _, err := c.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"}); err == nil {
			t.Errorf("%s came back", name)
		}
		c.wantState(authn.KindGuest)
	}
	without := b.twin()
	without.chain = nil
	if _, err := without.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"}); err == nil {
		t.Error("came back without the certificate")
	}
	if _, err := b.comeBack("passkey", elsewhereAnswer{State: state, Sub: "sub-1"}); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("to a factor that sends nobody anywhere: %v", err)
	}
	if _, err := b.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"}); err != nil {
		t.Error(err)
	}
}

func TestSignInElsewhereIsOneStepOfSeveral(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.begin("thorough", returning("/visit/home")))
	came, err := b.comeBack("idp", elsewhereAnswer{State: b.toElsewhere("idp"), Sub: "sub-1"})
	must(t, err)
	b.wantState(authn.KindAuthenticating)
	if came.ReturnTo != "" {
		t.Errorf("leads to %q before the login is complete", came.ReturnTo)
	}
	if p, ok := b.open().Person(); ok {
		t.Errorf("%+v is signed in", p)
	}
}

func TestLinkAndLoginAreNotTheSame(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.login("corp/alice")
	var asked session.Asking
	must(t, b.do(func(ctx context.Context, s *session.Session) (err error) {
		asked, err = s.EnrolChallenge(ctx, "invited")
		return err
	}))
	_, link, _ := strings.Cut(asked.RedirectTo, "state=")
	guest := w.browser("corp/alice")
	must(t, guest.begin("linked"))
	login := guest.toElsewhere("invited")
	// The state of a link in a login, and of a login in a link.
	_, err := guest.twin().comeBack("invited", elsewhereAnswer{State: link, Sub: "sub-1"})
	wantErr(t, err, session.ErrInvalidCredential)
	_, err = b.twin().comeBack("invited", elsewhereAnswer{State: login, Sub: "sub-1"})
	wantErr(t, err, session.ErrInvalidCredential)
	if w.stored("invited", "corp/sub-1") {
		t.Fatal("linked by the state of a login")
	}
	came, err := b.comeBack("invited", elsewhereAnswer{State: link, Sub: "sub-1"})
	if must(t, err); !came.Linked {
		t.Error("not said to be linked")
	}
	_, err = guest.comeBack("invited", elsewhereAnswer{State: login, Sub: "sub-1"})
	must(t, err)
	if p, _ := guest.open().Person(); p.Subject.User != w.user("corp/alice").ID || p.Names.User != "alice" {
		t.Errorf("the link leads to %+v", p.Names)
	}
}

func TestIdentityThatIsLinkedToNobodyIsNobody(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.begin("linked"))
	_, err := b.comeBack("invited", elsewhereAnswer{State: b.toElsewhere("invited"), Sub: "alice"})
	wantErr(t, err, session.ErrInvalidCredential)
	w.wantEvent("corp", authn.FactorFailed, factors.ReasonUserUnknown)
}

func TestProviderDownDecidesNothing(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.begin("visit"))
	w.away.down = errors.New("connection refused")
	_, err := b.challenge("idp")
	wantAs[*session.UnavailableError](t, err)
	w.away.down = nil
	state := b.toElsewhere("idp")
	w.away.down = errors.New("connection refused")
	_, err = b.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"})
	wantAs[*session.UnavailableError](t, err)
	w.away.down = nil
	b.wantState(authn.KindAuthenticating)
	_, err = b.comeBack("idp", elsewhereAnswer{State: b.toElsewhere("idp"), Sub: "sub-1"})
	must(t, err)
}

// notice gives a notice of an issuer.
func (w *world) notice(tenant, id string, handles ...string) error {
	return w.Notice(context.Background(), "idp", tenant, url.Values{"id": {id}, "handle": handles}, netip.MustParseAddr("192.0.2.9"))
}

func TestNoticeEndsWhatItNames(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	one, two, other, same := w.browser("corp/alice"), w.browser("corp/alice"), w.browser("corp/alice"), w.browser("labs/alice")
	must(t, one.visit("sub-1", "sid-1"))
	must(t, two.visit("sub-1", "sid-2"))
	must(t, other.visit("sub-2", "sid-3"))
	must(t, same.visit("sub-1", "sid-1"))
	local := w.login("corp/alice")
	must(t, w.notice("corp", "n1", "sid:sid-1"))
	for name, c := range map[string]struct {
		b    *browser
		live bool
	}{"the one named": {one, false}, "another of the user": {two, true}, "another user": {other, true}, "another tenant's": {same, true}, "one without": {local, true}} {
		if w.live(c.b) != c.live {
			t.Errorf("%s: live is %v", name, !c.live)
		}
	}
	w.wantEvent("corp", session.SessionRevoked, session.ReasonEndedByIssuer)
	wantErr(t, w.notice("corp", "n1", "sid:sid-2"), session.ErrBadRequest)
	if !w.live(two) {
		t.Error("a repeated notice ended something")
	}
	must(t, w.notice("corp", "n2", "sub:sub-1"))
	if w.live(two) || !w.live(same) {
		t.Error("a notice about a user ends the wrong sessions")
	}
	// The user may sign in again, by another session there; not by the one that ended.
	w.wait(1)
	must(t, w.browser("corp/alice").visit("sub-1", "sid-9"))
	wantErr(t, w.browser("corp/alice").visit("sub-1", "sid-1"), session.ErrInvalidCredential)
	wantErr(t, w.Notice(context.Background(), "passkey", "corp", nil, netip.Addr{}), session.ErrNotFound)
	wantErr(t, w.Notice(context.Background(), "idp", "corp", nil, netip.Addr{}), session.ErrBadRequest)
}

// A notice that comes while a login is being completed ends it, wherever in between it comes.
func TestNoticeMeetsALogin(t *testing.T) {
	for _, handle := range []string{"sid:sid-1", "sub:sub-1"} {
		for n := 0; ; n++ {
			w := newWorld(t, elsewherePolicy...)
			must(t, w.browser("corp/bob").visit("sub-1", "sid-0")) // the user is there
			b := w.browser("corp/alice")
			must(t, b.begin("visit"))
			state := b.toElsewhere("idp")
			looked, calls, came := false, 0, false
			w.away.hook = func() { looked = true }
			w.before = func(string) {
				if !looked || came {
					return
				}
				if calls++; calls > n {
					came = true
					must(t, w.notice("corp", "n1", handle))
				}
			}
			_, err := b.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1", SID: "sid-1"})
			w.before = nil
			if !came {
				break
			}
			if w.live(b) {
				t.Errorf("%s before call %d: the login is there all the same (%v)", handle, n, err)
			}
		}
	}
}

func TestNoticeThatBreaksOffCanBeGivenAgain(t *testing.T) {
	for _, op := range []string{"SetCutoff", "ListSessions", "EndSessions", "Spend"} {
		w := newWorld(t, elsewherePolicy...)
		b := w.browser("corp/alice")
		must(t, b.visit("sub-1", "sid-1"))
		w.fail = func(at string) storetest.Fault {
			if at == op {
				return storetest.Before
			}
			return storetest.None
		}
		if err := w.notice("corp", "n1", "sid:sid-1"); err == nil {
			t.Errorf("%s fails, and the notice was taken", op)
		}
		w.fail = nil
		must(t, w.notice("corp", "n1", "sid:sid-1"))
		if w.live(b) {
			t.Errorf("%s failed once, and the session is live", op)
		}
	}
}

func TestWhereToSignOutElsewhere(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.visit("sub-1", ""))
	was, _ := b.open().Person()
	must(t, b.twin().signOut(true))
	to, err := b.open().SignOutURL(context.Background(), was, "/signed-out")
	must(t, err)
	if to != "https://elsewhere.example/out?to=https://portal.example/signed-out&issuer=https://elsewhere.example" {
		t.Errorf("to %s", to)
	}
	for name, c := range map[string]*browser{"a guest": w.browser("corp/alice"), "one who did not sign in elsewhere": w.login("corp/alice")} {
		p, _ := c.open().Person()
		if to, err := c.open().SignOutURL(context.Background(), p, "/"); to != "" || err != nil {
			t.Errorf("%s: %q, %v", name, to, err)
		}
	}
}

func TestStepUpAsksElsewhereForAFreshSignIn(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.visit("sub-1", ""))
	if w.away.age != 0 {
		t.Errorf("a login asks for an age of %v", w.away.age)
	}
	must(t, b.stepUp(authn.Requirement{Factors: []string{"idp"}, MaxAge: time.Minute}))
	state := b.toElsewhere("idp")
	if w.away.age != time.Minute {
		t.Errorf("a step-up asks for an age of %v", w.away.age)
	}
	_, err := b.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-2"})
	wantErr(t, err, session.ErrInvalidCredential)
	state = b.toElsewhere("idp")
	_, err = b.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"})
	must(t, err)
	if users, _ := w.store.Users(context.Background(), "corp"); len(users) != 5 {
		t.Errorf("a step-up made somebody: %d", len(users))
	}
}

func TestFactorMakesUsersInTheTenantThatIsProvenOnly(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.begin("visit"))
	_, err := b.comeBack("idp", elsewhereAnswer{State: b.toElsewhere("idp"), Sub: "sub-1", Lie: "labs"})
	wantErr(t, err, session.ErrInvalidCredential)
	if users, _ := w.store.Users(context.Background(), "labs"); len(users) != 1 {
		t.Errorf("%d users", len(users))
	}
}

func TestNoticeOnSeveralInstancesIsTakenOnce(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.visit("sub-1", "sid-1"))
	w.before = func(op string) {
		if op == "Spend" {
			w.before = nil
			must(t, w.notice("corp", "n1", "sid:sid-1"))
		}
	}
	wantErr(t, w.notice("corp", "n1", "sid:sid-1"), session.ErrBadRequest)
}

func TestNobodyIsMadeWhoIsNotInTheLog(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.begin("visit"))
	state := b.toElsewhere("idp")
	w.fail = func(op string) storetest.Fault {
		if op == "AddEvents" {
			return storetest.Before
		}
		return storetest.None
	}
	_, err := b.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"})
	wantAs[*session.UnavailableError](t, err)
	w.fail = nil
	if users, _ := w.store.Users(context.Background(), "corp"); len(users) != 4 {
		t.Errorf("%d users", len(users))
	}
}

func TestTenantThatWasSuspendedMeanwhileGetsNobody(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	ctx := context.Background()
	b := w.browser("labs/alice")
	must(t, b.begin("visit"))
	state := b.toElsewhere("idp")
	w.before = func(op string) {
		if op == "Provision" {
			w.before = nil
			must(t, w.Operate("labs").SetTenantStatus(ctx, session.Suspended))
			must(t, w.Operate("labs").SetTenantStatus(ctx, session.Active))
		}
	}
	if _, err := b.comeBack("idp", elsewhereAnswer{State: state, Sub: "sub-1"}); err == nil {
		t.Error("signed in")
	}
	if users, _ := w.store.Users(ctx, "labs"); len(users) != 1 {
		t.Errorf("%d users", len(users))
	}
}

func TestBadNoticesCountAgainstTheirSource(t *testing.T) {
	w := newWorld(t, append(slices.Clone(elsewherePolicy), "floors:\n", "limits: { attempts: { per_source: 3 } }\nfloors:\n")...)
	for range 3 {
		wantErr(t, w.notice("corp", "n"), session.ErrBadRequest)
	}
	wantAs[*session.LockedError](t, w.notice("corp", "n"))
	must(t, w.notice("corp", "n", "sub:sub-1")) // a good one costs nothing
}

func TestWhoeverIsLinkedIsNamedAtOnce(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	must(t, w.browser("corp/bob").visit("sub-1", ""))
	b := w.browser("corp/alice")
	must(t, b.begin("thorough"))
	_, err := b.comeBack("idp", elsewhereAnswer{State: b.toElsewhere("idp"), Sub: "sub-1"})
	must(t, err)
	if l := b.open().State().(authn.Authenticating).Login; !strings.HasPrefix(l.Names.User, "sub-1~") {
		t.Errorf("named %+v", l.Names)
	}
}

// A certificate means whom its authority named, never whom a provider calls by that name.
func TestCertificateFindsNobodyWhomAProviderNamed(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	mallory := w.browser("corp/alice")
	must(t, mallory.begin("visit"))
	_, err := mallory.comeBack("idp", elsewhereAnswer{State: mallory.toElsewhere("idp"), Sub: "sub-mallory", Name: "carol"})
	must(t, err)
	if p, _ := mallory.open().Person(); !strings.HasPrefix(p.Names.User, "carol~") {
		t.Errorf("where certificates name users, one of a provider is called %q", p.Names.User)
	}
	carol := w.browser("corp/carol") // her certificate is the authority's; nobody has made her account yet
	wantErr(t, carol.begin("badge"), session.ErrInvalidCredential)
	// A name that was given while no certificate named users is found by none that does later.
	corp, err := w.store.Tenant(context.Background(), "corp")
	must(t, err)
	must(t, w.store.Provision(context.Background(), session.Provisioned{TenantEpoch: corp.Epoch,
		User:       session.User{User: factors.User{Tenant: "corp", ID: "c", Name: "carol"}, Status: session.Active, Epoch: 1, NamedElsewhere: true},
		Credential: factors.Credential{Tenant: "corp", User: "c", Factor: "idp", Kind: "elsewhere", ID: "of carol", Version: 1}}))
	wantErr(t, w.browser("corp/carol").begin("badge"), session.ErrInvalidCredential)
	_, err = w.browser("corp/alice").ask("/v1/x", "carol:read")
	wantErr(t, err, session.ErrInvalidCredential)
}

func TestNamesThatWereTakenBeforehandKeepNobodyOut(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	sum := sha256.Sum256([]byte("corp/sub victim"))
	of := hex.EncodeToString(sum[:])
	for _, name := range []string{"user-" + of[:12], "user-" + of[:24]} {
		_, err := w.Operate("corp").CreateUser(context.Background(), session.NewUser{Name: name})
		must(t, err)
	}
	must(t, w.browser("corp/bob").visit("sub victim", ""))
}

// What is done wrong elsewhere costs the login it is done in, not those who share its certificate and address.
func TestColleaguesBehindOneAddressAreNotLocked(t *testing.T) {
	w := newWorld(t, append(slices.Clone(elsewherePolicy), "floors:\n", "limits: { attempts: { per_source: 5, per_credential: 5 } }\nfloors:\n")...)
	for range 12 {
		b := w.browser("corp/alice")
		must(t, b.begin("visit"))
		_, err := b.comeBack("idp", elsewhereAnswer{State: b.toElsewhere("idp")})
		wantErr(t, err, session.ErrInvalidCredential)
	}
	must(t, w.browser("corp/alice").visit("sub-colleague", ""))
	if n := w.count("corp", session.TenantAlarm); n != 0 {
		t.Errorf("%d alarms", n)
	}
	b := w.browser("corp/alice")
	must(t, b.begin("visit"))
	for range 5 {
		_, err := b.comeBack("idp", elsewhereAnswer{State: b.toElsewhere("idp")})
		wantErr(t, err, session.ErrInvalidCredential)
	}
	_, err := b.comeBack("idp", elsewhereAnswer{State: b.toElsewhere("idp"), Sub: "sub-1"})
	wantAs[*session.LockedError](t, err)
}

func TestNoticeWhoseLastWriteFailsMayBeGivenAgain(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.browser("corp/alice")
	must(t, b.visit("sub-1", "sid-1"))
	n := 0
	w.fail = func(op string) storetest.Fault {
		if op == "SetCutoff" {
			if n++; n == 2 {
				return storetest.Before
			}
		}
		return storetest.None
	}
	if w.notice("corp", "n1", "sid:sid-1") == nil {
		t.Fatal("taken, although it is not remembered")
	}
	w.fail = nil
	if w.live(b) {
		t.Error("live")
	}
	must(t, w.notice("corp", "n1", "sid:sid-1"))
	wantErr(t, w.notice("corp", "n1", "sid:sid-1"), session.ErrBadRequest)
}
