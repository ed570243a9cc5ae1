package oauth

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// checkIssuer holds a text to what an issuer is (OpenID Connect Discovery section 3): an https URL without query and
// fragment. Plain http is for providers on this machine.
func checkIssuer(text string) error {
	u, err := parseURL(text)
	if err != nil {
		return err
	}
	if u.RawQuery != "" || u.ForceQuery {
		return errors.New("an issuer has no query")
	}
	return nil
}

// checkEndpoint holds a text to what an endpoint of an issuer is. Only an issuer on this machine has endpoints on it: else
// it could have this program call what listens for nobody but this machine.
func checkEndpoint(text, issuer string) error {
	u, err := parseURL(text)
	if err != nil {
		return err
	}
	of, err := parseURL(issuer)
	if err != nil {
		return err
	}
	if isLoopback(u.Hostname()) && !isLoopback(of.Hostname()) {
		return errors.New("an endpoint on this machine, of an issuer elsewhere")
	}
	return nil
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || !printable(text, 2048) || strings.Contains(text, " ") || u.Host == "" || u.Hostname() == "":
		return nil, errors.New("is no URL")
	case u.User != nil || u.Fragment != "" || strings.Contains(text, "#"):
		return nil, errors.New("has a user or a fragment, which has no place in it")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	}
	return nil, errors.New("is no https URL")
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// printable reports whether a text can be shown as it is: not empty, up to so many bytes, nothing that cannot be seen or
// that turns what stands beside it, no space at an end.
func printable(s string, most int) bool {
	return s != "" && len(s) <= most && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
			r == unicode.ReplacementChar || r == emptyBraille
	})
}

const emptyBraille = '\u2800'

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// readRoots reads further roots for reaching the provider.
func (c *client) readRoots(r reader) error {
	if r.in.CA == "" {
		return nil
	}
	b, err := r.s.ReadFile(r.in.CA)
	if err != nil {
		return r.errorf("ca", "cannot be read: %v", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	n := 0
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return r.errorf("ca", "holds something else than certificates in PEM")
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 {
		return r.errorf("ca", "holds no certificate in PEM")
	}
	c.roots = pool
	return nil
}
