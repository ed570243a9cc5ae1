package mtls

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/sallyport-auth/sallyport/factors"
)

// enrolling is a Verifier whose certificates must be enrolled. Others are no [factors.Enroller]: there would be nothing
// that enrolling changed.
type enrolling struct{ *Verifier }

var (
	_ factors.Enroller = enrolling{}
	_ factors.Tied     = enrolling{}
)

// EnrolChallenge implements [factors.Enroller]. There is nothing to ask: the connection has proven the key.
func (enrolling) EnrolChallenge(context.Context, factors.Enrolment) (factors.Challenge, error) {
	return factors.Challenge{PublicKey: json.RawMessage(`{}`)}, nil
}

// Enrol implements [factors.Enroller]. It takes the certificate of this very request, verified in full, if it names the
// user.
func (v enrolling) Enrol(ctx context.Context, e factors.Enrolment) (factors.Credential, error) {
	f, err := v.find(ctx, e.Request, wanted{tenant: e.User.Tenant}, factors.ReasonNoCertificate)
	if err != nil {
		return factors.Credential{}, err
	}
	if f.subject != e.User.Subject() {
		return factors.Credential{}, factors.Reject(ReasonOtherSubject, "it names somebody else")
	}
	// The key's digest is kept so that renewals of one key can be told.
	return factors.Credential{ID: f.id(), Kind: KindName, Best: strength, Data: slices.Clone(f.marks.Key[:])}, nil
}
