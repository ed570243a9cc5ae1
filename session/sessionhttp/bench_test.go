package sessionhttp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

// blank is an answer that is used again and again.
type blank struct {
	header http.Header
	status int
}

func (b *blank) Header() http.Header         { return b.header }
func (b *blank) WriteHeader(status int)      { b.status = status }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }

// guardedRequest is a request of a signed-in person on a connection that stays open, and what makes of a handler one that
// is guarded. The request has passed the middleware that reads certificates.
func guardedRequest(t testing.TB, path string, needs ...sessionhttp.Need) (*http.Request, func(http.Handler) http.Handler) {
	t.Helper()
	p := newPortal(t)
	b := p.signedIn("alice")
	engine, err := session.New(session.Config{Policy: p.policy(), Kinds: kinds(), Store: p.store, Now: p.clock, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	sessions, err := sessionhttp.New(engine, sessionhttp.Config{})
	must(t, err)
	leaf, err := x509.ParseCertificate(b.cert.Certificate[0])
	must(t, err)
	r := httptest.NewRequest("GET", p.origin+path, nil).WithContext(mtls.WithConn(context.Background()))
	r.Host = strings.TrimPrefix(p.origin, "https://")
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}}
	r.Header.Set("Cookie", sessionhttp.CookieName+"="+b.cookie())
	mtls.Middleware(mtls.FromTLS())(http.HandlerFunc(func(_ http.ResponseWriter, passed *http.Request) { r = passed })).ServeHTTP(nil, r)
	return r, func(h http.Handler) http.Handler { return sessions.Middleware(sessions.Require(needs...)(h)) }
}

var reached = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

// What a guarded request allocates: its slot, and the request that carries it.
func TestGuardAllocations(t *testing.T) {
	for _, c := range []struct {
		path  string
		needs []sessionhttp.Need
		most  float64
	}{
		{"/keys", nil, 2},
		{"/keys", []sessionhttp.Need{sessionhttp.Floor("admin"), sessionhttp.Tenant("corp"), sessionhttp.Certificate()}, 2},
		{"/admin/keys", nil, 2},
	} {
		r, guard := guardedRequest(t, c.path, c.needs...)
		h, w := guard(reached), &blank{header: http.Header{}}
		n := testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) })
		if w.status != http.StatusNoContent {
			t.Fatalf("%s: %d", c.path, w.status)
		}
		t.Logf("%s with %d needs: %v allocations", c.path, len(c.needs), n)
		if n > c.most {
			t.Errorf("%s with %d needs: %v allocations, at most %v", c.path, len(c.needs), n, c.most)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	for _, path := range []string{"/keys", "/admin/keys"} {
		b.Run(path, func(b *testing.B) {
			r, guard := guardedRequest(b, path)
			h, w := guard(reached), &blank{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
			if w.status != http.StatusNoContent {
				b.Fatal(w.status)
			}
		})
	}
}

// BenchmarkContextValue is what any middleware costs that puts one value into the context.
func BenchmarkContextValue(b *testing.B) {
	type key struct{}
	r := httptest.NewRequest("GET", "/keys", nil)
	w := &blank{header: http.Header{}}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, r)))
	})
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
