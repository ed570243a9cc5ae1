package mtls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// probed starts a server with TLS that answers with h, and is a probe of it.
func probed(t *testing.T, h http.Handler) ProbeConfig {
	t.Helper()
	ca := mtlstest.NewCA(t, "Server CA")
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server()}, ClientAuth: tls.RequestClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return ProbeConfig{URL: s.URL, Token: testProbeToken, Roots: ca.Pool()}
}

// readsCert is a source that reads one header, and a secret; sees tells what it says of a request.
type readsCert struct {
	sees func(*http.Request) peer.Seen
}

func (s readsCert) PeerCertChain(r *http.Request) (peer.Chain, error) {
	seen := s.See(r)
	return seen.Chain, seen.Refused
}
func (s readsCert) See(r *http.Request) peer.Seen { return s.sees(r) }
func (readsCert) Reads() *peer.Reads {
	return &peer.Reads{Fields: []peer.Field{{Name: "X-Client-Cert", Value: "a " + peer.Base64 + " b"}}, Secrets: []string{"X-Secret"}}
}

// A source that leaves headers in the request is told from one that removes them; a program that ends TLS itself reads none.
func TestProbeOfHeadersThatAreLeft(t *testing.T) {
	report, err := Probe(t.Context(), probed(t, Middleware(readsCert{func(*http.Request) peer.Seen { return peer.Seen{} }})(newProbeRoute(t))))
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{"forged": "(X-Client-Cert)", "forged_case": "(x-cLiEnT-CeRt)", "alias_underscore": "(X_Client_Cert)", "alias_dot": "(X.Client.Cert)", "trailer": "(X-Client-Cert)"} {
		if c := checkOf(t, report, code); c.Outcome != ProbeFailed || !strings.Contains(c.Says, want) {
			t.Errorf("%s: %s: %s", code, c.Outcome, c.Says)
		}
	}
	report, err = Probe(t.Context(), probed(t, Middleware(FromTLS())(newProbeRoute(t))))
	if err != nil || report.Err() != nil || report.Outcome() != ProbePassed {
		t.Errorf("a program that ends TLS itself: %v %+v", err, report)
	}
	if c := checkOf(t, report, "own"); c.Outcome != ProbeSkipped {
		t.Errorf("without an own certificate: %+v", c)
	}
}

func checkOf(t *testing.T, r ProbeReport, code string) ProbeCheck {
	t.Helper()
	i := slices.IndexFunc(r.Checks, func(c ProbeCheck) bool { return c.Code == code })
	if i < 0 {
		t.Fatalf("%s was not checked", code)
	}
	return r.Checks[i]
}

// recorder keeps what is read of connections.
type recorder struct {
	net.Listener
	mu  sync.Mutex
	all bytes.Buffer
}

func (r *recorder) Accept() (net.Conn, error) {
	c, err := r.Listener.Accept()
	return &recorded{c, r}, err
}

type recorded struct {
	net.Conn
	to *recorder
}

func (c *recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	_, _ = c.to.all.Write(p[:n])
	return n, err
}

// What is on the wire is spelled as meant, and the token is nowhere but in its header.
func TestProbeWritesNamesAsTheyAre(t *testing.T) {
	ca := mtlstest.NewCA(t, "Server CA")
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wire := &recorder{Listener: tls.NewListener(tcp, &tls.Config{Certificates: []tls.Certificate{ca.Server()}})}
	// Under TLS's own reader: what the program reads is what was written.
	server := &http.Server{Handler: Middleware(readsCert{func(*http.Request) peer.Seen { return peer.Seen{} }})(newProbeRoute(t)), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(wire) }()
	t.Cleanup(func() { _ = server.Close() })
	report, err := Probe(t.Context(), ProbeConfig{URL: "https://" + tcp.Addr().String() + "/probe?x=1", Token: testProbeToken, Roots: ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	wire.mu.Lock()
	defer wire.mu.Unlock()
	text := wire.all.String()
	for _, want := range []string{
		"GET /probe?x=1 HTTP/1.1\r\nHost: " + tcp.Addr().String() + "\r\n", "\r\nX-Client-Cert: a MII", "\r\nx-cLiEnT-CeRt: a MII", "\r\nX_Client_Cert: a MII", "\r\nX.Client.Cert: a MII", "\r\nX~Client~Cert: a MII",
		"\r\nConnection: close, X-Secret, X-Client-Cert\r\n", "\r\nConnection: close, X-Client-Cert\r\n", "\r\nConnection: close, X-Secret\r\n",
		"\r\nTrailer: X-Client-Cert\r\n\r\n1\r\n-\r\n0\r\nX-Client-Cert: a MII", "\r\nX-Secret: ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing has %q", want)
		}
	}
	if a, b := strings.Count(text, testProbeToken), strings.Count(text, "\r\n"+probeToken+": "+testProbeToken+"\r\n"); a != b || a < 10 {
		t.Errorf("the token is there %d times, and %d times in its header", a, b)
	}
	for _, c := range report.Checks {
		if strings.Contains(c.Says, testProbeToken) {
			t.Errorf("the token is in what is said of %s", c.Code)
		}
	}
}

