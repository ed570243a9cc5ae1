package mtls

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// plainSection is a section of a policy without a file.
type plainSection struct {
	name    string
	anchors []policy.Anchor
	written written
}

func (s plainSection) Name() string                         { return s.name }
func (s plainSection) Anchors() []policy.Anchor             { return s.anchors }
func (s plainSection) Decode(into any) error                { *into.(*written) = s.written; return nil }
func (s plainSection) Resolve(path string) string           { return path }
func (s plainSection) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }
func (s plainSection) Errorf(path, format string, args ...any) error {
	return fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...))
}

// people is a directory. Keys are those of key.
type people struct {
	mu          sync.Mutex
	users       map[string]factors.User
	credentials map[string]factors.Credential
	err         error
	asked       int
}

func peopleOf(users ...factors.User) *people {
	p := &people{users: map[string]factors.User{}, credentials: map[string]factors.Credential{}}
	for _, u := range users {
		p.users[key(u.Tenant, u.Name, u.Class)] = u
	}
	return p
}

func key(tenant, name string, class authn.Class) string {
	return fmt.Sprintf("%s/%v/%s", tenant, class, name)
}

func (p *people) UserNamed(_ context.Context, tenant, name string, class authn.Class) (factors.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.err != nil {
		return factors.User{}, p.err
	}
	u, ok := p.users[key(tenant, name, class)]
	if !ok {
		return factors.User{}, factors.ErrNotFound
	}
	return u, nil
}

func (p *people) UserByHandle(context.Context, []byte) (factors.User, error) {
	return factors.User{}, factors.ErrNotFound
}

func (p *people) Credential(_ context.Context, tenant, factor, id string) (factors.Credential, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.credentials[tenant+"/"+factor+"/"+id]
	if !ok {
		return factors.Credential{}, factors.ErrNotFound
	}
	return c, nil
}

func (p *people) Credentials(context.Context, string, string, string) ([]factors.Credential, error) {
	return nil, nil
}

// denyList is a list of denials.
type denyList struct {
	mu   sync.Mutex
	list []factors.Denial
	err  error
}

func (d *denyList) deny(by factors.DenialBy, c *x509.Certificate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range factors.CertificateDenials(c) {
		if e.By == by {
			d.list = append(d.list, e)
		}
	}
}

// DenialsVersion implements factors.DenialsVersion: denials are only ever added.
func (d *denyList) DenialsVersion(time.Time) (uint64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return uint64(len(d.list)), d.err == nil
}

func (d *denyList) Denied(_ context.Context, _ time.Time, tenant string, m factors.Marks) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return false, d.err
	}
	for _, e := range d.list {
		value, _ := hex.DecodeString(e.Value)
		named := sha256.Sum256([]byte(e.Value))
		if (e.Tenant == "" || e.Tenant == tenant) && map[factors.DenialBy]bool{
			factors.DenyCertificate: string(value) == string(m.Certificate[:]),
			factors.DenyKey:         string(value) == string(m.Key[:]),
			factors.DenySerial:      named == m.Serial,
			factors.DenySubject:     named == m.Subject,
		}[e.By] {
			return true, nil
		}
	}
	return false, nil
}

var (
	alice = factors.User{Tenant: "corp", ID: "u-alice", Name: "alice", Display: "Alice"}
	bob   = factors.User{Tenant: "corp", ID: "u-bob", Name: "bob"}
	kiosk = factors.User{Tenant: "corp", ID: "d-lobby", Name: "lobby", Class: authn.ClassDevice}
	job   = factors.User{Tenant: "corp", ID: "w-backup", Name: "backup", Class: authn.ClassWorkload}
)

// listed are the denials as the factor gets them.
func (f *fixture) listed() factors.Denials {
	if f.unversioned {
		return struct{ factors.Denials }{f.denials}
	}
	return f.denials
}

// byCommonName is the rule of an admin portal.
var byCommonName = written{Anchors: []string{"staff"}, Identify: []writtenRule{{From: "subject.cn", Pattern: "{user}", Tenant: "corp"}}}

type fixture struct {
	directory *people
	denials   *denyList
	anchors   []policy.Anchor
	kind      factors.Kind

	unversioned bool // the list of denials does not say when it changes
}

func staffOf(cas ...*mtlstest.CA) policy.Anchor {
	a := policy.Anchor{Name: "staff", Tenant: "corp"}
	for _, ca := range cas {
		a.Certificates = append(a.Certificates, ca.Certificate)
	}
	return a
}

func newFixture(anchors ...policy.Anchor) *fixture {
	return &fixture{directory: peopleOf(alice, bob, kiosk, job), denials: &denyList{}, anchors: anchors, kind: Kind()}
}

func (f *fixture) factor(t testing.TB, w written) factors.Tied {
	t.Helper()
	s, err := readSettings(plainSection{"device", f.anchors, w})
	if err != nil {
		t.Fatal(err)
	}
	built, err := f.kind.Build(s, factors.Env{Directory: f.directory, Denials: f.listed()})
	if err != nil {
		t.Fatal(err)
	}
	return built.(factors.Tied)
}

var tlsSource = peer.Source{Name: SourceTLS}

func request(chain []*x509.Certificate, now time.Time) factors.Request {
	return factors.Request{Now: now, Peer: peer.New(chain, tlsSource, nil)}
}

func verify(t testing.TB, f factors.Factor, r factors.Request) (authn.Evidence, error) {
	t.Helper()
	out, err := f.Verify(context.Background(), factors.Verification{Request: r, Credential: json.RawMessage("null")})
	return out.Evidence, err
}

func present(t testing.TB, c tls.Certificate) []*x509.Certificate { return mtlstest.Chain(t, c) }

// wantReason fails unless err is a rejection with this reason; an empty one wants none.
func wantReason(t testing.TB, err error, want authn.Reason) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	rejection, ok := errors.AsType[*factors.Rejection](err)
	if !ok {
		t.Errorf("got %v, want a rejection for %s", err, want)
		return
	}
	if rejection.Reason != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if strings.ContainsFunc(rejection.Detail, func(r rune) bool { return r < ' ' || r == '\u202e' }) {
		t.Errorf("the detail %q holds characters of the certificate", rejection.Detail)
	}
}
