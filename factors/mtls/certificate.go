package mtls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"

	"github.com/sallyport-auth/sallyport/factors"
)

// Bounds on what a client may present.
const (
	maxCertificates = 10       // in a chain, the leaf included
	maxCertificate  = 24 << 10 // bytes of one
	maxChain        = 64 << 10 // bytes of all
	maxSerialBits   = 159      // 20 octets of a positive INTEGER (RFC 5280 section 4.1.2.2)
	minRSABits      = 2048
	maxRSABits      = 8192 // what crypto/tls takes; larger ones only cost time
)

var (
	errNoCertificates = errors.New("no certificate")
	errNotCA          = errors.New("not a CA certificate")
	errWeakKey        = errors.New("a weak key: RSA of 2048 to 8192 bits, P-256, P-384, P-521 and Ed25519 are good")
	errOwnConstraints = errors.New("name constraints of a kind that is not checked")
	errNotForClients  = errors.New("its extended key usage is not for TLS clients: no certificate under it could be good")
	errUnhandled      = errors.New("a critical extension that is not known: no certificate under it could be good")
	errNever          = errors.New("it ends before it begins")
)

// checkBounds refuses a chain that is too large before anything is computed with it.
func checkBounds(chain []*x509.Certificate) error {
	if len(chain) > maxCertificates {
		return factors.Reject(ReasonTooLarge, "%d certificates", len(chain))
	}
	sum := 0
	for _, c := range chain {
		if sum += len(c.Raw); len(c.Raw) > maxCertificate || sum > maxChain {
			return factors.Reject(ReasonTooLarge, "too many bytes")
		}
	}
	return nil
}

// checkAuthority says why a certificate cannot be a trust anchor. An anchor is a name and a key (RFC 5280 section
// 6.1.1 d); of its extensions those count that limit what it may sign.
func checkAuthority(c *x509.Certificate) error {
	switch {
	case c.Version != 3 || !c.BasicConstraintsValid || !c.IsCA || !maySign(c):
		return errNotCA
	case !strongKey(c):
		return errWeakKey
	case !constraintsChecked(c):
		return errOwnConstraints
	}
	return nil
}

// checkUse says why no client certificate under a CA could be good, whenever. An expired one may only have been forgotten in
// the file, and a program must start all the same.
func checkUse(c *x509.Certificate) error {
	limited := len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0
	switch {
	case limited && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny):
		return errNotForClients
	case len(c.UnhandledCriticalExtensions) > 0:
		return errUnhandled
	case !c.NotBefore.Before(c.NotAfter):
		return errNever
	}
	return nil
}

// maySign reports whether the key usage, where there is one, lets a CA sign certificates. crypto/x509 takes one that allows
// nothing for none.
func maySign(c *x509.Certificate) bool {
	_, _, limited := extension(c, oidKeyUsage)
	return !limited || c.KeyUsage&x509.KeyUsageCertSign != 0
}

// checkLeaf holds a client certificate to what crypto/x509 leaves out.
func checkLeaf(c *x509.Certificate) error {
	for _, check := range []func(*x509.Certificate) error{checkForm, checkStrength, checkUsage, checkLeafExtensions} {
		if err := check(c); err != nil {
			return err
		}
	}
	return nil
}

// checkForm is for every certificate of a path but the anchor.
func checkForm(c *x509.Certificate) error {
	switch {
	case c.Version != 3:
		return factors.Reject(ReasonNonconforming, "version %d", c.Version)
	case c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() > maxSerialBits:
		return factors.Reject(ReasonNonconforming, "its serial is not positive or over 20 octets")
	case !c.NotBefore.Before(c.NotAfter):
		return factors.Reject(ReasonNonconforming, "it ends before it begins")
	case len(c.RawIssuer) <= 2:
		return factors.Reject(ReasonNonconforming, "its issuer has no name")
	}
	return nil
}

// issuersNamed reports whether every certificate of a path says by a key identifier which key signed it (RFC 5280 section
// 4.2.1.1). One that an anchor signed itself need not: there is nothing to choose from, and OpenSSL before 3.2 writes
// none unless it is told to.
func issuersNamed(chain []*x509.Certificate) bool {
	for _, c := range chain[:len(chain)-1] {
		if len(c.AuthorityKeyId) == 0 && len(chain) > 2 {
			return false
		}
	}
	return true
}

// checkStrength is for every certificate of a path but the anchor, whose signature nobody relies on.
func checkStrength(c *x509.Certificate) error {
	if !strongKey(c) {
		return factors.Reject(ReasonWeak, "its key")
	}
	switch c.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return nil
	}
	return factors.Reject(ReasonWeak, "its signature algorithm")
}

