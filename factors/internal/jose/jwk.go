package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
)

var keyNames = []string{
	"alg", "crv", "d", "dp", "dq", "e", "k", "key_ops", "kid", "kty", "n", "oth", "p", "q", "qi", "use", "x", "y",
}

// ParseKey reads one JWK (RFC 7517 section 4): a public key for signatures. Members that are not understood are ignored.
// Every error is a *[Fault].
func ParseKey(b []byte) (Key, error) {
	if len(b) > maxHeader {
		return Key{}, fault(ReasonSetTooLarge)
	}
	o, err := readObject(string(b), keyNames, ReasonKey)
	if err != nil {
		return Key{}, err
	}
	if err := o.forVerifying(); err != nil {
		return Key{}, err
	}
	kid, _, err := o.text("kid")
	if err != nil {
		return Key{}, err
	}
	alg, present, err := o.text("alg")
	if err != nil {
		return Key{}, err
	}
	if present && algorithmOf(alg) == nil {
		return Key{}, fault(ReasonKeyAlg)
	}
	public, err := o.public()
	if err != nil {
		return Key{}, err
	}
	return NewKey(public, kid, alg)
}

// text is a member that must be a string where it is present.
func (o object) text(name string) (s string, present bool, err error) {
	v := o.value(name)
	if v == "" {
		return "", false, nil
	}
	if v[0] != '"' {
		return "", true, fault(ReasonKey)
	}
	s, _ = unquote(v)
	return s, true, nil
}

// forVerifying refuses keys that are secret, or that are not for signatures (RFC 7517 sections 4.2 and 4.3).
func (o object) forVerifying() error {
	kty, present, err := o.text("kty")
	if err != nil || !present {
		return fault(ReasonKey)
	}
	if kty == "oct" || o.value("k") != "" {
		return fault(ReasonKeySecret)
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth"} {
		if o.value(name) != "" {
			return fault(ReasonKeyPrivate)
		}
	}
	use, present, err := o.text("use")
	if err != nil {
		return err
	}
	if present && use != "sig" {
		return fault(ReasonKeyUse)
	}
	return o.operations()
}

func (o object) operations() error {
	v := o.value("key_ops")
	if v == "" {
		return nil
	}
	all, ok := texts(v)
	if !ok {
		return fault(ReasonKey)
	}
	seen := map[string]bool{}
	for _, op := range all {
		if seen[op] {
			return fault(ReasonKey)
		}
		seen[op] = true
	}
	if !seen["verify"] {
		return fault(ReasonKeyUse)
	}
	return nil
}

// texts reads an array of strings that the decoder has passed.
func texts(v string) ([]string, bool) {
	all, ok := elements(v)
	for i, e := range all {
		if e[0] != '"' {
			return nil, false
		}
		all[i], _ = unquote(e)
	}
	return all, ok
}

// elements takes an array apart that the decoder has passed.
func elements(v string) ([]string, bool) {
	if v[0] != '[' {
		return nil, false
	}
	r := newReader(v)
	defer r.done()
	if _, err := r.decoder.ReadToken(); err != nil {
		return nil, false
	}
	var all []string
	for r.decoder.PeekKind() != ']' {
		e, err := next(&r.decoder, v)
		if err != nil {
			return nil, false
		}
		all = append(all, e)
	}
	return all, true
}

func (o object) public() (crypto.PublicKey, error) {
	switch kty, _, _ := o.text("kty"); kty {
	case "RSA":
		return o.rsa()
	case "EC":
		return o.ec()
	case "OKP":
		return o.okp()
	default:
		return nil, fault(ReasonKeyType)
	}
}

// bytes is a member that must be base64url of something.
func (o object) bytes(name string) ([]byte, error) {
	s, _, err := o.text(name)
	if err != nil {
		return nil, err
	}
	b, err := decodeText(s)
	if err != nil || len(b) == 0 {
		return nil, fault(ReasonKey)
	}
	return b, nil
}

// rsa reads an RSA key (RFC 7518 section 6.3.1): integers in as few octets as they need.
func (o object) rsa() (crypto.PublicKey, error) {
	n, err := o.bytes("n")
	if err != nil {
		return nil, err
	}
	e, err := o.bytes("e")
	if err != nil {
		return nil, err
	}
	if n[0] == 0 || e[0] == 0 {
		return nil, fault(ReasonKey)
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > 31 { // what the standard library takes
		return nil, fault(ReasonKeyWeak)
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

// ec reads an elliptic curve key (RFC 7518 section 6.2.1): coordinates in as many octets as the curve has.
func (o object) ec() (crypto.PublicKey, error) {
	crv, _, err := o.text("crv")
	if err != nil {
		return nil, err
	}
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if curveName(c) == crv {
			return o.point(c)
		}
	}
	return nil, fault(ReasonKeyType)
}

func (o object) point(c elliptic.Curve) (crypto.PublicKey, error) {
	x, err := o.bytes("x")
	if err != nil {
		return nil, err
	}
	y, err := o.bytes("y")
	if err != nil {
		return nil, err
	}
	if size := (c.Params().BitSize + 7) / 8; len(x) != size || len(y) != size {
		return nil, fault(ReasonKey)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(c, append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil, fault(ReasonKey)
	}
	return pub, nil
}

// okp reads an Ed25519 key (RFC 8037 section 2). The other curves of its type are not for signatures, or not there.
func (o object) okp() (crypto.PublicKey, error) {
	crv, _, err := o.text("crv")
	if err != nil {
		return nil, err
	}
	if crv != "Ed25519" {
		return nil, fault(ReasonKeyType)
	}
	x, err := o.bytes("x")
	if err != nil {
		return nil, err
	}
	return ed25519.PublicKey(x), nil
}
