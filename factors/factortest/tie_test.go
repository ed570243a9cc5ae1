package factortest

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
)

// badge is an ambient factor: a certificate, of which it believes the name if its serial number is 1. The func is a way
// of breaking the contract.
type badge struct {
	ties     func(ctx context.Context, r factors.Request, tie authn.Tie, subject authn.Subject, err error) error
	verifies func(ctx context.Context, r factors.Request, err error) error
}

func (badge) Describe() authn.Factor {
	return authn.Factor{Name: "badge", Kind: "badge", Ambient: true, Tied: true, Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have}}
}

func holder(r factors.Request) authn.Subject {
	return authn.Subject{Tenant: "corp", User: r.Peer.Leaf().Subject.CommonName}
}

func trusted(r factors.Request, missing authn.Reason) error {
	switch {
	case !r.Peer.Present():
		return factors.Reject(missing, "")
	case r.Peer.Leaf().SerialNumber.Int64() != 1:
		return factors.Reject("badge_forged", "")
	}
	return nil
}

func (b badge) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	err := trusted(v.Request, factors.ReasonNoCertificate)
	if b.verifies != nil {
		err = b.verifies(ctx, v.Request, err)
	}
	if err != nil {
		return factors.Verified{}, err
	}
	e := authn.Evidence{Subject: authn.Subject{Tenant: "corp", User: "nobody"}, Strength: authn.Strength{Category: authn.Have}, At: v.Now, Tie: &authn.Tie{}}
	if v.Peer.Present() {
		e.Subject, e.Tie.Certificate = holder(v.Request), factors.MarksOf(v.Peer.Leaf()).Certificate
	}
	return factors.Verified{Evidence: e}, nil
}

func (b badge) CheckTie(ctx context.Context, r factors.Request, tie authn.Tie, subject authn.Subject) error {
	err := trusted(r, factors.ReasonTieMissing)
	switch {
	case err != nil:
	case factors.MarksOf(r.Peer.Leaf()).Certificate != tie.Certificate:
		err = factors.Reject(factors.ReasonTieBroken, "")
	case holder(r) != subject:
		err = factors.Reject("badge_subject", "")
	}
	if b.ties != nil {
		return b.ties(ctx, r, tie, subject, err)
	}
	return err
}

func carrying(name string, serial int64) factors.Request {
	c := &x509.Certificate{Raw: []byte(name), Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(serial)}
	return factors.Request{Now: now, Peer: peer.New([]*x509.Certificate{c}, peer.Source{Name: "tls"}, nil)}
}

func badges(b badge) Suite {
	return Suite{Factor: b, Request: carrying("alice", 1),
		WrongRequests: map[string]factors.Request{"forged": carrying("alice", 2), "another's, forged": carrying("bob", 2)},
		OtherRequests: map[string]factors.Request{"bob's": carrying("bob", 1)}}
}

func TestGoodTie(t *testing.T) { Run(t, badges(badge{})) }

type ties = func(context.Context, factors.Request, authn.Tie, authn.Subject, error) error

// carries has CheckTie take what it should reject for one reason.
func carries(what authn.Reason) ties {
	return func(_ context.Context, _ factors.Request, _ authn.Tie, _ authn.Subject, err error) error {
		if reason(err) == what {
			return nil
		}
		return err
	}
}

