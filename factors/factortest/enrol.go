package factortest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// Enrolling is how to please and displease an [factors.Enroller].
type Enrolling struct {
	// Enrolment is one on which a good credential is added. Its Credential and Challenge are not looked at.
	Enrolment factors.Enrolment
	// Good answers a challenge with a good new credential, another one with each call. Nil where the credential is in the
	// request.
	Good Answer
	// Wrong answers a challenge with what has the form of a good new credential and must be rejected. Needed with Good,
	// unless the credential is Chosen.
	Wrong Answers
	// Hints are as those of the suite: members that may say anything, or that nothing vouches for before the credential
	// is used.
	Hints []string
	// Chosen says that the answer is what the user likes, as a new password is: it is good for any challenge, and a
	// changed one is as good.
	Chosen bool
	// Refused are enrolments on which nothing can be added, by name: somebody else's certificate. Needed without Good.
	Refused map[string]factors.Enrolment
	// Store puts a new credential where the factor's directory finds it, as the engine would.
	Store func(factors.Credential) error
	// Login is the suite's Good with the credential that Good made last. Nil where the credential is in the request.
	Login Answer
}

// complete complains about what the suite needs and doesn't have.
func (e *Enrolling) complete(c *checker) {
	for _, rule := range []struct {
		broken bool
		says   string
	}{
		{e.Store == nil, "the suite needs Enrolling.Store"},
		{e.Good != nil && e.Wrong == nil && !e.Chosen, "the suite needs Enrolling.Wrong"},
		{e.Good == nil && len(e.Refused) == 0, "the suite needs Enrolling.Refused where the credential is in the request"},
		{!c.about.Ambient && (e.Good == nil || e.Login == nil), "the suite needs Enrolling.Good and Enrolling.Login for an interactive factor"},
	} {
		if rule.broken {
			c.complain("%s", rule.says)
		}
	}
}

func (c *checker) enroller() factors.Enroller { return c.Factor.(factors.Enroller) }

// enrols adds a credential and signs in with it, then tries to add what is not good.
func (c *checker) enrols() {
	if c.Enrolling == nil || !c.enrolsGood(c.Enrolling.Enrolment) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Enrolling.Refused)) {
		if e, ok := c.answered(c.Enrolling.Refused[name]); ok {
			c.notEnrolled(fmt.Sprintf("enrolling: Refused %q", name), e)
		}
	}
	if c.Enrolling.Good == nil {
		return
	}
	c.refusesWrongEnrolment()
	c.refusesBrokenEnrolment()
	if !c.Enrolling.Chosen {
		c.keepsPurposesApart()
	}
}

// asks makes a challenge for a new credential.
func (c *checker) asks(e factors.Enrolment) (factors.Enrolment, json.RawMessage, bool) {
	made, err := c.enroller().EnrolChallenge(c.ctx, e)
	if err != nil {
		c.complain("enrolling: no challenge: %v", err)
		return e, nil, false
	}
	c.challenge("a challenge for enrolling", made)
	e.Challenge, e.Credential = asked(made, e.Now), json.RawMessage("{}")
	return e, shown(made), true
}

// answered makes a challenge for a new credential and a good answer to it.
func (c *checker) answered(e factors.Enrolment) (factors.Enrolment, bool) {
	e, public, ok := c.asks(e)
	if !ok || c.Enrolling.Good == nil {
		return e, ok
	}
	var err error
	if e.Credential, err = c.Enrolling.Good(public); err != nil {
		c.complain("enrolling: no good answer: %v", err)
		return e, false
	}
	c.secret(e.Credential)
	return e, true
}

func (c *checker) enrol(ctx context.Context, e factors.Enrolment) (made factors.Credential, err error) {
	err = safely(func() error {
		made, err = c.enroller().Enrol(ctx, e)
		return err
	})
	return made, err
}

func (c *checker) notEnrolled(what string, e factors.Enrolment) authn.Reason {
	return c.refused(what, func(ctx context.Context) error { _, err := c.enrol(ctx, e); return err })
}

// enrolsGood adds a credential and signs in with it, which must not work before it is stored.
func (c *checker) enrolsGood(e factors.Enrolment) bool {
	e, ok := c.answered(e)
	if !ok {
		return false
	}
	_, err := c.enrol(c.ended, e)
	c.endures("enrolling: a good answer", err)
	made, err := c.enrol(c.ctx, e)
	if err != nil {
		c.complain("enrolling: a good answer was refused: %v", err)
		return false
	}
	c.credential(made)
	if v, ok := c.login(e.Request); ok {
		c.rejected("a credential that was not stored", v)
	}
	made.Tenant, made.User, made.Factor, made.Name, made.Created = e.User.Tenant, e.User.ID, c.about.Name, "new", e.Now
	if err := c.Enrolling.Store(made); err != nil {
		c.complain("enrolling: not stored: %v", err)
		return false
	}
	v, ok := c.login(e.Request)
	if !ok {
		return false
	}
	got, err := c.verify(c.ctx, v)
	if err != nil {
		c.complain("the credential that was enrolled is refused: %v", err)
		return false
	}
	c.fits(got, made, e.User.Subject(), e.Now)
	if c.Enrolling.Good == nil || c.Enrolling.Chosen {
		return true
	}
	e.Existing = append(slices.Clip(e.Existing), made)
	if e, ok = c.answered(e); !ok {
		return false
	}
	if another, err := c.enrol(c.ctx, e); err != nil {
		c.complain("enrolling: a second credential was refused: %v", err)
	} else if another.ID == made.ID {
		c.complain("enrolling: two credentials have one id")
	}
	return true
}

