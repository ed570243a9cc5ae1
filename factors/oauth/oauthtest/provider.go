package oauthtest

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config says what a provider is like. All but Issuer may be left out.
type Config struct {
	// Issuer is the URL by which the provider names itself, without a slash at its end. Its path is where the provider answers.
	// New needs it; Start sets it.
	Issuer string
	// Title is what the pages call the provider. The default is the issuer's host.
	Title   string
	Clients []Client
	Users   []User

	// Now is the clock; the default is time.Now.
	Now func() time.Time
	// Algorithm is what ID tokens are signed with: ES256 (the default), RS256 or EdDSA.
	Algorithm string
	// Plain makes it a provider of OAuth 2.0 alone: no discovery, no ID tokens, no iss in responses.
	Plain bool
	// NoIssuer leaves iss out of responses, and does not advertise it (RFC 9207).
	NoIssuer bool
	// NoPush takes no pushed authorization requests (RFC 9126).
	NoPush bool
	// MutualTLS is the base URL of a second address of the same provider, whose listener asks for client certificates. It is
	// advertised as mtls_endpoint_aliases (RFC 8705 section 5). Empty: there is none.
	MutualTLS string
	// TLS makes Start serve https, asking for client certificates and taking any; otherwise it serves http. New ignores it.
	TLS bool
	// HTTP posts logout tokens. The default follows no redirects and waits 5 seconds.
	HTTP *http.Client
}

// A Client is registered with the provider.
type Client struct {
	ID string
	// Secret is for client_secret_basic and client_secret_post.
	Secret string
	// Auth is the one way in which the client authenticates: client_secret_basic, client_secret_post, private_key_jwt,
	// tls_client_auth, self_signed_tls_client_auth or none. Empty: either way with the secret, or none where there is no secret.
	Auth string
	// Keys verify the assertions of private_key_jwt.
	Keys []crypto.PublicKey
	// Roots and SubjectDN or SAN are for tls_client_auth (RFC 8705 section 2.1): who may have issued the certificate, and the
	// subject (RFC 4514, as crypto/x509/pkix writes it) or one DNS name, URI, e-mail or IP address that it must have.
	Roots     *x509.CertPool
	SubjectDN string
	SAN       string
	// Certificates are those of self_signed_tls_client_auth.
	Certificates []*x509.Certificate

	RedirectURIs           []string // compared exactly
	PostLogoutRedirectURIs []string // compared exactly
	BackchannelLogoutURI   string   // where logout tokens go; empty: nowhere
	OnlyPushed             bool     // requests must be pushed ahead
}

// A User can sign in.
type User struct {
	Name     string // typed on the page
	Password string // empty: only SignIn can sign the user in
	Subject  string // sub; empty: the name

	FullName      string   // name, with the scope profile
	Email         string   // with the scope email
	EmailVerified bool     // the same
	Groups        []string // with the scope profile or groups
	// Claims are further ones, with the scope profile. In plain OAuth 2.0 they are part of userinfo whatever the scope.
	Claims map[string]any
	ACR    string   // the class of each sign-in of the user; empty: no acr
	AMR    []string // empty: ["pwd"]
}

func (u User) subject() string {
	if u.Subject != "" {
		return u.Subject
	}
	return u.Name
}

// Provider is an http.Handler that answers below the path of its issuer. It is safe for concurrent use.
type Provider struct {
	// Issuer is that of the configuration.
	Issuer string

	config  Config
	path    string // of the issuer
	mux     *http.ServeMux
	users   map[string]User
	clients map[string]Client

	mu       sync.Mutex
	lie      Fault
	released chan struct{}
	calls    map[string]int
	keys     []*key // the last signs
	hidden   *key   // never published
	browsers *shelf[*browser]
	forms    *shelf[*request]
	pushed   *shelf[*request]
	grants   *shelf[*grant]
	access   *shelf[*grant]
	ids      *shelf[bool] // jti of assertions
}

