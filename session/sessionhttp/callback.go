package sessionhttp

import (
	"cmp"
	stdjson "encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
)

// maxQuery bounds what a provider sends back in the address, in bytes.
const maxQuery = 8 << 10

// returned is what a factor gets of a browser that comes back from elsewhere.
type returned struct {
	Query  string `json:"query"`            // as it came
	Tenant string `json:"tenant,omitempty"` // of the redirect URI, where a provider has one of its own
}

// callback is where a provider sends a browser back to. It answers 303: onward, or to the login page with a code.
func (m *Sessions) callback(w http.ResponseWriter, r *http.Request) {
	setPrivate(w.Header())
	came, err := m.comeBack(r)
	switch {
	case err == nil:
		http.Redirect(w, r, m.onward(came), http.StatusSeeOther)
	case acceptsPage(r):
		m.report(r, err)
		m.certificates.missed(r, err)
		q := url.Values{"error": {string(ProblemOf(err).Code)}}
		http.Redirect(w, r, m.home()+"?"+q.Encode(), http.StatusSeeOther)
	default:
		m.refuse(w, r, err)
	}
}

func (m *Sessions) comeBack(r *http.Request) (session.Returned, error) {
	s := From(r.Context())
	if s == nil {
		return session.Returned{}, errNoMiddleware
	}
	if len(r.URL.RawQuery) > maxQuery {
		return session.Returned{}, errTooLarge
	}
	credential, err := json.Marshal(returned{r.URL.RawQuery, tenantParam(r)})
	if err != nil {
		return session.Returned{}, session.ErrBadRequest
	}
	return s.Return(r.Context(), chi.URLParam(r, "name"), stdjson.RawMessage(credential))
}

// onward is where a browser goes that came back with what was wanted.
func (m *Sessions) onward(came session.Returned) string {
	if came.ReturnTo != "" && LocalPath(came.ReturnTo) {
		return came.ReturnTo
	}
	return m.home()
}

// home is the login page, or where none is configured the root of this origin.
func (m *Sessions) home() string {
	if m.config.LoginPage != "" {
		return m.config.LoginPage
	}
	return "/"
}

// notice is the back-channel logout endpoint (OpenID Connect Back-Channel Logout 1.0 section 2.5): a form of the provider's,
// without a cookie. Its handler stands outside Middleware as well as behind it.
func (m *Sessions) notice(w http.ResponseWriter, r *http.Request) {
	setPrivate(w.Header())
	form, err := readForm(w, r)
	if err == nil {
		err = m.engine.Notice(r.Context(), chi.URLParam(r, "name"), tenantParam(r), form, sourceOf(r))
	}
	if err != nil {
		m.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errMediaType
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, errUnreadable
	}
	form, err := url.ParseQuery(string(b))
	if err != nil {
		return nil, errNotThisShape
	}
	return form, nil
}

// isNotice reports whether a request is one of a provider's program, that no browser sends and no cookie comes with: the
// cross-origin check is not for it.
func (m *Sessions) isNotice(r *http.Request) bool {
	rest, ok := strings.CutPrefix(r.URL.Path, m.engine.Base()+"/factors/")
	if !ok || r.Method != http.MethodPost {
		return false
	}
	parts := strings.Split(rest, "/")
	return len(parts) == 3 && parts[2] == "backchannel-logout"
}

// leaveElsewhere tells a client that has signed out where its browser can sign out of the provider too.
func (m *Sessions) leaveElsewhere(w http.ResponseWriter, r *http.Request, s *session.Session, was authn.Principal) {
	to, err := s.SignOutURL(r.Context(), was, cmp.Or(m.config.SignedOutPage, m.home()))
	if err != nil {
		m.engine.Log().WarnContext(r.Context(), "the provider's page for signing out is not known", "error", err)
		return
	}
	if to != "" && !strings.ContainsAny(to, "<>\"\r\n") {
		w.Header().Add("Link", "<"+to+`>; rel="https://openid.net/specs/openid-connect-rpinitiated-1_0.html"`)
	}
}

// tenantParam is the tenant in a path. The router gives it as it was written.
func tenantParam(r *http.Request) string {
	written := chi.URLParam(r, "tenant")
	if tenant, err := url.PathUnescape(written); err == nil && r.URL.RawPath != "" {
		return tenant
	}
	return written
}
