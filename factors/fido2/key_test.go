package fido2_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
)

// creation is the answer of a client that claims to hold a new credential with this id and COSE key.
func creation(t *testing.T, publicKey json.RawMessage, id, cose []byte) json.RawMessage {
	t.Helper()
	var o struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(publicKey, &o); err != nil {
		t.Fatal(err)
	}
	client := fmt.Sprintf(`{"type":"webauthn.create","challenge":%q,"origin":%q,"crossOrigin":false}`, o.Challenge, origin)
	hash := sha256.Sum256([]byte("portal.example"))
	auth := append(hash[:], 0x45, 0, 0, 0, 0)
	auth = append(auth, make([]byte, 16)...)
	auth = binary.BigEndian.AppendUint16(auth, uint16(len(id)))
	auth = append(append(auth, id...), cose...)
	object, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": auth})
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString
	b, err := json.Marshal(map[string]any{"id": text(id), "rawId": text(id), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": text([]byte(client)), "attestationObject": text(object)}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// claim enrols a credential that nobody may hold.
func (b *bench) claim(t *testing.T, u factors.User, id, cose []byte) (factors.Credential, error) {
	t.Helper()
	e := factors.Enrolment{Request: b.request(u.Subject()), User: u}
	c, err := b.factor.EnrolChallenge(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	e.Credential, e.Challenge = creation(t, c.PublicKey, id, cose), b.asked(c)
	made, err := b.factor.Enrol(context.Background(), e)
	made.Tenant, made.User, made.Factor = u.Tenant, u.ID, "passkey"
	return made, err
}

func coseOf(t *testing.T, c factors.Credential) []byte {
	t.Helper()
	var rec struct {
		Key []byte `json:"public_key"`
	}
	if err := json.Unmarshal(c.Data, &rec); err != nil || len(rec.Key) == 0 {
		t.Fatal(err)
	}
	return rec.Key
}

// keyName is what the key of the oldest passkey is called in evidence.
func keyName(t *testing.T, a *fido2test.Authenticator) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(a.Passkeys()[0].Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return "spki:" + hex.EncodeToString(sum[:])
}

// TestEvidenceNamesTheKey: as its certificate would, if it had one.
func TestEvidenceNamesTheKey(t *testing.T) {
	for _, alg := range []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256} {
		b := newBench(t, "")
		a := fido2test.New(origin)
		a.Algorithm = alg
		b.enrol(a, b.alice)
		v, err := b.login(a, authn.Subject{})
		if err != nil {
			t.Fatal(err)
		}
		if want := keyName(t, a); v.Evidence.Key != want {
			t.Errorf("algorithm %d: %s, want %s", alg, v.Evidence.Key, want)
		}
	}
}

// TestOneKeyUnderTwoIDs: a client that lies may register its key again under another id. It is one secret all the same.
func TestOneKeyUnderTwoIDs(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	first := b.enrol(a, b.alice)
	other := []byte("another id of the very same key")
	second, err := b.claim(t, b.alice, other, coseOf(t, first))
	if err != nil {
		t.Fatal(err)
	}
	b.directory.credentials = append(b.directory.credentials, second)
	one, err := b.login(a, authn.Subject{})
	if err != nil {
		t.Fatal(err)
	}
	a.Passkeys()[0].ID = other
	two, err := b.login(a, authn.Subject{})
	if err != nil {
		t.Fatal(err)
	}
	if one.Evidence.Credential == two.Evidence.Credential || one.Evidence.Key != two.Evidence.Key {
		t.Errorf("credentials %s, %s; keys %s, %s", one.Evidence.Credential, two.Evidence.Credential, one.Evidence.Key, two.Evidence.Key)
	}
}

// TestKeysOutOfBounds: weak keys, and those that cost much to verify anything with, are no passkeys.
func TestKeysOutOfBounds(t *testing.T) {
	odd := func(bits int) []byte {
		n := make([]byte, bits/8)
		if _, err := rand.Read(n); err != nil {
			t.Fatal(err)
		}
		n[0] |= 0x80
		n[len(n)-1] |= 1
		return n
	}
	even := odd(2048)
	even[255] &^= 1
	f4 := []byte{1, 0, 1}
	rs256 := func(n, e []byte) map[int]any { return map[int]any{1: 3, 3: -257, -1: n, -2: e} }
	for _, tt := range []struct {
		name string
		key  map[int]any
		good bool
	}{
		{"2048 bits", rs256(odd(2048), f4), true},
		{"8192 bits", rs256(odd(8192), f4), true},
		{"exponent 3", rs256(odd(2048), []byte{3}), true},
		{"2040 bits", rs256(odd(2040), f4), false},
		{"2040 bits, padded", rs256(append(make([]byte, 8), odd(2040)...), f4), false},
		{"8200 bits", rs256(odd(8200), f4), false},
		{"320000 bits", rs256(odd(320000), f4), false},
		{"even", rs256(even, f4), false},
		{"exponent 1", rs256(odd(2048), []byte{1}), false},
		{"exponent 65536", rs256(odd(2048), []byte{1, 0, 0}), false},
		{"exponent above 31 bits", rs256(odd(2048), []byte{0x80, 0, 0, 1}), false},
		{"exponent above 63 bits", rs256(odd(2048), slices.Repeat([]byte{0xff}, 9)), false},
		{"no point of the curve", map[int]any{1: 2, 3: -7, -1: 1, -2: odd(256), -3: odd(256)}, false},
		{"RSA that says ES256", map[int]any{1: 3, 3: -7, -1: odd(2048), -2: f4}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cose, err := webauthncbor.Marshal(tt.key)
			if err != nil {
				t.Fatal(err)
			}
			b := newBench(t, "")
			_, err = b.claim(t, b.alice, []byte("an id"), cose)
			if tt.good {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			b.refused(err, fido2.ReasonAlgorithm)
		})
	}
}

// old makes the only credential that is stored one of before its key had a name, and changes it otherwise.
func (b *bench) old(t *testing.T, change func(record map[string]any)) {
	t.Helper()
	var rec map[string]any
	if err := json.Unmarshal(b.directory.credentials[0].Data, &rec); err != nil {
		t.Fatal(err)
	}
	delete(rec, "key")
	change(rec)
	var err error
	if b.directory.credentials[0].Data, err = json.Marshal(rec); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsWithoutAName(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	b.old(t, func(map[string]any) {})
	v, err := b.login(a, authn.Subject{})
	if err != nil || v.Evidence.Key != keyName(t, a) {
		t.Fatalf("%s, %v", v.Evidence.Key, err)
	}
	if !strings.Contains(string(v.Update.Data), v.Evidence.Key) {
		t.Errorf("not kept: %s", v.Update.Data)
	}
}

// TestStoredKeysOutOfBounds: keys that were enrolled before there were bounds are held to them at login.
func TestStoredKeysOutOfBounds(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	cose, err := webauthncbor.Marshal(map[int]any{1: 3, 3: -257, -1: slices.Repeat([]byte{0xff}, 8200/8), -2: []byte{1, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	b.old(t, func(record map[string]any) { record["public_key"] = cose })
	_, err = b.login(a, authn.Subject{})
	b.refused(err, fido2.ReasonAlgorithm)
}
