package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// check looks up again what must hold when the last step of the login in state passes. why says that the subject is not in
// good standing.
func (s *Session) check(ctx context.Context, state authn.State, l authn.Login, last authn.Evidence) (_ authn.Check, why authn.Reason, _ error) {
	subject, err := l.Subject.Narrow(last.Subject)
	if err != nil {
		return authn.Check{Subject: l.Subject, Refused: authn.ReasonSubject}, "", nil
	}
	evidence := append(slices.Clip(l.Evidence), last)
	c, cutoff, err := s.standingSince(ctx, subject, evidence)
	if err == nil && c.Refused == "" && l.Began.Before(cutoff) {
		c.Refused = ReasonEndedBefore
	}
	if err != nil || c.Refused != "" {
		return c, c.Refused, err
	}
	rt := s.engine.current.Load()
	c.Epoch = rt.policy.Epoch
	if stepsUp(state) {
		c.OnOffer = true // the guards see to the method of the session on every request
		return c, "", nil
	}
	switch s.contradicts(l, subject.Tenant) {
	case "":
		c.OnOffer = true
	case ReasonClaimDiffers:
		c.Refused = ReasonClaimDiffers
	}
	c.Floors = rt.policy.FloorsFor(policy.Query{Tenant: subject.Tenant})
	return c, "", nil
}

func stepsUp(state authn.State) bool {
	a, ok := state.(authn.Authenticated)
	if !ok {
		return false
	}
	_, ok = a.Running().(authn.StepUp)
	return ok
}

// standing looks up whether a subject's tenant, user and enrolled credentials are in good standing. For a subject that
// names no user it answers in the same way, with the same look-ups.
func (s *Session) standing(ctx context.Context, subject authn.Subject, evidence []authn.Evidence) (authn.Check, error) {
	c, _, err := s.standingSince(ctx, subject, evidence)
	return c, err
}

// standingSince also says before when the subject's sessions and logins are over.
func (s *Session) standingSince(ctx context.Context, subject authn.Subject, evidence []authn.Evidence) (authn.Check, time.Time, error) {
	c := authn.Check{Subject: subject}
	refuse := func(why authn.Reason) {
		if c.Refused == "" {
			c.Refused = why
		}
	}
	t, err := s.engine.store.Tenant(ctx, subject.Tenant)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return c, time.Time{}, broken("read tenant", err)
	}
	u, err := s.engine.store.User(ctx, subject.Tenant, subject.User)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return c, time.Time{}, broken("read user", err)
	}
	if why := badStanding(t, u, subject.Class); why != "" {
		refuse(why)
	}
	c.Names = authn.Names{Tenant: subject.Tenant, User: u.Name}
	why, err := s.credentialsGood(ctx, subject, evidence)
	if why != "" {
		refuse(why)
	}
	return c, cutoff(t, u), err
}

// credentialsGood says what is wrong with the enrolled credentials behind evidence, and with its ties on this request.
func (s *Session) credentialsGood(ctx context.Context, subject authn.Subject, evidence []authn.Evidence) (authn.Reason, error) {
	rt := s.engine.current.Load()
	for _, ev := range evidence {
		f, ok := rt.factors[ev.Factor]
		if !ok {
			return authn.ReasonNotOnOffer, nil
		}
		if !vouches(f, ev, false) {
			return authn.ReasonNotOnOffer, nil
		}
		if _, enrolled := f.(factors.Enroller); !enrolled || ev.Ambient {
			continue
		}
		c, err := s.engine.store.Credential(ctx, subject.Tenant, ev.Factor, ev.Credential)
		switch {
		case errors.Is(err, ErrNotFound):
			return ReasonCredentialRemoved, nil
		case err != nil:
			return "", broken("read credential", err)
		case c.User != subject.User:
			return authn.ReasonSubject, nil
		case c.Flagged != "":
			return factors.ReasonFlagged, nil
		}
	}
	if why, err := s.takenBack(ctx, subject.Tenant, evidence); why != "" || err != nil {
		return why, err
	}
	return s.tieBrokenNow(ctx, rt, evidence)
}

// tieBrokenNow checks ties with the factors in force at this moment, which may be newer than the request.
func (s *Session) tieBrokenNow(ctx context.Context, rt *runtime, evidence []authn.Evidence) (authn.Reason, error) {
	then := s.rt
	s.rt = rt
	defer func() { s.rt = then }()
	lost, err := s.tieBroken(ctx, evidence)
	return lost.why, err
}

