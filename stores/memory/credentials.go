package memory

import (
	"context"
	"errors"
	"slices"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// credentialKey leaves the tenant out: an id is unique within its factor, in all tenants.
type credentialKey struct{ factor, id string }

// Credential implements [session.Directory].
func (d *directory) Credential(ctx context.Context, tenant, factor, id string) (factors.Credential, error) {
	if err := ctx.Err(); err != nil {
		return factors.Credential{}, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	c, ok := d.credentials[credentialKey{factor, id}]
	if !ok || c.Tenant != tenant {
		return factors.Credential{}, session.ErrNotFound
	}
	return c, nil
}

// Credentials implements [session.Directory].
func (d *directory) Credentials(ctx context.Context, tenant, user, factor string) ([]factors.Credential, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []factors.Credential
	for _, k := range d.owned[userKey{tenant, user}] {
		if factor == "" || factor == k.factor {
			all = append(all, d.credentials[k])
		}
	}
	slices.SortStableFunc(all, func(a, b factors.Credential) int { return a.Created.Compare(b.Created) })
	return all, nil
}

// Enrol implements [session.Directory].
func (d *directory) Enrol(ctx context.Context, e session.Enrolled) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := e.Credential
	if c.ID == "" || c.Factor == "" {
		return errors.New("memory: a credential without id or factor")
	}
	if e.At.IsZero() {
		return errNoTime
	}
	owner, key := userKey{c.Tenant, c.User}, credentialKey{c.Factor, c.ID}
	d.mu.Lock()
	defer d.mu.Unlock()
	u, err := d.user(owner)
	if err != nil {
		return err
	}
	if _, taken := d.credentials[key]; taken || u.Epoch != e.Epoch || d.tenants[c.Tenant].Epoch != e.TenantEpoch || !d.redeemable(e) {
		return session.ErrConflict
	}
	if e.Invitation != "" {
		i := d.invitations[e.Invitation]
		i.Spent = utc(e.At)
		d.invitations[e.Invitation] = i
		u.Cutoff = later(u.Cutoff, utc(e.At))
	}
	u.Epoch++
	d.users[owner] = u
	d.addCredential(c)
	return nil
}

func (d *directory) addCredential(c factors.Credential) {
	owner, key := userKey{c.Tenant, c.User}, credentialKey{c.Factor, c.ID}
	c.Data, c.Created, c.Used = own(c.Data), utc(c.Created), utc(c.Used)
	d.credentials[key] = c
	d.owned[owner] = append(d.owned[owner], key)
}

// redeemable reports whether the invitation that e names, if any, may be spent on it.
func (d *directory) redeemable(e session.Enrolled) bool {
	if e.Invitation == "" {
		return true
	}
	i, ok := d.invitations[e.Invitation]
	return ok && i.Open(e.At) && i.Holder != "" && i.Holder == e.Holder &&
		i.Tenant == e.Credential.Tenant && i.User == e.Credential.User
}

// UpdateCredential implements [session.Directory].
func (d *directory) UpdateCredential(ctx context.Context, c factors.Credential) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	key := credentialKey{c.Factor, c.ID}
	d.mu.Lock()
	defer d.mu.Unlock()
	old, ok := d.credentials[key]
	if !ok || old.Tenant != c.Tenant || old.User != c.User {
		return session.ErrNotFound
	}
	if old.Version != c.Version {
		return session.ErrConflict
	}
	old.Data, old.Name, old.Flagged, old.Best = own(c.Data), c.Name, c.Flagged, c.Best
	old.Created, old.Used = utc(c.Created), utc(c.Used)
	old.Version++
	d.credentials[key] = old
	return nil
}

// RemoveCredential implements [session.Directory].
func (d *directory) RemoveCredential(ctx context.Context, tenant, user, factor, id string, epoch uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	owner, key := userKey{tenant, user}, credentialKey{factor, id}
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.credentials[key]
	if !ok || c.Tenant != tenant || c.User != user {
		return session.ErrNotFound
	}
	u := d.users[owner]
	if u.Epoch != epoch {
		return session.ErrConflict
	}
	delete(d.credentials, key)
	d.owned[owner] = slices.DeleteFunc(d.owned[owner], func(k credentialKey) bool { return k == key })
	u.Epoch++
	d.users[owner] = u
	return nil
}
