package jwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

const (
	issuer   = "https://issuer.corp.example"
	audience = "secrets-api"
	address  = "https://portal.example/v1/secrets/a"
)

var (
	now   = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	alice = factors.User{Tenant: "corp", ID: "u-alice", Name: "alice"}
	kiosk = factors.User{Tenant: "corp", ID: "d-alice", Name: "alice", Class: authn.ClassDevice}
	job   = factors.User{Tenant: "corp", ID: "w-alice", Name: "alice", Class: authn.ClassWorkload}
	corp  = authn.Subject{Tenant: "corp"}
)

// world is what a factor asks: a directory, lists, and a memory. All instances of a test share one.
type world struct {
	mu      sync.Mutex
	users   map[string]factors.User
	denied  map[[sha256.Size]byte]time.Time // tokens issued until then
	used    map[string]time.Time
	live    map[string]bool
	lookups int
	broken  error
}

func newWorld() *world {
	w := &world{users: map[string]factors.User{}, denied: map[[sha256.Size]byte]time.Time{}, used: map[string]time.Time{}, live: map[string]bool{}}
	w.add(alice)
	w.add(kiosk)
	w.add(job)
	return w
}

func key(tenant, name string, class authn.Class) string {
	return tenant + "/" + class.String() + "/" + name
}

func (w *world) add(u factors.User) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users[key(u.Tenant, u.Name, u.Class)] = u
}

func (w *world) UserNamed(_ context.Context, tenant, name string, class authn.Class) (factors.User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups++
	if w.broken != nil {
		return factors.User{}, w.broken
	}
	u, ok := w.users[key(tenant, name, class)]
	if !ok {
		return factors.User{}, factors.ErrNotFound
	}
	return u, nil
}

func (*world) UserByHandle(context.Context, []byte) (factors.User, error) {
	return factors.User{}, factors.ErrNotFound
}

func (*world) Credential(context.Context, string, string, string) (factors.Credential, error) {
	return factors.Credential{}, factors.ErrNotFound
}

func (*world) Credentials(context.Context, string, string, string) ([]factors.Credential, error) {
	return nil, nil
}

func (w *world) Use(_ context.Context, id string, until time.Time) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return false, w.broken
	}
	_, before := w.used[id]
	w.used[id] = until
	return !before, nil
}

func (w *world) TokenDenied(_ context.Context, _ time.Time, tenant string, m factors.TokenMarks) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return false, w.broken
	}
	_, byID := w.denied[m.ID]
	until, bySubject := w.denied[m.Subject]
	return byID || bySubject && !m.Issued.After(until), nil
}

func (w *world) SessionLive(_ context.Context, _ time.Time, tenant, user, id string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.live[tenant+"/"+user+"/"+id], w.broken
}

// gate is a kind of factor that names the tenant, and a user of a class.
type gate struct{ class authn.Class }

func (gate) Name() string { return "gate" }
func (gate) Settings(s *policy.Section) (policy.Settings, error) {
	var in struct {
		Workload bool `yaml:"workload"`
	}
	if err := s.Decode(&in); err != nil || !in.Workload {
		return gate{}, err
	}
	return gate{authn.ClassWorkload}, nil
}
func (g gate) Describe() authn.Factor {
	return authn.Factor{Ambient: true, Class: g.class, Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have}}
}

