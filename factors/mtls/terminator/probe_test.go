package terminator_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/mtls/terminator"
)

// leaks are faults of a proxy, and what a probe finds of each. What it does not name passes.
func leaks(t *testing.T) map[string]struct {
	leak leaky
	want outcomes
} {
	other := escaped(mtlstest.NewCA(t, "Staff CA").Issue(mtlstest.Leaf{CN: "front"}).Leaf)
	anonymous := func(in *http.Request) bool { return len(in.TLS.PeerCertificates) == 0 }
	return map[string]struct {
		leak leaky
		want outcomes
	}{
		"none": {nil, nil},
		"the client's headers go before": {
			func(in *http.Request, out http.Header) { pass(in.Header, out, exactly) },
			all(failed, "forged", "forged_case", "forged_doubled", "connection"),
		},
		"the client's headers go before where there is no certificate": {
			func(in *http.Request, out http.Header) {
				if anonymous(in) {
					pass(in.Header, out, exactly)
				}
			},
			bare(failed, "forged", "forged_case", "forged_doubled", "connection"),
		},
		"headers are added": {
			func(in *http.Request, out http.Header) {
				for name := range theirs {
					out[name] = append(out[name], in.Header[name]...)
				}
			},
			and(all(failed, "forged", "forged_case", "forged_doubled"), all(warning, "connection")),
		},
		"the second of two goes through": {
			func(in *http.Request, out http.Header) {
				for name := range theirs {
					if v := in.Header[name]; len(v) == 2 {
						out[name] = v[1:]
					}
				}
			},
			all(failed, "forged_doubled"),
		},
		"a certificate of its own where headers are doubled": {
			func(in *http.Request, out http.Header) {
				if len(in.Header[certHeader]) == 2 {
					out[certHeader], out[verdictHeader] = []string{other}, []string{"SUCCESS"}
				}
			},
			all(failed, "forged_doubled"),
		},
		"no certificate where one is forged": {
			func(in *http.Request, out http.Header) {
				if in.Header[certHeader] != nil {
					delete(out, certHeader)
					out.Set(verdictHeader, "NONE")
				}
			},
			outcomes{"own_forged": failed, "own_forged_case": failed, "own_forged_doubled": failed, "own_connection": warning},
		},
		"underscores are read as dashes": {folding("_"), all(failed, "alias_underscore")},
		"dots are read as dashes":        {folding("."), all(failed, "alias_dot")},
		"other marks are read as dashes": {folding("~"), all(failed, "alias_other")},
		"underscores are added as dashes": {
			func(in *http.Request, out http.Header) {
				for _, name := range []string{certHeader, verdictHeader} {
					out[name] = append(out[name], in.Header[http.CanonicalHeaderKey(strings.ReplaceAll(name, "-", "_"))]...)
				}
			},
			all(failed, "alias_underscore"),
		},
		"underscores pass":                {spelledSo("_"), all(warning, "alias_underscore")},
		"dots pass":                       {spelledSo("."), all(warning, "alias_dot")},
		"other marks pass":                {spelledSo("~"), all(warning, "alias_other")},
		"what Connection names goes away": {hopByHop, all(warning, "connection")},
		"what Connection names is the client's": {
			func(in *http.Request, out http.Header) {
				pass(in.Header, out, func(s string) (string, bool) { return s, theirs[s] && named(in, s) })
			},
			all(failed, "connection"),
		},
		"trailers become headers": {
			func(in *http.Request, out http.Header) { pass(in.Trailer, out, exactly) },
			all(failed, "trailer"),
		},
		"the secret is added": {
			func(in *http.Request, out http.Header) {
				out[secretHeader] = append(out[secretHeader], in.Header[secretHeader]...)
			},
			all(failed, "secret"),
		},
		"a certificate of its own": {
			func(in *http.Request, out http.Header) {
				if anonymous(in) {
					out[certHeader], out[verdictHeader] = []string{other}, []string{"SUCCESS"}
				}
			},
			outcomes{"no_certificate": failed},
		},
		"another certificate instead": {
			func(in *http.Request, out http.Header) {
				if out[certHeader] != nil {
					out[certHeader] = []string{other}
				}
			},
			outcomes{"own": failed},
		},
		"certificates get lost": {func(_ *http.Request, out http.Header) { delete(out, certHeader); out.Set(verdictHeader, "NONE") }, outcomes{"own": failed}},
		"no verdict":            {func(_ *http.Request, out http.Header) { delete(out, verdictHeader) }, outcomes{"no_certificate": failed, "own": failed}},
		"the client's verdict": {
			func(in *http.Request, out http.Header) { out[verdictHeader] = in.Header[verdictHeader] },
			and(all(failed, "forged", "forged_case", "forged_doubled"), outcomes{"no_certificate": failed, "own": failed, "alias_dot": unknown, "own_trailer": unknown}),
		},
		"a wrong secret": {func(_ *http.Request, out http.Header) { out.Set(secretHeader, "wrong") }, outcomes{"no_certificate": failed, "own": failed}},
		"no verdict with HTTP/2": {
			func(in *http.Request, out http.Header) {
				if in.ProtoMajor == 2 {
					delete(out, verdictHeader)
				}
			},
			outcomes{"http2": failed, "http2_forged": unknown, "http2_forged_doubled": unknown, "http2_alias_underscore": unknown,
				"http2_alias_dot": unknown, "http2_alias_other": unknown, "http2_secret": unknown},
		},
		"lost on a resumed session": {lostResumed, outcomes{"own_resumed": failed}},
		"certificates of anybody are good": {
			func(in *http.Request, out http.Header) {
				if !anonymous(in) {
					out[certHeader], out[verdictHeader] = []string{escaped(in.TLS.PeerCertificates[0])}, []string{"SUCCESS"}
				}
			},
			outcomes{"unverified": failed},
		},
		"certificates of anybody with a verdict": {
			func(in *http.Request, out http.Header) {
				if !anonymous(in) && out[certHeader] == nil {
					out[certHeader], out[verdictHeader] = []string{escaped(in.TLS.PeerCertificates[0])}, []string{"FAILED:self signed"}
				}
			},
			outcomes{"unverified": warning},
		},
	}
}

