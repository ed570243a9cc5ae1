package factortest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors"
)

const elsewhere = "https://reader.example/?asked="

// away is a factor of cards that are read elsewhere: its challenges send the browser there.
type away struct {
	*card
	sends   func(*factors.Challenge)
	answers func(credential json.RawMessage, asked factors.Asked, right bool) bool
}

func (a away) send(made factors.Challenge, err error) (factors.Challenge, error) {
	made.RedirectTo, made.PublicKey = elsewhere+base64.RawURLEncoding.EncodeToString(made.PublicKey), nil
	if a.sends != nil {
		a.sends(&made)
	}
	return made, err
}

func (a away) Challenge(ctx context.Context, r factors.Request) (factors.Challenge, error) {
	return a.send(a.card.Challenge(ctx, r))
}

func (a away) EnrolChallenge(ctx context.Context, e factors.Enrolment) (factors.Challenge, error) {
	return a.send(a.card.EnrolChallenge(ctx, e))
}

func (a away) Answers(credential json.RawMessage, asked factors.Asked) bool {
	var said answer
	right := json.Unmarshal(credential, &said) == nil && len(asked.Data) > 0 &&
		said.Asked == base64.RawURLEncoding.EncodeToString(asked.Data)
	if a.answers != nil {
		return a.answers(credential, asked, right)
	}
	return right
}

// there follows where the browser is sent.
func there(answer Answer) Answer {
	return func(shown json.RawMessage) (json.RawMessage, error) {
		asked, err := follow(shown)
		if err != nil {
			return nil, err
		}
		return answer(asked)
	}
}

func follow(shown json.RawMessage) ([]byte, error) {
	var to struct {
		RedirectTo string `json:"redirect_to"`
	}
	if err := json.Unmarshal(shown, &to); err != nil {
		return nil, err
	}
	return base64.RawURLEncoding.DecodeString(strings.TrimPrefix(to.RedirectTo, elsewhere))
}

func thereWrong(answers Answers) Answers {
	return func(shown json.RawMessage) (map[string]json.RawMessage, error) {
		asked, err := follow(shown)
		if err != nil {
			return nil, err
		}
		return answers(asked)
	}
}

func sent(a away) Suite {
	s := cards(a.card)
	s.Factor, s.Good, s.Wrong = a, there(s.Good), thereWrong(s.Wrong)
	s.Enrolling.Good, s.Enrolling.Login, s.Enrolling.Wrong = there(s.Enrolling.Good), there(s.Enrolling.Login), thereWrong(s.Enrolling.Wrong)
	return s
}

func TestGoodFactorElsewhere(t *testing.T) { Run(t, sent(away{card: &card{}})) }

func TestBrokenFactorsElsewhere(t *testing.T) {
	for name, tt := range map[string]struct {
		factor away
		says   string
	}{
		"nowhere": {away{sends: func(c *factors.Challenge) { c.RedirectTo = "/login" }}, "what is no absolute http or https URL"},
		"a script": {away{sends: func(c *factors.Challenge) { c.RedirectTo = "javascript://reader.example/%0Aalert(1)" }},
			"what is no absolute http or https URL"},
		"here and there": {away{sends: func(c *factors.Challenge) { c.PublicKey = json.RawMessage("{}") }}, "sends the browser elsewhere as well"},
		"knows no answer": {away{answers: func(json.RawMessage, factors.Asked, bool) bool { return false }},
			"Answers says false about a good credential and its challenge"},
		"any answer to any challenge": {away{answers: func(c json.RawMessage, asked factors.Asked, _ bool) bool {
			return json.Valid(c) && bytes.HasPrefix(c, []byte(`{"card"`)) && len(asked.Data) > 0
		}}, "Answers says true about a good credential and another challenge"},
		"an answer to nothing": {away{answers: func(_ json.RawMessage, asked factors.Asked, right bool) bool { return right || len(asked.Data) == 0 }},
			"Answers says true about a good credential and no challenge"},
		"what cannot be read": {away{answers: func(c json.RawMessage, _ factors.Asked, right bool) bool { return right || !json.Valid(c) }},
			"Answers says true about a credential that is missing"},
		"panics": {away{answers: func(c json.RawMessage, _ factors.Asked, right bool) bool { return right && c[0] == '{' || c[0] == 0 }},
			"Answers, about a credential that is missing: it panicked"},
	} {
		tt.factor.card = &card{}
		got := Check(t.Context(), sent(tt.factor))
		if !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, tt.says) }) {
			t.Errorf("%s: %q is not among %q", name, tt.says, got)
		}
	}
}
