package memory

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// directory holds tenants, users, credentials and invitations under one lock, so that what must change together does.
type directory struct {
	mu          sync.RWMutex
	tenants     map[string]session.Tenant
	users       map[userKey]session.User
	names       map[nameKey]string // to the user's id
	handles     map[string]userKey
	roster      map[string][]string // tenant to user ids
	credentials map[credentialKey]factors.Credential
	owned       map[userKey][]credentialKey
	invitations map[string]session.Invitation
	codes       map[session.Digest]string
	invited     map[string][]string // tenant to invitation ids
	invitedUser map[userKey][]string
}

type userKey struct{ tenant, id string }

type nameKey struct {
	tenant, name string
	class        authn.Class
}

func (d *directory) init() {
	d.tenants = map[string]session.Tenant{}
	d.users = map[userKey]session.User{}
	d.names = map[nameKey]string{}
	d.handles = map[string]userKey{}
	d.roster = map[string][]string{}
	d.credentials = map[credentialKey]factors.Credential{}
	d.owned = map[userKey][]credentialKey{}
	d.invitations = map[string]session.Invitation{}
	d.codes = map[session.Digest]string{}
	d.invited = map[string][]string{}
	d.invitedUser = map[userKey][]string{}
}

// Tenant implements [session.Directory].
func (d *directory) Tenant(ctx context.Context, id string) (session.Tenant, error) {
	if err := ctx.Err(); err != nil {
		return session.Tenant{}, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.tenants[id]
	if !ok {
		return session.Tenant{}, session.ErrNotFound
	}
	return t, nil
}

// Tenants implements [session.Directory]. They come sorted by id.
func (d *directory) Tenants(ctx context.Context) ([]session.Tenant, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make([]session.Tenant, 0, len(d.tenants))
	for _, t := range d.tenants {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b session.Tenant) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// CreateTenant implements [session.Directory].
func (d *directory) CreateTenant(ctx context.Context, t session.Tenant) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.ID == "" {
		return errors.New("memory: a tenant without id")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.tenants[t.ID]; ok {
		return session.ErrConflict
	}
	t.Created, t.Cutoff = utc(t.Created), utc(t.Cutoff)
	d.tenants[t.ID] = t
	return nil
}

// SetTenantStatus implements [session.Directory].
func (d *directory) SetTenantStatus(ctx context.Context, id string, s session.Status, cutoff time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.tenants[id]
	if !ok {
		return session.ErrNotFound
	}
	t.Status, t.Cutoff = s, later(t.Cutoff, utc(cutoff))
	t.Epoch++
	d.tenants[id] = t
	return nil
}

// User implements [session.Directory].
func (d *directory) User(ctx context.Context, tenant, id string) (session.User, error) {
	if err := ctx.Err(); err != nil {
		return session.User{}, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.user(userKey{tenant, id})
}

func (d *directory) user(k userKey) (session.User, error) {
	u, ok := d.users[k]
	if !ok {
		return session.User{}, session.ErrNotFound
	}
	return u, nil
}

// UserNamed implements [session.Directory].
func (d *directory) UserNamed(ctx context.Context, tenant, name string, class authn.Class) (session.User, error) {
	if err := ctx.Err(); err != nil {
		return session.User{}, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.user(userKey{tenant, d.names[nameKey{tenant, name, class}]})
}

// UserByHandle implements [session.Directory].
func (d *directory) UserByHandle(ctx context.Context, handle []byte) (session.User, error) {
	if err := ctx.Err(); err != nil {
		return session.User{}, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.user(d.handles[string(handle)])
}

// Users implements [session.Directory].
func (d *directory) Users(ctx context.Context, tenant string) ([]session.User, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make([]session.User, 0, len(d.roster[tenant]))
	for _, id := range d.roster[tenant] {
		all = append(all, d.users[userKey{tenant, id}])
	}
	slices.SortFunc(all, func(a, b session.User) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// CreateUser implements [session.Directory]. A user may be without handle; a tenant that is not there is
// [session.ErrNotFound].
func (d *directory) CreateUser(ctx context.Context, u session.User) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if u.ID == "" || u.Name == "" || !u.Class.Known() {
		return errors.New("memory: a user without id, name or class")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.tenants[u.Tenant]; !ok {
		return session.ErrNotFound
	}
	if d.taken(u) {
		return session.ErrConflict
	}
	d.addUser(u)
	return nil
}

// taken reports whether the id, name or handle of a new user is another's.
func (d *directory) taken(u session.User) bool {
	_, id := d.users[userKey{u.Tenant, u.ID}]
	_, name := d.names[nameKey{u.Tenant, u.Name, u.Class}]
	_, handle := d.handles[string(u.Handle)]
	return id || name || handle
}

func (d *directory) addUser(u session.User) {
	u.Handle, u.Created, u.Cutoff = own(u.Handle), utc(u.Created), utc(u.Cutoff)
	key := userKey{u.Tenant, u.ID}
	d.users[key] = u
	d.names[nameKey{u.Tenant, u.Name, u.Class}] = u.ID
	d.roster[u.Tenant] = append(d.roster[u.Tenant], u.ID)
	if len(u.Handle) > 0 {
		d.handles[string(u.Handle)] = key
	}
}

// SetUser implements [session.Directory].
func (d *directory) SetUser(ctx context.Context, u session.User) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if u.Name == "" {
		return errors.New("memory: a user without name")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old, err := d.user(userKey{u.Tenant, u.ID})
	if err != nil {
		return err
	}
	from, to := nameKey{old.Tenant, old.Name, old.Class}, nameKey{old.Tenant, u.Name, old.Class}
	if _, taken := d.names[to]; old.Epoch != u.Epoch || (taken && from != to) {
		return session.ErrConflict
	}
	delete(d.names, from)
	d.names[to] = old.ID
	old.Name, old.Display, old.Status, old.Admin, old.NamedElsewhere = u.Name, u.Display, u.Status, u.Admin, u.NamedElsewhere
	old.Cutoff = later(old.Cutoff, utc(u.Cutoff))
	old.Epoch++
	d.users[userKey{u.Tenant, u.ID}] = old
	return nil
}