func hopByHop(in *http.Request, out http.Header) {
	for name := range out {
		if named(in, name) {
			delete(out, name)
		}
	}
}

func lostResumed(in *http.Request, out http.Header) {
	if in.TLS.DidResume && out[certHeader] != nil {
		delete(out, certHeader)
		out.Set(verdictHeader, "NONE")
	}
}

// Every check fails, or warns, where its fault is, and where it is not it passes.
func TestProbeNamesTheFault(t *testing.T) {
	found := map[string]bool{}
	var codes []string
	for name, c := range leaks(t) {
		t.Run(name, func(t *testing.T) {
			report, err := mtls.Probe(t.Context(), behind(t, nil, c.leak))
			if err != nil {
				t.Fatal(err)
			}
			broken := c.want["own"] == failed || c.want["no_certificate"] == failed
			for _, check := range report.Checks {
				want, ok := c.want[check.Code]
				if !ok {
					want = mtls.ProbePassed
				}
				if check.Outcome != want && !(broken && !ok) {
					t.Errorf("%s: %s: %s Want %s", check.Code, check.Outcome, check.Says, want)
				}
				found[check.Code] = found[check.Code] || check.Outcome == failed
				if c.leak == nil {
					codes = append(codes, check.Code)
				}
			}
			if failing := slices.ContainsFunc(report.Checks, func(c mtls.ProbeCheck) bool { return c.Outcome == failed }); failing != (report.Err() != nil) {
				t.Errorf("failing is %v, and the error %v", failing, report.Err())
			}
		})
	}
	for _, code := range codes {
		if !found[code] {
			t.Errorf("no fault fails %s", code)
		}
	}
	if len(codes) != 29 {
		t.Errorf("%d checks: %v", len(codes), codes)
	}
}

