package sessionhttp

import (
	stdjson "encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/session"
)

// Handler is the router of the HTTP contract, to be mounted behind Middleware: r.Mount("/auth", sessions.Handler()).
func (m *Sessions) Handler() http.Handler {
	r := chi.NewRouter()
	r.NotFound(func(w http.ResponseWriter, r *http.Request) { m.refuse(w, r, session.ErrNotFound) })
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		methods := methodsOf(r, routePath(req))
		if len(methods) == 0 { // a method that nobody knows, where nothing is
			m.refuse(w, req, session.ErrNotFound)
			return
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		problem(http.StatusMethodNotAllowed, CodeBadRequest).write(w, m.engine.Now())
	})
	get := func(path string, do func(http.ResponseWriter, *http.Request, *session.Session) error) {
		r.Get(path, m.call(do))
		r.Head(path, m.call(do))
	}
	get("/session", m.getSession)
	r.Post("/login", m.call(m.login))
	r.Post("/factors/{name}/challenge", m.call(m.challenge))
	r.Post("/factors/{name}/verify", m.call(m.verify))
	for _, path := range []string{"/factors/{name}/callback", "/factors/{name}/{tenant}/callback"} {
		r.Get(path, m.callback)
	}
	r.Post("/factors/{name}/{tenant}/backchannel-logout", m.notice)
	r.Post("/step-up", m.call(m.stepUp))
	r.Post("/cancel", m.call(m.cancel))
	r.Post("/logout", m.call(m.logout))
	r.Post("/invitations/redeem", m.call(m.redeem))
	get("/credentials", m.listCredentials)
	r.Post("/credentials/{name}/challenge", m.call(m.enrolChallenge))
	r.Post("/credentials/{name}/verify", m.call(m.enrol))
	r.Patch("/credentials/{id}", m.call(m.renameCredential))
	r.Delete("/credentials/{id}", m.call(m.removeCredential))
	get("/sessions", m.listSessions)
	r.Delete("/sessions", m.call(m.revokeOthers))
	r.Delete("/sessions/{id}", m.call(m.revokeSession))
	return r
}

// routePath is the path below where the router is mounted, as the router itself reads it.
func routePath(r *http.Request) string {
	for _, path := range [...]string{chi.RouteContext(r.Context()).RoutePath, r.URL.RawPath, r.URL.Path} {
		if path != "" {
			return path
		}
	}
	return "/"
}

// methodsOf are the methods that a path of the contract has (RFC 9110 section 15.5.6).
func methodsOf(r chi.Routes, path string) []string {
	var methods []string
	for _, m := range [...]string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost} {
		if r.Match(chi.NewRouteContext(), m, path) {
			methods = append(methods, m)
		}
	}
	return methods
}

// call runs a call with the session of its request, and answers its errors.
func (m *Sessions) call(do func(http.ResponseWriter, *http.Request, *session.Session) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		setPrivate(w.Header())
		s := From(r.Context())
		if s == nil {
			m.refuse(w, r, errNoMiddleware)
			return
		}
		if err := do(w, r, s); err != nil {
			m.refuse(w, r, err)
		}
	}
}

func (m *Sessions) refuse(w http.ResponseWriter, r *http.Request, err error) {
	m.report(r, err)
	m.certificates.missed(r, err)
	ProblemOf(err).write(w, m.engine.Now())
}

func answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	b, err := stdjson.Marshal(v)
	if err != nil {
		return &session.UnavailableError{Err: err}
	}
	_, _ = w.Write(append(b, '\n'))
	return nil
}

func answerState(w http.ResponseWriter, s *session.Session) error {
	return answer(w, DocumentOf(s.State()))
}

func (m *Sessions) getSession(w http.ResponseWriter, _ *http.Request, s *session.Session) error {
	return answerState(w, s)
}

type empty struct{}

