package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

func hashKey(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// Begin says which login to begin. Everything in it is a wish or a hint.
type Begin struct {
	Method   string // empty: the first on offer
	Tenant   string
	User     string
	ReturnTo string // a path on this origin
}

// challengeLife is how long a challenge lives where its factor says nothing.
const challengeLife = 5 * time.Minute

// maxChallengeData bounds what a factor may keep with a login.
const maxChallengeData = 16 << 10

// Begin starts a login, and verifies the leading ambient factors of its method at once, from the request itself. It ends
// a running login; a session that is there stays until the new login is complete. Where the ambient factors do not
// verify, nothing begins and nothing ends.
func (s *Session) Begin(ctx context.Context, b Begin) error {
	if err := s.tick(ctx); err != nil {
		return err
	}
	if of := s.req.Origin.Tenant; of != "" {
		if b.Tenant != "" && b.Tenant != of {
			return ErrForbidden
		}
		b.Tenant = of
	}
	claim := authn.Claim{Tenant: b.Tenant, User: b.User}
	tenant := b.Tenant
	if tenant == "" {
		var err error
		if tenant, err = s.ambientTenant(ctx); err != nil {
			return err
		}
	}
	m, err := s.chooseMethod(b.Method, tenant, b.ReturnTo)
	if err != nil {
		return err
	}
	if err := s.certificateThere(ctx, m); err != nil {
		return err
	}
	id, err := s.engine.random(16)
	if err != nil {
		return err
	}
	state, effects, err := s.plan(s.state, authn.Begin{At: s.now, ID: id, Method: m, Claim: claim, ReturnTo: b.ReturnTo})
	if err != nil {
		return err
	}
	return s.passAmbient(ctx, state, effects, false)
}

// chooseMethod is the named method if it is on offer, or the first that is.
func (s *Session) chooseMethod(name, tenant, returnTo string) (authn.Method, error) {
	offer := s.offer(s.rt, tenant, returnTo)
	if name == "" {
		// Above a device, what a person wants is to sign in on it.
		slices.SortStableFunc(offer, func(a, b authn.Method) int { return strings.Compare(b.On, a.On) })
	}
	for _, m := range offer {
		if name == "" || m.Name == name {
			return m, nil
		}
	}
	return authn.Method{}, ErrForbidden
}

// offer is what the policy offers for a tenant, above the device that is there, if any. A route is known only where the
// caller said where it wants to go; without one, what any route of the tenant offers counts, and the guards of the
// routes decide.
func (s *Session) offer(rt *runtime, tenant, route string) []authn.Method {
	q := policy.Query{Tenant: tenant, Device: s.deviceMethod()}
	if end := strings.IndexAny(route, "?#"); end >= 0 {
		route = route[:end]
	}
	if path, ok := policy.CleanPath(route); ok && route != "" {
		q.Route = path
	} else {
		q.AnyRoute = true
	}
	return rt.policy.Offer(q)
}

func (s *Session) deviceMethod() string {
	if a, ok := s.state.(authn.Authenticated); ok {
		if d, ok := a.Device(); ok {
			return d.Method.Name
		}
	}
	return ""
}

// ambientTenant is the tenant that the request's own credentials map to. It picks a method and proves nothing.
func (s *Session) ambientTenant(ctx context.Context) (string, error) {
	if a, ok := s.state.(authn.Authenticated); ok {
		if p, ok := a.Unattended(); ok {
			return p.Subject.Tenant, nil
		}
	}
	if s.req.PeerRefused != nil || !s.req.Peer.Present() {
		return "", nil
	}
	v, err := s.firstAmbient(ctx)
	return v.Evidence.Subject.Tenant, err
}

// firstAmbient is what the first ambient factor proves that finds a tenant by the request alone; zero: none does.
func (s *Session) firstAmbient(ctx context.Context) (factors.Verified, error) {
	for _, f := range s.rt.order {
		d := f.Describe()
		if !d.Ambient || d.Identifies == authn.IdentifiesNothing {
			continue
		}
		v, err := s.ask(ctx, authn.Login{}, d.Name, nil, factors.Asked{})
		var rejected *factors.Rejection
		switch {
		case err == nil && v.Evidence.Subject.Tenant != "":
			return v, nil
		case err != nil && !errors.As(err, &rejected):
			return factors.Verified{}, err
		}
	}
	return factors.Verified{}, nil
}

// certificateThere refuses a method that begins with a certificate where the request has none.
func (s *Session) certificateThere(ctx context.Context, m authn.Method) error {
	for _, step := range m.Steps {
		if !step.Certificate() {
			return nil
		}
		if s.req.PeerRefused != nil {
			s.failed(ctx, authn.Login{Method: m}, step.AnyOf[0].Name, ReasonCertificateRefused, "")
			return ErrBadRequest
		}
		if !s.req.Peer.Present() {
			return ErrCertificateRequired
		}
	}
	return nil
}

// passAmbient verifies the ambient factors of the open steps of the login in state, then saves it all at once. Where one
// is refused, what an interactive factor has proven before it is saved all the same, if kept.
func (s *Session) passAmbient(ctx context.Context, state authn.State, effects []authn.Effect, kept bool) error {
	refused := func(err error) error {
		if kept {
			if err := s.commit(ctx, state, effects); err != nil && !errors.Is(err, ErrConflict) {
				return err
			}
		}
		return err
	}
	for {
		l, ok := runningLogin(state)
		if !ok {
			break
		}
		step, ok := l.Next()
		if !ok || !step.Ambient() {
			break
		}
		prove, err := s.proveAmbient(ctx, state, l, step)
		if errors.Is(err, ErrInvalidCredential) {
			return refused(err)
		}
		if err != nil {
			return err
		}
		next, more, err := s.plan(state, prove)
		if err != nil {
			return err
		}
		if why, no := refusal(more); no {
			if kept {
				state, effects = next, append(effects, more...)
				return refused(ErrInvalidCredential)
			}
			s.failed(ctx, l, prove.Evidence.Factor, why, "")
			return ErrInvalidCredential
		}
		state, effects = next, append(effects, more...)
	}
	return s.finish(ctx, state, effects)
}

// runningLogin is the login under way in a state: of a guest, or inside a session.
func runningLogin(state authn.State) (authn.Login, bool) {
	switch st := state.(type) {
	case authn.Authenticating:
		return st.Login, true
	case authn.Authenticated:
		switch r := st.Running().(type) {
		case authn.StepUp:
			return r.Login, true
		case authn.SignOn:
			return r.Login, true
		}
	}
	return authn.Login{}, false
}

// proveAmbient verifies the first ambient factor of a step that the request satisfies. A good credential costs nothing;
// a bad one counts against its source.
func (s *Session) proveAmbient(ctx context.Context, state authn.State, l authn.Login, step authn.Step) (authn.Prove, error) {
	var last *factors.Rejection
	factor := step.AnyOf[0].Name
	for _, f := range step.AnyOf {
		v, err := s.ask(ctx, l, f.Name, nil, factors.Asked{})
		if errors.As(err, &last) {
			factor = f.Name
			continue
		}
		if err != nil {
			return authn.Prove{}, err
		}
		prove, why, err := s.proof(ctx, state, l, v, "")
		if err == nil && why != "" {
			return prove, s.failedAmbient(ctx, l, f.Name, &factors.Rejection{Reason: why})
		}
		return prove, err
	}
	return authn.Prove{}, s.failedAmbient(ctx, l, factor, last)
}

func (s *Session) failedAmbient(ctx context.Context, l authn.Login, factor string, rejected *factors.Rejection) error {
	if _, err := s.attemptFrom(ctx); err != nil {
		return err
	}
	why, detail := factors.ReasonMalformed, ""
	if rejected != nil {
		why, detail = rejected.Reason, rejected.Detail
	}
	s.failed(ctx, l, factor, why, detail)
	return ErrInvalidCredential
}

// failed writes to the audit log that a factor was refused.
func (s *Session) failed(ctx context.Context, l authn.Login, factor string, why authn.Reason, detail string) {
	ev := s.event(authn.Happened{What: authn.FactorFailed, Subject: l.Subject, Names: l.Names, Method: l.Method.Name, Factor: factor, Login: l.ID, Reason: why})
	if ev.Name == "" {
		ev.Name = s.engine.hashName(l.Claim.User)
	}
	ev.Detail = detail
	_ = s.engine.record(ctx, ev)
}

// ask has a factor of the policy in force verify a credential.
func (s *Session) ask(ctx context.Context, l authn.Login, factor string, credential json.RawMessage, asked factors.Asked) (factors.Verified, error) {
	f, ok := s.rt.factors[factor]
	if !ok {
		return factors.Verified{}, factors.Reject(authn.ReasonNotOnOffer, "the policy no longer has the factor")
	}
	v, err := f.Verify(ctx, factors.Verification{Request: s.factorRequest(l.Subject, l.Claim), Credential: credential, Challenge: asked})
	if err != nil {
		var rejected *factors.Rejection
		if errors.As(err, &rejected) {
			return factors.Verified{}, err
		}
		return factors.Verified{}, &UnavailableError{err}
	}
	d := f.Describe()
	v.Evidence.Factor, v.Evidence.Kind, v.Evidence.Ambient = d.Name, d.Kind, d.Ambient
	return v, s.named(ctx, &v.Evidence)
}

// named gives evidence the names of the user that it is about, where its factor knew only the id.
func (s *Session) named(ctx context.Context, e *authn.Evidence) error {
	if e.Subject.User == "" || e.Names.User != "" {
		return nil
	}
	u, err := s.engine.store.User(ctx, e.Subject.Tenant, e.Subject.User)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return broken("read user", err)
	}
	e.Names = authn.Names{Tenant: e.Subject.Tenant, User: u.Name}
	return nil
}

