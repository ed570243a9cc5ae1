package factortest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

var (
	now      = time.Unix(1e9, 0)
	alice    = factors.User{Tenant: "corp", ID: "u-alice", Name: "alice"}
	bob      = factors.User{Tenant: "corp", ID: "u-bob", Name: "bob"}
	errOther = errors.New("something broke")
)

const secretKey = "the key of the issuer"

// card is a factor whose credential is a card with a key that signs the challenge. Cards are enrolled. The funcs are ways
// of breaking the contract: they change what it says.
type card struct {
	mu    sync.Mutex
	cards map[string]factors.Credential

	describes  func(*authn.Factor)
	challenges func(*factors.Challenge)
	verifies   func(ctx context.Context, v factors.Verification, a answer, got factors.Verified, err error) (factors.Verified, error)
	enrolments func(ctx context.Context, e factors.Enrolment, a answer, made factors.Credential, err error) (factors.Credential, error)
}

// answer is what a card says, for a login and when it is enrolled.
type answer struct {
	Card  string `json:"card"`
	Asked string `json:"asked"`          // the challenge: a JSON text in base64url
	MAC   string `json:"mac"`            // hex
	Note  string `json:"note,omitempty"` // a hint
}

type question struct {
	Nonce string `json:"nonce"`
	For   string `json:"for"`
}

func keyOf(card string) []byte {
	m := hmac.New(sha256.New, []byte(secretKey))
	m.Write([]byte(card))
	return m.Sum(nil)
}

func sign(card, asked string) string {
	m := hmac.New(sha256.New, keyOf(card))
	m.Write([]byte(card + " " + asked))
	return hex.EncodeToString(m.Sum(nil))
}

func (c *card) Describe() authn.Factor {
	d := authn.Factor{Name: "card", Kind: "card", Identifies: authn.IdentifiesUser, AMR: []string{"hwk"},
		Best: authn.Strength{Category: authn.Have, Hardware: true}}
	if c.describes != nil {
		c.describes(&d)
	}
	return d
}

func (c *card) ask(what string) (factors.Challenge, error) {
	text, err := json.Marshal(question{rand.Text(), what})
	made := factors.Challenge{PublicKey: text, Data: text, Lifetime: time.Minute}
	if c.challenges != nil {
		c.challenges(&made)
	}
	return made, err
}

func (c *card) Challenge(context.Context, factors.Request) (factors.Challenge, error) {
	return c.ask("login")
}

func (c *card) EnrolChallenge(context.Context, factors.Enrolment) (factors.Challenge, error) {
	return c.ask("enrolment")
}

// check reads an answer and holds it to what was asked.
func check(credential json.RawMessage, asked factors.Asked, what string) (answer, error) {
	var a answer
	if json.Unmarshal(credential, &a) != nil || a.Card == "" {
		return a, factors.Reject(factors.ReasonMalformed, "")
	}
	text, err := base64.RawURLEncoding.DecodeString(a.Asked)
	if err != nil {
		return a, factors.Reject(factors.ReasonMalformed, "")
	}
	var q question
	if len(asked.Data) == 0 || string(text) != string(asked.Data) || json.Unmarshal(text, &q) != nil || q.For != what {
		return a, factors.Reject("card_challenge", "")
	}
	if !hmac.Equal([]byte(a.MAC), []byte(sign(a.Card, a.Asked))) {
		return a, factors.Reject("card_signature", "")
	}
	return a, nil
}

func (c *card) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	a, err := check(v.Credential, v.Challenge, "login")
	got := factors.Verified{}
	if err == nil {
		c.mu.Lock()
		known, ok := c.cards[a.Card]
		c.mu.Unlock()
		if ok {
			got.Evidence = authn.Evidence{Subject: authn.Subject{Tenant: known.Tenant, User: known.User}, Credential: known.ID,
				Strength: authn.Strength{Category: authn.Have}, AMR: []string{"hwk"}, At: v.Now}
		} else {
			err = factors.Reject("card_unknown", "")
		}
	}
	if c.verifies != nil {
		return c.verifies(ctx, v, a, got, err)
	}
	return got, err
}

