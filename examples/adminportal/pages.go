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
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-chi/chi/v5"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

//go:embed templates
var templates embed.FS

// pages renders the site.
type pages struct {
	portal    *portal
	router    chi.Routes
	templates map[string]*template.Template
}

// page is what every template gets.
type page struct {
	Title    string
	Section  string // of the navigation
	Who      *who
	Notice   string // something went well
	Problem  string // something did not
	Now      time.Time
	Passkeys string // the names of the factors that are passkeys
	Data     any
}

// who is the person signed in.
type who struct {
	ID    string
	Name  string
	Admin bool
}

func newPages(p *portal) (*pages, error) {
	pg := &pages{portal: p, templates: map[string]*template.Template{}}
	files, err := templates.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.Name() == "layout.html" {
			continue
		}
		t, err := template.New("layout.html").Funcs(functions).ParseFS(templates, "templates/layout.html", "templates/"+f.Name())
		if err != nil {
			return nil, err
		}
		pg.templates[strings.TrimSuffix(f.Name(), ".html")] = t
	}
	return pg, nil
}

var functions = template.FuncMap{
	"ago":     ago,
	"stamp":   func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") },
	"moment":  func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05 UTC") },
	"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"span":    span,
	"agent":   agentName,
	"join":    strings.Join,
	"inWords": inWords,
	"proof":   proof,
}

// proof says what a kind of factor is to the person who has it.
func proof(kind string) string {
	switch kind {
	case "mtls":
		return "Certificate of the machine"
	case "fido2":
		return "Passkey"
	}
	return kind
}

// span says how long something lasts, for people.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / u.unit; d >= u.unit && d%u.unit == 0 {
			if n == 1 {
				return "1 " + u.name
			}
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return d.Round(time.Second).String()
}

// ago says how long ago something was, for people.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < time.Minute:
		return "just now"
	case d < 2*time.Minute:
		return "a minute ago"
	case d < time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 2*time.Hour:
		return "an hour ago"
	case d < 24*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	case d < 48*time.Hour:
		return "yesterday"
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// agentName makes a browser recognizable. It is a guess from what the browser says, good enough to tell two apart.
func agentName(agent string) string {
	name, system := "Another program", ""
	for _, b := range [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}} {
		if strings.Contains(agent, b[0]) {
			name = b[1]
			break
		}
	}
	for _, s := range [][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}} {
		if strings.Contains(agent, s[0]) {
			system = " on " + s[1]
			break
		}
	}
	return name + system
}

func (pg *pages) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.Now, p.Passkeys = pg.portal.engine.Now(), pg.passkeys()
	if s := sessionhttp.From(r.Context()); s != nil {
		if person, ok := s.Person(); ok {
			_, err := s.Administer(r.Context())
			p.Who = &who{ID: person.Subject.User, Name: person.Names.User, Admin: err == nil || errors.As(err, new(*session.InsufficientError))}
		}
	}
	if p.Notice == "" {
		p.Notice = pg.portal.sessions.Values.PopString(r.Context(), "notice")
	}
	if p.Problem == "" {
		p.Problem = pg.portal.sessions.Values.PopString(r.Context(), "problem")
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

// orderly leaves out what would disturb a page from within a name or a note: control characters, and those that change
// the direction of the text around them. The templates have none.
func orderly(c rune) rune {
	if c != '\n' && c != '\t' && unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
		return -1
	}
	return c
}

