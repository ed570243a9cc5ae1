package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
)

func tenants(c *check) {
	_, err := c.s.Tenant(c.ctx, "corp")
	c.refuses(err, session.ErrNotFound)
	c.refuses(c.s.SetTenantStatus(c.ctx, "corp", session.Suspended, c.now), session.ErrNotFound)
	corp, labs := c.tenant("corp"), c.tenant("labs")
	got, err := c.s.Tenant(c.ctx, "corp")
	c.must(err)
	c.same("tenant", got, corp)
	again := corp
	again.Name = "Other"
	c.refuses(c.s.CreateTenant(c.ctx, again), session.ErrConflict)

	c.must(c.s.SetTenantStatus(c.ctx, "corp", session.Suspended, c.in(7)))
	corp.Status, corp.Epoch, corp.Cutoff = session.Suspended, 2, c.in(7)
	all, err := c.s.Tenants(c.ctx)
	c.must(err)
	slices.SortFunc(all, func(a, b session.Tenant) int { return strings.Compare(a.ID, b.ID) })
	c.same("tenants", all, []session.Tenant{corp, labs})
	for _, cutoff := range []time.Time{c.in(9), c.in(3), {}} {
		c.must(c.s.SetTenantStatus(c.ctx, "corp", session.Active, cutoff))
	}
	got, err = c.s.Tenant(c.ctx, "corp")
	c.must(err)
	c.same("status, epoch and cutoff", []any{got.Status, got.Epoch, got.Cutoff}, []any{session.Active, uint64(5), c.in(9)}) // it never moves back

	errs := race(20, func(int) error { return c.s.SetTenantStatus(c.ctx, "corp", session.Suspended, c.now) })
	for _, err := range errs {
		c.must(err)
	}
	got, err = c.s.Tenant(c.ctx, "corp")
	c.must(err)
	c.same("epoch", got.Epoch, 25) // none was lost
}

// classes are those that names are apart in.
var classes = []authn.Class{authn.ClassPerson, authn.ClassDevice, authn.ClassWorkload}

func users(c *check) {
	c.tenant("corp")
	alice := c.user("corp", "alice")
	kiosk := c.newUser("corp", "kiosk")
	kiosk.Class, kiosk.Admin, kiosk.Status, kiosk.Epoch = authn.ClassDevice, true, session.Suspended, 7
	c.must(c.s.CreateUser(c.ctx, kiosk))
	job := c.newUser("corp", "job")
	job.Class = authn.ClassWorkload
	c.must(c.s.CreateUser(c.ctx, job))
	for _, want := range []session.User{alice, kiosk, job} {
		byID, err := c.s.User(c.ctx, "corp", want.ID)
		c.must(err)
		byName, err := c.s.UserNamed(c.ctx, "corp", want.Name, want.Class)
		c.must(err)
		byHandle, err := c.s.UserByHandle(c.ctx, want.Handle)
		c.must(err)
		c.same("user", []session.User{byID, byName, byHandle}, []session.User{want, want, want})
		for _, other := range classes {
			if other == want.Class {
				continue
			}
			_, err = c.s.UserNamed(c.ctx, "corp", want.Name, other)
			c.refuses(err, session.ErrNotFound)
		}
	}
	for _, find := range []func() (session.User, error){
		func() (session.User, error) { return c.s.User(c.ctx, "corp", "bob") },
		func() (session.User, error) { return c.s.User(c.ctx, "corp", "") },
		func() (session.User, error) { return c.s.User(c.ctx, "", "alice") },
		func() (session.User, error) { return c.s.UserNamed(c.ctx, "corp", "alice", authn.ClassPerson) }, // an id is no name
		func() (session.User, error) { return c.s.UserNamed(c.ctx, "corp", "", authn.ClassPerson) },
		func() (session.User, error) { return c.s.UserNamed(c.ctx, "labs", alice.Name, authn.ClassPerson) },
		func() (session.User, error) { return c.s.UserByHandle(c.ctx, []byte("unknown")) },
		func() (session.User, error) { return c.s.UserByHandle(c.ctx, alice.Handle[:63]) },
		func() (session.User, error) { return c.s.UserByHandle(c.ctx, nil) },
	} {
		got, err := find()
		c.refuses(err, session.ErrNotFound)
		c.same("found nevertheless", got, session.User{})
	}
	for i, name := range []string{"zoe", "adam", "mia"} {
		u := c.newUser("corp", fmt.Sprint("u", i))
		u.Name = name
		c.must(c.s.CreateUser(c.ctx, u))
	}
	all, err := c.s.Users(c.ctx, "corp")
	c.must(err)
	var names []string
	for _, u := range all {
		names = append(names, u.Name)
	}
	c.same("by name", names, []string{"adam", "mia", "name-alice", "name-job", "name-kiosk", "zoe"})
	all, err = c.s.Users(c.ctx, "labs")
	c.must(err)
	c.same("users of no tenant", len(all), 0)

	mine := slices.Clone(alice.Handle)
	bob := c.newUser("corp", "bob")
	want := slices.Clone(bob.Handle)
	c.must(c.s.CreateUser(c.ctx, bob))
	scribble(bob.Handle)
	c.same("handle", c.userNow("corp", "bob").Handle, want)
	c.same("handle", c.userNow("corp", "alice").Handle, mine)
}

