package session

import (
	"context"
	"crypto/x509"
	"encoding/base32"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// DefaultInvitationLife is how long an invitation is open where nothing else is said.
const DefaultInvitationLife = 7 * 24 * time.Hour

// Admin administers one tenant: users, invitations, sessions, the deny list, the audit trail. What it does is audited in
// the name of who does it. What gives somebody something is in the audit log before it is done: where the store then
// fails, the log may say more than happened, and never less. What takes something away is done
// first. What breaks off can be tried again. An Admin belongs to one request and is not safe for concurrent use.
type Admin struct {
	engine *Engine
	tenant string
	by     string
	fence  func(context.Context) error // fails if the administrator's session ended meanwhile
	s      *Session                    // nil for the program itself
}

// Administer gives the administration of the caller's own tenant. The caller must be a person whom the directory calls
// an administrator at this moment, and must meet what the request's route demands and want besides.
func (s *Session) Administer(ctx context.Context, want ...authn.Requirement) (*Admin, error) {
	if err := s.tick(ctx); err != nil {
		return nil, err
	}
	if err := s.Allows(want...); err != nil {
		return nil, err
	}
	p, _ := s.Person()
	check, err := s.standing(ctx, p.Subject, nil)
	if err != nil {
		return nil, err
	}
	u, err := s.engine.store.User(ctx, p.Subject.Tenant, p.Subject.User)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, broken("read user", err)
	}
	if err != nil || check.Refused != "" || !u.Admin {
		s.note(ctx, authn.Happened{What: AdminRefused, Subject: p.Subject, Names: p.Names, Method: p.Method.Name, Reason: ReasonNotAdministrator})
		return nil, ErrForbidden
	}
	a := &Admin{engine: s.engine, tenant: u.Tenant, by: u.ID, s: s}
	a.fence = a.stillAdmin
	return a, nil
}

// still fails where the administrator's session has ended since, or the right was taken away. It writes nothing.
func (a *Admin) still(ctx context.Context) error {
	if a.s == nil {
		return nil
	}
	if err := a.s.stillThere(ctx); err != nil {
		return err
	}
	return a.stillRight(ctx)
}

// stillAdmin fails where the administrator's session has ended since, or the right was taken away.
func (a *Admin) stillAdmin(ctx context.Context) error {
	if err := a.s.fence(ctx); err != nil {
		return err
	}
	return a.stillRight(ctx)
}

func (a *Admin) stillRight(ctx context.Context) error {
	u, err := a.engine.store.User(ctx, a.tenant, a.by)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return broken("read user", err)
	}
	if err != nil || !u.Admin || u.Status != Active {
		return ErrForbidden
	}
	return nil
}

// Operate gives the administration of a tenant to the program itself, to set up what it needs. With an empty tenant it is
// for the deny list and the events of the portal. Never call it in the name of a caller.
func (e *Engine) Operate(tenant string) *Admin {
	return &Admin{engine: e, tenant: tenant, fence: func(context.Context) error { return nil }}
}

// Tenant is the tenant that is administered.
func (a *Admin) Tenant() string { return a.tenant }

func (a *Admin) record(ctx context.Context, ev Event) error {
	ev.At, ev.Tenant, ev.By = a.engine.now(), a.tenant, a.by
	if a.s != nil {
		ev.Source = a.s.client().Source
	}
	return a.engine.record(ctx, ev)
}

// CreateTenant makes the tenant itself. One that exists is ErrConflict.
func (a *Admin) CreateTenant(ctx context.Context, name string) error {
	if err := a.fence(ctx); err != nil {
		return err
	}
	if err := a.engine.store.CreateTenant(ctx, Tenant{ID: a.tenant, Name: name, Status: Active, Created: a.engine.now()}); err != nil {
		return broken("create tenant", err)
	}
	return a.record(ctx, Event{What: TenantCreated})
}

// NewUser is a user to be made.
type NewUser struct {
	Name    string // login name: exact, 1 to 64 bytes, without spaces, control or bidirectional characters
	Display string // empty: the login name
	Admin   bool
	Class   authn.Class // what it is; only people administer
}

