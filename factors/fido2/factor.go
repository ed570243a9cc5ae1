package fido2

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// maxCredential bounds what a caller may send, in bytes.
const maxCredential = 64 << 10

// Factor verifies passkeys. It is made by [Kind] and safe for concurrent use.
type Factor struct {
	settings *Settings
	env      factors.Env
	parties  map[string]*webauthn.WebAuthn // by relying party id
	nobody   webauthn.Credential           // stands in where there is no credential, so that as much work is done
}

var (
	_ factors.Challenger = (*Factor)(nil)
	_ factors.Enroller   = (*Factor)(nil)
)

// Build implements factors.Kind.
func (kind) Build(s policy.Settings, env factors.Env) (factors.Factor, error) {
	settings, ok := s.(*Settings)
	if !ok {
		return nil, fmt.Errorf("fido2: settings of another kind: %T", s)
	}
	if env.Directory == nil || env.Policy == nil {
		return nil, errors.New("fido2: needs the policy and a directory")
	}
	f := &Factor{settings: settings, env: env, parties: map[string]*webauthn.WebAuthn{}}
	for _, o := range env.Policy.Origins {
		if _, done := f.parties[o.RPID]; done {
			continue
		}
		party, err := settings.party(o.RPID, env.Policy.Origins)
		if err != nil {
			return nil, fmt.Errorf("fido2: %w", err)
		}
		f.parties[o.RPID] = party
	}
	var err error
	f.nobody, err = nobody()
	return f, err
}

// party is the relying party of an id, for all origins that have it.
func (s *Settings) party(id string, origins []policy.Origin) (*webauthn.WebAuthn, error) {
	name := s.rpName
	if name == "" {
		name = id
	}
	c := &webauthn.Config{RPID: id, RPDisplayName: name, AttestationPreference: s.attestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{AuthenticatorAttachment: s.attachment, RequireResidentKey: protocol.ResidentKeyRequired(),
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: s.userVerification},
		// The engine's clock decides when a challenge is too late; the library would ask the machine's.
		Timeouts: webauthn.TimeoutsConfig{Login: webauthn.TimeoutConfig{Timeout: s.timeout, TimeoutUVD: s.timeout},
			Registration: webauthn.TimeoutConfig{Timeout: s.timeout, TimeoutUVD: s.timeout}}}
	for _, o := range origins {
		if o.RPID == id {
			c.RPOrigins = append(c.RPOrigins, o.URL)
		}
	}
	return webauthn.New(c)
}

// nobody makes a credential that nobody has.
func nobody() (webauthn.Credential, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return webauthn.Credential{}, err
	}
	pub, err := key.PublicKey.Bytes() // 0x04, x, y
	if err != nil {
		return webauthn.Credential{}, err
	}
	cose, err := webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: pub[1:33], YCoord: pub[33:65]})
	return webauthn.Credential{PublicKey: cose}, err
}

// Describe implements factors.Factor.
func (f *Factor) Describe() authn.Factor { return f.settings.Describe() }

func (f *Factor) party(o policy.Origin) (*webauthn.WebAuthn, error) {
	p, ok := f.parties[o.RPID]
	if !ok {
		return nil, fmt.Errorf("fido2: no relying party for the origin %q", o.URL)
	}
	return p, nil
}

// purpose keeps the challenges of registration and login apart.
type purpose string

const (
	forLogin     purpose = "login"
	forEnrolment purpose = "enrolment"
)

// envelope is what is kept between a challenge and its answer.
type envelope struct {
	Purpose purpose              `json:"purpose"`
	Origin  string               `json:"origin"`
	Allowed [][]byte             `json:"allowed,omitempty"` // credential ids; empty: any of the user that the handle names
	Session webauthn.SessionData `json:"session"`
}

func (f *Factor) challenge(p purpose, o policy.Origin, options any, session *webauthn.SessionData, allowed [][]byte) (factors.Challenge, error) {
	public, err := json.Marshal(options)
	if err != nil {
		return factors.Challenge{}, fmt.Errorf("fido2: %w", err)
	}
	data, err := json.Marshal(envelope{Purpose: p, Origin: o.URL, Allowed: allowed, Session: *session})
	if err != nil {
		return factors.Challenge{}, fmt.Errorf("fido2: %w", err)
	}
	return factors.Challenge{PublicKey: public, Data: data, Lifetime: f.settings.timeout}, nil
}

