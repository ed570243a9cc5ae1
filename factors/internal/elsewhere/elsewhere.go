// Package elsewhere is what factors have in common whose issuer is another server: which addresses it may have, how it is
// reached, whose tenant it speaks for, and which of its texts can be shown.
package elsewhere

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// MaxURL is how long an address may be, in bytes.
const MaxURL = 2048

// ParseURL holds an address to https, or to plain http on this machine. Its error goes on from what the address is of: "is
// no URL".
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || !Printable(text, MaxURL) || strings.Contains(text, " ") || u.Host == "" || u.Hostname() == "":
		return nil, errors.New("is no URL")
	case u.User != nil || u.Fragment != "" || strings.Contains(text, "#"):
		return nil, errors.New("has a user or a fragment, which has no place in it")
	case u.Scheme == "https", u.Scheme == "http" && IsLoopback(u.Hostname()):
		return u, nil
	}
	return nil, errors.New("is no https URL")
}

// IsLoopback reports whether a host is this machine.
func IsLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && (a.Unmap().IsLoopback() || a.IsUnspecified())
}

// Printable reports whether a text can be shown as it is: not empty, up to so many bytes, nothing that cannot be seen or
// that turns what stands beside it, no space at an end.
func Printable(s string, most int) bool {
	return s != "" && len(s) <= most && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
			r == unicode.ReplacementChar || r == emptyBraille
	})
}

const emptyBraille = '\u2800'

// Roots are those of the system and, besides, the certificates in PEM. Its error goes on from where they stand: "holds no
// certificate in PEM".
func Roots(b []byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	n := 0
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return nil, errors.New("holds something else than certificates in PEM")
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 {
		return nil, errors.New("holds no certificate in PEM")
	}
	return pool, nil
}

// TenantOf is the tenant that an issuer speaks for on a request: own, where the policy says that it is one tenant's, or the
// one that an earlier step proved. A request of another tenant's, or of none, is rejected for the reason why; theirs says
// what is another tenant's then.
func TenantOf(r factors.Request, own string, why authn.Reason, theirs string) (string, error) {
	tenant := r.Subject.Tenant
	if own != "" {
		if tenant != "" && tenant != own {
			return "", factors.Reject(why, "%s", theirs)
		}
		tenant = own
	}
	if tenant == "" {
		return "", factors.Reject(why, "no earlier step named a tenant")
	}
	if r.Origin.Tenant != "" && r.Origin.Tenant != tenant {
		return "", factors.Reject(why, "the origin belongs to another tenant")
	}
	return tenant, nil
}

// Words are those that a setting takes, to be told to whoever wrote another. Empty ones cannot be written.
func Words[T ~string](allowed []T) string {
	var words []string
	for _, w := range allowed {
		if w != "" {
			words = append(words, string(w))
		}
	}
	return strings.Join(words, ", ")
}
