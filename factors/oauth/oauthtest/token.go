package oauthtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// grant is what a code, and then an access token, stand for.
type grant struct {
	request *request
	user    *User
	browser *browser
	access  string // the token that the code was exchanged for
	spent   bool
}

// grantTo is where a browser goes with a code.
func (p *Provider) grantTo(asked *request, b *browser) string {
	p.mu.Lock()
	if !slices.Contains(b.clients, asked.client.ID) {
		b.clients = append(b.clients, asked.client.ID)
	}
	code := p.grants.add(&grant{request: asked, user: b.user, browser: b}, p.now())
	p.mu.Unlock()
	return p.with(asked, url.Values{"code": {code}})
}

// lieInResponse changes an authorization response.
func (p *Provider) lieInResponse(lie Fault, asked *request, q url.Values) {
	switch lie {
	case IssuerOther:
		q.Set("iss", another)
	case IssuerMissing:
		q.Del("iss")
	case MixUp:
		q.Set("iss", another)
		q.Set("code", "a-code-of-another-provider")
	case CodeOfAnotherSession:
		q.Set("code", p.swap(q.Get("code"), asked))
	case StateTwice:
		q.Add("state", "another-state")
	case CodeTwice:
		q.Add("code", "another-code")
	case ErrorBesideCode:
		q.Set("error", "access_denied")
	}
}

// swap gives a code of another authorization request in the place of one.
func (p *Provider) swap(code string, asked *request) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, _ := p.grants.take(code, p.now())
	other := *asked
	sum := sha256.Sum256([]byte("the verifier of another session, of which nobody knows anything"))
	other.pkce, other.nonce, other.state = base64.RawURLEncoding.EncodeToString(sum[:]), "another-nonce", "another-state"
	return p.grants.add(&grant{request: &other, user: g.user, browser: g.browser}, p.now())
}

// token is the token endpoint (OpenID Connect Core section 3.1.3).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	switch {
	case p.lies(TokenRedirected) && !p.redirected(r):
		p.redirect(w, r, TokenEndpoint)
		return
	case p.lies(TokenDown):
		answer(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
		return
	case p.lies(TokenRefused):
		refuse(w, &refusal{"invalid_grant", "as was told"})
		return
	case p.lies(TokenGarbage):
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token": "what`))
		return
	}
	client, err := p.authenticate(r, TokenEndpoint)
	if err != nil {
		refuse(w, err)
		return
	}
	g, access, err := p.exchange(client, r.PostForm)
	if err != nil {
		refuse(w, err)
		return
	}
	out := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": int(accessLife.Seconds()), "scope": strings.Join(g.request.scopes, " ")}
	if !p.config.Plain {
		out["id_token"] = p.idToken(g, access)
	}
	answer(w, http.StatusOK, out)
}

// exchange spends a code. A code that comes twice also ends what came of it (RFC 6749 section 4.1.2).
func (p *Provider) exchange(client Client, form url.Values) (*grant, string, error) {
	for _, name := range []string{"grant_type", "code", "redirect_uri", "code_verifier"} {
		if len(form[name]) != 1 {
			return nil, "", &refusal{"invalid_request", name + " must be there once"}
		}
	}
	if form.Get("grant_type") != "authorization_code" {
		return nil, "", &refusal{"unsupported_grant_type", "only authorization_code is"}
	}
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	g, ok := p.grants.get(form.Get("code"), now)
	if !ok {
		return nil, "", &refusal{"invalid_grant", "the code is not known, or too old"}
	}
	if g.request.client.ID != client.ID {
		return nil, "", &refusal{"invalid_grant", "the code is another client's"}
	}
	if g.spent {
		delete(p.access.things, g.access)
		return nil, "", &refusal{"invalid_grant", "the code was used"}
	}
	g.spent = true
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	verifier := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(verifier), []byte(g.request.pkce)) != 1 {
		return nil, "", &refusal{"invalid_grant", "the verifier is not that of the request"}
	}
	if form.Get("redirect_uri") != g.request.redirect {
		return nil, "", &refusal{"invalid_grant", "the redirect URI is not that of the request"}
	}
	g.access = p.access.add(g, now)
	return g, g.access, nil
}
