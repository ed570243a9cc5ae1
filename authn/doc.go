// Package authn is the machine at the centre of Sallyport: what a login made of several factors is, as values and one
// pure function.
//
// A [State] is one of a closed set: [Guest], [Authenticating], [Pending], [Authenticated], [Ended]. A half-finished login
// cannot be mistaken for a finished one because it is another type, and only [Apply] makes an [Authenticated]. [Apply]
// takes a state and an [Event] and gives the next state and the [Effect]s that the caller must carry out. It does no
// I/O, reads no clock and draws no randomness: times, ids and challenges come in with the event. It never changes its
// arguments, so states may be shared between goroutines.
//
// The words follow NIST SP 800-63B-4 (authenticator assurance), RFC 8176 (authentication method references) and RFC 9470
// (step-up).
package authn
