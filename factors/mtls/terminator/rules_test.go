package terminator

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

const (
	clientCert  = "X-SSL-Client-Cert"
	clientChain = "X-SSL-Client-Chain"
	verdict     = "X-SSL-Client-Verify"
	used        = "X-SSL-Client-Used"
)

// nginxOf is what nginx sends of a certificate that it verified.
func nginxOf(c *x509.Certificate) headers {
	return headers{clientCert, percent(pemOf(c)), verdict, "SUCCESS"}
}

// The certificate of the connection is the terminator's own, whether or not the client has one.
func TestTheConnectionsCertificateIsNeverTheClients(t *testing.T) {
	w := newWorld(t)
	front := builtFor(t, Nginx)
	ownTLS := &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{w.bob, w.issuing.Certificate}}
	for name, c := range map[string]struct {
		headers headers
		want    []*x509.Certificate
	}{
		"no certificate":  {headers{verdict, "NONE"}, nil},
		"one of a client": {nginxOf(w.alice), []*x509.Certificate{w.alice}},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(c.headers)
			r.TLS = ownTLS
			wantChain(t, front, r, c.want...)
		})
	}
	t.Run("a stranger", func(t *testing.T) {
		r := request(nil)
		r.TLS, r.RemoteAddr = ownTLS, "192.0.2.1:1234"
		wantNone(t, front, r)
	})
}

func TestTheSourceSaysWhoVouchesForTheChain(t *testing.T) {
	w := newWorld(t)
	source := wantChain(t, builtFor(t, Nginx), request(nginxOf(w.alice)), w.alice).Source()
	if source.Name != "front" || source.Trust != "address [127.0.0.0/8]" || !source.Checked || source.Early || source.Resumed {
		t.Errorf("source %+v", source)
	}
	here := config(Caddy)
	here.TerminatorVerifies, here.VerifiedHere = false, true
	for name, c := range map[string]struct {
		config  Config
		headers headers
	}{
		"passed through":          {config(AWSALBPassthrough), headers{"X-Amzn-Mtls-Clientcert", percentAWS(pemOf(w.alice))}},
		"passed through by Azure": {config(AzureAppService), headers{"X-ARR-ClientCert", b64(w.alice)}},
		"verified here":           {here, headers{clientCert, b64(w.alice)}},
	} {
		if wantChain(t, build(t, c.config), request(c.headers), w.alice).Source().Checked {
			t.Errorf("%s: the terminator is said to have verified it", name)
		}
	}
}

func TestEarlyDataOfTheClientIsKept(t *testing.T) {
	w := newWorld(t)
	if !wantChain(t, builtFor(t, Nginx), request(nginxOf(w.alice).with("Early-Data", "1")), w.alice).Source().Early {
		t.Error("a request that can be a replay is taken for one that cannot")
	}
	r := request(nginxOf(w.alice))
	r.TLS = &tls.ConnectionState{}
	if !wantChain(t, builtFor(t, Nginx), r, w.alice).Source().Early {
		t.Error("a request before the terminator's handshake is taken for a later one")
	}
}

func TestAHeaderTwiceIsRefused(t *testing.T) {
	w := newWorld(t)
	all := spellings(w)
	for format, list := range all {
		full := list[0].headers
		for i := 0; i < len(full); i += 2 {
			t.Run(string(format)+"/"+full[i], func(t *testing.T) {
				if strings.Contains(full[i], "-Subject") {
					return // it is not read
				}
				wantReason(t, builtFor(t, format), request(full.with(full[i], full[i+1])), ReasonRepeated)
			})
		}
	}
	t.Run("a chain in one header", func(t *testing.T) {
		c := config(HAProxy)
		c.Headers.Chain = clientChain
		sent := headers{clientCert, b64(w.alice), verdict, "0", used, "1", clientChain, b64(w.issuing.Certificate)}
		wantChain(t, build(t, c), request(sent), w.alice, w.issuing.Certificate)
		wantReason(t, build(t, c), request(sent.with(clientChain, b64(w.issuing.Certificate))), ReasonRepeated)
	})
	t.Run("another's in front, as with add-header", func(t *testing.T) {
		wantReason(t, builtFor(t, HAProxy), request(headers{clientCert, b64(w.bob), clientCert, b64(w.alice), verdict, "0", used, "1"}), ReasonRepeated)
	})
}

