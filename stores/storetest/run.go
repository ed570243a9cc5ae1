package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// Run proves a store. open makes an empty one, and is called once for each test; it closes the store with t.Cleanup. The
// times that are handed in lie within two days of the clock, so a store may also forget by a clock of its own.
func Run(t *testing.T, open func(t *testing.T) session.Store) {
	for _, c := range []struct {
		name string
		test func(c *check)
	}{
		{"sessions/create and read", createAndRead},
		{"sessions/a selector exists once", selectorOnce},
		{"sessions/swap replaces", swapReplaces},
		{"sessions/swap compares", swapCompares},
		{"sessions/one of a hundred swaps wins", swapRace},
		{"sessions/values belong to a rotation", valuesBelong},
		{"sessions/touch", touch},
		{"sessions/memo", memo},
		{"sessions/tombstones", tombstones},
		{"sessions/ending beats what is in flight", endingWins},
		{"sessions/every order of two operations", everyOrder},
		{"sessions/time to live", timeToLive},
		{"sessions/prune", pruneSessions},
		{"sessions/match", match},
		{"sessions/match of many fields", matchMany},
		{"sessions/match without tenant", matchWithoutTenant},
		{"sessions/index moves with swaps", indexMoves},
		{"sessions/handles move with swaps", handlesMove},
		{"sessions/handles of ended rows", handlesEnd},
		{"sessions/list", list},
		{"sessions/bytes are the store's own", ownBytes},
		{"attempts/counted before", attemptsCounted},
		{"attempts/twenty at once", attemptsAtOnce},
		{"attempts/all budgets or none", attemptsAllOrNone},
		{"attempts/budgets overlap at once", attemptsOverlap},
		{"attempts/given back", attemptsGiven},
		{"attempts/prune", attemptsPrune},
		{"attempts/malformed budgets", attemptsMalformed},
		{"ledger/once", spendOnce},
		{"ledger/a hundred at once", spendRace},
		{"ledger/prune", spendPrune},
		{"cutoffs/move forward", cutoffsMove},
		{"cutoffs/prune", cutoffsPrune},
		{"cutoffs/fifty at once", cutoffsRace},
		{"directory/tenants", tenants},
		{"directory/users", users},
		{"directory/names are compared exactly", exactNames},
		{"directory/names and ids are unique", uniqueUsers},
		{"directory/set user", setUser},
		{"directory/set user race", setUserRace},
		{"directory/tenants don't cross", isolation},
		{"directory/credentials", credentials},
		{"directory/update credential", updateCredential},
		{"directory/update credential race", updateCredentialRace},
		{"directory/remove credential", removeCredential},
		{"directory/remove credential race", removeCredentialRace},
		{"directory/enrol", enrol},
		{"directory/enrol refuses whole", enrolRefuses},
		{"directory/enrol race", enrolRace},
		{"directory/provision", provision},
		{"directory/provision refuses whole", provisionRefuses},
		{"directory/provision race", provisionRace},
		{"directory/invitations", invitations},
		{"directory/a new invitation withdraws", invitationWithdraws},
		{"directory/hold invitation", holdInvitation},
		{"directory/revoke invitation", revokeInvitation},
		{"denials", denials},
		{"audit/prune", auditPrune},
		{"audit/filters", auditFilters},
		{"audit/pages", auditPages},
		{"audit/whole or not at all", auditWhole},
		{"cancelled contexts", cancelled},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(newCheck(t, open(t))) })
	}
}

// check is one test of one store.
type check struct {
	*testing.T
	s   session.Store
	ctx context.Context
	now time.Time
}

func newCheck(t *testing.T, s session.Store) *check {
	return &check{T: t, s: s, ctx: t.Context(), now: time.Now().UTC().Truncate(time.Second)}
}

// in is the time so many seconds from the start of the test.
func (c *check) in(seconds int) time.Time { return c.now.Add(time.Duration(seconds) * time.Second) }

// must ends the test on an error.
func (c *check) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatalf("unexpected error: %v", err)
	}
}

// refuses checks that an error is the one of the contract.
func (c *check) refuses(err, want error) {
	c.Helper()
	if !errors.Is(err, want) {
		c.Fatalf("got error %v, want %v", err, want)
	}
}

// same compares two values of any kind by what they print.
func (c *check) same(what string, got, want any) {
	c.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		c.Fatalf("%s:\n got  %s\n want %s", what, g, w)
	}
}

// race runs n calls at the same moment, and hands back their errors.
func race(n int, call func(i int) error) []error {
	errs := make([]error, n)
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-gate
			errs[i] = call(i)
		})
	}
	close(gate)
	wg.Wait()
	return errs
}

