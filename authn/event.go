package authn

import (
	"fmt"
	"time"
)

// Event is something that happened to a login or session. The set is closed. Every event carries its time.
type Event interface {
	// Kind names the event as the table of the machine does.
	Kind() EventKind
	when() time.Time
}

// EventKind names an event.
type EventKind string

const (
	EventBegin     EventKind = "begin"
	EventOnce      EventKind = "once"
	EventStepUp    EventKind = "step-up"
	EventRedeem    EventKind = "redeem"
	EventChallenge EventKind = "challenge"
	EventProve     EventKind = "prove"
	EventFail      EventKind = "fail"
	EventEnrol     EventKind = "enrol"
	EventCancel    EventKind = "cancel"
	EventSignOut   EventKind = "sign-out"
	EventRevoke    EventKind = "revoke"
)

// Begin starts a login by a method. It ends a running one and its evidence.
type Begin struct {
	At       time.Time
	ID       string // of the login, unique
	Method   Method
	Claim    Claim
	ReturnTo string
}

// Once authenticates one request by itself. Method is one of single requests, and Evidence is that of each of its steps,
// all ambient, in order, verified with this request: at At. Check must hold what was looked up with it. What comes of it
// is an [Authenticated] that is never stored, in which every event is illegal; there is nothing to carry out. A refusal is
// a [*TransitionError] with its reason. A session that the caller has as well is neither asked nor changed: the event is
// one of a [Guest].
type Once struct {
	At       time.Time
	ID       string // of the request, unique
	Method   Method
	Evidence []Evidence
	Check    *Check
}

// BeginStepUp starts a step-up inside a session: the steps that are to be passed, and what they must add up to.
type BeginStepUp struct {
	At    time.Time
	ID    string
	Steps []Step
	Want  Requirement
	// Login bounds how long the step-up may take; zero means [DefaultLoginTime].
	Login time.Duration
}

// Redeem opens the workflow of an invitation. Evidence is that of the leading ambient steps of Method, verified with
// this request, in order; Subject is the invited user.
type Redeem struct {
	At         time.Time
	ID         string
	Method     Method
	Evidence   []Evidence
	Subject    Subject
	Names      Names
	Invitation string
	Factors    []string
	Deadline   time.Time // of the invitation's reservation
}

// Issue opens a challenge, in a login or of an enrolment. It replaces an open one.
type Issue struct {
	At        time.Time
	Challenge Challenge
	// Enrolment says that the challenge is for a new credential, not for a login.
	Enrolment bool
}

// Prove hands in verified evidence. Challenge is the id of the challenge it answers, empty for ambient evidence. Where it
// is the last step, Check must hold what was looked up again at this moment (invariant 8).
type Prove struct {
	At        time.Time
	Evidence  Evidence
	Challenge string
	Check     *Check
	// Ends says why the login cannot go on with this evidence: the tenant that it binds is not the one that was claimed,
	// or does not have the method on offer.
	Ends Reason
}

// Fail records that an answer was refused. The challenge it answered is spent. In an enrolment nothing else changes.
type Fail struct {
	At        time.Time
	Factor    string
	Challenge string
	Reason    Reason
}

// Enrolled records that the credential of a running enrolment was stored.
type Enrolled struct {
	At         time.Time
	Challenge  string
	Factor     string
	Credential string
}

// Cancel ends what runs: a login, a workflow, or what runs inside a session.
type Cancel struct{ At time.Time }

// SignOut ends the person's part of a session; a device beneath stays. All ends the device too.
type SignOut struct {
	At  time.Time
	All bool
}

// Revoke ends everything, for a reason that operators see.
type Revoke struct {
	At     time.Time
	Reason Reason
}

// Check is what the caller looked up when the last step passed: the subject it looked at, whether that tenant, user and
// every credential shown are in good standing, whether the pinned method is on offer there under the current policy,
// and the floors that bind. Its zero value refuses.
type Check struct {
	Subject Subject
	Names   Names
	Refused Reason // why the subject is not in good standing; empty: it is
	OnOffer bool
	Floors  []Requirement
	Epoch   uint64 // of the policy that was asked
}

