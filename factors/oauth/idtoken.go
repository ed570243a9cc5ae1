package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

const (
	maxIDToken = 32 << 10 // bytes
	maxSubject = 255      // OpenID Connect Core section 2
	maxOld     = 10 * time.Minute
	leeway     = 30 * time.Second // how far the provider's clock may be from ours, for times in the past
)

// signed is a token of the provider's, verified: what all of them have in common.
type signed struct {
	claims jose.Claims
	sub    string // empty: none
	sid    string // empty: none
	issued time.Time
}

// reading is what one token is read for.
type reading struct {
	provider *provider
	about    metadata
	now      time.Time
	typ      func(jose.Header) bool
}

// read takes a token apart, strictly, and verifies all that ID tokens and logout tokens have in common: type, issuer,
// audience, times, and then the signature. What is cheap comes first, so that a made-up token makes nobody fetch keys.
func (r reading) read(raw string) (signed, jose.Token, error) {
	var none signed
	token, err := jose.Parse(raw, maxIDToken)
	if err != nil {
		return none, token, rejected(err)
	}
	claims, err := jose.ParseClaims(token.Payload)
	if err != nil {
		return none, token, rejected(err)
	}
	if !r.typ(token.Header) {
		return none, token, factors.Reject(ReasonTokenType, "")
	}
	if !slices.Contains(r.provider.client.allowed(r.about), token.Header.Alg) {
		return none, token, factors.Reject(jose.ReasonAlgorithm, "%s", token.Header.Alg)
	}
	out := signed{claims: claims}
	if out.sub, err = short(claims, "sub", ReasonSubject); err != nil {
		return none, token, err
	}
	if out.sid, err = short(claims, "sid", ReasonClaim); err != nil {
		return none, token, err
	}
	if err := r.addressed(claims); err != nil {
		return none, token, err
	}
	out.issued, err = r.timely(claims)
	return out, token, err
}

// short is a text that may be missing, and is not empty and not over-long where it is there.
func short(c jose.Claims, name string, why authn.Reason) (string, error) {
	s, has, err := c.String(name)
	if err != nil {
		return "", rejected(err)
	}
	if has && !elsewhere.Printable(s, maxSubject) {
		return "", factors.Reject(why, "%s is empty, too long, or not to be seen", name)
	}
	return s, nil
}

// addressed holds iss, aud and azp to who we are (OpenID Connect Core section 3.1.3.7 steps 2 to 5).
func (r reading) addressed(c jose.Claims) error {
	iss, _, err := c.String("iss")
	if err != nil {
		return rejected(err)
	}
	if iss != r.provider.client.issuer {
		return factors.Reject(ReasonIssuer, "")
	}
	aud, _, err := c.StringOrStrings("aud")
	if err != nil {
		return rejected(err)
	}
	me := r.provider.client.id
	if !slices.Contains(aud, me) {
		return factors.Reject(ReasonAudience, "it is for somebody else")
	}
	if slices.ContainsFunc(aud, func(a string) bool { return a != me && !slices.Contains(r.provider.client.audiences, a) }) {
		return factors.Reject(ReasonAudience, "it is also for somebody whom the policy does not list")
	}
	azp, has, err := c.String("azp")
	if err != nil {
		return rejected(err)
	}
	if has && azp != me || !has && len(aud) > 1 {
		return factors.Reject(ReasonAzp, "")
	}
	return nil
}

// timely holds exp, iat and nbf to the clock: a token that answers a question was made just now.
func (r reading) timely(c jose.Claims) (issued time.Time, err error) {
	expires, has, err := c.Time("exp")
	if err != nil {
		return issued, rejected(err)
	}
	if !has || !r.now.Before(expires) {
		return issued, factors.Reject(ReasonExpired, "")
	}
	before, has, err := c.Time("nbf")
	if err != nil {
		return issued, rejected(err)
	}
	if has && before.After(r.now.Add(leeway)) {
		return issued, factors.Reject(ReasonIssuedAt, "it is not good yet")
	}
	issued, has, err = c.Time("iat")
	if err != nil {
		return issued, rejected(err)
	}
	if !has || issued.After(r.now.Add(leeway)) || r.now.Sub(issued) > maxOld {
		return issued, factors.Reject(ReasonIssuedAt, "")
	}
	return issued, nil
}

