package policy

import (
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/sallyport-auth/sallyport/authn"
)

// Defaults of what the file may leave out.
const (
	DefaultIdle     = 30 * time.Minute
	DefaultAbsolute = authn.DefaultAbsolute
	maxAbsolute     = 30 * 24 * time.Hour
)

// Load reads a policy file and everything that it names. kinds are the kinds of factors that it may use.
func Load(file string, kinds ...Kind) (*Policy, error) {
	p, _, err := load(file, kinds)
	return p, err
}

// load is Load. It gives the sums of the files as they were read, good or not.
func load(file string, kinds []Kind) (*Policy, map[string][]byte, error) {
	src, err := readBounded(file, maxPolicyFile)
	if err != nil {
		return nil, map[string][]byte{file: sumOf(nil, err)}, &Error{File: file, Message: err.Error()}
	}
	s := newSource(file, src)
	p, err := s.parse(src, kinds)
	return p, s.sums, err
}

// Parse is Load for content that was read already. Paths in it are relative to the folder of file.
func Parse(file string, src []byte, kinds ...Kind) (*Policy, error) {
	return newSource(file, src).parse(src, kinds)
}

func (s *source) parse(src []byte, kinds []Kind) (*Policy, error) {
	root, err := s.root(src)
	if err != nil {
		return nil, err
	}
	var in document
	if err := s.structure(root, reflect.ValueOf(&in).Elem()); err != nil {
		return nil, err
	}
	r := &reader{source: s, in: &in, policy: &Policy{File: s.file}, root: root}
	for _, read := range []func() error{r.version, r.origins, r.anchors, func() error { return r.factors(kinds) }, r.methods, r.rules, r.floors, r.limits, r.whole} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	r.warn()
	r.policy.Files, r.policy.Epoch, r.policy.sums = s.files, s.epoch(), s.sums
	return r.policy, nil
}

// document is the shape of the file.
type document struct {
	Version *int          `yaml:"version"`
	Origin  *positioned   `yaml:"origin"`
	Origins []originEntry `yaml:"origins"`
	Anchors entries       `yaml:"anchors"`
	Factors entries       `yaml:"factors"`
	Methods entries       `yaml:"methods"`
	Rules   []ruleEntry   `yaml:"rules"`
	Floors  []floorEntry  `yaml:"floors"`
	Limits  limitsEntry   `yaml:"limits"`
}

// positioned is text that remembers where it stood.
type positioned struct {
	text string
	node ast.Node
}

func (p *positioned) fromNode(s *source, n ast.Node) error {
	p.node = n
	var err error
	p.text, err = s.text(n)
	return err
}

// filled is text that must not be empty: an empty one would match everything. Nor may it be text that only looks like a name
// and would match nothing.
type filled string

// maxFilled is the most bytes that a name may have.
const maxFilled = 256

func (f *filled) fromNode(s *source, n ast.Node) error {
	text, err := s.text(n)
	switch {
	case err != nil:
	case text == "":
		err = s.at(n, "this is empty: leave the key out or fill it in")
	case len(text) > maxFilled:
		err = s.at(n, "this is longer than %d bytes", maxFilled)
	case textFault(text) != "":
		err = s.at(n, "this %s", textFault(text))
	}
	*f = filled(text)
	return err
}

// entries is a mapping whose values are read later, in the order of the file.
type entries struct{ pairs []pair }

func (e *entries) fromNode(s *source, n ast.Node) error {
	var err error
	e.pairs, err = s.pairs(n)
	return err
}

type originEntry struct {
	Origin positioned `yaml:"origin"`
	Tenant filled     `yaml:"tenant"`
	RPID   filled     `yaml:"rp_id"`
	Node   ast.Node
}

func (o *originEntry) fromNode(s *source, n ast.Node) error {
	o.Node = n
	if _, ok := n.(*ast.StringNode); ok {
		return o.Origin.fromNode(s, n)
	}
	type plain originEntry
	var p plain
	if err := s.structure(n, reflect.ValueOf(&p).Elem()); err != nil {
		return err
	}
	*o = originEntry(p)
	return nil
}

type ruleEntry struct {
	Route   *positioned  `yaml:"route"`
	Tenant  filled       `yaml:"tenant"`
	Methods []positioned `yaml:"methods"`
	Node    ast.Node
}

type floorEntry struct {
	Name              filled        `yaml:"name"`
	Route             *positioned   `yaml:"route"`
	Tenant            filled        `yaml:"tenant"`
	AAL               *int          `yaml:"aal"`
	PhishingResistant bool          `yaml:"phishing_resistant"`
	Hardware          bool          `yaml:"hardware"`
	UserVerified      bool          `yaml:"user_verified"`
	Factors           []positioned  `yaml:"factors"`
	MaxAge            time.Duration `yaml:"max_age"`
	Node              ast.Node
}

