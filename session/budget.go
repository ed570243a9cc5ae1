package session

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/sallyport-auth/sallyport/authn"
)

// attempt is one try that was counted before it was made.
type attempt struct {
	s       *Session
	budgets []Budget
	tenant  *Budget // for callers with evidence: slows and alarms, never refuses
}

// attempt counts a try against the budgets of whom it is about and of where it comes from. It fails with [*LockedError]
// where one is used up.
func (s *Session) attempt(ctx context.Context, factor string, l authn.Login) (*attempt, error) {
	limits := s.rt.policy.Limits
	budget := func(limit int, parts ...string) Budget {
		return Budget{Key: budgetKey(parts...), Limit: limit, Window: limits.Window}
	}
	source := sourceKey(s.req.Source)
	a := &attempt{s: s, budgets: []Budget{budget(limits.PerSource, "", "source", source)}}
	tenant := budget(limits.PerTenant, l.Subject.Tenant, "tenant")
	switch {
	case len(l.Evidence) > 0 || l.Subject.Tenant != "":
		a.tenant = &tenant
		who := l.Subject.User
		if who == "" {
			who = "claimed\x00" + l.Claim.User + "\x00" + source
		}
		a.budgets = append(a.budgets, budget(limits.PerCredential, l.Subject.Tenant, "insider", factor, who))
	default:
		// Nothing is proven yet: outsiders draw on a budget of the name and their own address, so that they cannot lock
		// out anyone who comes with evidence or from elsewhere.
		a.budgets = append(a.budgets, tenant, budget(limits.PerCredential, l.Claim.Tenant, "outsider", factor, l.Claim.User, source))
	}
	return a, a.take(ctx, l)
}

// attemptFrom counts a try against its source alone.
func (s *Session) attemptFrom(ctx context.Context) (*attempt, error) {
	limits := s.rt.policy.Limits
	a := &attempt{s: s, budgets: []Budget{{Key: budgetKey("", "source", sourceKey(s.req.Source)), Limit: limits.PerSource, Window: limits.Window}}}
	return a, a.take(ctx, authn.Login{})
}

func (a *attempt) take(ctx context.Context, l authn.Login) error {
	store := a.s.engine.store
	ok, retry, err := store.TakeAttempt(ctx, a.budgets, a.s.now)
	if err != nil {
		return countless(err)
	}
	if !ok {
		a.s.note(ctx, authn.Happened{What: AttemptLocked, Subject: l.Subject, Names: l.Names, Method: l.Method.Name, Login: l.ID, Reason: ReasonLocked})
		return &LockedError{Until: retry}
	}
	if a.tenant != nil && a.tenant.Limit > 0 {
		ok, _, err := store.TakeAttempt(ctx, []Budget{*a.tenant}, a.s.now)
		if err != nil {
			return countless(err)
		}
		if !ok {
			a.tenant = nil // it was not counted there
			a.s.note(ctx, authn.Happened{What: TenantAlarm, Subject: authn.Subject{Tenant: l.Subject.Tenant}, Reason: ReasonLocked})
		}
	}
	return nil
}

// countless is the error of a store that could not count: nothing may be tried, whatever the error says.
func countless(err error) error {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return &UnavailableError{err}
	}
	return broken("count attempt", err)
}

// giveBack takes the attempt back after a success, or where nothing was decided. A store that fails here costs the
// caller an attempt and nobody anything else.
func (a *attempt) giveBack(ctx context.Context) {
	budgets := a.budgets
	if a.tenant != nil {
		budgets = append(budgets, *a.tenant)
	}
	if err := a.s.engine.store.GiveAttempt(context.WithoutCancel(ctx), budgets, a.s.now); err != nil {
		a.s.engine.log.WarnContext(ctx, "an attempt could not be given back", "error", err)
	}
}

func budgetKey(parts ...string) string {
	key := strings.Join(parts, "\x00")
	if len(key) > 400 {
		sum := hashKey(key)
		return key[:300] + "\x00" + sum
	}
	return key
}

// sourceKey counts an IPv6 client by its /64: whoever has one address of it has them all.
func sourceKey(a netip.Addr) string {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// note writes one event; that it could not be written is already in the log.
func (s *Session) note(ctx context.Context, h authn.Happened) {
	_ = s.engine.record(ctx, s.event(h))
}
