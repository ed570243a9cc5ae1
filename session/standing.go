package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

const (
	// standingFresh is how long a guard may go without asking the directory again whether a user is in good standing.
	// Suspension ends the rows of sessions at once; this is for what a suspension that broke off has left.
	standingFresh = time.Second
	// maxStandings bounds how many are remembered.
	maxStandings = 100_000
)

// standings remembers for a moment who is in good standing, so that a guard need not ask on every request.
type standings struct {
	store   Directory
	mu      sync.RWMutex
	known   map[userKey]standing
	changes uint64 // made here
}

type userKey struct {
	tenant, user string
	class        authn.Class
}

// standing is whether a subject is in good standing, and since when sessions count.
type standing struct {
	why    authn.Reason // empty: it is
	cutoff time.Time
	read   time.Time
}

func newStandings(store Directory) *standings {
	return &standings{store: store, known: map[userKey]standing{}}
}

// of is the standing of a subject as it was less than standingFresh ago.
func (s *standings) of(ctx context.Context, now time.Time, subject authn.Subject) (standing, error) {
	key := userKey{subject.Tenant, subject.User, subject.Class}
	s.mu.RLock()
	known, ok := s.known[key]
	before := s.changes
	s.mu.RUnlock()
	if age := now.Sub(known.read); ok && age >= 0 && age < standingFresh {
		return known, nil
	}
	t, err := s.store.Tenant(ctx, subject.Tenant)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return standing{}, broken("read tenant", err)
	}
	u, err := s.store.User(ctx, subject.Tenant, subject.User)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return standing{}, broken("read user", err)
	}
	found := standing{why: badStanding(t, u, subject.Class), cutoff: cutoff(t, u), read: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == before { // otherwise it may be older than the change, and good for this question alone
		if len(s.known) >= maxStandings {
			clear(s.known)
		}
		s.known[key] = found
	}
	return found, nil
}

// forget makes the next questions ask the directory.
func (s *standings) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	clear(s.known)
}

// badStanding says why a tenant's user may have no session; empty: nothing is against it. Zero values stand for what is
// not there. A user of another class is not the one that evidence named.
func badStanding(t Tenant, u User, class authn.Class) authn.Reason {
	switch {
	case t.Status != Active:
		return ReasonTenantSuspended
	case u.ID == "":
		return ReasonUserGone
	case u.Status != Active:
		return ReasonUserSuspended
	case u.Class != class:
		return authn.ReasonSubject
	}
	return ""
}

// cutoff is before when sessions of a user, and logins under way, are over.
func cutoff(t Tenant, u User) time.Time {
	if u.Cutoff.After(t.Cutoff) {
		return u.Cutoff
	}
	return t.Cutoff
}

// lapsedStanding says why a principal is no more, by what the directory says of its user; empty: it is.
func (s *Session) lapsedStanding(ctx context.Context, p authn.Principal) (authn.Reason, error) {
	st, err := s.engine.standings.of(ctx, s.now, p.Subject)
	if err != nil {
		return "", err
	}
	if st.why == "" && p.Made.Before(st.cutoff) {
		return ReasonEndedBefore, nil
	}
	return st.why, nil
}
