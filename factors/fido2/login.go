package fido2

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// Challenge implements factors.Challenger: the options that parseRequestOptionsFromJSON takes. Credentials are listed
// only where evidence named the user already; otherwise the list is empty, and the passkey says whose it is.
func (f *Factor) Challenge(ctx context.Context, r factors.Request) (factors.Challenge, error) {
	party, err := f.party(r.Origin)
	if err != nil {
		return factors.Challenge{}, err
	}
	options := []webauthn.LoginOption{webauthn.WithUserVerification(f.settings.userVerification), webauthn.WithLoginOrigin(r.Origin.URL)}
	var allowed [][]byte
	if r.Subject.User != "" {
		list, err := f.listed(ctx, r)
		if err != nil {
			return factors.Challenge{}, err
		}
		for _, d := range list {
			allowed = append(allowed, d.CredentialID)
		}
		options = append(options, webauthn.WithAllowedCredentials(list))
	}
	assertion, session, err := party.BeginDiscoverableLogin(options...)
	if err != nil {
		return factors.Challenge{}, fmt.Errorf("fido2: %w", err)
	}
	return f.challenge(forLogin, r.Origin, assertion.Response, session, allowed)
}

// listed are the credentials that the subject may use here.
func (f *Factor) listed(ctx context.Context, r factors.Request) ([]protocol.CredentialDescriptor, error) {
	all, err := f.env.Directory.Credentials(ctx, r.Subject.Tenant, r.Subject.User, f.settings.name)
	if err != nil && !errors.Is(err, factors.ErrNotFound) {
		return nil, fmt.Errorf("fido2: %w", err)
	}
	var list []protocol.CredentialDescriptor
	for _, c := range all {
		rec, err := decode(c.Data)
		if err != nil {
			return nil, err
		}
		if c.Flagged == "" && rec.RPID == r.Origin.RPID {
			list = append(list, rec.Credential.Descriptor())
		}
	}
	return list, nil
}

// Verify implements factors.Factor: WebAuthn L3 section 7.2.
func (f *Factor) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	var none factors.Verified
	if err := tooLarge(v.Credential); err != nil {
		return none, err
	}
	party, err := f.party(v.Origin)
	if err != nil {
		return none, err
	}
	e, err := f.open(v.Challenge, forLogin, v.Request)
	if err != nil {
		return none, err
	}
	parsed, err := parseAssertion(v.Credential)
	if err != nil {
		return none, err
	}
	own, err := f.find(ctx, v.Request, parsed)
	var rejected *factors.Rejection
	if errors.As(err, &rejected) {
		// As much work as for a credential that is there.
		_, _ = f.validate(party, e, parsed, record{Credential: f.nobody, Handle: parsed.Response.UserHandle})
	}
	if err != nil {
		return none, err
	}
	if len(e.Allowed) > 0 && !slices.ContainsFunc(e.Allowed, func(id []byte) bool { return bytes.Equal(id, parsed.RawID) }) {
		return none, factors.Reject(ReasonUnknown, "it is none of those that were asked for")
	}
	return f.judge(v.Request, party, e, parsed, own)
}

func parseAssertion(credential json.RawMessage) (*protocol.ParsedCredentialAssertionData, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(credential)
	if err != nil || parsed == nil || len(parsed.RawID) == 0 || len(parsed.RawID) > 1023 {
		return nil, factors.Reject(factors.ReasonMalformed, "")
	}
	return parsed, nil
}

// found is a credential and whom it belongs to.
type found struct {
	credential factors.Credential
	record     record
	names      authn.Names
}

