package oauth

import (
	"errors"
	"maps"
	"slices"

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

// checkIssuer holds a text to what an issuer is (OpenID Connect Discovery section 3): an https URL without query and
// fragment. Plain http is for providers on this machine.
func checkIssuer(text string) error {
	u, err := elsewhere.ParseURL(text)
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
	u, err := elsewhere.ParseURL(text)
	if err != nil {
		return err
	}
	of, err := elsewhere.ParseURL(issuer)
	if err != nil {
		return err
	}
	if elsewhere.IsLoopback(u.Hostname()) && !elsewhere.IsLoopback(of.Hostname()) {
		return errors.New("an endpoint on this machine, of an issuer elsewhere")
	}
	return nil
}

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
	if c.roots, err = elsewhere.Roots(b); err != nil {
		return r.errorf("ca", "%v", err)
	}
	return nil
}
