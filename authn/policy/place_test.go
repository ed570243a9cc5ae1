package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
)

const placesHead = `version: 1
origin: https://portal.example
factors:
  cert: { kind: fake, proves: user, ambient: true, tied: true, resistant: true }
  org: { kind: fake, proves: tenant, ambient: true, tied: true, resistant: true }
  some: { kind: fake, proves: tenant, ambient: true, tied: true, at_most: true }
  box: { kind: fake, proves: device, ambient: true, tied: true }
  key: { kind: fake, proves: user, verified: true }
  pin: { kind: fake }
  idp: { kind: fake, proves: user, after: tenant }
  vow: { kind: fake, after: user }
  token: { kind: fake, proves: user, ambient: true, single: true }
  local: { kind: fake, proves: user, ambient: true, single: true, after: tenant }
  robot: { kind: fake, proves: nothing, ambient: true, single: true }
methods:
`

const placesRules = "rules:\n  - { methods: [m] }\n"

// placed is a method, with a ^ where the error must point, and what it must say; empty: it is good.
type placed struct{ method, says string }

func checkPlaced(t *testing.T, cases []placed) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.method, func(t *testing.T) {
			text := placesHead + "  m: { " + c.method + " }\n  kiosk: { steps: [box] }\n  sensor: { steps: [box], each_request: true }\n" + placesRules
			if c.says != "" {
				checkText(t, t.TempDir(), text, c.says)
			} else if _, err := parseIn(t.TempDir(), text); err != nil {
				t.Error(err)
			}
		})
	}
}

// A factor that needs to know something before it stands where that is always known.
func TestPlaces(t *testing.T) {
	const tenant, user = `before "idp" a step must always name the tenant: put cert or org or key there`, `before "vow" a step must always name the user: put cert or key or idp there`
	checkPlaced(t, []placed{
		{"steps: [org, idp]", ""},
		{"steps: [cert, idp]", ""},
		{"steps: [key, idp]", ""},
		{"steps: [org, pin, idp]", ""},
		{"steps: [{ any_of: [org, cert] }, idp]", ""},
		{"steps: [idp], on: kiosk", ""},
		{"steps: [pin, idp], on: kiosk", ""},
		{"steps: [cert, vow]", ""},
		{"steps: [org, idp, vow]", ""},
		{"steps: [key, vow], on: kiosk", ""},
		{"steps: [^idp]", tenant},
		{"steps: [^idp, org]", tenant},
		{"steps: [{ any_of: [org, ^idp] }, key]", tenant},
		{"steps: [pin, ^idp]", tenant},
		{"steps: [{ any_of: [org, pin] }, ^idp]", tenant},
		{"steps: [some, ^idp]", tenant},
		{"steps: [{ any_of: [org, some] }, ^idp]", tenant},
		{"steps: [{ any_of: [key, ^idp] }]", tenant},
		{"steps: [^vow, key]", user},
		{"steps: [org, ^vow, key]", user},
		{"steps: [{ any_of: [org, cert] }, ^vow, key]", user},
		{"steps: [pin, ^vow, key], on: kiosk", user},
		{"steps: [{ any_of: [pin, ^vow] }, key], on: kiosk", user},
	})
}

// What is worth nothing beyond a request is in methods of single requests alone, and those need no device beneath.
func TestPlacesOnEachRequest(t *testing.T) {
	const beyond = "is worth nothing beyond one request: method \"m\" must have each_request: true"
	checkPlaced(t, []placed{
		{"steps: [cert, token], each_request: true", ""},
		{"steps: [org, local], each_request: true", ""},
		{"steps: [{ any_of: [cert, token] }, robot], each_request: true", ""},
		{"steps: [cert, ^token]", beyond},
		{"steps: [cert, ^token], each_request: false", beyond},
		{"steps: [cert, { any_of: [key, ^robot] }]", beyond},
		{"steps: [^token], on: kiosk", beyond},
		{"steps: [^local], each_request: true", `before "local" a step must always name the tenant: put cert or org or token there`},
		{"steps: [robot, ^local], each_request: true", `put cert or org or token there`},
		{"steps: [cert], each_request: true, on: ^kiosk", `method "m" runs on each request, by itself: there is no device beneath`},
		{"steps: [key], on: ^sensor", `method "m": "sensor" runs on each request and leaves no device for it`},
	})
	// Where nothing in the file would do, the error says what would.
	checkText(t, t.TempDir(), `version: 1
origin: https://portal.example
factors:
  idp: { kind: fake, proves: user, after: tenant }
  other: { kind: fake, proves: user, after: tenant }
  token: { kind: fake, proves: user, ambient: true, single: true }
  box: { kind: fake, proves: device, ambient: true }
methods:
  m: { steps: [^idp] }
`+placesRules, "no factor here does, such as a certificate's of kind mtls")
}