// CreateUser makes a user: a person, a device or a workload. A name that exists is ErrConflict; one that cannot be is ErrBadRequest.
func (a *Admin) CreateUser(ctx context.Context, n NewUser) (User, error) {
	if !n.Class.Known() || n.Admin && n.Class != authn.ClassPerson {
		return User{}, ErrBadRequest
	}
	if !goodName(n.Name) || len(n.Display) > 200 || !utf8.ValidString(n.Display) {
		return User{}, ErrBadRequest
	}
	id, handle, err := a.engine.newUser()
	if err != nil {
		return User{}, err
	}
	if err := a.fence(ctx); err != nil {
		return User{}, err
	}
	// The audit log would have a user who never was.
	if _, err := a.engine.store.UserNamed(ctx, a.tenant, n.Name, n.Class); err == nil {
		return User{}, ErrConflict
	} else if !errors.Is(err, ErrNotFound) {
		return User{}, broken("read user", err)
	}
	if n.Display == "" {
		n.Display = n.Name
	}
	u := User{User: factors.User{Tenant: a.tenant, ID: id, Name: n.Name, Display: n.Display, Handle: handle, Class: n.Class}, Status: Active,
		Admin: n.Admin, Created: a.engine.now()}
	return u, a.gain(ctx, Event{What: UserCreated, User: u.ID, Class: u.Class, Name: u.Name}, func() error {
		return broken("create user", a.engine.store.CreateUser(ctx, u))
	}, func(ctx context.Context) error {
		u.Status, u.Admin = Suspended, false
		return a.engine.store.SetUser(ctx, u)
	})
}

// newUser makes the id and the handle of a user (WebAuthn L3 section 5.4.3).
func (e *Engine) newUser() (id string, handle []byte, err error) {
	if id, err = e.random(16); err != nil {
		return "", nil, err
	}
	handle = make([]byte, 64)
	if _, err := io.ReadFull(e.rand, handle); err != nil {
		return "", nil, &UnavailableError{err}
	}
	return id, handle, nil
}

func goodName(name string) bool {
	if name == "" || len(name) > 64 || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs) {
			return false
		}
	}
	return true
}

// Users lists the users of the tenant, of all classes.
func (a *Admin) Users(ctx context.Context) ([]User, error) {
	users, err := a.engine.store.Users(ctx, a.tenant)
	return users, broken("list users", err)
}

// User reads one.
func (a *Admin) User(ctx context.Context, id string) (User, error) {
	u, err := a.engine.store.User(ctx, a.tenant, id)
	return u, broken("read user", err)
}

// Credentials lists a user's credentials, flagged ones too.
func (a *Admin) Credentials(ctx context.Context, user string) ([]factors.Credential, error) {
	all, err := a.engine.store.Credentials(ctx, a.tenant, user, "")
	return all, broken("read credentials", err)
}