type limitsEntry struct {
	Attempts attemptsEntry `yaml:"attempts"`
}

type attemptsEntry struct {
	PerCredential *int          `yaml:"per_credential"`
	PerSource     *int          `yaml:"per_source"`
	PerTenant     *int          `yaml:"per_tenant"`
	Window        time.Duration `yaml:"window"`
	Node          ast.Node
}

// reader makes a policy of a document, part by part.
type reader struct {
	source *source
	in     *document
	root   ast.Node
	policy *Policy
}

func (r *reader) at(n ast.Node, format string, args ...any) error {
	return r.source.at(n, format, args...)
}

func (r *reader) version() error {
	if r.in.Version == nil {
		return r.at(r.root, "version is missing: write version: 1")
	}
	if *r.in.Version != 1 {
		return r.at(nodeAt(r.root, "version"), "this program reads version 1")
	}
	return nil
}

func (r *reader) origins() error {
	list := r.in.Origins
	switch {
	case r.in.Origin != nil && len(list) > 0:
		return r.at(r.in.Origin.node, "give origin or origins, not both")
	case r.in.Origin != nil:
		list = []originEntry{{Origin: *r.in.Origin, Node: r.in.Origin.node}}
	case len(list) == 0:
		return r.at(r.root, "origin is missing: what browsers see, such as https://portal.example")
	}
	for _, e := range list {
		o, err := r.origin(e)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(r.policy.Origins, func(p Origin) bool { return p.Host == o.Host }) {
			return r.at(e.Node, "the host %q is here twice", o.Host)
		}
		r.policy.Origins = append(r.policy.Origins, o)
	}
	return nil
}

func (r *reader) origin(e originEntry) (Origin, error) {
	text, node := e.Origin.text, e.Origin.node
	if node == nil {
		return Origin{}, r.at(e.Node, "origin is missing")
	}
	u, ok := plainOrigin(text)
	if !ok {
		return Origin{}, r.at(node, "an origin is a scheme, a host in lower case and perhaps a port: https://portal.example")
	}
	name := u.Hostname()
	local := name == "localhost" || name == "127.0.0.1" || name == "::1"
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return Origin{}, r.at(node, "an origin must be https")
	}
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return Origin{}, r.at(node, "browsers leave the port %s out: so must the origin", u.Port())
	}
	o := Origin{URL: text, Host: u.Host, RPID: string(e.RPID), Tenant: string(e.Tenant)}
	if o.RPID == "" {
		o.RPID = name
	}
	// Browsers make no passkeys for an address. A loopback one may be another name of localhost, for programs.
	alias := local && o.RPID == "localhost"
	_, notAddress := netip.ParseAddr(name)
	if o.RPID != name && !alias && (notAddress == nil || !strings.HasSuffix(name, "."+o.RPID)) {
		return Origin{}, r.at(nodeAt(e.Node, "rp_id"), "rp_id %q is neither the host nor a domain above it", o.RPID)
	}
	if o.RPID != name && o.RPID != "localhost" && !strings.Contains(o.RPID, ".") {
		return Origin{}, r.at(nodeAt(e.Node, "rp_id"), "rp_id %q has one label only: browsers refuse it", o.RPID)
	}
	return o, nil
}

// plainOrigin parses an origin that is written as browsers write it (RFC 6454 section 6.2, names in their ASCII form),
// so that it can be compared as text.
func plainOrigin(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, false
	}
	host := u.Hostname()
	if a, err := netip.ParseAddr(host); err == nil {
		if a.String() != host || a.Zone() != "" {
			return nil, false
		}
		if a.Is6() {
			host = "[" + host + "]"
		}
	} else if !plainHost(host) {
		return nil, false
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, false
		}
		host += ":" + strconv.FormatUint(n, 10)
	}
	return u, text == u.Scheme+"://"+host
}

