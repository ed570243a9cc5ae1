package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

const (
	readAttempts = `SELECT taken, ends FROM attempts WHERE budget = ? AND ends > ?`
	setAttempts  = `INSERT INTO attempts (budget, taken, ends) VALUES (?, ?, ?)
	ON CONFLICT (budget) DO UPDATE SET taken = excluded.taken, ends = excluded.ends`
	giveAttempt   = `UPDATE attempts SET taken = taken - 1 WHERE budget = ?1 AND ends > ?2 AND ends <= ?3 AND taken > 0`
	pruneAttempts = `DELETE FROM attempts WHERE budget IN (SELECT budget FROM attempts WHERE ends <= ? LIMIT ?)`
	spend         = `INSERT INTO spent (id, until) VALUES (?, ?)`
	pruneSpent    = `DELETE FROM spent WHERE id IN (SELECT id FROM spent WHERE until < ? LIMIT ?)`
)

var errBudget = errors.New("sqlite: a budget without key or window")

type window struct {
	count int
	ends  time.Time
}

// distinct drops the repetitions of a key, which is counted once, and keeps the strictest limit.
func distinct(budgets []session.Budget) ([]session.Budget, error) {
	at := make(map[string]int, len(budgets))
	var all []session.Budget
	for _, b := range budgets {
		if b.Key == "" || len(b.Key) > 512 || b.Window <= 0 {
			return nil, errBudget
		}
		if i, seen := at[b.Key]; seen {
			all[i].Limit = min(all[i].Limit, b.Limit)
			continue
		}
		at[b.Key] = len(all)
		all = append(all, b)
	}
	return all, nil
}

// TakeAttempt implements [session.Attempts]. A key that is given twice is counted once.
func (s *Store) TakeAttempt(ctx context.Context, budgets []session.Budget, now time.Time) (bool, time.Time, error) {
	budgets, err := distinct(budgets)
	if err != nil {
		return false, time.Time{}, err
	}
	var retry time.Time
	err = s.transact(ctx, "take attempt", func(tx *sql.Tx) error {
		windows := make([]window, len(budgets))
		for i, b := range budgets {
			if windows[i], err = readWindow(ctx, tx, b, now); err != nil {
				return err
			}
			if w := windows[i]; w.count >= b.Limit && w.ends.After(retry) {
				retry = w.ends
			}
		}
		if !retry.IsZero() {
			return nil
		}
		for i, b := range budgets {
			if _, err := tx.ExecContext(ctx, setAttempts, b.Key, windows[i].count+1, nanos(windows[i].ends)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, time.Time{}, err
	}
	return retry.IsZero(), retry, nil
}

// readWindow is the window that is running, or the one that begins now.
func readWindow(ctx context.Context, tx *sql.Tx, b session.Budget, now time.Time) (window, error) {
	var w window
	var ends int64
	err := tx.QueryRowContext(ctx, readAttempts, b.Key, nanos(now)).Scan(&w.count, &ends)
	if errors.Is(err, sql.ErrNoRows) {
		return window{ends: now.Add(b.Window).Round(0).UTC()}, nil
	}
	w.ends = moment(ends)
	return w, err
}

// GiveAttempt implements [session.Attempts].
func (s *Store) GiveAttempt(ctx context.Context, budgets []session.Budget, now time.Time) error {
	budgets, err := distinct(budgets)
	if err != nil {
		return err
	}
	return s.transact(ctx, "give attempt", func(tx *sql.Tx) error {
		for _, b := range budgets {
			if _, err := tx.ExecContext(ctx, giveAttempt, b.Key, nanos(now), nanos(now.Add(b.Window))); err != nil {
				return err
			}
		}
		return nil
	})
}

// PruneAttempts implements [session.Attempts].
func (s *Store) PruneAttempts(ctx context.Context, now time.Time) (int, error) {
	return s.prune(ctx, "prune attempts", pruneAttempts, now)
}

// Spend implements [session.Ledger].
func (s *Store) Spend(ctx context.Context, id string, until time.Time) error {
	if id == "" {
		return errors.New("sqlite: nothing to spend")
	}
	_, err := s.exec(ctx, "spend", spend, id, nanos(until))
	if errors.Is(err, session.ErrConflict) {
		return session.ErrSpent
	}
	return err
}

// PruneSpent implements [session.Ledger].
func (s *Store) PruneSpent(ctx context.Context, now time.Time) (int, error) {
	return s.prune(ctx, "prune spent", pruneSpent, now)
}