// Answers that are none, and how much of them is read.
func TestProbeOfSomethingElse(t *testing.T) {
	good := newProbeRoute(t)
	answer := func(change func(body string) string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			Middleware(FromTLS())(good).ServeHTTP(rec, r)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, change(rec.Body.String()))
		})
	}
	says := func(status int, header, value string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header, value)
			w.WriteHeader(status)
		})
	}
	var first sync.Once
	stale := ""
	for name, c := range map[string]struct {
		handler http.Handler
		want    error
		says    string
	}{
		"no route":          {http.NotFoundHandler(), ErrProbeRoute, "not found"},
		"a redirect":        {says(302, "Location", "https://elsewhere.example/"), ErrProbeRoute, "redirect"},
		"a refusal":         {says(403, "X-A", ""), ErrProbeRefused, "status 403"},
		"a failure":         {says(502, "X-A", ""), ErrProbeRoute, "status 502"},
		"too many requests": {says(429, "X-A", ""), ErrProbeRoute, "status 429"},
		"interim for ever":  {interim(200), nil, "interim"},
		"interim at first":  {interim(3), ErrProbeRoute, "something else"},
		"a page":            {says(200, "Content-Type", "text/html"), ErrProbeRoute, "something else"},
		"JSON as a page": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			Middleware(FromTLS())(good).ServeHTTP(rec, r)
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write(rec.Body.Bytes())
		}), ErrProbeRoute, "something else"},
		"not JSON":           {answer(func(string) string { return "<html>" }), ErrProbeRoute, "something else"},
		"a name twice":       {answer(func(s string) string { return strings.Replace(s, "{", `{"nonce":"",`, 1) }), ErrProbeRoute, "something else"},
		"another JSON":       {answer(func(string) string { return "{}" }), ErrProbeRoute, "something else"},
		"another version":    {answer(func(s string) string { return strings.Replace(s, `probe":1`, `probe":2`, 1) }), ErrProbeRoute, "something else"},
		"too long":           {answer(func(s string) string { return s + strings.Repeat(" ", 80<<10) }), ErrProbeRoute, "something else"},
		"far too long":       {answer(func(s string) string { return s + strings.Repeat(" ", 8<<20) }), ErrProbeRoute, "something else"},
		"a header too long":  {says(200, "X-A", strings.Repeat("a", 1<<20)), ErrProbeRoute, "too long"},
		"a terminal's codes": {answer(func(s string) string { return strings.Replace(s, `"refused":""`, `"refused":"\u001b[2J"`, 1) }), ErrProbeRoute, "something else"},
		"from a cache": {answer(func(s string) string {
			first.Do(func() { stale = strings.Replace(s, `"nonce":"`, `"nonce":"A`, 1) })
			return stale
		}), ErrProbeRoute, "a cache"},
		"no middleware":       {good, ErrProbeRoute, "not behind"},
		"headers of HTTP":     {Middleware(reads{{Name: "Transfer-Encoding", Value: "x"}})(good), ErrProbeRoute, "cannot be sent"},
		"headers of its own":  {Middleware(reads{{Name: "sallyport-probe-token", Value: "x"}})(good), ErrProbeRoute, "cannot be sent"},
		"a name with an end":  {Middleware(reads{{Name: "X\r\nY", Value: "x"}})(good), ErrProbeRoute, "cannot be sent"},
		"a value with an end": {Middleware(reads{{Name: "X-A", Value: "x\r\nHost: a"}})(good), ErrProbeRoute, "cannot be sent"},
		"a value too long":    {Middleware(reads{{Name: "X-A", Value: strings.Repeat("a", 3000)}})(good), ErrProbeRoute, "cannot be sent"},
		"a secret's name":     {Middleware(readsSecret{})(good), ErrProbeRoute, "cannot be sent"},
		"too many headers":    {Middleware(reads(slices.Repeat([]peer.Field{{Name: "X-A", Value: "x"}}, 40)))(good), ErrProbeRoute, "cannot be sent"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Probe(t.Context(), probed(t, c.handler))
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), testProbeToken) || len(err.Error()) > 300 {
				t.Errorf("%v", err)
			}
		})
	}
}

