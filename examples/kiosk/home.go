package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

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
