package oauthtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Logout ends all sessions of a user at the provider and posts a logout token to every client that was told of one, and has an
// address for it. It waits for their answers. The error names the clients that were not reached or did not take it.
func (p *Provider) Logout(ctx context.Context, user string) error {
	p.mu.Lock()
	var ended []*browser
	for name, k := range p.browsers.things {
		if k.thing.user != nil && k.thing.user.Name == user {
			ended = append(ended, k.thing)
			delete(p.browsers.things, name)
		}
	}
	p.mu.Unlock()
	var errs []error
	for _, b := range ended {
		errs = append(errs, p.announce(ctx, b))
	}
	return errors.Join(errs...)
}

// announce tells the clients of a session that it ended.
func (p *Provider) announce(ctx context.Context, b *browser) error {
	p.mu.Lock()
	clients := slices.Clone(b.clients)
	p.mu.Unlock()
	var errs []error
	for _, id := range clients {
		if to := p.clients[id].BackchannelLogoutURI; to != "" {
			if err := p.post(ctx, to, p.LogoutToken(id, b.user.Name, b.sid)); err != nil {
				errs = append(errs, fmt.Errorf("oauthtest: the logout of %q: %w", id, err))
			}
		}
	}
	return errors.Join(errs...)
}

// post posts a logout token (OpenID Connect Back-Channel Logout section 2.5).
func (p *Provider) post(ctx context.Context, to, token string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := p.config.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxForm))
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}

// endSession is RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0 section 2). Without a hint at the session's own user
// the browser is asked first.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		p.showError(w, http.StatusBadRequest, "The request cannot be read.")
		return
	}
	client, subject := p.hinted(r.Form.Get("id_token_hint"))
	if id := r.Form.Get("client_id"); id != "" {
		client = id
	}
	to := r.Form.Get("post_logout_redirect_uri")
	if to != "" && !slices.Contains(p.clients[client].PostLogoutRedirectURIs, to) {
		p.showError(w, http.StatusBadRequest, "The client did not register the address that it wants you to go to.")
		return
	}
	if b := p.browserOf(r); b != nil && b.user != nil {
		if subject != b.user.subject() && !(r.Method == http.MethodPost && r.PostForm.Get("sure") == "yes" && r.PostForm.Get("session") == b.sid) {
			form := url.Values{"session": {b.sid}}
			for _, name := range []string{"client_id", "post_logout_redirect_uri", "state"} {
				if v := r.Form.Get(name); v != "" {
					form.Set(name, v)
				}
			}
			p.show(w, http.StatusOK, page{Heading: "Sign out?", Action: p.Issuer + EndSessionEndpoint, SignOut: &signOutPage{Who: b.user.Name, Form: form}}, to)
			return
		}
		p.mu.Lock()
		delete(p.browsers.things, b.name)
		p.mu.Unlock()
		http.SetCookie(w, &http.Cookie{Name: p.cookieName(), Path: p.path + "/", MaxAge: -1})
		_ = p.announce(r.Context(), b) // whoever was not reached does not keep the browser here
	}
	if to == "" {
		p.show(w, http.StatusOK, page{Heading: "You are signed out", Text: "You can close this page."}, "")
		return
	}
	u, err := url.Parse(to)
	if err != nil {
		p.showError(w, http.StatusBadRequest, "The address that the client registered is none.")
		return
	}
	if state := r.Form.Get("state"); state != "" {
		q := u.Query()
		q.Set("state", state)
		u.RawQuery = q.Encode()
	}
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}

// hinted is whom an ID token of this provider's is for and about, whatever its age: what it saves is a question to the user.
func (p *Provider) hinted(token string) (client, subject string) {
	t, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(p.config.Algorithm)})
	if err != nil {
		return "", ""
	}
	p.mu.Lock()
	keys := p.keys
	p.mu.Unlock()
	for _, k := range keys {
		var c jwt.Claims
		if t.Claims(k.key.Public(), &c) == nil && c.Issuer == p.Issuer && len(c.Audience) == 1 {
			return c.Audience[0], c.Subject
		}
	}
	return "", ""
}
