package mtlstest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"time"
)

// List says what a revocation list is to hold. The zero value is list 1, which revokes nothing, begins an hour ago and ends a
// day later.
type List struct {
	Revoked    []*x509.Certificate
	Number     int64     // zero: 1; below zero: it has none
	ThisUpdate time.Time // zero: an hour ago
	NextUpdate time.Time // zero: a day after ThisUpdate
	Endless    bool      // without nextUpdate
	Extra      []pkix.Extension
	EntryExtra []pkix.Extension // of every entry
	Key        crypto.Signer    // nil: the CA's; a P-256 key
}

var (
	oidCRLNumber       = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

type certList struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	Issuer     asn1.RawValue
	ThisUpdate time.Time        `asn1:"utc"`
	NextUpdate time.Time        `asn1:"utc,optional"`
	Entries    []listEntry      `asn1:"optional"`
	Extensions []pkix.Extension `asn1:"tag:0,optional,explicit"`
}

type listEntry struct {
	Serial     *big.Int
	Revoked    time.Time
	Extensions []pkix.Extension `asn1:"optional"`
}

// List makes a revocation list of the CA's, in DER. It is made by hand, so that it can be wrong in every way.
func (ca *CA) List(l List) []byte {
	ca.t.Helper()
	if l.ThisUpdate.IsZero() {
		l.ThisUpdate = time.Now().Add(-time.Hour)
	}
	if l.NextUpdate.IsZero() && !l.Endless {
		l.NextUpdate = l.ThisUpdate.Add(24 * time.Hour)
	}
	if l.Key == nil {
		l.Key = ca.Key
	}
	list := certList{Version: 1, Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA256},
		Issuer: asn1.RawValue{FullBytes: ca.Certificate.RawSubject}, ThisUpdate: l.ThisUpdate.UTC(), NextUpdate: l.NextUpdate.UTC(), Extensions: l.Extra}
	if l.NextUpdate.IsZero() {
		list.NextUpdate = time.Time{}
	}
	if l.Number >= 0 {
		list.Extensions = append([]pkix.Extension{{Id: oidCRLNumber, Value: ca.der(big.NewInt(max(l.Number, 1)))}}, l.Extra...)
	}
	for _, c := range l.Revoked {
		list.Entries = append(list.Entries, listEntry{c.SerialNumber, l.ThisUpdate.UTC(), l.EntryExtra})
	}
	tbs := ca.der(list)
	digest := sha256.Sum256(tbs)
	signature, err := l.Key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		ca.t.Fatalf("mtlstest: %v", err)
	}
	return ca.der(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, list.Algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
}

// ListPEM is List in PEM.
func (ca *CA) ListPEM(l List) []byte {
	ca.t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: ca.List(l)})
}

func (ca *CA) der(v any) []byte {
	ca.t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		ca.t.Fatalf("mtlstest: %v", err)
	}
	return der
}
