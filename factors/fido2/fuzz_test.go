package fido2_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	mathrand "math/rand/v2"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
)

// fixed is a bench that is the same in every process, as each that fuzzes makes its own, and an authenticator for it.
func fixed(f *testing.F) (*bench, *fido2test.Authenticator) {
	a := fido2test.New(origin)
	a.Algorithm, a.Rand = webauthncose.AlgEdDSA, mathrand.NewChaCha8([32]byte{2})
	return newBenchFrom(f, "", mathrand.NewChaCha8([32]byte{1})), a
}

// emptyPacked is an attestation that holds nothing.
func emptyPacked([]byte, crypto.Signer) (string, any, error) {
	return "packed", map[string]any{"alg": int64(webauthncose.AlgEdDSA), "sig": []byte{}, "x5c": [][]byte{{0x30, 0}}}, nil
}

// FuzzVerify: whatever a caller sends is a rejection, or the one good answer.
func FuzzVerify(f *testing.F) {
	b, a := fixed(f)
	b.enrol(a, b.alice)
	v := b.answer(a, authn.Subject{})
	f.Add([]byte(v.Credential))
	f.Add([]byte(`{}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, credential []byte) {
		in := v
		in.Credential = credential
		got, err := b.factor.Verify(context.Background(), in)
		switch {
		case err == nil:
			if !sameSignature(v.Credential, credential) || got.Evidence.Subject != b.alice.Subject() {
				t.Fatalf("accepted %q", credential)
			}
		case !errors.As(err, new(*factors.Rejection)):
			t.Fatalf("%q is no rejection but %v", credential, err)
		}
	})
}

// sameSignature reports whether two answers hold the same bytes where they are signed: what lies around them may differ.
func sameSignature(a, b []byte) bool {
	type answer struct {
		Response struct{ ClientDataJSON, AuthenticatorData, Signature string }
	}
	var x, y answer
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
}

// FuzzEnrol: whatever a caller sends is a rejection, or a credential that cannot claim to be attested.
func FuzzEnrol(f *testing.F) {
	b, a := fixed(f)
	e := factors.Enrolment{Request: b.request(b.alice.Subject()), User: b.alice}
	c, err := b.factor.EnrolChallenge(context.Background(), e)
	if err != nil {
		f.Fatal(err)
	}
	e.Challenge = b.asked(c)
	for _, attest := range []fido2test.Attest{nil, emptyPacked} {
		a.Attest = attest
		made, err := a.Create(c.PublicKey)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(made))
	}
	f.Fuzz(func(t *testing.T, credential []byte) {
		in := e
		in.Credential = credential
		made, err := b.factor.Enrol(context.Background(), in)
		switch {
		case err == nil:
			if made.ID == "" || len(made.Data) == 0 || made.Best.Hardware {
				t.Fatalf("%q became %+v", credential, made)
			}
		case !errors.As(err, new(*factors.Rejection)):
			t.Fatalf("%q is no rejection but %v", credential, err)
		}
	})
}
