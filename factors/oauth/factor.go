package oauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

// Factor verifies sign-ins at identity providers. It is made by [Kind] or [PlainKind] and safe for concurrent use.
type Factor struct {
	settings  *Settings
	env       factors.Env
	providers map[string]*provider // by tenant; under the empty name the one for all
}

var (
	_ factors.Addressed = (*Factor)(nil)
	_ factors.Enroller  = (*Factor)(nil)
	_ factors.Notified  = (*Factor)(nil)
	_ factors.SignedOut = (*Factor)(nil)
)

// Build implements factors.Kind. The factor is a [*Factor]. It calls no provider yet.
func (k kind) Build(s policy.Settings, env factors.Env) (factors.Factor, error) {
	settings, ok := s.(*Settings)
	if !ok || settings.kind != k.name {
		return nil, fmt.Errorf("oauth: settings of another kind: %T", s)
	}
	if env.Directory == nil || env.Rand == nil {
		return nil, errors.New("oauth: needs a directory and a source of randomness")
	}
	f := &Factor{settings: settings, env: env, providers: map[string]*provider{}}
	for tenant, c := range settings.all() {
		f.providers[tenant] = newProvider(c, env.Rand)
	}
	return f, nil
}

// Describe implements factors.Factor.
func (f *Factor) Describe() authn.Factor { return f.settings.Describe() }

// Vouches implements factors.Vouched.
func (f *Factor) Vouches(e authn.Evidence, newcomer bool) bool {
	p, err := f.providerOf(e.Subject.Tenant)
	return err == nil && p.client.issuer == e.Issuer && (!newcomer || p.client.provision)
}

// tenantOf is the tenant that a sign-in would be one of: the one that is known, or the policy's.
func (f *Factor) tenantOf(r factors.Request) (string, error) {
	return elsewhere.TenantOf(r, f.settings.tenant, ReasonTenant, "the provider is another tenant's")
}

// providerOf is the provider of a tenant.
func (f *Factor) providerOf(tenant string) (*provider, error) {
	if f.settings.flat != nil {
		if own := f.settings.tenant; own != "" && own != tenant {
			return nil, factors.Reject(ReasonTenant, "the provider is another tenant's")
		}
		return f.providers[""], nil
	}
	p, ok := f.providers[tenant]
	if !ok || tenant == "" {
		return nil, factors.Reject(ReasonTenant, "the policy has no provider for the tenant")
	}
	return p, nil
}

// redirectURI is where responses come to; with a tenant, one that is this tenant's provider's alone.
func (f *Factor) redirectURI(o policy.Origin, tenant string) string {
	path := o.URL + f.env.Base + "/factors/" + url.PathEscape(f.settings.name)
	if tenant != "" {
		path += "/" + url.PathEscape(tenant)
	}
	return path + "/callback"
}

// random is 256 bits in base64url.
func (f *Factor) random() (string, error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(f.env.Rand, b); err != nil {
		return "", fmt.Errorf("oauth: no randomness: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
