package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// A list that another key signed under the CA's name tells nothing, be the key certified by whom it may, and neither makes
// anybody pass nor puts anybody out.
func TestCRLByAnotherKeyWithTheSameNameIsRefused(t *testing.T) {
	ca, namesake := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Staff CA")
	certified := ca.Intermediate("Staff CA")
	alice := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	path := pathTo(ca, ca, alice)
	for name, by := range map[string]*mtlstest.CA{"a stranger": namesake, "one that the CA certified": certified} {
		t.Run(name, func(t *testing.T) {
			forged := file(t, by.ListPEM(mtlstest.List{Number: 9}))
			b := newBench(t, Config{})
			err := check(b.checker(Written{CRL: []string{forged}}), noon, path)
			wantReason(t, err, ReasonUnavailable)
			wantCause(t, err, ReasonSignature)
			real := file(t, ca.ListPEM(mtlstest.List{}))
			forged = file(t, by.ListPEM(mtlstest.List{Number: 9, Revoked: []*x509.Certificate{alice}}))
			for _, both := range [][]string{{forged, real}, {real, forged}} {
				wantReason(t, check(b.checker(Written{CRL: both}), noon, path), "")
			}
		})
	}
}

// Nor does a list that the right key signed under another name.
func TestCRLByTheSameKeyWithAnotherNameIsRefused(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	renamed := ca.IntermediateFrom(mtlstest.Leaf{CN: "Lab CA", Key: ca.Key})
	l, err := ParseList(renamed.List(mtlstest.List{}))
	if err != nil {
		t.Fatal(err)
	}
	if l.signedBy(ca.Certificate) == nil || l.signedBy(renamed.Certificate) != nil {
		t.Error("it is of the other name alone")
	}
	lists := file(t, renamed.ListPEM(mtlstest.List{}))
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{lists}}), noon, pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)), ReasonUnknown)
}

// A CA whose key usage leaves lists out signs none.
func TestCRLByACAThatMayNotSignListsIsRefused(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	for _, c := range []struct {
		name  string
		usage x509.KeyUsage
		good  bool
	}{
		{"both", x509.KeyUsageCertSign | x509.KeyUsageCRLSign, true},
		{"certificates alone", x509.KeyUsageCertSign, false},
	} {
		ca := root.IntermediateFrom(mtlstest.Leaf{CN: "Issuing CA", Usage: c.usage})
		lists := file(t, root.ListPEM(mtlstest.List{}), ca.ListPEM(mtlstest.List{}))
		err := check(newBench(t, Config{}).checker(Written{CRL: []string{lists}}), noon, pathTo(root, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf))
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.good {
			wantCause(t, err, ReasonSignature)
		}
	}
}

func TestCRLExpiredIsRefused(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	late := ca.ListPEM(mtlstest.List{NextUpdate: noon})
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{file(t, late)}}), noon, path), ReasonStale)
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{file(t, late)}}), noon.Add(-time.Second), path), "")
	s := newServer(t)
	s.has("/crl", late)
	checker := newBench(t, Config{}).checker(Written{CRL: []string{s.URL + "/crl"}})
	wantReason(t, check(checker, noon, path), ReasonStale)
	s.has("/crl", ca.List(mtlstest.List{Number: 2}))
	wantReason(t, check(checker, noon.Add(retryEvery), path), "")
}

func TestCRLForAnotherIssuerIsRefused(t *testing.T) {
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Lab CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{file(t, other.ListPEM(mtlstest.List{}))}}), noon, path), ReasonUnknown)
	s := newServer(t)
	s.has("/crl", other.List(mtlstest.List{}))
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{s.URL + "/crl"}}), noon, path), ReasonUnknown)
}

