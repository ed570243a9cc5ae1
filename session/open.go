package session

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// Request is what the engine knows of the request in hand.
type Request struct {
	Cookie string        // value of the session cookie; empty: none
	Origin policy.Origin // the origin of the policy that the request was made to
	Route  string        // its path, cleaned
	Source netip.Addr    // of the client
	Agent  string        // user agent; cut to 256 bytes
	Peer   factors.PeerCertChain
	// PeerRefused is the middleware's refusal of what was presented as a certificate.
	PeerRefused error
}

const (
	selectorSize = 16
	secretSize   = 32
	// guestLife is how long the row of a guest lives after its last change of state.
	guestLife = 24 * time.Hour
)

// Session is a caller's session as one request sees it. It belongs to that request and is not safe for concurrent use.
type Session struct {
	engine *Engine
	rt     *runtime
	req    Request
	now    time.Time
	row    Row         // zero where the caller has none
	stored authn.State // in force as stored, whoever asks
	state  authn.State // in force on this request
	lapsed bool        // what ran when the row was saved has run out of time
	why    authn.Reason
	cookie string // to be set, if it changed
	ended  bool   // the row ended: the cookie is worth nothing
}

// Open reads the session of a request: at most one read of the store, and a write only now and then to record that the
// caller was seen. A cookie that is unknown, stale or forged makes a guest. So does one whose certificate is not the one
// that the session was won with: that is the state on this request alone, and the session itself is left as it was.
func (e *Engine) Open(ctx context.Context, req Request) (*Session, error) {
	s := new(Session)
	return s, e.OpenIn(ctx, s, req)
}

// OpenIn is Open into memory of the caller's.
func (e *Engine) OpenIn(ctx context.Context, s *Session, req Request) error {
	*s = Session{engine: e, rt: e.current.Load(), req: req, now: e.now(), stored: authn.Guest{}, state: authn.Guest{}}
	if len(s.req.Agent) > 256 {
		s.req.Agent = s.req.Agent[:256]
	}
	selector, hash, ok := splitCookie(req.Cookie)
	if !ok {
		return nil
	}
	row, err := e.store.Session(ctx, selector, s.now)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return broken("read session", err)
	}
	if subtle.ConstantTimeCompare(row.SecretHash[:], hash[:]) != 1 || !row.Ended.IsZero() {
		return nil
	}
	return s.restore(ctx, row)
}

func splitCookie(v string) (selector string, hash Digest, ok bool) {
	selector, secret, found := strings.Cut(v, ".")
	if !found || len(v) > 128 || len(selector) != base64.RawURLEncoding.EncodedLen(selectorSize) {
		return "", hash, false
	}
	var text [43]byte // base64 of secretSize bytes
	var raw [secretSize]byte
	if copy(text[:], secret) != len(secret) || len(secret) != len(text) {
		return "", hash, false
	}
	if n, err := base64.RawURLEncoding.Strict().Decode(raw[:], text[:]); err != nil || n != secretSize {
		return "", hash, false
	}
	return selector, sha256.Sum256(raw[:]), true
}

// restore makes the row's state the session's, as far as it is in force now and on this request.
func (s *Session) restore(ctx context.Context, row Row) error {
	state, err := row.decode()
	if err != nil {
		s.engine.log.ErrorContext(ctx, "a session record cannot be restored", "session", publicID(row.Selector), "error", err)
		return nil // a record that is not sound is nobody's
	}
	live, changed := authn.At(state, s.now, row.Touched)
	s.lapsed = changed
	if _, over := live.(authn.Ended); over {
		return nil
	}
	s.row, s.stored, s.state = row, live, live
	if err := s.checkTies(ctx); err != nil {
		return err
	}
	if s.why != "" {
		s.noteRefused(ctx, row, live)
	}
	if s.row.Selector == "" {
		return nil
	}
	return s.seen(ctx, changed)
}

