package terminator_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/mtls/terminator"
)

// Names of the headers between the proxy of these tests and the program.
const (
	certHeader    = "X-Ssl-Client-Cert"
	verdictHeader = "X-Ssl-Client-Verify"
	secretHeader  = "X-Front"
	frontSecret   = "a secret that the proxy has in common with the program"
)

// leaky is a proxy with a fault. It has the headers of a request set before it is forwarded, and the last word about them.
type leaky func(in *http.Request, out http.Header)

// behind starts a program with a probe route, and the proxy in front of it. Its answer is the program as a probe finds it.
func behind(t *testing.T, config func(*terminator.Config), leak leaky) mtls.ProbeConfig {
	t.Helper()
	staff, servers := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Server CA")
	c := terminator.Config{Name: "front", Format: terminator.Nginx, Trust: []terminator.Rule{{
		Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Secret: &terminator.Secret{Header: secretHeader, Values: []string{strings.ReplaceAll(frontSecret, " ", "-")}},
	}}}
	if config != nil {
		config(&c)
	}
	source, err := terminator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	route, err := mtls.ProbeRoute(probeToken)
	if err != nil {
		t.Fatal(err)
	}
	program := httptest.NewServer(mtls.Middleware(source)(route))
	t.Cleanup(program.Close)
	p := &proxy{t: t, to: program.URL, staff: staff, leak: leak}
	front := httptest.NewUnstartedServer(p)
	front.TLS = &tls.Config{Certificates: []tls.Certificate{servers.Server()}, ClientAuth: tls.RequestClientCert}
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	own := staff.Issue(mtlstest.Leaf{CN: "alice"})
	return mtls.ProbeConfig{URL: front.URL + "/probe", Token: probeToken, Roots: servers.Pool(), Own: &own}
}

// proxy forwards to the program, as nginx does with the documented configuration, and in between makes its fault.
type proxy struct {
	t     *testing.T
	to    string
	staff *mtlstest.CA
	leak  leaky
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	out, err := http.NewRequestWithContext(in.Context(), http.MethodPost, p.to+in.URL.Path, bytes.NewReader(body))
	if err != nil {
		p.t.Error(err)
		return
	}
	for name, values := range in.Header {
		if strings.HasPrefix(name, "Sallyport-") {
			out.Header[name] = values
		}
	}
	p.set(in, out.Header)
	if p.leak != nil {
		p.leak(in, out.Header)
	}
	answer, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// set sets the headers as they should be.
func (p *proxy) set(in *http.Request, out http.Header) {
	out.Set(secretHeader, strings.ReplaceAll(frontSecret, " ", "-"))
	out.Set(verdictHeader, "NONE")
	if len(in.TLS.PeerCertificates) == 0 {
		return
	}
	leaf := in.TLS.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: p.staff.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return
	}
	out.Set(verdictHeader, "SUCCESS")
	out.Set(certHeader, escaped(leaf))
}

func escaped(c *x509.Certificate) string {
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
}

// pass lets headers through that spell sees in what the client sent.
func pass(in, out http.Header, spell func(string) (as string, ok bool)) {
	for name, values := range in {
		if as, ok := spell(name); ok {
			out[as] = values
		}
	}
}

var theirs = map[string]bool{certHeader: true, verdictHeader: true}

// folding reads names with a mark in them as if they had dashes.
func folding(mark string) leaky {
	return func(in *http.Request, out http.Header) {
		pass(in.Header, out, func(s string) (string, bool) {
			as := http.CanonicalHeaderKey(strings.ReplaceAll(s, mark, "-"))
			return as, as != s && theirs[as]
		})
	}
}

// spelledSo lets names through that have a mark in them.
func spelledSo(mark string) leaky {
	return func(in *http.Request, out http.Header) {
		pass(in.Header, out, func(s string) (string, bool) { return s, strings.Contains(s, mark) })
	}
}

func exactly(s string) (string, bool) { return s, theirs[s] }

// named reports whether a request names a header in Connection.
func named(in *http.Request, name string) bool {
	return strings.Contains(strings.ToLower(strings.Join(in.Header["Connection"], ",")), strings.ToLower(name))
}