// No older list takes the place of a newer one: of a file across a change of the policy, of an address across fetches, and
// across a restart.
func TestCRLRolledBackIsRefused(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	path := pathTo(ca, ca, alice)
	gone := []*x509.Certificate{alice}
	newest := mtlstest.List{Number: 5, ThisUpdate: noon.Add(-time.Hour), Revoked: gone}
	for name, older := range map[string]mtlstest.List{
		"an older number":                {Number: 4, ThisUpdate: noon.Add(-time.Hour)},
		"an older number, a newer time":  {Number: 4, ThisUpdate: noon},
		"an older time":                  {Number: 5, ThisUpdate: noon.Add(-2 * time.Hour)},
		"an older time, a newer number":  {Number: 6, ThisUpdate: noon.Add(-2 * time.Hour)},
		"both older":                     {Number: 4, ThisUpdate: noon.Add(-2 * time.Hour)},
		"both older, and it ends sooner": {Number: 4, ThisUpdate: noon.Add(-2 * time.Hour), NextUpdate: noon.Add(time.Minute)},
	} {
		t.Run("file, "+name, func(t *testing.T) {
			b := newBench(t, Config{})
			path2 := file(t, ca.ListPEM(newest))
			wantReason(t, check(b.checker(Written{CRL: []string{path2}}), noon, path), factors.ReasonRevoked)
			overwrite(t, path2, ca.ListPEM(older))
			wantReason(t, check(b.checker(Written{CRL: []string{path2}}), noon, path), factors.ReasonRevoked)
			if !b.counter.has(ReasonRolledBack) {
				t.Errorf("counted %v", b.counter.all)
			}
		})
		t.Run("address, "+name, func(t *testing.T) {
			s, folder := newServer(t), Folder(filepath.Join(t.TempDir(), "lists"))
			s.has("/crl", ca.List(newest))
			w := Written{CRL: []string{s.URL + "/crl"}}
			b := newBench(t, Config{Store: folder})
			checker := b.checker(w)
			wantReason(t, check(checker, noon, path), factors.ReasonRevoked)
			s.has("/crl", ca.List(older))
			later := noon.Add(refreshEvery)
			settled(checker.sources[0], later)
			wantReason(t, check(checker, later, path), factors.ReasonRevoked)
			if !b.counter.has(ReasonRolledBack) {
				t.Errorf("counted %v", b.counter.all)
			}
			restarted := newBench(t, Config{Store: folder})
			checker = restarted.checker(w)
			wantReason(t, check(checker, noon, path), factors.ReasonRevoked)
			settled(checker.sources[0], noon)
			wantReason(t, check(checker, noon, path), factors.ReasonRevoked)
			if !restarted.counter.has(ReasonRolledBack) {
				t.Errorf("counted %v after the restart", restarted.counter.all)
			}
		})
	}
	t.Run("a newer one is taken", func(t *testing.T) {
		b := newBench(t, Config{})
		at := file(t, ca.ListPEM(newest))
		wantReason(t, check(b.checker(Written{CRL: []string{at}}), noon, path), factors.ReasonRevoked)
		overwrite(t, at, ca.ListPEM(mtlstest.List{Number: 6, ThisUpdate: noon}))
		wantReason(t, check(b.checker(Written{CRL: []string{at}}), noon, path), "")
	})
	t.Run("lists of other scopes have numbers of their own", func(t *testing.T) {
		b := newBench(t, Config{})
		users := ca.ListPEM(mtlstest.List{Number: 3, Extra: idp(t, issuingDistributionPoint{OnlyUsers: true})})
		at := file(t, ca.ListPEM(mtlstest.List{Number: 9}), users)
		wantReason(t, check(b.checker(Written{CRL: []string{at}}), noon, path), "")
		if b.counter.has(ReasonRolledBack) {
			t.Errorf("counted %v", b.counter.all)
		}
	})
}

// settled waits for the fetch that is due or runs.
func settled(s *source, now time.Time) {
	if f := s.refresh(context.Background(), now, [2]time.Duration{}, authority{}, false); f != nil {
		_ = f.wait(context.Background())
	}
}

func overwrite(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A forged list on the way does not put the real one out, and a real one of another scope does not either.
func TestForgedListReplacesNothing(t *testing.T) {
	ca, namesake, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Lab CA")
	alice := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	path := pathTo(ca, ca, alice)
	for name, forged := range map[string][]byte{
		"another key":    namesake.List(mtlstest.List{Number: 99}),
		"another issuer": other.List(mtlstest.List{Number: 99}),
		"another scope":  ca.List(mtlstest.List{Number: 99, Extra: idp(t, issuingDistributionPoint{OnlyCAs: true})}),
		"of tomorrow":    ca.List(mtlstest.List{Number: 99, ThisUpdate: noon.Add(2 * refreshEvery)}),
		"no list":        []byte("<html>"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.has("/crl", ca.List(mtlstest.List{Revoked: []*x509.Certificate{alice}}))
			checker := newBench(t, Config{}).checker(Written{CRL: []string{s.URL + "/crl"}})
			wantReason(t, check(checker, noon, path), factors.ReasonRevoked)
			s.has("/crl", forged)
			later := noon.Add(refreshEvery)
			settled(checker.sources[0], later)
			wantReason(t, check(checker, later, path), factors.ReasonRevoked)
			s.has("/crl", ca.List(mtlstest.List{Number: 2}))
			much := later.Add(refreshEvery)
			settled(checker.sources[0], much)
			wantReason(t, check(checker, much, path), "")
		})
	}
}