// aliases are names that some program takes for name.
func aliases(name string) []string {
	return []string{
		strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.Replace(name, "-", "_", 1),
		strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "~"), strings.ReplaceAll(name, "-", "!"),
	}
}

// From the terminator they come of a client that it lets through; from others they are removed.
func TestAnAliasIsRefusedAndRemoved(t *testing.T) {
	w := newWorld(t)
	for format, list := range spellings(w) {
		full := list[0].headers
		for i := 0; i < len(full); i += 2 {
			for _, alias := range aliases(full[i]) {
				if alias == http.CanonicalHeaderKey(full[i]) {
					continue
				}
				t.Run(string(format)+"/"+alias, func(t *testing.T) {
					front := builtFor(t, format)
					r := request(full)
					r.Header[alias] = []string{full[i+1]} // as it is: an odd case survives some listeners
					wantReason(t, front, r, ReasonAlias)
					wantRemoved(t, front, r)

					stranger := request(nil)
					stranger.RemoteAddr = "192.0.2.1:1234"
					stranger.Header[alias] = []string{full[i+1]}
					wantNone(t, front, stranger)
					wantRemoved(t, front, stranger)
				})
			}
		}
	}
}

// A program behind may be careless with names that have underscores of their own.
func TestAnUnderscoredHeaderHasDashedAliases(t *testing.T) {
	w := newWorld(t)
	c := config(Apache)
	c.Headers = Headers{Certificate: "SSL_CLIENT_CERT", Verdict: "SSL_CLIENT_VERIFY", Chain: "CERT_CHAIN_", ChainLength: 2}
	front := build(t, c)
	sent := headers{"SSL_CLIENT_CERT", spaced(w.alice), "SSL_CLIENT_VERIFY", "SUCCESS", "CERT_CHAIN_0", spaced(w.issuing.Certificate), "CERT_CHAIN_1", "(null)"}
	wantChain(t, front, request(sent), w.alice, w.issuing.Certificate)
	for _, alias := range []string{"Ssl-Client-Cert", "Ssl-Client-Verify", "Cert-Chain-0", "Cert-Chain-7"} {
		wantReason(t, front, request(sent.with(alias, "x")), ReasonAlias)
	}
}

// wantRemoved fails if a request has anything left that is the terminator's.
func wantRemoved(t testing.TB, front *Terminator, r *http.Request) {
	t.Helper()
	for _, h := range []http.Header{r.Header, r.Trailer} {
		if exact, alias := front.names.scan(h); exact || alias {
			t.Errorf("left in the request: %v", h)
		}
	}
}

func TestHeadersAreRemovedWhateverTheySay(t *testing.T) {
	w := newWorld(t)
	for format, list := range spellings(w) {
		for _, s := range list {
			t.Run(string(format)+"/"+s.name, func(t *testing.T) {
				c := config(format)
				c.Headers.Others = []string{"X-SSL-Client-S-DN"}
				front := build(t, c)
				for _, from := range []string{loopback, "192.0.2.1:1234"} {
					r := request(s.headers.with("X-SSL-Client-S-DN", "CN=mallory", "Accept", "text/html"))
					r.RemoteAddr = from
					_, _ = front.PeerCertChain(r)
					wantRemoved(t, front, r)
					if len(r.Header) != 1 || r.Header.Get("Accept") == "" {
						t.Errorf("from %s there is left: %v", from, r.Header)
					}
				}
			})
		}
	}
}

