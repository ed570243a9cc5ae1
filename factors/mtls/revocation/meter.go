package revocation

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// meter counts outcomes for OpenTelemetry, without an allocation for one that was counted before.
type meter struct {
	counter metric.Int64Counter
	mu      sync.RWMutex
	options map[Outcome][]metric.AddOption
}

func newMeter(of metric.MeterProvider) *meter {
	if of == nil {
		of = otel.GetMeterProvider()
	}
	counter, err := of.Meter("github.com/sallyport-auth/sallyport/factors/mtls/revocation").Int64Counter("sallyport.revocation.outcomes",
		metric.WithDescription("What was found about paths of certificates, and what was wrong with lists and answers."), metric.WithUnit("{outcome}"))
	if err != nil { // a login does not fail because nothing counts it
		otel.Handle(err)
		counter = noop.Int64Counter{}
	}
	return &meter{counter: counter, options: map[Outcome][]metric.AddOption{}}
}

func (m *meter) add(o Outcome) { m.counter.Add(context.Background(), 1, m.of(o)...) }

// of are the attributes of an outcome. There are as many as a policy has factors, for each reason.
func (m *meter) of(o Outcome) []metric.AddOption {
	m.mu.RLock()
	options := m.options[o]
	m.mu.RUnlock()
	if options != nil {
		return options
	}
	options = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(
		attribute.String("sallyport.factor", o.Factor), attribute.String("sallyport.reason", string(o.Reason))))}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.options[o] = options
	return options
}
