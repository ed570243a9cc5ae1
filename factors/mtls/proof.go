package mtls

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
)

// proof is what came of verifying a certificate, and what a connection remembers of it. All but the holders' users is
// fixed once it is made.
type proof struct {
	by          *Verifier
	leaf        *x509.Certificate
	marks       factors.Marks
	holders     []*holder // at least one
	from, until time.Time // when all their paths are valid; until is the first moment that is too late
	passed      atomic.Pointer[passed]
}

// holder is whom a certificate names under one of its paths.
type holder struct {
	path
	named
	marks    []factors.Marks // of the chain
	subjects []revocation.Subject
	found    atomic.Pointer[lookup]
	cleared  atomic.Pointer[clearance]
}

// lookup is the user that a holder's name had at a time. It is never changed.
type lookup struct {
	at   time.Time
	user factors.User
}

// lookupFresh is how long a connection may go without asking the directory again whose a name is. Verify always asks.
const lookupFresh = time.Second

func (l *lookup) fresh(now time.Time) bool {
	if l == nil {
		return false
	}
	age := now.Sub(l.at)
	return age >= 0 && age < lookupFresh
}

// prove verifies the certificate in full, or takes what the connection remembers of the same certificate and the same
// factor. Its time window and the denials are looked at by choose, each time.
func (v *Verifier) prove(r factors.Request) (*proof, error) {
	if p := v.remembered(r); p != nil {
		return p, nil
	}
	p, err := v.verify(r.Peer.Certificates(), r.Now)
	if err != nil {
		return nil, err
	}
	r.Peer.Memo().Store(v.memoKey, p)
	return p, nil
}

// remembered is what the connection remembers of the same certificate and the same factor, nil: nothing that is valid now.
func (v *Verifier) remembered(r factors.Request) *proof {
	known, _ := r.Peer.Memo().Load(v.memoKey)
	if p, ok := known.(*proof); ok && p.by == v && sameCertificate(p.leaf, r.Peer.Leaf()) && p.covers(r.Now) {
		return p
	}
	return nil
}

// covers reports whether every path is valid at a time, so that nothing new could be found by looking again.
func (p *proof) covers(now time.Time) bool { return !now.Before(p.from) && now.Before(p.until) }

// add takes a holder in. Certificates are good until the second of their NotAfter is over.
func (p *proof) add(h *holder) {
	until := h.notAfter.Add(time.Second)
	if len(p.holders) == 0 || h.notBefore.After(p.from) {
		p.from = h.notBefore
	}
	if len(p.holders) == 0 || until.Before(p.until) {
		p.until = until
	}
	p.holders = append(p.holders, h)
}

func (v *Verifier) verify(presented []*x509.Certificate, now time.Time) (*proof, error) {
	if err := checkBounds(presented); err != nil {
		return nil, err
	}
	leaf := presented[0]
	found, err := readNames(leaf)
	if err != nil {
		return nil, unreadable(err)
	}
	paths, err := v.trust.paths(presented, now)
	if err != nil {
		return nil, err
	}
	if why := found.fault(); why != "" {
		return nil, factors.Reject(ReasonBadName, "%s", why)
	}
	if err := found.checkSPIFFE(); err != nil {
		return nil, err
	}
	p := &proof{
		by: v, leaf: leaf, marks: factors.MarksOf(leaf)}
	var first error
	for _, path := range paths {
		who, err := v.name(found, path.anchor)
		if err == nil {
			marks := v.trust.marksOf(path.chain, p.marks)
			p.add(&holder{path: path, named: who, marks: marks, subjects: revocation.Path(path.chain, marks)})
		} else if first == nil {
			first = err
		}
	}
	if len(p.holders) == 0 {
		return nil, first
	}
	return p, nil
}

// name is whom names name under an anchor.
func (v *Verifier) name(found names, a policy.Anchor) (named, error) {
	if err := v.trust.checkTrustDomain(found, a); err != nil {
		return named{}, err
	}
	return v.settings.rules.apply(found, a)
}

func unreadable(err error) error {
	if err == errTooManyNames {
		return factors.Reject(ReasonTooLarge, "it has too many names")
	}
	return factors.Reject(ReasonBadName, "its names cannot be read")
}

// choose picks the holder that a request is about: of those without a denied or revoked certificate in their path, one of
// the tenant and anchor that are asked for, where there is one. If what is left names more than one, none is chosen.
func (v *Verifier) choose(ctx context.Context, r factors.Request, p *proof, w wanted) (*holder, error) {
	var chosen *holder
	var refused error
	ambiguous, rank := false, 0
	for _, h := range p.holders {
		denied, err := v.denied(ctx, r, h)
		if err != nil {
			return nil, err
		}
		if denied {
			continue
		}
		if err := v.checkRevoked(ctx, r.Now, h); err != nil {
			refused = err
			continue
		}
		n := 1
		if w.tenant != "" && h.tenant == w.tenant {
			n += 2
		}
		if w.anchor != "" && h.anchor.Name == w.anchor {
			n++
		}
		switch {
		case n > rank:
			chosen, rank, ambiguous = h, n, false
		case n == rank && h.named != chosen.named:
			ambiguous = true
		}
	}
	switch {
	case chosen == nil && refused != nil:
		return nil, refused
	case chosen == nil:
		return nil, factors.Reject(factors.ReasonRevoked, "a certificate in its path is denied")
	case ambiguous:
		return nil, factors.Reject(ReasonAmbiguous, "its paths end in anchors that name different subjects")
	}
	return chosen, nil
}

func (v *Verifier) denied(ctx context.Context, r factors.Request, h *holder) (bool, error) {
	for _, m := range h.marks {
		denied, err := v.env.Denials.Denied(ctx, r.Now, h.tenant, m)
		if err != nil {
			return false, fmt.Errorf("mtls: denials: %w", err)
		}
		if denied {
			return true, nil
		}
	}
	return false, nil
}
