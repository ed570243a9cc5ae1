package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

func denials(c *check) {
	deny := func(id string, by factors.DenialBy, value string, at int) factors.Denial {
		return factors.Denial{ID: id, Tenant: "corp", By: by, Value: value, Note: "note of " + id, Created: c.in(at)}
	}
	listed := func(want ...factors.Denial) {
		c.Helper()
		got, err := c.s.ListDenials(c.ctx)
		c.must(err)
		c.same("denials", got, append([]factors.Denial(nil), want...))
	}
	listed()
	a, b := deny("a", factors.DenyKey, "00", 5), deny("b", factors.DenySubject, "00", 2)
	c.must(c.s.AddDenial(c.ctx, a))
	c.must(c.s.AddDenial(c.ctx, b))
	listed(b, a) // oldest first
	c.must(c.s.AddDenial(c.ctx, deny("c", factors.DenyKey, "00", 0)))
	c.must(c.s.AddDenial(c.ctx, a))
	listed(b, a) // the first one stands
	again := deny("d", factors.DenySubject, "00", 7)
	c.must(c.s.AddDenial(c.ctx, again))
	b.Created = again.Created
	listed(a, b) // from the later time on
	c.must(c.s.RemoveDenial(c.ctx, "corp", "b"))
	b.Created = c.in(2)
	c.must(c.s.AddDenial(c.ctx, b))
	c.refuses(c.s.AddDenial(c.ctx, deny("a", factors.DenyKey, "11", 0)), session.ErrConflict)
	c.refuses(c.s.RemoveDenial(c.ctx, "corp", "c"), session.ErrNotFound)
	held, err := c.s.ListDenials(c.ctx)
	c.must(err)
	c.must(c.s.RemoveDenial(c.ctx, "corp", "b"))
	listed(a)
	c.same("handed out before", held, []factors.Denial{b, a})
	c.refuses(c.s.RemoveDenial(c.ctx, "corp", "b"), session.ErrNotFound)
	c.must(c.s.AddDenial(c.ctx, b))
	listed(b, a)
	errs := race(20, func(i int) error {
		return c.s.AddDenial(c.ctx, deny(fmt.Sprint("race ", i), factors.DenySerial, "x", 9))
	})
	c.must(errors.Join(errs...))
	got, err := c.s.ListDenials(c.ctx)
	c.must(err)
	c.same("denials", len(got), 3)

	// The same for another tenant and for all are denials of their own, and are taken back by whose they are.
	labs, all := deny("labs", factors.DenyKey, "00", 20), deny("all", factors.DenyKey, "00", 21)
	labs.Tenant, all.Tenant = "labs", ""
	c.must(c.s.AddDenial(c.ctx, labs))
	c.must(c.s.AddDenial(c.ctx, all))
	for _, foreign := range [][2]string{{"corp", "labs"}, {"", "labs"}, {"corp", "all"}, {"labs", "all"}, {"", "a"}} {
		c.refuses(c.s.RemoveDenial(c.ctx, foreign[0], foreign[1]), session.ErrNotFound)
	}
	listed(b, a, got[2], labs, all)
	c.must(c.s.RemoveDenial(c.ctx, "labs", "labs"))
	c.must(c.s.RemoveDenial(c.ctx, "", "all"))
	listed(b, a, got[2])

	token, subject := deny("token", factors.DenyToken, "00", 30), deny("subject", factors.DenyTokenSubject, "00", 31)
	c.must(c.s.AddDenial(c.ctx, token))
	c.must(c.s.AddDenial(c.ctx, subject))
	listed(b, a, got[2], token, subject)
	always := deny("always", factors.DenyTokenSubject, "11", 0)
	always.Created = time.Time{}
	c.must(c.s.AddDenial(c.ctx, always))
	c.must(c.s.AddDenial(c.ctx, deny("e", factors.DenyTokenSubject, "11", 40)))
	listed(always, b, a, got[2], token, subject) // a time would make it less
}

