package sessionhttp

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
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
	of       string     // the session's token when values were loaded
	rotation uint64     // and its rotation

	began   bool // the head of the answer is out
	cookie  bool // the cookie is set
	done    bool // the handler returned
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
	if st.current() {
		return st.values
	}
	inner := &valuesContext{Context: st.Context, st: st}
	ctx, err := st.m.Values.Load(inner, st.token())
	if err != nil {
		st.m.engine.Log().ErrorContext(st.Context, "session values cannot be read", "error", err)
		if ctx, err = st.m.Values.Load(inner, ""); err != nil {
			return nil
		}
	}
	st.values, st.of, st.rotation = ctx.Value(st.m.scsKey), st.token(), st.session.Rotation()
	return st.values
}

// current reports whether values were loaded and are those of the principal that is there. Rotation alone does not tell:
// a session that began in this request is as old as the one that ended in it may have been.
func (st *slot) current() bool {
	return st.values != nil && st.rotation == st.session.Rotation() && st.of == st.token()
}

// guestToken is what scs calls the session of a guest that has no row: without any token it would renew it.
const guestToken = "guest"

// token is what scs calls the session.
func (st *slot) token() string {
	if id := st.session.ID(); id != "" {
		return id
	}
	return guestToken
}

// valuesContext is the slot's context with scs's data given, or none to be loaded.
type valuesContext struct {
	context.Context
	st     *slot
	values any
}

func (c *valuesContext) Value(key any) any {
	switch key {
	case slotKey{}:
		return c.st
	case c.st.m.scsKey:
		return c.values
	}
	return c.Context.Value(key)
}

// begin sends what belongs before the first byte: values that changed are saved, and the cookie is set. It reports
// whether the handler's own answer may go out: also where the values belong to nobody any more, but not where they could
// not be saved.
func (st *slot) begin() bool {
	if st.began {
		return !st.discard
	}
	st.began = true
	err := st.saveValues()
	st.setCookie()
	switch {
	case err == nil:
		return true
	case errors.Is(err, session.ErrConflict):
		st.dropped()
		return true
	}
	st.m.engine.Log().ErrorContext(st.Context, "session values could not be saved", "error", err)
	st.discard = true
	problem(http.StatusServiceUnavailable, CodeUnavailable).write(st.ResponseWriter, st.session.Now())
	return false
}

// saveValues saves what changed. Values that never held anything make no row.
func (st *slot) saveValues() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.current() {
		return nil
	}
	ctx := &valuesContext{st.Context, st, st.values}
	if st.m.Values.Status(ctx) != scs.Modified || len(st.session.Values()) == 0 && len(st.m.Values.Keys(ctx)) == 0 {
		return nil
	}
	_, _, err := st.m.Values.Commit(ctx)
	st.values = nil // whoever asks again finds what was saved
	return err
}

// dropped writes down that values were put whose session ended, changed hands or is not in force on this request.
func (st *slot) dropped() {
	level := slog.LevelWarn
	if st.session.Why() != "" {
		level = slog.LevelDebug // the caller's doing, on every request of theirs; the audit log has it
	}
	st.m.engine.Log().Log(st.Context, level, "session values are dropped: the session ended, was renewed meanwhile or is not in force",
		"session", st.session.ID(), "reason", st.session.Why())
}

// setCookie sets the cookie once, if it changed or is worth nothing any more.
func (st *slot) setCookie() {
	v, changed := st.session.Cookie()
	if st.cookie || !changed && !st.session.Ended() {
		return
	}
	c := &http.Cookie{Name: CookieName, Value: v, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if !changed {
		c.MaxAge = -1
	}
	http.SetCookie(st.ResponseWriter, c)
	setPrivate(st.Header())
	st.cookie = true
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

// Hijack implements http.Hijacker where the server does. Whoever hijacks writes the head of the answer too: the cookie is in
// Header then.
func (st *slot) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	before := st.began
	if !st.begin() {
		return nil, nil, http.ErrHijacked
	}
	conn, rw, err := http.NewResponseController(st.ResponseWriter).Hijack()
	if err != nil {
		st.began = before // the answer is the handler's still
	}
	return conn, rw, err
}

// Unwrap is for http.ResponseController: deadlines are the server's.
func (st *slot) Unwrap() http.ResponseWriter { return st.ResponseWriter }

// finish ends the answer of a handler that returned.
func (st *slot) finish() {
	st.done = true
	if !st.began {
		st.begin()
		return
	}
	if st.discard {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.current() && st.m.Values.Status(&valuesContext{st.Context, st, st.values}) == scs.Modified {
		st.m.engine.Log().WarnContext(st.Context, "session values changed after the first byte of the answer are lost")
	}
}

// leave is for a handler that panics: what it did to the session has happened, so whoever answers in its stead sends the
// cookie. Its values are not saved.
func (st *slot) leave() {
	if !st.done && !st.began {
		st.setCookie()
	}
}
