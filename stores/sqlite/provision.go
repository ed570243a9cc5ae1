package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/sallyport-auth/sallyport/session"
)

// Provision implements [session.Directory].
func (s *Store) Provision(ctx context.Context, p session.Provisioned) error {
	u, c := p.User, p.Credential
	switch {
	case u.ID == "" || u.Name == "":
		return errors.New("sqlite: a user without id or name")
	case c.ID == "" || c.Factor == "":
		return errors.New("sqlite: a credential without id or factor")
	case c.Tenant != u.Tenant || c.User != u.ID:
		return errors.New("sqlite: a new user with somebody else's credential")
	}
	return s.transact(ctx, "provision", func(tx *sql.Tx) error {
		if err := checkEpoch(ctx, tx, p.TenantEpoch, tenantEpoch, u.Tenant); err != nil {
			return err
		}
		if err := insertUser(ctx, tx, u); err != nil {
			return err
		}
		return insertCredential(ctx, tx, c)
	})
}
