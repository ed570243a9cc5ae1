package fido2

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
)

// The test vectors of WebAuthn Level 3, through the factor: each is enrolled, then signs in.

type vectors struct {
	Holdout struct {
		Cases  int    `json:"cases"`
		RPID   string `json:"rp_id"`
		Origin string `json:"origin"`
	} `json:"holdout"`
	CA struct {
		Certificate string `json:"attestation_ca_cert"`
	} `json:"attestation_ca"`
	Vectors []vector `json:"vectors"`
}

type vector struct {
	ID             string   `json:"id"`
	Registration   ceremony `json:"registration"`
	Authentication ceremony `json:"authentication"`
}

type ceremony struct {
	Challenge         string `json:"challenge"`
	CredentialID      string `json:"credential_id"`
	ClientData        string `json:"clientDataJSON"`
	AttestationObject string `json:"attestationObject"`
	AuthenticatorData string `json:"authenticatorData"`
	Signature         string `json:"signature"`
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	dir := os.Getenv("SALLYPORT_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "vectors")
	}
	b, err := os.ReadFile(filepath.Join(dir, "webauthn", "w3c-l3-vectors.json"))
	if errors.Is(err, os.ErrNotExist) && os.Getenv("SALLYPORT_TEST_REQUIRE") != "all" {
		t.Skip("the test vectors are not there; SALLYPORT_VECTORS names their folder")
	}
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if 2*len(v.Vectors) != v.Holdout.Cases {
		t.Fatalf("%d vectors, want %d ceremonies", len(v.Vectors), v.Holdout.Cases)
	}
	return v
}

// owner is the one user whom the vectors belong to, and the credential once it is there.
type owner struct {
	factors.Directory
	user       factors.User
	credential factors.Credential
}

func (o *owner) UserByHandle(context.Context, []byte) (factors.User, error) { return o.user, nil }

func (o *owner) Credential(_ context.Context, _, _, id string) (factors.Credential, error) {
	if id != o.credential.ID {
		return factors.Credential{}, factors.ErrNotFound
	}
	return o.credential, nil
}

func (o *owner) Credentials(context.Context, string, string, string) ([]factors.Credential, error) {
	return []factors.Credential{o.credential}, nil
}

type vectorBench struct {
	t       *testing.T
	factor  *Factor
	owner   *owner
	request factors.Request
}

