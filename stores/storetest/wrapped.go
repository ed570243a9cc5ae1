package storetest

import (
	"context"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// wrapped hands every call of a store to around, which decides whether and when it is made. Where around errs, its error
// is the answer.
type wrapped struct {
	store  session.Store
	around func(op string, call func() error) error
}

var _ session.Store = wrapped{}

func get[T any](w wrapped, op string, call func() (T, error)) (T, error) {
	var got T
	err := w.around(op, func() (err error) {
		got, err = call()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return got, nil
}

func (w wrapped) Session(ctx context.Context, selector string, now time.Time) (session.Row, error) {
	return get(w, "Session", func() (session.Row, error) { return w.store.Session(ctx, selector, now) })
}

func (w wrapped) CreateSession(ctx context.Context, r session.Row) error {
	return w.around("CreateSession", func() error { return w.store.CreateSession(ctx, r) })
}

func (w wrapped) SwapSession(ctx context.Context, s session.Swap) error {
	return w.around("SwapSession", func() error { return w.store.SwapSession(ctx, s) })
}

func (w wrapped) SaveValues(ctx context.Context, selector string, rotation uint64, values []byte) error {
	return w.around("SaveValues", func() error { return w.store.SaveValues(ctx, selector, rotation, values) })
}

func (w wrapped) TouchSession(ctx context.Context, selector string, version uint64, at time.Time) error {
	return w.around("TouchSession", func() error { return w.store.TouchSession(ctx, selector, version, at) })
}

func (w wrapped) EndSessions(ctx context.Context, m session.Match, at time.Time) (int, error) {
	return get(w, "EndSessions", func() (int, error) { return w.store.EndSessions(ctx, m, at) })
}

func (w wrapped) ListSessions(ctx context.Context, m session.Match, now time.Time, limit int) ([]session.Row, error) {
	return get(w, "ListSessions", func() ([]session.Row, error) { return w.store.ListSessions(ctx, m, now, limit) })
}

func (w wrapped) PruneSessions(ctx context.Context, now time.Time) (int, error) {
	return get(w, "PruneSessions", func() (int, error) { return w.store.PruneSessions(ctx, now) })
}

func (w wrapped) TakeAttempt(ctx context.Context, budgets []session.Budget, now time.Time) (bool, time.Time, error) {
	type taken struct {
		ok    bool
		retry time.Time
	}
	t, err := get(w, "TakeAttempt", func() (t taken, err error) {
		t.ok, t.retry, err = w.store.TakeAttempt(ctx, budgets, now)
		return t, err
	})
	return t.ok, t.retry, err
}

func (w wrapped) GiveAttempt(ctx context.Context, budgets []session.Budget, now time.Time) error {
	return w.around("GiveAttempt", func() error { return w.store.GiveAttempt(ctx, budgets, now) })
}

func (w wrapped) PruneAttempts(ctx context.Context, now time.Time) (int, error) {
	return get(w, "PruneAttempts", func() (int, error) { return w.store.PruneAttempts(ctx, now) })
}

func (w wrapped) Spend(ctx context.Context, id string, until time.Time) error {
	return w.around("Spend", func() error { return w.store.Spend(ctx, id, until) })
}

func (w wrapped) PruneSpent(ctx context.Context, now time.Time) (int, error) {
	return get(w, "PruneSpent", func() (int, error) { return w.store.PruneSpent(ctx, now) })
}

func (w wrapped) SetCutoff(ctx context.Context, key session.Digest, at, until time.Time) error {
	return w.around("SetCutoff", func() error { return w.store.SetCutoff(ctx, key, at, until) })
}

func (w wrapped) Cutoff(ctx context.Context, key session.Digest) (time.Time, error) {
	return get(w, "Cutoff", func() (time.Time, error) { return w.store.Cutoff(ctx, key) })
}

func (w wrapped) PruneCutoffs(ctx context.Context, now time.Time) (int, error) {
	return get(w, "PruneCutoffs", func() (int, error) { return w.store.PruneCutoffs(ctx, now) })
}

func (w wrapped) Tenant(ctx context.Context, id string) (session.Tenant, error) {
	return get(w, "Tenant", func() (session.Tenant, error) { return w.store.Tenant(ctx, id) })
}

func (w wrapped) Tenants(ctx context.Context) ([]session.Tenant, error) {
	return get(w, "Tenants", func() ([]session.Tenant, error) { return w.store.Tenants(ctx) })
}

func (w wrapped) CreateTenant(ctx context.Context, t session.Tenant) error {
	return w.around("CreateTenant", func() error { return w.store.CreateTenant(ctx, t) })
}

func (w wrapped) SetTenantStatus(ctx context.Context, id string, s session.Status, cutoff time.Time) error {
	return w.around("SetTenantStatus", func() error { return w.store.SetTenantStatus(ctx, id, s, cutoff) })
}

func (w wrapped) User(ctx context.Context, tenant, id string) (session.User, error) {
	return get(w, "User", func() (session.User, error) { return w.store.User(ctx, tenant, id) })
}

func (w wrapped) UserNamed(ctx context.Context, tenant, name string, class authn.Class) (session.User, error) {
	return get(w, "UserNamed", func() (session.User, error) { return w.store.UserNamed(ctx, tenant, name, class) })
}

func (w wrapped) UserByHandle(ctx context.Context, handle []byte) (session.User, error) {
	return get(w, "UserByHandle", func() (session.User, error) { return w.store.UserByHandle(ctx, handle) })
}

func (w wrapped) Users(ctx context.Context, tenant string) ([]session.User, error) {
	return get(w, "Users", func() ([]session.User, error) { return w.store.Users(ctx, tenant) })
}

func (w wrapped) CreateUser(ctx context.Context, u session.User) error {
	return w.around("CreateUser", func() error { return w.store.CreateUser(ctx, u) })
}

func (w wrapped) Provision(ctx context.Context, p session.Provisioned) error {
	return w.around("Provision", func() error { return w.store.Provision(ctx, p) })
}

func (w wrapped) SetUser(ctx context.Context, u session.User) error {
	return w.around("SetUser", func() error { return w.store.SetUser(ctx, u) })
}

func (w wrapped) Credential(ctx context.Context, tenant, factor, id string) (factors.Credential, error) {
	return get(w, "Credential", func() (factors.Credential, error) { return w.store.Credential(ctx, tenant, factor, id) })
}

func (w wrapped) Credentials(ctx context.Context, tenant, user, factor string) ([]factors.Credential, error) {
	return get(w, "Credentials", func() ([]factors.Credential, error) { return w.store.Credentials(ctx, tenant, user, factor) })
}

func (w wrapped) Enrol(ctx context.Context, e session.Enrolled) error {
	return w.around("Enrol", func() error { return w.store.Enrol(ctx, e) })
}

func (w wrapped) UpdateCredential(ctx context.Context, c factors.Credential) error {
	return w.around("UpdateCredential", func() error { return w.store.UpdateCredential(ctx, c) })
}

func (w wrapped) RemoveCredential(ctx context.Context, tenant, user, factor, id string, epoch uint64) error {
	return w.around("RemoveCredential", func() error { return w.store.RemoveCredential(ctx, tenant, user, factor, id, epoch) })
}

func (w wrapped) CreateInvitation(ctx context.Context, i session.Invitation) error {
	return w.around("CreateInvitation", func() error { return w.store.CreateInvitation(ctx, i) })
}

func (w wrapped) InvitationByCode(ctx context.Context, hash session.Digest) (session.Invitation, error) {
	return get(w, "InvitationByCode", func() (session.Invitation, error) { return w.store.InvitationByCode(ctx, hash) })
}

func (w wrapped) Invitations(ctx context.Context, tenant string) ([]session.Invitation, error) {
	return get(w, "Invitations", func() ([]session.Invitation, error) { return w.store.Invitations(ctx, tenant) })
}

func (w wrapped) HoldInvitation(ctx context.Context, id, holder string, now time.Time) error {
	return w.around("HoldInvitation", func() error { return w.store.HoldInvitation(ctx, id, holder, now) })
}

func (w wrapped) RevokeInvitation(ctx context.Context, tenant, id string, at time.Time) error {
	return w.around("RevokeInvitation", func() error { return w.store.RevokeInvitation(ctx, tenant, id, at) })
}

func (w wrapped) AddDenial(ctx context.Context, d factors.Denial) error {
	return w.around("AddDenial", func() error { return w.store.AddDenial(ctx, d) })
}

func (w wrapped) RemoveDenial(ctx context.Context, tenant, id string) error {
	return w.around("RemoveDenial", func() error { return w.store.RemoveDenial(ctx, tenant, id) })
}

func (w wrapped) ListDenials(ctx context.Context) ([]factors.Denial, error) {
	return get(w, "ListDenials", func() ([]factors.Denial, error) { return w.store.ListDenials(ctx) })
}

func (w wrapped) AddEvents(ctx context.Context, events ...session.Event) error {
	return w.around("AddEvents", func() error { return w.store.AddEvents(ctx, events...) })
}

func (w wrapped) Events(ctx context.Context, f session.EventFilter) ([]session.Event, error) {
	return get(w, "Events", func() ([]session.Event, error) { return w.store.Events(ctx, f) })
}

func (w wrapped) PruneEvents(ctx context.Context, before time.Time) (int, error) {
	return get(w, "PruneEvents", func() (int, error) { return w.store.PruneEvents(ctx, before) })
}
