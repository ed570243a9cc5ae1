package terminator

import (
	"crypto/x509"
	"encoding/base64"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// A certificate from a header, seen before: sender, headers, path, denials, map and tie, without an allocation.
func BenchmarkSeenBefore(b *testing.B) {
	e := enter(b, config(RFC9440), sendsAlice)
	r := newAgain(e.sent)
	b.ReportAllocs()
	for b.Loop() {
		r.put()
		e.seenAgain(b, r)
	}
}

// What putting the headers back costs the benchmark above.
func BenchmarkSeenBeforePuttingBack(b *testing.B) {
	e := enter(b, config(RFC9440), sendsAlice)
	r := newAgain(e.sent)
	for b.Loop() {
		r.put()
		delete(r.Header, "Client-Cert")
		delete(r.Header, "Client-Cert-Chain")
	}
}

// A map by what was sent, as the least that finding it again can cost.
func BenchmarkStringMap(b *testing.B) {
	w := newWorld(b)
	leaf, chain := sequence(w.alice), sequence(w.issuing.Certificate)
	m := map[sent]int{{leaf: leaf, chain: chain}: 1}
	for b.Loop() {
		if m[sent{leaf: leaf, chain: chain}] != 1 {
			b.Fatal("not found")
		}
	}
}

// A certificate from a header that nobody has sent before.
func BenchmarkNew(b *testing.B) {
	w := newWorld(b)
	sent := sendsAlice(w)
	front, factor := builtFor(b, RFC9440), factorFor(b, w.ca)
	e := &entered{world: w, front: front, factor: factor, now: w.alice.NotBefore.AddDate(0, 0, 1)}
	e.evidence, _ = e.verify(b, sent)
	r := newAgain(sent)
	b.ReportAllocs()
	for b.Loop() {
		r.put()
		clear(front.known.young)
		e.seenAgain(b, r)
	}
}

// The same by hand: decode, parse, verify.
func BenchmarkNewByHand(b *testing.B) {
	w := newWorld(b)
	leaf, chain := sequence(w.alice), sequence(w.issuing.Certificate)
	roots := w.ca.Pool()
	b.ReportAllocs()
	for b.Loop() {
		if err := byHand(roots, leaf[1:len(leaf)-1], chain[1:len(chain)-1]); err != nil {
			b.Fatal(err)
		}
	}
}

func byHand(roots *x509.CertPool, leaf, chain string) error {
	hints := x509.NewCertPool()
	var parsed [2]*x509.Certificate
	for i, s := range [2]string{leaf, chain} {
		der, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return err
		}
		if parsed[i], err = x509.ParseCertificate(der); err != nil {
			return err
		}
	}
	hints.AddCert(parsed[1])
	_, err := parsed[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: hints, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

// Whoever is not the terminator and sends nothing of it.
func BenchmarkStranger(b *testing.B) {
	front := build(b, withTrust(Rule{Addresses: networks("192.0.2.0/24")}))
	r := newAgain(nil)
	b.ReportAllocs()
	for b.Loop() {
		if seen := front.See(r.Request); seen.Removed != nil {
			b.Fatal(seen.Removed)
		}
	}
}

// A leaf directly below the anchor, as nginx sends it: percent encoding and PEM.
func BenchmarkNewFromNginx(b *testing.B) {
	ca := mtlstest.NewCA(b, "Staff CA")
	w := world{ca: ca, issuing: ca, alice: ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf}
	sent := nginxOf(w.alice)
	e := &entered{world: w, front: builtFor(b, Nginx), factor: factorFor(b, ca), now: w.alice.NotBefore.AddDate(0, 0, 1)}
	e.evidence, _ = e.verify(b, sent)
	r := newAgain(sent)
	b.ReportAllocs()
	for b.Loop() {
		r.put()
		clear(e.front.known.young)
		e.seenAgain(b, r)
	}
}

// A leaf directly below the anchor.
func BenchmarkNewWithoutChain(b *testing.B) {
	ca := mtlstest.NewCA(b, "Staff CA")
	w := world{ca: ca, issuing: ca, alice: ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf}
	sent := headers{"Client-Cert", sequence(w.alice)}
	e := &entered{world: w, front: builtFor(b, RFC9440), factor: factorFor(b, ca), now: w.alice.NotBefore.AddDate(0, 0, 1)}
	e.evidence, _ = e.verify(b, sent)
	r := newAgain(sent)
	b.ReportAllocs()
	for b.Loop() {
		r.put()
		clear(e.front.known.young)
		e.seenAgain(b, r)
	}
}

// Sender and headers alone.
func BenchmarkSeenBeforeBySourceAlone(b *testing.B) {
	e := enter(b, config(RFC9440), sendsAlice)
	r := newAgain(e.sent)
	b.ReportAllocs()
	for b.Loop() {
		r.put()
		if seen := e.front.See(r.Request); !seen.Chain.Present() {
			b.Fatal(seen.Refused)
		}
	}
}
