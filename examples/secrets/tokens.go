package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	issuerName    = "https://issuer.corp.example"
	audience      = "secrets"
	readScope     = "secrets:read"
	writeScope    = "secrets:write"
	tokenLife     = 24 * time.Hour
	renewTokensAt = 6 * time.Hour // before they end
)

// client is a program of the demonstration's, and what its token allows.
type client struct{ name, scope string }

var clients = []client{{"writer", writeScope + " " + readScope}, {"reader", readScope}}

// issuer makes the tokens of the demonstration. It stands for the authorization server that a service has elsewhere.
type issuer struct {
	dir string // of this program's data
	key *ecdsa.PrivateKey
	kid string
}

// newIssuer reads the key of the issuer, or makes it, and writes the key set that the policy names.
func newIssuer(dir string) (*issuer, error) {
	key, err := keyIn(filepath.Join(dir, "issuer.key"))
	if err != nil {
		return nil, err
	}
	k := jose.JSONWebKey{Key: key.Public(), Use: "sig", Algorithm: string(jose.ES256)}
	digest, err := k.Thumbprint(hash)
	if err != nil {
		return nil, err
	}
	k.KeyID = base64.RawURLEncoding.EncodeToString(digest)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k}})
	if err != nil {
		return nil, err
	}
	return &issuer{dir, key, k.KeyID}, write(filepath.Join(dir, "keys.json"), append(set, '\n'), 0o644)
}

// keyIn reads a key from its file, or makes one there.
func keyIn(file string) (*ecdsa.PrivateKey, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return key, write(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", file)
	}
	key, err := parseKey(block)
	if err != nil {
		return nil, fmt.Errorf("%s is no ECDSA key that can be read", file)
	}
	return key, nil
}

// renew makes the tokens that are missing, belong to another certificate or key, or soon end.
func (i *issuer) renew(certs pki, now time.Time) error {
	if err := os.MkdirAll(filepath.Join(i.dir, "tokens"), 0o700); err != nil {
		return err
	}
	for _, c := range clients {
		cert, err := certs.readCert(c.name + ".crt")
		if err != nil {
			return err
		}
		file := filepath.Join(i.dir, "tokens", c.name+".jwt")
		if i.good(file, cert, now) {
			continue
		}
		token, err := i.mint(c, cert, now)
		if err != nil {
			return err
		}
		if err := write(file, []byte(token+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// good reports whether a file holds a token of this issuer's for a certificate, which nobody else can read, for long enough.
func (i *issuer) good(file string, cert *x509.Certificate, now time.Time) bool {
	token, err := readToken(file)
	if err != nil {
		return false
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return false
	}
	if _, err := signed.Verify(i.key.Public()); err != nil {
		return false
	}
	claims, err := claimsOf(token)
	return err == nil && claims.Confirmation.Certificate == thumbprint(cert) && now.Add(renewTokensAt).Before(time.Unix(claims.Expires, 0))
}

// mint makes a token (RFC 9068) that is bound to a certificate (RFC 8705 section 3.1).
func (i *issuer) mint(c client, cert *x509.Certificate, now time.Time) (string, error) {
	options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", i.kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, options)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(tokenClaims{Issuer: issuerName, Subject: c.name, Audience: audience, Client: c.name, Scope: c.scope, ID: rand.Text(),
		Issued: now.Unix(), Expires: now.Add(tokenLife).Unix(), Confirmation: confirmation{thumbprint(cert)}})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
