package revocation

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// said is what a test's responder says: by default that the certificate asked for is good, signed by its issuer's key.
type said struct {
	issuer    *mtlstest.CA
	signer    *x509.Certificate // nil: the issuer
	key       crypto.Signer
	leaveOut  bool      // the signer's certificate is not sent
	status    int       // ocsp.Good is zero
	next      time.Time // zero: an hour after this
	this      time.Time // zero: noon
	endless   bool      // without nextUpdate
	serial    func() *big.Int
	otherName *mtlstest.CA // whose certificate it is about
	extra     []pkix.Extension
}

func (s said) answer(t testing.TB, question []byte) []byte {
	asked, err := ocsp.ParseRequest(question)
	if err != nil {
		t.Error(err)
		return nil
	}
	if s.this.IsZero() {
		s.this = noon
	}
	if s.next.IsZero() && !s.endless {
		s.next = s.this.Add(time.Hour)
	}
	r := ocsp.Response{Status: s.status, SerialNumber: asked.SerialNumber, ThisUpdate: s.this, NextUpdate: s.next,
		RevokedAt: s.this, IssuerHash: asked.HashAlgorithm, ExtraExtensions: s.extra}
	if s.serial != nil {
		r.SerialNumber = s.serial()
	}
	signer, key, about := s.signer, s.key, s.issuer
	if signer == nil {
		signer = s.issuer.Certificate
	} else if !s.leaveOut {
		r.Certificate = signer
	}
	if key == nil {
		key = s.issuer.Key
	}
	if s.otherName != nil {
		about = s.otherName
	}
	b, err := ocsp.CreateResponse(about.Certificate, signer, r, key)
	if err != nil {
		t.Error(err)
	}
	return b
}

// says makes an address a responder.
func (s *server) says(t testing.TB, path string, what said) {
	s.on(path, func(w http.ResponseWriter, r *http.Request) {
		question, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/ocsp-request" {
			t.Errorf("%s %s, %v", r.Method, r.Header, err)
		}
		_, _ = w.Write(what.answer(t, question))
	})
}

var oidNoCheckValue = pkix.Extension{Id: oidNoCheck, Value: []byte{5, 0}}

// signerOf is a certificate for signing answers.
func signerOf(ca *mtlstest.CA, l mtlstest.Leaf) (*x509.Certificate, crypto.Signer) {
	if l.CN == "" {
		l.CN = "responder"
	}
	if len(l.EKU) == 0 {
		l.EKU = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	}
	c := ca.Issue(l)
	return c.Leaf, c.PrivateKey.(crypto.Signer)
}

func nocheck(l mtlstest.Leaf) mtlstest.Leaf {
	l.Extra = append(l.Extra, oidNoCheckValue)
	return l
}

