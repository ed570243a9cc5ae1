package terminator_test

import (
	"crypto/x509"
	"maps"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

const probeToken = "0123456789abcdef0123456789abcdef"

// probe probes what stands in front of the program, with a client's own certificate.
func (f *front) probe(others ...*x509.Certificate) map[string]mtls.ProbeCheck {
	f.t.Helper()
	own := f.staff.Issue(mtlstest.Leaf{CN: "alice"})
	report, err := mtls.Probe(f.t.Context(), mtls.ProbeConfig{URL: "https://" + f.addr + "/probe", Token: probeToken, Roots: f.servers.Pool(), Own: &own, Others: others})
	if err != nil {
		f.t.Fatal(err)
	}
	checks := map[string]mtls.ProbeCheck{}
	for _, c := range report.Checks {
		checks[c.Code] = c
	}
	return checks
}

// wantOutcomes fails unless checks have these outcomes, and all others passed.
func wantOutcomes(t *testing.T, checks map[string]mtls.ProbeCheck, want map[string]mtls.ProbeOutcome) {
	t.Helper()
	for code, c := range checks {
		outcome, ok := want[code]
		if !ok {
			outcome = mtls.ProbePassed
		}
		if c.Outcome != outcome {
			t.Errorf("%s: %s: %s Want %s", code, c.Outcome, c.Says, outcome)
		}
	}
	for code := range want {
		if _, ok := checks[code]; !ok {
			t.Errorf("%s was not checked", code)
		}
	}
	if len(checks) < 15 {
		t.Errorf("only %d checks", len(checks))
	}
}

// probeFault is a change of a documented configuration, and what checks find of it. All others pass.
type probeFault struct {
	changes fault
	want    outcomes
}

type outcomes = map[string]mtls.ProbeOutcome

// all has one outcome for checks without and with an own certificate, and with HTTP/2.
func all(o mtls.ProbeOutcome, codes ...string) outcomes {
	out := bare(o, codes...)
	for _, c := range codes {
		out["own_"+c] = o
	}
	return out
}

// bare has it for checks without a certificate.
func bare(o mtls.ProbeOutcome, codes ...string) outcomes {
	out := outcomes{}
	for _, c := range codes {
		if out[c] = o; c != "forged_case" && c != "connection" && c != "trailer" {
			out["http2_"+c] = o
		}
	}
	return out
}

// and is several outcomes; what comes later counts.
func and(list ...outcomes) outcomes {
	out := outcomes{}
	for _, o := range list {
		maps.Copy(out, o)
	}
	return out
}

const (
	warning = mtls.ProbeWarning
	failed  = mtls.ProbeFailed
	unknown = mtls.ProbeUnknown
)

func aliases(o mtls.ProbeOutcome) outcomes {
	return all(o, "alias_underscore", "alias_dot", "alias_other")
}

// probeFaults probes the documented configuration and its faults.
func probeFaults(t *testing.T, d deployed, faults map[string]probeFault) {
	need(t, d.program, d.install)
	for name, c := range faults {
		t.Run(name, func(t *testing.T) {
			f := d.start(t, c.changes)
			var others []*x509.Certificate
			if len(c.changes) == 0 {
				others = append(others, f.staff.Issue(mtlstest.Leaf{CN: "bob"}).Leaf)
			}
			wantOutcomes(t, f.probe(others...), c.want)
		})
	}
}

func TestProbeOfNginx(t *testing.T) {
	probeFaults(t, nginx, map[string]probeFault{
		"as documented": {},
		"a location with a header of its own, which inherits none": {
			[]string{"proxy_pass http://unix", "proxy_set_header X-Own 1; proxy_pass http://unix"},
			and(all(failed, "forged", "forged_case", "forged_doubled", "connection"), all(unknown, "trailer"), aliases(unknown),
				outcomes{"no_certificate": failed, "own": failed}),
		},
		"no certificate header": {
			[]string{"proxy_set_header X-SSL-Client-Cert   $ssl_client_escaped_cert;", ""},
			and(all(failed, "forged", "forged_case", "forged_doubled"), outcomes{"own": failed, "own_connection": failed, "connection": warning,
				"own_alias_underscore": unknown, "own_alias_dot": unknown, "own_alias_other": unknown, "own_trailer": unknown}),
		},
		"no verdict": {
			[]string{"proxy_set_header X-SSL-Client-Verify $ssl_client_verify;", ""},
			and(all(failed, "forged", "forged_case", "forged_doubled"), all(unknown, "connection", "trailer"), aliases(unknown),
				outcomes{"no_certificate": failed, "own": failed}),
		},
		"underscores pass":          {[]string{"underscores_in_headers off", "underscores_in_headers on"}, all(warning, "alias_underscore")},
		"all names pass":            {[]string{"ignore_invalid_headers on", "ignore_invalid_headers off"}, aliases(warning)},
		"certificates of anybody":   {[]string{"ssl_verify_client optional;", "ssl_verify_client optional_no_ca;"}, outcomes{"unverified": warning}},
		"a certificate is required": {[]string{"ssl_verify_client optional;", "ssl_verify_client on;"}, nil},
	})
}

func TestProbeOfHAProxy(t *testing.T) {
	probeFaults(t, haproxy, map[string]probeFault{
		"as documented":     {},
		"headers are added": {[]string{"http-request set-header X-SSL", "http-request add-header X-SSL"}, and(all(failed, "forged", "forged_case", "forged_doubled"), all(warning, "connection"))},
		"set on a condition": {
			[]string{"%[ssl_c_der,base64]", "%[ssl_c_der,base64] if { ssl_c_used }", "%[ssl_c_used]", "%[ssl_c_used] if { ssl_c_used }", "%[ssl_c_verify]", "%[ssl_c_verify] if { ssl_c_used }"},
			and(bare(failed, "forged", "forged_case", "forged_doubled", "connection"), bare(unknown, "alias_underscore", "alias_dot", "alias_other", "trailer"),
				outcomes{"no_certificate": failed}),
		},
		"lost when resumed": {
			[]string{"set-header X-SSL-Client-Cert   %[ssl_c_der,base64]", "set-header X-SSL-Client-Cert %[ssl_c_der,base64,concat()] if { ssl_fc_has_crt } || !{ ssl_c_used }"},
			outcomes{"own_resumed": failed},
		},
		"aliases pass":     {[]string{"option http-restrict-req-hdr-names delete", ""}, aliases(warning)},
		"verifies nothing": {[]string{"verify optional", "verify optional crt-ignore-err all ca-ignore-err all"}, outcomes{"unverified": warning}},
	})
}

func TestProbeOfApache(t *testing.T) {
	probeFaults(t, apache, map[string]probeFault{
		"as documented":           {nil, aliases(warning)},
		"Connection is obeyed":    {[]string{"RequestHeader unset Connection early", ""}, and(aliases(warning), all(warning, "connection"))},
		"headers are added":       {[]string{"RequestHeader set X-SSL", "RequestHeader add X-SSL"}, and(aliases(warning), all(failed, "forged", "forged_case", "forged_doubled"), all(warning, "connection"))},
		"set where missing":       {[]string{"RequestHeader set X-SSL", "RequestHeader setifempty X-SSL"}, and(aliases(warning), all(failed, "forged", "forged_case", "forged_doubled", "connection"))},
		"certificates of anybody": {[]string{"SSLVerifyClient optional", "SSLVerifyClient optional_no_ca"}, and(aliases(warning), outcomes{"unverified": warning})},
	})
}
