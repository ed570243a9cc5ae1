package oauth_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

// two are two partners, each with its own provider.
func two(t *testing.T, more string, how func(acme, globex *provider)) (a, g *bench) {
	t.Helper()
	p, q := newProvider(t), newProvider(t)
	if how != nil {
		how(p, q)
	}
	section := "kind: oauth\nclient_secret: { file: secret }\nca: ca.pem\nclient_id: portal\n" + more + "\nper_tenant:\n  acme: { issuer: " + p.issuer +
		" }\n  globex: { issuer: " + q.issuer + ", ca: globex.pem }"
	a = benchOf(t, p, section, map[string]string{"globex.pem": q.ca()})
	g = &bench{t: t, provider: q, factor: a.factor, directory: a.directory, origin: a.origin}
	return a, g
}

var (
	globex = authn.Subject{Tenant: "globex"}
	gina   = factors.User{Tenant: "globex", ID: "u-gina", Name: "gina"}
)

func TestOneSubjectAtTwoPartners(t *testing.T) {
	a, g := two(t, "", nil)
	a.link(alice)
	if _, err := a.verify(a.come(acme, nil)); err != nil {
		t.Fatal(err)
	}
	_, err := g.verify(g.come(globex, nil))
	if why := rejection(t, err); why != factors.ReasonUserUnknown {
		t.Errorf("the same subject at the other partner: %s", why)
	}
	if g.link(gina).ID == a.directory.credentials[0].ID {
		t.Error("two identities have one id")
	}
	if got, err := g.verify(g.come(globex, nil)); err != nil || got.Evidence.Subject != gina.Subject() {
		t.Errorf("%+v, %v", got.Evidence.Subject, err)
	}
}

// One person may be a user in two tenants that use one provider: the credentials are two.
func TestOneIdentityInTwoTenants(t *testing.T) {
	b := newBench(t, "")
	one := b.link(alice)
	_, err := b.verify(b.come(globex, nil))
	if why := rejection(t, err); why != factors.ReasonUserUnknown {
		t.Errorf("linked in another tenant: %s", why)
	}
	if two := b.link(gina); two.ID == one.ID {
		t.Error("one id in two tenants, where ids are unique within a factor")
	}
}

func TestTenantsThatHaveNoProvider(t *testing.T) {
	a, _ := two(t, "", nil)
	for name, s := range map[string]authn.Subject{"not listed": {Tenant: "other"}, "not known": {}} {
		_, err := a.factor.Challenge(t.Context(), a.request(s))
		if why := rejection(t, err); why != oauth.ReasonTenant {
			t.Errorf("%s: %s", name, why)
		}
	}
	b := newBench(t, "tenant: acme")
	b.link(alice)
	if got, err := b.verify(b.come(authn.Subject{}, nil)); err != nil || got.Evidence.Subject != alice.Subject() {
		t.Errorf("the policy names the tenant: %+v, %v", got.Evidence.Subject, err)
	}
	_, err := b.factor.Challenge(t.Context(), b.request(globex))
	if why := rejection(t, err); why != oauth.ReasonTenant {
		t.Errorf("the provider of another tenant: %s", why)
	}
}

// Mix-up (RFC 9700 section 4.4): the browser is sent to one provider, and the response is another's.
func TestMixUp(t *testing.T) {
	silent := func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") }
	for name, tt := range map[string]struct {
		how    func(a, g *provider)
		tenant string // that the response comes to
		iss    bool
		why    authn.Reason
	}{
		"both name themselves":         {nil, "", true, oauth.ReasonResponseIssuer},
		"the response names nobody":    {nil, "", false, oauth.ReasonResponseIssuer},
		"nobody names himself":         {func(a, g *provider) { a.metadata, g.metadata = silent, silent }, "globex", false, oauth.ReasonRedirect},
		"at the shared redirect URI":   {func(a, g *provider) { a.metadata, g.metadata = silent, silent }, "", false, oauth.ReasonRedirect},
		"one names himself unasked":    {func(a, g *provider) { a.metadata, g.metadata = silent, silent }, "acme", true, oauth.ReasonResponseIssuer},
		"to a URI that is not its own": {nil, "acme", true, oauth.ReasonRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			a, g := two(t, "", tt.how)
			a.link(alice)
			c := a.challenge(a.request(acme))
			// The attacker's provider hands the request on to the honest one, and the code comes back as its own.
			back := a.provider.signIn(c.RedirectTo)
			back.Del("iss")
			if tt.iss {
				back.Set("iss", g.provider.issuer)
			}
			before := a.provider.called("/token")
			_, err := a.verify(factors.Verification{Request: a.request(acme), Credential: returned(back.Encode(), tt.tenant), Challenge: asked(c)})
			if why := rejection(t, err); why != tt.why {
				t.Errorf("%s, want %s", why, tt.why)
			}
			if a.provider.called("/token") != before || g.provider.called("/token") != 0 {
				t.Error("a code was sent to a provider")
			}
		})
	}
}

// Two providers whose keys have one name do not sign for each other.
func TestTwoIssuersShareAKid(t *testing.T) {
	a, g := two(t, "", nil)
	a.link(alice)
	v := a.come(acme, nil)
	a.provider.signer = g.provider.signer
	_, err := a.verify(v)
	if why := rejection(t, err); why != "token_bad_signature" {
		t.Errorf("%s", why)
	}
}

func TestRedirectURIs(t *testing.T) {
	silent := func(p *provider) {
		p.metadata = func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") }
	}
	for name, tt := range map[string]struct {
		more string
		how  func(*provider)
		want string
	}{
		"the provider names itself":  {"", nil, origin + "/auth/factors/idp/callback"},
		"it does not":                {"", silent, origin + "/auth/factors/idp/acme/callback"},
		"its own by the policy":      {"redirect: own", nil, origin + "/auth/factors/idp/acme/callback"},
		"shared, being the only one": {"redirect: shared", silent, origin + "/auth/factors/idp/callback"},
		"for a tenant with any name": {"tenant: \"a/c?m&e\"", silent, origin + "/auth/factors/idp/a%2Fc%3Fm&e/callback"},
	} {
		p := newProvider(t)
		if tt.how != nil {
			tt.how(p)
		}
		b := benchOf(t, p, "kind: oauth\nissuer: "+p.issuer+"\nclient_id: portal\nclient_secret: { file: secret }\nca: ca.pem\n"+tt.more, nil)
		s := acme
		if strings.Contains(tt.more, "tenant:") {
			s = authn.Subject{}
		}
		u, err := url.Parse(b.challenge(b.request(s)).RedirectTo)
		if err != nil || u.Query().Get("redirect_uri") != tt.want {
			t.Errorf("%s: %s, want %s", name, u.Query().Get("redirect_uri"), tt.want)
		}
	}
	a, _ := two(t, "redirect: shared", func(a, g *provider) { silent(a) })
	_, err := a.factor.Challenge(t.Context(), a.request(acme))
	broken(t, "shared by one that does not name itself", err)
}

// A provider that does not name itself answers at the URI that is its own.
func TestSignInAtItsOwnRedirectURI(t *testing.T) {
	a, _ := two(t, "", func(a, g *provider) {
		a.metadata = func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") }
	})
	a.link(alice)
	c := a.challenge(a.request(acme))
	back := a.provider.signIn(c.RedirectTo)
	v := factors.Verification{Request: a.request(acme), Credential: returned(back.Encode(), "acme"), Challenge: asked(c)}
	if _, err := a.verify(v); err != nil {
		t.Error(err)
	}
}
