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
	"github.com/sallyport-auth/sallyport/authn/policy"
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
// one. Redeeming spends nothing: storing the credential does. Redeeming again moves the invitation here. A person who is
// signed in has no use for an invitation ([ErrWrongStep]).
func (s *Session) Redeem(ctx context.Context, code string) error {
	if err := s.tick(ctx); err != nil {
		return err
	}
	if p, person := s.Person(); person {
		s.note(ctx, authn.Happened{What: InvitationRefused, Subject: p.Subject, Names: p.Names, Reason: authn.ReasonWrongStep})
		return ErrWrongStep
	}
	tenant, err := s.ambientTenant(ctx)
	if err != nil {
		return err
	}
	m, ok := s.methodToJoin(tenant)
	if !ok {
		return ErrForbidden
	}
	if err := s.certificateThere(ctx, m); err != nil {
		return err
	}
	shown, err := s.leadingAmbient(ctx, m)
	if err != nil {
		return err
	}
	try, err := s.attemptInvitation(ctx, shown)
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
	if shown, err = s.leadingAmbient(ctx, m); err != nil {
		return err
	}
	return s.redeem(ctx, m, shown, inv, known, try)
}

// attemptInvitation counts a try at an invitation: against whoever has shown something, and otherwise against its source.
func (s *Session) attemptInvitation(ctx context.Context, shown ambient) (*attempt, error) {
	if shown.why == "" && len(shown.evidence) > 0 {
		l := authn.Login{Subject: shown.subject, Evidence: shown.evidence}
		a := &attempt{s: s, budgets: []Budget{s.insiderSource(l, "")}}
		return a, a.take(ctx, l)
	}
	return s.attemptFrom(ctx)
}

func (s *Session) redeem(ctx context.Context, m authn.Method, shown ambient, inv Invitation, known bool, try *attempt) error {
	user, userErr := s.engine.store.User(ctx, inv.Tenant, inv.User)
	if userErr != nil && !errors.Is(userErr, ErrNotFound) {
		return broken("read user", userErr)
	}
	invited := authn.Subject{Tenant: inv.Tenant, User: inv.User}
	check, err := s.standing(ctx, invited, shown.evidence)
	if err != nil {
		return err
	}
	_, contradiction := shown.subject.Narrow(invited)
	why := shown.why
	switch {
	case why != "":
	case !known || m.Name == "":
		why = ReasonInvitationUnknown
	case contradiction != nil || s.req.Origin.Tenant != "" && s.req.Origin.Tenant != inv.Tenant:
		why = ReasonInvitationForeign
	case !inv.Open(s.now):
		why = ReasonInvitationNotOpen
	case check.Refused != "":
		why = check.Refused
	}
	refused := func(why authn.Reason) error {
		s.note(ctx, authn.Happened{What: InvitationRefused, Subject: shown.subject, Method: m.Name, Reason: why})
		return ErrInvalidCredential
	}
	if why != "" {
		return refused(why)
	}
	enrollable := s.enrollable(m)
	if len(enrollable) == 0 {
		return ErrForbidden
	}
	id, err := s.engine.random(16)
	if err != nil {
		return err
	}
	begin := authn.Redeem{At: s.now, ID: id, Method: m, Evidence: shown.evidence, Subject: invited, Names: authn.Names{Tenant: inv.Tenant, User: user.Name},
		Invitation: inv.ID, Factors: enrollable, Deadline: s.now.Add(workflowLife)}
	before := s.state
	state, effects, err := s.plan(s.state, begin)
	if err != nil {
		return err
	}
	if err := s.engine.store.HoldInvitation(ctx, inv.ID, id, s.now); err != nil {
		if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
			return refused(ReasonInvitationNotOpen)
		}
		return broken("hold invitation", err)
	}
	if err := s.commit(ctx, state, effects); err != nil {
		return err
	}
	// Whoever was suspended between the check and the save is caught here; whoever is suspended later finds the row.
	if check, err = s.standing(ctx, invited, shown.evidence); err != nil || check.Refused != "" {
		if undoErr := s.takeBack(ctx, before); undoErr != nil || err != nil {
			return errors.Join(undoErr, err)
		}
		return refused(check.Refused)
	}
	try.giveBack(ctx)
	return nil
}

