package session

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

const (
	// freshFor is how old the evidence may be that a credential is added or removed with.
	freshFor = 5 * time.Minute
	// workflowLife is how long the workflow of an invitation may take.
	workflowLife = 30 * time.Minute
	// maxCredentialName bounds the name that an owner gives to a credential, in bytes.
	maxCredentialName = 100
	// maxCredentials bounds how many credentials a user may have of one factor.
	maxCredentials = 20
)

func onboarding(state authn.State) (authn.Onboarding, bool) {
	switch st := state.(type) {
	case authn.Pending:
		return st.Onboarding, true
	case authn.Authenticated:
		o, ok := st.Running().(authn.Onboarding)
		return o, ok
	}
	return authn.Onboarding{}, false
}

// Redeem opens the workflow of an invitation: first the ambient factors of the user's method are verified, then the
// code is tried, and the attempt counts. The code must be for the user whom the ambient factors named, if they named
// one. Redeeming spends nothing: storing the credential does. Redeeming again moves the invitation here.
func (s *Session) Redeem(ctx context.Context, code string) error {
	tenant, err := s.ambientTenant(ctx)
	if err != nil {
		return err
	}
	m, ok := s.methodToJoin(tenant)
	if !ok {
		return ErrForbidden
	}
	if err := s.certificateThere(m); err != nil {
		return err
	}
	try, err := s.attemptFrom(ctx)
	if err != nil {
		return err
	}
	inv, err := s.engine.store.InvitationByCode(ctx, hashCode(code))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return broken("read invitation", err)
	}
	known := err == nil
	if known && inv.Tenant != tenant {
		// No evidence named the tenant: the invitation's own method decides what must be shown.
		m, _ = s.methodToJoin(inv.Tenant)
	}
	return s.redeem(ctx, m, inv, known, try)
}

func (s *Session) redeem(ctx context.Context, m authn.Method, inv Invitation, known bool, try *attempt) error {
	l := authn.Login{Method: m, Subject: authn.Subject{}, Began: s.now}
	evidence, subject, why, err := s.leadingAmbient(ctx, l)
	if err != nil {
		return err
	}
	user, userErr := s.engine.store.User(ctx, inv.Tenant, inv.User)
	if userErr != nil && !errors.Is(userErr, ErrNotFound) {
		return broken("read user", userErr)
	}
	check, err := s.standing(ctx, authn.Subject{Tenant: inv.Tenant, User: inv.User}, evidence)
	if err != nil {
		return err
	}
	invited := authn.Subject{Tenant: inv.Tenant, User: inv.User}
	_, contradiction := subject.Narrow(invited)
	switch {
	case why != "":
	case !known || m.Name == "":
		why = ReasonInvitationUnknown
	case contradiction != nil:
		why = ReasonInvitationForeign
	case !inv.Open(s.now):
		why = ReasonInvitationNotOpen
	case check.Refused != "":
		why = check.Refused
	}
	if why != "" {
		s.note(ctx, authn.Happened{What: InvitationRefused, Subject: subject, Method: m.Name, Reason: why})
		return ErrInvalidCredential
	}
	enrollable := s.enrollable(m)
	if len(enrollable) == 0 {
		return ErrForbidden
	}
	id, err := s.engine.random(16)
	if err != nil {
		return err
	}
	begin := authn.Redeem{At: s.now, ID: id, Method: m, Evidence: evidence, Subject: invited, Names: authn.Names{Tenant: inv.Tenant, User: user.Name},
		Invitation: inv.ID, Factors: enrollable, Deadline: s.now.Add(workflowLife)}
	state, effects, err := s.plan(s.state, begin)
	if err != nil {
		return err
	}
	if err := s.engine.store.HoldInvitation(ctx, inv.ID, id, s.now); err != nil {
		if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
			s.note(ctx, authn.Happened{What: InvitationRefused, Subject: invited, Method: m.Name, Reason: ReasonInvitationNotOpen})
			return ErrInvalidCredential
		}
		return broken("hold invitation", err)
	}
	if err := s.commit(ctx, state, effects); err != nil {
		return err
	}
	try.giveBack(ctx)
	return nil
}

// methodToJoin is the first method on offer that users enrol for: its leading ambient steps are what an invitation needs
// besides its code.
func (s *Session) methodToJoin(tenant string) (authn.Method, bool) {
	for _, m := range s.offer(tenant, "") {
		if len(s.enrollable(m)) > 0 {
			return m, true
		}
	}
	return authn.Method{}, false
}

