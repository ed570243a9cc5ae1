package memory

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/session"
)

// Provision implements [session.Directory].
func (d *directory) Provision(ctx context.Context, p session.Provisioned) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u, c := p.User, p.Credential
	switch {
	case u.ID == "" || u.Name == "":
		return errors.New("memory: a user without id or name")
	case c.ID == "" || c.Factor == "":
		return errors.New("memory: a credential without id or factor")
	case c.Tenant != u.Tenant || c.User != u.ID:
		return errors.New("memory: a new user with somebody else's credential")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.tenants[u.Tenant]
	if !ok {
		return session.ErrNotFound
	}
	if _, taken := d.credentials[credentialKey{c.Factor, c.ID}]; taken || t.Epoch != p.TenantEpoch || d.taken(u) {
		return session.ErrConflict
	}
	d.addUser(u)
	d.addCredential(c)
	return nil
}
