package jose

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/sallyport-auth/sallyport/authn"
)

const (
	// MaxSet bounds a set of keys where the caller says nothing else, in bytes.
	MaxSet = 256 << 10

	maxKeys       = 256
	maxCandidates = 4
)

// Set is keys that may have signed a token. It is not changed once it is made, so it is safe for concurrent use. The zero
// value holds none.
type Set struct {
	Keys    []Key
	Skipped []Skipped
	named   map[string][]Key
	unnamed []Key
}

// Skipped is a key of a set that is not used.
type Skipped struct {
	Index int    // its place in the set
	Kid   string // its name, where it could be read
	Why   authn.Reason
}

// ParseSet reads a JWK set (RFC 7517 section 5) of at most max bytes; 0 is [MaxSet]. A key that cannot be used is skipped,
// and a set may be left with none. Every error is a *[Fault].
func ParseSet(b []byte, max int) (Set, error) {
	if max <= 0 {
		max = MaxSet
	}
	if len(b) > max {
		return Set{}, fault(ReasonSetTooLarge)
	}
	o, err := readObject(string(b), []string{"keys"}, ReasonSet)
	if err != nil {
		return Set{}, err
	}
	v := o.value("keys")
	if v == "" {
		return Set{}, fault(ReasonSet)
	}
	all, ok := elements(v)
	if !ok {
		return Set{}, fault(ReasonSet)
	}
	if len(all) > maxKeys {
		return Set{}, fault(ReasonSetTooLarge)
	}
	var s Set
	for i, e := range all {
		k, err := ParseKey([]byte(e))
		if err == nil {
			err = s.add(k)
		}
		if err != nil {
			s.Skipped = append(s.Skipped, Skipped{i, kidOf(e), reason(err)})
		}
	}
	return s, nil
}

func reason(err error) authn.Reason {
	var f *Fault
	if errors.As(err, &f) {
		return f.Reason
	}
	return ReasonKey
}

// kidOf is the name of a key that is skipped, where it is fit to be shown.
func kidOf(e string) string {
	o, err := readObject(e, nil, ReasonKey)
	if err != nil {
		return ""
	}
	if kid, _, err := o.text("kid"); err == nil && goodKid(kid) {
		return kid
	}
	return ""
}

// NewSet makes a set of keys.
func NewSet(keys ...Key) (Set, error) {
	var s Set
	for _, k := range keys {
		if k.public == nil {
			return Set{}, fault(ReasonKey)
		}
		if err := s.add(k); err != nil {
			return Set{}, err
		}
	}
	return s, nil
}

func (s *Set) add(k Key) error {
	for _, other := range s.Keys {
		if other.kid == k.kid && other.alg == k.alg && other.print == k.print {
			return fault(ReasonKeyRepeated)
		}
	}
	s.Keys = append(s.Keys, k)
	if k.kid == "" {
		s.unnamed = append(s.unnamed, k)
		return nil
	}
	if s.named == nil {
		s.named = map[string][]Key{}
	}
	s.named[k.kid] = append(s.named[k.kid], k)
	return nil
}

// Has reports whether a key of the set has this name.
func (s Set) Has(kid string) bool { return len(s.named[kid]) > 0 }

// For is the keys that may have signed a token with this header, at most four. Those that have its kid, exactly; more than
// one may. Where none has, those without a name that fit its algorithm; where it has no kid, all that fit. The slice must not
// be changed.
func (s Set) For(h Header) []Key {
	if h.Kid == "" {
		return fitting(s.Keys, h.Alg)
	}
	named := s.named[h.Kid]
	switch {
	case len(named) == 0:
		return fitting(s.unnamed, h.Alg)
	case len(named) > maxCandidates:
		return fitting(named, h.Alg)
	default:
		return named
	}
}

func fitting(keys []Key, alg string) []Key {
	var all []Key
	for _, k := range keys {
		if k.Fits(alg) && len(all) < maxCandidates {
			all = append(all, k)
		}
	}
	return all
}

// ParsePEM reads the public keys and certificates of a file, all of which must be fit for use: whoever writes such a file
// means each of them. Of a certificate only its key counts. The keys have no name. Every error is a *[Fault].
func ParsePEM(b []byte) (Set, error) {
	if len(b) > MaxSet {
		return Set{}, fault(ReasonSetTooLarge)
	}
	var keys []Key
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		b = rest
		public, err := readPEM(block)
		if err != nil {
			return Set{}, err
		}
		k, err := NewKey(public, "", "")
		if err != nil {
			return Set{}, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 || len(keys) > maxKeys || strings.Contains(string(b), "-----BEGIN") {
		return Set{}, fault(ReasonSet)
	}
	return NewSet(keys...)
}

func readPEM(block *pem.Block) (crypto.PublicKey, error) {
	var public crypto.PublicKey
	var err error
	switch {
	case block.Type == "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = c.PublicKey
		}
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, fault(ReasonKeyPrivate)
	default:
		return nil, fault(ReasonKeyType)
	}
	if err != nil {
		return nil, fault(ReasonKey)
	}
	return public, nil
}
