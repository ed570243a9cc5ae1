package terminator

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/factors/mtls"
)

// Config describes one terminator, and how it is told from everybody else.
type Config struct {
	// Name is the name of the source in sessions, ties and the audit log: lower-case letters, digits and dashes, at most
	// 64. "tls" is the program's own. A session that began with one name does not go on with another.
	Name string
	// Format is how the terminator writes certificates.
	Format Format
	// Headers are the names of the headers. Zero: those of the format.
	Headers Headers
	// Trust are the rules that tell the terminator. A request is the terminator's if one of them holds; there is at least
	// one. The first that holds is in the source of the chain.
	Trust []Rule
	// OnUntrusted is what becomes of certificate headers that somebody else sends. They are removed either way.
	OnUntrusted OnUntrusted

	// TerminatorVerifies says that the terminator ends the handshake, or answers itself, unless it verified the
	// certificate. Formats without a verdict need it or VerifiedHere; others have no use for it; those that pass
	// unverified certificates on refuse it.
	TerminatorVerifies bool
	// VerifiedHere says that the terminator proves that clients hold the key of their certificate, and nothing more. The
	// verdict of a format that has one must be there, and may then be any.
	VerifiedHere bool

	// Hops is, for Envoy, how many Envoys stand in a row and add an element each; zero means one. The header must have
	// exactly as many elements, and the first is the client's. At most 10.
	Hops int
	// Custom describes the format [Custom].
	Custom *CustomFormat
	// Encoding is how [AzureApplicationGateway] writes the certificate, which its documentation does not say: [PercentPEM] or
	// [SpacedPEM]. Other formats refuse it.
	Encoding Encoding
	// Bounds are on what the terminator may send.
	Bounds Bounds

	// Client says where the terminator names the client's address. Zero: nowhere.
	Client ClientAddress
	// ProxyProtocol says that the listener takes the PROXY protocol, so that RemoteAddr is what a header says.
	// [Rule.Addresses] then means the peer that [WithPeer] gives, and holds for none without it.
	ProxyProtocol bool

	// Now tells the time that the terminator's own certificate is verified at. Nil: time.Now.
	Now func() time.Time
}

// Headers are names of headers. What a format does not have must be empty. Case does not count.
type Headers struct {
	// Certificate has the client's certificate.
	Certificate string
	// Chain has the other certificates that the client sent. Empty: they are not read, except with RFC9440, which has a
	// name for it. For [Apache] it is what stands before the number, as X-SSL-Client-Chain-.
	Chain string
	// ChainLength is for [Apache]: how many headers with a number the terminator sets, from 0 on. At most 9.
	ChainLength int
	// Verdict says whether the certificate is good.
	Verdict string
	// Present says whether there is a certificate: for [HAProxy] ssl_c_used, for [GCP] client_cert_present.
	Present string
	// Error is client_cert_error of [GCP].
	Error string
	// Fingerprint is client_cert_sha256_fingerprint of [GCP].
	Fingerprint string
	// Others are further headers that the terminator sets about the certificate, such as its names. They are removed and
	// never read: names belong to the certificate itself.
	Others []string
}

// OnUntrusted is what becomes of certificate headers that do not come from the terminator.
type OnUntrusted int

const (
	// Remove removes them. The request goes on as one without a certificate, and the audit log has it.
	Remove OnUntrusted = iota
	// Refuse refuses the request's certificate besides, as if it were a bad one.
	Refuse
)

// Bounds are limits on what is read, before anything is decoded. Zero means the default.
type Bounds struct {
	Certificate  int // bytes of the certificate as it is written: 24 KiB, at most 48 KiB
	All          int // bytes of all values of the terminator's headers: 64 KiB, at most 192 KiB
	Certificates int // the client's included: 10, at most 10
}

// Defaults and maxima of Bounds.
const (
	defaultCertificate, maxCertificate = 24 << 10, 48 << 10
	defaultAll, maxAll                 = 64 << 10, 192 << 10
	maxCertificates                    = 10
)

func (b *Bounds) complete() error {
	for _, v := range []struct {
		what                   string
		value                  *int
		byDefault, atTheUtmost int
	}{
		{"Certificate", &b.Certificate, defaultCertificate, maxCertificate},
		{"All", &b.All, defaultAll, maxAll},
		{"Certificates", &b.Certificates, maxCertificates, maxCertificates},
	} {
		if *v.value == 0 {
			*v.value = v.byDefault
		}
		if *v.value < 0 || *v.value > v.atTheUtmost {
			return fmt.Errorf("bounds: %s is from 1 to %d", v.what, v.atTheUtmost)
		}
	}
	return nil
}

// ClientAddress says where the terminator names the client. The header is read from the terminator alone.
type ClientAddress struct {
	// Header is a header with a list of addresses, each proxy adding the one it was called from, as X-Forwarded-For. The
	// client is the last one that is not of Proxies. The terminator must add to the header or set it: one that leaves it to
	// the client must not be named here. Empty: the client is whoever opened the connection.
	Header string
	// Proxies are the networks of further proxies between the client and the terminator.
	Proxies []netip.Prefix
}

var (
	errName        = errors.New("a name is lower-case letters, digits and dashes, at most 64")
	errNameTLS     = errors.New(`the name "tls" is that of the program's own handshakes`)
	errNoTrust     = errors.New("no rule of trust: anybody could send a certificate")
	errOnUntrusted = errors.New("what OnUntrusted says is neither Remove nor Refuse")
	errBoth        = errors.New("both TerminatorVerifies and VerifiedHere, which contradict each other")
	errUnverified  = errors.New("a format whose certificates nobody verified, and TerminatorVerifies")
	errNeither     = errors.New("the format has no verdict: say TerminatorVerifies, or VerifiedHere")
	errNotNeeded   = errors.New("a format with a verdict, which is read, has no use for TerminatorVerifies")
	errHops        = errors.New("only Envoy has Hops, at most 10")
)

// check holds what does not depend on the format.
func (c *Config) check() error {
	switch {
	case c.Name == mtls.SourceTLS:
		return errNameTLS
	case c.Name == "" || len(c.Name) > 64 || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return errName
	case len(c.Trust) == 0:
		return errNoTrust
	case c.OnUntrusted != Remove && c.OnUntrusted != Refuse:
		return errOnUntrusted
	case c.Hops < 0 || c.Hops > 10 || c.Hops > 0 && c.Format != Envoy:
		return errHops
	}
	return c.Bounds.complete()
}

// checkVerdict holds what is said of who verifies against what the format says.
func (c *Config) checkVerdict(s *shape) error {
	judged := s.judged()
	switch {
	case c.TerminatorVerifies && c.VerifiedHere:
		return errBoth
	case s.unverified && c.TerminatorVerifies:
		return errUnverified
	case judged && c.TerminatorVerifies:
		return errNotNeeded
	case !judged && !s.unverified && !c.TerminatorVerifies && !c.VerifiedHere:
		return errNeither
	}
	return nil
}
