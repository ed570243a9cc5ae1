package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// portal is a real server that answers whom the certificate of a request names, or the reason why it names nobody.
type portal struct {
	t      *testing.T
	server *mtlstest.CA // signs the server's certificate
	config *ServerConfig
	factor atomic.Pointer[factors.Tied]
	url    string
}

func newPortal(t *testing.T, config *ServerConfig, f factors.Tied) *portal {
	t.Helper()
	p := &portal{t: t, server: mtlstest.NewCA(t, "Server CA"), config: config}
	p.factor.Store(&f)
	config.Certificates = []tls.Certificate{p.server.Server()}
	tlsConfig, err := config.TLS()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:     Middleware(FromTLS())(http.HandlerFunc(p.serve)),
		TLSConfig:   tlsConfig,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return WithConn(ctx) },
		ErrorLog:    log.New(io.Discard, "", 0),
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	p.url = "https://" + listener.Addr().String()
	return p
}

func (p *portal) serve(w http.ResponseWriter, r *http.Request) {
	chain, err := factors.PeerCertChainFrom(r.Context())
	if err != nil {
		fmt.Fprintf(w, "refused: %v", err)
		return
	}
	f := *p.factor.Load()
	out, err := f.Verify(r.Context(), factors.Verification{Request: factors.Request{Now: time.Now(), Peer: chain}})
	resumed := ""
	if chain.Source().Resumed {
		resumed = " resumed"
	}
	if rejection, ok := errors.AsType[*factors.Rejection](err); ok {
		fmt.Fprintf(w, "%s%s %s", rejection.Reason, resumed, r.Proto)
		return
	}
	if err != nil {
		fmt.Fprintf(w, "broken: %v", err)
		return
	}
	fmt.Fprintf(w, "%s%s %s", out.Evidence.Names.User, resumed, r.Proto)
}

type wire struct {
	version uint16
	http2   bool
}

func (w wire) String() string {
	return tls.VersionName(w.version) + map[bool]string{true: ", HTTP/2.0", false: ", HTTP/1.1"}[w.http2]
}

func (w wire) proto() string { return map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"}[w.http2] }

var wires = []wire{{tls.VersionTLS12, false}, {tls.VersionTLS12, true}, {tls.VersionTLS13, false}, {tls.VersionTLS13, true}}

// client sends its certificate whether the server asked for one of its CA or not.
func (p *portal) client(w wire, cert *tls.Certificate) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!w.http2)
	protocols.SetHTTP2(w.http2)
	transport := &http.Transport{
		Protocols: protocols,
		TLSClientConfig: &tls.Config{
			RootCAs:            p.server.Pool(),
			MinVersion:         w.version,
			MaxVersion:         w.version,
			ClientSessionCache: tls.NewLRUClientSessionCache(8),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if cert == nil {
					return &tls.Certificate{}, nil
				}
				return cert, nil
			},
		},
	}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get answers what the portal said, or "handshake" where it was never asked.
