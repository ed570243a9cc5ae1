package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors"
)

func TestASecretIsNotPrinted(t *testing.T) {
	p := proof{secret: newSecret("needle")}
	b, err := json.Marshal(map[string]any{"a": p.secret})
	if text := fmt.Sprintf("%v %+v %#v %s %q %x %d", p, p, p, p.secret, p.secret, p.secret, p.secret) + string(b); err != nil ||
		strings.Contains(text, "needle") || strings.Contains(text, fmt.Sprintf("%x", "needle")) {
		t.Errorf("%s, %v", text, err)
	}
}

// Ids of identities are apart wherever one of their parts is, and a part cannot lend letters to the next.
func TestIdentityIDs(t *testing.T) {
	seen := map[string]identity{}
	for _, i := range []identity{{tenant: "a", issuer: "b", sub: "c"}, {tenant: "ab", issuer: "", sub: "c"}, {tenant: "a", issuer: "bc"},
		{tenant: "a", issuer: "b1:c"}, {tenant: "a1:b", sub: "c"}, {tenant: "a", issuer: "b", sub: "C"}, {tenant: "b", issuer: "b", sub: "c"}} {
		if other, is := seen[i.id("idp")]; is {
			t.Errorf("%+v and %+v have one id", i, other)
		}
		seen[i.id("idp")] = i
	}
}

// FuzzCallback: what is taken is a response in one reading, and what the standard library reads in the same query says the same.
func FuzzCallback(f *testing.F) {
	for _, s := range []string{`{"query":"code=a&state=b"}`, `{"query":"code=a&state=b&iss=https%3A%2F%2Fidp.example","tenant":"acme"}`,
		`{"query":"error=access_denied&state=b"}`, `{"query":"code=a&code=b&state=c"}`, `{"query":"code=a&state=b&error=c"}`, `{"query":"c%6fde=a&state=b"}`,
		`{"query":"code=a;state=b"}`, `{"query":"code=%zz&state=b"}`, `{"query":"?code=a&state=b"}`, `{}`, `null`, `{"query":""}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, credential []byte) {
		c, err := parseCallback(credential)
		if err != nil {
			if !errors.As(err, new(*factors.Rejection)) {
				t.Errorf("no rejection: %v", err)
			}
			return
		}
		if (c.code == "") == (c.failure == "") || c.state == "" {
			t.Errorf("%+v", c)
		}
		var in struct{ Query string }
		if err := json.Unmarshal(credential, &in); err != nil {
			t.Fatalf("%q: %v", credential, err)
		}
		q, err := url.ParseQuery(in.Query)
		if err != nil {
			t.Fatalf("%q: %v", in.Query, err)
		}
		for name, got := range map[string]string{"code": c.code, "state": c.state, "iss": c.iss, "error": c.failure} {
			if len(q[name]) > 1 || q.Get(name) != got {
				t.Errorf("%s: %q, and the standard library reads %q", name, got, q[name])
			}
		}
	})
}
