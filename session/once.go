package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// ProofError is [ErrInvalidCredential] with what the next proof of possession must hold (RFC 9449 section 8).
type ProofError struct{ Nonce string }

func (e *ProofError) Error() string { return ErrInvalidCredential.Error() }
func (e *ProofError) Unwrap() error { return ErrInvalidCredential }

// OnceIn authenticates a request by itself, from its ambient factors alone, and makes *s its session: one that was never
// stored, has no cookie and no values, and with which nothing can be done but to ask who is there. A cookie is not looked
// at. The methods tried are those with each_request that the policy has on offer for the route and tenant, in order: the
// next one only where the request lacks a credential of the one before, never where what it carries is refused.
//
// A request without the certificate that the method asks for is [ErrCertificateRequired], whatever token it carries; one
// without a token [ErrNotAuthenticated]; anything refused [ErrInvalidCredential], perhaps as a [*ProofError]; and one that
// is good and not good enough for the route [*InsufficientError]. *s is then a guest's.
//
// *s belongs to one request. Where it is handed in again, as by a second guard on the same route, a proof of possession that
// the request has spent already is not spent twice; never hand in that of another request.
func (e *Engine) OnceIn(ctx context.Context, s *Session, req Request) error {
	*s = Session{engine: e, rt: e.current.Load(), req: req, now: e.now(), stored: authn.Guest{}, state: authn.Guest{}, hidden: true, once: true, spent: s.spent}
	if req.Carried.Token != "" || req.Carried.Proof != "" {
		ctx = context.WithValue(ctx, spentKey{}, &s.spent)
	}
	if m, all := s.wantsCertificate(); all {
		_, _ = s.withItsCertificate(ctx, authn.Login{Method: m})
		return ErrCertificateRequired
	}
	tenant := req.Origin.Tenant
	var first factors.Verified // verified once: a proof of possession cannot be spent again
	if tenant == "" && req.PeerRefused == nil && (req.Peer.Present() || req.Carried.Token != "") {
		var err error
		if first, err = s.firstAmbient(ctx); err != nil {
			return err
		}
		tenant = first.Evidence.Subject.Tenant
	}
	offer := s.rt.policy.Offer(policy.Query{Route: req.Route, Tenant: tenant, EachRequest: true})
	if len(offer) == 0 {
		return s.nothingOffered(ctx, tenant)
	}
	var lacks error
	for _, m := range offer {
		err := s.runOnce(ctx, m, first)
		var missing *missingError
		if !errors.As(err, &missing) {
			return err
		}
		if lacks == nil {
			lacks = missing.err
		}
	}
	return lacks
}

// Once is OnceIn with a session of its own.
func (e *Engine) Once(ctx context.Context, req Request) (*Session, error) {
	s := new(Session)
	return s, e.OnceIn(ctx, s, req)
}

// spentKey is the context's key of what a request has used: a *[]string, the ids.
type spentKey struct{}

// wantsCertificate reports whether the request has no certificate, and every method that runs on each request asks for one:
// then no token is looked at. The method is the first of them.
func (s *Session) wantsCertificate() (first authn.Method, all bool) {
	if s.req.Peer.Present() || s.req.PeerRefused != nil {
		return first, false
	}
	for _, m := range s.rt.policy.Methods {
		if !m.EachRequest {
			continue
		}
		if m.TokenAlone || !slices.ContainsFunc(m.Steps, authn.Step.Certificate) {
			return first, false
		}
		if !all {
			first, all = m.Method, true
		}
	}
	return first, all
}

// nothingOffered is the answer where no method is on offer: whoever named no tenant may be of one that has some.
func (s *Session) nothingOffered(ctx context.Context, tenant string) error {
	if tenant != "" || !slices.ContainsFunc(s.rt.policy.Methods, func(m policy.Method) bool { return m.EachRequest }) {
		return ErrForbidden
	}
	switch {
	case s.req.PeerRefused != nil:
		return ErrBadRequest
	case !s.req.Peer.Present():
		return ErrCertificateRequired
	}
	return s.failedOnce(ctx, authn.Login{}, "", &factors.Rejection{Reason: authn.ReasonNotOnOffer})
}

// missingError says that a request lacks a credential that a method asks for.
type missingError struct{ err error }

func (e *missingError) Error() string { return e.err.Error() }

