package factors

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"time"
)

// Denial is one entry of the operator's list of certificates that are refused, whatever else says that they are good.
type Denial struct {
	ID      string
	By      DenialBy
	Value   string // see DenialBy
	Note    string
	Created time.Time
}

// DenialBy is what a denial is about.
type DenialBy string

const (
	DenyCertificate DenialBy = "certificate" // Value is the lower-case hex SHA-256 of the certificate
	DenyKey         DenialBy = "key"         // Value is the lower-case hex SHA-256 of the SubjectPublicKeyInfo
	DenySerial      DenialBy = "serial"      // Value is the lower-case hex SHA-256 of the issuer's name, ":", the serial in lower-case hex
	DenySubject     DenialBy = "subject"     // Value is the subject in the form of RFC 2253
)

// Denials is the list in force. It is safe for concurrent use.
type Denials interface {
	// Denied reports whether a certificate is on the list. An error means that the list could not be read: refuse.
	Denied(ctx context.Context, now time.Time, c *x509.Certificate) (bool, error)
	// DeniedDigest is Denied for a certificate that is known by its digests alone, such as the one that a session was won
	// with and that has since been renewed: the SHA-256 of the certificate and of its SubjectPublicKeyInfo. Entries by
	// serial and by subject cannot be found this way.
	DeniedDigest(ctx context.Context, now time.Time, certificate, key [sha256.Size]byte) (bool, error)
}

// CertificateDenials are the four entries that would deny this certificate, narrowest first.
func CertificateDenials(c *x509.Certificate) [4]Denial {
	cert, key, issuer := sha256.Sum256(c.Raw), sha256.Sum256(c.RawSubjectPublicKeyInfo), sha256.Sum256(c.RawIssuer)
	return [4]Denial{
		{By: DenyCertificate, Value: hex.EncodeToString(cert[:])},
		{By: DenySerial, Value: hex.EncodeToString(issuer[:]) + ":" + strings.ToLower(c.SerialNumber.Text(16))},
		{By: DenyKey, Value: hex.EncodeToString(key[:])},
		{By: DenySubject, Value: c.Subject.String()},
	}
}
