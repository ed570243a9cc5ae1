package mtls

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

func TestEvidence(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	middle := ca.Intermediate("Staff Issuing CA")
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	chain := present(t, middle.Issue(mtlstest.Leaf{CN: "alice"}))
	now := time.Now()
	e, err := verify(t, f, request(chain, now))
	if err != nil {
		t.Fatal(err)
	}
	cert, spki := sha256.Sum256(chain[0].Raw), sha256.Sum256(chain[0].RawSubjectPublicKeyInfo)
	if e.Subject != (authn.Subject{Tenant: "corp", User: "u-alice"}) || e.Names != (authn.Names{Tenant: "corp", User: "alice"}) {
		t.Errorf("subject %+v, names %+v", e.Subject, e.Names)
	}
	if e.Credential != hex.EncodeToString(cert[:]) || e.Key != "spki:"+hex.EncodeToString(spki[:]) {
		t.Errorf("credential %s, key %s", e.Credential, e.Key)
	}
	marks := factors.MarksOf(chain[0])
	want := authn.Tie{Bind: authn.BindKey, Certificate: cert, Key: spki, Serial: marks.Serial, Holder: marks.Subject, Anchor: "staff", Source: "tls",
		Root: sha256.Sum256(slices.Concat(ca.Certificate.RawSubject, ca.Certificate.RawSubjectPublicKeyInfo)), Issuers: appendMarks(nil, factors.MarksOf(middle.Certificate))}
	if e.Tie == nil || !reflect.DeepEqual(*e.Tie, want) {
		t.Errorf("tie %+v, want %+v", e.Tie, want)
	}
	if !e.Expires.Equal(chain[0].NotAfter) || !e.At.Equal(now) || !e.Ambient || e.Factor != "device" || e.Kind != "mtls" {
		t.Errorf("evidence %+v", e)
	}
	if d := f.Describe(); d.Name != "device" || !d.Ambient || !d.Tied || d.Class != authn.ClassPerson || d.Identifies != authn.IdentifiesUser {
		t.Errorf("description %+v", d)
	}
	if _, ok := f.(factors.Enroller); ok {
		t.Error("certificates can be enrolled where nothing asks for it")
	}
}

func TestEvidenceEndsWithThePath(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	middle := ca.IntermediateFrom(mtlstest.Leaf{CN: "Short CA", NotBefore: time.Now().Add(-time.Hour), NotAfter: soon})
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	e, err := verify(t, f, request(present(t, middle.Issue(mtlstest.Leaf{CN: "alice"})), time.Now()))
	if err != nil || !e.Expires.Equal(soon) {
		t.Errorf("expires %v, %v; want %v", e.Expires, err, soon)
	}
}