func TestBrokenTies(t *testing.T) {
	for name, tt := range map[string]struct {
		factor badge
		says   string
	}{
		"carries everything": {badge{ties: func(context.Context, factors.Request, authn.Tie, authn.Subject, error) error { return nil }}, "CheckTie: a request without anything was taken"},
		"carries nothing": {badge{ties: func(context.Context, factors.Request, authn.Tie, authn.Subject, error) error {
			return factors.Reject(factors.ReasonTieBroken, "")
		}}, "CheckTie refuses the request that the evidence was won on"},
		"nothing is enough":  {badge{ties: carries(factors.ReasonTieMissing)}, "CheckTie: a request without anything was taken"},
		"verifies nothing":   {badge{ties: carries("badge_forged")}, `CheckTie: WrongRequests "forged" was taken`},
		"any certificate":    {badge{ties: carries(factors.ReasonTieBroken)}, "CheckTie: Request with a tie of nothing was taken"},
		"anybody's session":  {badge{ties: carries("badge_subject")}, "CheckTie: Request with another user was taken"},
		"any tenant":         {badge{ties: tenantless}, "CheckTie: Request with a subject of another tenant was taken"},
		"another's carries":  {badge{ties: bobCarries}, `CheckTie: OtherRequests "bob's" was taken`},
		"carries another's":  {badge{ties: aliceCarries}, `CheckTie: Request for what was won on OtherRequests "bob's" was taken`},
		"missing is another": {badge{ties: instead(factors.ReasonTieMissing, factors.ReasonTieBroken)}, "was rejected as tie_broken, not as tie_missing"},
		"another is missing": {badge{ties: instead(factors.ReasonTieBroken, factors.ReasonTieMissing)}, "was rejected as tie_missing, and something is presented"},
		"breaks on another": {badge{ties: func(_ context.Context, _ factors.Request, _ authn.Tie, _ authn.Subject, err error) error {
			return other(err)
		}}, "is no Rejection: something broke"},
		"panics on nothing": {badge{ties: func(_ context.Context, r factors.Request, _ authn.Tie, _ authn.Subject, err error) error {
			_ = r.Peer.Leaf().Raw
			return err
		}}, "CheckTie: a request without anything is no Rejection: it panicked"},
		"carries when time is up": {badge{ties: func(ctx context.Context, _ factors.Request, _ authn.Tie, _ authn.Subject, err error) error {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}}, "CheckTie: a request without anything was taken, the context having ended"},
		"rejects when time is up": {badge{ties: func(ctx context.Context, _ factors.Request, _ authn.Tie, _ authn.Subject, err error) error {
			if ctx.Err() != nil {
				return factors.Reject(factors.ReasonRevoked, "")
			}
			return err
		}}, "a tie was rejected, the context having ended"},
		"verifies forged ones": {badge{verifies: func(_ context.Context, _ factors.Request, err error) error {
			if reason(err) == "badge_forged" {
				return nil
			}
			return err
		}}, `WrongRequests "forged" was taken`},
		"needs no certificate": {badge{verifies: func(_ context.Context, r factors.Request, err error) error {
			if !r.Peer.Present() {
				return nil
			}
			return err
		}}, "a request without anything was taken"},
		"knows nobody else": {badge{verifies: func(_ context.Context, r factors.Request, err error) error {
			if r.Peer.Present() && holder(r).User == "bob" {
				return factors.Reject("badge_unknown", "")
			}
			return err
		}}, `a good credential was refused on OtherRequests "bob's"`},
		"takes forged ones when time is up": {badge{verifies: func(ctx context.Context, r factors.Request, err error) error {
			if ctx.Err() != nil && r.Peer.Present() {
				return nil
			}
			return err
		}}, `WrongRequests "forged" was taken, the context having ended`},
	} {
		t.Run(name, func(t *testing.T) { finds(t, badges(tt.factor), tt.says) })
	}
}

func other(err error) error {
	if err != nil {
		return errOther
	}
	return nil
}

func instead(of, say authn.Reason) ties {
	return func(_ context.Context, _ factors.Request, _ authn.Tie, _ authn.Subject, err error) error {
		if reason(err) == of {
			return factors.Reject(say, "")
		}
		return err
	}
}

func tenantless(_ context.Context, r factors.Request, _ authn.Tie, s authn.Subject, err error) error {
	if reason(err) == "badge_subject" && holder(r).User == s.User {
		return nil
	}
	return err
}

func bobCarries(_ context.Context, r factors.Request, tie authn.Tie, _ authn.Subject, err error) error {
	if reason(err) == factors.ReasonTieBroken && holder(r).User == "bob" && tie.Certificate != [32]byte{} {
		return nil
	}
	return err
}

func aliceCarries(_ context.Context, r factors.Request, _ authn.Tie, s authn.Subject, err error) error {
	if reason(err) == factors.ReasonTieBroken && holder(r).User == "alice" && s.User == "bob" {
		return nil
	}
	return err
}

func TestIncompleteTies(t *testing.T) {
	for says, change := range map[string]func(*Suite){
		"needs WrongRequests": func(s *Suite) { s.WrongRequests = nil },
		"needs OtherRequests": func(s *Suite) { s.OtherRequests = nil },
		"evidence of":         func(s *Suite) { s.Factor = late{badge{}} },
	} {
		t.Run(says, func(t *testing.T) {
			s := badges(badge{})
			change(&s)
			finds(t, s, says)
		})
	}
}

// late is a badge that was seen after it was asked for.
type late struct{ badge }

func (l late) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	got, err := l.badge.Verify(ctx, v)
	got.Evidence.At = v.Now.Add(time.Second)
	return got, err
}
