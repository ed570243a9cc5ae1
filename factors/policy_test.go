package factors_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/jwt"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

// severalTenants has a portal's staff, two partners and kiosks in one file.
const severalTenants = `version: 1
origin: https://portal.example        # what browsers see

anchors:
  staff:  { ca: pki/staff-ca.crt,  tenant: corp }       # paths are relative to this file
  acme:   { ca: pki/acme-ca.crt,   tenant: acme }
  globex: { ca: pki/globex-ca.crt, tenant: globex }

factors:
  device:
    kind: mtls
    anchors: [staff]
    identify:
      - { from: subject.cn, pattern: "{user}", tenant: corp }
    bind: key
  kiosk-cert:
    kind: mtls
    anchors: [staff]
    identify: [{ from: san.uri, pattern: "spiffe://corp.example/{tenant}/kiosk/{user}" }]
    principal: device
  partner-cert:
    kind: mtls
    anchors: [acme, globex]
    identify: [{ from: anchor }]
  passkey:
    kind: fido2
    user_verification: required
  partner-idp:
    kind: oauth
    user: { claim: sub }
    per_tenant:                        # any factor may take settings by tenant; the subject's tenant picks them
      acme:   { issuer: https://idp.acme.example,   client_id: portal, client_secret: { env: ACME_CLIENT_SECRET } }
      globex: { issuer: https://login.globex.example, client_id: portal, client_secret: { file: secrets/globex } }
  api-token:
    kind: jwt
    issuer: https://issuer.corp.example
    audience: secrets-api
    algorithms: [ES256]
    bound_to_certificate: required

methods:
  admin:   { steps: [device, passkey], session: { idle: 15m, absolute: 8h } }
  partner: { steps: [partner-cert, partner-idp] }
  kiosk:   { steps: [kiosk-cert], session: { idle: 12h, absolute: 24h } }
  api:     { steps: [device, api-token], each_request: true }

rules:                                   # the first that matches names the methods on offer
  - { route: /kiosk/*, methods: [kiosk] }
  - { tenant: acme,    methods: [partner] }
  - { methods: [admin, api] }

floors:
  - { name: admin, route: /admin/*, aal: 2, phishing_resistant: true }
  - { tenant: acme, factors: [partner-cert] }

limits:
  attempts: { per_credential: 5, window: 15m, per_source: 50, per_tenant: 1000 }
`

func TestAPolicyOfSeveralTenants(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("secrets/globex", []byte("a secret\n"))
	t.Setenv("ACME_CLIENT_SECRET", "another secret")
	for _, name := range []string{"staff", "acme", "globex"} {
		write("pki/"+name+"-ca.crt", mtlstest.NewCA(t, name).PEM())
	}
	load := func(text string) (*policy.Policy, error) {
		write("policy.yaml", []byte(text))
		return policy.Load(filepath.Join(folder, "policy.yaml"), mtls.Kind(), fido2.Kind(), oauth.Kind(), jwt.Kind())
	}
	for name, text := range map[string]string{"LF": severalTenants, "CRLF": strings.ReplaceAll(severalTenants, "\n", "\r\n")} {
		p, err := load(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if w := p.Warnings(); len(w) > 0 {
			t.Errorf("%s: %v", name, w)
		}
		for _, c := range []struct {
			q      policy.Query
			offer  []string
			floors int
		}{
			{policy.Query{Route: "/kiosk/start", Tenant: "corp"}, []string{"kiosk"}, 0},
			{policy.Query{Route: "/kiosk/start", Tenant: "acme"}, []string{"kiosk"}, 1},
			{policy.Query{Route: "/admin", Tenant: "acme"}, []string{"partner"}, 2},
			{policy.Query{Route: "/admin/keys", Tenant: "corp"}, []string{"admin"}, 1},
			{policy.Query{Route: "/v1/keys", Tenant: "corp", EachRequest: true}, []string{"api"}, 0},
		} {
			var names []string
			for _, m := range p.Offer(c.q) {
				names = append(names, m.Name)
			}
			if !slices.Equal(names, c.offer) || len(p.FloorsFor(c.q)) != c.floors {
				t.Errorf("%s: %+v: offers %v with %d floors, want %v with %d", name, c.q, names, len(p.FloorsFor(c.q)), c.offer, c.floors)
			}
		}
	}
	lists := strings.Replace(severalTenants, "    bind: key\n", "    bind: key\n    revocation: { crl: [pki/staff.crl], max_age: 24h }\n", 1)
	if _, err := load(lists); err == nil || !strings.Contains(err.Error(), "revocation.crl[0]") {
		t.Errorf("without the list: %v", err)
	}
	write("pki/staff.crl", mtlstest.NewCA(t, "staff").ListPEM(mtlstest.List{}))
	if _, err := load(lists); err != nil {
		t.Errorf("with the list: %v", err)
	}
}
