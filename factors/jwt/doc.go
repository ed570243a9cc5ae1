// Package jwt is the factor of bearer tokens: signed JSON Web Tokens that somebody trusted issued, one of which comes with
// each request (RFC 6750, RFC 7519, and RFC 8725 and RFC 9068 for how they are checked).
//
// The policy says who may sign, with what, for whom: nothing in a token has a say in how it is verified. A token that is
// bound to a certificate (RFC 8705 section 3) or to a key (DPoP, RFC 9449) is good only together with it. Its evidence is
// worth nothing beyond the request that carried it.
//
// Tokens that were verified are remembered under a hash of theirs, with a secret of this process in it. What is remembered
// is what the issuer said and nothing more: time, denials, the binding, the user and the session are checked each time.
package jwt

import "github.com/sallyport-auth/sallyport/authn"

// KindName is the value of "kind:" in a policy file.
const KindName = "jwt"

// amr is no value of RFC 8176, which has none for tokens.
const amr = "jwt"

var (
	strength = authn.Strength{Category: authn.Have}
	amrs     = []string{amr}
)

// Reasons why a token is refused, beside those of its form and signature. They are stable. A token that is denied is
// factors.ReasonRevoked, one of somebody unknown factors.ReasonUserUnknown, a request without any factors.ReasonNoToken,
// and one without the certificate that its token is bound to factors.ReasonNoCertificate.
const (
	// ReasonType: its typ is none of those that the policy takes.
	ReasonType authn.Reason = "token_type_not_allowed"
	// ReasonOtherUse: it has claims of another kind of token: an ID token, a logout token, a security event, a DPoP proof.
	ReasonOtherUse authn.Reason = "token_for_other_use"
	// ReasonKey: no key is known that may have signed it.
	ReasonKey authn.Reason = "token_unknown_key"
	// ReasonIssuer and ReasonAudience: it is somebody else's, or for somebody else.
	ReasonIssuer   authn.Reason = "token_other_issuer"
	ReasonAudience authn.Reason = "token_other_audience"
	// ReasonExpired, ReasonNotYet, ReasonFuture and ReasonTooOld: it is over, does not hold yet, claims to be issued in the
	// future, or was issued too long ago.
	ReasonExpired authn.Reason = "token_expired"
	ReasonNotYet  authn.Reason = "token_not_yet_valid"
	ReasonFuture  authn.Reason = "token_issued_in_the_future"
	ReasonTooOld  authn.Reason = "token_too_old"
	// ReasonClaimMissing: it lacks a claim that every token has, or that the policy requires.
	ReasonClaimMissing authn.Reason = "token_claim_missing"
	// ReasonClaim: a claim is not what such a claim is, or too long.
	ReasonClaim authn.Reason = "token_bad_claim"
	// ReasonScope: it lacks a scope that the policy requires.
	ReasonScope authn.Reason = "token_scope_missing"
	// ReasonUnmapped: the claim that names the user does not have the form that the policy says.
	ReasonUnmapped authn.Reason = "token_unmapped"
	// ReasonSPIFFE: its subject is no SPIFFE ID of the trust domain.
	ReasonSPIFFE authn.Reason = "token_other_trust_domain"
	// ReasonTenant: it is good for another tenant, or none is known.
	ReasonTenant authn.Reason = "token_other_tenant"
	// ReasonSession: the session that it was made from is over.
	ReasonSession authn.Reason = "token_session_over"
)

// Reasons why what a token is bound to is refused. They are stable.
const (
	// ReasonUnbound: it is not bound to what the policy wants it bound to.
	ReasonUnbound authn.Reason = "token_not_bound"
	// ReasonConfirmation: it is bound to something that cannot be checked here, or to nothing that can be read.
	ReasonConfirmation authn.Reason = "token_bad_confirmation"
	// ReasonOtherCertificate: it is bound to another certificate than the request's.
	ReasonOtherCertificate authn.Reason = "token_other_certificate"
	// ReasonEarlyData: the certificate was seen before the handshake was complete, so the request may be a replay.
	ReasonEarlyData authn.Reason = "early_data"
	// ReasonScheme: a token that is bound to a key was presented as a bearer token, or the reverse.
	ReasonScheme authn.Reason = "token_wrong_scheme"
	// ReasonProofMissing: there is no proof of the key that it is bound to.
	ReasonProofMissing authn.Reason = "proof_missing"
	// ReasonProof: the proof is not what a proof is (RFC 9449 section 4.2).
	ReasonProof authn.Reason = "proof_malformed"
	// ReasonProofSignature: the key in the proof did not sign it.
	ReasonProofSignature authn.Reason = "proof_bad_signature"
	// ReasonProofNonce: the proof has no nonce of this factor's, or one that is too old. The caller is given another.
	ReasonProofNonce authn.Reason = "proof_without_nonce"
	// ReasonProofMethod, ReasonProofURL, ReasonProofToken: it is of another method, address or token.
	ReasonProofMethod authn.Reason = "proof_other_method"
	ReasonProofURL    authn.Reason = "proof_other_url"
	ReasonProofToken  authn.Reason = "proof_other_token"
	// ReasonProofTime: it was not made just now.
	ReasonProofTime authn.Reason = "proof_not_fresh"
	// ReasonProofKey: it is of another key than the token is bound to.
	ReasonProofKey authn.Reason = "proof_other_key"
	// ReasonProofReplayed: it was used before.
	ReasonProofReplayed authn.Reason = "proof_replayed"
)