func (Begin) Kind() EventKind       { return EventBegin }
func (Once) Kind() EventKind        { return EventOnce }
func (BeginStepUp) Kind() EventKind { return EventStepUp }
func (Redeem) Kind() EventKind      { return EventRedeem }
func (Issue) Kind() EventKind       { return EventChallenge }
func (Prove) Kind() EventKind       { return EventProve }
func (Fail) Kind() EventKind        { return EventFail }
func (Enrolled) Kind() EventKind    { return EventEnrol }
func (Cancel) Kind() EventKind      { return EventCancel }
func (SignOut) Kind() EventKind     { return EventSignOut }
func (Revoke) Kind() EventKind      { return EventRevoke }

func (e Begin) when() time.Time       { return e.At }
func (e Once) when() time.Time        { return e.At }
func (e BeginStepUp) when() time.Time { return e.At }
func (e Redeem) when() time.Time      { return e.At }
func (e Issue) when() time.Time       { return e.At }
func (e Prove) when() time.Time       { return e.At }
func (e Fail) when() time.Time        { return e.At }
func (e Enrolled) when() time.Time    { return e.At }
func (e Cancel) when() time.Time      { return e.At }
func (e SignOut) when() time.Time     { return e.At }
func (e Revoke) when() time.Time      { return e.At }

// Reason is a stable code that says why. Operators find it in the audit log; callers never do.
type Reason string

const (
	ReasonIllegal         Reason = "illegal_transition"
	ReasonWrongStep       Reason = "wrong_step"
	ReasonNoChallenge     Reason = "no_challenge"
	ReasonChallengeStale  Reason = "challenge_stale"
	ReasonChallengeLate   Reason = "challenge_expired"
	ReasonSubject         Reason = "subject_contradicts"
	ReasonUnidentified    Reason = "subject_unidentified"
	ReasonEvidenceExpired Reason = "evidence_expired"
	ReasonEvidenceSize    Reason = "evidence_too_large"
	ReasonRepeated        Reason = "credential_repeated"
	ReasonUnchecked       Reason = "not_rechecked"
	ReasonNotOnOffer      Reason = "method_not_on_offer"
	ReasonFloor           Reason = "below_floor"
	ReasonExpired         Reason = "deadline_passed"
	ReasonIdle            Reason = "idle"
	ReasonSignedOut       Reason = "signed_out"
	ReasonReplaced        Reason = "replaced"
	ReasonCancelled       Reason = "cancelled"
	ReasonTooManyFailures Reason = "too_many_failures"
)

// TransitionError reports an event that the state does not allow. The state is as it was.
type TransitionError struct {
	State  StateKind
	Event  EventKind
	Reason Reason
}

func (e *TransitionError) Error() string {
	return fmt.Sprintf("authn: %s refused in state %s: %s", e.Event, e.State, e.Reason)
}

// Effect is something that the caller of [Apply] must carry out once the new state is saved. The set is closed.
type Effect interface{ effect() }

// Rotate asks for a new session secret: the old one never works again.
type Rotate struct{}

// ClearValues asks for an empty set of application values: another principal begins.
type ClearValues struct{}

// Refused says that the event was taken, and the caller's answer is "no". Reason is for operators.
type Refused struct{ Reason Reason }

// Happened is to be written to the audit log.
type Happened struct {
	What    Occurrence
	Subject Subject
	Names   Names
	Method  string
	Factor  string
	Login   string
	Reason  Reason
}

// Occurrence names what happened, for the audit log. The values are stable.
type Occurrence string

const (
	LoginBegun        Occurrence = "login.begun"
	LoginReplaced     Occurrence = "login.replaced"
	LoginCancelled    Occurrence = "login.cancelled"
	LoginRefused      Occurrence = "login.refused"
	LoginFinished     Occurrence = "login.finished"
	FactorPassed      Occurrence = "factor.passed"
	FactorFailed      Occurrence = "factor.failed"
	StepUpBegun       Occurrence = "step_up.begun"
	StepUpFinished    Occurrence = "step_up.finished"
	StepUpRefused     Occurrence = "step_up.refused"
	WorkflowBegun     Occurrence = "workflow.begun"
	WorkflowFinished  Occurrence = "workflow.finished"
	WorkflowCancelled Occurrence = "workflow.cancelled"
	CredentialAdded   Occurrence = "credential.added"
	SessionEnded      Occurrence = "session.ended"
)

func (Rotate) effect()      {}
func (ClearValues) effect() {}
func (Refused) effect()     {}
func (Happened) effect()    {}
