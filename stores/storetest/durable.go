package storetest

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// RunDurable proves that a store keeps what it was given when it is closed and opened again. open opens the store in path
// (a name in a folder of the test's), makes it if it isn't there, and closes it with t.Cleanup; it is called with one path
// more than once, one after the other.
func RunDurable(t *testing.T, open func(t *testing.T, path string) session.Store) {
	path := filepath.Join(t.TempDir(), "store")
	first := newCheck(t, nil)
	phase := func(name string, test func(c *check)) {
		t.Run(name, func(t *testing.T) {
			c := newCheck(t, open(t, path))
			c.now = first.now
			test(c)
		})
	}
	phase("write", writeAll)
	phase("read again", readAll)
	phase("go on", goOn)
	phase("opened by two", func(c *check) {
		other := *c
		other.s = open(c.T, path)
		twoInstances(c, &other)
	})
}

var durableIndex = session.Index{Tenant: "corp", Person: "alice", Device: "kiosk", Certificates: []session.Digest{hash("x")},
	Handles: []session.Digest{hash("h")}}

func writeAll(c *check) {
	c.tenant("corp")
	alice := c.user("corp", "alice")
	c.held(alice, "spent", "login")
	c.must(c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1,
		Credential: c.newCredential(alice, "passkey", "1"), Invitation: "spent", Holder: "login", Epoch: 1, At: c.in(1),
	}))
	c.held(alice, "held", "login")
	r := c.stored("lives", func(r *session.Row) { r.Index = durableIndex })
	c.stored("ended", func(r *session.Row) { r.Index = durableIndex })
	w := swap(r, "swapped")
	w.SecretHash = &session.Digest{5}
	c.must(c.s.SwapSession(c.ctx, w))
	c.must(c.s.TouchSession(c.ctx, "lives", 2, c.in(7)))
	c.must(c.s.SaveValues(c.ctx, "lives", 1, []byte("saved")))
	_, err := c.s.EndSessions(c.ctx, session.Match{Selector: "ended"}, c.in(1))
	c.must(err)
	c.must(c.s.Spend(c.ctx, "challenge", c.in(600)))
	c.take(0, true, 0, budget("b", 2))
	c.setCutoff(hash("cut"), 7, 600)
	c.must(c.s.Provision(c.ctx, c.provisioned("corp", "provisioned", "p")))
	c.must(c.s.AddDenial(c.ctx, factors.Denial{ID: "d", Tenant: "corp", By: factors.DenyKey, Value: "00", Note: "n", Created: c.now}))
	c.must(c.s.AddEvents(c.ctx, c.event("1", 1, nil), c.event("2", 1, nil)))
}

func readAll(c *check) {
	alice := c.newUser("corp", "alice")
	alice.Epoch, alice.Cutoff = 2, c.in(1) // an invitation was spent
	c.same("user", c.userNow("corp", "alice"), alice)
	got, err := c.s.Credential(c.ctx, "corp", "passkey", "1")
	c.must(err)
	c.same("credential", got, c.newCredential(alice, "passkey", "1"))
	c.same("provisioned", c.userNow("corp", "provisioned"), c.newUser("corp", "provisioned"))
	_, err = c.s.Credential(c.ctx, "corp", "oidc", "p")
	c.must(err)
	c.cutoffIs(hash("cut"), c.in(7))
	c.same("spent", c.invitation("spent").Spent, c.in(1))
	c.same("holder", c.invitation("held").Holder, "login")

	r := c.row("lives")
	r.Version, r.Rotation, r.State, r.Values = 2, 1, []byte("swapped"), []byte("saved")
	r.SecretHash, r.Touched, r.Index = session.Digest{5}, c.in(7), durableIndex
	c.unchanged(r)
	c.same("ended", c.read("ended").Ended, c.in(1))
	for _, m := range []session.Match{{Tenant: "corp"}, {Tenant: "corp", Person: "alice"}, {Certificate: &durableIndex.Certificates[0]}, {Handle: &durableIndex.Handles[0]}} {
		rows, err := c.s.ListSessions(c.ctx, m, c.now, 0)
		c.must(err)
		c.same("listed", selectors(rows), []string{"lives"})
	}
	list, err := c.s.ListDenials(c.ctx)
	c.must(err)
	c.same("denials", list, []factors.Denial{{ID: "d", Tenant: "corp", By: factors.DenyKey, Value: "00", Note: "n", Created: c.now}})
	c.same("events", c.events(session.EventFilter{}), []session.Event{c.event("2", 1, nil), c.event("1", 1, nil)})
}

// goOn: what was used up stays so.
func goOn(c *check) {
	c.refuses(c.s.Spend(c.ctx, "challenge", c.in(600)), session.ErrSpent)
	c.setCutoff(hash("cut"), 6, 1)
	c.cutoffIs(hash("cut"), c.in(7))
	c.prunesCutoffs(500, 0)
	c.refuses(c.s.Provision(c.ctx, c.provisioned("corp", "another", "p")), session.ErrConflict)
	c.take(1, true, 0, budget("b", 2))
	c.take(2, false, 60, budget("b", 2))
	c.refuses(c.s.CreateSession(c.ctx, c.row("ended")), session.ErrConflict)
	w := swap(c.row("ended"), "x")
	c.refuses(c.s.SwapSession(c.ctx, w), session.ErrConflict)
	c.must(c.s.AddEvents(c.ctx, c.event("3", 1, nil)))
	c.same("events", eventIDs(c.events(session.EventFilter{})), []string{"3", "2", "1"})
}

// twoInstances: what one instance has answered, the other knows.
func twoInstances(c, other *check) {
	r := c.stored("shared", nil)
	both := []*check{c, other}
	errs := race(40, func(i int) error { return both[i%2].s.SwapSession(c.ctx, swap(r, "x")) })
	c.oneWins(errs, session.ErrConflict)
	errs = race(40, func(i int) error { return both[i%2].s.Spend(c.ctx, "at two places", c.in(60)) })
	c.oneWins(errs, session.ErrSpent)
	errs = race(40, func(i int) error {
		return both[i%2].s.Provision(c.ctx, c.provisioned("corp", fmt.Sprint("at two places ", i), "at two places"))
	})
	c.oneWins(errs, session.ErrConflict)
	errs = race(40, func(i int) error { return both[i%2].s.SetCutoff(c.ctx, hash("both"), c.in(i), c.in(60)) })
	c.must(errors.Join(errs...))
	c.cutoffIs(hash("both"), c.in(39))
	other.cutoffIs(hash("both"), c.in(39))
	_, err := other.s.EndSessions(c.ctx, session.Match{Selector: "shared"}, c.in(1))
	c.must(err)
	c.same("ended", c.read("shared").Ended, c.in(1))
	w := swap(r, "late")
	w.From = 2
	c.refuses(c.s.SwapSession(c.ctx, w), session.ErrConflict)
}
