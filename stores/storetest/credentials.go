package storetest

import (
	"errors"
	"fmt"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

func credentials(c *check) {
	c.tenant("corp")
	alice, bob := c.user("corp", "alice"), c.user("corp", "bob")
	want := c.newCredential(alice, "passkey", "1")
	want.Used, want.Flagged = c.in(1), "cloned"
	want.Best = authn.Strength{Category: authn.Have, PhishingResistant: true, Hardware: true, UserVerified: true}
	in := want
	in.Data = []byte(string(want.Data))
	c.must(c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1, Credential: in, Epoch: 1, At: c.now}))
	scribble(in.Data)
	got, err := c.s.Credential(c.ctx, "corp", "passkey", "1")
	c.must(err)
	c.same("credential", got, want)

	for i, factor := range []string{"passkey", "device", "passkey"} { // older, and in another order than made
		n := c.newCredential(alice, factor, fmt.Sprint("old ", i))
		n.Created = c.in(-10 + i)
		c.must(c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1, Credential: n, Epoch: uint64(i) + 2, At: c.now}))
	}
	c.credential(bob, "device", "1") // another factor, the same id
	for factor, want := range map[string][]string{"": {"old 0", "old 1", "old 2", "1"}, "passkey": {"old 0", "old 2", "1"}, "device": {"old 1"}, "pass": nil} {
		all, err := c.s.Credentials(c.ctx, "corp", "alice", factor)
		c.must(err)
		var ids []string
		for _, n := range all {
			ids = append(ids, n.ID)
		}
		c.same("credentials of "+factor, ids, want)
	}
	for _, key := range [][3]string{{"corp", "passkey", "2"}, {"corp", "pass", "1"}, {"labs", "passkey", "1"}, {"", "passkey", "1"}} {
		_, err := c.s.Credential(c.ctx, key[0], key[1], key[2])
		c.refuses(err, session.ErrNotFound)
	}
	all, err := c.s.Credentials(c.ctx, "corp", "nobody", "")
	c.must(err)
	c.same("credentials of nobody", len(all), 0)
}

func updateCredential(c *check) {
	c.tenant("corp")
	alice, bob := c.user("corp", "alice"), c.user("corp", "bob")
	old := c.credential(alice, "passkey", "1")
	edit := old
	edit.Name, edit.Data, edit.Flagged, edit.Used, edit.Created = "new", []byte("counter 2"), "cloned", c.in(5), c.in(-5)
	edit.Best = authn.Strength{Category: authn.Have, Hardware: true}
	edit.Kind = "other" // stays as it is
	c.must(c.s.UpdateCredential(c.ctx, edit))
	want := edit
	want.Kind, want.Version = old.Kind, old.Version+1
	want.Data = []byte("counter 2")
	scribble(edit.Data)
	read := func() factors.Credential {
		c.Helper()
		got, err := c.s.Credential(c.ctx, "corp", "passkey", "1")
		c.must(err)
		return got
	}
	c.same("credential", read(), want)
	c.same("epoch", c.userNow("corp", "alice").Epoch, 2) // a counter that moves is no change of credentials

	c.refuses(c.s.UpdateCredential(c.ctx, edit), session.ErrConflict)
	edit.Version = want.Version + 1
	c.refuses(c.s.UpdateCredential(c.ctx, edit), session.ErrConflict)
	edit.Version, edit.User = want.Version, bob.ID
	c.refuses(c.s.UpdateCredential(c.ctx, edit), session.ErrNotFound)
	edit.User, edit.ID = alice.ID, "2"
	c.refuses(c.s.UpdateCredential(c.ctx, edit), session.ErrNotFound)
	c.same("credential", read(), want)
}

func updateCredentialRace(c *check) {
	c.tenant("corp")
	n := c.credential(c.user("corp", "alice"), "passkey", "1")
	errs := race(50, func(i int) error {
		edit := n
		edit.Name = fmt.Sprint(i)
		return c.s.UpdateCredential(c.ctx, edit)
	})
	winner := c.oneWins(errs, session.ErrConflict)
	got, err := c.s.Credential(c.ctx, "corp", "passkey", "1")
	c.must(err)
	c.same("name", got.Name, fmt.Sprint(winner))
}

