package policy

import (
	"errors"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/sallyport-auth/sallyport/authn"
)

// Warnings are what is suspicious in a policy that is good all the same, in the order of the file: factors that are in no
// method, methods that no rule offers, methods that let in a token without their certificate, sessions and
// logins of methods that have none. The slice is the caller's.
func (p *Policy) Warnings() []Error { return slices.Clone(p.warnings) }

func (r *reader) warn() {
	for _, f := range r.in.Factors.pairs {
		if !slices.ContainsFunc(r.policy.Methods, func(m Method) bool { return m.uses(f.key) }) {
			r.warnAt(f.at, "factor %q is in no method", f.key)
		}
	}
	for _, m := range r.in.Methods.pairs {
		if !slices.ContainsFunc(r.policy.Rules, func(rule Rule) bool { return slices.Contains(rule.Methods, m.key) }) {
			r.warnAt(m.at, "method %q is offered by no rule", m.key)
		}
		method := r.policy.method(m.key)
		for _, key := range []string{"session", "login"} {
			if part := nodeAt(m.value, key); method.EachRequest && part != m.value {
				r.warnAt(part, "method %q runs on each request: it has no %s, and this says nothing", m.key, key)
			}
		}
		if method.TokenAlone {
			r.warnAt(nodeAt(m.value, tokenAlone), "method %q lets in a token without the certificate that it asks for: whoever copies the token needs nothing else", m.key)
		}
	}
}

func (r *reader) warnAt(n ast.Node, format string, args ...any) {
	if e, ok := errors.AsType[*Error](r.at(n, format, args...)); ok {
		r.policy.warnings = append(r.policy.warnings, *e)
	}
}

func (m Method) uses(factor string) bool {
	return slices.ContainsFunc(m.Steps, func(s authn.Step) bool {
		_, ok := s.Allows(factor)
		return ok
	})
}
