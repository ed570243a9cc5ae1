package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

//go:embed templates
var templates embed.FS

// pages renders the site.
type pages struct {
	portal    *portal
	templates map[string]*template.Template
}

// page is what every template gets.
type page struct {
	Title   string
	Onward  string // where the browser goes by itself
	Who     *who
	Notice  string // something went well
	Problem string // something did not
	Data    any
}

// who is the person signed in.
type who struct{ Name, Tenant string }

func newPages(p *portal) (*pages, error) {
	pg := &pages{portal: p, templates: map[string]*template.Template{}}
	functions := template.FuncMap{"stamp": func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") },
		"iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) }, "join": strings.Join, "company": company}
	for _, name := range []string{"login", "home", "onward", "message"} {
		t, err := template.New("layout.html").Funcs(functions).ParseFS(templates, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		pg.templates[name] = t
	}
	return pg, nil
}

// company is what people call a tenant.
func company(tenant string) string {
	for _, x := range partners {
		if x.id == tenant {
			return x.name
		}
	}
	return tenant
}

func (pg *pages) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	if s := sessionhttp.From(r.Context()); s != nil && !s.Ended() {
		if person, ok := s.Person(); ok {
			p.Who = &who{Name: person.Names.User, Tenant: person.Subject.Tenant}
		}
	}
	var b bytes.Buffer
	if err := pg.templates[name].Execute(&b, p); err != nil {
		pg.portal.log.ErrorContext(r.Context(), "a page could not be made", "page", name, "error", err)
		http.Error(w, "This page cannot be shown now.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(bytes.Map(orderly, b.Bytes()))
}

// orderly leaves out what would disturb a page from within a name: control characters, and those that change the direction
// of the text around them. The templates have none.
func orderly(c rune) rune {
	if c != '\n' && c != '\t' && unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
		return -1
	}
	return c
}

// texts are what a page says for a code of the HTTP contract.
var texts = map[string]string{
	string(sessionhttp.CodeInvalidCredential):   "That sign-in was not accepted. Try again; if it happens twice, ask whoever looks after this portal.",
	string(sessionhttp.CodeNotAuthenticated):    "Your session has ended. Sign in again.",
	string(sessionhttp.CodeLoginExpired):        "That took too long. Start again.",
	string(sessionhttp.CodeCertificateRequired): "Your browser showed no certificate. Close it, open it again, and choose yours.",
	string(sessionhttp.CodeLocked):              "Too many attempts. Wait a few minutes, then try again.",
	string(sessionhttp.CodeUnavailable):         "Your company's sign-in, or this portal, cannot be reached at the moment. Nothing was changed. Try again soon.",
	string(sessionhttp.CodeWrongStep):           "That answer does not belong to this sign-in: it was used before, or another window began a new one. Start again.",
	string(sessionhttp.CodeConflict):            "Something else was going on in another window. Start again.",
	string(sessionhttp.CodeForbidden):           "Your account may not do this.",
	string(sessionhttp.CodeNotFound):            "There is no such page.",
}

func (pg *pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := sessionhttp.ProblemOf(err)
	if p.Code == sessionhttp.CodeUnavailable {
		pg.portal.log.ErrorContext(r.Context(), "a page failed", "path", r.URL.Path, "error", err)
	}
	text, ok := texts[string(p.Code)]
	if !ok {
		text = p.Title
	}
	pg.render(w, r, p.Status, "message", page{Title: "That did not work", Data: text})
}

func (pg *pages) notFound(w http.ResponseWriter, r *http.Request) { pg.fail(w, r, session.ErrNotFound) }

// doorway is what the page before the second door shows.
type doorway struct {
	State    string // "ready", "no-certificate", "unknown-certificate", "unavailable"
	Tenant   string // that the certificate named
	Subject  string // of the certificate
	Issuer   string // of the certificate
	ReturnTo string
}

func (pg *pages) doorway(r *http.Request) doorway {
	d := doorway{State: "ready", ReturnTo: "/portal"}
	if to := r.FormValue("return_to"); sessionhttp.LocalPath(to) {
		d.ReturnTo = to
	}
	if chain, _ := factors.PeerCertChainFrom(r.Context()); chain.Present() {
		d.Subject, d.Issuer = chain.Leaf().Subject.CommonName, chain.Leaf().Issuer.CommonName
	}
	known, err := sessionhttp.From(r.Context()).Recognize(r.Context())
	d.Tenant = known.Names.Tenant
	switch {
	case err == nil:
	case errors.Is(err, session.ErrCertificateRequired):
		d.State = "no-certificate"
	case errors.As(err, new(*session.UnavailableError)):
		d.State = "unavailable"
	default:
		d.State = "unknown-certificate"
	}
	return d
}

// login shows which company the certificate names, and how to go on.
func (pg *pages) login(w http.ResponseWriter, r *http.Request) {
	d, p := pg.doorway(r), page{Title: "Sign in"}
	s := sessionhttp.From(r.Context())
	if _, in := s.Person(); in && s.Allows() == nil && r.URL.Query().Get("need") == "" {
		http.Redirect(w, r, d.ReturnTo, http.StatusSeeOther)
		return
	}
	if code := r.URL.Query().Get("error"); code != "" {
		if p.Problem = texts[code]; p.Problem == "" {
			p.Problem = "That did not work. Start again."
		}
	} else if s.Why() != "" {
		p.Notice = "Your session has ended. Sign in again to go on."
	}
	p.Data = d
	status := http.StatusOK
	if d.State == "unavailable" {
		status = http.StatusServiceUnavailable
	}
	pg.render(w, r, status, "login", p)
}

// begin begins a login: the certificate is verified at once, and the browser goes on to the provider.
func (pg *pages) begin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	to, err := pg.onward(r, pg.doorway(r).ReturnTo)
	if err != nil {
		p := sessionhttp.ProblemOf(err)
		if p.Code == sessionhttp.CodeUnavailable {
			pg.portal.log.ErrorContext(r.Context(), "a sign-in could not begin", "error", err)
		}
		http.Redirect(w, r, "/login?"+url.Values{"error": {string(p.Code)}}.Encode(), http.StatusSeeOther)
		return
	}
	pg.render(w, r, http.StatusOK, "onward", page{Title: "On to your company's sign-in", Onward: to})
}

// onward is where a login sends the browser. A redirect in answer to a form would be held to the form's security policy, which knows no
// provider: so it is a page that goes on by itself.
func (pg *pages) onward(r *http.Request, returnTo string) (string, error) {
	s := sessionhttp.From(r.Context())
	if err := s.Begin(r.Context(), session.Begin{ReturnTo: returnTo}); err != nil {
		return "", err
	}
	open := sessionhttp.DocumentOf(s.State()).Login
	if open == nil || len(open.Next) == 0 {
		return returnTo, nil
	}
	asked, err := s.Challenge(r.Context(), open.Next[0])
	if err != nil {
		return "", err
	}
	if asked.RedirectTo == "" {
		return "", fmt.Errorf("partner: the factor %q does not send people elsewhere, and this page can do nothing else", asked.Factor)
	}
	return asked.RedirectTo, nil
}

// welcome is what the home page says.
type welcome struct {
	sessionhttp.PrincipalDocument
	Attributes []attribute
	Provider   string // that signed the person in
}

type attribute struct {
	Name   string
	Values []string
}

func (pg *pages) home(w http.ResponseWriter, r *http.Request) {
	p, _ := sessionhttp.Principal(r.Context())
	data := welcome{PrincipalDocument: sessionhttp.PrincipalOf(p), Provider: issuerOf(p)}
	for name, values := range p.Attributes() {
		data.Attributes = append(data.Attributes, attribute{name, values})
	}
	slices.SortFunc(data.Attributes, func(a, b attribute) int { return strings.Compare(a.Name, b.Name) })
	pg.render(w, r, http.StatusOK, "home", page{Title: "Home", Data: data})
}

// issuerOf is the provider that vouched for somebody.
func issuerOf(p authn.Principal) string {
	for _, e := range p.All() {
		if e.Issuer != "" {
			return e.Issuer
		}
	}
	return ""
}

func (pg *pages) whoami(w http.ResponseWriter, r *http.Request) {
	p, _ := sessionhttp.Principal(r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(sessionhttp.PrincipalOf(p))
}

// signOut signs out here. The session at the provider goes on, and so signing in again may ask nothing.
func (pg *pages) signOut(w http.ResponseWriter, r *http.Request) {
	if err := sessionhttp.From(r.Context()).SignOut(r.Context(), false); err != nil {
		pg.fail(w, r, err)
		return
	}
	http.Redirect(w, r, signedOutURL+"?here=1", http.StatusSeeOther)
}

// signOutEverywhere signs out here and sends the browser to the provider, to sign out there too.
func (pg *pages) signOutEverywhere(w http.ResponseWriter, r *http.Request) {
	s := sessionhttp.From(r.Context())
	was, _ := s.Person()
	if err := s.SignOut(r.Context(), false); err != nil {
		pg.fail(w, r, err)
		return
	}
	to, err := s.SignOutURL(r.Context(), was, signedOutURL)
	if err != nil {
		pg.portal.log.WarnContext(r.Context(), "the provider does not say where one signs out", "error", err)
	}
	if to == "" {
		http.Redirect(w, r, signedOutURL+"?here=1", http.StatusSeeOther)
		return
	}
	pg.render(w, r, http.StatusOK, "onward", page{Title: "On to your company's sign-out", Onward: to})
}

func (pg *pages) signedOut(w http.ResponseWriter, r *http.Request) {
	text := "You are signed out. Close the browser to make it forget the certificate as well."
	if r.URL.Query().Has("here") {
		text = "You are signed out of this portal. At your company's sign-in you may still be signed in: then the next sign-in here asks you nothing."
	}
	pg.render(w, r, http.StatusOK, "message", page{Title: "Signed out", Data: text})
}
