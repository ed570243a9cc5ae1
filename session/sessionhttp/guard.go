package sessionhttp

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/session"
)

// Need is something that a guard asks of the session besides a signed-in person.
type Need func(s *session.Session) error

// Floor asks for the floor of the policy with this name. A name that the policy does not have lets nobody in, and is
// logged once for each policy.
func Floor(name string) Need {
	var told atomic.Pointer[policy.Policy]
	return func(s *session.Session) error {
		p := s.Engine().Policy()
		r, ok := p.Floor(name)
		if ok {
			return meets(s, r)
		}
		if told.Swap(p) != p {
			s.Engine().Log().Error("a guard asks for a floor that the policy does not have: nobody passes", "floor", name, "route", s.Request().Route)
		}
		return session.ErrForbidden
	}
}

// Meet asks for a requirement.
func Meet(r authn.Requirement) Need {
	return func(s *session.Session) error { return meets(s, r) }
}

func meets(s *session.Session, r authn.Requirement) error {
	p, ok := s.Person()
	if !ok {
		return session.ErrNotAuthenticated
	}
	if !p.Meets(r, s.Now()) {
		return &session.InsufficientError{Want: r}
	}
	return nil
}

// MaxAge asks that a factor was proven no longer ago than age; with an empty factor, any interactive one.
func MaxAge(factor string, age time.Duration) Need {
	r := authn.Requirement{MaxAge: age}
	if factor != "" {
		r.Factors = []string{factor}
	}
	return Meet(r)
}

// Method asks that the session was won with a method of the policy.
func Method(name string) Need {
	return func(s *session.Session) error {
		if p, ok := s.Person(); !ok || p.Method.Name != name {
			return session.ErrForbidden
		}
		return nil
	}
}

// Tenant asks for a tenant's own people.
func Tenant(id string) Need {
	return func(s *session.Session) error {
		if p, ok := s.Person(); !ok || p.Subject.Tenant != id {
			return session.ErrForbidden
		}
		return nil
	}
}

// Certificate asks that the session was won with a client certificate, which then is on every request of it.
func Certificate() Need {
	return func(s *session.Session) error {
		p, ok := s.Person()
		if !ok {
			return session.ErrNotAuthenticated
		}
		if _, tied := p.Tie(); !tied {
			return session.ErrCertificateRequired
		}
		return nil
	}
}

// Require lets a request pass where a person is signed in, the policy's method and floors for this route and tenant are
// met, and so is every need. Others get the problem document, or as a browser asking for a page the login page.
func (m *Sessions) Require(needs ...Need) func(http.Handler) http.Handler {
	return m.guard(func(s *session.Session) error { return s.Allows() }, needs)
}

// RequireDevice is Require for a device: a person above it is not asked for. Needs are about persons, so it takes none.
func (m *Sessions) RequireDevice() func(http.Handler) http.Handler {
	return m.guard(func(s *session.Session) error { return s.AllowsDevice() }, nil)
}

// RequireWorkload is Require for a workload. It takes no needs, as RequireDevice does not.
func (m *Sessions) RequireWorkload() func(http.Handler) http.Handler {
	return m.guard(func(s *session.Session) error { return s.AllowsWorkload() }, nil)
}

func (m *Sessions) guard(first func(*session.Session) error, needs []Need) func(http.Handler) http.Handler {
	return guard(func(r *http.Request) error { return m.allowed(r, first, needs) }, m.turnAway)
}

// guard lets a request pass that a check finds nothing against, and has others turned away.
func guard(check func(*http.Request) error, turnAway func(http.ResponseWriter, *http.Request, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := check(r); err != nil {
				turnAway(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

var errNoMiddleware = &session.UnavailableError{Err: errors.New("sessionhttp: a guard or Handler stands without Middleware before it")}

func (m *Sessions) allowed(r *http.Request, first func(*session.Session) error, needs []Need) error {
	s := From(r.Context())
	if s == nil {
		return errNoMiddleware
	}
	if err := first(s); err != nil {
		return err
	}
	for _, need := range needs {
		if err := need(s); err != nil {
			return err
		}
	}
	return nil
}

// turnAway answers a request that may not pass. A browser that asked for a page is sent where it can help itself.
func (m *Sessions) turnAway(w http.ResponseWriter, r *http.Request, err error) {
	var insufficient *session.InsufficientError
	if m.config.LoginPage != "" && wantsPage(r) {
		switch {
		case errors.As(err, &insufficient):
			m.redirect(w, r, insufficient.Want.Name)
			return
		case errors.Is(err, session.ErrNotAuthenticated):
			m.redirect(w, r, "")
			return
		}
	}
	m.refuse(w, r, err)
}

func (m *Sessions) redirect(w http.ResponseWriter, r *http.Request, need string) {
	setPrivate(w.Header())
	http.Redirect(w, r, m.loginURL(r, need), http.StatusSeeOther)
}

// wantsPage reports whether a browser navigates here. A request for JSON, and one that names nothing, gets JSON.
func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && acceptsPage(r)
}
