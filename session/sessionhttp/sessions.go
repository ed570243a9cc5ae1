package sessionhttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/alexedwards/scs/v2"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// CookieName is the name of the session cookie. The prefix makes browsers refuse it from anyone but this very host.
const CookieName = "__Host-sallyport"

// Config says how sessions meet HTTP. The zero value works.
type Config struct {
	// LoginPage is where guards send a browser that must sign in, with return_to and, for a step-up, the floor's name as
	// need. Empty means that browsers get the problem document like everybody else.
	LoginPage string
	// SignedOutPage is where a provider sends a browser that signs out there too. It is registered at the provider, with the
	// origin before it. Empty means LoginPage, or "/" without one.
	SignedOutPage string
}

// Sessions ties an engine to HTTP. It is safe for concurrent use.
type Sessions struct {
	// Values are the application's own session values: Put, Get and the rest of scs, with the context of a request that
	// passed Middleware. They belong to one principal: signing in and out begins an empty set. Its Destroy and
	// RenewToken fail on purpose; end a session with the engine.
	Values *scs.SessionManager

	engine       *session.Engine
	config       Config
	scsKey       any
	cross        *http.CrossOriginProtection
	certificates certificates
}

// New makes the HTTP side of an engine.
func New(engine *session.Engine, c Config) (*Sessions, error) {
	if engine == nil {
		return nil, errors.New("sessionhttp: New needs an engine")
	}
	for name, page := range map[string]string{"LoginPage": c.LoginPage, "SignedOutPage": c.SignedOutPage} {
		if page != "" && (!LocalPath(page) || strings.ContainsAny(page, "?#")) {
			return nil, fmt.Errorf("sessionhttp: %s must be a path on this origin, without a query", name)
		}
	}
	m := &Sessions{engine: engine, config: c, cross: http.NewCrossOriginProtection(), certificates: certificates{engine: engine}}
	m.Values = newValues()
	m.scsKey = contextKeyOf(m.Values)
	return m, nil
}

// Middleware opens the session of each request and puts it into the context; it must come after the middleware that
// makes the PeerCertChain. It refuses a Host that is no origin of the policy, a path that is not clean, and writes that
// come from another origin: with a page that says what to do where a browser shows it, with the problem document to
// everybody else. It sends the cookie, and saves the application's values, before the first byte of the answer; if they
// cannot be saved, the answer is "unavailable" and the handler's is discarded. Values whose session ended or changed
// hands meanwhile are dropped, and logged.
func (m *Sessions) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setDefaults(w.Header(), r)
		req, err := m.request(r)
		if err != nil {
			m.turnBack(w, r, err)
			return
		}
		st := &slot{Context: r.Context(), ResponseWriter: w, m: m}
		if err := m.engine.OpenIn(r.Context(), &st.session, req); err != nil {
			m.report(r, err)
			ProblemOf(err).write(w, st.session.Now())
			return
		}
		if strings.HasPrefix(req.Origin.URL, "https:") { // also where somebody else ends TLS
			w.Header()["Strict-Transport-Security"] = headerHSTS
		}
		defer st.leave()
		next.ServeHTTP(st, r.WithContext(st))
		st.finish()
	})
}

// request reads what the engine may know.
func (m *Sessions) request(r *http.Request) (session.Request, error) {
	origin, ok := m.engine.Policy().Origin(hostOf(r))
	if !ok {
		return session.Request{}, errForeignHost
	}
	route, ok := policy.CleanPath(r.URL.EscapedPath())
	if !ok || hasDots(r.URL.Path) {
		return session.Request{}, errUncleanPath
	}
	if err := m.sameOrigin(r, origin); err != nil && !m.isNotice(r) {
		return session.Request{}, err
	}
	peer, refused := factors.PeerCertChainFrom(r.Context())
	m.certificates.note(r, peer, refused)
	return session.Request{Cookie: cookieOf(r.Header), Origin: origin, Route: route, Source: sourceOf(r), Agent: r.UserAgent(),
		Peer: peer, PeerRefused: refused, PeerRemoved: factors.PeerRemovedFrom(r.Context()), Carried: carriedBy(r, origin)}, nil
}

// hasDots reports whether a path has a segment that is "." or "..". The policy reads it without them, a router as it is:
// what looks like a page without a floor would be one below it.
func hasDots(path string) bool {
	for {
		i := strings.Index(path, "/.")
		if i < 0 {
			return false
		}
		path = path[i+2:]
		if rest := strings.TrimPrefix(path, "."); rest == "" || rest[0] == '/' {
			return true
		}
	}
}

