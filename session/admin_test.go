package session_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// A denial that no certificate can ever match is worse than an error: the operator believes that it works. OpenSSL prints
// serials in upper case and with a zero before them, and subjects with spaces.
func TestDenialsThatNeverMatch(t *testing.T) {
	w := newWorld(t)
	all := factors.CertificateDenials(w.browser("corp/alice").chain[0])
	issuer, serial, _ := strings.Cut(all[1].Value, ":")
	for _, d := range []factors.Denial{
		{By: factors.DenySerial, Value: issuer + ":" + strings.ToUpper("ab"+serial)}, {By: factors.DenySerial, Value: issuer + ":0" + serial},
		{By: factors.DenySerial, Value: issuer + ":0x" + serial}, {By: factors.DenySerial, Value: issuer + ":not hex"}, {By: factors.DenySerial, Value: issuer + ":"},
		{By: factors.DenySubject, Value: "CN=alice, O=Acme"}, {By: factors.DenySubject, Value: "CN = alice"}, {By: factors.DenySubject, Value: "/CN=alice"},
		{By: factors.DenySubject, Value: "alice"}, {By: factors.DenyKey, Value: strings.ToUpper(all[2].Value)}, {By: "name", Value: "x"},
	} {
		wantErr(t, w.Operate("corp").Deny(context.Background(), d), session.ErrBadRequest)
	}
	for _, d := range all {
		must(t, w.Operate("corp").Deny(context.Background(), d))
	}
}

// Administrators of one tenant and users, invitations, sessions of another.
func TestOtherTenantsDirectory(t *testing.T) {
	w := newWorld(t)
	eve := w.labsAdmin()
	victim := w.login("corp/alice")
	id := victim.open().ID()
	u := w.user("corp/alice")
	_ = w.invite("corp/bob")
	invitations, err := w.Operate("corp").Invitations(context.Background())
	must(t, err)
	for name, call := range map[string]func(ctx context.Context, a *session.Admin) error{
		"user":     func(ctx context.Context, a *session.Admin) error { _, err := a.User(ctx, u.ID); return err },
		"suspend":  func(ctx context.Context, a *session.Admin) error { return a.SetStatus(ctx, u.ID, session.Suspended) },
		"admin":    func(ctx context.Context, a *session.Admin) error { return a.SetAdmin(ctx, u.ID, true) },
		"invite":   func(ctx context.Context, a *session.Admin) error { _, err := a.Invite(ctx, u.ID, 0); return err },
		"session":  func(ctx context.Context, a *session.Admin) error { return a.EndSession(ctx, id) },
		"sessions": func(ctx context.Context, a *session.Admin) error { _, err := a.EndUserSessions(ctx, u.ID); return err },
		"withdraw": func(ctx context.Context, a *session.Admin) error { return a.RevokeInvitation(ctx, invitations[0].ID) },
	} {
		if err := eve.administer(call); err == nil {
			t.Errorf("%s: done", name)
		}
	}
	_ = eve.administer(func(ctx context.Context, a *session.Admin) error {
		all, _ := a.Events(ctx, session.EventFilter{Tenant: "corp"})
		for _, e := range all {
			if e.Tenant != "labs" {
				t.Error("reads events of", e.Tenant)
			}
		}
		cs, _ := a.Credentials(ctx, u.ID)
		if len(cs) > 0 {
			t.Error("reads credentials")
		}
		return nil
	})
	victim.wantState(authn.KindAuthenticated)
}

// The administrator of labs denies the key of corp's CA.
func TestOtherTenantsDenyNoCA(t *testing.T) {
	w := newWorld(t)
	eve := w.labsAdmin()
	must(t, w.browser("corp/bob").begin("admin"))
	block, _ := pem.Decode(w.pki.corp.PEM())
	ca, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	_ = eve.administer(func(ctx context.Context, a *session.Admin) error {
		return a.Deny(ctx, factors.Denial{By: factors.DenyKey, Value: hex.EncodeToString(sum[:])})
	})
	if err := w.browser("corp/bob").begin("admin"); err != nil {
		t.Errorf("all of corp is locked out by labs: %v", err)
	}
}

// Two administrators take each other's right away at the same moment.
func TestOneAdministratorIsLeft(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	must(t, w.Operate("corp").SetAdmin(ctx, w.user("corp/bob").ID, true))
	root, bob := w.login("corp/root"), w.login("corp/bob")
	root.route, bob.route = "/admin/x", "/admin/x"
	w.before = func(op string) {
		if op == "SetUser" {
			w.before = nil
			must(t, bob.administer(func(ctx context.Context, a *session.Admin) error {
				return a.SetAdmin(ctx, w.user("corp/root").ID, false)
			}))
		}
	}
	_ = root.administer(func(ctx context.Context, a *session.Admin) error {
		return a.SetAdmin(ctx, w.user("corp/bob").ID, false)
	})
	if !w.account("corp/root").Admin && !w.account("corp/bob").Admin {
		t.Error("two administrators took the right from each other, and nobody is left")
	}
}

