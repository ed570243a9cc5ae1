package policy

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/sallyport-auth/sallyport/authn"
)

// Method is a method of the policy.
type Method struct {
	authn.Method
	// TokenAlone says that the method, which runs on each request, lets in a token without the certificate that it asks
	// for: the legacy switch insecure_allow_token_without_certificate. See [Method.WithoutCertificate].
	TokenAlone bool
}

// tokenAlone is the key of Method.TokenAlone.
const tokenAlone = "insecure_allow_token_without_certificate"

// WithoutCertificate is the method without the steps that only the certificate of the request can pass, and whether it has
// such steps. Whether it may be run like that is for TokenAlone to say. What is left meets fewer floors.
func (m Method) WithoutCertificate() (authn.Method, bool) {
	left := m.Method
	left.Steps = slices.DeleteFunc(slices.Clone(m.Steps), authn.Step.Certificate)
	return left, len(left.Steps) < len(m.Steps)
}

type methodEntry struct {
	Steps       []stepEntry   `yaml:"steps"`
	Session     sessionPart   `yaml:"session"`
	Login       time.Duration `yaml:"login"`
	On          filled        `yaml:"on"`
	EachRequest bool          `yaml:"each_request"`
	TokenAlone  bool          `yaml:"insecure_allow_token_without_certificate"`
}

type sessionPart struct {
	Idle     time.Duration `yaml:"idle"`
	Absolute time.Duration `yaml:"absolute"`
	Node     ast.Node
}

// stepEntry is a factor's name or { any_of: [names] }.
type stepEntry struct {
	AnyOf []positioned `yaml:"any_of"`
	Node  ast.Node
}

func (e *stepEntry) fromNode(s *source, n ast.Node) error {
	e.Node = n
	if _, ok := n.(*ast.StringNode); ok {
		var p positioned
		err := p.fromNode(s, n)
		e.AnyOf = []positioned{p}
		return err
	}
	type plain stepEntry
	var p plain
	if err := s.structure(n, reflect.ValueOf(&p).Elem()); err != nil {
		return err
	}
	e.AnyOf = p.AnyOf
	if len(e.AnyOf) == 0 {
		return s.at(n, "a step needs a factor")
	}
	return nil
}

