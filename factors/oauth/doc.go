// Package oauth is the factor of a sign-in at another identity provider: OpenID Connect ([Kind]), on go-oidc and x/oauth2,
// and as a weaker kind of its own plain OAuth 2.0 ([PlainKind]).
//
// The flow is the authorization code flow with PKCE (RFC 7636, S256), state and nonce. A sign-in stands inside a method:
// it names a user of the tenant that earlier steps proved, or of the one that the policy names, and nobody else. Who that
// is, is decided by issuer and subject alone: the pair is a credential that was linked to a user, or that a new user is
// made for where the policy says so. It is never compared with login names or e-mail addresses.
//
// What the libraries leave to their caller is done here: nonce, authorized party, further audiences, at_hash, auth_time,
// acr, the type of a token, the issuer in the response (RFC 9207), one reading of JSON, limits of size and time, and how
// often keys are fetched.
package oauth

import "github.com/sallyport-auth/sallyport/authn"

// The values of "kind:" in the policy file.
const (
	KindName      = "oauth"  // OpenID Connect
	PlainKindName = "oauth2" // OAuth 2.0 without ID tokens
)

// Reasons of rejections. They are stable. Tokens that are malformed, or whose algorithm or signature is not good, have the
// reasons that begin with token_, json_ and claim.
const (
	ReasonState          authn.Reason = "oauth_state"               // the response is not one to this challenge
	ReasonChallenge      authn.Reason = "oauth_challenge"           // the challenge was made for another purpose, origin, tenant or provider
	ReasonResponse       authn.Reason = "oauth_response"            // the response is not one of the code flow, or says something twice
	ReasonResponseIssuer authn.Reason = "oauth_response_issuer"     // iss in the response is missing or another's (RFC 9207)
	ReasonRedirect       authn.Reason = "oauth_redirect"            // the response came to another redirect URI than the challenge's
	ReasonDenied         authn.Reason = "oauth_denied"              // the provider says no
	ReasonCode           authn.Reason = "oauth_code"                // the token endpoint refused the code or the verifier
	ReasonNoIDToken      authn.Reason = "oauth_id_token_missing"    // the token endpoint gave no ID token
	ReasonTokenType      authn.Reason = "oauth_token_type"          // a token is of another type
	ReasonKey            authn.Reason = "oauth_key_unknown"         // no key of the provider is meant
	ReasonIssuer         authn.Reason = "oauth_issuer"              // another issuer's token
	ReasonAudience       authn.Reason = "oauth_audience"            // a token for somebody else, or also for somebody else
	ReasonAzp            authn.Reason = "oauth_azp"                 // the authorized party is another, or missing where it must be there
	ReasonExpired        authn.Reason = "oauth_expired"             // a token is past its end
	ReasonIssuedAt       authn.Reason = "oauth_issued_at"           // a token comes from the future, or is too old to be an answer
	ReasonNonce          authn.Reason = "oauth_nonce"               // an ID token of another sign-in
	ReasonAtHash         authn.Reason = "oauth_at_hash"             // the access token is another than the ID token's
	ReasonAuthTime       authn.Reason = "oauth_auth_time"           // the sign-in is too old, or nobody says how old it is
	ReasonACR            authn.Reason = "oauth_acr"                 // the sign-in was of none of the classes asked for
	ReasonSubject        authn.Reason = "oauth_subject"             // a token names nobody, or nobody who can be
	ReasonUserinfo       authn.Reason = "oauth_userinfo"            // userinfo is about somebody else
	ReasonClaim          authn.Reason = "oauth_claim"               // a claim that the policy reads has a value that cannot be taken
	ReasonForeignUser    authn.Reason = "oauth_foreign_user"        // the identity is linked to another user than the subject
	ReasonLinked         authn.Reason = "oauth_linked_already"      // the identity is linked already, to whomever
	ReasonTenant         authn.Reason = "oauth_tenant"              // no provider for this tenant, or no tenant where one must be known
	ReasonEvents         authn.Reason = "oauth_logout_events"       // a logout token does not say that it is one
	ReasonLogoutNonce    authn.Reason = "oauth_logout_nonce"        // a logout token has a nonce
	ReasonLogoutID       authn.Reason = "oauth_logout_id"           // a logout token has no jti
	ReasonLogoutAbout    authn.Reason = "oauth_logout_about_nobody" // a logout token has neither sub nor sid
)
