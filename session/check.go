package session

import (
	"context"
	"errors"
	"slices"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// check looks up again what must hold when the last step of the login in state passes.
func (s *Session) check(ctx context.Context, state authn.State, l authn.Login, last authn.Evidence) (authn.Check, error) {
	subject, err := l.Subject.Narrow(last.Subject)
	if err != nil {
		return authn.Check{Subject: l.Subject, Refused: authn.ReasonSubject}, nil
	}
	evidence := append(slices.Clip(l.Evidence), last)
	c, err := s.standing(ctx, subject, evidence)
	if err != nil || c.Refused != "" {
		return c, err
	}
	if l.Claim.Tenant != "" && l.Claim.Tenant != subject.Tenant {
		c.Refused = ReasonClaimDiffers
		return c, nil
	}
	rt := s.engine.current.Load()
	c.Epoch = rt.policy.Epoch
	if stepsUp(state) {
		c.OnOffer = true // the guards see to the method of the session on every request
		return c, nil
	}
	c.OnOffer = slices.ContainsFunc(s.offer(subject.Tenant, l.ReturnTo), func(m authn.Method) bool { return m.Name == l.Method.Name })
	c.Floors = rt.policy.FloorsFor(policy.Query{Tenant: subject.Tenant})
	return c, nil
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
	c := authn.Check{Subject: subject}
	refuse := func(why authn.Reason) {
		if c.Refused == "" {
			c.Refused = why
		}
	}
	t, err := s.engine.store.Tenant(ctx, subject.Tenant)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return c, broken("read tenant", err)
	}
	if err != nil || t.Status != Active {
		refuse(ReasonTenantSuspended)
	}
	u, err := s.engine.store.User(ctx, subject.Tenant, subject.User)
	switch {
	case errors.Is(err, ErrNotFound):
		refuse(ReasonUserGone)
	case err != nil:
		return c, broken("read user", err)
	case u.Status != Active:
		refuse(ReasonUserSuspended)
	case u.Device != subject.Device:
		refuse(authn.ReasonSubject)
	}
	c.Names = authn.Names{Tenant: subject.Tenant, User: u.Name}
	why, err := s.credentialsGood(ctx, subject, evidence)
	if why != "" {
		refuse(why)
	}
	return c, err
}

// credentialsGood says what is wrong with the enrolled credentials behind evidence, and with its ties on this request.
func (s *Session) credentialsGood(ctx context.Context, subject authn.Subject, evidence []authn.Evidence) (authn.Reason, error) {
	rt := s.engine.current.Load()
	for _, ev := range evidence {
		f, ok := rt.factors[ev.Factor]
		if !ok {
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
	return s.tieBrokenNow(ctx, rt, evidence)
}

// tieBrokenNow checks ties with the factors in force at this moment, which may be newer than the request.
func (s *Session) tieBrokenNow(ctx context.Context, rt *runtime, evidence []authn.Evidence) (authn.Reason, error) {
	then := s.rt
	s.rt = rt
	defer func() { s.rt = then }()
	return s.tieBroken(ctx, evidence)
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
	a, ok := s.state.(authn.Authenticated)
	if !ok {
		return ErrNotAuthenticated
	}
	d, ok := a.Device()
	if !ok {
		return ErrNotAuthenticated
	}
	return s.allows(d, want)
}

func (s *Session) allows(p authn.Principal, want []authn.Requirement) error {
	return s.allowsOn(policy.Query{Route: s.req.Route}, p, want)
}

// person is the principal for calls about the person's own session and credentials. They belong to no route of the
// application's, so the method must be on offer somewhere, and the floors that bind everywhere count.
func (s *Session) person() (authn.Principal, error) {
	p, ok := s.Person()
	if !ok {
		return p, ErrNotAuthenticated
	}
	return p, s.allowsOn(policy.Query{AnyRoute: true}, p, nil)
}

func (s *Session) allowsOn(q policy.Query, p authn.Principal, want []authn.Requirement) error {
	q.Tenant, q.Device = p.Subject.Tenant, p.Method.On
	if !s.rt.policy.Offers(q, p.Method.Name) {
		return ErrNotAuthenticated
	}
	for _, floor := range s.rt.policy.FloorsFor(q) {
		if !p.Meets(floor, s.now) {
			return &InsufficientError{floor}
		}
	}
	for _, w := range want {
		if !p.Meets(w, s.now) {
			return &InsufficientError{w}
		}
	}
	return nil
}