func exactNames(c *check) {
	c.tenant("corp")
	for i, name := range []string{"alice", "Alice", "alice ", "ali%", "ALICE", "álice", "a\u0301lice"} {
		u := c.newUser("corp", fmt.Sprint("u", i))
		u.Name = name
		c.must(c.s.CreateUser(c.ctx, u))
		got, err := c.s.UserNamed(c.ctx, "corp", name, authn.ClassPerson)
		c.must(err)
		c.same("user", got.ID, u.ID)
	}
	for _, name := range []string{"aLice", " alice", "a%", "alice\x00", "%"} {
		_, err := c.s.UserNamed(c.ctx, "corp", name, authn.ClassPerson)
		c.refuses(err, session.ErrNotFound)
	}
	_, err := c.s.Tenant(c.ctx, "Corp")
	c.refuses(err, session.ErrNotFound)
	_, err = c.s.User(c.ctx, "corp", "U0")
	c.refuses(err, session.ErrNotFound)
}

func uniqueUsers(c *check) {
	c.tenant("corp")
	alice := c.user("corp", "alice")
	clash := func(edit func(u *session.User)) {
		c.Helper()
		u := c.newUser("corp", "other")
		edit(&u)
		c.refuses(c.s.CreateUser(c.ctx, u), session.ErrConflict)
	}
	clash(func(u *session.User) { u.ID = alice.ID })
	for _, class := range classes {
		clash(func(u *session.User) { u.ID, u.Class = alice.ID, class }) // ids have one namespace
	}
	clash(func(u *session.User) { u.Name = alice.Name })
	clash(func(u *session.User) { u.Handle = alice.Handle })
	_, err := c.s.User(c.ctx, "corp", "other")
	c.refuses(err, session.ErrNotFound)
	_, err = c.s.UserNamed(c.ctx, "corp", "name-other", authn.ClassPerson)
	c.refuses(err, session.ErrNotFound)

	for _, class := range classes[1:] { // each has names of its own
		u := c.newUser("corp", class.String())
		u.Name, u.Class = alice.Name, class
		c.must(c.s.CreateUser(c.ctx, u))
		clash(func(u *session.User) { u.Name, u.Class = alice.Name, class })
		u.Name = "name-other"
		c.must(c.s.SetUser(c.ctx, u))
		c.same("the name of "+class.String(), c.userNow("corp", class.String()).Name, "name-other")
		c.same("another's of the name", c.userNow("corp", "alice").Name, alice.Name)
	}
	unknown := c.newUser("corp", "unknown")
	unknown.Class = 3
	if err := c.s.CreateUser(c.ctx, unknown); err == nil {
		c.Errorf("a user of no class that is known was made")
	}

	c.refuses(c.s.CreateUser(c.ctx, c.newUser("labs", "alice")), session.ErrNotFound) // no such tenant
	c.tenant("labs")
	abroad := c.newUser("labs", "alice")
	abroad.Handle = alice.Handle // unique in the portal
	c.refuses(c.s.CreateUser(c.ctx, abroad), session.ErrConflict)

	errs := race(20, func(i int) error {
		u := c.newUser("corp", fmt.Sprint("same name ", i))
		u.Name = "wanted"
		return c.s.CreateUser(c.ctx, u)
	})
	c.oneWins(errs, session.ErrConflict)
	for _, id := range []string{"x", "y"} { // without handle there is nothing to clash
		u := c.newUser("corp", id)
		u.Handle = nil
		c.must(c.s.CreateUser(c.ctx, u))
	}
}

