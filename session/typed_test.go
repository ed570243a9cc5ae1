package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// typedKind is a kind of factor for tests: a challenge with a nonce, and a secret that answers it, with a counter like
// that of an authenticator. It is worth what its section says.
type typedKind struct {
	tried atomic.Int64 // how often a credential was looked at

	mu   sync.Mutex
	next int
	hook func() // called whenever a credential is looked at
	down error  // what Verify and Enrol answer instead of deciding
}

type typedSettings struct {
	name string
	best authn.Strength
}

// typedAnswer is what a caller sends.
type typedAnswer struct {
	Handle  []byte `json:"handle,omitempty"` // of the user, if the caller knows it
	ID      string `json:"id,omitempty"`     // of the credential; empty: the first
	Nonce   string `json:"nonce"`
	Secret  string `json:"secret"`
	Counter int    `json:"counter,omitempty"`
}

// typedData is what is stored.
type typedData struct {
	Secret  string `json:"secret"`
	Counter int    `json:"counter"`
}

func (k *typedKind) Name() string { return "typed" }

func (k *typedKind) Settings(s *policy.Section) (policy.Settings, error) {
	var w struct {
		Strong bool `yaml:"strong"`
	}
	if err := s.Decode(&w); err != nil {
		return nil, err
	}
	out := typedSettings{name: s.Name(), best: authn.Strength{Category: authn.Know}}
	if w.Strong {
		out.best = authn.Strength{Category: authn.Have, PhishingResistant: true, UserVerified: true}
	}
	return out, nil
}

func (s typedSettings) Describe() authn.Factor {
	return authn.Factor{Name: s.name, Kind: "typed", Identifies: authn.IdentifiesUser, Best: s.best, AMR: []string{"pin"}}
}

func (k *typedKind) Build(s policy.Settings, env factors.Env) (factors.Factor, error) {
	return &typed{kind: k, settings: s.(typedSettings), directory: env.Directory}, nil
}

func (k *typedKind) nonce() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next++
	return fmt.Sprintf("nonce-%d", k.next)
}

// look is called before anything is looked at.
func (k *typedKind) look() error {
	k.tried.Add(1)
	k.mu.Lock()
	hook, down := k.hook, k.down
	k.mu.Unlock()
	if hook != nil {
		hook()
	}
	return down
}

type typed struct {
	kind      *typedKind
	settings  typedSettings
	directory factors.Directory
}

var (
	_ factors.Challenger = (*typed)(nil)
	_ factors.Enroller   = (*typed)(nil)
	_ factors.Targeted   = (*typed)(nil)
)

func (f *typed) Describe() authn.Factor { return f.settings.Describe() }

func (f *typed) challenge() (factors.Challenge, error) {
	n := f.kind.nonce()
	return factors.Challenge{PublicKey: json.RawMessage(fmt.Sprintf("%q", n)), Data: []byte(n)}, nil
}

func (f *typed) Challenge(context.Context, factors.Request) (factors.Challenge, error) {
	return f.challenge()
}

func (f *typed) EnrolChallenge(context.Context, factors.Enrolment) (factors.Challenge, error) {
	return f.challenge()
}

func (f *typed) Enrol(_ context.Context, e factors.Enrolment) (factors.Credential, error) {
	var a typedAnswer
	if err := f.kind.look(); err != nil {
		return factors.Credential{}, err
	}
	if json.Unmarshal(e.Credential, &a) != nil || a.Nonce != string(e.Challenge.Data) || a.ID == "" {
		return factors.Credential{}, factors.Reject(factors.ReasonMalformed, "")
	}
	data, err := json.Marshal(typedData{Secret: a.Secret})
	return factors.Credential{ID: a.ID, Data: data, Best: f.settings.best}, err
}

func (f *typed) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	if err := f.kind.look(); err != nil {
		return factors.Verified{}, err
	}
	var a typedAnswer
	if json.Unmarshal(v.Credential, &a) != nil || a.Nonce != string(v.Challenge.Data) {
		return factors.Verified{}, factors.Reject(factors.ReasonMalformed, "")
	}
	u, c, err := f.find(ctx, v.Request, a)
	if err != nil {
		return factors.Verified{}, err
	}
	var stored typedData
	if err := json.Unmarshal(c.Data, &stored); err != nil || c.User == "" || stored.Secret != a.Secret {
		return factors.Verified{}, factors.Reject(factors.ReasonCredentialGone, "")
	}
	if c.Flagged != "" {
		return factors.Verified{}, factors.Reject(factors.ReasonFlagged, "")
	}
	if a.Counter > 0 && a.Counter <= stored.Counter {
		return factors.Verified{}, &factors.Rejection{Reason: reasonCloned, Flag: &c}
	}
	stored.Counter = a.Counter
	if c.Data, err = json.Marshal(stored); err != nil {
		return factors.Verified{}, err
	}
	return factors.Verified{Update: &c, Evidence: authn.Evidence{Subject: u.Subject(), Names: authn.Names{Tenant: u.Tenant, User: u.Name},
		Credential: c.ID, AMR: []string{"pin"}, Strength: f.settings.best, At: v.Now}}, nil
}

const reasonCloned authn.Reason = "typed_counter_back"

// Target implements factors.Targeted.
func (f *typed) Target(credential json.RawMessage) string {
	var a typedAnswer
	if json.Unmarshal(credential, &a) != nil || len(a.Handle) == 0 {
		return ""
	}
	return string(a.Handle) + a.ID
}

// find does the same look-ups whoever is there.
func (f *typed) find(ctx context.Context, r factors.Request, a typedAnswer) (factors.User, factors.Credential, error) {
	tenant := r.Subject.Tenant
	if tenant == "" {
		tenant = r.Claim.Tenant
	}
	var u factors.User
	var err error
	if len(a.Handle) > 0 {
		u, err = f.directory.UserByHandle(ctx, a.Handle)
	} else {
		u, err = f.directory.UserNamed(ctx, tenant, r.Claim.User, authn.ClassPerson)
	}
	if err != nil && !errors.Is(err, factors.ErrNotFound) {
		return u, factors.Credential{}, err
	}
	all, err := f.directory.Credentials(ctx, u.Tenant, u.ID, f.settings.name)
	if err != nil && !errors.Is(err, factors.ErrNotFound) {
		return u, factors.Credential{}, err
	}
	for _, c := range all {
		if a.ID == "" || a.ID == c.ID {
			return u, c, nil
		}
	}
	return u, factors.Credential{}, nil
}

// authenticator holds one credential of the typed kind.
type authenticator struct {
	factor  string
	id      string
	handle  []byte
	secret  string
	counter int
}

func (a *authenticator) answer(t testing.TB, publicKey json.RawMessage) json.RawMessage {
	t.Helper()
	var nonce string
	if err := json.Unmarshal(publicKey, &nonce); err != nil {
		t.Fatal(err)
	}
	a.counter++
	out, err := json.Marshal(typedAnswer{Handle: a.handle, ID: a.id, Nonce: nonce, Secret: a.secret, Counter: a.counter})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
