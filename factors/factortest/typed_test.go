package factortest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// pin is a factor whose credential people type: the same for any challenge. Users choose it themselves.
type pin struct {
	stored *string

	good     func(typed, want string) bool
	enough   func(typed string) bool
	complain func(typed string) error
}

func (pin) Describe() authn.Factor {
	return authn.Factor{Name: "pin", Kind: "pin", Identifies: authn.IdentifiesUser, AMR: []string{"pin"}, Best: authn.Strength{Category: authn.Know}}
}

func (pin) Challenge(context.Context, factors.Request) (factors.Challenge, error) {
	return factors.Challenge{Lifetime: time.Minute}, nil
}

// read takes what the engine makes of the code that somebody typed.
func read(credential json.RawMessage) (string, error) {
	var typed struct{ Code *string }
	if json.Unmarshal(credential, &typed) != nil || typed.Code == nil {
		return "", factors.Reject(factors.ReasonMalformed, "")
	}
	return *typed.Code, nil
}

func (p pin) Verify(_ context.Context, v factors.Verification) (factors.Verified, error) {
	typed, err := read(v.Credential)
	if err != nil {
		return factors.Verified{}, err
	}
	if want := *p.stored; want == "" || typed != want && (p.good == nil || !p.good(typed, want)) {
		if p.complain != nil {
			return factors.Verified{}, p.complain(typed)
		}
		return factors.Verified{}, factors.Reject("pin_wrong", "it is another")
	}
	return factors.Verified{Evidence: authn.Evidence{Subject: alice.Subject(), Credential: "pin-of-alice", Strength: authn.Strength{Category: authn.Know}, AMR: []string{"pin"}, At: v.Now}}, nil
}

func (pin) EnrolChallenge(context.Context, factors.Enrolment) (factors.Challenge, error) {
	return factors.Challenge{Lifetime: time.Minute}, nil
}

func (p pin) Enrol(_ context.Context, e factors.Enrolment) (factors.Credential, error) {
	typed, err := read(e.Credential)
	if err == nil && len(typed) < 4 && (p.enough == nil || !p.enough(typed)) {
		err = factors.Reject("pin_short", "")
	}
	return factors.Credential{ID: "pin-of-" + e.User.Name, Kind: "pin", Data: []byte(typed), Best: authn.Strength{Category: authn.Know}}, err
}

func code(text string) json.RawMessage {
	b, _ := json.Marshal(map[string]string{"code": text})
	return b
}

func pins(p pin) Suite {
	p.stored = new("482916")
	return Suite{Factor: p, Request: factors.Request{Now: now}, IgnoresChallenge: true,
		Good: func(json.RawMessage) (json.RawMessage, error) { return code(*p.stored), nil },
		Wrong: func(json.RawMessage) (map[string]json.RawMessage, error) {
			return map[string]json.RawMessage{"another": code("482917"), "empty": code(""), "longer": code("4829160")}, nil
		},
		Enrolling: &Enrolling{Enrolment: factors.Enrolment{Request: factors.Request{Now: now, Subject: alice.Subject()}, User: alice}, Chosen: true,
			Good: func(json.RawMessage) (json.RawMessage, error) { return code("771203"), nil },
			Wrong: func(json.RawMessage) (map[string]json.RawMessage, error) {
				return map[string]json.RawMessage{"too short": code("123")}, nil
			},
			Store: func(c factors.Credential) error { *p.stored = string(c.Data); return nil },
			Login: func(json.RawMessage) (json.RawMessage, error) { return code("771203"), nil },
		}}
}

func TestGoodPIN(t *testing.T) { Run(t, pins(pin{})) }

func TestBrokenPINs(t *testing.T) {
	for name, tt := range map[string]struct {
		factor pin
		says   string
	}{
		"any code":         {pin{good: func(string, string) bool { return true }}, `Wrong "another" was taken`},
		"an empty one":     {pin{good: func(typed, _ string) bool { return typed == "" }}, "a good credential, but code is empty was taken"},
		"the beginning":    {pin{good: func(typed, want string) bool { return len(typed) > 4 && strings.HasPrefix(want, typed) }}, "a good credential, but code has a letter less was taken"},
		"something behind": {pin{good: func(typed, want string) bool { return strings.HasPrefix(typed, want) }}, "a good credential, but code has a letter more was taken"},
		"five of six digits": {pin{good: func(typed, want string) bool { return len(typed) == 6 && typed[1:] == want[1:] }},
			"a good credential, but code has another letter at 0 of 6 was taken"},
		"says what was typed":   {pin{complain: func(typed string) error { return factors.Reject("pin_wrong", "not %s", typed) }}, `Wrong "another": the error holds a secret`},
		"says what is right":    {pin{complain: func(string) error { return factors.Reject("pin_wrong", "it is 482916") }}, "the error holds a secret"},
		"one of three digits":   {pin{enough: func(string) bool { return true }}, `enrolling: Wrong "too short" was taken`},
		"breaks where it's bad": {pin{complain: func(string) error { return errOther }}, "is no Rejection"},
	} {
		t.Run(name, func(t *testing.T) { finds(t, pins(tt.factor), tt.says) })
	}
}

// otp is a code that is made with a secret, which is shown when it is enrolled. Here the secret is the code.
type otp struct{ pin }

func (otp) EnrolChallenge(context.Context, factors.Enrolment) (factors.Challenge, error) {
	text := rand.Text()
	public, err := json.Marshal(text)
	return factors.Challenge{PublicKey: public, Data: []byte(text)}, err
}

func (o otp) Enrol(_ context.Context, e factors.Enrolment) (factors.Credential, error) {
	typed, err := read(e.Credential)
	if err == nil && (typed == "" || typed != string(e.Challenge.Data)) {
		err = factors.Reject("otp_wrong", "")
	}
	return factors.Credential{ID: "pin-of-" + e.User.Name, Kind: "pin", Data: []byte(typed), Best: authn.Strength{Category: authn.Know}}, err
}

// TestTypedAndAsked: a credential may ignore the challenge of a login, and not that of its enrolment.
func TestTypedAndAsked(t *testing.T) {
	s := pins(pin{})
	last := ""
	s.Factor = otp{s.Factor.(pin)}
	s.Enrolling.Chosen = false
	s.Enrolling.Good = func(public json.RawMessage) (json.RawMessage, error) {
		if err := json.Unmarshal(public, &last); err != nil {
			return nil, err
		}
		return code(last), nil
	}
	s.Enrolling.Login = func(json.RawMessage) (json.RawMessage, error) { return code(last), nil }
	problems := slices.DeleteFunc(Check(t.Context(), s), func(p string) bool {
		return p == "enrolling: two credentials have one id" // the model's own: users have one each
	})
	if len(problems) > 0 {
		t.Error(problems)
	}
}