func (m *Sessions) login(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	var in struct {
		Method   string `json:"method"`
		Tenant   string `json:"tenant"`
		User     string `json:"user"`
		ReturnTo string `json:"return_to"`
	}
	if err := readBody(w, r, &in, true); err != nil {
		return err
	}
	if in.ReturnTo != "" && !LocalPath(in.ReturnTo) {
		return session.ErrBadRequest
	}
	for _, v := range []string{in.Method, in.Tenant, in.User} {
		if len(v) > 256 {
			return session.ErrBadRequest
		}
	}
	if err := s.Begin(r.Context(), session.Begin{Method: in.Method, Tenant: in.Tenant, User: in.User, ReturnTo: in.ReturnTo}); err != nil {
		return err
	}
	return answerState(w, s)
}

// LocalPath reports whether v is a path on this origin, as the policy reads paths, and nothing that a browser would take
// for another origin.
func LocalPath(v string) bool {
	if len(v) > 2048 || !strings.HasPrefix(v, "/") || strings.HasPrefix(v, "//") || strings.ContainsFunc(v, neverInPath) {
		return false
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return false
	}
	_, clean := policy.CleanPath(u.EscapedPath())
	return clean && !hasDots(u.Path) && !strings.ContainsFunc(u.Path, neverInPath)
}

func neverInPath(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }

type askingDocument struct {
	Factor     string             `json:"factor"`
	Kind       string             `json:"kind"`
	ExpiresAt  time.Time          `json:"expires_at"`
	PublicKey  stdjson.RawMessage `json:"publicKey,omitempty"`
	RedirectTo string             `json:"redirect_to,omitempty"`
}

func answerAsking(w http.ResponseWriter, a session.Asking) error {
	return answer(w, askingDocument{a.Factor, a.Kind, a.Expires.UTC(), a.PublicKey, a.RedirectTo})
}

func (m *Sessions) challenge(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	if err := readBody(w, r, &empty{}, true); err != nil {
		return err
	}
	a, err := s.Challenge(r.Context(), chi.URLParam(r, "name"))
	if err != nil {
		return err
	}
	return answerAsking(w, a)
}

// credentialBody is the body of a verify call: one of the three, or nothing for an ambient factor.
type credentialBody struct {
	Credential jsontext.Value `json:"credential"`
	Code       *string        `json:"code,omitempty"`
	Password   *string        `json:"password,omitempty"`
}

// value is what the factor gets: the credential, or an object with the typed secret.
func (b credentialBody) value() (stdjson.RawMessage, error) {
	typed := b.Code != nil || b.Password != nil
	switch {
	case len(b.Credential) > 0 && typed, b.Code != nil && b.Password != nil:
		return nil, session.ErrBadRequest
	case len(b.Credential) > 0:
		return stdjson.RawMessage(b.Credential), nil
	case typed:
		v, err := json.Marshal(struct {
			Code     *string `json:"code,omitempty"`
			Password *string `json:"password,omitempty"`
		}{b.Code, b.Password})
		return v, err
	}
	return stdjson.RawMessage("{}"), nil
}

func (m *Sessions) verify(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	var in credentialBody
	if err := readBody(w, r, &in, false); err != nil {
		return err
	}
	credential, err := in.value()
	if err != nil {
		return err
	}
	if err := s.Verify(r.Context(), chi.URLParam(r, "name"), credential); err != nil {
		return err
	}
	return answerState(w, s)
}