// open reads the envelope of a challenge that comes back.
func (f *Factor) open(asked factors.Asked, p purpose, r factors.Request) (envelope, error) {
	var e envelope
	if len(asked.Data) == 0 || json.Unmarshal(asked.Data, &e) != nil {
		return e, factors.Reject(ReasonChallenge, "there is no challenge")
	}
	switch {
	case e.Purpose != p:
		return e, factors.Reject(ReasonChallenge, "it was made for a %s", e.Purpose)
	case e.Origin != r.Origin.URL || e.Session.RelyingPartyID != r.Origin.RPID:
		return e, factors.Reject(ReasonOrigin, "it was made for another origin")
	case !asked.Expires.IsZero() && !r.Now.Before(asked.Expires):
		return e, factors.Reject(authn.ReasonChallengeLate, "")
	}
	e.Session.Expires = time.Time{}
	return e, nil
}

// answers says which of the things that the client was told differ in what it signed. The library checks them too, and
// does not say which.
func answers(e envelope, client protocol.CollectedClientData) error {
	if subtle.ConstantTimeCompare([]byte(client.Challenge), []byte(e.Session.Challenge)) != 1 {
		return factors.Reject(ReasonChallenge, "it answers another challenge")
	}
	if client.Origin != e.Origin {
		return factors.Reject(ReasonOrigin, "it was made for another origin")
	}
	return nil
}

// account is a user as the library sees it.
type account struct {
	handle      []byte
	name        string
	display     string
	credentials []webauthn.Credential
}

func (a account) WebAuthnID() []byte                         { return a.handle }
func (a account) WebAuthnName() string                       { return a.name }
func (a account) WebAuthnDisplayName() string                { return a.display }
func (a account) WebAuthnCredentials() []webauthn.Credential { return a.credentials }

// record is what is stored of a credential.
type record struct {
	Version    int                 `json:"v"`
	RPID       string              `json:"rp_id"`
	Handle     []byte              `json:"handle"` // of its owner
	Attested   bool                `json:"attested,omitempty"`
	Credential webauthn.Credential `json:"credential"`
}

const recordVersion = 1

func (f *Factor) encode(r record) ([]byte, error) {
	r.Version = recordVersion
	r.Credential.Attestation = webauthn.CredentialAttestation{} // it was judged; keeping it would make rows large
	return json.Marshal(r)
}

func decode(data []byte) (record, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil || r.Version != recordVersion {
		return r, errors.New("fido2: a stored credential cannot be read")
	}
	return r, nil
}

// strength is what a passkey is worth when the authenticator said flags.
func (f *Factor) strength(r record, verified bool) authn.Strength {
	return authn.Strength{Category: authn.Have, PhishingResistant: true,
		UserVerified: verified && f.settings.userVerification != protocol.VerificationDiscouraged,
		Hardware:     r.Attested && f.settings.trusting() && !r.Credential.Flags.BackupEligible}
}

func amr(r record) []string {
	if r.Credential.Flags.BackupEligible {
		return []string{"swk", "user"}
	}
	return []string{"hwk", "user"}
}

// tooLarge rejects what is not even looked at.
func tooLarge(b []byte) error {
	if len(b) > maxCredential {
		return factors.Reject(factors.ReasonMalformed, "larger than %d bytes", maxCredential)
	}
	return nil
}

// why sorts an error of the library. Its text goes to the audit log: it names steps and fields, not values of the caller's.
func why(err error, other authn.Reason) error {
	var e *protocol.Error
	if !errors.As(err, &e) {
		return factors.Reject(other, "")
	}
	switch e.Type {
	case protocol.ErrAssertionSignature.Type:
		return factors.Reject(ReasonSignature, "the signature is wrong")
	case protocol.ErrParsingData.Type:
		return factors.Reject(factors.ReasonMalformed, "")
	}
	return factors.Reject(other, "%s", e.Details)
}
