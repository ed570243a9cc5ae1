// Package mtlstest makes certificate authorities and client certificates for tests. Everything it makes is new in each
// run, and worth nothing elsewhere.
package mtlstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a certificate authority. It is safe for concurrent use once made.
type CA struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	Chain       []*x509.Certificate // from this CA up to, and without, its root; empty for a root

	t testing.TB
}

// Leaf says what a certificate is to hold. The zero value is a client certificate that names nobody, valid from an hour
// ago for a day.
type Leaf struct {
	CN      string
	CNs     []string // further common names, each in an RDN of its own
	URIs    []string // kept byte for byte where they parse as a URI
	DNS     []string
	Emails  []string
	UPNs    []string // otherName 1.3.6.1.4.1.311.20.2.3
	EKU     []x509.ExtKeyUsage
	NoEKU   bool          // leave the extended key usage out
	Usage   x509.KeyUsage // zero: digitalSignature
	NoUsage bool          // leave the key usage out
	IsCA    bool

	NotBefore time.Time // zero: an hour ago
	NotAfter  time.Time // zero: a day after NotBefore
	Serial    *big.Int  // nil: random
	Key       crypto.Signer
	Extra     []pkix.Extension // added as they are; one for subjectAltName replaces the one that would be made

	// Change, if set, has the last word on the template.
	Change func(*x509.Certificate)
}

// OIDUserPrincipalName names the otherName that holds a user principal name.
var OIDUserPrincipalName = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// NewCA makes a root that is valid from a day ago for ten years.
func NewCA(t testing.TB, name string) *CA {
	t.Helper()
	return newCA(t, Leaf{CN: name, IsCA: true}, nil)
}

// Intermediate makes a CA below this one.
func (ca *CA) Intermediate(name string) *CA {
	ca.t.Helper()
	return newCA(ca.t, Leaf{CN: name, IsCA: true}, ca)
}

// IntermediateFrom makes a CA below this one from a template of the caller's; IsCA is implied.
func (ca *CA) IntermediateFrom(l Leaf) *CA {
	ca.t.Helper()
	l.IsCA = true
	return newCA(ca.t, l, ca)
}

func newCA(t testing.TB, l Leaf, parent *CA) *CA {
	t.Helper()
	now := time.Now()
	if l.NotBefore.IsZero() {
		l.NotBefore = now.Add(-24 * time.Hour)
	}
	if l.NotAfter.IsZero() {
		l.NotAfter = l.NotBefore.AddDate(10, 0, 0)
	}
	if l.Usage == 0 {
		l.Usage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	l.NoEKU = l.NoEKU || len(l.EKU) == 0
	key := l.Key
	if key == nil {
		key = NewKey(t)
	}
	template := l.template(t)
	ca := &CA{Key: key, t: t}
	issuer, signer := template, key
	if parent != nil {
		issuer, signer = parent.Certificate, parent.Key
	}
	ca.Certificate = create(t, template, issuer, key, signer)
	if parent != nil {
		ca.Chain = append([]*x509.Certificate{ca.Certificate}, parent.Chain...)
	}
	return ca
}

// PEM is the CA's certificate, as a trust anchor file holds it.
func (ca *CA) PEM() []byte { return encode(ca.Certificate.Raw) }

// File writes the CA's certificate to a file in a temporary folder and returns its path.
func (ca *CA) File() string {
	ca.t.Helper()
	path := filepath.Join(ca.t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, ca.PEM(), 0o600); err != nil {
		ca.t.Fatal(err)
	}
	return path
}

// Pool holds the CA's certificate alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate)
	return pool
}

// Issue makes a certificate with its key. The chain holds the intermediates up to, and without, the root.
func (ca *CA) Issue(l Leaf) tls.Certificate {
	ca.t.Helper()
	key := l.Key
	if key == nil {
		key = NewKey(ca.t)
	}
	leaf := create(ca.t, l.template(ca.t), ca.Certificate, key, ca.Key)
	out := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, c := range ca.Chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out
}

// Server makes a certificate for a server on localhost, 127.0.0.1 and ::1.
func (ca *CA) Server() tls.Certificate {
	ca.t.Helper()
	return ca.Issue(Leaf{
		CN:  "localhost",
		DNS: []string{"localhost"},
		EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		Change: func(c *x509.Certificate) {
			c.IPAddresses = append(c.IPAddresses, []byte{127, 0, 0, 1}, []byte{15: 1})
		},
	})
}