func TestNoneHasOneSpelling(t *testing.T) {
	everything := []string{"", "(null)", "::", "-----BEGIN CERTIFICATE-----  -----END CERTIFICATE-----", "<nil>", "null", "none", "-",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}
	good := map[Format]string{HAProxy: "", Caddy: "", GCP: "", Apache: "(null)"}
	w := newWorld(t)
	for format, list := range spellings(w) {
		name := list[0].headers[0] // of the certificate
		if format == GCP {
			name = "X-Client-Cert-Leaf"
		}
		var none headers // of the rest
		for _, s := range list {
			if s.reason == "" && s.want == nil && !strings.Contains(s.name, "Info") {
				none = s.headers.without(name)
			}
		}
		for _, v := range everything {
			spelling, sent := good[format]
			t.Run(fmt.Sprintf("%s/%q", format, v), func(t *testing.T) {
				chain, err := builtFor(t, format).PeerCertChain(request(none.with(name, v)))
				if anonymous := err == nil; anonymous != (sent && v == spelling) || chain.Present() {
					t.Errorf("anonymous %v, err %v", anonymous, err)
				}
			})
		}
	}
}

func TestTheVerdictGoesWithTheCertificate(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		format Format
		sent   headers
	}{
		"verdict missing":                     {Nginx, nginxOf(w.alice).without(verdict)},
		"verdict missing, no certificate":     {Nginx, nil},
		"verdict empty":                       {Nginx, nginxOf(w.alice).without(verdict).with(verdict, "")},
		"good verdict without a certificate":  {Nginx, nginxOf(w.alice).without(clientCert)},
		"good verdict, certificate empty":     {Nginx, headers{clientCert, "", verdict, "SUCCESS"}},
		"good verdict, certificate (null)":    {Apache, headers{clientCert, "(null)", verdict, "SUCCESS"}},
		"no verdict with a certificate":       {Nginx, nginxOf(w.alice).without(verdict).with(verdict, "NONE")},
		"bad verdict without a certificate":   {Nginx, headers{verdict, "FAILED:certificate has expired"}},
		"good verdict with more behind it":    {Nginx, nginxOf(w.alice).without(verdict).with(verdict, "SUCCESS,FAILED:x")},
		"verify is zero and used is not":      {HAProxy, headers{clientCert, b64(w.alice), verdict, "0", used, "0"}},
		"used is missing":                     {HAProxy, headers{clientCert, b64(w.alice), verdict, "0"}},
		"used and verify without certificate": {HAProxy, headers{clientCert, "", verdict, "0", used, "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			chain, err := builtFor(t, c.format).PeerCertChain(request(c.sent))
			if err == nil || chain.Present() {
				t.Errorf("chain %v, err %v", chain.Present(), err)
			}
		})
	}
}

// Where the factor alone verifies, a verdict may be bad and must be there all the same.
func TestVerifiedHereExcusesABadVerdictAndNothingElse(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name   string
		format Format
		sent   headers
		ok     bool
	}{
		{"failed", Nginx, headers{clientCert, percent(pemOf(w.alice)), verdict, "FAILED:unable to verify"}, true},
		{"failed at HAProxy", HAProxy, headers{clientCert, b64(w.alice), verdict, "20", used, "1"}, true},
		{"missing", Nginx, nginxOf(w.alice).without(verdict), false},
		{"unused", HAProxy, headers{clientCert, b64(w.alice), verdict, "20", used, "0"}, false},
		{"no certificate", Nginx, headers{verdict, "FAILED:x"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(c.format)
			cfg.VerifiedHere = true
			chain, err := build(t, cfg).PeerCertChain(request(c.sent))
			if chain.Present() != c.ok || (err == nil) != c.ok || c.ok && chain.Source().Checked {
				t.Errorf("chain %v, err %v", chain.Present(), err)
			}
		})
	}
}

