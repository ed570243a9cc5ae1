package oauth_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

func TestANewUserWhereThePolicySaysSo(t *testing.T) {
	b := newBench(t, "provision: on\nuser: { claim: nickname }\nattributes: { groups: groups }")
	b.provider.claims = claims(map[string]any{"nickname": "alice", "email": "root@portal.example"})
	got, err := b.verify(b.come(acme, nil))
	if err != nil || got.Provision == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	p := got.Provision
	if p.Name != "alice" || p.Display != "Alice Example" || p.Credential.Kind != "oauth" || p.Credential.Best != (authn.Strength{Category: authn.Know}) {
		t.Errorf("%+v", p)
	}
	if got.Evidence.Subject != acme || got.Evidence.Names != (authn.Names{}) || got.Evidence.Credential != p.Credential.ID {
		t.Errorf("%+v", got.Evidence)
	}
	if len(got.Evidence.Attributes) != 1 || strings.Contains(string(p.Credential.Data), "root@") {
		t.Errorf("more than the policy asks for: %v, %s", got.Evidence.Attributes, p.Credential.Data)
	}
	c := p.Credential
	c.Tenant, c.User, c.Factor = "acme", "u-new", "idp"
	_ = b.directory.store(c)
	again, err := b.verify(b.come(acme, nil))
	if err != nil || again.Provision != nil || again.Evidence.Subject.User != "u-new" || again.Evidence.Credential != c.ID {
		t.Errorf("the second time: %+v, %v", again, err)
	}
}

// A name is only a name: whoever's provider has none for them is called by the subject.
func TestANewUserWhoseProviderSendsNoName(t *testing.T) {
	for name, sent := range map[string]map[string]any{"missing": nil, "null": {"nickname": nil}} {
		b := newBench(t, "provision: on\nuser: { claim: nickname }")
		b.provider.claims = claims(sent)
		if got, err := b.verify(b.come(acme, nil)); err != nil || got.Provision == nil || got.Provision.Name != "alice-at-acme" {
			t.Errorf("%s: %+v, %v", name, got.Provision, err)
		}
	}
}

func claims(all map[string]any) func(map[string]any) {
	return func(m map[string]any) {
		for name, value := range all {
			m[name] = value
		}
	}
}

func TestWhoIsNotProvisioned(t *testing.T) {
	on := "provision: on\nuser: { claim: nickname }"
	for name, tt := range map[string]struct {
		settings string
		claims   map[string]any
		subject  authn.Subject
		why      authn.Reason
	}{
		"the policy does not say so":      {"", nil, acme, factors.ReasonUserUnknown},
		"the subject is somebody already": {on, map[string]any{"nickname": "alice"}, alice.Subject(), factors.ReasonUserUnknown},
		"no earlier step named a tenant":  {on + "\ntenant: acme", map[string]any{"nickname": "alice"}, authn.Subject{}, oauth.ReasonTenant},
		"no address":                      {"provision: on\nemail: verified\nuser: { claim: email }", map[string]any{"email": nil}, acme, oauth.ReasonClaim},
		"an empty name":                   {on, map[string]any{"nickname": ""}, acme, oauth.ReasonClaim},
		"a null":                          {on, map[string]any{"nickname": []any{nil}}, acme, oauth.ReasonClaim},
		"two names":                       {on, map[string]any{"nickname": []string{"a", "b"}}, acme, oauth.ReasonClaim},
		"a list of one":                   {on, map[string]any{"nickname": []string{"a"}}, acme, oauth.ReasonClaim},
		"a name that is too long":         {on, map[string]any{"nickname": strings.Repeat("a", 129)}, acme, oauth.ReasonClaim},
		"space at the end":                {on, map[string]any{"nickname": "alice "}, acme, oauth.ReasonClaim},
		"a control character":             {on, map[string]any{"nickname": "ali\tce"}, acme, oauth.ReasonClaim},
		"turned round":                    {on, map[string]any{"nickname": "\u202eecila"}, acme, oauth.ReasonClaim},
		"a letter without width":          {on, map[string]any{"nickname": "ali\u200bce"}, acme, oauth.ReasonClaim},
		"a letter that shows nothing":     {on, map[string]any{"nickname": "ali\u3164ce"}, acme, oauth.ReasonClaim},
		"a selector":                      {on, map[string]any{"nickname": "alice\ufe0f"}, acme, oauth.ReasonClaim},
		"an address that is not verified": {"provision: on\nemail: verified\nuser: { claim: email }", map[string]any{"email_verified": false}, acme, oauth.ReasonClaim},
		"an address verified in words":    {"provision: on\nemail: verified\nuser: { claim: email }", map[string]any{"email_verified": "true"}, acme, oauth.ReasonClaim},
	} {
		b := newBench(t, tt.settings)
		b.provider.claims = claims(tt.claims)
		_, err := b.verify(b.come(tt.subject, nil))
		if why := rejection(t, err); why != tt.why {
			t.Errorf("%s: %s, want %s", name, why, tt.why)
		}
	}
}

