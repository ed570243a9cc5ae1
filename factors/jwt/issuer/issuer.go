package issuer

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

// Bounds of a token's life.
const (
	DefaultLifetime = 5 * time.Minute
	MaxLifetime     = time.Hour
)

// Config is what an issuer is made of.
type Config struct {
	// URL is the issuer identifier: https, without query and fragment (RFC 8414 section 2).
	URL  string
	Keys *Keys
	// Audiences are those for whom tokens may be made, Scopes what they may allow. What is not here is not minted.
	Audiences []string
	Scopes    []string
	// Lifetime is how long a token lives at the most. Zero means DefaultLifetime; more than MaxLifetime is an error.
	Lifetime time.Duration
	// Now is the clock; nil means time.Now. Rand makes the ids of tokens; nil means crypto/rand.Reader.
	Now  func() time.Time
	Rand io.Reader
}

// Issuer mints tokens. It is safe for concurrent use.
type Issuer struct{ config Config }

// New makes an issuer. It fails where something required is missing or cannot be.
func New(c Config) (*Issuer, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.HasSuffix(c.URL, "/"):
		return nil, errors.New("issuer: URL must be https, with a host, and without query, fragment or a slash at its end")
	case c.Keys == nil:
		return nil, errors.New("issuer: Config needs Keys")
	case len(c.Audiences) == 0 || slices.Contains(c.Audiences, ""):
		return nil, errors.New("issuer: Config needs Audiences, none of them empty")
	case c.Lifetime < 0 || c.Lifetime > MaxLifetime:
		return nil, fmt.Errorf("issuer: a token lives for at most %v", MaxLifetime)
	case slices.ContainsFunc(c.Scopes, func(v string) bool { return !isScope(v) }):
		return nil, errors.New("issuer: a scope is one word of RFC 6749 section 3.3")
	}
	if c.Lifetime == 0 {
		c.Lifetime = DefaultLifetime
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &Issuer{c}, nil
}

func isScope(v string) bool {
	return v != "" && !strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' })
}

// Grant is what a token is made from.
type Grant struct {
	// Principal is who is signed in: what session.Session.Grant gives, asked for with this request.
	Principal authn.Principal
	Session   string                // its public id
	Peer      factors.PeerCertChain // of this request; needed where the principal is tied to a certificate
	Audience  string
	Scopes    []string      // may be empty
	Lifetime  time.Duration // zero: as long as the issuer allows; more than that is cut
}

// Token is a token that was minted. Text is the secret.
type Token struct {
	Text    string
	ID      string // jti, by which it can be denied
	Expires time.Time
}

// Why nothing is minted.
var (
	ErrRequestAlone = errors.New("issuer: a request that is authenticated by itself mints nothing")
	ErrNobody       = errors.New("issuer: nobody is signed in")
	ErrOver         = errors.New("issuer: the session, or what it rests on, is over")
	ErrCertificate  = errors.New("issuer: the request does not carry the certificate that the session is tied to")
	ErrAudience     = errors.New("issuer: tokens are not made for this audience")
	ErrScope        = errors.New("issuer: tokens may not allow this scope")
)

// Mint makes a token. It fails with one of the errors above, or where no key can sign.
func (i *Issuer) Mint(ctx context.Context, g Grant) (Token, error) {
	now := i.config.Now()
	if err := ctx.Err(); err != nil {
		return Token{}, err
	}
	if err := i.may(g, now); err != nil {
		return Token{}, err
	}
	key, err := i.config.Keys.signing(now)
	if err != nil {
		return Token{}, err
	}
	id := make([]byte, 16)
	if _, err := io.ReadFull(i.config.Rand, id); err != nil {
		return Token{}, fmt.Errorf("issuer: no randomness: %w", err)
	}
	c := i.claims(g, now)
	c.ID = base64.RawURLEncoding.EncodeToString(id)
	text, err := jose.Sign(jose.Header{Kid: key.kid, Typ: "at+jwt"}, c, key.private, algorithm)
	if err != nil {
		return Token{}, fmt.Errorf("issuer: %w", err)
	}
	return Token{Text: text, ID: c.ID, Expires: time.Unix(c.Expires, 0).UTC()}, nil
}

// may says why a grant gets no token.
func (i *Issuer) may(g Grant, now time.Time) error {
	p := &g.Principal
	switch {
	case p.Method.EachRequest:
		return ErrRequestAlone
	case p.Subject.User == "" || p.Subject.Tenant == "" || p.Names.User == "" || g.Session == "" || p.Login == "":
		return ErrNobody
	case !now.Add(time.Second).Before(p.Deadline) || slices.ContainsFunc(expiries(p), func(at time.Time) bool { return !at.IsZero() && !now.Add(time.Second).Before(at) }):
		return ErrOver
	case !slices.Contains(i.config.Audiences, g.Audience):
		return ErrAudience
	case slices.ContainsFunc(g.Scopes, func(v string) bool { return !slices.Contains(i.config.Scopes, v) }):
		return ErrScope
	}
	return tied(p, g.Peer)
}

// tied holds the request to the certificate of the session, as far as can be seen from here: the engine has verified it.
func tied(p *authn.Principal, peer factors.PeerCertChain) error {
	tie, ok := p.Tie()
	if !ok {
		return nil
	}
	if !peer.Present() {
		return ErrCertificate
	}
	marks := factors.MarksOf(peer.Leaf())
	switch tie.Bind {
	case authn.BindKey:
		ok = marks.Key == tie.Key
	case authn.BindCertificate:
		ok = marks.Certificate == tie.Certificate
	case authn.BindIdentity: // who the certificate speaks for is for the engine to see
	default:
		ok = false
	}
	if !ok {
		return ErrCertificate
	}
	return nil
}