func TestResponder(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	signer, key := signerOf(ca, nocheck(mtlstest.Leaf{}))
	for _, c := range []struct {
		name string
		what said
		why  authn.Reason
	}{
		{"good", said{}, ""},
		{"good, by a signer", said{signer: signer, key: key}, ""},
		{"good, and the issuer's certificate is with it", said{signer: ca.Certificate}, ""},
		{"good, without nextUpdate", said{endless: true}, ""},
		{"revoked", said{status: ocsp.Revoked}, factors.ReasonRevoked},
		{"revoked, by a signer", said{status: ocsp.Revoked, signer: signer, key: key}, factors.ReasonRevoked},
		{"unknown", said{status: ocsp.Unknown}, ReasonUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			c.what.issuer = ca
			s.says(t, "/", c.what)
			b := newBench(t, Config{})
			checker := b.checker(Written{OCSP: s.URL})
			wantReason(t, check(checker, noon, path), c.why)
			wantReason(t, check(checker, noon.Add(time.Second), path), c.why)
			wantReason(t, check(checker, noon.Add(2*time.Second), marksOnly(path)), c.why)
			if n := s.count("/"); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// Which answers are no answers. What was known before stays.
func TestAnswerIsRefused(t *testing.T) {
	ca, namesake, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Lab CA")
	below := ca.Intermediate("Issuing CA")
	alice, bob := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf, ca.Issue(mtlstest.Leaf{CN: "bob"}).Leaf
	path := pathTo(ca, ca, alice)
	by := func(ca *mtlstest.CA, l mtlstest.Leaf) said {
		c, key := signerOf(ca, l)
		return said{signer: c, key: key}
	}
	renamed := ca.IntermediateFrom(mtlstest.Leaf{CN: "Lab CA", Key: ca.Key})
	leftOut := by(ca, nocheck(mtlstest.Leaf{}))
	leftOut.leaveOut = true
	foreignKey := by(ca, nocheck(mtlstest.Leaf{}))
	foreignKey.key = other.Key
	for _, c := range []struct {
		name  string
		what  said
		cause authn.Reason
	}{
		{"about another certificate", said{serial: func() *big.Int { return bob.SerialNumber }}, ReasonOtherCertificate},
		{"about the serial number of another CA", said{otherName: other}, ReasonOtherCertificate},
		{"about the serial number of another key", said{otherName: namesake}, ReasonOtherCertificate},
		{"about the serial number of another name", said{otherName: renamed}, ReasonOtherCertificate},
		{"signed by another key", said{key: other.Key}, ReasonSignature},
		{"signed by the issuer in the name of another", said{signer: bob, leaveOut: true}, ReasonSignature},
		{"signed by a signer of the issuer's key under another name", by(renamed, nocheck(mtlstest.Leaf{})), ReasonSignature},
		{"signed by a namesake", said{signer: namesake.Certificate, key: namesake.Key, leaveOut: true}, ReasonSignature},
		{"signed by a namesake who shows its certificate", said{signer: namesake.Certificate, key: namesake.Key}, ReasonSignature},
		{"signed by a signer of another CA", by(other, nocheck(mtlstest.Leaf{})), ReasonSignature},
		{"signed by a signer of a namesake", by(namesake, nocheck(mtlstest.Leaf{})), ReasonSignature},
		{"signed by a signer of a CA below", by(below, nocheck(mtlstest.Leaf{})), ReasonSignature},
		{"signed by a signer that is not shown", leftOut, ReasonSignature},
		{"signed by a key that is not the signer's", foreignKey, ReasonMalformed},
		{"signed by a client", by(ca, nocheck(mtlstest.Leaf{EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})), ReasonSignature},
		{"signed by one for anything", by(ca, nocheck(mtlstest.Leaf{EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})), ReasonSignature},
		{"signed by a signer who may not sign", by(ca, nocheck(mtlstest.Leaf{Usage: x509.KeyUsageKeyEncipherment})), ReasonSignature},
		{"signed by a signer that ended", by(ca, nocheck(mtlstest.Leaf{NotBefore: noon.Add(-2 * time.Hour), NotAfter: noon.Add(-time.Second)})), ReasonSignature},
		{"signed by a signer that begins tomorrow", by(ca, nocheck(mtlstest.Leaf{NotBefore: noon.Add(time.Hour)})), ReasonSignature},
		{"signed by a signer that may be revoked", by(ca, mtlstest.Leaf{}), ReasonSignature},
		{"signed by a signer with something unknown", by(ca, nocheck(mtlstest.Leaf{Extra: []pkix.Extension{{Id: oidUnknown, Critical: true, Value: []byte{5, 0}}}})), ReasonSignature},
		{"of yesterday", said{this: noon.Add(-2 * time.Hour)}, ReasonExpired},
		{"of yesterday, without nextUpdate", said{this: noon.Add(-undated), endless: true}, ReasonExpired},
		{"of tomorrow", said{this: noon.Add(ahead + time.Minute)}, ReasonNotYet},
		{"it ends before it begins", said{next: noon.Add(-time.Hour)}, ReasonMalformed},
		{"with something unknown", said{extra: []pkix.Extension{{Id: oidUnknown, Critical: true, Value: []byte{5, 0}}}}, ReasonMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			c.what.issuer = ca
			s.says(t, "/", c.what)
			b := newBench(t, Config{})
			checker := b.checker(Written{OCSP: s.URL})
			err := check(checker, noon, path)
			wantReason(t, err, ReasonUnavailable)
			wantCause(t, err, c.cause)
			if !b.counter.has(c.cause) {
				t.Errorf("counted %v", b.counter.all)
			}
			wantReason(t, check(checker, noon.Add(time.Second), path), ReasonUnavailable)
			if n := s.count("/"); n != 1 {
				t.Errorf("asked %d times", n)
			}
			s.says(t, "/", said{issuer: ca})
			wantReason(t, check(checker, noon.Add(retryEvery), path), "")
			s.says(t, "/", c.what)
			wantReason(t, check(checker, noon.Add(59*time.Minute), path), "")
		})
	}
}

// A responder that has no good answer: what it sends instead.
func TestResponderFails(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		cause  authn.Reason
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, ReasonMalformed},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, ReasonMalformed},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, ReasonUnreachable},
		{"try later", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(ocsp.TryLaterErrorResponse) }, ReasonMalformed},
		{"unauthorized", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(ocsp.UnauthorizedErrorResponse) }, ReasonMalformed},
		{"too much", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxAnswer+1)) }, ReasonTooLarge},
		{"no answer in time", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }, ReasonUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			s.on("/", c.answer)
			err := check(newBench(t, Config{}).checker(Written{OCSP: s.URL, Timeout: 50 * time.Millisecond}), noon, path)
			wantReason(t, err, ReasonUnavailable)
			wantCause(t, err, c.cause)
		})
	}
}

