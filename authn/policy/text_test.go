package policy

import (
	"errors"
	"strings"
	"testing"
)

// What an editor shows otherwise than a parser reads it is no policy.
func TestBrokenCharacters(t *testing.T) {
	checkBroken(t, []broken{
		{"tenant: corp }", "tenant: corp^\xff }", "not valid UTF-8"},
		{"route: /admin/*", "route: /admin^\xff/*", "not valid UTF-8"},
		{"route: /kiosk/*", "route: /kiosk^\xe4/*", "not valid UTF-8"},
		{"floors:\n", "# ^\xed\xa0\x80\nfloors:\n", "not valid UTF-8"},
		{"floors:\n", "# ^\x00\nfloors:\n", "U+0000"},
		{"floors:\n", "# ^\x1b[2K\nfloors:\n", "U+001B"},
		{"floors:\n", "# ^\x7f\nfloors:\n", "U+007F"},
		{"floors:\n", "# ^\u0085\nfloors:\n", "U+0085"},
		{"floors:\n", "# ^\u2028 - { name: other }\nfloors:\n", "U+2028"},
		{"floors:\n", "# ^\u2029\nfloors:\n", "U+2029"},
		{"floors:\n", "# ^\u202e\nfloors:\n", "U+202E"},
		{"floors:\n", "# ^\u2066\nfloors:\n", "U+2066"},
		{"floors:\n", "floors:\n  # old:^\r  - { name: other, aal: 1 }\n", "a carriage return that ends no line"},
		{"version: 1\n", "version: 1^\r\r\n", "a carriage return that ends no line"},
		{"window: 10m }\n", "window: 10m }\n^\r", "a carriage return that ends no line"},
	})
	folder := folderWith(t)
	crlf := strings.ReplaceAll(strings.Replace(baseText, "floors:\n", "# für Überprüfer\t…\nfloors:\n", 1), "\n", "\r\n")
	if p, err := parseIn(folder, crlf); err != nil || len(p.Floors) != 1 {
		t.Errorf("CRLF: %v", err)
	}
	checkText(t, folder, strings.Replace(crlf, "aal: 2", "aal: ^4", 1), "aal is 1, 2 or 3")
}

// A floor for what only looks like a route or a tenant binds nobody.
func TestBrokenRoutesAndTenants(t *testing.T) {
	const floor = "{ name: admin, route: /admin/*, aal: 2, phishing_resistant: true }"
	for _, odd := range []string{"\u200b", "\ufeff", "\u00a0", "\u00ad", "\u034f", "\u3000", "\u3164", "\ufe0f", "\ufffd", "\u2800", "\ue000", "\U000e0041"} {
		checkBroken(t, []broken{
			{"route: /admin/*", "route: ^/admin" + odd + "/*", "a route is a clean path: this one holds the character U+"},
			{"route: /kiosk/*", "route: ^/kio" + odd + "sk", "a route is a clean path: this one holds the character U+"},
			{"tenant: corp }", "tenant: ^co" + odd + "rp }", "this holds the character U+"},
			{"tenant: corp }", "tenants: [labs, ^co" + odd + "rp] }", "this holds the character U+"},
			{floor, "{ tenant: ^co" + odd + "rp, aal: 1 }", "this holds the character U+"},
			{"{ methods: [admin, api] }", "{ tenant: ^co" + odd + "rp, methods: [admin] }\n  - { methods: [admin, api] }", "this holds the character U+"},
		})
	}
	checkBroken(t, []broken{
		{"route: /admin/*", `route: ^"/admin\u200b/*"`, "U+200B"},
		{"route: /admin/*", `route: ^"/admin\x00/*"`, "U+0000"},
		{"route: /admin/*", `route: ^"/admin/* "`, "begins or ends with a space"},
		{"route: /admin/*", `route: ^"/admin\n"`, "begins or ends with a space"},
		{"tenant: corp }", `tenant: ^"corp " }`, "begins or ends with a space"},
		{"tenant: corp }", `tenant: ^" corp" }`, "begins or ends with a space"},
		{"tenant: corp }", `tenant: ^"corp\n" }`, "begins or ends with a space"},
		{"tenant: corp }", `tenant: ^"co\x00rp" }`, "U+0000"},
		{"tenant: corp }", `tenant: ^"co\trp" }`, "U+0009"},
		{"tenant: corp }", `tenant: ^"co\u202erp" }`, "U+202E"},
		{"tenant: corp }", `tenant: ^"\ufeffcorp" }`, "U+FEFF"},
	})
	folder := folderWith(t)
	checkText(t, folder, strings.Replace(baseText, "tenant: corp }", "\n    tenant: ^"+strings.Repeat("c", 140)+"\n     "+strings.Repeat("c", 140)+" }", 1), "longer than 256 bytes")
	_, err := parseIn(folder, strings.Replace(baseText, "  staff: { ca: staff.crt, tenant: corp }\n", "  staff:\n    ca: staff.crt\n    tenant: |\n      corp\n", 1))
	if err == nil || !strings.Contains(err.Error(), "begins or ends with a space") {
		t.Errorf("a block: %v", err)
	}
	for _, tenant := range []string{"corp", "Corp", "corp.example", "Corp_1-x", "größe", "東京", "Corp Ltd", "corp@example", strings.Repeat("c", maxFilled)} {
		if _, err := parseIn(folder, strings.Replace(baseText, "tenant: corp", "tenant: "+tenant, 1)); err != nil {
			t.Errorf("%s: %v", tenant, err)
		}
	}
	if p, err := parseIn(folder, strings.Replace(baseText, "/admin/*", "/größe/a b/*", 1)); err != nil || len(p.FloorsFor(Query{Route: "/größe/a b/x"})) != 1 {
		t.Errorf("a route that is not ASCII: %v", err)
	}
}