// load reads a policy with one factor called api-token, whose section is given, and files beside it.
func load(t testing.TB, section string, files map[string]string) (*policy.Policy, error) {
	t.Helper()
	folder := t.TempDir()
	text := "version: 1\norigin: https://portal.example\nfactors:\n  door: { kind: gate, workload: " + fmt.Sprint(strings.Contains(section, "principal: workload")) + " }\n  api-token:\n    kind: jwt\n    " +
		strings.ReplaceAll(strings.TrimSpace(section), "\n", "\n    ") +
		"\nmethods:\n  api: { steps: [door, api-token], each_request: true }\nrules:\n  - { methods: [api] }\n"
	all := map[string]string{"policy.yaml": text}
	maps.Copy(all, files)
	for name, content := range all {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return policy.Load(filepath.Join(folder, "policy.yaml"), gate{}, Kind())
}

// bench is a factor and an issuer for it.
type bench struct {
	t      testing.TB
	world  *world
	policy *policy.Policy
	signer crypto.Signer
	factor *Factor
}

const basic = "issuer: " + issuer + "\naudience: " + audience + "\nalgorithms: [ES256]\nkeys: { file: keys.json }\n"

// newBench makes a factor with the keys of a file, and further settings.
func newBench(t testing.TB, more string) *bench {
	t.Helper()
	b := &bench{t: t, world: newWorld(), signer: newKey(t)}
	b.load(basic+more, map[string]string{"keys.json": keySet(t, named(t, b.signer, "k1"))})
	return b
}

func (b *bench) load(section string, files map[string]string) {
	b.t.Helper()
	p, err := load(b.t, section, files)
	if err != nil {
		b.t.Fatal(err)
	}
	b.policy = p
	b.factor = b.instance()
}

// instance is the factor once more, as another process has it.
func (b *bench) instance() *Factor {
	b.t.Helper()
	f, err := Kind().Build(mustFactor(b.t, b.policy).Settings, b.env())
	if err != nil {
		b.t.Fatal(err)
	}
	return f.(*Factor)
}

func (b *bench) env() factors.Env {
	return factors.Env{Policy: b.policy, Directory: b.world, Rand: rand.Reader, Base: "/auth", Once: b.world, Tokens: b.world, Live: b.world}
}

func mustFactor(t testing.TB, p *policy.Policy) policy.Factor {
	t.Helper()
	f, ok := p.Factor("api-token")
	if !ok {
		t.Fatal("no factor")
	}
	return f
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func named(t testing.TB, signer crypto.Signer, kid string) jose.Key {
	t.Helper()
	k, err := jose.NewKey(signer.Public(), kid, "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keySet(t testing.TB, keys ...jose.Key) string {
	t.Helper()
	b, err := jose.FormatSet(keys)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// claims are those of a good token.
func claims() map[string]any {
	return map[string]any{"iss": issuer, "aud": audience, "sub": "alice", "exp": now.Add(time.Hour).Unix(), "iat": now.Add(-time.Minute).Unix(),
		"jti": "needle-jti", "scope": "secrets:read secrets:write"}
}

// with is the claims of a good token, some of which are others; nil: left out.
func with(also map[string]any) map[string]any {
	c := claims()
	for name, v := range also {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func (b *bench) token(c map[string]any) string { return b.signed("at+jwt", "k1", b.signer, c) }

func (b *bench) signed(typ, kid string, signer crypto.Signer, c map[string]any) string {
	b.t.Helper()
	token, err := jose.Sign(jose.Header{Typ: typ, Kid: kid}, c, signer, "ES256")
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

func bearer(token string) factors.Request {
	return factors.Request{Now: now, Subject: corp, Origin: policy.Origin{URL: "https://portal.example"},
		Carried: factors.Carried{Scheme: schemeBearer, Token: token, Method: "GET", URL: address}}
}

// proven is a request with a token and a proof by a key.
func (b *bench) proven(token string, key crypto.Signer, how func(map[string]any)) factors.Request {
	b.t.Helper()
	r := bearer(token)
	r.Carried.Scheme, r.Carried.Proof = schemeDPoP, b.proof(token, key, how)
	return r
}

func (b *bench) proof(token string, key crypto.Signer, how func(map[string]any)) string {
	b.t.Helper()
	jwk, err := jose.FormatKey(named(b.t, key, ""))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.proofOf(jose.Header{Typ: proofType, JWK: jwk}, token, key, how)
}

// proofOf is a proof whose header is given.
func (b *bench) proofOf(h jose.Header, token string, key crypto.Signer, how func(map[string]any)) string {
	b.t.Helper()
	sum := sha256.Sum256([]byte(token))
	c := map[string]any{"jti": rand.Text(), "htm": "GET", "htu": address, "iat": now.Unix(), "ath": base64.RawURLEncoding.EncodeToString(sum[:])}
	if how != nil {
		how(c)
	}
	p, err := jose.Sign(h, c, key, "ES256")
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func thumbprint(t testing.TB, key crypto.Signer) string {
	t.Helper()
	sum, err := jose.Thumbprint(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// certificate is one for a client, with its digest as tokens have it.
func certificate(t testing.TB) (*x509.Certificate, string) {
	t.Helper()
	c := mtlstest.NewCA(t, "CA").Issue(mtlstest.Leaf{CN: "alice"}).Leaf
	sum := sha256.Sum256(c.Raw)
	return c, base64.RawURLEncoding.EncodeToString(sum[:])
}

func over(r factors.Request, c *x509.Certificate) factors.Request {
	r.Peer = peer.New([]*x509.Certificate{c}, peer.Source{Name: "tls"}, nil)
	return r
}

func (b *bench) verify(r factors.Request) (authn.Evidence, error) {
	v, err := b.factor.Verify(b.t.Context(), factors.Verification{Request: r})
	return v.Evidence, err
}

// good wants a request taken.
func (b *bench) good(what string, r factors.Request) authn.Evidence {
	b.t.Helper()
	e, err := b.verify(r)
	if err != nil {
		b.t.Errorf("%s: %v", what, err)
	}
	return e
}

// refused wants a request refused for a reason.
func (b *bench) refused(what string, r factors.Request, why authn.Reason) {
	b.t.Helper()
	_, err := b.verify(r)
	var no *factors.Rejection
	if !errors.As(err, &no) || no.Reason != why {
		b.t.Errorf("%s: %v, where %s is wanted", what, err, why)
	}
}

// broken wants an error that says nothing of the caller.
func (b *bench) broken(what string, r factors.Request) {
	b.t.Helper()
	if _, err := b.verify(r); err == nil || errors.As(err, new(*factors.Rejection)) {
		b.t.Errorf("%s: %v, where an error that says nothing of the caller is wanted", what, err)
	}
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// quiet denies nothing, and has every session.
type quiet struct{}

func (quiet) TokenDenied(context.Context, time.Time, string, factors.TokenMarks) (bool, error) {
	return false, nil
}

func (quiet) SessionLive(context.Context, time.Time, string, string, string) (bool, error) {
	return true, nil
}
