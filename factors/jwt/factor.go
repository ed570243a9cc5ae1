package jwt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

// Factor verifies the token of a request. It is made by [Kind] and safe for concurrent use.
type Factor struct {
	settings    *Settings
	env         factors.Env
	keys        *keyring
	verified    *cache
	nonces      *nonces // nil: none are asked for
	description authn.Factor
}

// Build implements factors.Kind. The factor is a [*Factor]. It fetches no keys yet. The list of denied tokens is needed
// always, the directory where a token names a user, Once unless the policy has dpop: off, Live with session: live.
func (kind) Build(s policy.Settings, env factors.Env) (factors.Factor, error) {
	own, ok := s.(*Settings)
	if !ok {
		return nil, fmt.Errorf("jwt: settings of another kind: %T", s)
	}
	for _, need := range []struct {
		missing bool
		what    string
	}{
		{env.Tokens == nil, "list of denied tokens"},
		{env.Directory == nil && own.user != nil, "directory"},
		{env.Once == nil && own.dpop != off, "memory of what was used"},
		{env.Live == nil && own.live, "way to ask for sessions"},
	} {
		if need.missing {
			return nil, fmt.Errorf("jwt: factor %q: no %s", own.name, need.what)
		}
	}
	if env.Rand == nil {
		env.Rand = rand.Reader
	}
	verified, err := newCache(env.Rand)
	if err != nil {
		return nil, err
	}
	nonces, err := newNonces(own, env.Rand)
	if err != nil {
		return nil, err
	}
	return &Factor{settings: own, env: env, keys: newKeyring(own), verified: verified, nonces: nonces, description: own.Describe()}, nil
}

// Describe implements [factors.Factor].
func (f *Factor) Describe() authn.Factor { return f.description }

// Verify implements [factors.Factor]. The token is that of the request; the credential is not looked at.
func (f *Factor) Verify(ctx context.Context, in factors.Verification) (factors.Verified, error) {
	if why := in.Carried.Refused; why != "" {
		return factors.Verified{}, factors.Reject(why, "")
	}
	if in.Carried.Token == "" {
		return factors.Verified{}, factors.Reject(factors.ReasonNoToken, "")
	}
	if err := ctx.Err(); err != nil {
		return factors.Verified{}, fmt.Errorf("jwt: %w", err)
	}
	tenant, err := f.tenantOf(in.Request)
	if err != nil {
		return factors.Verified{}, err
	}
	known, err := f.keys.known(ctx, in.Now)
	if err != nil && !f.settings.ours(in.Carried.Token) {
		err = factors.Reject(ReasonIssuer, "")
	}
	if err != nil {
		return factors.Verified{}, err
	}
	name := f.verified.name(tenant, in.Carried.Token)
	e := f.verified.get(name, known.generation)
	fresh := e == nil
	if fresh {
		if e, err = f.verify(ctx, in.Now, in.Carried.Token, known); err != nil {
			return factors.Verified{}, err
		}
	}
	subject, user, err := f.stands(ctx, in.Request, tenant, e)
	if err != nil {
		return factors.Verified{}, err
	}
	if fresh {
		f.verified.put(name, e)
	}
	out := factors.Verified{Evidence: e.evidence}
	out.Evidence.At, out.Evidence.Subject, out.Evidence.Names = in.Now, subject, authn.Names{Tenant: subject.Tenant, User: user}
	return out, nil
}

// tenantOf is the tenant that the token is to be good for: the policy's, or the one that an earlier step proved.
func (f *Factor) tenantOf(r factors.Request) (string, error) {
	return elsewhere.TenantOf(r, f.settings.tenant, ReasonTenant, "the tokens are another tenant's")
}

