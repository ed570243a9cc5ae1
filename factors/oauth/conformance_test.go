package oauth_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/factortest"
)

// answers signs in at the provider as somebody, and comes back.
func (b *bench) answers(sub func() string, how func(url.Values)) factortest.Answer {
	return func(shown json.RawMessage) (json.RawMessage, error) {
		var to struct {
			RedirectTo string `json:"redirect_to"`
		}
		if err := json.Unmarshal(shown, &to); err != nil {
			return nil, err
		}
		b.provider.sub = sub()
		back := b.provider.signIn(to.RedirectTo)
		if how != nil {
			how(back)
		}
		u, err := url.Parse(to.RedirectTo)
		if err != nil {
			return nil, err
		}
		tenant := ""
		if strings.HasSuffix(u.Query().Get("redirect_uri"), "/acme/callback") {
			tenant = "acme"
		}
		return returned(back.Encode(), tenant), nil
	}
}

// wrong answers in ways that must be refused.
func (b *bench) wrong(sub func() string, more map[string]factortest.Answer) factortest.Answers {
	return func(shown json.RawMessage) (map[string]json.RawMessage, error) {
		all := map[string]json.RawMessage{}
		for name, how := range map[string]func(url.Values){
			"another state":   func(q url.Values) { q.Set("state", "another") },
			"another's code":  func(q url.Values) { q.Set("code", "another") },
			"another issuer":  func(q url.Values) { q.Set("iss", "https://other.example") },
			"denied":          func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") },
			"code and denied": func(q url.Values) { q.Set("error", "access_denied") },
			"two states":      func(q url.Values) { q.Add("state", q.Get("state")) },
		} {
			var err error
			if all[name], err = b.answers(sub, how)(shown); err != nil {
				return nil, err
			}
		}
		for name, answer := range more {
			var err error
			if all[name], err = answer(shown); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
}

func (b *bench) suite() factortest.Suite {
	as := func(sub string) func() string { return func() string { return sub } }
	b.provider.sub = "alice-at-acme"
	b.link(alice)
	n, last := 0, ""
	elsewhere := b.request(acme)
	elsewhere.Origin.URL = "https://other.example"
	return factortest.Suite{Factor: b.factor, Request: b.request(acme), Good: b.answers(as("alice-at-acme"), nil), Secrets: []string{secret},
		Wrong: b.wrong(as("alice-at-acme"), map[string]factortest.Answer{"somebody who is linked to nobody": b.answers(as("mallory"), nil)}),
		WrongRequests: map[string]factors.Request{"another origin": elsewhere, "another tenant": b.request(authn.Subject{Tenant: "globex"}),
			"another user": b.request(bob.Subject())},
		Enrolling: &factortest.Enrolling{
			Enrolment: factors.Enrolment{Request: b.request(alice.Subject()), User: alice},
			Good: func(shown json.RawMessage) (json.RawMessage, error) {
				n++
				last = "alice-" + string(rune('a'+n))
				return b.answers(as(last), nil)(shown)
			},
			Login: func(shown json.RawMessage) (json.RawMessage, error) { return b.answers(as(last), nil)(shown) },
			Wrong: b.wrong(as("fresh"), map[string]factortest.Answer{"linked already": b.answers(as("alice-at-acme"), nil)}),
			Store: b.directory.store,
		}}
}

func TestConformance(t *testing.T) { factortest.Run(t, newBench(t, "").suite()) }

func TestConformanceOfThePlainKind(t *testing.T) { factortest.Run(t, newPlainBench(t, "").suite()) }
