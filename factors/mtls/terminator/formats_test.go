package terminator

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
)

// spelling is what a terminator sends, and what it means.
type spelling struct {
	name    string
	headers headers
	want    []*x509.Certificate // leaf first; nil: no certificate
	reason  authn.Reason        // not empty: refused
}

// spellings are those captured from the programs, or written after their documentation where the name says so.
func spellings(w world) map[Format][]spelling {
	alice, chain := []*x509.Certificate{w.alice}, []*x509.Certificate{w.alice, w.issuing.Certificate}
	root := w.ca.Certificate
	const cert, verify, used = "X-SSL-Client-Cert", "X-SSL-Client-Verify", "X-SSL-Client-Used"
	escaped := percent(pemOf(w.alice))
	return map[Format][]spelling{
		RFC9440: {
			{"leaf", headers{"Client-Cert", sequence(w.alice)}, alice, ""},
			{"leaf and chain", headers{"Client-Cert", sequence(w.alice), "Client-Cert-Chain", sequence(w.issuing.Certificate)}, chain, ""},
			{"chain on several lines", headers{"Client-Cert", sequence(w.alice), "Client-Cert-Chain", sequence(w.issuing.Certificate), "Client-Cert-Chain", sequence(root)}, []*x509.Certificate{w.alice, w.issuing.Certificate, root}, ""},
			{"chain with spaces", headers{"Client-Cert", sequence(w.alice), "Client-Cert-Chain", sequence(w.issuing.Certificate) + " ,\t" + sequence(root)}, []*x509.Certificate{w.alice, w.issuing.Certificate, root}, ""},
			{"none", nil, nil, ""},
			{"none, naive", headers{"Client-Cert", "::"}, nil, ReasonMalformed},
			{"none, empty", headers{"Client-Cert", ""}, nil, ReasonMalformed},
			{"parameters", headers{"Client-Cert", sequence(w.alice) + ";q=1"}, nil, ReasonMalformed},
			{"list", headers{"Client-Cert", sequence(w.alice) + "," + sequence(w.bob)}, nil, ReasonMalformed},
			{"chain with a trailing comma", headers{"Client-Cert", sequence(w.alice), "Client-Cert-Chain", sequence(root) + ","}, nil, ReasonMalformed},
			{"chain with an empty member", headers{"Client-Cert", sequence(w.alice), "Client-Cert-Chain", sequence(root) + ",," + sequence(root)}, nil, ReasonMalformed},
			{"chain with a bad member", headers{"Client-Cert", sequence(w.alice), "Client-Cert-Chain", sequence(root) + ", x"}, nil, ReasonMalformed},
			{"chain that is empty", headers{"Client-Cert", sequence(w.alice), "Client-Cert-Chain", ""}, nil, ReasonMalformed},
		},
		Nginx: {
			{"escaped", headers{cert, escaped, verify, "SUCCESS"}, alice, ""},
			{"escaped, without the last line end", headers{cert, strings.TrimSuffix(escaped, "%0A"), verify, "SUCCESS"}, alice, ""},
			{"none", headers{verify, "NONE"}, nil, ""},
			{"none, empty", headers{cert, "", verify, "NONE"}, nil, ReasonNotVerified},
			{"optional_no_ca", headers{cert, escaped, verify, "FAILED:self-signed certificate"}, nil, ReasonNotVerified},
			{"verdict in another case", headers{cert, escaped, verify, "success"}, nil, ReasonNotVerified},
			{"neither", nil, nil, ReasonMissing},
			{"folded PEM of $ssl_client_cert", headers{cert, strings.TrimSpace(spaced(w.alice)), verify, "SUCCESS"}, nil, ReasonMalformed},
		},
		HAProxy: {
			{"certificate", headers{cert, b64(w.alice), verify, "0", used, "1"}, alice, ""},
			{"none", headers{cert, "", verify, "0", used, "0"}, nil, ""},
			{"larger than its buffer", headers{cert, "", verify, "0", used, "1"}, nil, ReasonContradiction},
			{"resumed, with ssl_fc_has_crt for ssl_c_used", headers{cert, b64(w.alice), verify, "0", used, "0"}, nil, ReasonContradiction},
			{"crt-ignore-err, expired", headers{cert, b64(w.alice), verify, "10", used, "1"}, nil, ReasonNotVerified},
			{"crt-ignore-err, unknown CA", headers{cert, b64(w.alice), verify, "20", used, "1"}, nil, ReasonNotVerified},
			{"none, header absent", headers{verify, "0", used, "0"}, nil, ReasonMissing},
			{"none, naive RFC 9440", headers{cert, "::", verify, "0", used, "0"}, nil, ReasonContradiction},
			{"none, PEM recipe", headers{cert, "-----BEGIN CERTIFICATE-----  -----END CERTIFICATE-----", verify, "0", used, "1"}, nil, ReasonMalformed},
		},
		Apache: {
			{"spaces, with the last one", headers{cert, spaced(w.alice), verify, "SUCCESS"}, alice, ""},
			{"spaces, the last one trimmed", headers{cert, strings.TrimSuffix(spaced(w.alice), " "), verify, "SUCCESS"}, alice, ""},
			{"none", headers{cert, "(null)", verify, "NONE"}, nil, ""},
			{"none, header absent", headers{verify, "NONE"}, nil, ReasonMissing},
			{"none, empty", headers{cert, "", verify, "NONE"}, nil, ReasonNotVerified},
			{"GENEROUS", headers{cert, spaced(w.alice), verify, "GENEROUS"}, nil, ReasonNotVerified},
			{"optional_no_ca", headers{cert, spaced(w.alice), verify, "FAILED:self-signed certificate"}, nil, ReasonNotVerified},
			{"verdict removed by Connection", headers{cert, spaced(w.alice)}, nil, ReasonMissing},
			{"verdict without a value", headers{cert, spaced(w.alice), verify, "(null)"}, nil, ReasonNotVerified},
		},
		Caddy: {
			{"certificate", headers{cert, b64(w.alice)}, alice, ""},
			{"none", headers{cert, ""}, nil, ""},
			{"none, header absent", nil, nil, ReasonMissing},
			{"none, naive RFC 9440", headers{cert, "::"}, nil, ReasonMalformed},
			{"none, the hash of nothing", headers{cert, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, nil, ReasonMalformed},
			{"none, <nil>", headers{cert, "<nil>"}, nil, ReasonMalformed},
		},
		Traefik: {
			{"certificate", headers{"X-Forwarded-Tls-Client-Cert", b64(w.alice)}, alice, ""},
			{"chain", headers{"X-Forwarded-Tls-Client-Cert", b64(w.alice) + "," + b64(w.issuing.Certificate)}, chain, ""},
			{"none", nil, nil, ""},
			{"none, empty", headers{"X-Forwarded-Tls-Client-Cert", ""}, nil, ReasonMalformed},
			{"2.8, escaped", headers{"X-Forwarded-Tls-Client-Cert", percent(b64(w.alice) + "=")}, nil, ReasonMalformed},
			{"Info alone", headers{"X-Forwarded-Tls-Client-Cert-Info", `Subject%3D%22CN%3Dalice%22`}, nil, ""},
			{"a comma too many", headers{"X-Forwarded-Tls-Client-Cert", b64(w.alice) + ","}, nil, ReasonMalformed},
		},
		Envoy: {
			{"documented: leaf", headers{"X-Forwarded-Client-Cert", xfcc(w.alice)}, alice, ""},
			{"documented: chain", headers{"X-Forwarded-Client-Cert", xfcc(w.alice, w.issuing.Certificate)}, chain, ""},
			{"documented: none", nil, nil, ""},
			{"documented: no Cert, as Istio has it", headers{"X-Forwarded-Client-Cert", "By=spiffe://a;Hash=" + hexHashOf(w.alice) + `;Subject="";URI=spiffe://b`}, nil, ReasonMalformed},
			{"documented: Cloud Foundry", headers{"X-Forwarded-Client-Cert", b64(w.alice)}, nil, ReasonMalformed},
			{"empty", headers{"X-Forwarded-Client-Cert", ""}, nil, ReasonMalformed},
		},
		AWSALBVerify: {
			{"documented: leaf", headers{"X-Amzn-Mtls-Clientcert-Leaf", percentAWS(pemOf(w.alice)), "X-Amzn-Mtls-Clientcert-Subject", "CN=mallory"}, alice, ""},
			{"documented: none", nil, nil, ""},
			{"two blocks", headers{"X-Amzn-Mtls-Clientcert-Leaf", percentAWS(pemOf(w.alice, w.bob))}, nil, ReasonMalformed},
			{"both modes", headers{"X-Amzn-Mtls-Clientcert-Leaf", percentAWS(pemOf(w.alice)), "X-Amzn-Mtls-Clientcert", percentAWS(pemOf(w.bob))}, nil, ReasonContradiction},
			{"the other mode", headers{"X-Amzn-Mtls-Clientcert", percentAWS(pemOf(w.bob))}, nil, ReasonContradiction},
		},
		AWSALBPassthrough: {
			{"documented: leaf", headers{"X-Amzn-Mtls-Clientcert", percentAWS(pemOf(w.alice))}, alice, ""},
			{"documented: chain", headers{"X-Amzn-Mtls-Clientcert", percentAWS(pemOf(w.alice, w.issuing.Certificate))}, chain, ""},
			{"documented: none", nil, nil, ""},
			{"both modes", headers{"X-Amzn-Mtls-Clientcert-Leaf", percentAWS(pemOf(w.alice)), "X-Amzn-Mtls-Clientcert", percentAWS(pemOf(w.bob))}, nil, ReasonContradiction},
			{"empty", headers{"X-Amzn-Mtls-Clientcert", ""}, nil, ReasonMalformed},
		},
		Cloudflare: {
			{"documented: certificate", cloudflareOf(w.alice), alice, ""},
			{"documented: none", headers{"Cf-Cert-Presented", "false", "Cf-Cert-Verified", "false", "Cf-Cert-Revoked", "false"}, nil, ""},
			{"revoked", cloudflareOf(w.alice).without("Cf-Cert-Revoked").with("Cf-Cert-Revoked", "true"), nil, ReasonNotVerified},
			{"not verified", cloudflareOf(w.alice).without("Cf-Cert-Verified").with("Cf-Cert-Verified", "false"), nil, ReasonNotVerified},
			{"not presented", cloudflareOf(w.alice).without("Cf-Cert-Presented").with("Cf-Cert-Presented", "false"), nil, ReasonContradiction},
			{"no transform", cloudflareOf(w.alice).without("Cf-Cert-Revoked"), nil, ReasonMissing},
			{"without its digest", cloudflareOf(w.alice).without("Cf-Client-Cert-Sha256"), nil, ReasonContradiction},
			{"verified, and too large to be sent", cloudflareOf(w.alice).without("Cf-Client-Cert-Der-Base64").without("Cf-Client-Cert-Sha256"), nil, ReasonContradiction},
		},
		GCP: {
			{"documented: certificate", gcpOf(w.alice), alice, ""},
			{"documented: none", headers{"X-Client-Cert-Present", "false", "X-Client-Cert-Chain-Verified", "false", "X-Client-Cert-Error", "", "X-Client-Cert-Hash", "", "X-Client-Cert-Leaf", ""}, nil, ""},
			{"over 16 KB", gcpOf(w.alice).without("X-Client-Cert-Leaf").with("X-Client-Cert-Leaf", "").without("X-Client-Cert-Error").with("X-Client-Cert-Error", "client_cert_chain_exceeded_limit"), nil, ReasonContradiction},
			{"an error", gcpOf(w.alice).without("X-Client-Cert-Error").with("X-Client-Cert-Error", "client_cert_validation_failed"), nil, ReasonNotVerified},
			{"not verified", gcpOf(w.alice).without("X-Client-Cert-Chain-Verified").with("X-Client-Cert-Chain-Verified", "false"), nil, ReasonNotVerified},
			{"a health check", nil, nil, ReasonMissing},
		},
		AzureAppService: {
			{"documented: certificate", headers{"X-ARR-ClientCert", b64(w.alice)}, alice, ""},
			{"documented: none", nil, nil, ""},
			{"of Application Gateway", headers{"X-ARR-ClientCert", spaced(w.alice)}, nil, ReasonMalformed},
			{"empty", headers{"X-ARR-ClientCert", ""}, nil, ReasonMalformed},
		},
		AzureApplicationGateway: {
			{"documented: certificate, escaped", headers{cert, escaped, verify, "SUCCESS"}, alice, ""},
			{"documented: none", headers{verify, "NONE"}, nil, ""},
			{"documented: failed", headers{cert, escaped, verify, "FAILED:certificate has expired"}, nil, ReasonNotVerified},
			{"with spaces, where it is said to be escaped", headers{cert, spaced(w.alice), verify, "SUCCESS"}, nil, ReasonMalformed},
		},
		Kong: {
			{"documented: certificate", headers{"X-Client-Cert", escaped, "X-Client-Cert-Subject-DN", "CN=mallory"}, alice, ""},
			{"documented: none", nil, nil, ""},
			{"empty", headers{"X-Client-Cert", ""}, nil, ReasonMalformed},
		},
		Custom: {
			{"certificate", headers{"X-Cert", b64(w.alice)}, alice, ""},
			{"none", nil, nil, ""},
			{"empty", headers{"X-Cert", ""}, nil, ReasonMalformed},
		},
	}
}

func cloudflareOf(c *x509.Certificate) headers {
	return headers{"Cf-Client-Cert-Der-Base64", b64(c), "Cf-Client-Cert-Sha256", hexHashOf(c), "Cf-Cert-Presented", "true", "Cf-Cert-Verified", "true", "Cf-Cert-Revoked", "false"}
}

func gcpOf(c *x509.Certificate) headers {
	return headers{"X-Client-Cert-Present", "true", "X-Client-Cert-Chain-Verified", "true", "X-Client-Cert-Error", "", "X-Client-Cert-Hash", base64HashOf(c), "X-Client-Cert-Leaf", sequence(c)}
}

func TestSpellings(t *testing.T) {
	w := newWorld(t)
	all := spellings(w)
	for format := range formats {
		if len(all[format]) == 0 {
			t.Errorf("no spelling of %s", format)
		}
	}
	for format, list := range all {
		for _, s := range list {
			t.Run(string(format)+"/"+s.name, func(t *testing.T) {
				front := builtFor(t, format)
				if s.reason != "" {
					wantReason(t, front, request(s.headers), s.reason)
					return
				}
				wantChain(t, front, request(s.headers), s.want...)
			})
		}
	}
}

// Everything that a named format reads can be described as a custom one, and some that no named one reads.
func TestCustomFormats(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name    string
		headers Headers
		format  CustomFormat
		sent    headers
		want    []*x509.Certificate
		reason  authn.Reason
	}{
		{"Apache with percent encoding", Headers{}, CustomFormat{Encoding: PercentPEM, None: None{Sent: true, Value: "(null)"}},
			headers{"X-Cert", strings.ReplaceAll(percentAWS(pemOf(w.alice)), "%0A", "%0a")}, []*x509.Certificate{w.alice}, ""},
		{"Apache with percent encoding, none", Headers{}, CustomFormat{Encoding: PercentPEM, None: None{Sent: true, Value: "(null)"}},
			headers{"X-Cert", "(null)"}, nil, ""},
		{"HAProxy with PEM, none", Headers{}, CustomFormat{Encoding: SpacedPEM, None: None{Sent: true, Value: "-----BEGIN CERTIFICATE-----  -----END CERTIFICATE-----"}},
			headers{"X-Cert", "-----BEGIN CERTIFICATE-----  -----END CERTIFICATE-----"}, nil, ""},
		{"naive RFC 9440, none", Headers{}, CustomFormat{Encoding: ByteSequence, None: None{Sent: true, Value: "::"}},
			headers{"X-Cert", "::"}, nil, ""},
		{"naive RFC 9440, absent", Headers{}, CustomFormat{Encoding: ByteSequence, None: None{Sent: true, Value: "::"}},
			nil, nil, ReasonMissing},
		{"F5 with a verdict and a digest", Headers{}, CustomFormat{Encoding: Base64, Verdicts: []Verdict{{Header: "X-Verify", OK: "0", None: "-"}}, Fingerprint: "X-Digest"},
			headers{"X-Cert", b64(w.alice), "X-Verify", "0", "X-Digest", hexHashOf(w.alice)}, []*x509.Certificate{w.alice}, ""},
		{"F5, not verified", Headers{}, CustomFormat{Encoding: Base64, Verdicts: []Verdict{{Header: "X-Verify", OK: "0", None: "-"}}},
			headers{"X-Cert", b64(w.alice), "X-Verify", "20"}, nil, ReasonNotVerified},
		{"numbered chain", Headers{Chain: "X-Chain-"}, CustomFormat{Encoding: Base64, Chain: ChainNumbered, ChainLength: 2},
			headers{"X-Cert", b64(w.alice), "X-Chain-0", b64(w.issuing.Certificate)}, []*x509.Certificate{w.alice, w.issuing.Certificate}, ""},
		{"blocks in one header", Headers{}, CustomFormat{Encoding: PercentPEM, Chain: ChainWithLeaf},
			headers{"X-Cert", percent(pemOf(w.alice, w.issuing.Certificate))}, []*x509.Certificate{w.alice, w.issuing.Certificate}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(Custom)
			cfg.Headers.Chain, cfg.Custom = c.headers.Chain, &c.format
			cfg.TerminatorVerifies = len(c.format.Verdicts) == 0
			front := build(t, cfg)
			if c.reason != "" {
				wantReason(t, front, request(c.sent), c.reason)
				return
			}
			wantChain(t, front, request(c.sent), c.want...)
		})
	}
}

