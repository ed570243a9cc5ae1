package jose

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Sign makes a compact JWS over claims, which are written as JSON: an object. alg is one of [Algorithms] that fits the key of
// signer, and header.Alg is empty or the same. The same header and claims are written in the same way each time.
func Sign(header Header, claims any, signer crypto.Signer, alg string) (string, error) {
	if header.Alg != "" && header.Alg != alg {
		return "", errors.New("jose: the header names another algorithm than the one to sign with")
	}
	a := algorithmOf(alg)
	if a == nil {
		return "", errors.New("jose: there is no such algorithm to sign with")
	}
	k, err := NewKey(signer.Public(), header.Kid, "")
	if err != nil {
		return "", err
	}
	if !k.Fits(alg) {
		return "", errors.New("jose: the algorithm does not fit the key to sign with")
	}
	signed, err := header.signed(a, claims)
	if err != nil {
		return "", err
	}
	signature, err := a.sign(signer, []byte(signed))
	if err != nil {
		return "", fmt.Errorf("jose: cannot sign: %w", err)
	}
	return signed + "." + base64url.EncodeToString(signature), nil
}

// signed is what a signature is over (RFC 7515 section 5.1).
func (h Header) signed(a *algorithm, claims any) (string, error) {
	head, err := json.Marshal(struct {
		Alg string         `json:"alg"`
		Kid string         `json:"kid,omitzero"`
		Typ string         `json:"typ,omitzero"`
		JWK jsontext.Value `json:"jwk,omitzero"`
	}{a.name, h.Kid, h.Typ, h.JWK})
	if err != nil {
		return "", errors.New("jose: the header cannot be written")
	}
	body, err := json.Marshal(claims, json.Deterministic(true))
	if err != nil {
		return "", errors.New("jose: the claims cannot be written")
	}
	if _, err := ParseClaims(body); err != nil {
		return "", err
	}
	return base64url.EncodeToString(head) + "." + base64url.EncodeToString(body), nil
}

func (a *algorithm) sign(signer crypto.Signer, signed []byte) ([]byte, error) {
	switch a.family {
	case eddsa:
		return signer.Sign(rand.Reader, signed, crypto.Hash(0))
	case pss:
		return signer.Sign(rand.Reader, a.digest(nil, signed), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash})
	case pkcs1:
		return signer.Sign(rand.Reader, a.digest(nil, signed), a.hash)
	default:
		der, err := signer.Sign(rand.Reader, a.digest(nil, signed), a.hash)
		if err != nil {
			return nil, err
		}
		return halvesOf(der, (a.curve.Params().BitSize+7)/8)
	}
}

// halvesOf is the reverse of derOf.
func halvesOf(der []byte, size int) ([]byte, error) {
	var n struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &n); err != nil || len(rest) > 0 || n.R.Sign() <= 0 || n.S.Sign() <= 0 ||
		n.R.BitLen() > 8*size || n.S.BitLen() > 8*size {
		return nil, errors.New("the signer's answer is not an ECDSA signature")
	}
	b := make([]byte, 2*size)
	n.R.FillBytes(b[:size])
	n.S.FillBytes(b[size:])
	return b, nil
}
