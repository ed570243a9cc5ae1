package mtls

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
)

// Verifier is the factor: it verifies the certificate of a request. It is made by [Kind] and safe for concurrent use.
type Verifier struct {
	settings    *Settings
	env         factors.Env
	denials     factors.DenialsVersion // of env; nil: it has no versions
	trust       trust
	roots       map[root]standing
	keeper      *revocation.Keeper
	lists       *revocation.Checker // nil: the policy does not ask for it
	description authn.Factor
	memoKey     any // boxed once, so that asking the connection costs no allocation
}

var _ factors.Tied = (*Verifier)(nil)

// memoKey names a factor in the memory of a connection. What a factor built before remembered is replaced, not kept.
type memoKey struct{ factor string }

func newVerifier(s *Settings, env factors.Env, keeper *revocation.Keeper) (*Verifier, error) {
	if env.Denials == nil {
		return nil, fmt.Errorf("mtls: factor %q: no list of denials", s.name)
	}
	if env.Directory == nil && s.rules.identifies() == authn.IdentifiesUser {
		return nil, fmt.Errorf("mtls: factor %q: no directory", s.name)
	}
	v := &Verifier{
		settings:    s,
		env:         env,
		trust:       newTrust(s.anchors, s.all),
		roots:       standings(s.anchors),
		keeper:      keeper,
		description: s.Describe(),
		memoKey:     memoKey{s.name},
	}
	v.denials, _ = env.Denials.(factors.DenialsVersion)
	if s.lists == nil {
		return v, nil
	}
	if err := checkStepUp(s, env.Policy); err != nil {
		return nil, err
	}
	v.lists = keeper.Checker(s.name, s.lists)
	return v, nil
}

// checkStepUp wants the factors in the policy that a certificate needs besides when what is known of it is too old.
func checkStepUp(s *Settings, p *policy.Policy) error {
	for _, name := range s.lists.StepUp {
		if p == nil {
			return fmt.Errorf("mtls: factor %q: no policy", s.name)
		}
		if f, ok := p.Factor(name); !ok || f.Ambient {
			return fmt.Errorf("mtls: factor %q: revocation: stale: step_up: the policy has no factor %q that asks the caller for something", s.name, name)
		}
	}
	return nil
}

// Describe implements [factors.Factor].
func (v *Verifier) Describe() authn.Factor { return v.description }

// Verify implements [factors.Factor]. The certificate is that of the request; the credential is not looked at.
func (v *Verifier) Verify(ctx context.Context, in factors.Verification) (factors.Verified, error) {
	f, err := v.find(ctx, in.Request, wanted{tenant: in.Subject.Tenant}, factors.ReasonNoCertificate)
	if err != nil {
		return factors.Verified{}, err
	}
	if err := v.checkEnrolled(ctx, f); err != nil {
		return factors.Verified{}, err
	}
	return factors.Verified{Evidence: v.evidence(in.Request, f), Further: v.further(f.stale)}, nil
}

// CheckTie implements [factors.Tied]. subject is the one of the evidence that the tie belongs to.
func (v *Verifier) CheckTie(ctx context.Context, r factors.Request, tie authn.Tie, subject authn.Subject) error {
	standing, known := v.standingNow(r.Now)
	if known && v.passes(r, standing, tie, subject) {
		return nil
	}
	if err := v.checkOriginal(ctx, r.Now, tie, subject); err != nil {
		return err
	}
	f, err := v.find(ctx, r, wanted{tenant: subject.Tenant, anchor: tie.Anchor, remembered: true}, factors.ReasonTieMissing)
	stale, err := v.checkOriginalRevoked(ctx, r.Now, tie, f, err)
	if err != nil {
		return err
	}
	if r.Peer.Source().Name != tie.Source {
		return factors.Reject(ReasonOtherSource, "the session is bound to another source of certificates")
	}
	for _, bind := range []authn.Bind{tie.Bind, v.settings.bind} { // the policy may have become stricter since
		if !carriesOn(bind, f, tie) {
			return factors.Reject(factors.ReasonTieBroken, "it is not one that may carry the session on (%s)", bind)
		}
	}
	if !v.sameSubject(f.subject, subject, tie.Bind) {
		return factors.Reject(ReasonOtherSubject, "it maps to another subject than the session's")
	}
	if further := v.further(stale); len(further) > 0 {
		return &factors.FurtherError{Factors: further}
	}
	if known {
		v.pass(r, standing, f, tie, subject)
	}
	return nil
}

// carriesOn reports whether the certificate found may carry on what the tie was won with.
func carriesOn(bind authn.Bind, f finding, tie authn.Tie) bool {
	switch bind {
	case authn.BindKey:
		return f.marks.Key == tie.Key
	case authn.BindCertificate:
		return f.marks.Certificate == tie.Certificate
	case authn.BindIdentity:
		return f.holder.anchor.Name == tie.Anchor && f.subject.User != ""
	}
	return false
}

