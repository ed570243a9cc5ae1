package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// bundleOf is a trust bundle with the authorities of CAs.
func bundleOf(t testing.TB, sequence int, cas ...*mtlstest.CA) []byte {
	t.Helper()
	out := struct {
		Keys     []jose.JSONWebKey `json:"keys"`
		Sequence int               `json:"spiffe_sequence"`
	}{Sequence: sequence}
	for _, ca := range cas {
		out.Keys = append(out.Keys, jose.JSONWebKey{Key: ca.Certificate.PublicKey, Certificates: []*x509.Certificate{ca.Certificate}, Use: "x509-svid"})
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func id(uris ...string) mtlstest.Leaf { return mtlstest.Leaf{CN: "alice", URIs: uris} }

// The authorities of a trust domain vouch for its ids and for nothing else, and nobody else vouches for them, whichever rule
// reads the certificate.
func TestTrustDomains(t *testing.T) {
	mesh, staff, other := mtlstest.NewCA(t, "Mesh"), mtlstest.NewCA(t, "Staff"), mtlstest.NewCA(t, "Other mesh")
	issuing := mesh.Intermediate("Mesh issuing")
	anchors := []policy.Anchor{staffOf(staff),
		{Name: "mesh", Tenant: "corp", TrustDomain: "corp.example", Certificates: []*x509.Certificate{mesh.Certificate}},
		{Name: "other", Tenant: "corp", TrustDomain: "other.example", Certificates: []*x509.Certificate{other.Certificate}}}
	const alice = "spiffe://corp.example/a/alice"
	byURI := []writtenRule{{From: "san.uri", Pattern: "spiffe://{tenant}.example/a/{user}"}}
	for name, c := range map[string]struct {
		cert tls.Certificate
		why  authn.Reason
	}{
		"its own":                            {mesh.Issue(id(alice)), ""},
		"its own, below an intermediate":     {issuing.Issue(id(alice)), ""},
		"none":                               {mesh.Issue(id()), ReasonTrustDomain},
		"a URI of another kind":              {mesh.Issue(id("urn:uuid:1")), ReasonTrustDomain},
		"two":                                {mesh.Issue(id(alice, "spiffe://corp.example/b")), ReasonAmbiguous},
		"one beside a URI":                   {mesh.Issue(id(alice, "urn:uuid:1")), ReasonAmbiguous},
		"another's":                          {mesh.Issue(id("spiffe://other.example/a/alice")), ReasonTrustDomain},
		"another's, of no anchor":            {mesh.Issue(id("spiffe://labs.example/a/alice")), ReasonTrustDomain},
		"of a domain below":                  {mesh.Issue(id("spiffe://a.corp.example/a/alice")), ReasonTrustDomain},
		"the other's own":                    {other.Issue(id("spiffe://other.example/a/alice")), ""},
		"from the other":                     {other.Issue(id(alice)), ReasonTrustDomain},
		"from an anchor without domain":      {staff.Issue(id(alice)), ReasonTrustDomain},
		"of no anchor, from one without":     {staff.Issue(id("spiffe://labs.example/a/alice")), ""},
		"none, from an anchor without":       {staff.Issue(id()), ""},
		"the domain alone":                   {mesh.Issue(id("spiffe://corp.example")), ReasonBadName},
		"the domain in capitals, from staff": {staff.Issue(id("spiffe://CORP.example/a/alice")), ReasonBadName},
	} {
		for rules, w := range map[string]written{
			"by name": {Anchors: []string{"staff", "mesh", "other"}, Identify: byCommonName.Identify},
			"by id":   {Anchors: []string{"staff", "mesh", "other"}, Identify: append(byURI, byCommonName.Identify...)},
			"anchor":  {Anchors: []string{"staff", "mesh", "other"}, Identify: []writtenRule{{From: "anchor"}}},
		} {
			if rules == "by id" && c.why == "" && strings.Contains(fmt.Sprint(c.cert.Leaf.URIs), "r.example") || rules == "by id" && strings.Contains(fmt.Sprint(c.cert.Leaf.URIs), "labs") {
				continue // another tenant, by that rule
			}
			_, err := verify(t, newFixture(anchors...).factor(t, w), request(present(t, c.cert), time.Now()))
			if wantReason(t, err, c.why); t.Failed() {
				t.Fatalf("%s, %s", name, rules)
			}
		}
	}
	// Also where the factor does not have the anchor that owns the domain.
	f := newFixture(anchors...).factor(t, byCommonName)
	_, err := verify(t, f, request(present(t, staff.Issue(id(alice))), time.Now()))
	wantReason(t, err, ReasonTrustDomain)
}

func TestRulesOutsideTheTrustDomain(t *testing.T) {
	mesh := policy.Anchor{Name: "mesh", Tenant: "corp", TrustDomain: "corp.example", Certificates: []*x509.Certificate{mtlstest.NewCA(t, "Mesh").Certificate}}
	staff := staffOf(mtlstest.NewCA(t, "Staff"))
	for pattern, only := range map[string]bool{
		"spiffe://corp.example/{user}":     true,
		"spiffe://corp.{tenant}/{user}":    true,
		"spiffe://{tenant}.example/{user}": true,
		"spiffe://other.example/{user}":    false,
		"spiffe://corp.example.com/{user}": false,
		"urn:{user}":                       false,
		"spiffe://corp.examples/{user}":    false,
	} {
		rule := writtenRule{From: "san.uri", Pattern: pattern}
		if !strings.Contains(pattern, "{tenant}") {
			rule.Tenant = "corp"
		}
		for _, c := range []struct {
			anchors []string
			good    bool
		}{{[]string{"mesh"}, only}, {[]string{"mesh", "staff"}, true}} {
			_, err := readSettings(plainSection{"device", []policy.Anchor{mesh, staff}, written{Anchors: c.anchors, Identify: []writtenRule{rule}}})
			if (err == nil) != c.good || err != nil && !strings.Contains(err.Error(), "identify[0].pattern: this rule can never match") {
				t.Errorf("%s under %v: %v", pattern, c.anchors, err)
			}
		}
	}
}

const bundlePolicy = `version: 1
origin: https://portal.example
anchors:
  mesh: { bundle: corp.json, trust_domain: corp.example, tenant: corp }
factors:
  device: { kind: mtls, anchors: [mesh], identify: [{ from: san.uri, pattern: "spiffe://corp.example/{user}", tenant: corp }] }
methods:
  admin: { steps: [device] }
rules:
  - { methods: [admin] }
`

// What was won with a certificate ends with the authority that vouched for it, as the bundle's file says, also on a connection
// that remembers it.
func TestAuthorityLeavesTheBundle(t *testing.T) {
	folder := t.TempDir()
	old, next := mtlstest.NewCA(t, "Mesh 1"), mtlstest.NewCA(t, "Mesh 2")
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("policy.yaml", []byte(bundlePolicy))
	write("corp.json", bundleOf(t, 1, old))
	p, err := policy.Load(filepath.Join(folder, "policy.yaml"), Kind())
	if err != nil {
		t.Fatal(err)
	}
	x := newFixture()
	build := func(p *policy.Policy) factors.Tied {
		t.Helper()
		f, err := x.kind.Build(p.Factors[0].Settings, factors.Env{Policy: p, Directory: x.directory, Denials: x.denials})
		if err != nil {
			t.Fatal(err)
		}
		return f.(factors.Tied)
	}
	watcher, f := policy.NewWatcher(p, Kind()), build(p)
	r := request(present(t, old.Issue(id("spiffe://corp.example/alice"))), time.Now())
	e, err := verify(t, f, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		content []byte
		broken  bool
		why     authn.Reason
	}{
		{"another beside it", bundleOf(t, 2, old, next), false, ""},
		{"it left", bundleOf(t, 3, next), false, ReasonUntrusted},
		{"the old file", bundleOf(t, 2, old, next), true, ReasonUntrusted},
		{"a broken file", []byte("{"), true, ReasonUntrusted},
		{"it came back", bundleOf(t, 4, next, old), false, ""},
	} {
		write("corp.json", c.content)
		p, changed, err := watcher.Check()
		if changed == c.broken || (err != nil) != c.broken {
			t.Fatalf("%s: %v, %v", c.name, changed, err)
		}
		if changed {
			f = build(p)
		}
		if wantReason(t, f.CheckTie(context.Background(), r, *e.Tie, e.Subject), c.why); t.Failed() {
			t.Fatal(c.name)
		}
		_, err = verify(t, f, r)
		wantReason(t, err, c.why)
	}
}
