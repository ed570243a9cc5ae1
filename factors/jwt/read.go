package jwt

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = 2 * time.Minute
	defaultType   = "at+jwt"         // RFC 9068 section 2.1
	maxListed     = 32               // entries of a list of the policy
	maxName       = 128              // bytes of the name of a tenant, a user, an attribute or a claim
	maxURI        = elsewhere.MaxURL // bytes of an issuer, an audience, an address
)

// otherTypes are types of tokens that are no access tokens, whatever the policy says.
var otherTypes = []string{"dpop+jwt", "logout+jwt", "secevent+jwt", "token-introspection+jwt", "oauth-authz-req+jwt"}

// readSettings decodes and checks a section. Its errors have positions.
func readSettings(s *policy.Section) (*Settings, error) {
	var w written
	if err := s.Decode(&w); err != nil {
		return nil, err
	}
	out := &Settings{name: s.Name(), issuer: w.Issuer, tenant: w.Tenant, maxAge: w.MaxAge, require: w.Require, scopes: w.Scopes}
	for _, read := range []func(*policy.Section, written) error{out.readIssuer, out.readAudience, out.readAlgorithms, out.readTypes,
		out.readKeys, out.readTimes, out.readWanted, out.readBindings, out.readUser, out.readSPIFFE, out.readPrincipal, out.readTenant,
		out.readAttributes, out.readSession} {
		if err := read(s, w); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (out *Settings) readIssuer(s *policy.Section, w written) error {
	if !elsewhere.Printable(w.Issuer, maxURI) {
		return s.Errorf("issuer", "an issuer is wanted: what tokens have as iss")
	}
	return nil
}

func (out *Settings) readAudience(s *policy.Section, w written) error {
	switch {
	case w.Audience != "" && w.Audiences != nil:
		return s.Errorf("audience", "stands beside audiences: write one of the two")
	case w.Audience != "":
		if !elsewhere.Printable(w.Audience, maxURI) {
			return s.Errorf("audience", "is no name that a token could have as aud")
		}
		out.audience = []string{w.Audience}
		return nil
	case w.Audiences == nil:
		return s.Errorf("audience", "an audience is wanted: what a token for this program has as aud")
	}
	out.audience = w.Audiences
	return checkList(s, "audiences", w.Audiences, func(a string) bool { return elsewhere.Printable(a, maxURI) }, "no name that a token could have as aud")
}

func (out *Settings) readAlgorithms(s *policy.Section, w written) error {
	known := jose.Algorithms()
	if w.Algorithms == nil {
		return s.Errorf("algorithms", "the algorithms that tokens may be signed with are wanted: of %s", strings.Join(known, ", "))
	}
	out.algorithms = w.Algorithms
	return checkList(s, "algorithms", w.Algorithms, func(a string) bool { return slices.Contains(known, a) },
		"none of "+strings.Join(known, ", ")+": what two parties share, or nobody, signs nothing here")
}

func (out *Settings) readTypes(s *policy.Section, w written) error {
	out.types = w.Typ
	if w.Typ == nil {
		out.types = []string{defaultType}
	}
	for i, typ := range out.types {
		if slices.ContainsFunc(otherTypes, (jose.Header{Typ: typ}).Is) {
			return s.Errorf(fmt.Sprintf("typ[%d]", i), "is the type of a token for another use")
		}
	}
	return checkList(s, "typ", out.types, isType, `no type as tokens have it, such as "at+jwt"`)
}

// isType reports a media type as it stands in typ (RFC 7515 section 4.1.9), without "application/".
func isType(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("+-._", c)
	})
}

func (out *Settings) readTimes(s *policy.Section, w written) error {
	out.leeway = w.Leeway
	if w.Leeway == 0 {
		out.leeway = defaultLeeway
	}
	if out.leeway > maxLeeway {
		return s.Errorf("leeway", "is more than %v", maxLeeway)
	}
	return nil
}

