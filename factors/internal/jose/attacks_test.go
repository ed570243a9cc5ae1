package jose

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
)

// forged is a token with exactly this header and payload, rightly signed with the key for alg.
func forged(t testing.TB, header, payload, alg string) string {
	t.Helper()
	text := base64url.EncodeToString([]byte(header)) + "." + base64url.EncodeToString([]byte(payload))
	signature, err := algorithmOf(alg).sign(signers()[alg], []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64url.EncodeToString(signature)
}

// accept is what a factor does with a token, up to its own rules.
func accept(compact string, k Key, algs ...string) (Claims, error) {
	token, err := Parse(compact, 0)
	if err != nil {
		return Claims{}, err
	}
	if err := Verify(token, k, algs); err != nil {
		return Claims{}, err
	}
	return ParseClaims(token.Payload)
}

const plainHeader, plainPayload = `{"alg":"ES256","kid":"k"}`, `{"sub":"u","exp":1}`

func TestForgedHeaders(t *testing.T) {
	jwk, err := FormatKey(keyOf(t, "ES384", "k"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		header string
		want   authn.Reason // empty: a control
	}{
		{plainHeader, ""},
		{" {\r\n\t\"alg\" : \"ES256\" } ", ""},
		{`{"alg":"ES256","typ":"JWT","cty":"json"}`, ""},
		{`{"alg":"ES256","unheard-of":{"of":[1]},"Other":1}`, ""},
		{`{"alg":"\u0045S256"}`, ""},
		{`{"alg":"ES256","kid":"` + strings.Repeat("k", 256) + `"}`, ""},

		{`{"alg":"none"}`, ReasonUnsigned},
		{`{"alg":"None"}`, ReasonUnsigned},
		{`{"alg":"NONE"}`, ReasonUnsigned},
		{`{"alg":"nOnE"}`, ReasonUnsigned},
		{`{"alg":" none "}`, ReasonUnsigned},
		{`{"alg":"none\n"}`, ReasonUnsigned},
		{`{"alg":"\u006eone"}`, ReasonUnsigned},
		{`{"alg":"none\u0000"}`, ReasonAlgorithm},
		{`{"alg":"ｎone"}`, ReasonAlgorithm},
		{`{"alg":""}`, ReasonAlgorithm},
		{`{}`, ReasonAlgorithm},
		{`{"kid":"k"}`, ReasonAlgorithm},
		{`{"alg":"es256"}`, ReasonAlgorithm},
		{`{"alg":"ES256 "}`, ReasonAlgorithm},
		{`{"alg":"ES256K"}`, ReasonAlgorithm},
		{`{"alg":"RSA1_5"}`, ReasonAlgorithm},
		{`{"alg":"HS256"}`, ReasonSymmetric},
		{`{"alg":"hs512"}`, ReasonSymmetric},
		{`{"alg":null}`, ReasonHeaderMember},
		{`{"alg":256}`, ReasonHeaderMember},
		{`{"alg":["ES256"]}`, ReasonHeaderMember},

		{`{"alg":"ES256","alg":"ES256"}`, ReasonDuplicate},
		{`{"alg":"none","alg":"ES256"}`, ReasonDuplicate},
		{`{"alg":"ES256","\u0061lg":"ES256"}`, ReasonDuplicate},
		{`{"\u0061lg":"ES256"}`, ReasonFolded},
		{`{"alg":"ES256","ALG":"none"}`, ReasonFolded},
		{`{"ALG":"ES256"}`, ReasonFolded},
		{`{"alg":"ES256","Kid":"k"}`, ReasonFolded},
		{`{"alg":"ES256","\u212aid":"k"}`, ReasonFolded}, // the sign of the kelvin folds to k
		{`{"alg":"ES256","x5t#s256":"k"}`, ReasonFolded},
		{`{"alg":"ES256","Other":1,"oTHER":1}`, ReasonFolded},
		{`{"alg":"ES256","x":{"a":1,"a":1}}`, ReasonDuplicate},

		{`{"alg":"ES256","crit":["exp"],"exp":1}`, ReasonCritical},
		{`{"alg":"ES256","crit":[]}`, ReasonCritical},
		{`{"alg":"ES256","crit":null}`, ReasonCritical},
		{`{"alg":"ES256","b64":false,"crit":["b64"]}`, ReasonUnencoded},
		{`{"alg":"ES256","crit":["b64"],"b64":false}`, ReasonCritical},
		{`{"alg":"ES256","b64":true}`, ReasonUnencoded},
		{`{"alg":"ES256","zip":"DEF"}`, ReasonCompressed},
		{`{"alg":"ES256","enc":"A256GCM"}`, ReasonEncrypted},
		{`{"alg":"ES256","cty":"JWT"}`, ReasonNested},
		{`{"alg":"ES256","cty":"application/jwt"}`, ReasonNested},
		{`{"alg":"ES256","cty":1}`, ReasonHeaderMember},
		{`{"alg":"ES256","typ":1}`, ReasonHeaderMember},
		{`{"alg":"ES256","typ":null}`, ReasonHeaderMember},

		{`{"alg":"ES256","kid":""}`, ReasonHeaderMember},
		{`{"alg":"ES256","kid":1}`, ReasonHeaderMember},
		{`{"alg":"ES256","kid":"k\u0000"}`, ReasonKid},
		{`{"alg":"ES256","kid":"k\nk"}`, ReasonKid},
		{`{"alg":"ES256","kid":"` + strings.Repeat("k", 257) + `"}`, ReasonKid},
		{`{"alg":"ES256","jwk":"k"}`, ReasonHeaderMember},
		{`{"alg":"ES256","jwk":null}`, ReasonHeaderMember},

		{"\ufeff" + plainHeader, ReasonText},
		{"{\"alg\":\"ES256\",\"kid\":\"\xff\"}", ReasonText},
		{"{\"alg\":\"ES256\",\"kid\":\"\xc0\xae\"}", ReasonText},
		{`{"alg":"ES256","kid":"\ud800"}`, ReasonText},
		{`{"alg":"ES256","kid":"\udc00\ud800"}`, ReasonText},
		{plainHeader + "\x00", ReasonHeader},
		{plainHeader + plainHeader, ReasonHeader},
		{plainHeader + ",", ReasonHeader},
		{`{"alg":"ES256",}`, ReasonHeader},
		{`{"alg":"ES256"`, ReasonHeader},
		{`{'alg':'ES256'}`, ReasonHeader},
		{`{"alg":"ES256"/**/}`, ReasonHeader},
		{`["ES256"]`, ReasonHeader},
		{`null`, ReasonHeader},
		{`"ES256"`, ReasonHeader},
		{``, ReasonHeader},
		{`{"alg":"ES256","x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, ReasonDeep},
		{`{"alg":"ES256","x":"` + strings.Repeat("x", 8<<10) + `"}`, ReasonTooLarge},
		{`{"alg":"ES256"` + members(256) + `}`, ReasonTooLarge},

		// Keys in the header are nobody's: the right key verifies, and the one that is named there is not asked.
		{`{"alg":"ES256","jku":"https://evil.example/keys","x5u":"https://evil.example/crt","x5c":["MIIB"],"x5t":"x"}`, ""},
		{`{"alg":"ES384","jwk":` + string(jwk) + `}`, ReasonKeyMismatch},
	} {
		alg := "ES256"
		if strings.Contains(c.header, "ES384") {
			alg = "ES384"
		}
		_, err := accept(forged(t, c.header, plainPayload, alg), keyOf(t, "ES256", "k"), "ES256", "ES384")
		name := c.header[:min(len(c.header), 80)]
		if why := reasonOf(err); why != c.want {
			t.Errorf("%q: %q, want %q", name, why, c.want)
		}
	}
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":0`, i)
	}
	return b.String()
}

func reasonOf(err error) authn.Reason {
	if err == nil {
		return ""
	}
	return reason(err)
}

func TestForgedPayloads(t *testing.T) {
	inner := forged(t, plainHeader, plainPayload, "ES256")
	for _, c := range []struct {
		payload string
		want    authn.Reason
	}{
		{plainPayload, ""},
		{`{}`, ""},
		{` {"sub":"u\u00fc\ud83d\ude00"} `, ""},
		{`{"sub":"u","Custom":1,"https:\/\/example.com\/a":1}`, ""},
		{`{"sub":"` + inner + `"}`, ""},
		{`{"x":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`, ""},
		{`{"x":"` + strings.Repeat(`[`, 100) + `\"` + strings.Repeat(`{`, 100) + `"}`, ""},
		{`{"x":"` + strings.Repeat("x", 8<<10) + `"}`, ""},

		{`{"sub":"u","sub":"u"}`, ReasonDuplicate},
		{`{"sub":"u","s\u0075b":"v"}`, ReasonDuplicate},
		{`{"other":"u","oth\u0065r":"v"}`, ReasonDuplicate},
		{`{"cnf":{"jkt":"a","jkt":"b"}}`, ReasonDuplicate},
		{`{"aud":["a",{"x":1,"x":2}]}`, ReasonDuplicate},
		{`{"\u0061ud":"a"}`, ReasonFolded},
		{`{"Aud":"a"}`, ReasonFolded},
		{`{"aud":"a","AUD":"b"}`, ReasonFolded},
		{`{"EXP":1}`, ReasonFolded},
		{`{"iSs":"i"}`, ReasonFolded},
		{`{"ſub":"u"}`, ReasonFolded}, // the long s folds to s
		{`{"Scope":"u"}`, ReasonFolded},
		{`{"Custom":1,"custom":2}`, ReasonFolded},

		{"\ufeff{}", ReasonText},
		{"{\"sub\":\"\xff\"}", ReasonText},
		{"{\"sub\":\"\xed\xa0\x80\"}", ReasonText},
		{`{"sub":"\ud83d"}`, ReasonText},
		{`{"\ude00":1}`, ReasonText},
		{`{"x":["\ud83d\ud83d"]}`, ReasonText},
		{"{\"sub\":\"a\x00b\"}", ReasonClaims},
		{`{"sub":"\x41"}`, ReasonClaims},
		{`{"exp":01}`, ReasonClaims},
		{`{"exp":NaN}`, ReasonClaims},
		{`{"exp":Infinity}`, ReasonClaims},
		{`{"exp":+1}`, ReasonClaims},
		{`{"exp":0x10}`, ReasonClaims},
		{`{"exp":.5}`, ReasonClaims},
		{`{"exp":1.}`, ReasonClaims},
		{`{} {}`, ReasonClaims},
		{`{}x`, ReasonClaims},
		{"{}\x00", ReasonClaims},
		{`[{"sub":"u"}]`, ReasonClaims},
		{`null`, ReasonClaims},
		{`"sub"`, ReasonClaims},
		{``, ReasonClaims},
		{`{"sub":"u"`, ReasonClaims},
		{"\x1f\x8b\x08\x00{}", ReasonText},
		{inner, ReasonNested},
		{"a.b.c.d.e", ReasonNested},
		{`{"x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, ReasonDeep},
		{`{"x":` + strings.Repeat(`{"x":`, 1000) + `1` + strings.Repeat("}", 1000) + `}`, ReasonDeep},
		{`{"m":1` + members(256) + `}`, ReasonTooLarge},
		{`{"x":"` + strings.Repeat("x", 16<<10) + `"}`, ReasonTooLarge},
		{`{"x":"` + strings.Repeat("x", 1<<20) + `"}`, ReasonTooLarge},
	} {
		_, err := accept(forged(t, plainHeader, c.payload, "ES256"), keyOf(t, "ES256", ""), "ES256")
		if why := reasonOf(err); why != c.want {
			t.Errorf("%.80q: %q, want %q", c.payload, why, c.want)
		}
	}
}

func TestClaimsAreBoundedWhereTheTokenMayBeLarge(t *testing.T) {
	compact := forged(t, plainHeader, `{"x":"`+strings.Repeat("x", 65<<10)+`"}`, "ES256")
	token, err := Parse(compact, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ParseClaims(token.Payload)
	wantFault(t, err, ReasonTooLarge)
	_, err = Parse(compact, len(compact)-1)
	wantFault(t, err, ReasonTooLarge)
}

func TestForgedForms(t *testing.T) {
	good := forged(t, plainHeader, plainPayload, "ES256")
	parts := strings.Split(good, ".")
	head, body, sig := parts[0], parts[1], parts[2]
	for name, c := range map[string]struct {
		compact string
		want    authn.Reason
	}{
		"control":                       {good, ""},
		"nothing":                       {"", ReasonNotCompact},
		"no dot":                        {head, ReasonNotCompact},
		"one dot":                       {head + "." + body, ReasonNotCompact},
		"three dots":                    {good + ".", ReasonNotCompact},
		"two signatures":                {good + "." + sig, ReasonNotCompact},
		"five parts":                    {good + "..", ReasonEncrypted},
		"only dots":                     {"..", ReasonHeader},
		"no signature":                  {head + "." + body + ".", ReasonUnsigned},
		"no payload":                    {head + ".." + sig, ReasonSignature},
		"no header":                     {"." + body + "." + sig, ReasonHeader},
		"flattened JSON":                {fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, head, body, sig), ReasonSerialization},
		"general JSON":                  {fmt.Sprintf(` {"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, body, head, sig), ReasonSerialization},
		"padding":                       {good + "==", ReasonEncoding},
		"padded header":                 {head + "=." + body + "." + sig, ReasonEncoding},
		"space before":                  {" " + good, ReasonEncoding},
		"space after":                   {good + " ", ReasonEncoding},
		"tab within":                    {head + "\t." + body + "." + sig, ReasonEncoding},
		"line feed after":               {good + "\n", ReasonEncoding},
		"line feed within":              {head + "." + body[:4] + "\n" + body[4:] + "." + sig, ReasonEncoding},
		"carriage return within":        {head[:8] + "\r\n" + head[8:] + "." + body + "." + sig, ReasonEncoding},
		"carriage return alone":         {head + "." + body + "\r." + sig, ReasonEncoding},
		"NUL after":                     {good + "\x00", ReasonEncoding},
		"standard alphabet":             {head + "." + body + "." + "+" + sig[1:], ReasonEncoding},
		"slash":                         {head + "." + body + "." + "/" + sig[1:], ReasonEncoding},
		"bits left over in signature":   {head + "." + body + "." + sig[:85] + next64(sig[85]), ReasonEncoding},
		"one character too many":        {good + "A", ReasonSignatureForm},
		"percent encoded":               {strings.Replace(good, ".", "%2E", 1), ReasonNotCompact},
		"not ASCII":                     {head + "." + body + "." + sig + "ä", ReasonEncoding},
		"signature of nothing like it":  {head + "." + body + ".AAAA", ReasonSignatureForm},
		"header longer than its bounds": {strings.Repeat("A", 12<<10) + ".e30." + sig, ReasonTooLarge},
		"a megabyte":                    {head + "." + strings.Repeat("A", 1<<20) + "." + sig, ReasonTooLarge},
		"a megabyte of dots":            {strings.Repeat(".", 1<<20), ReasonTooLarge},
		"ten thousand dots":             {strings.Repeat(".", 10000), ReasonNotCompact},
		"another payload":               {head + "." + base64url.EncodeToString([]byte(`{"sub":"v"}`)) + "." + sig, ReasonSignature},
		"another header":                {base64url.EncodeToString([]byte(`{"alg":"ES256","kid":"l"}`)) + "." + body + "." + sig, ReasonSignature},
	} {
		_, err := accept(c.compact, keyOf(t, "ES256", "k"), "ES256")
		if why := reasonOf(err); why != c.want {
			t.Errorf("%s: %q, want %q", name, why, c.want)
		}
	}
}

// next64 is the character of base64url after c: with the last one of a part, one that decodes to the same bytes.
func next64(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)+1])
}

func TestPublicKeyIsNoSecret(t *testing.T) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		k := keyOf(t, alg, "k")
		der, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		jwk, err := FormatKey(k)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range [][]byte{der, jwk, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), {}} {
			for said, want := range map[string]authn.Reason{"HS256": ReasonSymmetric, alg: ReasonSignatureForm} {
				text := base64url.EncodeToString([]byte(`{"alg":"`+said+`","kid":"k"}`)) + "." + base64url.EncodeToString([]byte(plainPayload))
				mac := hmac.New(sha256.New, secret)
				mac.Write([]byte(text))
				_, err := accept(text+"."+base64url.EncodeToString(mac.Sum(nil)), k, append(Algorithms(), "HS256")...)
				wantFault(t, err, want)
			}
		}
	}
}

