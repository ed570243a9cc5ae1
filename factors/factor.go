package factors

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
)

// Factor is one configured way of proving something. It is safe for concurrent use.
type Factor interface {
	// Describe says what the factor is and the most its evidence can prove. It always gives the same answer.
	Describe() authn.Factor
	// Verify turns a credential into evidence. A bad credential is a [*Rejection]; any other error means that nothing
	// could be decided. The engine has counted the attempt, and has spent the challenge, before it calls.
	Verify(ctx context.Context, v Verification) (Verified, error)
}

// Challenger is a factor that asks before it verifies. A factor is interactive if and only if it is a Challenger.
type Challenger interface {
	Factor
	// Challenge makes a new challenge. The engine keeps it with the login and hands it back to Verify once.
	Challenge(ctx context.Context, r Request) (Challenge, error)
}

// Enroller is a factor whose credentials users can add themselves. The engine stores what Enrol returns.
type Enroller interface {
	Factor
	// EnrolChallenge makes the challenge for a new credential of user.
	EnrolChallenge(ctx context.Context, e Enrolment) (Challenge, error)
	// Enrol turns the answer into a credential. Of the credential returned, the engine sets the tenant, user, factor,
	// name and times itself.
	Enrol(ctx context.Context, e Enrolment) (Credential, error)
}

// Tied is a factor whose evidence stays in force only on requests that carry what it was won with.
type Tied interface {
	Factor
	// CheckTie verifies what the request carries in full, and that it is what tie names and maps to subject. A mismatch
	// is a [*Rejection]: [ReasonTieMissing] where nothing was presented, [ReasonRevoked] where the credential is no
	// longer good, anything else where it is another one. A [*FurtherError] says that the tie holds, on a condition.
	CheckTie(ctx context.Context, r Request, tie authn.Tie, subject authn.Subject) error
}

// Request is what a factor may know of the request in hand. It is valid during the call only.
type Request struct {
	Now     time.Time
	Source  netip.Addr    // of the client, for logs and budgets; never evidence
	Origin  policy.Origin // the origin the request was made to, one of the policy's
	Peer    PeerCertChain // of this request
	Subject authn.Subject // what is known of the caller so far
	Claim   authn.Claim   // what the caller typed: a hint for look-ups
	Carried Carried       // the token of this request
	// MaxAge is how old an authentication elsewhere may be at the most, because a step-up asks for a fresh one. Zero: as
	// old as the factor's own settings allow.
	MaxAge time.Duration
}

// Carried is what a request carries in its Authorization and DPoP headers, and what a proof of possession is about. The
// zero value is a request without a token.
type Carried struct {
	Scheme string // "Bearer" or "DPoP"; empty: the request carries no token
	Token  string // at most 16 KiB; never to be logged
	Proof  string // value of the DPoP header (RFC 9449 section 4.1); empty: none
	Method string // of the request
	URL    string // scheme, host and path of the request, without query (RFC 9449 section 4.2, htu)
	// Refused says that what was presented must not be looked at: two Authorization headers, another scheme, a token in the
	// query string (RFC 6750 section 2.3 advises against it). Empty: nothing is wrong.
	Refused authn.Reason
}

// Verification is a credential to be verified.
type Verification struct {
	Request
	Credential json.RawMessage // as the caller sent it; null or an empty object for ambient factors
	Challenge  Asked           // the challenge that it answers; zero for ambient factors
}

// Asked is a challenge as it comes back.
type Asked struct {
	ID      string
	Data    []byte
	Issued  time.Time
	Expires time.Time // the engine has checked it
}

// Challenge is what a factor asks.
type Challenge struct {
	PublicKey  json.RawMessage // what a browser's parseRequestOptionsFromJSON or parseCreationOptionsFromJSON takes
	RedirectTo string          // where to send the browser instead
	Data       []byte          // the factor's own state, at most 16 KiB; never shown to the caller
	Lifetime   time.Duration   // zero: the engine's default
}

// Verified is what came of a good credential.
type Verified struct {
	Evidence authn.Evidence // the engine sets Factor, Kind and Ambient; At must be the request's Now
	Update   *Credential    // the credential as it now stands (a counter moved), to be stored; nil: unchanged
	// Further names factors whose evidence is wanted besides, because this credential proves less for now than it does
	// otherwise. It is for requests that are authenticated by themselves; in a session CheckTie says so, each time.
	Further []string
	// Provision asks for a new user, in the tenant that Evidence names, whose credential this is. Evidence names no user
	// then: the engine sets it. Only a tenant that earlier evidence has bound gets users in this way.
	Provision *Provision
}

// Provision is a user to be made because somebody trusted vouched for them. They have no rights.
type Provision struct {
	Name    string // login name; where somebody has it already, the new user gets another one, and nothing is linked
	Display string
	// Credential links the user to the identity elsewhere: ID, Data and Best are the factor's to set.
	Credential Credential
}

