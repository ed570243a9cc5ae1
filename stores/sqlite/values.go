package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	codes "modernc.org/sqlite/lib"

	"github.com/sallyport-auth/sallyport/session"
)

// Times are nanoseconds since 1970, and 0 is no time. What doesn't fit is the end of what does: the years 1678 and 2262.

func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Year() < 1678:
		return math.MinInt64
	case t.Year() > 2261:
		return math.MaxInt64
	}
	if n := t.UnixNano(); n != 0 {
		return n
	}
	return 1
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// Certificates and handles are a JSON array of lower-case hex, so that triggers can read them.

const digestText = 2*len(session.Digest{}) + 3 // with its quotes and the comma or bracket after it

func digestsText(all []session.Digest) string {
	if len(all) == 0 {
		return "[]"
	}
	b := make([]byte, 0, 1+len(all)*digestText)
	for _, d := range all {
		b = append(b, ',', '"')
		b = hex.AppendEncode(b, d[:])
		b = append(b, '"')
	}
	b[0] = '['
	return string(append(b, ']'))
}

func digests(text []byte) ([]session.Digest, error) {
	n := (len(text) - 1) / digestText
	if n == 0 {
		return nil, nil
	}
	all := make([]session.Digest, n)
	for i := range all {
		at := 2 + i*digestText
		if _, err := hex.Decode(all[i][:], text[at:at+2*len(all[i])]); err != nil {
			return nil, errors.New("sqlite: a row's digests can't be read")
		}
	}
	return all, nil
}

func digest(b []byte) (d session.Digest, err error) {
	if copy(d[:], b) != len(d) {
		err = errors.New("sqlite: a stored hash can't be read")
	}
	return d, err
}

// failed turns an error of the driver into one of the contract. The driver's messages name columns and never values.
func failed(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, sql.ErrNoRows) {
		return session.ErrNotFound
	}
	if errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrSpent) {
		return err
	}
	switch code(err) {
	case codes.SQLITE_CONSTRAINT_UNIQUE, codes.SQLITE_CONSTRAINT_PRIMARYKEY:
		return session.ErrConflict
	case codes.SQLITE_CONSTRAINT_FOREIGNKEY:
		return session.ErrNotFound
	}
	return fmt.Errorf("sqlite: %s: %w", what, err)
}

// transact runs do in a transaction that holds the write lock from its start.
func (s *Store) transact(ctx context.Context, what string, do func(tx *sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return failed(ctx, what, err)
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // what went wrong is said already, and a transaction that isn't committed has no effect
		return failed(ctx, what, err)
	}
	return failed(ctx, what, tx.Commit())
}

// exec runs one statement and says how many rows it changed.
func (s *Store) exec(ctx context.Context, what, query string, args ...any) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	n, err := changed(s.write.ExecContext(ctx, query, args...))
	return n, failed(ctx, what, err)
}

// pruned is how many rows are forgotten in one transaction, so that logins need not wait for the end of a long one.
const pruned = 1000

func (s *Store) prune(ctx context.Context, what, query string, now time.Time) (int, error) {
	for total := 0; ; {
		n, err := s.exec(ctx, what, query, nanos(now), pruned)
		total += n
		if err != nil || n < pruned {
			return total, err
		}
	}
}

// changed is how many rows a statement changed.
func changed(r sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, s *Store, what string, scan func(interface{ Scan(...any) error }) (T, error), query string, args ...any) ([]T, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed(ctx, what, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, failed(ctx, what, err)
		}
		all = append(all, one)
	}
	return all, failed(ctx, what, rows.Err())
}
