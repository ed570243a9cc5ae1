package terminator

// Names that formats have by default, where the operator chooses.
const (
	headerCertificate = "X-SSL-Client-Cert"
	headerVerdict     = "X-SSL-Client-Verify"
	headerUsed        = "X-SSL-Client-Used"
)

// success is the verdict of nginx and those that took it over.
func success(header string) Verdict { return Verdict{Header: header, OK: "SUCCESS", None: "NONE"} }

// rfc9440 reads Client-Cert and Client-Cert-Chain (RFC 9440 section 2).
func rfc9440(c *Config) (*shape, error) {
	h := c.Headers
	s := &shape{
		leaf: or(h.Certificate, "Client-Cert"), encoding: ByteSequence,
		chain: []string{or(h.Chain, "Client-Cert-Chain")}, form: ChainList,
	}
	h.Certificate, h.Chain = "", ""
	return s, only(h)
}

// nginx reads $ssl_client_escaped_cert and $ssl_client_verify.
func nginx(c *Config) (*shape, error) {
	h := c.Headers
	s := &shape{
		leaf: or(h.Certificate, headerCertificate), encoding: PercentPEM,
		verdicts: []Verdict{success(or(h.Verdict, headerVerdict))},
	}
	h.Certificate, h.Verdict = "", ""
	return s, only(h)
}

// haproxy reads ssl_c_der, ssl_c_chain_der, ssl_c_verify and ssl_c_used. Without a certificate ssl_c_verify is 0 too.
func haproxy(c *Config) (*shape, error) {
	h := c.Headers
	s := &shape{
		leaf: or(h.Certificate, headerCertificate), encoding: Base64, none: None{Sent: true},
		verdicts: []Verdict{
			{Header: or(h.Present, headerUsed), OK: "1", None: "0", Presence: true},
			{Header: or(h.Verdict, headerVerdict), OK: "0", None: "0"},
		},
	}
	if h.Chain != "" {
		s.chain, s.form, s.chainNone = []string{h.Chain}, ChainConcatenated, None{Sent: true}
	}
	h.Certificate, h.Verdict, h.Present, h.Chain = "", "", "", ""
	return s, only(h)
}

// apache reads SSL_CLIENT_CERT, SSL_CLIENT_CERT_CHAIN_n and SSL_CLIENT_VERIFY of mod_ssl, which are (null) where there is
// nothing.
func apache(c *Config) (*shape, error) {
	h := c.Headers
	null := None{Sent: true, Value: "(null)"}
	s := &shape{
		leaf: or(h.Certificate, headerCertificate), encoding: SpacedPEM, none: null,
		verdicts: []Verdict{success(or(h.Verdict, headerVerdict))},
	}
	if (h.Chain != "") != (h.ChainLength != 0) || h.ChainLength < 0 || h.ChainLength >= maxCertificates {
		return nil, errChainLength
	}
	if h.Chain != "" {
		s.chain, s.form, s.chainNone, s.prefix = numbered(h.Chain, h.ChainLength), ChainNumbered, null, h.Chain
	}
	h.Certificate, h.Verdict, h.Chain = "", "", ""
	return s, only(h)
}

// caddy reads {http.request.tls.client.certificate_der_base64}, which is empty where there is none.
func caddy(c *Config) (*shape, error) {
	h := c.Headers
	s := &shape{leaf: or(h.Certificate, headerCertificate), encoding: Base64, none: None{Sent: true}}
	h.Certificate = ""
	return s, only(h)
}

// traefik reads what passTLSClientCert sends with pem: true. Its Info header is not safe to read.
func traefik(c *Config) (*shape, error) {
	s := &shape{
		leaf: "X-Forwarded-Tls-Client-Cert", encoding: Base64, form: ChainWithLeaf,
		others: []string{"X-Forwarded-Tls-Client-Cert-Info"},
	}
	return s, only(c.Headers)
}

// envoy reads X-Forwarded-Client-Cert.
func envoy(c *Config) (*shape, error) {
	return &shape{leaf: "X-Forwarded-Client-Cert", elements: max(1, c.Hops)}, only(c.Headers)
}