// proof makes the event of a verified credential in the login l of a state. Where it binds the tenant, the rules are asked
// anew. If it completes the login, everything is looked up again; why then says that the subject is not in good standing,
// which the caller learns no more of than of a wrong credential.
func (s *Session) proof(ctx context.Context, state authn.State, l authn.Login, v factors.Verified, challenge string) (_ authn.Prove, why authn.Reason, _ error) {
	p := authn.Prove{At: s.now, Evidence: v.Evidence, Challenge: challenge}
	subject, err := l.Subject.Narrow(v.Evidence.Subject)
	bound := err == nil && l.Subject.Tenant == "" && subject.Tenant != ""
	if len(l.Evidence)+1 < len(l.Method.Steps) {
		if bound && !stepsUp(state) {
			p.Ends = s.contradicts(l, subject.Tenant)
		}
		return p, "", nil
	}
	check, why, err := s.check(ctx, state, l, v.Evidence)
	p.Check = &check
	return p, why, err
}

// contradicts says why a login cannot go on in the tenant that evidence has bound; empty: it can.
func (s *Session) contradicts(l authn.Login, tenant string) authn.Reason {
	if l.Claim.Tenant != "" && l.Claim.Tenant != tenant {
		return ReasonClaimDiffers
	}
	rt := s.engine.current.Load()
	if !slices.ContainsFunc(s.offer(rt, tenant, l.ReturnTo), func(m authn.Method) bool { return m.Name == l.Method.Name }) {
		return authn.ReasonNotOnOffer
	}
	return ""
}

