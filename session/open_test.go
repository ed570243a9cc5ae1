package session_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

func TestCookiesThatAreNone(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	good := b.cookie
	selector, secret, _ := strings.Cut(good, ".")
	other := w.login("corp/bob")
	_, foreign, _ := strings.Cut(other.cookie, ".")
	last := secret[len(secret)-1]
	for name, v := range map[string]string{
		"empty": "", "dot": ".", "selector alone": selector, "no secret": selector + ".", "no selector": "." + secret,
		"shorter secret": good[:len(good)-1], "longer secret": good + "A", "padded": good + "=", "twice": good + "." + secret,
		"another's secret": selector + "." + foreign, "flipped": good[:len(good)-2] + flip(good[len(good)-2:len(good)-1]) + string(last),
		"non-canonical": good[:len(good)-1] + nextBits(last), "space": " " + good, "newline": good[:len(good)-1] + "\n", "nul": good + "\x00",
		"long": selector + "." + strings.Repeat("A", 1<<16), "unknown selector": strings.Repeat("A", len(selector)) + "." + secret,
		"standard alphabet": selector + "." + strings.Repeat("+", len(secret)),
	} {
		calls := 0
		w.before = func(string) { calls++ }
		s, err := w.Open(context.Background(), session.Request{Cookie: v, Peer: b.request().Peer})
		w.before = nil
		if err != nil || s.State().Kind() != authn.KindGuest || s.ID() != "" {
			t.Errorf("%s: %v, %s", name, err, s.State().Kind())
		}
		if v2, changed := s.Cookie(); changed || s.Ended() {
			t.Errorf("%s: the cookie is touched: %q", name, v2)
		}
		if calls > 1 {
			t.Errorf("%s: %d calls of the store", name, calls)
		}
	}
	b.wantState(authn.KindAuthenticated)
}

func flip(s string) string {
	if s == "A" {
		return "B"
	}
	return "A"
}

// nextBits changes only the bits of the last character that stand for nothing.
func nextBits(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)|1])
}

func FuzzCookie(f *testing.F) {
	w := newWorld(f)
	b := w.login("corp/alice")
	peer := b.request().Peer
	for _, seed := range []string{"", ".", b.cookie, b.cookie + "A", "A.B"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, v string) {
		s, err := w.Open(context.Background(), session.Request{Cookie: v, Peer: peer, Source: netip.MustParseAddr("192.0.2.1")})
		if err != nil {
			t.Fatal(err)
		}
		if in := s.State().Kind() == authn.KindAuthenticated; in != (v == b.cookie) {
			t.Errorf("%q opens %s", v, s.State().Kind())
		}
	})
}

// A record that is not sound is nobody's.
func TestCorruptedRecord(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	ctx := context.Background()
	selector, _, _ := strings.Cut(b.cookie, ".")
	row, err := w.store.Session(ctx, selector, w.clock())
	must(t, err)
	for name, change := range map[string]func([]byte) []byte{
		"empty":          func([]byte) []byte { return nil },
		"cut":            func(s []byte) []byte { return s[:len(s)-1] },
		"header alone":   func(s []byte) []byte { return s[:authn.HeaderSize] },
		"later deadline": func(s []byte) []byte { s[32]++; return s },
		"higher level":   func(s []byte) []byte { s[25] = 3; return s },
		"other version":  func(s []byte) []byte { s[1]++; return s },
		"evidence gone": func(s []byte) []byte {
			return bytes.Replace(s, []byte(`"factor":"passkey"`), []byte(`"factor":"passkex"`), 2)
		},
		"another subject": func(s []byte) []byte {
			return bytes.Replace(s, []byte(row.Index.Person), []byte(w.user("corp/bob").ID), 1)
		},
	} {
		version := row.Version
		must(t, w.store.SwapSession(ctx, session.Swap{Selector: selector, From: version, State: change(bytes.Clone(row.State)), Expires: row.Expires, Index: row.Index}))
		s := b.open()
		if s.State().Kind() != authn.KindGuest {
			t.Errorf("%s: %s", name, s.State().Kind())
		}
		wantErr(t, s.Allows(), session.ErrNotAuthenticated)
		row.Version++
	}
	must(t, w.store.SwapSession(ctx, session.Swap{Selector: selector, From: row.Version, State: row.State, Expires: row.Expires, Index: row.Index}))
	b.wantState(authn.KindAuthenticated)
}

