package fido2

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"math/big"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/sallyport-auth/sallyport/factors"
)

const (
	minRSA = 2048 // bits
	maxRSA = 8192
	maxKey = 2 << 10 // bytes of a COSE key: more than the largest RSA key takes
)

// publicKey reads a COSE key, and refuses those that are weak or that take too long to verify anything with. Nothing is
// computed with an RSA key before it is within bounds.
func publicKey(cose []byte) (crypto.PublicKey, error) {
	if len(cose) > maxKey {
		return nil, factors.Reject(ReasonAlgorithm, "a key of %d bytes", len(cose))
	}
	parsed, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return nil, factors.Reject(ReasonAlgorithm, "no key of its algorithm")
	}
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		return k.ToECDSA()
	case webauthncose.OKPPublicKeyData:
		return ed25519.PublicKey(k.XCoord), nil
	case webauthncose.RSAPublicKeyData:
		return rsaKey(k)
	}
	return nil, factors.Reject(ReasonAlgorithm, "a key of another type")
}

func rsaKey(k webauthncose.RSAPublicKeyData) (crypto.PublicKey, error) {
	if alg := webauthncose.COSEAlgorithmIdentifier(k.Algorithm); alg != webauthncose.AlgRS256 && alg != webauthncose.AlgPS256 {
		return nil, factors.Reject(ReasonAlgorithm, "no RSA algorithm: %d", k.Algorithm)
	}
	n, e := new(big.Int).SetBytes(k.Modulus), new(big.Int).SetBytes(k.Exponent)
	if bits := n.BitLen(); bits < minRSA || bits > maxRSA || n.Bit(0) == 0 {
		return nil, factors.Reject(ReasonAlgorithm, "an RSA key of %d bits, or an even one", bits)
	}
	const most = 1<<31 - 1 // what crypto/rsa takes
	if !e.IsInt64() || e.Int64() < 3 || e.Int64() > most || e.Bit(0) == 0 {
		return nil, factors.Reject(ReasonAlgorithm, "an RSA key with a bad exponent")
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// nameOf is what evidence calls a COSE key. A certificate with the same key has the same name, and so has the key under
// another credential id.
func nameOf(cose []byte) (string, error) {
	key, err := publicKey(cose)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", factors.Reject(ReasonAlgorithm, "a key without an encoding")
	}
	sum := sha256.Sum256(der)
	return "spki:" + hex.EncodeToString(sum[:]), nil
}
