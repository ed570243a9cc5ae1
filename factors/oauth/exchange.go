package oauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

// tokens are what the token endpoint gave. Neither of them is kept.
type tokens struct {
	access string
	id     string // empty: none
}

// exchange spends the code (RFC 6749 section 4.1.3, RFC 7636 section 4.5), once.
func (p *provider) exchange(ctx context.Context, e envelope, code string, now time.Time, about metadata) (tokens, error) {
	options := []oauth2.AuthCodeOption{oauth2.VerifierOption(e.Verifier)}
	proof, err := p.assertion(about, e.Token, now)
	if err != nil {
		return tokens{}, err
	}
	for name, values := range proof {
		options = append(options, oauth2.SetAuthURLParam(name, values[0]))
	}
	seen := &answer{}
	got, err := p.client.request("", e.Token, e.Redirect).Exchange(p.web.forLibrary(ctx, seen), code, options...)
	if err != nil {
		return tokens{}, exchangeFailed(ctx, err)
	}
	return seen.tokens(got)
}

// exchangeFailed sorts errors of the library. Their texts are not passed on: they quote the answer.
func exchangeFailed(ctx context.Context, err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		if ctx.Err() != nil {
			return unreachable(ctx.Err())
		}
		var call *url.Error
		if errors.As(err, &call) {
			return unreachable(call)
		}
		return errors.New("oauth: the token endpoint answered what is no token response")
	}
	status := refused.Response.StatusCode
	switch {
	case slices.Contains(oursErrors, refused.ErrorCode):
		return providerSays(refused.ErrorCode)
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 300 && status < 400, status >= 500:
		return fmt.Errorf("oauth: the token endpoint answered with status %d", status)
	case refused.ErrorCode == "invalid_grant":
		return factors.Reject(ReasonCode, "invalid_grant")
	}
	return factors.Reject(ReasonCode, "status %d", status)
}

// oursErrors say that this client is not set up at the provider as the policy has it: the caller can do nothing about it.
var oursErrors = []string{"invalid_client", "unauthorized_client", "unsupported_grant_type", "temporarily_unavailable", "server_error"}

// lookAtClient is what an operator is told where a provider does not know this client.
const lookAtClient = ": are client_id, client_auth and the secret or key as the provider has them?"

// providerSays repeats an error code that is known.
func providerSays(code string) error {
	if code == "invalid_client" {
		code += lookAtClient
	}
	return fmt.Errorf("oauth: the provider answered %s", code)
}

// tokens reads the response (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3): what the library read, read once more.
func (a *answer) tokens(got *oauth2.Token) (tokens, error) {
	bad := errors.New("oauth: the token endpoint answered what is no token response")
	in, err := jose.ParseClaims(a.body)
	if err != nil {
		return tokens{}, bad
	}
	access, has, err := in.String("access_token")
	if err != nil || !has || access == "" || access != got.AccessToken {
		return tokens{}, bad
	}
	if kind, has, err := in.String("token_type"); err != nil || !has || !strings.EqualFold(kind, "Bearer") {
		return tokens{}, bad
	}
	id, _, err := in.String("id_token")
	if err != nil {
		return tokens{}, bad
	}
	return tokens{access: access, id: id}, nil
}

const assertionLife = time.Minute

// assertion is what authenticates the client with its key (RFC 7523 section 2.2, OpenID Connect Core section 9); nothing
// with the other methods.
func (p *provider) assertion(about metadata, endpoint string, now time.Time) (url.Values, error) {
	c := p.client
	if c.proof.key == nil {
		return nil, nil
	}
	id := make([]byte, 16)
	if _, err := io.ReadFull(p.random, id); err != nil {
		return nil, fmt.Errorf("oauth: no randomness: %w", err)
	}
	audience := c.issuer
	if c.proof.toEndpoint {
		audience = endpoint
	}
	signed, err := jose.Sign(jose.Header{Kid: c.proof.keyID}, map[string]any{"iss": c.id, "sub": c.id, "aud": audience,
		"jti": base64.RawURLEncoding.EncodeToString(id), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix()}, c.proof.key, algorithmFor(c.proof.key, about))
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	return url.Values{"client_assertion": {signed}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}, nil
}

// algorithmFor is what a key signs assertions with: one that the provider takes, where it says so.
func algorithmFor(key crypto.Signer, about metadata) string {
	switch k := key.Public().(type) {
	case *ecdsa.PublicKey:
		return map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[k.Params().BitSize]
	case ed25519.PublicKey:
		return "EdDSA"
	}
	if takes := about.AssertionAlgorithms; slices.Contains(takes, "PS256") && !slices.Contains(takes, "RS256") {
		return "PS256"
	}
	return "RS256"
}
