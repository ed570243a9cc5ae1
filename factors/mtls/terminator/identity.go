package terminator

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Identity is who the terminator is by the client certificate of its own connection to this program. The certificate is
// verified on the request, whatever the handshake did.
type Identity struct {
	// CAs are those that may have issued it, for client authentication. Required.
	CAs *x509.CertPool
	// Keys are SHA-256 digests of public keys (SubjectPublicKeyInfo), in lower-case hexadecimal.
	Keys []string
	// IDs are SPIFFE ids, byte for byte. A certificate with more than one URI has none.
	IDs []string
}

var (
	errCAs  = errors.New("an identity needs CAs to verify the terminator's certificate with")
	errPins = errors.New("an identity needs Keys, 64 hexadecimal digits in lower case, or IDs, SPIFFE ids: a CA alone names nobody")
)

// identity is an Identity, ready to be asked.
type identity struct {
	cas  *x509.CertPool
	keys [][sha256.Size]byte
	ids  []string

	mu       sync.RWMutex
	verified map[[sha256.Size]byte]window // by the certificate; only those that are the terminator's
}

// window is when a path is valid: from and until are part of it.
type window struct{ from, until time.Time }

// maxVerified bounds how many certificates of terminators are remembered.
const maxVerified = 256

func newIdentity(i *Identity) (*identity, error) {
	if i.CAs == nil || i.CAs.Equal(x509.NewCertPool()) {
		return nil, errCAs
	}
	out := &identity{cas: i.CAs, ids: slices.Clone(i.IDs), verified: map[[sha256.Size]byte]window{}}
	for _, key := range i.Keys {
		b, err := hex.DecodeString(key)
		if err != nil || len(b) != sha256.Size || key != strings.ToLower(key) {
			return nil, errPins
		}
		out.keys = append(out.keys, [sha256.Size]byte(b))
	}
	for _, id := range i.IDs {
		if known, err := spiffeid.FromString(id); err != nil || known.String() != id {
			return nil, errPins
		}
	}
	if len(out.keys)+len(out.ids) == 0 {
		return nil, errPins
	}
	return out, nil
}

// is reports whether a connection is the terminator's.
func (i *identity) is(c *tls.ConnectionState, now time.Time) bool {
	if c == nil || !c.HandshakeComplete || len(c.PeerCertificates) == 0 {
		return false
	}
	leaf := c.PeerCertificates[0]
	mark := sha256.Sum256(leaf.Raw)
	i.mu.RLock()
	w, known := i.verified[mark]
	i.mu.RUnlock()
	if known && !now.Before(w.from) && !now.After(w.until) {
		return true
	}
	if !i.pinned(leaf) {
		return false
	}
	w, ok := i.verify(c.PeerCertificates, now)
	if !ok {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.verified) >= maxVerified {
		clear(i.verified)
	}
	i.verified[mark] = w
	return true
}

func (i *identity) pinned(leaf *x509.Certificate) bool {
	if slices.Contains(i.keys, sha256.Sum256(leaf.RawSubjectPublicKeyInfo)) {
		return true
	}
	return len(leaf.URIs) == 1 && slices.Contains(i.ids, leaf.URIs[0].String())
}

// verify builds the path of the terminator's certificate (RFC 5280 section 6).
func (i *identity) verify(presented []*x509.Certificate, now time.Time) (window, bool) {
	hints := x509.NewCertPool()
	for _, c := range presented[1:min(len(presented), maxCertificates)] {
		hints.AddCert(c)
	}
	chains, err := presented[0].Verify(x509.VerifyOptions{
		Roots: i.cas, Intermediates: hints, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return window{}, false
	}
	w := window{chains[0][0].NotBefore, chains[0][0].NotAfter}
	for _, c := range chains[0][1:] {
		if c.NotBefore.After(w.from) {
			w.from = c.NotBefore
		}
		if c.NotAfter.Before(w.until) {
			w.until = c.NotAfter
		}
	}
	return w, true
}
