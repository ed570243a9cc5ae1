package oauth

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

const (
	maxCached    = time.Hour        // how long metadata and keys are used before they are fetched again
	refetchEvery = 10 * time.Second // how often keys are fetched ahead of that, because a token has one that isn't known
)

// cached is something of a provider's that is fetched when it is needed, once at a time whoever asks. The zero value is
// ready, and safe for concurrent use. Time is the callers'.
type cached[T any] struct {
	mu         sync.Mutex
	value      T
	generation uint64    // grows with each fetch that succeeded; zero: nothing is there
	at         time.Time // of the last fetch that succeeded
	refetched  time.Time // when a fetch ahead of time last began
	flight     *flight
}

// flight is a fetch that runs.
type flight struct {
	done chan struct{}
	err  error // once it is done
}

// get gives the value, fetched if it is not there or too old, and its generation.
func (c *cached[T]) get(ctx context.Context, now time.Time, fetch func(context.Context) (T, error)) (T, uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.fresh(now) {
		if err := c.join(ctx, now, fetch); err != nil {
			var none T
			return none, 0, err
		}
	}
	return c.value, c.generation, nil
}

// last gives the value of whatever age.
func (c *cached[T]) last() (T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, c.generation > 0
}

func (c *cached[T]) fresh(now time.Time) bool {
	return c.generation > 0 && now.Sub(c.at).Abs() < maxCached
}

// newer gives a value of a later generation than the one seen, fetched ahead of time unless that was done lately. It
// reports false where there is none.
func (c *cached[T]) newer(ctx context.Context, now time.Time, seen uint64, fetch func(context.Context) (T, error)) (T, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var none T
	if c.generation == seen {
		if c.flight == nil && !c.refetched.IsZero() && now.Sub(c.refetched).Abs() < refetchEvery {
			return none, false, nil
		}
		if c.flight == nil {
			c.refetched = now
		}
		if err := c.join(ctx, now, fetch); err != nil {
			return none, false, err
		}
	}
	return c.value, c.generation != seen, nil
}

// join waits for the fetch that runs, or begins one. It outlives the caller who began it, for the sake of the others. The
// lock is held when it is called and when it returns, and not in between.
func (c *cached[T]) join(ctx context.Context, now time.Time, fetch func(context.Context) (T, error)) error {
	if err := ctx.Err(); err != nil {
		return unreachable(err)
	}
	f := c.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		c.flight = f
		go c.fly(context.WithoutCancel(ctx), now, fetch, f)
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return unreachable(ctx.Err())
	}
}

func (c *cached[T]) fly(ctx context.Context, now time.Time, fetch func(context.Context) (T, error), f *flight) {
	ctx, cancel := context.WithTimeout(ctx, elsewhere.TotalTime)
	defer cancel()
	value, err := fetch(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.err = err; err == nil {
		c.value, c.at = value, now
		c.generation++
	}
	c.flight = nil
	close(f.done)
}
