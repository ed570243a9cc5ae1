package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// Errors that every store returns, wrapped or not. Any other error means that the store could not do what was asked; the
// engine then refuses.
var (
	ErrNotFound = errors.New("session: not found")               // there is no such thing, or no longer
	ErrConflict = errors.New("session: changed in the meantime") // a compare-and-swap lost, or a unique thing exists already
	ErrSpent    = errors.New("session: spent already")           // a single use was used
)

// Store is all that the engine keeps. Every part is safe for concurrent use by many engines on one database. Byte slices
// and structs handed in are copied before a call returns or never changed afterwards; those handed out must not be
// changed by the caller. Times are kept to the microsecond at least, in UTC.
type Store interface {
	Sessions
	Attempts
	Ledger
	Cutoffs
	Directory
	DenyList
	Audit
}

// Digest is a SHA-256.
type Digest = [sha256.Size]byte

// Row is a session's row: the state, the secret's hash, and beside them the application's own values.
type Row struct {
	Selector   string // the key: names the row and proves nothing
	ID         string // the public id, by which lists name the row; it opens nothing
	SecretHash Digest // of the secret in the cookie; replaced by each rotation
	Version    uint64 // of the state; every swap adds one. Starts at 1
	Rotation   uint64 // how often the secret was replaced or the values were dropped; values belong to one rotation
	State      []byte // authn.Encode
	Values     []byte // of the application
	Created    time.Time
	Touched    time.Time // when the caller was last seen, coarsely
	Expires    time.Time // when the row may be forgotten; reads after it find nothing
	Ended      time.Time // zero: it lives. An ended row is a tombstone: it can't be changed in any way
	Index      Index
	Client     Client
	// Memo may be handed out with every read of one version of a row, to keep what was decoded from State. A store
	// that keeps rows in this process hands out the same pointer until the row is swapped; others leave it nil.
	Memo *Memo
}

// Index is what rows are found by, apart from their selector and id. Person and Device are the subjects' users, Device that
// of a device or a workload; Certificates are the digests of the certificates that the row is tied to.
type Index struct {
	Tenant       string
	Person       string
	Device       string
	Certificates []Digest
	Handles      []Digest // under which issuers may end the row
	Principal    bool     // it holds a principal, and not only a login under way
}

// Client describes where a session is used from, for its owner to recognize it.
type Client struct {
	Source string // address
	Agent  string // user agent, at most 256 bytes
}

// Memo holds what was decoded from one version of a row. The zero Memo is empty.
type Memo struct{ state atomic.Pointer[authn.State] }

// Swap replaces a row's state if it lives and its version is still From.
type Swap struct {
	Selector    string
	From        uint64 // the version that was read; the new version is From+1
	State       []byte
	SecretHash  *Digest   // non-nil: the secret is replaced; the row's Rotation grows by one
	ClearValues bool      // the values are dropped; the row's Rotation grows by one, if it did not by the secret
	Touched     time.Time // zero: as it was
	Expires     time.Time
	Ended       time.Time // non-zero: the row ends with this swap
	Index       Index
	Client      *Client // nil: as it was
}

// Match selects rows: by selector, or by id, or by tenant and one of the others, or by tenant alone, or by certificate
// or handle alone. Only set fields count, and all of them must agree. The zero Match selects nothing.
type Match struct {
	Selector    string
	ID          string
	Tenant      string
	Person      string
	Device      string
	Certificate *Digest
	Handle      *Digest
	Principals  bool   // only rows that hold a principal
	Except      string // a selector that is left out
}

// Sessions keeps the rows of sessions and logins.
type Sessions interface {
	// Session reads a row, ended ones too. A row past Expires is ErrNotFound.
	Session(ctx context.Context, selector string, now time.Time) (Row, error)
	// CreateSession adds a row. A selector or id that exists is ErrConflict, whether it lives, ended or expired.
	CreateSession(ctx context.Context, r Row) error
	// SwapSession replaces the state if the row lives and has the version; otherwise ErrConflict, or ErrNotFound where
	// there is no row.
	SwapSession(ctx context.Context, s Swap) error
	// SaveValues replaces the values if the row lives and has this rotation; otherwise ErrConflict or ErrNotFound. It
	// leaves the version alone.
	SaveValues(ctx context.Context, selector string, rotation uint64, values []byte) error
	// TouchSession moves Touched forward, never back, if the row lives and has the version; otherwise ErrConflict or
	// ErrNotFound. It leaves the version alone.
	TouchSession(ctx context.Context, selector string, version uint64, at time.Time) error
	// EndSessions ends all living rows that match, and says how many. State and values of an ended row are dropped.
	// When it has returned, no swap, touch or save of those rows succeeds.
	EndSessions(ctx context.Context, m Match, at time.Time) (int, error)
	// ListSessions gives the living rows that match, newest first, at most limit of them (0: 100). Values are left out.
	// It never scans rows that don't match.
	ListSessions(ctx context.Context, m Match, now time.Time, limit int) ([]Row, error)
	// PruneSessions forgets rows past Expires and says how many.
	PruneSessions(ctx context.Context, now time.Time) (int, error)
}

