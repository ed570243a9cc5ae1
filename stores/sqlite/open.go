package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	sqlite3 "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID is what the first migration writes into the header of the file.
const applicationID = 0x536c7970

// patience is how long a statement waits for another process, and how long [Open] tries where SQLite doesn't wait.
const patience = 5 * time.Second

func connector(path string, o Options, writes bool) (driver.Connector, error) {
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds()))
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "trusted_schema(0)")
	if writes {
		q.Set("_txlock", "immediate")
		q.Add("_pragma", "synchronous("+synchronous(o)+")")
	} else {
		q.Add("_pragma", "query_only(1)")
	}
	return sqlite3.NewConnector("file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode())
}

func synchronous(o Options) string {
	if o.LoseLastCommitsInPowerCut {
		return "NORMAL"
	}
	return "FULL"
}

// migrate looks at the file before it changes anything in it, then brings it to the present schema.
func migrate(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("sqlite: another process keeps the database locked"))
	defer cancel()
	for {
		err := tryMigrate(ctx, db)
		if !busy(err) {
			return err
		}
		// Switching to WAL and making the first table don't wait for another process that does the same.
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func tryMigrate(ctx context.Context, db *sql.DB) error {
	if err := recognize(ctx, db); err != nil {
		return err
	}
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("sqlite: the database stays in journal mode %s", mode)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(database.DialectSQLite3, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return ErrNewer
	}
	if err := up(ctx, provider); err != nil {
		return err
	}
	return writable(ctx, db)
}

// up tries again where another process may have made the same step first, and ours was undone.
func up(ctx context.Context, provider *goose.Provider) error {
	for tries := 0; ; tries++ {
		if _, err := provider.Up(ctx); err == nil || busy(err) || tries == 3 {
			return err
		}
	}
}

// recognize errs if the file holds somebody else's tables.
func recognize(ctx context.Context, db *sql.DB) error {
	// One statement sees one moment, also while another process makes the tables.
	const look = `SELECT (SELECT application_id FROM pragma_application_id), count(*) FROM sqlite_schema
	WHERE name NOT LIKE 'goose_%' AND name NOT LIKE 'sqlite_%'`
	var id, tables int
	if err := db.QueryRowContext(ctx, look).Scan(&id, &tables); err != nil {
		return err
	}
	if id != applicationID && (id != 0 || tables > 0) {
		return ErrForeign
	}
	return sound(ctx, db)
}

// sound errs if the table of versions or the first page of another table can't be read. What uses them next doesn't say
// so: it takes them for missing. Reading all of the file is for [Store.Check].
func sound(ctx context.Context, db *sql.DB) error {
	tables, err := names(ctx, db)
	if err != nil {
		return err
	}
	for _, name := range tables {
		if name == goose.DefaultTablename {
			var verdict string
			if err := db.QueryRowContext(ctx, "PRAGMA integrity_check("+goose.DefaultTablename+")").Scan(&verdict); err != nil {
				return err
			}
			if verdict != "ok" {
				return ErrDamaged
			}
			continue
		}
		var n int
		err := db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM "`+strings.ReplaceAll(name, `"`, `""`)+`" NOT INDEXED LIMIT 1)`).Scan(&n)
		if damaged(err) {
			return err
		}
	}
	return nil
}

// names are those of the tables.
func names(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table'")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

// writable errs if the file can't be written to, now rather than at the first login.
func writable(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	return tx.Rollback()
}

func code(err error) int {
	if e := (*sqlite3.Error)(nil); errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// busy reports whether another connection was in the way.
func busy(err error) bool {
	c := code(err) & 0xff
	return c == codes.SQLITE_BUSY || c == codes.SQLITE_LOCKED
}

// damaged reports whether what was read can't be part of a database.
func damaged(err error) bool {
	c := code(err) & 0xff
	return c == codes.SQLITE_NOTADB || c == codes.SQLITE_CORRUPT
}

// explain says in our words what is wrong with a file.
func explain(err error) error {
	if damaged(err) {
		return ErrDamaged
	}
	switch code(err) & 0xff {
	case codes.SQLITE_READONLY, codes.SQLITE_CANTOPEN:
		return errors.New("sqlite: the file or its folder can't be written to")
	}
	return err
}