// An e-mail address is an attribute where the policy asks for it and the provider vouches for it, and nothing else.
func TestEMail(t *testing.T) {
	for name, tt := range map[string]struct {
		settings string
		claims   map[string]any
		userinfo map[string]any
		want     []string
	}{
		"not asked for":              {"", nil, nil, nil},
		"verified":                   {"email: verified", nil, nil, []string{"alice@acme.example"}},
		"not verified":               {"email: verified", map[string]any{"email_verified": false}, nil, nil},
		"a word for true":            {"email: verified", map[string]any{"email_verified": "true"}, nil, nil},
		"a number for true":          {"email: verified", map[string]any{"email_verified": 1}, nil, nil},
		"nobody says":                {"email: verified", map[string]any{"email_verified": nil}, nil, nil},
		"no address":                 {"email: verified", map[string]any{"email": nil}, nil, nil},
		"two":                        {"email: verified", map[string]any{"email": []string{"a@b", "c@d"}}, nil, nil},
		"from userinfo":              {"email: verified\nuserinfo: on", map[string]any{"email": nil, "email_verified": nil}, map[string]any{"email": "a@b", "email_verified": true}, []string{"a@b"}},
		"vouched for by two halves":  {"email: verified\nuserinfo: on", map[string]any{"email_verified": nil}, map[string]any{"email": "a@b", "email_verified": true}, nil},
		"the address of another one": {"email: verified\nuserinfo: on", map[string]any{"email": nil}, map[string]any{"email": "a@b"}, nil},
	} {
		b := newBench(t, tt.settings)
		b.provider.claims = claims(tt.claims)
		b.provider.userinfo = map[string]any{"sub": b.provider.sub}
		claims(tt.userinfo)(b.provider.userinfo)
		b.link(alice)
		got, err := b.verify(b.come(acme, nil))
		if err != nil || !reflect.DeepEqual(got.Evidence.Attributes["email"], tt.want) {
			t.Errorf("%s: %q, %v, want %q", name, got.Evidence.Attributes["email"], err, tt.want)
		}
	}
}

// What the provider says anew of a linked user is stored; what it says again is not.
func TestUpdates(t *testing.T) {
	b := newBench(t, "attributes: { groups: groups, level: level, staff: staff }")
	c := b.link(alice)
	c.Used = now.Add(-time.Minute)
	b.directory.credentials[0] = c
	if got, err := b.verify(b.come(acme, nil)); err != nil || got.Update != nil {
		t.Errorf("nothing changed: %+v, %v", got.Update, err)
	}
	b.provider.claims = claims(map[string]any{"groups": "staff", "level": 3, "staff": true})
	got, err := b.verify(b.come(acme, nil))
	if err != nil || got.Update == nil {
		t.Fatalf("the groups changed: %v", err)
	}
	want := map[string][]string{"groups": {"staff"}, "level": {"3"}, "staff": {"true"}}
	if !reflect.DeepEqual(got.Evidence.Attributes, want) || string(got.Update.Data) == string(c.Data) || !got.Update.Used.Equal(now) ||
		got.Update.ID != c.ID || got.Update.User != alice.ID {
		t.Errorf("%v, %+v", got.Evidence.Attributes, got.Update)
	}
	b.provider.claims = nil
	c.Used = now.Add(-2 * time.Hour)
	b.directory.credentials[0] = c
	if got, err := b.verify(b.come(acme, nil)); err != nil || got.Update == nil {
		t.Errorf("its last use was long ago: %v", err)
	}
	c.Flagged = "stolen"
	b.directory.credentials[0] = c
	_, err = b.verify(b.come(acme, nil))
	if why := rejection(t, err); why != factors.ReasonFlagged {
		t.Errorf("flagged: %s", why)
	}
}