// passkeys names the factors that a browser's passkeys are for.
func (pg *pages) passkeys() string {
	var names []string
	for _, f := range pg.portal.engine.Policy().Factors {
		if f.Kind == "fido2" {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, " ")
}

// done sends a browser on after a form, with a notice for the next page. Where the form ended the very session that sent
// it, there is none to keep a notice.
func (pg *pages) done(w http.ResponseWriter, r *http.Request, to, notice string) {
	if !pg.stillIn(r) {
		http.Redirect(w, r, signedOut, http.StatusSeeOther)
		return
	}
	pg.portal.sessions.Values.Put(r.Context(), "notice", notice)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// signedOut is where whoever left is sent.
const signedOut = "/login?signed-out=1"

// stillIn reports whether the session of a request goes on after it.
func (pg *pages) stillIn(r *http.Request) bool {
	s := sessionhttp.From(r.Context())
	if s.Ended() {
		return false
	}
	list, err := s.Sessions(r.Context())
	return err != nil || slices.ContainsFunc(list, func(own session.Summary) bool { return own.Current })
}

// refused is what a page says for a code of the HTTP contract.
var refused = map[sessionhttp.Code][2]string{
	sessionhttp.CodeForbidden:           {"That is not yours to do", "Your account may not do this. If you think it should, ask an administrator."},
	sessionhttp.CodeNotFound:            {"Nothing here", "There is no such page or thing, or it is gone."},
	sessionhttp.CodeConflict:            {"Not as things are", "It changed in the meantime, or cannot be done now. Go back, look again, and try once more."},
	sessionhttp.CodeBadRequest:          {"That did not make sense", "Something in the form cannot be. Go back and check it."},
	sessionhttp.CodeLocked:              {"Too many attempts", "Wait a few minutes, then try again."},
	sessionhttp.CodeUnavailable:         {"Not now", "The portal cannot decide this at the moment. Nothing was changed. Try again soon."},
	sessionhttp.CodeCertificateRequired: {"A certificate is missing", "This page opens only for machines with a certificate."},
	sessionhttp.CodeNotAuthenticated:    {"Sign in first", "Your session has ended."},
}

// fail answers a page that cannot be. Where signing in or a fresh proof helps, the browser is sent there.
func (pg *pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := sessionhttp.ProblemOf(err)
	var more *session.InsufficientError
	var locked *session.LockedError
	switch {
	case errors.As(err, &more):
		pg.sendToLogin(w, r, more.Want.Name, true)
		return
	case p.Code == sessionhttp.CodeNotAuthenticated:
		pg.sendToLogin(w, r, "", false)
		return
	case errors.As(err, &locked):
		w.Header().Set("Retry-After", strconv.Itoa(1+int(max(locked.Until.Sub(pg.portal.engine.Now()), 0)/time.Second)))
	case p.Code == sessionhttp.CodeUnavailable:
		pg.portal.log.ErrorContext(r.Context(), "a page failed", "path", r.URL.Path, "error", err)
	}
	text, ok := refused[p.Code]
	if !ok {
		text = [2]string{"That did not work", p.Title}
	}
	pg.render(w, r, p.Status, "error", page{Title: text[0], Data: text[1]})
}

// sendToLogin sends a browser to the page that helps, and from there back to a page that it can ask for.
func (pg *pages) sendToLogin(w http.ResponseWriter, r *http.Request, need string, stays bool) {
	q := url.Values{"return_to": {pageOf(r)}}
	if need != "" {
		q.Set("need", need)
	}
	if r.Method == http.MethodPost {
		q.Set("unsent", "1")
		if typed := pg.typed(w, r); stays && typed != "" {
			q.Set("return_to", pageOf(r)+"?"+typed)
		}
	}
	http.Redirect(w, r, "/login?"+q.Encode(), http.StatusSeeOther)
}

// typed is what was typed into a form, as the query of its page, for whoever stays signed in: only what is no secret and
// does nothing by itself.
func (pg *pages) typed(w http.ResponseWriter, r *http.Request) string {
	keep := url.Values{}
	switch r.URL.Path {
	case "/admin/users":
		keep.Set("name", field(w, r, "name"))
		keep.Set("display", field(w, r, "display"))
	case "/admin/certificates":
		keep.Set("fingerprint", fingerprint(field(w, r, "certificate")))
		keep.Set("note", field(w, r, "note"))
	}
	for name, v := range keep {
		if v[0] == "" || len(v[0]) > 200 {
			keep.Del(name)
		}
	}
	return keep.Encode()
}

// pageOf is the page of a request, and for a form the page that it is on.
func pageOf(r *http.Request) string {
	if r.Method != http.MethodPost {
		return r.URL.RequestURI()
	}
	parts, keep := strings.Split(r.URL.Path, "/"), 2
	if parts[1] == "admin" {
		keep = 3
	}
	return strings.Join(parts[:min(keep, len(parts))], "/")
}

// guard is the guard of pages. It answers a form that may not pass as a page does: a browser shows the answer.
func (pg *pages) guard(needs ...sessionhttp.Need) func(http.Handler) http.Handler {
	require := pg.portal.sessions.Require(needs...)
	return func(next http.Handler) http.Handler {
		guarded := require(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && strings.Contains(r.Header.Get("Accept"), "text/html") {
				if err := allowed(sessionhttp.From(r.Context()), needs); err != nil {
					pg.fail(w, r, err)
					return
				}
			}
			guarded.ServeHTTP(w, r)
		})
	}
}

func allowed(s *session.Session, needs []sessionhttp.Need) error {
	if err := s.Allows(); err != nil {
		return err
	}
	for _, need := range needs {
		if err := need(s); err != nil {
			return err
		}
	}
	return nil
}

// notAllowed says which methods there are (RFC 9110 section 15.5.6).
func (pg *pages) notAllowed(w http.ResponseWriter, r *http.Request) {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPost} {
		if !pg.router.Match(chi.NewRouteContext(), m, r.URL.Path) {
			continue
		}
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	pg.render(w, r, http.StatusMethodNotAllowed, "error", page{Title: "Not in this way", Data: "There is something here, but a browser does not ask for it like this. Go back and use the page."})
}

func (pg *pages) notFound(w http.ResponseWriter, r *http.Request) { pg.fail(w, r, session.ErrNotFound) }

func (pg *pages) whoami(w http.ResponseWriter, r *http.Request) {
	p, _ := sessionhttp.Principal(r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(sessionhttp.PrincipalOf(p))
}

// doorway is what the pages before the last door show.
type doorway struct {
	State    string // "ready", "no-certificate", "unknown-certificate", "unavailable"
	User     string
	Tenant   string
	Subject  string // of the certificate that was shown
	ReturnTo string
	StepUp   string // the body of the step-up call, where one is asked for
	Enrol    bool   // an invitation comes before the passkey
}

func (pg *pages) doorway(r *http.Request) doorway {
	d := doorway{State: "ready", ReturnTo: "/"}
	if to := r.URL.Query().Get("return_to"); sessionhttp.LocalPath(to) {
		d.ReturnTo = to
	}
	chain, _ := factors.PeerCertChainFrom(r.Context())
	if chain.Present() {
		d.Subject = chain.Leaf().Subject.CommonName
	}
	known, err := sessionhttp.From(r.Context()).Recognize(r.Context())
	d.User, d.Tenant = known.Names.User, known.Names.Tenant
	switch {
	case err == nil:
	case errors.Is(err, session.ErrCertificateRequired):
		d.State = "no-certificate"
	case errors.As(err, new(*session.UnavailableError)):
		d.State = "unavailable"
	default:
		d.State = "unknown-certificate" // the page's script tries it, so that it is counted and an administrator finds why
	}
	return d
}

func (pg *pages) login(w http.ResponseWriter, r *http.Request) {
	d, q, status := pg.doorway(r), r.URL.Query(), http.StatusOK
	p := page{Title: "Sign in", Data: &d}
	s := sessionhttp.From(r.Context())
	person, in := s.Person()
	switch {
	case !in || errors.Is(s.Allows(), session.ErrNotAuthenticated):
	case !pg.offered(person, d.ReturnTo):
		p.Notice = "That page asks you to sign in in another way."
	default:
		want, more := pg.missing(s, d.ReturnTo, q.Get("need"))
		if !more {
			http.Redirect(w, r, d.ReturnTo, http.StatusSeeOther)
			return
		}
		p.Title, d.StepUp = "Confirm that it is you", stepUpBody(want)
	}
	switch {
	case q.Get("unsent") != "" && d.StepUp != "":
		p.Problem = "That was not done yet. Confirm that it is you, and you come back to the page: then send it again."
	case q.Get("unsent") != "":
		p.Problem = "What you sent was not done: you were signed out. Sign in, and you come back to the page: then send it again."
	case q.Get("enrolled") != "":
		p.Notice = "Your passkey is ready. Now sign in with it."
	case q.Get("signed-out") != "":
		p.Notice = "You are signed out. Close the browser to make it forget the certificate as well."
	case s.Why() != "":
		p.Notice = "Your session has ended. Sign in again to go on."
	}
	if d.State == "unavailable" {
		status = http.StatusServiceUnavailable
	}
	pg.render(w, r, status, "login", p)
}

// offered reports whether whoever signed in in this way may see a page at all.
func (pg *pages) offered(person authn.Principal, page string) bool {
	q, ok := query(person, page)
	return !ok || pg.portal.engine.Policy().Offers(q, person.Method.Name)
}

// query is what the policy is asked about a page.
func query(person authn.Principal, page string) (policy.Query, bool) {
	path, _, _ := strings.Cut(page, "?")
	path, _, _ = strings.Cut(path, "#")
	route, ok := policy.CleanPath(path)
	return policy.Query{Route: route, Tenant: person.Subject.Tenant, Device: person.Method.On}, ok
}

// missing is what the session must still prove for a page, if anything: the floor that is named, or one of the page's.
func (pg *pages) missing(s *session.Session, page, need string) (authn.Requirement, bool) {
	person, _ := s.Person()
	pol := pg.portal.engine.Policy()
	var all []authn.Requirement
	if floor, ok := pol.Floor(need); ok {
		all = append(all, floor)
	}
	if q, ok := query(person, page); ok {
		all = append(all, pol.FloorsFor(q)...)
	}
	for _, want := range all {
		if !person.Meets(want, s.Now()) {
			return want, true
		}
	}
	return authn.Requirement{}, false
}

// stepUpBody is the body of the step-up call for a requirement: what the library says where it refuses for want of it.
func stepUpBody(r authn.Requirement) string {
	b, _ := json.Marshal(sessionhttp.ProblemOf(&session.InsufficientError{Want: r}).StepUp) // strings and numbers: it cannot fail
	return string(b)
}

func (pg *pages) enrol(w http.ResponseWriter, r *http.Request) {
	d := pg.doorway(r)
	d.Enrol = true
	pg.render(w, r, http.StatusOK, "enrol", page{Title: "Enrol with an invitation", Data: &d})
}

func (pg *pages) logout(w http.ResponseWriter, r *http.Request) {
	if err := sessionhttp.From(r.Context()).SignOut(r.Context(), false); err != nil {
		pg.fail(w, r, err)
		return
	}
	http.Redirect(w, r, signedOut, http.StatusSeeOther)
}

// welcome is what the home page says of the session.
type welcome struct {
	sessionhttp.PrincipalDocument
	Idle time.Duration // without use, after which it ends
}

func (pg *pages) home(w http.ResponseWriter, r *http.Request) {
	p, _ := sessionhttp.Principal(r.Context())
	pg.render(w, r, http.StatusOK, "home", page{Title: "Home", Section: "home", Data: welcome{sessionhttp.PrincipalOf(p), p.Method.Session.Idle}})
}

// own is the page of one's own account.
type own struct {
	Credentials []factors.Credential
	Sessions    []session.Summary
	Last        bool // only one passkey is left
}

func (pg *pages) account(w http.ResponseWriter, r *http.Request) {
	s := sessionhttp.From(r.Context())
	credentials, err := s.Credentials(r.Context())
	if err != nil {
		pg.fail(w, r, err)
		return
	}
	list, err := s.Sessions(r.Context())
	if err != nil {
		pg.fail(w, r, err)
		return
	}
	good := 0
	for _, c := range credentials {
		if c.Flagged == "" {
			good++
		}
	}
	pg.render(w, r, http.StatusOK, "account", page{Title: "My account", Section: "account", Data: own{credentials, list, good < 2}})
}

func (pg *pages) rename(w http.ResponseWriter, r *http.Request) {
	err := sessionhttp.From(r.Context()).RenameCredential(r.Context(), chi.URLParam(r, "id"), field(w, r, "name"))
	pg.after(w, r, err, "/account", "The passkey has its new name.")
}

func (pg *pages) endOwn(w http.ResponseWriter, r *http.Request) {
	err := sessionhttp.From(r.Context()).RevokeSession(r.Context(), chi.URLParam(r, "id"))
	pg.after(w, r, err, "/account", "The session has ended.")
}

func (pg *pages) endOthers(w http.ResponseWriter, r *http.Request) {
	n, err := sessionhttp.From(r.Context()).RevokeOtherSessions(r.Context())
	pg.after(w, r, err, "/account", fmt.Sprintf("Ended: %d.", n))
}

func (pg *pages) after(w http.ResponseWriter, r *http.Request, err error, to, notice string) {
	if err != nil {
		pg.fail(w, r, err)
		return
	}
	pg.done(w, r, to, notice)
}

// maxForm bounds a form, in bytes.
const maxForm = 16 << 10

// field reads a field of a form, without the space around it.
func field(w http.ResponseWriter, r *http.Request, name string) string {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	return strings.TrimSpace(r.PostFormValue(name))
}
