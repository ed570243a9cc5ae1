package terminator

import (
	"crypto/x509"
	"strings"
	"sync"

	"github.com/sallyport-auth/sallyport/factors/internal/peer"
)

// Bounds of what is remembered.
const (
	maxRemembered      = 4096     // certificates
	maxRememberedBytes = 16 << 20 // of what was sent of them
)

// known is a certificate that was sent before, and what factors found out about it.
type known struct {
	certificates []*x509.Certificate
	memo         *peer.Memo
}

// cache remembers certificates by all that was sent of them, byte for byte. One comes in when a factor has verified it, so
// that nobody can push others out with certificates of his own making. It keeps what was asked for last: when the younger
// half is full, it becomes the older half, and what nobody asked for since is forgotten.
type cache struct {
	mu         sync.RWMutex
	young, old map[sent]*known
	bytes      int // of young
	most, full int // entries and bytes of one half
	hints      hints
}

func newCache() *cache {
	return &cache{young: map[sent]*known{}, most: maxRemembered / 2, full: maxRememberedBytes / 2}
}

// find looks a certificate up.
func (c *cache) find(v sent) *known {
	c.mu.RLock()
	k, old := c.young[v], (*known)(nil)
	if k == nil {
		old = c.old[v]
	}
	c.mu.RUnlock()
	if old != nil {
		c.keep(v, old)
		return old
	}
	return k
}

// keep takes a certificate in, or to the younger half.
func (c *cache) keep(v sent, k *known) {
	if len(k.certificates) > 1 {
		c.hints.keep(k.certificates[1:])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young[v] != nil {
		return
	}
	size := len(v.leaf) + len(v.chain) + len(v.hash)
	if len(c.young) >= c.most || c.bytes+size > c.full {
		c.young, c.old, c.bytes = map[sent]*known{}, c.young, 0
	}
	// The strings of a request may be part of something larger.
	c.young[sent{strings.Clone(v.leaf), strings.Clone(v.chain), strings.Clone(v.hash)}] = k
	c.bytes += size
}

// add is a certificate that was not sent before: it is remembered once a factor has verified it.
func (c *cache) add(v sent, certificates []*x509.Certificate) *known {
	k := &known{certificates: certificates}
	k.memo = peer.NewMemo(func() { c.keep(v, k) })
	return k
}
