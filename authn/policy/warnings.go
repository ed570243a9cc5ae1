package policy

import (
	"errors"
	"slices"

	"github.com/sallyport-auth/sallyport/authn"
)

// Warnings are what is suspicious in a policy that is good all the same, in the order of the file: factors that are in no
// method and methods that no rule offers. The slice is the caller's.
func (p *Policy) Warnings() []Error { return slices.Clone(p.warnings) }

func (r *reader) warn() {
	for _, f := range r.in.Factors.pairs {
		if !slices.ContainsFunc(r.policy.Methods, func(m Method) bool { return m.uses(f.key) }) {
			r.warnAt(f, "factor %q is in no method")
		}
	}
	for _, m := range r.in.Methods.pairs {
		if !slices.ContainsFunc(r.policy.Rules, func(rule Rule) bool { return slices.Contains(rule.Methods, m.key) }) {
			r.warnAt(m, "method %q is offered by no rule")
		}
	}
}

func (r *reader) warnAt(p pair, format string) {
	if e, ok := errors.AsType[*Error](r.at(p.at, format, p.key)); ok {
		r.policy.warnings = append(r.policy.warnings, *e)
	}
}

func (m Method) uses(factor string) bool {
	return slices.ContainsFunc(m.Steps, func(s authn.Step) bool {
		_, ok := s.Allows(factor)
		return ok
	})
}
