package oauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

// now is the time of all requests.
var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// signer is a key of a provider.
type signer struct {
	kid string
	key crypto.Signer
	alg string
}

func newSigner(t testing.TB, kid string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{kid, key, "ES256"}
}

// provider is an OpenID provider that can be told to lie. Its fields are changed between calls.
type provider struct {
	t      testing.TB
	server *httptest.Server
	issuer string

	mu     sync.Mutex
	signer signer
	known  []signer // published
	grants map[string]url.Values
	calls  map[string]int
	last   *http.Request // to the token endpoint, or that of pushed requests
	form   url.Values    // of it
	pushed map[string]url.Values
	access map[string]string // whose an access token is

	sub      string
	metadata func(map[string]any)
	claims   func(map[string]any)
	header   func(*jose.Header)
	idToken  func(string) string
	response func(map[string]any)
	userinfo map[string]any
	handle   map[string]http.HandlerFunc // in the place of an endpoint's own
}

func newProvider(t testing.TB) *provider {
	p := &provider{t: t, grants: map[string]url.Values{}, calls: map[string]int{}, pushed: map[string]url.Values{}, access: map[string]string{}, handle: map[string]http.HandlerFunc{}, sub: "alice-at-acme"}
	p.signer = newSigner(t, "one")
	p.known = []signer{p.signer}
	p.server = httptest.NewTLSServer(http.HandlerFunc(p.serve))
	p.server.Config.ErrorLog = nil
	p.issuer = p.server.URL
	t.Cleanup(p.server.Close)
	return p
}

// ca is the certificate that the provider is reached by, in PEM.
func (p *provider) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
}

func (p *provider) called(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[path]
}

// whose is the subject that an access token was given out for.
func (p *provider) whose(r *http.Request) (sub string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sub, ok = p.access[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	return sub, ok
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.calls[r.URL.Path]++
	other := p.handle[r.URL.Path]
	p.mu.Unlock()
	if other != nil {
		other(w, r)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		p.answer(w, http.StatusOK, p.about())
	case "/keys":
		p.mu.Lock()
		known := p.known
		p.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(keySet(p.t, known...))
	case "/token":
		p.token(w, r)
	case "/par":
		p.push(w, r)
	case "/userinfo":
		p.answer(w, http.StatusOK, p.userinfo)
	default:
		http.NotFound(w, r)
	}
}

func keySet(t testing.TB, all ...signer) []byte {
	t.Helper()
	var keys []jose.Key
	for _, s := range all {
		k, err := jose.NewKey(s.key.Public(), s.kid, s.alg)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	b, err := jose.FormatSet(keys)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (p *provider) about() map[string]any {
	m := map[string]any{"issuer": p.issuer, "authorization_endpoint": p.server.URL + "/authorize", "token_endpoint": p.server.URL + "/token",
		"jwks_uri": p.server.URL + "/keys", "userinfo_endpoint": p.server.URL + "/userinfo", "end_session_endpoint": p.server.URL + "/end?from=here",
		"authorization_response_iss_parameter_supported": true, "code_challenge_methods_supported": []string{"S256"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "HS256", "none"}}
	if p.metadata != nil {
		p.metadata(m)
	}
	return m
}

func (p *provider) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// push takes a request ahead.
func (p *provider) push(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	p.last, p.form = r, r.PostForm
	name := "urn:request:" + rand.Text()
	p.pushed[name] = r.PostForm
	p.mu.Unlock()
	p.answer(w, http.StatusCreated, map[string]any{"request_uri": name, "expires_in": 60})
}

// signIn is what a browser comes back with that was sent to an address: the query.
func (p *provider) signIn(address string) url.Values {
	p.t.Helper()
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, p.server.URL+"/authorize?") {
		p.t.Fatalf("sent to %q", address)
	}
	asked := u.Query()
	p.mu.Lock()
	defer p.mu.Unlock()
	if name := asked.Get("request_uri"); name != "" {
		asked = p.pushed[name]
	}
	code := "code-" + rand.Text()
	p.grants[code] = asked
	asked.Set("sub", p.sub)
	back := url.Values{"code": {code}, "state": {asked.Get("state")}}
	if p.about()["authorization_response_iss_parameter_supported"] == true {
		back.Set("iss", p.issuer)
	}
	return back
}

// token gives tokens for a code, once.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.form = r, r.PostForm
	asked, ok := p.grants[r.PostForm.Get("code")]
	delete(p.grants, r.PostForm.Get("code"))
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || asked.Get("redirect_uri") != r.PostForm.Get("redirect_uri") || asked.Get("code_challenge_method") != "S256" ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		p.answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "the code " + r.PostForm.Get("code")})
		return
	}
	access := "access-" + rand.Text()
	p.access[access] = asked.Get("sub")
	claims := map[string]any{"sub": asked.Get("sub"), "nonce": asked.Get("nonce"), "at_hash": atHash(access), "auth_time": now.Add(-time.Minute).Unix(),
		"sid": "session-1", "name": "Alice Example", "email": "alice@acme.example", "email_verified": true, "groups": []string{"staff", "admins"}}
	if p.claims != nil {
		p.claims(claims)
	}
	out := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 60, "id_token": p.sign("", claims)}
	if p.idToken != nil {
		out["id_token"] = p.idToken(out["id_token"].(string))
	}
	if p.response != nil {
		p.response(out)
	}
	p.answer(w, http.StatusOK, out)
}

func atHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// sign signs claims, to which those are added that are missing. A claim that is nil is left out.
func (p *provider) sign(typ string, claims map[string]any) string {
	p.t.Helper()
	all := map[string]any{"iss": p.issuer, "aud": "portal", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	h := jose.Header{Kid: p.signer.kid, Typ: typ}
	if p.header != nil {
		p.header(&h)
	}
	s, err := jose.Sign(h, all, p.signer.key, p.signer.alg)
	if err != nil {
		p.t.Errorf("signing: %v", err)
	}
	return s
}

// rotate changes the key that signs, and those that are published.
func (p *provider) rotate(signs signer, publishes ...signer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signer, p.known = signs, publishes
}
