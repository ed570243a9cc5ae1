package jose

import "github.com/sallyport-auth/sallyport/authn"

// Fault is why a token, a key or a set of keys is refused. Its text holds nothing of what it is about.
type Fault struct{ Reason authn.Reason }

func (f *Fault) Error() string { return "jose: " + string(f.Reason) }

func fault(why authn.Reason) error { return &Fault{why} }

// Why a token is refused before its signature is looked at. They are stable.
const (
	// ReasonTooLarge: the token, its header, its payload or the number of members in them is over the bounds.
	ReasonTooLarge authn.Reason = "token_too_large"
	// ReasonNotCompact: it is not three parts with a dot between each.
	ReasonNotCompact authn.Reason = "token_not_compact"
	// ReasonSerialization: it is in one of the JSON serializations.
	ReasonSerialization authn.Reason = "token_json_serialization"
	// ReasonEncrypted: it is a JWE, or its header says so.
	ReasonEncrypted authn.Reason = "token_encrypted"
	// ReasonEncoding: a part is not base64url as RFC 7515 section 2 has it: padding, white space, another alphabet, bits
	// left over at the end.
	ReasonEncoding authn.Reason = "token_bad_encoding"
	// ReasonHeader: the header is not one JSON object.
	ReasonHeader authn.Reason = "token_bad_header"
	// ReasonHeaderMember: a member of the header has another type than its definition, or is empty where it may not be.
	ReasonHeaderMember authn.Reason = "token_bad_header_member"
	// ReasonUnsigned: alg is none, in whatever spelling, or there is no signature.
	ReasonUnsigned authn.Reason = "token_unsigned"
	// ReasonSymmetric: alg is one with a shared secret.
	ReasonSymmetric authn.Reason = "token_symmetric"
	// ReasonAlgorithm: alg is missing or unknown, or not one that is allowed.
	ReasonAlgorithm authn.Reason = "token_algorithm_not_allowed"
	// ReasonKid: kid is too long or holds control characters.
	ReasonKid authn.Reason = "token_bad_kid"
	// ReasonCritical: the header has crit, and no extension is understood here.
	ReasonCritical authn.Reason = "token_critical_extension"
	// ReasonUnencoded: the header has b64 (RFC 7797).
	ReasonUnencoded authn.Reason = "token_unencoded_payload"
	// ReasonCompressed: the header has zip.
	ReasonCompressed authn.Reason = "token_compressed"
	// ReasonNested: the payload is a token itself.
	ReasonNested authn.Reason = "token_nested"
)

// Why its JSON is refused, be it the header or the claims, or that of a key.
const (
	// ReasonDuplicate: an object has a name twice, as it is written or once its escapes are read.
	ReasonDuplicate authn.Reason = "json_duplicate_name"
	// ReasonFolded: a name differs from another one, or from one that has a meaning, only in case, or has escapes for letters.
	ReasonFolded authn.Reason = "json_confusable_name"
	// ReasonText: it is not UTF-8 without a byte order mark, or holds half a surrogate pair.
	ReasonText authn.Reason = "json_bad_text"
	// ReasonDeep: it is nested too deeply.
	ReasonDeep authn.Reason = "json_too_deep"
)

// Why its signature is refused.
const (
	// ReasonKeyMismatch: the algorithm is not one for this key, or not the one that the key is for.
	ReasonKeyMismatch authn.Reason = "token_key_mismatch"
	// ReasonSignatureForm: no signature of this algorithm looks like that: its length, or a half that is zero.
	ReasonSignatureForm authn.Reason = "token_malformed_signature"
	// ReasonSignature: the key did not sign this.
	ReasonSignature authn.Reason = "token_bad_signature"
)

// Why claims are refused.
const (
	// ReasonClaims: the payload is not one JSON object.
	ReasonClaims authn.Reason = "claims_malformed"
	// ReasonClaimType: a claim has another type than it is read as.
	ReasonClaimType authn.Reason = "claim_wrong_type"
	// ReasonClaimTime: a time is not a number of seconds from 1970 to 9999, in digits.
	ReasonClaimTime authn.Reason = "claim_bad_time"
)

// Why a key or a set of keys is refused, or a key of a set skipped.
const (
	ReasonSet         authn.Reason = "keys_malformed"
	ReasonSetTooLarge authn.Reason = "keys_too_large"
	ReasonKey         authn.Reason = "key_malformed"
	ReasonKeyType     authn.Reason = "key_unknown_type"
	ReasonKeyPrivate  authn.Reason = "key_private"
	ReasonKeySecret   authn.Reason = "key_symmetric"
	ReasonKeyUse      authn.Reason = "key_other_use"
	ReasonKeyAlg      authn.Reason = "key_other_algorithm"
	ReasonKeyWeak     authn.Reason = "key_weak"
	ReasonKeyKid      authn.Reason = "key_bad_kid"
	ReasonKeyRepeated authn.Reason = "key_repeated"
)
