package memory

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

const shardCount = 64

// sessions holds the rows. A row that is published is never changed, only replaced, so readers copy it without a lock on
// the writers. All writers hold mu, which makes each of their steps, index included, one.
type sessions struct {
	mu     sync.Mutex
	seed   maphash.Seed
	shards [shardCount]shard
	index  index // of living rows
	ids    map[string]struct{}
}

type shard struct {
	mu   sync.RWMutex
	rows map[string]*session.Row
}

func (s *sessions) init() {
	s.seed = maphash.MakeSeed()
	for i := range s.shards {
		s.shards[i].rows = map[string]*session.Row{}
	}
	s.index, s.ids = index{}, map[string]struct{}{}
}

func (s *sessions) shard(selector string) *shard {
	return &s.shards[maphash.String(s.seed, selector)%shardCount]
}

func (s *shard) get(selector string) *session.Row {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rows[selector]
}

func (s *shard) put(r *session.Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[r.Selector] = r
}

// Session implements [session.Sessions].
func (s *sessions) Session(ctx context.Context, selector string, now time.Time) (session.Row, error) {
	if err := ctx.Err(); err != nil {
		return session.Row{}, err
	}
	r := s.shard(selector).get(selector)
	if r == nil || !now.Before(r.Expires) {
		return session.Row{}, session.ErrNotFound
	}
	return *r, nil
}

// CreateSession implements [session.Sessions].
func (s *sessions) CreateSession(ctx context.Context, r session.Row) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.Selector == "" {
		return errors.New("memory: a session without selector")
	}
	r.Version = 1
	r.State, r.Values = own(r.State), own(r.Values)
	r.Created, r.Touched, r.Expires, r.Ended = utc(r.Created), utc(r.Touched), utc(r.Expires), utc(r.Ended)
	r.Index.Certificates, r.Index.Handles = slices.Clone(r.Index.Certificates), slices.Clone(r.Index.Handles)
	r.Memo = &session.Memo{}
	if !r.Ended.IsZero() {
		bury(&r, r.Ended)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shard(r.Selector)
	if _, taken := s.ids[r.ID]; taken || sh.get(r.Selector) != nil {
		return session.ErrConflict
	}
	if r.ID != "" {
		s.ids[r.ID] = struct{}{}
	}
	if r.Ended.IsZero() {
		s.index.add(&r)
	}
	sh.put(&r)
	return nil
}

// living finds a row that may be changed. The caller holds mu.
func (s *sessions) living(selector string) (*shard, *session.Row, error) {
	sh := s.shard(selector)
	r := sh.get(selector)
	if r == nil {
		return nil, nil, session.ErrNotFound
	}
	if !r.Ended.IsZero() {
		return nil, nil, session.ErrConflict
	}
	return sh, r, nil
}

// SwapSession implements [session.Sessions].
func (s *sessions) SwapSession(ctx context.Context, w session.Swap) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, old, err := s.living(w.Selector)
	if err != nil {
		return err
	}
	if old.Version != w.From {
		return session.ErrConflict
	}
	r := *old
	apply(&r, w)
	s.reindex(old, &r)
	sh.put(&r)
	return nil
}

func apply(r *session.Row, w session.Swap) {
	r.Version++
	r.Memo = &session.Memo{}
	r.State = own(w.State)
	if w.SecretHash != nil {
		r.SecretHash = *w.SecretHash
	}
	if w.ClearValues {
		r.Values = nil
	}
	if w.SecretHash != nil || w.ClearValues {
		r.Rotation++
	}
	r.Touched = later(r.Touched, utc(w.Touched))
	r.Expires = utc(w.Expires)
	if !slices.Equal(r.Index.Certificates, w.Index.Certificates) {
		r.Index.Certificates = slices.Clone(w.Index.Certificates)
	}
	if !slices.Equal(r.Index.Handles, w.Index.Handles) {
		r.Index.Handles = slices.Clone(w.Index.Handles)
	}
	r.Index.Tenant, r.Index.Person, r.Index.Device, r.Index.Principal = w.Index.Tenant, w.Index.Person, w.Index.Device, w.Index.Principal
	if w.Client != nil {
		r.Client = *w.Client
	}
	if !w.Ended.IsZero() {
		bury(r, w.Ended)
	}
}

// bury makes a tombstone of a row.
func bury(r *session.Row, at time.Time) {
	r.Ended, r.State, r.Values, r.Memo = utc(at), nil, nil, nil
}

func (s *sessions) reindex(old, r *session.Row) {
	if r.Ended.IsZero() && sameIndex(old.Index, r.Index) {
		return
	}
	s.index.remove(old)
	if r.Ended.IsZero() {
		s.index.add(r)
	}
}

// SaveValues implements [session.Sessions].
func (s *sessions) SaveValues(ctx context.Context, selector string, rotation uint64, values []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, old, err := s.living(selector)
	if err != nil {
		return err
	}
	if old.Rotation != rotation {
		return session.ErrConflict
	}
	r := *old
	r.Values = own(values)
	sh.put(&r)
	return nil
}

// TouchSession implements [session.Sessions].
func (s *sessions) TouchSession(ctx context.Context, selector string, version uint64, at time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, old, err := s.living(selector)
	if err != nil {
		return err
	}
	if old.Version != version {
		return session.ErrConflict
	}
	if !at.After(old.Touched) {
		return nil
	}
	r := *old
	r.Touched = utc(at)
	sh.put(&r)
	return nil
}

// EndSessions implements [session.Sessions].
func (s *sessions) EndSessions(ctx context.Context, m session.Match, at time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if at.IsZero() {
		return 0, errNoTime
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.matching(m)
	for _, old := range found {
		r := *old
		bury(&r, at)
		s.reindex(old, &r)
		s.shard(r.Selector).put(&r)
	}
	return len(found), err
}

// ListSessions implements [session.Sessions].
func (s *sessions) ListSessions(ctx context.Context, m session.Match, now time.Time, limit int) ([]session.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = 100
	}
	s.mu.Lock()
	found, err := s.matching(m)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(r *session.Row) bool { return !now.Before(r.Expires) })
	slices.SortFunc(found, func(a, b *session.Row) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Selector, b.Selector))
	})
	rows := make([]session.Row, 0, min(limit, len(found)))
	for _, r := range found[:cap(rows)] {
		row := *r
		row.Values = nil
		rows = append(rows, row)
	}
	return rows, nil
}

// matching finds the living rows that match, through the narrowest index. The caller holds mu.
func (s *sessions) matching(m session.Match) ([]*session.Row, error) {
	var found []*session.Row
	take := func(selector string) {
		if r := s.shard(selector).get(selector); r != nil && agrees(r, m) {
			found = append(found, r)
		}
	}
	if m.Selector != "" {
		take(m.Selector)
		return found, nil
	}
	key, ok, err := keyOf(m)
	if !ok || err != nil {
		return nil, err
	}
	for selector := range s.index[key] {
		take(selector)
	}
	return found, nil
}

// PruneSessions implements [session.Sessions].
func (s *sessions) PruneSessions(ctx context.Context, now time.Time) (int, error) {
	n := 0
	for i := range s.shards {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		n += s.pruneShard(&s.shards[i], now)
	}
	return n, nil
}

func (s *sessions) pruneShard(sh *shard, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := 0
	for selector, r := range sh.rows {
		if now.Before(r.Expires) {
			continue
		}
		if r.Ended.IsZero() {
			s.index.remove(r)
		}
		delete(s.ids, r.ID)
		delete(sh.rows, selector)
		n++
	}
	return n
}
