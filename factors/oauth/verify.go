package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

// usedEvery is how exactly the last use of a credential is kept, so that not every sign-in is a write.
const usedEvery = time.Hour

// Verify implements factors.Factor. The code is spent at the provider, so that one credential verifies once.
func (f *Factor) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	who, c, err := f.signedIn(ctx, v.Credential, v.Challenge, forLogin, v.Request)
	if err != nil {
		return factors.Verified{}, err
	}
	linked, err := f.env.Directory.Credential(ctx, who.tenant, f.settings.name, who.id(f.settings.name))
	if errors.Is(err, factors.ErrNotFound) {
		return f.newcomer(who, c, v.Request)
	}
	if err != nil {
		return factors.Verified{}, fmt.Errorf("oauth: %w", err)
	}
	return f.known(who, c, linked, v.Request)
}

// signedIn goes from the response of a provider to who signed in there.
func (f *Factor) signedIn(ctx context.Context, credential json.RawMessage, asked factors.Asked, why purpose, r factors.Request) (identity, *client, error) {
	var none identity
	ctx, cancel := context.WithTimeout(ctx, elsewhere.TotalTime)
	defer cancel()
	back, err := parseCallback(credential)
	if err != nil {
		return none, nil, err
	}
	e, p, err := f.open(asked, why, r, back)
	if err != nil {
		return none, nil, err
	}
	about, err := p.about(ctx, r.Now)
	if err != nil {
		return none, nil, err
	}
	t, err := p.exchange(ctx, e, back.code, r.Now, about)
	if err != nil {
		return none, nil, err
	}
	who, err := p.identity(ctx, about, t, e, r)
	who.tenant = e.Tenant
	return who, p.client, err
}

// identity is whom the tokens name.
func (p *provider) identity(ctx context.Context, about metadata, t tokens, e envelope, r factors.Request) (identity, error) {
	if p.client.plain != nil {
		return p.plainIdentity(ctx, t)
	}
	if t.id == "" {
		return identity{}, factors.Reject(ReasonNoIDToken, "")
	}
	in, since, err := p.idToken(ctx, about, t, e, r)
	if err != nil {
		return identity{}, err
	}
	who := identity{issuer: p.client.issuer, sub: in.sub, sid: in.sid, since: since, facts: facts{in.claims}}
	if p.client.userinfo {
		more, err := p.userinfo(ctx, about, t, in.sub)
		if err != nil {
			return identity{}, err
		}
		who.facts = append(who.facts, more)
	}
	return who, nil
}

// known is the evidence of a user whom the identity is linked to.
func (f *Factor) known(who identity, c *client, linked factors.Credential, r factors.Request) (factors.Verified, error) {
	var none factors.Verified
	if linked.Tenant != who.tenant || linked.Factor != f.settings.name || linked.User == "" {
		return none, factors.Reject(ReasonForeignUser, "the identity is linked elsewhere")
	}
	owner := authn.Subject{Tenant: linked.Tenant, User: linked.User}
	if _, err := r.Subject.Narrow(owner); err != nil {
		return none, factors.Reject(ReasonForeignUser, "the identity is somebody else's than the subject's")
	}
	if linked.Flagged != "" {
		return none, factors.Reject(factors.ReasonFlagged, "%s", linked.Flagged)
	}
	if err := who.isOf(linked); err != nil {
		return none, err
	}
	seen, data, err := who.record(c)
	if err != nil {
		return none, err
	}
	out := factors.Verified{Evidence: f.evidence(who, c, owner, seen, r.Now)}
	if !bytes.Equal(data, linked.Data) || linked.Best != c.strength || r.Now.Sub(linked.Used) >= usedEvery {
		linked.Data, linked.Best, linked.Used = data, c.strength, r.Now
		out.Update = &linked
	}
	return out, nil
}

// newcomer is somebody whose identity is linked to nobody.
func (f *Factor) newcomer(who identity, c *client, r factors.Request) (factors.Verified, error) {
	var none factors.Verified
	switch {
	case !c.provision:
		return none, factors.Reject(factors.ReasonUserUnknown, "the identity is linked to nobody")
	case r.Subject.User != "":
		return none, factors.Reject(factors.ReasonUserUnknown, "the identity is linked to nobody, and the subject is somebody")
	case r.Subject.Tenant == "":
		return none, factors.Reject(ReasonTenant, "new users are made only in a tenant that an earlier step proved")
	}
	name, err := who.name(c.user)
	if err != nil {
		return none, err
	}
	seen, data, err := who.record(c)
	if err != nil {
		return none, err
	}
	return factors.Verified{
		Evidence: f.evidence(who, c, authn.Subject{Tenant: who.tenant}, seen, r.Now),
		Provision: &factors.Provision{Name: name, Display: seen.Display,
			Credential: factors.Credential{ID: who.id(f.settings.name), Kind: f.settings.kind, Data: data, Best: c.strength, Used: r.Now}},
	}, nil
}

// evidence says what a sign-in proves. The name of a user is the directory's, and for the engine to add.
func (f *Factor) evidence(who identity, c *client, subject authn.Subject, seen record, now time.Time) authn.Evidence {
	e := authn.Evidence{Factor: f.settings.name, Kind: f.settings.kind, Subject: subject, Credential: who.id(f.settings.name),
		Key: amrOf(f.settings.kind) + ":" + who.key(), AMR: []string{amrOf(f.settings.kind)}, Strength: c.strength, At: now, Since: who.since,
		Issuer: who.issuer, Attributes: seen.Attributes}
	if c.plain == nil { // nobody tells when a sign-in at a plain provider is over
		e.Handles = handles(who.issuer, who.sid, who.sub)
	}
	return e
}
