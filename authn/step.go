package authn

import (
	"slices"
	"time"
)

// MaxFailures is how many refused answers end a login.
const MaxFailures = 10

// DefaultAbsolute is how long a session lives at the most where its method says nothing.
const DefaultAbsolute = 12 * time.Hour

// Transition is what [Apply] makes of an event: the next state, and what is to be carried out once that state is saved.
type Transition struct {
	State   State
	Effects []Effect
}

// Refusal returns the reason of the first [Refused] effect, and whether there is one.
func (t Transition) Refusal() (Reason, bool) {
	for _, e := range t.Effects {
		if r, ok := e.(Refused); ok {
			return r.Reason, true
		}
	}
	return "", false
}

// Apply is the machine: it applies an event to a state. Deadlines that have passed at the event's time are applied first.
// An event that the state does not allow is a [*TransitionError]; the transition then holds the state as it was. An
// event that is taken but changes less than the caller hoped for (refused evidence) is no error: the effects hold a
// [Refused].
func Apply(s State, e Event) (Transition, error) {
	now := e.when()
	live, _ := At(s, now, time.Time{})
	var t Transition
	var err error
	switch live := live.(type) {
	case Guest:
		t, err = live.step(e)
	case Authenticating:
		t, err = live.step(e)
	case Pending:
		t, err = live.step(e)
	case Authenticated:
		t, err = live.step(e)
	case Ended:
		err = illegal(live, e, ReasonIllegal)
	default:
		err = &TransitionError{State: "unknown", Event: e.Kind(), Reason: ReasonIllegal}
	}
	if err != nil {
		if te, ok := err.(*TransitionError); ok && te.Reason == ReasonIllegal && s != nil && lapsed(s, live) {
			te.State, te.Reason = s.Kind(), ReasonExpired
		}
		return Transition{State: s}, err
	}
	if left(s, live) && !slices.Contains(t.Effects, Effect(ClearValues{})) {
		t.Effects = slices.Concat([]Effect{ClearValues{}}, t.Effects)
	}
	return t, nil
}

// lapsed reports whether the event was illegal because something in s had run out.
func lapsed(s, live State) bool {
	if s.Kind() != live.Kind() || left(s, live) {
		return true
	}
	before, ok := s.(Authenticated)
	if !ok {
		return false
	}
	after := live.(Authenticated)
	return before.running != nil && after.running == nil
}

// left reports whether the time of a person above a device has run out: the session goes on, and the person's values must
// not.
func left(s, live State) bool {
	before, was := s.(Authenticated)
	after, is := live.(Authenticated)
	return was && is && before.person != nil && after.person == nil
}

func illegal(s State, e Event, why Reason) error {
	return &TransitionError{State: s.Kind(), Event: e.Kind(), Reason: why}
}

func to(s State, effects ...Effect) (Transition, error) { return Transition{s, effects}, nil }

func (g Guest) step(e Event) (Transition, error) {
	switch e := e.(type) {
	case Begin:
		return begin(g, e)
	case Redeem:
		return redeem(g, e)
	case Once:
		return once(g, e)
	case Revoke:
		return end(e.Reason, e.At)
	default:
		return Transition{}, illegal(g, e, ReasonIllegal)
	}
}

func (a Authenticating) step(e Event) (Transition, error) {
	replaced := a.Login.happened(LoginReplaced, "", ReasonReplaced)
	switch e := e.(type) {
	case Begin:
		return also(replaced)(begin(a, e))
	case Redeem:
		return also(replaced)(redeem(a, e))
	case Issue:
		if e.Enrolment {
			return Transition{}, illegal(a, e, ReasonIllegal)
		}
		l, err := a.Login.issue(a, e)
		return Transition{State: Authenticating{l}}, err
	case Fail:
		l, ended, err := a.Login.fail(a, e)
		if err != nil {
			return Transition{}, err
		}
		refusals := []Effect{Refused{e.Reason}, a.Login.happened(FactorFailed, e.Factor, e.Reason)}
		if ended {
			return to(Guest{}, append(refusals, a.Login.happened(LoginRefused, "", ReasonTooManyFailures))...)
		}
		return to(Authenticating{l}, refusals...)
	case Prove:
		return a.prove(e)
	case Cancel:
		return to(Guest{}, a.Login.happened(LoginCancelled, "", ReasonCancelled))
	case SignOut:
		return end(ReasonSignedOut, e.At, a.Login.happened(LoginCancelled, "", ReasonSignedOut))
	case Revoke:
		return end(e.Reason, e.At, a.Login.happened(SessionEnded, "", e.Reason))
	default:
		return Transition{}, illegal(a, e, ReasonIllegal)
	}
}

