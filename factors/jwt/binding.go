package jwt

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

// The schemes of the Authorization header (RFC 6750 section 2.1, RFC 9449 section 7.1).
const (
	schemeBearer = "Bearer"
	schemeDPoP   = "DPoP"
)

// digest is a SHA-256, nil where there is none.
type digest = *[sha256.Size]byte

// binding is what a token is bound to (RFC 7800 section 3.1).
type binding struct {
	certificate digest // SHA-256 of a certificate (RFC 8705 section 3.1)
	key         digest // thumbprint of a key (RFC 9449 section 6.1)
}

// readBinding reads cnf. A token that is bound to something else too is refused: who issued it relies on that being checked.
func readBinding(c jose.Claims) (b binding, err error) {
	cnf, present, err := c.Object("cnf")
	if err != nil {
		return b, rejected(err)
	}
	if !present {
		return b, nil
	}
	for _, name := range cnf.Names() {
		switch name {
		case "x5t#S256":
			b.certificate, err = readDigest(cnf, name)
		case "jkt":
			b.key, err = readDigest(cnf, name)
		default:
			err = factors.Reject(ReasonConfirmation, "it is bound to what is not known here")
		}
		if err != nil {
			return b, err
		}
	}
	if b == (binding{}) {
		return b, factors.Reject(ReasonConfirmation, "it is bound to nothing")
	}
	return b, nil
}

// readDigest reads a digest in base64url without padding, whose every bit counts.
func readDigest(c jose.Claims, name string) (digest, error) {
	text, _, err := c.String(name)
	if err != nil {
		return nil, factors.Reject(ReasonConfirmation, "%s is no text", name)
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != sha256.Size || base64.RawURLEncoding.EncodeToString(b) != text {
		return nil, factors.Reject(ReasonConfirmation, "%s is no SHA-256", name)
	}
	sum := [sha256.Size]byte(b)
	return &sum, nil
}

// checkCertificate holds a request to the certificate that its token is bound to.
func (s *Settings) checkCertificate(r factors.Request, b binding) error {
	if b.certificate == nil {
		if s.bound == required {
			return factors.Reject(ReasonUnbound, "to no certificate")
		}
		return nil
	}
	if !r.Peer.Present() {
		return factors.Reject(factors.ReasonNoCertificate, "the token is bound to one")
	}
	if r.Peer.Source().Early {
		return factors.Reject(ReasonEarlyData, "the handshake was not complete")
	}
	sum := sha256.Sum256(r.Peer.Leaf().Raw)
	if subtle.ConstantTimeCompare(sum[:], b.certificate[:]) != 1 {
		return factors.Reject(ReasonOtherCertificate, "")
	}
	return nil
}

// checkScheme holds a request to the scheme of its token: one that is bound to a key is no bearer token (RFC 9449 section
// 7.1), and one that isn't is nothing else.
func (s *Settings) checkScheme(c factors.Carried, b binding) error {
	switch {
	case c.Scheme != schemeBearer && c.Scheme != schemeDPoP:
		return factors.Reject(ReasonScheme, "another scheme")
	case b.key != nil && s.dpop == off:
		return factors.Reject(ReasonConfirmation, "it is bound to a key, and the policy has dpop: off")
	case b.key == nil && s.dpop == required:
		return factors.Reject(ReasonUnbound, "to no key")
	case b.key != nil && c.Scheme != schemeDPoP:
		return factors.Reject(ReasonScheme, "it is bound to a key, and came as a bearer token")
	case b.key == nil && c.Scheme == schemeDPoP:
		return factors.Reject(ReasonScheme, "it is bound to no key, and came with the scheme of those that are")
	}
	return nil
}