func TestBase64IsStrict(t *testing.T) {
	w := newWorld(t)
	good := padded(t, w)
	url := strings.NewReplacer("+", "-", "/", "_").Replace(good)
	last := strings.TrimRight(good, "=")
	for name, v := range map[string]string{
		"line end inside": good[:64] + "\n" + good[64:],
		"return inside":   good[:64] + "\r" + good[64:],
		"space inside":    good[:64] + " " + good[64:],
		"space before":    " " + good,
		"no padding":      last,
		"too much":        good + "=",
		"bits left over":  last[:len(last)-1] + string(last[len(last)-1]+1) + good[len(last):],
		"text behind":     good + "AAAA",
		"twice":           good + good,
		"URL alphabet":    url,
		"percent":         percent(good),
	} {
		t.Run(name, func(t *testing.T) {
			if v == good {
				t.Skip("this certificate has none of it")
			}
			wantReason(t, builtFor(t, Caddy), request(headers{clientCert, v}), ReasonMalformed)
			wantReason(t, builtFor(t, RFC9440), request(headers{"Client-Cert", ":" + v + ":"}), ReasonMalformed)
			wantReason(t, builtFor(t, Traefik), request(headers{"X-Forwarded-Tls-Client-Cert", b64(w.alice) + "," + v}), ReasonMalformed)
		})
	}
}

// padded is a certificate whose base64 ends in padding, and has a plus or a slash.
func padded(t testing.TB, w world) string {
	for range 100 {
		if s := b64(w.ca.Issue(mtlstest.Leaf{CN: "padded"}).Leaf); strings.HasSuffix(s, "=") && strings.ContainsAny(s, "+/") {
			return s
		}
	}
	t.Fatal("no certificate ends in padding")
	return ""
}

func TestPercentEncodingIsUndoneOnce(t *testing.T) {
	w := newWorld(t)
	text := pemOf(w.alice)
	for name, c := range map[string]struct {
		sent string
		ok   bool
	}{
		"nginx":                  {percent(text), true},
		"+ / = as they are":      {percentAWS(text), true},
		"lower-case hexadecimal": {strings.ReplaceAll(percentAWS(text), "%0A", "%0a"), true},
		"twice":                  {percent(percent(text)), false},
		"a form: + for space":    {strings.ReplaceAll(percent(text), "%20", "+"), false},
		"an open escape":         {percent(text) + "%", false},
		"not hexadecimal":        {percent(text) + "%zz", false},
		"a NUL behind":           {percent(text) + "%00", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(headers{clientCert, c.sent, verdict, "SUCCESS"})
			if c.ok {
				wantChain(t, builtFor(t, Nginx), r, w.alice)
				return
			}
			wantReason(t, builtFor(t, Nginx), r, ReasonMalformed)
		})
	}
}

func TestPEMIsAsItIsWritten(t *testing.T) {
	w := newWorld(t)
	good := pemOf(w.alice)
	broken := strings.Replace(pemOf(w.bob), "MII", "M*I", 1)
	for name, text := range map[string]string{
		"text before":               "x\n" + good,
		"text behind":               good + "x",
		"a line end too many":       good + "\n",
		"a line end before":         "\n" + good,
		"CR LF":                     strings.ReplaceAll(good, "\n", "\r\n"),
		"a broken block before":     broken + good,
		"headers":                   strings.Replace(good, "-----\n", "-----\nA: b\n\n", 1),
		"another type":              strings.ReplaceAll(good, " CERTIFICATE", " X509 CERTIFICATE"),
		"longer lines":              strings.Replace(good, "\n", "", 2),
		"two certificates":          good + pemOf(w.bob),
		"nothing in it":             "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
		"no end":                    strings.TrimSuffix(good, "-----END CERTIFICATE-----\n"),
		"spaces behind the markers": strings.ReplaceAll(good, "-----\n", "----- \n"),
	} {
		t.Run(name, func(t *testing.T) {
			wantReason(t, builtFor(t, Nginx), request(headers{clientCert, percent(text), verdict, "SUCCESS"}), ReasonMalformed)
			asSpaced := strings.ReplaceAll(text, "\n", " ")
			if strings.Contains(text, "\r") {
				return
			}
			wantReason(t, builtFor(t, Apache), request(headers{clientCert, asSpaced, verdict, "SUCCESS"}), ReasonMalformed)
			if name != "two certificates" {
				wantReason(t, builtFor(t, AWSALBPassthrough), request(headers{albChain, percentAWS(text)}), ReasonMalformed)
			}
		})
	}
}

