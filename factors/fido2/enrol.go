package fido2

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/sallyport-auth/sallyport/factors"
)

// EnrolChallenge implements factors.Enroller: the options that parseCreationOptionsFromJSON takes.
func (f *Factor) EnrolChallenge(_ context.Context, e factors.Enrolment) (factors.Challenge, error) {
	party, err := f.party(e.Origin)
	if err != nil {
		return factors.Challenge{}, err
	}
	var exclude []protocol.CredentialDescriptor
	for _, c := range e.Existing {
		rec, err := decode(c.Data)
		if err != nil {
			return factors.Challenge{}, err
		}
		if rec.RPID == e.Origin.RPID {
			exclude = append(exclude, rec.Credential.Descriptor())
		}
	}
	creation, session, err := party.BeginRegistration(account{handle: e.User.Handle, name: e.User.Name, display: e.User.Display},
		webauthn.WithCredentialParameters(f.settings.parameters), webauthn.WithExclusions(exclude), webauthn.WithRegistrationOrigin(e.Origin.URL))
	if err != nil {
		return factors.Challenge{}, fmt.Errorf("fido2: %w", err)
	}
	return f.challenge(forEnrolment, e.Origin, creation.Response, session, nil)
}

// Enrol implements factors.Enroller: WebAuthn L3 section 7.1.
func (f *Factor) Enrol(_ context.Context, e factors.Enrolment) (factors.Credential, error) {
	var none factors.Credential
	if err := tooLarge(e.Credential); err != nil {
		return none, err
	}
	party, err := f.party(e.Origin)
	if err != nil {
		return none, err
	}
	env, err := f.open(e.Challenge, forEnrolment, e.Request)
	if err != nil {
		return none, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(e.Credential)
	if err != nil || parsed == nil {
		return none, factors.Reject(factors.ReasonMalformed, "")
	}
	flags := parsed.Response.AttestationObject.AuthData.Flags
	if f.settings.userVerification == protocol.VerificationRequired && !flags.HasUserVerified() {
		return none, factors.Reject(ReasonNotVerified, "")
	}
	if err := answers(env, parsed.Response.CollectedClientData); err != nil {
		return none, err
	}
	session := env.Session
	session.UserVerification = f.settings.userVerification
	made, err := party.CreateCredential(account{handle: e.User.Handle}, session, parsed)
	if err != nil {
		return none, why(err, ReasonRegistration)
	}
	if f.settings.deviceBound && made.Flags.BackupEligible {
		return none, factors.Reject(ReasonNotDeviceBound, "")
	}
	attested, err := f.attested(parsed, made, e.Now)
	if err != nil {
		return none, err
	}
	rec := record{RPID: e.Origin.RPID, Handle: e.User.Handle, Attested: attested, Credential: *made}
	data, err := f.encode(rec)
	if err != nil {
		return none, fmt.Errorf("fido2: %w", err)
	}
	return factors.Credential{ID: credentialID(made.ID), Kind: KindName, Data: data, Best: f.strength(rec, flags.HasUserVerified())}, nil
}

// attested judges the model of an authenticator: by the lists and, where there are roots or metadata, by its
// attestation. An attestation that leads nowhere counts for nothing; where a list of allowed models needs one, it refuses.
func (f *Factor) attested(parsed *protocol.ParsedCredentialCreationData, made *webauthn.Credential, now time.Time) (bool, error) {
	if err := f.modelAllowed(made.Authenticator.AAGUID, now); err != nil {
		return false, err
	}
	ok := f.settings.trusting() && f.chainTrusted(parsed.Response.AttestationObject.AttStatement, aaguid(made.Authenticator.AAGUID), now)
	if !ok && len(f.settings.allow) > 0 {
		return false, factors.Reject(ReasonAttestation, "its model cannot be proven")
	}
	return ok, nil
}

func aaguid(b []byte) uuid.UUID {
	id, err := uuid.FromBytes(b)
	if err != nil {
		return uuid.Nil
	}
	return id
}

// modelAllowed asks the lists, and the metadata whether the model was found broken.
func (f *Factor) modelAllowed(b []byte, now time.Time) error {
	id := aaguid(b)
	if slices.Contains(f.settings.deny, id) || len(f.settings.allow) > 0 && !slices.Contains(f.settings.allow, id) {
		return factors.Reject(ReasonAuthenticator, "model %s", id)
	}
	entry, known := f.settings.metadata[id]
	if !known {
		return nil
	}
	if err := metadata.ValidateStatusReportsAt(entry.StatusReports, nil, metadata.DefaultUndesiredAuthenticatorStatuses(), now); err != nil {
		return factors.Reject(ReasonAuthenticator, "model %s is reported as broken", id)
	}
	return nil
}

// chainTrusted reports whether the certificates of an attestation statement lead to a configured root, or to one that the
// metadata names for this very model. The library has verified the statement's signature by the first of them.
func (f *Factor) chainTrusted(statement map[string]any, id uuid.UUID, now time.Time) bool {
	chain := chainOf(statement)
	if len(chain) == 0 {
		return false
	}
	roots := slices.Clone(f.settings.roots)
	if entry, ok := f.settings.metadata[id]; ok && id != uuid.Nil {
		roots = append(roots, entry.MetadataStatement.AttestationRootCertificates...)
	}
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, root := range roots {
		if root.Equal(chain[0]) {
			return !now.Before(root.NotBefore) && !now.After(root.NotAfter)
		}
		opts.Roots.AddCert(root)
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	// Attestation certificates of TPMs carry their names in a critical extension that crypto/x509 does not know.
	chain[0].UnhandledCriticalExtensions = nil
	_, err := chain[0].Verify(opts)
	return err == nil
}

const maxChain = 8

func chainOf(statement map[string]any) []*x509.Certificate {
	x5c, ok := statement["x5c"].([]any)
	if !ok || len(x5c) > maxChain {
		return nil
	}
	var chain []*x509.Certificate
	for _, item := range x5c {
		der, ok := item.([]byte)
		if !ok {
			return nil
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil
		}
		chain = append(chain, c)
	}
	return chain
}