func TestRefused(t *testing.T) {
	now := time.Now()
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Staff CA")
	middle := ca.Intermediate("Issuing CA")
	sub := func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = true, true }
	cases := []struct {
		name string
		cert tls.Certificate
		why  authn.Reason
	}{
		{"good", ca.Issue(mtlstest.Leaf{CN: "alice"}), ""},
		{"good, client and server", ca.Issue(mtlstest.Leaf{CN: "alice", EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}), ""},
		{"good, no key usage", ca.Issue(mtlstest.Leaf{CN: "alice", NoUsage: true}), ""},
		{"another CA with the same names", other.Issue(mtlstest.Leaf{CN: "alice"}), ReasonUntrusted},
		{"self-signed", mtlstest.SelfSigned(t, mtlstest.Leaf{CN: "alice", Change: withAKI}), ReasonUntrusted},
		{"expired", ca.Issue(mtlstest.Leaf{CN: "alice", NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(-time.Hour)}), ReasonExpired},
		{"not yet valid", ca.Issue(mtlstest.Leaf{CN: "alice", NotBefore: now.Add(time.Hour)}), ReasonNotYetValid},
		{"expired and of another CA", other.Issue(mtlstest.Leaf{CN: "alice", NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(-time.Hour)}), ReasonUntrusted},
		{"for servers only", ca.Issue(mtlstest.Leaf{CN: "alice", EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), ReasonNotForClients},
		{"no extended key usage", ca.Issue(mtlstest.Leaf{CN: "alice", NoEKU: true}), ReasonNotForClients},
		{"for anything", ca.Issue(mtlstest.Leaf{CN: "alice", EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}), ReasonNotForClients},
		{"for clients and anything", ca.Issue(mtlstest.Leaf{CN: "alice", EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageAny}}), ReasonNotForClients},
		{"for key encipherment only", ca.Issue(mtlstest.Leaf{CN: "alice", Usage: x509.KeyUsageKeyEncipherment}), ReasonNotForClients},
		{"a CA below the anchor", ca.Issue(mtlstest.Leaf{CN: "alice", Change: sub}), ReasonIsCA},
		{"may sign certificates", ca.Issue(mtlstest.Leaf{CN: "alice", Usage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}), ReasonIsCA},
		{"the anchor itself", tls.Certificate{Certificate: [][]byte{ca.Certificate.Raw}}, ReasonUntrusted},
		{"an intermediate itself", tls.Certificate{Certificate: [][]byte{middle.Certificate.Raw}}, ReasonIsCA},
		{"intermediate left out", tls.Certificate{Certificate: middle.Issue(mtlstest.Leaf{CN: "alice"}).Certificate[:1]}, ReasonUntrusted},
		{"two common names", ca.Issue(mtlstest.Leaf{CN: "alice", CNs: []string{"bob"}}), ReasonAmbiguous},
		{"the same common name twice", ca.Issue(mtlstest.Leaf{CN: "alice", CNs: []string{"alice"}}), ReasonAmbiguous},
		{"line feed", ca.Issue(mtlstest.Leaf{CN: "alice\n"}), ReasonBadName},
		{"NUL", ca.Issue(mtlstest.Leaf{CN: "alice\x00"}), ReasonBadName},
		{"delete", ca.Issue(mtlstest.Leaf{CN: "alice\x7f"}), ReasonBadName},
		{"right-to-left override", ca.Issue(mtlstest.Leaf{CN: "\u202eecila"}), ReasonBadName},
		{"left-to-right isolate", ca.Issue(mtlstest.Leaf{CN: "alice\u2066"}), ReasonBadName},
		{"zero-width space", ca.Issue(mtlstest.Leaf{CN: "al\u200bice"}), ReasonBadName},
		{"zero-width joiner", ca.Issue(mtlstest.Leaf{CN: "al\u200dice"}), ReasonBadName},
		{"byte order mark", ca.Issue(mtlstest.Leaf{CN: "\ufeffalice"}), ReasonBadName},
		{"soft hyphen", ca.Issue(mtlstest.Leaf{CN: "al\u00adice"}), ReasonBadName},
		{"combining grapheme joiner", ca.Issue(mtlstest.Leaf{CN: "al\u034fice"}), ReasonBadName},
		{"hangul filler", ca.Issue(mtlstest.Leaf{CN: "alice\u3164"}), ReasonBadName},
		{"variation selector", ca.Issue(mtlstest.Leaf{CN: "alice\ufe0f"}), ReasonBadName},
		{"tag character", ca.Issue(mtlstest.Leaf{CN: "alice\U000e0041"}), ReasonBadName},
		{"no-break space", ca.Issue(mtlstest.Leaf{CN: "ali\u00a0ce"}), ReasonBadName},
		{"trailing space", ca.Issue(mtlstest.Leaf{CN: "alice "}), ReasonBadName},
		{"leading space", ca.Issue(mtlstest.Leaf{CN: " alice"}), ReasonBadName},
		{"over-long", ca.Issue(mtlstest.Leaf{CN: string(make257())}), ReasonBadName},
		{"deceiving name where no rule reads it", ca.Issue(mtlstest.Leaf{CN: "alice", Emails: []string{"a\x01@corp.example"}}), ReasonBadName},
		{"another spelling", ca.Issue(mtlstest.Leaf{CN: "Alice"}), factors.ReasonUserUnknown},
		{"somebody unknown", ca.Issue(mtlstest.Leaf{CN: "mallory"}), factors.ReasonUserUnknown},
		{"a device, not a user", ca.Issue(mtlstest.Leaf{CN: "lobby"}), factors.ReasonUserUnknown},
		{"no common name", ca.Issue(mtlstest.Leaf{DNS: []string{"alice.example"}}), ReasonUnmapped},
		{"serial zero", withSerial(t, ca, big.NewInt(0)), ReasonNonconforming},
		{"serial of 21 octets", ca.Issue(mtlstest.Leaf{CN: "alice", Serial: new(big.Int).Lsh(big.NewInt(1), 159)}), ReasonNonconforming},
		{"serial of 20 octets", ca.Issue(mtlstest.Leaf{CN: "alice", Serial: new(big.Int).Lsh(big.NewInt(1), 158)}), ""},
		{"name constraints in a leaf", ca.Issue(mtlstest.Leaf{CN: "alice", Extra: []pkix.Extension{constraints(t, asn1.ClassContextSpecific, 2, "example")}}), ReasonNonconforming},
		{"small RSA key", ca.Issue(mtlstest.Leaf{CN: "alice", Key: smallRSA(t)}), ReasonWeak},
		{"curve that is not good", ca.Issue(mtlstest.Leaf{CN: "alice", Key: p224(t)}), ReasonWeak},
		{"Ed25519", ca.Issue(mtlstest.Leaf{CN: "alice", Key: ed(t)}), ""},
		{"many names", ca.Issue(mtlstest.Leaf{CN: "alice", DNS: many(65)}), ReasonTooLarge},
		{"as many names as may be", ca.Issue(mtlstest.Leaf{CN: "alice", DNS: many(64)}), ""},
		{"large leaf", ca.Issue(mtlstest.Leaf{CN: "alice", Extra: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, 25<<10)}}}), ReasonTooLarge},
		{"long chain", long(middle.Issue(mtlstest.Leaf{CN: "alice"}), 11), ReasonTooLarge},
		{"a chain as long as may be", long(middle.Issue(mtlstest.Leaf{CN: "alice"}), 10), ""},
		{"three large certificates", heavy(t, ca), ReasonTooLarge},
		{"no authority key identifier below an intermediate", middle.Issue(mtlstest.Leaf{CN: "alice", Extra: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Value: []byte{0x30, 0}}}}), ReasonNonconforming},
		{"no authority key identifier below the anchor", ca.Issue(mtlstest.Leaf{CN: "alice", Extra: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Value: []byte{0x30, 0}}}}), ""},
		{"no subject, and a subjectAltName that may be passed over", ca.Issue(mtlstest.Leaf{Extra: []pkix.Extension{mtlstest.Leaf{URIs: []string{"urn:x"}}.SubjectAltName(t)}}), ReasonNonconforming},
		{"unknown critical extension", ca.Issue(mtlstest.Leaf{CN: "alice", Extra: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}}), ReasonUntrusted},
		{"common name in an old string type", ca.Issue(mtlstest.Leaf{Change: teletex}), ReasonBadName},
	}
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := verify(t, f, request(present(t, c.cert), now))
			wantReason(t, err, c.why)
		})
	}
}