// verifier is go-oidc's, with a clock and keys of ours.
func (r reading) verifier(token jose.Token) (*oidc.IDTokenVerifier, *keySet) {
	keys := &keySet{provider: r.provider, about: r.about, token: token, now: r.now}
	c := r.provider.client
	return oidc.NewVerifier(c.issuer, keys, &oidc.Config{ClientID: c.id, SupportedSigningAlgs: c.allowed(r.about),
		Now: func() time.Time { return r.now }}), keys
}

// why sorts what go-oidc says: what the key set said goes before.
func why(err error, keys *keySet) error {
	if keys.err != nil {
		return keys.err
	}
	if errors.As(err, new(*oidc.TokenExpiredError)) {
		return factors.Reject(ReasonExpired, "")
	}
	return factors.Reject(jose.ReasonClaims, "")
}

// idToken reads and verifies an ID token (OpenID Connect Core section 3.1.3.7).
func (p *provider) idToken(ctx context.Context, about metadata, t tokens, e envelope, r factors.Request) (signed, time.Time, error) {
	var none signed
	reading := reading{p, about, r.Now, func(h jose.Header) bool { return h.Typ == "" || h.Is("JWT") }}
	in, token, err := reading.read(t.id)
	if err != nil {
		return none, time.Time{}, err
	}
	if in.sub == "" {
		return none, time.Time{}, factors.Reject(ReasonSubject, "it names nobody")
	}
	if in.claims.Has("events") { // a logout token is none, whoever says so
		return none, time.Time{}, factors.Reject(ReasonTokenType, "it has events")
	}
	if nonce, _, err := in.claims.String("nonce"); err != nil || e.Nonce == "" || !same(nonce, e.Nonce) {
		return none, time.Time{}, factors.Reject(ReasonNonce, "")
	}
	verifier, keys := reading.verifier(token)
	verified, err := verifier.Verify(ctx, t.id)
	if err != nil {
		return none, time.Time{}, why(err, keys)
	}
	if verified.Subject != in.sub || verified.Issuer != p.client.issuer {
		return none, time.Time{}, fmt.Errorf("oauth: two readings of one token differ")
	}
	if in.claims.Has("at_hash") && verified.VerifyAccessToken(t.access) != nil {
		return none, time.Time{}, factors.Reject(ReasonAtHash, "")
	}
	if err := p.client.classOf(in.claims); err != nil {
		return none, time.Time{}, err
	}
	since, err := p.client.since(in.claims, e, r)
	return in, since, err
}

// classOf holds acr to the policy in force.
func (c *client) classOf(claims jose.Claims) error {
	acr, _, err := claims.String("acr")
	if err != nil {
		return rejected(err)
	}
	if len(c.acr) > 0 && !slices.Contains(c.acr, acr) {
		return factors.Reject(ReasonACR, "")
	}
	return nil
}

// since is when the user signed in (auth_time), the Unix epoch where the provider does not say. The strictest of the ages
// that were asked for and that hold now must be kept.
func (c *client) since(claims jose.Claims, e envelope, r factors.Request) (time.Time, error) {
	at, has, err := claims.Time("auth_time")
	if err != nil {
		return at, rejected(err)
	}
	age := youngest(time.Duration(e.MaxAge)*time.Second, c.maxAge, r.MaxAge)
	switch {
	case !has && age > 0:
		return at, factors.Reject(ReasonAuthTime, "nobody says when it was")
	case !has:
		return time.Unix(0, 0).UTC(), nil
	case at.After(r.Now.Add(leeway)):
		return at, factors.Reject(ReasonAuthTime, "it is yet to come")
	case age > 0 && r.Now.Sub(at) > age+leeway:
		return at, factors.Reject(ReasonAuthTime, "it is too long ago")
	}
	return at, nil
}