// Budget is one thing that attempts are counted against.
type Budget struct {
	Key    string // tenant first; at most 512 bytes
	Limit  int    // attempts in a window
	Window time.Duration
}

// Attempts counts. A window begins with its first attempt.
type Attempts interface {
	// TakeAttempt counts one attempt against every budget, in one step, before anything is tried. If any budget is used
	// up, none is counted, and retry is when the last of the full ones opens again (always after now).
	TakeAttempt(ctx context.Context, budgets []Budget, now time.Time) (ok bool, retry time.Time, err error)
	// GiveAttempt takes back an attempt that was taken at the time now, after a success. Only the window in which it was
	// counted is touched, not one that began later, and no count goes below zero.
	GiveAttempt(ctx context.Context, budgets []Budget, now time.Time) error
	// PruneAttempts forgets windows that have passed.
	PruneAttempts(ctx context.Context, now time.Time) (int, error)
}

// Ledger remembers what was spent.
type Ledger interface {
	// Spend records the first use of id, remembered at least until the time given. Every later use, also one at the same
	// moment on another instance, is ErrSpent.
	Spend(ctx context.Context, id string, until time.Time) error
	// PruneSpent forgets ids whose time has passed.
	PruneSpent(ctx context.Context, now time.Time) (int, error)
}

// Cutoffs remember since when something counts: whatever was won under a key before its cutoff is over. They catch what is
// won while it is being ended.
type Cutoffs interface {
	// SetCutoff moves the cutoff of a key forward to at, never back, and remembers it at least until the later of until and
	// what was said before.
	SetCutoff(ctx context.Context, key Digest, at, until time.Time) error
	// Cutoff is the cutoff of a key; the zero time where there is none.
	Cutoff(ctx context.Context, key Digest) (time.Time, error)
	// PruneCutoffs forgets those whose time has passed and says how many.
	PruneCutoffs(ctx context.Context, now time.Time) (int, error)
}

// Status of a tenant or user.
type Status string

const (
	Active    Status = "active"
	Suspended Status = "suspended"
)

// Tenant is the unit of isolation. Its ID is what the policy file calls it and never changes.
type Tenant struct {
	ID      string
	Name    string
	Status  Status
	Epoch   uint64 // grows with every change of the status
	Created time.Time
	// Cutoff is when all sessions of the tenant were last ended: what was won or begun before it is over, also where
	// ending the rows broke off. It never moves back.
	Cutoff time.Time
}

// User is a person, a device or a workload of one tenant.
type User struct {
	factors.User
	Status  Status
	Admin   bool   // may administer its tenant
	Epoch   uint64 // grows with every change of status, rights or credentials
	Created time.Time
	Cutoff  time.Time // as the tenant's, of the user's own sessions and logins
	// NamedElsewhere: the name is what somebody's provider calls them. It is no name that a certificate or a token means, so
	// no factor finds the user by it.
	NamedElsewhere bool
}

// Invitation lets one user enrol a first credential. The code is kept as a hash.
type Invitation struct {
	ID       string
	CodeHash Digest
	Tenant   string
	User     string
	Created  time.Time
	By       string // user id of who issued it; empty: the program
	Expires  time.Time
	Spent    time.Time // zero: it is open
	Revoked  time.Time // zero: it was not withdrawn
	// Holder reserves the invitation for one workflow: the login id of its Onboarding. Redeeming again moves it.
	Holder string
}

// Open reports whether the invitation may still be redeemed.
func (i Invitation) Open(now time.Time) bool {
	return i.Spent.IsZero() && i.Revoked.IsZero() && now.Before(i.Expires)
}

// Enrolled is a new credential to be stored, and what must hold for it.
type Enrolled struct {
	Credential factors.Credential
	// Invitation, if set, is spent in the same transaction. It must be open and held by Holder, otherwise ErrConflict
	// and nothing is stored.
	Invitation string
	Holder     string
	// Epochs of the user and the tenant that were checked; others in the store are ErrConflict.
	Epoch       uint64
	TenantEpoch uint64
	At          time.Time
}

// Provisioned is a new user and what links them to an identity elsewhere.
type Provisioned struct {
	User       User
	Credential factors.Credential
	// TenantEpoch is the one that was checked; another in the store is ErrConflict.
	TenantEpoch uint64
}

