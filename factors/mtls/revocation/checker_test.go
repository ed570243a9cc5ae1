package revocation

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// The whole path is looked up, and the anchor is not.
func TestPathIsChecked(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	ca := root.Intermediate("Issuing CA")
	alice, bob := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf, ca.Issue(mtlstest.Leaf{CN: "bob"}).Leaf
	none := mtlstest.List{}
	of := func(c ...*x509.Certificate) mtlstest.List { return mtlstest.List{Revoked: c} }
	for _, c := range []struct {
		name         string
		root, issuer mtlstest.List
		why          authn.Reason
	}{
		{"nobody is revoked", none, none, ""},
		{"somebody else is", none, of(bob), ""},
		{"the leaf is", none, of(alice), factors.ReasonRevoked},
		{"the CA is", of(ca.Certificate), none, factors.ReasonRevoked},
		{"the anchor is, by itself", of(root.Certificate), none, ""},
		{"a leaf of the root has its serial", of(alice), none, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			lists := file(t, root.ListPEM(c.root), ca.ListPEM(c.issuer))
			checker := newBench(t, Config{}).checker(Written{CRL: []string{lists}})
			path := pathTo(root, ca, alice)
			wantReason(t, check(checker, noon, path), c.why)
			wantReason(t, check(checker, noon, marksOnly(path)), c.why)
			if got := checker.Revoked(context.Background(), noon, marksOnly(path)); got != (c.why != "") {
				t.Errorf("revoked: %v", got)
			}
		})
	}
}

// How long an answer is good: to its nextUpdate, or until it is older than max_age; then for as long as the policy lets it
// be stale.
func TestFreshness(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	ca := root.Intermediate("Issuing CA")
	path := pathTo(root, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	lists := file(t, ca.ListPEM(mtlstest.List{ThisUpdate: noon, NextUpdate: noon.Add(24 * time.Hour)}),
		root.ListPEM(mtlstest.List{ThisUpdate: noon, NextUpdate: noon.Add(100 * time.Hour)}))
	stale := func(d time.Duration) *policy.TextOr[WrittenStale] {
		return &policy.TextOr[WrittenStale]{Mapping: &WrittenStale{AllowUntil: d}}
	}
	for _, c := range []struct {
		name        string
		w           Written
		fresh, good time.Duration // until when it passes as fresh, and at all
	}{
		{"nextUpdate", Written{}, 24 * time.Hour, 24 * time.Hour},
		{"max_age", Written{MaxAge: 2 * time.Hour}, 2 * time.Hour, 2 * time.Hour},
		{"max_age beyond nextUpdate", Written{MaxAge: 30 * time.Hour}, 24 * time.Hour, 24 * time.Hour},
		{"max_age_of_cas", Written{MaxAge: 2 * time.Hour, MaxAgeOfCAs: time.Hour}, time.Hour, time.Hour},
		{"max_age_of_cas beyond max_age", Written{MaxAge: time.Hour, MaxAgeOfCAs: 3 * time.Hour}, time.Hour, time.Hour},
		{"allow_until", Written{Stale: stale(2 * time.Hour)}, 24 * time.Hour, 26 * time.Hour},
		{"max_age and allow_until", Written{MaxAge: time.Hour, Stale: stale(2 * time.Hour)}, time.Hour, 3 * time.Hour},
		{"refuse", Written{Stale: &policy.TextOr[WrittenStale]{Text: "refuse"}}, 24 * time.Hour, 24 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.w.CRL = []string{lists}
			b := newBench(t, Config{})
			checker := b.checker(c.w)
			standing, err := checker.Check(context.Background(), noon, path)
			if err != nil || !standing.Until.Equal(noon.Add(c.fresh)) {
				t.Errorf("%v, %v, want %v", standing.Until.Sub(noon), err, c.fresh)
			}
			wantReason(t, check(checker, noon.Add(c.fresh-time.Second), path), "")
			if b.counter.has(ReasonStaleAllowed) {
				t.Error("counted as stale")
			}
			wantReason(t, check(checker, noon.Add(c.good-time.Second), path), "")
			if b.counter.has(ReasonStaleAllowed) != (c.good > c.fresh) {
				t.Error("counted as stale:", b.counter.has(ReasonStaleAllowed))
			}
			wantReason(t, check(checker, noon.Add(c.good), path), ReasonStale)
			if !b.counter.has(ReasonStale) {
				t.Error("not counted")
			}
		})
	}
}