func (c *check) event(id string, at int, edit func(e *session.Event)) session.Event {
	e := session.Event{
		ID: id, At: c.in(at), Tenant: "corp", User: "alice", Name: "name-alice", What: authn.LoginFinished, Reason: "none",
		Method: "admin", Factor: "passkey", Login: "login", Session: "session", Source: "192.0.2.1", By: "bob", Detail: "detail", Class: authn.ClassWorkload,
	}
	if edit != nil {
		edit(&e)
	}
	return e
}

func (c *check) events(f session.EventFilter) []session.Event {
	c.Helper()
	got, err := c.s.Events(c.ctx, f)
	c.must(err)
	return got
}

func eventIDs(events []session.Event) []string {
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func auditPrune(c *check) {
	c.must(c.s.AddEvents(c.ctx, c.event("3", 3, nil), c.event("1", 1, nil), c.event("portal", 2, func(e *session.Event) { e.Tenant = "" }),
		c.event("2", 2, func(e *session.Event) { e.Tenant = "labs" }), c.event("4", 4, nil)))
	for _, step := range []struct {
		before, gone int
		left         []string
	}{{1, 0, []string{"4", "3", "2", "portal", "1"}}, {3, 3, []string{"4", "3"}}, {3, 0, []string{"4", "3"}}} {
		n, err := c.s.PruneEvents(c.ctx, c.in(step.before))
		c.must(err)
		c.same("gone", n, step.gone)
		c.same("left", eventIDs(c.events(session.EventFilter{})), step.left)
	}
	c.must(c.s.AddEvents(c.ctx, c.event("1", 1, nil))) // what was forgotten is not known
	c.same("left", eventIDs(c.events(session.EventFilter{})), []string{"4", "3", "1"})
}

func auditFilters(c *check) {
	c.same("events", len(c.events(session.EventFilter{})), 0)
	c.must(c.s.AddEvents(c.ctx))
	whole := c.event("1", 1, nil)
	c.must(c.s.AddEvents(c.ctx, whole,
		c.event("2", 2, func(e *session.Event) { e.User, e.Name = "bob", "name-bob" }),
		c.event("3", 3, func(e *session.Event) { e.Tenant = "labs" }),
		c.event("4", 4, func(e *session.Event) { e.Tenant, e.User, e.Name = "", "", "" })))
	c.must(c.s.AddEvents(c.ctx,
		c.event("5", 5, func(e *session.Event) { e.What = authn.LoginRefused }),
		c.event("6", 6, func(e *session.Event) { e.Reason = "expired" }),
		c.event("late", 0, nil))) // happened before the others, arrived after them
	c.same("event", c.events(session.EventFilter{Tenant: "corp", Before: "2", Limit: 1})[0], whole)
	for name, form := range map[string]struct {
		f    session.EventFilter
		want []string
	}{
		"all":                {session.EventFilter{}, []string{"6", "5", "4", "3", "2", "1", "late"}},
		"portal":             {session.EventFilter{Portal: true}, []string{"4"}},
		"tenant":             {session.EventFilter{Tenant: "corp"}, []string{"6", "5", "2", "1", "late"}},
		"tenant over portal": {session.EventFilter{Tenant: "labs", Portal: true}, []string{"3"}},
		"unknown tenant":     {session.EventFilter{Tenant: "cor"}, nil},
		"user":               {session.EventFilter{Tenant: "corp", User: "bob"}, []string{"2"}},
		"user anywhere":      {session.EventFilter{User: "alice"}, []string{"6", "5", "3", "1", "late"}},
		"name":               {session.EventFilter{Tenant: "corp", Name: "name-bob"}, []string{"2"}},
		"what":               {session.EventFilter{What: authn.LoginRefused}, []string{"5"}},
		"reason":             {session.EventFilter{Reason: "expired"}, []string{"6"}},
		"since":              {session.EventFilter{Since: c.in(4)}, []string{"6", "5", "4"}},
		"since, of tenant":   {session.EventFilter{Tenant: "corp", Since: c.in(2)}, []string{"6", "5", "2"}},
		"before":             {session.EventFilter{Before: "3"}, []string{"2", "1", "late"}},
		"before, of tenant":  {session.EventFilter{Tenant: "corp", Before: "5"}, []string{"2", "1", "late"}},
		"between":            {session.EventFilter{Since: c.in(2), Before: "5"}, []string{"4", "3", "2"}},
		"limit":              {session.EventFilter{Limit: 2}, []string{"6", "5"}},
		"nothing agrees":     {session.EventFilter{Tenant: "labs", User: "bob"}, nil},
	} {
		c.same(name, eventIDs(c.events(form.f)), form.want)
	}
	_, err := c.s.Events(c.ctx, session.EventFilter{Before: "unknown"})
	c.refuses(err, session.ErrNotFound)
	_, err = c.s.Events(c.ctx, session.EventFilter{Tenant: "labs", Before: "5"}) // of another tenant
	c.refuses(err, session.ErrNotFound)
	_, err = c.s.Events(c.ctx, session.EventFilter{Portal: true, Before: "5"})
	c.refuses(err, session.ErrNotFound)
}

// auditPages walks through events of which many happened at the same moment.
func auditPages(c *check) {
	for at := range 3 {
		var batch []session.Event
		for i := range 500 {
			batch = append(batch, c.event(fmt.Sprintf("%d-%03d", at, i), at, nil))
		}
		c.must(c.s.AddEvents(c.ctx, batch...))
	}
	c.same("without limit", len(c.events(session.EventFilter{})), 100)
	c.same("over the limit", len(c.events(session.EventFilter{Limit: 5000})), 1000)
	seen := map[string]bool{}
	last := session.Event{At: c.in(100)}
	for {
		page := c.events(session.EventFilter{Tenant: "corp", Before: last.ID, Limit: 77})
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if seen[e.ID] || e.At.After(last.At) {
				c.Fatalf("%s came twice or out of order", e.ID)
			}
			seen[e.ID], last = true, e
		}
	}
	c.same("events", len(seen), 1500)
}

