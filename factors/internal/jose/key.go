package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
)

// Key is a public key that may verify signatures. The zero value verifies none.
type Key struct {
	kid    string
	alg    string
	public crypto.PublicKey
	print  [sha256.Size]byte
}

// NewKey makes a key of a *rsa.PublicKey, a *ecdsa.PublicKey of P-256, P-384 or P-521, or an ed25519.PublicKey. kid may be
// empty; alg too: then the key is for every algorithm that fits its type. Every error is a *[Fault].
func NewKey(public crypto.PublicKey, kid, alg string) (Key, error) {
	if !goodKid(kid) {
		return Key{}, fault(ReasonKeyKid)
	}
	if err := sound(public); err != nil {
		return Key{}, err
	}
	print, err := Thumbprint(public)
	if err != nil {
		return Key{}, err
	}
	k := Key{kid: kid, public: public, print: print}
	if alg != "" && !k.Fits(alg) {
		return Key{}, fault(ReasonKeyAlg)
	}
	k.alg = alg
	return k, nil
}

// Kid is the key's name, empty where it has none.
func (k Key) Kid() string { return k.kid }

// Alg is the one algorithm that the key is for, empty where it names none.
func (k Key) Alg() string { return k.alg }

// Public is the key itself. It must not be changed.
func (k Key) Public() crypto.PublicKey { return k.public }

// Thumbprint is the key's [Thumbprint].
func (k Key) Thumbprint() [sha256.Size]byte { return k.print }

// Fits reports whether the key can verify signatures of an algorithm, and is not for another one.
func (k Key) Fits(alg string) bool {
	a := algorithmOf(alg)
	if a == nil || k.alg != "" && k.alg != alg {
		return false
	}
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		return a.family == pkcs1 || a.family == pss
	case *ecdsa.PublicKey:
		return a.family == ecdsaRaw && a.curve == pub.Curve
	case ed25519.PublicKey:
		return a.family == eddsa
	default:
		return false
	}
}

func sound(public crypto.PublicKey) error {
	switch pub := public.(type) {
	case *rsa.PublicKey:
		if pub == nil || pub.N == nil {
			return fault(ReasonKey)
		}
		return soundRSA(pub)
	case *ecdsa.PublicKey:
		if pub == nil || curveName(pub.Curve) == "" {
			return fault(ReasonKeyType)
		}
		if _, err := pub.Bytes(); err != nil { // not on its curve
			return fault(ReasonKey)
		}
		return nil
	case ed25519.PublicKey:
		return soundEd25519(pub)
	default:
		return fault(ReasonKeyType)
	}
}

func curveName(c elliptic.Curve) string {
	switch c {
	case elliptic.P256():
		return "P-256"
	case elliptic.P384():
		return "P-384"
	case elliptic.P521():
		return "P-521"
	default:
		return ""
	}
}

// Thumbprint is the SHA-256 thumbprint of a key (RFC 7638 section 3), whether the key is sound or not. A key of another type
// than [NewKey] takes is an error.
func Thumbprint(public crypto.PublicKey) ([sha256.Size]byte, error) {
	p, err := partsOf(public)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	var b []byte
	switch p.Kty {
	case "RSA":
		b = []byte(`{"e":"` + p.E + `","kty":"RSA","n":"` + p.N + `"}`)
	case "EC":
		b = []byte(`{"crv":"` + p.Crv + `","kty":"EC","x":"` + p.X + `","y":"` + p.Y + `"}`)
	default:
		b = []byte(`{"crv":"` + p.Crv + `","kty":"OKP","x":"` + p.X + `"}`)
	}
	return sha256.Sum256(b), nil
}

// parts are the members of a JWK that make the key.
type parts struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitzero"`
	X   string `json:"x,omitzero"`
	Y   string `json:"y,omitzero"`
	N   string `json:"n,omitzero"`
	E   string `json:"e,omitzero"`
}

func partsOf(public crypto.PublicKey) (parts, error) {
	text := base64.RawURLEncoding.EncodeToString
	switch pub := public.(type) {
	case *rsa.PublicKey:
		return parts{Kty: "RSA", N: text(pub.N.Bytes()), E: text(big.NewInt(int64(pub.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil || curveName(pub.Curve) == "" {
			return parts{}, fault(ReasonKey)
		}
		half := len(point) / 2
		return parts{Kty: "EC", Crv: curveName(pub.Curve), X: text(point[1 : 1+half]), Y: text(point[1+half:])}, nil
	case ed25519.PublicKey:
		return parts{Kty: "OKP", Crv: "Ed25519", X: text(pub)}, nil
	default:
		return parts{}, fault(ReasonKeyType)
	}
}
