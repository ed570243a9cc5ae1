package session_test

import (
	"context"
	"crypto"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/session"
)

func TestCertificateTie(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	other, none := b.twin(), b.twin()
	other.present(w.certificate("corp/bob"))
	none.chain = nil
	for name, thief := range map[string]*browser{"another certificate": other, "no certificate": none} {
		s := thief.open()
		if s.State().Kind() != authn.KindGuest || s.Why() == "" {
			t.Errorf("%s: %s, why %q", name, s.State().Kind(), s.Why())
		}
		wantErr(t, s.Allows(), session.ErrNotAuthenticated)
		wantErr(t, s.SaveValues(context.Background(), []byte("x")), session.ErrConflict)
		must(t, s.SignOut(context.Background(), true))
	}
	w.wantEvent("corp", session.SessionRefused, factors.ReasonTieMissing)
	b.wantState(authn.KindAuthenticated)
}

// A renewed certificate carries the session on as far as the bind says.
func TestRenewal(t *testing.T) {
	const bind = "    bind: key\n"
	for _, c := range []struct {
		bind                         string
		sameKey, otherKey, somebodys authn.StateKind
	}{
		{"key", authn.KindAuthenticated, authn.KindGuest, authn.KindGuest},
		{"identity", authn.KindAuthenticated, authn.KindAuthenticated, authn.KindGuest},
		{"certificate", authn.KindGuest, authn.KindGuest, authn.KindGuest},
	} {
		t.Run(c.bind, func(t *testing.T) {
			w := newWorld(t, bind, "    bind: "+c.bind+"\n")
			b := w.login("corp/alice")
			leaf := mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://test/corp/user/alice"}, NotAfter: time.Now().AddDate(0, 0, 30)}
			renewed := b.twin()
			renewed.present(w.pki.corp.Issue(leaf))
			renewed.wantState(c.otherKey)
			leaf.Key = w.certificate("corp/alice").PrivateKey.(crypto.Signer)
			renewed.present(w.pki.corp.Issue(leaf))
			renewed.wantState(c.sameKey)
			// The same key in a certificate that names somebody else.
			leaf.CN, leaf.URIs = "bob", []string{"spiffe://test/corp/user/bob"}
			renewed.present(w.pki.corp.Issue(leaf))
			renewed.wantState(c.somebodys)
			// The same name and key under the anchor of another tenant.
			renewed.present(w.pki.labs.Issue(leaf))
			renewed.wantState(authn.KindGuest)
			b.wantState(authn.KindAuthenticated)
		})
	}
}

func TestDeniedCertificateEndsSessions(t *testing.T) {
	for by := range 4 {
		w := newWorld(t)
		b, half, other := w.login("corp/alice"), w.browser("corp/alice"), w.login("corp/bob")
		must(t, half.begin("admin"))
		d := factors.CertificateDenials(b.chain[0])[by]
		must(t, w.Operate("corp").Deny(context.Background(), d))
		b.wantState(authn.KindGuest)
		half.wantState(authn.KindGuest)
		if d.By != factors.DenySubject {
			other.wantState(authn.KindAuthenticated)
		}
		wantErr(t, w.browser("corp/alice").begin("admin"), session.ErrInvalidCredential)
		w.wantEvent("corp", session.CertificateDenied, session.ReasonCertificateDenied)
	}
}

// A denial is the tenant's own: it says nothing in another, even of the same certificate, and nobody else takes it back.
// One of the portal's own holds everywhere.
func TestDenialsOfTenants(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	corp, labs, portal := w.Operate("corp"), w.Operate("labs"), w.Operate("")
	b := w.login("corp/alice")
	for _, d := range factors.CertificateDenials(b.chain[0]) {
		must(t, labs.Deny(ctx, d))
	}
	b.wantState(authn.KindAuthenticated)
	list, err := labs.Denials(ctx)
	if err != nil || len(list) != 4 {
		t.Fatalf("%d denials, %v", len(list), err)
	}
	for _, other := range []*session.Admin{corp, portal} {
		if seen, err := other.Denials(ctx); err != nil || len(seen) != 0 {
			t.Errorf("%q sees %d denials of another tenant, %v", other.Tenant(), len(seen), err)
		}
		wantErr(t, other.Allow(ctx, list[0].ID), session.ErrNotFound)
	}
	must(t, portal.Deny(ctx, list[0]))
	b.wantState(authn.KindGuest)
	wantErr(t, w.browser("corp/alice").begin("admin"), session.ErrInvalidCredential)
	mine, err := portal.Denials(ctx)
	must(t, err)
	must(t, portal.Allow(ctx, mine[0].ID))
	w.login("corp/alice").wantState(authn.KindAuthenticated)
}

