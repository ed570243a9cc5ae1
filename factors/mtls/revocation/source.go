package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
)

const (
	retryEvery   = 10 * time.Second // how soon after a failure a source is asked again
	refreshEvery = time.Hour        // how long a source goes unasked at the most, while it is needed
	nobodysEvery = time.Minute      // the same, while it has only lists that nobody known signed
	maxHeld      = 256              // CAs whose lists one source may have
)

// source is where lists come from: a file that the policy names, or an address. It outlives the policy. It is safe for
// concurrent use. Time is the callers'.
type source struct {
	keeper  *Keeper
	factor  string
	address string        // empty: lists are offered by the policy
	reading chan struct{} // whoever reads the store; of size one

	mu      sync.Mutex
	held    map[authority][]held // by issuer, whose key signed them; the slices are never changed
	offered []*offer
	loaded  bool      // from the store
	reread  time.Time // when to try that again
	again   time.Time // when it is to be asked again; zero: it was not asked yet
	began   time.Time
	failed  error // why the last fetch failed, or brought nothing that can be used; nil: it did not
	flight  *flight
}

// held is a list whose signature was right, and who signed it.
type held struct {
	list   *List
	issuer *x509.Certificate
}

// offer is a list that nobody known so far signed.
type offer struct {
	list    *List
	refused map[authority]*Fault // CAs of its issuer's name that did not sign it
}

// flight is a fetch that runs.
type flight struct{ done chan struct{} }

// about are the lists of a subject's issuer, and what is wrong with one that claims to be of it. A list that was offered
// becomes one of them when its signature is right.
func (s *source) about(ctx context.Context, now time.Time, c Subject) ([]held, error) {
	if s.address == "" {
		lists, wrong, _ := s.look(now, c)
		return lists, wrong
	}
	if err := s.load(ctx, now); err != nil {
		return nil, err
	}
	lists, wrong, taken := s.look(now, c)
	if taken {
		s.store(ctx)
	}
	return lists, wrong
}

func (s *source) look(now time.Time, c Subject) (lists []held, wrong error, taken bool) {
	by := authorityOf(c.Issuer)
	s.mu.Lock()
	defer s.mu.Unlock()
	wrong = s.failed
	issuer := c.IssuerCertificate
	if known := s.held[by]; issuer == nil && len(known) > 0 {
		issuer = known[0].issuer
	}
	before := len(s.offered)
	if issuer != nil && before > 0 {
		if err := s.try(now, by, issuer); err != nil {
			wrong = err
		}
	}
	return s.held[by], wrong, len(s.offered) < before
}

// try takes the offered lists that a CA signed, and says what is wrong with one that claims to be of it. The lock is held.
func (s *source) try(now time.Time, by authority, issuer *x509.Certificate) error {
	var wrong error
	s.offered = slices.DeleteFunc(slices.Clone(s.offered), func(o *offer) bool {
		if !bytes.Equal(o.list.issuer, issuer.RawSubject) {
			return false
		}
		f := o.refused[by]
		if f == nil {
			f = s.judge(now, by, held{o.list, issuer})
		}
		if f == nil {
			return true
		}
		if wrong = f; f.Reason != ReasonNotYet && len(o.refused) < maxHeld {
			o.refused[by] = f
		}
		return false
	})
	return wrong
}

// judge takes a list if a CA signed it. The lock is held.
func (s *source) judge(now time.Time, by authority, h held) *Fault {
	f := h.list.signedBy(h.issuer)
	if f == nil {
		f = s.take(now, by, h)
	}
	if f != nil {
		s.keeper.count(s.factor, f.Reason)
	}
	return f
}