// methodToJoin is the method that users enrol for: its leading ambient steps are what an invitation needs besides its
// code. Of several on offer it is the one that demands the most of them, so that no code gives a credential to somebody
// who could not begin to sign in with it; above a device, those that run on it come first.
func (s *Session) methodToJoin(tenant string) (best authn.Method, ok bool) {
	rank := func(m authn.Method) int {
		n := 0
		for _, step := range m.Steps {
			if !step.Ambient() {
				break
			}
			n++
		}
		if m.On != "" {
			n += len(m.Steps) + 1000
		}
		return n
	}
	for _, m := range s.offer(s.rt, tenant, "") {
		if len(s.enrollable(m)) > 0 && (!ok || rank(m) > rank(best)) {
			best, ok = m, true
		}
	}
	return best, ok
}

// ambient is what the ambient steps that a method begins with have shown. why says what was refused.
type ambient struct {
	evidence []authn.Evidence
	subject  authn.Subject
	why      authn.Reason
}

// leadingAmbient verifies the ambient steps that a method begins with.
func (s *Session) leadingAmbient(ctx context.Context, m authn.Method) (shown ambient, _ error) {
	for _, step := range m.Steps {
		if !step.Ambient() {
			break
		}
		var last *factors.Rejection
		passed := false
		for _, f := range step.AnyOf {
			v, err := s.ask(ctx, authn.Login{Method: m, Subject: shown.subject, Began: s.now}, f.Name, nil, factors.Asked{})
			if errors.As(err, &last) {
				continue
			}
			if err != nil {
				return shown, err
			}
			narrowed, err := shown.subject.Narrow(v.Evidence.Subject)
			if err != nil {
				shown.why = authn.ReasonSubject
				return shown, nil
			}
			shown.subject, shown.evidence, passed = narrowed, append(shown.evidence, v.Evidence), true
			break
		}
		if !passed {
			shown.why = last.Reason
			return shown, nil
		}
	}
	return shown, nil
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
	user        User
	tenantEpoch uint64
	existing    []factors.Credential
	onboarding  *authn.Onboarding
}

// mayEnrol decides whether the caller may add a credential of a factor: in the workflow of an invitation, or signed in
// with evidence that is fresh, as strong as the strongest credential of the user, and as strong as the new one makes it.
func (s *Session) mayEnrol(ctx context.Context, factor string) (enrolling, error) {
	var who enrolling
	var subject authn.Subject
	var began time.Time
	f, err := s.enroller(factor)
	if err != nil {
		return who, err
	}
	if o, ok := onboarding(s.state); ok {
		if !slices.Contains(o.Factors, factor) {
			return who, ErrWrongStep
		}
		who.onboarding, subject, began = &o, o.Login.Subject, o.Login.Began
	} else {
		p, err := s.person()
		if err != nil {
			if s.lapsed && errors.Is(err, ErrNotAuthenticated) {
				return who, ErrLoginExpired
			}
			return who, err
		}
		subject, began = p.Subject, p.Made
		if err := s.freshEnough(ctx, p, f.Describe().Best); err != nil {
			return who, err
		}
	}
	t, err := s.engine.store.Tenant(ctx, subject.Tenant)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return who, broken("read tenant", err)
	}
	who.tenantEpoch = t.Epoch
	if who.user, err = s.engine.store.User(ctx, subject.Tenant, subject.User); err != nil && !errors.Is(err, ErrNotFound) {
		return who, broken("read user", err)
	}
	if badStanding(t, who.user, authn.ClassPerson) != "" || began.Before(cutoff(t, who.user)) {
		return who, ErrNotAuthenticated
	}
	if who.existing, err = s.engine.store.Credentials(ctx, subject.Tenant, subject.User, factor); err != nil {
		return who, broken("read credentials", err)
	}
	if len(who.existing) >= maxCredentials {
		return who, ErrConflict
	}
	return who, nil
}

