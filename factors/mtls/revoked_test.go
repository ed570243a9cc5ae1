package mtls

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
)

// lookedUp is byCommonName with lists.
func lookedUp(w revocation.Written) written {
	out := byCommonName
	out.Revocation = &w
	return out
}

// listFile is a file of lists in PEM.
func listFile(t testing.TB, lists ...[]byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "staff.crl")
	writeLists(t, file, lists...)
	return file
}

func writeLists(t testing.TB, file string, lists ...[]byte) {
	t.Helper()
	var text []byte
	for _, l := range lists {
		text = append(text, l...)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantUndecided(t *testing.T, err error, why authn.Reason) {
	t.Helper()
	if u, ok := errors.AsType[*revocation.UndecidedError](err); !ok || u.Reason != why {
		t.Errorf("got %v, want it undecided: %s", err, why)
	}
	if _, ok := errors.AsType[*factors.Rejection](err); ok {
		t.Error("it is counted against the caller")
	}
}

// listServer has a list at an address.
type listServer struct {
	*httptest.Server
	list  atomic.Pointer[[]byte]
	asked atomic.Int64
	said  chan struct{} // gets one for each answer
}

func newListServer(t testing.TB, list []byte) *listServer {
	s := &listServer{said: make(chan struct{}, 100)}
	s.list.Store(&list)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.asked.Add(1)
		_, _ = w.Write(*s.list.Load())
		s.said <- struct{}{}
	}))
	t.Cleanup(s.Close)
	return s
}

// responder answers questions of OCSP with the status that it has now.
type responder struct {
	*httptest.Server
	status atomic.Int64
	now    atomic.Pointer[time.Time]
}

func newResponder(t testing.TB, ca *mtlstest.CA) *responder {
	s := &responder{}
	now := time.Now()
	s.now.Store(&now)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		q, err := ocsp.ParseRequest(b)
		if err != nil {
			t.Error(err)
			return
		}
		now := *s.now.Load()
		answer, err := ocsp.CreateResponse(ca.Certificate, ca.Certificate, ocsp.Response{Status: int(s.status.Load()), SerialNumber: q.SerialNumber,
			ThisUpdate: now, NextUpdate: now.Add(time.Hour), RevokedAt: now, IssuerHash: q.HashAlgorithm}, ca.Key)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(answer)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestRevokedIsRefused(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	ca := root.Intermediate("Issuing CA")
	leaf := ca.Issue(mtlstest.Leaf{CN: "alice"})
	now := time.Now()
	for name, c := range map[string]struct {
		issuing, root mtlstest.List
		why           authn.Reason
	}{
		"nobody":   {},
		"the leaf": {issuing: mtlstest.List{Revoked: []*x509.Certificate{leaf.Leaf}}, why: factors.ReasonRevoked},
		"the CA":   {root: mtlstest.List{Revoked: []*x509.Certificate{ca.Certificate}}, why: factors.ReasonRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(staffOf(root)).factor(t, lookedUp(revocation.Written{CRL: []string{listFile(t, ca.ListPEM(c.issuing), root.ListPEM(c.root))}}))
			_, err := verify(t, f, request(present(t, leaf), now))
			wantReason(t, err, c.why)
		})
	}
	t.Run("no source for the root's", func(t *testing.T) {
		f := newFixture(staffOf(root)).factor(t, lookedUp(revocation.Written{CRL: []string{listFile(t, ca.ListPEM(mtlstest.List{}))}}))
		_, err := verify(t, f, request(present(t, leaf), now))
		wantReason(t, err, revocation.ReasonUnknown)
	})
	t.Run("too old", func(t *testing.T) {
		f := newFixture(staffOf(ca)).factor(t, lookedUp(revocation.Written{CRL: []string{listFile(t, ca.ListPEM(mtlstest.List{NextUpdate: now.Add(-time.Minute)}))}}))
		_, err := verify(t, f, request(present(t, leaf), now))
		wantUndecided(t, err, revocation.ReasonStale)
	})
}

