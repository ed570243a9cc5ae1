package oauth

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

// Kind makes the factors of kind "oauth": OpenID Connect.
func Kind() factors.Kind { return kind{KindName} }

// PlainKind makes the factors of kind "oauth2": OAuth 2.0 at providers that give no ID tokens. It is the weaker kind:
// nothing is signed, nobody says when or how the user signed in, and who they are is read from a page of the provider's.
func PlainKind() factors.Kind { return kind{PlainKindName} }

type kind struct{ name string }

func (k kind) Name() string { return k.name }

// Settings is a section of the policy file, decoded.
type Settings struct {
	name    string
	kind    string
	tenant  string             // that all users belong to; empty: the tenant that earlier steps proved
	flat    *client            // nil where there are settings by tenant
	tenants map[string]*client // by tenant
}

// section is the whole section, or the part of it that is one tenant's.
type section struct {
	Issuer            string            `yaml:"issuer"`
	ClientID          string            `yaml:"client_id"`
	ClientSecret      *secretSource     `yaml:"client_secret"`
	ClientAuth        string            `yaml:"client_auth"`
	ClientKey         string            `yaml:"client_key"`
	ClientKeyID       string            `yaml:"client_key_id"`
	ClientCertificate string            `yaml:"client_certificate"`
	AssertionAudience string            `yaml:"assertion_audience"`
	Scopes            []string          `yaml:"scopes"`
	PKCE              string            `yaml:"pkce"`
	PAR               string            `yaml:"par"`
	MaxAge            time.Duration     `yaml:"max_age"`
	ACR               []string          `yaml:"acr"`
	Assurance         *assurance        `yaml:"assurance"`
	Prompt            string            `yaml:"prompt"`
	User              *userClaim        `yaml:"user"`
	Email             string            `yaml:"email"`
	Provision         string            `yaml:"provision"`
	Attributes        map[string]string `yaml:"attributes"`
	Userinfo          string            `yaml:"userinfo"`
	CA                string            `yaml:"ca"`
	Redirect          string            `yaml:"redirect"`
	Algorithms        []string          `yaml:"algorithms"`
	Audiences         []string          `yaml:"audiences"`

	// Of plain OAuth 2.0 alone.
	Authorization string `yaml:"authorization_endpoint"`
	Token         string `yaml:"token_endpoint"`
	UserinfoPage  string `yaml:"userinfo_endpoint"`
	Subject       string `yaml:"subject"`

	// Of the whole section alone.
	Tenant    string             `yaml:"tenant"`
	PerTenant map[string]section `yaml:"per_tenant"`
}

type secretSource struct {
	Env  string `yaml:"env"`
	File string `yaml:"file"`
}

type assurance struct {
	AAL               int  `yaml:"aal"`
	PhishingResistant bool `yaml:"phishing_resistant"`
}

type userClaim struct {
	Claim string `yaml:"claim"`
}

// Keys that only one of the two kinds has.
var (
	connectKeys = []string{"pkce", "par", "max_age", "acr", "assurance", "userinfo", "redirect", "algorithms", "audiences", "assertion_audience"}
	plainKeys   = []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "subject"}
)

// Settings implements policy.Kind.
func (k kind) Settings(s *policy.Section) (policy.Settings, error) {
	var in section
	if err := s.Decode(&in); err != nil {
		return nil, err
	}
	out := &Settings{name: s.Name(), kind: k.name, tenant: in.Tenant}
	if in.PerTenant == nil {
		c, err := readClient(reader{s: s, kind: k.name, in: in, own: in})
		out.flat = c
		return out, err
	}
	if in.Tenant != "" {
		return nil, s.Errorf("tenant", "means nothing beside per_tenant, which has a tenant's name before its settings")
	}
	return out, out.readTenants(s, in)
}

