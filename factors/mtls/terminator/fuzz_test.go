package terminator

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors"
)

// sentIn reports whether a certificate is in a value in any of the ways in which certificates are written.
func sentIn(value string, c *x509.Certificate) bool {
	text := b64(c)
	if strings.Contains(strings.ReplaceAll(value, " ", ""), text) {
		return true
	}
	if plain, err := url.PathUnescape(value); err == nil && strings.Contains(strings.ReplaceAll(plain, "\n", ""), text) {
		return true
	}
	der, err := base64.StdEncoding.DecodeString(value)
	return err == nil && bytes.Contains(der, c.Raw)
}

// fuzz feeds a reader with values of its headers, one for each header that the format reads, between line ends: a header
// occurs as often as it has values between NULs, and not at all where it has "absent". Whatever comes, there is no panic;
// what is refused is a Rejection; a certificate that comes out was sent, the first one in the header of the client's; and
// the headers are gone.
func fuzz(f *testing.F, c Config) {
	front := build(f, c)
	var fields []string
	for _, name := range front.shape.names() {
		if *name != "" {
			fields = append(fields, *name)
		}
	}
	w := newWorld(f)
	for _, s := range spellings(w)[c.Format] {
		f.Add(seed(fields, s.headers))
	}
	if len(front.shape.chain) > 0 {
		for _, v := range []string{sequence(w.issuing.Certificate) + ", " + sequence(w.ca.Certificate), joined(w.issuing.Certificate, w.ca.Certificate), spaced(w.issuing.Certificate), ""} {
			f.Add(seed(fields, spellings(w)[c.Format][0].headers.with(front.shape.chain[0], v)))
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = loopback
		values := strings.Split(in, "\n")
		for i, v := range values[:min(len(values), len(fields))] {
			if v != "absent" {
				r.Header[fields[i]] = strings.Split(v, "\x00")
			}
		}
		before := r.Header.Clone()
		chain, err := front.PeerCertChain(r)
		if err != nil {
			if _, ok := err.(*factors.Rejection); !ok || chain.Present() {
				t.Fatalf("not a rejection: %v", err)
			}
		}
		wantRemoved(t, front, r)
		if !chain.Present() {
			return
		}
		if leaf := before[front.shape.leaf]; len(leaf) != 1 || !sentIn(leaf[0], chain.Leaf()) {
			t.Fatalf("a certificate that was not sent: %q", chain.Leaf().Subject)
		}
		for _, c := range chain.Certificates()[1:] {
			if !sentInAny(before, c) {
				t.Fatalf("a certificate of the chain that was not sent: %q", c.Subject)
			}
		}
		for i := range front.shape.verdicts {
			v := &front.shape.verdicts[i]
			if sent := before[v.Header]; len(sent) != 1 || sent[0] != v.OK {
				t.Fatalf("taken with the verdict %q", sent)
			}
		}
	})
}

func sentInAny(h http.Header, c *x509.Certificate) bool {
	for _, values := range h {
		for _, v := range values {
			if sentIn(v, c) {
				return true
			}
		}
	}
	return false
}

// seed writes headers as fuzz reads them.
func seed(fields []string, h headers) string {
	r := request(h)
	var out []string
	for _, name := range fields {
		v := "absent"
		if values := r.Header[name]; len(values) > 0 {
			v = strings.Join(values, "\x00")
		}
		out = append(out, v)
	}
	return strings.Join(out, "\n")
}

func withChain(f Format, name string, length int) Config {
	c := config(f)
	c.Headers.Chain, c.Headers.ChainLength = name, length
	return c
}

func FuzzRFC9440(f *testing.F)           { fuzz(f, config(RFC9440)) }
func FuzzNginx(f *testing.F)             { fuzz(f, config(Nginx)) }
func FuzzHAProxy(f *testing.F)           { fuzz(f, withChain(HAProxy, clientChain, 0)) }
func FuzzApache(f *testing.F)            { fuzz(f, withChain(Apache, clientChain+"-", 3)) }
func FuzzCaddy(f *testing.F)             { fuzz(f, config(Caddy)) }
func FuzzTraefik(f *testing.F)           { fuzz(f, config(Traefik)) }
func FuzzEnvoy(f *testing.F)             { fuzz(f, config(Envoy)) }
func FuzzAWSALBVerify(f *testing.F)      { fuzz(f, config(AWSALBVerify)) }
func FuzzAWSALBPassthrough(f *testing.F) { fuzz(f, config(AWSALBPassthrough)) }
func FuzzCloudflare(f *testing.F)        { fuzz(f, config(Cloudflare)) }
func FuzzGCP(f *testing.F)               { fuzz(f, withChain(GCP, "X-Client-Cert-Chain", 0)) }
func FuzzAzureAppService(f *testing.F)   { fuzz(f, config(AzureAppService)) }
func FuzzApplicationGateway(f *testing.F) {
	c := config(AzureApplicationGateway)
	c.Encoding = SpacedPEM
	fuzz(f, c)
}
func FuzzKong(f *testing.F) { fuzz(f, config(Kong)) }
func FuzzCustom(f *testing.F) {
	c := config(Custom)
	c.Headers.Chain = "X-Chain"
	c.Custom = &CustomFormat{Encoding: SpacedPEM, None: None{Sent: true, Value: "-"}, Chain: ChainConcatenated, ChainNone: None{Sent: true},
		Verdicts: []Verdict{{Header: "X-Verify", OK: "0", None: ""}}, Fingerprint: "X-Digest"}
	c.TerminatorVerifies = false
	fuzz(f, c)
}

// Names of headers: whatever folds to one of the terminator's is found, and nothing else is taken away.
func FuzzNames(f *testing.F) {
	front := build(f, withChain(Apache, clientChain+"-", 2))
	for _, name := range []string{clientCert, "x_ssl.client cert", clientChain + "-0", clientChain + "-17", clientChain + "_9", clientChain + "-", "Accept", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, key string) {
		folded := make([]byte, len(key))
		for i := range len(key) {
			folded[i] = foldByte(key[i])
		}
		digits, numbered := strings.CutPrefix(string(folded), "x-ssl-client-chain-")
		want := numbered && digits != "" && strings.Trim(digits, "0123456789") == "" ||
			string(folded) == "x-ssl-client-cert" || string(folded) == "x-ssl-client-verify"
		exact, alias := front.names.is(key)
		if (exact || alias) != want || exact && key != http.CanonicalHeaderKey(key) {
			t.Fatalf("%q: exact %v, alias %v", key, exact, alias)
		}
	})
}
