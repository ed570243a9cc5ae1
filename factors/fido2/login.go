package fido2

import (
	"bytes"
	"context"
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
	challenge, err := f.random()
	if err != nil {
		return factors.Challenge{}, err
	}
	options := []webauthn.LoginOption{webauthn.WithChallenge(challenge), webauthn.WithUserVerification(f.settings.userVerification),
		webauthn.WithLoginOrigin(r.Origin.URL)}
	if r.Subject.User != "" {
		list, err := f.listed(ctx, r)
		if err != nil {
			return factors.Challenge{}, err
		}
		options = append(options, webauthn.WithAllowedCredentials(list))
	}
	assertion, session, err := party.BeginDiscoverableLogin(options...)
	if err != nil {
		return factors.Challenge{}, fmt.Errorf("fido2: %w", err)
	}
	return f.seal(forLogin, r, r.Subject, assertion.Response, session)
}

// maxListed is how many bytes of credential ids a challenge may list, so that its state stays below what the engine
// keeps. Whoever has more gets the empty list, which works as well: every passkey is discoverable.
const maxListed = 6 << 10

// listed are the credentials that the subject may use here.
func (f *Factor) listed(ctx context.Context, r factors.Request) ([]protocol.CredentialDescriptor, error) {
	all, err := f.env.Directory.Credentials(ctx, r.Subject.Tenant, r.Subject.User, f.settings.name)
	if err != nil && !errors.Is(err, factors.ErrNotFound) {
		return nil, fmt.Errorf("fido2: %w", err)
	}
	var list []protocol.CredentialDescriptor
	size := 0
	for _, c := range all {
		rec, err := decode(c.Data)
		if err != nil {
			return nil, err
		}
		if c.Flagged != "" || rec.RPID != r.Origin.RPID {
			continue
		}
		if size += len(rec.ID) + perListed; size > maxListed {
			return nil, nil
		}
		list = append(list, rec.descriptor())
	}
	return list, nil
}

const perListed = 4 // bytes of JSON around an id

// Verify implements factors.Factor: WebAuthn L3 section 7.2.
func (f *Factor) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	var none factors.Verified
	party, err := f.party(v.Origin)
	if err != nil {
		return none, err
	}
	parsed, err := parseAssertion(v.Credential)
	if err != nil {
		return none, err
	}
	e, err := open(v.Challenge, forLogin, v.Request, v.Subject)
	if err != nil {
		return none, err
	}
	if err := e.answers(parsed.Response.CollectedClientData, parsed.Response.AuthenticatorData, f.settings.userVerification); err != nil {
		return none, err
	}
	own, err := f.find(ctx, e, parsed)
	var rejected *factors.Rejection
	if errors.As(err, &rejected) {
		// As much work as for a credential that is there.
		f.pretend(party, e, parsed)
	}
	if err != nil {
		return none, err
	}
	return f.judge(v.Request, party, e, parsed, own)
}

// found is a credential and whom it belongs to.
type found struct {
	credential factors.Credential
	record     record
	names      authn.Names
}

// find looks up the credential of an assertion. The handle, the credential, its owner's tenant and the subject so far
// must all agree.
func (f *Factor) find(ctx context.Context, e envelope, parsed *protocol.ParsedCredentialAssertionData) (found, error) {
	owner, names, err := f.owner(ctx, e, parsed)
	if errors.As(err, new(*factors.Rejection)) {
		// The look-up that comes next for those who are known.
		_, _ = f.env.Directory.Credential(ctx, e.Subject.Tenant, f.settings.name, credentialID(parsed.RawID))
	}
	if err != nil {
		return found{}, err
	}
	c, err := f.env.Directory.Credential(ctx, owner.Tenant, f.settings.name, credentialID(parsed.RawID))
	if errors.Is(err, factors.ErrNotFound) {
		return found{}, factors.Reject(ReasonUnknown, "the credential is not enrolled")
	}
	if err != nil {
		return found{}, fmt.Errorf("fido2: %w", err)
	}
	if c.Tenant != owner.Tenant || c.User != owner.User || c.Factor != f.settings.name {
		return found{}, factors.Reject(ReasonForeignUser, "the credential is somebody else's than the subject's")
	}
	rec, err := decode(c.Data)
	if err != nil {
		return found{}, err
	}
	if handle := parsed.Response.UserHandle; len(handle) > 0 && !bytes.Equal(handle, rec.Handle) {
		return found{}, factors.Reject(ReasonForeignUser, "the credential was made for another user handle")
	}
	if rec.RPID != e.RPID || !bytes.Equal(rec.ID, parsed.RawID) {
		return found{}, factors.Reject(ReasonUnknown, "the credential was made for another relying party")
	}
	if c.Flagged != "" {
		return found{}, factors.Reject(factors.ReasonFlagged, "%s", c.Flagged)
	}
	if asked := e.Session.AllowedCredentialIDs; len(asked) > 0 && !slices.ContainsFunc(asked, func(id []byte) bool { return bytes.Equal(id, parsed.RawID) }) {
		return found{}, factors.Reject(ReasonUnknown, "the credential is none of those that were asked for")
	}
	return found{c, rec, names}, nil
}

