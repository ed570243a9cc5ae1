package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// change applies events to the session's state in one save: all of them or none. The effects of a save that failed are
// not carried out.
func (s *Session) change(ctx context.Context, events ...authn.Event) ([]authn.Effect, error) {
	state, effects, err := s.plan(s.state, events...)
	if err != nil {
		return nil, err
	}
	return effects, s.commit(ctx, state, effects)
}

// plan runs the machine without saving.
func (s *Session) plan(state authn.State, events ...authn.Event) (authn.State, []authn.Effect, error) {
	var effects []authn.Effect
	for _, e := range events {
		t, err := authn.Apply(state, e)
		if err != nil {
			return nil, nil, s.outOfStep(err)
		}
		state, effects = t.State, append(effects, t.Effects...)
	}
	return state, effects, nil
}

// outOfStep is what the caller learns of an event that the machine does not allow.
func (s *Session) outOfStep(err error) error {
	var te *authn.TransitionError
	if !errors.As(err, &te) {
		return err
	}
	switch {
	case te.Reason == authn.ReasonExpired, s.lapsed && te.Reason == authn.ReasonIllegal:
		return ErrLoginExpired
	case te.Reason == authn.ReasonSubject:
		return ErrInvalidCredential
	}
	return ErrWrongStep
}

// commit saves a state, then says what happened. A gain that the audit log cannot take is taken back.
func (s *Session) commit(ctx context.Context, state authn.State, effects []authn.Effect) error {
	before := s.state
	if err := s.save(ctx, state, effects); err != nil {
		return err
	}
	if err := s.engine.record(ctx, s.events(effects)...); err != nil {
		if slices.Contains(effects, authn.Effect(authn.Rotate{})) && !lostPerson(before, state) {
			_ = s.takeBack(ctx, before)
		}
		return err
	}
	return nil
}

// takeBack undoes a gain that was saved and must not be: the session that was there before goes on, without what ran in
// it, and anything less ends.
func (s *Session) takeBack(ctx context.Context, before authn.State) error {
	if a, ok := before.(authn.Authenticated); ok {
		if err := s.save(context.WithoutCancel(ctx), a.WithoutRunning(), []authn.Effect{authn.Rotate{}}); err == nil {
			return nil
		}
	}
	return s.forsake(ctx)
}

// save writes a state by compare-and-swap, or makes the row where there is none.
func (s *Session) save(ctx context.Context, state authn.State, effects []authn.Effect) error {
	if s.row.Selector == "" {
		return s.create(ctx, state, nil)
	}
	encoded, err := authn.Encode(state)
	if err != nil {
		return &UnavailableError{err}
	}
	swap := Swap{Selector: s.row.Selector, From: s.row.Version, State: encoded, Touched: s.now, Index: indexOf(state), Expires: s.expires(state),
		Client: s.client(), ClearValues: slices.Contains(effects, authn.Effect(authn.ClearValues{})) || s.hidden && personOf(state) == ""}
	cookie := ""
	if slices.Contains(effects, authn.Effect(authn.Rotate{})) {
		secret, hash, err := s.engine.newSecret()
		if err != nil {
			return err
		}
		swap.SecretHash, cookie = &hash, s.row.Selector+"."+secret
	}
	if ended, ok := state.(authn.Ended); ok {
		swap.Ended = ended.At
	}
	if err := s.engine.store.SwapSession(ctx, swap); err != nil {
		if errors.Is(err, ErrNotFound) {
			return ErrConflict
		}
		return broken("save session", err)
	}
	s.row.Version++
	if cookie != "" {
		s.row.SecretHash, s.cookie = *swap.SecretHash, cookie
	}
	if cookie != "" || swap.ClearValues {
		s.row.Rotation++
	}
	if swap.ClearValues {
		s.row.Values, s.hidden = nil, false
	}
	s.ended = !swap.Ended.IsZero()
	s.stored, s.state, s.row.Touched, s.row.State, s.row.Memo = state, state, s.now, encoded, nil
	return nil
}

func (s *Session) create(ctx context.Context, state authn.State, values []byte) error {
	encoded, err := authn.Encode(state)
	if err != nil {
		return &UnavailableError{err}
	}
	selector, err := s.engine.random(selectorSize)
	if err != nil {
		return err
	}
	secret, hash, err := s.engine.newSecret()
	if err != nil {
		return err
	}
	row := Row{Selector: selector, ID: publicID(selector), SecretHash: hash, Version: 1, Rotation: 1, State: encoded, Values: values, Created: s.now, Touched: s.now,
		Expires: s.expires(state), Index: indexOf(state), Client: *s.client()}
	if err := s.engine.store.CreateSession(ctx, row); err != nil {
		return broken("create session", err)
	}
	s.row, s.stored, s.state, s.cookie, s.hidden = row, state, state, selector+"."+secret, false
	return nil
}

func (e *Engine) newSecret() (secret string, hash Digest, err error) {
	var raw [secretSize]byte
	if _, err := io.ReadFull(e.rand, raw[:]); err != nil {
		return "", hash, &UnavailableError{err}
	}
	return base64.RawURLEncoding.EncodeToString(raw[:]), sha256.Sum256(raw[:]), nil
}