// stands makes every check that depends on when and how a token is presented. It is the same for a token that was verified
// just now and for one that is remembered. A proof is spent last, so that nothing else can be the reason to lose it.
func (f *Factor) stands(ctx context.Context, r factors.Request, tenant string, e *entry) (authn.Subject, string, error) {
	if err := f.settings.checkTimes(r.Now, &e.statement); err != nil {
		return authn.Subject{}, "", err
	}
	if f.settings.tenantIn != "" && e.tenant != tenant {
		return authn.Subject{}, "", factors.Reject(ReasonTenant, "the token names another tenant")
	}
	if err := f.settings.checkScheme(r.Carried, e.binding); err != nil {
		return authn.Subject{}, "", err
	}
	if err := f.settings.checkCertificate(r, e.binding); err != nil {
		return authn.Subject{}, "", err
	}
	var proof spent
	if e.binding.key != nil {
		var err error
		if proof, err = f.checkProof(r, e.binding.key); err != nil {
			return authn.Subject{}, "", err
		}
	}
	if err := f.checkDenied(ctx, r.Now, tenant, e.marks); err != nil {
		return authn.Subject{}, "", err
	}
	subject, user, err := f.who(ctx, r.Now, tenant, e)
	if err == nil && e.binding.key != nil {
		err = f.spend(ctx, proof)
	}
	return subject, user, err
}

// checkTimes holds a token to the time. What expires and notBefore say has the leeway in it already.
func (s *Settings) checkTimes(now time.Time, st *statement) error {
	issued := st.marks.Issued
	switch {
	case !now.Before(st.expires):
		return factors.Reject(ReasonExpired, "")
	case now.Before(st.notBefore):
		return factors.Reject(ReasonNotYet, "")
	case issued.After(now.Add(s.leeway)):
		return factors.Reject(ReasonFuture, "")
	case s.maxAge > 0 && now.Sub(issued) >= s.maxAge:
		return factors.Reject(ReasonTooOld, "")
	}
	return nil
}

func (f *Factor) checkDenied(ctx context.Context, now time.Time, tenant string, m factors.TokenMarks) error {
	denied, err := f.env.Tokens.TokenDenied(ctx, now, tenant, m)
	if err != nil {
		return fmt.Errorf("jwt: the list of denied tokens: %w", err)
	}
	if denied {
		return factors.Reject(factors.ReasonRevoked, "it is on the list of denied tokens")
	}
	return nil
}

// who is the user that a token names, with their login name, and whether the session that it was made from lives.
func (f *Factor) who(ctx context.Context, now time.Time, tenant string, e *entry) (authn.Subject, string, error) {
	if e.user == "" {
		return authn.Subject{}, "", nil
	}
	u, err := f.user(ctx, now, tenant, e)
	if err != nil {
		return authn.Subject{}, "", err
	}
	if e.session != "" {
		lives, err := f.env.Live.SessionLive(ctx, now, tenant, u.ID, e.session)
		if err != nil {
			return authn.Subject{}, "", fmt.Errorf("jwt: sessions: %w", err)
		}
		if !lives {
			return authn.Subject{}, "", factors.Reject(ReasonSession, "")
		}
	}
	return u.Subject(), u.Name, nil
}

// lookupFresh is how long the directory's answer about a user is good for the same token.
const lookupFresh = time.Second

// user looks the user of a token up. The user is not to be changed.
func (f *Factor) user(ctx context.Context, now time.Time, tenant string, e *entry) (*factors.User, error) {
	if known := e.found.Load(); known != nil && now.Sub(known.at).Abs() < lookupFresh {
		return &known.user, nil
	}
	u, err := f.env.Directory.UserNamed(ctx, tenant, e.user, f.settings.class)
	if errors.Is(err, factors.ErrNotFound) {
		return nil, factors.Reject(factors.ReasonUserUnknown, "tenant %q has nobody of this name", tenant)
	}
	if err != nil {
		return nil, fmt.Errorf("jwt: directory: %w", err)
	}
	if u.ID == "" || u.Tenant != tenant || u.Name != e.user || u.Class != f.settings.class {
		return nil, errors.New("jwt: the directory found somebody else than it was asked for")
	}
	found := &lookup{at: now, user: u}
	e.found.Store(found)
	return &found.user, nil
}
