// Package issuer mints a portal's own short tokens, in the form of RFC 9068: after a login, for the programs of a person who
// is signed in. It is no authorization server: there are no grants, no clients to register and nothing to refresh.
//
// A token is made from a principal that is signed in at this moment, and lives no longer than the session. It is bound to the
// certificate that the session is tied to (RFC 8705 section 3.1), repeats when the person really showed a credential, and
// names the session: the factor of package jwt, with "session: live" in the policy, asks for it with every request, so that
// signing out ends the tokens too. Its keys rotate by themselves, and are published before they sign.
package issuer
