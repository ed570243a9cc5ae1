package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// noon is when these tests are, in seconds as lists have them.
var noon = time.Now().Truncate(time.Second)

// server has documents, and counts who asks for them.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]http.HandlerFunc // by path
	asked   map[string]int
}

func newServer(t testing.TB) *server {
	s := &server{answers: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		answer := s.answers[r.URL.Path]
		s.asked[r.URL.Path]++
		s.mu.Unlock()
		if answer == nil {
			http.NotFound(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) on(path string, answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = answer
}

func (s *server) has(path string, b []byte) {
	s.on(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) })
}

func (s *server) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// counter counts outcomes.
type counter struct {
	mu  sync.Mutex
	all []authn.Reason
}

func (c *counter) observe(o Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, o.Reason)
}

func (c *counter) has(why authn.Reason) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.all, why)
}

// section is a section of a policy without a file.
type section struct{}

func (section) Errorf(path, format string, args ...any) error {
	return fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...))
}
func (section) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }
func (section) Resolve(path string) string           { return path }

// bench is a keeper and what it has counted.
type bench struct {
	t       testing.TB
	keeper  *Keeper
	counter *counter
}

func newBench(t testing.TB, c Config) *bench {
	b := &bench{t: t, counter: &counter{}}
	c.Observe = b.counter.observe
	b.keeper = New(c)
	return b
}

func (b *bench) checker(w Written) *Checker {
	b.t.Helper()
	s, err := Read(section{}, "revocation", w)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.keeper.Checker("device", s)
}

// file is a file with lists.
func file(t testing.TB, b ...[]byte) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "*.crl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(slices.Concat(b...)); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// pathTo is the path from a leaf of a CA to its root.
func pathTo(root *mtlstest.CA, ca *mtlstest.CA, leaf *x509.Certificate) []Subject {
	chain := append([]*x509.Certificate{leaf}, ca.Chain...)
	chain = append(chain, root.Certificate)
	var marks []factors.Marks
	for _, c := range chain {
		marks = append(marks, factors.MarksOf(c))
	}
	return Path(chain, marks)
}

// marksOnly is what a session keeps of a path.
func marksOnly(path []Subject) []Subject {
	out := slices.Clone(path)
	for i := range out {
		out[i].Certificate, out[i].points = nil, nil
		if i < len(out)-1 {
			out[i].IssuerCertificate = nil
		}
	}
	return out
}

func check(c *Checker, now time.Time, path []Subject) error {
	_, err := c.Check(context.Background(), now, path)
	return err
}

// wantReason holds an error to a reason; empty: there must be none.
func wantReason(t testing.TB, err error, why authn.Reason) {
	t.Helper()
	if err == nil {
		if why != "" {
			t.Errorf("passed, want %s", why)
		}
		return
	}
	if got := reasonOf(err); why == "" || got != why {
		t.Errorf("got %v, want %q", err, why)
	}
	_, rejected := errors.AsType[*factors.Rejection](err)
	if decided := why == factors.ReasonRevoked || why == ReasonUnknown; decided != rejected && why != "" {
		t.Errorf("%s: is it a rejection: %v", why, rejected)
	}
}

// wantCause holds an error to what is behind it.
func wantCause(t testing.TB, err error, why authn.Reason) {
	t.Helper()
	if f := faultOf(err); f == nil || f.Reason != why {
		t.Errorf("got %v, want it because of %s", err, why)
	}
}
