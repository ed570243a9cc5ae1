package sessionhttp_test

import (
	"bytes"
	"crypto/tls"
	"encoding/gob"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// basket is a type of an application.
type basket struct {
	Items []string
	At    time.Time
}

// values puts pages that put, show, take and forget a value under the key of the query.
func (p *portal) values() {
	v := p.sessions.Values
	p.page("/put", func(w http.ResponseWriter, r *http.Request) {
		v.Put(r.Context(), "k", r.URL.Query().Get("v"))
		_, _ = io.WriteString(w, "put")
	})
	p.page("/show", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, v.GetString(r.Context(), "k")) })
	p.page("/pop", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, v.PopString(r.Context(), "k")) })
}

func (b *browser) shows(want string) {
	b.p.t.Helper()
	if got := b.get("/show"); got.status != 200 || string(got.body) != want {
		b.p.t.Errorf("%d %q, want %q", got.status, got.body, want)
	}
}

// The first value of a guest makes a row and a cookie; the next ones do not.
func TestValuesOfAGuest(t *testing.T) {
	p := newPortal(t)
	p.values()
	b := p.browser(nil)
	b.get("/show").wantNoCookie()
	b.get("/put?v=one").wantCookie()
	b.shows("one")
	b.get("/put?v=two").wantNoCookie()
	b.shows("two")
	p.browser(nil).shows("")
	if got := b.get("/pop"); string(got.body) != "two" {
		t.Errorf("pop: %s", got.body)
	}
	b.shows("")
	if b.state() != "guest" {
		t.Error("values make more than a guest")
	}
}

// What changes nothing makes no row, no cookie and no write.
func TestValuesThatChangeNothing(t *testing.T) {
	p := newPortal(t)
	v := p.sessions.Values
	p.page("/nothing", func(_ http.ResponseWriter, r *http.Request) {
		v.Put(r.Context(), "k", 1)
		v.Remove(r.Context(), "k")
	})
	p.page("/clear", func(_ http.ResponseWriter, r *http.Request) { _ = v.Clear(r.Context()) })
	p.page("/renew", func(_ http.ResponseWriter, r *http.Request) { _ = v.RenewToken(r.Context()) })
	p.page("/read", func(_ http.ResponseWriter, r *http.Request) { v.Keys(r.Context()) })
	writes := 0
	p.before(func(op string) {
		if op != "Session" && op != "Tenant" && op != "ListDenials" {
			writes++
		}
	})
	b := p.browser(nil)
	for _, path := range []string{"/nothing", "/clear", "/renew", "/read"} {
		got := b.get(path)
		got.wantNoCookie()
		if got.status != 200 || writes > 0 {
			t.Errorf("%s: %d, %d writes", path, got.status, writes)
		}
	}
}

// A request that reads values costs one read of the store, and no write.
func TestValuesCostOneRead(t *testing.T) {
	p := newPortal(t)
	p.values()
	b := p.signedIn("alice")
	b.get("/put?v=x")
	var ops []string
	p.before(func(op string) { ops = append(ops, op) })
	b.shows("x")
	if len(ops) != 1 || ops[0] != "Session" {
		t.Errorf("a read costs %v", ops)
	}
	ops = nil
	b.get("/put?v=y")
	if fmt.Sprint(ops) != "[Session SaveValues]" {
		t.Errorf("a write costs %v", ops)
	}
}

// Values belong to one principal: a login begins an empty set, and so does its end. A step-up is the same principal.
func TestValuesBelongToOnePrincipal(t *testing.T) {
	p := newPortal(t)
	p.values()
	b := p.person("alice")
	b.enrol(p.invite("alice"))
	b.get("/put?v=guest")
	b.want(200, "POST", "/auth/login", nil)
	b.shows("")
	b.get("/put?v=login")
	b.answer(200)
	b.shows("")
	b.get("/put?v=alice")
	b.shows("alice")
	b.want(200, "POST", "/auth/step-up", map[string]any{"factors": []string{"passkey"}})
	b.shows("alice")
	b.answer(200)
	b.shows("alice")
	b.login() // again, inside the session
	b.shows("")
	b.get("/put?v=again")
	b.want(204, "POST", "/auth/logout", nil)
	b.shows("")
}

