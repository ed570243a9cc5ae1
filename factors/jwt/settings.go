package jwt

import (
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// Kind is the kind of factor that this package is, to be handed to the engine.
func Kind() factors.Kind { return kind{} }

type kind struct{}

func (kind) Name() string { return KindName }

// Settings implements [policy.Kind].
func (kind) Settings(s *policy.Section) (policy.Settings, error) { return readSettings(s) }

// Settings is what the policy file says about one factor, checked. It is never changed.
type Settings struct {
	name       string
	issuer     string
	audience   []string
	algorithms []string
	types      []string
	keys       source
	maxAge     time.Duration // zero: any
	leeway     time.Duration
	require    []string
	scopes     []string
	bound      presence // to a certificate
	dpop       presence
	nonce      bool                  // a proof must have a nonce that was made here
	nonceKey   []byte                // nil: one of this process alone
	user       *mapping              // nil: it identifies nothing
	spiffe     *spiffeid.TrustDomain // nil: subjects are of any form
	class      authn.Class
	tenantIn   string // the claim that names the tenant; empty: none does
	tenant     string // that all tokens are good for; empty: the one that earlier steps proved
	attributes []attribute
	live       bool // the session that a token was made from must live
}

// attribute is something that is kept of a token.
type attribute struct{ name, claim string }

// presence says whether something must be there.
type presence string

const (
	required  presence = "required"
	ifPresent presence = "if_present" // checked where it is there
	off       presence = "off"        // refused where it is there
)

// written is a section as it stands in the file.
type written struct {
	Issuer     string            `yaml:"issuer"`
	Audience   string            `yaml:"audience"`
	Audiences  []string          `yaml:"audiences"`
	Algorithms []string          `yaml:"algorithms"`
	Typ        []string          `yaml:"typ"`
	Keys       *writtenKeys      `yaml:"keys"`
	CA         string            `yaml:"ca"`
	Refresh    time.Duration     `yaml:"refresh"`
	MaxAge     time.Duration     `yaml:"max_age"`
	Leeway     time.Duration     `yaml:"leeway"`
	Require    []string          `yaml:"require"`
	Scopes     []string          `yaml:"scopes"`
	Bound      string            `yaml:"bound_to_certificate"`
	DPoP       string            `yaml:"dpop"`
	Nonce      string            `yaml:"dpop_nonce"`
	NonceKey   string            `yaml:"dpop_nonce_key"`
	User       *writtenUser      `yaml:"user"`
	Identifies string            `yaml:"identifies"`
	SPIFFE     *writtenSPIFFE    `yaml:"spiffe"`
	Principal  string            `yaml:"principal"`
	Tenant     string            `yaml:"tenant"`
	TenantIn   string            `yaml:"tenant_claim"`
	Attributes map[string]string `yaml:"attributes"`
	Session    string            `yaml:"session"`
}

type writtenKeys struct {
	URL       string `yaml:"url"`
	File      string `yaml:"file"`
	Discovery bool   `yaml:"discovery"`
}

type writtenUser struct {
	Claim   string `yaml:"claim"`
	Pattern string `yaml:"pattern"`
}

type writtenSPIFFE struct {
	TrustDomain string `yaml:"trust_domain"`
}

// Describe implements [policy.Settings].
func (s *Settings) Describe() authn.Factor {
	d := authn.Factor{Name: s.name, Kind: KindName, Ambient: true, Class: s.class, Best: strength, AMR: amrs}
	if s.user != nil {
		d.Identifies = authn.IdentifiesUser
	}
	return d
}

// Place implements [policy.Placed]. Without a tenant of its own, a token is good for the one that an earlier step proved.
func (s *Settings) Place() policy.Place {
	p := policy.Place{EachRequest: true}
	if s.tenant == "" {
		p.After = authn.IdentifiesTenant
	}
	return p
}
