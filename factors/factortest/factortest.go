// Package factortest holds a factor to the contract of package factors, as testing/fstest does for file systems.
package factortest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// Suite is a factor, and how to please it.
type Suite struct {
	Factor factors.Factor
	// Request is a request on which a good credential verifies.
	Request factors.Request
	// Good answers a challenge with a good credential, a new one with each call. Nil for ambient factors, whose
	// credential is in the request.
	Good func(publicKey json.RawMessage) (json.RawMessage, error)
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

// Check runs the suite and gives what is wrong. The factor is used by several goroutines at once.
func Check(ctx context.Context, s Suite) []string {
	c := &checker{Suite: s, ctx: ctx, about: s.Factor.Describe()}
	c.describes()
	if len(c.problems) == 0 {
		c.verifiesGood()
		c.rejectsBad()
		c.keepsChallengesApart()
		c.atOnce()
	}
	return c.problems
}

type checker struct {
	Suite
	ctx      context.Context
	about    authn.Factor
	mu       sync.Mutex
	problems []string
}

func (c *checker) complain(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
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
	if interactive == c.about.Ambient {
		c.complain("a factor is a Challenger or ambient, and not both")
	}
	if c.about.Tied && !tied {
		c.complain("its evidence is tied, and it is not Tied")
	}
	if interactive && c.Good == nil {
		c.complain("the suite needs Good for an interactive factor")
	}
}

// attempt makes a challenge, where there is one, and an answer to it.
func (c *checker) attempt() (factors.Verification, bool) {
	v := factors.Verification{Request: c.Request, Credential: json.RawMessage("{}")}
	asks, ok := c.Factor.(factors.Challenger)
	if !ok {
		return v, true
	}
	made, err := asks.Challenge(c.ctx, c.Request)
	if err != nil {
		c.complain("no challenge: %v", err)
		return v, false
	}
	v.Challenge = factors.Asked{ID: "challenge", Data: made.Data, Issued: c.Request.Now, Expires: c.Request.Now.Add(made.Lifetime)}
	if made.Lifetime == 0 {
		v.Challenge.Expires = c.Request.Now.Add(1 << 30)
	}
	if v.Credential, err = c.Good(made.PublicKey); err != nil {
		c.complain("no good credential: %v", err)
		return v, false
	}
	return v, true
}

func (c *checker) verifiesGood() {
	v, ok := c.attempt()
	if !ok {
		return
	}
	got, err := c.Factor.Verify(c.ctx, v)
	if err != nil {
		c.complain("a good credential was refused: %v", err)
		return
	}
	e := got.Evidence
	best := c.about.Best
	switch {
	case !e.At.Equal(c.Request.Now):
		c.complain("evidence of %v, asked at %v", e.At, c.Request.Now)
	case !e.Subject.Valid(), e.Subject.Tenant != "" && c.about.Identifies < authn.IdentifiesTenant, e.Subject.User != "" && c.about.Identifies < authn.IdentifiesUser:
		c.complain("evidence of a subject that Describe does not allow: %+v", e.Subject)
	case e.Strength.Category == 0 || e.Strength.Category&^best.Category != 0, e.Strength.PhishingResistant && !best.PhishingResistant,
		e.Strength.Hardware && !best.Hardware, e.Strength.UserVerified && !best.UserVerified:
		c.complain("evidence stronger than Describe says, or worth nothing: %+v", e.Strength)
	case slices.ContainsFunc(e.AMR, func(v string) bool { return !slices.Contains(c.about.AMR, v) }):
		c.complain("AMR values that Describe does not have: %v", e.AMR)
	case (e.Tie != nil) != c.about.Tied:
		c.complain("tied: %t, and Describe says %t", e.Tie != nil, c.about.Tied)
	}
}

// rejectsBad damages a good credential in every way: it must be rejected, and never break anything.
func (c *checker) rejectsBad() {
	if c.about.Ambient {
		v, _ := c.attempt()
		v.Peer = factors.PeerCertChain{}
		c.rejected("a request without anything", v)
		return
	}
	v, ok := c.attempt()
	if !ok {
		return
	}
	good := v.Credential
	bad := []json.RawMessage{nil, {}, json.RawMessage("null"), json.RawMessage("{}"), json.RawMessage("[]"), json.RawMessage(`"x"`), json.RawMessage("1"),
		good[:len(good)/2], good[:len(good)-1], bytes.Repeat([]byte("a"), 1<<20), append(slices.Clone(good), "{}"...)}
	for i := 0; i < len(good); i += max(1, len(good)/64) {
		if bytes.IndexByte([]byte(`{}[],:" `), good[i]) < 0 {
			continue // another letter in a name that nobody reads may be as good
		}
		flipped := slices.Clone(good)
		flipped[i] = 0
		bad = append(bad, flipped)
	}
	for _, b := range bad {
		v.Credential = b
		c.rejected(fmt.Sprintf("a credential of %d bytes that is broken", len(b)), v)
	}
}

func (c *checker) rejected(what string, v factors.Verification) {
	_, err := c.Factor.Verify(c.ctx, v)
	var rejection *factors.Rejection
	switch {
	case err == nil:
		c.complain("%s was taken", what)
	case !errors.As(err, &rejection):
		c.complain("%s is no Rejection: %v", what, err)
	case rejection.Reason == "":
		c.complain("%s was rejected without a reason", what)
	}
	for _, secret := range c.Secrets {
		if err != nil && bytes.Contains([]byte(err.Error()), []byte(secret)) {
			c.complain("an error holds a secret")
		}
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
	crossed := v
	crossed.Challenge = other.Challenge
	c.rejected("an answer to another challenge", crossed)
	crossed.Challenge = factors.Asked{}
	c.rejected("an answer to no challenge", crossed)
}

// atOnce has many goroutines verify, for the race detector, with a context that has ended among them.
func (c *checker) atOnce() {
	ended, cancel := context.WithCancel(c.ctx)
	cancel()
	var all sync.WaitGroup
	for i := range 8 {
		v, ok := c.attempt()
		if !ok {
			return
		}
		all.Go(func() {
			ctx := c.ctx
			if i%4 == 3 {
				ctx = ended
			}
			if _, err := c.Factor.Verify(ctx, v); err != nil && ctx == c.ctx {
				c.complain("a good credential was refused beside others: %v", err)
			}
		})
	}
	all.Wait()
}