// noteRefused writes down that somebody has the cookie of a session and not its certificate.
func (s *Session) noteRefused(ctx context.Context, row Row, live authn.State) {
	ev := s.event(authn.Happened{What: SessionRefused, Reason: s.why})
	ev.Session, ev.Tenant, ev.User = publicID(row.Selector), row.Index.Tenant, row.Index.Person
	if a, ok := live.(authn.Authenticated); ok {
		ev.Name, ev.Method = a.Principal().Names.User, a.Principal().Method.Name
	}
	_ = s.engine.record(ctx, ev)
}

// detach makes the caller a guest on this request, without a row of its own.
func (s *Session) detach(why authn.Reason) {
	s.row, s.stored, s.state, s.why = Row{}, authn.Guest{}, authn.Guest{}, why
}

func (r Row) decode() (authn.State, error) {
	if r.Memo != nil {
		if p := r.Memo.state.Load(); p != nil {
			return *p, nil
		}
	}
	state, err := authn.Decode(r.State)
	if err != nil {
		return nil, err
	}
	if r.Memo != nil {
		r.Memo.state.Store(&state)
	}
	return state, nil
}

// checkTies holds the session, and what runs in it, to the certificates they were won with.
func (s *Session) checkTies(ctx context.Context) error {
	switch st := s.stored.(type) {
	case authn.Guest:
		return nil
	case authn.Authenticating:
		return s.keepIfTied(ctx, st.Login.Evidence, st.Login.Subject)
	case authn.Pending:
		return s.keepIfTied(ctx, st.Onboarding.Login.Evidence, st.Onboarding.Login.Subject)
	case authn.Authenticated:
		return s.checkSessionTies(ctx, st)
	}
	return nil
}

func (s *Session) keepIfTied(ctx context.Context, evidence []authn.Evidence, subject authn.Subject) error {
	why, err := s.tieBroken(ctx, evidence)
	if why != "" {
		s.detach(why)
	}
	return err
}

func (s *Session) checkSessionTies(ctx context.Context, a authn.Authenticated) error {
	var lost [2]authn.Reason
	person, isPerson := a.Person()
	device, isDevice := a.Device()
	var err error
	if isDevice {
		if lost[1], err = s.principalUntied(ctx, device); err != nil {
			return err
		}
	}
	if isPerson && lost[1] == "" {
		if lost[0], err = s.principalUntied(ctx, person); err != nil {
			return err
		}
	}
	if lost[0] != "" || lost[1] != "" {
		why := lost[1]
		if why == "" {
			why = lost[0]
		}
		view, stays := a.Untied(lost[0] != "", lost[1] != "").(authn.Authenticated)
		if !stays {
			s.detach(why)
			return nil
		}
		a, s.state, s.why = view, view, why
	}
	if a.Running() != nil {
		why, err := s.tieBroken(ctx, runningEvidence(a.Running()))
		if err != nil {
			return err
		}
		if why != "" {
			s.state, s.why = a.WithoutRunning(), why
		}
	}
	return nil
}

// principalUntied is tieBroken for all that a principal has proven, what step-ups added included.
func (s *Session) principalUntied(ctx context.Context, p authn.Principal) (authn.Reason, error) {
	why, err := s.tieBroken(ctx, p.Evidence)
	if why == "" && err == nil {
		why, err = s.tieBroken(ctx, p.Added)
	}
	return why, err
}

func runningEvidence(r authn.Running) []authn.Evidence {
	switch r := r.(type) {
	case authn.StepUp:
		return r.Login.Evidence
	case authn.SignOn:
		return r.Login.Evidence
	case authn.Onboarding:
		return r.Login.Evidence
	default:
		return nil
	}
}

