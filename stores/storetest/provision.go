package storetest

import (
	"errors"
	"fmt"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
)

// provisioned is a user who isn't there yet and a credential of theirs, under the tenant's first epoch.
func (c *check) provisioned(tenant, id, credential string) session.Provisioned {
	u := c.newUser(tenant, id)
	return session.Provisioned{User: u, Credential: c.newCredential(u, "oidc", credential), TenantEpoch: 1}
}

func provision(c *check) {
	c.tenant("corp")
	p := c.provisioned("corp", "alice", "1")
	p.User.Epoch, p.User.Cutoff, p.User.Admin, p.User.NamedElsewhere = 7, c.in(-5), true, true
	p.Credential.Version = 3
	in := p
	in.User.Handle, in.Credential.Data = []byte(string(p.User.Handle)), []byte(string(p.Credential.Data))
	c.must(c.s.Provision(c.ctx, in))
	scribble(in.User.Handle, in.Credential.Data)

	c.same("user", c.userNow("corp", "alice"), p.User)
	named, err := c.s.UserNamed(c.ctx, "corp", p.User.Name, authn.ClassPerson)
	c.must(err)
	c.same("by name", named, p.User)
	handled, err := c.s.UserByHandle(c.ctx, p.User.Handle)
	c.must(err)
	c.same("by handle", handled, p.User)
	got, err := c.s.Credential(c.ctx, "corp", "oidc", "1")
	c.must(err)
	c.same("credential", got, p.Credential)
	c.directoryIs("corp", []string{"alice"}, []string{"1"})

	c.must(c.s.Enrol(c.ctx, c.enrolled(c.newCredential(p.User, "passkey", "2")))) // as any other user
	c.same("epoch", c.userNow("corp", "alice").Epoch, 8)
	for _, id := range []string{"x", "y"} { // without handle there is nothing to clash
		next := c.provisioned("corp", id, "of "+id)
		next.User.Handle = nil
		c.must(c.s.Provision(c.ctx, next))
	}
}

// directoryIs checks who is in a tenant, and which credentials they have, in the order of their names.
func (c *check) directoryIs(tenant string, users, credentials []string) {
	c.Helper()
	all, err := c.s.Users(c.ctx, tenant)
	c.must(err)
	var ids, keys []string
	for _, u := range all {
		ids = append(ids, u.ID)
		own, err := c.s.Credentials(c.ctx, tenant, u.ID, "")
		c.must(err)
		for _, k := range own {
			keys = append(keys, k.ID)
		}
	}
	c.same("users", ids, users)
	c.same("credentials", keys, credentials)
}

