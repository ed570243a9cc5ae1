package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// Checker looks the certificates of one factor up, as its policy says. It is safe for concurrent use.
type Checker struct {
	keeper   *Keeper
	factor   string
	settings *Settings
	sources  []*source
}

// Checker makes the checker of a factor. What its sources gave an earlier checker of the same factor is known to it, and no
// older list is taken for the newest.
func (k *Keeper) Checker(factor string, s *Settings) *Checker {
	var places []place
	for _, f := range s.Files {
		places = append(places, place{factor: factor, path: f.Path})
	}
	for _, address := range s.Addresses {
		places = append(places, place{factor: factor, address: address})
	}
	c := &Checker{keeper: k, factor: factor, settings: s, sources: k.sourcesOf(factor, places)}
	for i, f := range s.Files {
		c.sources[i].offer(f.Lists)
	}
	return c
}

// Standing is how long the certificates of a path are known not to be revoked.
type Standing struct {
	Until time.Time // the first moment at which they must be looked up again
	Stale bool      // what is known of one of them is too old, and passes because the policy lets it
}

// Check looks certificates up, and asks for what is not known well enough, with limits on time. A certificate that is
// revoked is a [*factors.Rejection] for factors.ReasonRevoked, whatever else is known; one that nothing is about for
// [ReasonUnknown]. Where nothing could be decided the error is an [*UndecidedError], or what ended ctx.
func (c *Checker) Check(ctx context.Context, now time.Time, path []Subject) (Standing, error) {
	var out Standing
	for _, subject := range path { // all at once, so that a slow responder costs its time once
		if i := c.inquiry(subject); i != nil {
			i.ask(ctx, now, c)
		}
	}
	for _, subject := range path {
		is, err := c.check(ctx, now, subject)
		if err != nil {
			c.keeper.count(c.factor, reasonOf(err))
			return Standing{}, err
		}
		out.Stale = out.Stale || is.stale
		if out.Until.IsZero() || is.until.Before(out.Until) {
			out.Until = is.until
		}
	}
	if out.Stale {
		c.keeper.count(c.factor, ReasonStaleAllowed)
	} else {
		c.keeper.count(c.factor, ReasonGood)
	}
	return out, nil
}

func reasonOf(err error) authn.Reason {
	if r, ok := errors.AsType[*factors.Rejection](err); ok {
		return r.Reason
	}
	if u, ok := errors.AsType[*UndecidedError](err); ok {
		return u.Reason
	}
	return ReasonUnavailable
}

// Revoked reports whether one of the certificates is known to be revoked. It asks for nothing.
func (c *Checker) Revoked(ctx context.Context, now time.Time, path []Subject) bool {
	for _, s := range path {
		if c.inLists(ctx, now, s).revoked || c.answered(s).revoked {
			return true
		}
	}
	return false
}

// finding is what is known of a certificate.
type finding struct {
	revoked bool
	unknown bool      // the responder does not know it
	about   bool      // there is something that tells, be it too old
	until   time.Time // the first moment at which that is too old
	wrong   error     // with what would have told more; nil: nothing
}

// enough reports whether nothing newer could make a certificate pass.
func (f finding) enough(now time.Time) bool { return f.revoked || f.unknown || now.Before(f.until) }

// checked is a certificate that may pass.
type checked struct {
	until time.Time
	stale bool
}

func (c *Checker) check(ctx context.Context, now time.Time, s Subject) (checked, error) {
	needed := c.needs(s)
	found := c.inLists(ctx, now, s)
	if !found.revoked {
		answered, err := c.ask(ctx, now, s)
		if err != nil {
			return checked{}, err
		}
		found = join(found, answered)
	}
	var err error
	if found, err = c.fetch(ctx, now, s, found); err != nil {
		return checked{}, err
	}
	return c.judge(now, needed, found, c.nextLook(now, s, found))
}

// judge decides what a finding is worth.
func (c *Checker) judge(now time.Time, needed bool, found finding, next time.Time) (checked, error) {
	late := found.until.Add(c.settings.AllowStale)
	switch {
	case found.revoked:
		return checked{}, factors.Reject(factors.ReasonRevoked, "its issuer revoked it")
	case found.unknown:
		return checked{}, factors.Reject(ReasonUnknown, "the responder does not know it")
	case now.Before(found.until):
		return checked{until: first(found.until, next)}, nil
	case !needed:
		return checked{until: first(now.Add(retryEvery), next)}, nil
	case found.about && now.Before(late):
		return checked{until: first(late, next), stale: true}, nil
	case found.about:
		return checked{}, &UndecidedError{ReasonStale, found.wrong}
	case found.wrong != nil:
		return checked{}, &UndecidedError{ReasonUnavailable, found.wrong}
	}
	return checked{}, factors.Reject(ReasonUnknown, "no list is about it, and no responder is asked about it")
}

