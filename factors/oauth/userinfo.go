package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

// userinfo asks the userinfo endpoint, and takes what it says only of the subject of the ID token (OpenID Connect Core
// section 5.3.2).
func (p *provider) userinfo(ctx context.Context, about metadata, t tokens, sub string) (jose.Claims, error) {
	if about.Userinfo == "" {
		return jose.Claims{}, errors.New("oauth: the provider has no userinfo endpoint, which the policy wants to ask")
	}
	c, err := p.askUserinfo(ctx, about.Userinfo, t)
	if err != nil {
		return c, err
	}
	if named, _, err := c.String("sub"); err != nil || named != sub {
		return jose.Claims{}, factors.Reject(ReasonUserinfo, "")
	}
	return c, nil
}

func (p *provider) askUserinfo(ctx context.Context, address string, t tokens) (jose.Claims, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return jose.Claims{}, errors.New("oauth: the userinfo endpoint is no URL")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+t.access)
	status, kind, body, err := do(p.web.calls, r)
	if err != nil {
		return jose.Claims{}, err
	}
	if status != http.StatusOK || !elsewhere.IsJSON(kind) {
		return jose.Claims{}, fmt.Errorf("oauth: the userinfo endpoint: status %d, type %q, where JSON is wanted", status, kind)
	}
	c, err := jose.ParseClaims(body)
	if err != nil {
		return c, errors.New("oauth: userinfo is not what it should be")
	}
	return c, nil
}

// plainIdentity is whom an access token of plain OAuth 2.0 is for, as far as the provider's page says.
func (p *provider) plainIdentity(ctx context.Context, t tokens) (identity, error) {
	c, err := p.askUserinfo(ctx, p.client.plain.Userinfo, t)
	if err != nil {
		return identity{}, err
	}
	about := facts{c}
	values, err := about.values(p.client.subject)
	if err != nil || len(values) != 1 || about.raw(p.client.subject).Kind() == '[' || !elsewhere.Printable(values[0], maxSubject) {
		return identity{}, factors.Reject(ReasonSubject, "%s names nobody", p.client.subject)
	}
	return identity{issuer: p.client.issuer, sub: values[0], since: time.Unix(0, 0).UTC(), facts: about}, nil
}
