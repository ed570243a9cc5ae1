package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// Config is what an engine is made of. Policy, Kinds and Store are required.
type Config struct {
	Policy *policy.Policy
	Kinds  []factors.Kind // the factors of a policy are built from these, anew with each policy
	Store  Store
	// Log gets every audit event and every failure of our own. Nil means slog.Default().
	Log *slog.Logger
	// Sink, if set, gets every audit event after the store has it. It is called with the request waiting.
	Sink func(context.Context, Event)
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Rand is the source of ids and secrets. Nil means crypto/rand.Reader.
	Rand io.Reader
	// Operator is the tenant whose administrators administer the portal too: they read the audit events that belong to no
	// tenant. Empty: none, and only the program itself reads those.
	Operator string
	// Base is the path under which the HTTP contract is mounted: providers send browsers back below it. Empty means "/auth".
	Base string
	// NameKey keys the hashes under which unmatched names appear in the audit log, at least 16 bytes. Nil means a
	// random key for the life of the engine.
	NameKey []byte
}

// DefaultBase is where the HTTP contract is mounted if Config does not say.
const DefaultBase = "/auth"

// Engine drives logins. It is safe for concurrent use and starts no goroutine.
type Engine struct {
	store     Store
	kinds     []factors.Kind
	log       *slog.Logger
	sink      func(context.Context, Event)
	now       func() time.Time
	rand      io.Reader
	nameKey   []byte
	operator  string
	base      string
	denials   *denials
	standings *standings
	refusals  quiet
	current   atomic.Pointer[runtime]
}

// runtime is a policy and the factors built from it. They are swapped together.
type runtime struct {
	policy  *policy.Policy
	factors map[string]factors.Factor
	order   []factors.Factor
}

