package oauthtest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// request is an authorization request that is good.
type request struct {
	client   Client
	redirect string
	state    string
	nonce    string
	pkce     string // the challenge
	scopes   []string
	prompt   []string
	maxAge   time.Duration // negative: none
	acr      []string
	hint     string
	browser  string // whose form it is
}

// refusal is an error that goes back to the client (RFC 6749 section 4.1.2.1).
type refusal struct{ code, what string }

func (r *refusal) Error() string { return r.code + ": " + r.what }

// read reads an authorization request. A bad client or redirect URI is an error that the browser is shown, for it must not be sent
// there; everything else is a refusal, and comes with the request as far as it is known.
func (p *Provider) read(form url.Values) (*request, error) {
	client, ok := p.clients[form.Get("client_id")]
	if !ok || len(form["client_id"]) != 1 {
		return nil, errPage("The client is not known here.")
	}
	if len(form["redirect_uri"]) != 1 || !slices.Contains(client.RedirectURIs, form.Get("redirect_uri")) {
		return nil, errPage("The client did not register the address that it wants the answer at.")
	}
	r := &request{client: client, redirect: form.Get("redirect_uri"), state: form.Get("state"), nonce: form.Get("nonce"), pkce: form.Get("code_challenge"),
		scopes: strings.Fields(form.Get("scope")), prompt: strings.Fields(form.Get("prompt")), maxAge: -1, acr: strings.Fields(form.Get("acr_values")), hint: form.Get("login_hint")}
	for name, values := range form {
		if len(values) > 1 {
			return r, &refusal{"invalid_request", name + " is there twice"}
		}
	}
	switch {
	case form.Get("response_type") != "code":
		return r, &refusal{"unsupported_response_type", "only code is"}
	case form.Has("request"):
		return r, &refusal{"request_not_supported", "request objects are not taken"}
	case form.Get("code_challenge_method") != "S256" || len(r.pkce) != 43:
		return r, &refusal{"invalid_request", "PKCE with S256 is needed"}
	case !p.config.Plain && !slices.Contains(r.scopes, "openid"):
		return r, &refusal{"invalid_scope", "openid is needed"}
	case slices.Contains(r.prompt, "none") && len(r.prompt) > 1:
		return r, &refusal{"invalid_request", "prompt none stands alone"}
	}
	if age := form.Get("max_age"); age != "" {
		seconds, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return r, &refusal{"invalid_request", "max_age is no number of seconds"}
		}
		r.maxAge = time.Duration(seconds) * time.Second
	}
	return r, nil
}

// errPage is what a browser is shown that cannot be sent back.
type errPage string

func (e errPage) Error() string { return string(e) }

// find is the authorization request of a query or form: itself, or the pushed one that it names (RFC 9126 section 4).
func (p *Provider) find(form url.Values) (*request, error) {
	name := form.Get("request_uri")
	if name == "" {
		r, err := p.read(form)
		if r != nil && err == nil && r.client.OnlyPushed {
			err = &refusal{"invalid_request", "requests of this client are pushed"}
		}
		return r, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.pushed.take(name, p.now())
	if !ok || r.client.ID != form.Get("client_id") {
		return nil, errPage("The request is not known here, or too old.")
	}
	return r, nil
}

// push takes an authorization request ahead (RFC 9126 section 2).
func (p *Provider) push(w http.ResponseWriter, r *http.Request) {
	client, err := p.authenticate(r, PushEndpoint)
	if err != nil {
		refuse(w, err)
		return
	}
	form := url.Values{}
	for name, values := range r.PostForm {
		if !slices.Contains([]string{"client_secret", "client_assertion", "client_assertion_type"}, name) {
			form[name] = values
		}
	}
	if form.Has("request_uri") {
		refuse(w, &refusal{"invalid_request", "a request that is pushed names no other"})
		return
	}
	form.Set("client_id", client.ID)
	asked, err := p.read(form)
	if err != nil {
		if page, ok := err.(errPage); ok {
			err = &refusal{"invalid_request", string(page)}
		}
		refuse(w, err)
		return
	}
	name := "urn:ietf:params:oauth:request_uri:" + rand.Text()
	p.mu.Lock()
	p.pushed.put(name, asked, p.now())
	p.mu.Unlock()
	answer(w, http.StatusCreated, map[string]any{"request_uri": name, "expires_in": int(pushLife.Seconds())})
}

// refuse answers a refusal at an endpoint that clients call (RFC 6749 section 5.2).
func refuse(w http.ResponseWriter, err error) {
	status, r := http.StatusBadRequest, &refusal{"server_error", "something is wrong"}
	if as, ok := err.(*refusal); ok {
		r = as
	}
	if r.code == "invalid_client" {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="clients"`)
	}
	answer(w, status, map[string]string{"error": r.code, "error_description": r.what})
}

// back is where a browser goes with a refusal.
func (p *Provider) back(asked *request, r *refusal) string {
	return p.with(asked, url.Values{"error": {r.code}, "error_description": {r.what}})
}

// with is the address of an authorization response (RFC 6749 section 4.1.2, RFC 9207 section 2).
func (p *Provider) with(asked *request, q url.Values) string {
	if asked.state != "" {
		q.Set("state", asked.state)
	}
	if !p.config.NoIssuer && !p.config.Plain {
		q.Set("iss", p.Issuer)
	}
	p.mu.Lock()
	lie := p.lie
	p.mu.Unlock()
	if q.Has("code") {
		p.lieInResponse(lie, asked, q)
	}
	u, err := url.Parse(asked.redirect)
	if err != nil {
		return p.Issuer // what is registered was read before
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += q.Encode()
	return u.String()
}
