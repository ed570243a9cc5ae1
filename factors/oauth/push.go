package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	strict "github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

// push sends the parameters of a request ahead (RFC 9126 section 2) and gives the address that stands for them.
func (p *provider) push(ctx context.Context, about metadata, request url.Values, now time.Time) (string, error) {
	form, err := p.assertion(about, about.Token, now)
	if err != nil {
		return "", err
	}
	if form == nil {
		form = url.Values{}
	}
	for name, values := range request {
		form[name] = values
	}
	proof := p.client.proof
	if proof.method == authPost {
		form.Set("client_secret", proof.secret.reveal())
	}
	status, kind, body, err := p.web.post(ctx, about.Pushed, form, func(r *http.Request) {
		if proof.basic() {
			r.SetBasicAuth(url.QueryEscape(p.client.id), url.QueryEscape(proof.secret.reveal()))
		}
	})
	if err != nil {
		return "", err
	}
	var pushed struct {
		URI string `json:"request_uri"`
	}
	if status != http.StatusCreated || !elsewhere.IsJSON(kind) || strict.Unmarshal(body, &pushed) != nil || !elsewhere.Printable(pushed.URI, 2048) {
		return "", p.notPushed(status, body, request.Get("redirect_uri"))
	}
	return withQuery(about.Authorization, url.Values{"client_id": {p.client.id}, "request_uri": {pushed.URI}})
}

// pushErrors are the codes that are repeated: what else a provider writes may quote the request.
var pushErrors = []string{"invalid_request", "invalid_redirect_uri", "invalid_scope", "invalid_client", "unauthorized_client", "unsupported_response_type",
	"access_denied", "server_error", "temporarily_unavailable"}

// notPushed says why a provider did not take a request, and what to look at.
func (p *provider) notPushed(status int, body []byte, redirect string) error {
	var said struct {
		Error string `json:"error"`
	}
	if strict.Unmarshal(body, &said) != nil || !slices.Contains(pushErrors, said.Error) {
		said.Error = "no reason that is known"
	}
	look := ""
	switch {
	case status == http.StatusUnauthorized || said.Error == "invalid_client":
		look = lookAtClient
	case status == http.StatusBadRequest:
		look = fmt.Sprintf(": is the redirect URI %s registered for the client %s?", redirect, p.client.id)
	}
	return fmt.Errorf("oauth: the provider did not take the pushed request: status %d, %s%s", status, said.Error, look)
}

// withQuery adds parameters to an address.
func withQuery(address string, more url.Values) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("oauth: an endpoint is no URL")
	}
	all := u.Query()
	for name, values := range more {
		all[name] = values
	}
	u.RawQuery = all.Encode()
	return u.String(), nil
}