func removeCredential(c *check) {
	c.tenant("corp")
	alice, bob := c.user("corp", "alice"), c.user("corp", "bob")
	c.credential(alice, "passkey", "1")
	c.credential(alice, "passkey", "2")
	c.credential(alice, "code", "3")
	flagged := c.credential(alice, "passkey", "flagged")
	flagged.Flagged = "cloned"
	c.must(c.s.UpdateCredential(c.ctx, flagged))
	c.credential(bob, "passkey", "bob's")
	remove := func(factor, id string) error {
		return c.s.RemoveCredential(c.ctx, "corp", "alice", factor, id, c.userNow("corp", "alice").Epoch)
	}
	epoch := c.userNow("corp", "alice").Epoch
	c.refuses(remove("passkey", "bob's"), session.ErrNotFound)
	c.refuses(remove("passkey", "3"), session.ErrNotFound)
	c.refuses(remove("passkey", "unknown"), session.ErrNotFound)
	c.refuses(c.s.RemoveCredential(c.ctx, "corp", "nobody", "passkey", "1", 0), session.ErrNotFound)
	for _, stale := range []uint64{0, epoch - 1, epoch + 1} {
		c.refuses(c.s.RemoveCredential(c.ctx, "corp", "alice", "passkey", "1", stale), session.ErrConflict)
	}
	c.same("epoch", c.userNow("corp", "alice").Epoch, epoch)
	_, err := c.s.Credential(c.ctx, "corp", "passkey", "1")
	c.must(err)

	c.must(remove("passkey", "1"))
	c.same("epoch", c.userNow("corp", "alice").Epoch, epoch+1)
	_, err = c.s.Credential(c.ctx, "corp", "passkey", "1")
	c.refuses(err, session.ErrNotFound)
	c.refuses(remove("passkey", "1"), session.ErrNotFound)
	c.must(remove("passkey", "2"))
	c.must(remove("passkey", "flagged"))
	c.must(remove("code", "3"))
	c.same("epoch", c.userNow("corp", "alice").Epoch, epoch+4)
	all, err := c.s.Credentials(c.ctx, "corp", "alice", "")
	c.must(err)
	c.same("left", len(all), 0)
	c.credential(alice, "passkey", "1") // the id is free again
}

// removeCredentialRace removes two of two at once, by what was read before: one goes.
func removeCredentialRace(c *check) {
	c.tenant("corp")
	for round := range 5 {
		u := c.user("corp", fmt.Sprint("user ", round))
		ids := []string{fmt.Sprint("a", round), fmt.Sprint("b", round)}
		for _, id := range ids {
			c.credential(u, "passkey", id)
		}
		epoch := c.userNow("corp", u.ID).Epoch
		errs := race(2, func(i int) error { return c.s.RemoveCredential(c.ctx, "corp", u.ID, "passkey", ids[i], epoch) })
		c.oneWins(errs, session.ErrConflict)
	}
}

func enrol(c *check) {
	c.tenant("corp")
	alice := c.user("corp", "alice")
	c.held(alice, "i", "login")
	want := c.newCredential(alice, "passkey", "1")
	c.must(c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1, Credential: want, Invitation: "i", Holder: "login", Epoch: 1, At: c.in(5)}))
	got, err := c.s.Credential(c.ctx, "corp", "passkey", "1")
	c.must(err)
	c.same("credential", got, want)
	c.same("epoch", c.userNow("corp", "alice").Epoch, 2)
	i := c.invitation("i")
	c.same("spent", i.Spent, c.in(5))
	c.same("open", i.Open(c.in(5)), false)
	c.same("cutoff", c.userNow("corp", "alice").Cutoff, c.in(5))
	c.must(c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1, Credential: c.newCredential(alice, "passkey", "2"), Epoch: 2, At: c.in(6)}))
	c.same("epoch", c.userNow("corp", "alice").Epoch, 3)
	c.same("cutoff without an invitation", c.userNow("corp", "alice").Cutoff, c.in(5))
}