func (out *Settings) readTenants(s *policy.Section, in section) error {
	if len(in.PerTenant) == 0 {
		return s.Errorf("per_tenant", "names no tenant")
	}
	out.tenants = map[string]*client{}
	for _, tenant := range sortedKeys(in.PerTenant) {
		own := in.PerTenant[tenant]
		at := "per_tenant." + tenant
		if tenant == "" || !elsewhere.Printable(tenant, maxName) {
			return s.Errorf("per_tenant", "a tenant has no name, or one with characters that cannot be seen")
		}
		if own.Tenant != "" || own.PerTenant != nil {
			return s.Errorf(at, "settings of a tenant cannot name tenants again")
		}
		c, err := readClient(reader{s: s, kind: out.kind, in: own.over(in), own: own, at: at + "."})
		if err != nil {
			return err
		}
		out.tenants[tenant] = c
	}
	return nil
}

// over is s, with what it leaves out taken from the flat part of the section.
func (s section) over(flat section) section {
	merged, base := reflect.ValueOf(&s).Elem(), reflect.ValueOf(flat)
	for i := range merged.NumField() {
		if merged.Field(i).IsZero() {
			merged.Field(i).Set(base.Field(i))
		}
	}
	return s
}

// has reports whether a key is set, by its name in the file.
func (s section) has(key string) bool {
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key {
			return !v.Field(i).IsZero()
		}
	}
	return false
}

// all are the clients, each with its tenant.
func (out *Settings) all() map[string]*client {
	if out.flat != nil {
		return map[string]*client{"": out.flat}
	}
	return out.tenants
}

// Describe implements policy.Settings.
func (out *Settings) Describe() authn.Factor {
	d := authn.Factor{Name: out.name, Kind: out.kind, Identifies: authn.IdentifiesUser, AMR: []string{amrOf(out.kind)}}
	for _, c := range out.all() {
		d.Best.Category |= c.strength.Category
		d.Best.PhishingResistant = d.Best.PhishingResistant || c.strength.PhishingResistant
	}
	return d
}

func amrOf(kind string) string {
	if kind == PlainKindName {
		return "oauth2"
	}
	return "oidc"
}

// Place implements policy.Placed. Where the tenant picks the provider, or gets new users, an earlier step must have proved it.
func (out *Settings) Place() policy.Place {
	if out.tenant == "" || out.flat == nil || out.flat.provision {
		return policy.Place{After: authn.IdentifiesTenant}
	}
	return policy.Place{}
}

// reader reads the settings of one client.
type reader struct {
	s    *policy.Section
	kind string
	in   section // what holds
	own  section // what stands in the part at "at"
	at   string  // "per_tenant.acme." or empty
}

// errorf makes an error with the position of a key, in the part where it stands.
func (r reader) errorf(key, format string, args ...any) error {
	name := key
	for i, c := range key {
		if c == '.' || c == '[' {
			name = key[:i]
			break
		}
	}
	if r.own.has(name) || !r.in.has(name) {
		return r.s.Errorf(r.at+key, format, args...)
	}
	return r.s.Errorf(key, format, args...)
}

// oneOf gives the value of a key, or the first of those allowed.
func (r reader) oneOf(key, value string, allowed ...string) (string, error) {
	if value == "" {
		return allowed[0], nil
	}
	if !slices.Contains(allowed, value) {
		return "", r.errorf(key, "must be one of: %s", elsewhere.Words(allowed))
	}
	return value, nil
}

// onOff reads off, the default, or on.
func (r reader) onOff(key, value string) (bool, error) {
	got, err := r.oneOf(key, value, "off", "on")
	return got == "on", err
}

// list holds a list to a test of its values, and to each being there once.
func (r reader) list(key string, values []string, good func(string) bool, what string) error {
	for i, v := range values {
		at := fmt.Sprintf("%s[%d]", key, i)
		if !good(v) {
			return r.errorf(at, "is %s", what)
		}
		if slices.Contains(values[:i], v) {
			return r.errorf(at, "is there already")
		}
	}
	if values != nil && len(values) == 0 {
		return r.errorf(key, "names none")
	}
	return nil
}