// A revoked certificate stays revoked when the list that says so is too old, and where a fresher source does not say so.
func TestRevokedWins(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	path := pathTo(ca, ca, alice)
	old := file(t, ca.ListPEM(mtlstest.List{Revoked: []*x509.Certificate{alice}}))
	young := file(t, ca.ListPEM(mtlstest.List{Number: 2, ThisUpdate: noon}))
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{old}}), noon.Add(100*time.Hour), path), factors.ReasonRevoked)
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{old, young}}), noon, path), factors.ReasonRevoked)
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{young, old}}), noon, path), factors.ReasonRevoked)
}

func TestWhatIsRequired(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	ca := root.Intermediate("Issuing CA")
	alice := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	path := pathTo(root, ca, alice)
	leafs, whole := file(t, ca.ListPEM(mtlstest.List{})), file(t, ca.ListPEM(mtlstest.List{}), root.ListPEM(mtlstest.List{}))
	late := file(t, ca.ListPEM(mtlstest.List{}), root.ListPEM(mtlstest.List{NextUpdate: noon.Add(-time.Minute)}))
	revoked := file(t, ca.ListPEM(mtlstest.List{}), root.ListPEM(mtlstest.List{Revoked: []*x509.Certificate{ca.Certificate}}))
	roots := file(t, root.ListPEM(mtlstest.List{}))
	for _, c := range []struct {
		name, file, required string
		why                  authn.Reason
	}{
		{"the path, and there is all", whole, "", ""},
		{"the path, by name", whole, "path", ""},
		{"the path, and of the CA there is nothing", leafs, "", ReasonUnknown},
		{"the path, and the CA's is too old", late, "", ReasonStale},
		{"the leaf, and there is all", whole, "leaf", ""},
		{"the leaf, and of the CA there is nothing", leafs, "leaf", ""},
		{"the leaf, and the CA's is too old", late, "leaf", ""},
		{"the leaf, and the CA is revoked", revoked, "leaf", factors.ReasonRevoked},
		{"the leaf, and of it there is nothing", roots, "leaf", ReasonUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{c.file}, Required: c.required}), noon, path), c.why)
		})
	}
}

// Lists that are about some certificates or some reasons alone.
func TestScopes(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	const here, there = "http://x.example/1.crl", "http://x.example/2.crl"
	point := func(p ...distributionPoint) []pkix.Extension {
		return []pkix.Extension{{Id: oidDistributionPoints, Value: der(t, p)}}
	}
	ca := root.Intermediate("Issuing CA")
	plain := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	pointed := ca.Issue(mtlstest.Leaf{CN: "alice", Extra: point(distributionPoint{Point: uri(there)}, distributionPoint{Point: uri(here)})}).Leaf
	elsewhere := ca.Issue(mtlstest.Leaf{CN: "alice", Extra: point(distributionPoint{Point: uri(there)})}).Leaf
	indirect := ca.Issue(mtlstest.Leaf{CN: "alice", Extra: point(distributionPoint{Point: uri(here), Issuer: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: true, Bytes: der(t, uri("http://x.example").Full[0])}})}).Leaf
	bits := func(b ...byte) (out struct{ issuingDistributionPoint }) {
		out.SomeReasons.Bytes, out.SomeReasons.BitLength = b, 8*len(b)
		return
	}
	some, rest := bits(0x60), bits(0x1f, 0x80) // keyCompromise and cACompromise; the others
	for _, c := range []struct {
		name string
		leaf *x509.Certificate
		of   []issuingDistributionPoint
		good bool
	}{
		{"all", plain, []issuingDistributionPoint{{}}, true},
		{"users", plain, []issuingDistributionPoint{{OnlyUsers: true}}, true},
		{"CAs", plain, []issuingDistributionPoint{{OnlyCAs: true}}, false},
		{"attributes", plain, []issuingDistributionPoint{{OnlyAttributes: true}}, false},
		{"a point, and the certificate has none", plain, []issuingDistributionPoint{{Point: uri(here)}}, false},
		{"a point, and the certificate has it", pointed, []issuingDistributionPoint{{Point: uri(here)}}, true},
		{"a point, and the certificate has another", elsewhere, []issuingDistributionPoint{{Point: uri(here)}}, false},
		{"a point, and the certificate has it of another issuer", indirect, []issuingDistributionPoint{{Point: uri(here)}}, false},
		{"two points", elsewhere, []issuingDistributionPoint{{Point: uri(here)}, {Point: uri(there)}}, true},
		{"a point, for CAs", pointed, []issuingDistributionPoint{{Point: uri(here), OnlyCAs: true}}, false},
		{"some reasons", plain, []issuingDistributionPoint{some.issuingDistributionPoint}, false},
		{"all reasons, from two lists", plain, []issuingDistributionPoint{some.issuingDistributionPoint, rest.issuingDistributionPoint}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			lists := [][]byte{root.ListPEM(mtlstest.List{})}
			revoking := slices.Clone(lists)
			for _, d := range c.of {
				lists = append(lists, ca.ListPEM(mtlstest.List{Extra: idp(t, d)}))
				revoking = append(revoking, ca.ListPEM(mtlstest.List{Extra: idp(t, d), Revoked: []*x509.Certificate{c.leaf}}))
			}
			path, why := pathTo(root, ca, c.leaf), authn.Reason("")
			if !c.good {
				why = ReasonUnknown
			}
			wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{file(t, lists...)}}), noon, path), why)
			wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{file(t, revoking...)}}), noon, path), factors.ReasonRevoked)
		})
	}
	t.Run("users, of a CA", func(t *testing.T) {
		lists := file(t, ca.ListPEM(mtlstest.List{}), root.ListPEM(mtlstest.List{Extra: idp(t, issuingDistributionPoint{OnlyUsers: true})}))
		wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{lists}}), noon, pathTo(root, ca, plain)), ReasonUnknown)
	})
}