func TestValuesOnAKiosk(t *testing.T) {
	p := newPortal(t)
	p.values()
	alice := p.person("alice")
	alice.enrol(p.invite("alice"))
	b := p.person("lobby")
	b.auth = alice.auth
	b.want(200, "POST", "/auth/login", map[string]any{"method": "kiosk"})
	b.get("/put?v=device")
	b.shows("device")
	b.login()
	b.shows("")
	b.get("/put?v=alice")
	b.want(204, "POST", "/auth/logout", nil)
	if got := b.get("/auth/session").json(); got["state"] != "authenticated" {
		t.Fatalf("%v", got)
	}
	b.shows("")
}

// meanwhile puts a page that does something to values only when meanwhile has been done.
func (p *portal) meanwhile(do func(w http.ResponseWriter, r *http.Request)) (inside, resume chan struct{}) {
	inside, resume = make(chan struct{}), make(chan struct{})
	p.page("/slow", func(w http.ResponseWriter, r *http.Request) {
		inside <- struct{}{}
		<-resume
		do(w, r)
	})
	return inside, resume
}

// race makes a request to /slow, does something else while it runs, and gives its answer.
func (b *browser) race(inside, resume chan struct{}, meanwhile func()) answer {
	done := make(chan answer, 1)
	go func() { done <- b.copy().get("/slow") }()
	<-inside
	meanwhile()
	resume <- struct{}{}
	return <-done
}

// What began before a logout, a rotation or another login saves nothing: nothing comes back to life, and nothing of one
// principal reaches another. The handler's answer goes out, and operators learn of it.
func TestValuesInFlight(t *testing.T) {
	for what, meanwhile := range map[string]func(b *browser){
		"logout":        func(b *browser) { b.want(204, "POST", "/auth/logout", nil) },
		"another login": func(b *browser) { b.login() },
		"a step-up": func(b *browser) {
			b.want(200, "POST", "/auth/step-up", map[string]any{"factors": []string{"passkey"}})
			b.answer(200)
		},
		"revoked": func(b *browser) {
			_, err := b.p.engine.Operate("corp").EndUserSessions(b.p.t.Context(), b.p.users["alice"].ID)
			must(b.p.t, err)
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := newPortal(t)
			p.values()
			b := p.signedIn("alice")
			b.get("/put?v=before")
			inside, resume := p.meanwhile(func(w http.ResponseWriter, r *http.Request) {
				p.sessions.Values.Put(r.Context(), "k", "late")
				_, _ = io.WriteString(w, "saved")
			})
			old := b.copy()
			got := b.race(inside, resume, func() { meanwhile(b) })
			if got.status != 200 || string(got.body) != "saved" || !strings.Contains(p.log.String(), "session values are dropped") {
				t.Errorf("%d %s", got.status, got.body)
			}
			got.wantNoCookie()
			if s := old.state(); s != "guest" {
				t.Errorf("the old secret is good for %s", s)
			}
			old.shows("")
			want := ""
			if what == "a step-up" {
				want = "before"
			}
			b.shows(want)
		})
	}
}

// A request that only reads may have begun before a logout: it gets what it read, and revives nothing.
func TestReadInFlightRevivesNothing(t *testing.T) {
	p := newPortal(t)
	p.values()
	b := p.signedIn("alice")
	b.get("/put?v=before")
	p.wait(14 * time.Minute) // long enough for the caller's being seen to be written down
	inside, resume := p.meanwhile(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, p.sessions.Values.GetString(r.Context(), "k"))
	})
	old := b.copy()
	got := b.race(inside, resume, func() { b.want(204, "POST", "/auth/logout", nil) })
	if got.status != 200 || string(got.body) != "before" {
		t.Errorf("%d %s", got.status, got.body)
	}
	got.wantNoCookie()
	if s := old.state(); s != "guest" {
		t.Errorf("the session is %s after the logout", s)
	}
}

// A handler that signs out, or whose login completes, finds another set of values at once.
func TestValuesWithinOneRequest(t *testing.T) {
	p := newPortal(t)
	p.values()
	v := p.sessions.Values
	b := p.signedIn("alice")
	p.page("/out", func(w http.ResponseWriter, r *http.Request) {
		v.Put(r.Context(), "k", "old")
		must(t, sessionhttp.From(r.Context()).SignOut(r.Context(), true))
		_, _ = fmt.Fprintf(w, "%q", v.GetString(r.Context(), "k"))
	})
	b.get("/put?v=before")
	if got := b.get("/out"); got.status != 200 || string(got.body) != `""` {
		t.Errorf("%d %s", got.status, got.body)
	}
	b.shows("")
}