// interim answers with that many interim responses, and then with nothing.
func interim(n int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range n {
			w.WriteHeader(http.StatusEarlyHints)
		}
	})
}

// reads is a source that reads these headers.
type reads []peer.Field

func (reads) PeerCertChain(*http.Request) (peer.Chain, error) { return peer.Chain{}, nil }
func (r reads) Reads() *peer.Reads                            { return &peer.Reads{Fields: r} }

// readsSecret is a source with a secret that is no header.
type readsSecret struct{ reads }

func (readsSecret) Reads() *peer.Reads { return &peer.Reads{Secrets: []string{"X\r\nY"}} }

// Whoever does not answer, or not in time, holds the probe up for no longer than it is told.
func TestProbeOfSomebodySilent(t *testing.T) {
	ended := make(chan struct{})
	defer close(ended)
	c := probed(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "{")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	}))
	c.Timeout = 50 * time.Millisecond
	if _, err := Probe(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("a body without an end: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c.URL = "https://" + silent.Addr().String()
	if _, err := Probe(t.Context(), c); err == nil {
		t.Error("no handshake: no error")
	}
	c.Timeout = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	c.Dial = func(context.Context, string, string) (net.Conn, error) {
		cancel() // while the probe is at it
		return net.Dial("tcp", silent.Addr().String())
	}
	if _, err := Probe(ctx, c); err == nil {
		t.Error("given up: no error")
	}
}

func TestProbeNeedsWhatItNeeds(t *testing.T) {
	own := mtlstest.SelfSigned(t, mtlstest.Leaf{CN: "alice"})
	for name, change := range map[string]func(*ProbeConfig){
		"no URL":              func(c *ProbeConfig) { c.URL = "" },
		"no TLS":              func(c *ProbeConfig) { c.URL = strings.Replace(c.URL, "https:", "http:", 1) },
		"no host":             func(c *ProbeConfig) { c.URL = "https:///probe" },
		"a password":          func(c *ProbeConfig) { c.URL = strings.Replace(c.URL, "https://", "https://a:b@", 1) },
		"no token":            func(c *ProbeConfig) { c.Token = "" },
		"a token with an end": func(c *ProbeConfig) { c.Token += "\r\nHost: a" },
		"no key":              func(c *ProbeConfig) { c.Own = &tls.Certificate{Certificate: own.Certificate} },
		"one's own as another's": func(c *ProbeConfig) {
			c.Own, c.Others = &own, mtlstest.Chain(t, own)
		},
		"too many of others": func(c *ProbeConfig) {
			for i := range 8 {
				c.Others = append(c.Others, mtlstest.SelfSigned(t, mtlstest.Leaf{CN: fmt.Sprint(i)}).Leaf)
			}
		},
	} {
		c := ProbeConfig{URL: "https://127.0.0.1:1/", Token: testProbeToken, Dial: func(context.Context, string, string) (net.Conn, error) {
			t.Errorf("%s: something is sent", name)
			return nil, io.EOF
		}}
		change(&c)
		if _, err := Probe(t.Context(), c); !errors.Is(err, ErrProbeConfig) || strings.Contains(err.Error(), testProbeToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A token is not sent to a server that is not who it should be.
func TestProbeSendsNothingToStrangers(t *testing.T) {
	c := probed(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("something was sent") }))
	c.Roots = mtlstest.NewCA(t, "Another CA").Pool()
	if _, err := Probe(t.Context(), c); !errors.Is(err, ErrProbeServer) {
		t.Errorf("another authority: %v", err)
	}
}

// Where nobody gets in without a certificate, the checks are made with the own one.
func TestProbeWhereACertificateIsRequired(t *testing.T) {
	ca, servers := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Server CA")
	own, foreign := ca.Issue(mtlstest.Leaf{CN: "alice"}), mtlstest.NewCA(t, "Staff CA").Issue(mtlstest.Leaf{CN: "alice"})
	s := httptest.NewUnstartedServer(Middleware(FromTLS())(newProbeRoute(t)))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{servers.Server()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	c := ProbeConfig{URL: s.URL, Token: testProbeToken, Roots: servers.Pool()}
	if _, err := Probe(t.Context(), c); !errors.Is(err, ErrProbeRefused) {
		t.Errorf("without a certificate: %v", err)
	}
	c.Own = &foreign
	if _, err := Probe(t.Context(), c); !errors.Is(err, ErrProbeRefused) {
		t.Errorf("with a foreign certificate: %v", err)
	}
	c.Own = &own
	report, err := Probe(t.Context(), c)
	if err != nil || report.Outcome() != ProbePassed {
		t.Errorf("with the own certificate: %v, %+v", err, report)
	}
	if c := checkOf(t, report, "own_resumed"); !strings.Contains(c.Says, "arrives") {
		t.Errorf("resumed: %+v", c)
	}
}

// Some refuse a request of HTTP/2 by ending its stream. That is an answer, and a stream that breaks off is none.
func TestProbeOfStreamsThatAreReset(t *testing.T) {
	const internalError = 2
	for _, c := range []struct {
		honest, others byte
		want           outcomesOf
	}{
		{protocolError, protocolError, outcomesOf{"http2": ProbeFailed, "http2_forged": ProbePassed}},
		{protocolError, internalError, outcomesOf{"http2": ProbeFailed, "http2_forged": ProbeUnknown}},
		{internalError, protocolError, outcomesOf{"http2": ProbeUnknown}},
	} {
		ca := mtlstest.NewCA(t, "Server CA")
		s := httptest.NewUnstartedServer(Middleware(FromTLS())(newProbeRoute(t)))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server()}, NextProtos: []string{"h2", "http/1.1"}}
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		var requests atomic.Int32
		s.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) {
			if requests.Add(1) == 1 {
				reset(conn, c.honest)
			} else {
				reset(conn, c.others)
			}
		}}
		s.StartTLS()
		t.Cleanup(s.Close)
		report, err := Probe(t.Context(), ProbeConfig{URL: s.URL, Token: testProbeToken, Roots: ca.Pool()})
		if err != nil {
			t.Fatal(err)
		}
		got := outcomesOf{}
		for _, check := range report.Checks {
			if check.Code == "http2" || check.Code == "http2_forged" {
				got[check.Code] = check.Outcome
			}
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("reset with %d and %d: %v", c.honest, c.others, got)
		}
	}
}

