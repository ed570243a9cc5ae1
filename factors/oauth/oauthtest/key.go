package oauthtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// key signs tokens.
type key struct {
	id  string
	alg string
	key crypto.Signer
}

func newKey(alg string) *key {
	k := &key{id: rand.Text()[:12], alg: alg}
	var err error
	switch alg {
	case "ES256":
		k.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		k.key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, k.key, err = ed25519.GenerateKey(rand.Reader)
	default:
		panic(fmt.Sprintf("oauthtest: %q is no algorithm that ID tokens are signed with here", alg))
	}
	if err != nil {
		panic(err) // the system has no random numbers
	}
	return k
}

// public is the public key in PEM: what some take for the secret of an HMAC.
func (k *key) public() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.key.Public())
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// signature is that of a JWS (RFC 7515, RFC 7518 section 3, RFC 8037).
func (k *key) signature(input string) []byte {
	sum := sha256.Sum256([]byte(input))
	switch private := k.key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
		if err != nil {
			panic(err)
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out
	case *rsa.PrivateKey:
		out, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
		if err != nil {
			panic(err)
		}
		return out
	case ed25519.PrivateKey:
		return ed25519.Sign(private, []byte(input))
	}
	panic("oauthtest: a key that cannot sign")
}

// signer makes the last part of a token from the two before it.
type signer func(input string) []byte

func compact(alg, kid, typ string, payload []byte, sign signer) string {
	header := map[string]string{"alg": alg}
	if kid != "" {
		header["kid"] = kid
	}
	if typ != "" {
		header["typ"] = typ
	}
	h, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	e := base64.RawURLEncoding
	input := e.EncodeToString(h) + "." + e.EncodeToString(payload)
	return input + "." + e.EncodeToString(sign(input))
}

// sign signs a payload with the current key, or as the lie wants it.
func (p *Provider) sign(typ string, payload []byte, clientSecret string) string {
	p.mu.Lock()
	k, hidden, lie := p.keys[len(p.keys)-1], p.hidden, p.lie
	p.mu.Unlock()
	hmacWith := func(secret []byte) signer {
		return func(input string) []byte {
			h := hmac.New(sha256.New, secret)
			h.Write([]byte(input))
			return h.Sum(nil)
		}
	}
	switch lie {
	case AlgNone, LogoutUnsigned:
		return compact("none", "", typ, payload, func(string) []byte { return nil })
	case HMACWithPublicKey:
		return compact("HS256", k.id, typ, payload, hmacWith(k.public()))
	case HMACWithSecret:
		return compact("HS256", "", typ, payload, hmacWith([]byte(clientSecret)))
	case KeyUnpublished:
		return compact(hidden.alg, hidden.id, typ, payload, hidden.signature)
	case KidOfAnother:
		return compact(hidden.alg, k.id, typ, payload, hidden.signature)
	}
	return compact(k.alg, k.id, typ, payload, k.signature)
}

// Rotate makes a new key, which signs from now on. The keys before it stay published until Forget.
func (p *Provider) Rotate() {
	k := newKey(p.config.Algorithm)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = append(p.keys, k)
}

// Forget publishes the key that signs now and no other.
func (p *Provider) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = p.keys[len(p.keys)-1:]
}

func (p *Provider) keySet(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	keys, lie, released := p.keys, p.lie, p.released
	p.mu.Unlock()
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.key.Public(), KeyID: k.id, Algorithm: k.alg, Use: "sig"})
	}
	switch {
	case lie == KeysSlow:
		select {
		case <-r.Context().Done():
			return
		case <-released:
		}
	case lie == KeysHuge:
		answerHuge(w, set)
		return
	case lie == KeysRedirected && !p.redirected(r):
		p.redirect(w, r, KeysEndpoint)
		return
	}
	answer(w, http.StatusOK, set)
}

// answerHuge is a good document with 8 MB of white space before its end.
func answerHuge(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b[:len(b)-1])
	space := strings.Repeat(" ", 1<<16)
	for range 8 << 20 / len(space) {
		if _, err := w.Write([]byte(space)); err != nil {
			return
		}
	}
	_, _ = w.Write(b[len(b)-1:])
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
