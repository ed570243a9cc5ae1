package mtls

import (
	"context"
	"crypto/x509"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// remembered is a request on a connection that has verified alice once.
func remembered(t testing.TB, x *fixture, ca *mtlstest.CA, l mtlstest.Leaf) (factors.Tied, factors.Request, authn.Evidence) {
	t.Helper()
	return rememberedWith(t, x, ca, l, byCommonName)
}

func rememberedWith(t testing.TB, x *fixture, ca *mtlstest.CA, l mtlstest.Leaf, w written) (factors.Tied, factors.Request, authn.Evidence) {
	t.Helper()
	f := x.factor(t, w)
	r := factors.Request{Now: time.Now(), Peer: peer.New(mtlstest.Chain(t, ca.Issue(l)), tlsSource, new(peer.Memo))}
	e, err := verify(t, f, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.CheckTie(context.Background(), r, *e.Tie, e.Subject); err != nil {
		t.Fatal(err)
	}
	return f, r, e
}

func TestMemoCostsNothing(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f, r, e := remembered(t, newFixture(staffOf(ca)), ca.Intermediate("Issuing CA"), mtlstest.Leaf{CN: "alice"})
	ctx := context.Background()
	n := testing.AllocsPerRun(1000, func() {
		if err := f.CheckTie(ctx, r, *e.Tie, e.Subject); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What a connection remembers is looked at against everything that can have changed.
func TestMemoIsNotTrusted(t *testing.T) {
	t.Run("denials with versions", func(t *testing.T) { memoIsNotTrusted(t, newFixture) })
	t.Run("denials without", func(t *testing.T) {
		memoIsNotTrusted(t, func(anchors ...policy.Anchor) *fixture {
			x := newFixture(anchors...)
			x.unversioned = true
			return x
		})
	})
}

func memoIsNotTrusted(t *testing.T, newFixture func(...policy.Anchor) *fixture) {
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Other CA")
	ctx := context.Background()
	check := func(f factors.Tied, r factors.Request, e authn.Evidence) error {
		return f.CheckTie(ctx, r, *e.Tie, e.Subject)
	}
	t.Run("expired", func(t *testing.T) {
		f, r, e := remembered(t, newFixture(staffOf(ca)), ca, mtlstest.Leaf{CN: "alice"})
		r.Now = e.Expires.Add(time.Second)
		wantReason(t, check(f, r, e), ReasonExpired)
	})
	t.Run("the clock went back", func(t *testing.T) {
		f, r, e := remembered(t, newFixture(staffOf(ca)), ca, mtlstest.Leaf{CN: "alice"})
		r.Now = r.Now.Add(-2 * time.Hour)
		wantReason(t, check(f, r, e), ReasonNotYetValid)
	})
	t.Run("the clock went back before the intermediate began", func(t *testing.T) {
		young := ca.IntermediateFrom(mtlstest.Leaf{CN: "Young CA", NotBefore: time.Now().Add(-time.Minute)})
		f, r, e := remembered(t, newFixture(staffOf(ca)), young, mtlstest.Leaf{CN: "alice"})
		r.Now = r.Now.Add(-2 * time.Minute)
		wantReason(t, check(f, r, e), ReasonUntrusted)
	})
	t.Run("denied", func(t *testing.T) {
		x := newFixture(staffOf(ca))
		f, r, e := remembered(t, x, ca, mtlstest.Leaf{CN: "alice"})
		x.denials.deny(factors.DenySerial, r.Peer.Leaf())
		wantReason(t, check(f, r, e), factors.ReasonRevoked)
		_, err := verify(t, f, r)
		wantReason(t, err, factors.ReasonRevoked)
	})
	t.Run("CA removed: the factor is built anew", func(t *testing.T) {
		x := newFixture(staffOf(ca))
		_, r, e := remembered(t, x, ca, mtlstest.Leaf{CN: "alice"})
		x.anchors = newFixture(staffOf(other)).anchors
		wantReason(t, check(x.factor(t, byCommonName), r, e), ReasonUntrusted)
	})
	t.Run("another source", func(t *testing.T) {
		f, r, e := remembered(t, newFixture(staffOf(ca)), ca, mtlstest.Leaf{CN: "alice"})
		r.Peer = peer.New(r.Peer.Certificates(), peer.Source{Name: "front"}, r.Peer.Memo())
		wantReason(t, check(f, r, e), ReasonOtherSource)
	})
	t.Run("early data", func(t *testing.T) {
		f, r, e := remembered(t, newFixture(staffOf(ca)), ca, mtlstest.Leaf{CN: "alice"})
		r.Peer = peer.New(r.Peer.Certificates(), peer.Source{Name: SourceTLS, Early: true}, r.Peer.Memo())
		wantReason(t, check(f, r, e), ReasonEarlyData)
	})
	t.Run("another subject", func(t *testing.T) {
		f, r, e := remembered(t, newFixture(staffOf(ca)), ca, mtlstest.Leaf{CN: "alice"})
		e.Subject = bob.Subject()
		wantReason(t, check(f, r, e), ReasonOtherSubject)
	})
	t.Run("another session's tie", func(t *testing.T) {
		f, r, e := remembered(t, newFixture(staffOf(ca)), ca, mtlstest.Leaf{CN: "alice"})
		tie := *e.Tie
		tie.Key[0]++
		e.Tie = &tie
		wantReason(t, check(f, r, e), factors.ReasonTieBroken)
	})
	t.Run("the list of denials cannot be read", func(t *testing.T) {
		x := newFixture(staffOf(ca))
		f, r, e := remembered(t, x, ca, mtlstest.Leaf{CN: "alice"})
		x.denials.err = errors.New("gone")
		if err := check(f, r, e); !errors.Is(err, x.denials.err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another certificate", func(t *testing.T) {
		f, r, e := remembered(t, newFixture(staffOf(ca)), ca, mtlstest.Leaf{CN: "alice"})
		r.Peer = peer.New(present(t, ca.Issue(mtlstest.Leaf{CN: "bob"})), tlsSource, r.Peer.Memo())
		wantReason(t, check(f, r, e), factors.ReasonTieBroken)
	})
	t.Run("the user is gone", func(t *testing.T) {
		x := newFixture(staffOf(ca))
		f, r, e := remembered(t, x, ca, mtlstest.Leaf{CN: "alice"})
		delete(x.directory.users, key("corp", "alice", authn.ClassPerson))
		wantReason(t, check(f, r, e), "") // within a second
		_, err := verify(t, f, r)
		wantReason(t, err, factors.ReasonUserUnknown)
		r.Now = r.Now.Add(lookupFresh)
		wantReason(t, check(f, r, e), factors.ReasonUserUnknown)
	})
}

// Of a tie that held before, everything is compared.
func TestSameTie(t *testing.T) {
	one := authn.Tie{Issuers: []byte{1}}
	if two := (authn.Tie{Issuers: []byte{1}}); !sameTie(&one, &two) {
		t.Error("the same tie is another")
	}
	for i := range reflect.TypeFor[authn.Tie]().NumField() {
		two := authn.Tie{Issuers: []byte{1}}
		switch f := reflect.ValueOf(&two).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Array:
			f.Index(31).SetUint(1)
		default:
			f.Index(0).SetUint(2)
		}
		if sameTie(&one, &two) {
			t.Errorf("%s is not compared", reflect.TypeFor[authn.Tie]().Field(i).Name)
		}
	}
}

// A tie that held is not asked about anew before something may have changed: neither the list of denials nor the directory.
func TestATieThatHeldIsRemembered(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	x := newFixture(staffOf(ca))
	f, r, e := remembered(t, x, ca, mtlstest.Leaf{CN: "alice"})
	p := f.(*Verifier).remembered(r)
	held := p.passed.Load()
	if held == nil {
		t.Fatal("nothing is remembered")
	}
	ctx := context.Background()
	wantReason(t, f.CheckTie(ctx, r, *e.Tie, e.Subject), "")
	if p.passed.Load() != held {
		t.Error("it was judged anew")
	}
	r.Now = r.Now.Add(lookupFresh)
	wantReason(t, f.CheckTie(ctx, r, *e.Tie, e.Subject), "")
	if p.passed.Load() == held {
		t.Error("it was not judged anew after a second")
	}
	r.Now = r.Now.Add(-time.Millisecond)
	held = p.passed.Load()
	wantReason(t, f.CheckTie(ctx, r, *e.Tie, e.Subject), "")
	if p.passed.Load() == held {
		t.Error("it was not judged anew when the clock went back")
	}
}

// Refusals are not remembered, and early data remembers nothing.
func TestMemoKeepsOnlyTheGood(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	v := newFixture(staffOf(ca)).factor(t, byCommonName).(*Verifier)
	memo := new(peer.Memo)
	r := factors.Request{Now: time.Now().Add(-time.Hour * 9), Peer: peer.New(present(t, ca.Issue(mtlstest.Leaf{CN: "alice"})), tlsSource, memo)}
	if _, err := verify(t, v, r); err == nil {
		t.Fatal("taken before its time")
	}
	if _, ok := memo.Load(v.memoKey); ok {
		t.Error("a refusal is remembered")
	}
	r.Now = time.Now()
	if _, err := verify(t, v, r); err != nil {
		t.Error(err)
	}
	if _, ok := memo.Load(v.memoKey); !ok {
		t.Error("nothing is remembered")
	}
}

func BenchmarkCheckTie(b *testing.B) {
	ca := mtlstest.NewCA(b, "Staff CA")
	for _, remember := range []bool{true, false} {
		b.Run(map[bool]string{true: "remembered", false: "new"}[remember], func(b *testing.B) {
			f, r, e := remembered(b, newFixture(staffOf(ca)), ca.Intermediate("Issuing CA"), mtlstest.Leaf{CN: "alice"})
			if !remember {
				r.Peer = peer.New(r.Peer.Certificates(), tlsSource, nil)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := f.CheckTie(context.Background(), r, *e.Tie, e.Subject); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("x509.Verify alone", func(b *testing.B) {
		chain := mtlstest.Chain(b, ca.Intermediate("Issuing CA").Issue(mtlstest.Leaf{CN: "alice"}))
		hints := x509.NewCertPool()
		hints.AddCert(chain[1])
		options := x509.VerifyOptions{Roots: ca.Pool(), Intermediates: hints, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := chain[0].Verify(options); err != nil {
				b.Fatal(err)
			}
		}
	})
}