func (c *card) Enrol(ctx context.Context, e factors.Enrolment) (factors.Credential, error) {
	a, err := check(e.Credential, e.Challenge, "enrolment")
	made := factors.Credential{ID: a.Card, Kind: "card", Best: authn.Strength{Category: authn.Have}}
	if c.enrolments != nil {
		return c.enrolments(ctx, e, a, made, err)
	}
	return made, err
}

func (c *card) store(made factors.Credential) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cards == nil {
		c.cards = map[string]factors.Credential{}
	}
	c.cards[made.ID] = made
	return nil
}

// say answers as a card does.
func say(card string) Answer {
	return func(publicKey json.RawMessage) (json.RawMessage, error) {
		asked := base64.RawURLEncoding.EncodeToString(publicKey)
		return json.Marshal(answer{card, asked, sign(card, asked), "read at the door"})
	}
}

// sayWrong gives the answers of a card that is not enrolled, and of one whose signature is another's.
func sayWrong(publicKey json.RawMessage) (map[string]json.RawMessage, error) {
	asked := base64.RawURLEncoding.EncodeToString(publicKey)
	unknown, err1 := say("stolen")(publicKey)
	signed, err2 := json.Marshal(answer{"card-of-alice", asked, sign("card-of-bob", asked), ""})
	return map[string]json.RawMessage{"unknown card": unknown, "another's signature": signed}, errors.Join(err1, err2)
}

func cards(c *card) Suite {
	for id, u := range map[string]factors.User{"card-of-alice": alice, "card-of-bob": bob} {
		_ = c.store(factors.Credential{Tenant: u.Tenant, User: u.ID, Factor: "card", ID: id, Kind: "card"})
	}
	last := ""
	return Suite{Factor: c, Request: factors.Request{Now: now}, Good: say("card-of-alice"), Wrong: sayWrong, Hints: []string{"note"}, Secrets: []string{secretKey},
		Enrolling: &Enrolling{Enrolment: factors.Enrolment{Request: factors.Request{Now: now, Subject: alice.Subject()}, User: alice}, Hints: []string{"note"},
			Good: func(publicKey json.RawMessage) (json.RawMessage, error) {
				last = rand.Text()
				return say(last)(publicKey)
			},
			Wrong: func(publicKey json.RawMessage) (map[string]json.RawMessage, error) {
				asked := base64.RawURLEncoding.EncodeToString(publicKey)
				b, err := json.Marshal(answer{"new", asked, sign("card-of-bob", asked), ""})
				return map[string]json.RawMessage{"another's signature": b}, err
			},
			Store: c.store,
			Login: func(publicKey json.RawMessage) (json.RawMessage, error) { return say(last)(publicKey) }}}
}

func TestGoodFactor(t *testing.T) { Run(t, cards(&card{})) }

// fresh is good evidence for what a card says, whoever it belongs to.
func fresh(v factors.Verification, a answer) factors.Verified {
	return factors.Verified{Evidence: authn.Evidence{Subject: alice.Subject(), Credential: a.Card, Strength: authn.Strength{Category: authn.Have}, At: v.Now}}
}

// reason is that of a rejection.
func reason(err error) authn.Reason {
	if r, ok := errors.AsType[*factors.Rejection](err); ok {
		return r.Reason
	}
	return ""
}

type (
	verifies = func(context.Context, factors.Verification, answer, factors.Verified, error) (factors.Verified, error)
	enrols   = func(context.Context, factors.Enrolment, answer, factors.Credential, error) (factors.Credential, error)
)

// wins breaks good evidence.
func wins(how func(*authn.Evidence)) verifies {
	return func(_ context.Context, _ factors.Verification, _ answer, got factors.Verified, err error) (factors.Verified, error) {
		how(&got.Evidence)
		return got, err
	}
}

// takes has a factor take what it should reject.
func takes(when func(context.Context, factors.Verification, answer, authn.Reason) bool) verifies {
	return func(ctx context.Context, v factors.Verification, a answer, got factors.Verified, err error) (factors.Verified, error) {
		if err != nil && when(ctx, v, a, reason(err)) {
			return fresh(v, a), nil
		}
		return got, err
	}
}

