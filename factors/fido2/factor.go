package fido2

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// Factor verifies passkeys. It is made by [Kind] and safe for concurrent use.
type Factor struct {
	settings *Settings
	env      factors.Env
	parties  map[string]*webauthn.WebAuthn // by relying party id
	nobody   record                        // stands in where there is no credential, so that as much work is done
}

var (
	_ factors.Challenger = (*Factor)(nil)
	_ factors.Enroller   = (*Factor)(nil)
	_ factors.Targeted   = (*Factor)(nil)
)

// Build implements factors.Kind. The factor is a [*Factor].
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
		// Browsers and their extensions add outputs that nobody asked for. None is read here.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
		// How long browsers wait. That an answer is too late is found by the request's clock and not by the library.
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
func nobody() (record, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return record{}, err
	}
	point, err := key.PublicKey.Bytes() // 0x04, x, y
	if err != nil {
		return record{}, err
	}
	cose, err := webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:65]})
	return record{PublicKey: cose}, err
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

// why sorts an error of the library. Its text goes to the audit log: it names steps and fields, and is cut short because
// it may quote the caller.
func why(err error, other authn.Reason) error {
	var e *protocol.Error
	if !errors.As(err, &e) {
		return factors.Reject(other, "")
	}
	switch e.Type {
	case protocol.ErrAssertionSignature.Type:
		return factors.Reject(ReasonSignature, "the signature is wrong")
	case protocol.ErrParsingData.Type:
		return malformed()
	case protocol.ErrAttestation.Type, protocol.ErrInvalidAttestation.Type, protocol.ErrAttestationCertificate.Type,
		protocol.ErrNotImplemented.Type, protocol.ErrNotSpecImplemented.Type:
		other = ReasonAttestation
	}
	return factors.Reject(other, "%s", printable(e.Details))
}

func printable(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
}
