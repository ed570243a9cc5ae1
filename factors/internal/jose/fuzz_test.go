package jose

import (
	"bytes"
	"crypto"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
)

// FuzzParse: what is taken apart is, put together, what came in, and the library that others use takes it too and sees the
// same in it.
func FuzzParse(f *testing.F) {
	good := forged(f, `{"alg":"ES256","kid":"k","typ":"JWT"}`, plainPayload, "ES256")
	f.Add(good)
	f.Add(forged(f, `{"alg":"EdDSA"}`, `{}`, "EdDSA"))
	f.Add(forged(f, `{"alg":"RS256","jwk":{"kty":"RSA"}}`, ``, "RS256"))
	for _, header := range []string{`{"alg":"none"}`, `{"alg":"HS256"}`, `{"alg":"ES256","crit":[]}`, `{"alg":"ES256","\u0061lg":1}`, "{\"alg\":\"\xff\"}"} {
		f.Add(forged(f, header, plainPayload, "ES256"))
	}
	for _, text := range []string{"", "..", "a.b.c", good + ".", good + "=", " " + good, `{"payload":""}`, "....", good + "\n"} {
		f.Add(text)
	}
	f.Fuzz(agrees)
}

// FuzzHeader is [FuzzParse] where the fuzzer need not know base64url.
func FuzzHeader(f *testing.F) {
	for _, header := range []string{
		plainHeader, `{"alg":"EdDSA","typ":"at+jwt","x":[{"a":1}]}`, `{"alg":"none"}`, `{"\u0061lg":"ES256"}`, `{"alg":"ES256","ALG":"none"}`,
		`{"alg":"ES256","kid":"\ud83d\ude00"}`, "{\"alg\":\"ES256\",\"kid\":\"\xff\"}", `{"alg":"ES256","jwk":{},"cty":"JWT","b64":true}`,
	} {
		f.Add([]byte(header), []byte(plainPayload))
	}
	f.Fuzz(func(t *testing.T, header, payload []byte) {
		agrees(t, base64url.EncodeToString(header)+"."+base64url.EncodeToString(payload)+".AAAA")
	})
}

func algorithmsElsewhere() (algs []gojose.SignatureAlgorithm) {
	for _, alg := range Algorithms() {
		algs = append(algs, gojose.SignatureAlgorithm(alg))
	}
	return algs
}

func agrees(t *testing.T, compact string) {
	token, err := Parse(compact, 0)
	if err != nil {
		if !reflect.DeepEqual(token, Token{}) {
			t.Fatalf("refused with %v and %v", err, token)
		}
		return
	}
	head, _, _ := strings.Cut(compact, ".")
	header, err := decodeText(head)
	if err != nil {
		t.Fatal(err)
	}
	again := strings.Join([]string{
		base64url.EncodeToString(header), base64url.EncodeToString(token.Payload), base64url.EncodeToString(token.Signature),
	}, ".")
	if again != compact || !strings.HasPrefix(compact, string(token.Signed)+".") {
		t.Fatalf("%q came in, %q is understood", compact, again)
	}
	if !slices.Contains(Algorithms(), token.Header.Alg) || len(token.Header.Kid) > maxKid {
		t.Fatalf("header: %+v", token.Header)
	}
	o, err := readObject(string(header), nil, ReasonHeader)
	if err != nil {
		t.Fatal(err)
	}
	if o.value("jwk") != "" || o.value("x5c") != "" || o.value("nonce") != "" { // never used here, so not judged either
		return
	}
	other, err := gojose.ParseSignedCompact(compact, algorithmsElsewhere())
	if err != nil {
		t.Fatalf("%s: taken here, and refused elsewhere: %v", header, err)
	}
	h := other.Signatures[0].Protected
	if !bytes.Equal(other.UnsafePayloadWithoutVerification(), token.Payload) || h.KeyID != token.Header.Kid || h.Algorithm != token.Header.Alg {
		t.Fatalf("understood as %+v here, as %+v elsewhere", token.Header, h)
	}
}

