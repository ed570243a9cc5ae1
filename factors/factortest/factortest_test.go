package factortest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// echo is a factor whose good credential is the challenge itself. Its fields are ways of breaking the contract.
type echo struct {
	strong, ambient, breaks, trusting, late, named, leaks bool
}

func (e echo) Describe() authn.Factor {
	return authn.Factor{Name: "echo", Kind: "echo", Ambient: e.ambient, Identifies: authn.IdentifiesTenant, Best: authn.Strength{Category: authn.Know}, AMR: []string{"pin"}}
}

func (e echo) Challenge(context.Context, factors.Request) (factors.Challenge, error) {
	text, err := json.Marshal(rand.Text())
	return factors.Challenge{PublicKey: text, Data: text}, err
}

func (e echo) Verify(_ context.Context, v factors.Verification) (factors.Verified, error) {
	if !e.trusting && (len(v.Challenge.Data) == 0 || string(v.Credential) != string(v.Challenge.Data)) {
		switch {
		case e.breaks:
			return factors.Verified{}, errors.New("it broke")
		case e.leaks:
			return factors.Verified{}, factors.Reject(factors.ReasonMalformed, "hunter2")
		}
		return factors.Verified{}, factors.Reject(factors.ReasonMalformed, "")
	}
	ev := authn.Evidence{Subject: authn.Subject{Tenant: "corp"}, Strength: authn.Strength{Category: authn.Know, PhishingResistant: e.strong}, AMR: []string{"pin"}, At: v.Now}
	if e.late {
		ev.At = v.Now.Add(time.Second)
	}
	if e.named {
		ev.Subject.User = "alice"
	}
	return factors.Verified{Evidence: ev}, nil
}

func suite(e echo) Suite {
	return Suite{Factor: e, Request: factors.Request{Now: time.Unix(1e9, 0)}, Secrets: []string{"hunter2"},
		Good: func(publicKey json.RawMessage) (json.RawMessage, error) { return publicKey, nil }}
}

func TestGoodFactor(t *testing.T) { Run(t, suite(echo{})) }

func TestBrokenFactors(t *testing.T) {
	for name, tt := range map[string]struct {
		factor echo
		says   string
	}{
		"stronger than it says":    {echo{strong: true}, "stronger than Describe says"},
		"ambient and interactive":  {echo{ambient: true}, "and not both"},
		"breaks on bad input":      {echo{breaks: true}, "is no Rejection"},
		"takes everything":         {echo{trusting: true}, "was taken"},
		"evidence of another time": {echo{late: true}, "asked at"},
		"names more than it may":   {echo{named: true}, "a subject that Describe does not allow"},
		"a secret in an error":     {echo{leaks: true}, "holds a secret"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(Check(t.Context(), suite(tt.factor)), "\n"); !strings.Contains(got, tt.says) {
				t.Errorf("it said %q, want %q in it", got, tt.says)
			}
		})
	}
}