func (a Authenticating) prove(e Prove) (Transition, error) {
	p, err := a.Login.prove(a, e)
	if err != nil {
		return Transition{}, err
	}
	switch {
	case p.over != "":
		return to(Guest{}, p.effects(LoginRefused)...)
	case p.refused != "":
		return to(Authenticating{p.login}, p.effects("")...)
	case !p.complete:
		return to(Authenticating{p.login}, p.effects("", Rotate{})...)
	}
	principal, why := p.login.promote(e.Check, e.At, nil)
	if why != "" {
		return to(Guest{}, p.refuse(why).effects(LoginRefused)...)
	}
	return to(enter(principal, Authenticated{}), p.effects(LoginFinished, Rotate{}, ClearValues{})...)
}

func (p Pending) step(e Event) (Transition, error) {
	o := p.Onboarding
	replaced := o.Login.happened(WorkflowCancelled, "", ReasonReplaced)
	switch e := e.(type) {
	case Begin:
		return also(replaced)(begin(p, e))
	case Redeem:
		return also(replaced)(redeem(p, e))
	case Issue:
		o, err := o.issue(p, e)
		return Transition{State: Pending{o}}, err
	case Fail:
		o, err := o.fail(p, e)
		if err != nil {
			return Transition{}, err
		}
		return to(Pending{o}, Refused{e.Reason}, o.Login.happened(FactorFailed, e.Factor, e.Reason))
	case Enrolled:
		if err := o.enrolled(p, e); err != nil {
			return Transition{}, err
		}
		return to(Guest{}, Rotate{}, o.Login.happened(CredentialAdded, e.Factor, ""), o.Login.happened(WorkflowFinished, "", ""))
	case Cancel:
		return to(Guest{}, o.Login.happened(WorkflowCancelled, "", ReasonCancelled))
	case SignOut:
		return end(ReasonSignedOut, e.At, o.Login.happened(WorkflowCancelled, "", ReasonSignedOut))
	case Revoke:
		return end(e.Reason, e.At, o.Login.happened(SessionEnded, "", e.Reason))
	default:
		return Transition{}, illegal(p, e, ReasonIllegal)
	}
}

func end(why Reason, at time.Time, what ...Effect) (Transition, error) {
	return to(Ended{Reason: why, At: at}, slices.Concat([]Effect{ClearValues{}}, what)...)
}

// also puts effects before those of a transition.
func also(first ...Effect) func(Transition, error) (Transition, error) {
	return func(t Transition, err error) (Transition, error) {
		if err == nil {
			t.Effects = slices.Concat(first, t.Effects)
		}
		return t, err
	}
}

func begin(s State, e Begin) (Transition, error) {
	if e.ID == "" || e.Method.Check() != nil || e.Method.On != "" || e.Method.EachRequest {
		return Transition{}, illegal(s, e, ReasonIllegal)
	}
	l := e.login(Subject{})
	return to(Authenticating{l}, Rotate{}, ClearValues{}, l.happened(LoginBegun, "", ""))
}

func (e Begin) login(start Subject) Login {
	return Login{ID: e.ID, Method: e.Method, Subject: start, Claim: e.Claim, ReturnTo: e.ReturnTo, Began: e.At, Deadline: e.At.Add(e.Method.loginTime())}
}

func (m Method) loginTime() time.Duration {
	if m.Login > 0 {
		return m.Login
	}
	return DefaultLoginTime
}

func (m Method) absolute() time.Duration {
	if m.Session.Absolute > 0 {
		return m.Session.Absolute
	}
	return DefaultAbsolute
}

func redeem(s State, e Redeem) (Transition, error) {
	o, err := e.onboarding(s)
	if err != nil {
		return Transition{}, err
	}
	return to(Pending{o}, Rotate{}, ClearValues{}, o.Login.happened(WorkflowBegun, "", ""))
}