// oneWins checks that exactly one of the calls succeeded and the others were refused by the contract's error.
func (c *check) oneWins(errs []error, refusal error) (winner int) {
	c.Helper()
	winner = -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			c.Fatalf("calls %d and %d both succeeded", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, refusal):
			c.Fatalf("call %d: got error %v, want %v", i, err, refusal)
		}
	}
	if winner < 0 {
		c.Fatal("no call succeeded")
	}
	return winner
}

func hash(s string) session.Digest { return sha256.Sum256([]byte(s)) }

// row makes a living row.
func (c *check) row(selector string) session.Row {
	return session.Row{
		Selector: selector, SecretHash: hash("secret of " + selector), Version: 1, State: []byte("state of " + selector),
		ID: "id of " + selector, Values: []byte("values of " + selector), Created: c.now, Touched: c.now, Expires: c.in(3600),
		Client: session.Client{Source: "192.0.2.1", Agent: "agent"},
	}
}

// stored stores a row as it is changed by edit.
func (c *check) stored(selector string, edit func(r *session.Row)) session.Row {
	c.Helper()
	r := c.row(selector)
	if edit != nil {
		edit(&r)
	}
	c.must(c.s.CreateSession(c.ctx, r))
	return r
}

func (c *check) read(selector string) session.Row {
	c.Helper()
	r, err := c.s.Session(c.ctx, selector, c.now)
	c.must(err)
	return r
}

// unchanged checks that a row reads as it did.
func (c *check) unchanged(before session.Row) {
	c.Helper()
	after := c.read(before.Selector)
	before.Memo, after.Memo = nil, nil
	c.same("row", after, before)
}

// swap makes a swap of the row's version that changes the state alone.
func swap(r session.Row, state string) session.Swap {
	return session.Swap{Selector: r.Selector, From: r.Version, State: []byte(state), Expires: r.Expires, Index: r.Index}
}

func (c *check) tenant(id string) session.Tenant {
	c.Helper()
	t := session.Tenant{ID: id, Name: "Tenant " + id, Status: session.Active, Epoch: 1, Created: c.now}
	c.must(c.s.CreateTenant(c.ctx, t))
	return t
}

func (c *check) newUser(tenant, id string) session.User {
	handle := make([]byte, 0, 64)
	for _, half := range []session.Digest{hash(tenant), hash(id)} {
		handle = append(handle, half[:]...)
	}
	return session.User{
		User:   factors.User{Tenant: tenant, ID: id, Name: "name-" + id, Display: "Display " + id, Handle: handle},
		Status: session.Active, Epoch: 1, Created: c.now,
	}
}

// user stores a user of a tenant that is there.
func (c *check) user(tenant, id string) session.User {
	c.Helper()
	u := c.newUser(tenant, id)
	c.must(c.s.CreateUser(c.ctx, u))
	return u
}

func (c *check) userNow(tenant, id string) session.User {
	c.Helper()
	u, err := c.s.User(c.ctx, tenant, id)
	c.must(err)
	return u
}

func (c *check) newCredential(u session.User, factor, id string) factors.Credential {
	return factors.Credential{
		Tenant: u.Tenant, User: u.ID, Factor: factor, ID: id, Kind: "fido2", Name: "key " + id, Data: []byte("data " + id),
		Best:    authn.Strength{PhishingResistant: true, UserVerified: true},
		Created: c.now, Version: 1,
	}
}

// credential enrols a credential for a user, without an invitation.
func (c *check) credential(u session.User, factor, id string) factors.Credential {
	c.Helper()
	n := c.newCredential(u, factor, id)
	c.must(c.s.Enrol(c.ctx, c.enrolled(n)))
	return n
}

// enrolled is a credential to be stored under the epochs that hold now.
func (c *check) enrolled(n factors.Credential) session.Enrolled {
	c.Helper()
	t, err := c.s.Tenant(c.ctx, n.Tenant)
	c.must(err)
	return session.Enrolled{Credential: n, Epoch: c.userNow(n.Tenant, n.User).Epoch, TenantEpoch: t.Epoch, At: c.now}
}

func (c *check) newInvitation(u session.User, id string) session.Invitation {
	return session.Invitation{
		ID: id, CodeHash: hash("code " + id), Tenant: u.Tenant, User: u.ID, Created: c.now, By: "admin", Expires: c.in(3600),
	}
}

// held stores an invitation that is held by a login.
func (c *check) held(u session.User, id, holder string) session.Invitation {
	c.Helper()
	i := c.newInvitation(u, id)
	c.must(c.s.CreateInvitation(c.ctx, i))
	c.must(c.s.HoldInvitation(c.ctx, id, holder, c.now))
	i.Holder = holder
	return i
}

func (c *check) invitation(id string) session.Invitation {
	c.Helper()
	i, err := c.s.InvitationByCode(c.ctx, hash("code "+id))
	c.must(err)
	return i
}
