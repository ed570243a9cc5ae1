package oauthtest

import (
	"fmt"
	"slices"
)

// A Fault is one way in which a provider, or somebody between it and the client, lies. The comment at each says what a
// client must do; where nothing else is said, that is to refuse the sign-in.
type Fault string

// Honest is no fault: it ends the lie that was told before.
const Honest Fault = ""

// Faults of the authorization response.
const (
	// IssuerOther names another issuer in iss (RFC 9207 section 2.4).
	IssuerOther Fault = "issuer-other"
	// IssuerMissing leaves iss out although it is advertised (the same).
	IssuerMissing Fault = "issuer-missing"
	// MixUp answers with issuer and code of another provider. The code must be sent to nobody (RFC 9700 section 4.4).
	MixUp Fault = "mix-up"
	// CodeOfAnotherSession answers with a code that was made for another authorization request of the same client and user: the
	// token endpoint refuses it, as the verifier is not that of its challenge (RFC 9700 section 4.5).
	CodeOfAnotherSession Fault = "code-of-another-session"
	// StateTwice has state twice, once with another value (RFC 6749 section 3.1).
	StateTwice Fault = "state-twice"
	// CodeTwice has code twice, once with another value (the same).
	CodeTwice Fault = "code-twice"
	// ErrorBesideCode has error and code: it is not one response or the other.
	ErrorBesideCode Fault = "error-beside-code"
)

// Faults of the claims of an ID token (OpenID Connect Core section 3.1.3.7).
const (
	// NonceOther has another nonce than the request.
	NonceOther Fault = "nonce-other"
	// NonceMissing has none although the request has.
	NonceMissing Fault = "nonce-missing"
	// AZPForeign names another client as authorized party.
	AZPForeign Fault = "azp-foreign"
	// AudienceExtra names a second audience, which the client does not know.
	AudienceExtra Fault = "audience-extra"
	// AudienceOther is for another client only.
	AudienceOther Fault = "audience-other"
	// IssuerOfToken has another issuer.
	IssuerOfToken Fault = "token-issuer-other"
	// AtHashWrong has an at_hash of another access token.
	AtHashWrong Fault = "at-hash-wrong"
	// SubjectMissing has no sub.
	SubjectMissing Fault = "subject-missing"
	// IssuedAtMissing has no iat.
	IssuedAtMissing Fault = "issued-at-missing"
	// IssuedAtFuture has an iat an hour ahead.
	IssuedAtFuture Fault = "issued-at-future"
	// Expired ended an hour ago.
	Expired Fault = "expired"
	// AuthTimeOld has an auth_time a year ago. Whoever asked for a max_age must refuse it.
	AuthTimeOld Fault = "auth-time-old"
	// AuthTimeMissing has no auth_time. Whoever asked for a max_age must refuse it.
	AuthTimeMissing Fault = "auth-time-missing"
	// ACROther has a class that nobody asked for. Whoever needs certain ones must refuse it.
	ACROther Fault = "acr-other"
	// DuplicateClaim has sub twice, with two values (RFC 8725 section 2.6: readers differ in what they see).
	DuplicateClaim Fault = "duplicate-claim"
)

// Faults of signatures (RFC 8725 section 2.1).
const (
	// AlgNone is not signed, with the algorithm none.
	AlgNone Fault = "alg-none"
	// HMACWithPublicKey is "signed" HS256, with the public key in PEM as the secret.
	HMACWithPublicKey Fault = "hmac-with-public-key"
	// HMACWithSecret is signed HS256 with the client's secret. Whoever did not choose that algorithm must refuse it.
	HMACWithSecret Fault = "hmac-with-secret"
	// KeyUnpublished is signed with a key that is not in the key set.
	KeyUnpublished Fault = "key-unpublished"
	// KidOfAnother is signed with a key that is not in the key set, and names one that is.
	KidOfAnother Fault = "kid-of-another"
)

