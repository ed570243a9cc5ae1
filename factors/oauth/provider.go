package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	strict "github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

// provider is one provider as one client sees it. It is safe for concurrent use.
type provider struct {
	client   *client
	web      *web
	random   io.Reader
	metadata cached[metadata]
	keys     cached[jose.Set]
}

func newProvider(c *client, random io.Reader) *provider {
	return &provider{client: c, web: newWeb(c), random: random}
}

// metadata is what a provider publishes about itself (OpenID Connect Discovery section 3, RFC 8414 section 2).
type metadata struct {
	Issuer              string   `json:"issuer"`
	Authorization       string   `json:"authorization_endpoint"`
	Token               string   `json:"token_endpoint"`
	Keys                string   `json:"jwks_uri"`
	Userinfo            string   `json:"userinfo_endpoint"`
	EndSession          string   `json:"end_session_endpoint"`
	Pushed              string   `json:"pushed_authorization_request_endpoint"`
	PushedOnly          bool     `json:"require_pushed_authorization_requests"`
	NamesItself         bool     `json:"authorization_response_iss_parameter_supported"`
	ChallengeMethods    []string `json:"code_challenge_methods_supported"`
	Algorithms          []string `json:"id_token_signing_alg_values_supported"`
	AssertionAlgorithms []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	Aliases             struct {
		Token    string `json:"token_endpoint"`
		Userinfo string `json:"userinfo_endpoint"`
		Pushed   string `json:"pushed_authorization_request_endpoint"`
	} `json:"mtls_endpoint_aliases"` // RFC 8705 section 5
}

// about is the provider's metadata. An error means that it cannot be had, or is not to be used.
func (p *provider) about(ctx context.Context, now time.Time) (metadata, error) {
	if p.client.plain != nil {
		return *p.client.plain, nil
	}
	m, _, err := p.metadata.get(ctx, now, p.discover)
	return m, err
}

// aboutLately is the metadata for whoever has no clock: what is there, however old it is, otherwise fetched as of then.
func (p *provider) aboutLately(ctx context.Context, then time.Time) (metadata, error) {
	if m, ok := p.metadata.last(); ok {
		return m, nil
	}
	return p.about(ctx, then)
}

func (p *provider) discover(ctx context.Context) (metadata, error) {
	var m metadata
	b, err := p.web.document(ctx, strings.TrimSuffix(p.client.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return m, err
	}
	if err := strict.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("oauth: the metadata of %s are not what metadata are", p.client.issuer)
	}
	if m.Issuer != p.client.issuer {
		return m, fmt.Errorf("oauth: the metadata of %s name another issuer", p.client.issuer)
	}
	if p.client.proof.certificate != nil {
		m.overTLS()
	}
	return m, m.check()
}

// overTLS puts the endpoints for clients with a certificate in the place of the others.
func (m *metadata) overTLS() {
	for _, e := range []struct {
		to   *string
		from string
	}{{&m.Token, m.Aliases.Token}, {&m.Userinfo, m.Aliases.Userinfo}, {&m.Pushed, m.Aliases.Pushed}} {
		if e.from != "" {
			*e.to = e.from
		}
	}
}

func (m *metadata) check() error {
	for _, e := range []struct {
		name, url string
		must      bool
	}{{"authorization_endpoint", m.Authorization, true}, {"token_endpoint", m.Token, true}, {"jwks_uri", m.Keys, true},
		{"userinfo_endpoint", m.Userinfo, false}, {"end_session_endpoint", m.EndSession, false},
		{"pushed_authorization_request_endpoint", m.Pushed, false}} {
		if e.url == "" && !e.must {
			continue
		}
		if err := checkEndpoint(e.url, m.Issuer); err != nil {
			return fmt.Errorf("oauth: the metadata of %s: %s %w", m.Issuer, e.name, err)
		}
	}
	return nil
}

// suits reports why a provider cannot be used as the policy wants it.
func (c *client) suits(m metadata) error {
	switch {
	case c.plain != nil:
		return nil
	case !c.unadvert && !slices.Contains(m.ChallengeMethods, "S256"):
		return errors.New("oauth: the provider does not say that it knows PKCE with S256, which the policy requires")
	case c.par == "required" && m.Pushed == "":
		return errors.New("oauth: the provider takes no pushed requests, which the policy requires")
	case c.par == "off" && m.PushedOnly:
		return errors.New("oauth: the provider takes pushed requests only, and the policy has par: off")
	case len(c.allowed(m)) == 0:
		return errors.New("oauth: the provider signs ID tokens with none of the algorithms that the policy allows")
	}
	return nil
}

// allowed are the algorithms that an ID token may be signed with: of the policy's, those that the provider says it uses.
func (c *client) allowed(m metadata) []string {
	if len(m.Algorithms) == 0 {
		return c.algorithms
	}
	return slices.DeleteFunc(slices.Clone(c.algorithms), func(a string) bool { return !slices.Contains(m.Algorithms, a) })
}

// ownRedirect reports whether responses of the provider come to a redirect URI of its own.
func (c *client) ownRedirect(m metadata) bool {
	switch c.redirect {
	case "own":
		return true
	case "shared":
		return false
	}
	return !m.NamesItself
}

// fetchKeys gives a fetch of the key set.
func (p *provider) fetchKeys(address string) func(context.Context) (jose.Set, error) {
	return func(ctx context.Context) (jose.Set, error) {
		b, err := p.web.document(ctx, address)
		if err != nil {
			return jose.Set{}, err
		}
		s, err := jose.ParseSet(b, elsewhere.MaxDocument)
		if err != nil {
			return jose.Set{}, fmt.Errorf("oauth: the key set of %s: %w", p.client.issuer, err)
		}
		return s, nil
	}
}
