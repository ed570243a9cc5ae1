package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
)

// serviceClaims is what a service's token says: about as much as they do.
const serviceClaims = `{"iss":"https://issuer.example","sub":"svc-1234567890","aud":["secrets"],"exp":1900000000,"nbf":1800000000,` +
	`"iat":1800000000,"jti":"0c5c9f3e-6f0f-4b6e-9a53-2b0d2f6a7c11","client_id":"writer","scope":"secrets:write secrets:read",` +
	`"cnf":{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}`

var benchAlgs = []string{"RS256", "ES256", "EdDSA"}

// newToken is all that is done with a token that was not seen before.
func newToken(compact string, s Set, algs []string) error {
	token, err := Parse(compact, 0)
	if err != nil {
		return err
	}
	for _, k := range s.For(token.Header) {
		if err = Verify(token, k, algs); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	return readService(token.Payload)
}

func readService(payload []byte) error {
	claims, err := ParseClaims(payload)
	if err != nil {
		return err
	}
	for _, name := range []string{"iss", "sub", "jti", "scope"} {
		if _, _, err := claims.String(name); err != nil {
			return err
		}
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if _, _, err := claims.Time(name); err != nil {
			return err
		}
	}
	if _, _, err := claims.StringOrStrings("aud"); err != nil {
		return err
	}
	cnf, _, err := claims.Object("cnf")
	if err != nil {
		return err
	}
	_, _, err = cnf.String("x5t#S256")
	return err
}

func benched(t testing.TB, alg string) (string, Set) {
	t.Helper()
	s, err := NewSet(keyOf(t, alg, "k1"), keyOf(t, "ES384", "k2"))
	if err != nil {
		t.Fatal(err)
	}
	return forged(t, `{"alg":"`+alg+`","kid":"k1","typ":"at+jwt"}`, serviceClaims, alg), s
}

func BenchmarkNewToken(b *testing.B) {
	for _, alg := range benchAlgs {
		compact, s := benched(b, alg)
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := newToken(compact, s, benchAlgs); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRawSignature is what cannot be saved: the signature alone, in the form that the standard library takes it.
func BenchmarkRawSignature(b *testing.B) {
	for _, alg := range benchAlgs {
		compact, _ := benched(b, alg)
		token, err := Parse(compact, 0)
		if err != nil {
			b.Fatal(err)
		}
		raw := rawSignature(b, alg, token)
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !raw() {
					b.Fatal("refused")
				}
			}
		})
	}
}

func rawSignature(b *testing.B, alg string, t Token) func() bool {
	switch pub := signers()[alg].Public().(type) {
	case *rsa.PublicKey:
		return func() bool {
			sum := sha256.Sum256(t.Signed)
			return rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum[:], t.Signature) == nil
		}
	case *ecdsa.PublicKey:
		der, _ := derOf(nil, t.Signature, 32)
		return func() bool {
			sum := sha256.Sum256(t.Signed)
			return ecdsa.VerifyASN1(pub, sum[:], der)
		}
	case ed25519.PublicKey:
		return func() bool { return ed25519.Verify(pub, t.Signed, t.Signature) }
	}
	b.Fatal("no such key")
	return nil
}

// BenchmarkReading is what is done with a token beside its signature.
func BenchmarkReading(b *testing.B) {
	compact, s := benched(b, "RS256")
	b.ReportAllocs()
	for b.Loop() {
		token, err := Parse(compact, 0)
		if err != nil || len(s.For(token.Header)) != 1 {
			b.Fatal(err)
		}
		if err := readService(token.Payload); err != nil {
			b.Fatal(err)
		}
	}
}
