package oauth_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

const (
	origin = "https://portal.example"
	secret = "needle-client-secret"
)

var (
	alice = factors.User{Tenant: "acme", ID: "u-alice", Name: "alice"}
	bob   = factors.User{Tenant: "acme", ID: "u-bob", Name: "bob"}
	acme  = authn.Subject{Tenant: "acme"}
)

// directory keeps credentials.
type directory struct {
	mu          sync.Mutex
	credentials []factors.Credential
	broken      error
	always      *factors.Credential // whatever is asked for
}

func (d *directory) Credential(_ context.Context, tenant, factor, id string) (factors.Credential, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.always != nil {
		return *d.always, nil
	}
	for _, c := range d.credentials {
		if c.Tenant == tenant && c.Factor == factor && c.ID == id && d.broken == nil {
			return c, nil
		}
	}
	if d.broken != nil {
		return factors.Credential{}, d.broken
	}
	return factors.Credential{}, factors.ErrNotFound
}

func (d *directory) store(c factors.Credential) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.credentials = append(d.credentials, c)
	return nil
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

// load reads a policy with one factor called idp, whose section is given, and files beside it.
func load(t testing.TB, section string, files map[string]string) (*policy.Policy, error) {
	t.Helper()
	folder := t.TempDir()
	text := "version: 1\norigin: " + origin + "\nfactors:\n  door: { kind: gate }\n  idp:\n    " +
		strings.ReplaceAll(strings.TrimSpace(section), "\n", "\n    ") + "\nmethods:\n  partner: { steps: [door, idp] }\nrules:\n  - { methods: [partner] }\n"
	all := map[string]string{"policy.yaml": text, "secret": secret + "\n"}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range all {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return policy.Load(filepath.Join(folder, "policy.yaml"), gate{}, oauth.Kind(), oauth.PlainKind())
}

// bench is a factor at a provider.
type bench struct {
	t         testing.TB
	provider  *provider
	factor    *oauth.Factor
	directory *directory
	origin    policy.Origin
}

// newBench makes a factor of kind oauth, flat, with further settings.
func newBench(t testing.TB, more string) *bench {
	t.Helper()
	p := newProvider(t)
	return benchOf(t, p, "kind: oauth\nissuer: "+p.issuer+"\nclient_id: portal\nclient_secret: { file: secret }\nca: ca.pem\n"+more, nil)
}

func benchOf(t testing.TB, p *provider, section string, files map[string]string) *bench {
	t.Helper()
	all := map[string]string{"ca.pem": p.ca()}
	for name, content := range files {
		all[name] = content
	}
	pol, err := load(t, section, all)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, provider: p, directory: &directory{}, origin: pol.Origins[0]}
	b.factor = build(t, pol, b.directory)
	return b
}

func build(t testing.TB, pol *policy.Policy, d factors.Directory) *oauth.Factor {
	t.Helper()
	for _, f := range pol.Factors {
		if f.Name != "idp" {
			continue
		}
		kind := oauth.Kind()
		if f.Kind == oauth.PlainKindName {
			kind = oauth.PlainKind()
		}
		made, err := kind.Build(f.Settings, factors.Env{Policy: pol, Directory: d, Rand: rand.Reader, Base: "/auth"})
		if err != nil {
			t.Fatal(err)
		}
		return made.(*oauth.Factor)
	}
	t.Fatal("no factor")
	return nil
}

func (b *bench) request(s authn.Subject) factors.Request {
	return factors.Request{Now: now, Origin: b.origin, Subject: s}
}

func asked(c factors.Challenge) factors.Asked {
	return factors.Asked{ID: "challenge", Data: c.Data, Issued: now, Expires: now.Add(c.Lifetime)}
}

