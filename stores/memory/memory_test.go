package memory_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/memory"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store { return memory.New() })
}

func BenchmarkStore(b *testing.B) { storetest.Bench(b, memory.New()) }

// TestReadsDoNotAllocate: what a guard reads with each request costs no allocation.
func TestReadsDoNotAllocate(t *testing.T) {
	s, ctx, now := memory.New(), t.Context(), time.Now()
	for _, err := range []error{
		s.CreateTenant(ctx, session.Tenant{ID: "corp"}),
		s.CreateUser(ctx, session.User{User: factors.User{Tenant: "corp", ID: "alice", Name: "alice"}}),
		s.CreateSession(ctx, session.Row{Selector: "a", State: make([]byte, 500), Expires: now.Add(time.Hour)}),
		s.AddDenial(ctx, factors.Denial{ID: "d", By: factors.DenyKey, Value: "00"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, read := range map[string]func() error{
		"Session":     func() error { _, err := s.Session(ctx, "a", now); return err },
		"Tenant":      func() error { _, err := s.Tenant(ctx, "corp"); return err },
		"User":        func() error { _, err := s.User(ctx, "corp", "alice"); return err },
		"Cutoff":      func() error { _, err := s.Cutoff(ctx, session.Digest{1}); return err },
		"ListDenials": func() error { _, err := s.ListDenials(ctx); return err },
	} {
		n := testing.AllocsPerRun(100, func() {
			if err := read(); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// TestEventsAreBounded: a tenant's old events make room for its new ones, and for nobody else's.
func TestEventsAreBounded(t *testing.T) {
	s := memory.New()
	for i := range 10_100 {
		if err := s.AddEvents(t.Context(), session.Event{ID: fmt.Sprint(i), Tenant: "noisy", At: time.Unix(int64(i), 0)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddEvents(t.Context(), session.Event{ID: "quiet", Tenant: "quiet", At: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]error{"99": session.ErrNotFound, "100": nil, "quiet": nil} {
		if _, err := s.Events(t.Context(), session.EventFilter{Before: id}); !errors.Is(err, want) {
			t.Errorf("event %s: %v, want %v", id, err, want)
		}
	}
}
