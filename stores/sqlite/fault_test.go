package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// TestFailsHalfway makes each statement of each transaction fail in turn, the commit too: the call errs, nothing of it
// is stored, and the same call succeeds afterwards.
func TestFailsHalfway(t *testing.T) {
	const never = -1 << 30
	left := never // statements until the fault
	fault := errors.New("disk on fire")
	s, err := open(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{}, func(c driver.Connector) driver.Connector {
		return tap{c, func(string) error {
			left--
			if left == -1 {
				return fault
			}
			return nil
		}}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	left = never
	now := time.Now().UTC()
	prepared(t, s, now)
	for name, do := range transactions(t, s, now) {
		before := everything(t, s)
		for n := 0; ; n++ {
			left = n
			err := do()
			left = never
			if err == nil {
				if n < 2 {
					t.Errorf("%s: the fault was never met", name)
				}
				break
			}
			if !errors.Is(err, fault) {
				t.Fatalf("%s, statement %d: %v", name, n, err)
			}
			if after := everything(t, s); after != before {
				t.Fatalf("%s failed in statement %d and left\n%s\nwhere there was\n%s", name, n, after, before)
			}
		}
		if everything(t, s) == before {
			t.Errorf("%s did nothing", name)
		}
	}
}

func prepared(t *testing.T, s *Store, now time.Time) {
	t.Helper()
	ctx := t.Context()
	for _, err := range []error{
		s.CreateTenant(ctx, session.Tenant{ID: "corp", Status: session.Active}),
		s.CreateUser(ctx, session.User{User: factors.User{Tenant: "corp", ID: "alice", Name: "alice"}}),
		s.CreateInvitation(ctx, session.Invitation{ID: "i", Tenant: "corp", User: "alice", Created: now, Expires: now.Add(time.Hour)}),
		s.HoldInvitation(ctx, "i", "login", now),
		s.CreateSession(ctx, session.Row{Selector: "row", Expires: now.Add(time.Hour), Index: session.Index{Certificates: []session.Digest{{1}}}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

type transaction = func() error

// transactions yields each call that changes more than one row, in an order in which each can succeed.
func transactions(t *testing.T, s *Store, now time.Time) func(yield func(string, transaction) bool) {
	ctx := t.Context()
	key := factors.Credential{Tenant: "corp", User: "alice", Factor: "passkey", ID: "1"}
	budgets := []session.Budget{{Key: "a", Limit: 1, Window: time.Minute}, {Key: "b", Limit: 1, Window: time.Minute}}
	all := []struct {
		name string
		do   transaction
	}{
		{"Enrol", func() error {
			return s.Enrol(ctx, session.Enrolled{Credential: key, Invitation: "i", Holder: "login", At: now})
		}},
		{"UpdateCredential", func() error { return s.UpdateCredential(ctx, key) }},
		{"RemoveCredential", func() error { return s.RemoveCredential(ctx, "corp", "alice", "passkey", "1", 1) }},
		{"SetUser", func() error {
			return s.SetUser(ctx, session.User{User: factors.User{Tenant: "corp", ID: "alice", Name: "bob"}, Epoch: 2})
		}},
		{"TakeAttempt", func() error {
			ok, _, err := s.TakeAttempt(ctx, budgets, now)
			if err == nil && !ok {
				return errors.New("an attempt that failed was counted")
			}
			return err
		}},
		{"GiveAttempt", func() error { return s.GiveAttempt(ctx, budgets, now) }},
		{"CreateInvitation", func() error {
			return s.CreateInvitation(ctx, session.Invitation{ID: "j", CodeHash: session.Digest{1}, Tenant: "corp", User: "alice", Created: now, Expires: now.Add(time.Hour)})
		}},
		{"CreateInvitation again", func() error {
			return s.CreateInvitation(ctx, session.Invitation{ID: "k", CodeHash: session.Digest{2}, Tenant: "corp", User: "alice", Created: now, Expires: now.Add(time.Hour)})
		}},
		{"Provision", func() error {
			p := session.Provisioned{User: session.User{User: factors.User{Tenant: "corp", ID: "carol", Name: "carol", Handle: []byte("carol")}}}
			p.Credential = factors.Credential{Tenant: "corp", User: "carol", Factor: "oidc", ID: "2"}
			return s.Provision(ctx, p)
		}},
		{"AddEvents", func() error { return s.AddEvents(ctx, session.Event{ID: "1"}, session.Event{ID: "2"}) }},
	}
	return func(yield func(string, transaction) bool) {
		for _, c := range all {
			if !yield(c.name, c.do) {
				return
			}
		}
	}
}

// everything reads all rows of all tables.
func everything(t *testing.T, s *Store) string {
	t.Helper()
	var all string
	for _, table := range []string{"sessions", "session_certificates", "session_handles", "cutoffs", "attempts", "spent", "tenants", "users", "credentials", "invitations", "denials", "events"} {
		rows, err := s.read.QueryContext(t.Context(), "SELECT * FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			all += fmt.Sprintln(table, values)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
