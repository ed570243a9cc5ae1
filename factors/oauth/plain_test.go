package oauth_test

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

// newPlainBench makes a factor of kind oauth2.
func newPlainBench(t testing.TB, more string) *bench {
	t.Helper()
	p := newProvider(t)
	p.metadata = func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = false }
	p.response = func(m map[string]any) { delete(m, "id_token") }
	b := benchOf(t, p, "kind: oauth2\nissuer: "+p.issuer+"\nauthorization_endpoint: "+p.issuer+"/authorize\ntoken_endpoint: "+p.issuer+
		"/token\nuserinfo_endpoint: "+p.issuer+"/userinfo\nsubject: id\nclient_id: portal\nclient_secret: { file: secret }\nca: ca.pem\n"+more, nil)
	p.handle["/userinfo"] = func(w http.ResponseWriter, r *http.Request) {
		sub, ok := p.whose(r)
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		all := map[string]any{"id": sub, "login": "alice", "name": "Alice Example"}
		if p.userinfo != nil {
			all = p.userinfo
		}
		p.answer(w, 200, all)
	}
	return b
}

// plainly comes back to the redirect URI of the one tenant.
func (b *bench) plainly(s authn.Subject) factors.Verification {
	b.t.Helper()
	c := b.challenge(b.request(s))
	return factors.Verification{Request: b.request(s), Credential: returned(b.provider.signIn(c.RedirectTo).Encode(), s.Tenant), Challenge: asked(c)}
}

func TestPlainOAuth(t *testing.T) {
	b := newPlainBench(t, "provision: on\nuser: { claim: login }\nattributes: { team: team }")
	b.provider.userinfo = map[string]any{"id": 583231, "login": "alice", "name": "Alice Example", "team": []string{"a", "b"}}
	got, err := b.verify(b.plainly(acme))
	if err != nil || got.Provision == nil || got.Provision.Name != "alice" || got.Provision.Credential.Kind != "oauth2" {
		t.Fatalf("%+v, %v", got, err)
	}
	e := got.Evidence
	if e.Kind != "oauth2" || !reflect.DeepEqual(e.AMR, []string{"oauth2"}) || e.Strength != (authn.Strength{Category: authn.Know}) || len(e.Handles) > 0 ||
		!e.Since.Equal(time.Unix(0, 0)) || e.Issuer != b.provider.issuer || !strings.HasPrefix(e.Key, "oauth2:") {
		t.Errorf("%+v", e)
	}
	c := b.challenge(b.request(acme))
	u, _ := url.Parse(c.RedirectTo)
	if q := u.Query(); q.Get("code_challenge_method") != "S256" || q.Has("nonce") || q.Has("scope") {
		t.Errorf("%v", q)
	}
}

func TestPlainOAuthIsRefused(t *testing.T) {
	for name, page := range map[string]map[string]any{
		"nobody": {}, "a null": {"id": nil}, "an empty id": {"id": ""}, "a list": {"id": []int{1}}, "an object": {"id": map[string]any{}},
		"a fraction": {"id": 1.5}, "a large number": {"id": 1e300},
	} {
		b := newPlainBench(t, "")
		b.provider.userinfo = page
		_, err := b.verify(b.plainly(acme))
		if why := rejection(t, err); why != oauth.ReasonSubject {
			t.Errorf("%s: %s", name, why)
		}
	}
	b := newPlainBench(t, "")
	r := b.request(acme)
	r.MaxAge = time.Minute
	_, err := b.factor.Challenge(t.Context(), r)
	if why := rejection(t, err); why != oauth.ReasonAuthTime {
		t.Errorf("a fresh sign-in: %s", why)
	}
	_, err = b.notice(b.provider.sign("logout+jwt", logout(nil)))
	rejection(t, err)
	b.provider.handle["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
	_, err = b.verify(b.plainly(acme))
	broken(t, "no userinfo", err)
}
