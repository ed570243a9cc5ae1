package memory

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// denials replaces its list with every change, so that readers share it.
type denials struct {
	mu   sync.RWMutex
	list []factors.Denial
}

// AddDenial implements [session.DenyList]. An id that stands for another denial is [session.ErrConflict].
func (d *denials) AddDenial(ctx context.Context, n factors.Denial) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if n.ID == "" || n.By == "" || n.Value == "" {
		return errors.New("memory: a denial without id or value")
	}
	n.Created = utc(n.Created)
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.Clone(d.list)
	at := slices.IndexFunc(list, func(old factors.Denial) bool {
		return old.Tenant == n.Tenant && old.By == n.By && old.Value == n.Value
	})
	switch {
	case at < 0 && slices.ContainsFunc(list, func(old factors.Denial) bool { return old.ID == n.ID }):
		return session.ErrConflict
	case at < 0:
		list = append(list, n)
	case list[at].Created.IsZero() || !n.Created.After(list[at].Created):
		return nil
	default:
		list[at].Created = n.Created
	}
	slices.SortStableFunc(list, func(a, b factors.Denial) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	d.list = list
	return nil
}

// RemoveDenial implements [session.DenyList]. What is not there is [session.ErrNotFound].
func (d *denials) RemoveDenial(ctx context.Context, tenant, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(d.list), func(n factors.Denial) bool { return n.Tenant == tenant && n.ID == id })
	if len(left) == len(d.list) {
		return session.ErrNotFound
	}
	d.list = left
	return nil
}

// ListDenials implements [session.DenyList]. They come oldest first.
func (d *denials) ListDenials(ctx context.Context) ([]factors.Denial, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clip(d.list), nil
}