func (b *bench) challenge(r factors.Request) factors.Challenge {
	b.t.Helper()
	c, err := b.factor.Challenge(b.t.Context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// returned is the credential of a callback.
func returned(query, tenant string) json.RawMessage {
	m := map[string]string{"query": query}
	if tenant != "" {
		m["tenant"] = tenant
	}
	b, _ := json.Marshal(m)
	return b
}

// come is a verification of somebody who signed in at the provider, changed on the way back.
func (b *bench) come(s authn.Subject, how func(url.Values)) factors.Verification {
	b.t.Helper()
	c := b.challenge(b.request(s))
	back := b.provider.signIn(c.RedirectTo)
	if how != nil {
		how(back)
	}
	return factors.Verification{Request: b.request(s), Credential: returned(back.Encode(), ""), Challenge: asked(c)}
}

func (b *bench) verify(v factors.Verification) (factors.Verified, error) {
	return b.factor.Verify(b.t.Context(), v)
}

// rejection is the reason of a rejection; anything else fails the test.
func rejection(t testing.TB, err error) authn.Reason {
	t.Helper()
	var r *factors.Rejection
	if !errors.As(err, &r) {
		t.Errorf("no rejection: %v", err)
		return ""
	}
	return r.Reason
}

// broken wants an error that is no rejection.
func broken(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil || errors.As(err, new(*factors.Rejection)) {
		t.Errorf("%s: %v, where an error that says nothing of the caller is wanted", what, err)
	}
}

// link2 links with a factor whose settings the provider satisfies whatever they are.
func (b *bench) link2(u factors.User) string {
	b.t.Helper()
	other := benchOf(b.t, b.provider, "kind: oauth\nissuer: "+b.provider.issuer+"\nclient_id: portal\nclient_secret: { file: secret }\nca: ca.pem", nil)
	other.directory = b.directory
	c := other.link(u)
	return c.ID
}

// honest ends all lies.
func (b *bench) honest() {
	p := b.provider
	p.claims, p.header, p.idToken, p.response = nil, nil, nil, nil
	p.userinfo = map[string]any{"sub": p.sub}
	p.signer = p.known[0]
	p.claims = func(m map[string]any) { m["acr"] = "gold" }
}

// header puts a header in the place of a token's.
func header(token, text string) string {
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + rest
}

// link stores the identity that signs in at the provider now as a user's.
func (b *bench) link(u factors.User) factors.Credential {
	b.t.Helper()
	e := factors.Enrolment{Request: b.request(u.Subject()), User: u}
	c, err := b.factor.EnrolChallenge(b.t.Context(), e)
	if err != nil {
		b.t.Fatal(err)
	}
	tenant := ""
	if strings.Contains(c.RedirectTo, url.QueryEscape("/"+u.Tenant+"/callback")) {
		tenant = u.Tenant
	}
	e.Credential, e.Challenge = returned(b.provider.signIn(c.RedirectTo).Encode(), tenant), asked(c)
	made, err := b.factor.Enrol(b.t.Context(), e)
	if err != nil {
		b.t.Fatal(err)
	}
	made.Tenant, made.User, made.Factor, made.Created = u.Tenant, u.ID, "idp", now
	_ = b.directory.store(made)
	return made
}

func verificationOf(b *bench, c factors.Challenge, back url.Values) factors.Verification {
	return factors.Verification{Request: b.request(acme), Credential: returned(back.Encode(), ""), Challenge: asked(c)}
}

func assess(e authn.Evidence) authn.Assurance { return authn.Assess(e) }

func pemOfCertificate(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// newFactorOf is a factor at the same provider that knows nothing of it yet.
func newFactorOf(b *bench) *oauth.Factor {
	b.t.Helper()
	pol, err := load(b.t, "kind: oauth\nissuer: "+b.provider.issuer+"\nclient_id: portal\nclient_secret: { file: secret }\nca: ca.pem", map[string]string{"ca.pem": b.provider.ca()})
	if err != nil {
		b.t.Fatal(err)
	}
	return build(b.t, pol, b.directory)
}
