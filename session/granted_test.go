package session_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/jwt/issuer"
	"github.com/sallyport-auth/sallyport/session"
)

// minted is the sid of a token that a portal mints from the browser's session now.
func minted(t *testing.T, w *world, b *browser) string {
	t.Helper()
	s := b.open()
	who, err := s.Grant(context.Background())
	must(t, err)
	keys, err := issuer.OpenKeys(filepath.Join(t.TempDir(), "keys"), 0, w.clock())
	must(t, err)
	mints, err := issuer.New(issuer.Config{URL: "https://portal.example", Keys: keys, Audiences: []string{"api"}, Now: w.clock})
	must(t, err)
	token, err := mints.Mint(context.Background(), issuer.Grant{Principal: who, Session: s.ID(), Peer: s.Request().Peer, Audience: "api"})
	must(t, err)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token.Text, ".")[1])
	must(t, err)
	var claims struct {
		SID string `json:"sid"`
	}
	must(t, json.Unmarshal(payload, &claims))
	return claims.SID
}

// liveAs asks what a factor with "session: live" asks about a token's sid.
func liveAs(t *testing.T, w *world, who, id string) bool {
	t.Helper()
	u := w.user(who)
	ok, err := w.tokens.env.Live.SessionLive(context.Background(), w.clock(), u.Tenant, u.ID, id)
	must(t, err)
	return ok
}

// Alice mints a token at a kiosk and signs out: the token is dead. When she signs in there again, it must stay dead.
func TestTokenDoesNotComeBackWithTheNextSignOn(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	k := w.passkey("corp/alice")
	b := w.browser("corp/lobby")
	must(t, b.begin("kiosk"))
	must(t, b.begin("attendant"))
	must(t, b.prove(k))
	b.route = "/kiosk/x"
	sid := minted(t, w, b)
	b.route = ""
	if !liveAs(t, w, "corp/alice", sid) {
		t.Fatal("set-up")
	}
	must(t, b.signOut(false))
	if liveAs(t, w, "corp/alice", sid) {
		t.Fatal("set-up: it lives after the sign-out")
	}
	w.wait(time.Minute)
	must(t, b.begin("attendant"))
	must(t, b.prove(k))
	if liveAs(t, w, "corp/alice", sid) {
		t.Error("a token of the session that was signed out of is good again")
	}
}

// The session of the method admin is replaced by one of the method badge: in the log it has ended. Its tokens say aal2 and go on.
func TestTokenEndsWithTheSessionThatWasReplaced(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.login("corp/alice")
	sid := minted(t, w, b)
	if !liveAs(t, w, "corp/alice", sid) {
		t.Fatal("set-up")
	}
	must(t, b.begin("badge", returning("/badge/x")))
	w.wantEvent("corp", authn.SessionEnded, authn.ReasonReplaced)
	if p, _ := b.open().Person(); p.Method.Name != "badge" {
		t.Fatalf("set-up: %s", p.Method.Name)
	}
	if liveAs(t, w, "corp/alice", sid) {
		t.Error("a token of the session that was replaced is good still")
	}
}

// Two token factors, as two scopes or two principals of one issuer have: the proof of a good request is spent by the one that is
// asked for the tenant, and then refused by the one that the method has.
func TestProofIsNotSpentByAFactorThatTheMethodDoesNotHave(t *testing.T) {
	w := newWorld(t, append([]string{"  code:    { kind: typed }\n", "  code:    { kind: typed }\n  other:   { kind: token }\n"}, append(elsewherePolicy,
		"  service:   { steps: [device, token]", "  writes:    { steps: [other], each_request: true }\n  service:   { steps: [device, token]",
		"  - { route: /v1/*", "  - { route: /write/*, methods: [writes] }\n  - { route: /v1/*")...)...)
	w.tokens.once = true
	b := w.browser("")
	b.route = "/write/x"
	r := b.request()
	r.Carried = factors.Carried{Scheme: "DPoP", Token: "alice:write", Proof: "first and only", Method: "PUT", URL: "https://portal.example/write/x"}
	s, err := w.Once(context.Background(), r)
	if err != nil {
		t.Errorf("a good token with a fresh proof: %v", err)
	}
	if p, _ := s.Person(); p.Names.User != "alice" {
		t.Errorf("it is %q", p.Names.User)
	}
}

