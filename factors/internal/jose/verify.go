package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"slices"
)

// Verify reports whether k signed t with one of algs, which come from the policy. The algorithm must also fit the key: its
// type, its curve, and the one algorithm that the key is for, if it names one. Every error is a *[Fault].
func Verify(t Token, k Key, algs []string) error {
	if !slices.Contains(algs, t.Header.Alg) {
		return fault(ReasonAlgorithm)
	}
	a := algorithmOf(t.Header.Alg)
	if a == nil {
		return fault(ReasonAlgorithm)
	}
	if !k.Fits(a.name) {
		return fault(ReasonKeyMismatch)
	}
	return a.verify(k, t.Signed, t.Signature)
}

func (a *algorithm) verify(k Key, signed, signature []byte) error {
	good := false
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		if len(signature) != pub.Size() {
			return fault(ReasonSignatureForm)
		}
		good = a.verifyRSA(pub, signed, signature)
	case *ecdsa.PublicKey:
		var room [maxDER]byte
		der, ok := derOf(room[:0], signature, (pub.Params().BitSize+7)/8)
		if !ok {
			return fault(ReasonSignatureForm)
		}
		var sum [sha512.Size]byte
		good = ecdsa.VerifyASN1(pub, a.digest(sum[:0], signed), der)
	case ed25519.PublicKey:
		if len(signature) != ed25519.SignatureSize {
			return fault(ReasonSignatureForm)
		}
		good = ed25519.Verify(pub, signed, signature)
	}
	if !good {
		return fault(ReasonSignature)
	}
	return nil
}

func (a *algorithm) verifyRSA(pub *rsa.PublicKey, signed, signature []byte) bool {
	var sum [sha512.Size]byte
	digest := a.digest(sum[:0], signed)
	if a.family == pss { // RFC 7518 section 3.5: the salt is as long as the hash
		return rsa.VerifyPSS(pub, a.hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	}
	return rsa.VerifyPKCS1v15(pub, a.hash, digest, signature) == nil
}

func (a *algorithm) digest(to, signed []byte) []byte {
	switch a.hash.Size() {
	case sha256.Size:
		sum := sha256.Sum256(signed)
		return append(to, sum[:]...)
	case sha512.Size384:
		sum := sha512.Sum384(signed)
		return append(to, sum[:]...)
	default:
		sum := sha512.Sum512(signed)
		return append(to, sum[:]...)
	}
}

// maxDER is the longest that derOf writes: two integers of P-521, each with a sign, within a sequence.
const maxDER = 3 + 2*(2+1+66)

// derOf writes a signature of two halves, each size bytes long (RFC 7518 section 3.4), as the standard library takes it.
// A half that is zero is none: with both of them zero, implementations have taken any key for the signer.
func derOf(to, signature []byte, size int) ([]byte, bool) {
	if len(signature) != 2*size {
		return nil, false
	}
	r, s := bare(signature[:size]), bare(signature[size:])
	if len(r) == 0 || len(s) == 0 {
		return nil, false
	}
	if n := sized(r) + sized(s); n < 0x80 {
		to = append(to, 0x30, byte(n))
	} else {
		to = append(to, 0x30, 0x81, byte(n))
	}
	return integer(integer(to, r), s), true
}

func bare(n []byte) []byte {
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	return n
}

func sized(n []byte) int { return 2 + len(n) + int(n[0]>>7) }

func integer(to, n []byte) []byte {
	to = append(to, 0x02, byte(sized(n)-2))
	if n[0] >= 0x80 {
		to = append(to, 0)
	}
	return append(to, n...)
}