// The switch is for methods of single requests that have a certificate to do without, and name somebody all the same.
func TestTokenAloneIsRefused(t *testing.T) {
	const on = "insecure_allow_token_without_certificate: true"
	checkPlaced(t, []placed{
		{"steps: [cert, token], each_request: true, " + on, ""},
		{"steps: [token, cert], each_request: true, " + on, ""},
		{"steps: [org, token], each_request: true, " + on, ""},
		{"steps: [{ any_of: [cert, org] }, token], each_request: true, " + on, ""},
		{"steps: [cert, { any_of: [box, token] }, robot], each_request: true, insecure_allow_token_without_certificate: false", ""},
		{"steps: [cert, key], insecure_allow_token_without_certificate: false", ""},
		{"steps: [cert, key], insecure_allow_token_without_certificate: ^true", "this is for methods with each_request: true"},
		{"steps: [cert, key], each_request: false, insecure_allow_token_without_certificate: ^true", "this is for methods with each_request: true"},
		{"steps: [token], each_request: true, insecure_allow_token_without_certificate: ^true", "no step of it asks for a certificate: leave this out"},
		{"steps: [{ any_of: [cert, token] }], each_request: true, insecure_allow_token_without_certificate: ^true", "no step of it asks for a certificate"},
		{"steps: [cert], each_request: true, insecure_allow_token_without_certificate: ^true", "can end without naming a user where its certificate is not there"},
		{"steps: [cert, org], each_request: true, insecure_allow_token_without_certificate: ^true", "can end without naming a user"},
		{"steps: [cert, robot], each_request: true, insecure_allow_token_without_certificate: ^true", "can end without naming a user"},
		{"steps: [cert, { any_of: [token, robot] }], each_request: true, insecure_allow_token_without_certificate: ^true", "can end without naming a user"},
		{"steps: [org, local], each_request: true, insecure_allow_token_without_certificate: ^true", `without its certificate, method "m": before "local" a step must always name the tenant`},
		{"steps: [cert, token], each_request: true, insecure_allow_token_without_certificate: ^\"true\"", "true or false is wanted here"},
		{"steps: [cert, token], each_request: true, ^allow_token_without_certificate: true", "unknown key"},
		{"steps: [cert, token], each_request: true, ^Insecure_allow_token_without_certificate: true", "unknown key"},
	})
}

