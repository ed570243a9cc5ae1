// Package peer holds the type behind factors.PeerCertChain, so that only code below factors/ can make one.
package peer

import (
	"context"
	"crypto/x509"
	"sync"
)

// Source says where a chain was seen, and why it may be believed.
type Source struct {
	Name    string // "tls" for this connection's handshake, or the name of a terminator
	Resumed bool   // the TLS session was resumed: the handshake proved the key, and verified nothing anew
	Early   bool   // sent before the handshake was complete (0-RTT): it can be replayed
	Trust   string // the rule by which the terminator was trusted; empty for "tls"
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

// Memo keeps one value for each key for as long as a connection lives. It is safe for concurrent use.
type Memo struct{ values sync.Map }

// Load returns what was stored for key.
func (m *Memo) Load(key any) (any, bool) {
	if m == nil {
		return nil, false
	}
	return m.values.Load(key)
}

// Store keeps a value for key.
func (m *Memo) Store(key, value any) {
	if m != nil {
		m.values.Store(key, value)
	}
}

type contextKey struct{}

type entry struct {
	chain   Chain
	refusal error
}

// With puts a chain into a context.
func With(ctx context.Context, c Chain) context.Context {
	return context.WithValue(ctx, contextKey{}, &entry{chain: c})
}

// WithRefusal records in a context that a chain was refused, and why.
func WithRefusal(ctx context.Context, why error) context.Context {
	return context.WithValue(ctx, contextKey{}, &entry{refusal: why})
}

// From reads the chain of a context: the zero Chain where there is none, an error where one was refused. seen says that a
// middleware looked at all.
func From(ctx context.Context) (c Chain, seen bool, refusal error) {
	e, ok := ctx.Value(contextKey{}).(*entry)
	if !ok {
		return Chain{}, false, nil
	}
	return e.chain, true, e.refusal
}
