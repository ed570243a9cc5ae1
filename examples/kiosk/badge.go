package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	strict "github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// badgeKind is a kind of factor of this program's own: the number of a badge, and its PIN. Its section names the tenant whose
// badges they are, and their file. Whoever takes a badge out of the file shuts it out within seconds.
//
// The number is read off the badge by whoever stands beside it, so it only says who comes. What is proven is that the caller
// knows the PIN.
type badgeKind struct{}

func (badgeKind) Name() string { return "badge" }

func (badgeKind) Settings(s *policy.Section) (policy.Settings, error) {
	var section struct {
		Tenant string `yaml:"tenant"`
		File   string `yaml:"file"`
	}
	if err := s.Decode(&section); err != nil {
		return nil, err
	}
	if section.Tenant == "" {
		return nil, s.Errorf("", "tenant is missing: whose badges are they?")
	}
	if section.File == "" {
		return nil, s.Errorf("", "file is missing: where are the badges?")
	}
	b, err := s.ReadFile(section.File)
	if err != nil {
		return nil, s.Errorf("file", "%v", err)
	}
	book, err := parseBadges(b)
	if err != nil {
		return nil, s.Errorf("file", "%s: %v", section.File, err)
	}
	return &badgeSettings{name: s.Name(), tenant: section.Tenant, book: book}, nil
}

func (badgeKind) Build(s policy.Settings, env factors.Env) (factors.Factor, error) {
	own, ok := s.(*badgeSettings)
	if !ok {
		return nil, errors.New("badge: settings of another kind")
	}
	return &badgeFactor{own, env.Directory}, nil
}

type badgeSettings struct {
	name   string
	tenant string
	book   badgeBook
}

// Describe claims nothing that is had: a number can be copied from across the hall. A PIN can be talked out of somebody, so it
// resists no phishing either.
func (s *badgeSettings) Describe() authn.Factor {
	return authn.Factor{Name: s.name, Kind: "badge", Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Know}, AMR: []string{"pin"}}
}

type badgeFactor struct {
	*badgeSettings
	directory factors.Directory
}

var _ interface {
	factors.Challenger
	factors.Targeted
} = (*badgeFactor)(nil)

// shownBadge is what a caller types.
type shownBadge struct {
	Number string `json:"number"`
	PIN    string `json:"pin"`
}

var (
	badgeNumber = regexp.MustCompile(`^[0-9]{4,12}$`)
	badgePIN    = regexp.MustCompile(`^[0-9]{6,12}$`)
)

func readBadge(credential json.RawMessage) (b shownBadge, ok bool) {
	err := strict.Unmarshal(credential, &b, strict.RejectUnknownMembers(true))
	return b, err == nil && badgeNumber.MatchString(b.Number) && badgePIN.MatchString(b.PIN)
}

// Challenge asks nothing: the answer is the same for every challenge. That there must be one for each answer is the engine's
// way of letting a guess cost something.
func (*badgeFactor) Challenge(context.Context, factors.Request) (factors.Challenge, error) {
	return factors.Challenge{Lifetime: 2 * time.Minute}, nil
}

// Target says which badge a guess is about, so that guesses at one do not lock the others of a kiosk.
func (*badgeFactor) Target(credential json.RawMessage) string {
	b, ok := readBadge(credential)
	if !ok {
		return ""
	}
	return b.Number
}

// Verify does the same work for badges that there are not.
func (f *badgeFactor) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	if err := ctx.Err(); err != nil {
		return factors.Verified{}, err
	}
	shown, ok := readBadge(v.Credential)
	if !ok {
		return factors.Verified{}, factors.Reject(factors.ReasonMalformed, "")
	}
	known, knows, err := f.book.check(shown)
	if err != nil {
		return factors.Verified{}, err
	}
	u, err := f.directory.UserNamed(ctx, f.tenant, known.User, authn.ClassPerson)
	switch {
	case err != nil && !errors.Is(err, factors.ErrNotFound):
		return factors.Verified{}, fmt.Errorf("badge: %w", err)
	case known.Number == "":
		return factors.Verified{}, factors.Reject("badge_unknown", "")
	case !knows:
		return factors.Verified{}, factors.Reject("badge_pin", "")
	case err != nil:
		return factors.Verified{}, factors.Reject(factors.ReasonUserUnknown, "badge %s", known.Number)
	}
	return factors.Verified{Evidence: authn.Evidence{Subject: u.Subject(), Names: authn.Names{Tenant: u.Tenant, User: u.Name}, Credential: known.Number,
		Key: "badge:" + f.tenant + ":" + known.Number, Strength: authn.Strength{Category: authn.Know}, AMR: []string{"pin"}, At: v.Now}}, nil
}