// What was fetched is there again after a restart while its server is down.
func TestListsOutliveARestart(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	ca := root.Intermediate("Issuing CA")
	alice, bob := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf, ca.Issue(mtlstest.Leaf{CN: "bob"}).Leaf
	s, folder := newServer(t), Folder(filepath.Join(t.TempDir(), "lists"))
	s.has("/crl", ca.List(mtlstest.List{Revoked: []*x509.Certificate{bob}}))
	s.has("/root", root.List(mtlstest.List{}))
	w := Written{CRL: []string{s.URL + "/crl", s.URL + "/root"}}
	wantReason(t, check(newBench(t, Config{Store: folder}).checker(w), noon, pathTo(root, ca, alice)), "")
	s.on("/crl", http.NotFound)
	s.on("/root", http.NotFound)
	again := newBench(t, Config{Store: folder}).checker(w)
	wantReason(t, check(again, noon, pathTo(root, ca, alice)), "")
	wantReason(t, check(again, noon, pathTo(root, ca, bob)), factors.ReasonRevoked)
	wantReason(t, check(again, noon.Add(100*time.Hour), pathTo(root, ca, alice)), ReasonStale)
	// A session that was renewed to another CA's certificate: of its own CA there is only the key's digest.
	marked := marksOnly(pathTo(root, ca, alice))
	marked[1].IssuerCertificate = nil
	wantReason(t, check(newBench(t, Config{Store: folder}).checker(w), noon, marked), "")
	wantReason(t, check(newBench(t, Config{}).checker(w), noon, marked), ReasonUnavailable)
}

// What a stored list says is told to whoever remembers that nothing was revoked.
func TestStoredListsAreNews(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	path := pathTo(ca, ca, alice)
	s := newServer(t)
	release := make(chan struct{})
	store := &memory{values: map[string][]byte{"device\n" + s.URL + "/crl": append(ca.PEM(), ca.ListPEM(mtlstest.List{Revoked: []*x509.Certificate{alice}})...)}}
	s.on("/crl", func(w http.ResponseWriter, r *http.Request) { <-release; http.NotFound(w, r) })
	b := newBench(t, Config{Store: store})
	checker := b.checker(Written{CRL: []string{file(t, ca.ListPEM(mtlstest.List{})), s.URL + "/crl"}})
	before := b.keeper.Generation()
	wantReason(t, check(checker, noon, path), factors.ReasonRevoked) // at once, whatever the server does
	if b.keeper.Generation() == before {
		t.Error("nobody is told")
	}
	close(release)
}

// What is stored counts no more than what is fetched: it is verified, and what is damaged is fetched anew.
func TestStoredListsAreVerified(t *testing.T) {
	ca, namesake := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s := newServer(t)
	w := Written{CRL: []string{s.URL + "/crl"}}
	for name, stored := range map[string][]byte{
		"another key's":        append(ca.PEM(), namesake.ListPEM(mtlstest.List{})...),
		"of another CA":        append(namesake.PEM(), namesake.ListPEM(mtlstest.List{})...),
		"without its CA":       ca.ListPEM(mtlstest.List{}),
		"no list":              append(ca.PEM(), []byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")...),
		"no certificate":       []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		"nothing that is text": {0, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			store := &memory{values: map[string][]byte{"device\n" + s.URL + "/crl": stored}}
			s.on("/crl", http.NotFound)
			checker := newBench(t, Config{Store: store}).checker(w)
			wantReason(t, check(checker, noon, path), ReasonUnavailable)
			s.has("/crl", ca.List(mtlstest.List{}))
			wantReason(t, check(checker, noon.Add(retryEvery), path), "")
		})
	}
	t.Run("good", func(t *testing.T) {
		store := &memory{values: map[string][]byte{"device\n" + s.URL + "/crl": append(ca.PEM(), ca.ListPEM(mtlstest.List{})...)}}
		s.on("/crl", http.NotFound)
		wantReason(t, check(newBench(t, Config{Store: store}).checker(w), noon, path), "")
	})
	t.Run("a store that fails", func(t *testing.T) {
		s.has("/crl", ca.List(mtlstest.List{}))
		b := newBench(t, Config{Store: &memory{err: errors.New("disk full")}})
		wantReason(t, check(b.checker(w), noon, path), "")
		if !b.counter.has(ReasonNotStored) {
			t.Errorf("counted %v", b.counter.all)
		}
	})
}