// freshEnough demands interactive evidence no older than freshFor, and as strong as the user's strongest credential in good
// standing. What the new credential gives is demanded too, where it can be had without one: resistance to phishing, and
// AAL 2. (SP 800-63B-4 section 4.1.2 asks for the lower of what the account has and what the new one will be used at;
// here a session below it needs an invitation.) Ambient evidence lends nothing: it is there whoever sits before it.
func (s *Session) freshEnough(ctx context.Context, p authn.Principal, gives authn.Strength) error {
	all, err := s.engine.store.Credentials(ctx, p.Subject.Tenant, p.Subject.User, "")
	if err != nil {
		return broken("read credentials", err)
	}
	want := authn.Requirement{MaxAge: freshFor, PhishingResistant: gives.PhishingResistant}
	if gives.Category != 0 {
		want.AAL = min(2, alone(gives).AAL)
	}
	for _, c := range all {
		if c.Flagged != "" {
			continue
		}
		best := alone(c.Best)
		want.AAL = max(want.AAL, best.AAL)
		want.PhishingResistant = want.PhishingResistant || best.PhishingResistant
		want.Hardware = want.Hardware || best.Hardware
		want.UserVerified = want.UserVerified || best.UserVerified
	}
	shown := slices.DeleteFunc(slices.Clone(s.counted(p)), func(e authn.Evidence) bool { return e.Ambient })
	if !want.MetBy(shown, s.now) {
		return &InsufficientError{want}
	}
	return nil
}

