package jwt

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

const (
	refetchEvery = 10 * time.Second // how often keys are fetched ahead of time, or again after that failed
	maxKeyAge    = time.Hour        // how long keys are used that cannot be fetched again
)

// published is the keys of an issuer as they were published. It is not changed once it is made.
type published struct {
	set        jose.Set
	sum        [sha256.Size]byte // of what was read
	generation uint64            // grows when other keys are published; from one
	at         time.Time         // when they were published at the latest
}

// keyring is the keys of an issuer: fixed, or fetched when they are needed, once at a time whoever asks. Who has keys that
// are good enough never waits for others. It is safe for concurrent use. Time is the callers'.
type keyring struct {
	fetch   func(context.Context) ([]byte, error) // nil: the keys are fixed
	refresh time.Duration
	latest  atomic.Pointer[published] // nil: none were fetched yet

	mu     sync.Mutex
	began  time.Time // when the last fetch began
	failed error     // why the last fetch failed; nil: it did not, or it runs
	flight *flight
}

// flight is a fetch that runs.
type flight struct {
	done chan struct{}
	err  error // once it is done
}

func newKeyring(s *Settings) *keyring {
	k := &keyring{refresh: s.keys.refresh}
	if s.keys.fixed != nil {
		k.latest.Store(s.keys.fixed)
		return k
	}
	k.fetch = s.keys.fetcher(s.issuer)
	return k
}

// known are the keys to verify with. Those that are due to be fetched again are fetched meanwhile; they are used for an
// hour if that fails. An error means that there are none.
func (k *keyring) known(ctx context.Context, now time.Time) (*published, error) {
	latest := k.latest.Load()
	if latest != nil && (k.fetch == nil || now.Sub(latest.at).Abs() < k.refresh) {
		return latest, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if latest = k.latest.Load(); latest != nil && now.Sub(latest.at).Abs() < maxKeyAge {
		if now.Sub(latest.at).Abs() >= k.refresh && k.mayFetch(now) {
			k.begin(ctx, now)
		}
		return latest, nil
	}
	if k.flight == nil && !k.mayFetch(now) && k.failed != nil {
		return nil, k.failed
	}
	if err := k.join(ctx, now); err != nil {
		return nil, err
	}
	return k.latest.Load(), nil
}

// newer are keys published since those that were seen, asked for ahead of time unless that was done lately. It is nil where
// there are none.
func (k *keyring) newer(ctx context.Context, now time.Time, seen *published) (*published, error) {
	if k.fetch == nil {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.latest.Load().generation == seen.generation {
		if k.flight == nil && !k.mayFetch(now) {
			return nil, k.failed
		}
		if err := k.join(ctx, now); err != nil {
			return nil, err
		}
	}
	if latest := k.latest.Load(); latest.generation != seen.generation {
		return latest, nil
	}
	return nil, nil
}

func (k *keyring) mayFetch(now time.Time) bool {
	return k.began.IsZero() || now.Sub(k.began).Abs() >= refetchEvery
}

// begin begins a fetch unless one runs. It outlives the caller who began it, for the sake of the others. The lock is held.
func (k *keyring) begin(ctx context.Context, now time.Time) *flight {
	if k.flight == nil {
		k.flight, k.began, k.failed = &flight{done: make(chan struct{})}, now, nil
		go k.fly(context.WithoutCancel(ctx), now, k.flight)
	}
	return k.flight
}

// join waits for the fetch that runs, or begins one. The lock is held when it is called and when it returns, and not in
// between.
func (k *keyring) join(ctx context.Context, now time.Time) error {
	f := k.begin(ctx, now)
	k.mu.Unlock()
	defer k.mu.Lock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("jwt: the keys: %w", ctx.Err())
	}
}

func (k *keyring) fly(ctx context.Context, now time.Time, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, elsewhere.TotalTime)
	defer cancel()
	made, err := k.read(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.replace(made, now)
	}
	f.err, k.failed, k.flight = err, err, nil
	close(f.done)
}

func (k *keyring) read(ctx context.Context) (*published, error) {
	b, err := k.fetch(ctx)
	if err != nil {
		return nil, err
	}
	set, err := jose.ParseSet(b, elsewhere.MaxDocument)
	if err != nil {
		return nil, fmt.Errorf("jwt: the key set: %w", err)
	}
	return &published{set: set, sum: sha256.Sum256(b)}, nil
}

// replace puts what was fetched in the place of what was known. Keys that are the same are of the same generation. The lock
// is held.
func (k *keyring) replace(made *published, now time.Time) {
	made.at, made.generation = now, 1
	if before := k.latest.Load(); before != nil {
		if made.generation = before.generation; made.sum != before.sum {
			made.generation++
		}
	}
	k.latest.Store(made)
}
