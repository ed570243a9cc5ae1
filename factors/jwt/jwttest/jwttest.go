// Package jwttest makes bearer tokens for tests of what takes them: an issuer with a key of its own, whose key set the policy
// of the test names. Everything it makes is new in each run, and worth nothing elsewhere.
package jwttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

const (
	algorithm = "ES256"
	kid       = "jwttest"
	life      = 5 * time.Minute
)

// Issuer signs tokens with ES256. It is safe for concurrent use.
type Issuer struct {
	t    testing.TB
	name string
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

// New makes an issuer that calls itself name, as `issuer:` of the policy has it.
func New(t testing.TB, name string) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Issuer{t: t, name: name, key: key, now: time.Now}
}

// At gives the issuer another clock than time.Now, and returns it.
func (i *Issuer) At(now func() time.Time) *Issuer {
	i.now = now
	return i
}

// File writes the issuer's key set into a folder and returns the file's name, for `keys: { file: … }`.
func (i *Issuer) File(dir string) string {
	i.t.Helper()
	public, err := jose.NewKey(i.key.Public(), kid, algorithm)
	if err != nil {
		i.t.Fatal(err)
	}
	set, err := jose.FormatSet([]jose.Key{public})
	if err != nil {
		i.t.Fatal(err)
	}
	file := filepath.Join(dir, "jwttest-keys.json")
	if err := os.WriteFile(file, set, 0o600); err != nil {
		i.t.Fatal(err)
	}
	return file
}

// Token signs claims. Those that are not given are made: iss, iat, jti, and exp five minutes from now; a claim that is nil is
// left out. With bound, the token is bound to that certificate (RFC 8705 section 3.1).
func (i *Issuer) Token(claims map[string]any, bound *x509.Certificate) string {
	i.t.Helper()
	now := i.now()
	all := map[string]any{"iss": i.name, "iat": now.Unix(), "exp": now.Add(life).Unix(), "jti": rand.Text()}
	if bound != nil {
		sum := sha256.Sum256(bound.Raw)
		all["cnf"] = map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	token, err := jose.Sign(jose.Header{Kid: kid, Typ: "at+jwt"}, all, i.key, algorithm)
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}
