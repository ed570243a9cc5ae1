package terminator

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// world is a CA with an intermediate, and certificates below it.
type world struct {
	ca, issuing *mtlstest.CA
	alice, bob  *x509.Certificate
	key         tls.Certificate // alice's, with its chain
}

func newWorld(t testing.TB) world {
	ca := mtlstest.NewCA(t, "Staff CA")
	w := world{ca: ca, issuing: ca.Intermediate("Issuing CA")}
	w.key = w.issuing.Issue(mtlstest.Leaf{CN: "alice"})
	w.alice = w.key.Leaf
	w.bob = w.issuing.Issue(mtlstest.Leaf{CN: "bob"}).Leaf
	return w
}

// How terminators write certificates.
func b64(c *x509.Certificate) string { return base64.StdEncoding.EncodeToString(c.Raw) }

func sequence(c *x509.Certificate) string { return ":" + b64(c) + ":" }

func pemOf(cs ...*x509.Certificate) (out string) {
	for _, c := range cs {
		out += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return out
}

// percent is everything but letters, digits and -._~ escaped, as nginx does.
func percent(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// percentAWS leaves + = / as they are.
func percentAWS(s string) string {
	return strings.NewReplacer("%2B", "+", "%3D", "=", "%2F", "/").Replace(percent(s))
}

// percentEnvoy escapes line ends, spaces, and + / = alone.
func percentEnvoy(s string) string {
	return strings.NewReplacer("\n", "%0A", " ", "%20", "+", "%2B", "/", "%2F", "=", "%3D").Replace(s)
}

func spaced(c *x509.Certificate) string { return strings.ReplaceAll(pemOf(c), "\n", " ") }

func joined(cs ...*x509.Certificate) string {
	var all []byte
	for _, c := range cs {
		all = append(all, c.Raw...)
	}
	return base64.StdEncoding.EncodeToString(all)
}

func hexHashOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func base64HashOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// xfcc is an element as Envoy writes it.
func xfcc(c *x509.Certificate, chain ...*x509.Certificate) string {
	s := fmt.Sprintf(`By=spiffe://mesh/front;Hash=%s;Cert="%s"`, hexHashOf(c), percentEnvoy(pemOf(c)))
	if len(chain) > 0 {
		s += fmt.Sprintf(`;Chain="%s"`, percentEnvoy(pemOf(append([]*x509.Certificate{c}, chain...)...)))
	}
	return s + fmt.Sprintf(`;Subject="CN=%s";URI=`, c.Subject.CommonName)
}

// headers are names and values in turns; a name may occur again.
type headers []string

func (h headers) with(more ...string) headers { return append(h[:len(h):len(h)], more...) }

// without leaves a header out.
func (h headers) without(name string) (out headers) {
	for i := 0; i < len(h); i += 2 {
		if h[i] != name {
			out = append(out, h[i], h[i+1])
		}
	}
	return out
}

// loopback is the address that requests of these tests come from.
const loopback = "127.0.0.1:40000"

// request is what the server makes of a request with these headers.
func request(h headers) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://portal.example/", nil)
	r.RemoteAddr = loopback
	for i := 0; i < len(h); i += 2 {
		r.Header.Add(h[i], h[i+1])
	}
	return r
}

func networks(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// fromLoopback is the trust of most tests.
var fromLoopback = []Rule{{Addresses: networks("127.0.0.0/8")}}

// config is a configuration of a format that New takes.
func config(f Format) Config {
	c := Config{Name: "front", Format: f, Trust: fromLoopback}
	switch f {
	case RFC9440, Caddy, Traefik, Envoy, AWSALBVerify, Kong:
		c.TerminatorVerifies = true
	case AzureApplicationGateway:
		c.Encoding = PercentPEM
	case Custom:
		c.Headers.Certificate = "X-Cert"
		c.Custom = &CustomFormat{Encoding: Base64}
		c.TerminatorVerifies = true
	}
	return c
}

func build(t testing.TB, c Config) *Terminator {
	t.Helper()
	out, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func builtFor(t testing.TB, f Format) *Terminator { return build(t, config(f)) }

// wantChain fails unless a request has exactly these certificates, leaf first.
func wantChain(t testing.TB, front *Terminator, r *http.Request, want ...*x509.Certificate) factors.PeerCertChain {
	t.Helper()
	chain, err := front.PeerCertChain(r)
	if err != nil {
		t.Errorf("refused: %v", err)
		return chain
	}
	got := chain.Certificates()
	if len(got) != len(want) {
		t.Errorf("%d certificates, want %d", len(got), len(want))
		return chain
	}
	for i := range want {
		if !got[i].Equal(want[i]) {
			t.Errorf("certificate %d is %q, want %q", i, got[i].Subject, want[i].Subject)
		}
	}
	return chain
}

func wantNone(t testing.TB, front *Terminator, r *http.Request) {
	t.Helper()
	wantChain(t, front, r)
}

func wantReason(t testing.TB, front *Terminator, r *http.Request, want authn.Reason) {
	t.Helper()
	chain, err := front.PeerCertChain(r)
	if chain.Present() {
		t.Errorf("there is a chain: %q", chain.Leaf().Subject)
	}
	wantRejection(t, err, want)
}

func wantRejection(t testing.TB, err error, want authn.Reason) {
	t.Helper()
	rejected, ok := errors.AsType[*factors.Rejection](err)
	if !ok {
		t.Errorf("got %v, want a rejection for %s", err, want)
		return
	}
	if rejected.Reason != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if strings.Contains(rejected.Detail, "MII") {
		t.Errorf("the detail holds a certificate: %s", rejected.Detail)
	}
}