// Every element is as Envoy could have written it, and there are as many as there are Envoys.
func TestForwardedClientCert(t *testing.T) {
	w := newWorld(t)
	const name = "X-Forwarded-Client-Cert"
	hash, cert := "Hash="+hexHashOf(w.alice), `Cert="`+percentEnvoy(pemOf(w.alice))+`"`
	second := "By=spiffe://mesh/inner;Hash=" + hexHashOf(w.bob) + ";URI=spiffe://mesh/front"
	for _, c := range []struct {
		name, value string
		hops        int
		reason      authn.Reason
	}{
		{"keys in any case", strings.Replace(xfcc(w.alice), "Hash=", "hASH=", 1), 0, ""},
		{"By, URI and DNS again", xfcc(w.alice) + ";By=x;URI=y;DNS=a.example;DNS=b.example", 0, ""},
		{"escapes in Subject", hash + ";" + cert + `;Subject="CN=a\",Hash=0;\\"`, 0, ""},
		{"two hops", xfcc(w.alice) + "," + second, 2, ""},
		{"the client's own before Envoy's", xfcc(w.bob) + "," + xfcc(w.alice), 0, ReasonMalformed},
		{"the client's own before those of two hops", xfcc(w.bob) + "," + xfcc(w.alice) + "," + second, 2, ReasonMalformed},
		{"one hop of two", xfcc(w.alice), 2, ReasonMalformed},
		{"Hash of another", strings.Replace(xfcc(w.alice), hexHashOf(w.alice), hexHashOf(w.bob), 1), 0, ReasonFingerprint},
		{"Hash in capitals", strings.Replace(xfcc(w.alice), hexHashOf(w.alice), strings.ToUpper(hexHashOf(w.alice)), 1), 0, ReasonFingerprint},
		{"no Hash", cert, 0, ReasonMalformed},
		{"no Cert", hash, 0, ReasonMalformed},
		{"an empty Cert", hash + `;Cert=""`, 0, ReasonMalformed},
		{"Cert twice", xfcc(w.alice) + ";" + cert, 0, ReasonMalformed},
		{"Hash twice", xfcc(w.alice) + ";" + hash, 0, ReasonMalformed},
		{"Chain that begins with another", hash + ";" + cert + `;Chain="` + percentEnvoy(pemOf(w.bob, w.alice)) + `"`, 0, ReasonMalformed},
		{"an unknown key", xfcc(w.alice) + ";X=1", 0, ReasonMalformed},
		{"an empty element", xfcc(w.alice) + ",", 0, ReasonMalformed},
		{"an empty element before", "," + xfcc(w.alice), 0, ReasonMalformed},
		{"an empty pair", hash + ";;" + cert, 0, ReasonMalformed},
		{"a semicolon too many", hash + ";" + cert + ";", 0, ReasonMalformed},
		{"a space before a key", hash + "; " + cert, 0, ReasonMalformed},
		{"text after a quote", hash + ";" + cert + "x", 0, ReasonMalformed},
		{"a quote inside a value", hash + `;URI=a"b;` + cert, 0, ReasonMalformed},
		{"an open quote that swallows Envoy's element", `Hash=0;Cert="` + "," + xfcc(w.alice), 0, ReasonMalformed},
		{"an open quote at the end", hash + ";" + cert + `;Subject="CN=a`, 0, ReasonMalformed},
		{"a backslash before the last quote", hash + ";" + cert + `;Subject="CN=a\"`, 0, ReasonMalformed},
		{"a name that is another element", strings.TrimSuffix(xfcc(w.alice), "URI=") + "URI=x," + xfcc(w.bob), 0, ReasonMalformed},
		{"a name that is another certificate", hash + ";URI=x;Cert=" + percentEnvoy(pemOf(w.bob)), 0, ReasonFingerprint},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(Envoy)
			cfg.Hops = c.hops
			front := build(t, cfg)
			if c.reason != "" {
				wantReason(t, front, request(headers{name, c.value}), c.reason)
				return
			}
			wantChain(t, front, request(headers{name, c.value}), w.alice)
		})
	}
}
