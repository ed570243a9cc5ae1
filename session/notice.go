package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// noticeKept is how long it is remembered that a handle is over: longer than any login may take, and longer than any code
// that a provider gave out before is good.
const noticeKept = 2 * time.Hour

// handleDigest is how rows and cutoffs know a handle: of one tenant and one factor.
func handleDigest(tenant, factor, handle string) Digest {
	h := sha256.New()
	for _, part := range [...]string{"handle", tenant, factor} {
		h.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	h.Write([]byte(handle))
	return Digest(h.Sum(nil))
}

// Notice takes what an issuer says about evidence of a factor in a tenant: that it is over (OpenID Connect Back-Channel
// Logout 1.0). Sessions and logins that rest on it have ended when Notice returns, and none is won with it in between. A
// notice that is not good, or was taken before, is [ErrBadRequest]; one for a factor that takes none is [ErrNotFound]. If
// carrying it out breaks off, the notice may be given again.
func (e *Engine) Notice(ctx context.Context, factor, tenant string, form url.Values, source netip.Addr) error {
	s := &Session{engine: e, rt: e.current.Load(), req: Request{Source: source}, now: e.now(), stored: authn.Guest{}, state: authn.Guest{}, once: true}
	f, ok := s.rt.factors[factor].(factors.Notified)
	if !ok {
		return ErrNotFound
	}
	over, err := f.Notice(ctx, factors.Notice{Now: s.now, Tenant: tenant, Form: form})
	var rejected *factors.Rejection
	if errors.As(err, &rejected) {
		return s.noticeRefused(ctx, factor, rejected)
	}
	if err != nil {
		return &UnavailableError{err}
	}
	taken := handleDigest(tenant, factor, "notice\x00"+over.ID)
	if err := s.noticeOpen(ctx, factor, taken); err != nil {
		return err
	}
	for _, handle := range over.Handles {
		if err := s.endHandle(ctx, factor, tenant, handle, over.Final); err != nil {
			return err
		}
	}
	return s.noticeTaken(ctx, factor, tenant, over, taken)
}

// noticeOpen refuses a notice that was carried out before.
func (s *Session) noticeOpen(ctx context.Context, factor string, taken Digest) error {
	before, err := s.engine.store.Cutoff(ctx, taken)
	if err != nil {
		return broken("read cutoff", err)
	}
	if !before.IsZero() {
		return s.noticeRefused(ctx, factor, &factors.Rejection{Reason: ReasonNoticeSpent})
	}
	return nil
}

// noticeTaken remembers a notice that was carried out. Of several instances that got it at the same moment one took it,
// unless that one was broken off before the cutoff said so.
func (s *Session) noticeTaken(ctx context.Context, factor, tenant string, over factors.Over, taken Digest) error {
	until := s.now.Add(noticeKept)
	if over.Until.After(until) {
		until = over.Until
	}
	err := s.engine.store.Spend(ctx, budgetKey("notice", tenant, factor, over.ID), until)
	if errors.Is(err, ErrSpent) {
		err = s.noticeOpen(ctx, factor, taken)
	} else if err != nil {
		err = &UnavailableError{err}
	}
	if err != nil {
		return err
	}
	return broken("remember notice", s.engine.store.SetCutoff(ctx, taken, s.now, until))
}

func (s *Session) noticeRefused(ctx context.Context, factor string, rejected *factors.Rejection) error {
	if _, err := s.attemptFrom(ctx); err != nil {
		return err
	}
	ev := s.event(authn.Happened{What: NoticeRefused, Factor: factor, Reason: rejected.Reason})
	ev.Detail = rejected.Detail
	_ = s.engine.record(ctx, ev)
	return ErrBadRequest
}

// endHandle ends what rests on a handle. The cutoff comes first: a login that is being saved meanwhile finds it.
func (s *Session) endHandle(ctx context.Context, factor, tenant, handle string, final bool) error {
	digest, until := handleDigest(tenant, factor, handle), s.now.Add(noticeKept)
	at := s.now
	if final {
		at = until
	}
	if err := s.engine.store.SetCutoff(ctx, digest, at, until); err != nil {
		return broken("set cutoff", err)
	}
	m := Match{Handle: &digest}
	rows, err := s.engine.store.ListSessions(ctx, m, s.now, maxListed)
	if err != nil {
		return broken("list sessions", err)
	}
	if _, err := s.engine.store.EndSessions(ctx, m, s.now); err != nil {
		return broken("end sessions", err)
	}
	var events []Event
	for _, row := range rows {
		ev := s.event(authn.Happened{What: SessionRevoked, Subject: authn.Subject{Tenant: tenant, User: row.Index.Person}, Factor: factor, Reason: ReasonEndedByIssuer})
		ev.Session = publicID(row.Selector)
		events = append(events, ev)
	}
	if len(events) == 0 {
		return nil
	}
	return s.engine.record(ctx, events...)
}

// overSince says that an issuer has said of an answer that it is over since it was asked for: what came back may have been
// given out before that. Whoever is sent there afterwards is the issuer's to vouch for anew.
func (s *Session) overSince(ctx context.Context, l authn.Login, c authn.Challenge, e authn.Evidence) (authn.Reason, error) {
	e.At = c.Issued
	return s.takenBack(ctx, cmp.Or(e.Subject.Tenant, l.Subject.Tenant), []authn.Evidence{e})
}

// takenBack says that an issuer has taken evidence back; empty: none did.
func (s *Session) takenBack(ctx context.Context, tenant string, evidence []authn.Evidence) (authn.Reason, error) {
	for i := range evidence {
		for _, handle := range evidence[i].Handles {
			cutoff, err := s.engine.store.Cutoff(ctx, handleDigest(tenant, evidence[i].Factor, handle))
			if err != nil {
				return "", broken("read cutoff", err)
			}
			if !cutoff.IsZero() && !evidence[i].At.After(cutoff) {
				return ReasonEndedByIssuer, nil
			}
		}
	}
	return "", nil
}
