package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

const (
	listDenials = `SELECT id, tenant, subject, value, note, created FROM denials ORDER BY created, id`
	addDenial   = `INSERT INTO denials (id, tenant, subject, value, note, created) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant, subject, value) DO UPDATE SET created = excluded.created WHERE created <> 0 AND excluded.created > created`
	removeDenial = `DELETE FROM denials WHERE tenant = ? AND id = ?`

	eventColumns = `id, at, tenant, user, name, what, reason, method, factor, login, session, source, issuer, detail, class`
	addEvent     = `INSERT INTO events (` + eventColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	pruneEvents  = `DELETE FROM events WHERE number IN (SELECT number FROM events WHERE at < ? LIMIT ?)`
	placeOfEvent = `SELECT at, number, tenant FROM events WHERE id = ?`
)

func scanDenial(row scanner) (factors.Denial, error) {
	var d factors.Denial
	var created int64
	err := row.Scan(&d.ID, &d.Tenant, &d.By, &d.Value, &d.Note, &created)
	d.Created = moment(created)
	return d, err
}

// AddDenial implements [session.DenyList]. An id that stands for another denial is [session.ErrConflict].
func (s *Store) AddDenial(ctx context.Context, d factors.Denial) error {
	if d.ID == "" || d.By == "" || d.Value == "" {
		return errors.New("sqlite: a denial without id or value")
	}
	_, err := s.exec(ctx, "add denial", addDenial, d.ID, d.Tenant, string(d.By), d.Value, d.Note, nanos(d.Created))
	return err
}

// RemoveDenial implements [session.DenyList]. What is not there is [session.ErrNotFound].
func (s *Store) RemoveDenial(ctx context.Context, tenant, id string) error {
	n, err := s.exec(ctx, "remove denial", removeDenial, tenant, id)
	if err == nil && n == 0 {
		return session.ErrNotFound
	}
	return err
}

// ListDenials implements [session.DenyList]. They come oldest first.
func (s *Store) ListDenials(ctx context.Context) ([]factors.Denial, error) {
	return collect(ctx, s, "denials", scanDenial, listDenials)
}

func scanEvent(row scanner) (session.Event, error) {
	var e session.Event
	var at int64
	err := row.Scan(&e.ID, &at, &e.Tenant, &e.User, &e.Name, &e.What, &e.Reason, &e.Method, &e.Factor, &e.Login,
		&e.Session, &e.Source, &e.By, &e.Detail, &e.Class)
	e.At = moment(at)
	return e, err
}

// AddEvents implements [session.Audit]. An id that exists is [session.ErrConflict], and none of the events is kept.
func (s *Store) AddEvents(ctx context.Context, events ...session.Event) error {
	return s.transact(ctx, "add events", func(tx *sql.Tx) error {
		for _, e := range events {
			if e.ID == "" {
				return errors.New("sqlite: an event without id")
			}
			_, err := tx.ExecContext(ctx, addEvent, e.ID, nanos(e.At), e.Tenant, e.User, e.Name, string(e.What), string(e.Reason),
				e.Method, e.Factor, e.Login, e.Session, e.Source, e.By, e.Detail, e.Class)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Events implements [session.Audit]. A Before that is not there, or not of this tenant, is [session.ErrNotFound].
func (s *Store) Events(ctx context.Context, f session.EventFilter) ([]session.Event, error) {
	parts, args := []string{"at >= ?"}, []any{since(f)}
	add := func(part string, more ...any) {
		parts, args = append(parts, part), append(args, more...)
	}
	for _, c := range []struct{ part, arg string }{
		{"tenant = ?", f.Tenant}, {"user = ?", f.User}, {"name = ?", f.Name},
		{"what = ?", string(f.What)}, {"reason = ?", string(f.Reason)},
	} {
		if c.arg != "" {
			add(c.part, c.arg)
		}
	}
	if f.Tenant == "" && f.Portal {
		add("tenant = ''")
	}
	if f.Before != "" {
		at, number, err := s.place(ctx, f)
		if err != nil {
			return nil, err
		}
		add("at <= ? AND (at < ? OR number < ?)", at, at, number)
	}
	limit := 100
	if f.Limit > 0 {
		limit = min(f.Limit, 1000)
	}
	return collect(ctx, s, "events", scanEvent, `SELECT `+eventColumns+` FROM events WHERE `+strings.Join(parts, " AND ")+
		` ORDER BY at DESC, number DESC LIMIT ?`, append(args, limit)...)
}

// PruneEvents implements [session.Audit].
func (s *Store) PruneEvents(ctx context.Context, before time.Time) (int, error) {
	return s.prune(ctx, "prune events", pruneEvents, before)
}

func since(f session.EventFilter) int64 {
	if f.Since.IsZero() {
		return math.MinInt64
	}
	return nanos(f.Since)
}

// place is where the event f.Before stands in the order of events.
func (s *Store) place(ctx context.Context, f session.EventFilter) (at, number int64, err error) {
	var tenant string
	if err := s.read.QueryRowContext(ctx, placeOfEvent, f.Before).Scan(&at, &number, &tenant); err != nil {
		return 0, 0, failed(ctx, "events", err)
	}
	if (f.Tenant != "" || f.Portal) && tenant != f.Tenant {
		return 0, 0, session.ErrNotFound
	}
	return at, number, nil
}