// runOnce authenticates the request by one method. first is what was verified already.
func (s *Session) runOnce(ctx context.Context, m authn.Method, first factors.Verified) error {
	id, err := s.engine.random(16)
	if err != nil {
		return err
	}
	l := authn.Login{ID: id, Method: m, Began: s.now}
	if l.Method, err = s.withItsCertificate(ctx, l); err != nil {
		return err
	}
	for _, step := range l.Method.Steps {
		v, factor, err := s.showOnce(ctx, l, step, first)
		var rejected *factors.Rejection
		if errors.As(err, &rejected) {
			if rejected.Reason == factors.ReasonNoToken {
				return &missingError{ErrNotAuthenticated}
			}
			return s.failedOnce(ctx, l, factor, rejected)
		}
		if err != nil {
			return err
		}
		narrowed, err := l.Subject.Narrow(v.Evidence.Subject)
		if err != nil {
			return s.failedOnce(ctx, l, factor, &factors.Rejection{Reason: authn.ReasonSubject})
		}
		l.Subject, l.Evidence = narrowed, append(l.Evidence, v.Evidence)
		s.wantFurther(v.Further)
	}
	return s.passOnce(ctx, l)
}

// withItsCertificate is the method as this request can pass it. A certificate that it asks for must be there before any
// token is looked at, unless the policy lets a token alone in.
func (s *Session) withItsCertificate(ctx context.Context, l authn.Login) (authn.Method, error) {
	asked := ""
	if i := slices.IndexFunc(l.Method.Steps, authn.Step.Certificate); i >= 0 {
		asked = l.Method.Steps[i].AnyOf[0].Name
	}
	switch {
	case asked == "" || s.req.PeerRefused == nil && s.req.Peer.Present():
		return l.Method, nil
	case s.req.PeerRefused != nil:
		s.seldom(ctx, l, asked, ReasonCertificateRefused)
		return l.Method, ErrBadRequest
	}
	if m, ok := s.rt.policy.MethodNamed(l.Method.Name); ok && m.TokenAlone {
		if alone, ok := m.WithoutCertificate(); ok {
			return alone, nil
		}
	}
	if s.req.Carried.Token != "" {
		s.seldom(ctx, l, asked, ReasonWithoutCertificate)
	}
	return l.Method, &missingError{ErrCertificateRequired}
}

// showOnce verifies the first factor of a step that the request satisfies.
func (s *Session) showOnce(ctx context.Context, l authn.Login, step authn.Step, first factors.Verified) (v factors.Verified, factor string, err error) {
	var worst *factors.Rejection
	for _, f := range step.AnyOf {
		if f.Name == first.Evidence.Factor {
			return first, f.Name, nil
		}
		v, err = s.ask(ctx, l, f.Name, nil, factors.Asked{})
		var rejected *factors.Rejection
		if !errors.As(err, &rejected) {
			return v, f.Name, err
		}
		// What is there and bad says more than what is not there.
		if worst == nil || worst.Reason == factors.ReasonNoToken || worst.Reason == factors.ReasonNoCertificate {
			worst, factor = rejected, f.Name
		}
	}
	return v, factor, worst
}

// passOnce hands what the request has shown to the machine.
func (s *Session) passOnce(ctx context.Context, l authn.Login) error {
	st, err := s.engine.standings.of(ctx, s.now, l.Subject)
	if err != nil {
		return err
	}
	q := policy.Query{Route: s.req.Route, Tenant: l.Subject.Tenant, EachRequest: true}
	check := authn.Check{Subject: l.Subject, Refused: st.why, OnOffer: s.rt.policy.Offers(q, l.Method.Name), Epoch: s.rt.policy.Epoch,
		Floors: slices.Concat(s.rt.policy.FloorsFor(q), s.further)}
	if of := s.req.Origin.Tenant; of != "" && of != l.Subject.Tenant {
		check.Refused = ReasonClaimDiffers
	}
	for _, e := range l.Evidence {
		if e.Names.Tenant != "" {
			check.Names.Tenant = e.Names.Tenant
		}
		if e.Names.User != "" {
			check.Names.User = e.Names.User
		}
	}
	t, err := authn.Apply(authn.Guest{}, authn.Once{At: s.now, ID: l.ID, Method: l.Method, Evidence: l.Evidence, Check: &check})
	var te *authn.TransitionError
	if errors.As(err, &te) && te.Reason == authn.ReasonFloor {
		s.seldom(ctx, l, "", te.Reason)
		return s.below(check.Floors, l.Evidence)
	}
	if errors.As(err, &te) {
		return s.failedOnce(ctx, l, "", &factors.Rejection{Reason: te.Reason})
	}
	if err != nil {
		return &UnavailableError{err}
	}
	s.state = t.State
	return nil
}

