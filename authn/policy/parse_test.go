package policy

import (
	"bytes"
	"encoding/pem"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestBase(t *testing.T) {
	p := mustParse(t, baseText)
	if len(p.Anchors) != 1 || len(p.Factors) != 4 || len(p.Methods) != 4 || len(p.Rules) != 2 || len(p.Floors) != 1 || p.Epoch == 0 {
		t.Errorf("%+v", p)
	}
	if want := (Limits{PerCredential: 3, PerSource: 50, PerTenant: 1000, Window: 10 * time.Minute}); p.Limits != want {
		t.Errorf("limits %+v, want %+v", p.Limits, want)
	}
	admin, _ := p.Method("admin")
	if admin.Session.Idle != 15*time.Minute || admin.Session.Absolute != 8*time.Hour {
		t.Errorf("admin %+v", admin.Session)
	}
	kiosk, _ := p.Method("kiosk")
	if kiosk.Session.Idle != DefaultIdle || kiosk.Session.Absolute != DefaultAbsolute {
		t.Errorf("kiosk %+v", kiosk.Session)
	}
	if len(p.Files) != 2 || !strings.HasSuffix(p.Files[0], "policy.yaml") || !strings.HasSuffix(p.Files[1], "staff.crt") {
		t.Errorf("files %v", p.Files)
	}
}

// broken is one change of baseText, with a ^ where the error must point (none: at no line), and what it must say.
type broken struct{ old, now, says string }

// checkBroken parses baseText with each change.
func checkBroken(t *testing.T, cases []broken) {
	t.Helper()
	folder := folderWith(t)
	for _, c := range cases {
		t.Run(c.now, func(t *testing.T) {
			if strings.Count(baseText, c.old) != 1 {
				t.Fatalf("%q is there %d times", c.old, strings.Count(baseText, c.old))
			}
			checkText(t, folder, strings.Replace(baseText, c.old, c.now, 1), c.says)
		})
	}
}

// checkText parses a text that has a ^ where the error must point.
func checkText(t *testing.T, folder, marked, says string) {
	t.Helper()
	before, after, found := strings.Cut(marked, "^")
	p, err := parseIn(folder, before+after)
	at, ok := errors.AsType[*Error](err)
	if !ok || p != nil {
		t.Fatalf("%v, %v, want an *Error", p, err)
	}
	if !strings.Contains(at.Message, says) {
		t.Errorf("%v\nwant %q", err, says)
	}
	if !found {
		if at.Line != 0 || at.Text != "" {
			t.Errorf("%v\nwant no position", err)
		}
		return
	}
	line, column := strings.Count(before, "\n")+1, len(before)-strings.LastIndex(before, "\n")
	if at.Line != line || at.Column != column || at.Text != strings.TrimSpace(strings.Split(before+after, "\n")[line-1]) {
		t.Errorf("%v\nwant it at %d:%d", err, line, column)
	}
}

func TestBrokenTypes(t *testing.T) {
	checkBroken(t, []broken{
		{"version: 1", `version: ^"1"`, "a whole number is wanted here"},
		{"version: 1", "version: ^1.9", "a whole number is wanted here"},
		{"version: 1", "version: ^true", "a whole number is wanted here"},
		{"version: 1", "version: ^99999999999999999999999", ""},
		{"version: 1", "version: ^18446744073709551615", "the number is too large"},
		{"version: 1", "version: ^2", "this program reads version 1"},
		{"version: 1", "version: ^0", "this program reads version 1"},
		{"version: 1", "version: ^-1", "this program reads version 1"},
		{"aal: 2", `aal: ^"2"`, "a whole number is wanted here"},
		{"aal: 2", "aal: ^2.0", "a whole number is wanted here"},
		{"aal: 2", "aal: ^4", "aal is 1, 2 or 3"},
		{"aal: 2", "aal: ^0", "aal is 1, 2 or 3"},
		{"aal: 2", "aal: ^-1", "aal is 1, 2 or 3"},
		{"phishing_resistant: true", `phishing_resistant: ^"true"`, "true or false is wanted here"},
		{"phishing_resistant: true", "phishing_resistant: ^yes", "true or false is wanted here"},
		{"phishing_resistant: true", "phishing_resistant: ^1", "true or false is wanted here"},
		{"idle: 15m", "idle: ^15", "a duration is wanted here"},
		{"idle: 15m", "idle: ^15x", "not a duration"},
		{"idle: 15m", "idle: ^-15m", "not a duration"},
		{"idle: 15m", "idle: ^0s", "not a duration"},
		{"idle: 15m", `idle: ^""`, "not a duration"},
		{"idle: 15m", "idle: ^[15m]", "a duration is wanted here"},
		{"name: admin, route", "name: ^5, route", "text is wanted here"},
		{"tenant: corp }", "tenant: ^007 }", "text is wanted here"},
		{"tenant: corp }", "tenant: ^null }", "text is wanted here"},
		{"tenant: corp }", "tenant: ^true }", "text is wanted here"},
		{"tenant: corp }", "tenant: ^[corp] }", "text is wanted here"},
		{"tenant: corp }", "tenant: ^1.5 }", "text is wanted here"},
		{"tenant: corp }", "tenant: ^.inf }", "text is wanted here"},
		{"tenant: corp }", "tenant: ^.nan }", "text is wanted here"},
		{"steps: [box]", "steps: ^box", "a list is wanted here"},
		{"steps: [box]", "steps: ^{ any_of: [box] }", "a list is wanted here"},
		{"steps: [box]", "steps: [^[box]]", "a mapping is wanted here"},
		{"steps: [box]", "steps: [^5]", "a mapping is wanted here"},
		{"ambient: true, anchors: [staff]", `ambient: ^"true", anchors: [staff]`, "true or false is wanted here"},
		{"anchors: [staff] }", "anchors: ^staff }", "a list is wanted here"},
		{"proves: tenant", "proves: tenant, number: ^1.5", "a whole number is wanted here"},
		{"proves: tenant", "proves: tenant, age: ^24", "a duration is wanted here"},
		{"{ kind: fake, proves: tenant, ambient: true }", "^fake", "a mapping with a kind is wanted"},
		{"{ kind: fake, proves: tenant, ambient: true }", "^[fake]", "a mapping with a kind is wanted"},
		{"per_credential: 3", "per_credential: ^three", "a whole number is wanted here"},
	})
}

func TestBrokenKeys(t *testing.T) {
	checkBroken(t, []broken{
		{"version: 1\norigin", "^origin", "version is missing"},
		{"limits:\n", "^limit:\n", `unknown key "limit": here are version, origin`},
		{"limits:\n", "^Limits:\n", `unknown key "Limits"`},
		{"origin: https://portal.example\n", "origin: https://portal.example\n^\"\": x\n", `unknown key ""`},
		{"ca: staff.crt,", "ca: staff.crt, ^key: k,", `unknown key "key": here are ca, bundle, trust_domain, tenant, tenants`},
		{"on: kiosk", "^at: kiosk", `unknown key "at"`},
		{"idle: 15m", "^idel: 15m", `unknown key "idel": here are idle, absolute`},
		{"{ methods: [admin, api] }", "{ ^method: [admin, api] }", `unknown key "method"`},
		{"aal: 2", "^AAL: 2", `unknown key "AAL"`},
		{"  attempts: {", "  ^attempt: {", `unknown key "attempt": here are attempts`},
		{"per_credential: 3", "^per_user: 3", `unknown key "per_user"`},
		{"proves: tenant", "^prove: tenant", `unknown key "prove"`},
		{"[cert, key], session", "[cert, { ^all_of: [key] }], session", `unknown key "all_of": here are any_of`},
		{"[cert, key], session", "[cert, { any_of: [key], ^n: 1 }], session", `unknown key "n"`},
		{"proves: tenant", "proves: tenant, ^proves: user", `"proves" already defined`},
		{"idle: 15m", "idle: 15m, ^idle: 16m", `"idle" already defined`},
		{"  kiosk: {", "  ^admin: {", `"admin" already defined`},
		{"  org: {", "  ^cert: {", `"cert" already defined`},
		{"limits:\n", "^rules: []\nlimits:\n", `"rules" already defined`},
		{"version: 1\n", "version: 1\n^version: 1\n", `"version" already defined`},
		{"proves: tenant", `proves: tenant, ^"proves": user`, "proves"},
		{"proves: tenant", `proves: tenant, ^'proves': user`, "proves"},
		{"proves: tenant", `proves: tenant, ^"pro\x76es": user`, "proves"},
		{"  org: {", "  ^5: {", "a name is wanted here"},
		{"  org: {", "  ^true: {", "a name is wanted here"},
		{"  org: {", "  ^null: {", "a name is wanted here"},
	})
}

func TestBrokenYAML(t *testing.T) {
	const not = "anchors, aliases, merge keys and tags of YAML are not read here"
	checkBroken(t, []broken{
		{"steps: [box]", "steps: ^&a [box]", not},
		{"steps: [box]", "steps: [^&a box]", not},
		{"kiosk: { steps: [box] }", "kiosk: ^&a { steps: [box] }", not},
		{"session: { idle", "session: ^!!map { idle", not},
		{"{ methods: [admin, api] }", "^&a { methods: [admin, api] }", not},
		{"proves: tenant", "proves: ^&a tenant", not},
		{"proves: tenant", "proves: ^*a", not},
		{"proves: tenant", "proves: ^!!str tenant", not},
		{"version: 1", "version: ^!!int \"1\"", not},
		{"version: 1", "version: ^&v 1", not},
		{"aal: 2", "aal: ^!!int 2", not},
		{"idle: 15m", "idle: ^!!str 15m", not},
		{"  org: {", "  ^<<: {", not},
		{"proves: tenant", "^<<: {proves: tenant}", not},
		{"  org: {", "  ^? org\n  : {", ""},
		{"limits:\n", "---\n^limits:\n", ""},
		{"per_credential: 3, window: 10m }\n", "per_credential: 3, window: 10m }\n---\n^version: 1\n", "a policy is one document"},
		{"per_credential: 3, window: 10m }\n", "per_credential: 3, window: 10m }\n---\n^text\n", "a policy is one document"},
	})
	folder := folderWith(t)
	for _, c := range []struct{ text, says string }{
		{"", "the file is empty"},
		{"\n\n", "the file is empty"},
		{"# a comment\n", "the file is empty"},
		{"---\n", "the file is empty"},
		{"^text\n", "a policy is a mapping"},
		{"^- version: 1\n", "a policy is a mapping"},
		{"^{}\n", "version is missing"},
		{"^null\n", "a policy is a mapping"},
		{"^&a\nversion: 1\n", ""},
		{"version: 1\n^\torigin: x\n", ""},
		{"version: ^[1\n", ""},
		{"version: 1\norigin: ^\"https\n", ""},
		{"^\x00", ""},
		{"version: 1 #" + strings.Repeat("x", maxPolicyFile), "larger than 1048576 bytes"},
	} {
		t.Run(c.text[:min(len(c.text), 20)], func(t *testing.T) { checkText(t, folder, c.text, c.says) })
	}
}

func TestBrokenOrigins(t *testing.T) {
	const shape = "an origin is a scheme, a host in lower case"
	const line = "origin: https://portal.example"
	checkBroken(t, []broken{
		{"version: 1\n" + line, "^version: 1", "origin is missing"},
		{line, "origin: ^[]", "text is wanted here"},
		{line, "origin: ^5", "text is wanted here"},
		{line, `origin: ^""`, shape},
		{line, "origin: ^portal.example", shape},
		{line, "origin: ^https://", shape},
		{line, "origin: ^https://:443", shape},
		{line, "origin: ^https://portal.example/", shape},
		{line, "origin: ^https://portal.example/a", shape},
		{line, "origin: ^https://portal.example?", shape},
		{line, "origin: ^https://portal.example?a=b", shape},
		{line, `origin: ^"https://portal.example#"`, shape},
		{line, `origin: ^"https://portal.example#a"`, shape},
		{line, "origin: ^https://user@portal.example", shape},
		{line, "origin: ^https://Portal.example", shape},
		{line, "origin: ^HTTPS://portal.example", shape},
		{line, `origin: ^"https://portal.example:"`, shape},
		{line, "origin: ^https://portal.example:x", shape},
		{line, "origin: ^https://portal.example:0443", shape},
		{line, "origin: ^https://portal.example:99999", shape},
		{line, "origin: ^https://pörtal.example", shape},
		{line, "origin: ^https://portal.example.", shape},
		{line, "origin: ^https://portal..example", shape},
		{line, "origin: ^https://portal%2eexample", shape},
		{line, `origin: ^"https://portal.example "`, shape},
		{line, `origin: ^"https://a b"`, shape},
		{line, "origin: ^https://10.1", shape},
		{line, "origin: ^https://10.0.0.0x1", shape},
		{line, `origin: ^"https://[0:0::1]"`, shape},
		{line, `origin: ^"https://[fe80::1%25eth0]"`, shape},
		{line, `origin: ^"//portal.example"`, shape},
		{line, "origin: ^https://*.example", shape},
		{line, "origin: ^http://portal.example", "an origin must be https"},
		{line, "origin: ^http://localhost.example", "an origin must be https"},
		{line, "origin: ^ftp://portal.example", "an origin must be https"},
		{line, "origin: ^https://portal.example:443", "browsers leave the port 443 out"},
		{line, "origin: ^http://localhost:80", "browsers leave the port 80 out"},
		{line, "origins: ^https://portal.example", "a list is wanted here"},
		{line, "origin: ^https://portal.example\norigins: [https://b.example]", "give origin or origins, not both"},
		{line, "origins: [https://a.example, ^https://a.example]", `the host "a.example" is here twice`},
		{line, "origins: [^{ tenant: corp }]", "origin is missing"},
		{line, "origins: [{ origin: https://a.example, ^rpid: a.example }]", `unknown key "rpid"`},
		{line, `origins: [{ origin: https://a.example, tenant: ^"" }]`, "this is empty"},
		{line, `origins: [{ origin: https://a.example, rp_id: ^"" }]`, "this is empty"},
		{line, "origins: [{ origin: https://a.example, rp_id: ^b.example }]", `rp_id "b.example" is neither the host nor a domain above it`},
		{line, "origins: [{ origin: https://a.example, rp_id: ^x.a.example }]", "is neither the host"},
		{line, "origins: [{ origin: https://ba.example, rp_id: ^a.example }]", "is neither the host"},
		{line, "origins: [{ origin: https://a.example, rp_id: ^https://a.example }]", "is neither the host"},
		{line, "origins: [{ origin: https://a.example, rp_id: ^localhost }]", "is neither the host"},
		{line, "origins: [{ origin: https://a.example, rp_id: ^A.example }]", "is neither the host"},
		{line, "origins: [{ origin: https://a.example, rp_id: ^example }]", "has one label only"},
		{line, "origins: [{ origin: https://10.0.0.1, rp_id: ^\"0.1\" }]", "is neither the host"},
	})
}

func TestGoodOrigins(t *testing.T) {
	for _, c := range []struct {
		text string
		want Origin
	}{
		{"https://a.example", Origin{URL: "https://a.example", Host: "a.example", RPID: "a.example"}},
		{"https://a.example:8443", Origin{URL: "https://a.example:8443", Host: "a.example:8443", RPID: "a.example"}},
		{"http://localhost:8080", Origin{URL: "http://localhost:8080", Host: "localhost:8080", RPID: "localhost"}},
		{"https://[::1]:8443", Origin{URL: "https://[::1]:8443", Host: "[::1]:8443", RPID: "::1"}},
		{"https://xn--prtal-jua.example", Origin{URL: "https://xn--prtal-jua.example", Host: "xn--prtal-jua.example", RPID: "xn--prtal-jua.example"}},
		{"{ origin: https://a.b.example, rp_id: b.example, tenant: corp }", Origin{URL: "https://a.b.example", Host: "a.b.example", RPID: "b.example", Tenant: "corp"}},
		{"{ origin: 'http://127.0.0.1:8080', rp_id: localhost }", Origin{URL: "http://127.0.0.1:8080", Host: "127.0.0.1:8080", RPID: "localhost"}},
	} {
		p := mustParse(t, strings.Replace(baseText, "origin: https://portal.example", "origins:\n  - "+c.text, 1))
		if p.Origins[0] != c.want {
			t.Errorf("%s: %+v, want %+v", c.text, p.Origins[0], c.want)
		}
	}
}

func TestBrokenNames(t *testing.T) {
	const rule, floor = "{ methods: [admin, api] }", "aal: 2, phishing_resistant: true"
	checkBroken(t, []broken{
		{"  org: {", "  ^Org: {", "the name of a factor is lower-case letters"},
		{"  org: {", "  ^-org: {", "the name of a factor is lower-case letters"},
		{"  org: {", "  ^o.g: {", "the name of a factor is lower-case letters"},
		{"  org: {", "  ^" + strings.Repeat("o", 65) + ": {", "at most 64"},
		{"  staff: {", "  ^Staff: {", "the name of a anchor is lower-case letters"},
		{"  desk: {", "  ^des/k: {", "the name of a method is lower-case letters"},
		{"name: admin, route", "name: ^Admin, route", "the name of a floor is lower-case letters"},
		{"[cert, key], session", "[cert, ^kye], session", `there is no factor "kye": there are cert, org, box, key`},
		{"[cert, key], session", "[cert, { any_of: [key, ^kye] }], session", `there is no factor "kye"`},
		{"[kiosk, desk]", "[kiosk, ^dusk]", `there is no method "dusk": there are admin, kiosk, desk, api`},
		{floor, "factors: [^kye]", `there is no factor "kye"`},
		{"kind: fake, proves: tenant", "kind: ^fido3", `factor "org": this program has no kind "fido3": it has fake`},
		{"kind: fake, proves: tenant", "kind: ^5", "text is wanted here"},
		{"org: { kind: fake, proves: tenant, ambient", "^org: { ambient", `factor "org": kind is missing`},
		{"anchors: [staff]", "anchors: [^stuff]", `anchors[0]: factor "cert": there is no anchor "stuff"`},
		{"proves: tenant", "proves: tenant, extra: ^gone.txt", `extra: factor "org": cannot be read`},

		{"ca: staff.crt, tenant: corp", "ca: ^gone.crt", "the CA file cannot be read"},
		{"  staff: { ca: staff.crt, tenant: corp }", "  ^staff: { tenant: corp }", `anchor "staff": ca is missing`},
		{"  staff: { ca: staff.crt, tenant: corp }", "  ^staff: { ca: staff.crt, tenant: a, tenants: [b] }", `anchor "staff": give tenant`},
		{"tenant: corp }", `tenant: ^"" }`, "this is empty"},
		{"tenant: corp }", `tenants: [^""] }`, "this is empty"},
		{"tenant: corp }", `tenants: [a, ^a] }`, `tenant "a" is here twice`},

		{"  admin: { steps: [cert, key], session", "  ^admin: { steps: [], session", `method "admin": steps are missing`},
		{"  desk: { steps: [key], on: kiosk }", "  ^desk: { on: kiosk }", `method "desk": steps are missing`},
		{"[cert, key], session", "[cert, ^{ any_of: [] }], session", "a step needs a factor"},
		{"[cert, key], session", "[cert, ^{}], session", "a step needs a factor"},
		{"  admin: { steps: [cert, key], session", "  ^admin: { steps: [cert, { any_of: [key, key] }], session", "a factor is twice in one step"},
		{"  admin: { steps: [cert, key], session", "  ^admin: { steps: [key, key], session", `factor "key" is in two steps`},
		{"  admin: { steps: [cert, key], session", "  ^admin: { steps: [{ any_of: [key, org] }], session", `method "admin" can end without naming a user`},
		{"  admin: { steps: [cert, key], session", "  ^admin: { steps: [org], session", `method "admin" can end without naming a user`},
		{"steps: [cert], each_request", "steps: [cert, ^key], each_request", `"key" must be asked and cannot be part of it`},
		{"steps: [cert], each_request", "steps: [{ any_of: [cert, ^key] }], each_request", `"key" must be asked`},
		{"session: { idle: 15m, absolute: 8h }", "session: ^{ idle: 9h, absolute: 8h }", "idle is longer than absolute"},
		{"session: { idle: 15m, absolute: 8h }", "session: ^{ absolute: 721h }", "a session lives at most 720h"},
		{"session: { idle: 15m, absolute: 8h }", "session: ^{ idle: 13h }", "idle is longer than absolute"},
		{"  admin: { steps: [cert, key], session", "  ^admin: { steps: [cert, key], login: 61m, session", "a login takes an hour at most"},
		{"on: kiosk", "on: ^kiosks", `there is no method "kiosks"`},
		{"on: kiosk", "on: ^desk", `"desk" does not make a device principal`},
		{"on: kiosk", "on: ^admin", `"admin" does not make a device principal`},
		{"on: kiosk", `on: ^""`, "this is empty"},
		{"kiosk: { steps: [box] }", "kiosk: { steps: [box], on: ^kiosk }", "makes a device principal itself"},

		{"route: /kiosk/*", "route: ^kiosk", "a route is a clean path"},
		{"route: /kiosk/*", `route: ^""`, "a route is a clean path"},
		{"route: /kiosk/*", "route: ^/kiosk/", "a route is a clean path"},
		{"route: /kiosk/*", "route: ^/kiosk*", "a route is a clean path"},
		{"route: /kiosk/*", "route: ^/a/*/b", "a route is a clean path"},
		{"route: /kiosk/*", "route: ^/a//b", "a route is a clean path"},
		{"route: /kiosk/*", "route: ^/a/../b", "a route is a clean path"},
		{"route: /kiosk/*", "route: ^/a/./b", "a route is a clean path"},
		{"route: /kiosk/*", "route: ^/a%20b", "a route is a clean path"},
		{"route: /kiosk/*", "route: ^/a?b", "a route is a clean path"},
		{"route: /kiosk/*", "route: ^/a/*/*", "a route is a clean path"},
		{"route: /kiosk/*", `route: ^"/a\\b"`, "a route is a clean path"},
		{"route: /kiosk/*", "route: ^//*", "a route is a clean path"},
		{"{ route: /kiosk/*, methods: [kiosk, desk] }", "^{ route: /kiosk/* }", "a rule needs methods"},
		{rule, "^{ methods: [] }", "a rule needs methods"},
		{rule, `{ tenant: ^"", methods: [admin] }`, "this is empty"},
		{rule, "{ methods: [admin, ^admin] }", `method "admin" is here twice`},
		{rule, rule + "\n  - ^{ tenant: corp, methods: [admin] }", "this rule can never match: rule 2 matches everything"},
		{rule, "{ route: /*, methods: [admin] }\n  - ^{ methods: [admin] }", "this rule can never match: rule 2"},
		{rule, "{ methods: [admin] }\n  - ^route: /a\n    methods: [admin]", "this rule can never match: rule 2"},
		{"{ route: /kiosk/*, methods: [kiosk, desk] }", "{ route: /kiosk/*, methods: [kiosk, desk] }\n  - ^{ route: /kiosk, methods: [kiosk] }", "rule 1 matches"},
		{"{ route: /kiosk/*, methods: [kiosk, desk] }", "{ route: /kiosk/*, methods: [kiosk, desk] }\n  - ^{ route: /kiosk/a/*, tenant: a, methods: [kiosk] }", "rule 1 matches"},

		{floor, floor + " }\n  - ^{ name: admin, aal: 1", `the floor "admin" is here twice`},
		{"{ name: admin, route: /admin/*, aal: 2, phishing_resistant: true }", "^{ name: admin }", "a floor asks for something"},
		{"{ name: admin, route: /admin/*, aal: 2, phishing_resistant: true }", "^{ phishing_resistant: false }", "a floor asks for something"},
		{"{ name: admin, route: /admin/*, aal: 2, phishing_resistant: true }", "^{ route: /admin/*, aal: 3 }", "no method on offer here can meet this floor"},
		{"{ name: admin, route: /admin/*, aal: 2, phishing_resistant: true }", "^{ hardware: true }", "no method on offer here can meet this floor"},
		{"{ name: admin, route: /admin/*, aal: 2, phishing_resistant: true }", "^{ factors: [org] }", "no method on offer here can meet this floor"},
		{"{ name: admin, route: /admin/*, aal: 2, phishing_resistant: true }", "^{ route: /kiosk/*, factors: [cert] }", "no method on offer here can meet this floor"},

		{"per_credential: 3", "per_credential: ^0", "per_credential is between 1 and 1000000"},
		{"per_credential: 3", "per_source: ^1000001", "per_source is between 1 and 1000000"},
		{"per_credential: 3", "per_tenant: ^-1", "per_tenant is between 1 and 1000000"},
		{"window: 10m", "window: ^1ms", "window is between 1s and 720h"},
		{"window: 10m", "window: ^721h", "window is between 1s and 720h"},
	})
}

func TestMissingParts(t *testing.T) {
	folder := folderWith(t)
	const head, factor = "^version: 1\norigin: https://a.example\n", "factors:\n  key: { kind: fake, proves: user }\n"
	const method = "methods:\n  m: { steps: [key] }\n"
	for _, c := range []struct{ text, says string }{
		{head, "factors are missing"},
		{head + "factors: {}\n", "factors are missing"},
		{head + factor, "methods are missing"},
		{head + factor + "methods: {}\n", "methods are missing"},
		{head + factor + method, "rules are missing"},
		{head + factor + method + "rules: []\n", "rules are missing"},
	} {
		checkText(t, folder, c.text, c.says)
	}
}

func TestBrokenCA(t *testing.T) {
	good, leaf := certificate(t, true), certificate(t, false)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"empty":            {nil, "the CA file is empty"},
		"blank":            {[]byte("\n \n"), "the CA file is empty"},
		"text":             {[]byte("hello"), "no PEM certificate"},
		"der":              {[]byte{0x30, 0x03, 2, 1, 1}, "no PEM certificate"},
		"leaf":             {leaf, "not a CA's"},
		"leaf after a CA":  {join(good, leaf), "not a CA's"},
		"key":              {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("s3cret")}), "holds a PRIVATE KEY"},
		"key after a CA":   {join(good, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("s3cret")})), "holds a EC PRIVATE KEY"},
		"garbage after":    {join(good, []byte("garbage\n")), "no PEM certificate"},
		"damaged before":   {join(good[:len(good)/2], []byte("\n"), good), "damaged block"},
		"damaged between":  {join(good, bytes.Replace(good, []byte("\n"), []byte("\n*"), 2), good), "damaged block"},
		"no head":          {join(good, good[bytes.IndexByte(good, '\n'):]), "no PEM certificate"},
		"no head between":  {join(good, good[bytes.IndexByte(good, '\n'):], good), "damaged block"},
		"odd head":         {join(good, bytes.ReplaceAll(bytes.ReplaceAll(good, []byte("BEGIN"), []byte("Begin")), []byte("END"), []byte("End")), good), "damaged block"},
		"truncated":        {good[:len(good)/2], "no PEM certificate"},
		"not X.509":        {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "cannot be parsed"},
		"larger than 16 M": {bytes.Repeat([]byte("\n"), maxOtherFile+1), "larger than 16777216 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			writeFile(t, folder, "staff.crt", c.content)
			checkText(t, folder, strings.Replace(baseText, "ca: staff", "ca: ^staff", 1), c.says)
			_, err := parseIn(folder, baseText)
			if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "czNjcmV0") {
				t.Error("the error holds the key")
			}
		})
	}
	t.Run("a folder", func(t *testing.T) {
		folder := t.TempDir()
		writeFile(t, folder, "staff.crt/in", nil)
		checkText(t, folder, strings.Replace(baseText, "ca: staff", "ca: ^staff", 1), "the CA file cannot be read")
	})
}

