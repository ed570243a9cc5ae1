package session

import (
	"context"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// Summary is a session as its owner or an administrator sees it in a list.
type Summary struct {
	ID        string // public; opens nothing
	Current   bool   // the one that asks
	Principal authn.Principal
	Created   time.Time
	Seen      time.Time // coarse
	Client    Client
}

// endSessionsWith ends the sessions of a user that rest on a credential, but for one selector.
func (e *Engine) endSessionsWith(ctx context.Context, tenant, user, factor, credential, except string, now time.Time) (int, error) {
	rows, err := e.store.ListSessions(ctx, Match{Tenant: tenant, Person: user}, now, maxListed)
	if err != nil {
		return 0, broken("list sessions", err)
	}
	if len(rows) == maxListed {
		// There may be more than a list shows: all of them end.
		n, err := e.store.EndSessions(ctx, Match{Tenant: tenant, Person: user, Except: except}, now)
		return n, broken("end sessions", err)
	}
	ended := 0
	for _, row := range rows {
		if row.Selector == except || !restsOn(row, factor, credential) {
			continue
		}
		n, err := e.store.EndSessions(ctx, Match{Selector: row.Selector}, now)
		if err != nil {
			return ended, broken("end session", err)
		}
		ended += n
	}
	return ended, nil
}

const maxListed = 1000

func restsOn(row Row, factor, credential string) bool {
	state, err := row.decode()
	if err != nil {
		return true
	}
	a, ok := state.(authn.Authenticated)
	if !ok {
		return true // a login under way begins anew
	}
	p, _ := a.Person()
	return slices.ContainsFunc(p.All(), func(e authn.Evidence) bool { return e.Factor == factor && e.Credential == credential })
}

// summaries lists the sessions in force that match.
func (e *Engine) summaries(ctx context.Context, m Match, now time.Time, current string) ([]Summary, error) {
	m.Principals = true
	rows, err := e.store.ListSessions(ctx, m, now, maxListed)
	if err != nil {
		return nil, broken("list sessions", err)
	}
	var list []Summary
	for _, row := range rows {
		state, err := row.decode()
		if err != nil {
			continue
		}
		live, _ := authn.At(state, now, row.Touched)
		a, ok := live.(authn.Authenticated)
		if !ok {
			continue
		}
		list = append(list, Summary{ID: row.ID, Current: row.Selector == current, Principal: a.Principal(), Created: row.Created,
			Seen: row.Touched, Client: row.Client})
	}
	return list, nil
}

// revoke ends the session with a public id, if it matches.
func (e *Engine) revoke(ctx context.Context, m Match, id string, now time.Time) (Row, error) {
	if id == "" {
		return Row{}, ErrNotFound
	}
	m.ID = id
	rows, err := e.store.ListSessions(ctx, m, now, 1)
	if err != nil {
		return Row{}, broken("list sessions", err)
	}
	if len(rows) == 0 {
		return Row{}, ErrNotFound
	}
	_, err = e.store.EndSessions(ctx, m, now)
	return rows[0], broken("end session", err)
}

// Sessions lists the caller's own, newest first.
func (s *Session) Sessions(ctx context.Context) ([]Summary, error) {
	p, err := s.person()
	if err != nil {
		return nil, err
	}
	return s.engine.summaries(ctx, Match{Tenant: p.Subject.Tenant, Person: p.Subject.User}, s.now, s.row.Selector)
}

// RevokeSession ends one of the caller's own sessions by its public id; it may be this one.
func (s *Session) RevokeSession(ctx context.Context, id string) error {
	if err := s.tick(ctx); err != nil {
		return err
	}
	p, err := s.person()
	if err != nil {
		return err
	}
	if id == s.ID() {
		return s.SignOut(ctx, false)
	}
	if err := s.fence(ctx); err != nil {
		return err
	}
	if _, err := s.engine.revoke(ctx, Match{Tenant: p.Subject.Tenant, Person: p.Subject.User}, id, s.now); err != nil {
		return err
	}
	ev := s.event(authn.Happened{What: SessionRevoked, Subject: p.Subject, Names: p.Names, Reason: ReasonRevokedByOwner})
	ev.Session = id
	return s.engine.record(ctx, ev)
}

// RevokeOtherSessions ends all of the caller's sessions but this one and says how many.
func (s *Session) RevokeOtherSessions(ctx context.Context) (int, error) {
	if err := s.tick(ctx); err != nil {
		return 0, err
	}
	p, err := s.person()
	if err != nil {
		return 0, err
	}
	if err := s.fence(ctx); err != nil {
		return 0, err
	}
	n, err := s.engine.store.EndSessions(ctx, Match{Tenant: p.Subject.Tenant, Person: p.Subject.User, Except: s.row.Selector}, s.now)
	if err != nil {
		return n, broken("end sessions", err)
	}
	s.noteEnded(ctx, p.Subject, n, ReasonRevokedByOwner)
	return n, nil
}