// Names of an AWS application load balancer. Listener attributes change them.
const (
	albLeaf  = "X-Amzn-Mtls-Clientcert-Leaf"
	albChain = "X-Amzn-Mtls-Clientcert"
)

func albOthers() []string {
	return []string{albChain + "-Serial-Number", albChain + "-Issuer", albChain + "-Subject", albChain + "-Validity"}
}

// albVerify reads the leaf that a load balancer in mode verify sends.
func albVerify(c *Config) (*shape, error) {
	h := c.Headers
	s := &shape{leaf: or(h.Certificate, albLeaf), encoding: PercentPEM, foreign: []string{albChain}, others: albOthers()}
	h.Certificate = ""
	return s, only(h)
}

// albPassthrough reads the chain that a load balancer in mode passthrough sends, which nobody verified.
func albPassthrough(c *Config) (*shape, error) {
	h := c.Headers
	s := &shape{
		leaf: or(h.Certificate, albChain), encoding: PercentPEM, form: ChainWithLeaf, unverified: true,
		foreign: []string{albLeaf}, others: albOthers(),
	}
	h.Certificate = ""
	return s, only(h)
}

// cloudflare reads the certificate that Access forwards, and the verdict of the managed transform for client certificates.
func cloudflare(c *Config) (*shape, error) {
	return &shape{
		leaf: "Cf-Client-Cert-Der-Base64", encoding: Base64,
		hash: "Cf-Client-Cert-Sha256", hashForm: hexHash,
		verdicts: []Verdict{
			{Header: "Cf-Cert-Presented", OK: "true", None: "false", Presence: true},
			{Header: "Cf-Cert-Verified", OK: "true", None: "false"},
			{Header: "Cf-Cert-Revoked", OK: "false", None: "false"},
		},
	}, only(c.Headers)
}

// gcp reads the custom request headers of a Google Cloud load balancer. A variable without a value is an empty header.
func gcp(c *Config) (*shape, error) {
	h := c.Headers
	s := &shape{
		leaf: or(h.Certificate, "X-Client-Cert-Leaf"), encoding: ByteSequence, none: None{Sent: true},
		hash: or(h.Fingerprint, "X-Client-Cert-Hash"), hashForm: base64Hash,
		verdicts: []Verdict{
			{Header: or(h.Present, "X-Client-Cert-Present"), OK: "true", None: "false", Presence: true},
			{Header: or(h.Verdict, "X-Client-Cert-Chain-Verified"), OK: "true", None: "false"},
			{Header: or(h.Error, "X-Client-Cert-Error")},
		},
	}
	if h.Chain != "" {
		s.chain, s.form, s.chainNone = []string{h.Chain}, ChainList, None{Sent: true}
	}
	return s, nil
}

// appService reads what Azure App Service forwards, which nobody verified.
func appService(c *Config) (*shape, error) {
	return &shape{leaf: "X-Arr-Clientcert", encoding: Base64, unverified: true}, only(c.Headers)
}

// applicationGateway reads {var_client_certificate} and {var_client_certificate_verification}.
func applicationGateway(c *Config) (*shape, error) {
	if c.Encoding != PercentPEM && c.Encoding != SpacedPEM {
		return nil, errEncoding
	}
	h := c.Headers
	s := &shape{
		leaf: or(h.Certificate, headerCertificate), encoding: c.Encoding,
		verdicts: []Verdict{success(or(h.Verdict, headerVerdict))},
	}
	h.Certificate, h.Verdict = "", ""
	return s, only(h)
}

// kong reads what the plugin tls-metadata-headers sends.
func kong(c *Config) (*shape, error) {
	h := c.Headers
	s := &shape{
		leaf: or(h.Certificate, "X-Client-Cert"), encoding: PercentPEM,
		others: []string{"X-Client-Cert-Serial", "X-Client-Cert-Issuer-Dn", "X-Client-Cert-Subject-Dn", "X-Client-Cert-Fingerprint"},
	}
	h.Certificate = ""
	return s, only(h)
}
