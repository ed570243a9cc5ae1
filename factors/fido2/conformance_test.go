package fido2_test

import (
	"encoding/json"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/factortest"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
)

// hints are what browsers add for whoever wants to know.
var hints = []string{"authenticatorAttachment", "clientExtensionResults"}

// unproven are, beside them, what nothing vouches for when a passkey is made.
var unproven = append([]string{"response.transports"}, hints...)

func TestConformance(t *testing.T) {
	b := newBench(t, "")
	own, stranger, fresh := fido2test.New(origin), fido2test.New(origin), fido2test.New(origin)
	fresh.Attest = fido2test.Self // so that its own key signs all that it says
	b.enrol(own, b.alice)
	if _, err := b.tryEnrol(stranger, b.alice); err != nil {
		t.Fatal(err)
	}
	factortest.Run(t, factortest.Suite{
		Factor: b.factor, Request: b.request(authn.Subject{}), Good: own.Get, Hints: hints,
		Wrong: func(publicKey json.RawMessage) (map[string]json.RawMessage, error) {
			other, err := with(publicKey, "challenge", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
			if err != nil {
				return nil, err
			}
			return several(map[string]func() (json.RawMessage, error){
				"a passkey that isn't enrolled": func() (json.RawMessage, error) { return stranger.Get(publicKey) },
				"another challenge":             func() (json.RawMessage, error) { return own.Get(other) },
				"signature":                     lying(own, publicKey, func(a *fido2test.Authenticator) { a.BadSignature = true }),
				"nobody verified":               lying(own, publicKey, func(a *fido2test.Authenticator) { a.NotVerified = true }),
				"nobody there":                  lying(own, publicKey, func(a *fido2test.Authenticator) { a.NotPresent = true }),
				"another relying party":         lying(own, publicKey, func(a *fido2test.Authenticator) { a.RPID = "example.org" }),
				"another origin":                lying(own, publicKey, func(a *fido2test.Authenticator) { a.ClientOrigin = "https://example.org" }),
				"another ceremony":              lying(own, publicKey, func(a *fido2test.Authenticator) { a.Ceremony = "webauthn.create" }),
				"somebody else's handle":        lying(own, publicKey, func(a *fido2test.Authenticator) { a.Handle = b.bob.Handle }),
				"a counter that went back":      lying(own, publicKey, func(a *fido2test.Authenticator) { a.Counter = new(uint32) }),
				"asked from another's frame":    lying(own, publicKey, func(a *fido2test.Authenticator) { a.CrossOrigin = true }),
			})
		},
		WrongRequests: map[string]factors.Request{
			"another origin": {Now: b.now, Origin: b.other, Subject: b.alice.Subject()},
			"another user":   b.request(b.bob.Subject()),
		},
		Enrolling: &factortest.Enrolling{
			Enrolment: factors.Enrolment{Request: b.request(b.alice.Subject()), User: b.alice}, Good: fresh.Create, Hints: unproven,
			Login: func(publicKey json.RawMessage) (json.RawMessage, error) {
				open, err := without(publicKey, "allowCredentials") // before it is stored, it is not asked for
				if err != nil {
					return nil, err
				}
				return fresh.Get(open)
			},
			Wrong: func(publicKey json.RawMessage) (map[string]json.RawMessage, error) {
				return several(map[string]func() (json.RawMessage, error){
					"nobody verified":       making(publicKey, func(a *fido2test.Authenticator) { a.NotVerified = true }),
					"another relying party": making(publicKey, func(a *fido2test.Authenticator) { a.RPID = "example.org" }),
					"another origin":        making(publicKey, func(a *fido2test.Authenticator) { a.ClientOrigin = "https://example.org" }),
					"another ceremony":      making(publicKey, func(a *fido2test.Authenticator) { a.Ceremony = "webauthn.get" }),
				})
			},
			Store: func(c factors.Credential) error {
				b.directory.credentials = append(b.directory.credentials, c)
				return nil
			},
		},
	})
}

// lying answers with a passkey of an authenticator that is changed for this once.
func lying(a *fido2test.Authenticator, publicKey json.RawMessage, how func(*fido2test.Authenticator)) func() (json.RawMessage, error) {
	return func() (json.RawMessage, error) {
		for _, k := range a.Passkeys() {
			defer func(counter uint32) { k.Counter = counter }(k.Counter)
		}
		other := *a
		how(&other)
		return other.Get(publicKey)
	}
}

// making makes a passkey with an authenticator that lies.
func making(publicKey json.RawMessage, how func(*fido2test.Authenticator)) func() (json.RawMessage, error) {
	return func() (json.RawMessage, error) {
		a := fido2test.New(origin)
		how(a)
		return a.Create(publicKey)
	}
}

func several(by map[string]func() (json.RawMessage, error)) (map[string]json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	for name, answer := range by {
		var err error
		if all[name], err = answer(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// with is a JSON object in which a member has this value.
func with(object json.RawMessage, name string, value any) (json.RawMessage, error) {
	var members map[string]any
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, err
	}
	members[name] = value
	return json.Marshal(members)
}

func without(object json.RawMessage, name string) (json.RawMessage, error) {
	var members map[string]any
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, err
	}
	delete(members, name)
	return json.Marshal(members)
}
