// Package memory keeps everything in this process: for tests, demonstrations and single programs whose sessions and users
// may vanish with them. It does all that [session.Store] promises, and nothing survives a restart.
//
// Reads of sessions share no lock with each other's shards and do not allocate; writes go one at a time. What grows with
// traffic (sessions, attempts, spent ids) shrinks when the Prune methods are called; of audit events the newest 10,000 of
// each tenant are kept.
package memory

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

// Store is a [session.Store]. It is safe for concurrent use. Make one with [New].
type Store struct {
	sessions
	attempts
	ledger
	cutoffs
	directory
	denials
	audit
}

var _ session.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store {
	s := &Store{}
	s.sessions.init()
	s.directory.init()
	s.attempts.windows = map[string]window{}
	s.ledger.spent = map[string]time.Time{}
	s.cutoffs.kept = map[session.Digest]cutoff{}
	s.audit.logs = map[string]*log{}
	s.audit.places = map[string]place{}
	return s
}

var errNoTime = errors.New("memory: a time is missing")

// utc brings a time into the form that is handed out: UTC, without the monotonic clock's reading.
func utc(t time.Time) time.Time { return t.Round(0).UTC() }

// own copies bytes that a caller may change, and keeps appends to the copy from reaching it.
func own(b []byte) []byte { return slices.Clip(bytes.Clone(b)) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