// What is put after the session ended is dropped, and the handler's answer goes out: nothing was undecided.
func TestValuesAfterTheEnd(t *testing.T) {
	p := newPortal(t)
	p.values()
	b, device := p.signedIn("alice"), p.person("lobby")
	device.want(200, "POST", "/auth/login", map[string]any{"method": "kiosk"})
	bye := func(everything bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			must(t, sessionhttp.From(r.Context()).SignOut(r.Context(), everything))
			p.sessions.Values.Put(r.Context(), "k", "bye")
			http.Redirect(w, r, "/signed-out", http.StatusSeeOther)
		}
	}
	p.page("/bye", bye(true))
	p.page("/revoked", func(w http.ResponseWriter, r *http.Request) { // the session does not learn of it
		_, err := p.engine.Operate("corp").EndUserSessions(r.Context(), p.users["alice"].ID)
		must(t, err)
		p.sessions.Values.Put(r.Context(), "k", "bye")
		http.Redirect(w, r, "/signed-out", http.StatusSeeOther)
	})
	for who, b := range map[string]*browser{"person": b, "device": device} {
		got := b.get("/bye")
		if got.status != 303 || got.header.Get("Location") != "/signed-out" || b.cookie() != "" {
			t.Errorf("%s: %d %s, cookie %q", who, got.status, got.body, b.cookie())
		}
		b.shows("")
	}
	b.login()
	if got := b.get("/revoked"); got.status != 303 {
		t.Errorf("revoked: %d %s", got.status, got.body)
	}
	if b.state() != "guest" {
		t.Error("values bring a session back")
	}
	b.shows("")
	if n := strings.Count(p.log.String(), "session values are dropped"); n != 3 {
		t.Errorf("operators learn of it %d times", n)
	}
	above := p.person("lobby") // the device beneath stays, and so there is somebody to tell
	above.auth = b.auth
	above.want(200, "POST", "/auth/login", map[string]any{"method": "kiosk"})
	above.login()
	p.page("/bye", bye(false))
	above.get("/bye")
	above.shows("bye")
}

