package mtls

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
)

// KindName is the value of "kind:" in a policy file.
const KindName = "mtls"

// Settings is what the policy file says about one factor, checked. It is never changed.
type Settings struct {
	name     string
	anchors  []policy.Anchor
	all      []policy.Anchor // of the policy
	rules    mapping
	bind     authn.Bind
	class    authn.Class
	enrolled bool
	lists    *revocation.Settings // nil: nothing is looked up
}

// section is the part of [*policy.Section] that settings are read from.
type section interface {
	Name() string
	Anchors() []policy.Anchor
	Decode(into any) error
	revocation.Section
}

// written is a section as it stands in the file.
type written struct {
	Anchors    []string            `yaml:"anchors"`
	Identify   []writtenRule       `yaml:"identify"`
	Bind       string              `yaml:"bind"`
	Principal  string              `yaml:"principal"`
	Enrolled   string              `yaml:"enrolled"`
	Revocation *revocation.Written `yaml:"revocation"`
}

type writtenRule struct {
	From    string `yaml:"from"`
	Pattern string `yaml:"pattern"`
	Tenant  string `yaml:"tenant"`
}

// Describe implements [policy.Settings].
func (s *Settings) Describe() authn.Factor {
	return authn.Factor{
		Name:       s.name,
		Kind:       KindName,
		Ambient:    true,
		Identifies: s.rules.identifies(),
		Class:      s.class,
		Tied:       true,
		Best:       strength,
		AMR:        []string{amr},
	}
}

// AtLeast implements [policy.Partial]: a rule without {user} names nobody.
func (s *Settings) AtLeast() authn.Identifies {
	if s.rules.alwaysUser() {
		return authn.IdentifiesUser
	}
	return authn.IdentifiesTenant
}

// amr is RFC 8176's value for a key that may be in software: nothing in a certificate proves where its key is.
const amr = "swk"

// strength: the key signs the handshake of this very connection, so what it proves cannot be passed on (SP 800-63B-4
// section 3.2.5.1, channel binding).
var strength = authn.Strength{Category: authn.Have, PhishingResistant: true}