// below names the floor that evidence does not meet.
func (s *Session) below(floors []authn.Requirement, evidence []authn.Evidence) error {
	for _, floor := range floors {
		if !floor.MetBy(evidence, s.now) {
			return &InsufficientError{floor}
		}
	}
	return ErrForbidden
}

// failedOnce counts a refused request against its source, and says so in the audit log.
func (s *Session) failedOnce(ctx context.Context, l authn.Login, factor string, rejected *factors.Rejection) error {
	if rejected.Nonce != "" {
		return &ProofError{rejected.Nonce} // the client cannot have known it, and nothing was tried
	}
	return s.failedAmbient(ctx, l, factor, rejected)
}

// seldom writes to the audit log what a client may do again and again.
func (s *Session) seldom(ctx context.Context, l authn.Login, factor string, why authn.Reason) {
	if s.engine.refusals.first(strings.Join([]string{sourceKey(s.req.Source), l.Method.Name, factor, string(why)}, "\x00"), s.now) {
		s.failed(ctx, l, factor, why, "")
	}
}

// once is the ledger as factors see it.
type once struct{ store Ledger }

// Use implements factors.Once.
func (o once) Use(ctx context.Context, id string, until time.Time) (bool, error) {
	spent, carries := ctx.Value(spentKey{}).(*[]string)
	if carries && slices.Contains(*spent, id) {
		return true, nil // by this very request
	}
	err := o.store.Spend(ctx, "factor:"+id, until)
	if err == nil && carries {
		*spent = append(*spent, id)
	}
	if errors.Is(err, ErrSpent) {
		return false, nil
	}
	return err == nil, err
}

// live is the sessions as factors see them.
type live struct{ engine *Engine }

// SessionLive implements factors.Live.
func (l live) SessionLive(ctx context.Context, now time.Time, tenant, user, id string) (bool, error) {
	if id == "" || user == "" || tenant == "" {
		return false, nil
	}
	// A row outlives its principals: who signs in on it next is another session.
	id, login, _ := strings.Cut(id, ".")
	rows, err := l.engine.store.ListSessions(ctx, Match{ID: id}, now, 1)
	if err != nil {
		return false, broken("find session", err)
	}
	if len(rows) != 1 {
		return false, nil
	}
	state, err := rows[0].decode()
	if err != nil {
		return false, nil // a record that is not sound is nobody's
	}
	inForce, _ := authn.At(state, now, rows[0].Touched)
	a, ok := inForce.(authn.Authenticated)
	if !ok {
		return false, nil
	}
	person, _ := a.Person()
	unattended, _ := a.Unattended()
	for _, p := range []authn.Principal{person, unattended} {
		if p.Subject.Tenant != tenant || p.Subject.User != user || p.Login != login {
			continue
		}
		as := &Session{engine: l.engine, rt: l.engine.current.Load(), now: now}
		if as.allowsOn(policy.Query{AnyRoute: true}, p) != nil {
			return false, nil
		}
		st, err := l.engine.standings.of(ctx, now, p.Subject)
		return err == nil && st.why == "" && !p.Made.Before(st.cutoff), err
	}
	return false, nil
}

// Grant is the session's person, for a token to be minted in their name: they are signed in at this moment, by a method
// and with evidence that the policy in force still takes on this route. A request that is authenticated by itself grants
// nothing ([ErrForbidden]): tokens do not mint tokens. On a device the deadline is no later than the device's.
func (s *Session) Grant(ctx context.Context) (authn.Principal, error) {
	if err := s.tick(ctx); err != nil {
		return authn.Principal{}, err
	}
	if err := s.Allows(); err != nil {
		return authn.Principal{}, err
	}
	if err := s.stillThere(ctx); err != nil {
		return authn.Principal{}, err
	}
	p, _ := s.Person()
	u, err := s.engine.store.User(ctx, p.Subject.Tenant, p.Subject.User)
	if err != nil {
		return authn.Principal{}, broken("read user", err)
	}
	p.Names.User = u.Name // a token names them as they are called now: the name that they had may be another's
	if a, ok := s.state.(authn.Authenticated); ok {
		if device, ok := a.Device(); ok && device.Deadline.Before(p.Deadline) {
			p.Deadline = device.Deadline // the person falls with it
		}
	}
	return p, nil
}
