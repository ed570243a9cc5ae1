package terminator

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

type peerKey struct{}

// WithPeer puts the address of who opened a connection into its context, where the listener takes the PROXY protocol and
// RemoteAddr is therefore what a header of that protocol says. It is for ConnContext:
//
//	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
//		return terminator.WithPeer(ctx, c.(*proxied.Conn).Raw().RemoteAddr())
//	}
//
// With TLS on top, c is a *tls.Conn, and its NetConn is the listener's. An address that is no IP address is nobody's.
func WithPeer(ctx context.Context, peer net.Addr) context.Context {
	var a netip.Addr
	if peer != nil {
		a = addressOf(peer.String())
	}
	return context.WithValue(ctx, peerKey{}, a)
}

// peerOf is who opened the connection of a request. handed says that a listener said so.
func peerOf(r *http.Request) (a netip.Addr, handed bool) {
	if a, ok := r.Context().Value(peerKey{}).(netip.Addr); ok {
		return a, true
	}
	return addressOf(r.RemoteAddr), false
}

// addressOf is the address of a host and port, or of a host alone; the zero Addr where it is none. One with a zone is none.
func addressOf(s string) netip.Addr {
	if strings.HasPrefix(s, "[") || strings.Count(s, ":") == 1 {
		if ap, err := netip.ParseAddrPort(s); err == nil {
			return plain(ap.Addr())
		}
	}
	a, _ := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return plain(a)
}

func plain(a netip.Addr) netip.Addr {
	if a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}

// clientOf is the client that the terminator names: the last address of the header that is no proxy's. What stands before
// it is the client's own invention.
func (c *ClientAddress) clientOf(h http.Header) netip.Addr {
	var last netip.Addr
	values := h[c.Header]
	for i := len(values) - 1; i >= 0; i-- {
		for rest, more := values[i], true; more; {
			var hop string
			if at := strings.LastIndexByte(rest, ','); at >= 0 {
				rest, hop = rest[:at], rest[at+1:]
			} else {
				hop, more = rest, false
			}
			a := addressOf(strings.Trim(hop, " \t"))
			if !a.IsValid() {
				return last
			}
			if last = a; !inside(c.Proxies, a) {
				return a
			}
		}
	}
	return last
}
