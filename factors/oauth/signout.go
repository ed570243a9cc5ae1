package oauth

import (
	"context"
	"net/url"

	"github.com/sallyport-auth/sallyport/authn"

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

// SignOutURL implements factors.SignedOut (OpenID Connect RP-Initiated Logout 1.0 section 2). No ID token is kept to hint at
// whom to sign out, so the provider asks the user. returnTo must be registered with the provider.
func (f *Factor) SignOutURL(ctx context.Context, e authn.Evidence, returnTo string) (string, error) {
	p, err := f.providerOf(e.Subject.Tenant)
	if err != nil || p.client.plain != nil || e.Issuer != p.client.issuer {
		return "", nil // the policy has another provider since
	}
	ctx, cancel := context.WithTimeout(ctx, elsewhere.TotalTime)
	defer cancel()
	about, err := p.aboutLately(ctx, e.At)
	if err != nil || about.EndSession == "" {
		return "", err
	}
	return withQuery(about.EndSession, url.Values{"client_id": {p.client.id}, "post_logout_redirect_uri": {returnTo}})
}
