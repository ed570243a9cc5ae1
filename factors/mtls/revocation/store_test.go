package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// mindful is a store, as a database is one, that gives up when its caller does.
type mindful struct{ *memory }

func (m mindful) Load(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return m.memory.Load(ctx, name)
}

// Whoever makes the first request after a start and goes away does not make the program forget which list was the newest.
func TestAFirstCallerWhoGoesAwayRollsNothingBack(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice, eve := ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf, ca.Issue(mtlstest.Leaf{CN: "eve"}).Leaf
	path := pathTo(ca, ca, eve)
	s, store := newServer(t), mindful{&memory{values: map[string][]byte{}}}
	w := Written{CRL: []string{s.URL + "/crl"}}
	s.has("/crl", ca.List(mtlstest.List{Number: 5, ThisUpdate: noon.Add(-time.Hour), Revoked: []*x509.Certificate{eve}}))
	wantReason(t, check(newBench(t, Config{Store: store}).checker(w), noon, path), factors.ReasonRevoked)

	// The program starts again; who sits between it and the server of lists plays back the list before, which is in date.
	s.has("/crl", ca.List(mtlstest.List{Number: 4, ThisUpdate: noon.Add(-2 * time.Hour)}))
	restarted := newBench(t, Config{Store: store}).checker(w)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = restarted.Check(ctx, noon, pathTo(ca, ca, alice))
	wantReason(t, check(restarted, noon, path), factors.ReasonRevoked)
	// And what was stored is not overwritten by it.
	wantReason(t, check(newBench(t, Config{Store: store}).checker(w), noon, path), factors.ReasonRevoked)
}

// slowStore gives what it has only when it is let.
type slowStore struct {
	*memory
	release chan struct{}
}

func (m *slowStore) Load(ctx context.Context, name string) ([]byte, error) {
	<-m.release
	return m.memory.Load(ctx, name)
}

// same answers everything with one body.
type same []byte

func (b same) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Request: r, Body: io.NopCloser(bytes.NewReader(b))}, nil
}

// Two requests at once after a start: the second does not go on without what the first is still reading from the store,
// unless it goes away.
func TestASecondCallerWaitsForTheStore(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	eve := ca.Issue(mtlstest.Leaf{CN: "eve"}).Leaf
	path := pathTo(ca, ca, eve)
	store := &memory{values: map[string][]byte{}}
	w := Written{CRL: []string{"http://crl.example/crl"}}
	newest := ca.List(mtlstest.List{Number: 5, ThisUpdate: noon.Add(-time.Hour), Revoked: []*x509.Certificate{eve}})
	wantReason(t, check(newBench(t, Config{Store: store, Transport: same(newest)}).checker(w), noon, path), factors.ReasonRevoked)

	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{store, make(chan struct{})}
		older := same(ca.List(mtlstest.List{Number: 4, ThisUpdate: noon.Add(-2 * time.Hour)}))
		restarted := newBench(t, Config{Store: slow, Transport: older}).checker(w)
		first, second, third := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { first <- check(restarted, noon, path) }()
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		go func() { second <- check(restarted, noon, path) }()
		go func() {
			_, err := restarted.Check(ctx, noon, path)
			third <- err
		}()
		synctest.Wait()
		if len(second) > 0 || len(third) > 0 {
			t.Error("somebody went on without what was being read")
		}
		leave()
		if err := <-third; err == nil {
			t.Error("passed, without anything known")
		}
		close(slow.release)
		wantReason(t, <-first, factors.ReasonRevoked)
		wantReason(t, <-second, factors.ReasonRevoked)
	})
}

// One list that is damaged where it is stored takes no other with it.
func TestADamagedListTakesNoOtherWithIt(t *testing.T) {
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Other CA")
	eve := ca.Issue(mtlstest.Leaf{CN: "eve"}).Leaf
	good := append(ca.PEM(), ca.ListPEM(mtlstest.List{Number: 5, Revoked: []*x509.Certificate{eve}})...)
	for name, damage := range map[string][]byte{
		"no list":        append(other.PEM(), []byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")...),
		"no certificate": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		"no PEM":         []byte("-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----\n"),
	} {
		store := &memory{values: map[string][]byte{"device\nhttp://crl.example/crl": append(damage, good...)}}
		b := newBench(t, Config{Store: store, Transport: same("no list")})
		wantReason(t, check(b.checker(Written{CRL: []string{"http://crl.example/crl"}}), noon, pathTo(ca, ca, eve)), factors.ReasonRevoked)
		if name != "no PEM" && !b.counter.has(ReasonNotStored) {
			t.Errorf("%s: counted %v", name, b.counter.all)
		}
	}
}

// A store that fails is asked again, and nothing is put over what it did not give.
func TestAStoreThatFailedIsAskedAgain(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	eve := ca.Issue(mtlstest.Leaf{CN: "eve"}).Leaf
	path := pathTo(ca, ca, eve)
	s, store := newServer(t), &memory{values: map[string][]byte{}}
	w := Written{CRL: []string{s.URL + "/crl"}}
	s.has("/crl", ca.List(mtlstest.List{Number: 5, ThisUpdate: noon.Add(-time.Hour), Revoked: []*x509.Certificate{eve}}))
	wantReason(t, check(newBench(t, Config{Store: store}).checker(w), noon, path), factors.ReasonRevoked)

	s.has("/crl", ca.List(mtlstest.List{Number: 4, ThisUpdate: noon.Add(-2 * time.Hour)}))
	flaky := &readsLater{memory: store, err: errors.New("not now")}
	restarted := newBench(t, Config{Store: flaky}).checker(w)
	wantReason(t, check(restarted, noon, path), "")
	flaky.err = nil
	wantReason(t, check(restarted, noon.Add(retryEvery), path), factors.ReasonRevoked)
	wantReason(t, check(newBench(t, Config{Store: store}).checker(w), noon, path), factors.ReasonRevoked)
}

// readsLater is a store that takes everything and gives nothing yet.
type readsLater struct {
	*memory
	err error
}

func (m *readsLater) Load(ctx context.Context, name string) ([]byte, error) {
	if m.err != nil {
		return nil, m.err
	}
	return m.memory.Load(ctx, name)
}