// Faults of endpoints. A client must refuse, or report the provider as down; nobody may be signed in.
const (
	// UserinfoOther answers with another sub at the userinfo endpoint (OpenID Connect Core section 5.3.2). Whoever asks there must refuse it.
	UserinfoOther Fault = "userinfo-other-subject"
	// DiscoveryHuge has 8 MB of metadata. They must not be read to the end.
	DiscoveryHuge Fault = "discovery-huge"
	// DiscoveryOfAnother has the metadata of another issuer (OpenID Connect Discovery section 4.3).
	DiscoveryOfAnother Fault = "discovery-of-another"
	// DiscoveryRedirected sends whoever asks for metadata to another host.
	DiscoveryRedirected Fault = "discovery-redirected"
	// KeysHuge has a key set of 8 MB. It must not be read to the end.
	KeysHuge Fault = "keys-huge"
	// KeysSlow keeps whoever asks for keys waiting, until they go or Release is called.
	KeysSlow Fault = "keys-slow"
	// KeysRedirected sends whoever asks for keys to another host.
	KeysRedirected Fault = "keys-redirected"
	// TokenRedirected sends whoever brings a code to another host. Neither code nor secret may go there.
	TokenRedirected Fault = "token-redirected"
	// TokenDown answers 500 at the token endpoint.
	TokenDown Fault = "token-500"
	// TokenRefused answers 400 invalid_grant at the token endpoint.
	TokenRefused Fault = "token-400"
	// TokenGarbage answers 200 at the token endpoint, with something that is no JSON.
	TokenGarbage Fault = "token-garbage"
)

// Faults of logout tokens (OpenID Connect Back-Channel Logout section 2.6). No session may end.
const (
	// LogoutNonce has a nonce, as only ID tokens have.
	LogoutNonce Fault = "logout-nonce"
	// LogoutNoEvents has no events.
	LogoutNoEvents Fault = "logout-no-events"
	// LogoutType has the type of an access token.
	LogoutType Fault = "logout-type"
	// LogoutNoID has no jti.
	LogoutNoID Fault = "logout-no-id"
	// LogoutExpired ended an hour ago.
	LogoutExpired Fault = "logout-expired"
	// LogoutAudience is for another client.
	LogoutAudience Fault = "logout-audience"
	// LogoutUnsigned has the algorithm none.
	LogoutUnsigned Fault = "logout-unsigned"
)

var faults = []Fault{IssuerOther, IssuerMissing, MixUp, CodeOfAnotherSession, StateTwice, CodeTwice, ErrorBesideCode,
	NonceOther, NonceMissing, AZPForeign, AudienceExtra, AudienceOther, IssuerOfToken, AtHashWrong, SubjectMissing, IssuedAtMissing, IssuedAtFuture,
	Expired, AuthTimeOld, AuthTimeMissing, ACROther, DuplicateClaim,
	AlgNone, HMACWithPublicKey, HMACWithSecret, KeyUnpublished, KidOfAnother,
	UserinfoOther, DiscoveryHuge, DiscoveryOfAnother, DiscoveryRedirected, KeysHuge, KeysSlow, KeysRedirected, TokenRedirected, TokenDown, TokenRefused, TokenGarbage,
	LogoutNonce, LogoutNoEvents, LogoutType, LogoutNoID, LogoutExpired, LogoutAudience, LogoutUnsigned}

// Faults are all that there are, those of logout tokens last. The caller owns the slice.
func Faults() []Fault { return slices.Clone(faults) }

// OfLogout reports a fault of logout tokens: sign-ins are as they should be.
func (f Fault) OfLogout() bool {
	return slices.Index(faults, f) >= slices.Index(faults, LogoutNonce)
}

// Lie makes the provider tell one lie from now on, in the place of the one before; Honest makes it stop. It panics where
// there is no such fault. A slow answer is let go.
func (p *Provider) Lie(f Fault) {
	if f != Honest && !slices.Contains(faults, f) {
		panic(fmt.Sprintf("oauthtest: there is no fault %q", string(f)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lie = f
	p.release()
}

// Release lets those go who wait for a slow answer. Whoever comes later waits again.
func (p *Provider) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
}

func (p *Provider) release() {
	close(p.released)
	p.released = make(chan struct{})
}

func (p *Provider) lies(f Fault) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lie == f
}
