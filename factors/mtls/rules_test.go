package mtls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
)

func TestMatch(t *testing.T) {
	spiffe := "spiffe://corp.example/{tenant}/kiosk/{user}"
	for _, c := range []struct {
		from             source
		pattern, value   string
		user, tenant, no string
	}{
		{from: fromCommonName, pattern: "{user}", value: "alice", user: "alice"},
		{from: fromCommonName, pattern: "{user}", value: "Alice Smith", user: "Alice Smith"},
		{from: fromCommonName, pattern: "{user}", value: "", no: "empty capture"},
		{from: fromCommonName, pattern: "corp-{user}", value: "corp-alice", user: "alice"},
		{from: fromCommonName, pattern: "corp-{user}", value: "corp-", no: "empty capture"},
		{from: fromCommonName, pattern: "corp-{user}", value: "Corp-alice", no: "case"},
		{from: fromCommonName, pattern: "{user}-laptop", value: "alice-laptop", user: "alice"},
		{from: fromCommonName, pattern: "{user}-laptop", value: "alice-laptop-2", no: "rest behind"},
		{from: fromCommonName, pattern: "{user}-laptop", value: "a-b-laptop", no: "crosses the separator"},
		{from: fromCommonName, pattern: "device {user}", value: "device  bob", no: "capture begins with a space"},
		{from: fromCommonName, pattern: "alice", value: "alice"},
		{from: fromCommonName, pattern: "alice", value: "alic", no: "whole value"},
		{from: fromURI, pattern: spiffe, value: "spiffe://corp.example/corp/kiosk/lobby", user: "lobby", tenant: "corp"},
		{from: fromURI, pattern: spiffe, value: "spiffe://corp.example/corp/kiosk/lobby/2", no: "segment behind"},
		{from: fromURI, pattern: spiffe, value: "spiffe://corp.example/a/b/kiosk/lobby", no: "segment between"},
		{from: fromURI, pattern: spiffe, value: "spiffe://corp.example//kiosk/lobby", no: "empty tenant"},
		{from: fromURI, pattern: spiffe, value: "spiffe://corp.example/corp/kiosk/", no: "empty user"},
		{from: fromURI, pattern: spiffe, value: "spiffe://corp.example/corp/kiosk/lobby?x", no: "query"},
		{from: fromURI, pattern: spiffe, value: "spiffe://corp.example/corp/kiosk/lobby#x", no: "fragment"},
		{from: fromURI, pattern: spiffe, value: "spiffe://corp.example/corp/kiosk/%6cobby", no: "encoded"},
		{from: fromURI, pattern: spiffe, value: "spiffe://corp.example/corp/kiosk/..", no: "relative"},
		{from: fromURI, pattern: spiffe, value: "spiffe://CORP.example/corp/kiosk/lobby", no: "case"},
		{from: fromURI, pattern: spiffe, value: "spiffe://corp.example.evil/corp/kiosk/lobby", no: "another domain"},
		{from: fromDNS, pattern: "{user}.{tenant}.kiosks.example", value: "lobby.corp.kiosks.example", user: "lobby", tenant: "corp"},
		{from: fromDNS, pattern: "{user}.{tenant}.kiosks.example", value: "a.lobby.corp.kiosks.example", no: "crosses a dot"},
		{from: fromDNS, pattern: "{user}.{tenant}.kiosks.example", value: "lobby.corp.kiosks.example.evil.example", no: "rest behind"},
		{from: fromEmail, pattern: "{user}@acme.example", value: "bob@acme.example", user: "bob"},
		{from: fromEmail, pattern: "{user}@acme.example", value: "bob@acme.example@acme.example", no: "two"},
		{from: fromUPN, pattern: "{user}@CORP.EXAMPLE", value: "bob@corp.example", no: "case"},
	} {
		p, err := parsePattern(c.from, c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		user, tenant, ok := p.match(c.value)
		if c.no != "" {
			if ok {
				t.Errorf("%s matches %q (%s)", c.pattern, c.value, c.no)
			}
			continue
		}
		if !ok || user != c.user || tenant != c.tenant {
			t.Errorf("%s, %q: %q %q %v", c.pattern, c.value, user, tenant, ok)
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for _, c := range []struct {
		from    source
		pattern string
	}{
		{fromCommonName, "{user"}, {fromCommonName, "user}"}, {fromCommonName, "{}"}, {fromCommonName, "{name}"},
		{fromCommonName, "{User}"}, {fromCommonName, "{{user}}"}, {fromCommonName, "{user}{tenant}"},
		{fromCommonName, "{user}-{user}"}, {fromCommonName, " {user}"}, {fromCommonName, "{user} "},
		{fromCommonName, "a\u202e{user}"}, {fromCommonName, "a\n{user}"}, {fromCommonName, strings.Repeat("a", 257)},
		{fromCommonName, "a\xff{user}"}, {fromURI, "spiffe://ü/{user}"}, {fromDNS, "{user}.ki_osk"}, {fromDNS, "{user}..example"},
		{fromDNS, "-{user}"}, {fromDNS, "*.{user}"}, {fromEmail, "@{user}"}, {fromEmail, "acme.example"}, {fromEmail, "{user}@@x"},
		{fromUPN, "corp"}, {fromUPN, "{user}@"},
	} {
		if _, err := parsePattern(c.from, c.pattern); err == nil {
			t.Errorf("%s %q is taken", c.from, c.pattern)
		}
	}
	for _, good := range []struct {
		from    source
		pattern string
	}{{fromEmail, "{user}"}, {fromEmail, "{user}.x"}, {fromUPN, "{user}@{tenant}.example"}, {fromDNS, "{user}"}} {
		if _, err := parsePattern(good.from, good.pattern); err != nil {
			t.Error(err)
		}
	}
}

// Whatever a pattern matches can be put together again from what it captured.
func FuzzPattern(f *testing.F) {
	f.Add("{user}@acme.example", "bob@acme.example")
	f.Add("spiffe://corp.example/{tenant}/kiosk/{user}", "spiffe://corp.example/corp/kiosk/lobby")
	f.Add("{user}.{tenant}.x", "a.b.x")
	f.Fuzz(func(t *testing.T, text, value string) {
		for _, from := range sources[:5] {
			p, err := parsePattern(from, text)
			if err != nil {
				continue
			}
			user, tenant, ok := p.match(value)
			if !ok {
				continue
			}
			var again strings.Builder
			for i, q := range p.parts {
				part := q.literal + map[string]string{"user": user, "tenant": tenant}[q.capture]
				if q.capture != "" && part == "" {
					t.Fatalf("%q, %q: empty {%s}", text, value, q.capture)
				}
				if q.capture != "" && i+1 < len(p.parts) {
					if r, _ := utf8.DecodeRuneInString(p.parts[i+1].literal); strings.ContainsRune(part, r) {
						t.Fatalf("%q, %q: {%s} is %q", text, value, q.capture, part)
					}
				}
				again.WriteString(part)
			}
			if again.String() != value {
				t.Fatalf("%q, %q: %q", text, value, again.String())
			}
		}
	})
}

// Reading names never panics, and what is read is literally in the certificate.
func FuzzNames(f *testing.F) {
	ca := mtlstest.NewCA(f, "CA")
	l := mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://x/y"}, DNS: []string{"a.example"}, Emails: []string{"a@b"}, UPNs: []string{"a@B"}}
	c := ca.Issue(l).Leaf
	f.Add(c.RawSubject, l.SubjectAltName(f).Value)
	f.Fuzz(func(t *testing.T, subject, san []byte) {
		n := names{}
		if n.readSubject(subject) == nil {
			for _, s := range n[fromCommonName] {
				if !strings.Contains(string(subject), s) {
					t.Fatalf("%q is not in the subject", s)
				}
			}
		}
		n = names{}
		if n.readSAN(san) == nil {
			count := 0
			for _, values := range n {
				for _, s := range values {
					if count++; !strings.Contains(string(san), s) {
						t.Fatalf("%q is not in the SAN", s)
					}
				}
			}
			if count > maxSANs {
				t.Fatalf("%d names", count)
			}
		}
		_ = n.fault()
	})
}

func TestReadNames(t *testing.T) {
	ca := mtlstest.NewCA(t, "CA")
	l := mtlstest.Leaf{
		CN: "alice", CNs: []string{"second"}, URIs: []string{"spiffe://x/%41", "urn:b"}, DNS: []string{"a.example"},
		Emails: []string{"a@b.example"}, UPNs: []string{"alice@CORP.EXAMPLE"},
	}
	c := ca.Issue(l).Leaf
	n, err := readNames(c)
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[source]string{
		fromCommonName: "alice second", fromURI: "spiffe://x/%41 urn:b", fromDNS: "a.example",
		fromEmail: "a@b.example", fromUPN: "alice@CORP.EXAMPLE",
	} {
		if got := strings.Join(n[from], " "); got != want {
			t.Errorf("%s: %q, want %q", from, got, want)
		}
	}
}

// Several CNs in one RDN are several too.
func TestMultiValuedRDN(t *testing.T) {
	n := names{}
	cn := func(s string) attribute {
		der, _ := asn1.Marshal(s)
		return attribute{Type: oidCommonName, Value: asn1.RawValue{FullBytes: der}}
	}
	der, err := asn1.Marshal([]attributesSET{{cn("alice"), cn("bobby")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.readSubject(der); err != nil || len(n[fromCommonName]) != 2 {
		t.Errorf("%v, %v", n, err)
	}
}

func TestMalformedSAN(t *testing.T) {
	good := mtlstest.Leaf{UPNs: []string{"a@B"}}.SubjectAltName(t).Value
	for name, der := range map[string][]byte{
		"empty":                    {},
		"no name":                  {0x30, 0},
		"trailing byte":            append(append([]byte{}, good...), 0),
		"long form of a length":    {0x30, 0x81, 3, 0x82, 1, 'a'},
		"universal class":          {0x30, 3, 0x0c, 1, 'a'},
		"compound e-mail":          {0x30, 5, 0xa1, 3, 0x0c, 1, 'a'},
		"primitive otherName":      {0x30, 3, 0x80, 1, 'a'},
		"otherName of nothing":     {0x30, 2, 0xa0, 0},
		"unknown tag":              {0x30, 3, 0x89, 1, 'a'},
		"UPN as IA5String":         replaced(good, 0x0c, 0x16),
		"UPN with a byte too many": {0x30, 20, 0xa0, 18, 6, 10, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x14, 2, 3, 0xa0, 4, 0x0c, 1, 'a', 0},
	} {
		if err := (names{}).readSAN(der); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := (names{}).readSAN(good); err != nil {
		t.Error(err)
	}
}

func replaced(der []byte, old, now byte) []byte {
	out := append([]byte{}, der...)
	i := strings.LastIndexByte(string(out), old)
	out[i] = now
	return out
}

func TestEverySource(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	for _, c := range []struct {
		rule writtenRule
		leaf mtlstest.Leaf
		why  authn.Reason
	}{
		{writtenRule{"subject.cn", "{user}", "corp"}, mtlstest.Leaf{CN: "alice"}, ""},
		{writtenRule{"san.uri", "spiffe://corp.example/{tenant}/{user}", ""}, mtlstest.Leaf{URIs: []string{"spiffe://corp.example/corp/alice"}}, ""},
		{writtenRule{"san.dns", "{user}.{tenant}.kiosks.example", ""}, mtlstest.Leaf{DNS: []string{"alice.corp.kiosks.example"}}, ""},
		{writtenRule{"san.dns", "{user}.{tenant}.kiosks.example", ""}, mtlstest.Leaf{DNS: []string{"alice.corp.kiosks.example", "x.example"}}, ReasonAmbiguous},
		{writtenRule{"san.dns", "{user}.{tenant}.kiosks.example", ""}, mtlstest.Leaf{DNS: []string{"*.corp.kiosks.example"}}, ReasonBadName},
		{writtenRule{"san.email", "{user}@corp.example", "corp"}, mtlstest.Leaf{Emails: []string{"alice@corp.example"}}, ""},
		{writtenRule{"san.email", "{user}@corp.example", "corp"}, mtlstest.Leaf{Emails: []string{"alice@corp.example", "b@corp.example"}}, ReasonAmbiguous},
		{writtenRule{"san.upn", "{user}@CORP.EXAMPLE", "corp"}, mtlstest.Leaf{CN: "x", CNs: []string{"Users"}, UPNs: []string{"alice@CORP.EXAMPLE"}}, ""},
		{writtenRule{"san.upn", "{user}@CORP.EXAMPLE", "corp"}, mtlstest.Leaf{UPNs: []string{"alice@CORP.EXAMPLE", "bob@CORP.EXAMPLE"}}, ReasonAmbiguous},
		{writtenRule{"san.upn", "{user}@CORP.EXAMPLE", "corp"}, mtlstest.Leaf{CN: "x", UPNs: []string{"al\u200bice@CORP.EXAMPLE"}}, ReasonBadName},
		{writtenRule{"san.upn", "{user}@CORP.EXAMPLE", "corp"}, mtlstest.Leaf{CN: "x", UPNs: []string{"alice@corp.example"}}, ReasonUnmapped},
	} {
		// A SAN beside an empty subject must be critical; crypto/x509 makes it so, and cannot read a lone UPN then.
		if c.leaf.CN == "" && len(c.leaf.UPNs) > 0 {
			san := c.leaf.SubjectAltName(t)
			san.Critical = true
			c.leaf.UPNs, c.leaf.Extra = nil, append(c.leaf.Extra, san)
		}
		f := newFixture(staffOf(ca)).factor(t, written{Anchors: []string{"staff"}, Identify: []writtenRule{c.rule}})
		_, err := verify(t, f, request(present(t, ca.Issue(c.leaf)), time.Now()))
		wantReason(t, err, c.why)
	}
}

func TestFirstRuleWins(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f := newFixture(staffOf(ca)).factor(t, written{Anchors: []string{"staff"}, Identify: []writtenRule{
		{"san.email", "{user}@corp.example", "corp"}, {"subject.cn", "{user}", "corp"},
	}})
	e, err := verify(t, f, request(present(t, ca.Issue(mtlstest.Leaf{CN: "alice", Emails: []string{"bob@corp.example"}})), time.Now()))
	if err != nil || e.Subject.User != "u-bob" {
		t.Errorf("%+v, %v", e.Subject, err)
	}
	e, err = verify(t, f, request(present(t, ca.Issue(mtlstest.Leaf{CN: "alice"})), time.Now()))
	if err != nil || e.Subject.User != "u-alice" {
		t.Errorf("%+v, %v", e.Subject, err)
	}
}

func TestSettings(t *testing.T) {
	staff, acme, none := mtlstest.NewCA(t, "Staff"), mtlstest.NewCA(t, "Acme"), mtlstest.NewCA(t, "None")
	cert := func(ca *mtlstest.CA) []*x509.Certificate { return []*x509.Certificate{ca.Certificate} }
	noCA := present(t, staff.Issue(mtlstest.Leaf{CN: "x"}))
	weak := mtlstest.NewCA(t, "x").IntermediateFrom(mtlstest.Leaf{CN: "weak", Key: smallRSA(t)})
	servers := staff.IntermediateFrom(mtlstest.Leaf{CN: "servers", EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	clients := staff.IntermediateFrom(mtlstest.Leaf{CN: "clients", EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	anything := staff.IntermediateFrom(mtlstest.Leaf{CN: "anything", EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	stamps := staff.IntermediateFrom(mtlstest.Leaf{CN: "stamps", Change: func(c *x509.Certificate) {
		c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3}}
	}})
	critical := staff.IntermediateFrom(mtlstest.Leaf{CN: "critical", Extra: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}})
	backwards := staff.IntermediateFrom(mtlstest.Leaf{CN: "backwards", NotBefore: time.Now(), NotAfter: time.Now().Add(-time.Hour)})
	anchors := []policy.Anchor{
		{Name: "servers", Tenant: "corp", Certificates: cert(servers)},
		{Name: "clients", Tenant: "corp", Certificates: cert(clients)},
		{Name: "anything", Tenant: "corp", Certificates: cert(anything)},
		{Name: "stamps", Tenant: "corp", Certificates: cert(stamps)},
		{Name: "critical", Tenant: "corp", Certificates: cert(critical)},
		{Name: "backwards", Tenant: "corp", Certificates: cert(backwards)},
		{Name: "bundle", Tenant: "corp", Certificates: []*x509.Certificate{servers.Certificate, critical.Certificate, staff.Certificate}},
		{Name: "useless", Tenant: "corp", Certificates: []*x509.Certificate{servers.Certificate, critical.Certificate}},
		{Name: "staff", Tenant: "corp", Certificates: cert(staff)},
		{Name: "acme", Tenant: "acme", Certificates: cert(acme)},
		{Name: "portal", Tenants: []string{"corp", "labs"}, Certificates: cert(none)},
		{Name: "mute", Certificates: cert(none)},
		{Name: "again", Tenant: "globex", Certificates: cert(staff)},
		{Name: "empty", Tenant: "corp"},
		{Name: "leaf", Tenant: "corp", Certificates: noCA},
		{Name: "weak", Tenant: "corp", Certificates: cert(weak)},
	}
	cn := []writtenRule{{"subject.cn", "{user}", "corp"}}
	one := []string{"staff"}
	for _, c := range []struct {
		name string
		w    written
		want string // a part of the error; empty: good
	}{
		{"good", written{Anchors: one, Identify: cn}, ""},
		{"all keys", written{Anchors: one, Identify: cn, Bind: "identity", Principal: "device", Enrolled: "required"}, ""},
		{"anchor first for a fallback", written{Anchors: []string{"staff", "portal"}, Identify: []writtenRule{{From: "anchor"}, cn[0]}}, ""},
		{"no anchors", written{Identify: cn}, "anchors: "},
		{"unknown anchor", written{Anchors: []string{"stuff"}, Identify: cn}, `anchors[0]: there is no anchor "stuff"`},
		{"anchor twice", written{Anchors: []string{"staff", "staff"}, Identify: cn}, "anchors[1]: "},
		{"anchors that share a CA", written{Anchors: []string{"staff", "again"}, Identify: cn}, "anchors[1]: "},
		{"empty anchor", written{Anchors: []string{"empty"}, Identify: cn}, "anchors[0]: "},
		{"anchor that is no CA", written{Anchors: []string{"leaf"}, Identify: cn}, "anchors[0]: "},
		{"anchor with a weak key", written{Anchors: []string{"weak"}, Identify: cn}, "anchors[0]: "},
		{"anchor for servers", written{Anchors: []string{"servers"}, Identify: cn}, "anchors[0]: "},
		{"anchor for something else", written{Anchors: []string{"stamps"}, Identify: cn}, "anchors[0]: "},
		{"anchor for clients too", written{Anchors: []string{"clients"}, Identify: cn}, ""},
		{"anchor for anything", written{Anchors: []string{"anything"}, Identify: cn}, ""},
		{"anchor with one CA for clients among others", written{Anchors: []string{"bundle"}, Identify: cn}, ""},
		{"anchor with no CA for clients", written{Anchors: []string{"useless"}, Identify: cn}, "anchors[0]: "},
		{"anchor with a critical extension", written{Anchors: []string{"critical"}, Identify: cn}, "anchors[0]: "},
		{"anchor that ends before it begins", written{Anchors: []string{"backwards"}, Identify: cn}, "anchors[0]: "},
		{"no rules", written{Anchors: one}, "identify: "},
		{"unknown source", written{Anchors: one, Identify: []writtenRule{{"subject.ou", "{user}", "corp"}}}, "identify[0].from: "},
		{"no pattern", written{Anchors: one, Identify: []writtenRule{{"subject.cn", "", "corp"}}}, "identify[0].pattern: "},
		{"unknown capture", written{Anchors: one, Identify: []writtenRule{{"subject.cn", "{usr}", "corp"}}}, "identify[0].pattern: "},
		{"tenant nowhere", written{Anchors: one, Identify: []writtenRule{{"subject.cn", "{user}", ""}}}, "identify[0]: "},
		{"tenant twice", written{Anchors: one, Identify: []writtenRule{{"subject.cn", "{user}@{tenant}", "corp"}}}, "identify[0].tenant: "},
		{"foreign tenant", written{Anchors: one, Identify: []writtenRule{{"subject.cn", "{user}", "acme"}}}, "identify[0].tenant: "},
		{"tenant of a portal anchor", written{Anchors: []string{"portal"}, Identify: []writtenRule{{"subject.cn", "{user}", "labs"}}}, ""},
		{"anchors that speak for none", written{Anchors: []string{"mute"}, Identify: []writtenRule{{"subject.cn", "{user}@{tenant}", ""}}}, "identify[0]: "},
		{"anchor rule without an owner", written{Anchors: []string{"portal"}, Identify: []writtenRule{{From: "anchor"}}}, "identify[0]: "},
		{"anchor rule with a pattern", written{Anchors: one, Identify: []writtenRule{{"anchor", "{user}", ""}}}, "identify[0].pattern: "},
		{"anchor rule with a tenant", written{Anchors: one, Identify: []writtenRule{{"anchor", "", "corp"}}}, "identify[0].tenant: "},
		{"rule behind the anchor's", written{Anchors: one, Identify: []writtenRule{{From: "anchor"}, cn[0]}}, "identify[1]: this rule can never match"},
		{"rule twice", written{Anchors: one, Identify: []writtenRule{cn[0], cn[0]}}, "identify[1]: "},
		{"rule behind a wider one", written{Anchors: one, Identify: []writtenRule{cn[0], {"subject.cn", "x-{user}", "corp"}}}, "identify[1]: "},
		{"constant behind a wider one", written{Anchors: one, Identify: []writtenRule{{"subject.cn", "x-{user}", "corp"}, {"subject.cn", "x-y", "corp"}}}, "identify[1]: "},
		{"a wider rule behind", written{Anchors: one, Identify: []writtenRule{{"subject.cn", "x-{user}", "corp"}, cn[0]}}, ""},
		{"pattern that can't match", written{Anchors: one, Identify: []writtenRule{{"san.dns", "{user}._", "corp"}}}, "identify[0].pattern: "},
		{"unknown bind", written{Anchors: one, Identify: cn, Bind: "keys"}, "bind: "},
		{"identity without a user", written{Anchors: one, Identify: []writtenRule{{From: "anchor"}}, Bind: "identity"}, "bind: "},
		{"identity where one rule names no user", written{Anchors: one, Identify: []writtenRule{cn[0], {From: "anchor"}}, Bind: "identity"}, "bind: "},
		{"unknown principal", written{Anchors: one, Identify: cn, Principal: "robot"}, "principal: "},
		{"device without a user", written{Anchors: one, Identify: []writtenRule{{From: "anchor"}}, Principal: "device"}, "principal: "},
		{"workload", written{Anchors: one, Identify: cn, Bind: "identity", Principal: "workload"}, ""},
		{"workload without a user", written{Anchors: one, Identify: []writtenRule{{From: "anchor"}}, Principal: "workload"}, "principal: "},
		{"workload that enrols", written{Anchors: one, Identify: cn, Principal: "workload", Enrolled: "required"}, "enrolled: a workload enrols nothing"},
		{"workload that steps up", written{Anchors: one, Identify: cn, Principal: "workload", Revocation: &revocation.Written{CRL: []string{"http://x.example/crl"},
			Stale: &policy.TextOr[revocation.WrittenStale]{Mapping: &revocation.WrittenStale{StepUp: []string{"passkey"}}}}}, "revocation.stale.step_up: a workload cannot step up"},
		{"unknown enrolled", written{Anchors: one, Identify: cn, Enrolled: "yes"}, "enrolled: "},
		{"enrolled without a user", written{Anchors: one, Identify: []writtenRule{{From: "anchor"}}, Enrolled: "required"}, "enrolled: "},
		{"revocation", written{Anchors: one, Identify: cn, Revocation: &revocation.Written{CRL: []string{"x"}}}, "revocation.crl[0]: cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readSettings(plainSection{"device", anchors, c.w})
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		from source
		p, q string
		want bool
	}{
		{fromCommonName, "{user}", "{user}", true},
		{fromCommonName, "{user}", "x{user}", true},
		{fromCommonName, "{user}", "x", true},
		{fromCommonName, "x{user}", "xy{user}", true},
		{fromCommonName, "xy{user}", "x{user}", false},
		{fromCommonName, "x{user}", "x", false},
		{fromCommonName, "x-{user}", "x-y", true},
		{fromCommonName, "{user}-x", "a-x", true},
		{fromCommonName, "{user}-x", "a-b-x", false},
		{fromCommonName, "{user}-x", "{user}-x", true},
		{fromCommonName, "{user}-x", "{user}b-x", false},
		{fromCommonName, "{user}b-x", "{user}-x", false},
		{fromCommonName, "device {user}", "device x{user}", true},
		{fromCommonName, "device {user}", "device  {user}", false},
		{fromCommonName, "{user} x", "{user} x", true},
		{fromCommonName, "{tenant}:{user}", "corp:{user}", true},
		{fromCommonName, "{tenant}:{user}", "{user}:corp", true},
		{fromCommonName, "{tenant}:{user}", "a:{user}:b", true},
		{fromCommonName, "{tenant}:{user}", "{user}", false},
		{fromCommonName, "corp:{user}", "{tenant}:{user}", false},
		{fromEmail, "{user}@{tenant}", "{user}@corp.example", true},
		{fromEmail, "{user}@corp.example", "{user}@{tenant}", false},
		{fromEmail, "{user}@{tenant}", "a@{tenant}", true},
		{fromEmail, "{user}@{tenant}", "{user}.x@corp.example", false},
		{fromDNS, "{user}.{tenant}", "{user}.kiosks", true},
		{fromDNS, "{user}.{tenant}", "{user}.{tenant}.kiosks", true},
		{fromDNS, "{user}.{tenant}.kiosks", "{user}.{tenant}", false},
		{fromURI, "spiffe://x/{user}", "spiffe://x/u-{user}", true},
		{fromURI, "spiffe://x/{user}", "spiffe://x/u/{user}", false},
		{fromURI, "spiffe://x/{user}", "spiffe://x/..", false},
		{fromURI, "spiffe://x/{user}", "spiffe://x/.{user}", true},
		{fromURI, "spiffe://{tenant}/{user}", "spiffe://corp/{user}", true},
		{fromURI, "spiffe://{tenant}/{user}", "spiffe://a.{tenant}.b/{user}", true},
		{fromURI, "{user}", "spiffe:{user}", true},
		{fromURI, "{user}", "spiffe://{user}", false},
	} {
		p, err := parsePattern(c.from, c.p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := parsePattern(c.from, c.q)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.covers(q); got != c.want {
			t.Errorf("%s: %q covers %q: %v", c.from, c.p, c.q, got)
		}
	}
	for _, r := range []rule{{from: fromCommonName}, {from: fromURI}} {
		p, _ := parsePattern(r.from, "{user}")
		if q, _ := parsePattern(fromDNS, "{user}"); p.covers(q) {
			t.Errorf("%s covers another source", r.from)
		}
	}
}

// A pattern covers another only if it matches every value of it.
func TestCoversIsNeverWrong(t *testing.T) {
	covered := 0
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.SampledFrom([]source{fromCommonName, fromURI, fromDNS, fromEmail}).Draw(t, "from")
		part := rapid.SampledFrom([]string{"a", "b", ".", "@", "/", " ", "é", "{user}", "{tenant}"})
		draw := func(name string) pattern {
			p, err := parsePattern(from, strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, name), ""))
			if err != nil {
				t.Skip(err)
			}
			return p
		}
		p, q := draw("p"), draw("q")
		if !p.covers(q) {
			return
		}
		covered++
		for range 20 {
			var b strings.Builder
			for _, s := range q.parts {
				b.WriteString(s.literal)
				if s.capture != "" {
					b.WriteString(strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", ".", "@", "/", " ", "é", "..", "%"}), 1, 3).Draw(t, "value"), ""))
				}
			}
			value := b.String()
			if _, _, ok := q.match(value); !ok || valueFault(from, value) != "" {
				continue
			}
			if _, _, ok := p.match(value); !ok {
				t.Fatalf("%s: %q is said to cover %q, and does not match %q", from, p.text, q.text, value)
			}
		}
	})
	if covered == 0 {
		t.Error("no pattern covered another")
	}
}