// An administrator whose right is gone changes what he may not, by losing a swap and trying again.
func TestFormerAdministrator(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	root := w.login("corp/root")
	root.route = "/admin/x"
	w.before = func(op string) {
		if op == "SetUser" {
			w.before = nil
			must(t, w.Operate("corp").SetAdmin(ctx, w.user("corp/root").ID, false))
		}
	}
	_ = root.administer(func(ctx context.Context, a *session.Admin) error { return a.SetAdmin(ctx, w.user("corp/bob").ID, true) })
	if w.account("corp/bob").Admin {
		t.Error("somebody who is no administrator any more made one")
	}
}

// labsAdmin is an administrator of the tenant labs, signed in.
func (w *world) labsAdmin() *browser {
	w.t.Helper()
	u, err := w.Operate("labs").CreateUser(context.Background(), session.NewUser{Name: "eve", Admin: true})
	must(w.t, err)
	w.users["labs/eve"] = u
	b := w.login("labs/eve")
	b.route = "/admin/x"
	return b
}

// The administrator of another tenant takes back a denial that corp made, and the stolen certificate works again.
func TestOtherTenantsAllowNothing(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	eve := w.labsAdmin()
	stolen := w.login("corp/alice")
	root := w.login("corp/root")
	root.route = "/admin/x"
	must(t, root.administer(func(ctx context.Context, a *session.Admin) error {
		return a.Deny(ctx, factors.CertificateDenials(stolen.chain[0])[2])
	}))
	wantErr(t, w.browser("corp/alice").begin("admin"), session.ErrInvalidCredential)
	_ = eve.administer(func(ctx context.Context, a *session.Admin) error {
		all, err := a.Denials(ctx)
		if err != nil {
			return err
		}
		for _, d := range all {
			t.Logf("labs sees corp's denial %s %s", d.By, d.Value)
			if err := a.Allow(ctx, d.ID); err != nil {
				return err
			}
		}
		return nil
	})
	all, err := w.store.ListDenials(ctx)
	must(t, err)
	if len(all) == 0 {
		t.Error("the administrator of labs took back a denial of corp")
	}
	if err := w.browser("corp/alice").begin("admin"); err == nil {
		t.Error("the denied certificate of corp works again, by the word of another tenant")
	}
	stolen.wantState(authn.KindGuest) // And the session that the denial had refused is back
}

// The administrator of another tenant ends sessions of corp by denying its certificates.
func TestOtherTenantsDenyNothing(t *testing.T) {
	w := newWorld(t)
	eve := w.labsAdmin()
	victim := w.login("corp/alice")
	_ = eve.administer(func(ctx context.Context, a *session.Admin) error {
		return a.Deny(ctx, factors.CertificateDenials(victim.chain[0])[0])
	})
	victim.wantState(authn.KindAuthenticated)
	if err := w.browser("corp/alice").begin("admin"); err != nil {
		t.Errorf("alice of corp is locked out by the administrator of labs: %v", err)
	}
}

// The same for an administrator's right.
func TestNoRightAfterRevocation(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/root")
	b.route = "/admin/x"
	w.before = func(op string) {
		if op != "SetUser" {
			return
		}
		w.before = nil
		_, err := w.Operate("corp").EndUserSessions(context.Background(), w.user("corp/root").ID)
		must(t, err)
		if w.account("corp/bob").Admin {
			t.Fatal("too early")
		}
	}
	_ = b.administer(func(ctx context.Context, a *session.Admin) error { return a.SetAdmin(ctx, w.user("corp/bob").ID, true) })
	if w.account("corp/bob").Admin {
		t.Error("a session that had been ended made an administrator")
	}
}

// An administrator's stale session adds a passkey to its own account by inviting itself.
func TestAdministratorsInviteThemselvesAfreshOnly(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/root")
	b.route = "/admin/x"
	w.wait(14 * time.Minute)
	wantAs[*session.InsufficientError](t, b.enrol(w.newKey("corp/root", "passkey", "direct")))
	var code string
	err := b.administer(func(ctx context.Context, a *session.Admin) (err error) {
		code, err = a.Invite(ctx, w.user("corp/root").ID, 0)
		return err
	})
	if err != nil {
		return
	}
	other := w.browser("corp/root")
	must(t, other.redeem(code))
	if err := other.enrol(w.newKey("corp/root", "passkey", "attackers")); err == nil {
		t.Error("evidence 14 minutes old added a passkey to its own account")
	}
}

// An administrator is made and the audit log cannot take it.
func TestNoUserWithoutAudit(t *testing.T) {
	w := newWorld(t)
	w.fail = func(op string) storetest.Fault {
		if op == "AddEvents" {
			return storetest.Before
		}
		return storetest.None
	}
	_, err := w.Operate("corp").CreateUser(context.Background(), session.NewUser{Name: "mallory", Admin: true})
	w.fail = nil
	var down *session.UnavailableError
	if !errors.As(err, &down) {
		t.Fatal(err)
	}
	if u, err := w.store.UserNamed(context.Background(), "corp", "mallory", authn.ClassPerson); err == nil && u.Admin {
		t.Error("an administrator was made that the audit log does not know of")
	}
}

