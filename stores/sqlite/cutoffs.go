package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

const (
	setCutoff = `INSERT INTO cutoffs (digest, at, until) VALUES (?, ?, ?)
	ON CONFLICT (digest) DO UPDATE SET at = max(at, excluded.at), until = max(until, excluded.until)`
	readCutoff   = `SELECT at FROM cutoffs WHERE digest = ?`
	pruneCutoffs = `DELETE FROM cutoffs WHERE digest IN (SELECT digest FROM cutoffs WHERE until < ? LIMIT ?)`
)

// SetCutoff implements [session.Cutoffs]. A cutoff at no time is an error.
func (s *Store) SetCutoff(ctx context.Context, key session.Digest, at, until time.Time) error {
	if at.IsZero() {
		return errNoTime
	}
	_, err := s.exec(ctx, "set cutoff", setCutoff, key[:], nanos(at), nanos(until))
	return err
}

// Cutoff implements [session.Cutoffs].
func (s *Store) Cutoff(ctx context.Context, key session.Digest) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	var at int64
	err := failed(ctx, "cutoff", s.read.QueryRowContext(ctx, readCutoff, key[:]).Scan(&at))
	if errors.Is(err, session.ErrNotFound) {
		return time.Time{}, nil
	}
	return orNone(moment(at), err)
}

// PruneCutoffs implements [session.Cutoffs].
func (s *Store) PruneCutoffs(ctx context.Context, now time.Time) (int, error) {
	return s.prune(ctx, "prune cutoffs", pruneCutoffs, now)
}
