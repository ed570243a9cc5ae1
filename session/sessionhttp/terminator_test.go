package sessionhttp_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/terminator"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

// behind is a portal behind a terminator that calls from 10.0.0.1 and names clients.
type behind struct {
	*portal
	handler http.Handler
}

func newBehind(t *testing.T, change func(*terminator.Config)) *behind {
	t.Helper()
	c := terminator.Config{
		Name: "front", Format: terminator.RFC9440, TerminatorVerifies: true,
		Trust:  []terminator.Rule{{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}},
		Client: terminator.ClientAddress{Header: "X-Forwarded-For"},
	}
	if change != nil {
		change(&c)
	}
	front, err := terminator.New(c)
	must(t, err)
	p := newPortal(t)
	r := chi.NewRouter()
	r.Use(mtls.Middleware(front), p.sessions.Middleware)
	r.Mount("/auth", p.sessions.Handler())
	return &behind{p, r}
}

// call sends a request that comes from an address, with headers in pairs.
func (b *behind) call(from, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, b.origin+path, strings.NewReader(body))
	r.TLS, r.RemoteAddr = nil, from
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// events are the events of one occurrence, in any tenant.
func (b *behind) events(what authn.Occurrence) (out []session.Event) {
	b.t.Helper()
	all, err := b.store.Events(b.t.Context(), session.EventFilter{})
	must(b.t, err)
	for _, e := range all {
		if e.What == what {
			out = append(out, e)
		}
	}
	return out
}

// wantEvent fails unless there is one event of an occurrence, with this reason and source.
func (b *behind) wantEvent(what authn.Occurrence, why authn.Reason, source string) {
	b.t.Helper()
	found := b.events(what)
	if len(found) != 1 || found[0].Reason != why || found[0].Source != source {
		b.t.Errorf("events %+v, want one %s for %s from %s", found, what, why, source)
	}
}

func (b *behind) clientCert(name string) string {
	return ":" + base64.StdEncoding.EncodeToString(b.certificate(name).Leaf.Raw) + ":"
}

const (
	theTerminator = "10.0.0.1:443"
	badge         = `{"method":"badge","return_to":"/badge/"}`
)

func TestALoginWithACertificateFromAHeader(t *testing.T) {
	b := newBehind(t, nil)
	cert := b.clientCert("alice")
	w := b.call(theTerminator, "POST", "/auth/login", badge, "Client-Cert", cert, "X-Forwarded-For", "198.51.100.1, 203.0.113.7")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"authenticated"`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	cookie := w.Header().Get("Set-Cookie")
	cookie = cookie[:strings.IndexByte(cookie, ';')]
	b.wantEvent(authn.LoginFinished, "", "203.0.113.7")

	state := func(from string, headers ...string) string {
		return b.call(from, "GET", "/auth/session", "", append(headers, "Cookie", cookie)...).Body.String()
	}
	if got := state(theTerminator, "Client-Cert", cert); !strings.Contains(got, `"authenticated"`) {
		t.Errorf("with the certificate: %s", got)
	}
	for name, got := range map[string]string{
		"without":                   state(theTerminator),
		"another's":                 state(theTerminator, "Client-Cert", b.clientCert("bob")),
		"from a stranger":           state("192.0.2.1:1234", "Client-Cert", cert),
		"twice":                     state(theTerminator, "Client-Cert", cert, "Client-Cert", cert),
		"beside what passes for it": state(theTerminator, "Client-Cert", cert, "Client_Cert", cert),
	} {
		if strings.TrimSpace(got) != `{"state":"guest"}` {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A real certificate of somebody else, sent by whoever is not the terminator: the public header is worth nothing.
func TestAStrangersCertificateIsRemovedAndAudited(t *testing.T) {
	b := newBehind(t, nil)
	for range 5 {
		w := b.call("192.0.2.1:1234", "POST", "/auth/login", badge, "Client-Cert", b.clientCert("alice"), "X-Forwarded-For", "10.0.0.1")
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "client_certificate_required") {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	b.wantEvent(session.CertificateRemoved, terminator.ReasonSender, "192.0.2.1")
	b.call("192.0.2.2:1234", "GET", "/auth/session", "", "Client-Cert", "x")
	if n := len(b.events(session.CertificateRemoved)); n != 2 {
		t.Errorf("%d events of two strangers", n)
	}
	b.wait(2 * time.Minute)
	b.call("192.0.2.1:1234", "GET", "/auth/session", "", "Client_Cert", "x")
	if n := len(b.events(session.CertificateRemoved)); n != 3 {
		t.Errorf("%d events, and the third is minutes later", n)
	}
}

func TestAStrangersCertificateIsRefusedWhereThatIsConfigured(t *testing.T) {
	b := newBehind(t, func(c *terminator.Config) { c.OnUntrusted = terminator.Refuse })
	w := b.call("192.0.2.1:1234", "POST", "/auth/login", badge, "Client-Cert", b.clientCert("alice"))
	if w.Code != http.StatusBadRequest {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	b.wantEvent(session.CertificateRefused, terminator.ReasonSender, "192.0.2.1")
}

// What the terminator sends and nobody can read is a bad request where a certificate is asked for, not a request without.
func TestAnUnreadableCertificateIsRefusedAndAudited(t *testing.T) {
	b := newBehind(t, nil)
	w := b.call(theTerminator, "POST", "/auth/login", badge, "Client-Cert", "::", "X-Forwarded-For", "203.0.113.7")
	if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "certificate_") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	b.wantEvent(session.CertificateRefused, terminator.ReasonMalformed, "203.0.113.7")
}

// Only the terminator says who the client is.
func TestAStrangerIsWhoHeIs(t *testing.T) {
	b := newBehind(t, nil)
	b.call("192.0.2.1:1234", "POST", "/auth/login", badge, "Client-Cert", "x", "X-Forwarded-For", "203.0.113.7")
	b.wantEvent(session.CertificateRemoved, terminator.ReasonSender, "192.0.2.1")
}

// A session stays with the place where its certificate was seen, though the same certificate comes by the other.
func TestASessionMovesNeitherFromTLSToAHeaderNorBack(t *testing.T) {
	b := newBehind(t, nil)
	own := b.certificate("alice")
	cert := ":" + base64.StdEncoding.EncodeToString(own.Leaf.Raw) + ":"
	begin := func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }

	direct := b.browser(own)
	if got := direct.send("POST", "/auth/login", strings.NewReader(badge), begin); got.status != 200 || got.json()["state"] != "authenticated" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	moved := b.call(theTerminator, "GET", "/auth/session", "", "Client-Cert", cert, "Cookie", sessionhttp.CookieName+"="+direct.cookie())
	if strings.TrimSpace(moved.Body.String()) != `{"state":"guest"}` {
		t.Errorf("from TLS to a header: %s", moved.Body)
	}
	if got := direct.send("GET", "/auth/session", nil, nil); got.json()["state"] != "authenticated" {
		t.Errorf("where it was won: %s", got.body)
	}

	w := b.call(theTerminator, "POST", "/auth/login", badge, "Client-Cert", cert)
	value, _, _ := strings.Cut(strings.TrimPrefix(w.Header().Get("Set-Cookie"), sessionhttp.CookieName+"="), ";")
	if w.Code != 200 || value == "" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	back := b.browser(own)
	back.setCookie(value)
	if got := back.send("GET", "/auth/session", nil, nil); got.json()["state"] != "guest" {
		t.Errorf("from a header to TLS: %s", got.body)
	}
}