func strongKey(c *x509.Certificate) bool {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return bits >= minRSABits && bits <= maxRSABits && bits%8 == 0 && key.E >= 3 && key.E%2 == 1
	case *ecdsa.PublicKey:
		return key.Curve == elliptic.P256() || key.Curve == elliptic.P384() || key.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return len(key) == ed25519.PublicKeySize
	}
	return false
}

// checkUsage wants a certificate for TLS clients that can sign a handshake and cannot sign certificates (RFC 5280
// sections 4.2.1.3, 4.2.1.9, 4.2.1.12).
func checkUsage(c *x509.Certificate) error {
	_, _, limited := extension(c, oidKeyUsage)
	switch {
	case c.IsCA || c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return factors.Reject(ReasonIsCA, "it may sign certificates or revocation lists")
	case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return factors.Reject(ReasonNotForClients, "its extended key usage does not name client authentication")
	case slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny):
		return factors.Reject(ReasonNotForClients, "its extended key usage is for anything")
	case limited && c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return factors.Reject(ReasonNotForClients, "its key usage leaves digital signatures out")
	}
	return nil
}

func checkLeafExtensions(c *x509.Certificate) error {
	if _, _, ok := extension(c, oidNameConstraints); ok {
		return factors.Reject(ReasonNonconforming, "it has name constraints and is not of a CA")
	}
	if _, critical, ok := extension(c, oidSubjectAltName); len(c.RawSubject) <= 2 && !(ok && critical) {
		return factors.Reject(ReasonNonconforming, "it has no subject, and no critical subjectAltName") // RFC 5280 section 4.2.1.6
	}
	return nil
}

// checkIntermediate says why a certificate that was presented may not be part of a path.
func checkIntermediate(c *x509.Certificate) error {
	if err := checkForm(c); err != nil {
		return err
	}
	if err := checkStrength(c); err != nil {
		return err
	}
	switch {
	case !c.BasicConstraintsValid || !c.IsCA || !maySign(c):
		return factors.Reject(ReasonNonconforming, "an intermediate is not of a CA")
	case len(c.SubjectKeyId) == 0:
		return factors.Reject(ReasonNonconforming, "an intermediate has no subject key identifier")
	case !constraintsChecked(c):
		return factors.Reject(ReasonNonconforming, "an intermediate constrains names of a kind that is not checked")
	case tooManyNames(c):
		return factors.Reject(ReasonTooLarge, "an intermediate has too many names")
	}
	return nil
}

func tooManyNames(c *x509.Certificate) bool {
	return len(c.DNSNames)+len(c.EmailAddresses)+len(c.IPAddresses)+len(c.URIs) > maxSANs
}

// constraintsChecked reports whether crypto/x509 enforces all name constraints of a CA: those of e-mail addresses, DNS
// names, URIs and addresses. It leaves the others out, silently where they are not critical.
func constraintsChecked(c *x509.Certificate) bool {
	der, _, ok := extension(c, oidNameConstraints)
	if !ok {
		return true
	}
	var constraints struct {
		Permitted asn1.RawValue `asn1:"optional,tag:0"`
		Excluded  asn1.RawValue `asn1:"optional,tag:1"`
	}
	if rest, err := asn1.Unmarshal(der, &constraints); err != nil || len(rest) > 0 {
		return false
	}
	return subtreesChecked(constraints.Permitted.Bytes) && subtreesChecked(constraints.Excluded.Bytes)
}

func subtreesChecked(der []byte) bool {
	for len(der) > 0 {
		var subtree struct{ Base asn1.RawValue }
		var whole asn1.RawValue
		rest, err := asn1.Unmarshal(der, &whole)
		if err != nil {
			return false
		}
		if _, err := asn1.Unmarshal(whole.FullBytes, &subtree); err != nil {
			return false
		}
		if subtree.Base.Class != asn1.ClassContextSpecific || !slices.Contains([]int{1, 2, 6, 7}, subtree.Base.Tag) {
			return false
		}
		der = rest
	}
	return true
}

func extension(c *x509.Certificate, id asn1.ObjectIdentifier) (value []byte, critical, ok bool) {
	i := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
	if i < 0 {
		return nil, false, false
	}
	return c.Extensions[i].Value, c.Extensions[i].Critical, true
}

// readable is a copy of a leaf for crypto/x509 that leaves a critical SAN to us: we read user principal names, it does
// not.
func readable(c *x509.Certificate) *x509.Certificate {
	if !slices.ContainsFunc(c.UnhandledCriticalExtensions, oidSubjectAltName.Equal) {
		return c
	}
	own := *c
	own.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), oidSubjectAltName.Equal)
	return &own
}

func sameCertificate(a, b *x509.Certificate) bool { return a == b || bytes.Equal(a.Raw, b.Raw) }
