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
	// PeerRemoved says that somebody sent headers with a certificate who is not the terminator. They were removed, and the
	// request is one without a certificate.
	PeerRemoved error
	Carried     factors.Carried // what its Authorization and DPoP headers hold
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
	hidden bool   // the row's values are not those of the state in force on this request
	cookie string // to be set, if it changed
	ended  bool   // the row ended: the cookie is worth nothing
	// further is what is wanted besides, because something that the state rests on proves less on this request.
	further []authn.Requirement
	once    bool     // it is that of a request authenticated by itself: nothing can be done with it
	spent   []string // ids of what this request has used of what is used once
}

// Open reads the session of a request: one read of the store, once a second another two to see whether its user is in good
// standing, and a write only now and then to record that the caller was seen. A cookie that is unknown, stale or forged makes a guest. So does one whose certificate is not the one
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
	s.notePeer(ctx)
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
		// The row ends too, so that no request in flight brings the session back by writing.
		_, err := s.engine.store.EndSessions(ctx, Match{Selector: row.Selector}, s.now)
		return broken("end session", err)
	}
	s.row, s.stored, s.state = row, live, live
	dropped := lostPerson(state, live)
	if dropped {
		s.hideValues()
	}
	if err := s.checkTies(ctx); err != nil {
		return err
	}
	if s.why != "" {
		s.noteRefused(ctx, row, live)
	}
	if s.row.Selector == "" {
		return nil
	}
	return s.seen(ctx, changed, dropped)
}

// noteRefused writes down that somebody has the cookie of a session and not its certificate: once in a while, so that
// nobody fills the log by asking again.
func (s *Session) noteRefused(ctx context.Context, row Row, live authn.State) {
	if !s.engine.refusals.first(row.Selector+string(s.why), s.now) {
		return
	}
	ev := s.event(authn.Happened{What: SessionRefused, Reason: s.why})
	ev.Session, ev.Tenant, ev.User = publicID(row.Selector), row.Index.Tenant, row.Index.Person
	if a, ok := live.(authn.Authenticated); ok {
		p := a.Principal()
		ev.User, ev.Class, ev.Name, ev.Method = p.Subject.User, p.Subject.Class, p.Names.User, p.Method.Name
	}
	_ = s.engine.record(ctx, ev)
}

// notePeer writes down that a certificate was not even looked at: a terminator sent what cannot be read, or somebody else
// sent what only the terminator may. Once in a while, so that nobody fills the log by doing it again.
func (s *Session) notePeer(ctx context.Context) {
	for _, of := range [...]struct {
		what authn.Occurrence
		err  error
	}{{CertificateRefused, s.req.PeerRefused}, {CertificateRemoved, s.req.PeerRemoved}} {
		if of.err == nil {
			continue
		}
		why, detail := ReasonCertificateRefused, ""
		if rejected, ok := errors.AsType[*factors.Rejection](of.err); ok {
			why, detail = rejected.Reason, rejected.Detail
		}
		if s.engine.refusals.first(strings.Join([]string{sourceKey(s.req.Source), string(of.what), string(why)}, "\x00"), s.now) {
			ev := s.event(authn.Happened{What: of.what, Reason: why})
			ev.Detail = detail
			_ = s.engine.record(ctx, ev)
		}
	}
}

// anew is how long after its head a request is taken as if it came only now.
const anew = time.Second

// tick brings the session to the present: a request may take its time between its head and what it asks for. It is the
// first thing that every call does which decides something. After anew, or under another policy, the session is read again.
func (s *Session) tick(ctx context.Context) error {
	if s.once {
		return ErrForbidden
	}
	now := s.engine.now()
	if s.row.Selector != "" && (now.Sub(s.now) >= anew || s.rt != s.engine.current.Load()) {
		return s.reopen(ctx)
	}
	s.rt = s.engine.current.Load()
	if !now.After(s.now) {
		return nil
	}
	s.now = now
	if _, changed := authn.At(s.stored, now, s.row.Touched); changed {
		return s.reopen(ctx)
	}
	return nil
}

// reopen opens the session as a request would that comes now, with the cookie that this one has by now.
func (s *Session) reopen(ctx context.Context) error {
	req, cookie := s.req, s.cookie
	if cookie != "" {
		req.Cookie = cookie
	}
	err := s.engine.OpenIn(ctx, s, req)
	s.cookie = cookie
	if s.row.Selector == "" {
		s.hidden = true // the values were somebody's who is not here any more
	}
	return err
}

// lostPerson reports whether a person was there before and is not after.
func lostPerson(before, after authn.State) bool {
	return personOf(before) != "" && personOf(after) == ""
}

// hideValues keeps the values of a principal that is not in force from whoever makes this request.
func (s *Session) hideValues() { s.row.Values, s.hidden = nil, true }

// detach makes the caller a guest on this request, without a row of its own.
func (s *Session) detach(why authn.Reason) {
	s.row, s.stored, s.state, s.why, s.hidden = Row{}, authn.Guest{}, authn.Guest{}, why, true
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
		return s.keepIfTied(ctx, st.Login.Evidence)
	case authn.Pending:
		return s.keepIfTied(ctx, st.Onboarding.Login.Evidence)
	case authn.Authenticated:
		return s.checkSessionTies(ctx, st)
	}
	return nil
}

func (s *Session) keepIfTied(ctx context.Context, evidence []authn.Evidence) error {
	broken, err := s.tieBroken(ctx, evidence)
	if broken.why == "" {
		return err
	}
	return s.lose(ctx, broken)
}

