package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

const (
	sessionColumns = `selector, secret_hash, version, rotation, state, created, touched, expires, ended, tenant, person, device, certificates, source, agent, coalesce(id, ''), principal, handles`

	newSession = `selector, secret_hash, version, rotation, state, created, touched, expires, ended, tenant, person, device, certificates, source, agent, id, principal, handles, app_values`

	readSession = `SELECT ` + sessionColumns + `, app_values FROM sessions WHERE selector = ? AND expires > ?`

	addSession = `INSERT INTO sessions (` + newSession + `) VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''), ?, ?, ?)`

	swapSession = `UPDATE sessions SET version = version + 1, state = ?3, secret_hash = coalesce(?4, secret_hash),
	rotation = rotation + (?4 IS NOT NULL OR ?15), principal = ?16, app_values = CASE WHEN ?5 THEN NULL ELSE app_values END,
	touched = max(touched, ?6), expires = ?7, ended = ?8, tenant = ?9, person = ?10, device = ?11, certificates = ?12, handles = ?17,
	source = coalesce(?13, source), agent = coalesce(?14, agent)
	WHERE selector = ?1 AND version = ?2 AND ended = 0`

	touchSession = `UPDATE sessions SET touched = max(touched, ?) WHERE selector = ? AND version = ? AND ended = 0`
	saveValues   = `UPDATE sessions SET app_values = ? WHERE selector = ? AND rotation = ? AND ended = 0`
	hasSession   = `SELECT 1 FROM sessions WHERE selector = ?`
	pruneSession = `DELETE FROM sessions WHERE selector IN (SELECT selector FROM sessions WHERE expires <= ? LIMIT ?)`
)

// Session implements [session.Sessions].
func (s *Store) Session(ctx context.Context, selector string, now time.Time) (session.Row, error) {
	if err := ctx.Err(); err != nil {
		return session.Row{}, err
	}
	var values []byte
	r, err := scanSession(s.hot.session.QueryRowContext(ctx, selector, nanos(now)), &values)
	if err != nil {
		return session.Row{}, failed(ctx, "session", err)
	}
	r.Values = values
	return r, nil
}

func scanSession(row interface{ Scan(...any) error }, more ...any) (session.Row, error) {
	var r session.Row
	var version, rotation, created, touched, expires, ended int64
	var hash, certs, handles []byte
	into := append([]any{&r.Selector, &hash, &version, &rotation, &r.State, &created, &touched, &expires, &ended,
		&r.Index.Tenant, &r.Index.Person, &r.Index.Device, &certs, &r.Client.Source, &r.Client.Agent, &r.ID, &r.Index.Principal, &handles}, more...)
	if err := row.Scan(into...); err != nil {
		return r, err
	}
	r.Version, r.Rotation = uint64(version), uint64(rotation)
	r.Created, r.Touched, r.Expires, r.Ended = moment(created), moment(touched), moment(expires), moment(ended)
	var err error
	if r.SecretHash, err = digest(hash); err != nil {
		return r, err
	}
	if r.Index.Certificates, err = digests(certs); err != nil {
		return r, err
	}
	r.Index.Handles, err = digests(handles)
	return r, err
}

// CreateSession implements [session.Sessions].
func (s *Store) CreateSession(ctx context.Context, r session.Row) error {
	if r.Selector == "" {
		return errors.New("sqlite: a session without selector")
	}
	if !r.Ended.IsZero() {
		r.State, r.Values = nil, nil
	}
	_, err := s.exec(ctx, "create session", addSession, r.Selector, r.SecretHash[:], signed(r.Rotation), r.State,
		nanos(r.Created), nanos(r.Touched), nanos(r.Expires), nanos(r.Ended), r.Index.Tenant, r.Index.Person, r.Index.Device,
		digestsText(r.Index.Certificates), r.Client.Source, r.Client.Agent, r.ID, r.Index.Principal,
		digestsText(r.Index.Handles), r.Values)
	return err
}

// SwapSession implements [session.Sessions].
func (s *Store) SwapSession(ctx context.Context, w session.Swap) error {
	var hash []byte
	if w.SecretHash != nil {
		hash = w.SecretHash[:]
	}
	var source, agent sql.NullString
	if w.Client != nil {
		source, agent = sql.NullString{String: w.Client.Source, Valid: true}, sql.NullString{String: w.Client.Agent, Valid: true}
	}
	ends := !w.Ended.IsZero()
	if ends {
		w.State = nil
	}
	return s.change(ctx, "swap session", s.hot.swap, w.Selector, w.Selector, signed(w.From), w.State, hash, w.ClearValues || ends,
		nanos(w.Touched), nanos(w.Expires), nanos(w.Ended), w.Index.Tenant, w.Index.Person, w.Index.Device,
		digestsText(w.Index.Certificates), source, agent, w.ClearValues, w.Index.Principal, digestsText(w.Index.Handles))
}

