package mtls

import (
	"context"
	"net/http"
	"slices"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
)

// SourceTLS is the name of the source that is this program's own TLS connection.
const SourceTLS = "tls"

// Source is one place where client certificates are seen. A listener has exactly one: behind a terminator, the
// connection's own certificate is the terminator's.
type Source interface {
	// PeerCertChain reads the chain of a request, the zero value where the client sent no certificate. It may delete
	// headers of the request that nothing behind it should read. An error says that a certificate was presented in a way
	// that is refused; a [*factors.Rejection] carries the reason. Safe for concurrent use.
	PeerCertChain(r *http.Request) (factors.PeerCertChain, error)
}

// Middleware puts the chain that src sees into the context of each request, where [factors.PeerCertChainFrom] reads it.
// It never answers a request itself: a refusal is recorded in the context too.
func Middleware(src Source) func(http.Handler) http.Handler {
	reads := new(peer.Reads)
	if reader, ok := src.(reader); ok {
		reads = reader.Reads()
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen := see(src, r)
			seen.Reads = reads
			next.ServeHTTP(w, r.WithContext(peer.With(r.Context(), seen)))
		})
	}
}

// reader is a source that reads headers, and tells which. They don't change.
type reader interface{ Reads() *peer.Reads }

// witness is a source that knows more of a request than its chain.
type witness interface {
	Source
	See(*http.Request) peer.Seen
}

func see(src Source, r *http.Request) peer.Seen {
	if w, ok := src.(witness); ok {
		return w.See(r)
	}
	chain, err := src.PeerCertChain(r)
	return peer.Seen{Chain: chain, Refused: err}
}

// FromTLS sees the certificate of this program's own TLS connection, over HTTP/1.1, 2 and 3. What the handshake said
// about the chain is not relied on, only that it proved the leaf's key.
func FromTLS() Source { return fromTLS{} }

type fromTLS struct{}

// PeerCertChain implements [Source].
func (fromTLS) PeerCertChain(r *http.Request) (factors.PeerCertChain, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return factors.PeerCertChain{}, nil
	}
	if err := checkBounds(r.TLS.PeerCertificates); err != nil {
		return factors.PeerCertChain{}, err
	}
	source := peer.Source{Name: SourceTLS, Resumed: r.TLS.DidResume, Early: !r.TLS.HandshakeComplete}
	var memo *peer.Memo
	if !source.Early {
		memo, _ = r.Context().Value(connKey{}).(*peer.Memo)
	}
	return peer.New(slices.Clip(r.TLS.PeerCertificates), source, memo), nil
}

type connKey struct{}

// WithConn makes room in the context of a connection to remember what its certificate proved. It is for ConnContext:
//
//	server := &http.Server{ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return mtls.WithConn(ctx) }}
//
// Without it everything works, and each request verifies anew.
func WithConn(ctx context.Context) context.Context {
	return context.WithValue(ctx, connKey{}, new(peer.Memo))
}
