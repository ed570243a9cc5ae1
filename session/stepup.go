package session

import (
	"context"
	"slices"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// StepUp begins a step-up inside the session: a fresh proof by each factor named, or by any one factor that makes the
// session meet want. Nothing changes until it is complete. A want that nothing can meet is [ErrForbidden].
func (s *Session) StepUp(ctx context.Context, want authn.Requirement) error {
	if err := s.tick(ctx); err != nil {
		return err
	}
	if want.Empty() {
		return ErrBadRequest
	}
	p, ok := s.Person()
	if !ok {
		return ErrNotAuthenticated
	}
	if err := s.allowsOn(policy.Query{AnyRoute: true}, p); err != nil {
		return err
	}
	steps, err := s.stepsFor(p, want)
	if err != nil {
		return err
	}
	id, err := s.engine.random(16)
	if err != nil {
		return err
	}
	begin := authn.BeginStepUp{At: s.now, ID: id, Steps: steps, Want: want}
	state, effects, err := s.plan(s.state, begin)
	if err != nil {
		return err
	}
	return s.passAmbient(ctx, state, effects, false)
}

// stepsFor are the steps that would make a principal meet a requirement. Ambient evidence is verified with every request
// and proves nothing by being asked for again, so a named ambient factor is a step only where it is missing.
func (s *Session) stepsFor(p authn.Principal, want authn.Requirement) ([]authn.Step, error) {
	have := p.All()
	var steps []authn.Step
	for _, name := range want.Factors {
		f, ok := s.rt.factors[name]
		if !ok {
			return nil, ErrBadRequest
		}
		d := f.Describe()
		if d.Class != authn.ClassPerson || s.ofOneRequest(name) {
			return nil, ErrForbidden
		}
		shown := slices.ContainsFunc(have, func(e authn.Evidence) bool { return e.Factor == name })
		if !d.Ambient || !shown {
			steps = append(steps, authn.Step{AnyOf: []authn.Factor{d}})
		}
	}
	if len(steps) > 0 {
		return steps, nil
	}
	var choice authn.Step
	for _, f := range s.rt.order {
		d := f.Describe()
		if _, interactive := f.(factors.Challenger); !interactive || d.Class != authn.ClassPerson {
			continue
		}
		best := d.BestEvidence()
		best.At, best.Credential = s.now, "\x00best"
		if want.MetBy(append(slices.Clone(have), best), s.now) {
			choice.AnyOf = append(choice.AnyOf, d)
		}
	}
	if len(choice.AnyOf) == 0 {
		return nil, ErrForbidden
	}
	return []authn.Step{choice}, nil
}

// ofOneRequest reports whether a factor's evidence is worth nothing beyond the request that it came with.
func (s *Session) ofOneRequest(factor string) bool {
	f, _ := s.rt.policy.Factor(factor)
	p, ok := f.Settings.(policy.Placed)
	return ok && p.Place().EachRequest
}
