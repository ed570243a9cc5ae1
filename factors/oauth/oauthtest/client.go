package oauthtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Ways in which a client authenticates.
const (
	authBasic      = "client_secret_basic"
	authPost       = "client_secret_post"
	authKey        = "private_key_jwt"
	authTLS        = "tls_client_auth"
	authSelfSigned = "self_signed_tls_client_auth"
	authNone       = "none"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

var assertionAlgorithms = []string{"ES256", "RS256", "PS256", "EdDSA"}

var errClient = &refusal{"invalid_client", "the client is not known, or did not show that it is"}

// authenticate is which client calls, by exactly one of the ways, and the one that is registered (RFC 6749 section 2.3).
func (p *Provider) authenticate(r *http.Request, endpoint string) (Client, error) {
	if err := r.ParseForm(); err != nil {
		return Client{}, &refusal{"invalid_request", "the form cannot be read"}
	}
	how, id, secret, err := presented(r)
	if err != nil {
		return Client{}, err
	}
	assertion := r.PostForm.Get("client_assertion")
	if how == authKey && id == "" {
		id = subjectOf(assertion)
	}
	c, ok := p.clients[id]
	if !ok || !c.allows(how) {
		return Client{}, errClient
	}
	switch c.way(how) {
	case authBasic, authPost:
		want, got := sha256.Sum256([]byte(c.Secret)), sha256.Sum256([]byte(secret))
		ok = c.Secret != "" && subtle.ConstantTimeCompare(want[:], got[:]) == 1
	case authKey:
		ok = p.asserted(c, assertion, endpoint)
	case authTLS, authSelfSigned:
		ok = c.shows(r, p.now())
	case authNone:
		ok = true
	}
	if !ok {
		return Client{}, errClient
	}
	return c, nil
}

// presented is what a request shows of its client.
func presented(r *http.Request) (how, id, secret string, err error) {
	form := r.PostForm
	for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"} {
		if len(form[name]) > 1 {
			return "", "", "", &refusal{"invalid_request", name + " is there twice"}
		}
	}
	how, id = authNone, form.Get("client_id")
	ways := 0
	if user, password, ok := r.BasicAuth(); ok {
		u, errID := url.QueryUnescape(user)
		s, errSecret := url.QueryUnescape(password)
		if errID != nil || errSecret != nil || id != "" && id != u {
			return "", "", "", errClient
		}
		how, id, secret, ways = authBasic, u, s, ways+1
	}
	if form.Has("client_secret") {
		how, secret, ways = authPost, form.Get("client_secret"), ways+1
	}
	if form.Has("client_assertion") {
		if form.Get("client_assertion_type") != assertionType {
			return "", "", "", errClient
		}
		how, ways = authKey, ways+1
	}
	if ways > 1 {
		return "", "", "", &refusal{"invalid_request", "the client authenticates in two ways"}
	}
	return how, id, secret, nil
}

// allows reports whether a client may authenticate as it did. One that shows nothing may still have a certificate.
func (c Client) allows(how string) bool {
	switch c.Auth {
	case "":
		return (c.Secret != "") == (how == authBasic || how == authPost) && how != authKey
	case authTLS, authSelfSigned:
		return how == authNone
	}
	return how == c.Auth
}

func (c Client) way(how string) string {
	if c.Auth == "" {
		return how
	}
	return c.Auth
}

// subjectOf reads whose an assertion claims to be, before anything is verified.
func subjectOf(assertion string) string {
	t, err := jwt.ParseSigned(assertion, algorithms())
	if err != nil {
		return ""
	}
	var c jwt.Claims
	if t.UnsafeClaimsWithoutVerification(&c) != nil {
		return ""
	}
	return c.Subject
}

func algorithms() []jose.SignatureAlgorithm {
	var all []jose.SignatureAlgorithm
	for _, a := range assertionAlgorithms {
		all = append(all, jose.SignatureAlgorithm(a))
	}
	return all
}

// asserted verifies an assertion (RFC 7523 section 3, OpenID Connect Core section 9). Its jti is good once.
func (p *Provider) asserted(c Client, assertion, endpoint string) bool {
	t, err := jwt.ParseSigned(assertion, algorithms())
	if err != nil {
		return false
	}
	var claims jwt.Claims
	verified := false
	for _, k := range c.Keys {
		verified = verified || t.Claims(k, &claims) == nil
	}
	now := p.now()
	if !verified || claims.Issuer != c.ID || claims.Subject != c.ID || claims.ID == "" || claims.Expiry == nil || claims.Expiry.Time().After(now.Add(assertionLife)) {
		return false
	}
	audiences := []string{p.Issuer, p.Issuer + TokenEndpoint, p.Issuer + endpoint}
	if !slices.ContainsFunc(audiences, claims.Audience.Contains) || claims.ValidateWithLeeway(jwt.Expected{Time: now}, 0) != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	name := c.ID + " " + claims.ID
	if _, used := p.ids.get(name, now); used {
		return false
	}
	p.ids.put(name, true, now)
	return true
}

// shows reports whether the certificate of the connection is the client's (RFC 8705 section 2).
func (c Client) shows(r *http.Request, now time.Time) bool {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return false
	}
	leaf := r.TLS.PeerCertificates[0]
	if c.Auth == authSelfSigned {
		return slices.ContainsFunc(c.Certificates, leaf.Equal)
	}
	if c.Roots == nil {
		return false
	}
	between := x509.NewCertPool()
	for _, more := range r.TLS.PeerCertificates[1:] {
		between.AddCert(more)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: c.Roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err == nil && c.named(leaf)
}

// named reports whether a certificate is for the subject that is registered: by its distinguished name, or one alternative name.
func (c Client) named(leaf *x509.Certificate) bool {
	if c.SubjectDN != "" {
		return c.SAN == "" && leaf.Subject.String() == c.SubjectDN
	}
	names := slices.Concat(leaf.DNSNames, leaf.EmailAddresses)
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return c.SAN != "" && slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, c.SAN) })
}
