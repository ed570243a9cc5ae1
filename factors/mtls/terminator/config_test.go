package terminator

import (
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

func TestEveryFormatCanBeBuilt(t *testing.T) {
	for f := range formats {
		builtFor(t, f)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	ca := mtlstest.NewCA(t, "Proxies").Pool()
	key := strings.Repeat("ab", 32)
	trust := func(r Rule) func(*Config) { return func(c *Config) { c.Trust = []Rule{r} } }
	for name, change := range map[string]struct {
		format Format
		change func(*Config)
	}{
		"no name":                         {Nginx, func(c *Config) { c.Name = "" }},
		"the name of the program's own":   {Nginx, func(c *Config) { c.Name = "tls" }},
		"a name with spaces":              {Nginx, func(c *Config) { c.Name = "my nginx" }},
		"a long name":                     {Nginx, func(c *Config) { c.Name = strings.Repeat("n", 65) }},
		"no format":                       {"", func(*Config) {}},
		"an unknown format":               {"f5", func(*Config) {}},
		"no trust":                        {Nginx, func(c *Config) { c.Trust = nil }},
		"a rule of nothing":               {Nginx, trust(Rule{})},
		"an unknown choice":               {Nginx, func(c *Config) { c.OnUntrusted = 7 }},
		"everybody's network":             {Nginx, trust(Rule{Addresses: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}})},
		"everybody's network, IPv6":       {Nginx, trust(Rule{Addresses: []netip.Prefix{netip.MustParsePrefix("::/0")}})},
		"a network with host bits":        {Nginx, trust(Rule{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}})},
		"no network":                      {Nginx, trust(Rule{Addresses: []netip.Prefix{{}}})},
		"an abstract socket":              {Nginx, trust(Rule{Socket: "@portal"})},
		"a relative socket":               {Nginx, trust(Rule{Socket: "portal.sock"})},
		"a secret without a header":       {Nginx, trust(Rule{Secret: &Secret{Values: []string{key}}})},
		"a secret without a value":        {Nginx, trust(Rule{Secret: &Secret{Header: "X-Secret"}})},
		"a short secret":                  {Nginx, trust(Rule{Secret: &Secret{Header: "X-Secret", Values: []string{key, key[:31]}}})},
		"a long secret":                   {Nginx, trust(Rule{Secret: &Secret{Header: "X-Secret", Values: []string{strings.Repeat("s", 513)}}})},
		"a secret with a line end":        {Nginx, trust(Rule{Secret: &Secret{Header: "X-Secret", Values: []string{key + "\n"}}})},
		"a secret in the cookie":          {Nginx, trust(Rule{Secret: &Secret{Header: "Cookie", Values: []string{key}}})},
		"a secret in a header of its own": {Nginx, trust(Rule{Secret: &Secret{Header: verdict, Values: []string{key}}})},
		"a secret in an alias":            {Nginx, trust(Rule{Secret: &Secret{Header: "X_SSL_Client_Verify", Values: []string{key}}})},
		"an identity without CAs":         {Nginx, trust(Rule{Identity: &Identity{Keys: []string{key}}})},
		"an identity with no CA":          {Nginx, trust(Rule{Identity: &Identity{CAs: x509.NewCertPool(), Keys: []string{key}}})},
		"any certificate of a CA":         {Nginx, trust(Rule{Identity: &Identity{CAs: ca}})},
		"a key in capitals":               {Nginx, trust(Rule{Identity: &Identity{CAs: ca, Keys: []string{strings.ToUpper(key)}}})},
		"half a key":                      {Nginx, trust(Rule{Identity: &Identity{CAs: ca, Keys: []string{key[:32]}}})},
		"an id that is none":              {Nginx, trust(Rule{Identity: &Identity{CAs: ca, IDs: []string{"https://corp.example/nginx"}}})},
		"an id in another case":           {Nginx, trust(Rule{Identity: &Identity{CAs: ca, IDs: []string{"spiffe://Corp.example/nginx"}}})},

		"no verdict and nothing said":        {RFC9440, func(c *Config) { c.TerminatorVerifies = false }},
		"no verdict and nothing said, Envoy": {Envoy, func(c *Config) { c.TerminatorVerifies = false }},
		"no verdict and both said":           {RFC9440, func(c *Config) { c.VerifiedHere = true }},
		"a verdict and a word for it":        {Nginx, func(c *Config) { c.TerminatorVerifies = true }},
		"passthrough that verifies":          {AWSALBPassthrough, func(c *Config) { c.TerminatorVerifies = true }},
		"App Service that verifies":          {AzureAppService, func(c *Config) { c.TerminatorVerifies = true }},
		"custom without a verdict":           {Custom, func(c *Config) { c.TerminatorVerifies = false }},

		"a header that the format has not":   {Nginx, func(c *Config) { c.Headers.Chain = clientChain }},
		"a fixed header":                     {Traefik, func(c *Config) { c.Headers.Certificate = clientCert }},
		"a header that is none":              {Nginx, func(c *Config) { c.Headers.Certificate = "X SSL" }},
		"a header that is everybody's":       {Nginx, func(c *Config) { c.Headers.Certificate = "Authorization" }},
		"one header for two things":          {Nginx, func(c *Config) { c.Headers.Certificate = verdict }},
		"aliases of each other":              {Nginx, func(c *Config) { c.Headers.Certificate = "X_SSL_Client_Verify" }},
		"a header that is also another":      {Nginx, func(c *Config) { c.Headers.Others = []string{clientCert} }},
		"a chain of no length":               {Apache, func(c *Config) { c.Headers.Chain = "X-Chain-" }},
		"a length without a chain":           {Apache, func(c *Config) { c.Headers.ChainLength = 2 }},
		"a chain of ten":                     {Apache, func(c *Config) { c.Headers.Chain, c.Headers.ChainLength = "X-Chain-", 10 }},
		"a length of another format":         {HAProxy, func(c *Config) { c.Headers.ChainLength = 2 }},
		"hops of nginx":                      {Nginx, func(c *Config) { c.Hops = 1 }},
		"eleven hops":                        {Envoy, func(c *Config) { c.Hops = 11 }},
		"fewer hops than none":               {Envoy, func(c *Config) { c.Hops = -1 }},
		"an encoding of nginx":               {Nginx, func(c *Config) { c.Encoding = SpacedPEM }},
		"Application Gateway without one":    {AzureApplicationGateway, func(c *Config) { c.Encoding = 0 }},
		"Application Gateway in base64":      {AzureApplicationGateway, func(c *Config) { c.Encoding = Base64 }},
		"a custom description of nginx":      {Nginx, func(c *Config) { c.Custom = &CustomFormat{Encoding: Base64} }},
		"custom without a description":       {Custom, func(c *Config) { c.Custom = nil }},
		"custom without a header":            {Custom, func(c *Config) { c.Headers.Certificate = "" }},
		"custom without an encoding":         {Custom, func(c *Config) { c.Custom.Encoding = 0 }},
		"custom with a chain without header": {Custom, func(c *Config) { c.Custom.Chain = ChainList }},
		"custom with a header without chain": {Custom, func(c *Config) { c.Headers.Chain = "X-Chain" }},
		"custom byte sequences with leaf":    {Custom, func(c *Config) { c.Custom.Encoding, c.Custom.Chain = ByteSequence, ChainWithLeaf }},
		"custom numbers without a length":    {Custom, func(c *Config) { c.Headers.Chain, c.Custom.Chain = "X-Chain-", ChainNumbered }},
		"custom verdict that says nothing": {Custom, func(c *Config) {
			c.TerminatorVerifies, c.Custom.Verdicts = false, []Verdict{{Header: "X-Verify", OK: "0", None: "0"}}
		}},

		"custom verdict without a header": {Custom, func(c *Config) {
			c.TerminatorVerifies, c.Custom.Verdicts = false, []Verdict{{OK: "0", None: "1"}}
		}},

		"wider bounds":              {Nginx, func(c *Config) { c.Bounds.Certificate = maxCertificate + 1 }},
		"wider bounds of all":       {Nginx, func(c *Config) { c.Bounds.All = maxAll + 1 }},
		"more certificates":         {Nginx, func(c *Config) { c.Bounds.Certificates = 11 }},
		"bounds below nothing":      {Nginx, func(c *Config) { c.Bounds.All = -1 }},
		"proxies without a header":  {Nginx, func(c *Config) { c.Client.Proxies = networks("10.0.0.0/8") }},
		"everybody is a proxy":      {Nginx, func(c *Config) { c.Client = ClientAddress{"X-Forwarded-For", networks("0.0.0.0/0")} }},
		"a client in the verdict":   {Nginx, func(c *Config) { c.Client.Header = verdict }},
		"a client in no header":     {Nginx, func(c *Config) { c.Client.Header = "X Forwarded" }},
		"a client in the Host line": {Nginx, func(c *Config) { c.Client.Header = "Host" }},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(change.format)
			change.change(&c)
			if front, err := New(c); err == nil || front != nil {
				t.Errorf("taken: %v", err)
			} else if strings.Contains(err.Error(), key) && name != "half a key" {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}
