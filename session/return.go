package session

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// Returned says what came of a browser that came back from elsewhere.
type Returned struct {
	Linked   bool   // it was an enrolment: the identity there is now a credential
	ReturnTo string // where the login was to lead, if it is complete; empty: nowhere, or more steps follow
}

// Return takes what a browser brings back from a factor that sent it elsewhere: the answer of a login, a step-up or an
// enrolment, whichever asked. A factor that sends nobody anywhere is [ErrNotFound]; otherwise it fails as [Session.Verify] and [Session.Enrol] do.
func (s *Session) Return(ctx context.Context, factor string, credential json.RawMessage) (Returned, error) {
	if err := s.tick(ctx); err != nil {
		return Returned{}, err
	}
	if _, sends := s.rt.factors[factor].(factors.Addressed); !sends {
		return Returned{}, ErrNotFound
	}
	if c, ok := openChallenge(s.state); ok && c.Factor == factor && s.challengeOfEnrolment() {
		_, err := s.Enrol(ctx, factor, "", credential)
		return Returned{Linked: err == nil}, err
	}
	l, _ := runningLogin(s.state)
	if err := s.Verify(ctx, factor, credential); err != nil {
		return Returned{}, err
	}
	if _, more := runningLogin(s.state); more {
		return Returned{}, nil
	}
	return Returned{ReturnTo: l.ReturnTo}, nil
}

// answers refuses an answer that is not one to the open challenge, and leaves the challenge as it is.
func (s *Session) answers(ctx context.Context, l authn.Login, c authn.Challenge, credential json.RawMessage) error {
	f, ok := s.rt.factors[c.Factor].(factors.Addressed)
	if !ok || f.Answers(credential, factors.Asked{ID: c.ID, Data: c.Data, Issued: c.Issued, Expires: c.Expires}) {
		return nil
	}
	s.seldom(ctx, l, c.Factor, factors.ReasonAnotherAnswer)
	return ErrInvalidCredential
}

// SignOutURL is where a person who was signed in elsewhere can sign out there too, to come back to a path on this origin
// afterwards (OpenID Connect RP-Initiated Logout 1.0); empty: nowhere. Take the person before [Session.SignOut], and ask
// after it: it may have to wait for a provider, and signing out here does not.
func (s *Session) SignOutURL(ctx context.Context, p authn.Principal, returnTo string) (string, error) {
	back, err := url.JoinPath(s.req.Origin.URL, returnTo)
	if err != nil {
		return "", ErrBadRequest
	}
	for _, e := range slices.Backward(p.All()) {
		f, ok := s.rt.factors[e.Factor].(factors.SignedOut)
		if !ok {
			continue
		}
		to, err := f.SignOutURL(ctx, e, back)
		if err != nil {
			return "", &UnavailableError{err}
		}
		if to != "" {
			return to, nil
		}
	}
	return "", nil
}
