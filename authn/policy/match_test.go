package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
)

func TestMatchRoute(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/a", "/a", true}, {"/a", "/a/b", false}, {"/a", "/ab", false}, {"/a", "/A", false}, {"/", "/", true}, {"/", "/a", false},
		{"/a/*", "/a", true}, {"/a/*", "/a/b", true}, {"/a/*", "/a/b/c", true}, {"/a/*", "/ab", false}, {"/a/*", "/", false},
		{"/*", "/", true}, {"/*", "/a/b", true}, {"/a/*", "/a*", false},
	} {
		if got := MatchRoute(c.pattern, c.path); got != c.want {
			t.Errorf("MatchRoute(%q, %q) = %v", c.pattern, c.path, got)
		}
	}
}

func TestCleanPath(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "/"}, {"/", "/"}, {"/a", "/a"}, {"/a/", "/a"}, {"//", "/"}, {"//a", "/a"}, {"/a//b", "/a/b"}, {"/a/./b", "/a/b"}, {"/a/../b", "/b"},
		{"/../a", "/a"}, {"/..", "/"}, {"/.", "/"}, {"/a/..", "/"}, {"/a/...", "/a/..."}, {"/.well-known/x", "/.well-known/x"}, {"/a.b", "/a.b"},
		{"/a%20b", "/a b"}, {"/%61dmin", "/admin"}, {"/a%25", "/a%"}, {"/%c3%a4", "/ä"}, {"/a;b", "/a;b"}, {"/a*", "/a*"},
	} {
		if got, ok := CleanPath(c.in); !ok || got != c.want {
			t.Errorf("CleanPath(%q) = %q, %v, want %q", c.in, got, ok, c.want)
		}
	}
	for _, in := range []string{"a", "*", "http://a", "/a%2fb", "/a%2Fb", "/%2e%2e/a", "/%2E", "/a%5cb", "/a%5Cb", "/a%00", "/a\\b", "/a\x00b", "/a\nb", "/a\x7f",
		"/a%", "/a%2", "/a%zz", "/%0a", "/%1f", "/%7f", "/%7F", "/a%0d%0ab"} {
		if got, ok := CleanPath(in); ok {
			t.Errorf("CleanPath(%q) = %q", in, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { CleanPath("/admin/keys/a.b") }); n != 0 {
		t.Errorf("a clean path costs %v allocations", n)
	}
}

func FuzzCleanPath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/%61", "/a%2fb", "//a", "/%252e", "/a/%20/./x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := CleanPath(in)
		if !ok {
			return
		}
		if got == "" || got[0] != '/' || strings.ContainsAny(got, "\\\x00") || len(got) > 1 && strings.HasSuffix(got, "/") {
			t.Errorf("%q: %q", in, got)
		}
		for _, segment := range strings.Split(got[1:], "/") {
			if segment == "." || segment == ".." || segment == "" && got != "/" {
				t.Errorf("%q: %q", in, got)
			}
		}
	})
}

const tenantsText = `version: 1
origins: [https://portal.example, { origin: "https://acme.example:8443", tenant: acme }]
factors:
  cert: { kind: fake, proves: user, ambient: true }
  box: { kind: fake, proves: device, ambient: true }
  key: { kind: fake, proves: user, resistant: true, verified: true }
  spare: { kind: fake }
methods:
  admin: { steps: [cert, key] }
  kiosk: { steps: [box] }
  desk: { steps: [key], on: kiosk }
  partner: { steps: [cert] }
  api: { steps: [cert], each_request: true }
  old: { steps: [key] }
rules:
  - { route: /kiosk/*, methods: [kiosk, desk] }
  - { tenant: acme, methods: [partner] }
  - { route: /api/*, methods: [api, admin] }
  - { methods: [admin, api] }
floors:
  - { name: everywhere, route: /*, aal: 1 }
  - { name: admin, route: /admin/*, aal: 2 }
  - { name: acme, tenant: acme, factors: [cert] }
  - { name: both, route: /admin/*, tenant: acme, factors: [cert] }
`

