package session

import (
	"sync"
	"time"
)

const (
	// quietFor is how long the same refusal is not written to the audit log again.
	quietFor = time.Minute
	// maxQuiet bounds how many refusals are remembered.
	maxQuiet = 10_000
)

// quiet remembers what was said not long ago.
type quiet struct {
	mu   sync.Mutex
	said map[string]time.Time
}

// first reports whether a thing was not said within quietFor, and remembers that it is now.
func (q *quiet) first(what string, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at, ok := q.said[what]; ok && now.Sub(at) < quietFor {
		return false
	}
	if q.said == nil || len(q.said) >= maxQuiet {
		q.said = map[string]time.Time{}
	}
	q.said[what] = now
	return true
}