// Of two paths, one may lead through a CA that was revoked.
func TestPathAroundARevokedCA(t *testing.T) {
	one, two := mtlstest.NewCA(t, "Root one"), mtlstest.NewCA(t, "Root two")
	ca := one.Intermediate("Issuing CA")
	cross := two.IntermediateFrom(mtlstest.Leaf{CN: "Issuing CA", Key: ca.Key})
	chain := append(present(t, ca.Issue(mtlstest.Leaf{CN: "alice"})), cross.Certificate)
	gone := func(c ...*x509.Certificate) mtlstest.List { return mtlstest.List{Revoked: c} }
	for name, c := range map[string]struct {
		one, two mtlstest.List
		why      authn.Reason
	}{
		"neither": {},
		"one":     {one: gone(ca.Certificate)},
		"other":   {two: gone(cross.Certificate)},
		"both":    {one: gone(ca.Certificate), two: gone(cross.Certificate), why: factors.ReasonRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			lists := listFile(t, ca.ListPEM(mtlstest.List{}), one.ListPEM(c.one), two.ListPEM(c.two))
			f := newFixture(staffOf(one, two)).factor(t, lookedUp(revocation.Written{CRL: []string{lists}}))
			_, err := verify(t, f, request(chain, time.Now()))
			wantReason(t, err, c.why)
		})
	}
}

// What a connection remembers ends when a newer list says otherwise: fetched ahead of time because a request on this very
// connection came when that was due.
func TestRevokedBetweenTwoRequestsOnOneConnection(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	leaf := mtlstest.Leaf{CN: "alice"}
	start := time.Now()
	t.Run("list", func(t *testing.T) {
		s := newListServer(t, ca.List(mtlstest.List{ThisUpdate: start, NextUpdate: start.Add(30 * time.Minute)}))
		f, r, e := rememberedWith(t, newFixture(staffOf(ca)), ca, leaf, lookedUp(revocation.Written{CRL: []string{s.URL}}))
		<-s.said
		next := ca.List(mtlstest.List{Number: 2, ThisUpdate: start, NextUpdate: start.Add(time.Hour), Revoked: []*x509.Certificate{r.Peer.Leaf()}})
		s.list.Store(&next)
		at := func(d time.Duration) error {
			r.Now = start.Add(d)
			return f.CheckTie(context.Background(), r, *e.Tie, e.Subject)
		}
		wantReason(t, at(time.Minute), "")
		if n := s.asked.Load(); n != 1 {
			t.Errorf("fetched %d times", n)
		}
		keeper := f.(*Verifier).keeper
		before := keeper.Generation()
		wantReason(t, at(28*time.Minute), "") // due, and nobody waits
		<-s.said
		for keeper.Generation() == before { // until what was sent has arrived
		}
		err := at(28 * time.Minute)
		wantReason(t, err, factors.ReasonRevoked)
		wantOver(t, err, true)
	})
	t.Run("answer", func(t *testing.T) {
		s := newResponder(t, ca)
		f, r, e := rememberedWith(t, newFixture(staffOf(ca)), ca, leaf, lookedUp(revocation.Written{OCSP: s.URL, MaxAge: 5 * time.Minute}))
		s.status.Store(ocsp.Revoked)
		later := start.Add(5 * time.Minute)
		s.now.Store(&later)
		r.Now = start.Add(time.Minute)
		wantReason(t, f.CheckTie(context.Background(), r, *e.Tie, e.Subject), "")
		r.Now = later
		err := f.CheckTie(context.Background(), r, *e.Tie, e.Subject)
		wantReason(t, err, factors.ReasonRevoked)
		wantOver(t, err, true)
	})
	t.Run("a list of a file, when the policy is read again", func(t *testing.T) {
		x, file := newFixture(staffOf(ca)), listFile(t, ca.ListPEM(mtlstest.List{}))
		w := lookedUp(revocation.Written{CRL: []string{file}})
		_, r, e := rememberedWith(t, x, ca, leaf, w)
		writeLists(t, file, ca.ListPEM(mtlstest.List{Number: 2, Revoked: []*x509.Certificate{r.Peer.Leaf()}}))
		err := x.factor(t, w).CheckTie(context.Background(), r, *e.Tie, e.Subject)
		wantReason(t, err, factors.ReasonRevoked)
		wantOver(t, err, true)
	})
}