// RemoveCredential removes a user's credential, one that was lost or stolen, and ends the sessions that were won with it.
// Nothing need be left: the user then needs an invitation.
// Administrators remove their own as everybody does (ErrConflict here).
func (a *Admin) RemoveCredential(ctx context.Context, user, factor, id string) error {
	if user == a.by {
		return ErrConflict
	}
	if err := a.fence(ctx); err != nil {
		return err
	}
	u, err := a.engine.store.User(ctx, a.tenant, user)
	if err != nil {
		return broken("read user", err)
	}
	end := func(ctx context.Context) error {
		n, err := a.engine.endSessionsWith(ctx, a.tenant, user, factor, id, "", a.engine.now())
		if err == nil && n > 0 {
			err = a.record(ctx, Event{What: SessionRevoked, User: u.ID, Class: u.Class, Name: u.Name, Reason: ReasonCredentialRemoved, Detail: howMany(n)})
		}
		return err
	}
	if err := end(ctx); err != nil {
		return err
	}
	for range 4 {
		err = a.engine.store.RemoveCredential(ctx, a.tenant, user, factor, id, u.Epoch)
		if !errors.Is(err, ErrConflict) {
			break
		}
		if err := a.fence(ctx); err != nil {
			return err
		}
		if u, err = a.engine.store.User(ctx, a.tenant, user); err != nil {
			return broken("read user", err)
		}
		err = ErrConflict
	}
	if err != nil {
		return broken("remove credential", err)
	}
	if err := end(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return a.record(ctx, Event{What: CredentialRemoved, User: u.ID, Class: u.Class, Name: u.Name, Factor: factor})
}

// SetStatus suspends a user or lets it in again. Suspension ends the user's sessions and running logins before it
// returns; a login that is just finishing is caught. Administrators cannot suspend themselves, and nobody suspends the
// last administrator (ErrConflict).
func (a *Admin) SetStatus(ctx context.Context, user string, status Status) error {
	if user == a.by && status != Active {
		return ErrConflict
	}
	set := func(status Status) func(*User) {
		return func(u *User) {
			u.Status = status
			if status != Active {
				u.Cutoff = a.engine.now()
			}
		}
	}
	return a.changeUser(ctx, user, change{gain: status == Active, detail: "status " + string(status), to: set(status), back: set(Suspended)})
}

// SetAdmin gives or takes the right to administer. Administrators cannot take it from themselves, and nobody takes it from
// the last one (ErrConflict). Devices and workloads never have it (ErrBadRequest).
func (a *Admin) SetAdmin(ctx context.Context, user string, admin bool) error {
	if user == a.by && !admin {
		return ErrConflict
	}
	detail := "administrator"
	if !admin {
		detail = "no administrator"
	}
	if admin {
		switch u, err := a.User(ctx, user); {
		case err != nil:
			return err
		case u.Class != authn.ClassPerson:
			return ErrBadRequest
		}
	}
	set := func(admin bool) func(*User) { return func(u *User) { u.Admin = admin } }
	return a.changeUser(ctx, user, change{gain: admin, detail: detail, to: set(admin), back: set(false)})
}

// gain does something that gives somebody something: the audit log has it first. If the administrator's session has ended
// when it is done, the end came first, and it is undone.
func (a *Admin) gain(ctx context.Context, ev Event, do func() error, undo func(context.Context) error) error {
	if err := a.record(ctx, ev); err != nil {
		return err
	}
	if err := do(); err != nil {
		if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
			ev.Reason, ev.Detail = ReasonChangedMeanwhile, "not done"
			_ = a.record(context.WithoutCancel(ctx), ev)
		}
		return err
	}
	gone := a.still(ctx)
	if gone == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	ev.Reason, ev.Detail = ReasonChangedMeanwhile, "undone"
	if err := undo(ctx); err != nil {
		ev.Reason, ev.Detail = ReasonOutcomeUnknown, "not undone"
	}
	_ = a.record(ctx, ev)
	return gone
}

// change is what is to become of a user.
type change struct {
	to     func(*User)
	back   func(*User) // undoes a gain, and nothing else
	gain   bool
	detail string
}

func (a *Admin) changeUser(ctx context.Context, id string, c change) error {
	if err := a.fence(ctx); err != nil {
		return err
	}
	u, err := a.engine.store.User(ctx, a.tenant, id)
	if err != nil {
		return broken("read user", err)
	}
	was := u
	ev := Event{What: UserChanged, User: u.ID, Class: u.Class, Name: u.Name, Detail: c.detail}
	if c.gain {
		return a.gain(ctx, ev, func() error { return a.swapUser(ctx, u, c) }, func(ctx context.Context) error {
			if same := was; func() bool { c.to(&same); return same.Status == was.Status && same.Admin == was.Admin }() {
				return nil // it gave nothing that was not there
			}
			return a.writeUser(ctx, u, change{to: c.back}, func(context.Context) error { return nil })
		})
	}
	if err := a.swapUser(ctx, u, c); err != nil {
		return err
	}
	if err := a.keepOne(ctx, was); err != nil {
		return err
	}
	return a.record(ctx, ev)
}