// A probe of every format forges what its reader would take for a certificate.
func TestProbeForgesEveryFormat(t *testing.T) {
	for _, format := range []terminator.Format{
		terminator.RFC9440, terminator.Nginx, terminator.HAProxy, terminator.Apache, terminator.Caddy, terminator.Traefik, terminator.Envoy,
		terminator.AWSALBVerify, terminator.AWSALBPassthrough, terminator.Cloudflare, terminator.GCP, terminator.AzureAppService,
		terminator.AzureApplicationGateway, terminator.Kong,
	} {
		t.Run(string(format), func(t *testing.T) {
			c := behind(t, func(c *terminator.Config) {
				c.Format = format
				switch format {
				case terminator.RFC9440, terminator.Caddy, terminator.Traefik, terminator.Kong, terminator.AWSALBVerify:
					c.TerminatorVerifies = true
				case terminator.Envoy:
					c.TerminatorVerifies, c.Hops = true, 2
				case terminator.HAProxy, terminator.GCP:
					c.Headers.Chain = "X-Chain"
				case terminator.Apache:
					c.Headers.Chain, c.Headers.ChainLength = "X-Chain-", 2
				case terminator.AzureApplicationGateway:
					c.Encoding = terminator.PercentPEM
				}
			}, func(in *http.Request, out http.Header) {
				// Whatever the client sends goes through.
				for name, values := range in.Header {
					if strings.HasPrefix(name, "X-") || strings.HasPrefix(name, "C") && name != "Connection" {
						out[name] = values
					}
				}
			})
			c.Own = nil
			report, err := mtls.Probe(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			for _, check := range report.Checks {
				if check.Code == "forged" && (check.Outcome != failed || !strings.Contains(check.Says, "arrived as the client's")) {
					t.Errorf("forged: %s: %s", check.Outcome, check.Says)
				}
			}
		})
	}
}

// A terminator that looks at certificates in headers before it passes them on lets another's real one through, and not one
// that the probe makes itself.
func TestProbeForgesRealCertificates(t *testing.T) {
	var staff *mtlstest.CA
	c := behind(t, nil, func(in *http.Request, out http.Header) {
		text, err := url.PathUnescape(in.Header.Get(certHeader))
		block, _ := pem.Decode([]byte(text))
		if err != nil || block == nil {
			return
		}
		if leaf, err := x509.ParseCertificate(block.Bytes); err == nil && leaf.CheckSignatureFrom(staff.Certificate) == nil {
			pass(in.Header, out, exactly)
		}
	})
	staff = mtlstest.NewCA(t, "Staff CA")
	c.Own = nil
	report, err := mtls.Probe(t.Context(), c)
	if err != nil || report.Err() != nil {
		t.Errorf("with its own certificates: %v, %v", err, report.Err())
	}
	c.Others = []*x509.Certificate{staff.Issue(mtlstest.Leaf{CN: "alice"}).Leaf, staff.Issue(mtlstest.Leaf{CN: "bob"}).Leaf}
	report, err = mtls.Probe(t.Context(), c)
	if err != nil || report.Outcome() != failed {
		t.Errorf("with real ones: %v, %s", err, report.Outcome())
	}
}

// The page that says what to do names every check.
func TestProbeIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/terminators.md")
	if err != nil {
		t.Fatal(err)
	}
	report, err := mtls.Probe(t.Context(), behind(t, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Checks {
		code := strings.TrimPrefix(c.Code, "http2_")
		if !strings.HasPrefix(code, "own_resumed") {
			code = strings.TrimPrefix(code, "own_")
		}
		if !strings.Contains(string(text), "`"+code+"`") {
			t.Errorf("docs/terminators.md does not have %s", code)
		}
	}
}
