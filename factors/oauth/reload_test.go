package oauth_test

import (
	"testing"

	"github.com/sallyport-auth/sallyport/factors/oauth"
)

// The policy changes while somebody is at the provider: the provider's settings are those that the challenge pinned, and
// what is trusted is what is trusted now.
func TestThePolicyChangesDuringALogin(t *testing.T) {
	b := newBench(t, "")
	b.link(alice)
	moved := func(p *provider) string { return "issuer: " + p.issuer + "\nclient_id: portal\n" }
	other := newProvider(t)
	for name, tt := range map[string]struct {
		section string
		lie     map[string]any
		why     string
	}{
		"nothing that matters":  {moved(b.provider) + "scopes: [profile]", nil, ""},
		"the redirect URI":      {moved(b.provider) + "redirect: own", nil, ""},
		"another client":        {"issuer: " + b.provider.issuer + "\nclient_id: other\n", nil, string(oauth.ReasonChallenge)},
		"another provider":      {moved(other), nil, string(oauth.ReasonChallenge)},
		"a class is wanted":     {moved(b.provider) + "acr: [gold]", map[string]any{"acr": "silver"}, string(oauth.ReasonACR)},
		"a fresher one is":      {moved(b.provider) + "max_age: 10s", nil, string(oauth.ReasonAuthTime)},
		"an algorithm is out":   {moved(b.provider) + "algorithms: [RS256]", nil, "token_algorithm_not_allowed"},
		"only for another":      {moved(b.provider) + "tenant: globex", nil, string(oauth.ReasonTenant)},
		"the tenant has none":   {"client_id: portal\nper_tenant: { globex: { issuer: " + b.provider.issuer + " } }", nil, string(oauth.ReasonTenant)},
		"the tenant has it now": {"client_id: portal\nper_tenant: { acme: { issuer: " + b.provider.issuer + " } }", nil, ""},
	} {
		v := b.come(acme, nil)
		b.provider.claims = claims(tt.lie)
		pol, err := load(t, "kind: oauth\nclient_secret: { file: secret }\nca: ca.pem\n"+tt.section, map[string]string{"ca.pem": b.provider.ca()})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = build(t, pol, b.directory).Verify(t.Context(), v)
		if tt.why == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if why := rejection(t, err); string(why) != tt.why {
			t.Errorf("%s: %s, want %s", name, why, tt.why)
		}
		b.provider.claims = nil
	}
}

// A sign-in that began with a certificate of one tenant does not end in another, at whichever provider.
func TestTheTenantChangesDuringALogin(t *testing.T) {
	a, g := two(t, "", nil)
	a.link(alice)
	g.link(gina)
	v := g.come(globex, nil)
	v.Request = g.request(acme)
	_, err := a.verify(v)
	if why := rejection(t, err); why != oauth.ReasonChallenge {
		t.Error(why)
	}
}