// take puts a list whose signature is right in the place of an older one of the same scope. The lock is held.
func (s *source) take(now time.Time, by authority, h held) *Fault {
	if h.list.thisUpdate.After(now.Add(ahead)) {
		return fault(ReasonNotYet, "list %v begins %s", h.list.number, h.list.thisUpdate.UTC().Format(time.RFC3339))
	}
	lists := slices.Clone(s.held[by])
	at := slices.IndexFunc(lists, func(o held) bool { return o.list.sameScope(h.list) })
	switch {
	case at < 0 && (len(lists) == maxLists || len(lists) == 0 && len(s.held) == maxHeld):
		return fault(ReasonTooLarge, "too many lists of one source")
	case at < 0:
		lists = append(lists, h)
	case !h.list.replaces(lists[at].list):
		return fault(ReasonRolledBack, "list %v of %s, where %v of %s is known", h.list.number,
			h.list.thisUpdate.UTC().Format(time.RFC3339), lists[at].list.number, lists[at].list.thisUpdate.UTC().Format(time.RFC3339))
	default:
		lists[at] = h
	}
	s.held[by] = lists
	s.keeper.generation.Add(1)
	return nil
}

// offer takes lists in. They are looked at when a certificate of their issuer is.
func (s *source) offer(lists []*List) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offered = nil
	for _, l := range lists {
		s.offered = append(s.offered, &offer{l, map[authority]*Fault{}})
	}
	s.keeper.generation.Add(1)
}

// settle looks at what was offered for the CAs that are known, and says what is wrong with it.
func (s *source) settle(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var wrong error
	for by, known := range maps.Clone(s.held) {
		if err := s.try(now, by, known[0].issuer); err != nil {
			wrong = err
		}
	}
	return wrong
}

// due reports whether the source is to be asked: because it is time for that, or because a certificate of a CA does not
// pass without and this may be where its lists are. The lock is held.
func (s *source) due(now time.Time, by authority, needed bool) bool {
	if s.again.IsZero() || !now.Before(s.again) || now.Before(s.began) {
		return true
	}
	return needed && !now.Before(s.began.Add(retryEvery)) && (len(s.held) == 0 || len(s.held[by]) > 0)
}

// refresh begins a fetch if one is due. It outlives the caller who began it, for the sake of the others. It gives the one
// that runs; nil: none does.
func (s *source) refresh(ctx context.Context, now time.Time, maxAges [2]time.Duration, by authority, needed bool) *flight {
	if s.address == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight == nil && s.due(now, by, needed) {
		s.flight, s.began = &flight{make(chan struct{})}, now
		go s.fly(context.WithoutCancel(ctx), now, maxAges, s.flight)
	}
	return s.flight
}

// next is when the source is to be asked again; zero: it is being asked.
func (s *source) next() (at time.Time, ever bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return time.Time{}, true
	}
	return s.again, s.address != ""
}

func (s *source) fly(ctx context.Context, now time.Time, maxAges [2]time.Duration, f *flight) {
	lists, err := s.keeper.web.lists(ctx, s.address)
	if err == nil {
		s.offer(lists)
		err = s.settle(now)
	} else if wrong := faultOf(err); wrong != nil {
		s.keeper.count(s.factor, wrong.Reason)
	}
	wait := retryEvery
	if err == nil {
		wait = s.keeper.ahead(lifetime(now, lists, maxAges))
		s.store(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.held) == 0 {
		wait = min(wait, nobodysEvery)
	}
	s.failed, s.again, s.flight = err, now.Add(wait), nil
	close(f.done)
}

// wait waits for a fetch.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("revocation: %w", ctx.Err())
	}
}

// hold puts in a list as it was stored, if it is good.
func (s *source) hold(now time.Time, l *List, issuer *x509.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge(now, authorityOf(factors.MarksOf(issuer)), held{l, issuer})
}

// lifetime is how long all of the lists are fresh for whomever they still are; of those that are fresh for nobody, how long
// they may stay unasked for while nobody needs them.
func lifetime(now time.Time, lists []*List, maxAges [2]time.Duration) time.Duration {
	left := refreshEvery
	for _, l := range lists {
		var fresh time.Duration
		for _, maxAge := range maxAges {
			if d := l.freshUntil(maxAge).Sub(now); d > 0 && (fresh == 0 || d < fresh) {
				fresh = d
			}
		}
		if fresh == 0 {
			fresh = nobodysEvery
		}
		left = min(left, fresh)
	}
	return left
}