// plainHost reports a domain name in lower case. A last label of digits is an address in disguise.
func plainHost(name string) bool {
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(name) <= 253 && strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

// goodName reports whether a name is one that the file may give to something.
func goodName(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '-' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

func (r *reader) named(p pair, what string) error {
	if !goodName(p.key) {
		return r.at(p.at, "the name of a %s is lower-case letters, digits, - and _, at most 64", what)
	}
	return nil
}

func (r *reader) factors(kinds []Kind) error {
	if len(r.in.Factors.pairs) == 0 {
		return r.at(r.root, "factors are missing")
	}
	for _, p := range r.in.Factors.pairs {
		if err := r.named(p, "factor"); err != nil {
			return err
		}
		f, err := r.factor(p, kinds)
		if err != nil {
			return err
		}
		r.policy.Factors = append(r.policy.Factors, f)
	}
	return nil
}

func (r *reader) factor(p pair, kinds []Kind) (Factor, error) {
	m, ok := p.value.(*ast.MappingNode)
	if !ok {
		return Factor{}, r.at(p.value, "factor %q: a mapping with a kind is wanted", p.key)
	}
	if _, err := r.source.pairs(m); err != nil {
		return Factor{}, err
	}
	node := nodeAt(m, "kind")
	if node == ast.Node(m) {
		return Factor{}, r.at(p.at, "factor %q: kind is missing", p.key)
	}
	name, err := r.source.text(node)
	if err != nil {
		return Factor{}, err
	}
	var known []string
	for _, k := range kinds {
		known = append(known, k.Name())
		if k.Name() != name {
			continue
		}
		settings, err := k.Settings(&Section{name: p.key, key: p.at, node: m, source: r.source, anchors: r.policy.Anchors, origins: r.policy.Origins})
		if err != nil {
			return Factor{}, err
		}
		d := settings.Describe()
		d.Name, d.Kind = p.key, name
		return Factor{Factor: d, Settings: settings}, nil
	}
	return Factor{}, r.at(node, "factor %q: this program has no kind %q: it has %s", p.key, name, strings.Join(known, ", "))
}

func (r *reader) route(p *positioned) (string, error) {
	if p == nil {
		return "", nil
	}
	plain, _ := strings.CutSuffix(p.text, "/*")
	if plain == "" && p.text == "/*" {
		return p.text, nil
	}
	if why := textFault(p.text); why != "" {
		return "", r.at(p.node, "a route is a clean path: this one %s", why)
	}
	clean, ok := CleanPath(plain)
	if !ok || p.text == "//*" || clean != plain || strings.ContainsAny(plain, "*?#%") {
		return "", r.at(p.node, "a route is a clean path such as /admin/keys, or a prefix such as /admin/*")
	}
	return p.text, nil
}

func (r *reader) rules() error {
	if len(r.in.Rules) == 0 {
		return r.at(r.root, "rules are missing: they say which methods are on offer")
	}
	for _, e := range r.in.Rules {
		route, err := r.route(e.Route)
		if err != nil {
			return err
		}
		rule := Rule{Route: route, Tenant: string(e.Tenant)}
		for _, name := range e.Methods {
			if r.policy.method(name.text) == nil {
				return r.at(name.node, "there is no method %q: there are %s", name.text, strings.Join(r.methodNames(), ", "))
			}
			if slices.Contains(rule.Methods, name.text) {
				return r.at(name.node, "method %q is here twice", name.text)
			}
			rule.Methods = append(rule.Methods, name.text)
		}
		if len(rule.Methods) == 0 {
			return r.at(e.Node, "a rule needs methods")
		}
		for i, earlier := range r.policy.Rules {
			if earlier.covers(rule) {
				return r.at(e.Node, "this rule can never match: rule %d matches everything that it does", i+1)
			}
		}
		r.policy.Rules = append(r.policy.Rules, rule)
	}
	return nil
}

func (r *reader) methodNames() []string {
	var names []string
	for _, m := range r.policy.Methods {
		names = append(names, m.Name)
	}
	return names
}

// covers reports whether whatever o matches is matched by r.
func (r Rule) covers(o Rule) bool {
	if r.Tenant != "" && r.Tenant != o.Tenant {
		return false
	}
	if everyRoute(r.Route) {
		return true
	}
	if everyRoute(o.Route) {
		return false
	}
	plain, _ := strings.CutSuffix(o.Route, "/*")
	if !strings.HasSuffix(r.Route, "/*") {
		return r.Route == o.Route
	}
	return MatchRoute(r.Route, plain)
}

func (r *reader) floors() error {
	for _, e := range r.in.Floors {
		route, err := r.route(e.Route)
		if err != nil {
			return err
		}
		f := Floor{Route: route, Tenant: string(e.Tenant), Requirement: authn.Requirement{Name: string(e.Name), PhishingResistant: e.PhishingResistant,
			Hardware: e.Hardware, UserVerified: e.UserVerified, MaxAge: e.MaxAge}}
		if e.AAL != nil {
			f.Requirement.AAL = *e.AAL
		}
		for _, name := range e.Factors {
			if _, err := r.knownFactor(name); err != nil {
				return err
			}
			f.Requirement.Factors = append(f.Requirement.Factors, name.text)
		}
		if err := r.checkFloor(e, f); err != nil {
			return err
		}
		r.policy.Floors = append(r.policy.Floors, f)
	}
	return nil
}

func (r *reader) checkFloor(e floorEntry, f Floor) error {
	switch {
	case e.Name != "" && !goodName(string(e.Name)):
		return r.at(nodeAt(e.Node, "name"), "the name of a floor is lower-case letters, digits, - and _, at most 64")
	case e.AAL != nil && (*e.AAL < 1 || *e.AAL > 3):
		return r.at(nodeAt(e.Node, "aal"), "aal is 1, 2 or 3")
	case f.Requirement.Empty():
		return r.at(e.Node, "a floor asks for something: aal, phishing_resistant, hardware, user_verified, factors or max_age")
	}
	if _, twice := r.policy.Floor(string(e.Name)); twice {
		return r.at(e.Node, "the floor %q is here twice", e.Name)
	}
	return nil
}

func (r *reader) limits() error {
	a := r.in.Limits.Attempts
	l := Limits{PerCredential: 5, PerSource: 50, PerTenant: 1000, Window: 15 * time.Minute}
	for _, v := range []struct {
		name string
		from *int
		to   *int
	}{{"per_credential", a.PerCredential, &l.PerCredential}, {"per_source", a.PerSource, &l.PerSource}, {"per_tenant", a.PerTenant, &l.PerTenant}} {
		if v.from == nil {
			continue
		}
		if *v.from < 1 || *v.from > 1_000_000 {
			return r.at(nodeAt(a.Node, v.name), "%s is between 1 and 1000000", v.name)
		}
		*v.to = *v.from
	}
	if a.Window > 0 {
		if a.Window < time.Second || a.Window > 30*24*time.Hour {
			return r.at(nodeAt(a.Node, "window"), "window is between 1s and 720h")
		}
		l.Window = a.Window
	}
	r.policy.Limits = l
	return nil
}

// whole checks what only the whole policy shows: every floor can be met where it binds.
func (r *reader) whole() error {
	for i, f := range r.policy.Floors {
		node := r.in.Floors[i].Node
		if !r.reachable(f) {
			return r.at(node, "no method on offer here can meet this floor")
		}
		for j, rule := range r.policy.Rules {
			if !(Rule{Route: f.Route, Tenant: f.Tenant}).covers(rule) {
				continue
			}
			if why := r.unmet(f, rule); why != "" {
				return r.at(r.in.Rules[j].Node, "%s can meet floor %d, which binds wherever the rule matches", why, i+1)
			}
		}
	}
	return nil
}

// reachable reports whether somebody whom the floor binds can meet it on the routes that it is about. Those are its own, less
// the ones that a rule takes out of them. Others may be shut out: who gets in somewhere may be a matter of the tenant.
func (r *reader) reachable(f Floor) bool {
	tenants := []string{f.Tenant}
	if f.Tenant == "" {
		for _, rule := range r.policy.Rules {
			tenants = append(tenants, rule.Tenant)
		}
	}
	for _, tenant := range tenants {
		governing := slices.IndexFunc(r.policy.Rules, func(rule Rule) bool { return rule.covers(Rule{Route: f.Route, Tenant: tenant}) })
		if governing >= 0 {
			if r.meets(f, r.policy.Rules[governing]) {
				return true
			}
			continue
		}
		if slices.ContainsFunc(r.policy.Rules, func(rule Rule) bool {
			return (rule.Tenant == "" || rule.Tenant == tenant) && overlap(f.Route, rule.Route) && r.meets(f, rule)
		}) {
			return true
		}
	}
	return false
}

// meets reports whether a method of the rule can meet the floor.
func (r *reader) meets(f Floor, rule Rule) bool {
	return slices.ContainsFunc(rule.Methods, func(name string) bool { return f.Requirement.Reachable(r.policy.method(name).Method) })
}

// unmet names the methods of a rule that the floor leaves no way through, if there are some: those that yield a session
// and those that run on each request are apart, for nobody who is asked for one can come with the other.
func (r *reader) unmet(f Floor, rule Rule) string {
	of := map[bool][]string{}
	for _, name := range rule.Methods {
		single := r.policy.method(name).EachRequest
		of[single] = append(of[single], name)
	}
	for _, single := range []bool{false, true} {
		switch names := of[single]; {
		case len(names) == 0 || r.meets(f, Rule{Methods: names}):
		case len(names) == len(rule.Methods):
			return "no method of this rule"
		case single:
			return "no method of this rule that runs on each request"
		default:
			return "no method of this rule that yields a session"
		}
	}
	return ""
}

// overlap reports whether some path is matched by both patterns; an empty one matches every path.
func overlap(a, b string) bool {
	if a == "" || b == "" {
		return true
	}
	plainA, _ := strings.CutSuffix(a, "/*")
	plainB, _ := strings.CutSuffix(b, "/*")
	return MatchRoute(a, plainB) || MatchRoute(b, plainA)
}
