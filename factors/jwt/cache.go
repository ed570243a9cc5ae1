package jwt

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
)

// maxVerified is how many verified tokens are remembered.
const maxVerified = 10_000

// entry is a token that was verified: what it says, and under which keys.
type entry struct {
	statement
	generation uint64
	found      atomic.Pointer[lookup]
}

// lookup is the directory's answer about the user of a token, and when it gave it.
type lookup struct {
	at   time.Time
	user factors.User
}

// name names a token, for a tenant, without telling anything of it: a SHA-256 with a secret of this process before it.
type name [sha256.Size]byte

// cache remembers verified tokens, the most lately used ones. Nothing that was refused gets into it, so nobody without good
// tokens can push any out. It is safe for concurrent use.
type cache struct {
	secret [sha256.Size]byte
	half   int // entries of each of the two maps

	mu         sync.RWMutex
	young, old map[name]*entry
}

func newCache(random io.Reader) (*cache, error) {
	c := &cache{half: maxVerified / 2, young: map[name]*entry{}}
	if _, err := io.ReadFull(random, c.secret[:]); err != nil {
		return nil, fmt.Errorf("jwt: no randomness: %w", err)
	}
	return c, nil
}

func (c *cache) name(tenant, token string) name {
	text := append(make([]byte, 0, 2<<10), c.secret[:]...) // on the stack: tokens are rarely longer
	text = binary.BigEndian.AppendUint64(text, uint64(len(tenant)))
	text = append(append(text, tenant...), token...)
	return sha256.Sum256(text)
}

// get is what is remembered of a token that was verified under keys of a generation; nil: nothing is.
func (c *cache) get(n name, generation uint64) *entry {
	c.mu.RLock()
	e, young := c.young[n]
	if !young {
		e = c.old[n]
	}
	c.mu.RUnlock()
	if e == nil || e.generation != generation {
		return nil
	}
	if !young {
		c.put(n, e)
	}
	return e
}

// put remembers a token. When the younger half is full, the older one is forgotten.
func (c *cache) put(n name, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.young[n]; !there && len(c.young) >= c.half {
		c.old, c.young = c.young, make(map[name]*entry, c.half)
	}
	c.young[n] = e
}
