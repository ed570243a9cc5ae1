package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	sqlite3 "modernc.org/sqlite"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
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

// People and devices of the version before this keep their names and what they are, and there is room for workloads of the
// same names.
func TestUsersGetClasses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	older(t, path, 4, `INSERT INTO tenants (id, name, status, epoch, created) VALUES ('corp', 'corp', 'active', 1, 1);
	INSERT INTO users (tenant, id, name, display, device, status, admin, epoch, created) VALUES
		('corp', 'p', 'lobby', '', 0, 'active', 1, 1, 7), ('corp', 'd', 'lobby', '', 1, 'active', 0, 1, 8);
	INSERT INTO events (id, at, tenant, user, name, what, reason, method, factor, login, session, source, issuer, detail) VALUES
		('1', 7, 'corp', 'p', 'lobby', 'login.finished', '', '', '', '', '', '', '', ''), ('2', 8, 'corp', 'd', 'lobby', 'login.finished', '', '', '', '', '', '', '', '')`)
	s, ctx := opened(t, path), t.Context()
	for id, class := range map[string]authn.Class{"p": authn.ClassPerson, "d": authn.ClassDevice} {
		u, err := s.UserNamed(ctx, "corp", "lobby", class)
		if err != nil || u.ID != id || u.Class != class || u.Admin != (id == "p") {
			t.Errorf("the %s: %+v, %v", class, u, err)
		}
	}
	w := session.User{User: factors.User{Tenant: "corp", ID: "w", Name: "lobby", Class: authn.ClassWorkload}, Status: session.Active}
	if err := s.CreateUser(ctx, w); err != nil {
		t.Fatal(err)
	}
	if u, err := s.UserNamed(ctx, "corp", "lobby", authn.ClassWorkload); err != nil || u.ID != "w" {
		t.Errorf("the workload: %+v, %v", u, err)
	}
	for _, u := range []session.User{{User: factors.User{Tenant: "corp", ID: "x", Name: "lobby", Class: authn.ClassDevice}}, {User: factors.User{Tenant: "corp", ID: "x", Name: "lobby", Class: authn.ClassWorkload}}} {
		if err := s.CreateUser(ctx, u); !errors.Is(err, session.ErrConflict) {
			t.Errorf("another %s of the name: %v", u.Class, err)
		}
	}
	events, err := s.Events(ctx, session.EventFilter{Tenant: "corp"})
	if err != nil || len(events) != 2 || events[0].Class != authn.ClassDevice || events[1].Class != authn.ClassPerson {
		t.Errorf("events %+v, %v", events, err)
	}
}

// A user of a class that this program does not know, as a later one may have, is nobody's.
func TestUnknownClass(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	older(t, path, 5, `INSERT INTO tenants (id, name, status, epoch, created) VALUES ('corp', 'corp', 'active', 1, 1);
	INSERT INTO users (tenant, id, name, display, class, status, admin, epoch, created) VALUES ('corp', 'r', 'robot', '', 3, 'active', 1, 1, 7)`)
	s := opened(t, path)
	if u, err := s.User(t.Context(), "corp", "r"); err == nil || errors.Is(err, session.ErrNotFound) || u.ID != "" {
		t.Errorf("read as %+v, %v", u, err)
	}
	for _, class := range []authn.Class{authn.ClassPerson, authn.ClassDevice, authn.ClassWorkload} {
		if u, err := s.UserNamed(t.Context(), "corp", "robot", class); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("read as %+v, %v", u, err)
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