func auditWhole(c *check) {
	c.must(c.s.AddEvents(c.ctx, c.event("1", 1, nil)))
	c.refuses(c.s.AddEvents(c.ctx, c.event("2", 2, nil), c.event("1", 3, nil), c.event("3", 3, nil)), session.ErrConflict)
	c.refuses(c.s.AddEvents(c.ctx, c.event("4", 2, nil), c.event("4", 3, nil)), session.ErrConflict)
	c.same("events", eventIDs(c.events(session.EventFilter{})), []string{"1"})
	errs := race(20, func(i int) error { return c.s.AddEvents(c.ctx, c.event(fmt.Sprint("race ", i), i, nil)) })
	c.must(errors.Join(errs...))
	c.same("events", len(c.events(session.EventFilter{})), 21)
}

// cancelled: every call with a cancelled context errs with the context's error, and does nothing.
func cancelled(c *check) {
	c.tenant("corp")
	alice := c.user("corp", "alice")
	key := c.credential(alice, "passkey", "1")
	alice = c.userNow("corp", "alice")
	invitation := c.held(alice, "i", "login")
	r := c.stored("a", func(r *session.Row) { r.Index = session.Index{Tenant: "corp", Person: "alice"} })
	c.must(c.s.AddEvents(c.ctx, c.event("1", 1, nil)))
	c.must(c.s.AddDenial(c.ctx, factors.Denial{ID: "a", By: factors.DenyKey, Value: "00", Created: c.now}))
	ctx, cancel := context.WithCancel(c.ctx)
	cancel()
	late := c.in(100_000)
	for name, err := range cancelledCalls(ctx, c, alice, key, invitation, r, late) {
		if !errors.Is(err, context.Canceled) {
			c.Fatalf("%s: got error %v, want %v", name, err, context.Canceled)
		}
	}
	c.unchanged(r)
	c.same("user", c.userNow("corp", "alice"), alice)
	c.same("invitation", c.invitation("i"), invitation)
	got, err := c.s.Credential(c.ctx, "corp", "passkey", "1")
	c.must(err)
	c.same("credential", got, key)
	c.same("events", len(c.events(session.EventFilter{})), 1)
	c.must(c.s.Spend(c.ctx, "id", c.in(60)))
	c.take(0, true, 0, budget("b", 1))
}

