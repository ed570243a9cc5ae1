package policy

import "testing"

const floorsHead = `version: 1
origin: https://portal.example
factors:
  cert: { kind: fake, proves: user, ambient: true }
  card: { kind: fake, proves: user, ambient: true, resistant: true, verified: true }
  key: { kind: fake, proves: user, resistant: true, verified: true }
methods:
  weak: { steps: [cert] }
  cards: { steps: [card] }
  strong: { steps: [cert, key] }
  either: { steps: [cert, { any_of: [card, key] }] }
rules:
`

// A floor that nobody can meet where it binds is an error, and so is a rule that leads nobody past a floor.
func TestFloorsThatCanBeMet(t *testing.T) {
	const cant, dead = "no method on offer here can meet this floor", "no method of this rule can meet floor 1"
	const resistant, fresh = "phishing_resistant: true }\n", "max_age: 5m }\n"
	for name, c := range map[string]struct{ rules, floors, says string }{
		"met":                       {"  - { methods: [weak, strong] }\n", "  - { " + resistant, ""},
		"not met":                   {"  - { methods: [weak] }\n", "  - ^{ " + resistant, cant},
		"a choice":                  {"  - { methods: [either] }\n", "  - { factors: [key], " + fresh, ""},
		"an age, ambient":           {"  - { methods: [weak, cards] }\n", "  - ^{ " + fresh, cant},
		"an age, ambient, a route":  {"  - { methods: [cards] }\n", "  - ^{ route: /admin/*, aal: 1, " + fresh, cant},
		"an age of an ambient":      {"  - { methods: [weak] }\n", "  - ^{ factors: [cert], " + fresh, cant},
		"an age, something asked":   {"  - { methods: [strong] }\n", "  - { factors: [cert], " + fresh, ""},
		"met on one path":           {"  - { route: /admin/health, methods: [strong] }\n  - { methods: [weak] }\n", "  - ^{ route: /admin/*, " + resistant, cant},
		"met on a path below":       {"  - { route: /admin/a/*, methods: [strong] }\n  - { methods: [weak] }\n", "  - ^{ route: /admin/*, " + resistant, cant},
		"met on that path alone":    {"  - { route: /admin/health, methods: [strong] }\n  - { methods: [weak] }\n", "  - { route: /admin/health, " + resistant, ""},
		"met above":                 {"  - { route: /admin/*, methods: [strong] }\n  - { methods: [weak] }\n", "  - { route: /admin/keys/*, " + resistant, ""},
		"nothing else is on offer":  {"  - { route: /admin/a/*, methods: [strong] }\n", "  - { route: /admin/*, " + resistant, ""},
		"another rule comes first":  {"  - { route: /admin/*, methods: [weak] }\n  - { methods: [strong] }\n", "  - ^{ route: /admin/*, " + resistant, cant},
		"for one tenant":            {"  - { tenant: acme, methods: [strong] }\n  - { methods: [weak] }\n", "  - { route: /admin/*, " + resistant, ""},
		"for all but one tenant":    {"  - { tenant: acme, methods: [weak] }\n  - { methods: [strong] }\n", "  - { route: /admin/*, " + resistant, ""},
		"of that tenant":            {"  - { tenant: acme, methods: [weak] }\n  - { methods: [strong] }\n", "  - ^{ tenant: acme, " + resistant, cant},
		"of that tenant, a route":   {"  - { tenant: acme, methods: [weak] }\n  - { methods: [strong] }\n", "  - ^{ tenant: acme, route: /admin/*, " + resistant, cant},
		"of a tenant without rules": {"  - { tenant: acme, methods: [weak] }\n  - { methods: [strong] }\n", "  - { tenant: corp, " + resistant, ""},
		"of a tenant elsewhere":     {"  - { tenant: acme, methods: [strong] }\n", "  - ^{ tenant: corp, " + resistant, cant},
		"others on a path":          {"  - { tenant: acme, methods: [weak] }\n  - { route: /admin/a/*, methods: [strong] }\n", "  - { route: /admin/*, " + resistant, ""},
		"a rule that is no use":     {"  - ^{ route: /health/*, methods: [weak] }\n  - { methods: [strong] }\n", "  - { " + resistant, dead},
		"a tenant's rule, no use":   {"  - ^{ tenant: acme, methods: [weak] }\n  - { methods: [strong] }\n", "  - { " + resistant, dead},
		"of some use":               {"  - { route: /health/*, methods: [weak, strong] }\n  - { methods: [strong] }\n", "  - { " + resistant, ""},
		"of use to other tenants":   {"  - { route: /health/*, methods: [weak] }\n  - { methods: [strong] }\n", "  - { tenant: acme, " + resistant, ""},
		"of use above":              {"  - { route: /a/*, methods: [weak] }\n  - { methods: [strong] }\n", "  - { route: /a/b/*, factors: [cert] }\n  - { route: /b/*, " + resistant, ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := floorsHead + c.rules + "floors:\n" + c.floors
			if c.says != "" {
				checkText(t, t.TempDir(), text, c.says)
			} else if _, err := parseIn(t.TempDir(), text); err != nil {
				t.Error(err)
			}
		})
	}
}
