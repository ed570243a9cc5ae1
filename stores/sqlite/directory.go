package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
)

const (
	tenantColumns = `id, name, status, epoch, created, cutoff`
	readTenant    = `SELECT ` + tenantColumns + ` FROM tenants WHERE id = ?`
	listTenants   = `SELECT ` + tenantColumns + ` FROM tenants ORDER BY id`
	addTenant     = `INSERT INTO tenants (` + tenantColumns + `) VALUES (?, ?, ?, ?, ?, ?)`
	setTenant     = `UPDATE tenants SET status = ?, cutoff = max(cutoff, ?), epoch = epoch + 1 WHERE id = ?`

	userColumns  = `tenant, id, name, display, handle, class, status, admin, epoch, created, cutoff, named_elsewhere`
	readUser     = `SELECT ` + userColumns + ` FROM users WHERE tenant = ? AND id = ?`
	userNamed    = `SELECT ` + userColumns + ` FROM users WHERE tenant = ? AND name = ? AND class = ?`
	userByHandle = `SELECT ` + userColumns + ` FROM users WHERE handle = ?`
	listUsers    = `SELECT ` + userColumns + ` FROM users WHERE tenant = ? ORDER BY name, id`
	addUser      = `INSERT INTO users (` + userColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	setUser      = `UPDATE users SET name = ?, display = ?, status = ?, admin = ?, cutoff = max(cutoff, ?), named_elsewhere = ?, epoch = epoch + 1 WHERE tenant = ? AND id = ? AND epoch = ?`
	bumpUser     = `UPDATE users SET epoch = epoch + 1, cutoff = max(cutoff, ?) WHERE tenant = ? AND id = ?`
	userEpoch    = `SELECT epoch FROM users WHERE tenant = ? AND id = ?`
	tenantEpoch  = `SELECT epoch FROM tenants WHERE id = ?`
)

type scanner = interface{ Scan(...any) error }

func scanTenant(row scanner) (session.Tenant, error) {
	var t session.Tenant
	var epoch, created, cutoff int64
	err := row.Scan(&t.ID, &t.Name, &t.Status, &epoch, &created, &cutoff)
	t.Epoch, t.Created, t.Cutoff = uint64(epoch), moment(created), moment(cutoff)
	return t, err
}

func scanUser(row scanner) (session.User, error) {
	var u session.User
	var epoch, created, cutoff int64
	err := row.Scan(&u.Tenant, &u.ID, &u.Name, &u.Display, &u.Handle, &u.Class, &u.Status, &u.Admin, &epoch, &created, &cutoff, &u.NamedElsewhere)
	u.Epoch, u.Created, u.Cutoff = uint64(epoch), moment(created), moment(cutoff)
	if err == nil && !u.Class.Known() {
		err = errClass
	}
	return u, err
}

var errClass = errors.New("sqlite: a user is of a class that this program does not know")

// Tenant implements [session.Directory].
func (s *Store) Tenant(ctx context.Context, id string) (session.Tenant, error) {
	if err := ctx.Err(); err != nil {
		return session.Tenant{}, err
	}
	t, err := scanTenant(s.hot.tenant.QueryRowContext(ctx, id))
	return orNone(t, failed(ctx, "tenant", err))
}

// orNone keeps half-read values from being handed out with an error.
func orNone[T any](v T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// Tenants implements [session.Directory]. They come sorted by id.
func (s *Store) Tenants(ctx context.Context) ([]session.Tenant, error) {
	return collect(ctx, s, "tenants", scanTenant, listTenants)
}

// CreateTenant implements [session.Directory].
func (s *Store) CreateTenant(ctx context.Context, t session.Tenant) error {
	if t.ID == "" {
		return errors.New("sqlite: a tenant without id")
	}
	_, err := s.exec(ctx, "create tenant", addTenant, t.ID, t.Name, string(t.Status), signed(t.Epoch), nanos(t.Created), nanos(t.Cutoff))
	return err
}

// SetTenantStatus implements [session.Directory].
func (s *Store) SetTenantStatus(ctx context.Context, id string, status session.Status, cutoff time.Time) error {
	n, err := s.exec(ctx, "set tenant status", setTenant, string(status), nanos(cutoff), id)
	if err == nil && n == 0 {
		return session.ErrNotFound
	}
	return err
}

// User implements [session.Directory].
func (s *Store) User(ctx context.Context, tenant, id string) (session.User, error) {
	if err := ctx.Err(); err != nil {
		return session.User{}, err
	}
	u, err := scanUser(s.hot.user.QueryRowContext(ctx, tenant, id))
	return orNone(u, failed(ctx, "user", err))
}

// UserNamed implements [session.Directory].
func (s *Store) UserNamed(ctx context.Context, tenant, name string, class authn.Class) (session.User, error) {
	u, err := scanUser(s.read.QueryRowContext(ctx, userNamed, tenant, name, class))
	return orNone(u, failed(ctx, "user", err))
}

// UserByHandle implements [session.Directory].
func (s *Store) UserByHandle(ctx context.Context, handle []byte) (session.User, error) {
	u, err := scanUser(s.read.QueryRowContext(ctx, userByHandle, handle))
	return orNone(u, failed(ctx, "user", err))
}

// Users implements [session.Directory].
func (s *Store) Users(ctx context.Context, tenant string) ([]session.User, error) {
	return collect(ctx, s, "users", scanUser, listUsers, tenant)
}

// CreateUser implements [session.Directory]. A user may be without handle; a tenant that is not there is
// [session.ErrNotFound].
func (s *Store) CreateUser(ctx context.Context, u session.User) error {
	if u.ID == "" || u.Name == "" || !u.Class.Known() {
		return errors.New("sqlite: a user without id, name or class")
	}
	return s.transact(ctx, "create user", func(tx *sql.Tx) error {
		if _, err := scanTenant(tx.QueryRowContext(ctx, readTenant, u.Tenant)); err != nil {
			return err
		}
		return insertUser(ctx, tx, u)
	})
}

func insertUser(ctx context.Context, tx *sql.Tx, u session.User) error {
	var handle any
	if len(u.Handle) > 0 {
		handle = u.Handle
	}
	_, err := tx.ExecContext(ctx, addUser, u.Tenant, u.ID, u.Name, u.Display, handle, u.Class, string(u.Status),
		u.Admin, signed(u.Epoch), nanos(u.Created), nanos(u.Cutoff), u.NamedElsewhere)
	return err
}

// SetUser implements [session.Directory].
func (s *Store) SetUser(ctx context.Context, u session.User) error {
	if u.Name == "" {
		return errors.New("sqlite: a user without name")
	}
	return s.transact(ctx, "set user", func(tx *sql.Tx) error {
		if err := checkEpoch(ctx, tx, u.Epoch, userEpoch, u.Tenant, u.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, setUser, u.Name, u.Display, string(u.Status), u.Admin, nanos(u.Cutoff), u.NamedElsewhere, u.Tenant, u.ID, signed(u.Epoch))
		return err
	})
}

func checkEpoch(ctx context.Context, tx *sql.Tx, want uint64, query string, of ...any) error {
	var epoch int64
	if err := tx.QueryRowContext(ctx, query, of...).Scan(&epoch); err != nil {
		return err
	}
	if epoch != signed(want) {
		return session.ErrConflict
	}
	return nil
}