// fails has a factor answer what is bad with another error.
func fails(how func(error) error) verifies {
	return func(_ context.Context, _ factors.Verification, _ answer, got factors.Verified, err error) (factors.Verified, error) {
		if err != nil {
			err = how(err)
		}
		return got, err
	}
}

// makes breaks a new credential.
func makes(how func(*factors.Credential)) enrols {
	return func(_ context.Context, _ factors.Enrolment, _ answer, made factors.Credential, err error) (factors.Credential, error) {
		how(&made)
		return made, err
	}
}

// accepts has a factor enrol what it should reject.
func accepts(when func(context.Context, factors.Enrolment, answer, authn.Reason) bool) enrols {
	return func(ctx context.Context, e factors.Enrolment, a answer, made factors.Credential, err error) (factors.Credential, error) {
		if err != nil && when(ctx, e, a, reason(err)) {
			return made, nil
		}
		return made, err
	}
}

// isSigned reports whether a signature begins well, for as many letters as are looked at.
func isSigned(a answer, letters int) bool {
	return len(a.MAC) >= letters && strings.HasPrefix(sign(a.Card, a.Asked), a.MAC[:letters])
}

func TestBrokenFactors(t *testing.T) {
	for name, tt := range map[string]struct {
		factor *card
		says   string
	}{
		"stronger than it says":     {&card{verifies: wins(func(e *authn.Evidence) { e.Strength.PhishingResistant = true })}, "evidence stronger than Describe says"},
		"evidence worth nothing":    {&card{verifies: wins(func(e *authn.Evidence) { e.Strength = authn.Strength{} })}, "or worth nothing"},
		"evidence of another time":  {&card{verifies: wins(func(e *authn.Evidence) { e.At = e.At.Add(time.Second) })}, "asked at"},
		"names somebody else":       {&card{describes: func(d *authn.Factor) { d.Class = authn.ClassWorkload }}, "a subject that Describe does not allow"},
		"names more than it may":    {&card{describes: func(d *authn.Factor) { d.Identifies = authn.IdentifiesTenant }}, "a subject that Describe does not allow"},
		"an AMR value of its own":   {&card{verifies: wins(func(e *authn.Evidence) { e.AMR = []string{"pin"} })}, "AMR values that Describe does not have"},
		"a tie that it doesn't say": {&card{verifies: wins(func(e *authn.Evidence) { e.Tie = &authn.Tie{} })}, "tied: true, and Describe says false"},
		"ambient and interactive":   {&card{describes: func(d *authn.Factor) { d.Ambient = true }}, "and not both"},
		"tied and no Tied":          {&card{describes: func(d *authn.Factor) { d.Tied = true }}, "its evidence is tied, and it is not Tied"},
		"no name":                   {&card{describes: func(d *authn.Factor) { d.Name = "" }}, "no name or no kind"},
		"too much state":            {&card{challenges: func(c *factors.Challenge) { c.Data = append(c.Data, make([]byte, 16<<10)...) }}, "bytes of Data, more than"},
		"a challenge that no browser reads": {&card{challenges: func(c *factors.Challenge) { c.PublicKey = c.PublicKey[1:] }},
			"a PublicKey that is no JSON"},
		"a challenge that is over before it began": {&card{challenges: func(c *factors.Challenge) { c.Lifetime = -1 }}, "a negative Lifetime"},

		"takes everything": {&card{verifies: takes(func(context.Context, factors.Verification, answer, authn.Reason) bool { return true })},
			"the credential null was taken"},
		"takes what is no JSON": {&card{verifies: takes(func(_ context.Context, v factors.Verification, _ answer, _ authn.Reason) bool {
			return len(v.Credential) > 0 && !json.Valid(v.Credential)
		})}, "cut after"},
		"checks no signature": {&card{verifies: takes(func(_ context.Context, _ factors.Verification, _ answer, why authn.Reason) bool {
			return why == "card_signature"
		})}, `Wrong "another's signature" was taken`},
		"checks half of the signature": {&card{verifies: takes(func(_ context.Context, _ factors.Verification, a answer, why authn.Reason) bool {
			return why == "card_signature" && isSigned(a, 32)
		})}, "a good credential, but mac has bit 0x01 of byte 31 of 32 flipped in its hex was taken"},
		"checks a signature if there is one": {&card{verifies: takes(func(_ context.Context, _ factors.Verification, a answer, why authn.Reason) bool {
			return why == "card_signature" && a.MAC == ""
		})}, "a good credential, but mac is missing was taken"},
		"checks nothing behind the signature": {&card{verifies: takes(func(_ context.Context, _ factors.Verification, a answer, why authn.Reason) bool {
			return why == "card_signature" && isSigned(a, 64-2)
		})}, "has a byte less in its hex was taken"},
		"reads a value of another type": {&card{verifies: takes(func(_ context.Context, v factors.Verification, _ answer, _ authn.Reason) bool {
			return strings.Contains(string(v.Credential), `"mac":{}`)
		})}, "a good credential, but mac is of another type was taken"},
		"another challenge": {&card{verifies: takes(func(_ context.Context, v factors.Verification, a answer, why authn.Reason) bool {
			return why == "card_challenge" && len(v.Challenge.Data) > 0 && isSigned(a, 64)
		})}, "an answer to another challenge was taken"},
		"no challenge": {&card{verifies: takes(func(_ context.Context, v factors.Verification, a answer, why authn.Reason) bool {
			return why == "card_challenge" && len(v.Challenge.Data) == 0
		})}, "an answer to no challenge was taken"},
		"anybody's card": {&card{verifies: takes(func(_ context.Context, _ factors.Verification, _ answer, why authn.Reason) bool {
			return why == "card_unknown"
		})}, `Wrong "unknown card" was taken`},
		"wants its members in one order": {&card{verifies: func(_ context.Context, v factors.Verification, _ answer, got factors.Verified, err error) (factors.Verified, error) {
			if !strings.HasPrefix(string(v.Credential), `{"card":`) {
				err = factors.Reject(factors.ReasonMalformed, "")
			}
			return got, err
		}}, "put into another order"},

		"breaks on bad input": {&card{verifies: fails(func(error) error { return errOther })}, "is no Rejection: something broke"},
		"gives no reason":     {&card{verifies: fails(func(error) error { return factors.Reject("", "") })}, "without a reason"},
		"a secret in an error": {&card{verifies: fails(func(error) error { return factors.Reject("card_wrong", "wanted %s", secretKey) })},
			"the error holds a secret"},
		"everything is malformed": {&card{verifies: fails(func(error) error { return factors.Reject(factors.ReasonMalformed, "") })},
			"was rejected for its form"},
		"panics": {&card{verifies: fails(func(error) error { panic("no card") })}, "the credential [] is no Rejection: it panicked: no card"},
		"breaks on a hint": {&card{verifies: func(_ context.Context, v factors.Verification, _ answer, got factors.Verified, err error) (factors.Verified, error) {
			if strings.Contains(string(v.Credential), `"note":{}`) {
				err = errOther
			}
			return got, err
		}}, "a good credential, but note is of another type is no Rejection"},
		"rejects when time is up": {&card{verifies: func(ctx context.Context, _ factors.Verification, _ answer, got factors.Verified, err error) (factors.Verified, error) {
			if ctx.Err() != nil {
				err = factors.Reject("card_unknown", "it was not found")
			}
			return got, err
		}}, "a good credential was rejected, the context having ended"},
		"takes everything when time is up": {&card{verifies: takes(func(ctx context.Context, _ factors.Verification, _ answer, _ authn.Reason) bool {
			return ctx.Err() != nil
		})}, "was taken, the context having ended"},
		"takes nothing at all": {&card{verifies: takes(func(_ context.Context, v factors.Verification, _ answer, _ authn.Reason) bool {
			return string(v.Credential) == "{}" && v.Challenge.Data != nil
		})}, "nothing at all was taken beside good credentials"},
	} {
		t.Run(name, func(t *testing.T) { finds(t, cards(tt.factor), tt.says) })
	}
}