// onboarding checks that the method lets people in where s is, and that its leading ambient steps are proven, all of them,
// and by nobody but the invited.
func (e Redeem) onboarding(s State) (Onboarding, error) {
	refuse := func(why Reason) (Onboarding, error) { return Onboarding{}, illegal(s, e, why) }
	if e.ID == "" || e.Invitation == "" || len(e.Factors) == 0 || e.Subject.User == "" || e.Subject.Class != ClassPerson || e.Method.Check() != nil || e.Method.EachRequest {
		return refuse(ReasonIllegal)
	}
	if a, _ := s.(Authenticated); !e.Method.above(a.unattended) {
		return refuse(ReasonNotOnOffer)
	}
	if !e.Deadline.IsZero() && !e.At.Before(e.Deadline) {
		return refuse(ReasonExpired)
	}
	if len(e.Evidence) != e.Method.leading() {
		return refuse(ReasonWrongStep)
	}
	subject, why := e.Method.together(e.Subject, e.Evidence, e.At)
	if why != "" {
		return refuse(why)
	}
	if !subject.Valid() {
		return refuse(ReasonSubject)
	}
	l := Login{ID: e.ID, Method: e.Method, Subject: subject, Names: e.Names, Evidence: slices.Clip(e.Evidence), Began: e.At,
		Deadline: earliest(e.Deadline, append(expiries(e.Evidence), e.At.Add(e.Method.loginTime()))...)}
	return Onboarding{Login: l, Workflow: WorkflowEnrol, Invitation: e.Invitation, Factors: slices.Clip(e.Factors)}, nil
}

// together is what evidence that came with one request, that of the first steps in order, makes of a subject, and why it
// does not fit, if it does not.
func (m Method) together(subject Subject, evidence []Evidence, at time.Time) (Subject, Reason) {
	for i := range evidence {
		ev := &evidence[i]
		if why := m.Steps[i].accepts(*ev, at, at); why != "" {
			return subject, why
		}
		if shown(evidence[:i], ev) {
			return subject, ReasonRepeated
		}
		var err error
		if subject, err = subject.Narrow(ev.Subject); err != nil {
			return subject, ReasonSubject
		}
	}
	return subject, ""
}

func (o Onboarding) issue(s State, e Issue) (Onboarding, error) {
	if !e.Enrolment {
		return o, illegal(s, e, ReasonIllegal)
	}
	if !slices.Contains(o.Factors, e.Challenge.Factor) || e.Challenge.ID == "" {
		return o, illegal(s, e, ReasonWrongStep)
	}
	c := e.Challenge
	c.Expires = earliest(c.Expires, o.Login.Deadline)
	o.Challenge = &c
	return o, nil
}

func (o Onboarding) fail(s State, e Fail) (Onboarding, error) {
	if why := o.Challenge.answered(e.Factor, e.Challenge, time.Time{}); why != "" {
		return o, illegal(s, e, why)
	}
	o.Challenge = nil
	return o, nil
}

func (o Onboarding) enrolled(s State, e Enrolled) error {
	if why := o.Challenge.answered(e.Factor, e.Challenge, e.At); why != "" {
		return illegal(s, e, why)
	}
	return nil
}

// answered says why the challenge is not the one that an answer belongs to; empty: it is. A zero time leaves expiry out.
func (c *Challenge) answered(factor, id string, at time.Time) Reason {
	switch {
	case c == nil:
		return ReasonNoChallenge
	case c.Factor != factor || c.ID != id || id == "":
		return ReasonChallengeStale
	case !at.IsZero() && !at.Before(c.Expires):
		return ReasonChallengeLate
	}
	return ""
}

// accepts says why evidence does not fit the step; empty: it does. It must have been obtained between began and now.
func (s Step) accepts(ev Evidence, began, now time.Time) Reason {
	f, ok := s.Allows(ev.Factor)
	switch {
	case !ok || f.Kind != ev.Kind || f.Ambient != ev.Ambient || ev.At.Before(began) || ev.At.After(now):
		return ReasonWrongStep
	case !ev.Expires.IsZero() && !now.Before(ev.Expires):
		return ReasonEvidenceExpired
	case ev.size() > maxEvidence:
		return ReasonEvidenceSize
	case !ev.Subject.Valid(),
		ev.Subject.Tenant != "" && f.Identifies < IdentifiesTenant,
		ev.Subject.User != "" && (f.Identifies < IdentifiesUser || f.Class != ev.Subject.Class):
		return ReasonSubject
	case f.Tied && ev.Tie == nil:
		return ReasonWrongStep
	}
	return ""
}

