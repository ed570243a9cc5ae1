package oauth

import (
	"slices"

	strict "github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/factors"
)

// purpose is what a challenge was made for. An answer to one is none to another.
type purpose string

const (
	forLogin purpose = "login"
	forLink  purpose = "link"
)

const (
	maxData = 16 << 10 // bytes of a challenge's data
	version = 1
)

// envelope is what a challenge keeps with the login: all of the provider's settings that an answer is judged by, as they
// were when the browser was sent there. What is trusted (keys, secrets, the list of acr values) is not among it.
type envelope struct {
	Version  int      `json:"v"`
	Purpose  purpose  `json:"purpose"`
	Tenant   string   `json:"tenant"`
	User     string   `json:"user,omitzero"` // known before, or to be linked
	Origin   string   `json:"origin"`
	Issuer   string   `json:"issuer"`
	ClientID string   `json:"client_id"`
	Token    string   `json:"token_endpoint"`
	NamesIss bool     `json:"iss,omitzero"`     // the response must have iss
	Own      bool     `json:"own,omitzero"`     // the redirect URI has the tenant in it
	Redirect string   `json:"redirect_uri"`     //
	State    string   `json:"state"`            //
	Nonce    string   `json:"nonce,omitzero"`   // of OpenID Connect
	Verifier string   `json:"verifier"`         // of PKCE
	MaxAge   int64    `json:"max_age,omitzero"` // seconds; zero: any age
	ACR      []string `json:"acr,omitzero"`
}

func (e envelope) encode() ([]byte, error) {
	e.Version = version
	return strict.Marshal(e)
}

func decodeEnvelope(data []byte) (envelope, error) {
	var e envelope
	if len(data) == 0 || len(data) > maxData || strict.Unmarshal(data, &e) != nil || e.Version != version || e.State == "" || e.Verifier == "" {
		return envelope{}, factors.Reject(ReasonChallenge, "there is no challenge")
	}
	return e, nil
}

// open reads the challenge that a credential answers, and holds the answer to it as far as nobody need be asked.
func (f *Factor) open(asked factors.Asked, p purpose, r factors.Request, c callback) (envelope, *provider, error) {
	e, err := decodeEnvelope(asked.Data)
	if err != nil {
		return e, nil, err
	}
	if !same(c.state, e.State) {
		return e, nil, factors.Reject(ReasonState, "")
	}
	tenant, err := f.tenantOf(r)
	if err != nil {
		return e, nil, err
	}
	switch {
	case e.Purpose != p:
		return e, nil, factors.Reject(ReasonChallenge, "it was made for another purpose than %s", p)
	case e.Tenant != tenant:
		return e, nil, factors.Reject(ReasonChallenge, "it was made for another tenant")
	case e.User != "" && e.User != r.Subject.User:
		return e, nil, factors.Reject(ReasonChallenge, "it was made for another user")
	case e.Origin != r.Origin.URL:
		return e, nil, factors.Reject(ReasonChallenge, "it was made on another origin")
	}
	provider, err := f.providerOf(tenant)
	if err != nil {
		return e, nil, err
	}
	if provider.client.issuer != e.Issuer || provider.client.id != e.ClientID {
		return e, nil, factors.Reject(ReasonChallenge, "the tenant has another provider now")
	}
	return e, provider, e.takes(c)
}

// takes holds a response to where it should come to and whom it should come from (RFC 9207 section 2.4, RFC 9700 section
// 4.4.2). Both are looked at before what it says.
func (e envelope) takes(c callback) error {
	want := ""
	if e.Own {
		want = e.Tenant
	}
	switch {
	case c.tenant != want:
		return factors.Reject(ReasonRedirect, "")
	case c.hasIss && c.iss != e.Issuer:
		return factors.Reject(ReasonResponseIssuer, "it is another's")
	case e.NamesIss && !c.hasIss:
		return factors.Reject(ReasonResponseIssuer, "it is missing")
	}
	return c.failed()
}

// Errors with which a provider says that it is broken, and those that it may say no with. Others are not repeated.
var (
	brokenErrors = []string{"server_error", "temporarily_unavailable"}
	knownErrors  = []string{"access_denied", "login_required", "interaction_required", "consent_required", "account_selection_required",
		"unmet_authentication_requirements", "invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope",
		"invalid_request_uri", "invalid_request_object", "request_not_supported", "request_uri_not_supported"}
)

// failed is the error of a response.
func (c callback) failed() error {
	switch {
	case c.failure == "":
		return nil
	case slices.Contains(brokenErrors, c.failure):
		return providerSays(c.failure)
	case slices.Contains(knownErrors, c.failure):
		return factors.Reject(ReasonDenied, "%s", c.failure)
	}
	return factors.Reject(ReasonDenied, "an error that is not known")
}
