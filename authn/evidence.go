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

// covers reports whether s is worth all that o is.
func (s Strength) covers(o Strength) bool {
	return s.Category&o.Category == o.Category && (s.PhishingResistant || !o.PhishingResistant) && (s.Hardware || !o.Hardware) && (s.UserVerified || !o.UserVerified)
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

// Evidence is what a verified factor proved. Its slices and maps are never changed after it was handed to [Apply]. Evidence
// that says more than about 16 KiB is refused.
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
	// Since is when the caller really showed the credential, where that was elsewhere and before At: a sign-in at a
	// provider (auth_time of OpenID Connect Core section 2). A maximum age counts from it. Zero: at At. Where the provider
	// does not say, it is the Unix epoch: as old as can be.
	Since time.Time `json:"since,omitzero"`
	// Issuer is who vouched for it, where that was somebody else.
	Issuer string `json:"issuer,omitempty"`
	// Handles are names under which the issuer may take it back. Within a tenant and factor, a handle means the same for
	// as long as evidence lives.
	Handles []string `json:"handles,omitempty"`
	Scopes  []string `json:"scopes,omitempty"` // what a token allows (RFC 6749 section 3.3)
	// Attributes are what the issuer says about the caller, as far as the policy asks for it. They decide nothing here.
	Attributes map[string][]string `json:"attributes,omitempty"`
}

// maxEvidence bounds what a factor may say with one piece of evidence, counted as size does.
const maxEvidence = 16 << 10

// size is about how much a store has to keep of what the evidence says about the caller.
func (e *Evidence) size() int {
	const each = 4 // of quotes, commas and colons
	n := len(e.Credential) + len(e.Key) + len(e.Issuer)
	count := func(list []string) {
		for _, s := range list {
			n += len(s) + each
		}
	}
	count(e.AMR)
	count(e.Handles)
	count(e.Scopes)
	for name, values := range e.Attributes {
		n += len(name) + each
		count(values)
	}
	return n
}

// unsaid is Since where nobody says.
var unsaid = time.Unix(0, 0)

// shownAt is when the caller showed the credential.
func (e *Evidence) shownAt() time.Time {
	if !e.Since.IsZero() && e.Since.Before(e.At) {
		return e.Since
	}
	return e.At
}

// lasts reports whether the evidence is not over before a deadline is.
func (e *Evidence) lasts(deadline time.Time) bool {
	return e.Expires.IsZero() || !deadline.After(e.Expires)
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
// Evidence of one secret counts once, at its best, whichever of it came first. AMR values come in the order of the
// evidence, each once, with "mfa" behind them where more than one category was shown; those of a secret that was shown
// before come only with a stronger showing.
func Assess(evidence ...Evidence) Assurance {
	a := measure(evidence, 0, time.Time{})
	a.AMR = []string{}
	for i := range evidence {
		if !tells(evidence, i) {
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

// tells reports whether a piece of evidence says more than those before it that rest on its secret.
func tells(evidence []Evidence, i int) bool {
	e := &evidence[i]
	for j := range evidence[:i] {
		o := &evidence[j]
		if o.Strength.Category != 0 && o.sameSecret(e) && (o.Strength.covers(e.Strength) || !e.Strength.covers(o.Strength)) {
			return false
		}
	}
	return e.Strength.Category != 0
}

// stale reports whether a maximum age leaves a piece of evidence out. Ambient evidence does not age, and zero is any age.
func (e *Evidence) stale(age time.Duration, now time.Time) bool {
	return age > 0 && !e.Ambient && now.Sub(e.shownAt()) > age
}

// measure is Assess without the AMR values, of evidence that is not stale. It does not allocate.
func measure(evidence []Evidence, age time.Duration, now time.Time) Assurance {
	var a Assurance
	var categories Category
	var strongest bool
	for i := range evidence {
		s := evidence[i].Strength
		if s.Category == 0 || evidence[i].stale(age, now) {
			continue
		}
		categories |= s.Category
		a.PhishingResistant = a.PhishingResistant || s.PhishingResistant
		a.Hardware = a.Hardware || s.Hardware
		a.UserVerified = a.UserVerified || s.UserVerified
		strongest = strongest || s.PhishingResistant && s.Hardware && s.UserVerified && !evidence[i].Ambient
	}
	switch {
	case categories == 0:
	case categories&Have != 0 && (a.UserVerified || categories&Know != 0 && apart(evidence, age, now)):
		a.AAL = 2
		if strongest {
			a.AAL = 3
		}
	default:
		a.AAL = 1
	}
	return a
}

// apart reports whether something had and something known are there that do not rest on one secret shown twice.
func apart(evidence []Evidence, age time.Duration, now time.Time) bool {
	for i := range evidence {
		had := &evidence[i]
		if had.Strength.Category&Have == 0 || had.stale(age, now) {
			continue
		}
		for j := range evidence {
			knew := &evidence[j]
			if knew.Strength.Category&Know != 0 && !knew.stale(age, now) && (i == j || !knew.sameSecret(had)) {
				return true
			}
		}
	}
	return false
}

// maxAdded bounds what step-ups add to a principal.
const maxAdded = 32

// withAdded is what step-ups added to the principal, with one more piece. What adds nothing to the new piece goes; were
// there too many all the same, the oldest would.
func (p *Principal) withAdded(e *Evidence) []Evidence {
	added := make([]Evidence, 0, len(p.Added)+1)
	free := !e.knownOtherwise(p.Evidence) && !e.knownOtherwise(p.Added)
	for i := range p.Added {
		o := &p.Added[i]
		outdone := o.Factor == e.Factor && o.Ambient == e.Ambient && !o.At.After(e.At) && !o.shownAt().After(e.shownAt()) && e.Strength.covers(o.Strength)
		if !outdone || !o.sameSecret(e) && (!free || o.Tie != nil) {
			added = append(added, *o)
		}
	}
	added = append(added, *e)
	return added[max(0, len(added)-maxAdded):]
}

// knownOtherwise reports whether the secret of e was shown as something of a category that e is not.
func (e *Evidence) knownOtherwise(evidence []Evidence) bool {
	for i := range evidence {
		if evidence[i].Strength.Category&^e.Strength.Category != 0 && evidence[i].sameSecret(e) {
			return true
		}
	}
	return false
}
