package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite"

	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

func opened(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store { return opened(t, filepath.Join(t.TempDir(), "store.db")) })
}

func TestLists(t *testing.T) {
	storetest.RunLists(t, func(t *testing.T) revocation.Store { return opened(t, filepath.Join(t.TempDir(), "store.db")).Lists() })
}

func TestListsAreThereAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := opened(t, path)
	if err := s.Lists().Save(t.Context(), "device\nhttp://crl.example", []byte("a list")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := opened(t, path).Lists().Load(t.Context(), "device\nhttp://crl.example")
	if err != nil || string(got) != "a list" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDurable(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, path string) session.Store { return opened(t, path) })
}

// raw opens a file as SQLite does, without us.
func raw(t *testing.T, path string, statements ...string) {
	t.Helper()
	c, err := sqlite3.NewConnector("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	file := func(name string) string { return filepath.Join(t.TempDir(), name) }
	write := func(content string) string {
		path := file("store.db")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ours := func(statements ...string) string {
		path := file("store.db")
		s, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		raw(t, path, statements...)
		return path
	}
	foreign := file("foreign.db")
	raw(t, foreign, "CREATE TABLE notes (text TEXT)")
	other := file("other.db")
	raw(t, other, "PRAGMA application_id = 7")
	truncated := ours()
	if err := os.Truncate(truncated, 5000); err != nil {
		t.Fatal(err)
	}
	overwritten := ours()
	overwrite(t, overwritten, 5000, 40000)
	for name, c := range map[string]struct {
		path string
		want error
	}{
		"pages overwritten":    {overwritten, ErrDamaged},
		"text":                 {write(strings.Repeat("not a database\n", 1000)), ErrDamaged},
		"short text":           {write("x"), ErrDamaged},
		"truncated":            {truncated, ErrDamaged},
		"tables of others":     {foreign, ErrForeign},
		"id of others":         {other, ErrForeign},
		"newer":                {ours("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"), ErrNewer},
		"a folder":             {t.TempDir(), syscall.EISDIR},
		"no such folder":       {filepath.Join(t.TempDir(), "none", "store.db"), fs.ErrNotExist},
		"folder not writable":  {"/proc/self/store.db", nil},
		"name of a file above": {filepath.Join(write("x"), "store.db"), syscall.ENOTDIR},
	} {
		before, _ := os.ReadFile(c.path)
		s, err := Open(t.Context(), c.path)
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", name, err, c.want)
		}
		if !strings.HasPrefix(err.Error(), "sqlite: cannot open "+c.path+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: not one clear line: %q", name, err)
		}
		if after, _ := os.ReadFile(c.path); !bytes.Equal(before, after) {
			t.Errorf("%s: the file was changed", name)
		}
		t.Logf("%s: %v", name, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := file("store.db")
	if _, err := Open(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("cancelled: a file was made")
	}
}

// TestOpenDamaged overwrites each page in turn: the file is refused as damaged at once, or Check finds the damage.
func TestOpenDamaged(t *testing.T) {
	const page = 4096
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw(t, path, "VACUUM") // no page is unused: overwriting those is no damage
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(good); at += page {
		overwrite(t, path, at, at+page)
		s, err := Open(t.Context(), path)
		if err == nil {
			err = errors.Join(s.Check(t.Context()), s.Close())
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("page %d of %d overwritten: %v", at/page+1, len(good)/page, err)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// overwrite fills a part of a file with one byte.
func overwrite(t *testing.T, path string, from, to int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < min(to, len(content)); i++ {
		content[i] = 0xAA
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReadOnlyFolder: WAL needs a folder that can be written to. Root may write anywhere, so this one is for others.
func TestReadOnlyFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write to any folder")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "store.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if s, err := Open(t.Context(), path); err == nil {
		s.Close()
		t.Fatal("opened")
	}
}

func TestFileModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	for _, name := range []string{"plain.db", "with space & ? # % ä.db"} {
		s := opened(t, filepath.Join(dir, name))
		if err := s.CreateTenant(t.Context(), session.Tenant{ID: "corp"}); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(filepath.Join(dir, name+suffix))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s%s has mode %o", name, suffix, info.Mode().Perm())
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 6 {
		t.Errorf("%d files, want 6", len(entries))
	}
}

// TestPragmas: what the package promises about the file is in force on its connections.
func TestPragmas(t *testing.T) {
	for relaxed, want := range map[bool]string{false: "2", true: "1"} {
		s, err := OpenWith(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{LoseLastCommitsInPowerCut: relaxed})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, c := range []struct {
			db            *sql.DB
			pragma, value string
		}{
			{s.write, "synchronous", want}, {s.write, "journal_mode", "wal"}, {s.write, "foreign_keys", "1"},
			{s.write, "busy_timeout", "5000"}, {s.write, "application_id", fmt.Sprint(applicationID)},
			{s.read, "query_only", "1"}, {s.read, "busy_timeout", "5000"},
		} {
			var got string
			if err := c.db.QueryRowContext(t.Context(), "PRAGMA "+c.pragma).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != c.value {
				t.Errorf("%s is %s, want %s", c.pragma, got, c.value)
			}
		}
	}
}

func TestOpenAtOnce(t *testing.T) {
	for range 2 {
		path := filepath.Join(t.TempDir(), "store.db")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				s, err := Open(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Check(t.Context()); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func TestClosed(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "store.db"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Session(t.Context(), "a", time.Now())
	if err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("reading: %v", err)
	}
	if err := s.Spend(t.Context(), "a", time.Now()); err == nil || errors.Is(err, session.ErrSpent) {
		t.Errorf("spending: %v", err)
	}
}

func TestTimes(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 1), time.Unix(1_700_000_000, 123_456_789), time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC)} {
		if got := moment(nanos(at)); !got.Equal(at) || got.Location() != time.UTC {
			t.Errorf("%v came back as %v", at, got)
		}
	}
	if at := moment(nanos(time.Unix(0, 0))); at.IsZero() {
		t.Error("the start of 1970 came back as no time")
	}
	far := nanos(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
	if far <= nanos(time.Date(2261, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Error("a far future is not late")
	}
	if nanos(time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC)) >= 0 {
		t.Error("a far past is not early")
	}
}

// TestMigratesOnce: of two programs that make the same step of the schema, the second can't record it and is undone.
func TestMigratesOnce(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "store.db"))
	_, err := s.write.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, 1)")
	if err == nil {
		t.Error("one step was recorded twice")
	}
}
