package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

// Bench measures what each request does to a store, which is empty: reading a row of many, from one goroutine and from
// several, and swapping one.
func Bench(b *testing.B, s session.Store) {
	const rows = 1000
	now := time.Now().UTC()
	names := make([]string, rows)
	for i := range names {
		names[i] = fmt.Sprintf("selector-%032d", i)
		must(b, s.CreateSession(b.Context(), benchRow(names[i], now)))
	}
	b.Run("Session", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, err := s.Session(b.Context(), names[i%rows], now)
			must(b, err)
		}
	})
	b.Run("SessionParallel", func(b *testing.B) {
		b.ReportAllocs()
		var next atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for i := int(next.Add(rows / 7)); pb.Next(); i++ {
				_, err := s.Session(b.Context(), names[i%rows], now)
				must(b, err)
			}
		})
	})
	b.Run("SwapSession", func(b *testing.B) {
		b.ReportAllocs()
		r, err := s.Session(b.Context(), names[0], now)
		must(b, err)
		w := session.Swap{Selector: r.Selector, From: r.Version, State: r.State, Expires: r.Expires, Index: r.Index}
		for b.Loop() {
			must(b, s.SwapSession(b.Context(), w))
			w.From++
		}
	})
}

func benchRow(selector string, now time.Time) session.Row {
	return session.Row{
		Selector: selector, SecretHash: hash(selector), State: make([]byte, 1200), Values: make([]byte, 100),
		Created: now, Touched: now, Expires: now.Add(time.Hour), Client: session.Client{Source: "192.0.2.1", Agent: "agent"},
		Index: session.Index{Tenant: "corp", Person: "person of " + selector, Certificates: []session.Digest{hash(selector)}},
	}
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Fatal(err)
	}
}