// What a connection remembers ends when the answer that it rests on stops being fresh.
func TestMemoEndsWithFreshness(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	file := listFile(t, ca.ListPEM(mtlstest.List{ThisUpdate: time.Now(), NextUpdate: time.Now().Add(10 * time.Hour)}))
	w := revocation.Written{CRL: []string{file}, MaxAge: time.Hour}
	for name, w := range map[string]written{"of a user": lookedUp(w), "of a tenant": ofTenant(w)} {
		f, r, e := rememberedWith(t, newFixture(staffOf(ca)), ca, mtlstest.Leaf{CN: "alice"}, w)
		start := r.Now
		for _, c := range []struct {
			after time.Duration
			good  bool
		}{{59 * time.Minute, true}, {time.Hour, false}, {58 * time.Minute, true}} {
			r.Now = start.Add(c.after)
			err := f.CheckTie(context.Background(), r, *e.Tie, e.Subject)
			if (err == nil) != c.good {
				t.Errorf("%s, after %v: %v", name, c.after, err)
			}
			if !c.good {
				wantUndecided(t, err, revocation.ReasonStale)
			}
		}
	}
}

// ofTenant is a factor that names the tenant alone, so that nobody is looked up.
func ofTenant(w revocation.Written) written {
	return written{Anchors: []string{"staff"}, Identify: []writtenRule{{From: "anchor"}}, Revocation: &w}
}

// What a connection remembers of a renewed certificate says nothing about the first one, whose list ends sooner.
func TestMemoOfARenewedSession(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	a, b := root.Intermediate("A"), root.Intermediate("B")
	key, now := mtlstest.NewKey(t), time.Now()
	file := listFile(t, root.ListPEM(mtlstest.List{NextUpdate: now.Add(9 * time.Hour)}), a.ListPEM(mtlstest.List{NextUpdate: now.Add(time.Hour)}),
		b.ListPEM(mtlstest.List{NextUpdate: now.Add(9 * time.Hour)}))
	f := newFixture(staffOf(root)).factor(t, ofTenant(revocation.Written{CRL: []string{file}}))
	e, err := verify(t, f, request(present(t, a.Issue(mtlstest.Leaf{CN: "gateway", Key: key})), now))
	if err != nil {
		t.Fatal(err)
	}
	r := factors.Request{Now: now, Peer: peer.New(present(t, b.Issue(mtlstest.Leaf{CN: "gateway", Key: key})), tlsSource, new(peer.Memo))}
	for range 2 {
		wantReason(t, f.CheckTie(context.Background(), r, *e.Tie, e.Subject), "")
	}
	r.Now = now.Add(time.Hour)
	wantUndecided(t, f.CheckTie(context.Background(), r, *e.Tie, e.Subject), revocation.ReasonStale)
}

// A session ends when the certificate that it was won with is revoked, whatever is presented since.
func TestSessionEndsWithTheRevokedOriginal(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	a, b := root.Intermediate("A"), root.Intermediate("B")
	key := mtlstest.NewKey(t)
	alice := mtlstest.Leaf{CN: "alice", Key: key}
	first, renewed := a.Issue(alice), b.Issue(alice)
	gone := func(c ...*x509.Certificate) mtlstest.List { return mtlstest.List{Number: 2, Revoked: c} }
	now := time.Now()
	for _, c := range []struct {
		name       string
		root, a, b mtlstest.List
		renewed    authn.Reason // with the renewed certificate
		over       bool
	}{
		{name: "nothing"},
		{name: "the original", a: gone(first.Leaf), renewed: factors.ReasonRevoked, over: true},
		{name: "its CA", root: gone(a.Certificate), renewed: factors.ReasonRevoked, over: true},
		{name: "the renewal", b: gone(renewed.Leaf), renewed: factors.ReasonRevoked},
		{name: "the renewal's CA", root: gone(b.Certificate), renewed: factors.ReasonRevoked},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(staffOf(root))
			file := listFile(t, root.ListPEM(mtlstest.List{}), a.ListPEM(mtlstest.List{}), b.ListPEM(mtlstest.List{}))
			w := lookedUp(revocation.Written{CRL: []string{file}})
			e, err := verify(t, x.factor(t, w), request(present(t, first), now))
			if err != nil {
				t.Fatal(err)
			}
			writeLists(t, file, root.ListPEM(c.root), a.ListPEM(c.a), b.ListPEM(c.b))
			f := x.factor(t, w)
			check := func(r factors.Request) error { return f.CheckTie(context.Background(), r, *e.Tie, e.Subject) }
			err = check(request(present(t, renewed), now))
			wantReason(t, err, c.renewed)
			if c.renewed != "" {
				wantOver(t, err, c.over)
			}
			if !c.over {
				return
			}
			for name, r := range map[string]factors.Request{"the original": request(present(t, first), now), "nothing": {Now: now},
				"a stranger": request(present(t, mtlstest.SelfSigned(t, alice)), now)} {
				t.Run(name, func(t *testing.T) {
					err := check(r)
					wantReason(t, err, factors.ReasonRevoked)
					wantOver(t, err, true)
				})
			}
		})
	}
}

