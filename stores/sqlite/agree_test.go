package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/memory"
)

// TestAgrees hands the same calls, drawn from few names and times so that they meet, to this store and to the one in
// memory: both give the same answers.
func TestAgrees(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	disk, err := OpenWith(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{LoseLastCommitsInPowerCut: true})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	rapid.Check(t, func(rt *rapid.T) {
		for _, table := range []string{"sessions", "attempts", "spent", "credentials", "invitations", "users", "tenants", "cutoffs"} {
			if _, err := disk.write.ExecContext(t.Context(), "DELETE FROM "+table); err != nil {
				rt.Fatal(err)
			}
		}
		inMemory := memory.New()
		steps := rapid.IntRange(10, 80).Draw(rt, "steps")
		for range steps {
			call, do := draw(t, rt, start)
			want, got := do(inMemory), do(disk)
			if want != got {
				rt.Fatalf("%s\n memory %s\n sqlite %s", call, want, got)
			}
		}
	})
}

// draw makes a call, and what says how it was answered.
func draw(t *testing.T, rt *rapid.T, start time.Time) (string, func(session.Store) string) {
	ctx := t.Context()
	one := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, what) }
	number := func(what string, most int) int { return rapid.IntRange(0, most).Draw(rt, what) }
	at := func(what string) time.Time { return start.Add(time.Duration(number(what, 6)) * time.Second) }
	selector := func() string { return one("selector", "a", "b", "c") }
	tenant := func() string { return one("tenant", "corp", "labs", "") }
	user := func() string { return one("user", "alice", "bob", "") }
	some := func() string { return one("user", "alice", "bob") }
	handles := func() []session.Digest {
		return rapid.SliceOfN(rapid.Map(rapid.ByteRange(1, 3), func(b byte) session.Digest { return session.Digest{b} }), 0, 2).Draw(rt, "handles")
	}
	certificates := func() []session.Digest {
		return rapid.SliceOfN(rapid.Map(rapid.ByteRange(1, 3), func(b byte) session.Digest { return session.Digest{b} }), 0, 2).Draw(rt, "certificates")
	}
	index := func() session.Index {
		return session.Index{Tenant: tenant(), Person: user(), Device: one("device", "kiosk", ""), Certificates: certificates(), Handles: handles()}
	}
	match := func() session.Match {
		m := session.Match{Selector: one("selector", "", "", "a"), Tenant: tenant(), Person: user(), Device: one("device", "", "kiosk"), Except: one("except", "", "b")}
		if d := certificates(); len(d) > 0 {
			m.Certificate = &d[0]
		}
		if d := handles(); len(d) > 0 {
			m.Handle = &d[0]
		}
		return m
	}
	credential := func() factors.Credential {
		return factors.Credential{
			Tenant: one("tenant", "corp", "labs"), User: some(), Factor: one("factor", "passkey", "device"), ID: one("id", "1", "2", "3"),
			Data: []byte(one("data", "", "x")), Created: at("created"), Version: uint64(number("version", 2)), Flagged: "",
		}
	}
	budgets := func() (all []session.Budget) {
		for range number("budgets", 3) {
			key := one("key", "x", "y", "yyyy")
			all = append(all, session.Budget{Key: key, Limit: number("limit", 3), Window: time.Duration(len(key)) * time.Second})
		}
		return all
	}
	op := one("call", "create", "create", "swap", "swap", "swap", "touch", "save", "end", "read", "list", "prune", "take", "take", "give", "prune attempts",
		"spend", "tenant", "tenant status", "user", "user", "set user", "users", "enrol", "enrol", "update", "remove", "credentials", "invite", "invite", "hold", "revoke", "provision", "provision", "set cutoff", "set cutoff", "cutoff", "prune cutoffs", "invitations")
	switch op {
	case "create":
		r := session.Row{Selector: selector(), State: []byte("s"), Values: []byte("v"), Created: at("created"), Expires: at("expires"), Index: index(), ID: one("id", "", "1", "2")}
		return call(op, r), func(s session.Store) string { return answer(nil, s.CreateSession(ctx, r)) }
	case "swap":
		w := session.Swap{Selector: selector(), From: uint64(1 + number("from", 3)), State: []byte(one("state", "x", "y")), Expires: at("expires"), Index: index(), ClearValues: number("clear", 1) == 1}
		if number("rotate", 1) == 1 {
			w.SecretHash = &session.Digest{9}
		}
		if number("end", 5) == 5 {
			w.Ended = at("ended")
		}
		if number("touch", 1) == 1 {
			w.Touched = at("touched")
		}
		return call(op, w), func(s session.Store) string { return answer(nil, s.SwapSession(ctx, w)) }
	case "touch":
		sel, version, to := selector(), uint64(1+number("version", 3)), at("to")
		return call(op, sel, version, to), func(s session.Store) string { return answer(nil, s.TouchSession(ctx, sel, version, to)) }
	case "save":
		sel, rotation, v := selector(), uint64(number("rotation", 2)), []byte(one("values", "", "v"))
		return call(op, sel, rotation, v), func(s session.Store) string { return answer(nil, s.SaveValues(ctx, sel, rotation, v)) }
	case "end":
		m, when := match(), at("at")
		return call(op, m, when), func(s session.Store) string {
			n, err := s.EndSessions(ctx, m, when)
			return answer(n, err)
		}
	case "read":
		sel, now := selector(), at("now")
		return call(op, sel, now), func(s session.Store) string {
			r, err := s.Session(ctx, sel, now)
			r.Memo = nil
			return answer(r, err)
		}
	case "list":
		m, now, limit := match(), at("now"), number("limit", 2)
		return call(op, m, now, limit), func(s session.Store) string {
			rows, err := s.ListSessions(ctx, m, now, limit)
			for i := range rows {
				rows[i].Memo = nil
			}
			return answer(rows, err)
		}
	case "prune":
		now := at("now")
		return call(op, now), func(s session.Store) string {
			n, err := s.PruneSessions(ctx, now)
			return answer(n, err)
		}
	case "take":
		b, now := budgets(), at("now")
		return call(op, b, now), func(s session.Store) string {
			ok, retry, err := s.TakeAttempt(ctx, b, now)
			return answer([]any{ok, retry}, err)
		}
	case "give":
		b, now := budgets(), at("now")
		return call(op, b, now), func(s session.Store) string { return answer(nil, s.GiveAttempt(ctx, b, now)) }
	case "prune attempts":
		now := at("now")
		return call(op, now), func(s session.Store) string {
			n, err := s.PruneAttempts(ctx, now)
			return answer(n, err)
		}
	case "spend":
		id := one("id", "x", "y")
		return call(op, id), func(s session.Store) string { return answer(nil, s.Spend(ctx, id, start)) }
	case "tenant":
		id := one("tenant", "corp", "labs")
		return call(op, id), func(s session.Store) string { return answer(nil, s.CreateTenant(ctx, session.Tenant{ID: id})) }
	case "tenant status":
		id, cutoff := one("tenant", "corp", "labs"), at("cutoff")
		return call(op, id, cutoff), func(s session.Store) string {
			err := s.SetTenantStatus(ctx, id, session.Suspended, cutoff)
			t, readErr := s.Tenant(ctx, id)
			return answer(err, nil) + answer(t, readErr)
		}
	case "user":
		u := session.User{User: factors.User{Tenant: one("tenant", "corp", "labs"), ID: some(), Name: one("name", "a", "b"), Class: authn.Class(number("class", 2)), Handle: []byte(one("handle", "", "h1", "h2", "h3"))}}
		return call(op, u), func(s session.Store) string { return answer(nil, s.CreateUser(ctx, u)) }
	case "provision":
		c := credential()
		u := session.User{User: factors.User{Tenant: one("tenant", c.Tenant, "corp", "labs"), ID: one("user", c.User, some()), Name: one("name", "a", "b"), Handle: []byte(one("handle", "", "h1", "h2"))}, Epoch: uint64(number("epoch", 2)), Cutoff: at("cutoff")}
		p := session.Provisioned{User: u, Credential: c, TenantEpoch: uint64(number("tenant epoch", 1))}
		return call(op, p), func(s session.Store) string { return answer(nil, s.Provision(ctx, p)) }
	case "set cutoff":
		key, when, until := session.Digest{byte(number("key", 2))}, at("at"), at("until")
		return call(op, key, when, until), func(s session.Store) string { return answer(nil, s.SetCutoff(ctx, key, when, until)) }
	case "cutoff":
		key := session.Digest{byte(number("key", 2))}
		return call(op, key), func(s session.Store) string {
			got, err := s.Cutoff(ctx, key)
			return answer(got, err)
		}
	case "prune cutoffs":
		now := at("now")
		return call(op, now), func(s session.Store) string {
			n, err := s.PruneCutoffs(ctx, now)
			return answer(n, err)
		}
	case "set user":
		u := session.User{User: factors.User{Tenant: one("tenant", "corp", "labs"), ID: some(), Name: one("name", "a", "b")}, Epoch: uint64(number("epoch", 2)), Cutoff: at("cutoff")}
		return call(op, u), func(s session.Store) string { return answer(nil, s.SetUser(ctx, u)) }
	case "users":
		id := tenant()
		return call(op, id), func(s session.Store) string {
			all, err := s.Users(ctx, id)
			return answer(all, err)
		}
	case "enrol":
		e := session.Enrolled{Credential: credential(), Epoch: uint64(number("epoch", 2)), TenantEpoch: uint64(number("tenant epoch", 1)), At: at("at"), Invitation: one("invitation", "", "i", "j"), Holder: one("holder", "x", "")}
		return call(op, e), func(s session.Store) string { return answer(nil, s.Enrol(ctx, e)) }
	case "update":
		c := credential()
		c.Flagged = "cloned"
		return call(op, c), func(s session.Store) string { return answer(nil, s.UpdateCredential(ctx, c)) }
	case "remove":
		c, epoch := credential(), uint64(number("epoch", 3))
		return call(op, c, epoch), func(s session.Store) string {
			return answer(nil, s.RemoveCredential(ctx, c.Tenant, c.User, c.Factor, c.ID, epoch))
		}
	case "credentials":
		c, factor := credential(), one("factor", "", "passkey")
		return call(op, c, factor), func(s session.Store) string {
			all, err := s.Credentials(ctx, c.Tenant, c.User, factor)
			return answer(all, err)
		}
	case "invite":
		i := session.Invitation{ID: one("id", "i", "j", "k"), CodeHash: session.Digest{byte(number("code", 3))}, Tenant: "corp", User: some(), Created: at("created"), Expires: at("expires")}
		return call(op, i), func(s session.Store) string { return answer(nil, s.CreateInvitation(ctx, i)) }
	case "hold":
		id, now, holder := one("id", "i", "j", "k"), at("now"), one("holder", "x", "y", "")
		return call(op, id, now, holder), func(s session.Store) string { return answer(nil, s.HoldInvitation(ctx, id, holder, now)) }
	case "revoke":
		id, now := one("id", "i", "j", "k"), at("now")
		return call(op, id, now), func(s session.Store) string { return answer(nil, s.RevokeInvitation(ctx, "corp", id, now)) }
	}
	return call(op), func(s session.Store) string {
		all, err := s.Invitations(ctx, "corp")
		return answer(all, err)
	}
}

func call(name string, args ...any) string { return fmt.Sprintf("%s %+v", name, args) }

// answer prints what a call gave. Errors that aren't of the contract are one.
func answer(v any, err error) string {
	for _, known := range []error{session.ErrNotFound, session.ErrConflict, session.ErrSpent} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "refused"
	}
	return fmt.Sprintf("%+v", v)
}