// owner is whose credential it must be: whom the user handle names, and the subject so far. The handle may be missing
// only where credentials were listed (WebAuthn L3 section 7.2 step 6).
func (f *Factor) owner(ctx context.Context, e envelope, parsed *protocol.ParsedCredentialAssertionData) (authn.Subject, authn.Names, error) {
	var names authn.Names
	owner, handle := e.Subject, parsed.Response.UserHandle
	if len(handle) == 0 && len(e.Session.AllowedCredentialIDs) == 0 {
		return owner, names, factors.Reject(ReasonNoHandle, "")
	}
	if len(handle) > 0 {
		u, err := f.env.Directory.UserByHandle(ctx, handle)
		if errors.Is(err, factors.ErrNotFound) {
			return owner, names, factors.Reject(ReasonUnknown, "nobody has this user handle")
		}
		if err != nil {
			return owner, names, fmt.Errorf("fido2: %w", err)
		}
		if owner, err = e.Subject.Narrow(u.Subject()); err != nil {
			return owner, names, factors.Reject(ReasonForeignUser, "the user handle is somebody else's than the subject's")
		}
		names = authn.Names{Tenant: u.Tenant, User: u.Name}
	}
	if e.tenant != "" && owner.Tenant != e.tenant {
		return owner, names, factors.Reject(ReasonForeignUser, "the origin belongs to another tenant")
	}
	if owner.User == "" || owner.Class != authn.ClassPerson {
		return owner, names, factors.Reject(ReasonForeignUser, "passkeys belong to people")
	}
	return owner, names, nil
}

// validate lets the library go through the steps of WebAuthn.
func (f *Factor) validate(party *webauthn.WebAuthn, e envelope, parsed *protocol.ParsedCredentialAssertionData, rec record) (*webauthn.Credential, error) {
	cred := rec.library()
	if parsed.Response.AuthenticatorData.Flags.HasBackupEligible() {
		// Some providers turn credentials made before there was syncing into synced ones, and the library refuses those.
		// That makes them weaker and never stronger, and they are judged by what they are now. The other way round is
		// refused.
		cred.Flags.BackupEligible = true
	}
	session := e.Session
	session.UserID, session.AllowedCredentialIDs = rec.Handle, nil // find has compared them
	session.UserVerification = f.settings.userVerification         // of the policy in force, not of when it was asked
	return party.ValidateLogin(account{handle: rec.Handle, credentials: []webauthn.Credential{cred}}, session, parsed)
}

// pretend verifies the signature with a key that nobody has.
func (f *Factor) pretend(party *webauthn.WebAuthn, e envelope, parsed *protocol.ParsedCredentialAssertionData) {
	rec := f.nobody
	rec.ID, rec.Handle = parsed.RawID, parsed.Response.UserHandle
	_, _ = f.validate(party, e, parsed, rec)
}

// judge holds a credential that the library finds good to what the policy in force asks.
func (f *Factor) judge(r factors.Request, party *webauthn.WebAuthn, e envelope, parsed *protocol.ParsedCredentialAssertionData, own found) (factors.Verified, error) {
	var none factors.Verified
	flags := parsed.Response.AuthenticatorData.Flags
	key, err := own.record.key()
	if err != nil {
		return none, err
	}
	updated, err := f.validate(party, e, parsed, own.record)
	if own.record.BackupEligible && !flags.HasBackupEligible() {
		return none, factors.Reject(ReasonBackupFlags, "a credential that could be copied says that it no longer can")
	}
	if err != nil {
		return none, why(err, ReasonSignature)
	}
	if updated.Authenticator.CloneWarning {
		flagged := own.credential
		return none, &factors.Rejection{Reason: ReasonCounter, Detail: "the counter did not grow", Flag: &flagged}
	}
	rec := own.record
	rec.Key = key
	rec.Counter, rec.BackedUp = updated.Authenticator.SignCount, flags.HasBackupState()
	rec.BackupEligible, rec.Verified = flags.HasBackupEligible(), rec.Verified || flags.HasUserVerified()
	if err := f.settings.permits(rec, r.Now); err != nil {
		return none, err
	}
	update := own.credential
	if update.Data, err = rec.encode(); err != nil {
		return none, fmt.Errorf("fido2: %w", err)
	}
	update.Best, update.Used = f.settings.strength(rec, rec.Verified), r.Now
	return factors.Verified{Update: &update, Evidence: authn.Evidence{
		Factor: f.settings.name, Kind: KindName, At: r.Now, Names: own.names,
		Subject:    authn.Subject{Tenant: own.credential.Tenant, User: own.credential.User},
		Credential: own.credential.ID, Key: key, AMR: rec.amr(),
		Strength: f.settings.strength(rec, flags.HasUserVerified()),
	}}, nil
}
