package live

import (
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// DexClient is a client of dex.
type DexClient struct {
	ID, Secret   string
	RedirectURIs []string
}

// Dex is dex. It has no PAR, no client certificates, no iss in its responses, and it asks for consent.
type Dex struct {
	Issuer string
	CA     *mtlstest.CA // that its server's certificate is of

	t       testing.TB
	process *process
}

// StartDex starts dex until the test ends, with the accounts alice and bob, who sign in with their addresses: alice@acme.example.
func StartDex(t testing.TB, ca *mtlstest.CA, clients ...DexClient) *Dex {
	t.Helper()
	cert, key := mtlstest.PEM(t, ca.Server())
	d := &Dex{t: t, CA: ca, process: start(t, map[string]any{"Cert": string(cert), "Key": string(key), "Clients": clients, "Password": Password,
		"Accounts": []map[string]string{{"ID": "1", "Name": "alice", "Email": "alice@acme.example"}, {"ID": "2", "Name": "bob", "Email": "bob@acme.example"}}},
		nil, dexProgram(t))}
	d.Issuer = d.process.ready[0]
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", d.Issuer, d.process.log)
		}
		d.process.stop()
	})
	return d
}
