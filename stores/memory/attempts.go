package memory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

type attempts struct {
	mu      sync.Mutex
	windows map[string]window
}

type window struct {
	count int
	ends  time.Time
}

var errBudget = errors.New("memory: a budget without key or window")

func checkBudgets(budgets []session.Budget) error {
	for _, b := range budgets {
		if b.Key == "" || len(b.Key) > 512 || b.Window <= 0 {
			return errBudget
		}
	}
	return nil
}

// TakeAttempt implements [session.Attempts]. A key that is given twice is counted once.
func (a *attempts) TakeAttempt(ctx context.Context, budgets []session.Budget, now time.Time) (bool, time.Time, error) {
	if err := ctx.Err(); err != nil {
		return false, time.Time{}, err
	}
	if err := checkBudgets(budgets); err != nil {
		return false, time.Time{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var retry time.Time
	for _, b := range budgets {
		if w := a.window(b, now); w.count >= b.Limit {
			retry = later(retry, w.ends)
		}
	}
	if !retry.IsZero() {
		return false, retry, nil
	}
	for i, b := range budgets {
		if !named(budgets[:i], b.Key) {
			w := a.window(b, now)
			w.count++
			a.windows[b.Key] = w
		}
	}
	return true, time.Time{}, nil
}

// window is the one that is running, or the one that begins now.
func (a *attempts) window(b session.Budget, now time.Time) window {
	if w, ok := a.windows[b.Key]; ok && now.Before(w.ends) {
		return w
	}
	return window{ends: utc(now.Add(b.Window))}
}

func named(budgets []session.Budget, key string) bool {
	for _, b := range budgets {
		if b.Key == key {
			return true
		}
	}
	return false
}

// GiveAttempt implements [session.Attempts].
func (a *attempts) GiveAttempt(ctx context.Context, budgets []session.Budget, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, b := range budgets {
		w, ok := a.windows[b.Key]
		if !ok || !now.Before(w.ends) || w.ends.Add(-b.Window).After(now) || w.count == 0 || named(budgets[:i], b.Key) {
			continue
		}
		w.count--
		a.windows[b.Key] = w
	}
	return nil
}

// PruneAttempts implements [session.Attempts].
func (a *attempts) PruneAttempts(ctx context.Context, now time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.windows)
	for key, w := range a.windows {
		if !now.Before(w.ends) {
			delete(a.windows, key)
		}
	}
	return n - len(a.windows), nil
}

type ledger struct {
	mu    sync.Mutex
	spent map[string]time.Time
}

// Spend implements [session.Ledger].
func (l *ledger) Spend(ctx context.Context, id string, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if id == "" {
		return errors.New("memory: nothing to spend")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.spent[id]; ok {
		return session.ErrSpent
	}
	l.spent[id] = utc(until)
	return nil
}

// PruneSpent implements [session.Ledger].
func (l *ledger) PruneSpent(ctx context.Context, now time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.spent)
	for id, until := range l.spent {
		if until.Before(now) {
			delete(l.spent, id)
		}
	}
	return n - len(l.spent), nil
}