func TestLoadErrors(t *testing.T) {
	folder := t.TempDir()
	writeFile(t, folder, "big", bytes.Repeat([]byte("#"), maxPolicyFile+1))
	for name, says := range map[string]string{"gone": "no such file", "big": "larger than 1048576 bytes", ".": ""} {
		_, err := Load(filepath.Join(folder, name), fakeKind{"fake"})
		if at, ok := errors.AsType[*Error](err); !ok || !strings.Contains(at.Message, says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	folder := folderWith(f)
	rules := "  - { route: /admin/a, tenant: Größe, methods: [strong] }\n  - { methods: [weak, strong] }\nfloors:\n  - { factors: [cert], max_age: 5m }\n"
	tokens := placesHead + "  m: { steps: [org, token], each_request: true, insecure_allow_token_without_certificate: true }\n  web: { steps: [org, idp] }\n" + placesRules
	for _, text := range []string{baseText, tenantsText, floorsHead + rules, tokens, baseText + "# \u200b", strings.Repeat("[", maxDepth+1), "a\xff", "a\rb", "\ufeffversion: 1", "", "a: &a [*a]", "version: 1\n? [a]\n: b", "version: 1\nrules: [{}]", "{", "- - -", "a: |\n  b", "%YAML 1.2\n---\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseIn(folder, text)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		if err == nil {
			loadsOtherwise(t, folder, text, p)
			return
		}
		at, ok := errors.AsType[*Error](err)
		if !ok || at.Line < 0 || at.Line > strings.Count(text, "\n")+1 {
			t.Errorf("%#v", err)
		}
	})
}

// loadsOtherwise wants the same policy of a text whose lines end otherwise, and with a comment above.
func loadsOtherwise(t *testing.T, folder, text string, p *Policy) {
	t.Helper()
	lf := strings.ReplaceAll(text, "\r\n", "\n")
	for what, other := range map[string]string{"LF": lf, "CRLF": strings.ReplaceAll(lf, "\n", "\r\n"), "a comment": "# [{ ü\n" + text} {
		if len(other) > maxPolicyFile {
			continue
		}
		o, err := parseIn(folder, other)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if !reflect.DeepEqual(o.Rules, p.Rules) || !reflect.DeepEqual(o.Floors, p.Floors) || !reflect.DeepEqual(o.Methods, p.Methods) || !reflect.DeepEqual(o.Origins, p.Origins) || o.Limits != p.Limits {
			t.Errorf("%s: another policy: %+v, want %+v", what, o, p)
		}
	}
}
