package revocation

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"time"
)

const (
	// MaxList is the most bytes that a list may have.
	MaxList = 16 << 20
	// maxLists is how many lists one file may hold.
	maxLists = 32
	// maxNumber is the most bits of the number of a list: 20 octets (RFC 5280 section 5.2.3).
	maxNumber = 160
	// ahead is how far in the future a list or an answer may begin, because clocks differ.
	ahead = 5 * time.Minute

	removeFromCRL = 8 // RFC 5280 section 5.3.1
)

// List is a certificate revocation list of version 2 (RFC 5280 section 5) that can be used, if its signature is right. It
// is never changed.
type List struct {
	signed     *x509.RevocationList // what the signature is of, and in which form
	number     *big.Int
	thisUpdate time.Time
	nextUpdate time.Time
	scope      scope
	point      []byte                         // the extension that scope is read from; nil: there is none
	delta      bool                           // it has only what is new since another list (section 5.2.4)
	revoked    map[[sha256.Size]byte]struct{} // factors.Marks.Serial
	issuer     []byte                         // name, in DER
}

// ParseLists reads what a file or a server has: one list in DER, or one or more in PEM blocks "X509 CRL". Every error is a
// [*Fault].
func ParseLists(b []byte) ([]*List, error) {
	if len(b) > MaxList {
		return nil, fault(ReasonTooLarge, "over %d bytes", MaxList)
	}
	if !bytes.Contains(b, []byte("-----BEGIN")) {
		l, err := ParseList(b)
		if err != nil {
			return nil, err
		}
		return []*List{l}, nil
	}
	var lists []*List
	begun, ended := bytes.Count(b, []byte("-----BEGIN")), bytes.Count(b, []byte("-----END"))
	for len(bytes.TrimSpace(b)) > 0 {
		block, rest := pem.Decode(b)
		if block == nil || block.Type != "X509 CRL" || len(lists) == maxLists {
			return nil, fault(ReasonMalformed, "something that is no list, or one too many, behind list %d", len(lists))
		}
		l, err := ParseList(block.Bytes)
		if err != nil {
			return nil, err
		}
		lists, b = append(lists, l), rest
	}
	if len(lists) != begun || len(lists) != ended { // pem.Decode passes over blocks that are damaged
		return nil, fault(ReasonMalformed, "%d of %d blocks can be read", len(lists), max(begun, ended))
	}
	return lists, nil
}

// ParseList reads a list in DER. Whether anybody signed it is not looked at. Every error is a [*Fault].
func ParseList(der []byte) (*List, error) {
	if len(der) > MaxList {
		return nil, fault(ReasonTooLarge, "over %d bytes", MaxList)
	}
	body, ok := cutEntries(der)
	if !ok {
		return nil, fault(ReasonMalformed, "no list of version 2 in DER")
	}
	parsed, err := x509.ParseRevocationList(body.rest)
	if err != nil {
		return nil, fault(ReasonMalformed, "no list of version 2 in DER")
	}
	l := &List{signed: &x509.RevocationList{Raw: der, RawTBSRevocationList: body.signed,
		Signature: parsed.Signature, SignatureAlgorithm: parsed.SignatureAlgorithm}, number: parsed.Number, thisUpdate: parsed.ThisUpdate, nextUpdate: parsed.NextUpdate,
		scope: everything, issuer: parsed.RawIssuer}
	if err := l.readExtensions(parsed.Extensions); err != nil {
		return nil, err
	}
	switch {
	case l.number == nil || l.number.Sign() < 0 || l.number.BitLen() > maxNumber:
		return nil, fault(ReasonMalformed, "it has no number that is one")
	case l.nextUpdate.IsZero():
		return nil, fault(ReasonMalformed, "it does not say when the next one is due (nextUpdate)")
	case !l.thisUpdate.Before(l.nextUpdate):
		return nil, fault(ReasonMalformed, "it ends before it begins")
	case len(l.issuer) <= 2:
		return nil, fault(ReasonMalformed, "it has no issuer")
	case !strongSignature(parsed.SignatureAlgorithm):
		return nil, fault(ReasonSignature, "its signature algorithm is too weak")
	}
	if err := l.readEntries(body.entries); err != nil {
		return nil, err
	}
	return l, nil
}

// readExtensions reads what limits the list (RFC 5280 section 5.2). A critical extension that is not known is refused.
func (l *List) readExtensions(all []pkix.Extension) error {
	for i, e := range all {
		if slices.ContainsFunc(all[:i], func(o pkix.Extension) bool { return o.Id.Equal(e.Id) }) {
			return fault(ReasonMalformed, "an extension twice")
		}
		switch {
		case e.Id.Equal(oidDeltaIndicator):
			l.delta = true
		case e.Id.Equal(oidDistributionPoint):
			var err error
			if l.scope, err = parseScope(e.Value); err != nil {
				return err
			}
			l.point = e.Value
		case e.Id.Equal(oidCRLNumber) && e.Critical:
			return fault(ReasonMalformed, "its number is critical")
		case e.Critical && !e.Id.Equal(oidAuthorityKey):
			return fault(ReasonUnsupported, "a critical extension that is not known: %v", e.Id)
		}
	}
	return nil
}

// signedBy reports whether the key of a CA signed the list, under the CA's name, and whether it may sign lists (RFC 5280
// section 6.3.3 f and g). Another key is never enough, whatever vouches for it.
func (l *List) signedBy(issuer *x509.Certificate) *Fault {
	if !bytes.Equal(l.issuer, issuer.RawSubject) {
		return fault(ReasonSignature, "another issuer")
	}
	err := l.signed.CheckSignatureFrom(issuer)
	if _, may := errors.AsType[x509.ConstraintViolationError](err); may {
		return fault(ReasonSignature, "the issuer may not sign lists")
	}
	if err != nil {
		return fault(ReasonSignature, "not signed by the issuer's key")
	}
	return nil
}

func strongSignature(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return true
	}
	return false
}

// sameScope reports whether two lists of one issuer are about the same, so that one of them is the newer.
func (l *List) sameScope(other *List) bool {
	return l.delta == other.delta && bytes.Equal(l.point, other.point)
}

// replaces reports whether the list may stand in the place of another one of the same issuer and scope: neither its number
// nor its time is older.
func (l *List) replaces(other *List) bool {
	return l.number.Cmp(other.number) >= 0 && !l.thisUpdate.Before(other.thisUpdate)
}

// has reports whether a certificate is on the list, for whatever reason and whatever the list is limited to.
func (l *List) has(c Subject) bool {
	_, on := l.revoked[c.Marks.Serial]
	return on
}

// freshUntil is the first moment at which the list is too old.
func (l *List) freshUntil(maxAge time.Duration) time.Time {
	return earliest(l.nextUpdate, l.thisUpdate, maxAge)
}

// earliest is the first moment at which something is too old that ends at next and was made at this.
func earliest(next, this time.Time, maxAge time.Duration) time.Time {
	if aged := this.Add(maxAge); maxAge > 0 && aged.Before(next) {
		return aged
	}
	return next
}
