package sessionhttp

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/alexedwards/scs/v2"

	"github.com/sallyport-auth/sallyport/session"
)

// slot is one request: its context, its answer and its session, in one piece of memory.
type slot struct {
	context.Context
	http.ResponseWriter
	m       *Sessions
	session session.Session

	mu       sync.Mutex // guards values, which handlers may ask for from several goroutines
	values   any        // scs's own data, loaded when first asked for
	rotation uint64     // of the session when values were loaded

	began   bool // the head of the answer is out
	discard bool // the answer was replaced: the handler's bytes go nowhere
}

type slotKey struct{}

// Value answers for the slot itself, and loads scs's data when it is first asked for. Data loaded before the session
// began another principal's is loaded anew.
func (st *slot) Value(key any) any {
	if key == (slotKey{}) {
		return st
	}
	if key == st.m.scsKey {
		return st.load()
	}
	return st.Context.Value(key)
}

func (st *slot) load() any {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.values != nil && st.rotation == st.session.Rotation() {
		return st.values
	}
	inner := &slotContext{st.Context, st}
	ctx, err := st.m.Values.Load(inner, st.session.ID())
	if err != nil {
		st.m.engine.Log().ErrorContext(st.Context, "session values cannot be read", "error", err)
		if ctx, err = st.m.Values.Load(inner, ""); err != nil {
			return nil
		}
	}
	st.values, st.rotation = ctx.Value(st.m.scsKey), st.session.Rotation()
	return st.values
}

// slotContext is the slot's context without scs's data, for loading it.
type slotContext struct {
	context.Context
	st *slot
}

func (c *slotContext) Value(key any) any {
	switch key {
	case slotKey{}:
		return c.st
	case c.st.m.scsKey:
		return nil
	}
	return c.Context.Value(key)
}

// begin sends what belongs before the first byte: values that changed are saved, and the cookie is set. It reports
// whether the handler's own answer may go out.
func (st *slot) begin() bool {
	if st.began {
		return !st.discard
	}
	st.began = true
	if err := st.saveValues(); err != nil {
		st.m.engine.Log().ErrorContext(st.Context, "session values could not be saved", "error", err)
		st.discard = true
		st.setCookie()
		problem(http.StatusServiceUnavailable, CodeUnavailable).write(st.ResponseWriter, st.session.Now())
		return false
	}
	st.setCookie()
	return true
}

func (st *slot) saveValues() error {
	st.mu.Lock()
	changed := st.values != nil && st.rotation == st.session.Rotation()
	st.mu.Unlock()
	if !changed || st.m.Values.Status(st) != scs.Modified {
		return nil
	}
	_, _, err := st.m.Values.Commit(st)
	st.mu.Lock()
	st.values = nil // whoever asks again finds what was saved
	st.mu.Unlock()
	return err
}

func (st *slot) setCookie() {
	if v, changed := st.session.Cookie(); changed {
		http.SetCookie(st.ResponseWriter, &http.Cookie{Name: CookieName, Value: v, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		setPrivate(st.Header())
	} else if st.session.Ended() {
		http.SetCookie(st.ResponseWriter, &http.Cookie{Name: CookieName, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
		setPrivate(st.Header())
	}
}

// WriteHeader implements http.ResponseWriter. Informational answers pass and begin nothing.
func (st *slot) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		st.ResponseWriter.WriteHeader(status)
		return
	}
	if st.began {
		if !st.discard {
			st.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if st.begin() {
		st.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (st *slot) Write(b []byte) (int, error) {
	if !st.begin() {
		return len(b), nil
	}
	return st.ResponseWriter.Write(b)
}

// FlushError implements what http.ResponseController asks for.
func (st *slot) FlushError() error {
	if !st.begin() {
		return nil
	}
	return http.NewResponseController(st.ResponseWriter).Flush()
}

// Flush implements http.Flusher.
func (st *slot) Flush() { _ = st.FlushError() }

// Hijack implements http.Hijacker where the server does.
func (st *slot) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !st.begin() {
		return nil, nil, http.ErrHijacked
	}
	return http.NewResponseController(st.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController: deadlines are the server's.
func (st *slot) Unwrap() http.ResponseWriter { return st.ResponseWriter }

// finish ends the answer of a handler that wrote nothing.
func (st *slot) finish() {
	if !st.began {
		st.begin()
		return
	}
	st.mu.Lock()
	loaded := st.values != nil && st.rotation == st.session.Rotation()
	st.mu.Unlock()
	if loaded && st.m.Values.Status(st) == scs.Modified && !st.discard {
		st.m.engine.Log().WarnContext(st.Context, "session values changed after the first byte of the answer are lost")
	}
}
