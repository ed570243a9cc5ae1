package memory

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

// eventsKept is how many of a tenant's events are kept.
const eventsKept = 10_000

// audit keeps a log for each tenant, and one (with the empty id) for the portal.
type audit struct {
	mu     sync.RWMutex
	next   uint64
	logs   map[string]*log
	places map[string]place // of events by id
}

// log is in the order of [place].
type log struct{ entries []entry }

type entry struct {
	place
	event session.Event
}

// place is where an event stands among all: by time, and among those of one time by arrival.
type place struct {
	tenant string
	nanos  int64
	number uint64
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.nanos, q.nanos), cmp.Compare(p.number, q.number))
}

// AddEvents implements [session.Audit]. An id that exists is [session.ErrConflict], and none of the events is kept.
func (a *audit) AddEvents(ctx context.Context, events ...session.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.check(events); err != nil {
		return err
	}
	for _, e := range events {
		a.add(e)
	}
	return nil
}

func (a *audit) check(events []session.Event) error {
	for i, e := range events {
		if e.ID == "" {
			return errors.New("memory: an event without id")
		}
		_, known := a.places[e.ID]
		if known || slices.ContainsFunc(events[:i], func(o session.Event) bool { return o.ID == e.ID }) {
			return session.ErrConflict
		}
	}
	return nil
}

func (a *audit) add(e session.Event) {
	e.At = utc(e.At)
	a.next++
	n := entry{place{e.Tenant, e.At.UnixNano(), a.next}, e}
	l := a.logs[e.Tenant]
	if l == nil {
		l = &log{}
		a.logs[e.Tenant] = l
	}
	at, _ := slices.BinarySearchFunc(l.entries, n, func(x, y entry) int { return x.compare(y.place) })
	l.entries = slices.Insert(l.entries, at, n)
	a.places[e.ID] = n.place
	if len(l.entries) > eventsKept {
		delete(a.places, l.entries[0].event.ID)
		l.entries[0] = entry{}
		l.entries = l.entries[1:]
	}
}

// Events implements [session.Audit]. A Before that is not there, or not of this tenant, is [session.ErrNotFound].
func (a *audit) Events(ctx context.Context, f session.EventFilter) ([]session.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	one := f.Tenant != "" || f.Portal
	before, limited := a.places[f.Before]
	if f.Before != "" && (!limited || (one && before.tenant != f.Tenant)) {
		return nil, session.ErrNotFound
	}
	keep := func(n entry) bool {
		return (f.Before == "" || n.compare(before) < 0) && wanted(n.event, f)
	}
	limit := limitOf(f.Limit)
	var found []entry
	for tenant, l := range a.logs {
		if !one || tenant == f.Tenant {
			found = append(found, l.newest(limit, keep)...)
		}
	}
	slices.SortFunc(found, func(x, y entry) int { return y.compare(x.place) })
	events := make([]session.Event, 0, min(limit, len(found)))
	for _, n := range found[:cap(events)] {
		events = append(events, n.event)
	}
	return events, nil
}

func limitOf(n int) int {
	if n <= 0 {
		return 100
	}
	return min(n, 1000)
}

func (l *log) newest(limit int, keep func(entry) bool) []entry {
	var found []entry
	for _, n := range slices.Backward(l.entries) {
		if len(found) == limit {
			break
		}
		if keep(n) {
			found = append(found, n)
		}
	}
	return found
}

func wanted(e session.Event, f session.EventFilter) bool {
	return (f.User == "" || f.User == e.User) &&
		(f.Name == "" || f.Name == e.Name) &&
		(f.What == "" || f.What == e.What) &&
		(f.Reason == "" || f.Reason == e.Reason) &&
		(f.Since.IsZero() || !e.At.Before(f.Since))
}

// PruneEvents implements [session.Audit].
func (a *audit) PruneEvents(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	gone := 0
	for _, l := range a.logs {
		n, _ := slices.BinarySearchFunc(l.entries, before.UnixNano(), func(e entry, at int64) int { return cmp.Compare(e.nanos, at) })
		for _, e := range l.entries[:n] {
			delete(a.places, e.event.ID)
		}
		l.entries = slices.Clone(l.entries[n:])
		gone += n
	}
	return gone, nil
}
