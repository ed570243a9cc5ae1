package factortest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// keepsTies wins evidence and looks which requests carry it on.
func (c *checker) keepsTies() {
	if !c.about.Tied {
		return
	}
	e, ok := c.won("Request", c.Request)
	if !ok {
		return
	}
	if err := c.checkTie(c.ctx, c.Request, *e.Tie, e.Subject); err != nil {
		c.complain("CheckTie refuses the request that the evidence was won on: %v", err)
	}
	c.endures("a tie", c.checkTie(c.ended, c.Request, *e.Tie, e.Subject))
	c.untied("a request without anything", factors.Request{Now: c.Request.Now, Origin: c.Request.Origin}, *e.Tie, e.Subject, true)
	for _, name := range slices.Sorted(maps.Keys(c.WrongRequests)) {
		r := c.WrongRequests[name]
		c.untied(fmt.Sprintf("WrongRequests %q", name), r, *e.Tie, e.Subject, !r.Peer.Present())
	}
	for _, name := range slices.Sorted(maps.Keys(c.OtherRequests)) {
		what, r := fmt.Sprintf("OtherRequests %q", name), c.OtherRequests[name]
		c.untied(what, r, *e.Tie, e.Subject, false)
		if other, ok := c.won(what, r); ok {
			c.untied("Request for what was won on "+what, c.Request, *other.Tie, other.Subject, false)
		}
	}
	c.untied("Request with a tie of nothing", c.Request, authn.Tie{Bind: e.Tie.Bind}, e.Subject, false)
	if e.Subject.Tenant != "" {
		c.untied("Request with a subject of another tenant", c.Request, *e.Tie, authn.Subject{Tenant: e.Subject.Tenant + "-other", User: e.Subject.User, Class: e.Subject.Class}, false)
	}
	if e.Subject.User != "" {
		c.untied("Request with another user", c.Request, *e.Tie, authn.Subject{Tenant: e.Subject.Tenant, User: e.Subject.User + "-other", Class: e.Subject.Class}, false)
	}
}

// won verifies a good credential on a request.
func (c *checker) won(what string, r factors.Request) (authn.Evidence, bool) {
	v, public, ok := c.ask(r)
	if !ok {
		return authn.Evidence{}, false
	}
	var err error
	if !c.about.Ambient {
		if v.Credential, err = c.Good(public); err != nil {
			c.complain("no good credential: %v", err)
			return authn.Evidence{}, false
		}
	}
	got, err := c.verify(c.ctx, v)
	if err != nil {
		c.complain("a good credential was refused on %s: %v", what, err)
		return authn.Evidence{}, false
	}
	return got.Evidence, got.Evidence.Tie != nil
}

func (c *checker) checkTie(ctx context.Context, r factors.Request, tie authn.Tie, s authn.Subject) error {
	return safely(func() error { return c.Factor.(factors.Tied).CheckTie(ctx, r, tie, s) })
}

// untied wants CheckTie to reject a request, and to tell one that carries nothing from one that carries something else.
func (c *checker) untied(what string, r factors.Request, tie authn.Tie, s authn.Subject, nothing bool) {
	what = "CheckTie: " + what
	check := func(ctx context.Context) error { return c.checkTie(ctx, r, tie, s) }
	c.never(what, check)
	why := c.refused(what, check)
	switch {
	case why == "":
	case nothing && why != factors.ReasonTieMissing:
		c.complain("%s was rejected as %s, not as %s", what, why, factors.ReasonTieMissing)
	case !nothing && why == factors.ReasonTieMissing:
		c.complain("%s was rejected as %s, and something is presented", what, why)
	}
}