func cancelledCalls(ctx context.Context, c *check, u session.User, key factors.Credential, i session.Invitation, r session.Row, late time.Time) map[string]error {
	s, calls := c.s, map[string]error{}
	put := func(name string, err error) { calls[name] = err }
	_, err := s.Session(ctx, "a", c.now)
	put("Session", err)
	put("CreateSession", s.CreateSession(ctx, c.row("b")))
	put("SwapSession", s.SwapSession(ctx, swap(r, "x")))
	put("SaveValues", s.SaveValues(ctx, "a", 0, nil))
	put("TouchSession", s.TouchSession(ctx, "a", 1, c.in(9)))
	_, err = s.EndSessions(ctx, session.Match{Tenant: "corp"}, c.now)
	put("EndSessions", err)
	_, err = s.ListSessions(ctx, session.Match{Tenant: "corp"}, c.now, 0)
	put("ListSessions", err)
	_, err = s.PruneSessions(ctx, late)
	put("PruneSessions", err)
	_, _, err = s.TakeAttempt(ctx, []session.Budget{budget("b", 1)}, c.now)
	put("TakeAttempt", err)
	put("GiveAttempt", s.GiveAttempt(ctx, []session.Budget{budget("b", 1)}, c.now))
	_, err = s.PruneAttempts(ctx, late)
	put("PruneAttempts", err)
	put("Spend", s.Spend(ctx, "id", late))
	_, err = s.PruneSpent(ctx, late)
	put("PruneSpent", err)
	put("SetCutoff", s.SetCutoff(ctx, hash("x"), c.now, late))
	_, err = s.Cutoff(ctx, hash("x"))
	put("Cutoff", err)
	_, err = s.PruneCutoffs(ctx, late)
	put("PruneCutoffs", err)
	_, err = s.Tenant(ctx, "corp")
	put("Tenant", err)
	_, err = s.Tenants(ctx)
	put("Tenants", err)
	put("CreateTenant", s.CreateTenant(ctx, session.Tenant{ID: "x"}))
	put("SetTenantStatus", s.SetTenantStatus(ctx, "corp", session.Suspended, c.now))
	_, err = s.User(ctx, "corp", "alice")
	put("User", err)
	_, err = s.UserNamed(ctx, "corp", u.Name, authn.ClassPerson)
	put("UserNamed", err)
	_, err = s.UserByHandle(ctx, u.Handle)
	put("UserByHandle", err)
	_, err = s.Users(ctx, "corp")
	put("Users", err)
	put("CreateUser", s.CreateUser(ctx, c.newUser("corp", "x")))
	put("Provision", s.Provision(ctx, c.provisioned("corp", "y", "y")))
	put("SetUser", s.SetUser(ctx, u))
	_, err = s.Credential(ctx, "corp", "passkey", "1")
	put("Credential", err)
	_, err = s.Credentials(ctx, "corp", "alice", "")
	put("Credentials", err)
	put("Enrol", s.Enrol(ctx, session.Enrolled{TenantEpoch: 1, Credential: c.newCredential(u, "passkey", "2"), Epoch: u.Epoch, At: c.now}))
	put("UpdateCredential", s.UpdateCredential(ctx, key))
	put("RemoveCredential", s.RemoveCredential(ctx, "corp", "alice", "passkey", "1", 0))
	put("CreateInvitation", s.CreateInvitation(ctx, c.newInvitation(u, "j")))
	_, err = s.InvitationByCode(ctx, i.CodeHash)
	put("InvitationByCode", err)
	_, err = s.Invitations(ctx, "corp")
	put("Invitations", err)
	put("HoldInvitation", s.HoldInvitation(ctx, "i", "x", c.now))
	put("RevokeInvitation", s.RevokeInvitation(ctx, "corp", "i", c.now))
	put("AddDenial", s.AddDenial(ctx, factors.Denial{ID: "b", By: factors.DenyKey, Value: "11"}))
	put("RemoveDenial", s.RemoveDenial(ctx, "", "a"))
	_, err = s.ListDenials(ctx)
	put("ListDenials", err)
	put("AddEvents", s.AddEvents(ctx, c.event("2", 2, nil)))
	_, err = s.Events(ctx, session.EventFilter{})
	put("Events", err)
	_, err = s.PruneEvents(ctx, late)
	put("PruneEvents", err)
	return calls
}
