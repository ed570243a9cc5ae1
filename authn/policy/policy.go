// Package policy reads the policy file: which factors exist, which methods they compose, who must use which.
package policy

import (
	"crypto/x509"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// Policy is a policy file that was read, checked and found good. It is never changed; a changed file is a new Policy.
type Policy struct {
	File    string   // as given to Load
	Files   []string // every file that was read for it, the policy first
	Epoch   uint64   // differs between policies with different content: derived from the content of Files
	Origins []Origin // the first is the portal's own
	Anchors []Anchor
	Factors []Factor
	Methods []Method
	Rules   []Rule
	Floors  []Floor
	Limits  Limits

	sums     map[string][]byte // of the content of Files
	warnings []Error
}

// Origin is one origin that browsers see.
type Origin struct {
	URL    string // scheme, host and port, as browsers write it: "https://portal.example"
	Host   string // host and port as in the Host header: "portal.example"
	RPID   string // WebAuthn relying party id
	Tenant string // the tenant this origin belongs to; empty: any
}

// Anchor is a set of CA certificates accepted for client certificates.
type Anchor struct {
	Name         string
	CA           string // path of the file, in PEM; empty: they are of a bundle
	Bundle       string // path of the SPIFFE trust bundle; empty: they are of a CA file
	Certificates []*x509.Certificate
	// TrustDomain is the SPIFFE trust domain whose authorities they are: a certificate under the anchor has a SPIFFE ID
	// of it, and none of another anchor's. Empty: they are of none. No two anchors of a policy have the same.
	TrustDomain string
	Tenant      string   // that owns the anchor; empty: the portal does
	Tenants     []string // that an anchor of the portal may speak for

	sequence *uint64 // of the bundle; nil: it has none
	at       Error   // where the file of the bundle is named, for what a later one shows
}

// MaySpeakFor reports whether a certificate under this anchor may name tenant.
func (a Anchor) MaySpeakFor(tenant string) bool {
	if tenant == "" {
		return false
	}
	if a.Tenant != "" {
		return a.Tenant == tenant
	}
	for _, t := range a.Tenants {
		if t == tenant {
			return true
		}
	}
	return false
}

// Factor is a configured factor: what it is, and the settings its kind decoded.
type Factor struct {
	authn.Factor
	Settings Settings
}

// Rule names the methods on offer where it matches. Empty fields match everything.
type Rule struct {
	Route   string // exact path, or a prefix ending in "/*", which includes the path without it
	Tenant  string
	Methods []string
}

// Floor is the least that a route or tenant accepts. Empty Route and Tenant match everything.
type Floor struct {
	Route       string
	Tenant      string
	Requirement authn.Requirement
}

// Limits bounds attempts.
type Limits struct {
	PerCredential int           // wrong answers per credential or claimed name in a window; default 5
	PerSource     int           // per source address; default 50
	PerTenant     int           // per tenant; default 1000
	Window        time.Duration // default 15m
}

// Settings is what a kind made of its section.
type Settings interface {
	// Describe says what a factor with these settings can prove at best. Name and Kind are filled in by the package.
	Describe() authn.Factor
}

// Partial is implemented by settings of a factor that may name less than Describe says: what it identifies depends on the
// credential.
type Partial interface {
	Settings
	// AtLeast is what evidence of the factor always identifies.
	AtLeast() authn.Identifies
}

// Placed is implemented by settings of a factor that cannot stand anywhere.
type Placed interface {
	Settings
	// Place says where the factor can stand.
	Place() Place
}

// Place is where in a method a factor can stand. The zero value is anywhere.
type Place struct {
	After       authn.Identifies // what the steps before it must always identify
	EachRequest bool             // its evidence is worth nothing beyond one request: only in methods with each_request
}

// Kind decodes the sections of one kind of factor.
type Kind interface {
	// Name is the value of "kind:" in the file.
	Name() string
	// Settings decodes a section, strictly: whatever it does not know is an error with its position.
	Settings(s *Section) (Settings, error)
}
