package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
	"unicode"

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
	site      *site
	templates map[string]*template.Template
}

// page is what every template gets.
type page struct {
	Title   string
	Device  string        // the kiosk, once it is open
	Person  string        // who is signed in above it
	Visit   string        // names the person's visit, for the page to notice that it is over
	Idle    time.Duration // how long a person may do nothing
	Notice  string        // something went well
	Problem string        // something did not
	Kinds   map[string]string
	Data    any
}

func newPages(s *site) (*pages, error) {
	pg := &pages{site: s, templates: map[string]*template.Template{}}
	functions := template.FuncMap{"stamp": func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") },
		"iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) }, "join": strings.Join, "span": span, "proof": proof,
		"seconds": func(d time.Duration) int { return int(d.Seconds()) }}
	for _, name := range []string{"closed", "device", "person", "enrol", "message"} {
		t, err := template.New("layout.html").Funcs(functions).ParseFS(templates, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		pg.templates[name] = t
	}
	return pg, nil
}

// span says how long something lasts, for people.
func span(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		if d == time.Minute {
			return "a minute"
		}
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
	return d.String()
}

// proof says what a kind of factor is to the person who has it.
func proof(kind string) string {
	switch kind {
	case "mtls":
		return "Certificate of the kiosk"
	case "fido2":
		return "Passkey"
	case "badge":
		return "Badge and PIN"
	}
	return kind
}

// occupants are the principals of a request that the policy lets pass here; nil: there is none.
type occupants struct {
	Device *sessionhttp.PrincipalDocument `json:"device"`
	Person *sessionhttp.PrincipalDocument `json:"person"`
}

func occupantsOf(s *session.Session) (o occupants) {
	if s == nil || s.Ended() || s.AllowsDevice() != nil {
		return o
	}
	doc := sessionhttp.DocumentOf(s.State())
	if o.Device = doc.Device; o.Device == nil {
		o.Device = doc.Principal
	} else if s.Allows() == nil {
		o.Person = doc.Principal
	}
	return o
}

func (pg *pages) whoami(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(occupantsOf(sessionhttp.From(r.Context())))
}

func (pg *pages) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	o := occupantsOf(sessionhttp.From(r.Context()))
	if o.Device != nil {
		p.Device, p.Idle = o.Device.User, pg.idle(o.Device)
	}
	if o.Person != nil {
		person, _ := sessionhttp.Principal(r.Context())
		p.Person, p.Visit, p.Idle = o.Person.User, pg.visit(r), person.Idle
	}
	p.Kinds = map[string]string{}
	for _, f := range pg.site.engine.Policy().Factors {
		p.Kinds[f.Kind] = strings.TrimSpace(p.Kinds[f.Kind] + " " + f.Name)
	}
	var b bytes.Buffer
	if err := pg.templates[name].Execute(&b, p); err != nil {
		pg.site.log.ErrorContext(r.Context(), "a page could not be made", "page", name, "error", err)
		http.Error(w, "This page cannot be shown now.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(bytes.Map(orderly, b.Bytes()))
}

// orderly leaves out what would disturb a page from within a name or a note: control characters, and those that change the
// direction of the text around them. The templates have none.
func orderly(c rune) rune {
	if c != '\n' && c != '\t' && unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
		return -1
	}
	return c
}

// visit names the visit of the person who is signed in. It is kept with their values and so goes with them: a form that names
// another visit was on the page of somebody who has left.
func (pg *pages) visit(r *http.Request) string {
	v := pg.site.sessions.Values
	name := v.GetString(r.Context(), "visit")
	if name == "" {
		name = rand.Text()
		v.Put(r.Context(), "visit", name)
	}
	return name
}

// texts are what a page says for a code of the HTTP contract.
var texts = map[sessionhttp.Code]string{
	sessionhttp.CodeInvalidCredential:   "The certificate of this kiosk was not accepted.",
	sessionhttp.CodeNotAuthenticated:    "Nobody is signed in. Sign in first.",
	sessionhttp.CodeCertificateRequired: "This kiosk showed no certificate.",
	sessionhttp.CodeLocked:              "Too many attempts. Wait a few minutes, then try again.",
	sessionhttp.CodeUnavailable:         "Nothing can be decided at the moment, and nothing was changed. Try again soon.",
	sessionhttp.CodeConflict:            "Something else was going on in another window. Start again.",
	sessionhttp.CodeForbidden:           "That is not on offer here.",
	sessionhttp.CodeNotFound:            "There is no such page.",
}

func (pg *pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := sessionhttp.ProblemOf(err)
	if p.Code == sessionhttp.CodeUnavailable {
		pg.site.log.ErrorContext(r.Context(), "a page failed", "path", r.URL.Path, "error", err)
	}
	text, ok := texts[p.Code]
	if !ok {
		text = p.Title
	}
	pg.render(w, r, p.Status, "message", page{Title: "That did not work", Data: text})
}

func (pg *pages) notFound(w http.ResponseWriter, r *http.Request) { pg.fail(w, r, session.ErrNotFound) }

// home is the kiosk: closed, waiting for somebody, or somebody's.
func (pg *pages) home(w http.ResponseWriter, r *http.Request) {
	s := sessionhttp.From(r.Context())
	o := occupantsOf(s)
	p := page{Notice: pg.notice(r, o)}
	switch {
	case o.Device == nil:
		pg.closed(w, r, p)
	case o.Person == nil:
		if err := abandon(r.Context(), s); err != nil {
			pg.fail(w, r, err)
			return
		}
		p.Title, p.Data = "Sign in", pg.doors(o.Device)
		pg.render(w, r, http.StatusOK, "device", p)
	default:
		p.Title, p.Data = "Your visit", visitor{o, pg.site.sessions.Values.GetString(r.Context(), "note")}
		pg.render(w, r, http.StatusOK, "person", p)
	}
}

// abandon ends what somebody began at the kiosk, a login or an invitation, and did not go through with: whoever comes to the
// first page begins anew.
func abandon(ctx context.Context, s *session.Session) error {
	if a, ok := s.State().(authn.Authenticated); !ok || a.Running() == nil {
		return nil
	}
	return s.Cancel(ctx)
}

// notice is what happened before the browser came here.
func (pg *pages) notice(r *http.Request, o occupants) string {
	if o.Person != nil || o.Device == nil {
		return ""
	}
	switch q := r.URL.Query(); {
	case q.Has("left"):
		return "Signed out. Nothing of you is left on this kiosk."
	case q.Has("idle"):
		return "Signed out, because the kiosk was not used. Nothing was left behind."
	case q.Has("unsent"):
		return "What you sent was not kept: you were signed out. Sign in and send it again."
	case q.Has("enrolled"):
		return "Your passkey is ready. Now sign in with it."
	}
	return ""
}

// shut is what the page says of a kiosk that is not open.
type shut struct {
	State   string // "ready", "no-certificate", "unknown-certificate", "unavailable"
	Subject string // of the certificate that was shown
	Tried   bool   // it was opened a moment ago, and is not open: the browser takes no cookie
}

// closed opens the kiosk by itself where its certificate can, and otherwise says what is missing.
func (pg *pages) closed(w http.ResponseWriter, r *http.Request, p page) {
	d, status := shut{State: "ready", Tried: r.URL.Query().Has("opened")}, http.StatusOK
	if chain, _ := factors.PeerCertChainFrom(r.Context()); chain.Present() {
		d.Subject = chain.Leaf().Subject.CommonName
	}
	_, err := sessionhttp.From(r.Context()).Recognize(r.Context())
	switch {
	case err == nil:
	case errors.Is(err, session.ErrCertificateRequired):
		d.State = "no-certificate"
	case errors.As(err, new(*session.UnavailableError)):
		d.State, status = "unavailable", http.StatusServiceUnavailable
	default:
		d.State = "unknown-certificate"
	}
	p.Title, p.Data = "This kiosk is closed", d
	if d.State == "ready" {
		p.Title = "This kiosk opens"
	}
	pg.render(w, r, status, "closed", p)
}

// open begins the session of the device.
func (pg *pages) open(w http.ResponseWriter, r *http.Request) {
	s := sessionhttp.From(r.Context())
	if occupantsOf(s).Device == nil {
		if err := s.Begin(r.Context(), session.Begin{}); err != nil {
			pg.fail(w, r, err)
			return
		}
	}
	http.Redirect(w, r, homePath+"?opened", http.StatusSeeOther)
}

// door is a way to sign in.
type door struct {
	Method string
	Kind   string // of its first factor
}

// doors are the methods on offer above the device, by what the page can do for them.
func (pg *pages) doors(device *sessionhttp.PrincipalDocument) (all []door) {
	for _, m := range pg.offered(device) {
		kind := m.Steps[0].AnyOf[0].Kind
		if kind == "fido2" || kind == "badge" {
			all = append(all, door{m.Name, kind})
		}
	}
	return all
}

func (pg *pages) offered(device *sessionhttp.PrincipalDocument) (on []authn.Method) {
	for _, m := range pg.site.engine.Policy().Offer(policy.Query{Route: homePath, Tenant: device.Tenant, Device: device.Method}) {
		if m.On != "" {
			on = append(on, m)
		}
	}
	return on
}

// idle is how long a person may do nothing, at the least.
func (pg *pages) idle(device *sessionhttp.PrincipalDocument) (least time.Duration) {
	for _, m := range pg.offered(device) {
		if i := m.Session.Idle; least == 0 || i < least {
			least = i
		}
	}
	return least
}

// visitor is what the page of a person shows.
type visitor struct {
	occupants
	Note string
}

func (pg *pages) enrol(w http.ResponseWriter, r *http.Request) {
	if o := occupantsOf(sessionhttp.From(r.Context())); o.Device == nil || o.Person != nil {
		http.Redirect(w, r, homePath, http.StatusSeeOther)
		return
	}
	pg.render(w, r, http.StatusOK, "enrol", page{Title: "Enrol with an invitation"})
}

// leave signs the person out. Sent once more it finds nobody, and leaves the device alone.
func (pg *pages) leave(w http.ResponseWriter, r *http.Request) {
	to := homePath + "?left"
	if r.URL.Query().Has("idle") {
		to = homePath + "?idle"
	}
	s := sessionhttp.From(r.Context())
	if _, in := s.Person(); in {
		if err := s.SignOut(r.Context(), false); err != nil {
			pg.fail(w, r, err)
			return
		}
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// person is the guard of a person's forms. Where a browser sent one too late, it gets a page that says so.
func (pg *pages) person(next http.Handler) http.Handler {
	guarded := pg.site.sessions.Require()(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sessionhttp.From(r.Context()).Allows() != nil && strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.Redirect(w, r, homePath+"?unsent", http.StatusSeeOther)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

const (
	maxForm = 16 << 10 // bytes
	maxNote = 1000     // bytes
)

// note keeps a note for the time of the visit, among the values of the session.
func (pg *pages) note(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	note := strings.TrimSpace(r.PostFormValue("note"))
	switch {
	case subtle.ConstantTimeCompare([]byte(r.PostFormValue("visit")), []byte(pg.visit(r))) != 1:
		http.Redirect(w, r, homePath+"?unsent", http.StatusSeeOther)
		return
	case len(note) > maxNote:
		pg.fail(w, r, session.ErrBadRequest)
		return
	}
	pg.site.sessions.Values.Put(r.Context(), "note", note)
	http.Redirect(w, r, homePath, http.StatusSeeOther)
}
