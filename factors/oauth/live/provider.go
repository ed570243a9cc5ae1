package live

import (
	"net/url"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// Client is a client's metadata as it is registered (OpenID Connect Dynamic Client Registration 1.0 section 2, RFC 8705
// section 2.1.2, RFC 9126 section 6).
type Client map[string]any

// Config is what a provider is started with.
type Config struct {
	Clients  []Client
	Accounts map[string]map[string]any // claims by name; nil: [Accounts]
	ACRs     []string                  // classes that the provider knows
	// Issuing is the authority whose client certificates are taken for tls_client_auth. Nil: none is.
	Issuing *mtlstest.CA
}

// Accounts are alice and bob, with verified and unverified addresses.
func Accounts() map[string]map[string]any {
	return map[string]map[string]any{
		"alice": {"name": "Alice Example", "email": "alice@acme.example", "email_verified": true, "groups": []string{"staff", "admins"}},
		"bob":   {"name": "Bob Example", "email": "bob@acme.example", "email_verified": false},
	}
}

// Provider is oidc-provider.
type Provider struct {
	Issuer string
	MTLS   string       // where client certificates are asked for
	CA     *mtlstest.CA // that its server's certificate is of; it trusts that of others too, when it calls them

	t       testing.TB
	told    map[string]any
	process *process // nil: stopped
}

// Start starts a provider until the test ends. ca issues its server's certificate, and that of whoever it calls.
func Start(t testing.TB, ca *mtlstest.CA, c Config) *Provider {
	t.Helper()
	accounts := c.Accounts
	if accounts == nil {
		accounts = Accounts()
	}
	cert, key := mtlstest.PEM(t, ca.Server())
	p := &Provider{t: t, CA: ca, told: map[string]any{"cert": string(cert), "key": string(key), "port": 0, "mtlsPort": 0, "clients": c.Clients,
		"accounts": accounts, "password": Password, "acrs": append([]string{}, c.ACRs...)}}
	if c.Issuing != nil {
		p.told["clientCA"] = string(c.Issuing.PEM())
	}
	p.Start()
	t.Cleanup(p.end)
	return p
}

// Start starts the provider again, at the same addresses, with keys that it never had before, and with no memory of anybody.
func (p *Provider) Start() {
	p.t.Helper()
	if p.process != nil {
		p.t.Fatal("live: the provider runs")
	}
	dir := folder(p.t, "oidc-provider")
	if !exists(filepath.Join(dir, "node_modules", ".installed")) {
		missing(p.t, "oidc-provider", install)
	}
	p.process = start(p.t, p.told, []string{"NODE_EXTRA_CA_CERTS=" + p.CA.File(), "NODE_NO_WARNINGS=1"}, node(p.t), filepath.Join(dir, "start.mjs"))
	p.Issuer, p.MTLS = p.process.ready[0], p.process.ready[1]
	p.told["port"], p.told["mtlsPort"] = portOf(p.t, p.Issuer), portOf(p.t, p.MTLS)
}

// Stop ends the provider. It can be started again.
func (p *Provider) Stop() {
	if p.process != nil {
		p.process.stop()
		p.process = nil
	}
}

// Restart is [Provider.Stop] and [Provider.Start].
func (p *Provider) Restart() {
	p.t.Helper()
	p.Stop()
	p.Start()
}

// end stops the provider, and shows what it said where that may explain a failure.
func (p *Provider) end() {
	if p.process != nil && p.t.Failed() {
		p.t.Logf("%s said:\n%s", p.Issuer, p.process.log)
	}
	p.Stop()
}

func portOf(t testing.TB, address string) int {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return n
}
