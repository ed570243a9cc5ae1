package policy

import (
	"fmt"
	"strings"

	"github.com/sallyport-auth/sallyport/authn"
)

// placeOf is where a factor of the policy can stand.
func (r *reader) placeOf(f authn.Factor) Place {
	known, _ := r.policy.Factor(f.Name)
	if p, ok := known.Settings.(Placed); ok {
		return p.Place()
	}
	return Place{}
}

// checkPlaces refuses factors where they cannot stand.
func (r *reader) checkPlaces(e methodEntry, m authn.Method) error {
	for i, step := range m.Steps {
		for j, f := range step.AnyOf {
			if why := r.misplaced(m, i, f); why != "" {
				return r.at(e.Steps[i].AnyOf[j].node, "%s", why)
			}
		}
	}
	return nil
}

// misplaced says why a factor cannot stand in the step at i; empty: it can.
func (r *reader) misplaced(m authn.Method, i int, f authn.Factor) string {
	place := r.placeOf(f)
	if place.EachRequest && !m.EachRequest {
		return fmt.Sprintf("what %q proves is worth nothing beyond one request: method %q must have each_request: true", f.Name, m.Name)
	}
	before := r.known(m.Steps[:i])
	if m.On != "" {
		before = max(before, authn.IdentifiesTenant) // the device's
	}
	if before >= place.After {
		return ""
	}
	what := "the tenant"
	if place.After == authn.IdentifiesUser {
		what = "the user"
	}
	return fmt.Sprintf("method %q: before %q a step must always name %s: %s", m.Name, f.Name, what, r.insteadOf(m, f, place.After))
}

// insteadOf says what can be put before a factor for its place to be right.
func (r *reader) insteadOf(m authn.Method, f authn.Factor, after authn.Identifies) string {
	var fit []string
	for _, o := range r.policy.Factors {
		place := r.placeOf(o.Factor)
		fits := (o.Ambient || !m.EachRequest) && (m.EachRequest || !place.EachRequest)
		if fits && o.Class == authn.ClassPerson && r.atLeast(o.Factor) >= after && place.After < after {
			fit = append(fit, o.Name)
		}
	}
	if len(fit) == 0 {
		return "no factor here does, such as a certificate's of kind mtls"
	}
	return "put " + strings.Join(fit, " or ") + " there"
}

// checkTokenAlone refuses the switch where it would be no use, or would leave a method that names nobody.
func (r *reader) checkTokenAlone(p pair, m Method) error {
	if !m.TokenAlone {
		return nil
	}
	node := nodeAt(p.value, tokenAlone)
	left, fewer := m.WithoutCertificate()
	switch {
	case !m.EachRequest:
		return r.at(node, "method %q: this is for methods with each_request: true", p.key)
	case !fewer:
		return r.at(node, "method %q: no step of it asks for a certificate: leave this out", p.key)
	case r.known(left.Steps) != authn.IdentifiesUser:
		return r.at(node, "method %q can end without naming a user where its certificate is not there", p.key)
	}
	for i, step := range left.Steps {
		for _, f := range step.AnyOf {
			if why := r.misplaced(left, i, f); why != "" {
				return r.at(node, "without its certificate, %s", why)
			}
		}
	}
	return nil
}