func (a *Admin) swapUser(ctx context.Context, u User, c change) error {
	return a.writeUser(ctx, u, c, a.fence)
}

// writeUser changes a user by compare-and-swap, and ends the sessions of one who may no longer have any. Before it tries
// again, again is asked.
func (a *Admin) writeUser(ctx context.Context, u User, c change, again func(context.Context) error) error {
	for range 4 {
		c.to(&u)
		err := a.engine.store.SetUser(ctx, u)
		if errors.Is(err, ErrConflict) {
			if err := again(ctx); err != nil {
				return err
			}
			if u, err = a.engine.store.User(ctx, a.tenant, u.ID); err != nil {
				return broken("read user", err)
			}
			continue
		}
		a.engine.standings.forget()
		if err == nil && u.Status != Active {
			_, err = a.endUser(context.WithoutCancel(ctx), u, ReasonUserSuspended)
		}
		return broken("change user", err)
	}
	return ErrConflict
}

// keepOne gives a user back what was taken, if that left the tenant without an administrator. Two who take it from each
// other at the same moment both find out.
func (a *Admin) keepOne(ctx context.Context, was User) error {
	if a.s == nil || !was.Admin || was.Status != Active {
		return nil
	}
	users, err := a.engine.store.Users(ctx, a.tenant)
	if err != nil {
		return broken("list users", err)
	}
	for _, u := range users {
		if u.Admin && u.Status == Active {
			return nil
		}
	}
	back := change{to: func(u *User) { u.Status, u.Admin = was.Status, was.Admin }}
	if err := a.writeUser(context.WithoutCancel(ctx), was, back, func(context.Context) error { return nil }); err != nil {
		return err
	}
	return ErrConflict
}

// endUser ends all sessions and logins of a user.
func (a *Admin) endUser(ctx context.Context, u User, why authn.Reason) (int, error) {
	m := Match{Tenant: a.tenant, Person: u.ID}
	if u.Class != authn.ClassPerson {
		m = Match{Tenant: a.tenant, Device: u.ID}
	}
	return a.endMatching(ctx, m, Event{User: u.ID, Class: u.Class, Name: u.Name, Reason: why})
}

// endMatching ends rows and writes down how many.
func (a *Admin) endMatching(ctx context.Context, m Match, ev Event) (int, error) {
	n, err := a.engine.store.EndSessions(ctx, m, a.engine.now())
	if err != nil {
		return n, broken("end sessions", err)
	}
	if n > 0 {
		ev.What, ev.Detail = SessionRevoked, howMany(n)
		err = a.record(ctx, ev)
	}
	return n, err
}

// SetTenantStatus suspends the whole tenant or lets it in again. Suspension ends all its sessions and running logins.
func (a *Admin) SetTenantStatus(ctx context.Context, status Status) error {
	if err := a.fence(ctx); err != nil {
		return err
	}
	ev := Event{What: TenantChanged, Detail: "status " + string(status)}
	set := func(ctx context.Context, status Status, cutoff time.Time) error {
		err := a.engine.store.SetTenantStatus(ctx, a.tenant, status, cutoff)
		a.engine.standings.forget()
		return broken("change tenant", err)
	}
	if status == Active {
		return a.gain(ctx, ev, func() error { return set(ctx, Active, time.Time{}) }, func(ctx context.Context) error { return set(ctx, Suspended, a.engine.now()) })
	}
	if err := set(ctx, status, a.engine.now()); err != nil {
		return err
	}
	if _, err := a.endMatching(context.WithoutCancel(ctx), Match{Tenant: a.tenant}, Event{Reason: ReasonTenantSuspended}); err != nil {
		return err
	}
	return a.record(ctx, ev)
}