// Who may take what back. An administrator's denial is done before its row is in the log.
func TestDenialHoldsWithoutAudit(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	_ = k
	victim := w.login("corp/alice")
	w.fail = only("AddEvents", 1, storetest.Before)
	err := w.Operate("corp").DenyCertificate(context.Background(), victim.chain[0], "x")
	w.fail = nil
	if err == nil {
		t.Fatal("no")
	}
	victim.wantState(authn.KindGuest)
}

// An administrator of labs reads what belongs to the portal, and so about corp.
func TestPortalEventsAreTheOperators(t *testing.T) {
	w := newWorld(t)
	eve := w.labsAdmin()
	code := w.give("corp/bob", "code", "c1")
	b := w.browser("")
	b.source = "203.0.113.77"
	must(t, b.begin("open", claiming("corp", "bob")))
	wrong := *code
	wrong.secret = "guess"
	wantErr(t, b.prove(&wrong), session.ErrInvalidCredential)
	read := func(b *browser) (n int, err error) {
		err = b.administer(func(ctx context.Context, a *session.Admin) error {
			all, err := a.Events(ctx, session.EventFilter{Portal: true})
			n = len(all)
			return err
		})
		return n, err
	}
	_, err := read(eve)
	wantErr(t, err, session.ErrForbidden)
	root := w.login("corp/root") // of the tenant that operates the portal
	root.route = "/admin/x"
	if n, err := read(root); n == 0 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
}

// Nobody shuts the door behind themselves: neither by a certificate of their own nor by the CA that issued it.
func TestAdministratorsDenyNotTheirOwnChain(t *testing.T) {
	w := newWorld(t)
	root := w.login("corp/root")
	root.route = "/admin/x"
	block, _ := pem.Decode(w.pki.corp.PEM())
	ca, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	for _, c := range []*x509.Certificate{root.chain[0], ca} {
		for _, d := range factors.CertificateDenials(c) {
			err := root.administer(func(ctx context.Context, a *session.Admin) error { return a.Deny(ctx, d) })
			wantErr(t, err, session.ErrConflict)
		}
	}
	root.wantState(authn.KindAuthenticated)
}

// A lost passkey goes, the last one too, and what was won with it ends.
func TestAdministratorRemovesACredential(t *testing.T) {
	w := newWorld(t)
	b, other := w.login("corp/alice"), w.login("corp/bob")
	k := w.passkey("corp/alice")
	root := w.login("corp/root")
	root.route = "/admin/x"
	remove := func(user, id string) error {
		return root.administer(func(ctx context.Context, a *session.Admin) error {
			return a.RemoveCredential(ctx, user, "passkey", id)
		})
	}
	wantErr(t, remove(w.user("corp/bob").ID, k.id), session.ErrNotFound)
	wantErr(t, remove(w.user("labs/alice").ID, k.id), session.ErrNotFound)
	b.wantState(authn.KindAuthenticated)
	must(t, remove(w.user("corp/alice").ID, k.id))
	if w.stored("passkey", k.id) {
		t.Error("it is there")
	}
	b.wantState(authn.KindGuest)
	other.wantState(authn.KindAuthenticated)
	w.wantEvent("corp", session.SessionRevoked, session.ReasonCredentialRemoved)
	w.wantEvent("corp", session.CredentialRemoved, "")
	must(t, b.begin("admin"))
	wantErr(t, b.prove(k), session.ErrInvalidCredential)
}

// Somebody who is no administrator any more suspends nobody by trying again.
func TestFormerAdministratorSuspendsNobody(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	root := w.login("corp/root")
	root.route = "/admin/x"
	w.before = func(op string) {
		if op == "SetUser" {
			w.before = nil
			must(t, w.Operate("corp").SetAdmin(ctx, w.user("corp/root").ID, false))
			must(t, w.Operate("corp").SetAdmin(ctx, w.user("corp/bob").ID, true)) // and bob changes, so that the first try loses
		}
	}
	err := root.administer(func(ctx context.Context, a *session.Admin) error {
		return a.SetStatus(ctx, w.user("corp/bob").ID, session.Suspended)
	})
	wantErr(t, err, session.ErrForbidden)
	if w.account("corp/bob").Status != session.Active {
		t.Error("it is done")
	}
}

// The audit log has nobody who was never made; where somebody else was quicker it says that it was not done.
func TestUsersWhoExistAlreadyAreNotInTheLogAgain(t *testing.T) {
	w := newWorld(t)
	before := w.count("corp", session.UserCreated)
	_, err := w.Operate("corp").CreateUser(context.Background(), session.NewUser{Name: "alice"})
	wantErr(t, err, session.ErrConflict)
	if n := w.count("corp", session.UserCreated); n != before {
		t.Errorf("%d events more", n-before)
	}
	w.before = func(op string) {
		if op == "CreateUser" {
			w.before = nil
			_, err := w.Operate("corp").CreateUser(context.Background(), session.NewUser{Name: "carol"})
			must(t, err)
		}
	}
	_, err = w.Operate("corp").CreateUser(context.Background(), session.NewUser{Name: "carol"})
	wantErr(t, err, session.ErrConflict)
	w.wantEvent("corp", session.UserCreated, session.ReasonChangedMeanwhile)
}