// A signer that does not say that it need not be looked up is looked up in the lists.
func TestSignerIsLookedUp(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	signer, key := signerOf(ca, mtlstest.Leaf{})
	s := newServer(t)
	s.says(t, "/", said{issuer: ca, signer: signer, key: key, status: ocsp.Revoked})
	for name, c := range map[string]struct {
		lists []mtlstest.List
		why   authn.Reason // of a certificate that the signer says is revoked
	}{
		"good":           {[]mtlstest.List{{}}, factors.ReasonRevoked},
		"revoked":        {[]mtlstest.List{{Revoked: []*x509.Certificate{signer}}}, ""},
		"revoked in one": {[]mtlstest.List{{}, {Revoked: []*x509.Certificate{signer}}}, ""},
		"too old":        {[]mtlstest.List{{NextUpdate: noon.Add(-time.Minute)}}, ReasonStale},
	} {
		t.Run(name, func(t *testing.T) {
			w := Written{OCSP: s.URL}
			for _, l := range c.lists {
				w.CRL = append(w.CRL, file(t, ca.ListPEM(l)))
			}
			wantReason(t, check(newBench(t, Config{}).checker(w), noon, path), c.why)
		})
	}
}

// A certificate that a responder does not know may be new: it is asked about again soon.
func TestUnknownIsAskedAboutSoon(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s := newServer(t)
	s.says(t, "/", said{issuer: ca, status: ocsp.Unknown})
	b := newBench(t, Config{})
	checker := b.checker(Written{OCSP: s.URL})
	wantReason(t, check(checker, noon, path), ReasonUnknown)
	s.says(t, "/", said{issuer: ca})
	_ = check(checker, noon.Add(unknownEvery), path)
	if f := b.keeper.answers.known("device", path[0]).ask(context.Background(), noon.Add(unknownEvery), checker); f != nil {
		_ = f.wait(context.Background())
	}
	wantReason(t, check(checker, noon.Add(unknownEvery), path), "")
}

// Where a certificate names its responder; a setting has the last word.
func TestResponderOfTheCertificate(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	named := func(addresses ...string) []Subject {
		return pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice", Change: func(c *x509.Certificate) { c.OCSPServer = addresses }}).Leaf)
	}
	s := newServer(t)
	s.says(t, "/a", said{issuer: ca})
	s.says(t, "/b", said{issuer: ca, status: ocsp.Revoked})
	for _, c := range []struct {
		name string
		ocsp string
		path []Subject
		why  authn.Reason
	}{
		{"none", "aia", named(), ReasonUnknown},
		{"one", "aia", named(s.URL + "/a"), ""},
		{"the other", "aia", named(s.URL + "/b"), factors.ReasonRevoked},
		{"the first that can be asked", "aia", named("ldap://x.example", s.URL+"/a"), ""},
		{"none that can be asked", "aia", named("ldap://x.example"), ReasonUnknown},
		{"a setting", s.URL + "/b", named(s.URL + "/a"), factors.ReasonRevoked},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantReason(t, check(newBench(t, Config{}).checker(Written{OCSP: c.ocsp}), noon, c.path), c.why)
		})
	}
}