// Invite makes an invitation for a person (ErrBadRequest for anybody else) and withdraws the open ones. The code is shown
// this once and kept as a hash. A life of zero means [DefaultInvitationLife].
func (a *Admin) Invite(ctx context.Context, user string, life time.Duration) (code string, err error) {
	if life <= 0 {
		life = DefaultInvitationLife
	}
	u, err := a.engine.store.User(ctx, a.tenant, user)
	if err != nil {
		return "", broken("read user", err)
	}
	if u.Class != authn.ClassPerson {
		return "", ErrBadRequest
	}
	if user == a.by {
		// One's own account gets another credential by what adding one demands, and by no detour.
		p, _ := a.s.Person()
		if err := a.s.freshEnough(ctx, p, authn.Strength{}); err != nil {
			return "", err
		}
	}
	if code, err = a.engine.newCode(); err != nil {
		return "", err
	}
	id, err := a.engine.random(12)
	if err != nil {
		return "", err
	}
	if err := a.fence(ctx); err != nil {
		return "", err
	}
	now := a.engine.now()
	inv := Invitation{ID: id, CodeHash: hashCode(code), Tenant: a.tenant, User: user, Created: now, By: a.by, Expires: now.Add(life)}
	if err := a.engine.store.CreateInvitation(ctx, inv); err != nil {
		return "", broken("create invitation", err)
	}
	if err := a.record(ctx, Event{What: InvitationIssued, User: user, Name: u.Name}); err != nil {
		return "", err // nobody has the code
	}
	if err := a.still(ctx); err != nil {
		_ = a.engine.store.RevokeInvitation(context.WithoutCancel(ctx), a.tenant, id, a.engine.now())
		return "", err
	}
	return code, nil
}

// crockford is Crockford's base 32: no letter that is taken for a digit.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// newCode makes a code of 125 random bits, in groups for people to type.
func (e *Engine) newCode() (string, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(e.rand, b); err != nil {
		return "", &UnavailableError{err}
	}
	text := crockford.EncodeToString(b)[:25]
	var groups []string
	for len(text) > 0 {
		groups, text = append(groups, text[:5]), text[5:]
	}
	return strings.Join(groups, "-"), nil
}

// Invitations lists those of the tenant, newest first.
func (a *Admin) Invitations(ctx context.Context) ([]Invitation, error) {
	all, err := a.engine.store.Invitations(ctx, a.tenant)
	return all, broken("list invitations", err)
}

// RevokeInvitation withdraws an open invitation.
func (a *Admin) RevokeInvitation(ctx context.Context, id string) error {
	if err := a.fence(ctx); err != nil {
		return err
	}
	if err := a.engine.store.RevokeInvitation(ctx, a.tenant, id, a.engine.now()); err != nil {
		return broken("withdraw invitation", err)
	}
	return a.record(ctx, Event{What: InvitationRevoked, Detail: "invitation " + id})
}

// Sessions lists the sessions of the tenant, of one user where one is named, newest first.
func (a *Admin) Sessions(ctx context.Context, user string) ([]Summary, error) {
	current := ""
	if a.s != nil {
		current = a.s.row.Selector
	}
	return a.engine.summaries(ctx, Match{Tenant: a.tenant, Person: user}, a.engine.now(), current)
}

// EndSession ends a session of the tenant by its public id.
func (a *Admin) EndSession(ctx context.Context, id string) error {
	if err := a.fence(ctx); err != nil {
		return err
	}
	row, err := a.engine.revoke(ctx, Match{Tenant: a.tenant}, id, a.engine.now())
	if err != nil {
		return err
	}
	return a.record(ctx, Event{What: SessionRevoked, Reason: ReasonRevokedByAdmin, User: row.Index.Person, Session: id})
}

// EndUserSessions ends all sessions and running logins of a user and says how many.
func (a *Admin) EndUserSessions(ctx context.Context, user string) (int, error) {
	if err := a.fence(ctx); err != nil {
		return 0, err
	}
	u, err := a.engine.store.User(ctx, a.tenant, user)
	if err != nil {
		return 0, broken("read user", err)
	}
	// The cutoff ends what is not found as the user's own: a login under way inside somebody else's session.
	cut := change{to: func(u *User) { u.Cutoff = a.engine.now() }}
	if err := a.swapUser(ctx, u, cut); err != nil {
		return 0, err
	}
	return a.endUser(ctx, u, ReasonRevokedByAdmin)
}

