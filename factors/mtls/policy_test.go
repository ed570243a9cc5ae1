package mtls

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

const policyText = `version: 1
origin: https://portal.example
anchors:
  staff: { ca: staff.crt, tenant: corp }
factors:
  device:
    kind: mtls
    anchors: [staff]
    identify:
      - { from: san.uri, pattern: "spiffe://corp.example/{tenant}/staff/{user}" }
      - { from: subject.cn, pattern: "{user}", tenant: corp }
    bind: certificate
methods:
  admin: { steps: [device] }
rules:
  - { methods: [admin] }
`

func parsePolicy(t *testing.T, text string) (*policy.Policy, error) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "staff.crt"), mtlstest.NewCA(t, "Staff CA").PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return policy.Parse(filepath.Join(folder, "policy.yaml"), []byte(text), Kind())
}

func TestFromPolicyFile(t *testing.T) {
	p, err := parsePolicy(t, policyText)
	if err != nil {
		t.Fatal(err)
	}
	f := p.Factors[0]
	if f.Name != "device" || f.Kind != "mtls" || !f.Tied || !f.Ambient || f.Identifies != authn.IdentifiesUser {
		t.Errorf("%+v", f.Factor)
	}
	s := f.Settings.(*Settings)
	if s.bind != authn.BindCertificate || len(s.rules) != 2 || s.anchors[0].Name != "staff" {
		t.Errorf("%+v", s)
	}
}

func TestPolicyErrorsHavePositions(t *testing.T) {
	for _, c := range []struct {
		old, now string
		line     int
		says     string
	}{
		{"anchors: [staff]", "anchors: [stuff]", 8, `no anchor "stuff"`},
		{"anchors: [staff]", "anchors: staff", 8, ""},
		{`pattern: "{user}"`, `pattern: "{usr}"`, 11, "{usr}"},
		{`pattern: "{user}", tenant: corp`, `pattern: "{user}", tenant: acme`, 11, "acme"},
		{"bind: certificate", "bind: keys", 12, `"keys"`},
		{"bind: certificate", "binds: key", 12, "binds"},
		{"bind: certificate", "revocation: {}", 12, "crl or ocsp is needed"},
		{"bind: certificate", "revocation: { max_age: 24h }", 12, "crl or ocsp is needed"},
		{"bind: certificate", "revocation: { crl: [gone.crl] }", 12, "revocation.crl[0]"},
		{"bind: certificate", "revocation: { crl: [staff.crt] }", 12, "something that is no list"},
		{"bind: certificate", "revocation: { crl: [\"ldap://x.example/crl\"] }", 12, "no http or https URL"},
		{"bind: certificate", "revocation: { crl: [\"http://a@x.example/crl\"] }", 12, "a user"},
		{"bind: certificate", "revocation: { crl: [\"http://x.example/crl\", \"http://x.example/crl\"] }", 12, "twice"},
		{"bind: certificate", "revocation: { crl: [\"http://x.example/crl\"], max_age: 1 }", 12, "a duration"},
		{"bind: certificate", "revocation: { crl: [\"http://x.example/crl\"], max_age: 59s }", 12, "at the least"},
		{"bind: certificate", "revocation: { crl: [\"http://x.example/crl\"], max_age_of_cas: 1h }", 12, "without max_age"},
		{"bind: certificate", "revocation: { crl: [\"http://x.example/crl\"], nonce: required }", 12, "without ocsp"},
		{"bind: certificate", "revocation: { crl: [\"http://x.example/crl\"], stale: allow }", 12, `"allow" is not known`},
		{"bind: certificate", "revocation: { crl: [\"http://x.example/crl\"], stale: {} }", 12, "allow_until or step_up is needed"},
		{"bind: certificate", "revocation: { crl: [\"http://x.example/crl\"], stale: [refuse] }", 12, "text is wanted"},
		{"bind: certificate", "revocation: { crl: [\"http://x.example/crl\"], stale: { until: 2h } }", 12, `unknown key "until"`},
		{"bind: certificate", "revocation: { crl: [\"http://x.example/crl\"], stale: { step_up: [] } }", 12, "allow_until or step_up is needed"},
		{"bind: certificate", "revocation: { crl: [\"http://x.example/crl\"], required: some }", 12, `"some" is not known`},
		{"bind: certificate", "revocation: { ocsp: yes }", 12, "aia"},
		{"bind: certificate", "revocation: { ocsp: aia, nonce: optional }", 12, `"optional" is not known`},
		{"bind: certificate", "revocation: { ocsp: aia, timeout: 1m }", 12, "at the most"},
	} {
		_, err := parsePolicy(t, strings.Replace(policyText, c.old, c.now, 1))
		at, ok := errors.AsType[*policy.Error](err)
		if !ok || at.Line != c.line || !strings.Contains(at.Error(), c.says) {
			t.Errorf("%s: %v, want line %d and %q", c.now, err, c.line, c.says)
		}
	}
}

// Where one rule names nobody, a step after it must.
func TestRulesThatNameNobody(t *testing.T) {
	mixed := strings.Replace(policyText, `pattern: "{user}", tenant: corp`, `pattern: "guest", tenant: corp`, 1)
	_, err := parsePolicy(t, mixed)
	at, ok := errors.AsType[*policy.Error](err)
	if !ok || at.Line != 14 || !strings.Contains(at.Message, "can end without naming a user") {
		t.Errorf("%v", err)
	}
	other := "  staff:\n    kind: mtls\n    anchors: [staff]\n    identify: [{ from: san.email, pattern: \"{user}@corp.example\", tenant: corp }]\nmethods:\n"
	p, err := parsePolicy(t, strings.Replace(strings.Replace(mixed, "methods:\n", other, 1), "steps: [device]", "steps: [device, staff]", 1))
	if err != nil || p.Factors[0].Identifies != authn.IdentifiesUser {
		t.Errorf("with a step that names one: %v", err)
	}
	_, err = parsePolicy(t, strings.Replace(strings.Replace(mixed, "methods:\n", other, 1), "steps: [device]", "steps: [{ any_of: [device, staff] }]", 1))
	if err == nil || !strings.Contains(err.Error(), "can end without naming a user") {
		t.Errorf("a choice: %v", err)
	}
}

// The section that the page about revocation shows is a good one.
func TestThePageOfRevocation(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "revocation.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n```yaml\n")
	section, _, _ := strings.Cut(rest, "\n```\n")
	folder := t.TempDir()
	ca := mtlstest.NewCA(t, "staff")
	if err := os.Mkdir(filepath.Join(folder, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeLists(t, filepath.Join(folder, "staff-ca.crt"), ca.PEM())
	writeLists(t, filepath.Join(folder, "pki", "staff.crl"), ca.ListPEM(mtlstest.List{}))
	text := "version: 1\norigin: https://portal.example\nanchors:\n  staff: { ca: staff-ca.crt, tenant: corp }\n" + section + "\nmethods: { admin: { steps: [device] } }\nrules: [{ methods: [admin] }]\n"
	p, err := policy.Parse(filepath.Join(folder, "policy.yaml"), []byte(text), Kind())
	if err != nil {
		t.Fatal(err)
	}
	if w := p.Warnings(); len(w) > 0 {
		t.Error(w)
	}
}
