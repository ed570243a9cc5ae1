package jwt

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

const (
	maxID         = 1024    // bytes of a sub, jti or sid
	maxScopes     = 8 << 10 // of all scopes, as evidence counts them
	maxAttributes = 4 << 10 // of all attributes, as evidence counts them
	each          = 4       // what evidence counts for every text
)

// foreign are claims of tokens that are no access tokens: logout tokens and security events, ID tokens, DPoP proofs.
var foreign = []string{"events", "nonce", "at_hash", "c_hash", "s_hash", "htm", "htu"}

// statement is what an issuer said with a token, verified: all that does not depend on when or how the token is presented.
// It is not changed once it is made.
type statement struct {
	evidence  authn.Evidence // without a subject, At, and the user's name
	user      string         // login name; empty: it identifies nothing
	tenant    string         // that it names, where one must be named
	session   string         // that it was made from, where that must live
	notBefore time.Time
	expires   time.Time
	marks     factors.TokenMarks
	binding   binding
}

// read checks the claims of a token whose signature is good, and puts what they say into st.
func (s *Settings) read(payload []byte, st *statement) error {
	c, err := jose.ParseClaims(payload)
	if err != nil {
		return rejected(err)
	}
	for _, name := range foreign {
		if c.Has(name) {
			return factors.Reject(ReasonOtherUse, "it has the claim %s", name)
		}
	}
	st.evidence = authn.Evidence{Factor: s.name, Kind: KindName, AMR: amrs, Strength: strength, Ambient: true, Issuer: s.issuer}
	if err := s.checkParties(c); err != nil {
		return err
	}
	if err := s.readIDs(c, st); err != nil {
		return err
	}
	if err := s.readLife(c, st); err != nil {
		return err
	}
	if err := s.readScopes(c, st); err != nil {
		return err
	}
	if err := s.readWho(c, st); err != nil {
		return err
	}
	if s.tenantIn != "" {
		if st.tenant, err = wanted(c, s.tenantIn, maxID); err != nil {
			return err
		}
	}
	s.readSaid(c, st)
	id := st.marks.ID
	if id == ([sha256.Size]byte{}) {
		id = sha256.Sum256(payload)
	}
	st.evidence.Key = keyPrefix + hex.EncodeToString(id[:])
	st.evidence.Credential = st.evidence.Key[len(keyPrefix):]
	st.binding, err = readBinding(c)
	return err
}

// keyPrefix begins the name of the secret behind evidence.
const keyPrefix = KindName + ":"

func (s *Settings) checkParties(c jose.Claims) error {
	issuer, err := wanted(c, "iss", maxURI)
	if err != nil {
		return err
	}
	if issuer != s.issuer {
		return factors.Reject(ReasonIssuer, "")
	}
	audience, present, err := c.StringOrStrings("aud")
	switch {
	case err != nil:
		return rejected(err)
	case !present:
		return factors.Reject(ReasonClaimMissing, "aud")
	case !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(s.audience, a) }):
		return factors.Reject(ReasonAudience, "")
	}
	return nil
}

func (s *Settings) readIDs(c jose.Claims, st *statement) error {
	for _, name := range s.require {
		if raw := c.Raw(name); raw == nil || string(raw) == "null" {
			return factors.Reject(ReasonClaimMissing, "%s", name)
		}
	}
	subject, err := wanted(c, "sub", maxID)
	if err != nil {
		return err
	}
	if !s.inTrustDomain(subject) {
		return factors.Reject(ReasonSPIFFE, "")
	}
	st.marks.Subject = factors.TokenDigest(s.issuer, subject)
	if !c.Has("jti") {
		return nil
	}
	id, err := wanted(c, "jti", maxID)
	if err != nil {
		return err
	}
	st.marks.ID = factors.TokenDigest(s.issuer, id)
	return nil
}

// readLife reads when the token holds. Leeway is in what it gives.
func (s *Settings) readLife(c jose.Claims, st *statement) error {
	expires, _, err := moment(c, "exp", true)
	if err != nil {
		return err
	}
	issued, _, err := moment(c, "iat", true)
	if err != nil {
		return err
	}
	notBefore, limited, err := moment(c, "nbf", false)
	if err != nil {
		return err
	}
	since, _, err := moment(c, "auth_time", false)
	if err != nil {
		return err
	}
	st.expires, st.marks.Issued, st.evidence.Since = expires.Add(s.leeway), issued, since
	st.evidence.Expires = st.expires
	if old := issued.Add(s.maxAge); s.maxAge > 0 && old.Before(st.expires) {
		st.evidence.Expires = old
	}
	if limited {
		st.notBefore = notBefore.Add(-s.leeway)
	}
	return nil
}

func moment(c jose.Claims, name string, must bool) (time.Time, bool, error) {
	at, present, err := c.Time(name)
	switch {
	case err != nil:
		return at, present, rejected(err)
	case must && !present:
		return at, present, factors.Reject(ReasonClaimMissing, "%s", name)
	}
	return at, present, nil
}

// readScopes reads the scopes (RFC 9068 section 2.2.3, RFC 8693 section 4.2).
func (s *Settings) readScopes(c jose.Claims, st *statement) error {
	text, _, err := c.String("scope")
	if err != nil {
		return rejected(err)
	}
	if text != "" {
		st.evidence.Scopes = make([]string, 0, min(strings.Count(text, " ")+1, 16))
	}
	size := 0
	for part := range strings.SplitSeq(text, " ") {
		if text == "" || slices.Contains(st.evidence.Scopes, part) {
			continue
		}
		if size += len(part) + each; !isScope(part) || size > maxScopes {
			return factors.Reject(ReasonClaim, "scope")
		}
		st.evidence.Scopes = append(st.evidence.Scopes, part)
	}
	for _, scope := range s.scopes {
		if !slices.Contains(st.evidence.Scopes, scope) {
			return factors.Reject(ReasonScope, "%s", scope)
		}
	}
	return nil
}

func (s *Settings) readWho(c jose.Claims, st *statement) (err error) {
	if s.user != nil {
		if st.user, err = s.user.name(c); err != nil {
			return err
		}
	}
	if s.live {
		st.session, err = wanted(c, "sid", maxID)
	}
	return err
}

// readSaid reads the attributes that the policy asks for. Those that are no text, and those beyond the bounds, are left out.
func (s *Settings) readSaid(c jose.Claims, st *statement) {
	size := 0
	for _, a := range s.attributes {
		values, present, err := c.StringOrStrings(a.claim)
		if !present || err != nil {
			continue
		}
		more := len(a.name) + each
		for _, v := range values {
			more += len(v) + each
		}
		if size+more > maxAttributes {
			continue
		}
		size += more
		if st.evidence.Attributes == nil {
			st.evidence.Attributes = map[string][]string{}
		}
		st.evidence.Attributes[a.name] = values
	}
}

// wanted is a claim that must be there, and a text that can be shown.
func wanted(c jose.Claims, name string, most int) (string, error) {
	text, present, err := c.String(name)
	switch {
	case err != nil:
		return "", rejected(err)
	case !present:
		return "", factors.Reject(ReasonClaimMissing, "%s", name)
	case !elsewhere.Printable(text, most):
		return "", factors.Reject(ReasonClaim, "%s", name)
	}
	return text, nil
}

// rejected makes a rejection of what is wrong with a token.
func rejected(err error) error {
	var f *jose.Fault
	if !errors.As(err, &f) {
		return err
	}
	return factors.Reject(f.Reason, "")
}
