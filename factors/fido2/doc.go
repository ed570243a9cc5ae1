// Package fido2 is the factor of passkeys and other FIDO2 authenticators (WebAuthn Level 3), on go-webauthn.
//
// A passkey is used inside a method and never around it: whoever the user handle names must be the subject that earlier
// steps proved, if they proved one. What the library leaves to its caller is done here: user verification is read from
// the policy in force and checked on the result, a counter that went back refuses and flags the credential, a
// registration's challenge is no login's, and attestation counts only against configured roots or metadata.
package fido2

import "github.com/sallyport-auth/sallyport/authn"

// KindName is the value of "kind:" in the policy file.
const KindName = "fido2"

// Reasons of rejections. They are stable.
const (
	ReasonUnknown        authn.Reason = "passkey_unknown"              // no such user handle or credential
	ReasonForeignUser    authn.Reason = "passkey_foreign_user"         // it belongs to somebody else than the subject
	ReasonNoHandle       authn.Reason = "passkey_without_user_handle"  // nothing says whose it is
	ReasonSignature      authn.Reason = "passkey_bad_signature"        // or any other part of WebAuthn L3 section 7.2 that failed
	ReasonOrigin         authn.Reason = "passkey_wrong_origin"         // made for another origin or relying party
	ReasonNotPresent     authn.Reason = "passkey_user_not_present"     // nobody touched it
	ReasonNotVerified    authn.Reason = "passkey_user_not_verified"    // the policy wants the holder verified
	ReasonCounter        authn.Reason = "passkey_counter"              // the counter did not grow: it may have been copied
	ReasonNotDeviceBound authn.Reason = "passkey_not_device_bound"     // it can be copied to other devices
	ReasonAuthenticator  authn.Reason = "passkey_authenticator_denied" // its model is not allowed
	ReasonAttestation    authn.Reason = "passkey_attestation"          // the attestation is missing or not to be trusted
	ReasonChallenge      authn.Reason = "passkey_challenge"            // the challenge was made for something else
	ReasonAlgorithm      authn.Reason = "passkey_algorithm"            // not an algorithm that the policy lists, or a key out of bounds
	ReasonRegistration   authn.Reason = "passkey_registration"         // WebAuthn L3 section 7.1 failed
	ReasonBackupFlags    authn.Reason = "passkey_backup_flags"         // the flags changed in a way that cannot be
)