func TestDERIsOneCertificateAndNothingElse(t *testing.T) {
	w := newWorld(t)
	der := w.alice.Raw
	for name, b := range map[string][]byte{
		"a byte behind":   append(der[:len(der):len(der)], 0),
		"cut off":         der[:len(der)-1],
		"two":             append(der[:len(der):len(der)], w.bob.Raw...),
		"a key":           w.alice.RawSubjectPublicKeyInfo,
		"another version": []byte("no certificate at all"),
	} {
		t.Run(name, func(t *testing.T) {
			wantReason(t, builtFor(t, Caddy), request(headers{clientCert, base64.StdEncoding.EncodeToString(b)}), ReasonMalformed)
			c := config(HAProxy)
			c.Headers.Chain = clientChain
			if name != "two" {
				wantReason(t, build(t, c), request(headers{clientCert, b64(w.alice), verdict, "0", used, "1", clientChain, base64.StdEncoding.EncodeToString(b)}), ReasonMalformed)
			}
		})
	}
}

func TestAFingerprintMatchesTheCertificate(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		format Format
		sent   headers
	}{
		"Cloudflare": {Cloudflare, cloudflareOf(w.alice).without("Cf-Client-Cert-Sha256").with("Cf-Client-Cert-Sha256", hexHashOf(w.bob))},
		"GCP":        {GCP, gcpOf(w.alice).without("X-Client-Cert-Hash").with("X-Client-Cert-Hash", base64HashOf(w.bob))},
		"Envoy":      {Envoy, headers{"X-Forwarded-Client-Cert", strings.Replace(xfcc(w.alice), hexHashOf(w.alice), hexHashOf(w.bob), 1)}},
		"no digest":  {GCP, gcpOf(w.alice).without("X-Client-Cert-Hash").with("X-Client-Cert-Hash", "x")},
	} {
		t.Run(name, func(t *testing.T) {
			wantReason(t, builtFor(t, c.format), request(c.sent), ReasonFingerprint)
		})
	}
}

// What is over the bounds is not even decoded: garbage of that size is too large, and not malformed.
func TestBoundsAreHeldBeforeDecoding(t *testing.T) {
	w := newWorld(t)
	huge := strings.Repeat("*", defaultCertificate+1)
	var many []string
	for range maxCertificates {
		many = append(many, sequence(w.issuing.Certificate))
	}
	narrow := config(RFC9440)
	narrow.Bounds = Bounds{Certificates: 1}
	small := config(RFC9440)
	small.Bounds = Bounds{All: 100}
	for name, c := range map[string]struct {
		config Config
		sent   headers
	}{
		"certificate":            {config(Caddy), headers{clientCert, huge}},
		"certificate in a list":  {config(Traefik), headers{"X-Forwarded-Tls-Client-Cert", b64(w.alice) + "," + huge}},
		"certificate of a chain": {config(RFC9440), headers{"Client-Cert", sequence(w.alice), "Client-Cert-Chain", huge}},
		"Cert":                   {config(Envoy), headers{"X-Forwarded-Client-Cert", "Hash=x;Cert=" + huge}},
		"all":                    {config(Traefik), headers{"X-Forwarded-Tls-Client-Cert", strings.Repeat("*,", defaultAll/2) + "*"}},
		"all, a verdict":         {config(Nginx), nginxOf(w.alice).without(verdict).with(verdict, strings.Repeat("x", defaultAll))},
		"certificates":           {config(RFC9440), headers{"Client-Cert", sequence(w.alice), "Client-Cert-Chain", strings.Join(many, ",")}},
		"certificates, narrower": {narrow, headers{"Client-Cert", sequence(w.alice), "Client-Cert-Chain", many[0]}},
		"bytes, narrower":        {small, headers{"Client-Cert", sequence(w.alice)}},
		"blocks":                 {config(AWSALBPassthrough), headers{albChain, percentAWS(strings.Repeat(pemOf(w.alice), maxCertificates+1))}},
	} {
		t.Run(name, func(t *testing.T) {
			wantReason(t, build(t, c.config), request(c.sent), mtls.ReasonTooLarge)
		})
	}
	t.Run("concatenated", func(t *testing.T) {
		c := config(HAProxy)
		c.Headers.Chain, c.Bounds.Certificates = clientChain, 2
		sent := headers{clientCert, b64(w.alice), verdict, "0", used, "1", clientChain, joined(w.issuing.Certificate, w.ca.Certificate)}
		wantReason(t, build(t, c), request(sent), mtls.ReasonTooLarge)
	})
}