// memory is a store in memory.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	err    error
}

func (m *memory) Load(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[name], m.err
}

func (m *memory) Save(_ context.Context, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.values[name] = value
	}
	return m.err
}

func TestFolder(t *testing.T) {
	ctx, at := context.Background(), filepath.Join(t.TempDir(), "lists")
	f := Folder(at)
	if b, err := f.Load(ctx, "a"); b != nil || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	for _, value := range []string{"1", "2"} {
		if err := f.Save(ctx, "a/../b\n", []byte(value)); err != nil {
			t.Fatal(err)
		}
		if b, err := Folder(at).Load(ctx, "a/../b\n"); string(b) != value || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
	files, err := os.ReadDir(at)
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	about, err := os.Stat(at)
	if err != nil || about.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", about.Mode(), err)
	}
	if err := Folder("/proc/none").Save(ctx, "a", nil); err == nil {
		t.Error("saved nowhere")
	}
}

// The refusals of answers, by the names that they have elsewhere; TestAnswerIsRefused has more.

func TestOCSPAnswerForAnotherCertificateIsRefused(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice, bob := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf, ca.Issue(mtlstest.Leaf{CN: "bob"}).Leaf
	s := newServer(t)
	s.says(t, "/", said{issuer: ca, serial: func() *big.Int { return bob.SerialNumber }})
	wantCause(t, check(newBench(t, Config{}).checker(Written{OCSP: s.URL}), noon, pathTo(ca, ca, alice)), ReasonOtherCertificate)
}

// An answer of before that is sent again: it is too old, or older than what is known, or to another question.
func TestOCSPAnswerReplayedOldIsRefused(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	s := newServer(t)
	s.says(t, "/", said{issuer: ca, this: noon.Add(-2 * time.Hour), next: noon.Add(-time.Hour)})
	wantCause(t, check(newBench(t, Config{}).checker(Written{OCSP: s.URL}), noon, path), ReasonExpired)
	s.says(t, "/", said{issuer: ca, this: noon.Add(-2 * time.Hour), next: noon.Add(time.Hour)})
	wantReason(t, check(newBench(t, Config{}).checker(Written{OCSP: s.URL, MaxAge: time.Hour}), noon, path), ReasonStale)
	wantCause(t, check(newBench(t, Config{}).checker(Written{OCSP: s.URL, Nonce: "required"}), noon, path), ReasonNonce)
	wantReason(t, check(newBench(t, Config{}).checker(Written{OCSP: s.URL}), noon, path), "")
}

func TestOCSPAnswerSignedByTheWrongKeyIsRefused(t *testing.T) {
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Staff CA")
	s := newServer(t)
	s.says(t, "/", said{issuer: ca, key: other.Key})
	wantCause(t, check(newBench(t, Config{}).checker(Written{OCSP: s.URL}), noon, pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)), ReasonSignature)
}

// A CA of the path that no source is about.
func TestNoSourceForACAIsRefused(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	ca := root.Intermediate("Issuing CA")
	path := pathTo(root, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{file(t, ca.ListPEM(mtlstest.List{}))}}), noon, path), ReasonUnknown)
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{file(t, root.ListPEM(mtlstest.List{}))}}), noon, path), ReasonUnknown)
	wantReason(t, check(newBench(t, Config{}).checker(Written{CRL: []string{file(t, ca.ListPEM(mtlstest.List{}), root.ListPEM(mtlstest.List{}))}}), noon, path), "")
}
