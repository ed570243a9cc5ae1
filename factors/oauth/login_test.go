package oauth_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

func TestALinkedUserSignsIn(t *testing.T) {
	b := newBench(t, "attributes: { groups: groups }\nemail: verified\nscopes: [profile]")
	linked := b.link(alice)
	got, err := b.verify(b.come(acme, nil))
	if err != nil {
		t.Fatal(err)
	}
	id := linked.ID
	want := authn.Evidence{Factor: "idp", Kind: "oauth", Subject: alice.Subject(), Credential: id, Key: got.Evidence.Key, AMR: []string{"oidc"},
		Strength: authn.Strength{Category: authn.Know}, At: now, Since: now.Add(-time.Minute), Issuer: b.provider.issuer,
		Handles:    []string{"sid:" + b.provider.issuer + "\x00session-1", "sub:" + b.provider.issuer + "\x00alice-at-acme"},
		Attributes: map[string][]string{"email": {"alice@acme.example"}, "groups": {"staff", "admins"}}}
	if key := got.Evidence.Key; !strings.HasPrefix(key, "oidc:") || key == "oidc:"+id || len(key) != len("oidc:"+id) {
		t.Errorf("the account is known by %q", key) // the same for every factor at this provider
	}
	if !reflect.DeepEqual(got.Evidence, want) {
		t.Errorf("evidence\n%+v\nwant\n%+v", got.Evidence, want)
	}
	if got.Provision != nil {
		t.Error("a linked user is made anew")
	}
}
