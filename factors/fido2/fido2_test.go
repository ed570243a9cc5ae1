package fido2_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
)

const origin = "https://portal.example"

// directory is a directory in memory.
type directory struct {
	users       []factors.User
	credentials []factors.Credential
}

func (d *directory) UserNamed(_ context.Context, tenant, name string, class authn.Class) (factors.User, error) {
	for _, u := range d.users {
		if u.Tenant == tenant && u.Name == name && u.Class == class {
			return u, nil
		}
	}
	return factors.User{}, factors.ErrNotFound
}

func (d *directory) UserByHandle(_ context.Context, handle []byte) (factors.User, error) {
	for _, u := range d.users {
		if string(u.Handle) == string(handle) {
			return u, nil
		}
	}
	return factors.User{}, factors.ErrNotFound
}

func (d *directory) Credential(_ context.Context, tenant, factor, id string) (factors.Credential, error) {
	for _, c := range d.credentials {
		if c.Tenant == tenant && c.Factor == factor && c.ID == id {
			return c, nil
		}
	}
	return factors.Credential{}, factors.ErrNotFound
}

func (d *directory) Credentials(_ context.Context, tenant, user, factor string) ([]factors.Credential, error) {
	var all []factors.Credential
	for _, c := range d.credentials {
		if c.Tenant == tenant && c.User == user && c.Factor == factor {
			all = append(all, c)
		}
	}
	return all, nil
}

// bench is a factor with its surroundings.
type bench struct {
	t         testing.TB
	factor    *fido2.Factor
	directory *directory
	rand      io.Reader
	policy    *policy.Policy
	dir       string // of the policy
	origin    policy.Origin
	other     policy.Origin // of the same relying party
	now       time.Time
	alice     factors.User
	bob       factors.User
}

func newBench(t testing.TB, settings string) *bench {
	t.Helper()
	return newBenchFrom(t, settings, rand.Reader)
}

func newBenchFrom(t testing.TB, settings string, random io.Reader) *bench {
	t.Helper()
	b := &bench{t: t, directory: &directory{}, rand: random, dir: t.TempDir(), now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	b.alice, b.bob = b.user("corp", "alice"), b.user("corp", "bob")
	b.user("labs", "alice")
	b.use(settings)
	return b
}

func (b *bench) use(settings string) {
	b.t.Helper()
	p, err := parse(b.dir, settings)
	if err != nil {
		b.t.Fatal(err)
	}
	b.policy, b.origin, b.other = p, p.Origins[0], p.Origins[1]
	b.factor = b.build(b.directory)
}

func (b *bench) build(d factors.Directory) *fido2.Factor {
	b.t.Helper()
	f, err := fido2.Kind().Build(b.policy.Factors[0].Settings, factors.Env{Policy: b.policy, Directory: d, Rand: b.rand})
	if err != nil {
		b.t.Fatal(err)
	}
	return f.(*fido2.Factor)
}

func (b *bench) user(tenant, name string) factors.User {
	u := factors.User{Tenant: tenant, ID: tenant + "-" + name + "-id", Name: name, Display: name, Handle: make([]byte, 64)}
	if _, err := io.ReadFull(b.rand, u.Handle); err != nil {
		b.t.Fatal(err)
	}
	b.directory.users = append(b.directory.users, u)
	return u
}

func (b *bench) request(s authn.Subject) factors.Request {
	return factors.Request{Now: b.now, Origin: b.origin, Subject: s}
}

func (b *bench) asked(c factors.Challenge) factors.Asked {
	return factors.Asked{ID: "c", Data: c.Data, Issued: b.now, Expires: b.now.Add(c.Lifetime)}
}

func (b *bench) tryEnrol(a *fido2test.Authenticator, u factors.User) (factors.Credential, error) {
	b.t.Helper()
	existing, _ := b.directory.Credentials(context.Background(), u.Tenant, u.ID, "passkey")
	e := factors.Enrolment{Request: b.request(u.Subject()), User: u, Existing: existing}
	c, err := b.factor.EnrolChallenge(context.Background(), e)
	if err != nil {
		b.t.Fatal(err)
	}
	if e.Credential, err = a.Create(c.PublicKey); err != nil {
		b.t.Fatal(err)
	}
	e.Challenge = b.asked(c)
	made, err := b.factor.Enrol(context.Background(), e)
	made.Tenant, made.User, made.Factor = u.Tenant, u.ID, "passkey"
	return made, err
}

func (b *bench) enrol(a *fido2test.Authenticator, u factors.User) factors.Credential {
	b.t.Helper()
	c, err := b.tryEnrol(a, u)
	if err != nil {
		b.t.Fatal(err)
	}
	b.directory.credentials = append(b.directory.credentials, c)
	return c
}

func (b *bench) challenge(s authn.Subject) factors.Challenge {
	b.t.Helper()
	c, err := b.factor.Challenge(context.Background(), b.request(s))
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) login(a *fido2test.Authenticator, s authn.Subject) (factors.Verified, error) {
	b.t.Helper()
	c := b.challenge(s)
	credential, err := a.Get(c.PublicKey)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.factor.Verify(context.Background(), factors.Verification{Request: b.request(s), Credential: credential, Challenge: b.asked(c)})
}

func (b *bench) refused(err error, want authn.Reason) *factors.Rejection {
	b.t.Helper()
	var r *factors.Rejection
	if !errors.As(err, &r) {
		b.t.Fatalf("got %v, want a rejection with %s", err, want)
	}
	if r.Reason != want {
		b.t.Fatalf("got reason %s (%s), want %s", r.Reason, r.Detail, want)
	}
	return r
}

func TestLogin(t *testing.T) {
	for _, alg := range []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256} {
		for _, known := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d known=%t", alg, known), func(t *testing.T) {
				b := newBench(t, "")
				a := fido2test.New(origin)
				a.Algorithm = alg
				b.enrol(a, b.alice)
				var s authn.Subject
				if known {
					s = b.alice.Subject()
				}
				v, err := b.login(a, s)
				if err != nil {
					t.Fatal(err)
				}
				want := authn.Strength{Category: authn.Have, PhishingResistant: true, UserVerified: true}
				if v.Evidence.Subject != b.alice.Subject() || v.Evidence.Strength != want || !v.Evidence.At.Equal(b.now) || v.Update == nil {
					t.Fatalf("evidence %+v", v.Evidence)
				}
			})
		}
	}
}

