package jwt

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
)

// server is an issuer that publishes its keys.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	keys    string
	handle  http.HandlerFunc // instead of what it does
	wait    chan struct{}    // nil: it answers at once
	fetched int
	asked   chan struct{} // gets one for each fetch of the keys, where there is room
}

func newServer(t testing.TB, keys string) *server {
	s := &server{keys: keys, asked: make(chan struct{}, 100)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	keys, handle, wait := s.keys, s.handle, s.wait
	if r.URL.Path == "/keys" {
		s.fetched++
		s.asked <- struct{}{}
	}
	s.mu.Unlock()
	if wait != nil {
		<-wait
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case handle != nil:
		handle(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL, "jwks_uri": s.URL + "/keys"})
	case r.URL.Path == "/keys":
		_, _ = w.Write([]byte(keys))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *server) change(how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how()
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetched
}

func (s *server) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// publishing is a bench whose issuer publishes its keys.
func publishing(t testing.TB, more string) (*bench, *server) {
	t.Helper()
	b := &bench{t: t, world: newWorld(), signer: newKey(t)}
	s := newServer(t, keySet(t, named(t, b.signer, "k1")))
	b.load("issuer: "+s.URL+"\naudience: "+audience+"\nalgorithms: [ES256]\nca: ca.pem\n"+more, map[string]string{"ca.pem": s.ca()})
	return b, s
}

func (b *bench) from(s *server, also map[string]any) map[string]any {
	c := with(also)
	c["iss"] = s.URL
	return c
}

func later(r factors.Request, d time.Duration) factors.Request {
	r.Now = r.Now.Add(d)
	return r
}

func TestKeysAreDiscovered(t *testing.T) {
	b, s := publishing(t, "")
	r := bearer(b.token(b.from(s, nil)))
	b.good("first", r)
	b.good("second", r)
	if n := s.count(); n != 1 {
		t.Errorf("keys were fetched %d times", n)
	}
	again, u := publishing(t, "keys: { discovery: true }")
	again.good("asked for", bearer(again.token(again.from(u, nil))))
	old, v := publishing(t, "")
	v.handle = func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/oauth-authorization-server":
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": v.URL, "jwks_uri": v.URL + "/keys"})
		case "/keys":
			_, _ = w.Write([]byte(v.keys))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
	old.good("by RFC 8414", bearer(old.token(old.from(v, nil))))
}

func TestKeysOfAnAddress(t *testing.T) {
	b := &bench{t: t, world: newWorld(), signer: newKey(t)}
	s := newServer(t, keySet(t, named(t, b.signer, "k1")))
	b.load(strings.Replace(basic, "file: keys.json", "url: "+s.URL+"/keys", 1)+"ca: ca.pem", map[string]string{"ca.pem": s.ca()})
	b.good("its token", bearer(b.token(claims())))
	b.load(strings.Replace(basic, "file: keys.json", "url: "+s.URL+"/keys", 1), nil)
	b.broken("a server that nobody vouches for", bearer(b.token(claims())))
}

// An unknown name of a key has the keys fetched, once in ten seconds and for all who ask at once.
func TestRotation(t *testing.T) {
	b, s := publishing(t, "")
	next := newKey(t)
	old, renewed := bearer(b.token(b.from(s, nil))), bearer(b.signed("at+jwt", "k2", next, b.from(s, nil)))
	b.good("the first key", old)
	b.refused("a key that is not published, at once", renewed, ReasonKey)
	b.refused("a key that is not published", later(renewed, 10*time.Second), ReasonKey)
	n := s.count()
	for range 5 {
		b.refused("and once more", later(renewed, 11*time.Second), ReasonKey)
	}
	if s.count() != n {
		t.Errorf("%d fetches within ten seconds", s.count()-n)
	}
	s.change(func() { s.keys = keySet(t, named(t, b.signer, "k1"), named(t, next, "k2")) })
	b.good("overlap: the new key", later(renewed, 20*time.Second))
	b.good("overlap: the old key", later(old, 20*time.Second))
	s.change(func() { s.keys = keySet(t, named(t, next, "k2")) })
	unknown := bearer(b.signed("at+jwt", "k3", newKey(t), b.from(s, nil)))
	b.refused("a third key", later(unknown, 30*time.Second), ReasonKey)
	b.good("the new key", later(renewed, 30*time.Second))
	b.refused("the old key, though its token was remembered", later(old, 30*time.Second), ReasonKey)
}

// A forged token that names a known key has nothing fetched.
func TestForgeriesFetchNothing(t *testing.T) {
	b, s := publishing(t, "")
	b.good("good", bearer(b.token(b.from(s, nil))))
	for range 3 {
		b.refused("forged", later(bearer(b.signed("at+jwt", "k1", newKey(t), b.from(s, nil))), 20*time.Second), "token_bad_signature")
	}
	if n := s.count(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// While keys are fetched, whoever has good ones does not wait; all who need new ones share one fetch.
func TestKnownKeysDoNotWait(t *testing.T) {
	b, s := publishing(t, "")
	next := newKey(t)
	old, renewed := bearer(b.token(b.from(s, nil))), bearer(b.signed("at+jwt", "k2", next, b.from(s, nil)))
	b.good("first", old)
	<-s.asked
	wait := make(chan struct{})
	s.change(func() { s.wait, s.keys = wait, keySet(t, named(t, b.signer, "k1"), named(t, next, "k2")) })
	b.good("due to be fetched again", later(old, 11*time.Minute))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { b.good("waits", later(renewed, 11*time.Minute)) })
	}
	for range 20 {
		b.good("does not wait", later(old, 11*time.Minute))
	}
	close(wait)
	wg.Wait()
	if n := s.count(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

// Where the issuer cannot be reached, its keys are used for an hour, and then nothing can be said.
func TestIssuerDown(t *testing.T) {
	b, s := publishing(t, "")
	r := bearer(b.token(b.from(s, map[string]any{"exp": now.Add(9 * time.Hour).Unix()})))
	b.good("first", r)
	s.change(func() {
		s.handle = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	})
	b.good("within the hour", later(r, 59*time.Minute))
	b.broken("after it", later(r, 61*time.Minute))
	b.broken("a moment later", later(r, 61*time.Minute+time.Second))
	s.change(func() { s.handle = nil })
	b.good("up again", later(r, 62*time.Minute))
}

// settled waits for the fetch that runs.
func (k *keyring) settled() {
	k.mu.Lock()
	f := k.flight
	k.mu.Unlock()
	if f != nil {
		<-f.done
	}
}

// While the issuer cannot be reached, it is asked once in ten seconds.
func TestIssuerDownIsNotAskedAllTheTime(t *testing.T) {
	b, s := publishing(t, "")
	r := bearer(b.token(b.from(s, nil)))
	b.good("first", r)
	asked := 0
	s.change(func() {
		s.handle = func(w http.ResponseWriter, _ *http.Request) {
			s.change(func() { asked++ })
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	for i := range 30 {
		b.good("known keys", later(r, 11*time.Minute+time.Duration(i)*time.Second))
		b.factor.keys.settled()
	}
	s.change(func() {
		if asked != 3 {
			t.Errorf("asked %d times in 30 seconds", asked)
		}
	})
}

func TestUnknownKeyOfAnIssuerThatIsDown(t *testing.T) {
	b, s := publishing(t, "")
	b.good("first", bearer(b.token(b.from(s, nil))))
	s.change(func() {
		s.handle = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	})
	renewed := bearer(b.signed("at+jwt", "k2", newKey(t), b.from(s, nil)))
	b.broken("asked", later(renewed, 20*time.Second))
	b.broken("not asked again", later(renewed, 21*time.Second))
	b.good("a known key", later(bearer(b.token(b.from(s, nil))), 21*time.Second))
}

// What is not what an issuer publishes lets nobody in, and says nothing of the caller.
func TestIssuersThatLie(t *testing.T) {
	send := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(body))
		}
	}
	elsewhere := newServer(t, "")
	for name, handle := range map[string]func(s *server) http.HandlerFunc{
		"another issuer": func(s *server) http.HandlerFunc {
			return send("application/json", `{"issuer":"https://x.example","jwks_uri":"`+s.URL+`/keys"}`)
		},
		"no keys": func(s *server) http.HandlerFunc { return send("application/json", `{"issuer":"`+s.URL+`"}`) },
		"keys in plain": func(s *server) http.HandlerFunc {
			return send("application/json", `{"issuer":"`+s.URL+`","jwks_uri":"http://x.example/keys"}`)
		},
		"a page":          func(*server) http.HandlerFunc { return send("text/html", "<html>") },
		"half a document": func(*server) http.HandlerFunc { return send("application/json", `{"issuer":`) },
		"two issuers": func(s *server) http.HandlerFunc {
			return send("application/json", `{"issuer":"x","issuer":"`+s.URL+`"}`)
		},
		"8 MB": func(*server) http.HandlerFunc {
			return send("application/json", `{"x":"`+strings.Repeat("a", 8<<20)+`"}`)
		},
		"sent away": func(*server) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
			}
		},
		"sent in circles": func(*server) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }
		},
		"not found anywhere": func(*server) http.HandlerFunc { return http.NotFound },
	} {
		t.Run(name, func(t *testing.T) {
			b, s := publishing(t, "")
			asked := 0
			lie := handle(s)
			s.handle = func(w http.ResponseWriter, r *http.Request) {
				s.change(func() { asked++ })
				lie(w, r)
			}
			r := bearer(b.token(b.from(s, nil)))
			b.broken(name, r)
			var n int
			s.change(func() { n = asked })
			b.broken(name+", again", later(r, 9*time.Second))
			s.change(func() {
				if s.handle = nil; asked != n {
					t.Errorf("it was asked again at once")
				}
			})
			b.good("honest again", later(r, 10*time.Second))
		})
	}
}

