// Package peer holds the type behind factors.PeerCertChain, so that only code below factors/ can make one.
package peer

import (
	"context"
	"crypto/x509"
	"net/netip"
	"sync"
)

// Source says where a chain was seen, and why it may be believed.
type Source struct {
	Name    string // "tls" for this connection's handshake, or the name of a terminator
	Resumed bool   // the TLS session was resumed: the handshake proved the key, and verified nothing anew
	Early   bool   // sent before the handshake was complete (0-RTT): it can be replayed
	Trust   string // the rule by which the terminator was trusted; empty for "tls"
	// Checked says that the terminator lets only certificates through that it verified, by its own word. Nothing relies on
	// it: the factor verifies all the same.
	Checked bool
}

// Chain is the certificate chain that a peer has proven to hold the leaf key of. The zero value is none.
type Chain struct {
	certificates []*x509.Certificate
	source       Source
	memo         *Memo
}

// New makes a chain, leaf first. memo may be nil.
func New(certificates []*x509.Certificate, source Source, memo *Memo) Chain {
	return Chain{certificates, source, memo}
}

// Present reports whether there is a certificate at all.
func (c Chain) Present() bool { return len(c.certificates) > 0 }

// Leaf is the peer's certificate, nil where there is none. It must not be changed.
func (c Chain) Leaf() *x509.Certificate {
	if !c.Present() {
		return nil
	}
	return c.certificates[0]
}

// Certificates is the chain as it was presented, leaf first. All but the leaf are hints. It must not be changed.
func (c Chain) Certificates() []*x509.Certificate { return c.certificates }

// Source says where the chain was seen.
func (c Chain) Source() Source { return c.source }

// Memo is the slot of the connection, nil where there is none.
func (c Chain) Memo() *Memo { return c.memo }

// Memo keeps one value for each key for as long as a connection lives, or for as long as a terminator remembers a
// certificate. It is safe for concurrent use.
type Memo struct {
	values sync.Map
	stored func()
}

// NewMemo makes a memo that calls stored after each Store. Factors store what they verified, and nothing else.
func NewMemo(stored func()) *Memo { return &Memo{stored: stored} }

// Load returns what was stored for key.
func (m *Memo) Load(key any) (any, bool) {
	if m == nil {
		return nil, false
	}
	return m.values.Load(key)
}

// Store keeps a value for key.
func (m *Memo) Store(key, value any) {
	if m == nil {
		return
	}
	m.values.Store(key, value)
	if m.stored != nil {
		m.stored()
	}
}

// Seen is what a source of certificates saw of one request.
type Seen struct {
	Chain   Chain
	Refused error      // what was presented is refused; then there is no chain
	Removed error      // headers of somebody who is not the terminator were removed; nil: there were none
	Client  netip.Addr // of the client; invalid: the connection's
	Reads   *Reads     // what the source reads; nil: no middleware looked
}

type contextKey struct{}

// With puts what was seen into a context.
func With(ctx context.Context, s Seen) context.Context {
	if s.Refused != nil {
		s.Chain = Chain{}
	}
	return context.WithValue(ctx, contextKey{}, &s)
}

// From reads what a middleware saw: the zero Seen where none looked.
func From(ctx context.Context) Seen {
	if s, ok := ctx.Value(contextKey{}).(*Seen); ok {
		return *s
	}
	return Seen{}
}