// New makes an engine. It fails where something required is missing, a kind appears twice, or a factor of the policy
// cannot be built.
func New(c Config) (*Engine, error) {
	if c.Policy == nil || c.Store == nil || len(c.Kinds) == 0 {
		return nil, errors.New("session: Config needs Policy, Kinds and Store")
	}
	seen := map[string]bool{}
	for _, k := range c.Kinds {
		if seen[k.Name()] {
			return nil, fmt.Errorf("session: the kind %q is given twice", k.Name())
		}
		seen[k.Name()] = true
	}
	e := &Engine{store: c.Store, kinds: c.Kinds, log: c.Log, sink: c.Sink, now: c.Now, rand: c.Rand, nameKey: c.NameKey, operator: c.Operator, base: c.Base}
	if e.base == "" {
		e.base = DefaultBase
	}
	if clean, ok := policy.CleanPath(e.base); !ok || clean != e.base || clean == "/" || strings.ContainsAny(clean, "?#%{}*") {
		return nil, errors.New("session: Base must be a clean path such as /auth")
	}
	if e.log == nil {
		e.log = slog.Default()
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.rand == nil {
		e.rand = rand.Reader
	}
	if e.nameKey == nil {
		e.nameKey = make([]byte, 32)
		if _, err := io.ReadFull(e.rand, e.nameKey); err != nil {
			return nil, fmt.Errorf("session: no randomness: %w", err)
		}
	} else if len(e.nameKey) < 16 {
		return nil, errors.New("session: NameKey needs at least 16 bytes")
	}
	e.denials, e.standings = newDenials(c.Store), newStandings(c.Store)
	if err := e.SetPolicy(c.Policy); err != nil {
		return nil, err
	}
	return e, nil
}

// SetPolicy puts another policy in force, with factors built anew. On error the old one stays. Running logins keep the
// method they began with and are checked against the new policy when they end; sessions are checked against it on their
// next request.
func (e *Engine) SetPolicy(p *policy.Policy) error {
	rt := &runtime{policy: p, factors: map[string]factors.Factor{}}
	env := factors.Env{Policy: p, Directory: lookups{e.store}, Denials: e.denials, Rand: e.rand, Base: e.base,
		Once: once{e.store}, Tokens: e.denials, Live: live{e}}
	for _, f := range p.Factors {
		built, err := e.build(f, env)
		if err != nil {
			return fmt.Errorf("session: factor %q: %w", f.Name, err)
		}
		rt.factors[f.Name] = built
		rt.order = append(rt.order, built)
	}
	e.current.Store(rt)
	for _, m := range p.Methods {
		if m.TokenAlone {
			e.log.Warn("a method lets in a token without the certificate that it asks for: insecure_allow_token_without_certificate", "method", m.Name)
		}
	}
	return nil
}

func (e *Engine) build(f policy.Factor, env factors.Env) (factors.Factor, error) {
	for _, k := range e.kinds {
		if k.Name() != f.Kind {
			continue
		}
		built, err := k.Build(f.Settings, env)
		if err != nil {
			return nil, err
		}
		named := &namedFactor{built, f.Factor}
		if err := named.check(); err != nil {
			return nil, err
		}
		return built, nil
	}
	return nil, fmt.Errorf("no kind %q was given", f.Kind)
}

// namedFactor is a factor beside the description that the policy pins.
type namedFactor struct {
	factors.Factor
	pinned authn.Factor
}

// check holds a factor to its contract: what it says of itself is what the policy says, and its interfaces agree.
func (n *namedFactor) check() error {
	d := n.Describe()
	_, interactive := n.Factor.(factors.Challenger)
	_, tied := n.Factor.(factors.Tied)
	switch {
	case d.Name != n.pinned.Name || d.Kind != n.pinned.Kind:
		return fmt.Errorf("describes itself as %s %q", d.Kind, d.Name)
	case d.Ambient == interactive:
		return errors.New("must be ambient or a Challenger, and not both")
	case d.Tied && !tied:
		return errors.New("its evidence is tied, but it cannot check a tie")
	}
	return nil
}

// Base is the path under which the HTTP contract is mounted.
func (e *Engine) Base() string { return e.base }

// Policy is the policy in force.
func (e *Engine) Policy() *policy.Policy { return e.current.Load().policy }

// Log is where the engine's failures go.
func (e *Engine) Log() *slog.Logger { return e.log }

// Now is the engine's clock.
func (e *Engine) Now() time.Time { return e.now() }

// Prune forgets what has expired. Call it now and then, from one place or many.
func (e *Engine) Prune(ctx context.Context) error {
	now := e.now()
	_, err1 := e.store.PruneSessions(ctx, now)
	_, err2 := e.store.PruneAttempts(ctx, now)
	_, err3 := e.store.PruneSpent(ctx, now)
	_, err4 := e.store.PruneCutoffs(ctx, now)
	return errors.Join(err1, err2, err3, err4)
}

// PruneEvents forgets the audit events of all tenants that are older than keep. How long they must be kept is for the
// program to know: nothing else ever forgets one.
func (e *Engine) PruneEvents(ctx context.Context, keep time.Duration) error {
	if keep <= 0 {
		return errors.New("session: audit events are kept for more than no time")
	}
	_, err := e.store.PruneEvents(ctx, e.now().Add(-keep))
	return broken("prune events", err)
}

// random gives n random bytes as unpadded base64url.
func (e *Engine) random(n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(e.rand, b); err != nil {
		return "", &UnavailableError{fmt.Errorf("no randomness: %w", err)}
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// lookups is the directory as factors see it.
type lookups struct{ store Directory }

func (l lookups) UserNamed(ctx context.Context, tenant, name string, class authn.Class) (factors.User, error) {
	u, err := l.store.UserNamed(ctx, tenant, name, class)
	if err == nil && u.NamedElsewhere {
		return factors.User{}, factors.ErrNotFound
	}
	return u.User, foundForFactors(err)
}

func (l lookups) UserByHandle(ctx context.Context, handle []byte) (factors.User, error) {
	u, err := l.store.UserByHandle(ctx, handle)
	return u.User, foundForFactors(err)
}

func (l lookups) Credential(ctx context.Context, tenant, factor, id string) (factors.Credential, error) {
	c, err := l.store.Credential(ctx, tenant, factor, id)
	return c, foundForFactors(err)
}

func (l lookups) Credentials(ctx context.Context, tenant, user, factor string) ([]factors.Credential, error) {
	cs, err := l.store.Credentials(ctx, tenant, user, factor)
	return cs, foundForFactors(err)
}

func foundForFactors(err error) error {
	if errors.Is(err, ErrNotFound) {
		return factors.ErrNotFound
	}
	return err
}