// FuzzParseSet: a key that is taken is a key elsewhere too, and the same one.
func FuzzParseSet(f *testing.F) {
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		f.Add([]byte(`{"keys":[` + jwkOf(f, alg, nil) + `]}`))
	}
	f.Add([]byte(`{"keys":[` + jwkOf(f, "ES256", nil) + `,{"kty":"oct","k":"AAAA"},` + jwkOf(f, "EdDSA", map[string]string{"d": `"AAAA"`, "use": ""}) + `]}`))
	f.Add([]byte(`{"keys":[` + jwkOf(f, "RS256", map[string]string{"e": `"AQ"`, "key_ops": `["verify"]`}) + `]}`))
	f.Add([]byte(`{"keys":[1,null,[],{}]}`))
	f.Add([]byte(`{"Keys":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseSet(text, 0)
		if err != nil {
			return
		}
		for _, k := range s.Keys {
			written, err := FormatKey(k)
			if err != nil {
				t.Fatal(err)
			}
			var other gojose.JSONWebKey
			if err := json.Unmarshal(written, &other); err != nil || !other.Valid() || !other.IsPublic() {
				t.Fatalf("%s: taken here, and refused elsewhere: %v", written, err)
			}
			print, err := other.Thumbprint(crypto.SHA256)
			if mine := k.Thumbprint(); err != nil || !bytes.Equal(print, mine[:]) {
				t.Fatalf("%s: another thumbprint elsewhere: %v", written, err)
			}
			if again, err := ParseKey(written); err != nil || !reflect.DeepEqual(again, k) {
				t.Fatalf("%s: read back as another key: %v", written, err)
			}
		}
	})
}

// FuzzParseClaims: what is taken is JSON elsewhere too, with the same names and values, whether its reader minds case or not.
func FuzzParseClaims(f *testing.F) {
	for _, text := range []string{
		serviceClaims, plainPayload, `{}`, `{"Aud":1}`, `{"aud":"a","\u0061ud":"b"}`, "\ufeff{}", `{"x":"\ud83d"}`, `{"x":1e9,"exp":1.5}`, `{"a":{"b":[{}]}}`,
		`{"exp":-1}`, `{"exp":99999999999999999999}`, `{"aud":["a",1]}`, `{"email_verified":"true"}`, `null`, `[]`, `{"x":"\"\\\u0000"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseClaims(text)
		if err != nil {
			return
		}
		other := map[string]json.RawMessage{}
		if err := json.Unmarshal(text, &other); err != nil || len(other) != len(c.Names()) {
			t.Fatalf("taken here, and elsewhere %v and %d names", err, len(other))
		}
		for _, name := range c.Names() {
			if !bytes.Equal(bytes.TrimSpace(other[name]), c.Raw(name)) {
				t.Fatalf("%q is %s here and %s elsewhere", name, c.Raw(name), other[name])
			}
			everyReader(t, c, name)
		}
		var folding struct {
			Iss, Sub, Aud, Exp, Azp, Scope json.RawMessage
		}
		if err := json.Unmarshal(text, &folding); err != nil {
			t.Fatal(err)
		}
		for name, v := range map[string]json.RawMessage{"iss": folding.Iss, "sub": folding.Sub, "aud": folding.Aud, "exp": folding.Exp} {
			if !bytes.Equal(bytes.TrimSpace(v), c.Raw(name)) {
				t.Fatalf("%q is %s here, and %s for who does not mind case", name, c.Raw(name), v)
			}
		}
	})
}

// everyReader holds that what a claim is read as, it is.
func everyReader(t *testing.T, c Claims, name string) {
	t.Helper()
	raw := c.Raw(name)
	if s, present, err := c.String(name); err == nil {
		var want string
		if json.Unmarshal(raw, &want) != nil || s != want || !present {
			t.Fatalf("%s is read as the string %q", raw, s)
		}
	}
	if at, present, err := c.Time(name); err == nil {
		var want float64
		if json.Unmarshal(raw, &want) != nil || int64(want) < at.Unix()-1 || int64(want) > at.Unix()+1 || !present || at.Before(time.Unix(0, 0)) {
			t.Fatalf("%s is read as the time %v", raw, at)
		}
	}
	if all, _, err := c.Strings(name); err == nil {
		var want []string
		if json.Unmarshal(raw, &want) != nil || !slices.Equal(all, want) {
			t.Fatalf("%s is read as the strings %q", raw, all)
		}
	}
	if is, _, err := c.Bool(name); err == nil && string(raw) != map[bool]string{true: "true", false: "false"}[is] {
		t.Fatalf("%s is read as %v", raw, is)
	}
	if in, _, err := c.Object(name); err == nil {
		for _, inner := range in.Names() {
			everyReader(t, in, inner)
		}
	}
}