// Asking is a challenge as the caller gets it.
type Asking struct {
	Factor     string
	Kind       string
	Expires    time.Time
	PublicKey  json.RawMessage
	RedirectTo string
}

// Challenge asks an interactive factor of the open step for a challenge. It replaces an open one.
func (s *Session) Challenge(ctx context.Context, factor string) (Asking, error) {
	if err := s.tick(ctx); err != nil {
		return Asking{}, err
	}
	l, ok := runningLogin(s.state)
	if !ok {
		return Asking{}, s.nothingRuns()
	}
	step, _ := l.Next()
	f, ok := s.rt.factors[factor].(factors.Challenger)
	if _, allowed := step.Allows(factor); !ok || !allowed {
		return Asking{}, ErrWrongStep
	}
	c, err := f.Challenge(ctx, s.factorRequest(l.Subject, l.Claim))
	if err != nil {
		return Asking{}, s.notAsked(ctx, l, factor, err)
	}
	return s.issue(ctx, f.Describe(), c, false)
}

// notAsked is what becomes of a factor that would not make a challenge.
func (s *Session) notAsked(ctx context.Context, l authn.Login, factor string, err error) error {
	var rejected *factors.Rejection
	if errors.As(err, &rejected) {
		s.failed(ctx, l, factor, rejected.Reason, rejected.Detail)
		return ErrInvalidCredential
	}
	return &UnavailableError{err}
}

