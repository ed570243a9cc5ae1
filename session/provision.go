package session

import (
	"context"
	"errors"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// provision makes the user whom verified evidence asks for, or finds the one that another request made of the same
// identity meanwhile, and names them in the evidence. Users are made only in a tenant that something before this evidence
// has bound, and never beside one who is known already. why says that it is refused.
func (s *Session) provision(ctx context.Context, l authn.Login, v *factors.Verified) (why authn.Reason, _ error) {
	tenant := v.Evidence.Subject.Tenant
	switch {
	case tenant == "" || tenant != l.Subject.Tenant || v.Evidence.Subject.User != "" || stepsUp(s.state):
		return authn.ReasonSubject, nil
	case l.Subject.User != "":
		return factors.ReasonUserUnknown, nil // whoever it is, they are not linked to this identity
	}
	t, err := s.engine.store.Tenant(ctx, tenant)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", broken("read tenant", err)
	}
	if t.Status != Active {
		return ReasonTenantSuspended, nil
	}
	p, err := s.provisioned(v, t)
	if err != nil {
		return "", err
	}
	names, err := s.namesFor(v.Provision)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		p.User.Name, p.User.NamedElsewhere = name, name == v.Provision.Name
		u, err := s.storeProvisioned(ctx, p)
		if errors.Is(err, ErrConflict) {
			continue // the name is somebody else's: it links to nothing
		}
		if err != nil {
			return "", err
		}
		v.Evidence.Subject, v.Evidence.Names = u.Subject(), authn.Names{Tenant: tenant, User: u.Name}
		return "", nil
	}
	return ReasonChangedMeanwhile, nil
}

// provisioned is the user to be made, without a name, and their credential.
func (s *Session) provisioned(v *factors.Verified, t Tenant) (Provisioned, error) {
	id, handle, err := s.engine.newUser()
	if err != nil {
		return Provisioned{}, err
	}
	display := v.Provision.Display
	if len(display) > 200 || !utf8.ValidString(display) {
		display = ""
	}
	c := v.Provision.Credential
	c.Tenant, c.User, c.Factor, c.Kind = t.ID, id, v.Evidence.Factor, v.Evidence.Kind
	c.Created, c.Used, c.Version, c.Flagged = s.now, s.now, 1, ""
	if c.Name == "" {
		c.Name = c.Factor
	}
	u := User{User: factors.User{Tenant: t.ID, ID: id, Display: display, Handle: handle}, Status: Active, Created: s.now}
	return Provisioned{User: u, Credential: c, TenantEpoch: t.Epoch}, nil
}

// namesFor are the login names that a provisioned user may get: the wished one, or where somebody has it, or nobody can
// have it, one that the identity itself gives; at last one that nobody can have taken beforehand. Where certificates or
// tokens name users, nobody gets the plain name that they wish for: it may be the one that another's certificate has.
func (s *Session) namesFor(p *factors.Provision) ([]string, error) {
	random, err := s.engine.random(12)
	if err != nil {
		return nil, err
	}
	of := hashKey(p.Credential.ID)
	var names []string
	if goodName(p.Name) && !s.rt.namesUsers() {
		names = append(names, p.Name)
	}
	for _, suffix := range []string{"~" + of[:6], "~" + of[:12]} {
		if goodName(p.Name) && goodName(p.Name+suffix) {
			names = append(names, p.Name+suffix)
		}
	}
	return append(names, "user-"+of[:12], "user-"+random), nil
}

// namesUsers reports whether what a caller brings along may name a user of the directory.
func (rt *runtime) namesUsers() bool {
	for _, f := range rt.factors {
		if d := f.Describe(); d.Ambient && d.Class == authn.ClassPerson && d.Identifies == authn.IdentifiesUser {
			return true
		}
	}
	return false
}

// storeProvisioned writes the audit log and then the user. Where the identity is linked already, the user is whom it is
// linked to. ErrConflict means that the name is taken.
func (s *Session) storeProvisioned(ctx context.Context, p Provisioned) (User, error) {
	if p.User.Display == "" {
		p.User.Display = p.User.Name
	}
	_, err := s.engine.store.UserNamed(ctx, p.User.Tenant, p.User.Name, authn.ClassPerson)
	if err == nil {
		return s.linkedAlready(ctx, p)
	}
	if !errors.Is(err, ErrNotFound) {
		return User{}, broken("read user", err)
	}
	made := authn.Happened{What: UserCreated, Subject: p.User.Subject(), Names: authn.Names{Tenant: p.User.Tenant, User: p.User.Name}, Factor: p.Credential.Factor}
	if err := s.engine.record(ctx, s.event(made)); err != nil {
		return User{}, err
	}
	err = s.engine.store.Provision(ctx, p)
	if err == nil {
		return p.User, nil
	}
	made.What, made.Reason = CredentialRefused, ReasonChangedMeanwhile
	if !errors.Is(err, ErrConflict) {
		made.Reason = ReasonOutcomeUnknown
	}
	s.note(ctx, made)
	if errors.Is(err, ErrConflict) {
		return s.linkedAlready(ctx, p)
	}
	return User{}, &UnavailableError{err}
}

// linkedAlready is the user that an identity is linked to; ErrConflict where it is linked to nobody.
func (s *Session) linkedAlready(ctx context.Context, p Provisioned) (User, error) {
	c, err := s.engine.store.Credential(ctx, p.User.Tenant, p.Credential.Factor, p.Credential.ID)
	if errors.Is(err, ErrNotFound) {
		return User{}, ErrConflict
	}
	if err != nil {
		return User{}, broken("read credential", err)
	}
	u, err := s.engine.store.User(ctx, c.Tenant, c.User)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return User{}, broken("read user", err)
	}
	if u.ID == "" {
		return User{}, &UnavailableError{errors.New("a credential belongs to nobody")}
	}
	return u, nil
}