func TestPsychicSignatures(t *testing.T) {
	for alg, size := range map[string]int{"ES256": 32, "ES384": 48, "ES512": 66} {
		k := keyOf(t, alg, "")
		text := base64url.EncodeToString([]byte(`{"alg":"`+alg+`"}`)) + ".e30"
		real, err := algorithmOf(alg).sign(signers()[alg], []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		order := algorithmOf(alg).curve.Params().N.FillBytes(make([]byte, size))
		der, _ := derOf(nil, real, size)
		zero := make([]byte, size)
		for name, c := range map[string]struct {
			signature []byte
			want      authn.Reason
		}{
			"control":             {real, ""},
			"r = s = 0":           {make([]byte, 2*size), ReasonSignatureForm},
			"r = 0":               {append(zero[:size:size], real[size:]...), ReasonSignatureForm},
			"s = 0":               {append(real[:size:size], zero...), ReasonSignatureForm},
			"r = s = n":           {append(order[:size:size], order...), ReasonSignature},
			"r = n":               {append(order[:size:size], real[size:]...), ReasonSignature},
			"in ASN.1":            {der, ReasonSignatureForm},
			"a byte too long":     {append(real[:2*size:2*size], 0), ReasonSignatureForm},
			"a byte too short":    {real[:2*size-1], ReasonSignatureForm},
			"halves exchanged":    {append(real[size:2*size:2*size], real[:size]...), ReasonSignature},
			"all ones":            {[]byte(strings.Repeat("\xff", 2*size)), ReasonSignature},
			"padded on each side": {append(append([]byte{0}, real[:size]...), append([]byte{0}, real[size:]...)...), ReasonSignatureForm},
		} {
			_, err := accept(text+"."+base64url.EncodeToString(c.signature), k, alg)
			if why := reasonOf(err); why != c.want {
				t.Errorf("%s, %s: %q, want %q", alg, name, why, c.want)
			}
		}
	}
}

func TestSignatureOfOneAlgorithmIsNoneOfAnother(t *testing.T) {
	for _, is := range Algorithms() {
		for _, said := range Algorithms() {
			if is == said {
				continue
			}
			k := keyOf(t, is, "")
			text := base64url.EncodeToString([]byte(`{"alg":"`+said+`"}`)) + ".e30"
			signature, err := algorithmOf(is).sign(signers()[is], []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			_, err = accept(text+"."+base64url.EncodeToString(signature), k, Algorithms()...)
			want := ReasonKeyMismatch
			if k.Fits(said) {
				want = ReasonSignature
			}
			wantFault(t, err, want)
		}
	}
}

func TestFaultsHoldNothingOfTheToken(t *testing.T) {
	const secret = "s3cr3t"
	for _, compact := range []string{
		secret, secret + ".." + secret, forged(t, `{"alg":"`+secret+`"}`, `{}`, "ES256"), forged(t, `{"alg":"ES256","`+secret+`":}`, `{}`, "ES256"),
		forged(t, plainHeader, `{"`+secret+`":1,"`+secret+`":2}`, "ES256"), forged(t, plainHeader, `{"exp":`+secret+`}`, "ES256"),
	} {
		_, err := accept(compact, keyOf(t, "ES256", ""), "ES256")
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
	if _, err := ParseKey([]byte(`{"kty":"` + secret + `"}`)); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("%v", err)
	}
}

func TestTokenOwnsItsBytes(t *testing.T) {
	compact := forged(t, plainHeader, plainPayload, "ES256")
	token, err := Parse(compact, 0)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := ParseClaims(token.Payload)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(token.Payload, "overwritten"...)
	_ = append(token.Signed, strings.Repeat("overwritten", 12)...)
	if string(token.Payload) != plainPayload {
		t.Errorf("what was appended to one part reached another: %s", token.Payload)
	}
	if err := Verify(token, keyOf(t, "ES256", ""), []string{"ES256"}); err != nil {
		t.Error("what was appended to one part reached another:", err)
	}
	clear(token.Payload)
	if sub, _, _ := claims.String("sub"); sub != "u" {
		t.Errorf("claims change with the payload: %q", sub)
	}
}

func TestTypIsComparedAsAMediaType(t *testing.T) {
	for typ, want := range map[string]bool{
		"at+jwt": true, "AT+JWT": true, "application/at+jwt": true, "Application/At+Jwt": true,
		"": false, "JWT": false, "at+jwt ": false, "application/": false, "application/application/at+jwt": false, "text/at+jwt": false,
	} {
		if got := (Header{Typ: typ}).Is("at+jwt"); got != want {
			t.Errorf("%q: %v", typ, got)
		}
	}
}

func TestTokenWithoutAlgorithmIsNotTakenApart(t *testing.T) {
	for _, header := range []string{`{}`, `{"kid":"k"}`} {
		_, err := Parse(forged(t, header, plainPayload, "ES256"), 0)
		wantFault(t, err, ReasonAlgorithm)
	}
}
