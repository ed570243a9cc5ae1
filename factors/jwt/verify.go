package jwt

import (
	"context"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

// verify verifies a token and reads what it says. Its signature comes before its claims.
func (f *Factor) verify(ctx context.Context, now time.Time, compact string, known *published) (*entry, error) {
	t, err := jose.Parse(compact, jose.MaxToken)
	if err != nil {
		return nil, rejected(err)
	}
	s := f.settings
	if !slices.Contains(s.algorithms, t.Header.Alg) {
		return nil, factors.Reject(jose.ReasonAlgorithm, "")
	}
	if !slices.ContainsFunc(s.types, t.Header.Is) {
		return nil, factors.Reject(ReasonType, "")
	}
	generation, err := f.signed(ctx, now, t, known)
	if err != nil {
		return nil, err
	}
	e := &entry{generation: generation}
	if err := s.read(t.Payload, &e.statement); err != nil {
		return nil, err
	}
	return e, nil
}

// signed reports whether a known key signed the token, and of which generation. Where none of the name is known, or the
// token names none, the keys are asked for once more: they may have changed.
func (f *Factor) signed(ctx context.Context, now time.Time, t jose.Token, known *published) (uint64, error) {
	refused := f.settings.try(t, known.set)
	if refused == nil || t.Header.Kid != "" && known.set.Has(t.Header.Kid) {
		return known.generation, refused
	}
	if !f.settings.said(t.Payload) {
		return 0, factors.Reject(ReasonIssuer, "")
	}
	newer, err := f.keys.newer(ctx, now, known)
	if err != nil {
		return 0, err
	}
	if newer == nil {
		return 0, refused
	}
	return newer.generation, f.settings.try(t, newer.set)
}

// try finds a key that signed the token.
func (s *Settings) try(t jose.Token, set jose.Set) error {
	var refused error
	for _, k := range set.For(t.Header) {
		err := jose.Verify(t, k, s.algorithms)
		if err == nil {
			return nil
		}
		refused = rejected(err)
	}
	if refused == nil {
		return factors.Reject(ReasonKey, "")
	}
	return refused
}

// ours reports whether a token says that it is of the policy's issuer. Nothing of it is verified: one that says so may be forged, and
// one that does not is somebody else's, whose keys are not waited for.
func (s *Settings) ours(compact string) bool {
	t, err := jose.Parse(compact, jose.MaxToken)
	return err == nil && s.said(t.Payload)
}

func (s *Settings) said(payload []byte) bool {
	c, err := jose.ParseClaims(payload)
	if err != nil {
		return false
	}
	issuer, _, err := c.String("iss")
	return err == nil && issuer == s.issuer
}
