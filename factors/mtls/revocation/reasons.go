package revocation

import (
	"errors"
	"fmt"

	"github.com/sallyport-auth/sallyport/authn"
)

// What is found about a certificate. They are stable. A certificate that is revoked is factors.ReasonRevoked.
const (
	// ReasonGood: every certificate of the path that must be looked up was, and none is revoked. It is only counted.
	ReasonGood authn.Reason = "revocation_good"
	// ReasonStaleAllowed: as before, by an answer that is too old, for no longer than the policy allows. It is only
	// counted.
	ReasonStaleAllowed authn.Reason = "revocation_stale_allowed"
	// ReasonUnknown: no list is about it and no responder is asked about it, or the responder that its issuer trusts does
	// not know it. It is a rejection.
	ReasonUnknown authn.Reason = "revocation_unknown"
	// ReasonStale: the newest answer is too old, and no newer one was got. Nothing was decided.
	ReasonStale authn.Reason = "revocation_stale"
	// ReasonUnavailable: there was never an answer that could be used, and none was got now. Nothing was decided.
	ReasonUnavailable authn.Reason = "revocation_unavailable"
)

// What is wrong with a list or an answer that was offered. They are stable. What was known before stays in force.
const (
	// ReasonUnreachable: the server cannot be reached, is too slow, or answers with anything but what was asked for.
	ReasonUnreachable authn.Reason = "revocation_unreachable"
	// ReasonTooLarge: over the bounds.
	ReasonTooLarge authn.Reason = "revocation_too_large"
	// ReasonMalformed: it breaks a rule of RFC 5280 or RFC 6960: a list without number or nextUpdate, for example.
	ReasonMalformed authn.Reason = "revocation_malformed"
	// ReasonUnsupported: an indirect list, or a critical extension that is not known.
	ReasonUnsupported authn.Reason = "revocation_unsupported"
	// ReasonSignature: it is not signed by the key that the issuer signs with, or by nobody the issuer let sign, or the
	// algorithm is too weak.
	ReasonSignature authn.Reason = "revocation_signature"
	// ReasonRolledBack: it is older than what is known already.
	ReasonRolledBack authn.Reason = "revocation_rolled_back"
	// ReasonNotYet: it begins in the future.
	ReasonNotYet authn.Reason = "revocation_not_yet"
	// ReasonExpired: an answer that ended before it was given.
	ReasonExpired authn.Reason = "revocation_expired"
	// ReasonOtherCertificate: the answer is about another certificate.
	ReasonOtherCertificate authn.Reason = "revocation_other_certificate"
	// ReasonNonce: the answer is to another question.
	ReasonNonce authn.Reason = "revocation_nonce"
	// ReasonNotStored: a list could not be kept for the next start, or what was kept could not be read.
	ReasonNotStored authn.Reason = "revocation_not_stored"
)

// Fault says what is wrong with a list or an answer.
type Fault struct {
	Reason authn.Reason
	Detail string // for operators
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("revocation: %s: %s", f.Reason, f.Detail) }

func fault(why authn.Reason, format string, args ...any) *Fault {
	return &Fault{why, fmt.Sprintf(format, args...)}
}

// faultOf is the fault that an error is, or is because of; nil: it is because of none.
func faultOf(err error) *Fault {
	f, _ := errors.AsType[*Fault](err)
	return f
}

// UndecidedError says that nothing is known, of a certificate that may well be good: refuse, and count nothing against the
// caller. Reason is [ReasonStale] or [ReasonUnavailable].
type UndecidedError struct {
	Reason authn.Reason
	Cause  error // why nothing newer was got; nil: nothing was asked for
}

// Error implements error.
func (e *UndecidedError) Error() string {
	if e.Cause == nil {
		return "revocation: " + string(e.Reason)
	}
	return fmt.Sprintf("revocation: %s: %v", e.Reason, e.Cause)
}

// Unwrap is the cause.
func (e *UndecidedError) Unwrap() error { return e.Cause }
