package memory

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

type cutoffs struct {
	mu   sync.RWMutex
	kept map[session.Digest]cutoff
}

type cutoff struct{ at, until time.Time }

// SetCutoff implements [session.Cutoffs]. A cutoff at no time is an error.
func (c *cutoffs) SetCutoff(ctx context.Context, key session.Digest, at, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if at.IsZero() {
		return errNoTime
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.kept[key]
	c.kept[key] = cutoff{later(old.at, utc(at)), later(old.until, utc(until))}
	return nil
}

// Cutoff implements [session.Cutoffs].
func (c *cutoffs) Cutoff(ctx context.Context, key session.Digest) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.kept[key].at, nil
}

// PruneCutoffs implements [session.Cutoffs].
func (c *cutoffs) PruneCutoffs(ctx context.Context, now time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.kept)
	for key, k := range c.kept {
		if k.until.Before(now) {
			delete(c.kept, key)
		}
	}
	return n - len(c.kept), nil
}