// Addressed is a [Challenger] whose answers say which challenge they answer: a sign-in elsewhere comes back with the state
// it was sent with. An answer to another challenge is refused and leaves the open one as it is: whoever makes a browser
// follow a link spends nothing.
type Addressed interface {
	Challenger
	// Answers reports whether a credential is an answer to asked, in constant time. It looks nothing up.
	Answers(credential json.RawMessage, asked Asked) bool
}

// FurtherError says that a tie holds, and that what it is tied to proves less for now than it does otherwise: evidence of
// each of Factors is wanted besides. Guards ask for a step-up; the session stays as it is.
type FurtherError struct{ Factors []string }

// Error implements error.
func (e *FurtherError) Error() string { return "factors: evidence of further factors is wanted" }

// Notified is a factor whose issuers tell when what they vouched for is over (OpenID Connect Back-Channel Logout 1.0).
type Notified interface {
	Factor
	// Notice verifies a notice. A bad one is a [*Rejection].
	Notice(ctx context.Context, n Notice) (Over, error)
}

// Notice is what an issuer sent, about evidence in a tenant.
type Notice struct {
	Now    time.Time
	Tenant string
	Form   url.Values
}

// Over is what a verified notice says.
type Over struct {
	ID      string    // of the notice; it is taken once
	Until   time.Time // when the notice could not be taken any more
	Handles []string  // evidence that has one of them is over
	// Final says that the handles name nothing that is still to come: evidence with one of them that is won later is over
	// too. Otherwise only evidence won before the notice is.
	Final bool
}

// SignedOut is a factor whose issuer has a page where one signs out there too (OpenID Connect RP-Initiated Logout 1.0).
type SignedOut interface {
	Factor
	// SignOutURL is where to send a browser that was signed out here, for the issuer to send it back to returnTo, an
	// absolute URL; empty: nowhere. e is evidence of this factor.
	SignOutURL(ctx context.Context, e authn.Evidence, returnTo string) (string, error)
}

// Enrolment is a credential being added.
type Enrolment struct {
	Request
	User       User
	Existing   []Credential // of this user and factor
	Credential json.RawMessage
	Challenge  Asked
}

// User is a person, a device or a workload, as factors see it.
type User struct {
	Tenant  string
	ID      string
	Name    string // login name, unique among those of its class in its tenant
	Display string
	Handle  []byte // 64 random bytes, unique in the portal (WebAuthn L3 section 5.4.3)
	Class   authn.Class
}

// Subject is the user's subject.
func (u User) Subject() authn.Subject {
	return authn.Subject{Tenant: u.Tenant, User: u.ID, Class: u.Class}
}

// Credential is something enrolled that a factor verifies against.
type Credential struct {
	Tenant  string
	User    string
	Factor  string
	ID      string // of the factor's making, unique within its factor
	Kind    string
	Name    string // given by its owner
	Data    []byte // the factor's own
	Best    authn.Strength
	Created time.Time
	Used    time.Time    // zero: never
	Flagged authn.Reason // why it may no longer be used; empty: it may
	Version uint64       // for compare-and-swap
}

// Directory is what factors may look up. It is safe for concurrent use. What is not there is [ErrNotFound].
type Directory interface {
	// UserNamed finds a person, a device or a workload by login name: names of each class are a namespace apart. They are
	// compared exactly.
	UserNamed(ctx context.Context, tenant, name string, class authn.Class) (User, error)
	// UserByHandle finds a user by its 64 byte handle, in any tenant.
	UserByHandle(ctx context.Context, handle []byte) (User, error)
	// Credential finds a credential of a factor by id within a tenant. Flagged ones are found too.
	Credential(ctx context.Context, tenant, factor, id string) (Credential, error)
	// Credentials are all that a user has of a factor, flagged ones too, oldest first.
	Credentials(ctx context.Context, tenant, user, factor string) ([]Credential, error)
}

// ErrNotFound reports that what was looked up is not there.
var ErrNotFound = errors.New("factors: not found")

// Kind builds the factors of one kind from the policy.
type Kind interface {
	policy.Kind
	// Build makes the factor from the settings that this kind decoded.
	Build(s policy.Settings, env Env) (Factor, error)
}

// Env is what the engine gives to the factors it builds.
type Env struct {
	Policy    *policy.Policy
	Directory Directory
	Denials   Denials
	Rand      io.Reader // crypto/rand.Reader, or a test's
	// Base is the path under which the HTTP contract is mounted: "/auth". Redirect URIs begin with it.
	Base string
	// Once, Tokens and Live are nil where a program builds a factor by itself; a factor that needs one fails to build then.
	Once   Once
	Tokens TokenDenials
	Live   Live
}

// Once remembers what was used. It is the same for all instances, and safe for concurrent use.
type Once interface {
	// Use reports whether this is the first use of id, remembered at least until the time given. id begins with what it is
	// for; factors add their own name.
	Use(ctx context.Context, id string, until time.Time) (first bool, err error)
}

