package mtls

import "github.com/sallyport-auth/sallyport/authn"

// Reasons why a certificate is refused. They are stable. A certificate that is denied is factors.ReasonRevoked, one that
// names somebody unknown factors.ReasonUserUnknown, a request without any factors.ReasonNoCertificate.
const (
	// ReasonUntrusted: no path leads from it to an anchor of this factor, or it is an anchor itself.
	ReasonUntrusted authn.Reason = "certificate_untrusted"
	// ReasonExpired and ReasonNotYetValid: the path is good, at another time.
	ReasonExpired     authn.Reason = "certificate_expired"
	ReasonNotYetValid authn.Reason = "certificate_not_yet_valid"
	// ReasonNotForClients: its key usages do not say that it is for TLS clients, and for nothing more than that.
	ReasonNotForClients authn.Reason = "certificate_not_for_clients"
	// ReasonIsCA: it may sign other certificates.
	ReasonIsCA authn.Reason = "certificate_is_ca"
	// ReasonAmbiguous: it has more than one value where one is meant.
	ReasonAmbiguous authn.Reason = "certificate_ambiguous"
	// ReasonBadName: a name in it holds characters that could pass for another name, or is too long.
	ReasonBadName authn.Reason = "certificate_bad_name"
	// ReasonWeak: a key or signature in its path is too weak.
	ReasonWeak authn.Reason = "certificate_weak"
	// ReasonNonconforming: it breaks a rule of RFC 5280 that a login insists on.
	ReasonNonconforming authn.Reason = "certificate_nonconforming"
	// ReasonTooLarge: it, or the chain presented with it, is over the bounds.
	ReasonTooLarge authn.Reason = "certificate_too_large"
	// ReasonUnmapped: no rule matches it.
	ReasonUnmapped authn.Reason = "certificate_unmapped"
	// ReasonForeignTenant: it names a tenant that its anchor may not speak for.
	ReasonForeignTenant authn.Reason = "certificate_foreign_tenant"
	// ReasonTrustDomain: the anchor at the end of its path does not vouch for its SPIFFE ID, or wants one.
	ReasonTrustDomain authn.Reason = "certificate_trust_domain"
	// ReasonNotEnrolled: it is not one that the user enrolled.
	ReasonNotEnrolled authn.Reason = "certificate_not_enrolled"
	// ReasonOtherSubject: it maps to somebody else than the session or the enrolment belongs to.
	ReasonOtherSubject authn.Reason = "certificate_other_subject"
	// ReasonOtherSource: it was seen elsewhere than the one that the session was won with.
	ReasonOtherSource authn.Reason = "certificate_other_source"
	// ReasonEarlyData: the request was sent before the handshake was complete, so it may be a replay.
	ReasonEarlyData authn.Reason = "early_data"
)