func make257() []byte {
	b := make([]byte, 257)
	for i := range b {
		b[i] = 'a'
	}
	return b
}

func withAKI(c *x509.Certificate) { c.AuthorityKeyId = []byte{1, 2, 3, 4} }

// withSerial issues through the template's last word, since a zero serial reads as "make one".
func withSerial(t *testing.T, ca *mtlstest.CA, n *big.Int) tls.Certificate {
	t.Helper()
	return ca.Issue(mtlstest.Leaf{CN: "alice", Change: func(c *x509.Certificate) { c.SerialNumber = n }})
}

func teletex(c *x509.Certificate) {
	c.RawSubject, _ = asn1.Marshal(pkix.RDNSequence{{{
		Type:  asn1.ObjectIdentifier{2, 5, 4, 3},
		Value: asn1.RawValue{Tag: asn1.TagT61String, Bytes: []byte("alice")},
	}}})
}

func constraints(t *testing.T, class, tag int, base string) pkix.Extension {
	t.Helper()
	type subtree struct{ Base asn1.RawValue }
	der, err := asn1.Marshal(struct {
		Permitted []subtree `asn1:"tag:0"`
	}{[]subtree{{asn1.RawValue{Class: class, Tag: tag, Bytes: []byte(base)}}}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: oidNameConstraints, Value: der}
}

func smallRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func p224(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ed(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "h" + big.NewInt(int64(i)).String() + ".example"
	}
	return out
}

func long(c tls.Certificate, n int) tls.Certificate {
	for len(c.Certificate) < n {
		c.Certificate = append(c.Certificate, c.Certificate[1])
	}
	return c
}

func TestNoCertificateAndEarlyData(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	_, err := verify(t, f, factors.Request{Now: time.Now()})
	wantReason(t, err, factors.ReasonNoCertificate)
	chain := present(t, ca.Issue(mtlstest.Leaf{CN: "alice"}))
	early := factors.Request{Now: time.Now(), Peer: peer.New(chain, peer.Source{Name: SourceTLS, Early: true}, nil)}
	_, err = verify(t, f, early)
	wantReason(t, err, ReasonEarlyData)
}

func TestWeakIntermediate(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	weak := ca.IntermediateFrom(mtlstest.Leaf{CN: "Weak CA", Key: smallRSA(t)})
	_, err := verify(t, f, request(present(t, weak.Issue(mtlstest.Leaf{CN: "alice", Change: func(c *x509.Certificate) {
		c.SignatureAlgorithm = x509.SHA256WithRSA
	}})), time.Now()))
	wantReason(t, err, ReasonWeak)
}

func TestIntermediateForServersOnly(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	web := ca.IntermediateFrom(mtlstest.Leaf{CN: "Web CA", EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	_, err := verify(t, f, request(present(t, web.Issue(mtlstest.Leaf{CN: "alice"})), time.Now()))
	wantReason(t, err, ReasonNotForClients)
}

// crypto/x509 passes over constraints of directory names that are not critical.
func TestConstraintsThatNobodyChecks(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	for _, c := range []struct {
		class, tag int
		base       string
		why        authn.Reason
	}{
		{asn1.ClassContextSpecific, 2, "corp.example", ""},
		{asn1.ClassContextSpecific, 4, "0\x00", ReasonNonconforming}, // an empty Name
		{asn1.ClassUniversal, 2, "corp.example", ReasonNonconforming},
		{asn1.ClassApplication, 2, "corp.example", ReasonNonconforming},
		{asn1.ClassPrivate, 2, "corp.example", ReasonNonconforming},
	} {
		middle := ca.IntermediateFrom(mtlstest.Leaf{CN: "CA", Extra: []pkix.Extension{constraints(t, c.class, c.tag, c.base)}})
		_, err := verify(t, f, request(present(t, middle.Issue(mtlstest.Leaf{CN: "alice"})), time.Now()))
		wantReason(t, err, c.why)
	}
}

func TestEdgesOfTime(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	from := time.Now().Add(-time.Hour).Truncate(time.Second)
	chain := present(t, ca.Issue(mtlstest.Leaf{CN: "alice", NotBefore: from, NotAfter: from.Add(2 * time.Hour)}))
	for at, why := range map[time.Duration]authn.Reason{
		-time.Nanosecond:                   ReasonNotYetValid,
		0:                                  "",
		2 * time.Hour:                      "",
		2*time.Hour + 999*time.Millisecond: "",
		2*time.Hour + time.Second:          ReasonExpired,
	} {
		_, err := verify(t, f, request(chain, from.Add(at)))
		wantReason(t, err, why)
	}
}

func TestDenied(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	middle := ca.Intermediate("Issuing CA")
	for _, by := range []factors.DenialBy{factors.DenyCertificate, factors.DenyKey, factors.DenySerial, factors.DenySubject} {
		for i, who := range []string{"leaf", "intermediate", "anchor"} {
			x := newFixture(staffOf(ca))
			f := x.factor(t, byCommonName)
			chain := present(t, middle.Issue(mtlstest.Leaf{CN: "alice"}))
			x.denials.deny(by, append(chain, ca.Certificate)[i])
			_, err := verify(t, f, request(chain, time.Now()))
			t.Run(who+" by "+string(by), func(t *testing.T) { wantReason(t, err, factors.ReasonRevoked) })
		}
	}
}

// What one tenant denies is not denied in another, though a path's certificates may be the same.
func TestDeniedInAnotherTenant(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	x := newFixture(staffOf(ca))
	f := x.factor(t, byCommonName)
	chain := present(t, ca.Issue(mtlstest.Leaf{CN: "alice"}))
	x.denials.deny(factors.DenyCertificate, chain[0])
	for tenant, why := range map[string]authn.Reason{"labs": "", "corp": factors.ReasonRevoked, "": factors.ReasonRevoked} {
		x.denials.list[0].Tenant = tenant
		_, err := verify(t, f, request(chain, time.Now()))
		t.Run("denied in "+tenant, func(t *testing.T) { wantReason(t, err, why) })
	}
}

func TestOurSideIsBroken(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	chain := present(t, ca.Issue(mtlstest.Leaf{CN: "alice"}))
	broken := errors.New("disk on fire")
	for name, set := range map[string]func(*fixture){
		"denials":        func(x *fixture) { x.denials.err = broken },
		"directory":      func(x *fixture) { x.directory.err = broken },
		"another's name": func(x *fixture) { x.directory.users[key("corp", "alice", authn.ClassPerson)] = bob },
	} {
		t.Run(name, func(t *testing.T) {
			x := newFixture(staffOf(ca))
			f := x.factor(t, byCommonName)
			set(x)
			_, err := verify(t, f, request(chain, time.Now()))
			if _, rejected := errors.AsType[*factors.Rejection](err); err == nil || rejected {
				t.Errorf("got %v, want an error that is no rejection", err)
			}
		})
	}
	s, err := readSettings(plainSection{"device", newFixture(staffOf(ca)).anchors, byCommonName})
	if err != nil {
		t.Fatal(err)
	}
	for _, env := range []factors.Env{{Directory: peopleOf()}, {Denials: &denyList{}}} {
		if _, err := Kind().Build(s, env); err == nil {
			t.Error("built with half an environment")
		}
	}
}

func TestForeignTenant(t *testing.T) {
	staff, acme := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Acme CA")
	x := newFixture(staffOf(staff), policy.Anchor{Name: "acme", Tenant: "acme", Certificates: []*x509.Certificate{acme.Certificate}})
	f := x.factor(t, written{Anchors: []string{"staff", "acme"}, Identify: []writtenRule{
		{From: "san.uri", Pattern: "spiffe://corp.example/{tenant}/staff/{user}"},
		{From: "subject.cn", Pattern: "{user}", Tenant: "corp"},
	}})
	uri := mtlstest.Leaf{URIs: []string{"spiffe://corp.example/corp/staff/alice"}}
	_, err := verify(t, f, request(present(t, staff.Issue(uri)), time.Now()))
	wantReason(t, err, "")
	_, err = verify(t, f, request(present(t, acme.Issue(uri)), time.Now()))
	wantReason(t, err, ReasonForeignTenant)
	_, err = verify(t, f, request(present(t, acme.Issue(mtlstest.Leaf{CN: "alice"})), time.Now()))
	wantReason(t, err, ReasonForeignTenant)
	_, err = verify(t, f, request(present(t, staff.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/acme/staff/alice"}})), time.Now()))
	wantReason(t, err, ReasonForeignTenant)
}

func TestTenantFromTheAnchor(t *testing.T) {
	acme, globex := mtlstest.NewCA(t, "Acme CA"), mtlstest.NewCA(t, "Globex CA")
	x := newFixture(
		policy.Anchor{Name: "acme", Tenant: "acme", Certificates: []*x509.Certificate{acme.Certificate}},
		policy.Anchor{Name: "globex", Tenant: "globex", Certificates: []*x509.Certificate{globex.Certificate}})
	f := x.factor(t, written{Anchors: []string{"acme", "globex"}, Identify: []writtenRule{{From: "anchor"}}})
	if d := f.Describe(); d.Identifies != authn.IdentifiesTenant {
		t.Errorf("identifies %v", d.Identifies)
	}
	for ca, tenant := range map[*mtlstest.CA]string{acme: "acme", globex: "globex"} {
		chain := present(t, ca.Issue(mtlstest.Leaf{CN: "whoever"}))
		e, err := verify(t, f, request(chain, time.Now()))
		if err != nil || e.Subject != (authn.Subject{Tenant: tenant}) {
			t.Fatalf("%s: %+v, %v", tenant, e.Subject, err)
		}
		inside := authn.Subject{Tenant: tenant, User: "u-carol"}
		if err := f.CheckTie(context.Background(), request(chain, time.Now()), *e.Tie, inside); err != nil {
			t.Errorf("a user named by a later factor: %v", err)
		}
		err = f.CheckTie(context.Background(), request(chain, time.Now()), *e.Tie, authn.Subject{Tenant: "corp"})
		wantReason(t, err, ReasonForeignTenant)
	}
}

// One CA certified by two others is the end of two paths.
func TestTwoPathsTwoTenants(t *testing.T) {
	acme, globex := mtlstest.NewCA(t, "Acme CA"), mtlstest.NewCA(t, "Globex CA")
	key := mtlstest.NewKey(t)
	a := acme.IntermediateFrom(mtlstest.Leaf{CN: "Shared CA", Key: key})
	g := globex.IntermediateFrom(mtlstest.Leaf{CN: "Shared CA", Key: key})
	x := newFixture(
		policy.Anchor{Name: "acme", Tenant: "acme", Certificates: []*x509.Certificate{acme.Certificate}},
		policy.Anchor{Name: "globex", Tenant: "globex", Certificates: []*x509.Certificate{globex.Certificate}})
	f := x.factor(t, written{Anchors: []string{"acme", "globex"}, Identify: []writtenRule{{From: "anchor"}}})
	chain := append(present(t, a.Issue(mtlstest.Leaf{CN: "whoever"})), g.Certificate)

	r := request(chain, time.Now())
	_, err := verify(t, f, r)
	wantReason(t, err, ReasonAmbiguous)

	r.Subject.Tenant = "globex"
	e, err := verify(t, f, r)
	if err != nil || e.Subject.Tenant != "globex" || e.Tie.Anchor != "globex" {
		t.Errorf("with the tenant known: %+v, %v", e.Subject, err)
	}

	x.denials.deny(factors.DenyCertificate, g.Certificate)
	r.Subject.Tenant = ""
	e, err = verify(t, f, r)
	if err != nil || e.Subject.Tenant != "acme" {
		t.Errorf("with one path denied: %+v, %v", e.Subject, err)
	}
}

func TestCheckTie(t *testing.T) {
	ca, lab := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Lab CA")
	both := []policy.Anchor{staffOf(ca), {Name: "lab", Tenants: []string{"corp"}, Certificates: []*x509.Certificate{lab.Certificate}}}
	key := mtlstest.NewKey(t)
	first := ca.Issue(mtlstest.Leaf{CN: "alice", Key: key})
	certificates := map[string]tls.Certificate{
		"the same":              first,
		"same key":              ca.Issue(mtlstest.Leaf{CN: "alice", Key: key}),
		"same key, other name":  ca.Issue(mtlstest.Leaf{CN: "bob", Key: key}),
		"new key":               ca.Issue(mtlstest.Leaf{CN: "alice"}),
		"new key, other name":   ca.Issue(mtlstest.Leaf{CN: "bob"}),
		"new key, other anchor": lab.Issue(mtlstest.Leaf{CN: "alice"}),
		"same key, other CA":    lab.Issue(mtlstest.Leaf{CN: "alice", Key: key}),
	}
	allowed := map[authn.Bind][]string{
		authn.BindCertificate: {"the same"},
		authn.BindKey:         {"the same", "same key", "same key, other CA"},
		authn.BindIdentity:    {"the same", "same key", "new key"},
	}
	for bind, good := range allowed {
		w := byCommonName
		w.Anchors, w.Bind = []string{"staff", "lab"}, string(bind)
		f := newFixture(both...).factor(t, w)
		e, err := verify(t, f, request(present(t, first), time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		for name, cert := range certificates {
			t.Run(string(bind)+"/"+name, func(t *testing.T) {
				err := f.CheckTie(context.Background(), request(present(t, cert), time.Now()), *e.Tie, e.Subject)
				for _, g := range good {
					if g == name {
						wantReason(t, err, "")
						return
					}
				}
				if _, ok := errors.AsType[*factors.Rejection](err); !ok {
					t.Errorf("got %v, want a rejection", err)
				}
			})
		}
	}
}

func TestCheckTieRefuses(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	first := ca.Issue(mtlstest.Leaf{CN: "alice"})
	renewed := ca.Issue(mtlstest.Leaf{CN: "alice"})
	w := byCommonName
	w.Bind = "identity"
	setup := func(t *testing.T) (*fixture, factors.Tied, authn.Evidence) {
		x := newFixture(staffOf(ca))
		f := x.factor(t, w)
		e, err := verify(t, f, request(present(t, first), time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		return x, f, e
	}
	check := func(f factors.Tied, r factors.Request, e authn.Evidence) error {
		return f.CheckTie(context.Background(), r, *e.Tie, e.Subject)
	}
	t.Run("no certificate", func(t *testing.T) {
		_, f, e := setup(t)
		wantReason(t, check(f, factors.Request{Now: time.Now()}, e), factors.ReasonTieMissing)
	})
	t.Run("the original denied, the renewal presented", func(t *testing.T) {
		x, f, e := setup(t)
		wantReason(t, check(f, request(present(t, renewed), time.Now()), e), "")
		x.denials.deny(factors.DenyCertificate, first.Leaf)
		wantReason(t, check(f, request(present(t, renewed), time.Now()), e), factors.ReasonRevoked)
	})
	for _, by := range []factors.DenialBy{factors.DenyKey, factors.DenySerial, factors.DenySubject} {
		t.Run("the original denied by "+string(by), func(t *testing.T) {
			x, f, e := setup(t)
			x.denials.deny(by, first.Leaf)
			wantReason(t, check(f, request(present(t, renewed), time.Now()), e), factors.ReasonRevoked)
		})
	}
	t.Run("another source", func(t *testing.T) {
		_, f, e := setup(t)
		r := factors.Request{Now: time.Now(), Peer: peer.New(present(t, first), peer.Source{Name: "nginx"}, nil)}
		wantReason(t, check(f, r, e), ReasonOtherSource)
	})
	t.Run("expired since", func(t *testing.T) {
		_, f, e := setup(t)
		wantReason(t, check(f, request(present(t, first), time.Now().Add(30*time.Hour)), e), ReasonExpired)
	})
	t.Run("the name now belongs to another user", func(t *testing.T) {
		x, f, e := setup(t)
		x.directory.users[key("corp", "alice", authn.ClassPerson)] = factors.User{Tenant: "corp", ID: "u-other", Name: "alice"}
		wantReason(t, check(f, request(present(t, first), time.Now()), e), ReasonOtherSubject)
	})
	t.Run("the denials cannot be read", func(t *testing.T) {
		x, f, e := setup(t)
		x.denials.err = errors.New("gone")
		err := check(f, request(present(t, first), time.Now()), e)
		if _, rejected := errors.AsType[*factors.Rejection](err); err == nil || rejected {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an unknown bind", func(t *testing.T) {
		_, f, e := setup(t)
		e.Tie.Bind = "anything"
		wantReason(t, check(f, request(present(t, first), time.Now()), e), factors.ReasonTieBroken)
	})
	t.Run("the policy became stricter", func(t *testing.T) {
		x, _, e := setup(t)
		strict := w
		strict.Bind = "certificate"
		wantReason(t, check(x.factor(t, strict), request(present(t, renewed), time.Now()), e), factors.ReasonTieBroken)
	})
}

func TestEnrolled(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	w := byCommonName
	w.Enrolled = "required"
	x := newFixture(staffOf(ca))
	f := x.factor(t, w)
	enroller, ok := f.(factors.Enroller)
	if !ok {
		t.Fatal("certificates cannot be enrolled")
	}
	chain := present(t, ca.Issue(mtlstest.Leaf{CN: "alice"}))
	r := request(chain, time.Now())
	_, err := verify(t, f, r)
	wantReason(t, err, ReasonNotEnrolled)

	if c, err := enroller.EnrolChallenge(context.Background(), factors.Enrolment{Request: r, User: alice}); err != nil || string(c.PublicKey) != "{}" {
		t.Errorf("challenge %+v, %v", c, err)
	}
	_, err = enroller.Enrol(context.Background(), factors.Enrolment{Request: r, User: bob})
	wantReason(t, err, ReasonOtherSubject)
	_, err = enroller.Enrol(context.Background(), factors.Enrolment{Request: factors.Request{Now: r.Now}, User: alice})
	wantReason(t, err, factors.ReasonNoCertificate)
	credential, err := enroller.Enrol(context.Background(), factors.Enrolment{Request: r, User: alice})
	if err != nil {
		t.Fatal(err)
	}
	credential.Tenant, credential.User, credential.Factor = "corp", "u-alice", "device"
	at := "corp/device/" + credential.ID

	x.directory.credentials[at] = credential
	e, err := verify(t, f, r)
	wantReason(t, err, "")
	if err == nil {
		wantReason(t, f.CheckTie(context.Background(), r, *e.Tie, e.Subject), "")
	}

	flagged := credential
	flagged.Flagged = "stolen"
	x.directory.credentials[at] = flagged
	_, err = verify(t, f, r)
	wantReason(t, err, factors.ReasonFlagged)
	wantReason(t, f.CheckTie(context.Background(), r, *e.Tie, e.Subject), factors.ReasonFlagged)

	others := credential
	others.User = "u-bob"
	x.directory.credentials[at] = others
	_, err = verify(t, f, r)
	wantReason(t, err, ReasonNotEnrolled)
}

// Names of people, of devices and of workloads are apart: the factor says whose it reads, and finds no other of the name.
func TestClassesAreApart(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	for _, class := range []authn.Class{authn.ClassPerson, authn.ClassDevice, authn.ClassWorkload} {
		x := newFixture(staffOf(ca))
		for _, other := range []authn.Class{authn.ClassPerson, authn.ClassDevice, authn.ClassWorkload} {
			x.directory.users[key("corp", "same", other)] = factors.User{Tenant: "corp", ID: "id of " + other.String(), Name: "same", Class: other}
		}
		w := byCommonName
		w.Principal = strings.Replace(class.String(), "person", "user", 1)
		f := x.factor(t, w)
		r := request(present(t, ca.Issue(mtlstest.Leaf{CN: "same"})), time.Now())
		e, err := verify(t, f, r)
		if err != nil || e.Subject != (authn.Subject{Tenant: "corp", User: "id of " + class.String(), Class: class}) || f.Describe().Class != class {
			t.Errorf("%s: %+v, %v", class, e.Subject, err)
		}
		for _, other := range []authn.Class{authn.ClassPerson, authn.ClassDevice, authn.ClassWorkload} {
			of := e.Subject
			of.Class = other
			why := ReasonOtherSubject
			if other == class {
				why = ""
			}
			wantReason(t, f.CheckTie(context.Background(), r, *e.Tie, of), why)
		}
		for _, other := range []authn.Class{authn.ClassPerson, authn.ClassDevice, authn.ClassWorkload} {
			x.directory.users[key("corp", "same", class)] = factors.User{Tenant: "corp", ID: "u", Name: "same", Class: other}
			if _, err := verify(t, f, r); (err == nil) != (other == class) {
				t.Errorf("%s: a directory that answers with a %s: %v", class, other, err)
			}
		}
		delete(x.directory.users, key("corp", "same", class))
		_, err = verify(t, f, r)
		wantReason(t, err, factors.ReasonUserUnknown)
	}
}

func TestDevice(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f := newFixture(staffOf(ca)).factor(t, written{Anchors: []string{"staff"}, Principal: "device",
		Identify: []writtenRule{{From: "san.uri", Pattern: "spiffe://corp.example/{tenant}/kiosk/{user}"}}})
	e, err := verify(t, f, request(present(t, ca.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/corp/kiosk/lobby"}})), time.Now()))
	if err != nil || e.Subject != (authn.Subject{Tenant: "corp", User: "d-lobby", Class: authn.ClassDevice}) || f.Describe().Class != authn.ClassDevice {
		t.Errorf("%+v, %v", e.Subject, err)
	}
	_, err = verify(t, f, request(present(t, ca.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/corp/kiosk/alice"}})), time.Now()))
	wantReason(t, err, factors.ReasonUserUnknown)
	two := []string{"spiffe://corp.example/corp/kiosk/lobby", "spiffe://corp.example/corp/kiosk/hall"}
	_, err = verify(t, f, request(present(t, ca.Issue(mtlstest.Leaf{URIs: two})), time.Now()))
	wantReason(t, err, ReasonAmbiguous)
}

// crypto/x509 reads a key usage that allows nothing as none at all.
func TestIntermediateThatMayNotSign(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	nothing := pkix.Extension{Id: oidKeyUsage, Critical: true, Value: []byte{3, 2, 7, 0}}
	middle := ca.IntermediateFrom(mtlstest.Leaf{CN: "CA", Extra: []pkix.Extension{nothing}, Change: func(c *x509.Certificate) { c.KeyUsage = 0 }})
	_, err := verify(t, f, request(present(t, middle.Issue(mtlstest.Leaf{CN: "alice"})), time.Now()))
	wantReason(t, err, ReasonNonconforming)
}

func heavy(t *testing.T, ca *mtlstest.CA) tls.Certificate {
	t.Helper()
	ballast := []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, 23<<10)}}
	top := ca.IntermediateFrom(mtlstest.Leaf{CN: "A", Extra: ballast})
	return top.IntermediateFrom(mtlstest.Leaf{CN: "B", Extra: ballast}).Issue(mtlstest.Leaf{CN: "alice", Extra: ballast})
}

func TestIntermediateWithManyNames(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	middle := ca.IntermediateFrom(mtlstest.Leaf{CN: "CA", DNS: many(65)})
	_, err := verify(t, f, request(present(t, middle.Issue(mtlstest.Leaf{CN: "alice"})), time.Now()))
	wantReason(t, err, ReasonTooLarge)
}

func TestStrongKey(t *testing.T) {
	for bits, strong := range map[uint]bool{1024: false, 2040: false, 2048: true, 2049: false, 4096: true, 8192: true, 8200: false, 16384: false} {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		for e, good := range map[int]bool{65537: true, 3: true, 1: false, 4: false} {
			c := &x509.Certificate{PublicKey: &rsa.PublicKey{N: n, E: e}}
			if strongKey(c) != (strong && good) {
				t.Errorf("RSA of %d bits, exponent %d: %v", bits, e, !strong)
			}
		}
	}
}
