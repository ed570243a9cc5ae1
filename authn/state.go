package authn

import (
	"slices"
	"time"
)

// State is where a caller stands. The set is closed: [Guest], [Authenticating], [Pending], [Authenticated], [Ended].
// States are values; nothing in one may be changed once it was handed out.
type State interface {
	// Kind names the state as the HTTP contract and the documents do.
	Kind() StateKind
	sealed()
}

// StateKind names a state.
type StateKind string

const (
	KindGuest          StateKind = "guest"
	KindAuthenticating StateKind = "authenticating"
	KindPending        StateKind = "pending"
	KindAuthenticated  StateKind = "authenticated"
	KindEnded          StateKind = "ended"
)

// Guest is nobody.
type Guest struct{}

// Authenticating is a login under way.
type Authenticating struct{ Login Login }

// Pending is a caller proven enough to be let into one workflow and nothing else.
type Pending struct{ Onboarding Onboarding }

// Authenticated holds a person, a device, a person above a device, or a workload, and at most one thing running inside. Only [Apply]
// makes one and only [Decode] restores one: its fields cannot be set from outside, and its zero value is nobody.
type Authenticated struct {
	person     *Principal
	unattended *Principal // the device or the workload: whoever is there without a person
	running    Running
}

// Ended is a tombstone: it refuses every event.
type Ended struct {
	Reason Reason    `json:"reason"`
	At     time.Time `json:"at"`
}

func (Guest) Kind() StateKind          { return KindGuest }
func (Authenticating) Kind() StateKind { return KindAuthenticating }
func (Pending) Kind() StateKind        { return KindPending }
func (Authenticated) Kind() StateKind  { return KindAuthenticated }
func (Ended) Kind() StateKind          { return KindEnded }

func (Guest) sealed()          {}
func (Authenticating) sealed() {}
func (Pending) sealed()        {}
func (Authenticated) sealed()  {}
func (Ended) sealed()          {}

// Person is the human principal, if one is signed in.
func (a Authenticated) Person() (Principal, bool) { return deref(a.person) }

// Device is the device principal, if there is one.
func (a Authenticated) Device() (Principal, bool) { return a.unattendedOf(ClassDevice) }

// Workload is the workload principal, if there is one. There is nobody else then.
func (a Authenticated) Workload() (Principal, bool) { return a.unattendedOf(ClassWorkload) }

// Unattended is the device or the workload, if there is one. It is for what holds for whoever is in a session, never for
// letting somebody in.
func (a Authenticated) Unattended() (Principal, bool) { return deref(a.unattended) }

func (a Authenticated) unattendedOf(c Class) (Principal, bool) {
	if a.unattended == nil || a.unattended.Subject.Class != c {
		return Principal{}, false
	}
	return *a.unattended, true
}

// Principal is the person or, with nobody signed in, the device or the workload.
func (a Authenticated) Principal() Principal {
	if p, ok := a.Person(); ok {
		return p
	}
	p, _ := a.Unattended()
	return p
}

// Running is what runs inside the session: nil, [StepUp], [SignOn], [Enrolling] or [Onboarding].
func (a Authenticated) Running() Running { return a.running }

func deref(p *Principal) (Principal, bool) {
	if p == nil {
		return Principal{}, false
	}
	return *p, true
}

// Principal is the outcome of a login. Only a session that [Apply] promoted holds one.
type Principal struct {
	Subject  Subject       `json:"subject"`
	Names    Names         `json:"names"`
	Method   Method        `json:"method"`          // as it was when the login began
	Evidence []Evidence    `json:"evidence"`        // one piece for each step, in order
	Added    []Evidence    `json:"added,omitempty"` // by step-up, in order; no piece adds nothing to a later one
	Login    string        `json:"login"`           // id of the login that made it
	Made     time.Time     `json:"made"`
	Deadline time.Time     `json:"deadline"`        // nothing ever extends it
	Idle     time.Duration `json:"idle,omitempty"`  // zero: no limit
	Epoch    uint64        `json:"epoch,omitempty"` // of the policy at the last check in full
}

// All is the evidence of the login and of every step-up.
func (p Principal) All() []Evidence {
	if len(p.Added) == 0 {
		return slices.Clip(p.Evidence)
	}
	return slices.Concat(p.Evidence, p.Added)
}

// Assurance is what the evidence is worth.
func (p Principal) Assurance() Assurance { return Assess(p.All()...) }

