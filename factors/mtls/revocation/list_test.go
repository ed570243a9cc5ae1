package revocation

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

func der(t testing.TB, v any, params ...string) []byte {
	t.Helper()
	b, err := asn1.MarshalWithParams(v, append(params, "")[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// idp is the extension issuingDistributionPoint.
func idp(t testing.TB, v issuingDistributionPoint) []pkix.Extension {
	return []pkix.Extension{{Id: oidDistributionPoint, Critical: true, Value: der(t, v)}}
}

// uri is a distribution point's full name that is a URI.
func uri(s string) pointName {
	return pointName{Full: []asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(s)}}}
}

var oidUnknown = asn1.ObjectIdentifier{1, 2, 3, 4}

func TestListIsRead(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	gone := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	l, err := ParseList(ca.List(mtlstest.List{Number: 7, Revoked: []*x509.Certificate{gone, gone}, ThisUpdate: noon,
		Extra: []pkix.Extension{{Id: oidUnknown, Value: []byte{5, 0}}}}))
	if err != nil {
		t.Fatal(err)
	}
	if l.number.Cmp(big.NewInt(7)) != 0 || !l.thisUpdate.Equal(noon) || !l.nextUpdate.Equal(noon.Add(24*time.Hour)) ||
		!bytes.Equal(l.issuer, ca.Certificate.RawSubject) || len(l.revoked) != 1 || !l.has(Subject{Marks: factors.MarksOf(gone)}) {
		t.Errorf("%+v", l)
	}
	if f := l.signedBy(ca.Certificate); f != nil {
		t.Error(f)
	}
}

func TestListIsRefused(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	gone := []*x509.Certificate{ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf}
	list := func(l mtlstest.List) []byte { return ca.List(l) }
	extra := func(e ...pkix.Extension) []byte { return ca.List(mtlstest.List{Extra: e}) }
	entry := func(e ...pkix.Extension) []byte { return ca.List(mtlstest.List{Revoked: gone, EntryExtra: e}) }
	good := list(mtlstest.List{})
	// taken makes a list of a list's three parts, with something behind each where it is said.
	taken := func(behindBody, behindSignature []byte) []byte {
		var parts struct{ Body, Algorithm, Signature asn1.RawValue }
		if _, err := asn1.Unmarshal(good, &parts); err != nil {
			t.Fatal(err)
		}
		sequence := func(b ...[]byte) []byte {
			return der(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: slices.Concat(b...)})
		}
		return sequence(sequence(parts.Body.Bytes, behindBody), parts.Algorithm.FullBytes, parts.Signature.FullBytes, behindSignature)
	}
	if _, err := ParseList(taken(nil, nil)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		der  []byte
		why  authn.Reason
	}{
		{"nothing", nil, ReasonMalformed},
		{"cut", good[:len(good)-1], ReasonMalformed},
		{"something behind it", append(slices.Clone(good), 0), ReasonMalformed},
		{"something behind its extensions", taken([]byte{5, 0}, nil), ReasonMalformed},
		{"entries behind its extensions", taken([]byte{0x30, 0}, nil), ReasonMalformed},
		{"something behind its signature", taken(nil, []byte{5, 0}), ReasonMalformed},
		{"a certificate", ca.Certificate.Raw, ReasonMalformed},
		{"too large", make([]byte, MaxList+1), ReasonTooLarge},
		{"no nextUpdate", list(mtlstest.List{Endless: true}), ReasonMalformed},
		{"it ends before it begins", list(mtlstest.List{NextUpdate: noon.Add(-2 * time.Hour)}), ReasonMalformed},
		{"no number", list(mtlstest.List{Number: -1}), ReasonMalformed},
		{"a negative number", list(mtlstest.List{Number: -1, Extra: []pkix.Extension{{Id: oidCRLNumber, Value: der(t, -1)}}}), ReasonMalformed},
		{"a critical number", list(mtlstest.List{Number: -1, Extra: []pkix.Extension{{Id: oidCRLNumber, Critical: true, Value: der(t, 1)}}}), ReasonMalformed},
		{"a number that is too long", list(mtlstest.List{Number: -1, Extra: []pkix.Extension{{Id: oidCRLNumber, Value: der(t, new(big.Int).Lsh(big.NewInt(1), maxNumber))}}}), ReasonMalformed},
		{"an unknown critical extension", extra(pkix.Extension{Id: oidUnknown, Critical: true, Value: []byte{5, 0}}), ReasonUnsupported},
		{"an extension twice", extra(pkix.Extension{Id: oidUnknown, Value: []byte{5, 0}}, pkix.Extension{Id: oidUnknown, Value: []byte{5, 0}}), ReasonMalformed},
		{"an unknown critical extension of an entry", entry(pkix.Extension{Id: oidUnknown, Critical: true, Value: []byte{5, 0}}), ReasonUnsupported},
		{"an entry of another issuer", entry(pkix.Extension{Id: oidCertificateIssuer, Value: []byte{0x30, 0}}), ReasonUnsupported},
		{"an indirect list", list(mtlstest.List{Extra: idp(t, issuingDistributionPoint{Indirect: true})}), ReasonUnsupported},
		{"a point relative to its issuer", extra(pkix.Extension{Id: oidDistributionPoint, Critical: true, Value: []byte{0x30, 4, 0xa0, 2, 0xa1, 0}}), ReasonUnsupported},
		{"a point that cannot be read", extra(pkix.Extension{Id: oidDistributionPoint, Critical: true, Value: []byte{5, 0}}), ReasonMalformed},
		{"a point with something behind it", extra(pkix.Extension{Id: oidDistributionPoint, Critical: true, Value: []byte{0x30, 0, 0}}), ReasonMalformed},
		{"for users alone and CAs alone", list(mtlstest.List{Extra: idp(t, issuingDistributionPoint{OnlyUsers: true, OnlyCAs: true})}), ReasonMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := ParseList(c.der)
			if f := faultOf(err); l != nil || f == nil || f.Reason != c.why {
				t.Errorf("%v, %v, want %s", l, err, c.why)
			}
		})
	}
}

