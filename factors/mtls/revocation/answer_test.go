package revocation

import (
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// Nothing makes reading an answer panic, and what is read has a status and a time.
func FuzzReadAnswer(f *testing.F) {
	ca := mtlstest.NewCA(f, "Staff CA")
	q := asked{certificate: ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf, issuer: ca.Certificate, nonce: make([]byte, nonceSize)}
	request, err := question(q.certificate, q.issuer, q.nonce)
	if err != nil {
		f.Fatal(err)
	}
	signer, key := signerOf(ca, nocheck(mtlstest.Leaf{}))
	for _, what := range []said{{}, {status: ocsp.Revoked}, {status: ocsp.Unknown}, {endless: true}, {signer: signer, key: key}} {
		what.issuer = ca
		b := what.answer(f, request)
		if _, err := q.read(b, noon); err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(ocsp.TryLaterErrorResponse)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := q.read(b, noon)
		if err != nil {
			if faultOf(err) == nil {
				t.Fatal(err)
			}
			return
		}
		if a.status < ocsp.Good || a.status > ocsp.Unknown || !a.thisUpdate.Before(a.nextUpdate) || a.thisUpdate.After(noon.Add(time.Hour)) {
			t.Fatalf("%+v", a)
		}
	})
}

// The extension comes from a certificate that an authority signed, and from nobody else; it is read all the same with care.
func FuzzReadPoints(f *testing.F) {
	f.Add(der(f, []distributionPoint{{Point: uri("http://x.example/crl")}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range readPoints(b) {
			if len(p) < 2 {
				t.Fatalf("%x", p)
			}
		}
	})
}