// Where both are there, each can say that a certificate is revoked, and either that it is not.
func TestBoth(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	path := pathTo(ca, ca, alice)
	s := newServer(t)
	s.says(t, "/good", said{issuer: ca})
	s.says(t, "/revoked", said{issuer: ca, status: ocsp.Revoked})
	s.says(t, "/unknown", said{issuer: ca, status: ocsp.Unknown})
	good, revoked := file(t, ca.ListPEM(mtlstest.List{})), file(t, ca.ListPEM(mtlstest.List{Revoked: []*x509.Certificate{alice}}))
	late := file(t, ca.ListPEM(mtlstest.List{NextUpdate: noon.Add(-time.Minute)}))
	for _, c := range []struct {
		list, ocsp string
		why        authn.Reason
	}{
		{good, "/good", ""},
		{good, "/revoked", factors.ReasonRevoked},
		{good, "/unknown", ReasonUnknown},
		{good, "/down", ""},
		{revoked, "/good", factors.ReasonRevoked},
		{revoked, "/down", factors.ReasonRevoked},
		{late, "/good", ""},
		{late, "/down", ReasonStale},
	} {
		wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{c.list}, OCSP: s.URL + c.ocsp}), noon, path), c.why)
	}
}

// What a list says is good for as long as it is, when the responder's answer has become too old.
func TestListOutlivesAnAnswer(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s := newServer(t)
	s.says(t, "/", said{issuer: ca})
	checker := newBench(t, Config{}).checker(Written{CRL: []string{file(t, ca.ListPEM(mtlstest.List{}))}, OCSP: s.URL})
	wantReason(t, check(checker, noon, path), "")
	s.on("/", http.NotFound)
	wantReason(t, check(checker, noon.Add(2*time.Hour), path), "")
	wantReason(t, check(checker, noon.Add(30*time.Hour), path), ReasonStale)
}

// All certificates of a path are asked about at once, so that a slow responder costs its time once.
func TestPathIsAskedAboutAtOnce(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	ca := root.Intermediate("Issuing CA")
	alice := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	s, both := newServer(t), make(chan struct{})
	s.on("/", func(w http.ResponseWriter, r *http.Request) {
		question, _ := io.ReadAll(r.Body)
		asked, err := ocsp.ParseRequest(question)
		if err != nil {
			t.Error(err)
			return
		}
		if asked.SerialNumber.Cmp(alice.SerialNumber) == 0 {
			<-both // the question about the leaf is answered when that about its CA was
			_, _ = w.Write(said{issuer: ca}.answer(t, question))
			return
		}
		_, _ = w.Write(said{issuer: root}.answer(t, question))
		close(both)
	})
	wantReason(t, check(newBench(t, Config{}).checker(Written{OCSP: s.URL, Timeout: maxTimeout}), noon, pathTo(root, ca, alice)), "")
}

// A responder that hangs delays those who need its answer, and nobody else: no lock is held meanwhile.
func TestSlowResponderDelaysNobodyElse(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice, bob := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf, ca.Issue(mtlstest.Leaf{CN: "bob"}).Leaf
	s := newServer(t)
	began, release := make(chan struct{}, 10), make(chan struct{})
	s.on("/", func(w http.ResponseWriter, r *http.Request) {
		question, _ := io.ReadAll(r.Body)
		if asked, err := ocsp.ParseRequest(question); err == nil && asked.SerialNumber.Cmp(alice.SerialNumber) == 0 {
			began <- struct{}{}
			<-release
		}
		_, _ = w.Write(said{issuer: ca}.answer(t, question))
	})
	b := newBench(t, Config{})
	checker := b.checker(Written{OCSP: s.URL, Timeout: 10 * time.Second})
	const waiting = 20
	slow := make(chan error, waiting)
	for range waiting {
		go func() { slow <- check(checker, noon, pathTo(ca, ca, alice)) }()
	}
	<-began
	// While alice's answer is not there: bob's is asked for and got, the policy is reloaded, and what is known of alice asked.
	wantReason(t, check(checker, noon, pathTo(ca, ca, bob)), "")
	again := b.checker(Written{OCSP: s.URL, Timeout: 10 * time.Second})
	wantReason(t, check(again, noon, pathTo(ca, ca, bob)), "")
	if again.Revoked(context.Background(), noon, pathTo(ca, ca, alice)) {
		t.Error("revoked")
	}
	if len(slow) > 0 {
		t.Error("somebody did not wait")
	}
	close(release)
	for range waiting {
		wantReason(t, <-slow, "")
	}
	if n := s.count("/"); n != 2 {
		t.Errorf("asked %d times about two certificates", n)
	}
}

