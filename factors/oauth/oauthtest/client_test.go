package oauthtest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"github.com/sallyport-auth/sallyport/factors/oauth/oauthtest"
)

const callback = "https://portal.example/callback"

// config is a provider with one client and two users.
func config(change func(*oauthtest.Config)) oauthtest.Config {
	c := oauthtest.Config{
		Clients: []oauthtest.Client{{ID: "portal", Secret: "s e:cret", RedirectURIs: []string{callback}, PostLogoutRedirectURIs: []string{"https://portal.example/bye"}}},
		Users: []oauthtest.User{
			{Name: "alice", Password: "wonderland", Subject: "a-1", FullName: "Alice Example", Email: "alice@acme.example", EmailVerified: true, Groups: []string{"staff"}, ACR: "gold", Claims: map[string]any{"department": "sales"}},
			{Name: "bob", Password: "builder"},
		},
	}
	if change != nil {
		change(&c)
	}
	return c
}

// party is a client of a provider, made with the libraries that clients use.
type party struct {
	t        *testing.T
	provider *oauthtest.Server
	ctx      context.Context
	config   oauth2.Config
	verifier string
}

func newParty(t *testing.T, s *oauthtest.Server) *party {
	t.Helper()
	ctx := oidc.ClientContext(t.Context(), s.Server.Client())
	return &party{t: t, provider: s, ctx: ctx, verifier: oauth2.GenerateVerifier(), config: oauth2.Config{ClientID: "portal", ClientSecret: "s e:cret", RedirectURL: callback,
		Endpoint: oauth2.Endpoint{AuthURL: s.Issuer + "/authorize", TokenURL: s.Issuer + "/token", AuthStyle: oauth2.AuthStyleInHeader}, Scopes: []string{"openid", "profile", "email"}}}
}

func (c *party) address(more ...oauth2.AuthCodeOption) string {
	return c.config.AuthCodeURL("the-state", append([]oauth2.AuthCodeOption{oidc.Nonce("the-nonce"), oauth2.S256ChallengeOption(c.verifier)}, more...)...)
}

// signIn is the query with which alice comes back.
func (c *party) signIn(more ...oauth2.AuthCodeOption) url.Values {
	c.t.Helper()
	back, err := c.provider.SignIn(c.ctx, c.address(more...), "alice")
	if err != nil {
		c.t.Fatal(err)
	}
	return queryOf(c.t, back)
}

func queryOf(t *testing.T, back string) url.Values {
	t.Helper()
	u, err := url.Parse(back)
	if err != nil || !strings.HasPrefix(back, callback) {
		t.Fatalf("sent to %q", back)
	}
	return u.Query()
}

func (c *party) exchange(code string) (*oauth2.Token, error) {
	return c.config.Exchange(c.ctx, code, oauth2.VerifierOption(c.verifier))
}

// claims are those of the ID token of a sign-in, verified.
func (c *party) claims(more ...oauth2.AuthCodeOption) map[string]any {
	c.t.Helper()
	token, err := c.exchange(c.signIn(more...).Get("code"))
	if err != nil {
		c.t.Fatal(err)
	}
	provider, err := oidc.NewProvider(c.ctx, c.provider.Issuer)
	if err != nil {
		c.t.Fatal(err)
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: "portal"}).Verify(c.ctx, token.Extra("id_token").(string))
	if err != nil {
		c.t.Fatal(err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		c.t.Error(err)
	}
	out := map[string]any{}
	if err := id.Claims(&out); err != nil {
		c.t.Fatal(err)
	}
	return out
}

// refused is the error with which the token endpoint refuses.
func refused(t *testing.T, err error) string {
	t.Helper()
	var r *oauth2.RetrieveError
	if !errors.As(err, &r) {
		t.Errorf("not refused: %v", err)
		return ""
	}
	return r.ErrorCode
}