func TestAllowedCredentialsOnlyOfWhoIsKnown(t *testing.T) {
	b := newBench(t, "")
	b.enrol(fido2test.New(origin), b.alice)
	for _, tt := range []struct {
		subject authn.Subject
		want    int
	}{{authn.Subject{}, 0}, {authn.Subject{Tenant: "corp"}, 0}, {b.alice.Subject(), 1}, {b.bob.Subject(), 0}} {
		var o struct {
			Allow []any `json:"allowCredentials"`
		}
		if err := json.Unmarshal(b.challenge(tt.subject).PublicKey, &o); err != nil {
			t.Fatal(err)
		}
		if len(o.Allow) != tt.want {
			t.Errorf("%+v: %d credentials listed, want %d", tt.subject, len(o.Allow), tt.want)
		}
	}
}

func TestLoginRefused(t *testing.T) {
	one := uint32(1)
	for _, tt := range []struct {
		name string
		lie  func(b *bench, a *fido2test.Authenticator)
		as   func(b *bench) authn.Subject
		want authn.Reason
	}{
		{"bad signature", func(_ *bench, a *fido2test.Authenticator) { a.BadSignature = true }, nil, fido2.ReasonSignature},
		{"user not verified", func(_ *bench, a *fido2test.Authenticator) { a.NotVerified = true }, nil, fido2.ReasonNotVerified},
		{"user not present", func(_ *bench, a *fido2test.Authenticator) { a.NotPresent = true }, nil, fido2.ReasonNotPresent},
		{"another origin", func(_ *bench, a *fido2test.Authenticator) { a.ClientOrigin = "https://evil.example" }, nil, fido2.ReasonOrigin},
		{"another relying party", func(_ *bench, a *fido2test.Authenticator) { a.RPID = "evil.example" }, nil, fido2.ReasonOrigin},
		{"counter that does not grow", func(_ *bench, a *fido2test.Authenticator) { a.Counter = &one }, nil, fido2.ReasonCounter},
		{"handle of somebody else", func(b *bench, a *fido2test.Authenticator) { a.Handle = b.bob.Handle }, nil, fido2.ReasonForeignUser},
		{"handle of nobody", func(_ *bench, a *fido2test.Authenticator) { a.Handle = make([]byte, 64) }, nil, fido2.ReasonUnknown},
		{"no handle and nobody known", func(_ *bench, a *fido2test.Authenticator) { a.NoHandle = true }, nil, fido2.ReasonNoHandle},
		{"another user's step", nil, func(b *bench) authn.Subject { return b.bob.Subject() }, fido2.ReasonForeignUser},
		{"another tenant's step", nil, func(*bench) authn.Subject { return authn.Subject{Tenant: "labs"} }, fido2.ReasonForeignUser},
		{"forgotten credential", func(b *bench, _ *fido2test.Authenticator) { b.directory.credentials = nil }, nil, fido2.ReasonUnknown},
		{"flagged credential", func(b *bench, _ *fido2test.Authenticator) { b.directory.credentials[0].Flagged = "lost" }, nil, factors.ReasonFlagged},
		{"can be copied, and must not", func(b *bench, a *fido2test.Authenticator) { b.use(", device_bound: true"); a.BackupEligible = true }, nil, fido2.ReasonNotDeviceBound},
		{"backed up and not eligible", func(_ *bench, a *fido2test.Authenticator) { a.BackedUp = true }, nil, fido2.ReasonBackupFlags},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "")
			a := fido2test.New(origin)
			b.enrol(a, b.alice)
			b.directory.credentials[0].Version = 7
			if tt.lie != nil {
				tt.lie(b, a)
			}
			var s authn.Subject
			if tt.as != nil {
				s = tt.as(b)
			}
			_, err := b.login(a, s)
			r := b.refused(err, tt.want)
			if flagged := r.Flag != nil; flagged != (tt.want == fido2.ReasonCounter) {
				t.Errorf("flagged: %t", flagged)
			}
		})
	}
}

