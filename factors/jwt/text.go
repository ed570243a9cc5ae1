package jwt

import (
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// printable reports whether a text can be shown as it is: not empty, up to so many bytes, nothing that cannot be seen or
// that turns what stands beside it, no space at an end.
func printable(s string, most int) bool {
	return s != "" && len(s) <= most && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
			r == unicode.ReplacementChar || r == emptyBraille
	})
}

const emptyBraille = '\u2800'

// isScope reports a scope-token of RFC 6749 section 3.3.
func isScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c < '!' || c > '~' || c == '"' || c == '\\' })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// parseURL holds an address to https, or to plain http on this machine.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || !printable(text, maxURI) || strings.Contains(text, " ") || u.Host == "" || u.Hostname() == "":
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
