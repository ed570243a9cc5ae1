package oauthtest

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
)

//go:embed page.css
var style string

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// styleHash lets the one style of the pages through the content security policy, and no other.
var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// signInPage is what the sign-in page shows.
type signInPage struct {
	Form   string
	Name   string
	Client string
	Wrong  bool
}

// signOutPage asks whether to sign out.
type signOutPage struct {
	Who  string
	Form url.Values // sent again with the answer
}

type page struct {
	Title, Heading, Action string
	Style                  template.CSS
	Text                   string
	SignIn                 *signInPage
	SignOut                *signOutPage
}

func (p *Provider) showSignIn(w http.ResponseWriter, status int, s signInPage, asked *request) {
	s.Client = asked.client.ID
	p.show(w, status, page{Heading: "Sign in", Action: p.Issuer + SignInEndpoint, SignIn: &s}, asked.redirect)
}

func (p *Provider) showError(w http.ResponseWriter, status int, text string) {
	p.show(w, status, page{Heading: "That did not work", Text: text}, "")
}

// show writes a page. Browsers hold a form to the policy on all addresses that it leads to, so the one at which the client waits is in it.
func (p *Provider) show(w http.ResponseWriter, status int, pg page, leadsTo string) {
	pg.Title, pg.Style = p.config.Title, template.CSS(style)
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, pg); err != nil {
		http.Error(w, "This page cannot be shown.", http.StatusInternalServerError)
		return
	}
	form := "form-action 'self'"
	if u, err := url.Parse(leadsTo); err == nil && u.Host != "" {
		form += " " + u.Scheme + "://" + u.Host
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src "+styleHash+"; "+form+"; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