// A delta list adds to a complete one, whichever is the newer, and is none itself. What it takes back is revoked until a
// complete list leaves it out.
func TestDeltaList(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice, bob := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf, ca.Issue(mtlstest.Leaf{CN: "bob"}).Leaf
	since := pkix.Extension{Id: oidDeltaIndicator, Critical: true, Value: der(t, 1)}
	reason := func(n int) []pkix.Extension {
		return []pkix.Extension{{Id: oidReasonCode, Value: der(t, asn1.Enumerated(n))}}
	}
	gone := []*x509.Certificate{bob}
	for _, c := range []struct {
		name            string
		complete, delta mtlstest.List
		why             authn.Reason // of bob
	}{
		{"nothing new", mtlstest.List{}, mtlstest.List{Number: 2}, ""},
		{"a new one", mtlstest.List{}, mtlstest.List{Number: 2, Revoked: gone, EntryExtra: reason(6)}, factors.ReasonRevoked},
		{"a new one, from before", mtlstest.List{Number: 3}, mtlstest.List{Number: 2, Revoked: gone}, factors.ReasonRevoked},
		{"one taken back", mtlstest.List{Revoked: gone, EntryExtra: reason(6)}, mtlstest.List{Number: 2, Revoked: gone, EntryExtra: reason(removeFromCRL)}, factors.ReasonRevoked},
		{"one taken back that was never there", mtlstest.List{}, mtlstest.List{Number: 2, Revoked: gone, EntryExtra: reason(removeFromCRL)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.delta.Extra = []pkix.Extension{since}
			checker := newBench(t, Config{}).checker(Written{CRL: []string{file(t, ca.ListPEM(c.complete), ca.ListPEM(c.delta))}})
			wantReason(t, check(checker, noon, pathTo(ca, ca, bob)), c.why)
			wantReason(t, check(checker, noon, pathTo(ca, ca, alice)), "")
			alone := newBench(t, Config{}).checker(Written{CRL: []string{file(t, ca.ListPEM(c.delta))}})
			wantReason(t, check(alone, noon, pathTo(ca, ca, alice)), ReasonUnknown)
		})
	}
}

// The newest of lists of all reasons counts, and the oldest of those that are complete only together.
func TestHowLongTogether(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	part := func(l mtlstest.List, b ...byte) []byte {
		var d issuingDistributionPoint
		d.SomeReasons.Bytes, d.SomeReasons.BitLength = b, 8*len(b)
		l.Extra = idp(t, d)
		return ca.ListPEM(l)
	}
	short, long := mtlstest.List{NextUpdate: noon.Add(time.Minute)}, mtlstest.List{NextUpdate: noon.Add(time.Hour)}
	for name, c := range map[string]struct {
		files []string
		want  time.Duration
	}{
		"complete":                      {[]string{file(t, ca.ListPEM(short)), file(t, ca.ListPEM(long))}, time.Hour},
		"complete, the other way round": {[]string{file(t, ca.ListPEM(long)), file(t, ca.ListPEM(short))}, time.Hour},
		"parts":                         {[]string{file(t, part(short, 0x60)), file(t, part(long, 0x1f, 0x80))}, time.Minute},
	} {
		standing, err := newBench(t, Config{}).checker(Written{CRL: c.files}).Check(context.Background(), noon, path)
		if err != nil || !standing.Until.Equal(noon.Add(c.want)) {
			t.Errorf("%s: %v, %v", name, standing.Until.Sub(noon), err)
		}
	}
}

