package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
	"github.com/sallyport-auth/sallyport/session"
)

// portal is the world with real passkeys.
func portal(t testing.TB) *world {
	t.Helper()
	return newWorld(t, "{ kind: typed, strong: true }", "{ kind: fido2, user_verification: required }")
}

// register gives somebody a real passkey, by an invitation.
func (w *world) register(who string) *fido2test.Authenticator {
	w.t.Helper()
	a := fido2test.New("https://portal.example")
	b := w.browser(who)
	must(w.t, b.redeem(w.invite(who)))
	must(w.t, b.create(a))
	return a
}

func (b *browser) create(a *fido2test.Authenticator) error {
	b.w.t.Helper()
	asked, err := b.enrolChallenge("passkey")
	if err != nil {
		return err
	}
	made, err := a.Create(asked.PublicKey)
	must(b.w.t, err)
	return b.do(func(ctx context.Context, s *session.Session) error {
		_, err := s.Enrol(ctx, "passkey", "", made)
		return err
	})
}

// assert answers a challenge that any passkey may answer, as a browser that ignores whom the portal expects.
func (b *browser) assert(a *fido2test.Authenticator) error {
	b.w.t.Helper()
	asked, err := b.challenge("passkey")
	if err != nil {
		return err
	}
	return b.verify("passkey", b.get(a, asked))
}

func (b *browser) get(a *fido2test.Authenticator, asked session.Asking) json.RawMessage {
	b.w.t.Helper()
	var o map[string]json.RawMessage
	must(b.w.t, json.Unmarshal(asked.PublicKey, &o))
	delete(o, "allowCredentials")
	open, err := json.Marshal(o)
	must(b.w.t, err)
	answer, err := a.Get(open)
	must(b.w.t, err)
	return answer
}

func TestPortal(t *testing.T) {
	w := portal(t)
	a := w.register("corp/alice")
	b := w.browser("corp/alice")
	must(t, b.begin("admin"))
	must(t, b.assert(a))
	b.route = "/admin/x"
	must(t, b.open().Allows(adminFloor))
	second := fido2test.New("https://portal.example")
	must(t, b.create(second))
	w.wait(10 * time.Minute)
	must(t, b.stepUp(fresh))
	must(t, b.assert(second))
	var first string
	must(t, b.do(func(ctx context.Context, s *session.Session) error {
		all, err := s.Credentials(ctx)
		first = all[0].ID
		return err
	}))
	must(t, b.do(func(ctx context.Context, s *session.Session) error { return s.RemoveCredential(ctx, first) }))
	must(t, b.signOut(false))
	must(t, b.begin("admin"))
	wantErr(t, b.assert(a), session.ErrInvalidCredential)
	must(t, b.assert(second))
}

func TestPortalRefusals(t *testing.T) {
	w := portal(t)
	alice, bob, labs := w.register("corp/alice"), w.register("corp/bob"), w.register("labs/alice")
	zero := uint32(1)
	for _, c := range []struct {
		name, cert string
		with       *fido2test.Authenticator
		change     func(*fido2test.Authenticator)
		why        authn.Reason
	}{
		{"bob's certificate, alice's passkey", "corp/bob", alice, nil, fido2.ReasonForeignUser},
		{"alice's certificate, bob's passkey", "corp/alice", bob, nil, fido2.ReasonForeignUser},
		{"the passkey of alice of labs", "corp/alice", labs, nil, fido2.ReasonForeignUser},
		{"the user handle of bob", "corp/alice", alice, func(a *fido2test.Authenticator) { a.Handle = bob.Passkeys()[0].Handle }, fido2.ReasonForeignUser},
		{"user not verified", "corp/alice", alice, func(a *fido2test.Authenticator) { a.NotVerified = true }, fido2.ReasonNotVerified},
		{"bad signature", "corp/alice", alice, func(a *fido2test.Authenticator) { a.BadSignature = true }, fido2.ReasonSignature},
		{"counter back", "corp/alice", alice, func(a *fido2test.Authenticator) { a.Counter = &zero }, fido2.ReasonCounter},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			w.wait(16 * time.Minute) // out of the window of the attempts before
			b := w.browser(c.cert)
			must(t, b.begin("admin"))
			with := *c.with
			if c.change != nil {
				c.change(&with)
			}
			wantErr(t, b.assert(&with), session.ErrInvalidCredential)
			wantErr(t, b.open().Allows(), session.ErrNotAuthenticated)
			tenant, _, _ := cut(c.cert)
			w.wantEvent(tenant, authn.FactorFailed, c.why)
		})
	}
	w.t = t
	w.wantEvent("corp", session.CredentialFlagged, fido2.ReasonCounter)
	// The flagged passkey is over, the others are not.
	b := w.browser("corp/alice")
	must(t, b.begin("admin"))
	wantErr(t, b.assert(alice), session.ErrInvalidCredential)
	b = w.browser("corp/bob")
	must(t, b.begin("admin"))
	must(t, b.assert(bob))
}

// A challenge of a registration is none of a login, and a browser that mixes them up gets nowhere.
func TestPortalChallengesAreApart(t *testing.T) {
	w := portal(t)
	a := w.register("corp/alice")
	b := w.browser("corp/alice")
	must(t, b.begin("admin"))
	must(t, b.assert(a))
	asked, err := b.enrolChallenge("passkey")
	must(t, err)
	var o struct {
		Challenge string `json:"challenge"`
	}
	must(t, json.Unmarshal(asked.PublicKey, &o))
	answer, err := a.Get(json.RawMessage(`{"challenge":"` + o.Challenge + `","rpId":"portal.example"}`))
	must(t, err)
	must(t, b.stepUp(fresh))
	wantErr(t, b.verify("passkey", answer), session.ErrWrongStep)
	_, err = b.challenge("passkey")
	must(t, err)
	wantErr(t, b.verify("passkey", answer), session.ErrInvalidCredential)
	if bytes.Contains([]byte(w.log.String()), []byte(o.Challenge)) {
		t.Error("a challenge is in the log")
	}
}
