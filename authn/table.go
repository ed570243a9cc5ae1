package authn

// Position is a state as the table of the machine tells them apart: an Authenticated by who is in it and what runs.
type Position string

const (
	AtGuest          Position = "guest"
	AtAuthenticating Position = "authenticating"
	AtPending        Position = "pending"
	AtDevice         Position = "device"
	AtPerson         Position = "person"
	AtPersonOnDevice Position = "person on device"
	AtWorkload       Position = "workload"
	AtOneRequest     Position = "one request"
	AtEnded          Position = "ended"
)

// PositionOf says where in the table a state stands.
func PositionOf(s State) Position {
	switch s := s.(type) {
	case Guest:
		return AtGuest
	case Authenticating:
		return AtAuthenticating
	case Pending:
		return AtPending
	case Authenticated:
		switch {
		case s.OneRequest():
			return AtOneRequest
		case s.person != nil && s.unattended != nil:
			return AtPersonOnDevice
		case s.unattended != nil && s.unattended.Subject.Class == ClassWorkload:
			return AtWorkload
		case s.unattended != nil:
			return AtDevice
		default:
			return AtPerson
		}
	case Ended:
		return AtEnded
	}
	return ""
}

// Rule is one row of the table of the machine: in From, On may lead to any of To. A pair that has no rule is refused.
type Rule struct {
	From Position
	On   EventKind
	To   []Position
	Note string
}

// Rules returns the table of every state and event that the machine allows. Tests hold [Apply] to it and docs/states.md
// is drawn from it.
func Rules() []Rule {
	return []Rule{
		{AtGuest, EventBegin, []Position{AtAuthenticating}, "a login by a method on offer"},
		{AtGuest, EventRedeem, []Position{AtPending}, "an invitation, after the leading ambient steps of a method that needs no device beneath"},
		{AtGuest, EventOnce, []Position{AtOneRequest}, "all steps of a method of single requests at once, through the one door; it stands beside any session, is never stored, and refuses every event"},
		{AtGuest, EventRevoke, []Position{AtEnded}, ""},

		{AtAuthenticating, EventBegin, []Position{AtAuthenticating}, "ends the running login and its evidence"},
		{AtAuthenticating, EventRedeem, []Position{AtPending}, "ends the running login"},
		{AtAuthenticating, EventChallenge, []Position{AtAuthenticating}, "of an interactive factor that the next step allows"},
		{AtAuthenticating, EventProve, []Position{AtAuthenticating, AtPerson, AtDevice, AtWorkload, AtGuest}, "the last step, checked again, leads through the one door; a check that fails ends the login"},
		{AtAuthenticating, EventFail, []Position{AtAuthenticating, AtGuest}, "too many failures end the login"},
		{AtAuthenticating, EventCancel, []Position{AtGuest}, ""},
		{AtAuthenticating, EventSignOut, []Position{AtEnded}, ""},
		{AtAuthenticating, EventRevoke, []Position{AtEnded}, ""},

		{AtPending, EventBegin, []Position{AtAuthenticating}, "ends the workflow"},
		{AtPending, EventRedeem, []Position{AtPending}, "ends the workflow and opens another"},
		{AtPending, EventChallenge, []Position{AtPending}, "to enrol a factor that the workflow allows"},
		{AtPending, EventFail, []Position{AtPending}, ""},
		{AtPending, EventEnrol, []Position{AtGuest}, "the new credential is then used in an ordinary login"},
		{AtPending, EventCancel, []Position{AtGuest}, ""},
		{AtPending, EventSignOut, []Position{AtEnded}, ""},
		{AtPending, EventRevoke, []Position{AtEnded}, ""},

		{AtDevice, EventBegin, []Position{AtDevice}, "a person signs on above the device, or another login replaces it when complete"},
		{AtDevice, EventRedeem, []Position{AtDevice}, "the workflow runs inside; a method that names a device needs that one"},
		{AtDevice, EventChallenge, []Position{AtDevice}, "of what runs inside"},
		{AtDevice, EventProve, []Position{AtDevice, AtPersonOnDevice, AtPerson, AtWorkload}, "the device keeps what it had until the login inside is complete"},
		{AtDevice, EventFail, []Position{AtDevice}, "of what runs inside"},
		{AtDevice, EventEnrol, []Position{AtDevice}, "of the workflow inside"},
		{AtDevice, EventCancel, []Position{AtDevice}, "ends what runs inside"},
		{AtDevice, EventSignOut, []Position{AtEnded}, ""},
		{AtDevice, EventRevoke, []Position{AtEnded}, ""},

		{AtWorkload, EventBegin, []Position{AtWorkload}, "another login replaces it when complete; nobody signs on above it, and no invitation is for it"},
		{AtWorkload, EventChallenge, []Position{AtWorkload}, "of what runs inside"},
		{AtWorkload, EventProve, []Position{AtWorkload, AtPerson, AtDevice}, "the workload keeps what it had until the login inside is complete"},
		{AtWorkload, EventFail, []Position{AtWorkload}, "of what runs inside"},
		{AtWorkload, EventCancel, []Position{AtWorkload}, "ends what runs inside"},
		{AtWorkload, EventSignOut, []Position{AtEnded}, ""},
		{AtWorkload, EventRevoke, []Position{AtEnded}, ""},

		{AtPerson, EventBegin, []Position{AtPerson}, "replaces the session when it is complete"},
		{AtPerson, EventStepUp, []Position{AtPerson}, "runs inside"},
		{AtPerson, EventChallenge, []Position{AtPerson}, "of what runs inside, or to enrol a credential"},
		{AtPerson, EventProve, []Position{AtPerson, AtDevice, AtWorkload}, "a step-up adds evidence and extends nothing; a login replaces the session"},
		{AtPerson, EventFail, []Position{AtPerson}, "changes nothing of the principal"},
		{AtPerson, EventEnrol, []Position{AtPerson}, ""},
		{AtPerson, EventCancel, []Position{AtPerson}, "ends what runs inside"},
		{AtPerson, EventSignOut, []Position{AtEnded}, ""},
		{AtPerson, EventRevoke, []Position{AtEnded}, ""},

		{AtPersonOnDevice, EventBegin, []Position{AtPersonOnDevice}, "another person signs on, or another login replaces both"},
		{AtPersonOnDevice, EventStepUp, []Position{AtPersonOnDevice}, "runs inside"},
		{AtPersonOnDevice, EventChallenge, []Position{AtPersonOnDevice}, "of what runs inside, or to enrol a credential"},
		{AtPersonOnDevice, EventProve, []Position{AtPersonOnDevice, AtPerson, AtDevice, AtWorkload}, ""},
		{AtPersonOnDevice, EventFail, []Position{AtPersonOnDevice}, ""},
		{AtPersonOnDevice, EventEnrol, []Position{AtPersonOnDevice}, ""},
		{AtPersonOnDevice, EventCancel, []Position{AtPersonOnDevice}, "ends what runs inside"},
		{AtPersonOnDevice, EventSignOut, []Position{AtDevice, AtEnded}, "the device stays, unless all was asked for"},
		{AtPersonOnDevice, EventRevoke, []Position{AtEnded}, ""},
	}
}