func first(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// join is what two sources know together: either can say that a certificate is revoked, and the fresher one that it is not.
func join(a, b finding) finding {
	out := finding{revoked: a.revoked || b.revoked, unknown: a.unknown || b.unknown, about: a.about || b.about, until: a.until, wrong: a.wrong}
	if b.until.After(a.until) {
		out.until = b.until
	}
	if b.wrong != nil {
		out.wrong = b.wrong
	}
	return out
}

// inLists looks a certificate up in the lists that are there.
func (c *Checker) inLists(ctx context.Context, now time.Time, s Subject) finding {
	var out finding
	var some reasons        // that lists limited to some reasons tell together
	var someUntil time.Time // when the first of them is too old
	for _, from := range c.sources {
		lists, wrong := from.about(ctx, now, s)
		if wrong != nil {
			out.wrong = wrong
		}
		for _, h := range lists {
			until := h.list.freshUntil(c.maxAge(s))
			covered := h.list.covers(s)
			switch {
			case h.list.has(s):
				out.revoked = true
			case covered == allReasons:
				out.about, out.until = true, later(out.until, until)
			case covered != 0:
				if someUntil.IsZero() || until.Before(someUntil) {
					someUntil = until
				}
				some |= covered
			}
		}
	}
	if some == allReasons {
		out.about, out.until = true, later(out.until, someUntil)
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// maxAge is how old what is known of a certificate may be; zero: it says so itself.
func (c *Checker) maxAge(s Subject) time.Duration {
	if s.CA && c.settings.AuthorityMaxAge > 0 {
		return c.settings.AuthorityMaxAge
	}
	return c.settings.MaxAge
}

// maxAges are those of leafs and of CAs.
func (c *Checker) maxAges() [2]time.Duration {
	return [2]time.Duration{c.maxAge(Subject{}), c.maxAge(Subject{CA: true})}
}

// fetch gets lists that are due. It waits for them only if the certificate would not pass without.
func (c *Checker) fetch(ctx context.Context, now time.Time, s Subject, found finding) (finding, error) {
	var running [8]*flight
	flights := running[:0]
	for _, from := range c.sources {
		if f := from.refresh(ctx, now, c.maxAges(), authorityOf(s.Issuer), !found.enough(now)); f != nil {
			flights = append(flights, f)
		}
	}
	for _, f := range flights {
		if found.enough(now) {
			break
		}
		if err := f.wait(ctx); err != nil {
			return found, err
		}
		again := c.inLists(ctx, now, s)
		if again.wrong == nil {
			again.wrong = found.wrong
		}
		found = join(found, again)
	}
	return found, nil
}

// needs reports whether something must be known of a certificate.
func (c *Checker) needs(s Subject) bool { return !s.CA || !c.settings.LeafOnly }

// inquiry is how a responder is asked about a certificate; nil: none is.
func (c *Checker) inquiry(s Subject) *inquiry {
	switch {
	case !c.needs(s) || c.settings.Responder == "" && !c.settings.FromCertificate:
		return nil
	case s.Certificate != nil && c.responder(s.Certificate) == "":
		return nil
	}
	return c.keeper.answers.of(c.factor, s)
}

// responder is the address that a certificate is asked about at; empty: there is none.
func (c *Checker) responder(of *x509.Certificate) string {
	if c.settings.Responder != "" {
		return c.settings.Responder
	}
	for _, address := range of.OCSPServer {
		if parseAddress(address) == nil {
			return address
		}
	}
	return ""
}

// ask gets what a responder says of a certificate, and waits for it unless what is known is fresh.
func (c *Checker) ask(ctx context.Context, now time.Time, s Subject) (finding, error) {
	i := c.inquiry(s)
	if i == nil {
		return finding{}, nil
	}
	running := i.ask(ctx, now, c)
	found := c.answered(s)
	if running == nil || now.Before(found.until) {
		return found, nil
	}
	if err := running.wait(ctx); err != nil {
		return finding{}, err
	}
	return c.answered(s), nil
}

// answered is what a responder has said of a certificate.
func (c *Checker) answered(s Subject) finding {
	i := c.keeper.answers.known(c.factor, s)
	if i == nil {
		return finding{}
	}
	a, _, wrong := i.known()
	if a == nil {
		return finding{wrong: wrong}
	}
	return finding{revoked: a.status == ocsp.Revoked, unknown: a.status == ocsp.Unknown, about: true,
		until: a.freshUntil(c.maxAge(s)), wrong: wrong}
}

// nextLook is when something about a certificate is due to be asked for again, although it is still fresh; zero: nothing is.
func (c *Checker) nextLook(now time.Time, s Subject, found finding) time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if t.IsZero() || !t.After(now) {
			t = now.Add(time.Second) // what is due is being asked for
		}
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, from := range c.sources {
		if t, ok := from.next(); ok {
			sooner(t)
		}
	}
	if i := c.keeper.answers.known(c.factor, s); i != nil {
		_, again, _ := i.known()
		sooner(again)
	}
	return next
}