// A list that OpenSSL writes if it is not told otherwise: version 1, which has no number and no limits. And one signed in a
// way that is too weak.
func TestListOfOldForms(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	one := slices.Clone(ca.List(mtlstest.List{}))
	at := bytes.Index(one, []byte{2, 1, 1}) // INTEGER 1: version 2
	one[at+2] = 0
	if _, err := ParseList(one); faultOf(err) == nil || faultOf(err).Reason != ReasonMalformed {
		t.Errorf("version 1: %v", err)
	}
	// The same number of bytes: ecdsa-with-SHA224, which nobody reads, stands for everything that is too weak.
	weak := bytes.ReplaceAll(ca.List(mtlstest.List{}), []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2}, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 1})
	if _, err := ParseList(weak); faultOf(err) == nil || faultOf(err).Reason != ReasonSignature {
		t.Errorf("a weak signature: %v", err)
	}
}

func TestFileOfLists(t *testing.T) {
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Lab CA")
	a, b := ca.ListPEM(mtlstest.List{}), other.ListPEM(mtlstest.List{})
	for _, c := range []struct {
		name string
		text []byte
		n    int
	}{
		{"one in DER", ca.List(mtlstest.List{}), 1},
		{"one in PEM", a, 1},
		{"two in PEM", slices.Concat(a, []byte("\n"), b), 2},
		{"a comment before it", slices.Concat([]byte("# of today\n"), a), 1},
		{"nothing", nil, 0},
		{"a certificate behind it", slices.Concat(a, ca.PEM()), 0},
		{"a certificate before it", slices.Concat(ca.PEM(), a), 0},
		{"text behind it", slices.Concat(a, []byte("end")), 0},
		{"a damaged block before it", slices.Concat(b[:len(b)/2], []byte("\n"), a), 0},
		{"a damaged block behind it", slices.Concat(a, b[:len(b)/2]), 0},
		{"DER behind it", slices.Concat(a, ca.List(mtlstest.List{})), 0},
		{"too many", bytes.Repeat(a, maxLists+1), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			lists, err := ParseLists(c.text)
			if (err == nil) != (c.n > 0) || len(lists) != c.n {
				t.Errorf("%d lists, %v", len(lists), err)
			}
		})
	}
}

// An entry counts whatever its reason, also one that would take another back in a delta list.
func TestEveryEntryCounts(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	gone := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	for reason := range 11 {
		l, err := ParseList(ca.List(mtlstest.List{Revoked: []*x509.Certificate{gone}, EntryExtra: []pkix.Extension{{Id: oidReasonCode, Value: der(t, asn1.Enumerated(reason))}}}))
		if err != nil || !l.has(Subject{Marks: factors.MarksOf(gone)}) {
			t.Errorf("reason %d: %v", reason, err)
		}
	}
}

// What is read is found again, and nothing else is; nothing makes it panic.
func FuzzParseLists(f *testing.F) {
	ca := mtlstest.NewCA(f, "Staff CA")
	gone := []*x509.Certificate{ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf}
	for _, l := range []mtlstest.List{
		{}, {Revoked: gone}, {Endless: true}, {Number: -1},
		{Extra: idp(f, issuingDistributionPoint{OnlyUsers: true, Point: uri("http://x.example/crl")})},
		{Revoked: gone, EntryExtra: []pkix.Extension{{Id: oidReasonCode, Value: der(f, asn1.Enumerated(1))}}},
	} {
		f.Add(ca.List(l))
		f.Add(ca.ListPEM(l))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		lists, err := ParseLists(b)
		if (err == nil) != (len(lists) > 0) || err != nil && faultOf(err) == nil {
			t.Fatalf("%d lists, %v", len(lists), err)
		}
		for _, l := range lists {
			again, err := ParseList(l.signed.Raw)
			if err != nil || len(again.revoked) != len(l.revoked) || !again.replaces(l) || !l.replaces(again) {
				t.Fatalf("read again: %v", err)
			}
			if !l.thisUpdate.Before(l.nextUpdate) || l.number == nil || l.has(Subject{Marks: factors.Marks{Serial: [sha256.Size]byte{}}}) {
				t.Fatalf("%+v", l)
			}
		}
	})
}