// finds wants the suite to say something. What it says of a context that has ended is not what it says otherwise.
func finds(t *testing.T, s Suite, says string) {
	t.Helper()
	const late = ", the context having ended"
	problems := Check(t.Context(), s)
	if !slices.ContainsFunc(problems, func(p string) bool {
		return strings.Contains(p, says) && strings.Contains(p, late) == strings.Contains(says, late)
	}) {
		t.Errorf("it said\n%s\nwant %q in it", strings.Join(problems, "\n"), says)
	}
}

func TestBrokenEnrollers(t *testing.T) {
	for name, tt := range map[string]struct {
		factor *card
		says   string
	}{
		"no id":   {&card{enrolments: makes(func(c *factors.Credential) { c.ID = "" })}, "the credential has no id"},
		"no kind": {&card{enrolments: makes(func(c *factors.Credential) { c.Kind = "" })}, "the credential has no kind"},
		"one id for all": {&card{enrolments: makes(func(c *factors.Credential) { c.ID = "card" }), verifies: takes(func(_ context.Context, _ factors.Verification, _ answer, why authn.Reason) bool {
			return why == "card_unknown"
		})}, "two credentials have one id"},
		"too strong":        {&card{enrolments: makes(func(c *factors.Credential) { c.Best.PhishingResistant = true })}, "the credential is stronger than Describe says"},
		"flagged when made": {&card{enrolments: makes(func(c *factors.Credential) { c.Flagged = factors.ReasonRevoked })}, "flagged from the start"},
		"refuses": {&card{enrolments: func(context.Context, factors.Enrolment, answer, factors.Credential, error) (factors.Credential, error) {
			return factors.Credential{}, factors.Reject("card_unknown", "")
		}}, "enrolling: a good answer was refused"},
		"rejects when time is up": {&card{enrolments: func(ctx context.Context, _ factors.Enrolment, _ answer, made factors.Credential, err error) (factors.Credential, error) {
			if ctx.Err() != nil {
				err = factors.Reject("card_unknown", "")
			}
			return made, err
		}}, "enrolling: a good answer was rejected, the context having ended"},
		"takes everything when time is up": {&card{enrolments: accepts(func(ctx context.Context, _ factors.Enrolment, _ answer, _ authn.Reason) bool {
			return ctx.Err() != nil
		})}, `enrolling: Wrong "another's signature" was taken, the context having ended`},
		"one alone": {&card{enrolments: func(_ context.Context, e factors.Enrolment, _ answer, made factors.Credential, err error) (factors.Credential, error) {
			if len(e.Existing) > 0 {
				err = factors.Reject("card_second", "")
			}
			return made, err
		}}, "a second credential was refused"},
		"a card that nobody stored": {&card{verifies: takes(func(_ context.Context, _ factors.Verification, _ answer, why authn.Reason) bool {
			return why == "card_unknown"
		})}, "a credential that was not stored was taken"},
		"a card that works nowhere": {&card{enrolments: makes(func(c *factors.Credential) { c.ID += "-new" })}, "the credential that was enrolled is refused"},
		"a login with another card": {&card{verifies: wins(func(e *authn.Evidence) { e.Credential = "another" })}, `and signed in with "another"`},
		"a login as somebody else":  {&card{verifies: wins(func(e *authn.Evidence) { e.Subject = bob.Subject() })}, "and signed in as"},
		"stronger than its card":    {&card{verifies: wins(func(e *authn.Evidence) { e.Strength.Hardware = true })}, "stronger than the credential's Best"},
		"breaks on a hint": {&card{enrolments: func(_ context.Context, e factors.Enrolment, _ answer, made factors.Credential, err error) (factors.Credential, error) {
			if strings.Contains(string(e.Credential), `"note":{}`) {
				err = errOther
			}
			return made, err
		}}, "enrolling: a good credential, but note is of another type is no Rejection"},
		"checks no signature": {&card{enrolments: accepts(func(_ context.Context, _ factors.Enrolment, _ answer, why authn.Reason) bool {
			return why == "card_signature"
		})}, `enrolling: Wrong "another's signature" was taken`},
		"checks half of the signature": {&card{enrolments: accepts(func(_ context.Context, _ factors.Enrolment, a answer, why authn.Reason) bool {
			return why == "card_signature" && isSigned(a, 32)
		})}, "enrolling: a good credential, but mac has bit 0x01 of byte 31 of 32 flipped in its hex was taken"},
		"takes what is no JSON": {&card{enrolments: accepts(func(_ context.Context, e factors.Enrolment, _ answer, _ authn.Reason) bool {
			return !json.Valid(e.Credential)
		})}, "enrolling: a credential that is missing was taken"},
		"everything is malformed": {&card{enrolments: func(_ context.Context, _ factors.Enrolment, _ answer, made factors.Credential, err error) (factors.Credential, error) {
			if err != nil {
				err = factors.Reject(factors.ReasonMalformed, "")
			}
			return made, err
		}}, `enrolling: Wrong "another's signature" was rejected for its form`},
		"no challenge": {&card{enrolments: accepts(func(_ context.Context, e factors.Enrolment, _ answer, _ authn.Reason) bool {
			return len(e.Challenge.Data) == 0
		})}, "enrolling: an answer to no challenge was taken"},
		"another challenge": {&card{enrolments: accepts(func(_ context.Context, e factors.Enrolment, a answer, why authn.Reason) bool {
			return why == "card_challenge" && isSigned(a, 64)
		})}, "enrolling: an answer to another challenge was taken"},
		"the challenge of a login": {&card{enrolments: accepts(func(_ context.Context, e factors.Enrolment, a answer, why authn.Reason) bool {
			return why == "card_challenge" && isSigned(a, 64) && a.Asked == base64.RawURLEncoding.EncodeToString(e.Challenge.Data)
		})}, "enrolling: an answer to the challenge of a login was taken"},
		"the challenge of a login in the place of another": {&card{enrolments: accepts(func(_ context.Context, e factors.Enrolment, a answer, why authn.Reason) bool {
			return why == "card_challenge" && isSigned(a, 64) && strings.Contains(string(e.Challenge.Data), "login")
		})}, "enrolling: an answer with the challenge of a login in the place of its own was taken"},
		"a login by the challenge of an enrolment": {&card{verifies: takes(func(_ context.Context, v factors.Verification, a answer, why authn.Reason) bool {
			return why == "card_challenge" && isSigned(a, 64) && a.Asked == base64.RawURLEncoding.EncodeToString(v.Challenge.Data)
		})}, "an answer to the challenge of an enrolment was taken"},
		"a login with the challenge of an enrolment": {&card{verifies: takes(func(_ context.Context, v factors.Verification, a answer, why authn.Reason) bool {
			return why == "card_challenge" && strings.Contains(string(v.Challenge.Data), "enrolment") && isSigned(a, 64)
		})}, "a good credential with the challenge of an enrolment in the place of its own was taken"},
	} {
		t.Run(name, func(t *testing.T) { finds(t, cards(tt.factor), tt.says) })
	}
}