// SaveValues implements [session.Sessions].
func (s *Store) SaveValues(ctx context.Context, selector string, rotation uint64, values []byte) error {
	return s.change(ctx, "save values", s.hot.save, selector, values, selector, signed(rotation))
}

// TouchSession implements [session.Sessions].
func (s *Store) TouchSession(ctx context.Context, selector string, version uint64, at time.Time) error {
	return s.change(ctx, "touch session", s.hot.touch, selector, nanos(at), selector, signed(version))
}

// change runs a compare-and-swap of one row. It is one statement, so nothing happens between comparing and swapping;
// only which of the two refusals to answer is looked up afterwards.
func (s *Store) change(ctx context.Context, what string, stmt *sql.Stmt, selector string, args ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := changed(stmt.ExecContext(ctx, args...))
	if err != nil || n == 1 {
		return failed(ctx, what, err)
	}
	var one int
	if err := s.read.QueryRowContext(ctx, hasSession, selector).Scan(&one); err != nil {
		return failed(ctx, what, err)
	}
	return session.ErrConflict
}

// condition turns a match into SQL; false: it selects nothing. Every form leads to an index.
func condition(m session.Match) (where string, args []any, ok bool, err error) {
	if m.Selector == "" && m.ID == "" && m.Certificate == nil && m.Handle == nil && m.Tenant == "" {
		if m.Person != "" || m.Device != "" {
			err = errors.New("sqlite: a user of no tenant is to be matched")
		}
		return "", nil, false, err
	}
	// A plus keeps SQLite from using a column's index: where a narrower one is named too, the planner, which knows
	// nothing of how many rows a tenant has, shall not take the wider.
	wide := ""
	if m.Certificate != nil || m.Handle != nil || m.ID != "" {
		wide = "+"
	}
	device := wide + "device = ?"
	if m.Person != "" {
		device = "+device = ?"
	}
	parts := []string{wide + "ended = 0"}
	add := func(part string, arg any) {
		parts, args = append(parts, part), append(args, arg)
	}
	for _, c := range []struct{ part, arg string }{
		{"selector = ?", m.Selector}, {"id = ?", m.ID}, {wide + "tenant = ?", m.Tenant}, {wide + "person = ?", m.Person},
		{device, m.Device}, {"selector <> ?", m.Except},
	} {
		if c.arg != "" {
			add(c.part, c.arg)
		}
	}
	if m.Principals {
		parts = append(parts, wide+"principal = 1")
	}
	if m.Certificate != nil {
		add("selector IN (SELECT selector FROM session_certificates WHERE digest = ?)", m.Certificate[:])
	}
	if m.Handle != nil {
		add("selector IN (SELECT selector FROM session_handles WHERE digest = ?)", m.Handle[:])
	}
	return strings.Join(parts, " AND "), args, true, nil
}

// EndSessions implements [session.Sessions].
func (s *Store) EndSessions(ctx context.Context, m session.Match, at time.Time) (int, error) {
	if at.IsZero() {
		return 0, errNoTime
	}
	where, args, ok, err := condition(m)
	if err != nil || !ok {
		return 0, errors.Join(err, ctx.Err())
	}
	return s.exec(ctx, "end sessions", `UPDATE sessions SET ended = ?, state = NULL, app_values = NULL WHERE `+where,
		append([]any{nanos(at)}, args...)...)
}

// ListSessions implements [session.Sessions].
func (s *Store) ListSessions(ctx context.Context, m session.Match, now time.Time, limit int) ([]session.Row, error) {
	where, args, ok, err := condition(m)
	if err != nil || !ok {
		return nil, errors.Join(err, ctx.Err())
	}
	if limit <= 0 {
		limit = 100
	}
	scan := func(row interface{ Scan(...any) error }) (session.Row, error) { return scanSession(row) }
	return collect(ctx, s, "list sessions", scan, `SELECT `+sessionColumns+` FROM sessions WHERE `+where+
		` AND +expires > ? ORDER BY created DESC, selector LIMIT ?`, append(args, nanos(now), limit)...)
}

// PruneSessions implements [session.Sessions].
func (s *Store) PruneSessions(ctx context.Context, now time.Time) (int, error) {
	return s.prune(ctx, "prune sessions", pruneSession, now)
}

var errNoTime = errors.New("sqlite: a time is missing")

// signed fits a counter into SQLite's integers.
func signed(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
