package oauthtest

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// SignIn does what a browser would do that was sent to an authorization URL and in which the user signs in, in a new session: it gives the
// URL that the browser would be sent back to, and does not call it. A request that the provider refuses gives a URL with the error in it; an error is a
// URL that is not this provider's, or a request for which a browser is shown a page. No password is asked for.
func (p *Provider) SignIn(_ context.Context, redirectTo, user string) (string, error) {
	at, query, _ := strings.Cut(redirectTo, "?")
	if at != p.Issuer+AuthorizeEndpoint {
		return "", fmt.Errorf("oauthtest: %s is not where %s signs people in", at, p.Issuer)
	}
	form, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("oauthtest: the authorization URL: %w", err)
	}
	u, ok := p.users[user]
	if !ok {
		return "", fmt.Errorf("oauthtest: there is no user %q", user)
	}
	p.mu.Lock()
	p.calls[AuthorizeEndpoint]++
	p.mu.Unlock()
	asked, err := p.find(form)
	switch e := err.(type) {
	case errPage:
		return "", fmt.Errorf("oauthtest: %w", e)
	case *refusal:
		return p.back(asked, e), nil
	}
	return p.grantTo(asked, p.welcome(nil, nil, &u)), nil
}
