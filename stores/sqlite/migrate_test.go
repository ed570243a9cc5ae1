package sqlite

import (
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	sqlite3 "modernc.org/sqlite"

	"github.com/sallyport-auth/sallyport/session"
)

// What an older version denied had no tenant: it was denied for all, and still is.
func TestDenialsBecomeThePortals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	older(t, path, 1, "INSERT INTO denials VALUES ('d', 'key', '00', 'note', 7)")
	s := opened(t, path)
	list, err := s.ListDenials(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != "d" || list[0].Tenant != "" || list[0].Value != "00" || list[0].Note != "note" {
		t.Errorf("denials %+v, %v", list, err)
	}
}

// Sessions of the version before this live on: without handles, and with those that their next swap gives them.
func TestSessionsGetHandles(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "old.db"), time.Now().UTC()
	older(t, path, 2, fmt.Sprintf(`INSERT INTO sessions (selector, secret_hash, version, rotation, state, created, touched, expires,
	ended, tenant, person, device, certificates, source, agent, id, principal)
	VALUES ('old', zeroblob(32), 4, 1, x'00', 7, 7, %d, 0, 'corp', 'alice', '', '[]', '', '', 'public', 1)`, now.Add(time.Hour).UnixNano()))
	s, ctx, h := opened(t, path), t.Context(), session.Digest{1}
	r, err := s.Session(ctx, "old", now)
	if err != nil || r.Version != 4 || r.Index.Person != "alice" || len(r.Index.Handles) != 0 {
		t.Fatalf("the old row reads %+v, %v", r, err)
	}
	r.Index.Handles = []session.Digest{h}
	if err := s.SwapSession(ctx, session.Swap{Selector: "old", From: 4, Expires: r.Expires, Index: r.Index}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.EndSessions(ctx, session.Match{Handle: &h}, now); n != 1 || err != nil {
		t.Errorf("%d rows ended by the handle, %v", n, err)
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
}

// Users who came from a provider are known by the credential that was made with them.
func TestUsersNamedElsewhereAreKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	older(t, path, 3, `INSERT INTO tenants (id, name, status, epoch, created) VALUES ('corp', 'corp', 'active', 1, 1);
	INSERT INTO users (tenant, id, name, display, device, status, admin, epoch, created) VALUES
		('corp', 'a', 'alice', '', 0, 'active', 0, 1, 7), ('corp', 'c', 'carol', '', 0, 'active', 0, 1, 8), ('corp', 'd', 'dave~1a2b3c', '', 0, 'active', 0, 1, 8);
	INSERT INTO credentials (tenant, user, factor, id, kind, name, strength, created, used, flagged, version) VALUES
		('corp', 'a', 'passkey', '1', 'fido2', '', '{}', 9, 0, '', 1), ('corp', 'c', 'idp', '2', 'oauth', '', '{}', 8, 0, '', 1), ('corp', 'd', 'idp', '3', 'oauth', '', '{}', 8, 0, '', 1)`)
	s := opened(t, path)
	for id, want := range map[string]bool{"a": false, "c": true, "d": false} {
		if u, err := s.User(t.Context(), "corp", id); err != nil || u.NamedElsewhere != want {
			t.Errorf("%s: %+v, %v", id, u, err)
		}
	}
}

// older makes a file as a version before this left it, at the step of the schema given.
func older(t *testing.T, path string, step int64, statement string) {
	t.Helper()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sqlite3.NewConnector("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	old, err := goose.NewProvider(database.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.UpTo(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
