package memory

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

// CreateInvitation implements [session.Directory]. The user must be there; an id or a code that exists is
// [session.ErrConflict].
func (d *directory) CreateInvitation(ctx context.Context, i session.Invitation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if i.ID == "" {
		return errors.New("memory: an invitation without id")
	}
	if i.Created.IsZero() {
		return errNoTime
	}
	i.Created, i.Expires, i.Spent, i.Revoked = utc(i.Created), utc(i.Expires), utc(i.Spent), utc(i.Revoked)
	owner := userKey{i.Tenant, i.User}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.user(owner); err != nil {
		return err
	}
	_, idTaken := d.invitations[i.ID]
	_, codeTaken := d.codes[i.CodeHash]
	if idTaken || codeTaken {
		return session.ErrConflict
	}
	for _, id := range d.invitedUser[owner] {
		if old := d.invitations[id]; old.Open(i.Created) {
			old.Revoked = i.Created
			d.invitations[id] = old
		}
	}
	d.invitations[i.ID] = i
	d.codes[i.CodeHash] = i.ID
	d.invited[i.Tenant] = append(d.invited[i.Tenant], i.ID)
	d.invitedUser[owner] = append(d.invitedUser[owner], i.ID)
	return nil
}

// InvitationByCode implements [session.Directory].
func (d *directory) InvitationByCode(ctx context.Context, hash session.Digest) (session.Invitation, error) {
	if err := ctx.Err(); err != nil {
		return session.Invitation{}, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	i, ok := d.invitations[d.codes[hash]]
	if !ok {
		return session.Invitation{}, session.ErrNotFound
	}
	return i, nil
}

// Invitations implements [session.Directory].
func (d *directory) Invitations(ctx context.Context, tenant string) ([]session.Invitation, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make([]session.Invitation, 0, len(d.invited[tenant]))
	for _, id := range d.invited[tenant] {
		all = append(all, d.invitations[id])
	}
	slices.SortFunc(all, func(a, b session.Invitation) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// HoldInvitation implements [session.Directory].
func (d *directory) HoldInvitation(ctx context.Context, id, holder string, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	i, ok := d.invitations[id]
	if !ok {
		return session.ErrNotFound
	}
	if !i.Open(now) {
		return session.ErrConflict
	}
	i.Holder = holder
	d.invitations[id] = i
	return nil
}

// RevokeInvitation implements [session.Directory]. One that is not open is [session.ErrConflict].
func (d *directory) RevokeInvitation(ctx context.Context, tenant, id string, at time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if at.IsZero() {
		return errNoTime
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	i, ok := d.invitations[id]
	if !ok || i.Tenant != tenant {
		return session.ErrNotFound
	}
	if !i.Open(at) {
		return session.ErrConflict
	}
	i.Revoked = utc(at)
	d.invitations[id] = i
	return nil
}
