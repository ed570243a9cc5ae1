package main

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// signOutURL is where the provider of somebody signed in has its page for signing out there too; empty: it has none.
func (p *portal) signOutURL(ctx context.Context, person authn.Principal) (string, error) {
	pol := p.engine.Policy()
	for _, e := range person.All() {
		for _, f := range pol.Factors {
			if f.Name != e.Factor || e.Issuer == "" {
				continue
			}
			made, err := p.build(f.Kind, f.Settings, factors.Env{Policy: pol, Directory: nobody{}, Rand: rand.Reader, Base: "/auth"})
			if err != nil {
				return "", err
			}
			if leaves, ok := made.(factors.SignedOut); ok {
				return leaves.SignOutURL(ctx, e, pol.Origins[0].URL+signedOutURL)
			}
		}
	}
	return "", nil
}

func (p *portal) build(kind string, settings policy.Settings, env factors.Env) (factors.Factor, error) {
	for _, k := range p.kinds {
		if k.Name() == kind {
			return k.Build(settings, env)
		}
	}
	return nil, fmt.Errorf("partner: there is no kind %q", kind)
}

// nobody is a directory for a factor that is only asked where one signs out: nobody is looked up for that.
type nobody struct{ factors.Directory }
