package sessionhttp

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// certificates finds out whether client certificates get as far as here. Where they do not, nobody can sign in with one,
// and every answer says no more than that one is required: operators are told once.
type certificates struct {
	engine *session.Engine
	seen   atomic.Bool // one did
	told   sync.Once
}

// note looks at what a request carries.
func (c *certificates) note(r *http.Request, peer factors.PeerCertChain, refused error) {
	if peer.Present() || refused != nil {
		if !c.seen.Load() {
			c.seen.Store(true)
		}
		return
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && !c.seen.Load() && c.wanted() {
		c.tell(r.Context(), "a client certificate came with the connection and was not read: mtls.Middleware must stand before Middleware")
	}
}

// missed looks at a refusal.
func (c *certificates) missed(r *http.Request, err error) {
	if errors.Is(err, session.ErrCertificateRequired) && !c.seen.Load() {
		c.tell(r.Context(), "a client certificate is required, and no request has carried one so far. If this was not just a visitor without one: "+
			"mtls.Middleware must stand before Middleware, and the server, or the terminator that it trusts, must ask for certificates")
	}
}

func (c *certificates) tell(ctx context.Context, what string) {
	c.told.Do(func() { c.engine.Log().WarnContext(ctx, what) })
}

// wanted reports whether the policy has a factor that a connection's certificate is for.
func (c *certificates) wanted() bool {
	for _, f := range c.engine.Policy().Factors {
		if f.Ambient && f.Tied {
			return true
		}
	}
	return false
}