func (s *Session) issue(ctx context.Context, d authn.Factor, c factors.Challenge, enrolment bool) (Asking, error) {
	if len(c.Data) > maxChallengeData {
		return Asking{}, &UnavailableError{errors.New("the challenge of a factor is too large")}
	}
	life := c.Lifetime
	if life <= 0 {
		life = challengeLife
	}
	id, err := s.engine.random(16)
	if err != nil {
		return Asking{}, err
	}
	issue := authn.Issue{At: s.now, Challenge: authn.Challenge{ID: id, Factor: d.Name, Data: c.Data, Issued: s.now, Expires: s.now.Add(life)}, Enrolment: enrolment}
	if _, err := s.change(ctx, issue); err != nil {
		return Asking{}, err
	}
	open, _ := openChallenge(s.state)
	return Asking{Factor: d.Name, Kind: d.Kind, Expires: open.Expires, PublicKey: c.PublicKey, RedirectTo: c.RedirectTo}, nil
}

// openChallenge is the challenge that is open in a state.
func openChallenge(state authn.State) (authn.Challenge, bool) {
	var c *authn.Challenge
	if l, ok := runningLogin(state); ok {
		c = l.Challenge
	} else if o, ok := onboarding(state); ok {
		c = o.Challenge
	} else if a, ok := state.(authn.Authenticated); ok {
		if e, ok := a.Running().(authn.Enrolling); ok {
			c = &e.Challenge
		}
	}
	if c == nil {
		return authn.Challenge{}, false
	}
	return *c, true
}

func (s *Session) nothingRuns() error {
	if s.lapsed {
		return ErrLoginExpired
	}
	return ErrWrongStep
}

// Verify hands a credential to a factor of the open step. The challenge is spent and the attempt counted before anything
// is looked at. Whatever is wrong, the caller learns the same.
func (s *Session) Verify(ctx context.Context, factor string, credential json.RawMessage) error {
	if err := s.tick(ctx); err != nil {
		return err
	}
	l, ok := runningLogin(s.state)
	if !ok {
		return s.nothingRuns()
	}
	step, _ := l.Next()
	d, allowed := step.Allows(factor)
	if !allowed {
		s.failed(ctx, l, factor, authn.ReasonWrongStep, "")
		return ErrWrongStep
	}
	if d.Ambient {
		prove, err := s.proveAmbient(ctx, s.state, l, authn.Step{AnyOf: []authn.Factor{d}})
		if err != nil {
			return err
		}
		return s.advance(ctx, prove, nil)
	}
	if l.Challenge == nil || l.Challenge.Factor != factor {
		return ErrWrongStep
	}
	return s.verifyAnswer(ctx, l, *l.Challenge, credential)
}

