package policy

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crypto/x509"
	"github.com/go-jose/go-jose/v4"
)

// authority is a key of a trust bundle: that of a certificate in PEM.
func authority(t testing.TB, use string, certificate []byte) string {
	t.Helper()
	block, _ := pem.Decode(certificate)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	b, err := jose.JSONWebKey{Key: c.PublicKey, Certificates: []*x509.Certificate{c}, Use: use, KeyID: "a"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func bundleOf(sequence string, keys ...string) []byte {
	return []byte(fmt.Sprintf(`{"keys":[%s]%s}`, strings.Join(keys, ","), sequence))
}

const ofBundle = "  staff: { bundle: corp.json, trust_domain: corp.example, tenant: corp }"

func withBundle(t testing.TB, content []byte) (folder, text string) {
	t.Helper()
	folder = folderWith(t)
	writeFile(t, folder, "corp.json", content)
	return folder, strings.Replace(baseText, "  staff: { ca: staff.crt, tenant: corp }", ofBundle, 1)
}

func TestBundle(t *testing.T) {
	one, two := certificate(t, true), certificate(t, true)
	for name, c := range map[string]struct {
		content []byte
		count   int
	}{
		"one":                     {bundleOf("", authority(t, "x509-svid", one)), 1},
		"two":                     {bundleOf(`,"spiffe_sequence":7,"spiffe_refresh_hint":60`, authority(t, "x509-svid", one), authority(t, "x509-svid", two)), 2},
		"the same twice":          {bundleOf("", authority(t, "x509-svid", one), authority(t, "x509-svid", one)), 1},
		"keys for tokens":         {bundleOf("", authority(t, "jwt-svid", two), authority(t, "x509-svid", one)), 1},
		"keys for something else": {bundleOf(`,"more":{"a":[]}`, authority(t, "sig", two), authority(t, "x509-svid", one)), 1},
	} {
		folder, text := withBundle(t, c.content)
		p, err := parseIn(folder, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		a := p.Anchors[0]
		if len(a.Certificates) != c.count || a.TrustDomain != "corp.example" || a.Bundle != filepath.Join(folder, "corp.json") || a.CA != "" || a.Tenant != "corp" {
			t.Errorf("%s: %+v", name, a)
		}
		if len(p.Files) != 2 || p.Files[1] != a.Bundle {
			t.Errorf("%s: the bundle is no file of the policy: %v", name, p.Files)
		}
	}
}

func TestBrokenBundle(t *testing.T) {
	good := authority(t, "x509-svid", certificate(t, true))
	const odd = "could be taken for another"
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"empty":                 {nil, "read in one way only"},
		"PEM":                   {certificate(t, true), "read in one way only"},
		"no object":             {[]byte("[]"), "no SPIFFE trust bundle"},
		"no keys":               {[]byte("{}"), "no SPIFFE trust bundle"},
		"none":                  {bundleOf(""), "has no X.509 authority"},
		"for tokens only":       {bundleOf("", authority(t, "jwt-svid", certificate(t, true))), "has no X.509 authority"},
		"without use":           {bundleOf("", strings.Replace(good, `"use":"x509-svid",`, "", 1)), "has no X.509 authority"},
		"a leaf":                {bundleOf("", good, authority(t, "x509-svid", certificate(t, false))), "not a CA's"},
		"no certificate":        {bundleOf("", `{"use":"x509-svid","kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`), "no SPIFFE trust bundle"},
		"another's certificate": {bundleOf("", strings.Replace(good, `"x5c":["`, `"x5c":["`+base64.StdEncoding.EncodeToString([]byte("x")), 1)), "no SPIFFE trust bundle"},
		"after it":              {append(bundleOf("", good), '1'), "read in one way only"},
		"twice":                 {append(bundleOf("", good), bundleOf("", good)...), "read in one way only"},
		"keys twice":            {bundleOf(`,"keys":[]`, good), "read in one way only"},
		"keys in another case":  {bundleOf(`,"KEYS":[]`, good), odd},
		"keys in capitals":      {[]byte(strings.Replace(string(bundleOf("", good)), "keys", "Keys", 1)), odd},
		"keys in disguise":      {[]byte(strings.Replace(string(bundleOf("", good)), "keys", `\u004beys`, 1)), odd},
		"keys with a long s":    {bundleOf(`,"keyſ":[]`, good), odd},
		"a long s, escaped":     {bundleOf(`,"key\u017f":[]`, good), odd},
		"a kelvin for a k":      {bundleOf(`,"\u212aeys":[]`, good), odd},
		"another sequence":      {bundleOf(`,"\u017fpiffe_sequence":99`, good), odd},
		"use twice":             {bundleOf("", strings.Replace(good, `{`, `{"use":"sig",`, 1)), "read in one way only"},
		"use in another case":   {bundleOf("", strings.Replace(good, `{`, `{"Use":"sig",`, 1)), odd},
		"two that fold":         {bundleOf(`,"a":1,"A":2`, good), odd},
		"a sequence as text":    {bundleOf(`,"spiffe_sequence":"7"`, good), "no SPIFFE trust bundle"},
		"a negative sequence":   {bundleOf(`,"spiffe_sequence":-1`, good), "no SPIFFE trust bundle"},
		"a fraction":            {bundleOf(`,"spiffe_refresh_hint":1.5`, good), "no SPIFFE trust bundle"},
		"a private key":         {bundleOf("", strings.Replace(good, `{`, `{"d":"czNjcmV0",`, 1)), "holds a private key"},
		"deep":                  {bundleOf(`,"more":`+strings.Repeat("[", maxBundleDepth)+strings.Repeat("]", maxBundleDepth), good), "too deep"},
		"no UTF-8":              {bundleOf(",\"more\":\"\xff\"", good), "read in one way only"},
		"large":                 {append(bundleOf("", good), strings.Repeat(" ", maxBundle)...), "larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			folder, text := withBundle(t, c.content)
			checkText(t, folder, strings.Replace(text, "corp.json", "^corp.json", 1), c.says)
			if _, err := parseIn(folder, text); strings.Contains(err.Error(), "czNjcmV0") {
				t.Error("the error holds the key")
			}
		})
	}
}

func TestBrokenTrustDomain(t *testing.T) {
	folder, text := withBundle(t, bundleOf("", authority(t, "x509-svid", certificate(t, true))))
	for _, c := range []struct{ now, says string }{
		{"  staff: { bundle: ^corp.json, tenant: corp }", "trust_domain is missing"},
		{"  staff: { ca: staff.crt, bundle: ^corp.json, trust_domain: corp.example, tenant: corp }", "give ca or bundle, not both"},
		{"  ^staff: { trust_domain: corp.example, tenant: corp }", "ca is missing"},
		{"  staff: { bundle: ^gone.json, trust_domain: corp.example, tenant: corp }", "the bundle cannot be read"},
		{"  staff: { bundle: corp.json, trust_domain: ^Corp.example, tenant: corp }", "a trust domain is a name"},
		{"  staff: { bundle: corp.json, trust_domain: ^spiffe://corp.example, tenant: corp }", "a trust domain is a name"},
		{"  staff: { bundle: corp.json, trust_domain: ^corp.example/a, tenant: corp }", "a trust domain is a name"},
		{"  staff: { bundle: corp.json, trust_domain: ^\"corp.example:8443\", tenant: corp }", "a trust domain is a name"},
		{"  staff: { bundle: corp.json, trust_domain: ^\"\", tenant: corp }", "a trust domain is a name"},
		{"  staff: { ca: staff.crt, trust_domain: ^\"\", tenant: corp }", "a trust domain is a name"},
		{ofBundle + "\n  more: { ca: staff.crt, trust_domain: ^corp.example }", `the trust domain corp.example is anchor "staff"'s`},
	} {
		t.Run(c.now, func(t *testing.T) { checkText(t, folder, strings.Replace(text, ofBundle, c.now, 1), c.says) })
	}
	long := strings.Replace(text, "corp.example, tenant", strings.Repeat("a", maxTrustDomain+1)+", tenant", 1)
	if _, err := parseIn(folder, long); err == nil || !strings.Contains(err.Error(), "a trust domain is a name") {
		t.Errorf("a long one: %v", err)
	}
	if p, err := parseIn(folder, strings.Replace(text, ofBundle, "  staff: { ca: staff.crt, trust_domain: corp.example, tenant: corp }", 1)); err != nil || p.Anchors[0].TrustDomain != "corp.example" {
		t.Errorf("a CA file with a trust domain: %v", err)
	}
}

// What was in force stays where a new bundle is broken, or is an old one.
func TestWatcherOfBundles(t *testing.T) {
	key := authority(t, "x509-svid", certificate(t, true))
	numbered := func(n string) []byte { return bundleOf(`,"spiffe_sequence":`+n, key) }
	folder, text := withBundle(t, numbered("5"))
	writeFile(t, folder, "policy.yaml", []byte(text))
	first, err := Load(filepath.Join(folder, "policy.yaml"), fakeKind{"fake"})
	if err != nil {
		t.Fatal(err)
	}
	w := NewWatcher(first, fakeKind{"fake"})
	change := func(content []byte) { writeFile(t, folder, "corp.json", content) }

	for _, c := range []struct {
		content []byte
		says    string
	}{
		{[]byte("{"), "policy.yaml:4:20: the bundle is not one JSON value"},
		{bundleOf(""), "has no X.509 authority"},
		{numbered("4"), "policy.yaml:4:20: the bundle is older than the one in force: its spiffe_sequence is 4, which was 5"},
		{bundleOf("", key), "the bundle has no spiffe_sequence any more: the one in force has 5"},
	} {
		change(c.content)
		if expect(t, w, false, c.says) != first {
			t.Fatalf("%s: a bad bundle replaced the policy", c.content)
		}
		expect(t, w, false, "") // reported once
	}
	if err := os.Remove(filepath.Join(folder, "corp.json")); err != nil {
		t.Fatal(err)
	}
	expect(t, w, false, "the bundle cannot be read")

	change(bundleOf(`,"spiffe_sequence":5`, key, authority(t, "x509-svid", certificate(t, true))))
	second := expect(t, w, true, "")
	if second.Epoch == first.Epoch || len(second.Anchors[0].Certificates) != 2 {
		t.Error("the bundle is not part of the policy")
	}
	change(numbered("18446744073709551615"))
	expect(t, w, true, "")
	change(numbered("6"))
	expect(t, w, false, "older")

	// Whatever the anchor is called now, and wherever its file is.
	writeFile(t, folder, "moved.json", numbered("6"))
	writeFile(t, folder, "policy.yaml", []byte(strings.NewReplacer("staff", "mesh", "corp.json", "moved.json").Replace(text)))
	expect(t, w, false, "older")
	// Another trust domain has numbers of its own, and a CA file has none.
	writeFile(t, folder, "policy.yaml", []byte(strings.Replace(text, "corp.example", "labs.example", 1)))
	expect(t, w, true, "")
	writeFile(t, folder, "policy.yaml", []byte(strings.Replace(text, ofBundle, "  staff: { ca: staff.crt, trust_domain: labs.example, tenant: corp }", 1)))
	expect(t, w, true, "")
}

func FuzzBundle(f *testing.F) {
	key := authority(f, "x509-svid", certificate(f, true))
	for _, b := range [][]byte{bundleOf("", key), bundleOf(`,"spiffe_sequence":7`, key, key), bundleOf(`,"Keys":[]`, key), []byte("{}"), []byte("[[[[")} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		certs, _, why := readBundle("corp.example", b)
		if (why == "") != (len(certs) > 0) {
			t.Fatalf("%d authorities, %q", len(certs), why)
		}
	})
}