// SelfSigned makes a certificate that is signed by its own key and is no CA.
func SelfSigned(t testing.TB, l Leaf) tls.Certificate {
	t.Helper()
	key := l.Key
	if key == nil {
		key = NewKey(t)
	}
	template := l.template(t)
	leaf := create(t, template, template, key, key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// Chain parses what a tls.Certificate sends, leaf first.
func Chain(t testing.TB, c tls.Certificate) []*x509.Certificate {
	t.Helper()
	var out []*x509.Certificate
	for _, der := range c.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatalf("mtlstest: %v", err)
		}
		out = append(out, parsed)
	}
	return out
}

// PEM is the certificate and its chain, and the key beside it.
func PEM(t testing.TB, c tls.Certificate) (certificates, key []byte) {
	t.Helper()
	for _, der := range c.Certificate {
		certificates = append(certificates, encode(der)...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatalf("mtlstest: %v", err)
	}
	return certificates, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// NewKey makes a P-256 key.
func NewKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("mtlstest: %v", err)
	}
	return key
}

func (l Leaf) template(t testing.TB) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber:          l.Serial,
		NotBefore:             l.NotBefore,
		NotAfter:              l.NotAfter,
		KeyUsage:              l.Usage,
		ExtKeyUsage:           l.EKU,
		IsCA:                  l.IsCA,
		BasicConstraintsValid: true,
		ExtraExtensions:       l.Extra,
	}
	l.defaults(t, c)
	l.names(t, c)
	if l.Change != nil {
		l.Change(c)
	}
	return c
}

func (l Leaf) defaults(t testing.TB, c *x509.Certificate) {
	t.Helper()
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = c.NotBefore.Add(25 * time.Hour)
	}
	if c.KeyUsage == 0 && !l.NoUsage {
		c.KeyUsage = x509.KeyUsageDigitalSignature
	}
	if len(c.ExtKeyUsage) == 0 && !l.NoEKU {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if c.SerialNumber == nil {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
		if err != nil {
			t.Fatalf("mtlstest: %v", err)
		}
		c.SerialNumber = n.Add(n, big.NewInt(1))
	}
}

func (l Leaf) names(t testing.TB, c *x509.Certificate) {
	t.Helper()
	var subject pkix.RDNSequence
	for i, name := range append([]string{l.CN}, l.CNs...) {
		if i > 0 || name != "" {
			subject = append(subject, pkix.RelativeDistinguishedNameSET{commonName(name)})
		}
	}
	raw, err := asn1.Marshal(subject)
	if err != nil {
		t.Fatalf("mtlstest: subject: %v", err)
	}
	c.RawSubject = raw
	if len(l.UPNs) > 0 {
		c.ExtraExtensions = append(c.ExtraExtensions, l.SubjectAltName(t))
		return
	}
	c.DNSNames, c.EmailAddresses = l.DNS, l.Emails
	for _, s := range l.URIs {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatalf("mtlstest: URI: %v", err)
		}
		if u.String() != s { // it would not survive: write the extension by hand
			c.DNSNames, c.EmailAddresses, c.URIs = nil, nil, nil
			c.ExtraExtensions = append(c.ExtraExtensions, l.SubjectAltName(t))
			return
		}
		c.URIs = append(c.URIs, u)
	}
}

// commonName is UTF-8 always: encoding/asn1 refuses strings that are not, so the bytes are given as they are.
func commonName(name string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{
		Type:  asn1.ObjectIdentifier{2, 5, 4, 3},
		Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(name)},
	}
}

// SubjectAltName is the extension that holds the leaf's UPNs, e-mail addresses, DNS names and URIs, in this order.
func (l Leaf) SubjectAltName(t testing.TB) pkix.Extension {
	t.Helper()
	var names []asn1.RawValue
	for _, upn := range l.UPNs {
		names = append(names, otherName(t, upn))
	}
	for _, kind := range []struct {
		tag    int
		values []string
	}{{1, l.Emails}, {2, l.DNS}, {6, l.URIs}} {
		for _, v := range kind.values {
			names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: kind.tag, Bytes: []byte(v)})
		}
	}
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatalf("mtlstest: subjectAltName: %v", err)
	}
	return pkix.Extension{Id: oidSubjectAltName, Value: der}
}

func otherName(t testing.TB, upn string) asn1.RawValue {
	t.Helper()
	id, err := asn1.Marshal(OIDUserPrincipalName)
	if err != nil {
		t.Fatalf("mtlstest: %v", err)
	}
	text, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(upn)})
	if err != nil {
		t.Fatalf("mtlstest: %v", err)
	}
	value, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: text})
	if err != nil {
		t.Fatalf("mtlstest: %v", err)
	}
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: append(id, value...)}
}

func create(t testing.TB, template, issuer *x509.Certificate, key, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatalf("mtlstest: %v", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("mtlstest: %v", err)
	}
	return c
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// String keeps keys out of failure messages.
func (ca *CA) String() string { return fmt.Sprintf("CA %q", ca.Certificate.Subject.CommonName) }
