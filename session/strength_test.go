package session_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// A credential is added with evidence of nearly ten minutes.
func TestStaleEvidenceAddsNothing(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	w.wait(4*time.Minute + 59*time.Second)
	asked, err := b.enrolChallenge("passkey")
	must(t, err)
	w.wait(4*time.Minute + 59*time.Second)
	if b.enrolAnswer(w.newKey("corp/alice", "passkey", "x"), asked) == nil {
		t.Error("evidence 9 minutes and 58 seconds old added a credential; it may be 5 minutes old")
	}
}

// A session of a typed code adds a passkey that is worth more than all it has shown.
func TestWeakAddsNoStrong(t *testing.T) {
	w := newWorld(t)
	code := w.give("corp/alice", "code", "c1")
	b := w.browser("")
	must(t, b.begin("open", claiming("corp", "alice")))
	must(t, b.prove(code))
	if got := b.open().State().(authn.Authenticated).Principal().Assurance(); got.AAL != 1 {
		t.Fatal(got)
	}
	k := w.newKey("corp/alice", "passkey", "attackers")
	if err := b.enrol(k); err == nil {
		t.Error("a typed code at AAL 1, without a certificate, added a phishing-resistant passkey")
	}
	up := w.browser("corp/alice")
	must(t, up.begin("admin"))
	if up.prove(k) == nil {
		up.route = "/admin/x"
		if up.open().Allows(adminFloor) == nil {
			t.Error("which then opens the administration")
		}
	}
}

// The passkey was flagged; its level protects nothing any more.
func TestFlaggedPasskeyOpensNothing(t *testing.T) {
	w := newWorld(t)
	w.give("corp/alice", "passkey", "p1")
	w.give("corp/alice", "code", "c2")
	code := w.give("corp/alice", "code", "c1")
	c, err := w.store.Credential(context.Background(), "corp", "passkey", "p1")
	must(t, err)
	b := w.browser("")
	must(t, b.begin("open", claiming("corp", "alice")))
	must(t, b.prove(code))
	wantAs[*session.InsufficientError](t, b.enrol(w.newKey("corp/alice", "passkey", "x")))
	c.Flagged = reasonCloned
	must(t, w.store.UpdateCredential(context.Background(), c))
	if err := b.enrol(w.newKey("corp/alice", "passkey", "x")); err == nil {
		t.Error("with the passkey flagged, the typed code adds another")
	}
}

// The last passkey is removed because a typed code is left, which opens nothing that the passkey opened.
func TestLastPasskeyStays(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	w.give("corp/alice", "code", "c1")
	id := w.passkey("corp/alice").id
	if err := b.do(func(ctx context.Context, s *session.Session) error { return s.RemoveCredential(ctx, id) }); err == nil {
		t.Error("the last passkey was removed")
	}
}

// And while another one is flagged? (the store counts unflagged)
func TestFlaggedIsNotOneLeft(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	w.give("corp/alice", "passkey", "p2")
	c, err := w.store.Credential(context.Background(), "corp", "passkey", "p2")
	must(t, err)
	c.Flagged = reasonCloned
	must(t, w.store.UpdateCredential(context.Background(), c))
	id := w.passkey("corp/alice").id
	wantErr(t, b.do(func(ctx context.Context, s *session.Session) error { return s.RemoveCredential(ctx, id) }), session.ErrConflict)
}

// An invitation is redeemed by the weakest method that some route offers.
func TestInvitationByTheStrictestMethod(t *testing.T) {
	w := newWorld(t, "  - { route: /admin/*, methods: [admin, flexible, partner] }\n  - { route: /open/*, methods: [open, double, bare] }",
		"  - { route: /open/*, methods: [bare] }\n  - { route: /admin/*, methods: [admin, flexible, partner] }\n  - { route: /o/*, methods: [open, double] }")
	b := w.browser("") // the code was stolen; the thief has no certificate
	if b.redeem(w.invite("corp/alice")) != nil {
		return
	}
	k := w.newKey("corp/alice", "passkey", "thiefs")
	if err := b.enrol(k); err == nil {
		t.Error("an invitation gave a passkey for the method admin without its certificate")
	}
}

// A typed code and the certificate that is there anyway count as much as a passkey, and remove it.
func TestCertificateLendsNothing(t *testing.T) {
	w := newWorld(t)
	code := w.give("corp/alice", "code", "c1")
	ctx := context.Background()
	for i := range 2 {
		k := w.newKey("corp/alice", "passkey", fmt.Sprintf("p%d", i))
		u := w.account("corp/alice")
		must(t, w.store.Enrol(ctx, session.Enrolled{At: w.clock(), Epoch: u.Epoch, Credential: factors.Credential{Tenant: u.Tenant, User: u.ID, Factor: "passkey", Kind: "typed", ID: k.id, Name: k.id,
			Data: []byte(`{"secret":"s"}`), Best: authn.Strength{Category: authn.Have, PhishingResistant: true}, Created: w.clock(), Version: 1}}))
	}
	b := w.browser("corp/alice")
	must(t, b.begin("flexible", returning("/admin/x")))
	must(t, b.prove(code))
	if err := b.do(func(ctx context.Context, s *session.Session) error { return s.RemoveCredential(ctx, "p0") }); err == nil {
		t.Error("a phishable code removed a phishing-resistant passkey")
	}
}

// The limit of credentials is looked at only when the challenge is made.
func TestNoMoreCredentialsThanMay(t *testing.T) {
	w := newWorld(t)
	w.passkey("corp/alice")
	for i := range 18 {
		w.give("corp/alice", "passkey", fmt.Sprintf("p%d", i))
	}
	var bs []*browser
	var asked []session.Asking
	for range 4 {
		b := w.login("corp/alice")
		a, err := b.enrolChallenge("passkey")
		must(t, err)
		bs, asked = append(bs, b), append(asked, a)
	}
	for i, b := range bs {
		_ = b.enrolAnswer(w.newKey("corp/alice", "passkey", fmt.Sprintf("q%d", i)), asked[i])
	}
	all, err := w.store.Credentials(context.Background(), "corp", w.user("corp/alice").ID, "passkey")
	must(t, err)
	if len(all) > 20 {
		t.Errorf("%d passkeys of 20", len(all))
	}
}