func (l Login) issue(s State, e Issue) (Login, error) {
	step, ok := l.Next()
	if !ok {
		return l, illegal(s, e, ReasonWrongStep)
	}
	f, ok := step.Allows(e.Challenge.Factor)
	if !ok || f.Ambient || e.Challenge.ID == "" {
		return l, illegal(s, e, ReasonWrongStep)
	}
	c := e.Challenge
	c.Expires = earliest(c.Expires, l.Deadline)
	l.Challenge = &c
	return l, nil
}

// fail spends the challenge that was answered, or counts a failed ambient credential. ended says that it was one too many.
func (l Login) fail(s State, e Fail) (_ Login, ended bool, _ error) {
	if e.Challenge != "" {
		if why := l.Challenge.answered(e.Factor, e.Challenge, time.Time{}); why != "" {
			return l, false, illegal(s, e, why)
		}
		l.Challenge = nil
	}
	l.Failures++
	return l, l.Failures >= MaxFailures, nil
}

// proof is what became of a piece of evidence.
type proof struct {
	login    Login
	factor   string
	refused  Reason
	over     Reason // why the refusal ends the login; empty: it does not
	complete bool
}

// effects are those of the proof: first its own, then what it led to.
func (p proof) effects(what Occurrence, first ...Effect) []Effect {
	if p.refused != "" {
		first = append(first, Refused{p.refused}, p.login.happened(FactorFailed, p.factor, p.refused))
	} else {
		first = append(first, p.login.happened(FactorPassed, p.factor, ""))
	}
	if what != "" {
		first = append(first, p.login.happened(what, "", p.over))
	}
	return first
}

func (p proof) refuse(why Reason) proof {
	p.refused, p.over = why, why
	return p
}

// prove adds evidence to the login. Evidence that cannot belong to the open step or challenge is an error; evidence that
// is about somebody else, expired or shown before is refused and counts as a failure.
func (l Login) prove(s State, e Prove) (proof, error) {
	ev := e.Evidence
	step, ok := l.Next()
	if !ok {
		return proof{}, illegal(s, e, ReasonWrongStep)
	}
	if _, ok := step.Allows(ev.Factor); !ok {
		return proof{}, illegal(s, e, ReasonWrongStep)
	}
	began := l.Began
	if n := len(l.Evidence); n > 0 {
		began = l.Evidence[n-1].At
	}
	if !ev.Ambient {
		if why := l.Challenge.answered(ev.Factor, e.Challenge, e.At); why != "" {
			return proof{}, illegal(s, e, why)
		}
		if l.Challenge.Issued.After(began) {
			began = l.Challenge.Issued
		}
	} else if e.Challenge != "" {
		return proof{}, illegal(s, e, ReasonWrongStep)
	}
	refused := step.accepts(ev, began, e.At)
	if refused == ReasonWrongStep {
		return proof{}, illegal(s, e, refused)
	}
	subject, err := l.Subject.Narrow(ev.Subject)
	switch {
	case refused != "":
	case err != nil:
		refused = ReasonSubject
	case shown(l.Evidence, &ev):
		refused = ReasonRepeated
	}
	l.Challenge = nil
	if refused != "" {
		l.Failures++
		p := proof{login: l, factor: ev.Factor, refused: refused}
		if l.Failures >= MaxFailures {
			p.over = ReasonTooManyFailures
		}
		return p, nil
	}
	if e.Ends != "" {
		return proof{login: l, factor: ev.Factor, refused: e.Ends, over: e.Ends}, nil
	}
	l.Subject = subject
	l.Names = l.Names.with(ev.Names)
	l.Evidence = append(slices.Clip(l.Evidence), ev)
	p := proof{login: l, factor: ev.Factor, complete: len(l.Evidence) == len(l.Method.Steps)}
	if p.complete && e.Check == nil {
		return proof{}, illegal(s, e, ReasonUnchecked)
	}
	return p, nil
}

