package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"net/http"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// meters keep what is counted, as factor and reason.
type meters struct {
	noop.MeterProvider
	err error

	mu      sync.Mutex
	counted map[string]int64
}

func (m *meters) Meter(string, ...metric.MeterOption) metric.Meter { return testMeter{m: m} }

type testMeter struct {
	noop.Meter
	m *meters
}

func (t testMeter) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	if name != "sallyport.revocation.outcomes" {
		return nil, errors.New("another counter: " + name)
	}
	return counting{m: t.m}, t.m.err
}

type counting struct {
	noop.Int64Counter
	m *meters
}

func (c counting) Add(_ context.Context, n int64, options ...metric.AddOption) {
	set := metric.NewAddConfig(options).Attributes()
	factor, _ := set.Value(attribute.Key("sallyport.factor"))
	reason, _ := set.Value(attribute.Key("sallyport.reason"))
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.counted[factor.AsString()+" "+reason.AsString()] += n
}

func TestOutcomesAreCounted(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	alice, eve := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf), pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "eve"}).Leaf)
	s := newServer(t)
	s.has("/crl", ca.List(mtlstest.List{Revoked: []*x509.Certificate{eve[0].Certificate}}))
	m := &meters{counted: map[string]int64{}}
	checker := newBench(t, Config{Meters: m}).checker(Written{CRL: []string{s.URL + "/crl"}})
	for _, path := range [][]Subject{alice, alice, eve} {
		_ = check(checker, noon, path)
	}
	want := map[string]int64{"device revocation_good": 2, "device revoked": 1}
	if !maps.Equal(m.counted, want) {
		t.Errorf("counted %v, want %v", m.counted, want)
	}
	s.on("/crl", http.NotFound)
	_ = check(newBench(t, Config{Meters: m}).checker(Written{CRL: []string{s.URL + "/crl"}}), noon, alice)
	if m.counted["device revocation_unreachable"] != 1 || m.counted["device revocation_unavailable"] != 1 {
		t.Errorf("counted %v", m.counted)
	}
}

// A meter that cannot count keeps nobody out.
func TestAMeterThatFails(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	path := pathTo(ca, ca, ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf)
	m := &meters{counted: map[string]int64{}, err: errors.New("no more instruments")}
	checker := newBench(t, Config{Meters: m}).checker(Written{CRL: []string{file(t, ca.ListPEM(mtlstest.List{}))}})
	wantReason(t, check(checker, noon, path), "")
}
