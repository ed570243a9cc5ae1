package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

// The ways in which this portal shows a provider that it is the client (OpenID Connect Core section 9, RFC 8705 section 2).
const (
	authBasic      = "basic"
	authPost       = "post"
	authAssertion  = "private_key_jwt"
	authTLS        = "tls_client_auth"
	authSelfSigned = "self_signed_tls_client_auth"
	authNone       = "none"
)

// proof is what the client shows that it is the client with.
type proof struct {
	method      string
	secret      secret
	key         crypto.Signer    // of private_key_jwt
	keyID       string           // empty: assertions name no key
	toEndpoint  bool             // assertions are addressed to the token endpoint instead of the issuer
	certificate *tls.Certificate // of mutual TLS
}

// secret is a text that nothing prints: fmt asks no method of a field that is not exported, and prints an address here.
type secret struct{ text *string }

func newSecret(text string) secret { return secret{&text} }

// reveal is the text, empty for the zero value.
func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Format implements fmt.Formatter.
func (secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// MarshalText implements encoding.TextMarshaler.
func (secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

func (c *client) readProof(r reader) (err error) {
	p := &c.proof
	if p.method, err = r.oneOf("client_auth", r.in.ClientAuth, authBasic, authPost, authAssertion, authTLS, authSelfSigned, authNone); err != nil {
		return err
	}
	bySecret := p.method == authBasic || p.method == authPost
	byTLS := p.method == authTLS || p.method == authSelfSigned
	for _, needs := range []struct {
		key  string
		does bool
		must bool
	}{{"client_secret", bySecret, true}, {"client_key", byTLS || p.method == authAssertion, true}, {"client_certificate", byTLS, true},
		{"client_key_id", p.method == authAssertion, false}, {"assertion_audience", p.method == authAssertion, false}} {
		if has := r.in.has(needs.key); has && !needs.does {
			return r.errorf(needs.key, "means nothing with client_auth: %s", p.method)
		} else if !has && needs.must && needs.does {
			return r.errorf(needs.key, "%s is wanted with client_auth: %s", needs.key, p.method)
		}
	}
	switch {
	case bySecret:
		p.secret, err = readSecret(r)
	case byTLS:
		p.certificate, err = readKeyPair(r)
	case p.method == authAssertion:
		err = p.readKey(r)
	}
	return err
}

func readSecret(r reader) (secret, error) {
	from := r.in.ClientSecret
	if (from.Env == "") == (from.File == "") {
		return secret{}, r.errorf("client_secret", "is { env: NAME } or { file: PATH }, and never the secret itself")
	}
	text := os.Getenv(from.Env)
	if from.File != "" {
		b, err := r.s.ReadFile(from.File)
		if err != nil {
			return secret{}, r.errorf("client_secret.file", "cannot be read: %v", err)
		}
		text = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	}
	if text == "" {
		return secret{}, r.errorf("client_secret", "is empty")
	}
	if len(text) > 4096 || strings.ContainsAny(text, "\r\n\x00") {
		return secret{}, r.errorf("client_secret", "is more than one line")
	}
	return newSecret(text), nil
}

// readKeyPair reads a certificate chain, leaf first, and its key.
func readKeyPair(r reader) (*tls.Certificate, error) {
	chain, err := r.s.ReadFile(r.in.ClientCertificate)
	if err != nil {
		return nil, r.errorf("client_certificate", "cannot be read: %v", err)
	}
	key, err := r.s.ReadFile(r.in.ClientKey)
	if err != nil {
		return nil, r.errorf("client_key", "cannot be read: %v", err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, r.errorf("client_certificate", "is no certificate in PEM with the key of client_key")
	}
	return &pair, nil
}

func (p *proof) readKey(r reader) error {
	b, err := r.s.ReadFile(r.in.ClientKey)
	if err != nil {
		return r.errorf("client_key", "cannot be read: %v", err)
	}
	if p.key, err = parseKey(b); err != nil {
		return r.errorf("client_key", "%v", err)
	}
	if p.keyID = r.in.ClientKeyID; p.keyID != "" && !elsewhere.Printable(p.keyID, 256) {
		return r.errorf("client_key_id", "is no key id")
	}
	audience, err := r.oneOf("assertion_audience", r.in.AssertionAudience, "issuer", "token_endpoint")
	p.toEndpoint = audience == "token_endpoint"
	return err
}

// parseKey reads a private key in PEM. Its errors hold nothing of it.
func parseKey(b []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(b)
	if block == nil || strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("is not one private key in PEM")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		err = errors.New("another block")
	}
	if err != nil {
		return nil, errors.New("is not one private key in PEM (PKCS #8, PKCS #1 or SEC 1)")
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < minRSA {
			return nil, fmt.Errorf("is an RSA key of less than %d bits", minRSA)
		}
		return k, nil
	case *ecdsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, errors.New("is of none of the types RSA, EC and Ed25519")
}

const minRSA = 2048 // bits

// basic reports whether the secret stands in the header.
func (p *proof) basic() bool { return p.method == authBasic }
