package oauth

import (
	"context"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Notice implements factors.Notified: OpenID Connect Back-Channel Logout 1.0, section 2.6. A logout token that says what it is
// says logout+jwt (section 2.4 recommends it); one without typ is taken as well, because its events and the missing nonce
// tell it from an ID token, and any other typ is refused.
func (f *Factor) Notice(ctx context.Context, n factors.Notice) (factors.Over, error) {
	var none factors.Over
	ctx, cancel := context.WithTimeout(ctx, elsewhere.TotalTime)
	defer cancel()
	p, err := f.providerOf(n.Tenant)
	if err != nil {
		return none, err
	}
	raw := n.Form["logout_token"]
	if len(raw) != 1 || n.Tenant == "" || p.client.plain != nil {
		return none, factors.Reject(factors.ReasonMalformed, "one logout_token is wanted, of a provider that gives them")
	}
	about, err := p.about(ctx, n.Now)
	if err != nil {
		return none, err
	}
	reading := reading{p, about, n.Now, func(h jose.Header) bool { return h.Typ == "" || h.Is("logout+jwt") }}
	in, token, err := reading.read(raw[0])
	if err != nil {
		return none, err
	}
	jti, err := in.isLogout()
	if err != nil {
		return none, err
	}
	verifier, keys := reading.verifier(token)
	if _, err := verifier.VerifyLogout(ctx, raw[0]); err != nil {
		return none, why(err, keys)
	}
	sub := in.sub
	if in.sid != "" { // one session there, and not all of the user's
		sub = ""
	}
	return factors.Over{ID: digest("oauth logout", p.client.issuer, jti), Until: in.issued.Add(maxOld + leeway),
		Handles: handles(p.client.issuer, in.sid, sub), Final: in.sid != ""}, nil
}

// isLogout holds claims to what only logout tokens are.
func (in signed) isLogout() (jti string, err error) {
	events, has, err := in.claims.Object("events")
	if err != nil {
		return "", rejected(err)
	}
	if _, logout, err := events.Object(logoutEvent); !has || !logout || err != nil || len(events.Names()) != 1 {
		return "", factors.Reject(ReasonEvents, "")
	}
	if in.claims.Has("nonce") {
		return "", factors.Reject(ReasonLogoutNonce, "")
	}
	if jti, err = short(in.claims, "jti", ReasonLogoutID); err != nil {
		return "", err
	}
	switch {
	case jti == "":
		return "", factors.Reject(ReasonLogoutID, "")
	case in.sub == "" && in.sid == "":
		return "", factors.Reject(ReasonLogoutAbout, "")
	}
	return jti, nil
}
