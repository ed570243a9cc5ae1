package oauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

// proven are ways of client authentication, and what the provider must see of them.
type proven struct {
	settings string
	metadata map[string]any
	check    func(t *testing.T, p *provider, r *http.Request, form url.Values)
}

func pemOf(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func keys(t testing.TB) (map[string]crypto.Signer, map[string]string) {
	t.Helper()
	ec, err1 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	rs, err2 := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, err3 := ed25519.GenerateKey(rand.Reader)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	all := map[string]crypto.Signer{"ec": ec, "rsa": rs, "ed": ed}
	files := map[string]string{}
	for name, k := range all {
		files[name+".key"] = pemOf(t, k)
	}
	return all, files
}

// isAssertion holds an assertion to RFC 7523 section 3.
func isAssertion(t *testing.T, form url.Values, key crypto.Signer, alg, kid, audience string) {
	t.Helper()
	if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		t.Errorf("%v", form)
	}
	token, err := jose.Parse(form.Get("client_assertion"), 0)
	if err != nil {
		t.Fatal(err)
	}
	k, err := jose.NewKey(key.Public(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := jose.Verify(token, k, []string{alg}); err != nil {
		t.Error(err)
	}
	claims, err := jose.ParseClaims(token.Payload)
	if err != nil {
		t.Fatal(err)
	}
	iss, _, _ := claims.String("iss")
	sub, _, _ := claims.String("sub")
	aud, _, _ := claims.String("aud")
	jti, _, _ := claims.String("jti")
	exp, _, _ := claims.Time("exp")
	if iss != "portal" || sub != "portal" || aud != audience || len(jti) < 20 || !exp.Equal(now.Add(time.Minute)) || token.Header.Kid != kid {
		t.Errorf("%s, header %+v", token.Payload, token.Header)
	}
}

func TestClientAuthentication(t *testing.T) {
	signers, files := keys(t)
	noSecret := func(t *testing.T, r *http.Request, form url.Values) {
		t.Helper()
		if form.Has("client_secret") || r.Header.Get("Authorization") != "" {
			t.Errorf("a secret is sent: %v", form)
		}
	}
	const par = "pushed_authorization_request_endpoint"
	for name, tt := range map[string]proven{
		"basic": {"client_secret: { file: secret }", nil, func(t *testing.T, _ *provider, r *http.Request, form url.Values) {
			if id, s, ok := r.BasicAuth(); !ok || id != "portal" || s != secret || form.Has("client_secret") {
				t.Errorf("%q %q, %v", id, s, form)
			}
		}},
		"post": {"client_auth: post\nclient_secret: { file: secret }", nil, func(t *testing.T, _ *provider, r *http.Request, form url.Values) {
			if form.Get("client_secret") != secret || form.Get("client_id") != "portal" || r.Header.Get("Authorization") != "" {
				t.Errorf("%v", form)
			}
		}},
		"none": {"client_auth: none", nil, func(t *testing.T, _ *provider, r *http.Request, form url.Values) {
			noSecret(t, r, form)
			if form.Get("client_id") != "portal" {
				t.Errorf("%v", form)
			}
		}},
		"an EC key": {"client_auth: private_key_jwt\nclient_key: ec.key", nil, func(t *testing.T, p *provider, r *http.Request, form url.Values) {
			noSecret(t, r, form)
			isAssertion(t, form, signers["ec"], "ES384", "", p.issuer)
		}},
		"an Ed25519 key": {"client_auth: private_key_jwt\nclient_key: ed.key", nil, func(t *testing.T, p *provider, r *http.Request, form url.Values) {
			isAssertion(t, form, signers["ed"], "EdDSA", "", p.issuer)
		}},
		"an RSA key, for the token endpoint": {"client_auth: private_key_jwt\nclient_key: rsa.key\nassertion_audience: token_endpoint\nclient_key_id: k", nil,
			func(t *testing.T, p *provider, r *http.Request, form url.Values) {
				isAssertion(t, form, signers["rsa"], "RS256", "k", p.server.URL+"/token")
			}},
		"an RSA key, where RS256 is not taken": {"client_auth: private_key_jwt\nclient_key: rsa.key",
			map[string]any{"token_endpoint_auth_signing_alg_values_supported": []string{"PS256"}}, func(t *testing.T, p *provider, r *http.Request, form url.Values) {
				isAssertion(t, form, signers["rsa"], "PS256", "", p.issuer)
			}},
	} {
		for how, settings := range map[string]string{"": "", ", pushed": "par: required"} {
			t.Run(name+how, func(t *testing.T) {
				p := newProvider(t)
				p.metadata = func(m map[string]any) {
					m[par] = p.server.URL + "/par"
					claims(tt.metadata)(m)
				}
				b := benchOf(t, p, "kind: oauth\nissuer: "+p.issuer+"\nclient_id: portal\nca: ca.pem\n"+tt.settings+"\n"+settings, files)
				c := b.challenge(b.request(acme))
				if strings.Contains(c.RedirectTo, secret) {
					t.Error("the secret is in the address")
				}
				if settings != "" {
					tt.check(t, p, p.last, p.form)
				}
				back := p.signIn(c.RedirectTo)
				_, err := b.factor.Verify(t.Context(), verificationOf(b, c, back))
				if why := rejection(t, err); why != "user_unknown" {
					t.Error(why)
				}
				tt.check(t, p, p.last, p.form)
			})
		}
	}
}

// clientCertificate is one that signs itself, with its key.
func clientCertificate(t testing.TB) (certificate, key string, c *x509.Certificate) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "portal"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, about, about, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), pemOf(t, k), c
}

// A client with a certificate calls the endpoints that are for it (RFC 8705 section 5).
func TestClientAuthenticationByCertificate(t *testing.T) {
	for _, method := range []string{"tls_client_auth", "self_signed_tls_client_auth"} {
		p := newProvider(t)
		certificate, key, c := clientCertificate(t)
		overTLS := httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
		names := x509.NewCertPool()
		names.AddCert(&x509.Certificate{Raw: []byte("another"), RawSubject: []byte("\x30\x00")}) // the authorities that the provider names did not issue the client's
		overTLS.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, Certificates: p.server.TLS.Certificates, ClientCAs: names}
		overTLS.StartTLS()
		defer overTLS.Close()
		p.metadata = func(m map[string]any) {
			m["mtls_endpoint_aliases"] = map[string]any{"token_endpoint": overTLS.URL + "/token", "pushed_authorization_request_endpoint": overTLS.URL + "/par"}
		}
		b := benchOf(t, p, "kind: oauth\nissuer: "+p.issuer+"\nclient_id: portal\nca: ca.pem\nclient_auth: "+method+
			"\nclient_key: tls.key\nclient_certificate: tls.crt", map[string]string{"tls.crt": certificate, "tls.key": key})
		challenge := b.challenge(b.request(acme))
		seen := func() {
			t.Helper()
			if p.last.TLS == nil || len(p.last.TLS.PeerCertificates) != 1 || !p.last.TLS.PeerCertificates[0].Equal(c) {
				t.Errorf("%s: the certificate is not shown", method)
			}
			if p.form.Get("client_id") != "portal" || p.form.Has("client_secret") || p.form.Has("client_assertion") {
				t.Errorf("%s: %v", method, p.form)
			}
		}
		seen() // of the pushed request
		_, err := b.factor.Verify(t.Context(), verificationOf(b, challenge, p.signIn(challenge.RedirectTo)))
		if why := rejection(t, err); why != "user_unknown" {
			t.Errorf("%s: %s", method, why)
		}
		seen()
	}
}
