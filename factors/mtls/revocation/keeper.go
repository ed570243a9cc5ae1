package revocation

import (
	"crypto/rand"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/sallyport-auth/sallyport/authn"
)

// Config is what a [Keeper] is made of. The zero value works, and forgets everything when the program ends.
type Config struct {
	Store Store     // nil: fetched lists are not kept for the next start
	Rand  io.Reader // for nonces, and for when to ask again; nil: crypto/rand.Reader
	// Observe, if set, is told of every outcome: what was found about a path, and what was wrong with a list or an answer.
	// It is called by many goroutines, with requests waiting. What a connection remembers is not found anew, and not told.
	Observe func(Outcome)
	// Meters count the same, as the counter sallyport.revocation.outcomes with the attributes sallyport.factor and
	// sallyport.reason. nil: those of otel.GetMeterProvider, which count nothing unless the program sets them.
	Meters metric.MeterProvider
	// Transport reaches servers of lists and responders; nil: with time limits, through no proxy.
	Transport http.RoundTripper
}

// Outcome is something to be counted.
type Outcome struct {
	Factor string
	Reason authn.Reason // one of this package's, or factors.ReasonRevoked
}

// Keeper has the lists and answers that were got, across changes of the policy. It starts a goroutine for each fetch, which
// ends within 10 seconds, and no other. It is safe for concurrent use.
type Keeper struct {
	config     Config
	meter      *meter
	web        *web
	answers    answers
	generation atomic.Uint64 // grows with every list that is taken in and every certificate found revoked

	mu      sync.Mutex
	sources map[place]*source
}

// place is where a factor's policy says that lists are.
type place struct{ factor, path, address string }

// New makes a keeper, for the factors of one engine: what it has is kept by their names.
func New(c Config) *Keeper {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &Keeper{config: c, meter: newMeter(c.Meters), web: newWeb(c.Transport), sources: map[place]*source{}}
}

// Generation grows whenever something may have become revoked. Whoever remembers what [Checker.Check] said asks again then.
func (k *Keeper) Generation() uint64 { return k.generation.Load() }

func (k *Keeper) count(factor string, why authn.Reason) {
	o := Outcome{factor, why}
	k.meter.add(o)
	if k.config.Observe != nil {
		k.config.Observe(o)
	}
}

// sourcesOf are those that a factor's policy names. The factor's others are forgotten.
func (k *Keeper) sourcesOf(factor string, places []place) []*source {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []*source
	wanted := map[place]bool{}
	for _, p := range places {
		s := k.sources[p]
		if s == nil {
			s = &source{keeper: k, factor: factor, address: p.address, reading: make(chan struct{}, 1), held: map[authority][]held{}}
			k.sources[p] = s
		}
		wanted[p] = true
		out = append(out, s)
	}
	for p := range k.sources {
		if p.factor == factor && !wanted[p] {
			delete(k.sources, p)
		}
	}
	return out
}

// ahead is how long after a fetch to ask again: some time before the first list is too old, which is another for every
// instance, and within [refreshEvery].
func (k *Keeper) ahead(lifetime time.Duration) time.Duration {
	lifetime = min(lifetime, refreshEvery)
	var b [1]byte
	_, _ = io.ReadFull(k.config.Rand, b[:]) // without randomness all instances ask at once, which is no danger
	return max(lifetime*3/4+lifetime/8*time.Duration(b[0])/255, retryEvery)
}