// AuthenticatedAt is when the caller last acted to authenticate, as far as is known: the newest interactive evidence, by
// when it was really shown, or the making of the principal where none says when. Ambient evidence never moves it.
func (p Principal) AuthenticatedAt() time.Time {
	var at time.Time
	for _, e := range p.All() {
		if shown := e.shownAt(); !e.Ambient && shown.After(at) && shown.After(unsaid) {
			at = shown
		}
	}
	if at.IsZero() {
		return p.Made
	}
	return at
}

// Scopes are those of all evidence, in its order, each once: what the tokens shown allow.
func (p Principal) Scopes() []string {
	var scopes []string
	for _, e := range p.All() {
		for _, s := range e.Scopes {
			if !slices.Contains(scopes, s) {
				scopes = append(scopes, s)
			}
		}
	}
	return scopes
}

// Attributes are those of all evidence. Where two pieces speak of one attribute, the earlier is believed: nothing that a
// later step says replaces what an earlier one said. The map is the caller's.
func (p Principal) Attributes() map[string][]string {
	all := map[string][]string{}
	for _, e := range p.All() {
		for name, values := range e.Attributes {
			if _, said := all[name]; !said {
				all[name] = slices.Clone(values)
			}
		}
	}
	return all
}

// Meets reports whether the principal meets r at the time now.
func (p Principal) Meets(r Requirement, now time.Time) bool { return r.MetBy(p.All(), now) }

// Tie is the tie of the principal, if any evidence of it carries one.
func (p Principal) Tie() (Tie, bool) { return tieOf(p.Evidence) }

func tieOf(evidence []Evidence) (Tie, bool) {
	for _, e := range evidence {
		if e.Tie != nil {
			return *e.Tie, true
		}
	}
	return Tie{}, false
}

// Login is one run of a method by one caller. Begun inside a session it is a [StepUp] or a [SignOn].
type Login struct {
	ID        string     `json:"id"`
	Method    Method     `json:"method"` // as it was when the login began
	Subject   Subject    `json:"subject"`
	Names     Names      `json:"names"`
	Evidence  []Evidence `json:"evidence"` // one piece for each step passed, in order
	Challenge *Challenge `json:"challenge,omitempty"`
	Failures  int        `json:"failures,omitempty"`
	Claim     Claim      `json:"claim"`
	ReturnTo  string     `json:"return_to,omitempty"`
	Began     time.Time  `json:"began"`
	Deadline  time.Time  `json:"deadline"`
}

// Claim is what a caller typed: a hint for the look-up, no part of the subject.
type Claim struct {
	Tenant string `json:"tenant,omitempty"`
	User   string `json:"user,omitempty"`
}

// Next is the step to pass now; false when none is left.
func (l Login) Next() (Step, bool) {
	if len(l.Evidence) >= len(l.Method.Steps) {
		return Step{}, false
	}
	return l.Method.Steps[len(l.Evidence)], true
}

// Done are the names of the factors passed, in order.
func (l Login) Done() []string {
	done := make([]string, len(l.Evidence))
	for i, e := range l.Evidence {
		done[i] = e.Factor
	}
	return done
}

// Tie is the tie of the login, if any evidence of it carries one.
func (l Login) Tie() (Tie, bool) { return tieOf(l.Evidence) }

// Challenge is what an interactive factor asked. It is spent by the first answer, good or bad.
type Challenge struct {
	ID      string    `json:"id"`
	Factor  string    `json:"factor"`
	Data    []byte    `json:"data,omitempty"` // the factor's own, handed back once
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
}

// Running is what runs inside a session. The set is closed.
type Running interface{ runs() }

// StepUp raises what a principal has proven.
type StepUp struct {
	Login Login       `json:"login"`
	Want  Requirement `json:"want"`
}

// SignOn is a login begun inside a session. Above a device it adds a person and the device stays; otherwise it replaces
// the session when it is complete.
type SignOn struct {
	Login Login `json:"login"`
}

// Enrolling adds a credential of a principal's own.
type Enrolling struct {
	Challenge Challenge `json:"challenge"`
}

// Onboarding is the workflow of a caller who redeemed an invitation: the ambient factors of the method are proven, the
// first interactive credential is to be enrolled.
type Onboarding struct {
	Login      Login      `json:"login"` // evidence of the leading ambient steps only
	Workflow   string     `json:"workflow"`
	Invitation string     `json:"invitation"`
	Factors    []string   `json:"factors"` // that may be enrolled
	Challenge  *Challenge `json:"challenge,omitempty"`
}

func (StepUp) runs()     {}
func (SignOn) runs()     {}
func (Enrolling) runs()  {}
func (Onboarding) runs() {}

// WorkflowEnrol is the workflow of enrolling a first credential with an invitation.
const WorkflowEnrol = "enrol"