func newVectorBench(t *testing.T, v vectors, settings string) *vectorBench {
	t.Helper()
	o := &owner{user: factors.User{Tenant: "corp", ID: "u", Name: "alice", Handle: []byte("handle of the vectors")}}
	dir := t.TempDir()
	pemBytes := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: unhex(t, v.CA.Certificate)})
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), pemBytes, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse(filepath.Join(dir, "policy.yaml"), []byte(fmt.Sprintf(`version: 1
origin: %s
factors:
  passkey: { kind: fido2, algorithms: [ES256, ES384, ES512, EdDSA, RS256]%s }
methods:
  m: { steps: [passkey] }
rules:
  - { methods: [m] }
`, v.Holdout.Origin, settings)), Kind())
	if err != nil {
		t.Fatal(err)
	}
	f, err := Kind().Build(p.Factors[0].Settings, factors.Env{Policy: p, Directory: o, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return &vectorBench{t, f.(*Factor), o, factors.Request{Now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Origin: p.Origins[0], Subject: o.user.Subject()}}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// asked is the challenge as if the factor had drawn the vector's.
func (b *vectorBench) asked(c factors.Challenge, challenge string) factors.Asked {
	b.t.Helper()
	var e envelope
	if err := json.Unmarshal(c.Data, &e); err != nil {
		b.t.Fatal(err)
	}
	e.Session.Challenge = base64.RawURLEncoding.EncodeToString(unhex(b.t, challenge))
	data, err := json.Marshal(e)
	if err != nil {
		b.t.Fatal(err)
	}
	return factors.Asked{ID: "c", Data: data, Issued: b.request.Now, Expires: b.request.Now.Add(c.Lifetime)}
}

func (b *vectorBench) toJSON(id string, response map[string]string) json.RawMessage {
	b.t.Helper()
	text := base64.RawURLEncoding.EncodeToString(unhex(b.t, id))
	out := map[string]string{}
	for name, value := range response {
		out[name] = base64.RawURLEncoding.EncodeToString(unhex(b.t, value))
	}
	j, err := json.Marshal(map[string]any{"id": text, "rawId": text, "type": "public-key", "response": out, "clientExtensionResults": map[string]any{}})
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

func (b *vectorBench) register(v vector) error {
	b.t.Helper()
	e := factors.Enrolment{Request: b.request, User: b.owner.user}
	c, err := b.factor.EnrolChallenge(context.Background(), e)
	if err != nil {
		b.t.Fatal(err)
	}
	r := v.Registration
	e.Challenge = b.asked(c, r.Challenge)
	e.Credential = b.toJSON(r.CredentialID, map[string]string{"clientDataJSON": r.ClientData, "attestationObject": r.AttestationObject})
	made, err := b.factor.Enrol(context.Background(), e)
	made.Tenant, made.User, made.Factor = "corp", "u", "passkey"
	b.owner.credential = made
	return err
}

func (b *vectorBench) authenticate(v vector) (authn.Evidence, error) {
	b.t.Helper()
	c, err := b.factor.Challenge(context.Background(), b.request)
	if err != nil {
		b.t.Fatal(err)
	}
	a := v.Authentication
	got, err := b.factor.Verify(context.Background(), factors.Verification{Request: b.request, Challenge: b.asked(c, a.Challenge),
		Credential: b.toJSON(v.Registration.CredentialID, map[string]string{"clientDataJSON": a.ClientData,
			"authenticatorData": a.AuthenticatorData, "signature": a.Signature})})
	return got.Evidence, err
}

// refusedVectors are those that are refused on purpose, at registration.
var refusedVectors = map[string]struct {
	want authn.Reason
	why  string
}{
	"none-es256-crossOrigin": {ReasonOrigin, "made in a frame of another origin; the portal is never in one"},
	"none-es256-topOrigin":   {ReasonOrigin, "the same"},
	"packed-ed448":           {ReasonAlgorithm, "EdDSA stands for Ed25519 here; the library knows no Ed448"},
}

func TestVectors(t *testing.T) {
	v := readVectors(t)
	done := 0
	for _, vec := range v.Vectors {
		t.Run(vec.ID, func(t *testing.T) {
			b := newVectorBench(t, v, ", user_verification: preferred")
			err := b.register(vec)
			if no, ok := refusedVectors[vec.ID]; ok {
				wantReason(t, err, no.want)
				return
			}
			if err != nil {
				t.Fatalf("registration: %v", err)
			}
			before := b.owner.credential
			if _, err := b.authenticate(vec); err != nil {
				t.Fatalf("authentication: %v", err)
			}
			done++
			b.owner.credential = before
			signature := unhex(t, vec.Authentication.Signature)
			signature[len(signature)-1] ^= 1
			bad := vec
			bad.Authentication.Signature = hex.EncodeToString(signature)
			_, err = b.authenticate(bad)
			wantReason(t, err, ReasonSignature)
		})
	}
	if want := len(v.Vectors) - len(refusedVectors); done != want {
		t.Errorf("%d vectors signed in, want %d", done, want)
	}
}

// TestVectorsAttested asks for attestation by the vectors' own CA.
func TestVectorsAttested(t *testing.T) {
	v := readVectors(t)
	attested := map[string]bool{"packed-es256": true, "packed-es384": true, "packed-es512": true, "packed-rs256": true, "packed-eddsa": true,
		"fido-u2f-es256": true}
	// The library holds these to roots of Google and Apple, and to its list of vendors: the vectors' are on none.
	pinned := map[string]bool{"android-key-es256": true, "apple-es256": true, "tpm-es256": true}
	for _, vec := range v.Vectors {
		if _, ok := refusedVectors[vec.ID]; ok {
			continue
		}
		t.Run(vec.ID, func(t *testing.T) {
			b := newVectorBench(t, v, ", user_verification: preferred, attestation: direct, attestation_roots: [ca.pem]")
			err := b.register(vec)
			if pinned[vec.ID] {
				wantReason(t, err, ReasonAttestation)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			rec, err := decode(b.owner.credential.Data)
			if err != nil {
				t.Fatal(err)
			}
			if rec.Attested != attested[vec.ID] {
				t.Errorf("attested: %t", rec.Attested)
			}
			if want := attested[vec.ID] && !rec.BackupEligible; b.owner.credential.Best.Hardware != want {
				t.Errorf("hardware: %t, want %t", !want, want)
			}
			b.factor.settings.roots[0] = b.stranger()
			if err := b.register(vec); err != nil {
				t.Fatal(err)
			}
			if b.owner.credential.Best.Hardware {
				t.Error("hardware by a root that it does not lead to")
			}
		})
	}
}

func wantReason(t *testing.T, err error, want authn.Reason) {
	t.Helper()
	var r *factors.Rejection
	if !errors.As(err, &r) || r.Reason != want {
		t.Fatalf("got %v, want a rejection with %s", err, want)
	}
}

// stranger is a root that signed nothing.
func (b *vectorBench) stranger() *x509.Certificate {
	b.t.Helper()
	m, err := fido2test.NewMaker([16]byte{}, b.request.Now)
	if err != nil {
		b.t.Fatal(err)
	}
	return m.Root
}