type outcomesOf = map[string]ProbeOutcome

// reset is a server of HTTP/2 that resets every stream (RFC 9113 sections 4.1, 6.4).
func reset(c *tls.Conn, code byte) {
	_, _ = io.CopyN(io.Discard, c, 24)                // the preface
	_, _ = c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // SETTINGS
	for {
		var head [9]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, c, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
			return
		}
		if head[3] == 1 { // HEADERS
			_, _ = c.Write(append([]byte{0, 0, 4, 3, 0}, append(bytes.Clone(head[5:]), 0, 0, 0, code)...))
		}
	}
}

func TestProbeOutcomeIsTheWorst(t *testing.T) {
	for _, c := range []struct {
		outcomes []ProbeOutcome
		want     ProbeOutcome
		err      bool
	}{
		{nil, ProbePassed, false},
		{[]ProbeOutcome{ProbeSkipped, ProbePassed}, ProbePassed, false},
		{[]ProbeOutcome{ProbePassed, ProbeWarning, ProbeSkipped}, ProbeWarning, false},
		{[]ProbeOutcome{ProbeUnknown, ProbeWarning}, ProbeUnknown, true},
		{[]ProbeOutcome{ProbeUnknown, ProbeFailed, ProbePassed}, ProbeFailed, true},
	} {
		var r ProbeReport
		for _, o := range c.outcomes {
			r.Checks = append(r.Checks, ProbeCheck{Outcome: o})
		}
		if r.Outcome() != c.want || (r.Err() != nil) != c.err {
			t.Errorf("%v: %s, %v", c.outcomes, r.Outcome(), r.Err())
		}
	}
}