// New makes a provider. It panics where the configuration cannot be: without an issuer, or with two clients or users of one name.
func New(c Config) *Provider {
	at, err := url.Parse(c.Issuer)
	if err != nil || at.Host == "" || (at.Scheme != "https" && at.Scheme != "http") || strings.HasSuffix(c.Issuer, "/") || at.RawQuery != "" || at.Fragment != "" {
		panic(fmt.Sprintf("oauthtest: %q is no issuer", c.Issuer))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Algorithm == "" {
		c.Algorithm = "ES256"
	}
	if c.Title == "" {
		c.Title = at.Host
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	p := &Provider{Issuer: c.Issuer, config: c, path: at.Path, users: map[string]User{}, clients: map[string]Client{},
		released: make(chan struct{}), calls: map[string]int{}, keys: []*key{newKey(c.Algorithm)}, hidden: newKey(c.Algorithm),
		browsers: newShelf[*browser](sessionLife), forms: newShelf[*request](formLife), pushed: newShelf[*request](pushLife),
		grants: newShelf[*grant](codeLife), access: newShelf[*grant](accessLife), ids: newShelf[bool](assertionLife)}
	for _, u := range c.Users {
		if _, there := p.users[u.Name]; there || u.Name == "" {
			panic(fmt.Sprintf("oauthtest: two users, or none, are named %q", u.Name))
		}
		p.users[u.Name] = u
	}
	for _, c := range c.Clients {
		if _, there := p.clients[c.ID]; there || c.ID == "" {
			panic(fmt.Sprintf("oauthtest: two clients, or none, have the id %q", c.ID))
		}
		p.clients[c.ID] = c
	}
	p.mux = p.routes()
	return p
}

// Endpoints, as Calls knows them: paths below the issuer.
const (
	DiscoveryEndpoint  = "/.well-known/openid-configuration"
	AuthorizeEndpoint  = "/authorize"
	SignInEndpoint     = "/sign-in"
	TokenEndpoint      = "/token"
	UserinfoEndpoint   = "/userinfo"
	KeysEndpoint       = "/keys"
	PushEndpoint       = "/par"
	EndSessionEndpoint = "/end-session"
)

func (p *Provider) routes() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("GET "+AuthorizeEndpoint, p.authorize)
	m.HandleFunc("POST "+AuthorizeEndpoint, p.authorize)
	m.HandleFunc("POST "+SignInEndpoint, p.signInForm)
	m.HandleFunc("POST "+TokenEndpoint, p.token)
	m.HandleFunc("GET "+UserinfoEndpoint, p.userinfo)
	m.HandleFunc("POST "+UserinfoEndpoint, p.userinfo)
	if p.config.Plain {
		return m
	}
	m.HandleFunc("GET "+DiscoveryEndpoint, p.discovery)
	m.HandleFunc("GET "+KeysEndpoint, p.keySet)
	m.HandleFunc("GET "+EndSessionEndpoint, p.endSession)
	m.HandleFunc("POST "+EndSessionEndpoint, p.endSession)
	if !p.config.NoPush {
		m.HandleFunc("POST "+PushEndpoint, p.push)
	}
	return m
}

// maxForm is how many bytes of a request's body are read.
const maxForm = 64 << 10

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	below, ok := strings.CutPrefix(r.URL.Path, p.path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	p.mu.Lock()
	p.calls[below]++
	p.mu.Unlock()
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	r2 := r.Clone(r.Context())
	r2.URL.Path, r2.URL.RawPath = below, ""
	r2.Body = http.MaxBytesReader(w, r.Body, maxForm)
	p.mux.ServeHTTP(w, r2)
}

// Calls is how often an endpoint was called, by its path below the issuer.
func (p *Provider) Calls(endpoint string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[endpoint]
}

func (p *Provider) now() time.Time { return p.config.Now() }
