package jose

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
)

// jwkOf is a key as JWK, with some of its members written otherwise; empty: left out.
func jwkOf(t testing.TB, alg string, changed map[string]string) string {
	t.Helper()
	b, err := FormatKey(keyOf(t, alg, "k"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for name, v := range changed {
		delete(all, name)
		if v != "" {
			parts = append(parts, `"`+name+`":`+v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, `"`+name+`":`+string(all[name]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func encoded(b []byte) string { return `"` + base64.RawURLEncoding.EncodeToString(b) + `"` }

func modulus(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return n.SetBit(n.SetBit(n, 0, 1), 77, 1)
}

func TestKeysThatAreNotUsed(t *testing.T) {
	n := signers()["RS256"].Public().(*rsa.PublicKey).N
	x := signers()["ES256"].Public().(*ecdsa.PublicKey)
	point, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	offCurve := slices.Clone(point[1:33])
	offCurve[31] ^= 1
	for _, c := range []struct {
		alg     string
		changed map[string]string
		want    authn.Reason
	}{
		{"RS256", nil, ""},
		{"ES256", nil, ""},
		{"EdDSA", nil, ""},
		{"ES512", map[string]string{"kid": "", "use": ""}, ""},
		{"ES256", map[string]string{"kid": `""`, "alg": `"ES256"`, "key_ops": `["verify"]`, "ext": "true", "x5c": `["MIIB"]`}, ""},
		{"RS256", map[string]string{"alg": `"PS384"`, "key_ops": `["verify","encrypt"]`, "e": `"Aw"`}, ""},
		{"RS256", map[string]string{"n": encoded(modulus(2048).Bytes())}, ""},
		{"RS256", map[string]string{"n": encoded(modulus(8192).Bytes())}, ""},

		{"ES256", map[string]string{"kty": ""}, ReasonKey},
		{"ES256", map[string]string{"kty": "1"}, ReasonKey},
		{"ES256", map[string]string{"kty": `"ec"`}, ReasonKeyType},
		{"ES256", map[string]string{"kty": `"AKP"`}, ReasonKeyType},
		{"ES256", map[string]string{"kty": `"oct"`}, ReasonKeySecret},
		{"ES256", map[string]string{"k": `"AAAA"`}, ReasonKeySecret},
		{"ES256", map[string]string{"d": `"AAAA"`}, ReasonKeyPrivate},
		{"EdDSA", map[string]string{"d": `"AAAA"`}, ReasonKeyPrivate},
		{"RS256", map[string]string{"d": `"AAAA"`}, ReasonKeyPrivate},
		{"RS256", map[string]string{"p": `"AAAA"`}, ReasonKeyPrivate},
		{"RS256", map[string]string{"oth": `[]`}, ReasonKeyPrivate},
		{"ES256", map[string]string{"use": `"enc"`}, ReasonKeyUse},
		{"ES256", map[string]string{"use": `"SIG"`}, ReasonKeyUse},
		{"ES256", map[string]string{"use": `""`}, ReasonKeyUse},
		{"ES256", map[string]string{"use": `null`}, ReasonKey},
		{"ES256", map[string]string{"key_ops": `["sign"]`}, ReasonKeyUse},
		{"ES256", map[string]string{"key_ops": `[]`}, ReasonKeyUse},
		{"ES256", map[string]string{"key_ops": `["verify","verify"]`}, ReasonKey},
		{"ES256", map[string]string{"key_ops": `"verify"`}, ReasonKey},
		{"ES256", map[string]string{"key_ops": `["verify",1]`}, ReasonKey},
		{"ES256", map[string]string{"alg": `"ES384"`}, ReasonKeyAlg},
		{"ES256", map[string]string{"alg": `"RS256"`}, ReasonKeyAlg},
		{"ES256", map[string]string{"alg": `"none"`}, ReasonKeyAlg},
		{"ES256", map[string]string{"alg": `""`}, ReasonKeyAlg},
		{"RS256", map[string]string{"alg": `"RSA-OAEP"`}, ReasonKeyAlg},
		{"RS256", map[string]string{"alg": `"HS256"`}, ReasonKeyAlg},
		{"RS256", map[string]string{"alg": `1`}, ReasonKey},
		{"ES256", map[string]string{"kid": `1`}, ReasonKey},
		{"ES256", map[string]string{"kid": `"a\u0000"`}, ReasonKeyKid},
		{"ES256", map[string]string{"kid": `"` + strings.Repeat("k", 257) + `"`}, ReasonKeyKid},

		{"RS256", map[string]string{"n": encoded(modulus(2047).Bytes())}, ReasonKeyWeak},
		{"RS256", map[string]string{"n": encoded(modulus(1024).Bytes())}, ReasonKeyWeak},
		{"RS256", map[string]string{"n": encoded(modulus(8193).Bytes())}, ReasonKeyWeak},
		{"RS256", map[string]string{"n": encoded(new(big.Int).Lsh(n, 1).Bytes())}, ReasonKeyWeak},
		{"RS256", map[string]string{"e": `"AQ"`}, ReasonKeyWeak},
		{"RS256", map[string]string{"e": `"Ag"`}, ReasonKeyWeak},
		{"RS256", map[string]string{"e": `"AQAA"`}, ReasonKeyWeak},
		{"RS256", map[string]string{"e": `"AQAAAAE"`}, ReasonKeyWeak},
		{"RS256", map[string]string{"e": `"AQAAAAAAAAAD"`}, ReasonKeyWeak}, // 3, for whoever lets it overflow
		{"RS256", map[string]string{"e": `"AA"`}, ReasonKey},
		{"RS256", map[string]string{"e": `"AAEAAQ"`}, ReasonKey},
		{"RS256", map[string]string{"e": `65537`}, ReasonKey},
		{"RS256", map[string]string{"e": ``}, ReasonKey},
		{"RS256", map[string]string{"n": ``}, ReasonKey},
		{"RS256", map[string]string{"n": `""`}, ReasonKey},
		{"RS256", map[string]string{"n": encoded(append([]byte{0}, n.Bytes()...))}, ReasonKey},
		{"RS256", map[string]string{"n": `"` + base64.URLEncoding.EncodeToString(n.Bytes()) + `"`}, ReasonKey},
		{"RS256", map[string]string{"n": `"` + strings.Replace(base64.RawURLEncoding.EncodeToString(n.Bytes()), "", `\n`, 2)[2:] + `"`}, ReasonKey},

		{"ES256", map[string]string{"crv": `"P-384"`}, ReasonKey},
		{"ES256", map[string]string{"crv": `"secp256k1"`}, ReasonKeyType},
		{"ES256", map[string]string{"crv": `"p-256"`}, ReasonKeyType},
		{"ES256", map[string]string{"crv": ``}, ReasonKeyType},
		{"ES256", map[string]string{"crv": `256`}, ReasonKey},
		{"ES256", map[string]string{"x": encoded(offCurve)}, ReasonKey},
		{"ES256", map[string]string{"x": encoded(make([]byte, 32)), "y": encoded(make([]byte, 32))}, ReasonKey},
		{"ES256", map[string]string{"x": encoded(point[1:32])}, ReasonKey},
		{"ES256", map[string]string{"x": encoded(append([]byte{0}, point[1:33]...))}, ReasonKey},
		{"ES256", map[string]string{"x": encoded(point[1:32]), "y": encoded(point[32:])}, ReasonKey}, // the right bytes, cut elsewhere
		{"ES256", map[string]string{"y": ``}, ReasonKey},
		{"EdDSA", map[string]string{"crv": `"Ed448"`}, ReasonKeyType},
		{"EdDSA", map[string]string{"crv": `"X25519"`}, ReasonKeyType},
		{"EdDSA", map[string]string{"x": encoded(make([]byte, 31))}, ReasonKey},
		{"EdDSA", map[string]string{"x": encoded(make([]byte, 33))}, ReasonKey},
		{"EdDSA", map[string]string{"x": encoded(make([]byte, 32))}, ReasonKeyWeak},

		{"ES256", map[string]string{"Kid": `"k"`}, ReasonFolded},
		{"ES256", map[string]string{"USE": `"enc"`}, ReasonFolded},
		{"ES256", map[string]string{"k\\u0074y": `"oct"`}, ReasonFolded},
		{"ES256", map[string]string{"z": `{"a":1,"a":2}`}, ReasonDuplicate},
		{"ES256", map[string]string{"z": "\"\xff\""}, ReasonText},
		{"ES256", map[string]string{"z": `nil`}, ReasonKey},
		{"ES256", map[string]string{"z": `"` + strings.Repeat("z", 8<<10) + `"`}, ReasonSetTooLarge},
	} {
		text := jwkOf(t, c.alg, c.changed)
		_, err := ParseKey([]byte(text))
		if why := reasonOf(err); why != c.want {
			t.Errorf("%s with %.60v: %q, want %q", c.alg, c.changed, why, c.want)
		}
		// In a set the same key is skipped, for the same reason, and its neighbour is used.
		if !json.Valid([]byte(text)) || c.want == ReasonDuplicate || c.want == ReasonText || strings.Contains(text, `\u0074`) {
			continue // no set at all
		}
		s, err := ParseSet([]byte(`{"keys":[`+text+`,`+jwkOf(t, "ES384", nil)+`]}`), 0)
		if err != nil {
			t.Errorf("%s with %.60v in a set: %v", c.alg, c.changed, err)
			continue
		}
		switch {
		case c.want == "" && (len(s.Keys) != 2 || len(s.Skipped) != 0):
			t.Errorf("%s with %.60v is skipped: %v", c.alg, c.changed, s.Skipped)
		case c.want != "" && (len(s.Keys) != 1 || len(s.Skipped) != 1 || s.Skipped[0].Why != c.want || s.Skipped[0].Index != 0):
			t.Errorf("%s with %.60v in a set: %v", c.alg, c.changed, s.Skipped)
		}
	}
}

func TestNewKeyTakesOnlyItsTypes(t *testing.T) {
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 a point that is not on its curve can be written in no other way
	nowhere := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	for name, c := range map[string]struct {
		public crypto.PublicKey
		want   authn.Reason
	}{
		"nothing":       {nil, ReasonKeyType},
		"bytes":         {[]byte("secret"), ReasonKeyType},
		"private":       {signers()["ES256"], ReasonKeyType},
		"X25519":        {x.PublicKey(), ReasonKeyType},
		"P-224":         {&p224.PublicKey, ReasonKeyType},
		"no RSA":        {(*rsa.PublicKey)(nil), ReasonKey},
		"empty RSA":     {&rsa.PublicKey{}, ReasonKey},
		"no EC":         {(*ecdsa.PublicKey)(nil), ReasonKeyType},
		"off its curve": {nowhere, ReasonKey},
		"empty Ed":      {ed25519.PublicKey(nil), ReasonKey},
	} {
		_, err := NewKey(c.public, "", "")
		if why := reasonOf(err); why != c.want {
			t.Errorf("%s: %q, want %q", name, why, c.want)
		}
	}
}

// TestKeysOfSmallOrder shows what is wrong with them: one signature, of no key at all, holds for many messages.
func TestKeysOfSmallOrder(t *testing.T) {
	identity := append([]byte{1}, make([]byte, 63)...) // R is the neutral point, s is 0
	for _, text := range smallOrder {
		for _, sign := range []byte{0, 0x80} {
			pub := ed25519.PublicKey(unhex(t, text))
			pub[31] |= sign
			_, err := NewKey(pub, "", "")
			wantFault(t, err, ReasonKeyWeak)
			held := 0
			for i := range 200 {
				if ed25519.Verify(pub, fmt.Append(nil, i), identity) {
					held++
				}
			}
			if held == 0 && sign == 0 {
				t.Errorf("%s: the standard library accepts nothing with it, so it is not of small order", text)
			}
		}
	}
}

func TestCandidates(t *testing.T) {
	var all []Key
	for i := range 6 {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key, err := NewKey(&k.PublicKey, "many", "")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, key)
		if i < 2 {
			key.kid = "twice"
			all = append(all, key)
		}
	}
	for _, alg := range []string{"RS256", "EdDSA"} {
		k := keyOf(t, alg, "one "+alg)
		all = append(all, k)
	}
	unnamed := keyOf(t, "ES384", "")
	all = append(all, unnamed, keyOf(t, "RS256", "many"))
	s, err := NewSet(all...)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		h    Header
		want int
		what string
	}{
		{Header{Alg: "RS256", Kid: "one RS256"}, 1, "the one that is named"},
		{Header{Alg: "ES256", Kid: "one RS256"}, 1, "the one that is named, though it does not fit: its refusal says so"},
		{Header{Alg: "ES256", Kid: "twice"}, 2, "both of a name"},
		{Header{Alg: "ES256", Kid: "many"}, 4, "no more than four"},
		{Header{Alg: "RS256", Kid: "many"}, 1, "of many, those that fit"},
		{Header{Alg: "ES384", Kid: "unknown"}, 1, "the one without a name"},
		{Header{Alg: "ES256", Kid: "unknown"}, 0, "no name is near enough"},
		{Header{Alg: "RS256", Kid: "one rs256"}, 0, "names are exact"},
		{Header{Alg: "RS256", Kid: "one RS256 "}, 0, "names are exact"},
		{Header{Alg: "ES256"}, 4, "no more than four that fit"},
		{Header{Alg: "EdDSA"}, 1, "the one that fits"},
		{Header{Alg: "ES512"}, 0, "none fits"},
	} {
		if got := len(s.For(c.h)); got != c.want {
			t.Errorf("%+v: %d keys, want %d: %s", c.h, got, c.want, c.what)
		}
	}
	if !s.Has("twice") || s.Has("unknown") || s.Has("") {
		t.Error("the set does not know its names")
	}
	if got := (Set{}).For(Header{Alg: "ES256", Kid: "k"}); len(got) != 0 {
		t.Errorf("an empty set has %v", got)
	}
	if _, err := NewSet(Key{}); err == nil {
		t.Error("a set of a key that is none")
	}
}

func TestBothKeysOfANameAreTried(t *testing.T) {
	one, two := jwkOf(t, "ES384", nil), jwkOf(t, "ES256", nil)
	s, err := ParseSet([]byte(`{"keys":[`+one+`,`+two+`,`+one+`]}`), 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Keys) != 2 || len(s.Skipped) != 1 || s.Skipped[0] != (Skipped{2, "k", ReasonKeyRepeated}) {
		t.Fatalf("%v, skipped %v", s.Keys, s.Skipped)
	}
	for _, alg := range []string{"ES384", "ES256"} {
		token, err := Parse(signed(t, Header{Kid: "k"}, map[string]any{}, alg), 0)
		if err != nil {
			t.Fatal(err)
		}
		good := 0
		for _, k := range s.For(token.Header) {
			if Verify(token, k, Algorithms()) == nil {
				good++
			}
		}
		if good != 1 {
			t.Errorf("%s: %d keys verify it", alg, good)
		}
	}
}

func TestSetsThatAreNone(t *testing.T) {
	key := jwkOf(t, "ES256", nil)
	for text, want := range map[string]authn.Reason{
		`{"keys":[]}`:                        "",
		`{"keys":[` + key + `],"more":true}`: "",
		`{"keys":[1,null,"x",[]]}`:           "",
		``:                                   ReasonSet,
		`null`:                               ReasonSet,
		`[` + key + `]`:                      ReasonSet,
		`{}`:                                 ReasonSet,
		key:                                  ReasonSet,
		`{"keys":{}}`:                        ReasonSet,
		`{"keys":null}`:                      ReasonSet,
		`{"keys":[` + key + `]}x`:            ReasonSet,
		`{"keys":[` + key + `,]}`:            ReasonSet,
		`<html>`:                             ReasonSet,
		`{"keys":[],"keys":[` + key + `]}`:   ReasonDuplicate,
		`{"keys":[],"Keys":[` + key + `]}`:   ReasonFolded,
		`{"KEYS":[` + key + `]}`:             ReasonFolded,
		`{"keys":[{"a":1,"a":1}]}`:           ReasonDuplicate,
		"\ufeff" + `{"keys":[]}`:             ReasonText,
		`{"keys":["\ud800"]}`:                ReasonText,
		`{"keys":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`: ReasonDeep,
		`{"keys":[1` + strings.Repeat(",1", maxKeys) + `]}`:                  ReasonSetTooLarge,
		`{"keys":[],"x":"` + strings.Repeat("x", MaxSet) + `"}`:              ReasonSetTooLarge,
	} {
		_, err := ParseSet([]byte(text), 0)
		if why := reasonOf(err); why != want {
			t.Errorf("%.60s: %q, want %q", text, why, want)
		}
	}
	_, err := ParseSet([]byte(`{"keys":[]}`), 10)
	wantFault(t, err, ReasonSetTooLarge)
}

func TestPEM(t *testing.T) {
	block := func(kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	public := func(alg string) string {
		der, err := x509.MarshalPKIXPublicKey(signers()[alg].Public())
		return block("PUBLIC KEY", der, err)
	}
	ec := signers()["ES256"]
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ec.Public(), ec)
	certificate := block("CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(ec)
	private := block("PRIVATE KEY", der, err)
	weak := block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: modulus(1024), E: 3}), nil)
	pkcs1 := block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(signers()["RS256"].Public().(*rsa.PublicKey)), nil)
	for name, c := range map[string]struct {
		text string
		keys int
		want authn.Reason
	}{
		"one of each":    {"the keys\n" + public("RS256") + public("EdDSA") + certificate, 3, ""},
		"PKCS 1":         {pkcs1, 1, ""},
		"nothing":        {"", 0, ReasonSet},
		"JSON":           {jwkOf(t, "ES256", nil), 0, ReasonSet},
		"cut off":        {public("ES256") + public("RS256")[:100], 0, ReasonSet},
		"private":        {public("ES256") + private, 0, ReasonKeyPrivate},
		"old private":    {block("EC PRIVATE KEY", nil, nil), 0, ReasonKeyPrivate},
		"request":        {block("CERTIFICATE REQUEST", nil, nil), 0, ReasonKeyType},
		"not DER":        {block("PUBLIC KEY", []byte("x"), nil), 0, ReasonKey},
		"weak":           {public("ES256") + weak, 0, ReasonKeyWeak},
		"the same twice": {public("ES256") + certificate, 0, ReasonKeyRepeated},
		"too large":      {strings.Repeat("#", MaxSet+1), 0, ReasonSetTooLarge},
	} {
		s, err := ParsePEM([]byte(c.text))
		if why := reasonOf(err); why != c.want || len(s.Keys) != c.keys {
			t.Errorf("%s: %q and %d keys, want %q and %d", name, why, len(s.Keys), c.want, c.keys)
		}
	}
}

func TestThumbprintOfWhatIsNoKey(t *testing.T) {
	_, err := Thumbprint([]byte("x"))
	wantFault(t, err, ReasonKeyType)
}
