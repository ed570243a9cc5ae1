package revocation

import (
	"context"
	"crypto/x509"
	"math/big"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// longList revokes certificates 1 to n.
func longList(ca *mtlstest.CA, n int) []byte {
	l := mtlstest.List{}
	for i := range n {
		l.Revoked = append(l.Revoked, &x509.Certificate{SerialNumber: big.NewInt(int64(i) + 1<<60)})
	}
	return ca.List(l)
}

// What reading a list costs, in which a hundred thousand are revoked.
func BenchmarkParseList(b *testing.B) {
	der := longList(mtlstest.NewCA(b, "Staff CA"), 100_000)
	b.SetBytes(int64(len(der)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseList(der); err != nil {
			b.Fatal(err)
		}
	}
}

// What looking a path of two up costs where no connection remembers it.
func BenchmarkCheck(b *testing.B) {
	root := mtlstest.NewCA(b, "Staff root")
	ca := root.Intermediate("Issuing CA")
	path := pathTo(root, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s, err := Read(section{}, "revocation", Written{CRL: []string{file(b, longList(ca, 100_000)), file(b, root.List(mtlstest.List{}))}})
	if err != nil {
		b.Fatal(err)
	}
	checker := New(Config{}).Checker("device", s)
	ctx := context.Background()
	if _, err := checker.Check(ctx, noon, path); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := checker.Check(ctx, noon, path); err != nil {
			b.Fatal(err)
		}
	}
}

// A path that is looked up anew costs no allocation either.
func TestCheckCostsNothing(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s := newServer(t)
	s.has("/crl", ca.List(mtlstest.List{}))
	s.says(t, "/", said{issuer: ca})
	for name, w := range map[string]Written{
		"file": {CRL: []string{file(t, ca.List(mtlstest.List{}))}}, "address": {CRL: []string{s.URL + "/crl"}}, "answer": {OCSP: s.URL},
	} {
		settings, err := Read(section{}, "revocation", w)
		if err != nil {
			t.Fatal(err)
		}
		checker := New(Config{}).Checker("device", settings)
		n := testing.AllocsPerRun(200, func() {
			if _, err := checker.Check(context.Background(), noon, path); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
