// Package jose is what the factors of tokens stand on: JSON Web Signatures in their compact form and nothing else of JOSE,
// read strictly, once, before anything in them is believed.
//
// [Parse] takes a token apart, [Set.For] finds the keys that may have signed it, [Verify] checks one of them, and
// [ParseClaims] reads what was signed. Every step refuses what two readers could understand in two ways: an encoding that is
// not canonical, a name twice or in another case, text that is not UTF-8. What a token says of keys is never followed.
// HMAC is not there at all, so that no public key can be taken for a secret.
//
// The signatures are those of the standard library. A token's bytes do not name it: whoever holds an ECDSA token can write
// its signature in a second way. What must be used once goes by its jti.
package jose
