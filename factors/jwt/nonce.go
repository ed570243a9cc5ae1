package jwt

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn/policy"
)

const (
	nonceLife = 5 * time.Minute
	minKey    = 32 // bytes
	maxKey    = 4096
)

// nonces makes and knows nonces for proofs (RFC 9449 section 8). Each says when it was made, under a MAC: nothing is kept.
type nonces struct{ key []byte }

// newNonces has the key of the policy, or one of this process alone. It is nil where the policy asks for no nonces.
func newNonces(s *Settings, random io.Reader) (*nonces, error) {
	if !s.nonce {
		return nil, nil
	}
	key := s.nonceKey
	if key == nil {
		key = make([]byte, minKey)
		if _, err := io.ReadFull(random, key); err != nil {
			return nil, fmt.Errorf("jwt: no randomness: %w", err)
		}
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("nonces of " + s.name)) // factors that share a key file share no nonces
	return &nonces{mac.Sum(nil)}, nil
}

// fresh makes a nonce.
func (n *nonces) fresh(now time.Time) string {
	made := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(made, n.mac(made)...))
}

func (n *nonces) mac(made []byte) []byte {
	mac := hmac.New(sha256.New, n.key)
	mac.Write(made)
	return mac.Sum(nil)[:16]
}

// good reports whether a nonce was made here, not longer than nonceLife ago. leeway is between the clocks of instances.
func (n *nonces) good(nonce string, now time.Time, leeway time.Duration) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(b) != 24 || !hmac.Equal(n.mac(b[:8]), b[8:]) {
		return false
	}
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint64(b)), 0))
	return age >= -leeway && age <= nonceLife
}

func (out *Settings) readNonce(s *policy.Section, w written) error {
	switch {
	case w.Nonce == "" && w.NonceKey == "":
		return nil
	case w.Nonce == "":
		return s.Errorf("dpop_nonce_key", "means nothing without dpop_nonce: required")
	case w.Nonce != string(required):
		return s.Errorf("dpop_nonce", "is required, or left out")
	case out.dpop == off:
		return s.Errorf("dpop_nonce", "means nothing beside dpop: off")
	}
	out.nonce = true
	if w.NonceKey == "" {
		return nil
	}
	b, err := s.ReadFile(w.NonceKey)
	if err != nil {
		return s.Errorf("dpop_nonce_key", "%v", err)
	}
	out.nonceKey = []byte(strings.TrimSpace(string(b)))
	if len(out.nonceKey) < minKey || len(out.nonceKey) > maxKey {
		return s.Errorf("dpop_nonce_key", "is a file of %d to %d bytes, all of them random", minKey, maxKey)
	}
	return nil
}