// sameSubject compares what the certificate maps to now with the subject of the session. A factor that can only name
// tenants says nothing about the session's user; any other must name the same.
func (v *Verifier) sameSubject(mapped, of authn.Subject, bind authn.Bind) bool {
	if v.description.Identifies != authn.IdentifiesUser && bind != authn.BindIdentity {
		return mapped.Tenant == of.Tenant
	}
	return mapped == of
}

// finding is a certificate verified, and whom it belongs to.
type finding struct {
	*proof
	holder  *holder
	subject authn.Subject
	user    *factors.User // nil where only the tenant is named; not to be changed
	stale   bool          // what is known of its revocation is too old, and passes because the policy lets it
}

// wanted says which of several readings of a certificate is asked for, and how old the directory's answer may be.
type wanted struct {
	tenant, anchor string
	remembered     bool
}

// find verifies the certificate of a request and resolves its names. missing is the reason where there is none.
func (v *Verifier) find(ctx context.Context, r factors.Request, w wanted, missing authn.Reason) (finding, error) {
	if !r.Peer.Present() {
		return finding{}, factors.Reject(missing, "the request carries no certificate")
	}
	if r.Peer.Source().Early {
		return finding{}, factors.Reject(ReasonEarlyData, "the handshake was not complete")
	}
	p, err := v.prove(r)
	if err != nil {
		return finding{}, err
	}
	h, err := v.choose(ctx, r, p, w)
	if err != nil {
		return finding{}, err
	}
	f := finding{proof: p, holder: h, subject: authn.Subject{Tenant: h.tenant}}
	if cleared := h.cleared.Load(); cleared != nil {
		f.stale = cleared.stale
	}
	if h.user == "" {
		return f, nil
	}
	if f.user, err = v.user(ctx, r.Now, p, h, w.remembered); err != nil {
		return finding{}, err
	}
	f.subject = f.user.Subject()
	return f, nil
}

// user looks the holder's name up. With remembered, an answer that this connection got less than lookupFresh ago is good
// enough; it includes that the certificate is enrolled.
func (v *Verifier) user(ctx context.Context, now time.Time, p *proof, h *holder, remembered bool) (*factors.User, error) {
	if known := h.found.Load(); remembered && known.fresh(now) {
		return &known.user, nil
	}
	u, err := v.env.Directory.UserNamed(ctx, h.tenant, h.user, v.settings.class)
	if errors.Is(err, factors.ErrNotFound) {
		return nil, factors.Reject(factors.ReasonUserUnknown, "tenant %q has nobody of this name", h.tenant)
	}
	if err != nil {
		return nil, fmt.Errorf("mtls: directory: %w", err)
	}
	if u.ID == "" || u.Tenant != h.tenant || u.Name != h.user || u.Class != v.settings.class {
		return nil, errDirectory
	}
	found := &lookup{now, u}
	if remembered {
		if err := v.checkEnrolled(ctx, finding{proof: p, holder: h, user: &found.user}); err != nil {
			return nil, err
		}
		h.found.Store(found)
	}
	return &found.user, nil
}

var errDirectory = errors.New("mtls: the directory found somebody else than it was asked for")

// checkEnrolled wants the certificate among those that the user enrolled, if the policy does.
func (v *Verifier) checkEnrolled(ctx context.Context, f finding) error {
	if !v.settings.enrolled {
		return nil
	}
	if f.user == nil {
		return factors.Reject(ReasonNotEnrolled, "it names no user")
	}
	c, err := v.env.Directory.Credential(ctx, f.user.Tenant, v.settings.name, f.id())
	switch {
	case errors.Is(err, factors.ErrNotFound):
		return factors.Reject(ReasonNotEnrolled, "the user has not enrolled it")
	case err != nil:
		return fmt.Errorf("mtls: directory: %w", err)
	case c.Tenant != f.user.Tenant || c.User != f.user.ID:
		return factors.Reject(ReasonNotEnrolled, "somebody else enrolled it")
	case c.Flagged != "":
		return factors.Reject(factors.ReasonFlagged, "it was flagged: %s", c.Flagged)
	}
	return nil
}

// id names the certificate as a credential.
func (f finding) id() string { return hex.EncodeToString(f.marks.Certificate[:]) }

func (v *Verifier) evidence(r factors.Request, f finding) authn.Evidence {
	names := authn.Names{Tenant: f.subject.Tenant}
	if f.user != nil {
		names.User = f.user.Name
	}
	return authn.Evidence{
		Factor:     v.settings.name,
		Kind:       KindName,
		Subject:    f.subject,
		Names:      names,
		Credential: f.id(),
		Key:        "spki:" + hex.EncodeToString(f.marks.Key[:]),
		AMR:        []string{amr},
		Strength:   strength,
		Ambient:    true,
		At:         r.Now,
		Expires:    f.holder.notAfter,
		Tie:        v.tie(r, f),
	}
}
