package authn

import (
	"slices"
	"time"
)

// step applies an event to a session. What runs inside it never changes what its principals are until it is complete.
// Somebody who was authenticated for one request has no session, and nothing happens to them.
func (a Authenticated) step(e Event) (Transition, error) {
	if a.OneRequest() {
		return Transition{}, illegal(a, e, ReasonIllegal)
	}
	switch e := e.(type) {
	case Begin:
		return a.begin(e)
	case BeginStepUp:
		return a.beginStepUp(e)
	case Redeem:
		return a.redeem(e)
	case Issue:
		return a.issue(e)
	case Prove:
		return a.prove(e)
	case Fail:
		return a.fail(e)
	case Enrolled:
		return a.enrolled(e)
	case Cancel:
		if a.running == nil {
			return Transition{}, illegal(a, e, ReasonIllegal)
		}
		return to(a.with(nil), a.abandoned(ReasonCancelled)...)
	case SignOut:
		if a.person != nil && a.unattended != nil && !e.All {
			effects := slices.Concat([]Effect{Rotate{}, ClearValues{}}, a.abandoned(ReasonSignedOut), gone(ReasonSignedOut, a.person))
			a.person = nil
			return to(a.with(nil), effects...)
		}
		return end(ReasonSignedOut, e.At, a.over(ReasonSignedOut)...)
	case Revoke:
		return end(e.Reason, e.At, a.over(e.Reason)...)
	default:
		return Transition{}, illegal(a, e, ReasonIllegal)
	}
}

func (a Authenticated) with(r Running) Authenticated {
	a.running = r
	return a
}

// abandoned is what is said of the thing that ran, if any.
func (a Authenticated) abandoned(why Reason) []Effect {
	switch r := a.running.(type) {
	case StepUp:
		return []Effect{r.Login.happened(LoginCancelled, "", why)}
	case SignOn:
		return []Effect{r.Login.happened(LoginCancelled, "", why)}
	case Onboarding:
		return []Effect{r.Login.happened(WorkflowCancelled, "", why)}
	default: // an enrolment that was not finished, or nothing: no one needs to know
		return nil
	}
}

// gone is what is said of principals that a session has no longer.
func gone(why Reason, all ...*Principal) (effects []Effect) {
	for _, p := range all {
		if p != nil {
			effects = append(effects, p.happened(SessionEnded, "", why))
		}
	}
	return effects
}

// over is what is said of a session that ends: first of what ran inside, then of whoever was in it.
func (a Authenticated) over(why Reason) []Effect {
	return append(a.abandoned(why), gone(why, a.person, a.unattended)...)
}

// begin starts a login inside the session. A method that runs on a device starts from the device's tenant.
func (a Authenticated) begin(e Begin) (Transition, error) {
	if e.ID == "" || e.Method.Check() != nil || e.Method.EachRequest {
		return Transition{}, illegal(a, e, ReasonIllegal)
	}
	if !e.Method.above(a.unattended) {
		return Transition{}, illegal(a, e, ReasonNotOnOffer)
	}
	var start Subject
	if e.Method.On != "" {
		start.Tenant = a.unattended.Subject.Tenant
	}
	l := e.login(start)
	if start.Tenant != "" {
		l.Names.Tenant = a.unattended.Names.Tenant
	}
	effects := append(a.abandoned(ReasonReplaced), Rotate{}, l.happened(LoginBegun, "", ""))
	return to(a.with(SignOn{l}), effects...)
}

// stepUpName is the name of every step-up's method.
const stepUpName = "step-up"

func (a Authenticated) beginStepUp(e BeginStepUp) (Transition, error) {
	m := Method{Name: stepUpName, Steps: slices.Clip(e.Steps), Login: e.Login}
	if a.person == nil || e.ID == "" || m.Check() != nil {
		return Transition{}, illegal(a, e, ReasonIllegal)
	}
	l := Login{ID: e.ID, Method: m, Subject: a.person.Subject, Names: a.person.Names, Began: e.At,
		Deadline: earliest(e.At.Add(m.loginTime()), a.person.Deadline)}
	effects := append(a.abandoned(ReasonReplaced), l.happened(StepUpBegun, "", ""))
	return to(a.with(StepUp{l, e.Want}), effects...)
}

// redeem opens a person's workflow above a device. A person who is signed in has no use for an invitation, nor has a program.
func (a Authenticated) redeem(e Redeem) (Transition, error) {
	if a.person != nil || a.unattended.Subject.Class != ClassDevice || e.Subject.Tenant != a.unattended.Subject.Tenant {
		return Transition{}, illegal(a, e, ReasonIllegal)
	}
	o, err := e.onboarding(a)
	if err != nil {
		return Transition{}, err
	}
	effects := append(a.abandoned(ReasonReplaced), Rotate{}, o.Login.happened(WorkflowBegun, "", ""))
	return to(a.with(o), effects...)
}