func (m *Sessions) stepUp(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	var in struct {
		Factors           []string `json:"factors"`
		AAL               int      `json:"aal"`
		PhishingResistant bool     `json:"phishing_resistant"`
		Hardware          bool     `json:"hardware"`
		UserVerified      bool     `json:"user_verified"`
		MaxAge            *int     `json:"max_age"` // seconds
	}
	if err := readBody(w, r, &in, true); err != nil {
		return err
	}
	want := authn.Requirement{Factors: in.Factors, AAL: in.AAL, PhishingResistant: in.PhishingResistant, Hardware: in.Hardware,
		UserVerified: in.UserVerified}
	if in.AAL < 0 || in.AAL > 3 || len(in.Factors) > 16 || hasTwice(in.Factors) {
		return session.ErrBadRequest
	}
	if in.MaxAge != nil {
		if *in.MaxAge < 0 || *in.MaxAge > 365*24*3600 {
			return session.ErrBadRequest
		}
		// A maximum age of zero asks for a proof made now; the proof is made during this step-up.
		want.MaxAge = max(time.Duration(*in.MaxAge)*time.Second, time.Second)
	}
	if err := s.StepUp(r.Context(), want); err != nil {
		return err
	}
	return answerState(w, s)
}

// hasTwice reports whether a name is there twice. A factor twice would ask for two credentials of it.
func hasTwice(names []string) bool {
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return true
		}
	}
	return false
}

func (m *Sessions) cancel(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	if err := readBody(w, r, &empty{}, true); err != nil {
		return err
	}
	if err := s.Cancel(r.Context()); err != nil {
		return err
	}
	return answerState(w, s)
}

func (m *Sessions) logout(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	if err := readBody(w, r, &empty{}, true); err != nil {
		return err
	}
	was, _ := s.Person()
	if err := s.SignOut(r.Context(), false); err != nil {
		return err
	}
	m.leaveElsewhere(w, r, s, was)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (m *Sessions) redeem(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	var in struct {
		Code string `json:"code"`
	}
	if err := readBody(w, r, &in, false); err != nil {
		return err
	}
	if in.Code == "" {
		return session.ErrBadRequest
	}
	if err := s.Redeem(r.Context(), in.Code); err != nil {
		return err
	}
	return answerState(w, s)
}

func (m *Sessions) listCredentials(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	all, err := s.Credentials(r.Context())
	if err != nil {
		return err
	}
	out := []credentialDocument{}
	for _, c := range all {
		out = append(out, credentialOf(c))
	}
	return answer(w, map[string]any{"credentials": out})
}

func (m *Sessions) enrolChallenge(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	if err := readBody(w, r, &empty{}, true); err != nil {
		return err
	}
	a, err := s.EnrolChallenge(r.Context(), chi.URLParam(r, "name"))
	if err != nil {
		return err
	}
	return answerAsking(w, a)
}

func (m *Sessions) enrol(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	var in struct {
		Credential jsontext.Value `json:"credential"`
		Name       string         `json:"name"`
	}
	if err := readBody(w, r, &in, false); err != nil {
		return err
	}
	c, err := s.Enrol(r.Context(), chi.URLParam(r, "name"), in.Name, stdjson.RawMessage(in.Credential))
	if err != nil {
		return err
	}
	return answer(w, credentialOf(c))
}

func (m *Sessions) renameCredential(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	var in struct {
		Name string `json:"name"`
	}
	if err := readBody(w, r, &in, false); err != nil {
		return err
	}
	if err := s.RenameCredential(r.Context(), chi.URLParam(r, "id"), in.Name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (m *Sessions) removeCredential(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	if err := readBody(w, r, &empty{}, true); err != nil {
		return err
	}
	if err := s.RemoveCredential(r.Context(), chi.URLParam(r, "id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (m *Sessions) listSessions(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	all, err := s.Sessions(r.Context())
	if err != nil {
		return err
	}
	out := []sessionDocument{}
	for _, x := range all {
		out = append(out, sessionOf(x))
	}
	return answer(w, map[string]any{"sessions": out})
}

func (m *Sessions) revokeSession(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	if err := readBody(w, r, &empty{}, true); err != nil {
		return err
	}
	if err := s.RevokeSession(r.Context(), chi.URLParam(r, "id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (m *Sessions) revokeOthers(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	if err := readBody(w, r, &empty{}, true); err != nil {
		return err
	}
	if _, err := s.RevokeOtherSessions(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
