package terminator

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls"
)

// Terminator is the source of the certificates that one terminator sends. It is safe for concurrent use.
type Terminator struct {
	name      string
	shape     *shape
	names     *names
	rules     []*rule
	bounds    Bounds
	client    ClientAddress
	refuses   bool
	checked   bool
	unwrapped bool // RemoteAddr is what a header of the PROXY protocol says
	now       func() time.Time
	known     *cache
}

var _ mtls.Source = (*Terminator)(nil)

// New makes the source that c describes. Whatever is missing or contradicts itself in c is an error.
func New(c Config) (*Terminator, error) {
	t, err := newTerminator(c)
	if err != nil {
		return nil, fmt.Errorf("terminator: %q: %w", c.Name, err)
	}
	return t, nil
}

var (
	errProxies   = errors.New("proxies of the client, and no header with addresses")
	errForwarded = errors.New("a header of pairs (RFC 7239 section 4), and not of addresses alone: have the terminator send X-Forwarded-For")
)

func newTerminator(c Config) (*Terminator, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s, err := newShape(&c)
	if err != nil {
		return nil, err
	}
	if err := c.checkVerdict(s); err != nil {
		return nil, err
	}
	s.excused = c.VerifiedHere
	t := &Terminator{
		name: c.Name, shape: s, bounds: c.Bounds, client: c.Client, refuses: c.OnUntrusted == Refuse,
		checked:   !s.unverified && !c.VerifiedHere,
		unwrapped: c.ProxyProtocol, now: c.Now, known: newCache(),
	}
	if t.now == nil {
		t.now = time.Now
	}
	if err := t.takeRules(c.Trust); err != nil {
		return nil, err
	}
	return t, t.takeClient()
}

func (t *Terminator) takeRules(rules []Rule) error {
	var secrets []string
	for _, r := range rules {
		one, err := newRule(r)
		if err != nil {
			return err
		}
		t.rules = append(t.rules, one)
		if one.header != "" && !slices.Contains(secrets, one.header) {
			secrets = append(secrets, one.header)
		}
	}
	var err error
	t.names, err = newNames(t.shape, secrets...)
	return err
}

func (t *Terminator) takeClient() error {
	if t.client.Header == "" {
		if len(t.client.Proxies) > 0 {
			return errProxies
		}
		return nil
	}
	var err error
	if t.client.Header, err = canonical(t.client.Header); err != nil {
		return err
	}
	if t.client.Header == "Forwarded" {
		return errForwarded
	}
	if exact, alias := t.names.is(t.client.Header); exact || alias {
		return fmt.Errorf("%q: %w", t.client.Header, errSameHeader)
	}
	return checkNetworks(t.client.Proxies)
}

// PeerCertChain implements [mtls.Source]: the chain that the terminator sent, the zero value where it says that the client
// has no certificate, and where somebody else sent the request. The headers are removed from the request.
func (t *Terminator) PeerCertChain(r *http.Request) (factors.PeerCertChain, error) {
	seen := t.See(r)
	return seen.Chain, seen.Refused
}

// See is PeerCertChain with all that the request says about its sender. mtls.Middleware calls it.
func (t *Terminator) See(r *http.Request) peer.Seen {
	from, handed := peerOf(r)
	exact, alias := t.names.scan(r.Header)
	trust, trusted := t.trusts(r, from, handed)
	if !trusted {
		return t.seeStranger(r, exact, alias, from, handed)
	}
	seen := peer.Seen{Client: t.client.clientOf(r.Header)}
	seen.Chain, seen.Refused = t.chain(r, trust, alias)
	t.names.removeAll(r, exact, alias)
	return seen
}

// trusts finds the rule by which a request is the terminator's.
func (t *Terminator) trusts(r *http.Request, from netip.Addr, handed bool) (string, bool) {
	if t.unwrapped && !handed {
		from = netip.Addr{}
	}
	for _, rule := range t.rules {
		if trust, ok := rule.holds(r, from, t.now); ok {
			return trust, true
		}
	}
	return "", false
}

// seeStranger is for whoever is not the terminator. What a header of the PROXY protocol says of his address is no better
// than what he says of certificates.
func (t *Terminator) seeStranger(r *http.Request, exact, alias bool, from netip.Addr, handed bool) (seen peer.Seen) {
	if handed {
		seen.Client = from
	}
	if announced := t.names.removeAll(r, exact, alias); !exact && !alias && !announced {
		return seen
	}
	why := factors.Reject(ReasonSender, "%s: not by any rule of trust", t.name)
	if t.refuses {
		seen.Refused = why
	} else {
		seen.Removed = why
	}
	return seen
}

// chain reads what the terminator sent.
func (t *Terminator) chain(r *http.Request, trust string, alias bool) (peer.Chain, error) {
	if alias {
		return peer.Chain{}, factors.Reject(ReasonAlias, "a header that passes for one of the terminator's")
	}
	v, err := t.shape.read(r.Header, t.bounds)
	if err != nil || v == (sent{}) {
		return peer.Chain{}, err
	}
	k := t.known.find(v)
	if k == nil {
		certificates, err := t.shape.decode(v, t.bounds, &t.known.hints)
		if err != nil {
			return peer.Chain{}, err
		}
		k = t.known.add(v, certificates)
	}
	return peer.New(k.certificates, peer.Source{Name: t.name, Early: early(r), Trust: trust, Checked: t.checked}, k.memo), nil
}

// early reports whether a request can be a replay: of the terminator's own connection, or, as it says itself, of the
// client's (RFC 8470 section 5.1).
func early(r *http.Request) bool {
	return r.TLS != nil && !r.TLS.HandshakeComplete || len(r.Header["Early-Data"]) > 0
}