// TestBetterCredential: a credential may turn out better than it was when it was made, if the factor says so.
func TestBetterCredential(t *testing.T) {
	Run(t, cards(&card{verifies: func(_ context.Context, _ factors.Verification, _ answer, got factors.Verified, err error) (factors.Verified, error) {
		got.Evidence.Strength.Hardware = true
		got.Update = &factors.Credential{ID: got.Evidence.Credential, Best: got.Evidence.Strength}
		return got, err
	}}))
}

// TestMessages: what is said names the damage, once.
func TestMessages(t *testing.T) {
	inner := base64.RawURLEncoding.EncodeToString([]byte(`{"type":"get"}`))
	good := json.RawMessage(`{"a":"QUJD","b":[1,true],"c":{"d":"` + inner + `"},"e":"` + strings.Join([]string{inner, inner, "c2ln"}, ".") + `","f":"00ff","g":"1234"}`)
	seen := map[string]bool{}
	for _, b := range append(misshapen(good), misread(good, []string{"b", "c.d"})...) {
		if seen[b.what] {
			t.Errorf("two are called %q", b.what)
		}
		seen[b.what] = true
		if want := strings.Contains(b.what, "but b") || strings.Contains(b.what, "but c.d"); b.hint != want {
			t.Errorf("%s: hint %t, want %t", b.what, b.hint, want)
		}
	}
	for _, want := range []string{"a credential that is missing", "an empty credential", "the credential null", `a good credential with "{}" behind it`,
		`a good credential with a zero for its byte 0 ('{')`} {
		if !seen[want] {
			t.Errorf("nothing is called %q", want)
		}
	}
	for _, want := range []string{"a is missing", "a is null", "a is empty", "a is of another type", "a has bit 0x80 of byte 2 of 3 flipped in its base64url",
		"a is all zero in its base64url", "a has a byte less in its base64url", "a has a byte more in its base64url",
		"b is of another type", "b.0 is missing", "b.0 is one more", "b.1 is false",
		"c.d.type is missing in its base64url", "c.d.type has another letter at 0 of 3 in its base64url", "c.d ends early in its base64url",
		"e in its part 3 has bit 0x01 of byte 0 of 3 flipped in its base64url", "e in its part 3 is empty",
		"f has bit 0x01 of byte 1 of 2 flipped in its hex", "g has another letter at 0 of 4", "g has a letter less", "g has a letter more"} {
		if !seen["a good credential, but "+want] {
			t.Errorf("nothing is called %q", want)
		}
	}
	for _, b := range misread(json.RawMessage(`{"a": "AAAAAAAAAAA", "b": 0}`), nil) {
		if string(b.credential) == `{"a":"AAAAAAAAAAA","b":0}` {
			t.Errorf("%s, and it is as it was", b.what)
		}
	}
}

