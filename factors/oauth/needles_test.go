package oauth_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Whatever goes wrong, and however much the provider repeats, no error holds a code, a token, the verifier or the secret.
func TestErrorsHoldNoSecrets(t *testing.T) {
	echo := func(status int, kind string, how func(body string) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			text, _ := url.QueryUnescape(string(body) + " " + r.Header.Get("Authorization"))
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "/other?"+string(body))
			w.WriteHeader(status)
			_, _ = io.WriteString(w, how(text))
		}
	}
	plain := func(body string) string { return body }
	as := func(name string) func(string) string {
		return func(body string) string {
			quoted, _ := json.Marshal(body)
			return fmt.Sprintf(`{%q:%s,"error_description":%s,"error_uri":%s}`, name, quoted, quoted, quoted)
		}
	}
	const js = "application/json"
	handlers := map[string]http.HandlerFunc{
		"a described error": echo(400, js, as("error")), "an error that is a page": echo(400, "text/html", plain), "a broken one": echo(500, js, as("error")),
		"a redirect": echo(302, js, as("error")), "no JSON": echo(200, "text/html", plain), "half of it": echo(200, js, plain),
		"another member": echo(200, js, as("token")), "a token that is one": echo(200, js, as("access_token")), "an ID token that is one": echo(200, js, as("id_token")),
	}
	for _, path := range []string{"/token", "/par", "/userinfo", "/keys", wellKnown} {
		for name, handler := range handlers {
			p := newProvider(t)
			p.metadata = func(m map[string]any) { m["pushed_authorization_request_endpoint"] = p.server.URL + "/par" }
			b := benchOf(t, p, "kind: oauth\nissuer: "+p.issuer+"\nclient_id: portal\nclient_auth: post\nclient_secret: { file: secret }\nca: ca.pem\nuserinfo: on", nil)
			var access string
			p.response = func(m map[string]any) { access = m["access_token"].(string) }
			if path == "/par" || path == wellKnown {
				p.handle[path] = handler
				_, err := b.factor.Challenge(t.Context(), b.request(acme))
				silent(t, path+" "+name, err, secret)
				continue
			}
			v := b.come(acme, nil)
			p.handle[path] = handler
			_, err := b.verify(v)
			needles := []string{secret, access}
			var kept struct{ State, Nonce, Verifier string }
			var back struct{ Query string }
			if json.Unmarshal(v.Challenge.Data, &kept) != nil || json.Unmarshal(v.Credential, &back) != nil {
				t.Fatal("the test cannot read what it made")
			}
			q, _ := url.ParseQuery(back.Query)
			silent(t, path+" "+name, err, append(needles, kept.State, kept.Nonce, kept.Verifier, q.Get("code"))...)
		}
	}
}

func silent(t *testing.T, what string, err error, needles ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, n := range needles {
		if n != "" && strings.Contains(err.Error(), n) {
			t.Errorf("%s: %q is in %v", what, n, err)
		}
	}
}
