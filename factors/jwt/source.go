package jwt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	strict "github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

const (
	defaultRefresh = 10 * time.Minute
	minRefresh     = refetchEvery
	maxRefresh     = 30 * time.Minute
)

// source is where the keys of an issuer are.
type source struct {
	fixed   *published     // of a file; nil: they are fetched
	url     string         // empty: the issuer's metadata have it
	roots   *x509.CertPool // for reaching it; nil: the system's
	refresh time.Duration
}

func (out *Settings) readKeys(s *policy.Section, w written) error {
	from := writtenKeys{Discovery: true}
	if w.Keys != nil {
		from = *w.Keys
	}
	switch {
	case w.Keys != nil && !oneOf(from.URL != "", from.File != "", from.Discovery):
		return s.Errorf("keys", "must be one of url, file, and discovery: true")
	case from.File != "":
		return out.readKeyFile(s, from.File, w)
	case from.URL != "":
		if _, err := elsewhere.ParseURL(from.URL); err != nil {
			return s.Errorf("keys.url", "%v", err)
		}
		out.keys.url = from.URL
	default:
		if u, err := elsewhere.ParseURL(w.Issuer); err != nil || u.RawQuery != "" || u.ForceQuery {
			return s.Errorf("issuer", "is no https URL without a query, so that its keys cannot be found: name them with keys")
		}
	}
	if err := out.readRoots(s, w); err != nil {
		return err
	}
	out.keys.refresh = w.Refresh
	if w.Refresh == 0 {
		out.keys.refresh = defaultRefresh
	}
	if out.keys.refresh < minRefresh || out.keys.refresh > maxRefresh {
		return s.Errorf("refresh", "is from %v to %v", minRefresh, maxRefresh)
	}
	return nil
}

func oneOf(all ...bool) bool {
	n := 0
	for _, is := range all {
		if is {
			n++
		}
	}
	return n == 1
}

// readKeyFile reads keys from a file: a JWK set, or public keys and certificates in PEM. It is read again when the policy is.
func (out *Settings) readKeyFile(s *policy.Section, path string, w written) error {
	for _, key := range []struct {
		name string
		set  bool
	}{{"ca", w.CA != ""}, {"refresh", w.Refresh != 0}} {
		if key.set {
			return s.Errorf(key.name, "means nothing beside keys of a file")
		}
	}
	b, err := s.ReadFile(path)
	if err != nil {
		return s.Errorf("keys.file", "cannot be read: %v", err)
	}
	set, err := parseFile(b)
	if err != nil {
		return s.Errorf("keys.file", "cannot be used: %v", err)
	}
	if !slices.ContainsFunc(set.Keys, func(k jose.Key) bool { return slices.ContainsFunc(out.algorithms, k.Fits) }) {
		return s.Errorf("keys.file", "has no key for any of the algorithms")
	}
	out.keys.fixed = &published{set: set, sum: sha256.Sum256(b), generation: 1}
	return nil
}

func parseFile(b []byte) (jose.Set, error) {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return jose.ParseSet(b, elsewhere.MaxDocument)
	}
	return jose.ParsePEM(b)
}

// readRoots reads further roots for reaching the issuer.
func (out *Settings) readRoots(s *policy.Section, w written) error {
	if w.CA == "" {
		return nil
	}
	b, err := s.ReadFile(w.CA)
	if err != nil {
		return s.Errorf("ca", "cannot be read: %v", err)
	}
	if out.keys.roots, err = elsewhere.Roots(b); err != nil {
		return s.Errorf("ca", "%v", err)
	}
	return nil
}

// fetcher gives a fetch of the key set.
func (k source) fetcher(issuer string) func(context.Context) ([]byte, error) {
	if k.url != "" {
		w := newWeb(k.roots, isLocal(k.url))
		return func(ctx context.Context) ([]byte, error) { return w.document(ctx, k.url) }
	}
	w := newWeb(k.roots, isLocal(issuer))
	return func(ctx context.Context) ([]byte, error) {
		address, err := w.discover(ctx, issuer)
		if err != nil {
			return nil, err
		}
		return w.document(ctx, address)
	}
}

// discover finds the address of the keys in the issuer's metadata (OpenID Connect Discovery section 4, else RFC 8414
// section 3).
func (w *web) discover(ctx context.Context, issuer string) (string, error) {
	b, err := w.document(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if missing := (*statusError)(nil); errors.As(err, &missing) && missing.status == http.StatusNotFound {
		u, err := elsewhere.ParseURL(issuer)
		if err != nil {
			return "", fmt.Errorf("jwt: the issuer %w", err)
		}
		path := strings.TrimSuffix(u.EscapedPath(), "/")
		b, err = w.document(ctx, u.Scheme+"://"+u.Host+"/.well-known/oauth-authorization-server"+path)
		if err != nil {
			return "", err
		}
		return keysOf(b, issuer)
	}
	if err != nil {
		return "", err
	}
	return keysOf(b, issuer)
}

// keysOf is the address of the keys in metadata, which must be the issuer's own.
func keysOf(metadata []byte, issuer string) (string, error) {
	var m struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := strict.Unmarshal(metadata, &m); err != nil {
		return "", fmt.Errorf("jwt: the metadata of %s are not what metadata are", issuer)
	}
	if m.Issuer != issuer {
		return "", fmt.Errorf("jwt: the metadata of %s name another issuer", issuer)
	}
	return m.Keys, nil
}
