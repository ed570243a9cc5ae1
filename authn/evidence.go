package authn

import (
	"crypto/sha256"
	"slices"
	"time"
)

// Category is a set of what a credential rests on (SP 800-63B-4, section 1): something known, had, or being.
type Category uint8

const (
	Know Category = 1 << iota
	Have
	Are
)

// Strength is what one verified credential is worth. The zero value is worth nothing.
type Strength struct {
	Category          Category `json:"category,omitempty"`
	PhishingResistant bool     `json:"phishing_resistant,omitempty"` // bound to this origin or channel, SP 800-63B-4 section 3.2.5
	Hardware          bool     `json:"hardware,omitempty"`           // the key is proven to be in hardware and not exportable
	UserVerified      bool     `json:"user_verified,omitempty"`      // the authenticator checked its holder (PIN or biometrics)
}

// Bind says which certificate may carry on a session that was won with one.
type Bind string

const (
	BindKey         Bind = "key"         // a certificate with the same key: the default
	BindIdentity    Bind = "identity"    // a certificate under the same anchor that maps to the same user
	BindCertificate Bind = "certificate" // this very certificate
)

// Tie is the confirmation key of evidence: what every later request must carry for the evidence to stay in force.
type Tie struct {
	Bind        Bind              `json:"bind"`
	Certificate [sha256.Size]byte `json:"certificate"` // SHA-256 of the certificate (RFC 8705 section 3.1)
	Key         [sha256.Size]byte `json:"key"`         // SHA-256 of its SubjectPublicKeyInfo
	Serial      [sha256.Size]byte `json:"serial"`      // SHA-256 of its issuer and serial number, as a deny list has them
	Holder      [sha256.Size]byte `json:"holder"`      // SHA-256 of its subject's name, as a deny list has it
	Anchor      string            `json:"anchor"`      // name of the trust anchor the path ended in
	Root        [sha256.Size]byte `json:"root"`        // SHA-256 of the name and key of the anchor's certificate there
	Issuers     []byte            `json:"issuers"`     // digests as above of the certificates in between, the leaf's issuer first
	Source      string            `json:"source"`      // where the certificate was seen: "tls" or the name of a terminator
}

// Evidence is what a verified factor proved. Its slices are never changed after it was handed to [Apply].
type Evidence struct {
	Factor     string    `json:"factor"`
	Kind       string    `json:"kind"`
	Subject    Subject   `json:"subject"`
	Names      Names     `json:"names"`
	Credential string    `json:"credential,omitempty"` // id of the credential within its factor
	Key        string    `json:"key,omitempty"`        // names the secret behind it; two pieces of evidence with one key count once
	AMR        []string  `json:"amr,omitempty"`        // RFC 8176
	Strength   Strength  `json:"strength"`
	Ambient    bool      `json:"ambient,omitempty"`
	At         time.Time `json:"at"`
	Expires    time.Time `json:"expires,omitzero"` // zero: the evidence sets no end of its own
	Tie        *Tie      `json:"tie,omitempty"`
}

// sameSecret reports whether two pieces of evidence rest on one secret.
func (e *Evidence) sameSecret(o *Evidence) bool {
	if e.Key != "" || o.Key != "" {
		return e.Key == o.Key
	}
	return e.Factor == o.Factor && e.Credential == o.Credential
}

// shown reports whether the secret of e is in evidence already.
func shown(evidence []Evidence, e *Evidence) bool {
	for i := range evidence {
		if evidence[i].sameSecret(e) {
			return true
		}
	}
	return false
}

// Assurance is derived from evidence by [Assess] and is never stored as a number of its own.
type Assurance struct {
	AAL               int      `json:"aal"`
	PhishingResistant bool     `json:"phishing_resistant"`
	Hardware          bool     `json:"hardware,omitempty"`
	UserVerified      bool     `json:"user_verified,omitempty"`
	AMR               []string `json:"amr"`
}

// Assess computes what evidence is worth together, per SP 800-63B-4 section 2:
//
//   - AAL 1: anything verified.
//   - AAL 2: something had, and with it something known or a holder verified by the authenticator itself.
//   - AAL 3: AAL 2, of which one interactive credential is phishing resistant and proven to be in hardware.
//
// Evidence of one secret counts once. AMR values come in the order of the evidence, each once, with "mfa" behind them
// where more than one category was shown.
func Assess(evidence ...Evidence) Assurance {
	a := measure(evidence)
	a.AMR = []string{}
	for i := range evidence {
		if !counts(evidence, i) {
			continue
		}
		for _, v := range evidence[i].AMR {
			if v != "mfa" && !slices.Contains(a.AMR, v) {
				a.AMR = append(a.AMR, v)
			}
		}
	}
	if a.AAL >= 2 {
		a.AMR = append(a.AMR, "mfa")
	}
	return a
}

// counts reports whether a piece of evidence is worth anything beside those before it.
func counts(evidence []Evidence, i int) bool {
	return evidence[i].Strength.Category != 0 && !shown(evidence[:i], &evidence[i])
}

// measure is Assess without the AMR values. It does not allocate.
func measure(evidence []Evidence) Assurance {
	var a Assurance
	var categories Category
	var strongest bool
	for i := range evidence {
		if !counts(evidence, i) {
			continue
		}
		s := evidence[i].Strength
		categories |= s.Category
		a.PhishingResistant = a.PhishingResistant || s.PhishingResistant
		a.Hardware = a.Hardware || s.Hardware
		a.UserVerified = a.UserVerified || s.UserVerified
		strongest = strongest || s.PhishingResistant && s.Hardware && s.UserVerified && !evidence[i].Ambient
	}
	switch {
	case categories == 0:
	case categories&Have != 0 && (categories&Know != 0 || a.UserVerified):
		a.AAL = 2
		if strongest {
			a.AAL = 3
		}
	default:
		a.AAL = 1
	}
	return a
}
