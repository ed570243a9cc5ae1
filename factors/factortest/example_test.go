package factortest_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/factortest"
	"github.com/sallyport-auth/sallyport/factors/fido2"
)

// Badges is a kind of factor: a reader at the desk signs the challenge while a badge lies on it. keys are those of the
// readers, by name.
func Badges(keys map[string][]byte) factors.Kind { return kind{keys} }

type kind struct{ keys map[string][]byte }

func (kind) Name() string { return "badge" }

func (k kind) Settings(s *policy.Section) (policy.Settings, error) {
	var file struct {
		Reader string `yaml:"reader"`
	}
	if err := s.Decode(&file); err != nil { // strict, with positions
		return nil, err
	}
	key, ok := k.keys[file.Reader]
	if !ok {
		return nil, s.Errorf("reader", "there is no reader %q", file.Reader)
	}
	return &settings{name: s.Name(), reader: file.Reader, key: key}, nil
}

func (kind) Build(s policy.Settings, env factors.Env) (factors.Factor, error) {
	own, ok := s.(*settings)
	if !ok {
		return nil, errors.New("badge: settings of another kind")
	}
	return &factor{own}, nil
}

type settings struct {
	name, reader string
	key          []byte
}

func (s *settings) Describe() authn.Factor {
	return authn.Factor{Name: s.name, Kind: "badge", Best: authn.Strength{Category: authn.Have}, AMR: []string{"hwk"}}
}

// factor has its description from the settings.
type factor struct{ *settings }

// question is what the reader gets, and answer what it says.
type (
	question struct {
		Nonce string `json:"nonce"`
	}
	answer struct {
		MAC string `json:"mac"`
	}
)

func (f *factor) Challenge(context.Context, factors.Request) (factors.Challenge, error) {
	nonce := rand.Text()
	public, err := json.Marshal(question{nonce})
	return factors.Challenge{PublicKey: public, Data: []byte(nonce), Lifetime: time.Minute}, err
}

func (f *factor) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	var a answer
	if err := json.Unmarshal(v.Credential, &a); err != nil || a.MAC == "" {
		return factors.Verified{}, factors.Reject(factors.ReasonMalformed, "")
	}
	if nonce := string(v.Challenge.Data); nonce == "" || !hmac.Equal([]byte(a.MAC), []byte(sign(f.key, nonce))) {
		return factors.Verified{}, factors.Reject("badge_signature", "reader %s", f.reader)
	}
	return factors.Verified{Evidence: authn.Evidence{ // no subject: a reader doesn't know whose badge it was
		Credential: f.reader, Key: "badge:" + f.reader,
		Strength: authn.Strength{Category: authn.Have}, AMR: []string{"hwk"}, At: v.Now,
	}}, nil
}

func sign(key []byte, nonce string) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(nonce))
	return hex.EncodeToString(m.Sum(nil))
}

// reads answers as a reader does that has this key.
func reads(key []byte) factortest.Answer {
	return func(publicKey json.RawMessage) (json.RawMessage, error) {
		var q question
		if err := json.Unmarshal(publicKey, &q); err != nil {
			return nil, err
		}
		return json.Marshal(answer{sign(key, q.Nonce)})
	}
}

// suite says what is good and what is wrong.
func suite(f factors.Factor, key []byte) factortest.Suite {
	return factortest.Suite{
		Factor:  f,
		Request: factors.Request{Now: time.Now()},
		Good:    reads(key),
		Wrong: func(publicKey json.RawMessage) (map[string]json.RawMessage, error) {
			another, err := reads([]byte("another key"))(publicKey)
			return map[string]json.RawMessage{"another reader": another}, err
		},
		Secrets: []string{string(key)},
	}
}

// A factor of one's own. In a test it is factortest.Run(t, suite(f, key)).
func Example() {
	key := []byte("a secret of the reader")
	p, err := policy.Parse("policy.yaml", []byte(`
version: 1
origin: https://portal.example
factors:
  passkey: {kind: fido2}
  desk: {kind: badge, reader: lobby}
methods:
  staff:
    steps: [passkey, desk]
rules:
  - methods: [staff]
`), fido2.Kind(), Badges(map[string][]byte{"lobby": key}))
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := Badges(nil).Build(p.Factors[1].Settings, factors.Env{Policy: p, Rand: rand.Reader})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Describe().Name, "is held to the contract:", factortest.Check(context.Background(), suite(f, key)))
	// Output: desk is held to the contract: []
}