func (s *Session) verifyAnswer(ctx context.Context, l authn.Login, c authn.Challenge, credential json.RawMessage) error {
	if err := s.answers(ctx, l, c, credential); err != nil {
		return err
	}
	if err := s.spend(ctx, l, c); err != nil {
		return err
	}
	try, err := s.attempt(ctx, c.Factor, l, credential)
	if err != nil {
		return err
	}
	fail := func(rejected *factors.Rejection) error {
		return s.refuse(ctx, l, c, rejected)
	}
	if !s.now.Before(c.Expires) {
		return fail(&factors.Rejection{Reason: authn.ReasonChallengeLate})
	}
	v, err := s.ask(ctx, l, c.Factor, credential, factors.Asked{ID: c.ID, Data: c.Data, Issued: c.Issued, Expires: c.Expires})
	var rejected *factors.Rejection
	if errors.As(err, &rejected) {
		if err := s.lookAsIfProven(ctx, l, c.Factor, credential); err != nil {
			return err
		}
		return fail(rejected)
	}
	if err != nil {
		try.giveBack(ctx)
		return err
	}
	if why, err := s.overSince(ctx, l, c, v.Evidence); err != nil {
		return err
	} else if why != "" {
		return fail(&factors.Rejection{Reason: why})
	}
	if v.Provision != nil {
		if !vouches(s.engine.current.Load().factors[c.Factor], v.Evidence, true) {
			return fail(&factors.Rejection{Reason: factors.ReasonUserUnknown})
		}
		why, err := s.provision(ctx, l, &v)
		if err != nil {
			return err
		}
		if why != "" {
			return fail(&factors.Rejection{Reason: why})
		}
	}
	prove, why, err := s.proof(ctx, s.state, l, v, c.ID)
	if err != nil {
		return err
	}
	if why != "" {
		return fail(&factors.Rejection{Reason: why})
	}
	if err := s.updateCredential(ctx, v.Update); err != nil {
		if errors.Is(err, ErrConflict) {
			return fail(&factors.Rejection{Reason: ReasonChangedMeanwhile})
		}
		return err
	}
	return s.advance(ctx, prove, try)
}

// lookAsIfProven makes the look-ups of the end of a login for an answer that was refused: whoever tries a credential of
// a user who is suspended does not find out by the work that it was the right one.
func (s *Session) lookAsIfProven(ctx context.Context, l authn.Login, factor string, credential json.RawMessage) error {
	if len(l.Evidence)+1 < len(l.Method.Steps) {
		return nil
	}
	as := authn.Evidence{Factor: factor, Credential: s.target(factor, credential)}
	_, err := s.standing(ctx, l.Subject, append(slices.Clip(l.Evidence), as))
	return err
}

// spend writes a challenge to the ledger. A hundred answers at the same moment find it unspent once.
func (s *Session) spend(ctx context.Context, l authn.Login, c authn.Challenge) error {
	err := s.engine.store.Spend(ctx, "challenge:"+c.ID, c.Expires.Add(time.Hour))
	if errors.Is(err, ErrSpent) {
		s.failed(ctx, l, c.Factor, ReasonChallengeSpent, "")
		return ErrWrongStep
	}
	if err != nil {
		return &UnavailableError{err}
	}
	return nil
}

func (s *Session) updateCredential(ctx context.Context, c *factors.Credential) error {
	if c == nil {
		return nil
	}
	used := *c
	used.Used = s.now
	err := s.engine.store.UpdateCredential(ctx, used)
	if errors.Is(err, ErrNotFound) {
		return ErrConflict
	}
	return broken("update credential", err)
}

// refuse records a refused answer: in the login, in the audit log, and on the credential if the factor flags it.
func (s *Session) refuse(ctx context.Context, l authn.Login, c authn.Challenge, rejected *factors.Rejection) error {
	if rejected.Flag != nil {
		if err := s.flag(ctx, *rejected.Flag, rejected.Reason); err != nil {
			return err
		}
	}
	effects, err := s.change(ctx, authn.Fail{At: s.now, Factor: c.Factor, Challenge: c.ID, Reason: rejected.Reason})
	if err != nil {
		// The login moved on meanwhile; the refusal stands, and must be found in the log all the same.
		s.failed(ctx, l, c.Factor, rejected.Reason, rejected.Detail)
		if errors.Is(err, ErrConflict) || errors.Is(err, ErrWrongStep) || errors.Is(err, ErrLoginExpired) {
			return ErrInvalidCredential
		}
		return err
	}
	if len(effects) > 0 && rejected.Detail != "" {
		s.engine.log.InfoContext(ctx, "factor refused", "factor", c.Factor, "reason", rejected.Reason, "detail", rejected.Detail, "login", l.ID)
	}
	return ErrInvalidCredential
}

