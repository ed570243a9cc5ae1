package main

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
	"unicode"

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
	Title  string
	Device string        // the kiosk, once it is open
	Person string        // who is signed in above it
	Visit  string        // names the person's visit, for the page to notice that it is over
	Idle   time.Duration // how long a person may do nothing
	Notice string        // something went well
	Kinds  map[string]string
	Data   any
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