// Two issuers that share the name of a key stay two.
func TestTwoIssuersWithOneName(t *testing.T) {
	a, s := publishing(t, "")
	b, u := publishing(t, "")
	a.good("of a", bearer(a.token(a.from(s, nil))))
	b.good("of b", bearer(b.token(b.from(u, nil))))
	a.refused("of b, at a", bearer(b.token(b.from(u, nil))), "token_bad_signature")
	a.refused("of b in the name of a", bearer(b.token(a.from(s, nil))), "token_bad_signature")
	a.refused("of a, in the name of b", bearer(a.token(b.from(u, nil))), ReasonIssuer)
}

// A caller who goes away ends nobody's fetch, and is not told that the token is bad.
func TestCallersWhoGoAway(t *testing.T) {
	b, s := publishing(t, "")
	r := bearer(b.token(b.from(s, nil)))
	wait := make(chan struct{})
	s.wait = wait
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := b.factor.Verify(ctx, factors.Verification{Request: r})
		left <- err
	}()
	for asked := false; !asked; {
		b.factor.keys.mu.Lock()
		asked = b.factor.keys.flight != nil
		b.factor.keys.mu.Unlock()
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(wait)
	b.good("who stays", r)
	if n := s.count(); n != 1 {
		t.Errorf("%d fetches", n)
	}
	if _, err := b.factor.Verify(ctx, factors.Verification{Request: r}); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that is over: %v", err)
	}
}
