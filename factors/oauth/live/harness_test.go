package live_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

const secret = "a secret that two parties share, for tests"

var (
	alice = factors.User{Tenant: "acme", ID: "u-alice", Name: "alice"}
	acme  = authn.Subject{Tenant: "acme"}
)

// directory keeps credentials.
type directory struct {
	mu          sync.Mutex
	credentials []factors.Credential
}

func (d *directory) store(c factors.Credential) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.credentials = append(d.credentials, c)
}

func (d *directory) Credential(_ context.Context, tenant, factor, id string) (factors.Credential, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.credentials {
		if c.Tenant == tenant && c.Factor == factor && c.ID == id {
			return c, nil
		}
	}
	return factors.Credential{}, factors.ErrNotFound
}

func (*directory) Credentials(context.Context, string, string, string) ([]factors.Credential, error) {
	return nil, nil
}
func (*directory) UserNamed(context.Context, string, string, authn.Class) (factors.User, error) {
	return factors.User{}, factors.ErrNotFound
}
func (*directory) UserByHandle(context.Context, []byte) (factors.User, error) {
	return factors.User{}, factors.ErrNotFound
}

// gate is a kind of factor that names the tenant.
type gate struct{}

func (gate) Name() string { return "gate" }
func (gate) Settings(s *policy.Section) (policy.Settings, error) {
	return gate{}, s.Decode(&struct{}{})
}
func (gate) Describe() authn.Factor {
	return authn.Factor{Ambient: true, Identifies: authn.IdentifiesTenant, Best: authn.Strength{Category: authn.Have}}
}

// bench is a factor called idp, as the policy of a portal has it.
type bench struct {
	t         testing.TB
	factor    *oauth.Factor
	directory *directory
	origin    policy.Origin
}

// newBench reads a policy whose section of the factor is given. The files secret and ca.pem are there, beside those given.
func newBench(t testing.TB, origin string, ca *mtlstest.CA, section string, files map[string][]byte) *bench {
	t.Helper()
	folder := t.TempDir()
	text := "version: 1\norigin: " + origin + "\nfactors:\n  door: { kind: gate }\n  idp:\n    kind: oauth\n    ca: ca.pem\n    " +
		strings.ReplaceAll(strings.TrimSpace(section), "\n", "\n    ") + "\nmethods:\n  partner: { steps: [door, idp] }\nrules:\n  - { methods: [partner] }\n"
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("policy.yaml", []byte(text))
	write("secret", []byte(secret+"\n"))
	write("ca.pem", ca.PEM())
	for name, content := range files {
		write(name, content)
	}
	pol, err := policy.Load(filepath.Join(folder, "policy.yaml"), gate{}, oauth.Kind())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, directory: &directory{}, origin: pol.Origins[0]}
	for _, f := range pol.Factors {
		if f.Name == "idp" {
			made, err := oauth.Kind().Build(f.Settings, factors.Env{Policy: pol, Directory: b.directory, Rand: rand.Reader, Base: "/auth"})
			if err != nil {
				t.Fatal(err)
			}
			b.factor = made.(*oauth.Factor)
		}
	}
	return b
}

// request is one of now: providers that others wrote have the clock of the machine.
func (b *bench) request(s authn.Subject) factors.Request {
	return factors.Request{Now: time.Now(), Origin: b.origin, Subject: s}
}

func (b *bench) challenge() factors.Challenge {
	b.t.Helper()
	c, err := b.factor.Challenge(b.t.Context(), b.request(acme))
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func asked(c factors.Challenge) factors.Asked {
	now := time.Now()
	return factors.Asked{ID: "challenge", Data: c.Data, Issued: now, Expires: now.Add(c.Lifetime)}
}

// credential is what a router makes of a callback to /auth/factors/idp[/tenant]/callback.
func (b *bench) credential(back *url.URL) json.RawMessage {
	b.t.Helper()
	path, ok := strings.CutPrefix(back.Scheme+"://"+back.Host+back.Path, b.origin.URL+"/auth/factors/idp/")
	tenant, is := strings.CutSuffix(path, "callback")
	if !ok || !is {
		b.t.Fatalf("sent back to %s", back)
	}
	m := map[string]string{"query": back.RawQuery}
	if tenant != "" {
		m["tenant"] = strings.TrimSuffix(tenant, "/")
	}
	out, err := json.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// verify verifies what came back for a challenge.
func (b *bench) verify(c factors.Challenge, back *url.URL) (factors.Verified, error) {
	b.t.Helper()
	return b.factor.Verify(b.t.Context(), verification(b, c, back))
}

// walker signs in at a provider: a visitor with their answers, or a browser.
type walker func(address string) *url.URL

// link links whoever signs in to a user.
func (b *bench) link(u factors.User, walk walker) factors.Credential {
	b.t.Helper()
	e := factors.Enrolment{Request: b.request(u.Subject()), User: u}
	c, err := b.factor.EnrolChallenge(b.t.Context(), e)
	if err != nil {
		b.t.Fatal(err)
	}
	e.Credential, e.Challenge = b.credential(walk(c.RedirectTo)), asked(c)
	e.Now = time.Now()
	made, err := b.factor.Enrol(b.t.Context(), e)
	if err != nil {
		b.t.Fatal(err)
	}
	made.Tenant, made.User, made.Factor = u.Tenant, u.ID, "idp"
	b.directory.store(made)
	return made
}

// login signs in.
func (b *bench) login(walk walker) (factors.Verified, error) {
	b.t.Helper()
	c := b.challenge()
	return b.verify(c, walk(c.RedirectTo))
}

// signedIn wants evidence of alice.
func (b *bench) signedIn(walk walker) authn.Evidence {
	b.t.Helper()
	got, err := b.login(walk)
	if err != nil {
		b.t.Fatal(err)
	}
	if got.Evidence.Subject != alice.Subject() {
		b.t.Fatalf("evidence of %+v", got.Evidence.Subject)
	}
	return got.Evidence
}

// rejected wants a rejection for a reason.
func rejected(t testing.TB, what string, err error, why authn.Reason) {
	t.Helper()
	var r *factors.Rejection
	if !errors.As(err, &r) {
		t.Errorf("%s: no rejection: %v", what, err)
	} else if r.Reason != why {
		t.Errorf("%s: %s, want %s", what, r.Reason, why)
	}
}

// undecided wants an error that is no rejection.
func undecided(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil || errors.As(err, new(*factors.Rejection)) {
		t.Errorf("%s: %v, where an error that says nothing of the caller is wanted", what, err)
	}
}

func verification(b *bench, c factors.Challenge, back *url.URL) factors.Verification {
	b.t.Helper()
	return factors.Verification{Request: b.request(acme), Credential: b.credential(back), Challenge: asked(c)}
}