// A list at an address is fetched when it is needed, once, and again before it is too old, with nobody waiting.
func TestAddress(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	path := pathTo(ca, ca, alice)
	s := newServer(t)
	s.has("/crl", ca.List(mtlstest.List{ThisUpdate: noon, NextUpdate: noon.Add(30 * time.Minute)}))
	b := newBench(t, Config{Rand: constant(0)})
	checker := b.checker(Written{CRL: []string{s.URL + "/crl"}})
	wantReason(t, check(checker, noon, path), "")
	wantReason(t, check(checker, noon.Add(time.Second), path), "")
	if n := s.count("/crl"); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	began, release := make(chan struct{}), make(chan struct{})
	s.on("/crl", func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-release
		_, _ = w.Write(ca.List(mtlstest.List{Number: 2, ThisUpdate: noon.Add(20 * time.Minute), NextUpdate: noon.Add(time.Hour), Revoked: []*x509.Certificate{alice}}))
	})
	// Nobody waits: the answer is fresh, and the server says nothing.
	wantReason(t, check(checker, noon.Add(23*time.Minute), path), "")
	<-began
	standing, err := checker.Check(context.Background(), noon.Add(24*time.Minute), path)
	if err != nil || !standing.Until.Equal(noon.Add(24*time.Minute+time.Second)) {
		t.Errorf("while it is fetched: until %v, %v", standing.Until.Sub(noon), err)
	}
	before := b.keeper.Generation()
	running := checker.sources[0].refresh(context.Background(), noon.Add(24*time.Minute), [2]time.Duration{}, authority{}, false)
	close(release)
	_ = running.wait(context.Background())
	if b.keeper.Generation() == before {
		t.Error("nobody is told that something new is known")
	}
	wantReason(t, check(checker, noon.Add(24*time.Minute), path), factors.ReasonRevoked)
}

// What was fetched is told to whoever remembers that nothing was revoked, also where nobody of its issuer was looked up there.
func TestFetchedListsAreNews(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	path := pathTo(ca, ca, alice)
	s := newServer(t)
	release := make(chan struct{})
	s.on("/crl", func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write(ca.List(mtlstest.List{Revoked: []*x509.Certificate{alice}}))
	})
	b := newBench(t, Config{})
	checker := b.checker(Written{CRL: []string{file(t, ca.ListPEM(mtlstest.List{})), s.URL + "/crl"}})
	wantReason(t, check(checker, noon, path), "")
	before, running := b.keeper.Generation(), checker.sources[1].refresh(context.Background(), noon, [2]time.Duration{}, authority{}, false)
	close(release)
	_ = running.wait(context.Background())
	if b.keeper.Generation() == before {
		t.Error("nobody is told")
	}
	wantReason(t, check(checker, noon, path), factors.ReasonRevoked)
}

type constant byte

func (c constant) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c)
	}
	return len(b), nil
}

