package mtls

import (
	"bytes"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// passed is a tie that held for a certificate, and for how long nothing that it was judged by can have changed. It is never
// changed.
type passed struct {
	tie         authn.Tie
	subject     authn.Subject
	standing    standingOf
	from, until time.Time
}

// standingOf is what changes when something may have been denied or revoked.
type standingOf struct{ denials, lists uint64 }

// standingNow is asked for before anything is judged, so that what changes meanwhile makes the judgement an old one. It is
// unknown where the list of denials must be read first.
func (v *Verifier) standingNow(now time.Time) (s standingOf, known bool) {
	if v.denials == nil {
		return s, false
	}
	if s.denials, known = v.denials.DenialsVersion(now); known && v.lists != nil {
		s.lists = v.keeper.Generation()
	}
	return s, known
}

// passes reports whether a tie held for this very certificate, from this source and for this subject, and nothing can have
// changed since.
func (v *Verifier) passes(r factors.Request, s standingOf, tie authn.Tie, subject authn.Subject) bool {
	if !r.Peer.Present() || r.Peer.Source().Early || r.Peer.Source().Name != tie.Source {
		return false
	}
	p := v.remembered(r)
	if p == nil {
		return false
	}
	known := p.passed.Load()
	return known != nil && known.standing == s && !r.Now.Before(known.from) && r.Now.Before(known.until) &&
		known.subject == subject && sameTie(&known.tie, &tie)
}

// pass remembers that a tie held. Where a renewed certificate is presented, the lists are asked about the first one each time.
func (v *Verifier) pass(r factors.Request, s standingOf, f finding, tie authn.Tie, subject authn.Subject) {
	if v.lists != nil && f.marks.Certificate != tie.Certificate {
		return
	}
	until := f.until
	if cleared := f.holder.cleared.Load(); v.lists != nil {
		if !cleared.holds(r.Now, s.lists) || len(v.further(cleared.stale)) > 0 {
			return
		}
		until = first(until, cleared.until)
	}
	if f.user != nil {
		found := f.holder.found.Load()
		if !found.fresh(r.Now) || &found.user != f.user {
			return
		}
		until = first(until, found.at.Add(lookupFresh))
	}
	f.passed.Store(&passed{tie: tie, subject: subject, standing: s, from: r.Now, until: until})
}

func first(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func sameTie(a, b *authn.Tie) bool {
	return a.Certificate == b.Certificate && a.Key == b.Key && a.Serial == b.Serial && a.Holder == b.Holder && a.Root == b.Root &&
		a.Bind == b.Bind && a.Anchor == b.Anchor && a.Source == b.Source && bytes.Equal(a.Issuers, b.Issuers)
}