// A large certificate passes where the bounds allow it.
func TestALargeCertificatePasses(t *testing.T) {
	w := newWorld(t)
	var names []string
	for i := range 400 {
		names = append(names, fmt.Sprintf("host-%d.with-a-long-name.example.com", i))
	}
	large := w.ca.Issue(mtlstest.Leaf{CN: "large", DNS: names}).Leaf
	wantChain(t, builtFor(t, Nginx), request(nginxOf(large)), large)
}

// The chain is what the client sent: it is handed on as it came, and says nothing of who the client is.
func TestTheChainIsHints(t *testing.T) {
	w := newWorld(t)
	c := config(HAProxy)
	c.Headers.Chain = clientChain
	front := build(t, c)
	sent := headers{clientCert, b64(w.alice), verdict, "0", used, "1"}
	wantChain(t, front, request(sent.with(clientChain, joined(w.bob, w.issuing.Certificate, w.ca.Certificate))), w.alice, w.bob, w.issuing.Certificate, w.ca.Certificate)
	t.Run("lost with a resumed session", func(t *testing.T) {
		wantChain(t, front, request(sent.with(clientChain, "")), w.alice)
	})
	t.Run("a header that the terminator always sends", func(t *testing.T) {
		wantReason(t, front, request(sent), ReasonMissing)
	})
}

func TestAChainWithoutItsCertificateIsRefused(t *testing.T) {
	w := newWorld(t)
	wantReason(t, builtFor(t, RFC9440), request(headers{"Client-Cert-Chain", sequence(w.issuing.Certificate)}), ReasonContradiction)
	c := config(HAProxy)
	c.Headers.Chain = clientChain
	wantReason(t, build(t, c), request(headers{clientCert, "", verdict, "0", used, "0", clientChain, b64(w.issuing.Certificate)}), ReasonContradiction)
}

func TestTheCertificateInItsChainIsRefused(t *testing.T) {
	w := newWorld(t)
	wantReason(t, builtFor(t, RFC9440), request(headers{"Client-Cert", sequence(w.alice), "Client-Cert-Chain", sequence(w.issuing.Certificate) + "," + sequence(w.alice)}), ReasonMalformed)
}

func TestANumberedChainHasNoGapsAndNoMore(t *testing.T) {
	w := newWorld(t)
	c := config(Apache)
	c.Headers.Chain, c.Headers.ChainLength = clientChain+"-", 3
	front := build(t, c)
	sent := headers{clientCert, spaced(w.alice), verdict, "SUCCESS"}
	one, two := spaced(w.issuing.Certificate), spaced(w.ca.Certificate)
	wantChain(t, front, request(sent.with(clientChain+"-0", one, clientChain+"-1", two, clientChain+"-2", "(null)")), w.alice, w.issuing.Certificate, w.ca.Certificate)
	wantReason(t, front, request(sent.with(clientChain+"-0", "(null)", clientChain+"-1", two, clientChain+"-2", "(null)")), ReasonMalformed)
	wantReason(t, front, request(sent.with(clientChain+"-0", one, clientChain+"-1", two)), ReasonMissing)
	wantReason(t, front, request(sent.with(clientChain+"-0", one, clientChain+"-1", two, clientChain+"-2", "(null)", clientChain+"-7", spaced(w.bob))), ReasonAlias)
	wantReason(t, front, request(sent.with(clientChain+"-0", one, clientChain+"-1", two, clientChain+"-2", "(null)", clientChain+"-01", spaced(w.bob))), ReasonAlias)
}

// An expired certificate is read: the time belongs to the factor.
func TestTheReaderDoesNotJudge(t *testing.T) {
	w := newWorld(t)
	old := w.ca.Issue(mtlstest.Leaf{CN: "alice", NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)}).Leaf
	wantChain(t, builtFor(t, Nginx), request(nginxOf(old)), old)
}