func TestChallengeBelongsToItsPurpose(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	ctx := context.Background()
	login := b.challenge(authn.Subject{})
	credential, err := a.Get(login.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(c factors.Asked) error {
		_, err := b.factor.Verify(ctx, factors.Verification{Request: b.request(authn.Subject{}), Credential: credential, Challenge: c})
		return err
	}
	b.refused(verify(b.asked(b.challenge(authn.Subject{}))), fido2.ReasonChallenge)
	b.refused(verify(factors.Asked{}), fido2.ReasonChallenge)
	late := b.asked(login)
	late.Expires = b.now
	b.refused(verify(late), authn.ReasonChallengeLate)
	enrol, err := b.factor.EnrolChallenge(ctx, factors.Enrolment{Request: b.request(b.alice.Subject()), User: b.alice})
	if err != nil {
		t.Fatal(err)
	}
	b.refused(verify(b.asked(enrol)), fido2.ReasonChallenge)
	made, err := a.Create(enrol.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.factor.Enrol(ctx, factors.Enrolment{Request: b.request(b.alice.Subject()), User: b.alice, Credential: made, Challenge: b.asked(login)})
	b.refused(err, fido2.ReasonChallenge)
	_, err = b.factor.Enrol(ctx, factors.Enrolment{Request: b.request(b.bob.Subject()), User: b.bob, Credential: made, Challenge: b.asked(enrol)})
	b.refused(err, fido2.ReasonChallenge)
	if err := verify(b.asked(login)); err != nil {
		t.Fatalf("the right challenge: %v", err)
	}
}

func TestSyncedPasskeysKeepWorking(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	for _, flags := range []struct{ eligible, backedUp bool }{{false, false}, {true, false}, {true, true}, {true, false}} {
		a.BackupEligible, a.BackedUp = flags.eligible, flags.backedUp
		v, err := b.login(a, authn.Subject{})
		if err != nil {
			t.Fatalf("%+v: %v", flags, err)
		}
		if want := map[bool]string{true: "swk", false: "hwk"}[flags.eligible]; v.Evidence.AMR[0] != want {
			t.Errorf("%+v: amr %v", flags, v.Evidence.AMR)
		}
		b.directory.credentials[0] = *v.Update
	}
	a.BackupEligible, a.BackedUp = false, false
	_, err := b.login(a, authn.Subject{})
	b.refused(err, fido2.ReasonBackupFlags)
}

func TestEnrolRefused(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	a.NotVerified = true
	_, err := b.tryEnrol(a, b.alice)
	b.refused(err, fido2.ReasonNotVerified)

	b = newBench(t, ", device_bound: true")
	a = fido2test.New(origin)
	a.BackupEligible = true
	_, err = b.tryEnrol(a, b.alice)
	b.refused(err, fido2.ReasonNotDeviceBound)

	b = newBench(t, ", aaguids: { deny: [00000000-0000-0000-0000-000000000001] }")
	a = fido2test.New(origin)
	a.AAGUID[15] = 1
	_, err = b.tryEnrol(a, b.alice)
	b.refused(err, fido2.ReasonAuthenticator)

	b = newBench(t, ", algorithms: [ES256]")
	a = fido2test.New(origin)
	a.Algorithm = webauthncose.AlgEdDSA
	_, err = b.tryEnrol(a, b.alice)
	b.refused(err, fido2.ReasonAlgorithm)
}

// TestEnrolOnAnOriginOfATenant: users of other tenants add no passkeys there, as they can't sign in there.
func TestEnrolOnAnOriginOfATenant(t *testing.T) {
	b := newBench(t, "")
	e := factors.Enrolment{Request: b.request(b.alice.Subject()), User: b.alice}
	c, err := b.factor.EnrolChallenge(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	if e.Credential, err = fido2test.New(origin).Create(c.PublicKey); err != nil {
		t.Fatal(err)
	}
	e.Challenge = b.asked(c)
	e.Origin.Tenant = "labs"
	_, err = b.factor.EnrolChallenge(context.Background(), e)
	b.refused(err, fido2.ReasonForeignUser)
	_, err = b.factor.Enrol(context.Background(), e)
	b.refused(err, fido2.ReasonForeignUser)
	e.Origin.Tenant = "corp"
	if _, err = b.factor.Enrol(context.Background(), e); err != nil {
		t.Fatal(err)
	}
}

// TestTwoFactorsOfPasskeys: an authenticator keeps one passkey for a relying party and user, so a second one for another
// factor would take the place of the first.
func TestTwoFactorsOfPasskeys(t *testing.T) {
	b := newBench(t, "")
	first, second := fido2test.New(origin), fido2test.New(origin)
	b.enrol(first, b.alice)
	p, err := policy.Parse(filepath.Join(b.dir, "policy.yaml"), []byte(fmt.Sprintf(`version: 1
origin: %s
factors:
  key: { kind: fido2, attestation: none }
  passkey: { kind: fido2 }
methods:
  m: { steps: [passkey] }
  n: { steps: [key] }
rules:
  - { methods: [m, n] }
`, origin)), fido2.Kind())
	if err != nil {
		t.Fatal(err)
	}
	b.policy = p
	b.factor = b.build(b.directory) // key
	existing := []factors.Credential{}
	made, err := b.tryEnrol(second, b.alice)
	if err != nil {
		t.Fatal(err)
	}
	made.Factor = "key"
	existing = append(existing, made)
	e := factors.Enrolment{Request: b.request(b.alice.Subject()), User: b.alice, Existing: existing}
	c, err := b.factor.EnrolChallenge(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Exclude []struct {
			ID string `json:"id"`
		} `json:"excludeCredentials"`
	}
	if err := json.Unmarshal(c.PublicKey, &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Exclude) != 2 || o.Exclude[0].ID != made.ID || o.Exclude[1].ID != b.directory.credentials[0].ID {
		t.Errorf("excluded: %+v", o.Exclude)
	}
	_, err = b.factor.EnrolChallenge(context.Background(), factors.Enrolment{Request: b.request(b.bob.Subject()), User: b.bob})
	if err != nil {
		t.Fatal(err)
	}
	id, err := base64.RawURLEncoding.DecodeString(b.directory.credentials[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.claim(t, b.alice, id, coseOf(t, made))
	b.refused(err, fido2.ReasonRegistration)
}

func TestUserVerificationIsThePolicysNow(t *testing.T) {
	b := newBench(t, ", user_verification: discouraged")
	a := fido2test.New(origin)
	a.NotVerified = true
	b.enrol(a, b.alice)
	v, err := b.login(a, authn.Subject{})
	if err != nil || v.Evidence.Strength.UserVerified {
		t.Fatalf("%+v %v", v.Evidence, err)
	}
	c := b.challenge(authn.Subject{})
	credential, err := a.Get(c.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	b.use("") // the policy asks for more before the answer comes
	_, err = b.factor.Verify(context.Background(), factors.Verification{Request: b.request(authn.Subject{}), Credential: credential, Challenge: b.asked(c)})
	b.refused(err, fido2.ReasonNotVerified)
}