// alone is what a credential is worth with nothing beside it.
func alone(best authn.Strength) authn.Assurance {
	return authn.Assess(authn.Evidence{Credential: "it", Strength: best})
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
	if err := s.tick(ctx); err != nil {
		return Asking{}, err
	}
	who, err := s.mayEnrol(ctx, factor)
	if err != nil {
		return Asking{}, err
	}
	f, err := s.enroller(factor)
	if err != nil {
		return Asking{}, err
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
	if err := s.tick(ctx); err != nil {
		return factors.Credential{}, err
	}
	if len(name) > maxCredentialName || !utf8.ValidString(name) {
		return none, ErrBadRequest
	}
	who, err := s.mayEnrol(ctx, factor)
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
	l := authn.Login{Subject: who.user.Subject(), Names: authn.Names{Tenant: who.user.Tenant, User: who.user.Name}}
	if who.onboarding != nil {
		l.Evidence = who.onboarding.Login.Evidence
	}
	if err := s.answers(ctx, l, c, credential); err != nil {
		return none, err
	}
	if err := s.spend(ctx, l, c); err != nil {
		return none, err
	}
	try, err := s.attempt(ctx, factor, l, credential)
	if err != nil {
		return none, err
	}
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
	enrolled := Enrolled{Credential: made, Epoch: who.user.Epoch, TenantEpoch: who.tenantEpoch, At: s.now}
	if who.onboarding != nil {
		enrolled.Invitation, enrolled.Holder = who.onboarding.Invitation, who.onboarding.Login.ID
	}
	if err := s.engine.store.Enrol(ctx, enrolled); err != nil {
		return s.notStored(ctx, who, made, err)
	}
	if who.onboarding == nil {
		if err := s.stillThere(ctx); err != nil {
			return s.unstore(context.WithoutCancel(ctx), who, made, err)
		}
		return nil
	}
	// Whoever had to be invited anew may have lost control of what was there before. The cutoff, which was stored with the
	// credential, has ended it all; the rows are marked as well.
	s.engine.standings.forget()
	m := Match{Tenant: made.Tenant, Person: made.User, Except: s.row.Selector}
	n, err := s.engine.store.EndSessions(context.WithoutCancel(ctx), m, s.now)
	s.noteEnded(ctx, who.user.Subject(), n, ReasonRecovered)
	return broken("end sessions", err)
}

// unstore takes a credential back that was stored while its session was being ended: the end came first.
func (s *Session) unstore(ctx context.Context, who enrolling, made factors.Credential, why error) error {
	err := s.engine.store.RemoveCredential(ctx, made.Tenant, made.User, made.Factor, made.ID, who.user.Epoch+1)
	if errors.Is(err, ErrConflict) {
		var u User
		if u, err = s.engine.store.User(ctx, made.Tenant, made.User); err == nil {
			err = s.engine.store.RemoveCredential(ctx, made.Tenant, made.User, made.Factor, made.ID, u.Epoch)
		}
	}
	if err == nil || errors.Is(err, ErrNotFound) {
		// And with it whatever was won with it meanwhile.
		_, err = s.engine.endSessionsWith(ctx, made.Tenant, made.User, made.Factor, made.ID, "", s.now)
	}
	if err != nil {
		return s.notStored(ctx, who, made, err)
	}
	return s.notStored(ctx, who, made, why)
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
	if err := s.tick(ctx); err != nil {
		return err
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
// credential ([*InsufficientError] otherwise), refuses to remove one without which a method that the user can complete
// no longer could be ([ErrConflict]), and ends the user's other sessions that were won with it.
func (s *Session) RemoveCredential(ctx context.Context, id string) error {
	if err := s.tick(ctx); err != nil {
		return err
	}
	p, c, err := s.own(ctx, id)
	if err != nil {
		return err
	}
	u, err := s.engine.store.User(ctx, p.Subject.Tenant, p.Subject.User)
	if err != nil {
		return broken("read user", err)
	}
	all, err := s.engine.store.Credentials(ctx, p.Subject.Tenant, p.Subject.User, "")
	if err != nil {
		return broken("read credentials", err)
	}
	if s.needed(p, c, all) {
		return ErrConflict
	}
	if err := s.freshEnough(ctx, p, authn.Strength{}); err != nil {
		return err
	}
	if err := s.fence(ctx); err != nil {
		return err
	}
	// The sessions end first, so that a removal which breaks off can be tried again, and once more for those that were won
	// in between.
	if err := s.endWonWith(ctx, p.Subject, c.Factor, c.ID, ReasonCredentialRemoved); err != nil {
		return err
	}
	if err := s.engine.store.RemoveCredential(ctx, p.Subject.Tenant, p.Subject.User, c.Factor, c.ID, u.Epoch); err != nil {
		return broken("remove credential", err)
	}
	if err := s.endWonWith(context.WithoutCancel(ctx), p.Subject, c.Factor, c.ID, ReasonCredentialRemoved); err != nil {
		return err
	}
	s.note(ctx, authn.Happened{What: CredentialRemoved, Subject: p.Subject, Names: p.Names, Factor: c.Factor})
	return nil
}

// needed reports whether a method that the user can complete with the credentials there are could not be completed
// without c, or whether c is the last one in good standing of all.
func (s *Session) needed(p authn.Principal, c factors.Credential, all []factors.Credential) bool {
	left := slices.DeleteFunc(slices.Clone(all), func(o factors.Credential) bool { return o.Factor == c.Factor && o.ID == c.ID })
	if !slices.ContainsFunc(left, func(o factors.Credential) bool { return o.Flagged == "" }) {
		return true
	}
	q := policy.Query{AnyRoute: true, Tenant: p.Subject.Tenant, Device: p.Method.On}
	return slices.ContainsFunc(s.rt.policy.Offer(q), func(m authn.Method) bool {
		return s.completable(m, all) && !s.completable(m, left)
	})
}

// completable reports whether each step of a method has a factor that needs no credential of the user's, or one for which
// there is one in good standing.
func (s *Session) completable(m authn.Method, all []factors.Credential) bool {
	return !slices.ContainsFunc(m.Steps, func(step authn.Step) bool {
		return !slices.ContainsFunc(step.AnyOf, func(d authn.Factor) bool {
			if _, enrolled := s.rt.factors[d.Name].(factors.Enroller); !enrolled || d.Ambient {
				return true
			}
			return slices.ContainsFunc(all, func(c factors.Credential) bool { return c.Factor == d.Name && c.Flagged == "" })
		})
	})
}
