package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"slices"
	"sync"
	"testing"
)

// signers is one private key for each kind of key, made once.
var signers = sync.OnceValue(func() map[string]crypto.Signer {
	all := map[string]crypto.Signer{}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		all[alg] = rsaKey
	}
	for alg, c := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		if all[alg], err = ecdsa.GenerateKey(c, rand.Reader); err != nil {
			panic(err)
		}
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	all["EdDSA"] = ed
	return all
})

func keyOf(t testing.TB, alg, kid string) Key {
	t.Helper()
	k, err := NewKey(signers()[alg].Public(), kid, "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t testing.TB, h Header, claims any, alg string) string {
	t.Helper()
	compact, err := Sign(h, claims, signers()[alg], alg)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestWhatIsSignedVerifiesWithItsKeyAndNoOther(t *testing.T) {
	for _, alg := range Algorithms() {
		t.Run(alg, func(t *testing.T) {
			compact := signed(t, Header{Kid: "k", Typ: "at+jwt"}, map[string]any{"iss": "i", "exp": 12}, alg)
			token, err := Parse(compact, 0)
			if err != nil {
				t.Fatal(err)
			}
			if token.Header.Alg != alg || token.Header.Kid != "k" || !token.Header.Is("at+jwt") || string(token.Payload) != `{"exp":12,"iss":"i"}` {
				t.Errorf("read back as %+v %s", token.Header, token.Payload)
			}
			for _, other := range Algorithms() {
				k := keyOf(t, other, "")
				err := Verify(token, k, Algorithms())
				if k.Fits(alg) != (err == nil) {
					t.Errorf("with a key for %s: %v", other, err)
				}
			}
			b, err := FormatKey(keyOf(t, alg, "k"))
			if err != nil {
				t.Fatal(err)
			}
			k, err := ParseKey(b)
			if err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			if err := Verify(token, k, []string{alg}); err != nil {
				t.Errorf("with its key as JWK: %v", err)
			}
			k.alg = "ES257"
			wantFault(t, Verify(token, k, []string{alg}), ReasonKeyMismatch)
		})
	}
}

func TestAlgorithmComesFromThePolicy(t *testing.T) {
	token, err := Parse(signed(t, Header{}, map[string]any{}, "PS256"), 0)
	if err != nil {
		t.Fatal(err)
	}
	k := keyOf(t, "PS256", "")
	if err := Verify(token, k, []string{"RS256", "PS256"}); err != nil {
		t.Error(err)
	}
	wantFault(t, Verify(token, k, []string{"RS256"}), ReasonAlgorithm)
	wantFault(t, Verify(token, k, nil), ReasonAlgorithm)
	wantFault(t, Verify(Token{Header: Header{Alg: "HS256"}}, k, []string{"HS256"}), ReasonAlgorithm)
	wantFault(t, Verify(token, Key{}, []string{"PS256"}), ReasonKeyMismatch)
}

func TestSignRefusesWhatItsOwnReaderWould(t *testing.T) {
	ec := signers()["ES256"]
	for name, run := range map[string]func() (string, error){
		"algorithm of another key": func() (string, error) { return Sign(Header{}, map[string]any{}, ec, "RS256") },
		"no such algorithm":        func() (string, error) { return Sign(Header{}, map[string]any{}, ec, "none") },
		"two algorithms":           func() (string, error) { return Sign(Header{Alg: "RS256"}, map[string]any{}, ec, "ES256") },
		"kid too long": func() (string, error) {
			return Sign(Header{Kid: string(make([]byte, 300))}, map[string]any{}, ec, "ES256")
		},
		"no object":                   func() (string, error) { return Sign(Header{}, []int{1}, ec, "ES256") },
		"names that differ only case": func() (string, error) { return Sign(Header{}, map[string]any{"Aud": "x"}, ec, "ES256") },
	} {
		if compact, err := run(); err == nil {
			t.Errorf("%s: signed %s", name, compact)
		}
	}
}

func TestSetIsWrittenAsItIsRead(t *testing.T) {
	var keys []Key
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		k, err := NewKey(signers()[alg].Public(), "kid "+alg, alg)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	b, err := FormatSet(keys)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSet(b, 0)
	if err != nil || len(s.Skipped) > 0 {
		t.Fatal(err, s.Skipped)
	}
	if !slices.EqualFunc(s.Keys, keys, func(a, b Key) bool {
		return a.Kid() == b.Kid() && a.Alg() == b.Alg() && a.Thumbprint() == b.Thumbprint()
	}) {
		t.Errorf("read back as %v", s.Keys)
	}
}

// lyingSigner has the key that it says, and signs with other bytes.
type lyingSigner struct {
	crypto.Signer
	answer []byte
	err    error
}

func (s lyingSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return s.answer, s.err
}

func TestAnswersOfSignersAreChecked(t *testing.T) {
	der := func(r, s *big.Int) []byte {
		b, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one, huge := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 256)
	for name, s := range map[string]lyingSigner{
		"broken":        {err: errors.New("no such slot")},
		"nothing":       {},
		"no ASN.1":      {answer: make([]byte, 64)},
		"more after it": {answer: append(der(one, one), 0)},
		"zero":          {answer: der(new(big.Int), one)},
		"negative":      {answer: der(one, big.NewInt(-1))},
		"too large":     {answer: der(one, huge)},
		"too large, r":  {answer: der(huge, one)},
	} {
		s.Signer = signers()["ES256"]
		if compact, err := Sign(Header{}, map[string]any{}, s, "ES256"); err == nil {
			t.Errorf("%s: signed %s", name, compact)
		}
	}
	control := lyingSigner{Signer: signers()["ES256"], answer: der(one, one)}
	if _, err := Sign(Header{}, map[string]any{}, control, "ES256"); err != nil {
		t.Error(err)
	}
	if _, err := Sign(Header{}, map[string]any{}, lyingSigner{Signer: x25519Signer{}}, "ES256"); err == nil {
		t.Error("signed with a key of an unknown type")
	}
	if _, err := Sign(Header{}, func() {}, signers()["ES256"], "ES256"); err == nil {
		t.Error("signed what is no JSON")
	}
	if _, err := Sign(Header{JWK: []byte("{")}, map[string]any{}, signers()["ES256"], "ES256"); err == nil {
		t.Error("signed with a header that is no JSON")
	}
}

type x25519Signer struct{ crypto.Signer }

func (x25519Signer) Public() crypto.PublicKey { return "x" }
