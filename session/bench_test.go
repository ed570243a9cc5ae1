package session_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/session"
)

// onOneConnection is a request of the browser on a connection that stays open, to an engine without hooks.
func (b *browser) onOneConnection() (*session.Engine, session.Request) {
	w := b.w
	w.t.Helper()
	e, err := session.New(session.Config{Policy: w.Policy(), Kinds: w.kinds(), Store: w.store, Now: w.clock, Log: slog.New(slog.DiscardHandler)})
	must(w.t, err)
	req := b.request()
	r := httptest.NewRequest(http.MethodGet, "https://portal.example/", nil).WithContext(mtls.WithConn(context.Background()))
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: b.chain}
	mtls.Middleware(mtls.FromTLS())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		req.Peer, req.PeerRefused = factors.PeerCertChainFrom(r.Context())
	})).ServeHTTP(httptest.NewRecorder(), r)
	return e, req
}

// A guard allocates nothing in the engine: what it costs a request is the context alone.
func TestGuardAllocations(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	e, req := b.onOneConnection()
	req.Route = "/keys"
	var s session.Session
	ctx := context.Background()
	guard := func() {
		if err := e.OpenIn(ctx, &s, req); err != nil {
			t.Fatal(err)
		}
		if err := s.Allows(adminFloor); err != nil {
			t.Fatal(err)
		}
	}
	n := testing.AllocsPerRun(100, guard)
	req.Route = "/admin/keys"
	floor := testing.AllocsPerRun(100, guard)
	t.Logf("allocations of a guard: %v, on a route with a floor: %v", n, floor)
	if n > 0 || floor > 1 {
		t.Errorf("a guard allocates %v times, on a route with a floor %v times", n, floor)
	}
}

func BenchmarkGuard(b *testing.B) {
	w := newWorld(b)
	e, req := w.login("corp/alice").onOneConnection()
	var s session.Session
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := e.OpenIn(ctx, &s, req); err != nil {
			b.Fatal(err)
		}
		if err := s.Allows(adminFloor); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGuardParallel(b *testing.B) {
	w := newWorld(b)
	e, req := w.login("corp/alice").onOneConnection()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var s session.Session
		for pb.Next() {
			if e.OpenIn(context.Background(), &s, req) != nil || s.Allows(adminFloor) != nil {
				b.Error("refused")
			}
		}
	})
}

// BenchmarkFinish is the last step of a login: a passkey verified, everything looked up again, the session made.
func BenchmarkFinish(b *testing.B) {
	w := portal(b)
	a := w.register("corp/alice")
	br := w.browser("corp/alice")
	e, req := br.onOneConnection()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		s, answer := ready(b, e, req, br, a)
		b.StartTimer()
		if err := s.Verify(ctx, "passkey", answer); err != nil {
			b.Fatal(err)
		}
	}
}

type asserter interface {
	Get(json.RawMessage) (json.RawMessage, error)
}

func ready(b *testing.B, e *session.Engine, req session.Request, br *browser, a asserter) (*session.Session, json.RawMessage) {
	ctx := context.Background()
	s, err := e.Open(ctx, req)
	must(b, err)
	must(b, s.Begin(ctx, session.Begin{Method: "admin"}))
	asked, err := s.Challenge(ctx, "passkey")
	must(b, err)
	answer, err := a.Get(asked.PublicKey)
	must(b, err)
	req.Cookie, _ = s.Cookie()
	s, err = e.Open(ctx, req)
	must(b, err)
	return s, answer
}
