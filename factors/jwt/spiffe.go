package jwt

import (
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/sallyport-auth/sallyport/authn/policy"
)

func (out *Settings) readSPIFFE(s *policy.Section, w written) error {
	if w.SPIFFE == nil {
		return nil
	}
	domain, err := spiffeid.TrustDomainFromString(w.SPIFFE.TrustDomain)
	if err != nil || domain.Name() != w.SPIFFE.TrustDomain {
		return s.Errorf("spiffe.trust_domain", "is no trust domain, such as corp.example")
	}
	out.spiffe = &domain
	return nil
}

// inTrustDomain reports whether a subject is a SPIFFE ID of the trust domain (JWT-SVID section 3.1), where there is one.
func (s *Settings) inTrustDomain(subject string) bool {
	if s.spiffe == nil {
		return true
	}
	id, err := spiffeid.FromString(subject)
	return err == nil && id.MemberOf(*s.spiffe)
}