func (a Authenticated) issue(e Issue) (Transition, error) {
	if e.Enrolment {
		if o, ok := a.running.(Onboarding); ok {
			o, err := o.issue(a, e)
			return Transition{State: a.with(o)}, err
		}
		if a.person == nil || e.Challenge.ID == "" || e.Challenge.Factor == "" {
			return Transition{}, illegal(a, e, ReasonIllegal)
		}
		c := e.Challenge
		c.Expires = earliest(c.Expires, a.person.Deadline)
		return to(a.with(Enrolling{c}), a.abandoned(ReasonReplaced)...)
	}
	switch r := a.running.(type) {
	case StepUp:
		l, err := r.Login.issue(a, e)
		r.Login = l
		return Transition{State: a.with(r)}, err
	case SignOn:
		l, err := r.Login.issue(a, e)
		r.Login = l
		return Transition{State: a.with(r)}, err
	default:
		return Transition{}, illegal(a, e, ReasonIllegal)
	}
}

func (a Authenticated) fail(e Fail) (Transition, error) {
	refused := func(l Login, r Running, ended bool, err error, what Occurrence) (Transition, error) {
		if err != nil {
			return Transition{}, err
		}
		effects := []Effect{Refused{e.Reason}, l.happened(FactorFailed, e.Factor, e.Reason)}
		if ended {
			return to(a.with(nil), append(effects, l.happened(what, "", ReasonTooManyFailures))...)
		}
		return to(a.with(r), effects...)
	}
	switch r := a.running.(type) {
	case StepUp:
		l, ended, err := r.Login.fail(a, e)
		return refused(l, StepUp{l, r.Want}, ended, err, StepUpRefused)
	case SignOn:
		l, ended, err := r.Login.fail(a, e)
		return refused(l, SignOn{l}, ended, err, LoginRefused)
	case Onboarding:
		o, err := r.fail(a, e)
		return refused(o.Login, o, false, err, "")
	case Enrolling:
		if why := r.Challenge.answered(e.Factor, e.Challenge, time.Time{}); why != "" {
			return Transition{}, illegal(a, e, why)
		}
		return to(a.with(nil), Refused{e.Reason}, a.person.happened(FactorFailed, e.Factor, e.Reason))
	default:
		return Transition{}, illegal(a, e, ReasonIllegal)
	}
}

func (a Authenticated) enrolled(e Enrolled) (Transition, error) {
	switch r := a.running.(type) {
	case Onboarding:
		if err := r.enrolled(a, e); err != nil {
			return Transition{}, err
		}
		return to(a.with(nil), Rotate{}, r.Login.happened(CredentialAdded, e.Factor, ""), r.Login.happened(WorkflowFinished, "", ""))
	case Enrolling:
		if why := r.Challenge.answered(e.Factor, e.Challenge, e.At); why != "" {
			return Transition{}, illegal(a, e, why)
		}
		return to(a.with(nil), a.person.happened(CredentialAdded, e.Factor, ""))
	default:
		return Transition{}, illegal(a, e, ReasonIllegal)
	}
}

func (a Authenticated) prove(e Prove) (Transition, error) {
	switch r := a.running.(type) {
	case StepUp:
		return a.proveStepUp(r, e)
	case SignOn:
		return a.proveSignOn(r, e)
	default:
		return Transition{}, illegal(a, e, ReasonIllegal)
	}
}

func (a Authenticated) proveStepUp(r StepUp, e Prove) (Transition, error) {
	p, err := r.Login.prove(a, e)
	if err != nil {
		return Transition{}, err
	}
	switch {
	case p.over != "":
		return to(a.with(nil), p.effects(StepUpRefused)...)
	case p.refused != "" || !p.complete:
		return to(a.with(StepUp{p.login, r.Want}), p.effects("")...)
	}
	principal, why := p.login.promote(e.Check, e.At, a.person)
	want := r.Want
	if took := e.At.Sub(p.login.Began).Truncate(time.Second) + time.Second; want.MaxAge > 0 && took > want.MaxAge {
		want.MaxAge = took // what was shown in this step-up, though elsewhere and some seconds ago, is as fresh as was asked for
	}
	if why == "" && !principal.Meets(want, e.At) {
		why = ReasonFloor
	}
	if why != "" {
		return to(a.with(nil), p.refuse(why).effects(StepUpRefused)...)
	}
	a.person = &principal
	return to(a.with(nil), p.effects(StepUpFinished, Rotate{})...)
}

func (a Authenticated) proveSignOn(r SignOn, e Prove) (Transition, error) {
	p, err := r.Login.prove(a, e)
	if err != nil {
		return Transition{}, err
	}
	switch {
	case p.over != "":
		return to(a.with(nil), p.effects(LoginRefused)...)
	case p.refused != "":
		return to(a.with(SignOn{p.login}), p.effects("")...)
	case !p.complete:
		return to(a.with(SignOn{p.login}), p.effects("", Rotate{})...)
	}
	principal, why := p.login.promote(e.Check, e.At, nil)
	if why != "" {
		return to(a.with(nil), p.refuse(why).effects(LoginRefused)...)
	}
	next := enter(principal, a)
	replaced := gone(ReasonReplaced, a.person)
	if next.unattended != a.unattended {
		replaced = gone(ReasonReplaced, a.person, a.unattended)
	}
	return to(next, append(p.effects(LoginFinished, Rotate{}, ClearValues{}), replaced...)...)
}
