// Package sqlite keeps everything in one SQLite file: the store for programs that run as one instance, or as several
// processes on one machine. It needs no cgo.
//
// The file is in WAL mode. A write that was answered is in it for good: every commit is synced to the disk before the
// answer (synchronous FULL), because a store that forgets its last commits in a power cut forgets that a session was
// revoked or a code was spent. A process that is killed at any point leaves nothing half.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sallyport-auth/sallyport/session"
)

// Errors of [Open] for a file that is not used, whose content is left as it is.
var (
	ErrForeign = errors.New("sqlite: the file is not a database of this program")
	ErrDamaged = errors.New("sqlite: the file is not an SQLite database or is damaged")
	ErrNewer   = errors.New("sqlite: the database was written by a newer version of this program")
)

// Options of [OpenWith]. The zero value is what [Open] uses.
type Options struct {
	// LoseLastCommitsInPowerCut trades safety for speed (synchronous NORMAL): a power cut or a crash of the operating
	// system may take back the last writes, a revocation or a spent code among them. A crash of the program does not.
	LoseLastCommitsInPowerCut bool
	// Readers is how many connections read at a time. Zero means 4.
	Readers int
}

// Store is a [session.Store]. It is safe for concurrent use, also by several processes on one file (of a local disk, not
// of a network share). Make one with [Open].
type Store struct {
	write *sql.DB // one connection: SQLite has one writer, and waiting here is fair where waiting there is polling
	read  *sql.DB
	hot   statements
}

var _ session.Store = (*Store)(nil)

// statements are those of every request.
type statements struct {
	session, swap, touch, save *sql.Stmt
	tenant, user               *sql.Stmt
}

// Open opens the database in the file path, makes it (with mode 0600, as are the two files that SQLite keeps beside it)
// if it is not there, and brings it to the present schema. Its folder must exist and be writable. Opening one file from
// several processes at once is safe.
func Open(ctx context.Context, path string) (*Store, error) {
	return OpenWith(ctx, path, Options{})
}

// OpenWith is [Open] with options.
func OpenWith(ctx context.Context, path string, o Options) (*Store, error) {
	return open(ctx, path, o, func(c driver.Connector) driver.Connector { return c })
}

func open(ctx context.Context, path string, o Options, via func(driver.Connector) driver.Connector) (*Store, error) {
	s, err := connect(ctx, path, o, via)
	if err != nil {
		return nil, fmt.Errorf("sqlite: cannot open %s: %w", path, err)
	}
	return s, nil
}

func connect(ctx context.Context, path string, o Options, via func(driver.Connector) driver.Connector) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := create(full); err != nil {
		return nil, err
	}
	s := &Store{}
	if err := s.start(ctx, full, o, via); err != nil {
		return nil, errors.Join(explain(err), s.Close())
	}
	return s, nil
}

// create makes the file before SQLite does, so that it is nobody else's from its first moment. One that is there and not
// empty must begin as databases do: SQLite itself would overwrite a file of a few bytes.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return reason(err)
	}
	defer f.Close()
	const start = "SQLite format 3\x00"
	got := make([]byte, len(start))
	n, err := io.ReadFull(f, got)
	switch {
	case err == io.EOF, string(got) == start:
		return nil
	case n < len(start) && err != io.ErrUnexpectedEOF:
		return reason(err)
	}
	return ErrDamaged
}

// reason leaves out the path, which the caller names.
func reason(err error) error {
	if p := (*os.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (s *Store) start(ctx context.Context, path string, o Options, via func(driver.Connector) driver.Connector) error {
	if o.Readers <= 0 {
		o.Readers = 4
	}
	writer, err := connector(path, o, true)
	if err != nil {
		return err
	}
	reader, err := connector(path, o, false)
	if err != nil {
		return err
	}
	s.write = sql.OpenDB(via(writer))
	s.write.SetMaxOpenConns(1)
	if err := migrate(ctx, s.write); err != nil {
		return err
	}
	s.read = sql.OpenDB(via(reader))
	s.read.SetMaxOpenConns(o.Readers)
	s.read.SetMaxIdleConns(o.Readers)
	return s.prepare(ctx)
}

func (s *Store) prepare(ctx context.Context) error {
	for _, p := range []struct {
		stmt *(*sql.Stmt)
		db   *sql.DB
		text string
	}{
		{&s.hot.session, s.read, readSession},
		{&s.hot.tenant, s.read, readTenant},
		{&s.hot.user, s.read, readUser},
		{&s.hot.swap, s.write, swapSession},
		{&s.hot.touch, s.write, touchSession},
		{&s.hot.save, s.write, saveValues},
	} {
		stmt, err := p.db.PrepareContext(ctx, p.text)
		if err != nil {
			return err
		}
		*p.stmt = stmt
	}
	return nil
}

// Close closes the file. Calls that are running are waited for; later ones err.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Check reads the whole database and errs if anything in it is damaged or refers to what is not there. It takes as long
// as reading the file does.
func (s *Store) Check(ctx context.Context) error {
	var verdict string
	if err := s.read.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return failed(ctx, "check", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, verdict)
	}
	rows, err := s.read.QueryContext(ctx, "PRAGMA foreign_key_check")
	if err != nil {
		return failed(ctx, "check", err)
	}
	defer rows.Close()
	if rows.Next() {
		return fmt.Errorf("%w: a reference leads nowhere", ErrDamaged)
	}
	return failed(ctx, "check", rows.Err())
}
