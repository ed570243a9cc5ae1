// Package revocation tells whether the authority that issued a client certificate has taken it back: by certificate
// revocation lists (RFC 5280 section 5) from files and servers, and by asking responders (OCSP, RFC 6960).
//
// A [Keeper] has what was got, for all factors and across changes of the policy. A [Checker] looks the certificates of a
// verified path up, as the policy of one factor says ([Settings]).
//
// Nothing is taken on trust. A list counts for the CA whose key and name signed it and for no other; an answer is signed by
// the issuer or by whom it certified for that. An older list never takes the place of a newer one. What is not known well
// enough is asked for, once at a time whoever asks and with limits on time and size, and refuses where it cannot be had. A
// server that is slow delays those who need to know what it is asked, and nobody else: no lock is held meanwhile.
//
// Time is the caller's throughout.
package revocation