// promote is the one door: the only place that makes a principal, or makes one prove more. For a step-up, up is the
// principal that steps up; its evidence, deadlines and making stay as they are and the login's evidence is added.
func (l Login) promote(c *Check, at time.Time, up *Principal) (Principal, Reason) {
	switch {
	case c == nil || c.Subject != l.Subject:
		return Principal{}, ReasonUnchecked
	case c.Refused != "":
		return Principal{}, c.Refused
	case !c.OnOffer:
		return Principal{}, ReasonNotOnOffer
	}
	var p Principal
	if up != nil {
		p = *up
		for i := range l.Evidence {
			p.Added = p.withAdded(&l.Evidence[i])
		}
		p.Deadline = earliest(p.Deadline, expiries(l.Evidence)...)
	} else {
		p = Principal{Subject: l.Subject, Names: l.Names.with(c.Names), Method: l.Method, Evidence: l.Evidence, Login: l.ID, Made: at,
			Deadline: earliest(at.Add(l.Method.absolute()), expiries(l.Evidence)...), Idle: l.Method.Session.Idle, Epoch: c.Epoch}
	}
	if why := p.sound(); why != "" {
		return Principal{}, why
	}
	for _, ev := range p.All() {
		if !ev.Expires.IsZero() && !at.Before(ev.Expires) {
			return Principal{}, ReasonEvidenceExpired
		}
	}
	for _, floor := range c.Floors {
		if !p.Meets(floor, at) {
			return Principal{}, ReasonFloor
		}
	}
	return p, ""
}

// sound says what is wrong with a principal whoever made or stored it; empty: its evidence satisfies its pinned method,
// step by step and in time, names its subject, and lasts as long as it does.
func (p *Principal) sound() Reason {
	if p.Login == "" || p.Method.Check() != nil || p.Method.EachRequest && !p.Method.single() || p.Idle != p.Method.Session.Idle || len(p.Evidence) != len(p.Method.Steps) {
		return ReasonWrongStep
	}
	// The login began at its first evidence at the latest, and was not over when it made the principal.
	end := p.Made.Add(p.Method.absolute())
	if !p.Made.Before(p.Evidence[0].At.Add(p.Method.loginTime())) || p.Deadline.After(end) {
		return ReasonExpired
	}
	// Above a device, the person's tenant is the device's, and the person's own evidence may name no tenant.
	var subject Subject
	if p.Method.On != "" {
		subject.Tenant = p.Subject.Tenant
	}
	var seen time.Time
	for i, step := range p.Method.Steps {
		ev := &p.Evidence[i]
		if why := step.accepts(*ev, seen, ev.At); why != "" {
			return why
		}
		if ev.At.After(p.Made) {
			return ReasonWrongStep
		}
		if !ev.lasts(p.Deadline) {
			return ReasonEvidenceExpired
		}
		if shown(p.Evidence[:i], ev) {
			return ReasonRepeated
		}
		seen = ev.At
		var err error
		if subject, err = subject.Narrow(ev.Subject); err != nil {
			return ReasonSubject
		}
	}
	if len(p.Added) > maxAdded || p.Subject.Class != ClassPerson && len(p.Added) > 0 {
		return ReasonWrongStep
	}
	for i := range p.Added {
		ev := &p.Added[i]
		switch _, err := p.Subject.Narrow(ev.Subject); {
		case err != nil:
			return ReasonSubject
		case ev.Factor == "" || !ev.At.Before(end):
			return ReasonWrongStep
		case ev.size() > maxEvidence:
			return ReasonEvidenceSize
		case !ev.lasts(p.Deadline) || !ev.Expires.IsZero() && !ev.At.Before(ev.Expires):
			return ReasonEvidenceExpired
		}
	}
	if subject != p.Subject {
		return ReasonSubject
	}
	if p.Subject.User == "" {
		return ReasonUnidentified
	}
	return ""
}

// enter puts a new principal into a session: a device, a workload, a person, or a person above the device that is there
// already.
func enter(p Principal, into Authenticated) Authenticated {
	into.running = nil
	if p.Subject.Class != ClassPerson {
		into.unattended, into.person = &p, nil
		return into
	}
	into.person = &p
	if p.Method.On == "" {
		into.unattended = nil
	}
	return into
}

func (l Login) happened(what Occurrence, factor string, why Reason) Happened {
	return Happened{What: what, Subject: l.Subject, Names: l.Names, Method: l.Method.Name, Factor: factor, Login: l.ID, Reason: why}
}

func (p Principal) happened(what Occurrence, factor string, why Reason) Happened {
	return Happened{What: what, Subject: p.Subject, Names: p.Names, Method: p.Method.Name, Factor: factor, Login: p.Login, Reason: why}
}

func expiries(evidence []Evidence) []time.Time {
	var all []time.Time
	for _, e := range evidence {
		all = append(all, e.Expires)
	}
	return all
}

// earliest ignores zero times, except that it returns zero where all are.
func earliest(t time.Time, more ...time.Time) time.Time {
	for _, m := range more {
		if t.IsZero() || !m.IsZero() && m.Before(t) {
			t = m
		}
	}
	return t
}