func (s *Session) client() *Client {
	c := Client{Agent: s.req.Agent}
	if s.req.Source.IsValid() {
		c.Source = s.req.Source.String()
	}
	return &c
}

// expires is when a row with this state may be forgotten.
func (s *Session) expires(state authn.State) time.Time {
	at := s.now.Add(guestLife)
	if a, ok := state.(authn.Authenticated); ok {
		at = a.Principal().Deadline
		if d, ok := a.Unattended(); ok && d.Deadline.After(at) {
			at = d.Deadline
		}
	}
	return at
}

func indexOf(state authn.State) Index {
	switch st := state.(type) {
	case authn.Authenticating:
		return loginIndex(st.Login)
	case authn.Pending:
		return loginIndex(st.Onboarding.Login)
	case authn.Authenticated:
		x := Index{Tenant: st.Principal().Subject.Tenant, Principal: true}
		if p, ok := st.Person(); ok {
			x.Person = p.Subject.User
			x.add(p.All())
		}
		if d, ok := st.Unattended(); ok {
			x.Device = d.Subject.User
			x.add(d.All())
		}
		x.add(runningEvidence(st.Running()))
		return x
	default:
		return Index{}
	}
}

func loginIndex(l authn.Login) Index {
	x := Index{Tenant: l.Subject.Tenant}
	if l.Subject.Class == authn.ClassPerson {
		x.Person = l.Subject.User
	} else {
		x.Device = l.Subject.User
	}
	x.add(l.Evidence)
	return x
}

func (x *Index) add(evidence []authn.Evidence) {
	for _, e := range evidence {
		for _, h := range e.Handles {
			if d := handleDigest(x.Tenant, e.Factor, h); !slices.Contains(x.Handles, d) {
				x.Handles = append(x.Handles, d)
			}
		}
		if e.Tie != nil && !slices.Contains(x.Certificates, e.Tie.Certificate) {
			x.Certificates = append(x.Certificates, e.Tie.Certificate)
		}
	}
}

// end ends the session whatever its version is: against a request in flight, the end wins.
func (s *Session) end(ctx context.Context) error {
	if s.row.Selector == "" {
		return nil
	}
	_, err := s.engine.store.EndSessions(ctx, Match{Selector: s.row.Selector}, s.now)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return broken("end session", err)
	}
	s.over()
	return nil
}

// over makes the caller a guest whose cookie is worth nothing any more.
func (s *Session) over() {
	s.detach("")
	s.cookie, s.ended = "", true
}

// forsake ends a session that was just won and must not be. Where even that fails, the caller is not given the secret
// that the session was won with: nobody has it, and so nobody has the session.
func (s *Session) forsake(ctx context.Context) error {
	err := s.end(context.WithoutCancel(ctx))
	if err != nil {
		s.over()
	}
	return err
}

// fence makes sure that the session still is what it was when it was read, by writing it. Directory changes made in the
// name of a session come after it, so that they lose to a logout or revocation that came first.
func (s *Session) fence(ctx context.Context) error { return s.saveAsIs(ctx, nil) }

func (s *Session) saveAsIs(ctx context.Context, effects []authn.Effect) error {
	view := s.state
	err := s.save(ctx, s.stored, effects)
	s.state = view
	return err
}

// stillThere fails with ErrConflict where the session ended, or became another principal's, since it was last saved.
func (s *Session) stillThere(ctx context.Context) error {
	row, err := s.engine.store.Session(ctx, s.row.Selector, s.engine.now())
	if errors.Is(err, ErrNotFound) {
		return ErrConflict
	}
	if err != nil {
		return broken("read session", err)
	}
	if !row.Ended.IsZero() {
		return ErrConflict
	}
	state, err := row.decode()
	if err != nil || personOf(state) != personOf(s.state) {
		return ErrConflict
	}
	return nil
}

// personOf names the person of a state by the login that made them; empty: there is none.
func personOf(state authn.State) string {
	a, ok := state.(authn.Authenticated)
	if !ok {
		return ""
	}
	p, _ := a.Person()
	return p.Login
}

// events are the audit events among effects. What was said of a login before it had named anyone is found with those that
// it has named by the time that it is saved.
func (s *Session) events(effects []authn.Effect) []Event {
	var events []Event
	l, running := runningLogin(s.state)
	if a, ok := s.state.(authn.Authenticated); ok && !running {
		p := a.Principal()
		l = authn.Login{ID: p.Login, Subject: p.Subject, Names: p.Names}
	}
	for _, e := range effects {
		h, ok := e.(authn.Happened)
		if !ok {
			continue
		}
		if h.Login == l.ID && h.Subject.Tenant == "" {
			h.Subject, h.Names = l.Subject, l.Names
		}
		events = append(events, s.event(h))
	}
	return events
}

func (s *Session) event(h authn.Happened) Event {
	return Event{At: s.now, Tenant: h.Subject.Tenant, User: h.Subject.User, Class: h.Subject.Class, Name: h.Names.User, What: h.What, Reason: h.Reason, Method: h.Method,
		Factor: h.Factor, Login: h.Login, Session: s.ID(), Source: s.client().Source}
}

// refusal is the reason of a Refused among effects.
func refusal(effects []authn.Effect) (authn.Reason, bool) {
	return authn.Transition{Effects: effects}.Refusal()
}
