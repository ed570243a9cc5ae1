package sessionhttp

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// maxToken bounds a token and a proof of possession, in bytes.
const maxToken = 16 << 10

// Reasons for which the token of a request is not looked at. They are stable.
const (
	ReasonTokenTwice     authn.Reason = "token_presented_twice"
	ReasonTokenInQuery   authn.Reason = "token_in_query"
	ReasonTokenScheme    authn.Reason = "authorization_scheme"
	ReasonTokenMalformed authn.Reason = "authorization_malformed"
)

// carriedBy reads the token of a request (RFC 6750 section 2.1, RFC 9449 section 7.1): from one Authorization header, and
// from nowhere else.
func carriedBy(r *http.Request, origin policy.Origin) factors.Carried {
	headers, inQuery := r.Header["Authorization"], hasTokenInQuery(r.URL.RawQuery)
	if len(headers) == 0 && !inQuery {
		return factors.Carried{}
	}
	c := factors.Carried{Method: r.Method, URL: origin.URL + r.URL.EscapedPath()}
	switch {
	case inQuery:
		c.Refused = ReasonTokenInQuery
		return c
	case len(headers) > 1 || len(r.Header["Dpop"]) > 1:
		c.Refused = ReasonTokenTwice
		return c
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		c.Scheme = "Bearer"
	case strings.EqualFold(scheme, "DPoP"):
		c.Scheme = "DPoP"
	default:
		c.Refused = ReasonTokenScheme
		return c
	}
	token = strings.Trim(token, " ")
	proof := r.Header.Get("Dpop")
	if !isToken68(token) || len(token) > maxToken || len(proof) > maxToken {
		c.Refused = ReasonTokenMalformed
		return c
	}
	c.Token, c.Proof = token, proof
	return c
}

// isToken68 reports whether a credential has the form of a token (RFC 9110 section 11.2).
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	if body == "" {
		return false
	}
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~+/", c) >= 0 {
			continue
		}
		return false
	}
	return true
}

// hasTokenInQuery reports whether a query string has a parameter named access_token: whatever logs the address has it then
// (RFC 9700 section 4.3.2).
func hasTokenInQuery(query string) bool {
	for query != "" {
		var part string
		part, query, _ = strings.Cut(query, "&")
		name, _, _ := strings.Cut(part, "=")
		if strings.EqualFold(name, "access_token") || strings.IndexByte(name, '%') >= 0 && strings.EqualFold(unescaped(name), "access_token") {
			return true
		}
	}
	return false
}

// unescaped is a name of a query string as it is meant; as it stands, where it means nothing.
func unescaped(name string) string {
	if plain, err := url.QueryUnescape(name); err == nil {
		return plain
	}
	return name
}