// An answer that is about to be too old is asked for again with nobody waiting, and an older one does not replace it.
func TestAnswerIsRenewed(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s := newServer(t)
	s.says(t, "/", said{issuer: ca})
	b := newBench(t, Config{Rand: constant(0)})
	checker := b.checker(Written{OCSP: s.URL})
	standing, err := checker.Check(context.Background(), noon, path)
	if err != nil || !standing.Until.Equal(noon.Add(45*time.Minute)) {
		t.Fatalf("%v, %v", standing.Until.Sub(noon), err)
	}
	renew := func(now time.Time) {
		t.Helper()
		wantReason(t, check(checker, now, path), "")
		if f := b.keeper.answers.known("device", path[0]).ask(context.Background(), now, checker); f != nil {
			_ = f.wait(context.Background())
		}
	}
	s.says(t, "/", said{issuer: ca, this: noon.Add(-time.Second), next: noon.Add(2 * time.Hour)})
	renew(noon.Add(50 * time.Minute))
	if !b.counter.has(ReasonRolledBack) {
		t.Error("an older answer replaced a newer one")
	}
	s.says(t, "/", said{issuer: ca, this: noon.Add(50 * time.Minute), status: ocsp.Revoked})
	renew(noon.Add(51 * time.Minute))
	wantReason(t, check(checker, noon.Add(51*time.Minute), path), factors.ReasonRevoked)
	// What is revoked stays so while nothing newer is known, however old.
	s.on("/", http.NotFound)
	wantReason(t, check(checker, noon.Add(100*time.Hour), path), factors.ReasonRevoked)
}

// How many answers are remembered is bounded, and those in use stay.
func TestAnswersAreBounded(t *testing.T) {
	var a answers
	inUse := Subject{Certificate: &x509.Certificate{}, IssuerCertificate: &x509.Certificate{}}
	first := a.of("device", inUse)
	for n := range 3 * maxAnswers {
		c := inUse
		c.Marks.Serial[0], c.Marks.Serial[1], c.Marks.Serial[2] = 1, byte(n>>8), byte(n)
		c.Marks.Serial[3] = byte(n >> 16)
		a.of("device", c)
		if n%1000 == 0 && a.of("device", inUse) != first {
			t.Fatal("what is in use was forgotten")
		}
	}
	if n := len(a.young) + len(a.old); n > maxAnswers {
		t.Errorf("%d are remembered", n)
	}
	if a.of("device", Subject{Marks: factors.Marks{Serial: [32]byte{9}}}) != nil || a.known("other", inUse) != nil {
		t.Error("nothing was asked there")
	}
}

// An answer that was made later than now is refused, whatever it says of its own time.
func TestAnAnswerOfTheFutureIsRefused(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s := newServer(t)
	early := noon.Add(-time.Hour)
	s.says(t, "/ocsp", said{issuer: ca, this: early.Add(-time.Minute), next: noon.Add(time.Hour)})
	err := check(newBench(t, Config{}).checker(Written{OCSP: s.URL + "/ocsp", Required: "leaf"}), early, path)
	wantReason(t, err, ReasonUnavailable)
	wantCause(t, err, ReasonNotYet)
}

func TestCriticalExtensionsOfAnAnswer(t *testing.T) {
	unknown := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}}
	if err := (asked{}).checkExtensions([]pkix.Extension{unknown}); err != nil {
		t.Errorf("not critical: %v", err)
	}
	unknown.Critical = true
	if f := faultOf((asked{}).checkExtensions([]pkix.Extension{unknown})); f == nil || f.Reason != ReasonUnsupported {
		t.Errorf("critical: %v", f)
	}
}

// Whoever remembers that a certificate was good learns that this is over.
func TestAnAnswerThatRevokesIsNews(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s, b := newServer(t), newBench(t, Config{})
	checker := b.checker(Written{OCSP: s.URL + "/ocsp", Required: "leaf"})
	s.says(t, "/ocsp", said{issuer: ca})
	wantReason(t, check(checker, noon, path), "")
	before := b.keeper.Generation()
	s.says(t, "/ocsp", said{issuer: ca, status: ocsp.Revoked, this: noon.Add(time.Hour)})
	wantReason(t, check(checker, noon.Add(time.Hour), path), factors.ReasonRevoked)
	if b.keeper.Generation() == before {
		t.Error("nothing new is known")
	}
}