func (c *checker) credential(made factors.Credential) {
	switch {
	case made.ID == "":
		c.complain("enrolling: the credential has no id")
	case made.Kind == "":
		c.complain("enrolling: the credential has no kind")
	case made.Best.Category == 0 || !within(made.Best, c.about.Best):
		c.complain("enrolling: the credential is stronger than Describe says, or worth nothing: %+v", made.Best)
	case made.Flagged != "":
		c.complain("enrolling: the credential is flagged from the start: %s", made.Flagged)
	}
}

// fits holds the evidence of a login to the credential that was enrolled, and to whom it belongs.
func (c *checker) fits(got factors.Verified, made factors.Credential, of authn.Subject, now time.Time) {
	e, best := got.Evidence, made.Best
	if got.Update != nil {
		best = got.Update.Best
	}
	c.evidence(e, now)
	switch {
	case e.Credential != made.ID:
		c.complain("enrolled as credential %q, and signed in with %q", made.ID, e.Credential)
	case !within(e.Strength, best):
		c.complain("evidence stronger than the credential's Best: %+v", e.Strength)
	case c.about.Identifies == authn.IdentifiesUser && e.Subject != of, e.Subject.Tenant != "" && e.Subject.Tenant != of.Tenant:
		c.complain("enrolled by %+v, and signed in as %+v", of, e.Subject)
	}
}

// login makes a challenge and answers it with the credential that was made last.
func (c *checker) login(r factors.Request) (factors.Verification, bool) {
	v, public, ok := c.ask(r)
	if !ok || c.Enrolling.Login == nil {
		return v, ok
	}
	var err error
	if v.Credential, err = c.Enrolling.Login(public); err != nil {
		c.complain("no credential by Enrolling.Login: %v", err)
		return v, false
	}
	return v, true
}

func (c *checker) refusesWrongEnrolment() {
	if c.Enrolling.Wrong == nil {
		return
	}
	e, public, ok := c.asks(c.Enrolling.Enrolment)
	if !ok {
		return
	}
	wrong, err := c.Enrolling.Wrong(public)
	if err != nil || len(wrong) == 0 {
		c.complain("enrolling: no wrong answer: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		what := fmt.Sprintf("enrolling: Wrong %q", name)
		if !json.Valid(wrong[name]) {
			c.complain("%s is no JSON, so nothing is learned from it", what)
			continue
		}
		e.Credential = wrong[name]
		c.never(what, func(ctx context.Context) error { _, err := c.enrol(ctx, e); return err })
		if c.notEnrolled(what, e) == factors.ReasonMalformed {
			c.complain("%s was rejected for its form (%s), so nothing is learned from it", what, factors.ReasonMalformed)
		}
	}
}

func (c *checker) refusesBrokenEnrolment() {
	e, ok := c.answered(c.Enrolling.Enrolment)
	if !ok {
		return
	}
	all := misshapen(e.Credential)
	if !c.Enrolling.Chosen {
		all = append(all, misread(e.Credential, c.Enrolling.Hints)...)
	}
	for _, b := range all {
		e.Credential = b.credential
		what := "enrolling: " + b.what
		if b.hint {
			_, err := c.enrol(c.ctx, e)
			c.decided(what, err)
			continue
		}
		c.notEnrolled(what, e)
	}
}

// keepsPurposesApart uses challenges of logins for enrolling, and the other way round.
func (c *checker) keepsPurposesApart() {
	e, ok := c.answered(c.Enrolling.Enrolment)
	other, also := c.answered(c.Enrolling.Enrolment)
	if !ok || !also {
		return
	}
	crossed := e
	crossed.Challenge = other.Challenge
	c.notEnrolled("enrolling: an answer to another challenge", crossed)
	crossed.Challenge = factors.Asked{}
	c.notEnrolled("enrolling: an answer to no challenge", crossed)
	v, public, ok := c.ask(e.Request)
	if !ok {
		return
	}
	crossed.Challenge = v.Challenge
	c.notEnrolled("enrolling: an answer with the challenge of a login in the place of its own", crossed)
	if answer, err := c.Enrolling.Good(public); err == nil { // whoever makes answers may not know what to do with it
		crossed.Credential = answer
		c.notEnrolled("enrolling: an answer to the challenge of a login", crossed)
	}
	if c.IgnoresChallenge {
		return
	}
	v, ok = c.attempt()
	if !ok {
		return
	}
	asked, public, ok := c.asks(c.Enrolling.Enrolment)
	if !ok {
		return
	}
	v.Challenge = asked.Challenge
	c.rejected("a good credential with the challenge of an enrolment in the place of its own", v)
	if answer, err := c.Good(public); err == nil {
		v.Credential = answer
		c.rejected("an answer to the challenge of an enrolment", v)
	}
}