// flag marks a credential as no longer usable, and ends the sessions that were won with it: first, so that what breaks off
// is done again by the next one who shows it, and once more for those that were won in between.
func (s *Session) flag(ctx context.Context, c factors.Credential, why authn.Reason) error {
	subject := authn.Subject{Tenant: c.Tenant, User: c.User}
	if err := s.endWonWith(ctx, subject, c.Factor, c.ID, why); err != nil {
		return err
	}
	for range 4 {
		c.Flagged = why
		err := s.engine.store.UpdateCredential(ctx, c)
		if err == nil {
			s.note(ctx, authn.Happened{What: CredentialFlagged, Subject: subject, Factor: c.Factor, Reason: why})
			return s.endWonWith(context.WithoutCancel(ctx), subject, c.Factor, c.ID, why)
		}
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return broken("flag credential", err)
		}
		if c, err = s.engine.store.Credential(ctx, c.Tenant, c.Factor, c.ID); err != nil {
			return broken("flag credential", err)
		}
	}
	return &UnavailableError{errors.New("a credential could not be flagged")}
}

// endWonWith ends the other sessions of a user that rest on a credential, and says so.
func (s *Session) endWonWith(ctx context.Context, subject authn.Subject, factor, credential string, why authn.Reason) error {
	n, err := s.engine.endSessionsWith(ctx, subject.Tenant, subject.User, factor, credential, s.row.Selector, s.now)
	s.noteEnded(ctx, subject, n, why)
	return err
}

// noteEnded writes down that sessions of a user were ended.
func (s *Session) noteEnded(ctx context.Context, subject authn.Subject, n int, why authn.Reason) {
	if n == 0 {
		return
	}
	ev := s.event(authn.Happened{What: SessionRevoked, Subject: subject, Reason: why})
	ev.Session, ev.Detail = "", howMany(n)
	_ = s.engine.record(ctx, ev)
}

func howMany(n int) string {
	if n == 1 {
		return "1 session"
	}
	return strconv.Itoa(n) + " sessions"
}

// advance applies a proof, then whatever ambient steps follow it.
func (s *Session) advance(ctx context.Context, prove authn.Prove, try *attempt) error {
	state, effects, err := s.plan(s.state, prove)
	if err != nil {
		return err
	}
	if _, refused := refusal(effects); refused {
		if err := s.commit(ctx, state, effects); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
		return ErrInvalidCredential
	}
	if l, ok := runningLogin(state); ok {
		if step, ok := l.Next(); ok && step.Ambient() {
			err = s.passAmbient(ctx, state, effects, true)
			return s.settled(ctx, err, try)
		}
	}
	return s.settled(ctx, s.finish(ctx, state, effects), try)
}

func (s *Session) settled(ctx context.Context, err error, try *attempt) error {
	if err == nil && try != nil {
		try.giveBack(ctx)
	}
	return err
}

// finish saves. If a principal was made or grew, the subject is looked up once more afterwards: whoever was suspended,
// or lost the credential, between the check and the save is caught here, and whoever is suspended later finds the row.
func (s *Session) finish(ctx context.Context, state authn.State, effects []authn.Effect) error {
	before := s.state
	if err := s.commit(ctx, state, effects); err != nil {
		return err
	}
	made, fresh := gained(before, state)
	if len(fresh) == 0 {
		return nil
	}
	check, err := s.standing(ctx, made.Subject, fresh)
	if err == nil && check.Refused == "" {
		return nil
	}
	undo := s.takeBack
	if check.Refused != "" && has(before, made.Subject) {
		undo = func(ctx context.Context, _ authn.State) error { return s.forsake(ctx) } // nor may the session go on that was there
	}
	if undoErr := undo(ctx, before); undoErr != nil {
		return undoErr
	}
	if err != nil {
		return err
	}
	s.note(ctx, authn.Happened{What: authn.SessionEnded, Subject: made.Subject, Names: made.Names, Method: made.Method.Name, Login: made.Login, Reason: check.Refused})
	return ErrInvalidCredential
}

// has reports whether one of the principals of a state is this subject.
func has(state authn.State, subject authn.Subject) bool {
	a, ok := state.(authn.Authenticated)
	if !ok {
		return false
	}
	person, _ := a.Person()
	unattended, _ := a.Unattended()
	return person.Subject == subject || unattended.Subject == subject
}