// provisionRefuses: whatever is wrong, nothing of it is stored.
func provisionRefuses(c *check) {
	c.tenant("corp")
	c.tenant("labs")
	bob, abroad := c.user("corp", "bob"), c.user("labs", "bob")
	c.credential(bob, "oidc", "taken")
	c.credential(abroad, "oidc", "taken abroad")
	anything := errors.New("any error")
	for name, bad := range map[string]struct {
		want error
		edit func(p *session.Provisioned)
	}{
		"id is taken":             {session.ErrConflict, func(p *session.Provisioned) { p.User.ID, p.Credential.User = "bob", "bob" }},
		"name is taken":           {session.ErrConflict, func(p *session.Provisioned) { p.User.Name = bob.Name }},
		"handle is taken":         {session.ErrConflict, func(p *session.Provisioned) { p.User.Handle = bob.Handle }},
		"handle taken abroad":     {session.ErrConflict, func(p *session.Provisioned) { p.User.Handle = abroad.Handle }},
		"credential exists":       {session.ErrConflict, func(p *session.Provisioned) { p.Credential.ID = "taken" }},
		"and so abroad":           {session.ErrConflict, func(p *session.Provisioned) { p.Credential.ID = "taken abroad" }},
		"tenant's epoch older":    {session.ErrConflict, func(p *session.Provisioned) { p.TenantEpoch = 0 }},
		"tenant's epoch newer":    {session.ErrConflict, func(p *session.Provisioned) { p.TenantEpoch = 2 }},
		"unknown tenant":          {session.ErrNotFound, func(p *session.Provisioned) { p.User.Tenant, p.Credential.Tenant = "none", "none" }},
		"no tenant":               {session.ErrNotFound, func(p *session.Provisioned) { p.User.Tenant, p.Credential.Tenant = "", "" }},
		"credential of another":   {anything, func(p *session.Provisioned) { p.Credential.User = "bob" }},
		"credential of labs":      {anything, func(p *session.Provisioned) { p.Credential.Tenant = "labs" }},
		"no id":                   {anything, func(p *session.Provisioned) { p.User.ID, p.Credential.User = "", "" }},
		"no name":                 {anything, func(p *session.Provisioned) { p.User.Name = "" }},
		"credential without id":   {anything, func(p *session.Provisioned) { p.Credential.ID = "" }},
		"credential of no factor": {anything, func(p *session.Provisioned) { p.Credential.Factor = "" }},
	} {
		p := c.provisioned("corp", "alice", "new")
		bad.edit(&p)
		err := c.s.Provision(c.ctx, p)
		if bad.want == anything && (err == nil || errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrNotFound)) ||
			bad.want != anything && !errors.Is(err, bad.want) {
			c.Fatalf("%s: got error %v, want %v", name, err, bad.want)
		}
		c.directoryIs("corp", []string{"bob"}, []string{"taken"})
		c.directoryIs("labs", []string{"bob"}, []string{"taken abroad"})
		_, err = c.s.Credential(c.ctx, "corp", "oidc", "new")
		c.refuses(err, session.ErrNotFound)
		_, err = c.s.UserByHandle(c.ctx, c.newUser("corp", "alice").Handle)
		c.refuses(err, session.ErrNotFound)
	}
	c.must(c.s.Provision(c.ctx, c.provisioned("corp", "alice", "new"))) // no refusal left a name, handle or id behind
	c.refuses(c.s.Provision(c.ctx, c.provisioned("corp", "alice", "new")), session.ErrConflict)

	// The same names in two tenants, and the same id of two factors, are not the same.
	c.must(c.s.Provision(c.ctx, c.provisioned("labs", "alice", "new of labs")))
	other := c.provisioned("labs", "carol", "new")
	other.Credential.Factor = "saml"
	c.must(c.s.Provision(c.ctx, other))
	_, err := c.s.Credential(c.ctx, "corp", "oidc", "new of labs")
	c.refuses(err, session.ErrNotFound)
}

// provisionRace: one identity that arrives many times at once becomes one user.
func provisionRace(c *check) {
	c.tenant("corp")
	c.tenant("labs")
	errs := race(20, func(i int) error { return c.s.Provision(c.ctx, c.provisioned("corp", fmt.Sprint("u", i), "wanted")) })
	first := fmt.Sprint("u", c.oneWins(errs, session.ErrConflict))
	c.directoryIs("corp", []string{first}, []string{"wanted"})

	errs = race(20, func(i int) error { return c.s.Provision(c.ctx, c.provisioned("labs", "same", fmt.Sprint("k", i))) })
	c.directoryIs("labs", []string{"same"}, []string{fmt.Sprint("k", c.oneWins(errs, session.ErrConflict))})

	// One who is provisioned and one who enrols want the same.
	alice := c.userNow("corp", first)
	errs = race(20, func(i int) error {
		if i%2 == 0 {
			return c.s.Provision(c.ctx, c.provisioned("corp", fmt.Sprint("v", i), "both"))
		}
		return c.s.Enrol(c.ctx, session.Enrolled{TenantEpoch: 1, Credential: c.newCredential(alice, "oidc", "both"), Epoch: 1, At: c.now})
	})
	users := 1
	if c.oneWins(errs, session.ErrConflict)%2 == 0 {
		users = 2
	}
	all, err := c.s.Users(c.ctx, "corp")
	c.must(err)
	c.same("users", len(all), users)
}