// How long lists are fresh for whomever they still are.
func TestLifetime(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	of := func(since, next time.Duration) *List {
		l, err := ParseList(ca.List(mtlstest.List{ThisUpdate: noon.Add(-since), NextUpdate: noon.Add(next)}))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	const min, hour = time.Minute, time.Hour
	for _, c := range []struct {
		lists []*List
		ages  [2]time.Duration
		want  time.Duration
	}{
		{[]*List{of(0, 30*min)}, [2]time.Duration{}, 30 * min},
		{[]*List{of(0, 30*hour)}, [2]time.Duration{}, refreshEvery},
		{[]*List{of(0, 30*min), of(0, 20*min)}, [2]time.Duration{}, 20 * min},
		{[]*List{of(5*min, 30*min)}, [2]time.Duration{10 * min, 20 * min}, 5 * min},
		{[]*List{of(15*min, 30*min)}, [2]time.Duration{10 * min, 20 * min}, 5 * min},
		{[]*List{of(25*min, 30*min)}, [2]time.Duration{10 * min, 20 * min}, nobodysEvery},
		{[]*List{of(25*min, -min)}, [2]time.Duration{}, nobodysEvery},
	} {
		if got := lifetime(noon, c.lists, c.ages); got != c.want {
			t.Errorf("%v: %v, want %v", c.ages, got, c.want)
		}
	}
}

// Nobody who is refused anyway waits for more.
func TestRevokedWaitsForNothing(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	s, release := newServer(t), make(chan struct{})
	s.on("/crl", func(http.ResponseWriter, *http.Request) { <-release })
	checker := newBench(t, Config{}).checker(Written{CRL: []string{s.URL + "/crl", file(t, ca.ListPEM(mtlstest.List{Revoked: []*x509.Certificate{alice}}))}})
	wantReason(t, check(checker, noon, pathTo(ca, ca, alice)), factors.ReasonRevoked)
	close(release)
}

// Instances do not all ask at the same moment.
func TestJitter(t *testing.T) {
	low, high := newBench(t, Config{Rand: constant(0)}).keeper, newBench(t, Config{Rand: constant(255)}).keeper
	for _, c := range []struct{ lifetime, low, high time.Duration }{
		{40 * time.Minute, 30 * time.Minute, 35 * time.Minute},
		{100 * time.Hour, 45 * time.Minute, 52*time.Minute + 30*time.Second},
		{time.Second, retryEvery, retryEvery},
		{-time.Hour, retryEvery, retryEvery},
	} {
		if a, b := low.ahead(c.lifetime), high.ahead(c.lifetime); a != c.low || b != c.high {
			t.Errorf("%v: from %v to %v", c.lifetime, a, b)
		}
	}
}

// How often an address is asked: in time, at once where a certificate does not pass without, and by others not at all.
func TestHowOftenAnAddressIsAsked(t *testing.T) {
	root, other := mtlstest.NewCA(t, "Staff root"), mtlstest.NewCA(t, "Lab root")
	ca := root.Intermediate("Issuing CA")
	path := pathTo(root, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s := newServer(t)
	s.has("/crl", ca.List(mtlstest.List{ThisUpdate: noon}))
	s.has("/root", root.List(mtlstest.List{ThisUpdate: noon.Add(-1000 * time.Hour), NextUpdate: noon.Add(1000 * time.Hour)}))
	checker := newBench(t, Config{Rand: constant(255)}).checker(Written{CRL: []string{s.URL + "/crl", s.URL + "/root"}, MaxAge: 5 * time.Minute, MaxAgeOfCAs: 2000 * time.Hour})
	at := func(d time.Duration, p []Subject, why authn.Reason, crl, roots int) {
		t.Helper()
		wantReason(t, check(checker, noon.Add(d), p), why)
		for _, from := range checker.sources { // what was begun for later is over
			from.mu.Lock()
			running := from.flight
			from.mu.Unlock()
			if running != nil {
				_ = running.wait(context.Background())
			}
		}
		if a, b := s.count("/crl"), s.count("/root"); a != crl || b != roots {
			t.Errorf("after %v: asked %d and %d times, want %d and %d", d, a, b, crl, roots)
		}
	}
	at(0, path, "", 1, 1)
	at(30*time.Second, path, "", 1, 1)
	at(61*time.Second, path, "", 2, 2) // before, no list was known to be of anybody
	at(4*time.Minute, path, "", 2, 2)
	at(4*time.Minute+40*time.Second, path, "", 3, 2)
	at(6*time.Minute, path, ReasonStale, 4, 2)
	at(6*time.Minute+time.Second, path, ReasonStale, 4, 2)
	at(6*time.Minute+retryEvery, path, ReasonStale, 5, 2)
	at(6*time.Minute+2*retryEvery, pathTo(other, other, other.Issue(mtlstest.Leaf{CN: "eve"}).Leaf), ReasonUnknown, 5, 2)
	s.has("/crl", ca.List(mtlstest.List{Number: 2, ThisUpdate: noon.Add(6 * time.Minute)}))
	at(7*time.Minute, path, "", 6, 2)
}

// What a server may not do. Those who ask meanwhile are told that nothing is known, and it is asked again 10 seconds later.
func TestAddressIsRefused(t *testing.T) {
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	good, elsewhere := ca.List(mtlstest.List{}), newServer(t)
	elsewhere.has("/crl", good)
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		cause  authn.Reason
	}{
		{"not there", http.NotFound, ReasonUnreachable},
		{"an error with a list", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot); _, _ = w.Write(good) }, ReasonUnreachable},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, ReasonMalformed},
		{"too large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, MaxList+1)) }, ReasonTooLarge},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(good)
		}, ReasonUnreachable},
		{"another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/crl", http.StatusFound)
		}, ReasonUnreachable},
		{"in a circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/crl", http.StatusFound) }, ReasonUnreachable},
		{"another key", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(other.List(mtlstest.List{})) }, ReasonSignature},
		{"of tomorrow", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(ca.List(mtlstest.List{ThisUpdate: noon.Add(ahead + time.Minute)}))
		}, ReasonNotYet},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			s.on("/crl", c.answer)
			b := newBench(t, Config{})
			checker := b.checker(Written{CRL: []string{s.URL + "/crl"}})
			err := check(checker, noon, path)
			wantReason(t, err, ReasonUnavailable)
			wantCause(t, err, c.cause)
			if !b.counter.has(c.cause) || !b.counter.has(ReasonUnavailable) {
				t.Errorf("counted %v", b.counter.all)
			}
			asked := s.count("/crl")
			wantReason(t, check(checker, noon.Add(time.Second), path), ReasonUnavailable)
			if s.count("/crl") != asked {
				t.Error("asked again at once")
			}
			s.has("/crl", good)
			wantReason(t, check(checker, noon.Add(nobodysEvery), path), "")
		})
	}
	t.Run("a redirect on its own host", func(t *testing.T) {
		s := newServer(t)
		s.has("/list", good)
		s.on("/crl", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/list", http.StatusFound) })
		wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{s.URL + "/crl"}}), noon, path), "")
	})
}