func setUser(c *check) {
	c.tenant("corp")
	alice, bob := c.user("corp", "alice"), c.user("corp", "bob")
	edit := alice
	edit.Name, edit.Display, edit.Status, edit.Admin = "new", "New", session.Suspended, true
	edit.Handle, edit.Created, edit.Class = []byte("other"), c.in(99), authn.ClassWorkload // these stay as they are
	want := alice
	want.Name, want.Display, want.Status, want.Admin, want.Epoch = "new", "New", session.Suspended, true, 2
	edit.Class = authn.ClassPerson
	c.must(c.s.SetUser(c.ctx, edit))
	c.same("user", c.userNow("corp", "alice"), want)
	_, err := c.s.UserNamed(c.ctx, "corp", alice.Name, authn.ClassPerson)
	c.refuses(err, session.ErrNotFound)
	got, err := c.s.UserNamed(c.ctx, "corp", "new", authn.ClassPerson)
	c.must(err)
	c.same("by new name", got, want)
	_, err = c.s.UserByHandle(c.ctx, []byte("other"))
	c.refuses(err, session.ErrNotFound)
	for i, elsewhere := range []bool{true, false} {
		next := c.userNow("corp", "bob")
		next.NamedElsewhere = elsewhere
		c.must(c.s.SetUser(c.ctx, next))
		next.Epoch = uint64(i + 2)
		c.same("user", c.userNow("corp", "bob"), next)
	}
	bob = c.userNow("corp", "bob")

	c.refuses(c.s.SetUser(c.ctx, edit), session.ErrConflict) // the epoch moved
	edit.Epoch = 2
	edit.Name = bob.Name
	c.refuses(c.s.SetUser(c.ctx, edit), session.ErrConflict)
	c.same("user", c.userNow("corp", "alice"), want)
	c.same("user", c.userNow("corp", "bob"), bob)
	c.refuses(c.s.SetUser(c.ctx, c.newUser("corp", "carol")), session.ErrNotFound)
	c.refuses(c.s.SetUser(c.ctx, c.newUser("labs", "alice")), session.ErrNotFound)
	edit.Name = alice.Name // back to a name that is free again
	c.must(c.s.SetUser(c.ctx, edit))
}

func setUserRace(c *check) {
	c.tenant("corp")
	alice := c.user("corp", "alice")
	errs := race(50, func(i int) error {
		u := alice
		u.Display = fmt.Sprint(i)
		return c.s.SetUser(c.ctx, u)
	})
	winner := c.oneWins(errs, session.ErrConflict)
	c.same("display", c.userNow("corp", "alice").Display, fmt.Sprint(winner))
}

