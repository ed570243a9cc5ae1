package sessionhttp_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/session/sessionhttp"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// However a handler answers, the cookie is out with the head of its answer and the value is saved.
func TestAnswers(t *testing.T) {
	p := newPortal(t)
	p.values()
	for what, h := range map[string]func(w http.ResponseWriter, r *http.Request){
		"nothing written": func(http.ResponseWriter, *http.Request) {},
		"status alone":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"body":            func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") },
		"status twice": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			w.WriteHeader(http.StatusTeapot)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusSeeOther) },
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			must(t, http.NewResponseController(w).Flush())
			_, _ = io.WriteString(w, "x")
		},
		"flushed, the old way": func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"copied":               func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("x")) },
		"a file":               func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "doc.go") },
		"wrapped":              func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(wrapper{w}, "x") },
		"controller through a wrapper": func(w http.ResponseWriter, _ *http.Request) {
			must(t, http.NewResponseController(wrapper{w}).Flush())
		},
		"early hints": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</x.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusProcessing)
			w.WriteHeader(http.StatusOK)
		},
		"error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
	} {
		t.Run(what, func(t *testing.T) {
			p.page("/do", func(w http.ResponseWriter, r *http.Request) {
				p.sessions.Values.Put(r.Context(), "k", what)
				h(w, r)
			})
			b := p.browser(nil)
			got := b.get("/do")
			got.t = t
			got.wantCookie()
			b.shows(what)
		})
	}
}

type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// An informational answer is not the answer: it carries no cookie, and values may change after it.
func TestEarlyHints(t *testing.T) {
	p := newPortal(t)
	p.values()
	p.page("/do", func(w http.ResponseWriter, r *http.Request) {
		p.sessions.Values.Put(r.Context(), "k", "before")
		w.Header().Set("Link", "</x.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		p.sessions.Values.Put(r.Context(), "k", "after")
		w.WriteHeader(http.StatusAccepted)
	})
	b := p.browser(nil)
	hints := 0
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints++
		if code != 103 || h.Get("Set-Cookie") != "" || h.Get("Link") == "" {
			t.Errorf("%d %v", code, h)
		}
		return nil
	}}
	got := b.send("GET", "/do", nil, func(r *http.Request) { *r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace)) })
	got.wantCookie()
	if hints != 1 || got.status != 202 {
		t.Errorf("%d hints, %d", hints, got.status)
	}
	b.shows("after")
}

// A stream gets its head at once, and the rest as it is written.
func TestStream(t *testing.T) {
	p := newPortal(t)
	next := make(chan struct{})
	p.page("/stream", func(w http.ResponseWriter, r *http.Request) {
		p.sessions.Values.Put(r.Context(), "k", "v")
		c := http.NewResponseController(w)
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "line %d\n", i)
			must(t, c.Flush())
			<-next
		}
	})
	b := p.browser(nil)
	res, err := b.client.Get(p.origin + "/stream")
	must(t, err)
	defer res.Body.Close()
	answer{t: t, header: res.Header}.wantCookie()
	lines := bufio.NewScanner(res.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprint("line ", i) {
			t.Fatalf("line %d: %q", i, lines.Text())
		}
		next <- struct{}{}
	}
}

// Whoever takes the connection has the cookie in the header and the value in the store.
func TestHijack(t *testing.T) {
	p := newPortal(t)
	p.values()
	p.page("/raw", func(w http.ResponseWriter, r *http.Request) {
		p.sessions.Values.Put(r.Context(), "k", "hijacked")
		c, rw, err := http.NewResponseController(w).Hijack()
		must(t, err)
		defer c.Close()
		_, _ = fmt.Fprintf(rw, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\nSet-Cookie: %s\r\n\r\nhi", w.Header().Get("Set-Cookie"))
		_ = rw.Flush()
	})
	p.page("/switch", func(w http.ResponseWriter, r *http.Request) {
		p.sessions.Values.Put(r.Context(), "k", "switched")
		w.Header().Set("Upgrade", "x")
		w.Header().Set("Connection", "Upgrade")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, _, err := http.NewResponseController(w).Hijack()
		must(t, err)
		c.Close()
	})
	for path, value := range map[string]string{"/raw": "hijacked", "/switch": "switched"} {
		got := p.raw(nil, "GET "+path+" HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		cookie := got.wantCookie()
		b := p.browser(nil)
		b.setCookie(cookie)
		b.shows(value)
	}
}

// Where the server cannot give the connection away, the answer is the handler's still.
func TestHijackOverHTTP2(t *testing.T) {
	p := newPortal(t)
	p.values()
	p.page("/raw", func(w http.ResponseWriter, r *http.Request) {
		p.sessions.Values.Put(r.Context(), "k", "before")
		if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
			t.Error("a connection of HTTP/2 is given away")
		}
		p.sessions.Values.Put(r.Context(), "k", "after")
		_, _ = io.WriteString(w, r.Proto)
	})
	b := p.browser(nil)
	got := b.get("/raw")
	if string(got.body) != "HTTP/2.0" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	got.wantCookie()
	b.shows("after")
}

// A hijacker does not get the connection where its values could not be saved.
func TestHijackUnsaved(t *testing.T) {
	p := newPortal(t)
	p.page("/raw", func(w http.ResponseWriter, r *http.Request) {
		p.sessions.Values.Put(r.Context(), "k", "x")
		if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
			t.Error("the connection is given away")
		}
	})
	p.breaks(func(op string) storetest.Fault {
		if op == "CreateSession" {
			return storetest.Before
		}
		return storetest.None
	})
	p.raw(nil, "GET /raw HTTP/1.1\r\nHost: HOST\r\n\r\n").wants(503, sessionhttp.CodeUnavailable)
}

// A handler that panics saves no values. What it did to the session stays, and whoever answers in its stead sends the cookie.
func TestPanic(t *testing.T) {
	p := newPortal(t)
	p.values()
	b := p.signedIn("alice")
	b.get("/put?v=before")
	inner := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if recover() != nil {
					http.Error(w, "oops", http.StatusInternalServerError)
				}
			}()
			h(w, r)
		}
	}
	p.page("/aborts", func(_ http.ResponseWriter, r *http.Request) {
		p.sessions.Values.Put(r.Context(), "k", "lost")
		panic(http.ErrAbortHandler)
	})
	if _, err := b.client.Get(p.origin + "/aborts"); err == nil {
		t.Error("a handler that aborted has an answer")
	}
	b.shows("before")
	p.page("/inner", inner(func(_ http.ResponseWriter, r *http.Request) {
		must(t, sessionhttp.From(r.Context()).SignOut(r.Context(), true))
		panic("x")
	}))
	got := b.get("/inner")
	if got.status != 500 || b.cookie() != "" {
		t.Errorf("%d, cookie %q", got.status, b.cookie())
	}
	// The same with whoever recovers in front of Middleware.
	b.want(200, "POST", "/auth/login", nil)
	p.page("/outer", func(_ http.ResponseWriter, r *http.Request) {
		p.sessions.Values.Put(r.Context(), "k", "lost")
		must(t, sessionhttp.From(r.Context()).SignOut(r.Context(), true))
		panic("x")
	})
	front := inner(p.router().ServeHTTP)
	p.server.Config.Handler = front
	got = b.get("/outer")
	if got.status != 500 || b.cookie() != "" {
		t.Errorf("%d, cookie %q", got.status, b.cookie())
	}
}
