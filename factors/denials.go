package factors

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"time"
)

// Denial is one entry of the list of certificates that are refused, whatever else says that they are good.
type Denial struct {
	ID      string
	Tenant  string // for which it holds; empty: for all, an entry of the portal's own
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

	DenyToken        DenialBy = "token"         // Value is the lower-case hex [TokenDigest] of issuer and jti
	DenyTokenSubject DenialBy = "token_subject" // Value is the lower-case hex [TokenDigest] of issuer and sub
)

// Denials is the list in force. It is safe for concurrent use.
type Denials interface {
	// Denied reports whether a certificate is on the list for a tenant, or for all. An error means that the list could
	// not be read: refuse.
	Denied(ctx context.Context, now time.Time, tenant string, m Marks) (bool, error)
}

// DenialsVersion is for a list that can tell when its answers may have changed, so that a factor need not ask it about every
// certificate again.
type DenialsVersion interface {
	Denials
	// DenialsVersion names the list as it is at a time: whatever was found under one version stays true as long as it is the
	// version. ok is false where that is not known without reading the list; then [Denials] is asked. It costs next to nothing.
	DenialsVersion(now time.Time) (version uint64, ok bool)
}

// Marks are what a certificate is found on the list by. A session keeps those of the certificate that it was won with, so
// that a denial of that one is found after it was renewed.
type Marks struct {
	Certificate [sha256.Size]byte // SHA-256 of the certificate
	Key         [sha256.Size]byte // SHA-256 of its SubjectPublicKeyInfo
	Serial      [sha256.Size]byte // SHA-256 of the Value that a denial by serial has
	Subject     [sha256.Size]byte // SHA-256 of the Value that a denial by subject has
}

// MarksOf computes the marks of a certificate.
func MarksOf(c *x509.Certificate) Marks {
	return Marks{
		Certificate: sha256.Sum256(c.Raw),
		Key:         sha256.Sum256(c.RawSubjectPublicKeyInfo),
		Serial:      SerialMark(sha256.Sum256(c.RawIssuer), c.SerialNumber),
		Subject:     sha256.Sum256([]byte(c.Subject.String())),
	}
}

// SerialMark is [Marks.Serial] of the certificate that an issuer gave a serial number. issuer is the SHA-256 of the
// issuer's name in DER.
func SerialMark(issuer [sha256.Size]byte, serial *big.Int) [sha256.Size]byte {
	var text [192]byte // longer ones are moved to the heap
	return sha256.Sum256(appendSerial(text[:0], issuer, serial))
}

// appendSerial writes what [DenySerial] is about: the digest of the issuer's name, and the serial in hexadecimal.
func appendSerial(b []byte, issuer [sha256.Size]byte, serial *big.Int) []byte {
	return serial.Append(append(hex.AppendEncode(b, issuer[:]), ':'), 16)
}

// CertificateDenials are the four entries that would deny this certificate, narrowest first.
func CertificateDenials(c *x509.Certificate) [4]Denial {
	cert, key := sha256.Sum256(c.Raw), sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return [4]Denial{
		{By: DenyCertificate, Value: hex.EncodeToString(cert[:])},
		{By: DenySerial, Value: string(appendSerial(nil, sha256.Sum256(c.RawIssuer), c.SerialNumber))},
		{By: DenyKey, Value: hex.EncodeToString(key[:])},
		{By: DenySubject, Value: c.Subject.String()},
	}
}
