// Package factortest holds a factor to the contract of package factors, as testing/fstest does for file systems.
//
// The suite knows nothing of what a factor verifies, so its author supplies what is good and what is wrong. From what is
// good the suite makes what is broken: text that is no JSON, members that are missing or of another type, values of which
// a bit is another.
package factortest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// Answer answers a challenge, of which it gets what a browser would: the PublicKey, or where the browser is sent elsewhere
// {"redirect_to": "https://…"}.
type Answer func(publicKey json.RawMessage) (json.RawMessage, error)

// Answers answers a challenge in several ways, each by its name.
type Answers func(publicKey json.RawMessage) (map[string]json.RawMessage, error)

// Suite is a factor, and how to please and displease it.
type Suite struct {
	Factor factors.Factor
	// Request is a request on which a good credential verifies.
	Request factors.Request
	// Good answers a challenge with a good credential, a new one with each call. Nil for ambient factors, whose
	// credential is in the request.
	Good Answer
	// Wrong answers a challenge with credentials that have the form of a good one and must be rejected: somebody else's,
	// one made with another key, an answer to another challenge. Interactive factors need at least one.
	Wrong Answers
	// Hints are the members of a credential that may say anything, because the factor doesn't rely on them, as paths:
	// "response.transports". What is below a member is part of it. All others must make a difference.
	Hints []string
	// IgnoresChallenge says that the same answer is good for any challenge, as a password, a PIN or the code of an
	// authenticator app is, and a code that was sent to somebody is not. It must not claim to resist phishing then, and
	// its "code" or "password" counts as one of Secrets.
	IgnoresChallenge bool
	// WrongRequests are requests on which no credential is good, by name: a certificate of another CA, one that has
	// expired. Ambient factors need at least one.
	WrongRequests map[string]factors.Request
	// OtherRequests are requests on which a good credential verifies, but not the one that Request carries, by name:
	// somebody else's certificate. What was won on Request must not be carried on by them. Factors whose evidence is tied
	// need at least one.
	OtherRequests map[string]factors.Request
	// Enrolling is how credentials are added. A [factors.Enroller] needs it.
	Enrolling *Enrolling
	// Secrets are texts that must be in no error.
	Secrets []string
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Helper()
	for _, problem := range Check(t.Context(), s) {
		t.Error(problem)
	}
}

// Check runs the suite and gives what is wrong. The factor is used by several goroutines at once; the functions of the
// suite are not.
func Check(ctx context.Context, s Suite) []string {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	c := &checker{Suite: s, ctx: ctx, ended: ended, about: s.Factor.Describe()}
	c.describes()
	if len(c.problems) == 0 {
		c.verifiesGood()
		c.rejectsWrong()
		c.rejectsBroken()
		c.keepsChallengesApart()
		c.keepsTies()
		c.atOnce()
		c.enrols()
	}
	return c.problems
}

type checker struct {
	Suite
	ctx      context.Context
	ended    context.Context // was cancelled
	about    authn.Factor
	mu       sync.Mutex
	problems []string
}

func (c *checker) complain(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := fmt.Sprintf(format, args...); !slices.Contains(c.problems, p) {
		c.problems = append(c.problems, p)
	}
}

