package terminator

import (
	"crypto/x509"
	"sync"
)

// maxHints bounds how many certificates of chains are remembered.
const maxHints = 256

// hints remembers certificates that came with one which a factor has verified: the same few CAs come with everybody. They
// are parsed, and no more is said of them.
type hints struct {
	mu    sync.RWMutex
	byDER map[string]*x509.Certificate
}

func (h *hints) find(der []byte) *x509.Certificate {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.byDER[string(der)]
}

func (h *hints) keep(chain []*x509.Certificate) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range chain {
		if h.byDER == nil || len(h.byDER) >= maxHints {
			h.byDER = map[string]*x509.Certificate{}
		}
		h.byDER[string(c.Raw)] = c
	}
}

// parse reads DER, leaf first, with nothing behind each.
func (h *hints) parse(ders [][]byte) ([]*x509.Certificate, error) {
	out := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		if i > 0 {
			if out[i] = h.find(der); out[i] != nil {
				continue
			}
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, malformed("certificate %d cannot be read", i)
		}
		out[i] = c
	}
	return out, nil
}
