package jwt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

func TestSettings(t *testing.T) {
	key := newKey(t)
	files := map[string]string{"keys.json": keySet(t, named(t, key, "k1")), "none.json": `{"keys":[]}`, "text": "text"}
	const start = "issuer: " + issuer + "\naudience: api\nalgorithms: [ES256]\n"
	good := map[string]string{
		"the least":       start,
		"a file":          start + "keys: { file: keys.json }",
		"an address":      start + "keys: { url: \"https://keys.example/jwks\" }\nrefresh: 30m",
		"on this machine": start + "keys: { url: \"http://localhost:8080/jwks\" }",
		"discovery":       start + "keys: { discovery: true }",
		"audiences":       "issuer: " + issuer + "\naudiences: [a, b]\nalgorithms: [ES256]",
		"a named issuer":  "issuer: corp\naudience: a\nalgorithms: [ES256, EdDSA]\nkeys: { file: keys.json }",
		"everything": start + "keys: { file: keys.json }\ntyp: [at+jwt, JWT]\nmax_age: 1h\nleeway: 2m\nrequire: [client_id]\nscopes: [read]\nbound_to_certificate: if_present\ndpop: off\n" +
			"user: { claim: sub, pattern: \"{user}@corp.example\" }\nprincipal: device\ntenant: corp\nattributes: { client: client_id }\nsession: live",
	}
	for name, section := range good {
		if _, err := load(t, section, files); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct{ section, says string }{
		"an unknown key":        {start + "nonce: required", "unknown key"},
		"no issuer":             {"audience: api\nalgorithms: [ES256]", "an issuer is wanted"},
		"no audience":           {"issuer: " + issuer + "\nalgorithms: [ES256]", "an audience is wanted"},
		"audience twice":        {start + "audiences: [b]", "one of the two"},
		"no audiences":          {"issuer: " + issuer + "\naudiences: []\nalgorithms: [ES256]", "has none"},
		"no algorithms":         {"issuer: " + issuer + "\naudience: api", "algorithms that tokens may be signed with are wanted"},
		"no algorithm":          {"issuer: " + issuer + "\naudience: api\nalgorithms: []", "has none"},
		"none":                  {"issuer: " + issuer + "\naudience: api\nalgorithms: [none]", "algorithms[0]"},
		"a shared secret":       {"issuer: " + issuer + "\naudience: api\nalgorithms: [ES256, HS256]", "algorithms[1]"},
		"an algorithm twice":    {"issuer: " + issuer + "\naudience: api\nalgorithms: [ES256, ES256]", "is there already"},
		"proofs as tokens":      {start + "typ: [dpop+jwt]", "another use"},
		"logout tokens":         {start + "typ: [application/Logout+JWT]", "another use"},
		"a type of nothing":     {start + "typ: [\"\"]", "no type"},
		"two places of keys":    {start + "keys: { file: keys.json, discovery: true }", "must be one of"},
		"no place of keys":      {start + "keys: { discovery: false }", "must be one of"},
		"plain keys":            {start + "keys: { url: \"http://keys.example/jwks\" }", "no https URL"},
		"no file":               {start + "keys: { file: missing.json }", "cannot be read"},
		"a file of text":        {start + "keys: { file: text }", "cannot be used"},
		"a file without keys":   {start + "keys: { file: none.json }", "no key for any"},
		"keys of other kinds":   {"issuer: " + issuer + "\naudience: api\nalgorithms: [RS256]\nkeys: { file: keys.json }", "no key for any"},
		"refresh of a file":     {start + "keys: { file: keys.json }\nrefresh: 1m", "means nothing"},
		"roots for a file":      {start + "keys: { file: keys.json }\nca: keys.json", "means nothing"},
		"roots that are none":   {start + "ca: text", "holds no certificate"},
		"refresh too often":     {start + "refresh: 9s", "is from"},
		"refresh too seldom":    {start + "refresh: 31m", "is from"},
		"discovery of a name":   {"issuer: corp\naudience: a\nalgorithms: [ES256]", "its keys cannot be found"},
		"discovery in plain":    {"issuer: http://x.example\naudience: a\nalgorithms: [ES256]", "its keys cannot be found"},
		"leeway":                {start + "leeway: 121s", "more than"},
		"bound":                 {start + "bound_to_certificate: off", "must be one of"},
		"dpop":                  {start + "dpop: on", ""},
		"a scope":               {start + "scopes: [\"a b\"]", "no scope"},
		"a pattern of nobody":   {start + "user: { pattern: \"x\" }", "{user} once"},
		"a pattern of two":      {start + "user: { pattern: \"{user}{user}\" }", "{user} once"},
		"identifies":            {start + "identifies: user", "is nothing"},
		"user of nothing":       {start + "identifies: nothing\nuser: { claim: sub }", "means nothing"},
		"principal of nothing":  {start + "identifies: nothing\nprincipal: device", "means nothing"},
		"tenant of nothing":     {start + "identifies: nothing\ntenant: corp", "means nothing"},
		"a claim of nothing":    {start + "identifies: nothing\ntenant_claim: org", "means nothing"},
		"session of nothing":    {start + "identifies: nothing\nsession: live", "identifies nothing"},
		"a trust domain":        {start + "spiffe: { trust_domain: \"a b\" }", "no trust domain"},
		"no trust domain":       {start + "spiffe: {}", "no trust domain"},
		"principal":             {start + "principal: robot", "must be one of"},
		"session":               {start + "session: dead", "must be one of"},
		"attributes of nothing": {start + "attributes: {}", "has none"},
	} {
		_, err := load(t, c.section, files)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "policy.yaml:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A token is worth nothing beyond its request, and names a user of a tenant that something else proved.
func TestPlaces(t *testing.T) {
	text := func(factor, method string) string {
		return "version: 1\norigin: https://portal.example\nfactors:\n  door: { kind: gate }\n  api-token: { kind: jwt, issuer: \"" + issuer + "\", audience: a, algorithms: [ES256]" + factor +
			" }\nmethods:\n  api: { " + method + " }\nrules: [{ methods: [api] }]\n"
	}
	for name, c := range map[string]struct {
		factor, method string
		good           bool
	}{
		"behind a tenant":           {"", "steps: [door, api-token], each_request: true", true},
		"alone":                     {"", "steps: [api-token], each_request: true", false},
		"alone, of a tenant":        {", tenant: corp", "steps: [api-token], each_request: true", true},
		"first":                     {"", "steps: [api-token, door], each_request: true", false},
		"for a session":             {"", "steps: [door, api-token]", false},
		"nothing, behind a tenant":  {", identifies: nothing", "steps: [door, api-token], each_request: true", true},
		"nothing, before the other": {", identifies: nothing", "steps: [api-token, door], each_request: true", false},
	} {
		path := filepath.Join(t.TempDir(), "policy.yaml")
		if err := os.WriteFile(path, []byte(text(c.factor, c.method)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Load(path, gate{}, Kind()); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A factor is not built without what it needs.
func TestBuildNeeds(t *testing.T) {
	for name, c := range map[string]struct {
		more string
		drop func(*factors.Env)
		good bool
	}{
		"denials":                {"", func(e *factors.Env) { e.Tokens = nil }, false},
		"directory":              {"", func(e *factors.Env) { e.Directory = nil }, false},
		"directory for nothing":  {"identifies: nothing", func(e *factors.Env) { e.Directory = nil }, true},
		"once":                   {"", func(e *factors.Env) { e.Once = nil }, false},
		"once, and no proofs":    {"dpop: off", func(e *factors.Env) { e.Once = nil }, true},
		"live":                   {"session: live", func(e *factors.Env) { e.Live = nil }, false},
		"live, of no session":    {"", func(e *factors.Env) { e.Live = nil }, true},
		"randomness, its own":    {"", func(e *factors.Env) { e.Rand = nil }, true},
		"randomness that is out": {"", func(e *factors.Env) { e.Rand = strings.NewReader("") }, false},
	} {
		b := newBench(t, c.more)
		env := b.env()
		c.drop(&env)
		if _, err := Kind().Build(mustFactor(t, b.policy).Settings, env); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Kind().Build(gate{}, factors.Env{}); err == nil {
		t.Error("settings of another kind")
	}
}

func TestDescribe(t *testing.T) {
	for more, want := range map[string]authn.Factor{
		"":                    {Identifies: authn.IdentifiesUser},
		"identifies: nothing": {},
		"principal: device":   {Identifies: authn.IdentifiesUser, Class: authn.ClassDevice},
		"principal: workload": {Identifies: authn.IdentifiesUser, Class: authn.ClassWorkload},
	} {
		d := newBench(t, more).factor.Describe()
		if d.Identifies != want.Identifies || d.Class != want.Class || !d.Ambient || d.Tied || d.Best != (authn.Strength{Category: authn.Have}) {
			t.Errorf("%q: %+v", more, d)
		}
	}
}
