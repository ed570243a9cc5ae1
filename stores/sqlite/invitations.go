package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

func scanInvitation(row scanner) (session.Invitation, error) {
	var i session.Invitation
	var hash []byte
	var created, expires, spent, revoked int64
	err := row.Scan(&i.ID, &hash, &i.Tenant, &i.User, &created, &i.By, &expires, &spent, &revoked, &i.Holder)
	if err != nil {
		return i, err
	}
	i.Created, i.Expires, i.Spent, i.Revoked = moment(created), moment(expires), moment(spent), moment(revoked)
	i.CodeHash, err = digest(hash)
	return i, err
}

// CreateInvitation implements [session.Directory]. The user must be there; an id or a code that exists is
// [session.ErrConflict].
func (s *Store) CreateInvitation(ctx context.Context, i session.Invitation) error {
	if i.ID == "" {
		return errors.New("sqlite: an invitation without id")
	}
	if i.Created.IsZero() {
		return errNoTime
	}
	return s.transact(ctx, "create invitation", func(tx *sql.Tx) error {
		if _, err := scanUser(tx.QueryRowContext(ctx, readUser, i.Tenant, i.User)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, withdrawInvitations, nanos(i.Created), i.Tenant, i.User); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, addInvitation, i.ID, i.CodeHash[:], i.Tenant, i.User, nanos(i.Created), i.By,
			nanos(i.Expires), nanos(i.Spent), nanos(i.Revoked), i.Holder)
		return err
	})
}

// InvitationByCode implements [session.Directory].
func (s *Store) InvitationByCode(ctx context.Context, hash session.Digest) (session.Invitation, error) {
	i, err := scanInvitation(s.read.QueryRowContext(ctx, invitationByCode, hash[:]))
	return orNone(i, failed(ctx, "invitation", err))
}

// Invitations implements [session.Directory].
func (s *Store) Invitations(ctx context.Context, tenant string) ([]session.Invitation, error) {
	return collect(ctx, s, "invitations", scanInvitation, listInvitations, tenant)
}

// HoldInvitation implements [session.Directory].
func (s *Store) HoldInvitation(ctx context.Context, id, holder string, now time.Time) error {
	return s.transact(ctx, "hold invitation", func(tx *sql.Tx) error {
		n, err := changed(tx.ExecContext(ctx, holdInvitation, holder, id, nanos(now)))
		if err == nil && n == 0 {
			return missed(ctx, tx, hasInvitation, id)
		}
		return err
	})
}

// RevokeInvitation implements [session.Directory]. One that is not open is [session.ErrConflict].
func (s *Store) RevokeInvitation(ctx context.Context, tenant, id string, at time.Time) error {
	if at.IsZero() {
		return errNoTime
	}
	return s.transact(ctx, "revoke invitation", func(tx *sql.Tx) error {
		n, err := changed(tx.ExecContext(ctx, revokeInvitation, nanos(at), id, tenant))
		if err == nil && n == 0 {
			return missed(ctx, tx, hasTenantInvitation, id, tenant)
		}
		return err
	})
}