// sameOrigin refuses writes from other origins. Browsers that do not say where a request comes from send the Origin of a
// write, which must then be the policy's own, scheme and all. So must that of a handshake for another protocol: it is a
// GET, and browsers let any page make one, with the cookies of this host.
func (m *Sessions) sameOrigin(r *http.Request, origin policy.Origin) error {
	from, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	upgrade := r.Header.Get("Upgrade") != ""
	switch {
	case upgrade && from != "" || site == "" && isWrite(r.Method):
		if from != "" && from != origin.URL {
			return errCrossOrigin
		}
		return nil
	case upgrade && site != "" && site != "same-origin" && site != "none":
		return errCrossOrigin
	}
	if m.cross.Check(r) != nil {
		return errCrossOrigin
	}
	return nil
}

func isWrite(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// sourceOf is the client's address: the connection's, unless the terminator that the connection comes from names another.
func sourceOf(r *http.Request) netip.Addr {
	if a := factors.ClientFrom(r.Context()); a.IsValid() {
		return a
	}
	return addressOf(r.RemoteAddr)
}

func addressOf(remote string) netip.Addr {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr().Unmap()
	}
	if host, _, err := net.SplitHostPort(remote); err == nil {
		if a, err := netip.ParseAddr(host); err == nil {
			return a.Unmap()
		}
	}
	return netip.Addr{}
}

// cookieOf finds the session cookie. Two of that name are none: a browser never sends them. Only spaces and tabs are cut
// off (RFC 6265 section 5.2): browsers let another site of the domain set a cookie whose name begins with a white space of
// Unicode, as they see no prefix there, and cutting that off would let it plant a session.
func cookieOf(h http.Header) string {
	found, n := "", 0
	for _, line := range h["Cookie"] {
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ";")
			if v, ok := strings.CutPrefix(strings.Trim(part, " \t"), CookieName+"="); ok {
				found, n = v, n+1
			}
		}
	}
	if n != 1 {
		return ""
	}
	return found
}

// From is the session of a request that passed Middleware; nil otherwise. It belongs to the request and is not safe for
// concurrent use.
func From(ctx context.Context) *session.Session {
	if st, ok := ctx.Value(slotKey{}).(*slot); ok {
		return &st.session
	}
	return nil
}

// Principal is the person that is signed in on this request.
func Principal(ctx context.Context) (authn.Principal, bool) {
	s := From(ctx)
	if s == nil {
		return authn.Principal{}, false
	}
	return s.Person()
}

// Workload is the workload of this request.
func Workload(ctx context.Context) (authn.Principal, bool) {
	s := From(ctx)
	if s == nil {
		return authn.Principal{}, false
	}
	a, _ := s.State().(authn.Authenticated)
	return a.Workload()
}

var (
	headerNoSniff  = []string{"nosniff"}
	headerReferrer = []string{"no-referrer"}
	headerNoStore  = []string{"no-store"}
	headerCSP      = []string{"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"}
	headerHSTS     = []string{"max-age=31536000"}
)

// setDefaults sets what every page and answer carries. A handler may set its own instead.
func setDefaults(h http.Header, r *http.Request) {
	h["X-Content-Type-Options"] = headerNoSniff
	h["Referrer-Policy"] = headerReferrer
	h["Cache-Control"] = headerNoStore
	h["Content-Security-Policy"] = headerCSP
	if r.TLS != nil {
		h["Strict-Transport-Security"] = headerHSTS
	}
}

// setPrivate makes sure that an answer about a caller is kept by nobody.
func setPrivate(h http.Header) { h["Cache-Control"] = headerNoStore }

// report logs a failure of our own. It is never the caller's business.
func (m *Sessions) report(r *http.Request, err error) {
	if ProblemOf(err).Code == CodeUnavailable {
		m.engine.Log().ErrorContext(r.Context(), "nothing was decided", "error", err, "method", r.Method, "path", r.URL.Path)
	}
}

// loginURL is the login page with where to return to.
func (m *Sessions) loginURL(r *http.Request, need string) string {
	q := url.Values{"return_to": {r.URL.RequestURI()}}
	if need != "" {
		q.Set("need", need)
	}
	return m.config.LoginPage + "?" + q.Encode()
}
