package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	strict "github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/factors"
)

const (
	maxQuery      = 8 << 10  // bytes of a callback's query
	maxCredential = 32 << 10 // of the JSON around it
	maxState      = 256
)

// callback is the authorization response (RFC 6749 section 4.1.2, RFC 9207 section 2) as it came to a redirect URI.
type callback struct {
	tenant string // segment of the path that it came to; empty: the shared one
	state  string
	code   string // empty exactly where failure is not
	iss    string
	hasIss bool
	// failure is the error of RFC 6749 section 4.1.2.1 or of OpenID Connect Core section 3.1.2.6, never its description:
	// that is for the caller to make up.
	failure string
}

// returned is the credential of a callback, as the router hands it on.
type returned struct {
	Query  string `json:"query"`
	Tenant string `json:"tenant"`
}

// Parameters of a response, each of which may be there once at the most. Those of other response types carry tokens, and
// have no place in a query.
var (
	once    = []string{"code", "state", "iss", "error", "error_description", "error_uri", "session_state", "scope"}
	foreign = []string{"access_token", "id_token", "refresh_token", "token_type", "expires_in", "response"}
)

// parseCallback reads a credential strictly: one JSON object, and in its query each parameter of a response once.
func parseCallback(credential json.RawMessage) (callback, error) {
	var in returned
	if len(credential) > maxCredential {
		return callback{}, factors.Reject(factors.ReasonMalformed, "larger than %d bytes", maxCredential)
	}
	if err := strict.Unmarshal(credential, &in, strict.RejectUnknownMembers(true)); err != nil || in.Query == "" {
		return callback{}, factors.Reject(factors.ReasonMalformed, "")
	}
	if len(in.Query) > maxQuery {
		return callback{}, factors.Reject(ReasonResponse, "the query is larger than %d bytes", maxQuery)
	}
	values, err := parameters(in.Query)
	if err != nil {
		return callback{}, err
	}
	return response(in.Tenant, values)
}

// parameters takes a query apart. Pairs that are no parameters of a response are passed over once they are well-formed.
func parameters(query string) (map[string]string, error) {
	values := map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := unescape(name)
		if err != nil {
			return nil, err
		}
		if value, err = unescape(value); err != nil {
			return nil, err
		}
		if slices.Contains(foreign, name) {
			return nil, factors.Reject(ReasonResponse, "%s has no place in the query of a code response", name)
		}
		if !slices.Contains(once, name) {
			continue
		}
		if _, there := values[name]; there {
			return nil, factors.Reject(ReasonResponse, "%s is there twice", name)
		}
		values[name] = value
	}
	return values, nil
}

func unescape(s string) (string, error) {
	out, err := url.QueryUnescape(s)
	if err != nil || strings.Contains(s, ";") || !utf8.ValidString(out) || strings.ContainsFunc(out, unicode.IsControl) {
		return "", factors.Reject(ReasonResponse, "the query is not well-formed")
	}
	return out, nil
}

func response(tenant string, values map[string]string) (callback, error) {
	c := callback{tenant: tenant, state: values["state"], code: values["code"], failure: values["error"]}
	c.iss, c.hasIss = values["iss"]
	_, hasCode := values["code"]
	_, failed := values["error"]
	switch {
	case c.state == "" || len(c.state) > maxState:
		return callback{}, factors.Reject(ReasonResponse, "there is no state")
	case hasCode && failed:
		return callback{}, factors.Reject(ReasonResponse, "there is an error beside the code")
	case hasCode && c.code == "", failed && c.failure == "", !hasCode && !failed:
		return callback{}, factors.Reject(ReasonResponse, "there is neither a code nor an error")
	}
	return c, nil
}

// same compares two texts in constant time, of whatever length they are.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