func TestEndedRowStaysEnded(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	before := b.open() // a request in flight
	must(t, b.twin().signOut(false))
	b.wantState(authn.KindGuest)
	ctx := context.Background()
	wantErr(t, before.SaveValues(ctx, []byte("x")), session.ErrConflict)
	wantErr(t, before.StepUp(ctx, fresh), session.ErrConflict)
	wantErr(t, before.Begin(ctx, session.Begin{Method: "admin"}), session.ErrConflict)
	_, err := before.EnrolChallenge(ctx, "passkey")
	wantErr(t, err, session.ErrConflict)
	wantErr(t, before.RenameCredential(ctx, w.passkey("corp/alice").id, "x"), session.ErrConflict)
	_, err = before.RevokeOtherSessions(ctx)
	wantErr(t, err, session.ErrConflict)
	must(t, before.SignOut(ctx, true))
	b.wantState(authn.KindGuest)
}

func TestTouchIsCoarse(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	touches := 0
	w.before = func(op string) {
		switch op {
		case "TouchSession":
			touches++
		case "SwapSession", "CreateSession", "SaveValues":
			t.Errorf("a read writes: %s", op)
		}
	}
	for range 150 { // fifteen minutes, the idle limit: at most ten touches
		w.wait(6 * time.Second)
		b.open()
	}
	if touches == 0 || touches > 10 {
		t.Errorf("%d touches within one idle limit", touches)
	}
}

// A touch of a request in flight never makes a login lose its compare-and-swap.
func TestTouchLeavesTheVersionAlone(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	inFlight := b.open()
	w.wait(5 * time.Minute)
	b.open()
	must(t, inFlight.StepUp(context.Background(), fresh))
}

func TestStoreDownIsNobody(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	for _, op := range []string{"Session", "ListDenials", "UserNamed"} {
		w.wait(2 * time.Second)
		w.fail = only(op, 1, storetest.Before)
		_, err := w.Open(context.Background(), b.request())
		wantAs[*session.UnavailableError](t, err)
	}
	w.fail = nil
	b.wantState(authn.KindAuthenticated)
}

// A floor that rises, a method that is withdrawn and a factor that is gone apply to live sessions at once.
func TestPolicyChangesApplyToSessions(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	b.route = "/keys"
	must(t, b.open().Allows())
	w.setPolicy("floors:", "floors:\n  - { route: /keys, factors: [code] }", "methods: [admin] }", "methods: [admin, double] }")
	want := wantAs[*session.InsufficientError](t, b.open().Allows()).Want
	if len(want.Factors) != 1 || want.Factors[0] != "code" {
		t.Errorf("wanted %+v", want)
	}
	w.setPolicy("methods: [admin] }", "methods: [badge] }")
	wantErr(t, b.open().Allows(), session.ErrNotAuthenticated)
	b.route = "/admin/x"
	must(t, b.open().Allows())
	w.setPolicy("anchors: [corp, labs]\n", "anchors: [labs]\n")
	b.wantState(authn.KindGuest)
	w.setPolicy()
	b.wantState(authn.KindAuthenticated) // an instance may have the new file a little later
	// A policy that cannot be built leaves the old one in force.
	bad := *w.Policy()
	bad.Factors = append(bad.Factors[:0:0], bad.Factors...)
	bad.Factors[0].Kind = "unheard-of"
	if err := w.SetPolicy(&bad); err == nil {
		t.Error("a policy with a kind that nobody gave was taken")
	}
	b.wantState(authn.KindAuthenticated)
}

func TestConfigIsChecked(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]session.Config{
		"nothing":   {},
		"no store":  {Policy: w.Policy(), Kinds: w.kinds()},
		"twice":     {Policy: w.Policy(), Kinds: append(w.kinds(), w.kind), Store: w.store},
		"no kind":   {Policy: w.Policy(), Kinds: w.kinds()[:1], Store: w.store},
		"short key": {Policy: w.Policy(), Kinds: w.kinds(), Store: w.store, NameKey: []byte("short")},
		"no random": {Policy: w.Policy(), Kinds: w.kinds(), Store: w.store, Rand: dry{}},
	} {
		if _, err := session.New(c); err == nil {
			t.Errorf("%s: an engine was made", name)
		}
	}
	// Randomness that runs out stops everything that needs it.
	e, err := session.New(session.Config{Policy: w.Policy(), Kinds: w.kinds(), Store: w.store, NameKey: make([]byte, 16), Rand: dry{}})
	must(t, err)
	s, err := e.Open(context.Background(), w.browser("corp/alice").request())
	must(t, err)
	wantAs[*session.UnavailableError](t, s.Begin(context.Background(), session.Begin{Method: "admin"}))
	_, err = e.Operate("corp").Invite(context.Background(), w.user("corp/alice").ID, 0)
	wantAs[*session.UnavailableError](t, err)
}

type dry struct{}

func (dry) Read([]byte) (int, error) { return 0, errors.New("dry") }
