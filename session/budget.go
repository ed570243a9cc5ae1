package session

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// attempt is one try that was counted before it was made.
type attempt struct {
	s       *Session
	budgets []Budget
	tenant  *Budget // of the tenant, where it slows and alarms and never refuses
}

// attempt counts a try against the budgets of whom it is about and of where it comes from. It fails with [*LockedError]
// where one is used up. Callers with evidence and callers without share no budget that refuses.
func (s *Session) attempt(ctx context.Context, factor string, l authn.Login, credential json.RawMessage) (*attempt, error) {
	source := sourceKey(s.req.Source)
	who := "claimed\x00" + l.Claim.User
	if target := s.target(factor, credential); target != "" {
		who = "target\x00" + target
	} else if l.Claim.User == "" {
		who = "source\x00" + source
	}
	if s.provenBy(l) != "" {
		if l.Subject.User != "" {
			who = l.Subject.User
		} else {
			who += "\x00" + s.provenBy(l) // nobody else's attempts count against somebody with a certificate of their own
		}
		tenant := s.budget(s.rt.policy.Limits.PerTenant, l.Subject.Tenant, "tenant")
		a := &attempt{s: s, tenant: &tenant}
		if s.elsewhere(factor) {
			a.budgets = []Budget{s.budget(s.rt.policy.Limits.PerCredential, l.Subject.Tenant, "login", l.ID)}
		} else {
			a.budgets = []Budget{s.insiderSource(l, factor), s.budget(s.rt.policy.Limits.PerCredential, l.Subject.Tenant, "insider", factor, who)}
		}
		return a, a.take(ctx, l)
	}
	claimed := l.Claim.Tenant
	if strings.HasPrefix(who, "target") {
		claimed = "" // the answer is about the same one, whatever tenant is claimed
	}
	tenant := s.budget(s.rt.policy.Limits.PerTenant, l.Claim.Tenant, "outsiders")
	a := &attempt{s: s, budgets: []Budget{s.budget(s.rt.policy.Limits.PerSource, "", "source", source)}}
	if !s.elsewhere(factor) {
		a.budgets = append(a.budgets, s.budget(s.rt.policy.Limits.PerCredential, claimed, "outsider", factor, who, source))
	}
	if s.resists(factor) {
		a.tenant = &tenant // it can't be guessed, so guesses at other factors don't lock it
	} else {
		a.budgets = append(a.budgets, tenant)
	}
	return a, a.take(ctx, l)
}

// elsewhere reports whether a factor's answers come from where its callers were sent. They name no credential and cannot be
// guessed, and many people may share the certificate that they come with: what one of them does wrong must not lock the
// others.
func (s *Session) elsewhere(factor string) bool {
	_, ok := s.rt.factors[factor].(factors.Addressed)
	return ok
}

func (s *Session) budget(limit int, parts ...string) Budget {
	return Budget{Key: budgetKey(parts...), Limit: limit, Window: s.rt.policy.Limits.Window}
}

// insiderSource is the budget of one who has shown something, at one address. Many people may share what was shown: that of
// a kiosk. What they type and guess does not lock a factor there that can't be guessed.
func (s *Session) insiderSource(l authn.Login, factor string) Budget {
	parts := []string{l.Subject.Tenant, "insider source", s.provenBy(l), sourceKey(s.req.Source)}
	if s.resists(factor) {
		parts = append(parts, factor)
	}
	return s.budget(s.rt.policy.Limits.PerSource, parts...)
}

// resists reports whether a factor resists phishing, and so can't be guessed either.
func (s *Session) resists(factor string) bool {
	f, ok := s.rt.factors[factor]
	return ok && f.Describe().Best.PhishingResistant
}

// target is the credential that an answer says it is about.
func (s *Session) target(factor string, credential json.RawMessage) string {
	if f, ok := s.rt.factors[factor].(factors.Targeted); ok {
		return f.Target(credential)
	}
	return ""
}

// provenBy names what the caller of a login has shown before: its first evidence, or the principal that it runs above.
// Empty: nothing.
func (s *Session) provenBy(l authn.Login) string {
	if len(l.Evidence) > 0 {
		e := l.Evidence[0]
		return e.Factor + "\x00" + e.Key + "\x00" + e.Credential
	}
	if a, ok := s.state.(authn.Authenticated); ok && l.Subject.Tenant != "" {
		return "principal\x00" + a.Principal().Subject.User
	}
	return ""
}

// attemptFrom counts a try against its source alone.
func (s *Session) attemptFrom(ctx context.Context) (*attempt, error) {
	a := &attempt{s: s, budgets: []Budget{s.budget(s.rt.policy.Limits.PerSource, "", "source", sourceKey(s.req.Source))}}
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