// readSettings decodes and checks a section. Its errors have positions.
func readSettings(s section) (*Settings, error) {
	var w written
	if err := s.Decode(&w); err != nil {
		return nil, err
	}
	out := &Settings{name: s.Name(), all: s.Anchors()}
	for _, read := range []func(section, written) error{
		out.readAnchors, out.readRules, out.readBind, out.readPrincipal, out.readEnrolled, out.readRevocation,
	} {
		if err := read(s, w); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Settings) readAnchors(at section, w written) error {
	if len(w.Anchors) == 0 {
		return at.Errorf("anchors", "at least one trust anchor is needed")
	}
	for i, name := range w.Anchors {
		path := fmt.Sprintf("anchors[%d]", i)
		if slices.Contains(w.Anchors[:i], name) {
			return at.Errorf(path, "anchor %q twice", name)
		}
		found := slices.IndexFunc(at.Anchors(), func(a policy.Anchor) bool { return a.Name == name })
		if found < 0 {
			return at.Errorf(path, "there is no anchor %q", name)
		}
		anchor := at.Anchors()[found]
		if err := s.checkAnchor(anchor); err != nil {
			return at.Errorf(path, "anchor %q: %v", name, err)
		}
		s.anchors = append(s.anchors, anchor)
	}
	return nil
}

// checkAnchor refuses an anchor that no certificate could ever be good under, and one that shares a CA with another: a
// path would then end in both, and speak for the tenants of either.
func (s *Settings) checkAnchor(a policy.Anchor) error {
	if len(a.Certificates) == 0 {
		return errNoCertificates
	}
	for _, c := range a.Certificates {
		if err := checkAuthority(c); err != nil {
			return err
		}
		for _, other := range s.anchors {
			if slices.ContainsFunc(other.Certificates, func(o *x509.Certificate) bool { return sameAuthority(o, c) }) {
				return fmt.Errorf("it shares a CA with anchor %q", other.Name)
			}
		}
	}
	for _, c := range a.Certificates {
		if checkUse(c) == nil {
			return nil
		}
	}
	return checkUse(a.Certificates[0])
}

// sameAuthority reports whether two certificates are of one CA, so that a path under one is a path under the other.
func sameAuthority(a, b *x509.Certificate) bool {
	return string(a.RawSubject) == string(b.RawSubject) && string(a.RawSubjectPublicKeyInfo) == string(b.RawSubjectPublicKeyInfo)
}

func (s *Settings) readRules(at section, w written) error {
	if len(w.Identify) == 0 {
		return at.Errorf("identify", "at least one rule is needed")
	}
	for i, r := range w.Identify {
		path := fmt.Sprintf("identify[%d]", i)
		read, err := s.readRule(at, path, r)
		if err != nil {
			return err
		}
		for j, earlier := range s.rules {
			if s.shadows(earlier, read) {
				return at.Errorf(path, "this rule can never match: rule %d takes all that it could", j+1)
			}
		}
		s.rules = append(s.rules, read)
	}
	return nil
}

func (s *Settings) readRule(at section, path string, w writtenRule) (rule, error) {
	r := rule{from: source(w.From), tenant: w.Tenant}
	if !slices.Contains(sources, r.from) {
		return r, at.Errorf(path+".from", "%q is not known; there are %s", w.From, joined(sources))
	}
	if r.from == fromAnchor {
		return r, s.checkAnchorRule(at, path, w)
	}
	if w.Pattern == "" {
		return r, at.Errorf(path+".pattern", "a pattern is needed")
	}
	var err error
	if r.pattern, err = parsePattern(r.from, w.Pattern); err != nil {
		return r, at.Errorf(path+".pattern", "%q: %v", w.Pattern, err)
	}
	if !s.ofItsDomain(r) {
		return r, at.Errorf(path+".pattern", "this rule can never match: no anchor of this factor is of its trust domain")
	}
	return r, s.checkTenant(at, path, r)
}

// ofItsDomain reports whether an anchor of the factor may vouch for an id that the rule matches.
func (s *Settings) ofItsDomain(r rule) bool {
	if r.from != fromURI {
		return true
	}
	start := r.pattern.parts[0].literal // empty: it begins with a capture
	return slices.ContainsFunc(s.anchors, func(a policy.Anchor) bool {
		ids := "spiffe://" + a.TrustDomain + "/"
		return a.TrustDomain == "" || strings.HasPrefix(start, ids) || strings.HasPrefix(ids, start)
	})
}

func (s *Settings) checkAnchorRule(at section, path string, w writtenRule) error {
	switch {
	case w.Pattern != "":
		return at.Errorf(path+".pattern", "a rule from the anchor has no pattern")
	case w.Tenant != "":
		return at.Errorf(path+".tenant", "a rule from the anchor names the tenant that owns the anchor")
	case !slices.ContainsFunc(s.anchors, func(a policy.Anchor) bool { return a.Tenant != "" }):
		return at.Errorf(path, "this rule can never match: no anchor of this factor belongs to a tenant")
	}
	return nil
}

func (s *Settings) checkTenant(at section, path string, r rule) error {
	captured := r.pattern.captures("tenant")
	switch {
	case captured && r.tenant != "":
		return at.Errorf(path+".tenant", "the tenant is both captured and given")
	case !captured && r.tenant == "":
		return at.Errorf(path, "the tenant is neither captured by the pattern nor given")
	case captured && !slices.ContainsFunc(s.anchors, speaksForAny):
		return at.Errorf(path, "this rule can never match: no anchor of this factor may speak for a tenant")
	case !captured && !slices.ContainsFunc(s.anchors, func(a policy.Anchor) bool { return a.MaySpeakFor(r.tenant) }):
		return at.Errorf(path+".tenant", "no anchor of this factor may speak for tenant %q", r.tenant)
	}
	return nil
}

func speaksForAny(a policy.Anchor) bool { return a.Tenant != "" || len(a.Tenants) > 0 }

// shadows reports whether nothing can reach later behind earlier.
func (s *Settings) shadows(earlier, later rule) bool {
	if earlier.from == fromAnchor {
		return later.from == fromAnchor || !slices.ContainsFunc(s.anchors, func(a policy.Anchor) bool { return a.Tenant == "" })
	}
	return later.from != fromAnchor && earlier.pattern.covers(later.pattern)
}

func (s *Settings) readBind(at section, w written) error {
	s.bind = authn.Bind(w.Bind)
	switch s.bind {
	case "":
		s.bind = authn.BindKey
	case authn.BindKey, authn.BindCertificate:
	case authn.BindIdentity:
		if !s.rules.alwaysUser() {
			return at.Errorf("bind", "bind: identity needs rules that all capture {user}: where none is named, every certificate of the tenant could take a session over")
		}
	default:
		return at.Errorf("bind", "%q is not known; there are key, identity, certificate", w.Bind)
	}
	return nil
}

func (s *Settings) readPrincipal(at section, w written) error {
	switch w.Principal {
	case "", "user":
		return nil
	case "device":
		s.class = authn.ClassDevice
	case "workload":
		s.class = authn.ClassWorkload
	default:
		return at.Errorf("principal", "%q is not known; there are user, device, workload", w.Principal)
	}
	if !s.rules.alwaysUser() {
		return at.Errorf("principal", "principal: %s needs rules that all capture {user}, the %s's name", s.class, s.class)
	}
	return nil
}

func (s *Settings) readEnrolled(at section, w written) error {
	switch w.Enrolled {
	case "":
		return nil
	case "required":
		if !s.rules.alwaysUser() {
			return at.Errorf("enrolled", "enrolled: required needs rules that all capture {user}")
		}
		if s.class == authn.ClassWorkload {
			return at.Errorf("enrolled", "a workload enrols nothing: no certificate would ever be good")
		}
		s.enrolled = true
		return nil
	}
	return at.Errorf("enrolled", "%q is not known; there is required", w.Enrolled)
}

func (s *Settings) readRevocation(at section, w written) error {
	if w.Revocation == nil {
		return nil
	}
	var err error
	s.lists, err = revocation.Read(at, "revocation", *w.Revocation)
	if err == nil && s.class == authn.ClassWorkload && len(s.lists.StepUp) > 0 {
		return at.Errorf("revocation.stale.step_up", "a workload cannot step up: nobody is there to answer")
	}
	return err
}

func joined(s []source) string {
	text := make([]string, len(s))
	for i, v := range s {
		text[i] = string(v)
	}
	return strings.Join(text, ", ")
}

// Kind is the kind of factor that this package is, to be handed to the engine. What it fetches of revocation is forgotten
// when the program ends.
func Kind() factors.Kind { return KindWith(revocation.New(revocation.Config{})) }

// KindWith is Kind with a keeper of the program's own, which must not be nil.
func KindWith(k *revocation.Keeper) factors.Kind { return kind{k} }

type kind struct{ keeper *revocation.Keeper }

func (kind) Name() string { return KindName }

// Settings implements [policy.Kind].
func (kind) Settings(s *policy.Section) (policy.Settings, error) {
	return readSettings(s)
}

// Build implements [factors.Kind]. The directory is needed where a rule names a user, the denials always.
func (k kind) Build(s policy.Settings, env factors.Env) (factors.Factor, error) {
	own, ok := s.(*Settings)
	if !ok {
		return nil, fmt.Errorf("mtls: settings of another kind: %T", s)
	}
	v, err := newVerifier(own, env, k.keeper)
	if err != nil {
		return nil, err
	}
	if own.enrolled {
		return enrolling{v}, nil
	}
	return v, nil
}
