package jwt

import (
	"strings"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

const (
	defaultUserClaim = "sub"
	userPlace        = "{user}"
)

// mapping says which claim names the user, and how.
type mapping struct {
	claim          string
	before, behind string // what stands around the login name
}

func readMapping(s *policy.Section, w writtenUser) (*mapping, error) {
	m := &mapping{claim: w.Claim}
	if w.Claim == "" {
		m.claim = defaultUserClaim
	} else if !elsewhere.Printable(w.Claim, maxName) {
		return nil, s.Errorf("user.claim", "is no name of a claim")
	}
	if w.Pattern == "" {
		return m, nil
	}
	var found bool
	m.before, m.behind, found = strings.Cut(w.Pattern, userPlace)
	if !found || strings.ContainsAny(m.before+m.behind, "{}") {
		return nil, s.Errorf("user.pattern", "has %s once, and no other braces", userPlace)
	}
	return m, nil
}

// name is the login name of a token. Where something stands around it, it holds no character that could be part of that: a
// name within a URI or an address is one piece of it.
func (m *mapping) name(c jose.Claims) (string, error) {
	text, err := wanted(c, m.claim, maxURI)
	if err != nil {
		return "", err
	}
	name, starts := strings.CutPrefix(text, m.before)
	name, ends := strings.CutSuffix(name, m.behind)
	switch {
	case !starts || !ends, !elsewhere.Printable(name, maxName), m.before+m.behind != "" && strings.ContainsAny(name, "/:@?#%"):
		return "", factors.Reject(ReasonUnmapped, "the claim %q is not as the policy says", m.claim)
	}
	return name, nil
}
