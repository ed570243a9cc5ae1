package live_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/oauth"
	"github.com/sallyport-auth/sallyport/factors/oauth/live"
)

// means is what a portal shows a provider that it is the client with.
type means struct {
	client   live.Client
	section  string
	files    map[string][]byte
	mustFail map[string]means // the same client with other means
}

func withSecret(p *portal, auth, name string) means {
	m := means{client: p.client(auth, "client_secret_"+auth, nil), section: "client_auth: " + auth + "\nclient_secret: { file: " + name + " }",
		files: map[string][]byte{"wrong": []byte("another secret")}}
	if name == "secret" {
		m.mustFail = map[string]means{"another secret": withSecret(p, auth, "wrong")}
	}
	return m
}

func keyPEM(t testing.TB, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func withKey(p *portal) means {
	key := mtlstest.NewKey(p.t)
	section := "client_auth: private_key_jwt\nclient_key: key.pem\nclient_key_id: one"
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: "ES256", Use: "sig"}}}
	return means{client: p.client("by-key", "private_key_jwt", live.Client{"jwks": set}), section: section, files: map[string][]byte{"key.pem": keyPEM(p.t, key)},
		mustFail: map[string]means{"another key": {section: section, files: map[string][]byte{"key.pem": keyPEM(p.t, mtlstest.NewKey(p.t))}}}}
}

// withCertificate is a client with a certificate of an authority, registered with some metadata.
func withCertificate(p *portal, issuing *mtlstest.CA, id string, leaf mtlstest.Leaf, registered live.Client) means {
	section := "client_auth: tls_client_auth\nclient_key: key.pem\nclient_certificate: cert.pem"
	of := func(ca *mtlstest.CA, l mtlstest.Leaf) map[string][]byte {
		cert, key := mtlstest.PEM(p.t, ca.Issue(l))
		return map[string][]byte{"cert.pem": cert, "key.pem": key}
	}
	registered["tls_client_certificate_bound_access_tokens"] = true
	return means{client: p.client(id, "tls_client_auth", registered), section: section, files: of(issuing, leaf), mustFail: map[string]means{
		"a certificate of another name":          {section: section, files: of(issuing, mtlstest.Leaf{CN: "mallory", URIs: []string{"spiffe://acme.example/mallory"}})},
		"the same name from another authority's": {section: section, files: of(mtlstest.NewCA(p.t, "Clients"), leaf)},
	}}
}

func withOwnCertificate(p *portal) means {
	section := "client_auth: self_signed_tls_client_auth\nclient_key: key.pem\nclient_certificate: cert.pem"
	leaf := mtlstest.Leaf{CN: "portal"}
	pair, other := mtlstest.SelfSigned(p.t, leaf), mtlstest.SelfSigned(p.t, leaf)
	chain := mtlstest.Chain(p.t, pair)
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: chain[0].PublicKey, Certificates: chain}}}
	cert, key := mtlstest.PEM(p.t, pair)
	otherCert, otherKey := mtlstest.PEM(p.t, other)
	return means{client: p.client("self-signed", "self_signed_tls_client_auth", live.Client{"jwks": set, "tls_client_certificate_bound_access_tokens": true}),
		section: section, files: map[string][]byte{"cert.pem": cert, "key.pem": key}, mustFail: map[string]means{
			"another certificate with the same name": {section: section, files: map[string][]byte{"cert.pem": otherCert, "key.pem": otherKey}}}}
}

// Each way of client authentication, at the token endpoint alone and with a pushed request. Access tokens of clients with
// certificates are bound to them, so that userinfo must be asked with the certificate too (RFC 8705 section 3).
func TestClientAuthentication(t *testing.T) {
	p := newPortal(t)
	issuing := mtlstest.NewCA(t, "Clients")
	authenticates(t, p, issuing, map[string]means{
		"basic": withSecret(p, "basic", "secret"), "post": withSecret(p, "post", "secret"), "by-key": withKey(p), "self-signed": withOwnCertificate(p),
		"by-subject": withCertificate(p, issuing, "by-subject", mtlstest.Leaf{CN: "portal"}, live.Client{"tls_client_auth_subject_dn": "CN=portal"}),
		"by-uri":     withCertificate(p, issuing, "by-uri", mtlstest.Leaf{CN: "x", URIs: []string{"spiffe://acme.example/portal"}}, live.Client{"tls_client_auth_san_uri": "spiffe://acme.example/portal"}),
	})
}

// authenticates starts a provider with clients, and signs in as each.
func authenticates(t *testing.T, p *portal, issuing *mtlstest.CA, all map[string]means) {
	var clients []live.Client
	for _, m := range all {
		clients = append(clients, m.client)
	}
	provider := live.Start(t, p.ca, live.Config{Clients: clients, Issuing: issuing})
	for id, m := range all {
		base := "issuer: " + provider.Issuer + "\nclient_id: " + id + "\nuserinfo: on\nemail: verified\n"
		walk := p.as("alice", nil)
		for _, par := range []string{"off", "required"} {
			t.Run(id+", par "+par, func(t *testing.T) {
				b := newBench(t, p.origin, p.ca, base+m.section+"\npar: "+par, m.files)
				b.link(alice, walk)
				if e := b.signedIn(walk); len(e.Attributes["email"]) != 1 {
					t.Errorf("no attributes from userinfo: %v", e.Attributes)
				}
				for what, other := range m.mustFail {
					newBench(t, p.origin, p.ca, base+other.section+"\npar: "+par, other.files).refused(what, par, walk)
				}
			})
		}
	}
}

// refused wants a provider that does not know the client: nobody who signs in can do anything about that.
func (b *bench) refused(what, par string, walk walker) {
	b.t.Helper()
	c, err := b.factor.Challenge(b.t.Context(), b.request(acme))
	if par == "required" {
		undecided(b.t, what+", pushed", err)
		return
	}
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = b.verify(c, walk(c.RedirectTo))
	undecided(b.t, what, err)
}

// A client of which only pushed requests are taken, and pushed requests that are used once.
func TestPushedOnly(t *testing.T) {
	p := newPortal(t)
	provider := p.start(live.Client{"require_pushed_authorization_requests": true})
	b := p.bench(provider, "") // auto: because the provider takes them
	walk := p.as("alice", nil)
	b.link(alice, walk)
	c := b.challenge()
	if !strings.Contains(c.RedirectTo, "request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3A") || strings.Contains(c.RedirectTo, "state=") || strings.Contains(c.RedirectTo, "code_challenge") {
		t.Errorf("not pushed: %s", c.RedirectTo)
	}
	if _, err := b.verify(c, walk(c.RedirectTo)); err != nil {
		t.Error(err)
	}
	again := live.NewVisitor(t, p.ca).SignIn(c.RedirectTo, live.As("alice"))
	if q := again.Query(); q.Get("error") != "invalid_request_uri" || q.Has("code") {
		t.Errorf("a pushed request is taken twice: %s", again)
	}
	_, err := p.bench(provider, "par: off").login(walk)
	rejected(t, "a request that was not pushed", err, oauth.ReasonDenied)
}