// What is minted for a person at a kiosk must not outlive the device beneath, whose end is the person's.
func TestTokenEndsWithTheDeviceBeneath(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	b := w.browser("corp/lobby")
	must(t, b.begin("kiosk"))
	for range 2 {
		w.wait(11*time.Hour + 50*time.Minute)
		b.wantState(authn.KindAuthenticated)
	}
	must(t, b.begin("attendant"))
	must(t, b.prove(k))
	b.route = "/kiosk/x"
	s := b.open()
	who, err := s.Grant(context.Background())
	must(t, err)
	a := s.State().(authn.Authenticated)
	device, _ := a.Device()
	keys, err := issuer.OpenKeys(filepath.Join(t.TempDir(), "keys"), 0, w.clock())
	must(t, err)
	mints, err := issuer.New(issuer.Config{URL: "https://portal.example", Keys: keys, Audiences: []string{"api"}, Lifetime: time.Hour, Now: w.clock})
	must(t, err)
	token, err := mints.Mint(context.Background(), issuer.Grant{Principal: who, Session: s.ID(), Peer: s.Request().Peer, Audience: "api"})
	must(t, err)
	if token.Expires.After(device.Deadline) {
		t.Errorf("the token is good until %v, and the session is over at %v", token.Expires, device.Deadline)
	}
}

// A guard on a group of routes and another with a scope on one of them, as chi has it: the request has one proof, and is one request.
func TestSecondGuardOfOneRequestSpendsNothing(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	w.tokens.once = true
	b := w.browser("corp/alice")
	b.route = "/v1/x"
	r := b.request()
	r.Carried = factors.Carried{Scheme: "DPoP", Token: "alice:read", Proof: "one", Method: "GET", URL: "https://portal.example/v1/x"}
	s, err := w.Open(context.Background(), r)
	must(t, err)
	must(t, w.OnceIn(context.Background(), s, s.Request()))                // sessions.RequireEach() on the group
	if err := w.OnceIn(context.Background(), s, s.Request()); err != nil { // sessions.RequireEach(Scope("read")) on the route
		t.Errorf("the second guard of the same request: %v", err)
	}
}

// The policy no longer offers the method of a session: its next request is refused, and so must be those of its tokens.
func TestTokenOfASessionThatThePolicyRefuses(t *testing.T) {
	w := newWorld(t, elsewherePolicy...)
	b := w.login("corp/alice")
	sid := minted(t, w, b)
	if !liveAs(t, w, "corp/alice", sid) {
		t.Fatal("set-up")
	}
	w.setPolicy(append(slices.Clip(elsewherePolicy), "methods: [admin, flexible, partner]", "methods: [partner]", "  - { methods: [admin] }", "  - { methods: [partner] }", "methods: [visit, thorough, linked, admin]", "methods: [visit, thorough, linked]")...)
	b.route = "/admin/x"
	if b.open().Allows() == nil {
		t.Fatal("set-up: the session passes")
	}
	if liveAs(t, w, "corp/alice", sid) {
		t.Error("the session passes nowhere, and its tokens do")
	}
}

// A login name may change (design 2), and somebody else may get the old one. What is minted from a session that was won before must not
// name them.
func TestTokenNamesItsOwnUser(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	k, b := w.passkey("corp/alice"), w.browser("") // no certificate that names her
	must(t, b.begin("bare", returning("/open/x")))
	must(t, b.prove(k))
	b.route = "/open/x"
	u := w.account("corp/alice")
	u.Name = "alice-archer"
	must(t, w.store.SetUser(ctx, u))
	other, err := w.Operate("corp").CreateUser(ctx, session.NewUser{Name: "alice"})
	must(t, err)
	w.wait(2 * time.Second)
	who, err := b.open().Grant(ctx)
	if err != nil {
		t.Log("nothing is minted:", err)
		return
	}
	named, err := w.store.UserNamed(ctx, "corp", who.Names.User, authn.ClassPerson)
	must(t, err)
	if named.ID != u.ID {
		t.Errorf("the token of %s says %q, and that is %s", u.ID, who.Names.User, other.ID)
	}
}