// Deny puts a certificate on the deny list of the tenant: it proves nothing there from the next request on, anywhere within
// a second. With [factors.DenyCertificate] the tenant's sessions that are tied to it have ended when Deny returns. Where
// the program itself administers no tenant ([Engine.Operate] of ""), all of it is true of every tenant. What would deny the
// chain that the administrator comes with is ErrConflict: nobody shuts the door behind themselves.
func (a *Admin) Deny(ctx context.Context, d factors.Denial) error {
	if !goodDenial(d) {
		return ErrBadRequest
	}
	id, err := a.engine.random(12)
	if err != nil {
		return err
	}
	if err := a.fence(ctx); err != nil {
		return err
	}
	d.ID, d.Tenant, d.Created = id, a.tenant, a.engine.now()
	if err := a.wouldStay(ctx, d); err != nil {
		return err
	}
	if err := a.engine.store.AddDenial(ctx, d); err != nil {
		return broken("deny certificate", err)
	}
	a.engine.denials.forget()
	if d.By == factors.DenyCertificate {
		digest, _ := parseDigest(d.Value)
		ev := Event{Reason: ReasonCertificateDenied}
		if _, err := a.endMatching(ctx, Match{Tenant: a.tenant, Certificate: &digest}, ev); err != nil {
			return err
		}
	}
	return a.record(ctx, Event{What: CertificateDenied, Reason: ReasonCertificateDenied, Detail: denialText(d)})
}

// denialText is a denial for the audit log: certificates are named by digests and names, which are public.
func denialText(d factors.Denial) string {
	text := string(d.By) + " " + d.Value
	if d.Note != "" {
		text += " (" + d.Note + ")"
	}
	return text
}

// wouldStay fails with ErrConflict where a denial would end the session of the administrator who makes it.
func (a *Admin) wouldStay(ctx context.Context, d factors.Denial) error {
	if a.s == nil {
		return nil
	}
	p, _ := a.s.Person()
	return a.engine.denials.try(ctx, d, func(ctx context.Context) error {
		lost, err := a.s.tieBroken(ctx, p.All())
		if err == nil && lost.why != "" {
			err = ErrConflict
		}
		return err
	})
}

// DenyCertificate denies exactly this certificate.
func (a *Admin) DenyCertificate(ctx context.Context, c *x509.Certificate, note string) error {
	d := factors.CertificateDenials(c)[0]
	d.Note = note
	return a.Deny(ctx, d)
}

// Denials lists what the tenant denies, oldest first.
func (a *Admin) Denials(ctx context.Context) ([]factors.Denial, error) {
	all, err := a.engine.store.ListDenials(ctx)
	if err != nil {
		return nil, broken("list denials", err)
	}
	var own []factors.Denial
	for _, d := range all {
		if d.Tenant == a.tenant {
			own = append(own, d)
		}
	}
	return own, nil
}

// Allow takes a denial of the tenant's back.
func (a *Admin) Allow(ctx context.Context, id string) error {
	if err := a.fence(ctx); err != nil {
		return err
	}
	list, err := a.Denials(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(d factors.Denial) bool { return d.ID == id })
	if i < 0 {
		return ErrNotFound
	}
	defer a.engine.denials.forget()
	return a.gain(ctx, Event{What: CertificateAllowed, Detail: denialText(list[i])}, func() error {
		return broken("take denial back", a.engine.store.RemoveDenial(ctx, a.tenant, id))
	}, func(ctx context.Context) error { return a.engine.store.AddDenial(ctx, list[i]) })
}

// Events reads the tenant's audit trail, newest first. With f.Portal set it reads what belongs to no tenant instead: that is
// for the program itself and for the administrators of the [Config.Operator] tenant; for others it is ErrForbidden.
func (a *Admin) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	f.Tenant = a.tenant
	if f.Portal {
		if a.s != nil && a.tenant != a.engine.operator {
			return nil, ErrForbidden
		}
		f.Tenant = ""
	}
	events, err := a.engine.store.Events(ctx, f)
	return events, broken("read events", err)
}