func TestSignIn(t *testing.T) {
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		for _, secure := range []bool{false, true} {
			c := newParty(t, oauthtest.Start(t, config(func(c *oauthtest.Config) { c.Algorithm, c.TLS, c.Issuer = alg, secure, "/idp/acme" })))
			got := c.claims()
			for name, want := range map[string]any{"sub": "a-1", "nonce": "the-nonce", "name": "Alice Example", "email": "alice@acme.example", "email_verified": true,
				"acr": "gold", "department": "sales", "aud": "portal"} {
				if got[name] != want {
					t.Errorf("%s: %s is %v", alg, name, got[name])
				}
			}
			if got["sid"] == "" || got["auth_time"] == nil || got["amr"] == nil || got["groups"] == nil {
				t.Errorf("%s: %v", alg, got)
			}
		}
	}
}

func TestResponse(t *testing.T) {
	s := oauthtest.Start(t, config(nil))
	if q := newParty(t, s).signIn(); q.Get("iss") != s.Issuer || q.Get("state") != "the-state" || len(q) != 3 {
		t.Errorf("%v", q)
	}
	quiet := oauthtest.Start(t, config(func(c *oauthtest.Config) { c.NoIssuer = true }))
	if q := newParty(t, quiet).signIn(); q.Has("iss") {
		t.Errorf("%v", q)
	}
}

func TestCodesAreGoodOnceAndForTheirRequest(t *testing.T) {
	c := newParty(t, oauthtest.Start(t, config(func(c *oauthtest.Config) {
		c.Clients = append(c.Clients, oauthtest.Client{ID: "other", RedirectURIs: []string{callback}})
	})))
	code := c.signIn().Get("code")
	token, err := c.exchange(code)
	if err != nil {
		t.Fatal(err)
	}
	if status := c.userinfo(token.AccessToken); status != http.StatusOK {
		t.Errorf("userinfo: %d", status)
	}
	_, err = c.exchange(code)
	if got := refused(t, err); got != "invalid_grant" {
		t.Errorf("a second time: %s", got)
	}
	if status := c.userinfo(token.AccessToken); status != http.StatusUnauthorized {
		t.Errorf("userinfo after the code was used twice: %d", status)
	}
	for what, change := range map[string]func(*party){
		"other verifier": func(c *party) { c.verifier = oauth2.GenerateVerifier() },
		"other address":  func(c *party) { c.config.RedirectURL += "/else" },
		"other client": func(c *party) {
			c.config.ClientID, c.config.ClientSecret, c.config.Endpoint.AuthStyle = "other", "", oauth2.AuthStyleInParams
		},
	} {
		changed := *c
		code := changed.signIn().Get("code")
		change(&changed)
		_, err := changed.exchange(code)
		if got := refused(t, err); got != "invalid_grant" {
			t.Errorf("%s: %s", what, got)
		}
	}
}