func (r *reader) methods() error {
	if len(r.in.Methods.pairs) == 0 {
		return r.at(r.root, "methods are missing")
	}
	for _, p := range r.in.Methods.pairs {
		if err := r.named(p, "method"); err != nil {
			return err
		}
		m, err := r.oneMethod(p)
		if err != nil {
			return err
		}
		r.policy.Methods = append(r.policy.Methods, m)
	}
	for _, p := range r.in.Methods.pairs {
		if err := r.checkOn(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) oneMethod(p pair) (Method, error) {
	var e methodEntry
	if err := r.source.structure(p.value, reflect.ValueOf(&e).Elem()); err != nil {
		return Method{}, err
	}
	m := authn.Method{Name: p.key, On: string(e.On), Login: e.Login, EachRequest: e.EachRequest, Session: authn.Lifetime{Idle: e.Session.Idle, Absolute: e.Session.Absolute}}
	if len(e.Steps) == 0 {
		return Method{}, r.at(p.at, "method %q: steps are missing", p.key)
	}
	for _, step := range e.Steps {
		var s authn.Step
		for _, name := range step.AnyOf {
			f, err := r.knownFactor(name)
			if err != nil {
				return Method{}, err
			}
			if e.EachRequest && !f.Ambient {
				return Method{}, r.at(name.node, "method %q runs on each request: %q must be asked and cannot be part of it", p.key, name.text)
			}
			s.AnyOf = append(s.AnyOf, f)
		}
		m.Steps = append(m.Steps, s)
	}
	if m.Session.Absolute == 0 {
		m.Session.Absolute = DefaultAbsolute
	}
	if m.Session.Idle == 0 {
		m.Session.Idle = min(DefaultIdle, m.Session.Absolute)
	}
	if err := r.checkWorkload(p, e, m); err != nil {
		return Method{}, err
	}
	if err := r.checkMethod(p, e, m); err != nil {
		return Method{}, err
	}
	if err := r.checkPlaces(e, m); err != nil {
		return Method{}, err
	}
	made := Method{Method: m, TokenAlone: e.TokenAlone}
	return made, r.checkTokenAlone(p, made)
}

// checkWorkload refuses, in a method for programs, what only others can do.
func (r *reader) checkWorkload(p pair, e methodEntry, m authn.Method) error {
	if !m.Makes(authn.ClassWorkload) {
		return nil
	}
	for i, step := range m.Steps {
		for j, f := range step.AnyOf {
			node := e.Steps[i].AnyOf[j].node
			switch {
			case !f.Ambient:
				return r.at(node, "method %q is for workloads: %q must be asked, and nobody is there to answer", p.key, f.Name)
			case f.Class != authn.ClassWorkload && f.Names(f.Class):
				return r.at(node, "method %q is for workloads: %q names a %s", p.key, f.Name, f.Class)
			}
		}
	}
	if m.On != "" {
		return r.at(nodeAt(p.value, "on"), "method %q makes a workload, which is on no device", p.key)
	}
	return nil
}

func (r *reader) checkMethod(p pair, e methodEntry, m authn.Method) error {
	switch {
	case m.Check() != nil:
		return r.at(p.at, "method %q: a factor is twice in one step", p.key)
	case m.Session.Absolute > maxAbsolute:
		return r.at(e.Session.Node, "method %q: a session lives at most %v", p.key, maxAbsolute)
	case m.Session.Idle > m.Session.Absolute:
		return r.at(e.Session.Node, "method %q: idle is longer than absolute", p.key)
	case m.Login > time.Hour:
		return r.at(p.at, "method %q: a login takes an hour at most", p.key)
	}
	seen := map[string]bool{}
	for _, step := range m.Steps {
		for _, f := range step.AnyOf {
			if seen[f.Name] {
				return r.at(p.at, "method %q: factor %q is in two steps: one credential satisfies one step", p.key, f.Name)
			}
			seen[f.Name] = true
		}
	}
	if r.known(m.Steps) != authn.IdentifiesUser {
		return r.at(p.at, "method %q can end without naming a user: no step of it always does", p.key)
	}
	return nil
}

// known is what steps identify, whatever is chosen in them: a step names a user only if all its factors do.
func (r *reader) known(steps []authn.Step) authn.Identifies {
	known := authn.IdentifiesNothing
	for _, step := range steps {
		least := authn.IdentifiesUser
		for _, f := range step.AnyOf {
			least = min(least, r.atLeast(f))
		}
		known = max(known, least)
	}
	return known
}

// atLeast is what a factor of the policy always identifies.
func (r *reader) atLeast(f authn.Factor) authn.Identifies {
	known, _ := r.policy.Factor(f.Name)
	if p, ok := known.Settings.(Partial); ok {
		return min(f.Identifies, p.AtLeast())
	}
	return f.Identifies
}

func (r *reader) knownFactor(name positioned) (authn.Factor, error) {
	f, ok := r.policy.Factor(name.text)
	if !ok {
		var known []string
		for _, f := range r.policy.Factors {
			known = append(known, f.Name)
		}
		return authn.Factor{}, r.at(name.node, "there is no factor %q: there are %s", name.text, strings.Join(known, ", "))
	}
	return f.Factor, nil
}

func (r *reader) checkOn(p pair) error {
	m := r.policy.method(p.key)
	if m.On == "" {
		return nil
	}
	node := nodeAt(p.value, "on")
	below := r.policy.method(m.On)
	switch {
	case below == nil:
		return r.at(node, "method %q: there is no method %q", p.key, m.On)
	case m.EachRequest:
		return r.at(node, "method %q runs on each request, by itself: there is no device beneath", p.key)
	case below.EachRequest:
		return r.at(node, "method %q: %q runs on each request and leaves no device for it", p.key, m.On)
	case below.Makes(authn.ClassWorkload):
		return r.at(node, "method %q: %q makes a workload, and nobody signs in on a program", p.key, m.On)
	case !below.Makes(authn.ClassDevice):
		return r.at(node, "method %q: %q does not make a device principal", p.key, m.On)
	case m.Makes(authn.ClassDevice):
		return r.at(node, "method %q makes a device principal itself", p.key)
	}
	return nil
}
