package session

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
)

// denyListOf is a list in memory.
type denyListOf struct {
	entries []factors.Denial
	err     error
}

func (l *denyListOf) AddDenial(context.Context, factors.Denial) error       { return nil }
func (l *denyListOf) RemoveDenial(context.Context, string, string) error    { return nil }
func (l *denyListOf) ListDenials(context.Context) ([]factors.Denial, error) { return l.entries, l.err }

// A version stands for one reading of the list, and is known only as long as that reading may be used.
func TestDenialsVersion(t *testing.T) {
	store, ctx, now := &denyListOf{}, t.Context(), time.Now()
	d := newDenials(store)
	read := func() {
		t.Helper()
		if _, err := d.Denied(ctx, now, "corp", factors.Marks{}); err != nil {
			t.Fatal(err)
		}
	}
	unknown := func(at time.Time) {
		t.Helper()
		if _, ok := d.DenialsVersion(at); ok {
			t.Error("a version is known")
		}
	}
	known := func() uint64 {
		t.Helper()
		v, ok := d.DenialsVersion(now)
		if !ok {
			t.Error("no version is known")
		}
		return v
	}
	unknown(now)
	read()
	first := known()
	if read(); known() != first {
		t.Error("another version of the same reading")
	}
	unknown(now.Add(denialsFresh))
	unknown(now.Add(-time.Nanosecond))
	d.forget()
	unknown(now)
	store.err = errors.New("gone")
	if _, err := d.Denied(ctx, now, "corp", factors.Marks{}); err == nil {
		t.Error("answered without the list")
	}
	unknown(now)
	store.err = nil
	if read(); known() == first {
		t.Error("the same version of another reading")
	}
	if err := d.try(ctx, factors.Denial{By: factors.DenyToken}, func(context.Context) error { unknown(now); return nil }); err != nil {
		t.Fatal(err)
	}
	known()
}
