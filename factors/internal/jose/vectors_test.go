package jose

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
)

// readVectors reads a file of public test vectors, which are no part of this repository.
func readVectors(t *testing.T, file string, into any) {
	t.Helper()
	folder := os.Getenv("SALLYPORT_VECTORS")
	if folder == "" {
		folder = filepath.Join("..", "..", "..", "..", "shared", "vectors")
	}
	text, err := os.ReadFile(filepath.Join(folder, file))
	if errors.Is(err, os.ErrNotExist) {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatalf("no vectors: set SALLYPORT_VECTORS to the folder that holds %s", file)
		}
		t.Skipf("no vectors: set SALLYPORT_VECTORS to the folder that holds %s", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// judge verifies a token with what was published as its key or keys, as a factor does. The reason is empty where it is good.
func judge(keys json.RawMessage, jws string) authn.Reason {
	var shape struct{ Keys []json.RawMessage }
	if json.Unmarshal(keys, &shape) != nil || shape.Keys == nil {
		keys = fmt.Appendf(nil, `{"keys":[%s]}`, keys)
	}
	s, err := ParseSet(keys, 0)
	if err != nil {
		return reason(err)
	}
	token, err := Parse(jws, 0)
	if err != nil {
		return reason(err)
	}
	why := authn.Reason("no key")
	if len(s.Skipped) > 0 {
		why = s.Skipped[0].Why
	}
	for _, k := range s.For(token.Header) {
		if err = Verify(token, k, Algorithms()); err == nil {
			return ""
		}
		why = reason(err)
	}
	return why
}

// differences from what was published: which, why, and the reason that is given here.
type differences map[string]struct {
	why  string
	here authn.Reason
}

// check compares one verdict with what was published.
func (d differences) check(t *testing.T, id string, valid bool, here authn.Reason) {
	t.Helper()
	known, listed := d[id]
	switch {
	case valid != (here == "") && !listed:
		t.Errorf("case %s: %q here, published as valid: %v", id, here, valid)
	case valid == (here == "") && listed:
		t.Errorf("case %s is as published, and listed as different: %s", id, known.why)
	case listed && here != known.here:
		t.Errorf("case %s: %q, listed with %q", id, here, known.here)
	}
}

type wycheproof struct {
	Groups []struct {
		Comment string          `json:"comment"`
		Private json.RawMessage `json:"private"`
		Public  json.RawMessage `json:"public"`
		Tests   []struct {
			ID      int             `json:"tcId"`
			Comment string          `json:"comment"`
			JWS     json.RawMessage `json:"jws"`
			JWE     json.RawMessage `json:"jwe"`
			Result  string          `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

const (
	symmetric = "HMAC: whoever can verify could sign, so a shared secret is no key here"
	otherAlg  = "the key says another algorithm than the token has; the label looks wrong"
	noSuchAlg = "the key is for ES521, which does not exist (the curve is P-521, the algorithm ES512); the label looks wrong"
	notBase64 = "a character that is no base64url within a part; the label looks wrong, its twin in the signature is invalid"
	encrypted = "JWE is no part of this"
)

var wycheproofDifferences = map[string]differences{
	"json_web_signature.json": {
		"1":   {symmetric, ReasonSymmetric},
		"346": {otherAlg, ReasonKeyMismatch},
		"347": {noSuchAlg, ReasonKeyAlg},
		"348": {symmetric, ReasonSymmetric},
		"350": {otherAlg, ReasonKeyMismatch},
		"351": {noSuchAlg, ReasonKeyAlg},
		"352": {symmetric, ReasonSymmetric},
		"357": {symmetric, ReasonSymmetric},
		"358": {symmetric, ReasonSymmetric},
		"359": {symmetric, ReasonSymmetric},
		"372": {notBase64, ReasonEncoding},
		"373": {notBase64, ReasonEncoding},
		"376": {symmetric, ReasonSymmetric},
		"377": {symmetric, ReasonSymmetric},
	},
	"json_web_key.json": {
		"2":  {symmetric, ReasonSymmetric},
		"13": {symmetric, ReasonSymmetric},
		"14": {symmetric, ReasonSymmetric},
		"15": {symmetric, ReasonSymmetric},
	},
	"json_web_crypto.json": {
		"1":  {symmetric, ReasonSymmetric},
		"48": {symmetric, ReasonSymmetric},
		"50": {encrypted, ReasonEncrypted},
		"67": {encrypted, ReasonEncrypted},
	},
}

func TestWycheproof(t *testing.T) {
	for file, listed := range wycheproofDifferences {
		t.Run(file, func(t *testing.T) {
			var v wycheproof
			readVectors(t, filepath.Join("wycheproof", file), &v)
			ids, good := map[string]bool{}, 0
			for _, g := range v.Groups {
				keys := g.Public
				if keys == nil {
					keys = g.Private
				}
				for _, c := range g.Tests {
					id := fmt.Sprint(c.ID)
					here := judge(keys, asText(c.JWS, c.JWE))
					listed.check(t, id, c.Result == "valid", here)
					if ids[id] = true; here == "" {
						good++
					}
				}
			}
			for id := range listed {
				if !ids[id] {
					t.Errorf("there is no case %s", id)
				}
			}
			t.Logf("%d cases, %d good", len(ids), good)
			if good == 0 {
				t.Error("nothing at all is accepted")
			}
		})
	}
}

// asText is a token as it would be sent: the JSON serializations are written as objects.
func asText(all ...json.RawMessage) string {
	for _, raw := range all {
		if raw == nil {
			continue
		}
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
		return string(raw)
	}
	return ""
}

func TestTokensOfTheRFCs(t *testing.T) {
	var v struct {
		JWS []struct {
			ID, Alg, Expected, JWS string
			JWK                    json.RawMessage
		}
		Thumbprints []struct {
			ID, Thumbprint string
			JWK            json.RawMessage
		}
	}
	readVectors(t, filepath.Join("rfc", "rfc-jose-oauth.json"), &v)
	listed := differences{"rfc7515-A.1": {symmetric, ReasonSymmetric}}
	for _, c := range v.JWS {
		key := c.JWK
		if string(key) == "null" || key == nil {
			key = json.RawMessage(`{}`)
		}
		listed.check(t, c.ID, c.Expected == "SUCCESS", judge(key, c.JWS))
	}
	for _, c := range v.Thumbprints {
		k, err := ParseKey(c.JWK)
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		print := k.Thumbprint()
		if got := base64.RawURLEncoding.EncodeToString(print[:]); got != c.Thumbprint {
			t.Errorf("%s: thumbprint %s, want %s", c.ID, got, c.Thumbprint)
		}
	}
}

func TestProofsOfRFC9449VerifyWithTheKeyThatTheyCarry(t *testing.T) {
	var v struct {
		Cases []struct {
			Proof      string
			Thumbprint string `json:"jwk_thumbprint"`
			Claims     struct {
				JTI string
				IAT int64
			}
		}
	}
	readVectors(t, filepath.Join("rfc", "rfc9449.json"), &v)
	for _, c := range v.Cases {
		token, err := Parse(c.Proof, 0)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ParseKey(token.Header.JWK)
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(token, k, []string{"ES256"}); err != nil || !token.Header.Is("dpop+jwt") {
			t.Error(err, token.Header.Typ)
		}
		print := k.Thumbprint()
		if got := base64.RawURLEncoding.EncodeToString(print[:]); got != c.Thumbprint {
			t.Errorf("thumbprint %s, want %s", got, c.Thumbprint)
		}
		claims, err := ParseClaims(token.Payload)
		if err != nil {
			t.Fatal(err)
		}
		jti, _, _ := claims.String("jti")
		iat, _, _ := claims.Time("iat")
		if jti != c.Claims.JTI || iat.Unix() != c.Claims.IAT {
			t.Errorf("claims: %s %v", jti, iat)
		}
	}
}

type cookbookCase struct {
	File string
	Data struct {
		Input struct {
			Payload json.RawMessage
			Key     json.RawMessage
		}
		Sign *struct {
			Input struct {
				Key json.RawMessage
			}
			Output struct{ Compact string }
		}
		Encrypt *struct {
			Output struct{ Compact string }
		}
		Output struct {
			Compact string
			JSON    json.RawMessage `json:"json"`
			Flat    json.RawMessage `json:"json_flat"`
		}
	}
}

// cookbook says what becomes of each token of RFC 7520 and its companions. Those that are missing must verify.
var cookbook = map[string]struct {
	why  string
	here authn.Reason
}{
	"jws/4_4.hmac-sha2_integrity_protection.json":    {symmetric, ReasonSymmetric},
	"jws/4_5.signature_with_detached_content.json":   {symmetric, ReasonSymmetric},
	"rfc7797/hmac-sha2_b64_false.json":               {"the payload stands in the token as it is, which is no base64url", ReasonEncoding},
	"6.nesting_signatures_and_encryption.json (JWE)": {encrypted, ReasonEncrypted},
}

func TestCookbook(t *testing.T) {
	var v struct{ Cases []json.RawMessage }
	readVectors(t, filepath.Join("jose", "cookbook.json"), &v)
	good := 0
	run := func(name string, key json.RawMessage, token string, otherwise authn.Reason) {
		here := judge(key, token)
		want := otherwise
		if c, ok := cookbook[name]; ok {
			want = c.here
		}
		if here != want {
			t.Errorf("%s: %q, want %q", name, here, want)
		}
		if here == "" {
			good++
		}
	}
	for _, raw := range v.Cases {
		var c cookbookCase
		if err := json.Unmarshal(raw, &c); err != nil { // several keys: JSON serialization of more than one recipient
			t.Logf("not read: %v", err)
		}
		key := publicOf(c.Data.Input.Key)
		if c.Data.Output.Compact != "" {
			otherwise := authn.Reason("")
			if c.encrypted() {
				otherwise = ReasonEncrypted
			}
			run(c.File, key, c.Data.Output.Compact, otherwise)
		}
		for _, text := range []json.RawMessage{c.Data.Output.JSON, c.Data.Output.Flat} {
			if text != nil {
				run(c.File+" (JSON)", json.RawMessage(`{}`), string(text), ReasonSerialization)
			}
		}
		if c.Data.Sign != nil {
			run(c.File+" (JWS)", publicOf(c.Data.Sign.Input.Key), c.Data.Sign.Output.Compact, "")
			run(c.File+" (JWE)", json.RawMessage(`{}`), c.Data.Encrypt.Output.Compact, "")
		}
	}
	if good != 5 {
		t.Errorf("%d tokens are good, want 5: RS256, PS384, ES512, EdDSA, and the one to be nested", good)
	}
}

func (c cookbookCase) encrypted() bool {
	return len(c.File) > 4 && (c.File[:4] == "jwe/" || c.File == "curve25519/ecdh-es.json")
}

// publicOf is a key without what is private in it: the cookbook prints the signer's.
func publicOf(key json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(key, &members) != nil {
		return json.RawMessage(`{}`)
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		delete(members, name)
	}
	b, err := json.Marshal(members)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return b
}

func TestKeysOfTheCookbook(t *testing.T) {
	var v struct {
		Cases []struct {
			File string
			Data json.RawMessage
		}
	}
	readVectors(t, filepath.Join("jose", "cookbook.json"), &v)
	want := map[string]authn.Reason{
		"jwk/3_1.ec_public_key.json":                 "",
		"jwk/3_2.ec_private_key.json":                ReasonKeyPrivate,
		"jwk/3_3.rsa_public_key.json":                "",
		"jwk/3_4.rsa_private_key.json":               ReasonKeyPrivate,
		"jwk/3_5.symmetric_key_mac_computation.json": ReasonKeySecret,
		"jwk/3_6.symmetric_key_encryption.json":      ReasonKeySecret,
	}
	seen := 0
	for _, c := range v.Cases {
		why, listed := want[c.File]
		if !listed {
			continue
		}
		seen++
		if _, err := ParseKey(c.Data); why == "" && err != nil {
			t.Errorf("%s: %v", c.File, err)
		} else if why != "" {
			wantFault(t, err, why)
		}
	}
	if seen != len(want) {
		t.Errorf("%d of %d keys are there", seen, len(want))
	}
}

func TestWycheproofBareSignatures(t *testing.T) {
	for file, alg := range map[string]string{
		"ed25519.json":                     "EdDSA",
		"rsa_signature_2048_sha256.json":   "RS256",
		"rsa_pss_2048_sha256_mgf1_32.json": "PS256",
	} {
		t.Run(file, func(t *testing.T) {
			var v struct {
				Groups []struct {
					PublicKeyPEM string          `json:"publicKeyPem"`
					PublicKey    json.RawMessage `json:"publicKey"`
					Tests        []struct {
						ID      int    `json:"tcId"`
						Comment string `json:"comment"`
						Msg     string `json:"msg"`
						Sig     string `json:"sig"`
						Result  string `json:"result"`
					} `json:"tests"`
				} `json:"testGroups"`
			}
			readVectors(t, filepath.Join("wycheproof", file), &v)
			good := 0
			for _, g := range v.Groups {
				s, err := ParsePEM([]byte(g.PublicKeyPEM))
				if err != nil {
					t.Errorf("a key of %s: %v", file, err)
					continue
				}
				for _, c := range g.Tests {
					token := Token{Header: Header{Alg: alg}, Signed: unhex(t, c.Msg), Signature: unhex(t, c.Sig)}
					err := Verify(token, s.Keys[0], []string{alg})
					if (err == nil) != (c.Result == "valid") && c.Result != "acceptable" {
						t.Errorf("case %d (%s): %v, published as %s", c.ID, c.Comment, err, c.Result)
					}
					if c.Result == "acceptable" {
						t.Logf("acceptable case %d (%s): %v", c.ID, c.Comment, err)
					}
					if err == nil {
						good++
					}
				}
			}
			if good == 0 {
				t.Error("nothing at all is accepted")
			}
		})
	}
}
