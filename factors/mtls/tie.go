package mtls

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// root names a CA of an anchor, so that an anchor that took another's name is not taken for it.
type root struct {
	anchor    string
	authority [sha256.Size]byte
}

// standing is an anchor, and the certificates that it has of one CA.
type standing struct {
	anchor       policy.Anchor
	certificates []*x509.Certificate
	marks        []factors.Marks // of each
}

func standings(anchors []policy.Anchor) map[root]standing {
	out := map[root]standing{}
	for _, a := range anchors {
		for _, c := range a.Certificates {
			at := root{a.Name, authorityOf(c)}
			out[at] = standing{a, append(out[at].certificates, c), append(out[at].marks, factors.MarksOf(c))}
		}
	}
	return out
}

// authorityOf names a CA by what [sameAuthority] compares. The name is DER, so it says itself where it ends.
func authorityOf(c *x509.Certificate) [sha256.Size]byte {
	h := sha256.New()
	h.Write(c.RawSubject)
	h.Write(c.RawSubjectPublicKeyInfo)
	return [sha256.Size]byte(h.Sum(nil))
}

// tie is what later requests are held to, and all that it takes to tell whether the certificate is still good once a
// renewal is presented in its place.
func (v *Verifier) tie(r factors.Request, f finding) *authn.Tie {
	top := len(f.holder.chain) - 1
	t := &authn.Tie{
		Bind:        v.settings.bind,
		Certificate: f.marks.Certificate,
		Key:         f.marks.Key,
		Serial:      f.marks.Serial,
		Holder:      f.marks.Subject,
		Anchor:      f.holder.anchor.Name,
		Root:        authorityOf(f.holder.chain[top]),
		Source:      r.Peer.Source().Name,
	}
	for _, m := range f.holder.marks[1:top] {
		t.Issuers = appendMarks(t.Issuers, m)
	}
	return t
}

// marksSize is what the marks of one certificate take in [authn.Tie.Issuers].
const marksSize = 4 * sha256.Size

func appendMarks(b []byte, m factors.Marks) []byte {
	for _, d := range [][sha256.Size]byte{m.Certificate, m.Key, m.Serial, m.Subject} {
		b = append(b, d[:]...)
	}
	return b
}

// readMarks reads the first marks of b, which has them.
func readMarks(b []byte) factors.Marks {
	at := func(i int) [sha256.Size]byte { return [sha256.Size]byte(b[i*sha256.Size:]) }
	return factors.Marks{Certificate: at(0), Key: at(1), Serial: at(2), Subject: at(3)}
}

// checkOriginal judges the certificate that a session was won with, by what the tie kept of it and of its path: that its
// anchor is still there, with the same CA, and speaks for the tenant, and that nothing of the path is denied. It says
// nothing of what the request carries.
func (v *Verifier) checkOriginal(ctx context.Context, now time.Time, tie authn.Tie, subject authn.Subject) error {
	at, ok := v.roots[root{tie.Anchor, tie.Root}]
	switch {
	case !ok || len(tie.Issuers)%marksSize != 0:
		return factors.Reject(ReasonUntrusted, "the anchor that the session was won under is gone")
	case !at.anchor.MaySpeakFor(subject.Tenant):
		return factors.Reject(ReasonForeignTenant, "the anchor that the session was won under may not speak for its tenant")
	}
	denied := func(m factors.Marks) (bool, error) {
		yes, err := v.env.Denials.Denied(ctx, now, subject.Tenant, m)
		if err != nil {
			return false, fmt.Errorf("mtls: denials: %w", err)
		}
		return yes, nil
	}
	leaf := factors.Marks{Certificate: tie.Certificate, Key: tie.Key, Serial: tie.Serial, Subject: tie.Holder}
	if yes, err := denied(leaf); err != nil {
		return err
	} else if yes {
		return over(factors.ReasonRevoked, "the certificate that the session was won with is denied")
	}
	for b := tie.Issuers; len(b) > 0; b = b[marksSize:] {
		if yes, err := denied(readMarks(b)); err != nil {
			return err
		} else if yes {
			return over(factors.ReasonRevoked, "a CA of the certificate that the session was won with is denied")
		}
	}
	for _, m := range at.marks {
		if yes, err := denied(m); err != nil || !yes {
			return err
		}
	}
	return over(factors.ReasonRevoked, "the anchor that the session was won under is denied")
}

// over rejects a tie for good.
func over(why authn.Reason, detail string) error {
	return &factors.Rejection{Reason: why, Detail: detail, Over: true}
}
