package oauthtest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"time"
)

// browser is one that has been here: a guest before it signed in, and then a session.
type browser struct {
	name    string // of the session, as its cookie has it
	user    *User  // nil: nobody
	sid     string
	at      time.Time // of the sign-in
	clients []string  // that were told of it
}

// cookieName is that of the provider's cookie. Providers on one host have each its own.
func (p *Provider) cookieName() string {
	return "oauthtest" + strings.NewReplacer("/", "-", ".", "-", "~", "-").Replace(p.path)
}

// browserOf is who a request comes from, or nil.
func (p *Provider) browserOf(r *http.Request) *browser {
	c, err := r.Cookie(p.cookieName())
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b, _ := p.browsers.get(c.Value, p.now())
	return b
}

// welcome makes a browser known: a guest, or a user who just signed in. What was known of it before is forgotten.
func (p *Provider) welcome(w http.ResponseWriter, before *browser, user *User) *browser {
	b := &browser{name: rand.Text(), user: user, sid: rand.Text()[:16], at: p.now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if before != nil {
		delete(p.browsers.things, before.name)
	}
	p.browsers.put(b.name, b, p.now())
	if w != nil {
		http.SetCookie(w, &http.Cookie{Name: p.cookieName(), Value: b.name, Path: p.path + "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
			Secure: strings.HasPrefix(p.Issuer, "https:")})
	}
	return b
}

// authorize is the authorization endpoint (OpenID Connect Core section 3.1.2).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		p.showError(w, http.StatusBadRequest, "The request cannot be read.")
		return
	}
	asked, err := p.find(r.Form)
	switch e := err.(type) {
	case errPage:
		p.showError(w, http.StatusBadRequest, string(e))
		return
	case *refusal:
		http.Redirect(w, r, p.back(asked, e), http.StatusSeeOther)
		return
	}
	b := p.browserOf(r)
	if b != nil && b.user != nil && asked.takes(b, p.now()) {
		http.Redirect(w, r, p.grantTo(asked, b), http.StatusSeeOther)
		return
	}
	if slices.Contains(asked.prompt, "none") {
		http.Redirect(w, r, p.back(asked, &refusal{"login_required", "nobody is signed in, or too long ago"}), http.StatusSeeOther)
		return
	}
	if b == nil {
		b = p.welcome(w, nil, nil)
	}
	asked.browser = b.name
	p.mu.Lock()
	form := p.forms.add(asked, p.now())
	p.mu.Unlock()
	p.showSignIn(w, http.StatusOK, signInPage{Form: form, Name: asked.hint}, asked)
}

// takes reports whether a session answers a request without asking anybody.
func (r *request) takes(b *browser, now time.Time) bool {
	for _, prompt := range r.prompt {
		if prompt != "none" {
			return false
		}
	}
	return r.maxAge < 0 || now.Sub(b.at) <= r.maxAge && r.maxAge > 0
}

// signInForm takes what was typed on the page.
func (p *Provider) signInForm(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		p.showError(w, http.StatusBadRequest, "The form cannot be read.")
		return
	}
	b, form := p.browserOf(r), r.PostForm.Get("form")
	p.mu.Lock()
	asked, ok := p.forms.get(form, p.now())
	p.mu.Unlock()
	if !ok || b == nil || asked.browser != b.name {
		p.showError(w, http.StatusBadRequest, "This page is too old, or of another browser. Go back to where you came from and sign in again.")
		return
	}
	if r.PostForm.Has("cancel") {
		p.drop(form)
		http.Redirect(w, r, p.back(asked, &refusal{"access_denied", "the user did not want to"}), http.StatusSeeOther)
		return
	}
	user, ok := p.check(r.PostForm.Get("username"), r.PostForm.Get("password"))
	if !ok {
		p.showSignIn(w, http.StatusUnauthorized, signInPage{Form: form, Name: r.PostForm.Get("username"), Wrong: true}, asked)
		return
	}
	if !p.drop(form) {
		p.showError(w, http.StatusBadRequest, "This page was used before.")
		return
	}
	http.Redirect(w, r, p.grantTo(asked, p.welcome(w, b, &user)), http.StatusSeeOther)
}

// drop spends a form, and reports whether it was there.
func (p *Provider) drop(form string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.forms.take(form, p.now())
	return ok
}

// check is whether name and password are a user's.
func (p *Provider) check(name, password string) (User, bool) {
	u, there := p.users[name]
	want, got := sha256.Sum256([]byte(u.Password)), sha256.Sum256([]byte(password))
	same := subtle.ConstantTimeCompare(want[:], got[:]) == 1
	return u, same && there && u.Password != ""
}
