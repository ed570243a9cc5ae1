package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/factortest"
)

// people is a directory of one tenant.
type people map[string]string

func (p people) UserNamed(_ context.Context, tenant, name string, class authn.Class) (factors.User, error) {
	id, ok := p[name]
	if !ok || class != authn.ClassPerson || tenant != "corp" {
		return factors.User{}, factors.ErrNotFound
	}
	return factors.User{Tenant: tenant, ID: id, Name: name}, nil
}

func (people) UserByHandle(context.Context, []byte) (factors.User, error) {
	return factors.User{}, factors.ErrNotFound
}

func (people) Credential(context.Context, string, string, string) (factors.Credential, error) {
	return factors.Credential{}, factors.ErrNotFound
}

func (people) Credentials(context.Context, string, string, string) ([]factors.Credential, error) {
	return nil, nil
}

func badgeOf(t *testing.T, number, user, pin string) badge {
	t.Helper()
	b := badge{Number: number, User: user, Salt: bytes.Repeat([]byte{7}, 16)}
	var err error
	if b.Hash, err = derive(pin, b.Salt, leastIterations); err != nil {
		t.Fatal(err)
	}
	return b
}

// badges is the factor with a few badges.
func badges(t *testing.T, directory factors.Directory) factors.Factor {
	t.Helper()
	book := badgeBook{leastIterations, []badge{badgeOf(t, "170042", "carol", "482916"), badgeOf(t, "170043", "dave", "771203"), badgeOf(t, "170044", "gone", "482916")}}
	f, err := badgeKind{}.Build(&badgeSettings{"badge", "corp", book}, factors.Env{Directory: directory})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func typed(number, pin string) json.RawMessage {
	b, _ := json.Marshal(shownBadge{number, pin})
	return b
}

// The factor is held to the contract by the suite that the framework's own are.
func TestBadgeConformance(t *testing.T) {
	factortest.Run(t, factortest.Suite{
		Factor:           badges(t, people{"carol": "u1", "dave": "u2"}),
		Request:          factors.Request{Now: time.Now(), Subject: authn.Subject{Tenant: "corp"}},
		IgnoresChallenge: true,
		Good:             func(json.RawMessage) (json.RawMessage, error) { return typed("170042", "482916"), nil },
		Wrong: func(json.RawMessage) (map[string]json.RawMessage, error) {
			return map[string]json.RawMessage{"another's PIN": typed("170042", "771203"), "another's badge": typed("170043", "482916"), "no badge of ours": typed("990000", "482916"),
				"of nobody who is here": typed("170044", "482916")}, nil
		},
		Secrets: []string{"482916", "771203"},
	})
}

// What a badge proves is that its PIN is known, and nothing that is had.
func TestWhatABadgeProves(t *testing.T) {
	f := badges(t, people{"carol": "u1"})
	now := time.Now()
	got, err := f.Verify(t.Context(), factors.Verification{Request: factors.Request{Now: now}, Credential: typed("170042", "482916")})
	if err != nil {
		t.Fatal(err)
	}
	e := got.Evidence
	if e.Subject != (authn.Subject{Tenant: "corp", User: "u1"}) || e.Strength != (authn.Strength{Category: authn.Know}) || e.Credential != "170042" {
		t.Errorf("%+v", e)
	}
	if a := authn.Assess(e); a.AAL != 1 || a.PhishingResistant {
		t.Errorf("%+v", a)
	}
}

// A directory that is down refuses nobody: nothing is decided.
type down struct{ people }

func (down) UserNamed(context.Context, string, string, authn.Class) (factors.User, error) {
	return factors.User{}, context.DeadlineExceeded
}

func TestBadgeWithoutDirectory(t *testing.T) {
	_, err := badges(t, down{}).Verify(t.Context(), factors.Verification{Request: factors.Request{Now: time.Now()}, Credential: typed("170042", "482916")})
	if _, rejected := err.(*factors.Rejection); err == nil || rejected {
		t.Errorf("%v", err)
	}
}

// Guesses count against the badge that they are about.
func TestTargetOfABadge(t *testing.T) {
	f := badges(t, people{}).(factors.Targeted)
	for credential, want := range map[string]string{string(typed("170042", "000000")): "170042", `{}`: "", `{"number":"170042"}`: "", `{"number":"17\u000042","pin":"000000"}`: "",
		`{"number":"170042","Number":"170043","pin":"000000"}`: "", `{"number":"170042","number":"170043","pin":"000000"}`: ""} {
		if got := f.Target(json.RawMessage(credential)); got != want {
			t.Errorf("%s: %q, want %q", credential, got, want)
		}
	}
}

// Mistakes in the section or the file of badges are found when the policy is loaded, and say where.
func TestBadgesInThePolicy(t *testing.T) {
	salt, hash := base64.StdEncoding.EncodeToString(make([]byte, 16)), base64.StdEncoding.EncodeToString(make([]byte, 32))
	good := fmt.Sprintf(`{"number":"170042","user":"carol","salt":%q,"hash":%q}`, salt, hash)
	dir := t.TempDir()
	for _, tt := range []struct{ section, book, says string }{
		{"tenant: corp, file: badges.json", `{"iterations":1000,"badges":[` + good + `]}`, ""},
		{"tenant: corp, file: badges.json", `{"iterations":1000,"badges":[]}`, ""},
		{"tenant: corp, file: badges.json", `{"iterations":999,"badges":[]}`, "iterations must be"},
		{"tenant: corp, file: badges.json", `{"iterations":10000001,"badges":[]}`, "iterations must be"},
		{"tenant: corp, file: badges.json", `{"iterations":1000,"badges":[` + good + `,` + good + `]}`, "badge 170042 is there twice"},
		{"tenant: corp, file: badges.json", strings.Replace(`{"iterations":1000,"badges":[`+good+`]}`, "170042", "1", 1), "4 to 12 digits"},
		{"tenant: corp, file: badges.json", strings.Replace(`{"iterations":1000,"badges":[`+good+`]}`, "carol", "", 1), "is nobody's"},
		{"tenant: corp, file: badges.json", strings.Replace(`{"iterations":1000,"badges":[`+good+`]}`, hash, salt, 1), "has no PIN"},
		{"tenant: corp, file: badges.json", `{"iterations":1000,"badges":[],"pins":1}`, "no list of badges"},
		{"tenant: corp, file: badges.json", `garbage`, "no list of badges"},
		{"tenant: corp, file: nothing.json", ``, "nothing.json"},
		{"tenant: corp", ``, "file is missing"},
		{"file: badges.json", ``, "tenant is missing"},
		{"tenant: corp, file: badges.json, pin: 1234", ``, `unknown key "pin"`},
	} {
		if err := os.WriteFile(filepath.Join(dir, "badges.json"), []byte(tt.book), 0o600); err != nil {
			t.Fatal(err)
		}
		text := "version: 1\norigin: https://localhost\nfactors:\n  badge: { kind: badge, " + tt.section + " }\nmethods:\n  badge: { steps: [badge] }\nrules:\n  - { methods: [badge] }\n"
		_, err := policy.Parse(filepath.Join(dir, "policy.yaml"), []byte(text), badgeKind{})
		if (err == nil) != (tt.says == "") || err != nil && (!strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "policy.yaml:4:")) {
			t.Errorf("%s, %s: %v", tt.section, tt.book, err)
		}
	}
}