// isolation: two tenants whose users, names, factors and certificates are called the same.
func isolation(c *check) {
	for _, id := range []string{"corp", "labs"} {
		c.tenant(id)
		u := c.user(id, "alice")
		c.credential(u, "passkey", "key of "+id)
		c.must(c.s.CreateInvitation(c.ctx, c.newInvitation(u, "invitation of "+id)))
	}
	corp, labs := c.userNow("corp", "alice"), c.userNow("labs", "alice")

	_, err := c.s.Credential(c.ctx, "labs", "passkey", "key of corp")
	c.refuses(err, session.ErrNotFound)
	own, err := c.s.Credentials(c.ctx, "labs", "alice", "")
	c.must(err)
	c.same("credentials", len(own), 1)
	c.same("credential", own[0].ID, "key of labs")

	stolen := c.newCredential(labs, "passkey", "key of corp")
	c.refuses(c.s.UpdateCredential(c.ctx, stolen), session.ErrNotFound)
	c.refuses(c.s.RemoveCredential(c.ctx, "labs", "alice", "passkey", "key of corp", c.userNow("labs", "alice").Epoch), session.ErrNotFound)
	c.refuses(c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1, Credential: stolen, Epoch: labs.Epoch, At: c.now}), session.ErrConflict)

	c.must(c.s.HoldInvitation(c.ctx, "invitation of corp", "login", c.now))
	c.refuses(c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1,
		Credential: c.newCredential(labs, "passkey", "by another's invitation"), Epoch: labs.Epoch, At: c.now,
		Invitation: "invitation of corp", Holder: "login",
	}), session.ErrConflict)
	c.refuses(c.s.RevokeInvitation(c.ctx, "labs", "invitation of corp", c.now), session.ErrNotFound)
	listed, err := c.s.Invitations(c.ctx, "labs")
	c.must(err)
	c.same("invitations", len(listed), 1)
	c.same("invitation", listed[0].ID, "invitation of labs")

	// A new invitation of one alice, a change of one alice, the end of one tenant: nothing of it reaches the other.
	c.must(c.s.CreateInvitation(c.ctx, c.newInvitation(labs, "second of labs")))
	c.same("open", c.invitation("invitation of corp").Open(c.in(1)), true)
	labs.Status = session.Suspended
	c.must(c.s.SetUser(c.ctx, labs))
	c.must(c.s.SetTenantStatus(c.ctx, "labs", session.Suspended, c.now))
	c.same("user", c.userNow("corp", "alice"), corp)
	t, err := c.s.Tenant(c.ctx, "corp")
	c.must(err)
	c.same("tenant", []any{t.Status, t.Epoch}, []any{session.Active, 1})
	c.must(c.s.RemoveCredential(c.ctx, "labs", "alice", "passkey", "key of labs", c.userNow("labs", "alice").Epoch))
	_, err = c.s.Credential(c.ctx, "corp", "passkey", "key of corp")
	c.must(err)
	c.same("user", c.userNow("corp", "alice"), corp)

	// The same text divided otherwise is another key.
	c.tenant("a")
	c.tenant("ab")
	c.user("a", "bc")
	_, err = c.s.User(c.ctx, "ab", "c")
	c.refuses(err, session.ErrNotFound)
}

func invitations(c *check) {
	c.tenant("corp")
	alice, bob := c.user("corp", "alice"), c.user("corp", "bob")
	first := c.newInvitation(alice, "first")
	c.must(c.s.CreateInvitation(c.ctx, first))
	c.same("invitation", c.invitation("first"), first)
	_, err := c.s.InvitationByCode(c.ctx, hash("code"))
	c.refuses(err, session.ErrNotFound)
	_, err = c.s.InvitationByCode(c.ctx, session.Digest{})
	c.refuses(err, session.ErrNotFound)

	second := c.newInvitation(bob, "second")
	second.Created, second.By = c.in(1), ""
	c.must(c.s.CreateInvitation(c.ctx, second))
	third := c.newInvitation(bob, "third")
	third.Created, third.Expires = c.in(2), c.in(2) // never open
	c.must(c.s.CreateInvitation(c.ctx, third))
	second.Revoked = c.in(2)
	all, err := c.s.Invitations(c.ctx, "corp")
	c.must(err)
	c.same("newest first", all, []session.Invitation{third, second, first})
	all, err = c.s.Invitations(c.ctx, "labs")
	c.must(err)
	c.same("invitations of no tenant", len(all), 0)

	clash := c.newInvitation(alice, "first")
	clash.CodeHash = hash("another code")
	c.refuses(c.s.CreateInvitation(c.ctx, clash), session.ErrConflict)
	clash = c.newInvitation(alice, "fourth")
	clash.CodeHash = first.CodeHash
	c.refuses(c.s.CreateInvitation(c.ctx, clash), session.ErrConflict)
	c.same("not withdrawn", c.invitation("first"), first)
	c.refuses(c.s.CreateInvitation(c.ctx, c.newInvitation(c.newUser("corp", "nobody"), "x")), session.ErrNotFound)
}

