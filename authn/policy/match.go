package policy

import (
	"iter"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/authn"
)

// Query asks what the policy says for a request. Nothing in it is evidence.
type Query struct {
	Route    string // cleaned path, see CleanPath
	AnyRoute bool   // the route is not known: whatever any route of the tenant offers counts, and no route's floor does
	Tenant   string // empty: not known. Rules and floors of a tenant then don't match
	Device   string // the method that made the live device principal beneath; empty: there is none
	// EachRequest asks for methods that are run anew on each request, instead of those that yield a session.
	EachRequest bool
}

// Offer is the list of methods on offer: those of the first rule that matches, in its order, less those that need a
// device which is not there. With AnyRoute it is what all rules of the tenant offer together.
func (p *Policy) Offer(q Query) []authn.Method {
	var offer []authn.Method
	p.eachOffer(q, func(m authn.Method) bool {
		if !slices.ContainsFunc(offer, func(o authn.Method) bool { return o.Name == m.Name }) {
			offer = append(offer, m)
		}
		return true
	})
	return offer
}

// Offers reports whether a method is on offer. It does not allocate.
func (p *Policy) Offers(q Query, method string) bool {
	found := false
	p.eachOffer(q, func(m authn.Method) bool {
		found = m.Name == method
		return !found
	})
	return found
}

func (p *Policy) eachOffer(q Query, use func(authn.Method) bool) {
	for i := range p.Rules {
		r := &p.Rules[i]
		if !q.AnyRoute && r.Route != "" && !MatchRoute(r.Route, q.Route) || r.Tenant != "" && r.Tenant != q.Tenant {
			continue
		}
		for _, name := range r.Methods {
			m := p.method(name)
			if m == nil || m.EachRequest != q.EachRequest || m.On != "" && m.On != q.Device {
				continue
			}
			if !use(m.Method) {
				return
			}
		}
		// Below a rule for every route nothing else can match: not for this tenant, on any route.
		if !q.AnyRoute || everyRoute(r.Route) {
			return
		}
	}
}

// Method is the method with this name.
func (p *Policy) Method(name string) (authn.Method, bool) {
	m := p.method(name)
	if m == nil {
		return authn.Method{}, false
	}
	return m.Method, true
}

// MethodNamed is all that the policy says of the method with this name.
func (p *Policy) MethodNamed(name string) (Method, bool) {
	m := p.method(name)
	if m == nil {
		return Method{}, false
	}
	return *m, true
}

// Factor is the factor with this name.
func (p *Policy) Factor(name string) (Factor, bool) {
	for _, f := range p.Factors {
		if f.Name == name {
			return f, true
		}
	}
	return Factor{}, false
}

// Anchor is the trust anchor with this name.
func (p *Policy) Anchor(name string) (Anchor, bool) {
	for _, a := range p.Anchors {
		if a.Name == name {
			return a, true
		}
	}
	return Anchor{}, false
}

func (p *Policy) method(name string) *Method {
	for i := range p.Methods {
		if p.Methods[i].Name == name {
			return &p.Methods[i]
		}
	}
	return nil
}

// FloorsFor is every floor that matches.
func (p *Policy) FloorsFor(q Query) []authn.Requirement { return slices.Collect(p.EachFloor(q)) }

// EachFloor is FloorsFor without making a list.
func (p *Policy) EachFloor(q Query) iter.Seq[authn.Requirement] {
	return func(yield func(authn.Requirement) bool) {
		for i := range p.Floors {
			f := &p.Floors[i]
			if !everyRoute(f.Route) && (q.AnyRoute || !MatchRoute(f.Route, q.Route)) || f.Tenant != "" && f.Tenant != q.Tenant {
				continue
			}
			if !yield(f.Requirement) {
				return
			}
		}
	}
}

// Floor is the requirement of the floor with this name.
func (p *Policy) Floor(name string) (authn.Requirement, bool) {
	for i := range p.Floors {
		if name != "" && p.Floors[i].Requirement.Name == name {
			return p.Floors[i].Requirement, true
		}
	}
	return authn.Requirement{}, false
}

// everyRoute reports whether a pattern matches every path.
func everyRoute(pattern string) bool { return pattern == "" || pattern == "/*" }

// MatchRoute reports whether a cleaned path matches a pattern: exactly, or by a prefix that ends in "/*", which includes
// the path without it.
func MatchRoute(pattern, cleaned string) bool {
	prefix, wild := strings.CutSuffix(pattern, "/*")
	if !wild {
		return pattern == cleaned
	}
	rest, ok := strings.CutPrefix(cleaned, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// CleanPath cleans the path of a request as it came, still escaped. It refuses what servers read in different ways:
// encoded slashes, dots and backslashes, a backslash, control characters. A path that is clean already is given back as it is.
func CleanPath(escaped string) (string, bool) {
	plain := true
	for i := 0; i < len(escaped); i++ {
		switch c := escaped[i]; {
		case c == '\\', c < ' ', c == 0x7f:
			return "", false
		case c == '%':
			plain = false
			if i+2 >= len(escaped) {
				return "", false
			}
			if escaped[i+1] < '2' { // a control character
				return "", false
			}
			switch strings.ToLower(escaped[i+1 : i+3]) {
			case "2f", "2e", "5c", "7f":
				return "", false
			}
		case c == '/' && i+1 < len(escaped) && (escaped[i+1] == '/' || escaped[i+1] == '.'):
			plain = false
		}
	}
	if escaped == "" {
		return "/", true
	}
	if escaped[0] != '/' {
		return "", false
	}
	if plain && (len(escaped) == 1 || escaped[len(escaped)-1] != '/') {
		return escaped, true
	}
	unescaped, err := url.PathUnescape(escaped)
	if err != nil {
		return "", false
	}
	return path.Clean(unescaped), true
}

// Origin is the origin of the policy with this Host header. The port may be left out where it is the scheme's own.
func (p *Policy) Origin(host string) (Origin, bool) {
	for i := range p.Origins {
		o := &p.Origins[i]
		if o.Host == host {
			return *o, true
		}
		port := ":443"
		if strings.HasPrefix(o.URL, "http:") {
			port = ":80"
		}
		if bare, ok := strings.CutSuffix(host, port); ok && bare == o.Host && strings.LastIndexByte(bare, ':') <= strings.LastIndexByte(bare, ']') {
			return *o, true
		}
	}
	return Origin{}, false
}
