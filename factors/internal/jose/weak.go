package jose

import (
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/hex"
	"math/big"
	"slices"
	"sync"
)

const (
	minRSA = 2048 // bits; RFC 7518 section 3.3
	maxRSA = 8192 // above it, one signature costs too much
)

// soundRSA refuses keys that are too short, too long, or no RSA keys at all. With the exponent 1 the signature is the padded
// digest itself, so that anybody can write it; an even one has no private key to it, and an even modulus is no product of
// two large primes. 3 is safe here: the padding is compared whole.
func soundRSA(pub *rsa.PublicKey) error {
	if n := pub.N.BitLen(); n < minRSA || n > maxRSA {
		return fault(ReasonKeyWeak)
	}
	if pub.E < 3 || pub.E%2 == 0 || pub.N.Bit(0) == 0 || infineon(pub.N) {
		return fault(ReasonKeyWeak)
	}
	return nil
}

// powers is, for each of the first odd primes p, which remainders the powers of 65537 have.
var powers = sync.OnceValue(func() map[int64][]bool {
	all := map[int64][]bool{}
	for p := int64(3); p <= 167; p += 2 {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		reached := make([]bool, p)
		for r := int64(1); !reached[r]; r = r * 65537 % p {
			reached[r] = true
		}
		all[p] = reached
	}
	return all
})

// infineon reports whether a modulus is one of those that a library in smart cards made (CVE-2017-15361): its primes are
// powers of 65537 modulo small primes, and so can be found.
func infineon(n *big.Int) bool {
	rest := new(big.Int)
	for p, reached := range powers() {
		if !reached[rest.Mod(n, big.NewInt(p)).Int64()] {
			return false
		}
	}
	return true
}

// smallOrder is the encodings, without the sign, of the points on edwards25519 whose order divides 8. With such a key there
// are signatures that hold for any message.
var smallOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func soundEd25519(pub ed25519.PublicKey) error {
	if len(pub) != ed25519.PublicKeySize {
		return fault(ReasonKey)
	}
	y := slices.Clone(pub)
	y[31] &= 0x7f
	if slices.Contains(smallOrder, hex.EncodeToString(y)) {
		return fault(ReasonKeyWeak)
	}
	return nil
}
