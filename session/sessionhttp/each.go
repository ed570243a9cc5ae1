package sessionhttp

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
)

// RequireEach authenticates every request by itself, from the certificate and the token that it carries, by the methods with
// each_request that the policy has on offer for the route. No session is read or made, and a cookie is not looked at.
// [Principal] and [From] then give who is there, needs are asked as with Require, and application values are empty and
// cannot be kept.
//
// Without the certificate that the method asks for it answers client_certificate_required, whatever token came; without a
// token not_authenticated; to a token that is bad in any way invalid_credential. Refusals name the scheme as RFC 6750
// section 3 and RFC 9449 section 7.1 have it, and say no more.
func (m *Sessions) RequireEach(needs ...Need) func(http.Handler) http.Handler {
	return m.each(func(s *session.Session) error { return s.Allows() }, needs)
}

// RequireEachDevice is RequireEach for a device.
func (m *Sessions) RequireEachDevice() func(http.Handler) http.Handler {
	return m.each(func(s *session.Session) error { return s.AllowsDevice() }, nil)
}

// RequireEachWorkload is RequireEach for a workload.
func (m *Sessions) RequireEachWorkload() func(http.Handler) http.Handler {
	return m.each(func(s *session.Session) error { return s.AllowsWorkload() }, nil)
}

func (m *Sessions) each(first func(*session.Session) error, needs []Need) func(http.Handler) http.Handler {
	return guard(func(r *http.Request) error { return m.authenticate(r, first, needs) }, func(w http.ResponseWriter, r *http.Request, err error) {
		challengeToken(w.Header(), err)
		m.refuse(w, r, err)
	})
}

// authenticate replaces the session of the request by that of the request alone.
func (m *Sessions) authenticate(r *http.Request, first func(*session.Session) error, needs []Need) error {
	s := From(r.Context())
	if s == nil {
		return errNoMiddleware
	}
	if err := m.engine.OnceIn(r.Context(), s, s.Request()); err != nil {
		return err
	}
	return m.allowed(r, first, needs)
}

// challengeToken says which token would help.
func challengeToken(h http.Header, err error) {
	var proof *session.ProofError
	var scope *scopeError
	switch {
	case errors.As(err, &proof):
		h.Set("DPoP-Nonce", proof.Nonce)
		h.Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
	case errors.Is(err, session.ErrInvalidCredential):
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case errors.As(err, &scope):
		h.Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+strings.Join(scope.want, " ")+`"`)
	case errors.Is(err, session.ErrNotAuthenticated):
		h.Set("WWW-Authenticate", "Bearer")
	}
}

// scopeError is session.ErrForbidden for want of scopes.
type scopeError struct{ want []string }

func (e *scopeError) Error() string { return session.ErrForbidden.Error() }
func (e *scopeError) Unwrap() error { return session.ErrForbidden }

// Scope asks for scopes that a token of the caller's allows, all of them.
func Scope(scopes ...string) Need {
	for _, v := range scopes {
		if v == "" || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' }) {
			panic("sessionhttp: Scope needs scopes as RFC 6749 section 3.3 has them")
		}
	}
	return func(s *session.Session) error {
		p, ok := principalOf(s)
		if !ok {
			return session.ErrNotAuthenticated
		}
		has := p.Scopes()
		if slices.ContainsFunc(scopes, func(v string) bool { return !slices.Contains(has, v) }) {
			return &scopeError{scopes}
		}
		return nil
	}
}

// principalOf is the person of a session, or the device or workload where there is nobody.
func principalOf(s *session.Session) (authn.Principal, bool) {
	a, ok := s.State().(authn.Authenticated)
	if !ok {
		return authn.Principal{}, false
	}
	return a.Principal(), true
}