// TestIncompleteSuites: what an author leaves out is said, and not passed over.
func TestIncompleteSuites(t *testing.T) {
	for says, change := range map[string]func(*Suite){
		"needs Good for":                               func(s *Suite) { s.Good = nil },
		"needs Wrong for":                              func(s *Suite) { s.Wrong = nil },
		"needs Enrolling for an Enroller":              func(s *Suite) { s.Enrolling = nil },
		"needs Enrolling.Store":                        func(s *Suite) { s.Enrolling.Store = nil },
		"needs Enrolling.Wrong":                        func(s *Suite) { s.Enrolling.Wrong = nil },
		"needs Enrolling.Refused":                      func(s *Suite) { s.Enrolling.Good = nil },
		"needs Enrolling.Good and Enrolling.Login":     func(s *Suite) { s.Enrolling.Login = nil },
		"has Enrolling, and the factor is no Enroller": func(s *Suite) { s.Factor = plain{&card{}} },
		"no wrong credential": func(s *Suite) {
			s.Wrong = func(json.RawMessage) (map[string]json.RawMessage, error) { return nil, nil }
		},
		"no wrong answer": func(s *Suite) {
			s.Enrolling.Wrong = func(json.RawMessage) (map[string]json.RawMessage, error) { return nil, nil }
		},
		`Wrong "text" is no JSON`:                          func(s *Suite) { s.Wrong = textOnly },
		`enrolling: Wrong "text" is no JSON`:               func(s *Suite) { s.Enrolling.Wrong = textOnly },
		"a good credential, but note is missing was taken": func(s *Suite) { s.Hints = nil },
		"a good credential was refused":                    func(s *Suite) { s.Good = say("stolen") },
		`WrongRequests "the same" was taken`:               func(s *Suite) { s.WrongRequests = map[string]factors.Request{"the same": s.Request} },
		`enrolling: Refused "the same" was taken`:          func(s *Suite) { s.Enrolling.Refused = map[string]factors.Enrolment{"the same": s.Enrolling.Enrolment} },
		"claims to resist phishing for a credential that is good for any challenge": func(s *Suite) {
			s.Factor, s.IgnoresChallenge = &card{describes: func(d *authn.Factor) { d.Best.PhishingResistant = true }}, true
		},
		"IgnoresChallenge is set, and an answer to another challenge is refused": func(s *Suite) { s.IgnoresChallenge = true },
	} {
		t.Run(says, func(t *testing.T) {
			s := cards(&card{})
			change(&s)
			finds(t, s, says)
		})
	}
}

func textOnly(json.RawMessage) (map[string]json.RawMessage, error) {
	return map[string]json.RawMessage{"text": json.RawMessage("text")}, nil
}

// plain is a card that cannot be enrolled.
type plain struct{ factors.Challenger }
