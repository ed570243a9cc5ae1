package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"
)

// Object identifiers of RFC 5280 section 4.2.1.13 and section 5.
var (
	oidCRLNumber          = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidReasonCode         = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidDeltaIndicator     = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidDistributionPoint  = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidCertificateIssuer  = asn1.ObjectIdentifier{2, 5, 29, 29}
	oidDistributionPoints = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidAuthorityKey       = asn1.ObjectIdentifier{2, 5, 29, 35}
)

// reasons are the bits of ReasonFlags (RFC 5280 section 4.2.1.13).
type reasons uint16

// allReasons are those from keyCompromise to aACompromise.
const allReasons reasons = 0xFF << 1

func reasonsOf(b asn1.BitString) reasons {
	var r reasons
	for i := range 16 {
		if b.At(i) == 1 {
			r |= 1 << i
		}
	}
	return r & allReasons
}

// scope is which certificates of its issuer a list is about, and which reasons (RFC 5280 section 5.2.5).
type scope struct {
	users, authorities bool // it is about certificates of clients, of CAs
	reasons            reasons
	points             [][]byte // GeneralNames of the distribution point; none: it is about all
}

var everything = scope{users: true, authorities: true, reasons: allReasons}

// issuingDistributionPoint is the extension of that name.
type issuingDistributionPoint struct {
	Point          pointName      `asn1:"optional,tag:0"`
	OnlyUsers      bool           `asn1:"optional,tag:1"`
	OnlyCAs        bool           `asn1:"optional,tag:2"`
	SomeReasons    asn1.BitString `asn1:"optional,tag:3"`
	Indirect       bool           `asn1:"optional,tag:4"`
	OnlyAttributes bool           `asn1:"optional,tag:5"`
}

// pointName is DistributionPointName, a choice; what stands in it is explicit.
type pointName struct {
	Full     []asn1.RawValue `asn1:"optional,tag:0"`
	Relative asn1.RawValue   `asn1:"optional,tag:1"`
}

func parseScope(der []byte) (scope, error) {
	var idp issuingDistributionPoint
	if rest, err := asn1.Unmarshal(der, &idp); err != nil || len(rest) > 0 {
		return scope{}, fault(ReasonMalformed, "its distribution point cannot be read")
	}
	only := 0
	for _, is := range []bool{idp.OnlyUsers, idp.OnlyCAs, idp.OnlyAttributes} {
		if is {
			only++
		}
	}
	switch {
	case idp.Indirect:
		return scope{}, fault(ReasonUnsupported, "it is an indirect list")
	case len(idp.Point.Relative.FullBytes) > 0:
		return scope{}, fault(ReasonUnsupported, "its distribution point is named relative to its issuer")
	case only > 1:
		return scope{}, fault(ReasonMalformed, "it is for two sorts of certificates alone")
	}
	s := scope{users: only == 0 || idp.OnlyUsers, authorities: only == 0 || idp.OnlyCAs, reasons: allReasons}
	if idp.SomeReasons.BitLength > 0 {
		s.reasons = reasonsOf(idp.SomeReasons)
	}
	for _, n := range idp.Point.Full {
		s.points = append(s.points, n.FullBytes)
	}
	return s, nil
}

// distributionPoint is DistributionPoint (RFC 5280 section 4.2.1.13).
type distributionPoint struct {
	Point   pointName      `asn1:"optional,tag:0"`
	Reasons asn1.BitString `asn1:"optional,tag:1"`
	Issuer  asn1.RawValue  `asn1:"optional,tag:2"`
}

// pointsOf are the names of the distribution points of a certificate whose lists are its own issuer's and about all
// reasons. What cannot be read names none.
func pointsOf(c *x509.Certificate) [][]byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidDistributionPoints) {
			return readPoints(e.Value)
		}
	}
	return nil
}

func readPoints(der []byte) [][]byte {
	var points []distributionPoint
	if rest, err := asn1.Unmarshal(der, &points); err != nil || len(rest) > 0 {
		return nil
	}
	var names [][]byte
	for _, p := range points {
		if len(p.Issuer.FullBytes) > 0 {
			continue // an indirect list's
		}
		for _, n := range p.Point.Full {
			names = append(names, n.FullBytes)
		}
	}
	return names
}

// covers is for which reasons the list tells that a certificate is not revoked. A delta list tells that for none.
func (l *List) covers(c Subject) reasons {
	if l.delta {
		return 0
	}
	return l.scope.covers(c)
}

func (s scope) covers(c Subject) reasons {
	if c.CA && !s.authorities || !c.CA && !s.users {
		return 0
	}
	if len(s.points) > 0 && !slices.ContainsFunc(s.points, func(p []byte) bool {
		return slices.ContainsFunc(c.points, func(o []byte) bool { return bytes.Equal(o, p) })
	}) {
		return 0
	}
	return s.reasons
}