// TokenDenials is the list of tokens that are refused although nothing is wrong with them. It is safe for concurrent use,
// and answers from memory that is at most a second old.
type TokenDenials interface {
	// TokenDenied reports whether a token is on the list for a tenant, or for all. An error means that the list could not
	// be read: refuse.
	TokenDenied(ctx context.Context, now time.Time, tenant string, m TokenMarks) (bool, error)
}

// TokenMarks are what a token is found on the list by.
type TokenMarks struct {
	ID      [sha256.Size]byte // [TokenDigest] of issuer and jti; zero: it has none
	Subject [sha256.Size]byte // [TokenDigest] of issuer and sub; zero: it has none
	Issued  time.Time         // a denial by subject is about tokens issued no later than it was made
}

// TokenDigest is the digest by which a token is denied: by its issuer and its jti, or by its issuer and its sub.
func TokenDigest(issuer, value string) [sha256.Size]byte {
	return sha256.Sum256([]byte(strconv.Itoa(len(issuer)) + ":" + issuer + value))
}

// Live tells whether a session is there, for tokens that were made from one. It is safe for concurrent use.
type Live interface {
	// SessionLive reports whether the session with a public id lives and is a person's, device's or workload's, with user id user in
	// tenant.
	SessionLive(ctx context.Context, now time.Time, tenant, user, id string) (bool, error)
}

// PeerCertChain is the certificate chain of a request: what was presented, and where it was seen. Only the middleware of
// factors/mtls makes one, and the zero value is none, so a handler cannot be handed a chain that nobody vouched for.
// That a chain is there does not mean that it is trusted: the factor verifies it.
type PeerCertChain = peer.Chain

// PeerSource says where a chain was seen.
type PeerSource = peer.Source

// PeerCertChainFrom reads the chain of the request's context. It is the zero value where the client sent no certificate
// or no middleware ran; the error says that one was presented in a way that is refused.
func PeerCertChainFrom(ctx context.Context) (PeerCertChain, error) {
	seen := peer.From(ctx)
	return seen.Chain, seen.Refused
}

// PeerRemovedFrom says why certificate headers were removed from the request of a context: whoever sent them is not the
// terminator. It is nil where there were none. Beyond the audit log it means nothing: the request has no certificate.
func PeerRemovedFrom(ctx context.Context) error { return peer.From(ctx).Removed }

// ClientFrom is the address of the client, where it is another than the connection's and somebody who may say so named it.
// It is not valid otherwise. It is for logs and budgets, and never evidence.
func ClientFrom(ctx context.Context) netip.Addr { return peer.From(ctx).Client }

// Targeted is implemented by factors whose answers say themselves which credential they are about, by an id or a handle.
// The engine counts an attempt against it where nobody has been named yet, so that claiming another name is no way to
// have more attempts. Target is called before the answer is looked at; it looks nothing up, and what it says is not
// trusted. Empty: the answer does not say.
type Targeted interface {
	Factor
	Target(credential json.RawMessage) string
}

// Rejection says that evidence is bad. Its reason is for operators and never reaches the caller.
type Rejection struct {
	Reason authn.Reason
	Detail string      // for the audit log; never holds a secret, a token or a certificate
	Flag   *Credential // the credential to be flagged with Reason, if any
	// Over says of a tie that it is over for good, whoever asks: the session that was won with it ends.
	Over bool
	// Nonce is for the caller: what the next proof of possession must hold (RFC 9449 section 8). The credential may be good.
	Nonce string
}

func (r *Rejection) Error() string {
	if r.Detail == "" {
		return "factors: rejected: " + string(r.Reason)
	}
	return fmt.Sprintf("factors: rejected: %s: %s", r.Reason, r.Detail)
}

// Reject makes a [*Rejection].
func Reject(why authn.Reason, format string, args ...any) error {
	return &Rejection{Reason: why, Detail: fmt.Sprintf(format, args...)}
}

// Reasons that are not of one kind of factor alone. They are stable.
const (
	ReasonMalformed      authn.Reason = "credential_malformed"
	ReasonTieMissing     authn.Reason = "tie_missing"  // the request carries no certificate at all
	ReasonTieBroken      authn.Reason = "tie_broken"   // the request carries another certificate
	ReasonRevoked        authn.Reason = "revoked"      // denied or revoked
	ReasonUserUnknown    authn.Reason = "user_unknown" // it names somebody that the directory does not have
	ReasonCredentialGone authn.Reason = "credential_unknown"
	ReasonFlagged        authn.Reason = "credential_flagged"
	ReasonNoCertificate  authn.Reason = "certificate_missing"
	ReasonNoToken        authn.Reason = "token_missing" // a factor of a token says so of a request that carries none
	ReasonAnotherAnswer  authn.Reason = "answers_another_challenge"
)

// Vouched is a Factor that relies on the word of somebody whom a policy may replace. Vouches reports whether the policy in force
// takes that word still: newcomer asks it of somebody who is to be made a user.
type Vouched interface {
	Factor
	Vouches(e authn.Evidence, newcomer bool) bool
}