// enrolRefuses: whatever is wrong, nothing of it is stored.
func enrolRefuses(c *check) {
	c.tenant("corp")
	alice, bob := c.user("corp", "alice"), c.user("corp", "bob")
	c.credential(bob, "passkey", "taken")
	bob = c.userNow("corp", "bob")
	c.held(alice, "good", "login")
	c.must(c.s.CreateInvitation(c.ctx, c.newInvitation(bob, "held by nobody")))
	good := session.Enrolled{
		TenantEpoch: 1, Credential: c.newCredential(alice, "passkey", "new"), Invitation: "good", Holder: "login", Epoch: alice.Epoch, At: c.in(5),
	}
	for name, edit := range map[string]func(e *session.Enrolled){
		"credential exists":      func(e *session.Enrolled) { e.Credential.ID = "taken" },
		"epoch is older":         func(e *session.Enrolled) { e.Epoch = 0 },
		"epoch is newer":         func(e *session.Enrolled) { e.Epoch = 2 },
		"the tenant's is older":  func(e *session.Enrolled) { e.TenantEpoch = 0 },
		"the tenant's is newer":  func(e *session.Enrolled) { e.TenantEpoch = 2 },
		"no such invitation":     func(e *session.Enrolled) { e.Invitation = "unknown" },
		"held by another":        func(e *session.Enrolled) { e.Holder = "another login" },
		"no holder":              func(e *session.Enrolled) { e.Holder = "" },
		"invitation has expired": func(e *session.Enrolled) { e.At = c.in(3600) },
		"invitation of another":  func(e *session.Enrolled) { e.Credential.User, e.Epoch = "bob", bob.Epoch },
		"held by nobody": func(e *session.Enrolled) {
			e.Credential.User, e.Epoch, e.Invitation, e.Holder = "bob", bob.Epoch, "held by nobody", ""
		},
	} {
		e := good
		edit(&e)
		if err := c.s.Enrol(c.ctx, e); !errors.Is(err, session.ErrConflict) {
			c.Fatalf("%s: got error %v, want %v", name, err, session.ErrConflict)
		}
		_, err := c.s.Credential(c.ctx, "corp", "passkey", "new")
		c.refuses(err, session.ErrNotFound)
		c.same(name+": open", c.invitation("good").Open(c.in(5)), true)
		c.same(name+": user", c.userNow("corp", "alice"), alice)
		c.same(name+": user", c.userNow("corp", "bob"), bob)
	}
	stranger := good
	stranger.Credential.User = "nobody"
	c.refuses(c.s.Enrol(c.ctx, stranger), session.ErrNotFound)
	c.must(c.s.Enrol(c.ctx, good))

	again := good
	again.Credential.ID, again.Epoch = "second", 2
	c.refuses(c.s.Enrol(c.ctx, again), session.ErrConflict) // spent
	_, err := c.s.Credential(c.ctx, "corp", "passkey", "second")
	c.refuses(err, session.ErrNotFound)
}

func enrolRace(c *check) {
	c.tenant("corp")
	for round := range 3 {
		u := c.user("corp", fmt.Sprint("user ", round))
		invitation := fmt.Sprint("i", round)
		c.held(u, invitation, "login")
		errs := race(100, func(i int) error {
			return c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1,
				Credential: c.newCredential(u, "passkey", fmt.Sprint(round, "-", i)),
				Invitation: invitation, Holder: "login", Epoch: 1, At: c.in(1),
			})
		})
		c.oneWins(errs, session.ErrConflict)
		all, err := c.s.Credentials(c.ctx, "corp", u.ID, "")
		c.must(err)
		c.same("credentials", len(all), 1)
	}
	// One credential id, many users: one of them has it.
	for i := range 20 {
		c.user("corp", fmt.Sprint("rival ", i))
	}
	errs := race(20, func(i int) error {
		return c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1,
			Credential: c.newCredential(c.newUser("corp", fmt.Sprint("rival ", i)), "passkey", "wanted"), Epoch: 1, At: c.in(1),
		})
	})
	c.oneWins(errs, session.ErrConflict)
}
