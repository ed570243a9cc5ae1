package mtls

import (
	"errors"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// How long a SPIFFE ID and its trust domain may be, in bytes (SPIFFE-ID section 2.3).
const (
	maxSPIFFE      = 2048
	maxTrustDomain = 255
)

// checkSPIFFE holds a certificate that has a SPIFFE ID to the rules of an X.509-SVID, whichever rule of the policy reads it:
// exactly one URI (X509-SVID section 2), which is a SPIFFE ID to the letter (SPIFFE-ID section 2), of a workload and not of
// a whole trust domain (X509-SVID section 5.2: leaves have a path).
func (n names) checkSPIFFE() error {
	uris := n[fromURI]
	for _, u := range uris {
		if !isSPIFFE(u) {
			continue
		}
		if len(uris) > 1 {
			return factors.Reject(ReasonAmbiguous, "a SPIFFE ID beside another URI")
		}
		id, err := parseSPIFFE(u)
		if err != nil {
			return factors.Reject(ReasonBadName, "its URI begins as a SPIFFE ID and is none")
		}
		if id.Path() == "" {
			return factors.Reject(ReasonBadName, "its SPIFFE ID is that of a whole trust domain")
		}
	}
	return nil
}

// checkTrustDomain holds a certificate under an anchor to trust domains (SPIFFE Trust Domain and Bundle section 5): the
// authorities of one vouch for its own ids, and for nothing else; and nobody but them does.
func (t trust) checkTrustDomain(n names, a policy.Anchor) error {
	domain := n.trustDomain()
	switch {
	case a.TrustDomain == "" && t.domains[domain] != "":
		return factors.Reject(ReasonTrustDomain, "its SPIFFE ID is for anchor %q to vouch for, and its path ends in anchor %q", t.domains[domain], a.Name)
	case a.TrustDomain != "" && a.TrustDomain != domain:
		return factors.Reject(ReasonTrustDomain, "it has no SPIFFE ID of the trust domain of anchor %q", a.Name)
	}
	return nil
}

// trustDomain is that of the SPIFFE ID among names that checkSPIFFE has passed; empty: they have none.
func (n names) trustDomain() string {
	for _, u := range n[fromURI] {
		if id, err := parseSPIFFE(u); err == nil {
			return id.TrustDomain().Name()
		}
	}
	return ""
}

// isSPIFFE reports whether a URI is meant as a SPIFFE ID. Schemes have no case (RFC 3986 section 3.1).
func isSPIFFE(uri string) bool {
	scheme, _, ok := strings.Cut(uri, ":")
	return ok && strings.EqualFold(scheme, "spiffe")
}

func parseSPIFFE(uri string) (spiffeid.ID, error) {
	id, err := spiffeid.FromString(uri)
	if err == nil && (len(uri) > maxSPIFFE || len(id.TrustDomain().Name()) > maxTrustDomain) {
		err = errSPIFFE
	}
	return id, err
}

var errSPIFFE = errors.New("mtls: a SPIFFE ID is too long")
