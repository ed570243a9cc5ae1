// Package mtls proves who a caller is by the client certificate of the TLS connection.
//
// It has four parts that are used together and can be tested apart:
//
//   - [ServerConfig] makes the tls.Config of a server that asks for client certificates.
//   - [Middleware] with [FromTLS] puts the chain that a client presented into the request's context, and where it was
//     seen. It decides nothing.
//   - [Verifier] is the factor. It trusts nobody's word that a chain is good: it builds the path to the trust anchors of
//     its own, at the engine's clock (RFC 5280 section 6), refuses what a login must not accept and crypto/x509 does,
//     asks the deny list, and maps the certificate to a tenant and a user.
//   - [Kind] reads the settings of a factor from the policy file.
//
// A certificate is checked in full on every request, also on one whose TLS session was resumed: a handshake says only
// that the caller holds the key. [WithConn] keeps what was found for as long as a connection lives; what can change is
// still looked at each time.
package mtls
