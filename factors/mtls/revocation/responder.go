package revocation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sallyport-auth/sallyport/factors"
)

// maxAnswers is how many certificates' answers are remembered. Only certificates whose path was verified are asked about,
// so nobody without them can push any out.
const maxAnswers = 20_000

// unknownEvery is how soon a certificate is asked about again that the responder did not know.
const unknownEvery = time.Minute

// answerKey names a certificate that a responder is asked about, for one factor.
type answerKey struct {
	factor string
	issuer authority
	serial [sha256.Size]byte
}

// answers remembers what responders said. The zero value is ready. It is safe for concurrent use.
type answers struct {
	mu         sync.RWMutex
	young, old map[answerKey]*inquiry
}

// known is what is remembered of a certificate; nil: nothing is.
func (a *answers) known(factor string, c Subject) *inquiry {
	key := answerKey{factor, authorityOf(c.Issuer), c.Marks.Serial}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if i := a.young[key]; i != nil {
		return i
	}
	return a.old[key]
}

// of is known, for a certificate that is in use; where nothing is remembered and there is the certificate, it begins an
// inquiry.
func (a *answers) of(factor string, c Subject) *inquiry {
	key := answerKey{factor, authorityOf(c.Issuer), c.Marks.Serial}
	a.mu.RLock()
	young, old := a.young[key], a.old[key]
	a.mu.RUnlock()
	if young != nil {
		return young
	}
	if old == nil && (c.Certificate == nil || c.IssuerCertificate == nil) {
		return nil
	}
	return a.put(key, c)
}

// put makes an inquiry one of the younger half. When that is full, the older half is forgotten.
func (a *answers) put(key answerKey, c Subject) *inquiry {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := a.young[key]; i != nil {
		return i
	}
	i := a.old[key]
	if i == nil {
		i = &inquiry{certificate: c.Certificate, issuer: c.IssuerCertificate}
	}
	if a.young == nil || len(a.young) >= maxAnswers/2 {
		a.old, a.young = a.young, map[answerKey]*inquiry{}
	}
	a.young[key] = i
	return i
}

// inquiry is a certificate that a responder is asked about, once at a time whoever asks. Who has an answer that is good
// enough never waits. It is safe for concurrent use. Time is the callers'.
type inquiry struct {
	certificate, issuer *x509.Certificate

	mu     sync.Mutex
	latest *answer // nil: there was none
	again  time.Time
	began  time.Time
	failed error
	flight *flight
}

// known is the latest answer, and why there is no newer one.
func (i *inquiry) known() (*answer, time.Time, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.latest, i.again, i.failed
}

// ask begins to ask if that is due, and gives what runs; nil: nothing does. It outlives the caller who began it.
func (i *inquiry) ask(ctx context.Context, now time.Time, c *Checker) *flight {
	i.mu.Lock()
	defer i.mu.Unlock()
	due := i.again.IsZero() || !now.Before(i.again) || now.Before(i.began)
	if i.flight == nil && due {
		i.flight, i.began = &flight{make(chan struct{})}, now
		go i.fly(context.WithoutCancel(ctx), now, c, i.flight)
	}
	return i.flight
}

func (i *inquiry) fly(ctx context.Context, now time.Time, c *Checker, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, c.settings.Timeout)
	defer cancel()
	a, err := i.fetch(ctx, now, c)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err == nil && i.latest != nil && a.thisUpdate.Before(i.latest.thisUpdate) {
		err = fault(ReasonRolledBack, "an answer of %s, where a newer one is known", a.thisUpdate.UTC().Format(time.RFC3339))
	}
	wait := retryEvery
	if err == nil {
		wait = c.keeper.ahead(a.freshUntil(c.settings.MaxAge).Sub(now))
		i.latest = a
		if a.status == ocsp.Unknown { // it may have been issued a moment ago
			wait = min(wait, unknownEvery)
		}
		if a.status != ocsp.Good {
			c.keeper.generation.Add(1)
		}
	} else if wrong := faultOf(err); wrong != nil {
		c.keeper.count(c.factor, wrong.Reason)
	}
	i.failed, i.again, i.flight = err, now.Add(wait), nil
	close(f.done)
}

func (i *inquiry) fetch(ctx context.Context, now time.Time, c *Checker) (*answer, error) {
	q := asked{certificate: i.certificate, issuer: i.issuer, nonce: make([]byte, nonceSize), needNonce: c.settings.Nonce}
	if _, err := io.ReadFull(c.keeper.config.Rand, q.nonce); err != nil {
		return nil, fmt.Errorf("revocation: no randomness: %w", err)
	}
	request, err := question(q.certificate, q.issuer, q.nonce)
	if err != nil {
		return nil, fmt.Errorf("revocation: the question: %w", err)
	}
	b, err := c.keeper.web.ask(ctx, c.responder(i.certificate), request)
	if err != nil {
		return nil, err
	}
	a, err := q.read(b, now)
	if err == nil && a.signer != nil && !unchecked(a.signer) {
		err = c.checkSigner(ctx, now, a.signer, i.issuer)
	}
	return a, err
}

// checkSigner looks a signer of answers up in the lists: without the extension that says it need not be, it must be on one's
// scope and not on it.
func (c *Checker) checkSigner(ctx context.Context, now time.Time, signer, issuer *x509.Certificate) error {
	s := Subject{Marks: factors.MarksOf(signer), Issuer: factors.MarksOf(issuer), Certificate: signer, IssuerCertificate: issuer, points: pointsOf(signer)}
	switch found := c.inLists(ctx, now, s); {
	case found.revoked:
		return fault(ReasonSignature, "the signer's certificate is revoked")
	case !now.Before(found.until):
		return fault(ReasonSignature, "the signer may be revoked: it has no id-pkix-ocsp-nocheck, and no list is about it")
	}
	return nil
}