func invitationWithdraws(c *check) {
	c.tenant("corp")
	alice := c.user("corp", "alice")
	device := c.newUser("corp", "device")
	device.Class = authn.ClassDevice
	c.must(c.s.CreateUser(c.ctx, device))
	c.held(alice, "held", "login")
	other := c.newInvitation(device, "of another")
	c.must(c.s.CreateInvitation(c.ctx, other))

	next := c.newInvitation(alice, "next")
	next.Created = c.in(10)
	c.must(c.s.CreateInvitation(c.ctx, next))
	c.same("withdrawn at", c.invitation("held").Revoked, c.in(10))
	c.same("next", c.invitation("next"), next)
	c.same("of another", c.invitation("of another"), other)
	c.refuses(c.s.HoldInvitation(c.ctx, "held", "login", c.in(10)), session.ErrConflict)
	c.refuses(c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1,
		Credential: c.newCredential(alice, "passkey", "k"), Epoch: 1, At: c.in(11), Invitation: "held", Holder: "login",
	}), session.ErrConflict)

	// What is spent or withdrawn stays as it is.
	c.must(c.s.HoldInvitation(c.ctx, "next", "login", c.in(11)))
	c.must(c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1,
		Credential: c.newCredential(alice, "passkey", "k"), Epoch: 1, At: c.in(12), Invitation: "next", Holder: "login",
	}))
	last := c.newInvitation(alice, "last")
	last.Created = c.in(20)
	c.must(c.s.CreateInvitation(c.ctx, last))
	c.same("withdrawn at", c.invitation("held").Revoked, c.in(10))
	spent := c.invitation("next")
	c.same("spent", []any{spent.Spent, spent.Revoked.IsZero()}, []any{c.in(12), true})

	race(10, func(i int) error { // at any moment at most one is open
		n := c.newInvitation(alice, fmt.Sprint("race ", i))
		n.Created = c.in(30)
		return c.s.CreateInvitation(c.ctx, n)
	})
	all, err := c.s.Invitations(c.ctx, "corp")
	c.must(err)
	open := 0
	for _, i := range all {
		if i.User == "alice" && i.Open(c.in(30)) {
			open++
		}
	}
	c.same("open", open, 1)
}

func holdInvitation(c *check) {
	c.tenant("corp")
	alice := c.user("corp", "alice")
	i := c.held(alice, "i", "login 1")
	c.same("held", c.invitation("i"), i)
	c.must(c.s.HoldInvitation(c.ctx, "i", "login 2", c.in(1))) // moves
	c.same("holder", c.invitation("i").Holder, "login 2")
	enrol := func(holder string) error {
		return c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1,
			Credential: c.newCredential(alice, "passkey", "k"), Epoch: 1, At: c.in(2), Invitation: "i", Holder: holder,
		})
	}
	c.refuses(enrol("login 1"), session.ErrConflict)
	c.refuses(c.s.HoldInvitation(c.ctx, "unknown", "login", c.now), session.ErrNotFound)
	c.refuses(c.s.HoldInvitation(c.ctx, "i", "login 3", c.in(3600)), session.ErrConflict)
	c.same("holder", c.invitation("i").Holder, "login 2")
	c.must(enrol("login 2"))
	c.refuses(c.s.HoldInvitation(c.ctx, "i", "login 3", c.in(3)), session.ErrConflict)
	c.same("spent", c.invitation("i").Spent, c.in(2))
}

func revokeInvitation(c *check) {
	c.tenant("corp")
	alice := c.user("corp", "alice")
	c.held(alice, "i", "login")
	c.refuses(c.s.RevokeInvitation(c.ctx, "labs", "i", c.in(1)), session.ErrNotFound)
	c.refuses(c.s.RevokeInvitation(c.ctx, "corp", "unknown", c.in(1)), session.ErrNotFound)
	c.must(c.s.RevokeInvitation(c.ctx, "corp", "i", c.in(1)))
	c.same("revoked", c.invitation("i").Revoked, c.in(1))
	c.refuses(c.s.RevokeInvitation(c.ctx, "corp", "i", c.in(2)), session.ErrConflict)
	c.same("revoked", c.invitation("i").Revoked, c.in(1))
	c.refuses(c.s.HoldInvitation(c.ctx, "i", "login", c.in(2)), session.ErrConflict)
	c.refuses(c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1,
		Credential: c.newCredential(alice, "passkey", "k"), Epoch: 1, At: c.in(2), Invitation: "i", Holder: "login",
	}), session.ErrConflict)
	c.held(alice, "late", "login")
	c.refuses(c.s.RevokeInvitation(c.ctx, "corp", "late", c.in(3600)), session.ErrConflict) // expired: no longer open
}
