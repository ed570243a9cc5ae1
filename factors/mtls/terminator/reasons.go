package terminator

import "github.com/sallyport-auth/sallyport/authn"

// Reasons why what a terminator sent, or somebody who is none, is refused. They are stable. Too many bytes or
// certificates are mtls.ReasonTooLarge.
const (
	// ReasonSender: headers that only the terminator may send came from somebody else.
	ReasonSender authn.Reason = "certificate_sender_untrusted"
	// ReasonRepeated: a header occurs more than once.
	ReasonRepeated authn.Reason = "certificate_header_repeated"
	// ReasonAlias: a header passes for one of the terminator's where letters, digits and dashes are all that counts.
	ReasonAlias authn.Reason = "certificate_header_alias"
	// ReasonMissing: a header is missing that the terminator sends on every request.
	ReasonMissing authn.Reason = "certificate_header_missing"
	// ReasonMalformed: a certificate is not written as the format has it, or the chain is not.
	ReasonMalformed authn.Reason = "certificate_header_malformed"
	// ReasonContradiction: the headers disagree about whether there is a certificate.
	ReasonContradiction authn.Reason = "certificate_headers_contradict"
	// ReasonNotVerified: there is a certificate, and the terminator does not say that it is good.
	ReasonNotVerified authn.Reason = "certificate_not_verified"
	// ReasonFingerprint: the fingerprint that came with the certificate is another's.
	ReasonFingerprint authn.Reason = "certificate_fingerprint_differs"
)