// A renewed session whose original nothing is known of any more is nobody's, until one logs in with what there is.
func TestRenewedSessionNeedsItsOriginal(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	a, b := root.Intermediate("A"), root.Intermediate("B")
	key := mtlstest.NewKey(t)
	now := time.Now()
	lists := [][]byte{root.ListPEM(mtlstest.List{}), a.ListPEM(mtlstest.List{}), b.ListPEM(mtlstest.List{})}
	first, renewed := a.Issue(mtlstest.Leaf{CN: "alice", Key: key}), b.Issue(mtlstest.Leaf{CN: "alice", Key: key})
	w := lookedUp(revocation.Written{CRL: []string{listFile(t, lists...)}})
	e, err := verify(t, newFixture(staffOf(root)).factor(t, w), request(present(t, first), now))
	if err != nil {
		t.Fatal(err)
	}
	restarted := newFixture(staffOf(root)).factor(t, w)
	check := func(r factors.Request) error { return restarted.CheckTie(context.Background(), r, *e.Tie, e.Subject) }
	err = check(request(present(t, renewed), now))
	wantReason(t, err, revocation.ReasonUnknown)
	wantOver(t, err, false)
	wantReason(t, check(request(present(t, first), now)), "")
	wantReason(t, check(request(present(t, renewed), now)), "") // now A's key is known again
}

// Responders know of a session's original as long as it is remembered.
func TestRenewedSessionAsksAboutItsOriginal(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	s := newResponder(t, ca)
	key := mtlstest.NewKey(t)
	now := time.Now()
	f := newFixture(staffOf(ca)).factor(t, lookedUp(revocation.Written{OCSP: s.URL}))
	first, renewed := ca.Issue(mtlstest.Leaf{CN: "alice", Key: key}), ca.Issue(mtlstest.Leaf{CN: "alice", Key: key})
	e, err := verify(t, f, request(present(t, first), now))
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, f.CheckTie(context.Background(), request(present(t, renewed), now), *e.Tie, e.Subject), "")
	later := now.Add(time.Hour)
	s.now.Store(&later)
	wantReason(t, f.CheckTie(context.Background(), request(present(t, renewed), later), *e.Tie, e.Subject), "")
	later = later.Add(time.Hour)
	s.now.Store(&later)
	s.status.Store(ocsp.Revoked)
	err = f.CheckTie(context.Background(), request(present(t, first), later), *e.Tie, e.Subject)
	wantReason(t, err, factors.ReasonRevoked)
	wantOver(t, err, true)
}