// One source that is down keeps nobody out for whom another one answers.
func TestOneOfTwoSourcesIsDown(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s := newServer(t)
	s.has("/crl", ca.List(mtlstest.List{}))
	for _, order := range [][]string{{s.URL + "/down", s.URL + "/crl"}, {s.URL + "/crl", s.URL + "/down"}} {
		wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: order}), noon, path), "")
	}
}

// What was fetched outlives a change of the policy, and a list of another factor is not looked at.
func TestReloadKeepsWhatWasFetched(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s := newServer(t)
	s.has("/crl", ca.List(mtlstest.List{}))
	b := newBench(t, Config{})
	w := Written{CRL: []string{s.URL + "/crl"}}
	wantReason(t, check(b.checker(w), noon, path), "")
	s.on("/crl", http.NotFound)
	wantReason(t, check(b.checker(w), noon.Add(time.Second), path), "")
	settings, err := Read(section{}, "revocation", w)
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, check(b.keeper.Checker("other", settings), noon.Add(time.Second), path), ReasonUnavailable)
	b.checker(Written{CRL: []string{s.URL + "/another"}})
	if len(b.keeper.sources) != 2 {
		t.Errorf("%d sources", len(b.keeper.sources))
	}
}

// Whoever goes away gets their own error, and others get what was asked for.
func TestCallerGoesAway(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s := newServer(t)
	for name, c := range map[string]struct {
		w      Written
		answer func(question []byte) []byte
	}{
		"/crl":  {Written{CRL: []string{s.URL + "/crl"}}, func([]byte) []byte { return ca.List(mtlstest.List{}) }},
		"/ocsp": {Written{OCSP: s.URL + "/ocsp", Timeout: maxTimeout}, func(q []byte) []byte { return said{issuer: ca}.answer(t, q) }},
	} {
		t.Run(name, func(t *testing.T) {
			began, release := make(chan struct{}), make(chan struct{})
			s.on(name, func(w http.ResponseWriter, r *http.Request) {
				question, _ := io.ReadAll(r.Body)
				close(began)
				<-release
				_, _ = w.Write(c.answer(question))
			})
			checker := newBench(t, Config{}).checker(c.w)
			ctx, cancel := context.WithCancel(context.Background())
			gone := make(chan error)
			go func() { _, err := checker.Check(ctx, noon, path); gone <- err }()
			<-began
			cancel()
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			other := make(chan error)
			go func() { other <- check(checker, noon, path) }()
			close(release)
			wantReason(t, <-other, "")
			if n := s.count(name); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}