func (out *Settings) readWanted(s *policy.Section, w written) error {
	if err := checkList(s, "require", w.Require, func(c string) bool { return elsewhere.Printable(c, maxName) }, "no name of a claim"); err != nil {
		return err
	}
	return checkList(s, "scopes", w.Scopes, isScope, "no scope (RFC 6749 section 3.3)")
}

func (out *Settings) readBindings(s *policy.Section, w written) (err error) {
	if out.bound, err = choice(s, "bound_to_certificate", w.Bound, ifPresent, required); err != nil {
		return err
	}
	if out.dpop, err = choice(s, "dpop", w.DPoP, ifPresent, required, off); err != nil {
		return err
	}
	return out.readNonce(s, w)
}

// choice gives the value of a key, or the first of those allowed.
func choice[T ~string](s *policy.Section, key, value string, allowed ...T) (T, error) {
	if value == "" {
		return allowed[0], nil
	}
	if !slices.Contains(allowed, T(value)) {
		return "", s.Errorf(key, "must be one of: %s", elsewhere.Words(allowed))
	}
	return T(value), nil
}

func (out *Settings) readUser(s *policy.Section, w written) (err error) {
	if w.Identifies != "" {
		switch {
		case w.Identifies != "nothing":
			return s.Errorf("identifies", "is nothing, or left out: then the token names a user")
		case w.User != nil:
			return s.Errorf("user", "means nothing beside identifies: nothing")
		}
		return nil
	}
	if w.User == nil {
		w.User = &writtenUser{}
	}
	out.user, err = readMapping(s, *w.User)
	return err
}

var principals = map[string]authn.Class{"user": authn.ClassPerson, "device": authn.ClassDevice, "workload": authn.ClassWorkload}

func (out *Settings) readPrincipal(s *policy.Section, w written) error {
	principal, err := choice(s, "principal", w.Principal, "user", "device", "workload")
	out.class = principals[principal]
	if err == nil && w.Principal != "" && out.user == nil {
		return s.Errorf("principal", "means nothing beside identifies: nothing")
	}
	return err
}

func (out *Settings) readTenant(s *policy.Section, w written) error {
	if out.tenantIn = w.TenantIn; w.TenantIn != "" && (out.user == nil || !elsewhere.Printable(w.TenantIn, maxName)) {
		return s.Errorf("tenant_claim", "is no name of a claim, or means nothing beside identifies: nothing")
	}
	switch {
	case w.Tenant == "":
		return nil
	case out.user == nil:
		return s.Errorf("tenant", "means nothing beside identifies: nothing, which leaves the tenant to the other steps")
	case !elsewhere.Printable(w.Tenant, maxName):
		return s.Errorf("tenant", "is no name of a tenant")
	}
	return nil
}

func (out *Settings) readAttributes(s *policy.Section, w written) error {
	if w.Attributes != nil && len(w.Attributes) == 0 || len(w.Attributes) > maxListed {
		return s.Errorf("attributes", "has none, or more than %d", maxListed)
	}
	for _, name := range sortedKeys(w.Attributes) {
		if !elsewhere.Printable(name, maxName) || !elsewhere.Printable(w.Attributes[name], maxName) {
			return s.Errorf("attributes."+name, "is no name of an attribute, or of a claim")
		}
		out.attributes = append(out.attributes, attribute{name, w.Attributes[name]})
	}
	return nil
}

func (out *Settings) readSession(s *policy.Section, w written) error {
	session, err := choice(s, "session", w.Session, "", "live")
	out.live = session == "live"
	if err == nil && out.live && out.user == nil {
		return s.Errorf("session", "a session is a user's, and the token identifies nothing")
	}
	return err
}

// checkList holds a list to a test of its values, and to each being there once.
func checkList(s *policy.Section, key string, values []string, good func(string) bool, what string) error {
	if values != nil && len(values) == 0 || len(values) > maxListed {
		return s.Errorf(key, "has none, or more than %d", maxListed)
	}
	for i, v := range values {
		at := fmt.Sprintf("%s[%d]", key, i)
		if !good(v) {
			return s.Errorf(at, "is %s", what)
		}
		if slices.Contains(values[:i], v) {
			return s.Errorf(at, "is there already")
		}
	}
	return nil
}