// A denial of the first certificate ends what was won with it, though a renewal carries it on by now.
func TestDeniedOriginalEndsRenewed(t *testing.T) {
	for by := range 3 { // the subject is the renewal's too
		w := newWorld(t)
		b := w.login("corp/alice")
		original := b.chain[0]
		b.present(w.pki.corp.Issue(mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://test/corp/user/alice"},
			Key: w.certificate("corp/alice").PrivateKey.(crypto.Signer)}))
		b.wantState(authn.KindAuthenticated)
		must(t, w.Operate("corp").Deny(context.Background(), factors.CertificateDenials(original)[by]))
		b.wantState(authn.KindGuest)
	}
}

// Evidence that a step-up added is tied like the rest.
func TestStepUpIsTied(t *testing.T) {
	w := newWorld(t)
	k := w.give("corp/alice", "code", "c1")
	b := w.browser("")
	must(t, b.begin("open", claiming("corp", "alice")))
	must(t, b.prove(k))
	b.present(w.certificate("corp/alice"))
	if err := b.stepUp(authn.Requirement{Factors: []string{"device"}}); err != nil {
		t.Fatal(err, w.log)
	}
	b.route = "/open/x"
	must(t, b.open().Allows(authn.Requirement{Factors: []string{"device"}, PhishingResistant: true}))
	for _, who := range []string{"corp/bob", ""} {
		stolen := b.twin()
		stolen.chain = nil
		if who != "" {
			stolen.present(w.certificate(who))
		}
		if err := stolen.open().Allows(authn.Requirement{Factors: []string{"device"}}); err == nil {
			t.Errorf("what the certificate proved holds on a request with the certificate %q", who)
		}
	}
}

// The login under way and the workflow of an invitation are tied to the certificate already proven.
func TestUnfinishedIsTied(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	login := w.browser("corp/alice")
	must(t, login.begin("admin"))
	asked, err := login.challenge("passkey")
	must(t, err)
	pending := w.browser("corp/bob")
	must(t, pending.redeem(w.invite("corp/bob")))
	bobs := w.newKey("corp/bob", "passkey", "b1")
	toEnrol, err := pending.enrolChallenge("passkey")
	must(t, err)
	for _, who := range []string{"", "labs/alice", "corp/root"} {
		thief := login.twin()
		thief.chain = nil
		if who != "" {
			thief.present(w.certificate(who))
		}
		wantErr(t, thief.verify("passkey", k.answer(t, asked.PublicKey)), session.ErrWrongStep)
		thief.cookie = pending.cookie
		wantErr(t, thief.enrolAnswer(bobs, toEnrol), session.ErrNotAuthenticated)
	}
	must(t, login.verify("passkey", k.answer(t, asked.PublicKey)))
	must(t, pending.enrolAnswer(bobs, toEnrol))
}

func TestExpiredCertificateEndsSession(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	b := w.browser("corp/alice")
	b.present(w.pki.corp.Issue(mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://test/corp/user/alice"}, NotAfter: w.clock().Add(10 * time.Minute)}))
	must(t, b.begin("admin"))
	must(t, b.prove(k))
	w.wait(10*time.Minute - time.Second)
	b.wantState(authn.KindAuthenticated)
	w.wait(2 * time.Second)
	b.wantState(authn.KindGuest)
	// Its successor has the tie's key or not: the session's own deadline has passed.
	b.present(w.certificate("corp/alice"))
	b.wantState(authn.KindGuest)
}