// tieBroken says why the request does not carry what tied evidence was won with; empty: it does.
func (s *Session) tieBroken(ctx context.Context, evidence []authn.Evidence) (authn.Reason, error) {
	for i := range evidence {
		ev := &evidence[i]
		if ev.Tie == nil {
			continue
		}
		tied, ok := s.rt.factors[ev.Factor].(factors.Tied)
		if !ok {
			return factors.ReasonTieBroken, nil // the policy no longer has the factor
		}
		if s.req.PeerRefused != nil {
			return ReasonCertificateRefused, nil
		}
		err := tied.CheckTie(ctx, s.factorRequest(authn.Subject{}, authn.Claim{}), *ev.Tie, ev.Subject)
		if err == nil {
			continue
		}
		if rejected, ok := errors.AsType[*factors.Rejection](err); ok {
			return rejected.Reason, nil
		}
		return "", &UnavailableError{err}
	}
	return "", nil
}

// seen records that the caller was here, at most once per tenth of the idle limit. What has run out since the row was
// saved is saved first: a touch must not bring it back.
func (s *Session) seen(ctx context.Context, changed bool) error {
	a, ok := s.stored.(authn.Authenticated)
	if !ok {
		return nil
	}
	if changed {
		return lostIsFine(s.fence(ctx))
	}
	idle := a.Principal().Idle
	if d, ok := a.Device(); ok && d.Idle > 0 && (idle == 0 || d.Idle < idle) {
		idle = d.Idle
	}
	if idle == 0 || s.now.Sub(s.row.Touched) < idle/10 {
		return nil
	}
	return lostIsFine(broken("touch session", s.engine.store.TouchSession(ctx, s.row.Selector, s.row.Version, s.now)))
}

// lostIsFine passes over a lost compare-and-swap: whoever won it has touched the row too, or ended it.
func lostIsFine(err error) error {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (s *Session) factorRequest(subject authn.Subject, claim authn.Claim) factors.Request {
	return factors.Request{Now: s.now, Source: s.req.Source, Origin: s.req.Origin, Peer: s.req.Peer, Subject: subject, Claim: claim}
}

// State is the state in force on this request.
func (s *Session) State() authn.State { return s.state }

// Rotation grows whenever the session's secret is replaced: application values belong to one.
func (s *Session) Rotation() uint64 { return s.row.Rotation }

// Request is the request that the session was opened for.
func (s *Session) Request() Request { return s.req }

// Engine is the engine that the session belongs to.
func (s *Session) Engine() *Engine { return s.engine }

// Why says why the caller's session is not in force on this request, for operators; empty where it is or there is none.
func (s *Session) Why() authn.Reason { return s.why }

// Person is the human principal in force.
func (s *Session) Person() (authn.Principal, bool) {
	a, ok := s.state.(authn.Authenticated)
	if !ok {
		return authn.Principal{}, false
	}
	return a.Person()
}

// Now is the time of the request, the same throughout.
func (s *Session) Now() time.Time { return s.now }

// ID is the public id of the session: it names it in lists and in the audit log, and opens nothing. Empty for a guest.
func (s *Session) ID() string { return publicID(s.row.Selector) }

// Cookie is the value to set, if it changed with this request.
func (s *Session) Cookie() (value string, changed bool) { return s.cookie, s.cookie != "" }

// Ended reports whether the caller's session ended with this request.
func (s *Session) Ended() bool { return s.ended }

// Values are the application's own, as they were read. They must not be changed.
func (s *Session) Values() []byte { return s.row.Values }

// SaveValues replaces the application's values. It fails with ErrConflict if the session ended or its secret was
// rotated since it was read. The first values of a guest make a row, and a cookie.
func (s *Session) SaveValues(ctx context.Context, values []byte) error {
	if s.row.Selector != "" {
		err := s.engine.store.SaveValues(ctx, s.row.Selector, s.row.Rotation, values)
		if errors.Is(err, ErrNotFound) {
			return ErrConflict
		}
		if err == nil {
			s.row.Values = values
		}
		return broken("save values", err)
	}
	if s.ended || s.why != "" {
		return ErrConflict
	}
	if err := s.create(ctx, authn.Guest{}, values); err != nil {
		return err
	}
	s.row.Values = values
	return nil
}

func publicID(selector string) string {
	if selector == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("sallyport session id\x00" + selector))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
