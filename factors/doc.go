// Package factors is the contract between the engine and the things that prove something about a caller: certificates,
// passkeys, sign-ins elsewhere, tokens, and whatever somebody else writes.
//
// A factor verifies, and nothing else. Order, counting, single use, expiry, subject and audit are the engine's, the same
// for all factors, so an author cannot forget them. A factor that is interactive is also a [Challenger]; one that can
// enrol credentials is an [Enroller]; one whose evidence is tied to the request is [Tied].
//
// There are two kinds of failure. Evidence that is bad is a [*Rejection]: it is counted and the caller learns "no".
// Everything else means that our side is broken: it is not counted, and nothing is decided.
package factors