// Whoever comes without the certificate that the session is tied to is a guest who keeps no values, and whom a page
// that would keep some answers all the same.
func TestValuesWithoutTheCertificate(t *testing.T) {
	p := newPortal(t)
	p.values()
	b := p.signedIn("alice")
	b.get("/put?v=alice")
	cert := b.cert
	for what, other := range map[string]*tls.Certificate{"another certificate": p.certificate("alice"), "no certificate": nil} {
		b.present(other)
		got := b.get("/put?v=guest")
		if got.status != 200 || string(got.body) != "put" {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
		got.wantNoCookie()
		b.shows("")
	}
	b.present(cert)
	b.shows("alice")
	// A store that is down is another matter.
	b.present(nil)
	p.breaks(func(op string) storetest.Fault {
		if op == "Session" {
			return storetest.Before
		}
		return storetest.None
	})
	b.get("/put?v=guest").wants(503, sessionhttp.CodeUnavailable)
}

// A session that begins in the request in which another one ended has none of its values, though both are as old.
func TestValuesOfAnotherSession(t *testing.T) {
	p := newPortal(t)
	p.values()
	v := p.sessions.Values
	p.page("/badge/again", func(w http.ResponseWriter, r *http.Request) {
		before := v.GetString(r.Context(), "k")
		v.Put(r.Context(), "k", "changed")
		s := sessionhttp.From(r.Context())
		must(t, s.SignOut(r.Context(), true))
		must(t, s.Begin(r.Context(), session.Begin{Method: "badge"}))
		_, _ = fmt.Fprintf(w, "%q %q", before, v.GetString(r.Context(), "k"))
		v.Put(r.Context(), "other", "x")
	})
	for _, first := range []string{"guest", "principal"} {
		b := p.person("bob")
		if first == "principal" {
			b.want(200, "POST", "/auth/login", map[string]any{"method": "badge"})
		}
		b.get("/put?v=old")
		if got := b.get("/badge/again"); string(got.body) != `"old" ""` {
			t.Errorf("%s: %d %s", first, got.status, got.body)
		}
		if b.state() != "authenticated" {
			t.Errorf("%s: %s", first, b.state())
		}
		b.shows("")
	}
}

// scs has no say over sessions: what would end or renew one fails, and changes nothing.
func TestValuesHaveNoAuthority(t *testing.T) {
	p := newPortal(t)
	p.values()
	v := p.sessions.Values
	other := p.signedIn("bob")
	other.get("/put?v=bob")
	var bobs string
	p.page("/token", func(_ http.ResponseWriter, r *http.Request) { bobs = v.Token(r.Context()) })
	other.get("/token")
	for what, b := range map[string]*browser{"guest": p.browser(nil), "with values": p.browser(nil), "signed in": p.signedIn("alice")} {
		if what != "guest" {
			b.get("/put?v=x")
		}
		before := b.cookie()
		for call, do := range map[string]func(r *http.Request) error{
			"Destroy":    func(r *http.Request) error { return v.Destroy(r.Context()) },
			"RenewToken": func(r *http.Request) error { return v.RenewToken(r.Context()) },
		} {
			p.page("/do", func(w http.ResponseWriter, r *http.Request) {
				if do(r) == nil {
					t.Errorf("%s: %s works", what, call)
				}
			})
			got := b.get("/do")
			got.wantNoCookie()
			if got.status != 200 || b.cookie() != before {
				t.Errorf("%s: after %s: %d, cookie %q, was %q", what, call, got.status, b.cookie(), before)
			}
		}
		p.page("/do", func(w http.ResponseWriter, r *http.Request) {
			for _, token := range []string{bobs, other.cookie(), strings.Split(other.cookie(), ".")[0], "x", ""} {
				if err := v.MergeSession(r.Context(), token); err != nil {
					t.Errorf("%s: MergeSession: %v", what, err)
				}
			}
			if keys := v.Keys(r.Context()); len(keys) > 1 || v.GetString(r.Context(), "k") == "bob" {
				t.Errorf("%s: MergeSession brought %v", what, keys)
			}
		})
		b.get("/do").wantNoCookie()
		if what != "guest" {
			b.shows("x")
		}
	}
	// The token opens nothing and finds nothing.
	thief := p.browser(other.cert)
	thief.setCookie(bobs + "." + strings.Split(other.cookie(), ".")[1])
	if s := thief.state(); s != "guest" {
		t.Errorf("the token of scs opens %s", s)
	}
	other.shows("bob")
}

// The types of values are kept.
func TestValuesKeepTheirTypes(t *testing.T) {
	gob.Register(basket{})
	p := newPortal(t)
	v := p.sessions.Values
	at := time.Date(2026, 11, 22, 10, 15, 0, 123456789, time.UTC)
	want := map[string]any{"int": 42, "int64": int64(-1), "float": 1.5, "bool": true, "string": "x", "bytes": []byte{0, 255}, "time": at, "own": basket{[]string{"a"}, at}}
	p.page("/put", func(_ http.ResponseWriter, r *http.Request) {
		for k, x := range want {
			v.Put(r.Context(), k, x)
		}
	})
	p.page("/read", func(_ http.ResponseWriter, r *http.Request) {
		for k, x := range want {
			got := v.Get(r.Context(), k)
			if fmt.Sprintf("%T", got) != fmt.Sprintf("%T", x) || fmt.Sprint(got) != fmt.Sprint(x) {
				t.Errorf("%s is %T %v, want %T %v", k, got, got, x, x)
			}
		}
		if !v.GetTime(r.Context(), "time").Equal(at) || v.GetInt(r.Context(), "int") != 42 || !bytes.Equal(v.GetBytes(r.Context(), "bytes"), []byte{0, 255}) {
			t.Error("scs's own readers find something else")
		}
	})
	b := p.browser(nil)
	b.get("/put").wantCookie()
	b.get("/read")
}

// What cannot be saved is not: too much, or of a type that gob does not know. The answer says so.
func TestValuesThatCannotBeSaved(t *testing.T) {
	p := newPortal(t)
	p.values()
	v := p.sessions.Values
	b := p.signedIn("alice")
	b.get("/put?v=before")
	type secret struct{ X int }
	for what, x := range map[string]any{"too large": strings.Repeat("x", 64<<10), "not registered": secret{1}, "function": func() {}} {
		p.page("/bad", func(w http.ResponseWriter, r *http.Request) {
			v.Put(r.Context(), "bad", x)
			w.Header().Set("Content-Length", "4")
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("ETag", `"x"`)
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Content-Disposition", "attachment")
			w.WriteHeader(http.StatusCreated)
			if n, err := io.WriteString(w, "done"); n != 4 || err != nil {
				t.Errorf("%s: the handler learns %d %v", what, n, err)
			}
			w.WriteHeader(http.StatusOK)
			must(t, http.NewResponseController(w).Flush())
			_, _ = io.WriteString(w, "done")
		})
		got := b.get("/bad")
		got.wants(503, sessionhttp.CodeUnavailable)
		for _, name := range []string{"Content-Encoding", "ETag", "Location", "Content-Disposition"} {
			if h := got.header.Get(name); h != "" {
				t.Errorf("%s: %s of the handler's: %s", what, name, h)
			}
		}
		if strings.Contains(string(got.body), "done") {
			t.Errorf("%s: the handler's body is sent: %s", what, got.body)
		}
		b.shows("before")
	}
}

// A store that fails on the way out is found out before the first byte.
func TestValuesStoreFails(t *testing.T) {
	p := newPortal(t)
	p.values()
	b, guest := p.signedIn("alice"), p.browser(nil)
	p.breaks(func(op string) storetest.Fault {
		if op == "SaveValues" || op == "CreateSession" {
			return storetest.Before
		}
		return storetest.None
	})
	b.get("/put?v=x").wants(503, sessionhttp.CodeUnavailable)
	got := guest.get("/put?v=x")
	got.wants(503, sessionhttp.CodeUnavailable)
	got.wantNoCookie()
	p.breaks(nil)
	b.shows("")
	b.get("/put?v=y").wantNoCookie()
	b.shows("y")
}

// Values that can no longer be read are an error for operators and an empty set for the application.
func TestValuesThatCannotBeRead(t *testing.T) {
	p := newPortal(t)
	p.values()
	b := p.browser(nil)
	b.get("/put?v=x")
	selector, _, _ := strings.Cut(b.cookie(), ".")
	must(t, p.store.SaveValues(t.Context(), selector, 1, []byte("not gob")))
	b.shows("")
	if !strings.Contains(p.log.String(), "cannot be read") {
		t.Error("operators do not learn of it")
	}
	b.get("/put?v=y")
	b.shows("y")
}

// Handlers may use values from several goroutines, of a guest too.
func TestValuesConcurrently(t *testing.T) {
	p := newPortal(t)
	v := p.sessions.Values
	p.page("/many", func(w http.ResponseWriter, r *http.Request) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 20 {
					v.Put(r.Context(), fmt.Sprint("k", i), i)
					v.GetInt(r.Context(), fmt.Sprint("k", i))
					sessionhttp.From(r.Context())
				}
			})
		}
		wg.Wait()
	})
	p.page("/count", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, len(v.Keys(r.Context()))) })
	p.page("/stray", func(w http.ResponseWriter, r *http.Request) { // one goroutine still reads when the answer begins
		v.Put(r.Context(), "k", 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 50 {
				v.GetInt(r.Context(), "k")
			}
		})
		_, _ = io.WriteString(w, "x")
		wg.Wait()
	})
	for _, b := range []*browser{p.browser(nil), p.signedIn("alice")} {
		b.get("/many")
		if got := b.get("/count"); string(got.body) != "8" {
			t.Errorf("%s keys of 8", got.body)
		}
		b.get("/stray")
	}
	p.browser(nil).get("/stray").wantCookie()
}

// A change after the first byte is too late, and operators learn of it.
func TestValuesTooLate(t *testing.T) {
	p := newPortal(t)
	p.values()
	p.page("/late", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun")
		p.sessions.Values.Put(r.Context(), "k", "late")
	})
	b := p.browser(nil)
	b.get("/late").wantNoCookie()
	b.shows("")
	if !strings.Contains(p.log.String(), "are lost") {
		t.Error("operators do not learn of it")
	}
}