func (c *checker) describes() {
	again := c.Factor.Describe()
	if again.Name != c.about.Name || again.Kind != c.about.Kind || again.Best != c.about.Best || !slices.Equal(again.AMR, c.about.AMR) {
		c.complain("Describe gives another answer the second time")
	}
	if c.about.Name == "" || c.about.Kind == "" {
		c.complain("Describe gives no name or no kind")
	}
	_, interactive := c.Factor.(factors.Challenger)
	_, tied := c.Factor.(factors.Tied)
	_, enroller := c.Factor.(factors.Enroller)
	for _, rule := range []struct {
		broken bool
		says   string
	}{
		{interactive == c.about.Ambient, "a factor is a Challenger or ambient, and not both"},
		{c.about.Tied && !tied, "its evidence is tied, and it is not Tied"},
		{interactive && c.Good == nil, "the suite needs Good for an interactive factor"},
		{interactive && c.Wrong == nil, "the suite needs Wrong for an interactive factor"},
		{c.about.Ambient && len(c.WrongRequests) == 0, "the suite needs WrongRequests for an ambient factor"},
		{c.about.Tied && len(c.OtherRequests) == 0, "the suite needs OtherRequests for a factor whose evidence is tied"},
		{enroller && c.Enrolling == nil, "the suite needs Enrolling for an Enroller"},
		{!enroller && c.Enrolling != nil, "the suite has Enrolling, and the factor is no Enroller"},
		{c.IgnoresChallenge && c.about.Best.PhishingResistant, "Describe claims to resist phishing for a credential that is good for any challenge"},
	} {
		if rule.broken {
			c.complain("%s", rule.says)
		}
	}
	if c.Enrolling != nil && enroller {
		c.Enrolling.complete(c)
	}
}

// ask makes a challenge, where there is one, and gives what the caller sees of it.
func (c *checker) ask(r factors.Request) (factors.Verification, json.RawMessage, bool) {
	v := factors.Verification{Request: r, Credential: json.RawMessage("{}")}
	asks, ok := c.Factor.(factors.Challenger)
	if !ok {
		return v, nil, true
	}
	made, err := asks.Challenge(c.ctx, r)
	if err != nil {
		c.complain("no challenge: %v", err)
		return v, nil, false
	}
	c.challenge("a challenge", made)
	v.Challenge = asked(made, r.Now)
	return v, shown(made), true
}

// shown is what a browser gets of a challenge.
func shown(made factors.Challenge) json.RawMessage {
	if made.RedirectTo == "" {
		return made.PublicKey
	}
	b, err := json.Marshal(map[string]string{"redirect_to": made.RedirectTo})
	if err != nil {
		return nil
	}
	return b
}

func (c *checker) challenge(what string, made factors.Challenge) {
	const most = 16 << 10
	switch {
	case len(made.Data) > most:
		c.complain("%s has %d bytes of Data, more than %d", what, len(made.Data), most)
	case len(made.PublicKey) > 0 && !json.Valid(made.PublicKey):
		c.complain("%s has a PublicKey that is no JSON", what)
	case made.RedirectTo != "" && len(made.PublicKey) > 0:
		c.complain("%s has a PublicKey and sends the browser elsewhere as well", what)
	case made.RedirectTo != "" && !absolute(made.RedirectTo):
		c.complain("%s sends the browser to what is no absolute http or https URL", what)
	case made.Lifetime < 0:
		c.complain("%s has a negative Lifetime", what)
	}
}

