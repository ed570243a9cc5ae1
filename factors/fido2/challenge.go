package fido2

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"time"

	stdjson "encoding/json"

	"github.com/go-json-experiment/json"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// purpose keeps the challenges of registration and login apart.
type purpose string

const (
	forLogin     purpose = "login"
	forEnrolment purpose = "enrolment"
)

// ceremony is the type that a client signs for a purpose (WebAuthn L3 section 5.8.1).
func (p purpose) ceremony() protocol.CeremonyType {
	if p == forEnrolment {
		return protocol.CreateCeremony
	}
	return protocol.AssertCeremony
}

// envelope is what is kept between a challenge and its answer.
type envelope struct {
	Purpose purpose       `json:"purpose"`
	RPID    string        `json:"rp_id"`
	Origin  string        `json:"origin"`
	Subject authn.Subject `json:"subject"` // what was known when it was asked
	Expires time.Time     `json:"expires"`
	// Session is the library's own, whole. Its time limit is not set: it would be held against the machine's clock.
	Session webauthn.SessionData `json:"session"`

	tenant string // that the origin of the request belongs to, if to one
}

const (
	maxData        = 16 << 10
	challengeBytes = 32
)

func (f *Factor) random() (protocol.URLEncodedBase64, error) {
	source := f.env.Rand
	if source == nil {
		source = rand.Reader
	}
	b := make([]byte, challengeBytes)
	if _, err := io.ReadFull(source, b); err != nil {
		return nil, fmt.Errorf("fido2: no random bytes: %w", err)
	}
	return b, nil
}

// seal makes the challenge of options, which are the member publicKey of what browsers take.
func (f *Factor) seal(p purpose, r factors.Request, s authn.Subject, options any, session *webauthn.SessionData) (factors.Challenge, error) {
	public, err := stdjson.Marshal(options) // the library's types are made for this package
	if err != nil {
		return factors.Challenge{}, fmt.Errorf("fido2: %w", err)
	}
	e := envelope{Purpose: p, RPID: r.Origin.RPID, Origin: r.Origin.URL, Subject: s, Expires: r.Now.Add(f.settings.timeout), Session: *session}
	data, err := json.Marshal(e)
	if err != nil {
		return factors.Challenge{}, fmt.Errorf("fido2: %w", err)
	}
	if len(data) > maxData {
		return factors.Challenge{}, fmt.Errorf("fido2: the state of a challenge would take %d bytes", len(data))
	}
	return factors.Challenge{PublicKey: public, Data: data, Lifetime: f.settings.timeout}, nil
}

// open reads the envelope of a challenge that comes back, and holds it to the request and subject of now. Its subject is
// then what was known when it was asked and what is known now, together.
func open(asked factors.Asked, p purpose, r factors.Request, s authn.Subject) (envelope, error) {
	var e envelope
	if len(asked.Data) == 0 || len(asked.Data) > maxData || json.Unmarshal(asked.Data, &e) != nil {
		return e, factors.Reject(ReasonChallenge, "there is no challenge")
	}
	if e.Purpose != p {
		return e, factors.Reject(ReasonChallenge, "it was made for another purpose than %s", p)
	}
	if e.RPID != r.Origin.RPID || e.Session.RelyingPartyID != r.Origin.RPID || e.Origin != r.Origin.URL {
		return e, factors.Reject(ReasonOrigin, "the challenge was made for another origin")
	}
	var err error
	if e.Subject, err = e.Subject.Narrow(s); err != nil {
		return e, factors.Reject(ReasonChallenge, "it was made for another subject")
	}
	if !r.Now.Before(e.Expires) || !asked.Expires.IsZero() && !r.Now.Before(asked.Expires) {
		return e, factors.Reject(authn.ReasonChallengeLate, "")
	}
	e.tenant = r.Origin.Tenant
	return e, nil
}

// answers holds what an authenticator and its client signed to what was asked: the steps of WebAuthn L3 sections 7.1 and
// 7.2 that need no credential. The library takes them again, and does not say which of them failed.
func (e envelope) answers(client protocol.CollectedClientData, auth protocol.AuthenticatorData, required protocol.UserVerificationRequirement) error {
	if client.Type != e.Purpose.ceremony() {
		return factors.Reject(ReasonChallenge, "it answers another ceremony")
	}
	if subtle.ConstantTimeCompare([]byte(client.Challenge), []byte(e.Session.Challenge)) != 1 {
		return factors.Reject(ReasonChallenge, "it answers another challenge")
	}
	if client.Origin != e.Origin || client.CrossOrigin || client.TopOrigin != "" {
		return factors.Reject(ReasonOrigin, "it was made on another origin, or in a frame of one")
	}
	if id := sha256.Sum256([]byte(e.RPID)); !bytes.Equal(auth.RPIDHash, id[:]) {
		return factors.Reject(ReasonOrigin, "it was made for another relying party")
	}
	if !auth.Flags.HasUserPresent() {
		return factors.Reject(ReasonNotPresent, "")
	}
	if required == protocol.VerificationRequired && !auth.Flags.HasUserVerified() {
		return factors.Reject(ReasonNotVerified, "")
	}
	if auth.Flags.HasBackupState() && !auth.Flags.HasBackupEligible() {
		return factors.Reject(ReasonBackupFlags, "it was backed up and cannot be")
	}
	return nil
}