// A file of lists is part of the policy: a change of it is one.
func TestListFileIsWatched(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	leaf := ca.Issue(mtlstest.Leaf{CN: "alice"})
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	writeLists(t, in("staff.crt"), ca.PEM())
	writeLists(t, in("staff.crl"), ca.ListPEM(mtlstest.List{}))
	text := `version: 1
origin: https://portal.example
anchors: { staff: { ca: staff.crt, tenant: corp } }
factors:
  device:
    kind: mtls
    anchors: [staff]
    identify: [{ from: subject.cn, pattern: "{user}", tenant: corp }]
    revocation: { crl: [staff.crl], max_age: 24h, stale: { allow_until: 2h } }
methods: { admin: { steps: [device] } }
rules: [{ methods: [admin] }]
`
	writeLists(t, in("policy.yaml"), []byte(text))
	kind := Kind()
	p, err := policy.Load(in("policy.yaml"), kind)
	if err != nil {
		t.Fatal(err)
	}
	x := newFixture()
	build := func(p *policy.Policy) factors.Factor {
		f, err := kind.Build(p.Factors[0].Settings, factors.Env{Directory: x.directory, Denials: x.denials})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	now := time.Now()
	_, err = verify(t, build(p), request(present(t, leaf), now))
	wantReason(t, err, "")
	watcher := policy.NewWatcher(p, kind)
	writeLists(t, in("staff.crl"), []byte("half a list"))
	if _, changed, err := watcher.Check(); changed || err == nil {
		t.Errorf("a broken list: %v, %v", changed, err)
	}
	writeLists(t, in("staff.crl"), ca.ListPEM(mtlstest.List{Number: 2, Revoked: []*x509.Certificate{leaf.Leaf}}))
	p, changed, err := watcher.Check()
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	_, err = verify(t, build(p), request(present(t, leaf), now))
	wantReason(t, err, factors.ReasonRevoked)
	// An older one is a change too, and takes nothing back.
	writeLists(t, in("staff.crl"), ca.ListPEM(mtlstest.List{}))
	if p, _, err = watcher.Check(); err != nil {
		t.Fatal(err)
	}
	_, err = verify(t, build(p), request(present(t, leaf), now))
	wantReason(t, err, factors.ReasonRevoked)
}

// Over real connections of every sort: the next request on the same one is refused.
func TestRevokedOnTheWire(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	eachWire(t, func(t *testing.T, w wire) {
		leaf := ca.Issue(mtlstest.Leaf{CN: "alice"})
		x, file := newFixture(staffOf(ca)), listFile(t, ca.ListPEM(mtlstest.List{}))
		settings := lookedUp(revocation.Written{CRL: []string{file}})
		p := newPortal(t, &ServerConfig{ClientCAs: []string{ca.File()}}, x.factor(t, settings))
		client := p.client(w, &leaf)
		p.want(client, "alice "+w.proto())
		p.want(client, "alice "+w.proto())
		writeLists(t, file, ca.ListPEM(mtlstest.List{Number: 2, Revoked: []*x509.Certificate{leaf.Leaf}}))
		f := x.factor(t, settings)
		p.factor.Store(&f)
		p.want(client, "revoked "+w.proto())
	})
}

// A connection that remembers costs nothing with lists and responders on either.
func TestMemoCostsNothingWithRevocation(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	below := ca.Intermediate("Issuing CA")
	s := newListServer(t, ca.List(mtlstest.List{}))
	for name, c := range map[string]struct {
		by *mtlstest.CA
		w  revocation.Written
	}{
		"file":    {below, revocation.Written{CRL: []string{listFile(t, ca.ListPEM(mtlstest.List{}), below.ListPEM(mtlstest.List{}))}}},
		"address": {ca, revocation.Written{CRL: []string{s.URL}}},
		"answer":  {ca, revocation.Written{OCSP: newResponder(t, ca).URL}},
	} {
		t.Run(name, func(t *testing.T) {
			f, r, e := rememberedWith(t, newFixture(staffOf(ca)), c.by, mtlstest.Leaf{CN: "alice"}, lookedUp(c.w))
			ctx := context.Background()
			n := testing.AllocsPerRun(1000, func() {
				if err := f.CheckTie(ctx, r, *e.Tie, e.Subject); err != nil {
					t.Fatal(err)
				}
			})
			if n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// What looking certificates up adds to BenchmarkCheckTie/remembered.
func BenchmarkCheckTieWithLists(b *testing.B) {
	ca := mtlstest.NewCA(b, "Staff CA")
	below := ca.Intermediate("Issuing CA")
	w := lookedUp(revocation.Written{CRL: []string{listFile(b, ca.ListPEM(mtlstest.List{}), below.ListPEM(mtlstest.List{}))}})
	f, r, e := rememberedWith(b, newFixture(staffOf(ca)), below, mtlstest.Leaf{CN: "alice"}, w)
	b.ReportAllocs()
	for b.Loop() {
		if err := f.CheckTie(context.Background(), r, *e.Tie, e.Subject); err != nil {
			b.Fatal(err)
		}
	}
}
