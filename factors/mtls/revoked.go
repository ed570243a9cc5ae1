package mtls

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
)

// clearance is that no certificate of a path was revoked, as a connection remembers it. It is never changed.
type clearance struct {
	generation uint64 // of the keeper, before it was asked
	until      time.Time
	stale      bool // what is known is too old, and passes with a further factor
}

func (c *clearance) holds(now time.Time, generation uint64) bool {
	return c != nil && c.generation == generation && now.Before(c.until)
}

// checkRevoked looks the certificates of a path up, if the policy asks for it. What a connection remembers of that is good
// until it stops being fresh, something is due to be asked for again, or anything new is known.
func (v *Verifier) checkRevoked(ctx context.Context, now time.Time, h *holder) error {
	if v.lists == nil {
		return nil
	}
	generation := v.keeper.Generation()
	if h.cleared.Load().holds(now, generation) {
		return nil
	}
	standing, err := v.lists.Check(ctx, now, h.subjects)
	if err != nil {
		return err
	}
	h.cleared.Store(&clearance{generation, standing.Until, standing.Stale})
	return nil
}

// further are the factors whose evidence is wanted besides a certificate.
func (v *Verifier) further(stale bool) []string {
	if !stale {
		return nil
	}
	return v.settings.lists.StepUp
}

// checkOriginalRevoked looks the certificate up that a session was won with, and its path; stale says that what is known of
// it is too old, or of what the request carries. found says what that is, or why it was refused: where it is the original,
// it was looked up already.
func (v *Verifier) checkOriginalRevoked(ctx context.Context, now time.Time, tie authn.Tie, f finding, found error) (stale bool, _ error) {
	if v.lists == nil || found == nil && f.marks.Certificate == tie.Certificate {
		return f.stale, found
	}
	original := v.original(tie)
	if v.lists.Revoked(ctx, now, original) {
		return false, over(factors.ReasonRevoked, "a certificate that the session was won with is revoked")
	}
	if found != nil {
		return false, found
	}
	standing, err := v.lists.Check(ctx, now, original)
	if rejected, ok := errors.AsType[*factors.Rejection](err); ok && rejected.Reason == factors.ReasonRevoked {
		return false, over(factors.ReasonRevoked, "a certificate that the session was won with is revoked")
	}
	return f.stale || standing.Stale, err
}

// original is the path of a tie, whose root is there: what is left of the certificates are their marks.
func (v *Verifier) original(tie authn.Tie) []revocation.Subject {
	at := v.roots[root{tie.Anchor, tie.Root}]
	marks := []factors.Marks{{Certificate: tie.Certificate, Key: tie.Key, Serial: tie.Serial, Subject: tie.Holder}}
	for b := tie.Issuers; len(b) > 0; b = b[marksSize:] {
		marks = append(marks, readMarks(b))
	}
	subjects := make([]revocation.Subject, len(marks))
	for i, m := range marks {
		subjects[i] = revocation.Subject{Marks: m, CA: i > 0}
		if i+1 < len(marks) {
			subjects[i].Issuer = marks[i+1]
		} else {
			subjects[i].Issuer, subjects[i].IssuerCertificate = at.marks[0], at.certificates[0]
		}
	}
	return subjects
}
