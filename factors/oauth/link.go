package oauth

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// EnrolChallenge implements factors.Enroller: the address of the provider's page, where the user shows which identity is to
// be linked.
func (f *Factor) EnrolChallenge(ctx context.Context, e factors.Enrolment) (factors.Challenge, error) {
	r, tenant, err := f.linking(e)
	if err != nil {
		return factors.Challenge{}, err
	}
	return f.ask(ctx, r, envelope{Purpose: forLink, Tenant: tenant, User: e.User.ID})
}

// linking is the request of an enrolment, about the user who enrols.
func (f *Factor) linking(e factors.Enrolment) (factors.Request, string, error) {
	r := e.Request
	if e.User.Class != authn.ClassPerson || e.User.ID == "" {
		return r, "", errors.New("oauth: identities belong to people")
	}
	var err error
	if r.Subject, err = r.Subject.Narrow(e.User.Subject()); err != nil {
		return r, "", factors.Reject(ReasonForeignUser, "the user is another than the subject")
	}
	tenant, err := f.tenantOf(r)
	return r, tenant, err
}

// Enrol implements factors.Enroller. An identity is linked to one user of a tenant: whoever has it keeps it.
func (f *Factor) Enrol(ctx context.Context, e factors.Enrolment) (factors.Credential, error) {
	var none factors.Credential
	r, _, err := f.linking(e)
	if err != nil {
		return none, err
	}
	who, c, err := f.signedIn(ctx, e.Credential, e.Challenge, forLink, r)
	if err != nil {
		return none, err
	}
	_, err = f.env.Directory.Credential(ctx, who.tenant, f.settings.name, who.id(f.settings.name))
	if err == nil {
		return none, factors.Reject(ReasonLinked, "")
	}
	if !errors.Is(err, factors.ErrNotFound) {
		return none, fmt.Errorf("oauth: %w", err)
	}
	_, data, err := who.record(c)
	if err != nil {
		return none, err
	}
	return factors.Credential{ID: who.id(f.settings.name), Kind: f.settings.kind, Data: data, Best: c.strength}, nil
}
