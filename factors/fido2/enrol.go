package fido2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// EnrolChallenge implements factors.Enroller: the options that parseCreationOptionsFromJSON takes.
func (f *Factor) EnrolChallenge(ctx context.Context, e factors.Enrolment) (factors.Challenge, error) {
	party, err := f.party(e.Origin)
	if err != nil {
		return factors.Challenge{}, err
	}
	if err := mayHave(e); err != nil {
		return factors.Challenge{}, err
	}
	had, err := f.had(ctx, e)
	if err != nil {
		return factors.Challenge{}, err
	}
	challenge, err := f.random()
	if err != nil {
		return factors.Challenge{}, err
	}
	exclude, err := excluded(e.Origin.RPID, had)
	if err != nil {
		return factors.Challenge{}, err
	}
	creation, session, err := party.BeginRegistration(account{handle: e.User.Handle, name: e.User.Name, display: e.User.Display},
		webauthn.WithCredentialParameters(f.settings.parameters), webauthn.WithExclusions(exclude), webauthn.WithRegistrationOrigin(e.Origin.URL),
		func(o *protocol.PublicKeyCredentialCreationOptions) error { o.Challenge = challenge; return nil })
	if err != nil {
		return factors.Challenge{}, fmt.Errorf("fido2: %w", err)
	}
	return f.seal(forEnrolment, e.Request, e.User.Subject(), creation.Response, session)
}

// mayHave holds whom a passkey would belong to to what a login will ask.
func mayHave(e factors.Enrolment) error {
	if e.User.Class != authn.ClassPerson {
		return errors.New("fido2: passkeys belong to people")
	}
	if e.Origin.Tenant != "" && e.User.Tenant != e.Origin.Tenant {
		return factors.Reject(ReasonForeignUser, "the origin belongs to another tenant")
	}
	return nil
}

// had are the user's passkeys of this factor, and then of the others of its kind.
func (f *Factor) had(ctx context.Context, e factors.Enrolment) ([]factors.Credential, error) {
	all := slices.Clip(e.Existing)
	for _, other := range f.env.Policy.Factors {
		if other.Kind != KindName || other.Name == f.settings.name {
			continue
		}
		list, err := f.env.Directory.Credentials(ctx, e.User.Tenant, e.User.ID, other.Name)
		if err != nil && !errors.Is(err, factors.ErrNotFound) {
			return nil, fmt.Errorf("fido2: %w", err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// excluded are passkeys for a relying party, flagged ones too: an authenticator that has one makes no second one. It would
// take the place of the first, also where that is another factor's.
func excluded(rpID string, had []factors.Credential) ([]protocol.CredentialDescriptor, error) {
	var list []protocol.CredentialDescriptor
	for _, c := range had {
		rec, err := decode(c.Data)
		if err != nil {
			return nil, err
		}
		if rec.RPID == rpID {
			list = append(list, rec.descriptor())
		}
	}
	return list, nil
}

// Enrol implements factors.Enroller: WebAuthn L3 section 7.1.
func (f *Factor) Enrol(ctx context.Context, e factors.Enrolment) (factors.Credential, error) {
	var none factors.Credential
	party, err := f.party(e.Origin)
	if err != nil {
		return none, err
	}
	if err := mayHave(e); err != nil {
		return none, err
	}
	parsed, err := parseCreation(e.Credential)
	if err != nil {
		return none, err
	}
	env, err := open(e.Challenge, forEnrolment, e.Request, e.User.Subject())
	if err != nil {
		return none, err
	}
	object := &parsed.Response.AttestationObject
	if err := env.answers(parsed.Response.CollectedClientData, object.AuthData, f.settings.userVerification); err != nil {
		return none, err
	}
	key, err := f.settings.acceptable(object.AuthData.AttData)
	if err != nil {
		return none, err
	}
	had, err := f.had(ctx, e)
	if err != nil {
		return none, err
	}
	if slices.ContainsFunc(had, func(c factors.Credential) bool { return c.ID == credentialID(parsed.RawID) }) {
		return none, factors.Reject(ReasonRegistration, "the credential is enrolled already")
	}
	f.settings.overlook(object)
	session := env.Session
	session.UserVerification, session.CredParams = f.settings.userVerification, f.settings.parameters
	made, err := party.CreateCredential(account{handle: e.User.Handle}, session, parsed)
	if err != nil {
		return none, why(err, ReasonRegistration)
	}
	rec := newRecord(e.Origin.RPID, bytes.Clone(e.User.Handle), made, f.settings.trust(*object, e.Now))
	rec.Key = key
	if err := f.settings.permits(rec, e.Now); err != nil {
		return none, err
	}
	data, err := rec.encode()
	if err != nil {
		return none, fmt.Errorf("fido2: %w", err)
	}
	return factors.Credential{ID: credentialID(made.ID), Kind: KindName, Data: data, Best: f.settings.strength(rec, rec.Verified)}, nil
}

// acceptable looks at what the authenticator made before anything is computed with it, and names its key.
func (s *Settings) acceptable(made protocol.AttestedCredentialData) (string, error) {
	var key webauthncose.PublicKeyData
	if len(made.CredentialID) == 0 || webauthncbor.Unmarshal(made.CredentialPublicKey, &key) != nil {
		return "", malformed()
	}
	if !slices.ContainsFunc(s.parameters, func(p protocol.CredentialParameter) bool { return int64(p.Algorithm) == key.Algorithm }) {
		return "", factors.Reject(ReasonAlgorithm, "COSE algorithm %d", key.Algorithm)
	}
	return nameOf(made.CredentialPublicKey)
}
