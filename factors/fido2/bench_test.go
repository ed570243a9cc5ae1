package fido2_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
)

// BenchmarkVerify is a login's answer through the factor: look-ups, every check, the record to be stored.
func BenchmarkVerify(b *testing.B) {
	s := newBench(b, "")
	a := fido2test.New(origin)
	s.enrol(a, s.alice)
	v := s.answer(a, authn.Subject{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.factor.Verify(context.Background(), v); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyUnknown is an answer by a passkey that nobody has.
func BenchmarkVerifyUnknown(b *testing.B) {
	s := newBench(b, "")
	a := fido2test.New(origin)
	s.enrol(a, s.alice)
	v := s.answer(a, authn.Subject{})
	s.directory.credentials = nil
	b.ReportAllocs()
	for b.Loop() {
		if s.verify(v) == nil {
			b.Fatal("accepted")
		}
	}
}

// BenchmarkChallenge is what precedes an answer, for whom nobody knows yet.
func BenchmarkChallenge(b *testing.B) {
	s := newBench(b, "")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.factor.Challenge(context.Background(), s.request(authn.Subject{})); err != nil {
			b.Fatal(err)
		}
	}
}

// holder is a user of the library.
type holder struct {
	id          []byte
	credentials []webauthn.Credential
}

func (h holder) WebAuthnID() []byte                         { return h.id }
func (h holder) WebAuthnName() string                       { return "alice" }
func (h holder) WebAuthnDisplayName() string                { return "alice" }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.credentials }

// BenchmarkLibrary is the same answer through go-webauthn alone, as its documentation has it: the session and the
// credential are read from JSON, the answer parsed and verified, the credential written to JSON.
func BenchmarkLibrary(b *testing.B) {
	party, err := webauthn.New(&webauthn.Config{RPID: "portal.example", RPDisplayName: "portal", RPOrigins: []string{origin}})
	if err != nil {
		b.Fatal(err)
	}
	user := holder{id: make([]byte, 64)}
	a := fido2test.New(origin)
	creation, made, err := party.BeginRegistration(user)
	if err != nil {
		b.Fatal(err)
	}
	credential, err := party.CreateCredential(user, *made, created(b, a, creation))
	if err != nil {
		b.Fatal(err)
	}
	assertion, session, err := party.BeginDiscoverableLogin()
	if err != nil {
		b.Fatal(err)
	}
	answer, err := a.Get(public(b, assertion.Response))
	if err != nil {
		b.Fatal(err)
	}
	state, row := public(b, session), public(b, credential)
	b.ReportAllocs()
	for b.Loop() {
		var s webauthn.SessionData
		if err := json.Unmarshal(state, &s); err != nil {
			b.Fatal(err)
		}
		parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
		if err != nil {
			b.Fatal(err)
		}
		_, updated, err := party.ValidatePasskeyLogin(func(rawID, _ []byte) (webauthn.User, error) {
			_ = base64.RawURLEncoding.EncodeToString(rawID) // the key of the row
			var c webauthn.Credential
			err := json.Unmarshal(row, &c)
			return holder{user.id, []webauthn.Credential{c}}, err
		}, s, parsed)
		if err != nil {
			b.Fatal(err)
		}
		_ = public(b, updated)
	}
}

func public(b *testing.B, v any) json.RawMessage {
	out, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func created(b *testing.B, a *fido2test.Authenticator, creation *protocol.CredentialCreation) *protocol.ParsedCredentialCreationData {
	made, err := a.Create(public(b, creation.Response))
	if err != nil {
		b.Fatal(err)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(made)
	if err != nil {
		b.Fatal(err)
	}
	return parsed
}