func (c *party) userinfo(access string) int {
	c.t.Helper()
	r, _ := http.NewRequestWithContext(c.ctx, http.MethodGet, c.provider.Issuer+"/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+access)
	res, err := c.provider.Server.Client().Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// A code, a pushed request and an access token end.
func TestTimes(t *testing.T) {
	now := time.Now()
	c := newParty(t, oauthtest.Start(t, config(func(c *oauthtest.Config) { c.Now = func() time.Time { return now } })))
	code := c.signIn().Get("code")
	now = now.Add(time.Minute)
	_, err := c.exchange(code)
	if got := refused(t, err); got != "invalid_grant" {
		t.Errorf("an old code: %s", got)
	}
	token, err := c.exchange(c.signIn().Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(10 * time.Minute)
	if status := c.userinfo(token.AccessToken); status != http.StatusUnauthorized {
		t.Errorf("userinfo with an old token: %d", status)
	}
}

func TestBadRequests(t *testing.T) {
	c := newParty(t, oauthtest.Start(t, config(nil)))
	for what, tt := range map[string]struct{ name, value, want string }{
		"no PKCE":         {"code_challenge", "", "invalid_request"},
		"plain PKCE":      {"code_challenge_method", "plain", "invalid_request"},
		"implicit":        {"response_type", "id_token", "unsupported_response_type"},
		"no openid":       {"scope", "profile", "invalid_scope"},
		"request object":  {"request", "x", "request_not_supported"},
		"none with login": {"prompt", "none login", "invalid_request"},
		"max_age":         {"max_age", "-1", "invalid_request"},
	} {
		if got := c.signIn(oauth2.SetAuthURLParam(tt.name, tt.value)).Get("error"); got != tt.want {
			t.Errorf("%s: %q, want %q", what, got, tt.want)
		}
	}
	back, err := c.provider.SignIn(t.Context(), c.address()+"&state=another", "alice")
	if err != nil || queryOf(t, back).Get("error") != "invalid_request" {
		t.Errorf("state twice: %s %v", back, err)
	}
	for what, address := range map[string]string{
		"unknown client":   c.address(oauth2.SetAuthURLParam("client_id", "nobody")),
		"unknown address":  c.address(oauth2.SetAuthURLParam("redirect_uri", callback+"/else")),
		"another provider": "https://idp.example/authorize?client_id=portal",
		"unknown request":  c.address(oauth2.SetAuthURLParam("request_uri", "urn:x")),
	} {
		if back, err := c.provider.SignIn(t.Context(), address, "alice"); err == nil {
			t.Errorf("%s: %s", what, back)
		}
	}
	if _, err := c.provider.SignIn(t.Context(), c.address(), "eve"); err == nil {
		t.Error("an unknown user signed in")
	}
}

// pair is a certificate, its own issuer.
func pair(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway", Organization: []string{"Portal"}}, DNSNames: []string{"portal.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Each way of authenticating lets its own client in, and no other.
func TestClientAuthentication(t *testing.T) {
	own, other := pair(t), pair(t)
	roots := x509.NewCertPool()
	roots.AddCert(own.Leaf)
	client := func(auth string) oauthtest.Client {
		return oauthtest.Client{ID: auth, Auth: auth, Secret: "s e:cret", RedirectURIs: []string{callback}, Keys: nil, Roots: roots,
			Certificates: []*x509.Certificate{own.Leaf}}
	}
	byDN, bySAN, byKey := client("tls_client_auth"), client("tls_client_auth"), client("private_key_jwt")
	byDN.ID, byDN.SubjectDN = "dn", "CN=gateway,O=Portal"
	bySAN.ID, bySAN.SAN = "san", "portal.example"
	otherDN, noName := byDN, byDN
	otherDN.ID, otherDN.SubjectDN = "other-dn", "CN=another,O=Portal"
	noName.ID, noName.SubjectDN = "no-name", ""
	byKey.Keys = append(byKey.Keys, own.Leaf.PublicKey)
	s := oauthtest.Start(t, oauthtest.Config{TLS: true, Users: []oauthtest.User{{Name: "alice"}},
		Clients: []oauthtest.Client{client("client_secret_basic"), client("client_secret_post"), client("self_signed_tls_client_auth"), client("none"), byDN, bySAN, otherDN, noName, byKey}})
	basic := func(r *http.Request, id, secret string) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
	assertion := func(key any, change func(*jwt.Claims)) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := jwt.Claims{Issuer: "private_key_jwt", Subject: "private_key_jwt", Audience: jwt.Audience{s.Issuer}, ID: rand.Text(), Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute))}
		change(&c)
		out, err := jwt.Signed(signer).Claims(c).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	same := func(*jwt.Claims) {}
	asserted := func(a string) url.Values {
		return url.Values{"client_assertion": {a}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	}
	once := assertion(own.PrivateKey, same)
	for _, tt := range []struct {
		what, id    string
		form        url.Values
		basic       []string
		certificate *tls.Certificate
		ok          bool
	}{
		{"basic", "client_secret_basic", nil, []string{"client_secret_basic", "s e:cret"}, nil, true},
		{"basic, wrong", "client_secret_basic", nil, []string{"client_secret_basic", "secret"}, nil, false},
		{"basic where post is registered", "client_secret_post", nil, []string{"client_secret_post", "s e:cret"}, nil, false},
		{"post", "client_secret_post", url.Values{"client_secret": {"s e:cret"}}, nil, nil, true},
		{"post, wrong", "client_secret_post", url.Values{"client_secret": {""}}, nil, nil, false},
		{"post and basic", "client_secret_post", url.Values{"client_secret": {"s e:cret"}}, []string{"client_secret_post", "s e:cret"}, nil, false},
		{"nothing where a secret is registered", "client_secret_basic", nil, nil, nil, false},
		{"assertion", "private_key_jwt", asserted(once), nil, nil, true},
		{"assertion, a second time", "private_key_jwt", asserted(once), nil, nil, false},
		{"assertion of another key", "private_key_jwt", asserted(assertion(other.PrivateKey, same)), nil, nil, false},
		{"assertion for another", "private_key_jwt", asserted(assertion(own.PrivateKey, func(c *jwt.Claims) { c.Audience = jwt.Audience{"https://idp.example"} })), nil, nil, false},
		{"assertion, old", "private_key_jwt", asserted(assertion(own.PrivateKey, func(c *jwt.Claims) { c.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Minute)) })), nil, nil, false},
		{"assertion without end", "private_key_jwt", asserted(assertion(own.PrivateKey, func(c *jwt.Claims) { c.Expiry = nil })), nil, nil, false},
		{"assertion without id", "private_key_jwt", asserted(assertion(own.PrivateKey, func(c *jwt.Claims) { c.ID = "" })), nil, nil, false},
		{"assertion about another", "private_key_jwt", asserted(assertion(own.PrivateKey, func(c *jwt.Claims) { c.Subject = "dn" })), nil, nil, false},
		{"self-signed", "self_signed_tls_client_auth", nil, nil, &own, true},
		{"self-signed, another", "self_signed_tls_client_auth", nil, nil, &other, false},
		{"self-signed, none", "self_signed_tls_client_auth", nil, nil, nil, false},
		{"distinguished name", "dn", nil, nil, &own, true},
		{"distinguished name, another issuer", "dn", nil, nil, &other, false},
		{"distinguished name, another", "other-dn", nil, nil, &own, false},
		{"no name registered", "no-name", nil, nil, &own, false},
		{"alternative name", "san", nil, nil, &own, true},
		{"public", "none", nil, nil, nil, true},
		{"public with a secret", "none", url.Values{"client_secret": {"s e:cret"}}, nil, nil, false},
		{"unknown", "nobody", nil, nil, nil, false},
	} {
		web := &http.Client{Transport: &http.Transport{TLSClientConfig: s.Server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()}}
		if tt.certificate != nil {
			web.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{*tt.certificate}
		}
		form := url.Values{"client_id": {tt.id}, "grant_type": {"authorization_code"}, "code": {"unknown"}, "redirect_uri": {callback}, "code_verifier": {"x"}}
		for name, v := range tt.form {
			form[name] = v
		}
		r, _ := http.NewRequest(http.MethodPost, s.Issuer+"/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if tt.basic != nil {
			basic(r, tt.basic[0], tt.basic[1])
		}
		res, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var said struct{ Error string }
		_ = json.NewDecoder(res.Body).Decode(&said)
		res.Body.Close()
		web.CloseIdleConnections()
		if ok := said.Error == "invalid_grant"; ok != tt.ok {
			t.Errorf("%s: %d %s", tt.what, res.StatusCode, said.Error)
		}
	}
}

func TestPushedRequests(t *testing.T) {
	c := newParty(t, oauthtest.Start(t, config(func(c *oauthtest.Config) { c.Clients[0].OnlyPushed = true })))
	if q := c.signIn(); q.Get("error") != "invalid_request" {
		t.Errorf("a request that was not pushed: %v", q)
	}
	push := func(form url.Values) (status int, name string) {
		r, _ := http.NewRequest(http.MethodPost, c.provider.Issuer+"/par", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("portal", url.QueryEscape("s e:cret"))
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var said struct {
			RequestURI string `json:"request_uri"`
		}
		_ = json.NewDecoder(res.Body).Decode(&said)
		return res.StatusCode, said.RequestURI
	}
	u, _ := url.Parse(c.address())
	status, name := push(u.Query())
	if status != http.StatusCreated {
		t.Fatal(status)
	}
	short := c.provider.Issuer + "/authorize?" + url.Values{"client_id": {"portal"}, "request_uri": {name}}.Encode()
	back, err := c.provider.SignIn(t.Context(), short, "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.exchange(queryOf(t, back).Get("code")); err != nil {
		t.Error(err)
	}
	if _, err := c.provider.SignIn(t.Context(), short, "alice"); err == nil {
		t.Error("a pushed request was good twice")
	}
	bad := u.Query()
	bad.Set("redirect_uri", "https://elsewhere.example/")
	if status, _ := push(bad); status != http.StatusBadRequest {
		t.Errorf("a bad request: %d", status)
	}
}

// Keys change, and those before stay for a while or not.
func TestRotation(t *testing.T) {
	s := oauthtest.Start(t, config(nil))
	c := newParty(t, s)
	token, err := c.exchange(c.signIn().Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	old := token.Extra("id_token").(string)
	verify := func() error {
		provider, err := oidc.NewProvider(c.ctx, s.Issuer)
		if err != nil {
			return err
		}
		_, err = provider.Verifier(&oidc.Config{ClientID: "portal"}).Verify(c.ctx, old)
		return err
	}
	s.Rotate()
	if err := verify(); err != nil {
		t.Errorf("with the old key published: %v", err)
	}
	s.Forget()
	if err := verify(); err == nil {
		t.Error("the old key is still published")
	}
	c.claims() // signed with the new one
}

// A provider without OpenID gives no ID token, and everything in userinfo.
func TestPlain(t *testing.T) {
	c := newParty(t, oauthtest.Start(t, config(func(c *oauthtest.Config) {
		c.Plain, c.Users[0].Claims = true, map[string]any{"id": 7, "login": "alice"}
	})))
	c.config.Scopes = nil
	q := c.signIn()
	token, err := c.exchange(q.Get("code"))
	if err != nil || token.Extra("id_token") != nil || q.Has("iss") {
		t.Fatalf("%v %v %v", q, token.Extra("id_token"), err)
	}
	res, err := c.config.Client(c.ctx, token).Get(c.provider.Issuer + "/userinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var about struct {
		ID    int
		Login string
	}
	if err := json.NewDecoder(res.Body).Decode(&about); err != nil || about.ID != 7 || about.Login != "alice" {
		t.Errorf("%v %v", about, err)
	}
	if _, err := oidc.NewProvider(c.ctx, c.provider.Issuer); err == nil {
		t.Error("there is a discovery document")
	}
}

func TestFaultsAreListedOnce(t *testing.T) {
	all := oauthtest.Faults()
	seen := slices.Clone(all)
	slices.Sort(seen)
	if len(slices.Compact(seen)) != len(all) || slices.Contains(all, oauthtest.Honest) {
		t.Errorf("%v", all)
	}
	p := oauthtest.New(oauthtest.Config{Issuer: "http://localhost/idp"})
	defer func() {
		if recover() == nil {
			t.Error("a fault that is none was taken")
		}
	}()
	p.Lie("nothing of the kind")
}

func jar(t *testing.T) http.CookieJar {
	t.Helper()
	j, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return j
}