func absolute(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

func asked(made factors.Challenge, now time.Time) factors.Asked {
	life := made.Lifetime
	if life == 0 {
		life = time.Minute
	}
	return factors.Asked{ID: "challenge", Data: made.Data, Issued: now, Expires: now.Add(life)}
}

// attempt makes a challenge, where there is one, and a good answer to it.
func (c *checker) attempt() (factors.Verification, bool) {
	v, public, ok := c.ask(c.Request)
	if !ok || c.about.Ambient {
		return v, ok
	}
	var err error
	if v.Credential, err = c.Good(public); err != nil {
		c.complain("no good credential: %v", err)
		return v, false
	}
	c.secret(v.Credential)
	return v, true
}

// secret remembers what people type as one of the secrets.
func (c *checker) secret(credential json.RawMessage) {
	var typed struct{ Code, Password string }
	if !c.IgnoresChallenge || json.Unmarshal(credential, &typed) != nil {
		return
	}
	for _, text := range []string{typed.Code, typed.Password} {
		if text != "" && !slices.Contains(c.Secrets, text) {
			c.Secrets = append(slices.Clip(c.Secrets), text)
		}
	}
}

// safely calls the factor. A panic counts as an error of it.
func safely(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	return call()
}

func (c *checker) verify(ctx context.Context, v factors.Verification) (got factors.Verified, err error) {
	err = safely(func() error {
		got, err = c.Factor.Verify(ctx, v)
		return err
	})
	return got, err
}

func (c *checker) verifiesGood() {
	v, ok := c.attempt()
	if !ok {
		return
	}
	got, err := c.verify(c.ctx, v)
	if err != nil {
		c.complain("a good credential was refused: %v", err)
		return
	}
	c.evidence(got.Evidence, c.Request.Now)
	if c.about.Ambient {
		return
	}
	if v, ok = c.attempt(); !ok {
		return
	}
	if v.Credential, err = rewritten(v.Credential); err != nil {
		c.complain("a good credential is no JSON: %v", err)
		return
	}
	if _, err := c.verify(c.ctx, v); err != nil {
		c.complain("a good credential was refused after its members were put into another order: %v", err)
	}
}

func (c *checker) evidence(e authn.Evidence, now time.Time) {
	switch {
	case !e.At.Equal(now):
		c.complain("evidence of %v, asked at %v", e.At, now)
	case !e.Subject.Valid(), e.Subject.Tenant != "" && c.about.Identifies < authn.IdentifiesTenant, e.Subject.User != "" && !c.about.Names(e.Subject.Class):
		c.complain("evidence of a subject that Describe does not allow: %+v", e.Subject)
	case e.Strength.Category == 0 || !within(e.Strength, c.about.Best):
		c.complain("evidence stronger than Describe says, or worth nothing: %+v", e.Strength)
	case slices.ContainsFunc(e.AMR, func(v string) bool { return !slices.Contains(c.about.AMR, v) }):
		c.complain("AMR values that Describe does not have: %v", e.AMR)
	case (e.Tie != nil) != c.about.Tied:
		c.complain("tied: %t, and Describe says %t", e.Tie != nil, c.about.Tied)
	}
}

func within(s, best authn.Strength) bool {
	return s.Category&^best.Category == 0 && (best.PhishingResistant || !s.PhishingResistant) &&
		(best.Hardware || !s.Hardware) && (best.UserVerified || !s.UserVerified)
}

// rejectsWrong tries what has the right form and is not good.
func (c *checker) rejectsWrong() {
	for _, name := range slices.Sorted(maps.Keys(c.WrongRequests)) {
		v, ok := c.attempt()
		if !ok {
			return
		}
		v.Request = c.WrongRequests[name]
		what := fmt.Sprintf("WrongRequests %q", name)
		c.rejected(what, v)
		c.never(what, func(ctx context.Context) error { _, err := c.verify(ctx, v); return err })
	}
	if c.about.Ambient {
		c.rejected("a request without anything", factors.Verification{Credential: json.RawMessage("{}"),
			Request: factors.Request{Now: c.Request.Now, Origin: c.Request.Origin}})
		return
	}
	v, public, ok := c.ask(c.Request)
	if !ok {
		return
	}
	wrong, err := c.Wrong(public)
	if err != nil || len(wrong) == 0 {
		c.complain("no wrong credential: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		what := fmt.Sprintf("Wrong %q", name)
		if !json.Valid(wrong[name]) {
			c.complain("%s is no JSON, so nothing is learned from it", what)
			continue
		}
		v.Credential = wrong[name]
		c.never(what, func(ctx context.Context) error { _, err := c.verify(ctx, v); return err })
		c.secret(wrong[name])
		if c.rejected(what, v) == factors.ReasonMalformed {
			c.complain("%s was rejected for its form (%s), so nothing is learned from it", what, factors.ReasonMalformed)
		}
	}
}

// rejectsBroken damages a good credential: it must be rejected, and never break anything.
func (c *checker) rejectsBroken() {
	if c.about.Ambient {
		return
	}
	v, ok := c.attempt()
	if !ok {
		return
	}
	good := v.Credential
	for _, b := range append(misshapen(good), misread(good, c.Hints)...) {
		v.Credential = b.credential
		if b.hint {
			_, err := c.verify(c.ctx, v)
			c.decided(b.what, err)
			continue
		}
		c.rejected(b.what, v)
	}
}

// rejected wants a rejection and gives its reason.
func (c *checker) rejected(what string, v factors.Verification) authn.Reason {
	return c.refused(what, func(ctx context.Context) error { _, err := c.verify(ctx, v); return err })
}

// refused wants a rejection of a call, and gives its reason.
func (c *checker) refused(what string, call func(context.Context) error) authn.Reason {
	err := call(c.ctx)
	if err == nil {
		c.complain("%s was taken", what)
	}
	return c.decided(what, err)
}

// never wants a call that is rejected not to be taken once the context has ended. Nothing need be decided then.
func (c *checker) never(what string, call func(context.Context) error) {
	if call(c.ended) == nil && call(c.ctx) != nil {
		c.complain("%s was taken, the context having ended", what)
	}
}

// decided wants a call to be taken or rejected, and gives the reason.
func (c *checker) decided(what string, err error) authn.Reason {
	if err == nil {
		return ""
	}
	for _, secret := range c.Secrets {
		if strings.Contains(err.Error(), secret) {
			c.complain("%s: the error holds a secret", what)
		}
	}
	var rejection *factors.Rejection
	if !errors.As(err, &rejection) {
		c.complain("%s is no Rejection: %v", what, err)
		return ""
	}
	if rejection.Reason == "" {
		c.complain("%s was rejected without a reason", what)
	}
	return rejection.Reason
}

// endures wants a good call to succeed, or to break, once the context has ended: it says nothing about the caller then.
func (c *checker) endures(what string, err error) {
	if errors.As(err, new(*factors.Rejection)) {
		c.complain("%s was rejected, the context having ended: %v", what, err)
	}
}

func (c *checker) keepsChallengesApart() {
	if c.about.Ambient {
		return
	}
	v, ok := c.attempt()
	other, also := c.attempt()
	if !ok || !also {
		return
	}
	c.addresses(v, other)
	crossed := v
	crossed.Challenge = other.Challenge
	if c.IgnoresChallenge {
		if _, err := c.verify(c.ctx, crossed); err != nil {
			c.complain("IgnoresChallenge is set, and an answer to another challenge is refused: %v", err)
		}
		return
	}
	c.rejected("an answer to another challenge", crossed)
	crossed.Challenge = factors.Asked{}
	c.rejected("an answer to no challenge", crossed)
}

// addresses holds a [factors.Addressed] to which of two challenges an answer is to. It must not say yes to what it cannot read.
func (c *checker) addresses(v, other factors.Verification) {
	f, ok := c.Factor.(factors.Addressed)
	if !ok {
		return
	}
	says := func(what string, credential json.RawMessage, asked factors.Asked, want bool) {
		var got bool
		if err := safely(func() error { got = f.Answers(credential, asked); return nil }); err != nil {
			c.complain("Answers, about %s: %v", what, err)
		} else if got != want {
			c.complain("Answers says %t about %s", got, what)
		}
	}
	says("a good credential and its challenge", v.Credential, v.Challenge, true)
	says("a good credential and another challenge", v.Credential, other.Challenge, false)
	says("a good credential and no challenge", v.Credential, factors.Asked{}, false)
	for _, b := range misshapen(v.Credential) {
		says(b.what, b.credential, v.Challenge, false)
	}
}

// atOnce has many goroutines verify, for the race detector, what is good and what isn't, with contexts that have ended
// among them.
func (c *checker) atOnce() {
	var all sync.WaitGroup
	for i := range 12 {
		v, ok := c.attempt()
		if !ok {
			return
		}
		all.Go(func() {
			switch i % 4 {
			case 0:
				v.Credential, v.Peer = json.RawMessage("{}"), factors.PeerCertChain{}
				if _, err := c.verify(c.ctx, v); err == nil {
					c.complain("nothing at all was taken beside good credentials")
				}
			case 1:
				got, err := c.verify(c.ended, v)
				c.endures("a good credential", err)
				if err == nil {
					c.evidence(got.Evidence, c.Request.Now)
				}
			default:
				if _, err := c.verify(c.ctx, v); err != nil {
					c.complain("a good credential was refused beside others: %v", err)
				}
			}
		})
	}
	all.Wait()
}
