package jose

import (
	"strings"
	"time"
)

const (
	maxPayload   = 64 << 10
	maxAudiences = 64
)

// claimNames are the claims that decide something, here or in a factor above.
var claimNames = []string{
	"acr", "act", "amr", "at_hash", "ath", "aud", "auth_time", "azp", "c_hash", "client_id", "cnf", "email", "email_verified",
	"events", "exp", "htm", "htu", "iat", "iss", "jkt", "jti", "jwk", "may_act", "nbf", "nonce", "s_hash", "scope", "sid", "sub",
	"x5t#S256",
}

// Claims is the claims set of a token (RFC 7519 section 4), or an object in one. The zero value is empty.
//
// What reads a claim says whether it is present: an absent one is no error, one of another type is a *[Fault] with
// [ReasonClaimType]. A claim that is null is present, and of another type.
type Claims struct{ members object }

// ParseClaims reads a payload: one object, with no name twice, and none that differs only in case from another or from a claim
// that has a meaning. Every error is a *[Fault].
func ParseClaims(payload []byte) (Claims, error) {
	if len(payload) > maxPayload {
		return Claims{}, fault(ReasonTooLarge)
	}
	if nested(payload) {
		return Claims{}, fault(ReasonNested)
	}
	o, err := readObject(string(payload), claimNames, ReasonClaims)
	return Claims{o}, err
}

// nested reports whether a payload looks like another token in its compact form.
func nested(payload []byte) bool {
	dots := 0
	for _, c := range payload {
		switch {
		case c == '.':
			dots++
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '-', c == '_':
		default:
			return false
		}
	}
	return dots == 2 || dots == 4
}

// Names are the names of all claims, in the order that they are written in.
func (c Claims) Names() []string {
	all := make([]string, len(c.members))
	for i, m := range c.members {
		all[i] = m.name
	}
	return all
}

// Has reports whether a claim is present, of whatever type.
func (c Claims) Has(name string) bool { return c.members.value(name) != "" }

// Raw is a claim as it is written; nil: there is none.
func (c Claims) Raw(name string) []byte {
	v := c.members.value(name)
	if v == "" {
		return nil
	}
	return []byte(v)
}

// String is a claim that is a string.
func (c Claims) String(name string) (s string, present bool, err error) {
	v := c.members.value(name)
	if v == "" {
		return "", false, nil
	}
	if v[0] != '"' {
		return "", true, fault(ReasonClaimType)
	}
	s, _ = unquote(v)
	return s, true, nil
}

// StringOrStrings is a claim that is a string, or an array of nothing but strings, as aud is. A string is an array of one.
func (c Claims) StringOrStrings(name string) (all []string, present bool, err error) {
	if v := c.members.value(name); v == "" || v[0] == '"' {
		s, present, err := c.String(name)
		if !present {
			return nil, false, err
		}
		return []string{s}, true, err
	}
	return c.Strings(name)
}

// Strings is a claim that is an array of nothing but strings, at most 64 of them.
func (c Claims) Strings(name string) (all []string, present bool, err error) {
	v := c.members.value(name)
	if v == "" {
		return nil, false, nil
	}
	all, ok := texts(v)
	if !ok || len(all) > maxAudiences {
		return nil, true, fault(ReasonClaimType)
	}
	return all, true, nil
}

// Bool is a claim that is true or false, and not the word for it.
func (c Claims) Bool(name string) (is, present bool, err error) {
	switch c.members.value(name) {
	case "":
		return false, false, nil
	case "true":
		return true, true, nil
	case "false":
		return false, true, nil
	default:
		return false, true, fault(ReasonClaimType)
	}
}

// Object is a claim that is an object, read like the claims set itself.
func (c Claims) Object(name string) (in Claims, present bool, err error) {
	v := c.members.value(name)
	if v == "" {
		return Claims{}, false, nil
	}
	o, err := readObject(v, claimNames, ReasonClaimType)
	return Claims{o}, true, err
}

// lastSecond is the end of the year 9999, after which times cannot be written any more.
const lastSecond = 253402300799

// Time is a claim that is a NumericDate (RFC 7519 section 2): whole seconds since 1970, or with at most nine decimals. Numbers
// written with an exponent or a sign, and those after the year 9999, are a *[Fault] with [ReasonClaimTime].
func (c Claims) Time(name string) (at time.Time, present bool, err error) {
	v := c.members.value(name)
	if v == "" {
		return time.Time{}, false, nil
	}
	if v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return time.Time{}, true, fault(ReasonClaimType)
	}
	whole, decimals, _ := strings.Cut(v, ".")
	seconds, ok := digits(whole, 12)
	nanos, fine := digits(decimals, 9)
	if !ok || !fine || seconds > lastSecond {
		return time.Time{}, true, fault(ReasonClaimTime)
	}
	for range 9 - len(decimals) {
		nanos *= 10
	}
	return time.Unix(seconds, nanos).UTC(), true, nil
}

func digits(s string, limit int) (n int64, ok bool) {
	if len(s) > limit {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n, true
}