// find looks up the credential of an assertion. The handle, the credential, its owner's tenant and the subject so far
// must all agree.
func (f *Factor) find(ctx context.Context, r factors.Request, parsed *protocol.ParsedCredentialAssertionData) (found, error) {
	handle := parsed.Response.UserHandle
	owner := r.Subject
	var names authn.Names
	if len(handle) > 0 {
		u, err := f.env.Directory.UserByHandle(ctx, handle)
		if errors.Is(err, factors.ErrNotFound) {
			return found{}, factors.Reject(ReasonUnknown, "nobody has this user handle")
		}
		if err != nil {
			return found{}, fmt.Errorf("fido2: %w", err)
		}
		if owner, err = r.Subject.Narrow(u.Subject()); err != nil {
			return found{}, factors.Reject(ReasonForeignUser, "the user handle is somebody else's than the subject's")
		}
		names = authn.Names{Tenant: u.Tenant, User: u.Name}
	}
	if owner.User == "" {
		return found{}, factors.Reject(ReasonNoHandle, "")
	}
	c, err := f.env.Directory.Credential(ctx, owner.Tenant, f.settings.name, credentialID(parsed.RawID))
	if errors.Is(err, factors.ErrNotFound) {
		return found{}, factors.Reject(ReasonUnknown, "the credential is not enrolled")
	}
	if err != nil {
		return found{}, fmt.Errorf("fido2: %w", err)
	}
	if c.Tenant != owner.Tenant || c.User != owner.User {
		return found{}, factors.Reject(ReasonForeignUser, "the credential is somebody else's than the subject's")
	}
	if c.Flagged != "" {
		return found{}, factors.Reject(factors.ReasonFlagged, "%s", c.Flagged)
	}
	rec, err := decode(c.Data)
	if err != nil {
		return found{}, err
	}
	if rec.RPID != r.Origin.RPID || len(handle) > 0 && !bytes.Equal(handle, rec.Handle) {
		return found{}, factors.Reject(ReasonForeignUser, "the credential was made for another relying party or handle")
	}
	return found{c, rec, names}, nil
}

func credentialID(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// validate lets the library go through the steps of WebAuthn.
func (f *Factor) validate(party *webauthn.WebAuthn, e envelope, parsed *protocol.ParsedCredentialAssertionData, rec record) (*webauthn.Credential, error) {
	cred := rec.Credential
	if cred.ID == nil {
		cred.ID = parsed.RawID
	}
	flags := parsed.Response.AuthenticatorData.Flags
	if flags.HasBackupEligible() && !cred.Flags.BackupEligible {
		// Some providers turn credentials made before there was syncing into synced ones. That makes them weaker, never
		// stronger, and is judged by what it is now. The other way round the library refuses.
		cred.Flags.BackupEligible = true
	}
	session := e.Session
	session.UserID, session.AllowedCredentialIDs = rec.Handle, nil
	session.UserVerification = f.settings.userVerification
	return party.ValidateLogin(account{handle: rec.Handle, credentials: []webauthn.Credential{cred}}, session, parsed)
}

// judge holds a credential that the library found good to what the policy in force asks.
func (f *Factor) judge(r factors.Request, party *webauthn.WebAuthn, e envelope, parsed *protocol.ParsedCredentialAssertionData, own found) (factors.Verified, error) {
	var none factors.Verified
	flags := parsed.Response.AuthenticatorData.Flags
	if f.settings.userVerification == protocol.VerificationRequired && !flags.HasUserVerified() {
		return none, factors.Reject(ReasonNotVerified, "")
	}
	if own.record.Credential.Flags.BackupEligible && !flags.HasBackupEligible() {
		return none, factors.Reject(ReasonBackupFlags, "a credential that could be copied says that it no longer can")
	}
	if err := answers(e, parsed.Response.CollectedClientData); err != nil {
		return none, err
	}
	updated, err := f.validate(party, e, parsed, own.record)
	if err != nil {
		return none, why(err, ReasonSignature)
	}
	if updated.Authenticator.CloneWarning {
		flagged := own.credential
		return none, &factors.Rejection{Reason: ReasonCounter, Detail: "the counter did not grow", Flag: &flagged}
	}
	if f.settings.deviceBound && flags.HasBackupEligible() {
		return none, factors.Reject(ReasonNotDeviceBound, "")
	}
	if err := f.modelAllowed(updated.Authenticator.AAGUID, r.Now); err != nil {
		return none, err
	}
	if len(f.settings.allow) > 0 && !own.record.Attested {
		return none, factors.Reject(ReasonAttestation, "its model was never proven")
	}
	rec := own.record
	rec.Credential = *updated
	data, err := f.encode(rec)
	if err != nil {
		return none, fmt.Errorf("fido2: %w", err)
	}
	update := own.credential
	update.Data, update.Best = data, f.strength(rec, rec.Credential.Flags.UserVerified || flags.HasUserVerified())
	return factors.Verified{Update: &update, Evidence: authn.Evidence{
		Factor: f.settings.name, Kind: KindName, At: r.Now, Names: own.names,
		Subject:    authn.Subject{Tenant: own.credential.Tenant, User: own.credential.User},
		Credential: own.credential.ID, Key: "fido2:" + own.credential.ID, AMR: amr(rec), Strength: f.strength(rec, flags.HasUserVerified()),
	}}, nil
}
