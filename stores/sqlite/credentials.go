package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

const (
	credentialColumns   = `tenant, user, factor, id, kind, name, data, strength, created, used, flagged, version`
	readCredential      = `SELECT ` + credentialColumns + ` FROM credentials WHERE factor = ? AND id = ? AND tenant = ?`
	listCredentials     = `SELECT ` + credentialColumns + ` FROM credentials WHERE tenant = ?1 AND user = ?2 AND (?3 = '' OR factor = ?3) ORDER BY created, number`
	addCredential       = `INSERT INTO credentials (` + credentialColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	setCredential       = `UPDATE credentials SET name = ?, data = ?, strength = ?, created = ?, used = ?, flagged = ?, version = version + 1 WHERE factor = ? AND id = ? AND tenant = ? AND user = ? AND version = ?`
	hasCredential       = `SELECT 1 FROM credentials WHERE factor = ? AND id = ? AND tenant = ? AND user = ?`
	removeCredential    = `DELETE FROM credentials WHERE factor = ? AND id = ? AND tenant = ? AND user = ?`
	spendInvitation     = `UPDATE invitations SET spent = ?1 WHERE id = ?2 AND tenant = ?3 AND user = ?4 AND holder = ?5 AND holder <> '' AND spent = 0 AND revoked = 0 AND expires > ?1`
	invitationColumns   = `id, code_hash, tenant, user, created, issuer, expires, spent, revoked, holder`
	addInvitation       = `INSERT INTO invitations (` + invitationColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	withdrawInvitations = `UPDATE invitations SET revoked = ?1 WHERE tenant = ?2 AND user = ?3 AND spent = 0 AND revoked = 0 AND expires > ?1`
	invitationByCode    = `SELECT ` + invitationColumns + ` FROM invitations WHERE code_hash = ?`
	listInvitations     = `SELECT ` + invitationColumns + ` FROM invitations WHERE tenant = ? ORDER BY created DESC, id`
	holdInvitation      = `UPDATE invitations SET holder = ?1 WHERE id = ?2 AND spent = 0 AND revoked = 0 AND expires > ?3`
	hasInvitation       = `SELECT 1 FROM invitations WHERE id = ?`
	revokeInvitation    = `UPDATE invitations SET revoked = ?1 WHERE id = ?2 AND tenant = ?3 AND spent = 0 AND revoked = 0 AND expires > ?1`
	hasTenantInvitation = `SELECT 1 FROM invitations WHERE id = ? AND tenant = ?`
)

func scanCredential(row scanner) (factors.Credential, error) {
	var c factors.Credential
	var strength []byte
	var created, used, version int64
	err := row.Scan(&c.Tenant, &c.User, &c.Factor, &c.ID, &c.Kind, &c.Name, &c.Data, &strength, &created, &used, &c.Flagged, &version)
	if err != nil {
		return c, err
	}
	c.Created, c.Used, c.Version = moment(created), moment(used), uint64(version)
	return c, json.Unmarshal(strength, &c.Best)
}

// Credential implements [session.Directory].
func (s *Store) Credential(ctx context.Context, tenant, factor, id string) (factors.Credential, error) {
	c, err := scanCredential(s.read.QueryRowContext(ctx, readCredential, factor, id, tenant))
	return orNone(c, failed(ctx, "credential", err))
}

// Credentials implements [session.Directory].
func (s *Store) Credentials(ctx context.Context, tenant, user, factor string) ([]factors.Credential, error) {
	return collect(ctx, s, "credentials", scanCredential, listCredentials, tenant, user, factor)
}

// Enrol implements [session.Directory].
func (s *Store) Enrol(ctx context.Context, e session.Enrolled) error {
	c := e.Credential
	if c.ID == "" || c.Factor == "" {
		return errors.New("sqlite: a credential without id or factor")
	}
	if e.At.IsZero() {
		return errNoTime
	}
	return s.transact(ctx, "enrol", func(tx *sql.Tx) error {
		if err := checkEpoch(ctx, tx, e.Epoch, userEpoch, c.Tenant, c.User); err != nil {
			return err
		}
		if err := checkEpoch(ctx, tx, e.TenantEpoch, tenantEpoch, c.Tenant); err != nil {
			return err
		}
		if err := spendInvitationOf(ctx, tx, e); err != nil {
			return err
		}
		if err := insertCredential(ctx, tx, c); err != nil {
			return err
		}
		var cutoff time.Time
		if e.Invitation != "" {
			cutoff = e.At
		}
		_, err := tx.ExecContext(ctx, bumpUser, nanos(cutoff), c.Tenant, c.User)
		return err
	})
}

func insertCredential(ctx context.Context, tx *sql.Tx, c factors.Credential) error {
	strength, err := json.Marshal(c.Best)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, addCredential, c.Tenant, c.User, c.Factor, c.ID, c.Kind, c.Name, c.Data, string(strength),
		nanos(c.Created), nanos(c.Used), string(c.Flagged), signed(c.Version))
	return err
}

func spendInvitationOf(ctx context.Context, tx *sql.Tx, e session.Enrolled) error {
	if e.Invitation == "" {
		return nil
	}
	n, err := changed(tx.ExecContext(ctx, spendInvitation, nanos(e.At), e.Invitation,
		e.Credential.Tenant, e.Credential.User, e.Holder))
	if err == nil && n == 0 {
		return session.ErrConflict
	}
	return err
}

// missed says why a compare-and-swap changed nothing: exists finds what it was about.
func missed(ctx context.Context, tx *sql.Tx, exists string, args ...any) error {
	var one int
	if err := tx.QueryRowContext(ctx, exists, args...).Scan(&one); err != nil {
		return err
	}
	return session.ErrConflict
}

// UpdateCredential implements [session.Directory].
func (s *Store) UpdateCredential(ctx context.Context, c factors.Credential) error {
	strength, err := json.Marshal(c.Best)
	if err != nil {
		return failed(ctx, "update credential", err)
	}
	return s.transact(ctx, "update credential", func(tx *sql.Tx) error {
		n, err := changed(tx.ExecContext(ctx, setCredential, c.Name, c.Data, string(strength),
			nanos(c.Created), nanos(c.Used), string(c.Flagged), c.Factor, c.ID, c.Tenant, c.User, signed(c.Version)))
		if err == nil && n == 0 {
			return missed(ctx, tx, hasCredential, c.Factor, c.ID, c.Tenant, c.User)
		}
		return err
	})
}

// RemoveCredential implements [session.Directory].
func (s *Store) RemoveCredential(ctx context.Context, tenant, user, factor, id string, epoch uint64) error {
	return s.transact(ctx, "remove credential", func(tx *sql.Tx) error {
		n, err := changed(tx.ExecContext(ctx, removeCredential, factor, id, tenant, user))
		if err != nil {
			return err
		}
		if n == 0 {
			return session.ErrNotFound
		}
		if err := checkEpoch(ctx, tx, epoch, userEpoch, tenant, user); err != nil {
			return err // and the transaction is undone
		}
		_, err = tx.ExecContext(ctx, bumpUser, 0, tenant, user)
		return err
	})
}