// lose makes the caller a guest on this request, and ends the row where what it rests on is over for good.
func (s *Session) lose(ctx context.Context, lost loss) error {
	selector := s.row.Selector
	s.detach(lost.why)
	if !lost.over {
		return nil
	}
	_, err := s.engine.store.EndSessions(ctx, Match{Selector: selector}, s.now)
	return broken("end session", err)
}

func (s *Session) checkSessionTies(ctx context.Context, a authn.Authenticated) error {
	var ofPerson, ofUnattended loss
	person, isPerson := a.Person()
	unattended, isUnattended := a.Unattended()
	var err error
	if isUnattended {
		if ofUnattended, err = s.principalLost(ctx, unattended); err != nil {
			return err
		}
	}
	if isPerson && ofUnattended.why == "" {
		if ofPerson, err = s.principalLost(ctx, person); err != nil {
			return err
		}
	}
	if ofPerson.why != "" || ofUnattended.why != "" {
		lost := ofUnattended
		if lost.why == "" {
			lost = ofPerson
		}
		view, stays := a.Untied(ofPerson.why != "", ofUnattended.why != "").(authn.Authenticated)
		if !stays {
			return s.lose(ctx, lost)
		}
		a, s.state, s.why = view, view, lost.why
		s.hideValues()
	}
	if a.Running() != nil {
		lost, err := s.tieBroken(ctx, runningEvidence(a.Running()))
		if err != nil {
			return err
		}
		if lost.why != "" {
			s.state, s.why = a.WithoutRunning(), lost.why
		}
	}
	return nil
}

// loss is why something is not in force on this request. over: nor will it be on any other.
type loss struct {
	why  authn.Reason
	over bool
}

// principalLost says why a principal is not in force: the request does not carry what it was won with, what step-ups
// added included, or its user is no longer in good standing.
func (s *Session) principalLost(ctx context.Context, p authn.Principal) (loss, error) {
	lost, err := s.tieBroken(ctx, p.Evidence)
	if lost.why == "" && err == nil {
		lost, err = s.tieBroken(ctx, p.Added)
	}
	if lost.why == "" && err == nil {
		lost.why, err = s.lapsedStanding(ctx, p)
	}
	return lost, err
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
func (s *Session) tieBroken(ctx context.Context, evidence []authn.Evidence) (loss, error) {
	for i := range evidence {
		ev := &evidence[i]
		if ev.Tie == nil {
			continue
		}
		tied, ok := s.rt.factors[ev.Factor].(factors.Tied)
		if !ok {
			return loss{why: factors.ReasonTieBroken}, nil // the policy no longer has the factor
		}
		if s.req.PeerRefused != nil {
			return loss{why: ReasonCertificateRefused}, nil
		}
		err := tied.CheckTie(ctx, s.factorRequest(authn.Subject{}, authn.Claim{}), *ev.Tie, ev.Subject)
		if err == nil {
			continue
		}
		if further, ok := errors.AsType[*factors.FurtherError](err); ok {
			s.wantFurther(further.Factors)
			continue
		}
		if rejected, ok := errors.AsType[*factors.Rejection](err); ok {
			return loss{rejected.Reason, rejected.Over}, nil
		}
		return loss{}, &UnavailableError{err}
	}
	return loss{}, nil
}

// wantFurther has guards ask for evidence of each of these factors on this request; none: for nothing more.
func (s *Session) wantFurther(names []string) {
	if len(names) > 0 {
		s.further = append(s.further, authn.Requirement{Factors: names})
	}
}

// seen records that the caller was here, at most once per tenth of the idle limit. What has run out since the row was
// saved is saved first: a touch must not bring it back.
func (s *Session) seen(ctx context.Context, changed, dropped bool) error {
	a, ok := s.stored.(authn.Authenticated)
	if !ok {
		return nil
	}
	if changed {
		var effects []authn.Effect
		if dropped {
			effects = append(effects, authn.ClearValues{})
		}
		return lostIsFine(s.saveAsIs(ctx, effects))
	}
	idle := a.Principal().Idle
	if d, ok := a.Unattended(); ok && d.Idle > 0 && (idle == 0 || d.Idle < idle) {
		idle = d.Idle
	}
	if idle == 0 || s.now.Sub(s.row.Touched) < idle/10 {
		return nil
	}
	err := s.engine.store.TouchSession(ctx, s.row.Selector, s.row.Version, s.now)
	if err == nil {
		s.row.Touched = s.now
	}
	return lostIsFine(broken("touch session", err))
}

// lostIsFine passes over a lost compare-and-swap: whoever won it has touched the row too, or ended it.
func lostIsFine(err error) error {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (s *Session) factorRequest(subject authn.Subject, claim authn.Claim) factors.Request {
	r := factors.Request{Now: s.now, Source: s.req.Source, Origin: s.req.Origin, Peer: s.req.Peer, Subject: subject, Claim: claim, Carried: s.req.Carried}
	if a, ok := s.state.(authn.Authenticated); ok {
		if up, ok := a.Running().(authn.StepUp); ok {
			r.MaxAge = up.Want.MaxAge
		}
	}
	return r
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
// rotated since it was read, or if they belong to a principal that is not in force on this request. The first values of a
// guest make a row, and a cookie.
func (s *Session) SaveValues(ctx context.Context, values []byte) error {
	if s.hidden {
		return ErrConflict
	}
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