// Directory keeps tenants, users, credentials and invitations. What is not there is ErrNotFound. Writes that name a
// Version or Epoch are compare-and-swap and answer ErrConflict.
type Directory interface {
	Tenant(ctx context.Context, id string) (Tenant, error)
	Tenants(ctx context.Context) ([]Tenant, error)
	// CreateTenant: an id that exists is ErrConflict.
	CreateTenant(ctx context.Context, t Tenant) error
	// SetTenantStatus also adds one to the epoch, and moves the cutoff forward to the time given; zero leaves it.
	SetTenantStatus(ctx context.Context, id string, s Status, cutoff time.Time) error

	User(ctx context.Context, tenant, id string) (User, error)
	// UserNamed finds a user by the name within its class.
	UserNamed(ctx context.Context, tenant, name string, class authn.Class) (User, error)
	UserByHandle(ctx context.Context, handle []byte) (User, error)
	// Users lists the users of a tenant, of all classes, by name.
	Users(ctx context.Context, tenant string) ([]User, error)
	// CreateUser: an id, handle, or name within tenant and class that exists is ErrConflict. A class that is not known is an
	// error.
	CreateUser(ctx context.Context, u User) error
	// Provision creates a user and stores a credential of theirs, in one transaction. Whatever CreateUser or Enrol would
	// answer with ErrConflict is so here, and nothing is stored; an unknown tenant is ErrNotFound. The user begins at the
	// epoch in p.User. A credential that names another tenant or user is an error.
	Provision(ctx context.Context, p Provisioned) error
	// SetUser changes the name, display name, status and rights of a user whose epoch is still the one of u, moves the
	// cutoff forward to that of u, and adds one to the epoch.
	SetUser(ctx context.Context, u User) error

	Credential(ctx context.Context, tenant, factor, id string) (factors.Credential, error)
	// Credentials are those of a user, oldest first; of one factor, or with an empty factor of all.
	Credentials(ctx context.Context, tenant, user, factor string) ([]factors.Credential, error)
	// Enrol stores a new credential, spends its invitation and adds one to the user's epoch, in one transaction. With an
	// invitation it also moves the user's cutoff forward to e.At. A credential id that exists for this factor, in any
	// tenant, is ErrConflict.
	Enrol(ctx context.Context, e Enrolled) error
	// UpdateCredential changes data, name, flag, strength and times of a credential whose version is still c.Version,
	// and adds one to the version.
	UpdateCredential(ctx context.Context, c factors.Credential) error
	// RemoveCredential removes a credential of a user whose epoch is still the one given, and adds one to the epoch.
	RemoveCredential(ctx context.Context, tenant, user, factor, id string, epoch uint64) error

	// CreateInvitation adds an invitation and withdraws the open ones of the same user.
	CreateInvitation(ctx context.Context, i Invitation) error
	// InvitationByCode finds an invitation, open or not, by the hash of its code.
	InvitationByCode(ctx context.Context, hash Digest) (Invitation, error)
	// Invitations lists those of a tenant, newest first.
	Invitations(ctx context.Context, tenant string) ([]Invitation, error)
	// HoldInvitation sets the holder of an open invitation; ErrConflict if it is no longer open.
	HoldInvitation(ctx context.Context, id, holder string, now time.Time) error
	// RevokeInvitation withdraws an open invitation of a tenant.
	RevokeInvitation(ctx context.Context, tenant, id string, at time.Time) error
}

// DenyList keeps denials of certificates.
type DenyList interface {
	// AddDenial: what is denied already for this tenant is no error, and keeps its id and note. Its time moves forward to
	// that of d, in one step and never back, so that denying a subject's tokens again covers those issued in between; a
	// zero time denies all of them, and stays.
	AddDenial(ctx context.Context, d factors.Denial) error
	// RemoveDenial removes a denial of a tenant; of another tenant's it is ErrNotFound. Empty: the portal's own.
	RemoveDenial(ctx context.Context, tenant, id string) error
	// ListDenials gives those of all tenants and of the portal, oldest first.
	ListDenials(ctx context.Context) ([]factors.Denial, error)
}

// Event is one entry of the audit log. It never holds a credential, a code, a token or a certificate.
type Event struct {
	ID      string
	At      time.Time
	Tenant  string // empty: before a tenant was bound, or of the portal
	User    string // user id
	Class   authn.Class
	Name    string // login name, where it is known to be one of the tenant's
	What    authn.Occurrence
	Reason  authn.Reason
	Method  string
	Factor  string
	Login   string // id of the login
	Session string // public id of the session
	Source  string // client address
	By      string // user id of who did it, where that is somebody else
	Detail  string // at most 512 bytes
}

// EventFilter selects events. Only set fields count.
type EventFilter struct {
	Tenant string
	Portal bool // with Tenant empty: only events that belong to no tenant
	User   string
	Name   string
	What   authn.Occurrence
	Reason authn.Reason
	Since  time.Time
	Before string // id of an event: only older ones, for paging
	Limit  int    // 0: 100; at most 1000
}

// Audit keeps events.
type Audit interface {
	AddEvents(ctx context.Context, events ...Event) error
	// Events gives events newest first.
	Events(ctx context.Context, f EventFilter) ([]Event, error)
	// PruneEvents forgets the events before a time and says how many.
	PruneEvents(ctx context.Context, before time.Time) (int, error)
}