// Without its certificate, a method has all its other steps, in their order; it is the switch that says whether that counts.
func TestWithoutCertificate(t *testing.T) {
	p, err := parseIn(t.TempDir(), placesHead+`
  off: { steps: [cert, token], each_request: true, session: { absolute: 1h } }
  m: { steps: [robot, cert, token, { any_of: [org, box] }, local], each_request: true, insecure_allow_token_without_certificate: true }
  choice: { steps: [{ any_of: [cert, token] }], each_request: true }
`+strings.Replace(placesRules, "[m]", "[m, off, choice]", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		alone bool
		left  string
		fewer bool
	}{
		{"m", true, "robot token local", true},
		{"off", false, "token", true},
		{"choice", false, "cert|token", false},
	} {
		m, ok := p.MethodNamed(c.name)
		before := names(m.Steps)
		left, fewer := m.WithoutCertificate()
		if !ok || m.TokenAlone != c.alone || names(left.Steps) != c.left || fewer != c.fewer {
			t.Errorf("%s: %v, without its certificate %q, %v", c.name, m.TokenAlone, names(left.Steps), fewer)
		}
		if left.Name != c.name || !left.EachRequest || left.Session != m.Session || names(m.Steps) != before {
			t.Errorf("%s is another method without its certificate: %+v", c.name, left)
		}
	}
	asked := Method{Method: authn.Method{Name: "asked", Steps: []authn.Step{{AnyOf: []authn.Factor{{Name: "card", Tied: true}}}}}}
	if left, fewer := asked.WithoutCertificate(); fewer || len(left.Steps) != 1 {
		t.Errorf("what is asked for is no certificate of the request: %+v", left)
	}
	if m, ok := p.MethodNamed("gone"); ok || m.Name != "" {
		t.Errorf("%+v", m)
	}
}

func names(steps []authn.Step) string {
	var all []string
	for _, s := range steps {
		all = append(all, strings.Join(s.Names(), "|"))
	}
	return strings.Join(all, " ")
}

// The start-up log is full of what is insecure: the switch warns at its own position, whatever else is said of the method.
func TestInsecureSwitchWarns(t *testing.T) {
	p, err := parseIn(t.TempDir(), placesHead+`  safe: { steps: [cert, token], each_request: true, insecure_allow_token_without_certificate: false }
  m:
    steps: [org, token]
    each_request: true
    insecure_allow_token_without_certificate: true
  unused: { steps: [cert, token], each_request: true, session: { idle: 1m }, insecure_allow_token_without_certificate: true, login: 5m }
`+strings.Replace(placesRules, "[m]", "[m, safe]", 1))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range p.Warnings() {
		if !strings.Contains(w.Message, "is in no method") {
			got = append(got, fmt.Sprintf("%d:%d: %s", w.Line, w.Column, w.Message))
		}
	}
	const insecure = "lets in a token without the certificate that it asks for: whoever copies the token needs nothing else"
	want := []string{`20:47: method "m" ` + insecure, `21:3: method "unused" is offered by no rule`,
		`21:64: method "unused" runs on each request: it has no session, and this says nothing`, `21:133: method "unused" runs on each request: it has no login, and this says nothing`, `21:120: method "unused" ` + insecure}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// A method that yields a session and one that runs on each request are no way out for each other.
func TestFloorsOfRequests(t *testing.T) {
	const none, single, session = "no method of this rule can meet floor 1", "no method of this rule that runs on each request can meet floor 1", "no method of this rule that yields a session can meet floor 1"
	const cant = "no method on offer here can meet this floor"
	const methods = `  web: { steps: [cert, key] }
  plain: { steps: [key] }
  api: { steps: [cert, token], each_request: true }
  bare: { steps: [token], each_request: true }
  m: { steps: [org, token], each_request: true, insecure_allow_token_without_certificate: true }
rules:
`
	for name, c := range map[string]struct{ rules, floors, says string }{
		"both meet it":                      {"  - { methods: [web, api] }\n", "  - { phishing_resistant: true }\n", ""},
		"requests never do":                 {"  - ^{ methods: [web, api] }\n", "  - { user_verified: true }\n", single},
		"requests never are fresh":          {"  - ^{ methods: [web, api] }\n", "  - { max_age: 5m }\n", single},
		"sessions never do":                 {"  - ^{ methods: [web, api] }\n", "  - { factors: [token] }\n", session},
		"one of each kind does":             {"  - { methods: [plain, bare, web, api] }\n", "  - { phishing_resistant: true }\n", ""},
		"none of one kind":                  {"  - ^{ methods: [web, plain, bare] }\n", "  - { phishing_resistant: true }\n", single},
		"requests alone":                    {"  - ^{ route: /api/*, methods: [bare] }\n  - { methods: [web] }\n", "  - { phishing_resistant: true }\n", none},
		"an API's floor that its web meets": {"  - { route: /api/*, methods: [api] }\n  - { methods: [web] }\n", "  - ^{ route: /api/*, user_verified: true }\n", cant},
		"an API's floor":                    {"  - { route: /api/*, methods: [api] }\n  - { methods: [web] }\n", "  - { route: /api/*, factors: [token] }\n", ""},
		"the web's floor within both":       {"  - { methods: [web, api] }\n", "  - { route: /admin/*, user_verified: true }\n", ""},
		"the API's floor within both":       {"  - { methods: [web, api] }\n", "  - { route: /api/*, factors: [token] }\n", ""},
		"elsewhere, for a rule of both":     {"  - { route: /a/*, methods: [web, api] }\n  - { methods: [web] }\n", "  - { route: /b/*, user_verified: true }\n", ""},
		"both, of a tenant":                 {"  - ^{ tenant: acme, methods: [web, api] }\n  - { methods: [web] }\n", "  - { tenant: acme, user_verified: true }\n", single},
		// The switch takes nothing away: who has the certificate meets the floor, and who has not is refused by it.
		"met with the certificate": {"  - { methods: [m] }\n", "  - { factors: [org] }\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := placesHead + methods + c.rules + "floors:\n" + c.floors
			if c.says != "" {
				checkText(t, t.TempDir(), text, c.says)
				return
			}
			p, err := parseIn(t.TempDir(), text)
			if err != nil {
				t.Fatal(err)
			}
			if m, _ := p.MethodNamed("m"); slices.Contains(p.Rules[0].Methods, "m") {
				alone, _ := m.WithoutCertificate()
				if floor := p.Floors[0].Requirement; !floor.Reachable(m.Method) || floor.Reachable(alone) {
					t.Errorf("%+v: with a certificate %v, without %v", floor, floor.Reachable(m.Method), floor.Reachable(alone))
				}
			}
		})
	}
}