// The parser's work grows faster than what it reads.
func TestBrokenShapes(t *testing.T) {
	folder := folderWith(t)
	n := maxDepth
	for _, c := range []struct{ text, says string }{
		{strings.Repeat("[", n) + "^[", "nested deeper than 64"},
		{"x: " + strings.Repeat("[", n) + "^[", "nested deeper than 64"},
		{strings.Repeat("{", n) + "^{", "nested deeper than 64"},
		{strings.Repeat("[", n-1) + "]]\n- [[[^" + strings.Repeat("[", maxPolicyFile/2), "nested deeper than 64"},
		{strings.Repeat("- ", n) + "^- ", "nested deeper than 64"},
		{strings.Repeat("? ", n) + "^? ", "nested deeper than 64"},
		{strings.Repeat("a: ", n) + "a^: ", "nested deeper than 64"},
		{strings.Repeat("&a ", n) + "^&a ", "nested deeper than 64"},
		{strings.Repeat("---\n", maxDocuments) + "^---\n", "a policy is one document"},
		{strings.Repeat("k:\n", maxKeys) + "k^:\n", "more than 12000 keys"},
	} {
		t.Run(c.text[:3], func(t *testing.T) {
			before, after, _ := strings.Cut(c.text, "^")
			_, err := parseIn(folder, before+after)
			at, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(at.Message, c.says) || at.Line != strings.Count(before, "\n")+1 || at.Column != len(before)-strings.LastIndex(before, "\n") {
				t.Errorf("%.200v, want %s at %.200s", err, c.says, before)
			}
		})
	}
	for _, text := range []string{
		baseText + "# " + strings.Repeat("[", 2*n) + "\n",
		strings.Replace(baseText, "window: 10m }", "window: 10m } # "+strings.Repeat("- ", 2*n), 1),
		strings.Replace(baseText, "tenant: corp }", "tenant: '"+strings.Repeat("[", 2*n)+"' }", 1),
		strings.Replace(baseText, "tenant: corp }", "tenants: [t"+manyNames(500)+"] }", 1),
	} {
		if _, err := parseIn(folder, text); err != nil {
			t.Error(err)
		}
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(", t")
		b.WriteString(strings.Repeat("x", i%100))
		b.WriteString(string(rune('a' + i/100)))
	}
	return b.String()
}