// leadingAmbient verifies the ambient steps that a method begins with. why says what was refused.
func (s *Session) leadingAmbient(ctx context.Context, l authn.Login) (evidence []authn.Evidence, subject authn.Subject, why authn.Reason, err error) {
	for _, step := range l.Method.Steps {
		if !allAmbient(step) {
			break
		}
		var last *factors.Rejection
		passed := false
		for _, f := range step.AnyOf {
			v, err := s.ask(ctx, l, f.Name, nil, factors.Asked{})
			if errors.As(err, &last) {
				continue
			}
			if err != nil {
				return nil, subject, "", err
			}
			narrowed, err := subject.Narrow(v.Evidence.Subject)
			if err != nil {
				return nil, subject, authn.ReasonSubject, nil
			}
			subject, evidence, passed = narrowed, append(evidence, v.Evidence), true
			break
		}
		if !passed {
			return nil, subject, last.Reason, nil
		}
	}
	return evidence, subject, "", nil
}

// enrollable are the interactive factors of a method whose credentials users add themselves.
func (s *Session) enrollable(m authn.Method) []string {
	var names []string
	for _, step := range m.Steps {
		for _, f := range step.AnyOf {
			if _, ok := s.rt.factors[f.Name].(factors.Enroller); ok && !f.Ambient && !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

// hashCode hashes an invitation code as it may have been typed: case, spaces and hyphens are no part of it.
func hashCode(code string) Digest {
	if len(code) > 256 {
		return Digest{}
	}
	clean := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(code))
	return sha256.Sum256([]byte("sallyport invitation\x00" + clean))
}

// enrolling is who enrols, and what allows it.
type enrolling struct {
	user       User
	existing   []factors.Credential
	onboarding *authn.Onboarding
}

// mayEnrol decides whether the caller may add a credential of a factor: in the workflow of an invitation, or signed in
// with evidence that is fresh and as strong as the strongest credential of the user.
func (s *Session) mayEnrol(ctx context.Context, factor string, fresh time.Duration) (enrolling, error) {
	var who enrolling
	var subject authn.Subject
	if o, ok := onboarding(s.state); ok {
		if !slices.Contains(o.Factors, factor) {
			return who, ErrWrongStep
		}
		who.onboarding, subject = &o, o.Login.Subject
	} else {
		p, err := s.person()
		if err != nil {
			if s.lapsed && errors.Is(err, ErrNotAuthenticated) {
				return who, ErrLoginExpired
			}
			return who, err
		}
		subject = p.Subject
		if err := s.freshEnough(ctx, p, fresh); err != nil {
			return who, err
		}
	}
	check, err := s.standing(ctx, subject, nil)
	if err != nil {
		return who, err
	}
	if check.Refused != "" {
		return who, ErrNotAuthenticated
	}
	if who.user, err = s.engine.store.User(ctx, subject.Tenant, subject.User); err != nil {
		return who, broken("read user", err)
	}
	who.existing, err = s.engine.store.Credentials(ctx, subject.Tenant, subject.User, factor)
	return who, broken("read credentials", err)
}

// freshEnough demands evidence no older than age, and as strong as the user's strongest credential in good standing.
func (s *Session) freshEnough(ctx context.Context, p authn.Principal, age time.Duration) error {
	all, err := s.engine.store.Credentials(ctx, p.Subject.Tenant, p.Subject.User, "")
	if err != nil {
		return broken("read credentials", err)
	}
	want := authn.Requirement{MaxAge: age}
	var ambient []authn.Evidence
	for _, e := range p.Evidence {
		if e.Ambient {
			ambient = append(ambient, e)
		}
	}
	for _, c := range all {
		if c.Flagged != "" {
			continue
		}
		best := authn.Assess(append(slices.Clip(ambient), authn.Evidence{Factor: c.Factor, Credential: c.ID, Strength: c.Best})...)
		want.AAL = max(want.AAL, best.AAL)
		want.PhishingResistant = want.PhishingResistant || best.PhishingResistant
		want.Hardware = want.Hardware || best.Hardware
		want.UserVerified = want.UserVerified || best.UserVerified
	}
	if !p.Meets(want, s.now) {
		return &InsufficientError{want}
	}
	return nil
}

func (s *Session) enroller(factor string) (factors.Enroller, error) {
	f, ok := s.rt.factors[factor].(factors.Enroller)
	if !ok {
		return nil, ErrNotFound
	}
	return f, nil
}

// EnrolChallenge asks a factor for the challenge of a new credential.
func (s *Session) EnrolChallenge(ctx context.Context, factor string) (Asking, error) {
	who, err := s.mayEnrol(ctx, factor, freshFor)
	if err != nil {
		return Asking{}, err
	}
	f, err := s.enroller(factor)
	if err != nil {
		return Asking{}, err
	}
	if len(who.existing) >= maxCredentials {
		return Asking{}, ErrConflict
	}
	c, err := f.EnrolChallenge(ctx, s.enrolment(who))
	if err != nil {
		return Asking{}, s.notAsked(ctx, authn.Login{Subject: who.user.Subject()}, factor, err)
	}
	return s.issue(ctx, f.Describe(), c, true)
}

func (s *Session) enrolment(who enrolling) factors.Enrolment {
	return factors.Enrolment{Request: s.factorRequest(who.user.Subject(), authn.Claim{}), User: who.user.User, Existing: who.existing}
}

// Enrol verifies the answer to an enrolment's challenge and stores the credential. In the workflow of an invitation,
// the invitation is spent in the same transaction. The session is saved first: what is stored afterwards was allowed by
// a session that lived.
func (s *Session) Enrol(ctx context.Context, factor, name string, credential json.RawMessage) (factors.Credential, error) {
	var none factors.Credential
	if len(name) > maxCredentialName || !utf8.ValidString(name) {
		return none, ErrBadRequest
	}
	who, err := s.mayEnrol(ctx, factor, freshFor+challengeLife)
	if err != nil {
		return none, err
	}
	f, err := s.enroller(factor)
	if err != nil {
		return none, err
	}
	c, ok := openChallenge(s.state)
	if !ok || c.Factor != factor || !s.challengeOfEnrolment() {
		return none, s.nothingRuns()
	}
	if err := s.spend(ctx, c); err != nil {
		return none, err
	}
	try, err := s.attemptFrom(ctx)
	if err != nil {
		return none, err
	}
	l := authn.Login{Subject: who.user.Subject(), Names: authn.Names{Tenant: who.user.Tenant, User: who.user.Name}}
	if !s.now.Before(c.Expires) {
		return none, s.refuse(ctx, l, c, &factors.Rejection{Reason: authn.ReasonChallengeLate})
	}
	e := s.enrolment(who)
	e.Credential, e.Challenge = credential, factors.Asked{ID: c.ID, Data: c.Data, Issued: c.Issued, Expires: c.Expires}
	made, err := f.Enrol(ctx, e)
	var rejected *factors.Rejection
	if errors.As(err, &rejected) {
		return none, s.refuse(ctx, l, c, rejected)
	}
	if err != nil {
		return none, &UnavailableError{err}
	}
	d := f.Describe()
	made.Tenant, made.User, made.Factor, made.Kind, made.Created, made.Version = who.user.Tenant, who.user.ID, d.Name, d.Kind, s.now, 1
	made.Name = name
	if made.Name == "" {
		made.Name = d.Name
	}
	if err := s.storeCredential(ctx, who, made, c); err != nil {
		return none, err
	}
	try.giveBack(ctx)
	return made, nil
}

func (s *Session) challengeOfEnrolment() bool {
	if _, ok := onboarding(s.state); ok {
		return true
	}
	a, ok := s.state.(authn.Authenticated)
	if !ok {
		return false
	}
	_, ok = a.Running().(authn.Enrolling)
	return ok
}

// storeCredential saves the session, writes the audit log and then stores the credential, in this order: a credential that
// nobody can find in the log is not stored. One that could not be stored after all is said to be refused.
func (s *Session) storeCredential(ctx context.Context, who enrolling, made factors.Credential, c authn.Challenge) error {
	state, effects, err := s.plan(s.state, authn.Enrolled{At: s.now, Challenge: c.ID, Factor: made.Factor, Credential: made.ID})
	if err != nil {
		return err
	}
	if err := s.save(ctx, state, effects); err != nil {
		return err
	}
	if err := s.engine.record(ctx, s.events(effects)...); err != nil {
		return err
	}
	enrolled := Enrolled{Credential: made, Epoch: who.user.Epoch, At: s.now}
	if who.onboarding != nil {
		enrolled.Invitation, enrolled.Holder = who.onboarding.Invitation, who.onboarding.Login.ID
	}
	if err := s.engine.store.Enrol(ctx, enrolled); err != nil {
		return s.notStored(ctx, who, made, err)
	}
	if who.onboarding == nil {
		return nil
	}
	// Whoever had to be invited anew may have lost control of what was there before.
	m := Match{Tenant: made.Tenant, Person: made.User, Except: s.row.Selector}
	_, err = s.engine.store.EndSessions(context.WithoutCancel(ctx), m, s.now)
	return broken("end sessions", err)
}

// notStored writes down that a credential was not stored, or that nobody knows.
func (s *Session) notStored(ctx context.Context, who enrolling, made factors.Credential, err error) error {
	why := ReasonOutcomeUnknown
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		why, err = ReasonChangedMeanwhile, ErrConflict
	}
	s.note(ctx, authn.Happened{What: CredentialRefused, Subject: who.user.Subject(), Names: authn.Names{Tenant: who.user.Tenant, User: who.user.Name},
		Factor: made.Factor, Reason: why})
	return broken("store credential", err)
}

// Credentials are the caller's own, of all factors, oldest first.
func (s *Session) Credentials(ctx context.Context) ([]factors.Credential, error) {
	p, err := s.person()
	if err != nil {
		return nil, err
	}
	all, err := s.engine.store.Credentials(ctx, p.Subject.Tenant, p.Subject.User, "")
	return all, broken("read credentials", err)
}

// own finds a credential of the caller's by id.
func (s *Session) own(ctx context.Context, id string) (authn.Principal, factors.Credential, error) {
	p, err := s.person()
	if err != nil {
		return p, factors.Credential{}, err
	}
	all, err := s.engine.store.Credentials(ctx, p.Subject.Tenant, p.Subject.User, "")
	if err != nil {
		return p, factors.Credential{}, broken("read credentials", err)
	}
	for _, c := range all {
		if c.ID == id {
			return p, c, nil
		}
	}
	return p, factors.Credential{}, ErrNotFound
}

// RenameCredential gives a credential of the caller's another name.
func (s *Session) RenameCredential(ctx context.Context, id, name string) error {
	if name == "" || len(name) > maxCredentialName || !utf8.ValidString(name) {
		return ErrBadRequest
	}
	p, c, err := s.own(ctx, id)
	if err != nil {
		return err
	}
	if err := s.fence(ctx); err != nil {
		return err
	}
	c.Name = name
	if err := s.engine.store.UpdateCredential(ctx, c); err != nil {
		return broken("rename credential", err)
	}
	s.note(ctx, authn.Happened{What: CredentialRenamed, Subject: p.Subject, Names: p.Names, Factor: c.Factor})
	return nil
}

// RemoveCredential removes a credential of the caller's. It demands fresh evidence as strong as the strongest
// credential ([*InsufficientError] otherwise), refuses to remove the last ([ErrConflict]), and ends the user's other
// sessions that were won with it.
func (s *Session) RemoveCredential(ctx context.Context, id string) error {
	p, c, err := s.own(ctx, id)
	if err != nil {
		return err
	}
	all, err := s.engine.store.Credentials(ctx, p.Subject.Tenant, p.Subject.User, "")
	if err != nil {
		return broken("read credentials", err)
	}
	good := 0
	for _, o := range all {
		if o.Flagged == "" && o.ID != c.ID {
			good++
		}
	}
	if good == 0 {
		return ErrConflict
	}
	if err := s.freshEnough(ctx, p, freshFor); err != nil {
		return err
	}
	if err := s.fence(ctx); err != nil {
		return err
	}
	// The sessions end first, so that a removal which breaks off can be tried again, and once more for those that were won
	// in between.
	end := func(ctx context.Context) error {
		_, err := s.engine.endSessionsWith(ctx, p.Subject.Tenant, p.Subject.User, c.Factor, c.ID, s.row.Selector, s.now)
		return err
	}
	if err := end(ctx); err != nil {
		return err
	}
	if err := s.engine.store.RemoveCredential(ctx, p.Subject.Tenant, p.Subject.User, c.Factor, c.ID, 1); err != nil {
		return broken("remove credential", err)
	}
	if err := end(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	s.note(ctx, authn.Happened{What: CredentialRemoved, Subject: p.Subject, Names: p.Names, Factor: c.Factor})
	return nil
}