func TestOffer(t *testing.T) {
	p := mustParse(t, tenantsText)
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{Route: "/"}, "admin"},
		{Query{Route: "/", EachRequest: true}, "api"},
		{Query{Route: "/api/x", EachRequest: true}, "api"},
		{Query{Route: "/kiosk"}, "kiosk"},
		{Query{Route: "/kiosk/a", Device: "kiosk"}, "kiosk desk"},
		{Query{Route: "/kiosk/a", Device: "other"}, "kiosk"},
		{Query{Route: "/kiosk/a", Tenant: "acme"}, "kiosk"},
		{Query{Route: "/api/x", Tenant: "acme"}, "partner"},
		{Query{Route: "/api/x", Tenant: "acme", EachRequest: true}, ""},
		{Query{Route: "/", Tenant: "ACME"}, "admin"},
		{Query{AnyRoute: true}, "kiosk admin"},
		{Query{AnyRoute: true, Device: "kiosk"}, "kiosk desk admin"},
		{Query{AnyRoute: true, EachRequest: true}, "api"},
		// The rule of acme leaves nothing to those below it.
		{Query{AnyRoute: true, Tenant: "acme"}, "kiosk partner"},
	} {
		var names []string
		for _, m := range p.Offer(c.q) {
			names = append(names, m.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
		for _, m := range p.Methods {
			if p.Offers(c.q, m.Name) != slices.Contains(names, m.Name) {
				t.Errorf("%+v: Offers and Offer differ on %s", c.q, m.Name)
			}
		}
	}
	if p.Offers(Query{Route: "/"}, "") || p.Offers(Query{Route: "/"}, "gone") {
		t.Error("what is not there is on offer")
	}
}

func TestFloorsFor(t *testing.T) {
	p := mustParse(t, tenantsText)
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{Route: "/"}, "everywhere"},
		{Query{Route: "/admin"}, "everywhere admin"},
		{Query{Route: "/admin/a", Tenant: "acme"}, "everywhere admin acme both"},
		{Query{Route: "/administrator", Tenant: "acme"}, "everywhere acme"},
		{Query{AnyRoute: true}, "everywhere"},
		{Query{AnyRoute: true, Tenant: "acme"}, "everywhere acme"},
	} {
		if got := floorNames(p.FloorsFor(c.q)); got != c.want {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
	}
	if _, ok := p.Floor(""); ok {
		t.Error("a floor without a name has one")
	}
}

func floorNames(floors []authn.Requirement) string {
	var names []string
	for _, f := range floors {
		names = append(names, f.Name)
	}
	return strings.Join(names, " ")
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	p := mustParse(t, baseText)
	for name, run := range map[string]func(){
		"Offers":    func() { p.Offers(Query{Route: "/x"}, "admin") },
		"FloorsFor": func() { p.FloorsFor(Query{Route: "/x"}) },
	} {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestOrigin(t *testing.T) {
	p := mustParse(t, tenantsText)
	for host, want := range map[string]string{
		"portal.example": "https://portal.example", "portal.example:443": "https://portal.example", "acme.example:8443": "https://acme.example:8443",
		"portal.example:80": "", "portal.example:8443": "", "acme.example": "", "acme.example:8443:443": "", "": "", ":443": "", "x.portal.example": "",
		"portal.example.": "", "PORTAL.example": "",
	} {
		if o, ok := p.Origin(host); ok != (want != "") || o.URL != want {
			t.Errorf("%q: %+v, %v", host, o, ok)
		}
	}
}

func TestMaySpeakFor(t *testing.T) {
	for _, c := range []struct {
		a      Anchor
		tenant string
		want   bool
	}{
		{Anchor{Tenant: "corp"}, "corp", true}, {Anchor{Tenant: "corp"}, "acme", false}, {Anchor{Tenant: "corp"}, "", false},
		{Anchor{Tenants: []string{"a", "b"}}, "b", true}, {Anchor{Tenants: []string{"a"}}, "b", false}, {Anchor{}, "a", false}, {Anchor{}, "", false},
	} {
		if c.a.MaySpeakFor(c.tenant) != c.want {
			t.Errorf("%+v, %q", c.a, c.tenant)
		}
	}
}

func TestWarnings(t *testing.T) {
	if w := mustParse(t, strings.Replace(baseText, "[cert, key], session", "[cert, key, org], session", 1)).Warnings(); len(w) != 0 {
		t.Errorf("%v", w)
	}
	w := mustParse(t, tenantsText).Warnings()
	if len(w) != 2 {
		t.Fatalf("%v", w)
	}
	if w[0].Line != 7 || w[0].Column != 3 || w[0].Message != `factor "spare" is in no method` {
		t.Errorf("%+v", w[0])
	}
	if w[1].Line != 14 || w[1].Column != 3 || w[1].Message != `method "old" is offered by no rule` {
		t.Errorf("%+v", w[1])
	}
}