// Allows reports whether the session may pass on this request: a person is signed in, by a method that the policy in
// force offers on this route and tenant, and every floor that matches is met, and so is want. It answers
// [ErrNotAuthenticated] or [*InsufficientError].
func (s *Session) Allows(want ...authn.Requirement) error {
	p, ok := s.Person()
	if !ok {
		return ErrNotAuthenticated
	}
	return s.allows(p, want)
}

// AllowsDevice is Allows for the device principal.
func (s *Session) AllowsDevice(want ...authn.Requirement) error {
	a, _ := s.state.(authn.Authenticated)
	d, ok := a.Device()
	if !ok {
		return ErrNotAuthenticated
	}
	return s.allows(d, want)
}

// AllowsWorkload is Allows for the workload principal.
func (s *Session) AllowsWorkload(want ...authn.Requirement) error {
	a, _ := s.state.(authn.Authenticated)
	w, ok := a.Workload()
	if !ok {
		return ErrNotAuthenticated
	}
	return s.allows(w, want)
}

func (s *Session) allows(p authn.Principal, want []authn.Requirement) error {
	return s.allowsOn(policy.Query{Route: s.req.Route}, p, want, s.further)
}

// person is the principal for calls about the person's own session and credentials. They belong to no route of the
// application's, so the method must be on offer somewhere, and the floors that bind everywhere count.
func (s *Session) person() (authn.Principal, error) {
	p, ok := s.Person()
	if !ok {
		return p, ErrNotAuthenticated
	}
	return p, s.allowsOn(policy.Query{AnyRoute: true}, p, s.further)
}

// allowsOn holds a principal to the policy, and then to requirements, in order.
func (s *Session) allowsOn(q policy.Query, p authn.Principal, wants ...[]authn.Requirement) error {
	q.Tenant, q.Device, q.EachRequest = p.Subject.Tenant, p.Method.On, p.Method.EachRequest
	if of := s.req.Origin.Tenant; of != "" && of != p.Subject.Tenant {
		return ErrNotAuthenticated // the host is another tenant's
	}
	if !s.rt.policy.Offers(q, p.Method.Name) || !s.stillOffered(p) {
		return ErrNotAuthenticated
	}
	evidence := s.counted(p)
	for floor := range s.rt.policy.EachFloor(q) {
		if !floor.MetBy(evidence, s.now) {
			return &InsufficientError{floor}
		}
	}
	for _, want := range wants {
		for _, w := range want {
			if !w.MetBy(evidence, s.now) {
				return &InsufficientError{w}
			}
		}
	}
	return nil
}

// stillOffered reports whether the policy in force would let in again whoever has shown what a principal has: its method
// may have got other steps since, and the device beneath it may be gone.
func (s *Session) stillOffered(p authn.Principal) bool {
	if p.Epoch == s.rt.policy.Epoch {
		return true
	}
	device := p.Method.On
	if device != "" && !s.rt.policy.Offers(policy.Query{AnyRoute: true, Tenant: p.Subject.Tenant}, device) {
		return false
	}
	m, ok := s.rt.policy.Method(p.Method.Name)
	if !ok || m.On != device {
		return false
	}
	shown := s.counted(p)
	return !slices.ContainsFunc(m.Steps, func(step authn.Step) bool {
		return !slices.ContainsFunc(shown, func(e authn.Evidence) bool {
			f, ok := step.Allows(e.Factor) // a factor is in one step of a method
			return ok && f.Kind == e.Kind
		})
	})
}

// counted is the evidence of a principal by factors that the policy still has.
func (s *Session) counted(p authn.Principal) []authn.Evidence {
	all := p.All()
	if p.Epoch == s.rt.policy.Epoch {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(e authn.Evidence) bool {
		f, ok := s.rt.factors[e.Factor]
		return !ok || !vouches(f, e, false)
	})
}

// vouches reports whether whoever a factor relies on may still be relied on. Most rely on nobody.
func vouches(f factors.Factor, e authn.Evidence, newcomer bool) bool {
	v, ok := f.(factors.Vouched)
	return !ok || v.Vouches(e, newcomer)
}