func (p *portal) get(c *http.Client) string {
	p.t.Helper()
	answer, err := c.Get(p.url)
	if err != nil {
		return "handshake"
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

func (p *portal) want(c *http.Client, want string) {
	p.t.Helper()
	if got := p.get(c); got != want {
		p.t.Errorf("got %q, want %q", got, want)
	}
}

func eachWire(t *testing.T, f func(t *testing.T, w wire)) {
	for _, w := range wires {
		t.Run(w.String(), func(t *testing.T) { f(t, w) })
	}
}

func TestHandshakeNeverRefuses(t *testing.T) {
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Staff CA")
	p := newPortal(t, &ServerConfig{ClientCAs: []string{ca.File()}}, newFixture(staffOf(ca)).factor(t, byCommonName))
	now := time.Now()
	certificates := map[string]tls.Certificate{
		"alice":                             ca.Intermediate("Issuing CA").Issue(mtlstest.Leaf{CN: "alice"}),
		string(ReasonUntrusted):             other.Issue(mtlstest.Leaf{CN: "alice"}),
		string(ReasonExpired):               ca.Issue(mtlstest.Leaf{CN: "alice", NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(-time.Hour)}),
		string(ReasonNotYetValid):           ca.Issue(mtlstest.Leaf{CN: "alice", NotBefore: now.Add(time.Hour)}),
		string(ReasonNotForClients):         ca.Issue(mtlstest.Leaf{CN: "alice", EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}),
		string(ReasonAmbiguous):             ca.Issue(mtlstest.Leaf{CN: "alice", CNs: []string{"bob"}}),
		string(ReasonBadName):               ca.Issue(mtlstest.Leaf{CN: "alice\u202e"}),
		string(factors.ReasonUserUnknown):   ca.Issue(mtlstest.Leaf{CN: "mallory"}),
		string(factors.ReasonNoCertificate): {},
	}
	eachWire(t, func(t *testing.T, w wire) {
		for want, cert := range certificates {
			c := p.client(w, &cert)
			p.want(c, want+" "+w.proto())
			p.want(c, want+" "+w.proto())
		}
	})
}

func TestResumed(t *testing.T) {
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Other CA")
	x := newFixture(staffOf(ca))
	good, without := x.factor(t, byCommonName), newFixture(staffOf(other)).factor(t, byCommonName)
	p := newPortal(t, &ServerConfig{ClientCAs: []string{ca.File()}}, good)
	eachWire(t, func(t *testing.T, w wire) {
		p.factor.Store(&good)
		cert := ca.Issue(mtlstest.Leaf{CN: "alice"})
		c := p.client(w, &cert)
		p.want(c, "alice "+w.proto())
		c.CloseIdleConnections()
		p.want(c, "alice resumed "+w.proto())

		p.factor.Store(&without) // the CA is removed from the policy
		p.want(c, string(ReasonUntrusted)+" resumed "+w.proto())
		c.CloseIdleConnections()
		p.want(c, string(ReasonUntrusted)+" resumed "+w.proto())

		p.factor.Store(&good)
		p.want(c, "alice resumed "+w.proto())
		x.denials.deny(factors.DenyCertificate, cert.Leaf)
		p.want(c, string(factors.ReasonRevoked)+" resumed "+w.proto())
	})
}

func TestModes(t *testing.T) {
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Other CA")
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	good, bad := ca.Issue(mtlstest.Leaf{CN: "alice"}), other.Issue(mtlstest.Leaf{CN: "alice"})
	none := string(factors.ReasonNoCertificate)
	for mode, want := range map[Mode][3]string{
		Request:       {"alice", string(ReasonUntrusted), none},
		VerifyIfGiven: {"alice", "handshake", none},
		Require:       {"alice", "handshake", "handshake"},
	} {
		p := newPortal(t, &ServerConfig{ClientCAs: []string{ca.File()}, Mode: mode}, f)
		eachWire(t, func(t *testing.T, w wire) {
			for i, cert := range []*tls.Certificate{&good, &bad, nil} {
				expected := want[i]
				if expected != "handshake" {
					expected += " " + w.proto()
				}
				p.want(p.client(w, cert), expected)
			}
		})
	}
}

// A CA that is removed from the file is gone for new connections, also for those that resume an older session.
func TestReload(t *testing.T) {
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Other CA")
	x := newFixture(staffOf(ca, other))
	for _, mode := range []Mode{VerifyIfGiven, Require} {
		file := ca.File()
		write := func(text []byte) {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		config := &ServerConfig{ClientCAs: []string{file}, Mode: mode}
		p := newPortal(t, config, x.factor(t, byCommonName))
		eachWire(t, func(t *testing.T, w wire) {
			write(ca.PEM())
			if err := config.Reload(); err != nil {
				t.Fatal(err)
			}
			mine, theirs := ca.Issue(mtlstest.Leaf{CN: "alice"}), other.Issue(mtlstest.Leaf{CN: "bob"})
			c := p.client(w, &mine)
			p.want(c, "alice "+w.proto())
			p.want(p.client(w, &theirs), "handshake")
			c.CloseIdleConnections()
			p.want(c, "alice resumed "+w.proto())

			write([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
			if err := config.Reload(); !errors.Is(err, ErrCAFile) {
				t.Errorf("a broken file: %v", err)
			}
			c.CloseIdleConnections()
			p.want(c, "alice resumed "+w.proto())

			write(other.PEM())
			if err := config.Reload(); err != nil {
				t.Fatal(err)
			}
			c.CloseIdleConnections()
			p.want(c, "handshake")
			p.want(p.client(w, &theirs), "bob "+w.proto())
		})
	}
}

// crypto/tls looks at the roots of a resumed session by itself in this version of Go; this holds without it too.
func TestVerifyResumed(t *testing.T) {
	ca, other := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Other CA")
	s := &ServerConfig{ClientCAs: []string{ca.File()}, Mode: Require, Certificates: []tls.Certificate{other.Server()}}
	config, err := s.TLS()
	if err != nil {
		t.Fatal(err)
	}
	good := present(t, ca.Intermediate("Issuing CA").Issue(mtlstest.Leaf{CN: "alice"}))
	bad := present(t, other.Issue(mtlstest.Leaf{CN: "alice"}))
	for name, c := range map[string]struct {
		chain []*x509.Certificate
		ok    bool
	}{"good": {good, true}, "CA gone": {bad, false}, "none": {nil, false}} {
		err := config.VerifyConnection(tls.ConnectionState{DidResume: true, PeerCertificates: c.chain})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	if err := config.VerifyConnection(tls.ConnectionState{DidResume: true, PeerCertificates: good}); err == nil {
		t.Error("expired since, and taken")
	}
}

func TestServerConfigErrors(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	server := []tls.Certificate{ca.Server()}
	leaf, key := mtlstest.PEM(t, ca.Issue(mtlstest.Leaf{CN: "alice"}))
	file := func(text ...string) []string {
		path := filepath.Join(t.TempDir(), "ca.crt")
		if err := os.WriteFile(path, []byte(strings.Join(text, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{path}
	}
	good := string(ca.PEM())
	_, headless, _ := strings.Cut(good, "\n")
	other := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte{0x30, 0}})
	for name, c := range map[string]struct {
		config *ServerConfig
		want   error
	}{
		"good":                        {&ServerConfig{ClientCAs: file(good, "a comment\n", string(mtlstest.NewCA(t, "x").PEM())), Mode: Require, Certificates: server}, nil},
		"no CAs, only asking":         {&ServerConfig{Certificates: server}, nil},
		"no CAs":                      {&ServerConfig{Mode: VerifyIfGiven, Certificates: server}, ErrNoClientCAs},
		"no certificate":              {&ServerConfig{ClientCAs: file(good)}, ErrNoCertificate},
		"TLS 1.1":                     {&ServerConfig{Certificates: server, MinVersion: tls.VersionTLS11}, ErrTLSVersion},
		"missing file":                {&ServerConfig{ClientCAs: []string{filepath.Join(t.TempDir(), "none")}, Certificates: server}, os.ErrNotExist},
		"empty file":                  {&ServerConfig{ClientCAs: file(""), Certificates: server}, ErrCAFile},
		"no PEM":                      {&ServerConfig{ClientCAs: file("hello"), Certificates: server}, ErrCAFile},
		"a leaf":                      {&ServerConfig{ClientCAs: file(string(leaf)), Certificates: server}, ErrCAFile},
		"a CA and a leaf":             {&ServerConfig{ClientCAs: file(good, string(leaf)), Certificates: server}, ErrCAFile},
		"a CA and a key":              {&ServerConfig{ClientCAs: file(good, string(key)), Certificates: server}, ErrCAFile},
		"a CA and a revocation list":  {&ServerConfig{ClientCAs: file(good, string(other)), Certificates: server}, ErrCAFile},
		"a CA and a damaged block":    {&ServerConfig{ClientCAs: file("-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", good), Certificates: server}, ErrCAFile},
		"a CA and a block cut off":    {&ServerConfig{ClientCAs: file(good, good[:len(good)/2]), Certificates: server}, ErrCAFile},
		"text behind":                 {&ServerConfig{ClientCAs: file(good, "more\n"), Certificates: server}, ErrCAFile},
		"a block without its head":    {&ServerConfig{ClientCAs: file(good, headless), Certificates: server}, ErrCAFile},
		"one in the middle":           {&ServerConfig{ClientCAs: file(good, headless, good), Certificates: server}, ErrCAFile},
		"a block with half its head":  {&ServerConfig{ClientCAs: file(good, good[6:], good), Certificates: server}, ErrCAFile},
		"a head in another case":      {&ServerConfig{ClientCAs: file(good, strings.ReplaceAll(good, "CERT", "Cert"), good), Certificates: server}, ErrCAFile},
		"another head":                {&ServerConfig{ClientCAs: file(good, strings.ReplaceAll(strings.ReplaceAll(good, "BEGIN", "Begin"), "END", "End"), good), Certificates: server}, ErrCAFile},
		"blocks on one line":          {&ServerConfig{ClientCAs: file(strings.TrimSpace(good), good), Certificates: server}, ErrCAFile},
		"a folder":                    {&ServerConfig{ClientCAs: []string{t.TempDir()}, Certificates: server}, errAny},
		"a mode that is not known":    {&ServerConfig{Mode: 7, Certificates: server}, errAny},
		"a file beyond any CA bundle": {&ServerConfig{ClientCAs: file(good, strings.Repeat("#", maxCAFile)), Certificates: server}, ErrCAFile},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := c.config.TLS()
			switch {
			case c.want == nil && (err != nil || config.MinVersion != tls.VersionTLS12):
				t.Errorf("%v", err)
			case c.want == errAny && err == nil, c.want != nil && c.want != errAny && !errors.Is(err, c.want):
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

var errAny = errors.New("any error")

func TestMiddleware(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	chain := present(t, ca.Issue(mtlstest.Leaf{CN: "alice"}))
	ask := func(state *tls.ConnectionState) (factors.PeerCertChain, error) {
		var got factors.PeerCertChain
		var refusal error
		r := httptest.NewRequest(http.MethodGet, "https://localhost/", nil)
		r.TLS = state
		r = r.WithContext(WithConn(r.Context()))
		r.Header.Set("Client-Cert", "kept")
		Middleware(FromTLS())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got, refusal = factors.PeerCertChainFrom(r.Context())
			if r.Header.Get("Client-Cert") != "kept" {
				t.Error("a header was changed")
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
		return got, refusal
	}
	if c, err := ask(nil); c.Present() || err != nil {
		t.Errorf("plain HTTP: %v, %v", c, err)
	}
	if c, err := ask(&tls.ConnectionState{HandshakeComplete: true}); c.Present() || err != nil {
		t.Errorf("no certificate: %v, %v", c, err)
	}
	c, err := ask(&tls.ConnectionState{HandshakeComplete: true, DidResume: true, PeerCertificates: chain})
	if err != nil || c.Leaf() != chain[0] || c.Source() != (peer.Source{Name: "tls", Resumed: true}) || c.Memo() == nil {
		t.Errorf("resumed: %+v, %v", c.Source(), err)
	}
	c, err = ask(&tls.ConnectionState{PeerCertificates: chain})
	if err != nil || !c.Source().Early || c.Memo() != nil {
		t.Errorf("early: %+v, %v", c.Source(), err)
	}
	var many []*x509.Certificate
	for range 11 {
		many = append(many, chain[0])
	}
	c, err = ask(&tls.ConnectionState{HandshakeComplete: true, PeerCertificates: many})
	wantReason(t, err, ReasonTooLarge)
	if c.Present() {
		t.Error("a refused chain is handed out")
	}
}

// Without a policy file: the kind says no rather than guessing.
func TestKind(t *testing.T) {
	k := Kind()
	if k.Name() != "mtls" {
		t.Error(k.Name())
	}
	if _, err := k.Build(otherSettings{}, factors.Env{}); err == nil {
		t.Error("built from the settings of another kind")
	}
	var _ policy.Kind = k
}

type otherSettings struct{}

func (otherSettings) Describe() authn.Factor { return authn.Factor{} }
