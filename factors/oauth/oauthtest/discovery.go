package oauthtest

import (
	"net/http"
	"net/url"
	"strings"
)

// another is the issuer of which the lies tell.
const another = "https://another-provider.example"

// discovery answers with the metadata (OpenID Connect Discovery section 3, RFC 8414, RFC 9126, RFC 8705, RFC 9207).
func (p *Provider) discovery(w http.ResponseWriter, r *http.Request) {
	m := p.metadata()
	switch {
	case p.lies(DiscoveryHuge):
		answerHuge(w, m)
		return
	case p.lies(DiscoveryOfAnother):
		m["issuer"] = another
	case p.lies(DiscoveryRedirected) && !p.redirected(r):
		p.redirect(w, r, DiscoveryEndpoint)
		return
	}
	answer(w, http.StatusOK, m)
}

func (p *Provider) metadata() map[string]any {
	at := p.Issuer
	methods := []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "none"}
	m := map[string]any{
		"issuer": at, "authorization_endpoint": at + AuthorizeEndpoint, "token_endpoint": at + TokenEndpoint,
		"userinfo_endpoint": at + UserinfoEndpoint, "jwks_uri": at + KeysEndpoint, "end_session_endpoint": at + EndSessionEndpoint,
		"response_types_supported": []string{"code"}, "response_modes_supported": []string{"query"},
		"grant_types_supported": []string{"authorization_code"}, "subject_types_supported": []string{"public"},
		"scopes_supported":                                 []string{"openid", "profile", "email", "groups"},
		"claims_supported":                                 []string{"sub", "name", "preferred_username", "email", "email_verified", "groups", "auth_time", "acr", "amr", "sid"},
		"id_token_signing_alg_values_supported":            []string{p.config.Algorithm},
		"code_challenge_methods_supported":                 []string{"S256"},
		"prompt_values_supported":                          []string{"none", "login", "consent", "select_account"},
		"token_endpoint_auth_methods_supported":            methods,
		"token_endpoint_auth_signing_alg_values_supported": assertionAlgorithms,
		"backchannel_logout_supported":                     true, "backchannel_logout_session_supported": true,
		"request_parameter_supported": false, "request_uri_parameter_supported": false,
	}
	if !p.config.NoIssuer {
		m["authorization_response_iss_parameter_supported"] = true
	}
	if !p.config.NoPush {
		m["pushed_authorization_request_endpoint"] = at + PushEndpoint
	}
	if base := p.config.MutualTLS; base != "" {
		aliases := map[string]string{"token_endpoint": base + TokenEndpoint, "userinfo_endpoint": base + UserinfoEndpoint}
		if !p.config.NoPush {
			aliases["pushed_authorization_request_endpoint"] = base + PushEndpoint
		}
		m["mtls_endpoint_aliases"] = aliases
	}
	return m
}

// redirect sends a caller to the same endpoint on another host: the other name of this machine, where it has two.
func (p *Provider) redirect(w http.ResponseWriter, r *http.Request, endpoint string) {
	u, _ := url.Parse(p.Issuer)
	switch host := u.Hostname(); host {
	case "localhost":
		u.Host = strings.Replace(u.Host, host, "127.0.0.1", 1)
	case "127.0.0.1":
		u.Host = strings.Replace(u.Host, host, "localhost", 1)
	default:
		u.Host = "another." + u.Host
	}
	http.Redirect(w, r, u.String()+endpoint+"?redirected", http.StatusTemporaryRedirect)
}

// redirected reports a caller that followed: it gets what it came for, so that its carelessness can be seen.
func (p *Provider) redirected(r *http.Request) bool { return r.URL.RawQuery == "redirected" }