// gained is the principal that a change made, or made prove more, and the evidence that it did not have before. What a
// principal had before is not asked for again: a credential that its owner removed since does not end the session.
func gained(before, after authn.State) (authn.Principal, []authn.Evidence) {
	a, ok := after.(authn.Authenticated)
	if !ok {
		return authn.Principal{}, nil
	}
	p := a.Principal()
	b, ok := before.(authn.Authenticated)
	if !ok || b.Principal().Login != p.Login {
		return p, p.All()
	}
	had := b.Principal().All()
	return p, slices.DeleteFunc(slices.Clone(p.All()), func(e authn.Evidence) bool {
		return slices.ContainsFunc(had, func(o authn.Evidence) bool {
			return o.Factor == e.Factor && o.Credential == e.Credential && o.At.Equal(e.At)
		})
	})
}

// Cancel ends what runs: a login, a workflow, a step-up. What was there before is left.
func (s *Session) Cancel(ctx context.Context) error {
	if err := s.tick(ctx); err != nil {
		return err
	}
	_, err := s.change(ctx, authn.Cancel{At: s.now})
	return err
}

// SignOut ends the person's part of the session; a device beneath stays unless all is set. It wins against every request
// in flight.
func (s *Session) SignOut(ctx context.Context, all bool) error {
	if err := s.tick(ctx); err != nil {
		return err
	}
	if s.row.Selector == "" {
		return nil
	}
	a, ok := s.state.(authn.Authenticated)
	_, device := authn.Principal{}, false
	if ok {
		_, device = a.Device()
	}
	_, person := s.Person()
	if ok && device && person && !all {
		return s.signOutPerson(ctx)
	}
	_, effects, err := s.plan(s.state, authn.SignOut{At: s.now, All: true})
	if err != nil {
		effects = nil // a guest with values only: there is nothing to say
	}
	events := s.events(effects)
	if err := s.end(ctx); err != nil {
		return err
	}
	return s.engine.record(ctx, events...)
}

// signOutPerson leaves the device. A change that came in between does not save the person: it is tried again on top. If
// the secret was replaced meanwhile, the caller is not given the new one; and if another person came, there is nobody to
// sign out.
func (s *Session) signOutPerson(ctx context.Context) error {
	who, _ := s.Person()
	hash, stale := s.row.SecretHash, false
	for range 8 {
		_, err := s.change(ctx, authn.SignOut{At: s.now})
		if err == nil && stale {
			s.detach("")
			s.cookie = ""
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
		row, err := s.engine.store.Session(ctx, s.row.Selector, s.now)
		if err != nil || !row.Ended.IsZero() {
			return lostIsFine(broken("read session", err))
		}
		state, err := row.decode()
		if err != nil {
			return &UnavailableError{err}
		}
		live, _ := authn.At(state, s.now, row.Touched)
		a, ok := live.(authn.Authenticated)
		if !ok {
			return s.end(ctx)
		}
		if p, person := a.Person(); !person || p.Login != who.Login {
			s.detach("")
			return nil
		}
		stale = row.SecretHash != hash
		s.row, s.stored, s.state = row, live, live
	}
	return &UnavailableError{errors.New("the session changed again and again")}
}

// Recognized is whom the request's own credentials name, for a page to greet before a login begins.
type Recognized struct {
	Method authn.Method // that would be begun
	Names  authn.Names  // as far as the ambient factors name anyone
}

// Recognize verifies the ambient factors that a login would begin with, and begins nothing. It fails as [Session.Begin]
// would, and counts nothing: whoever has a bad certificate learns no more than that.
func (s *Session) Recognize(ctx context.Context) (Recognized, error) {
	tenant, err := s.ambientTenant(ctx)
	if err != nil {
		return Recognized{}, err
	}
	m, err := s.chooseMethod("", tenant, "")
	if err != nil {
		return Recognized{}, err
	}
	r := Recognized{Method: m}
	if err := s.certificateThere(ctx, m); err != nil {
		return r, err
	}
	shown, err := s.leadingAmbient(ctx, m)
	if err != nil {
		return r, err
	}
	if shown.why != "" {
		return r, ErrInvalidCredential
	}
	for _, e := range shown.evidence {
		if e.Names.Tenant != "" {
			r.Names.Tenant = e.Names.Tenant
		}
		if e.Names.User != "" {
			r.Names.User = e.Names.User
		}
	}
	return r, nil
}
