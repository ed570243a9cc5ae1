package authn_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

var update = flag.Bool("update", false, "write generated files anew")

var positions = []authn.Position{authn.AtGuest, authn.AtAuthenticating, authn.AtPending, authn.AtDevice, authn.AtPerson, authn.AtPersonOnDevice, authn.AtWorkload, authn.AtOneRequest, authn.AtEnded}

var events = []authn.EventKind{authn.EventBegin, authn.EventOnce, authn.EventStepUp, authn.EventRedeem, authn.EventChallenge, authn.EventProve, authn.EventFail, authn.EventEnrol,
	authn.EventCancel, authn.EventSignOut, authn.EventRevoke}

// representatives are states in every position, with different things under way.
func representatives() []authn.State {
	authenticating := after(authn.Guest{}, begin(mAdmin, t0))
	half := after(authenticating, prove(fCert, corpAlice, "", t0))
	tired := after(half, issue(fPasskey, "c", t0))
	for i := range authn.MaxFailures - 1 {
		tired = after(tired, authn.Fail{At: t0, Factor: "passkey", Challenge: map[bool]string{true: "c", false: fmt.Sprint(i)}[i == 0], Reason: "wrong"}, issue(fPasskey, fmt.Sprint(i+1), t0))
	}
	pending := after(authn.Guest{}, redeem(t0))
	up := authn.BeginStepUp{At: t0, ID: "up", Steps: []authn.Step{one(fCode)}, Want: authn.Requirement{Factors: []string{"code"}}}
	return []authn.State{
		authn.Guest{}, authenticating, half, after(half, issue(fPasskey, "c", t0)), tired, after(authn.Guest{}, begin(mKiosk, t0)),
		pending, after(pending, enrolChallenge("c", t0)),
		device(), after(device(), begin(mAttendant, t0), issue(fPasskey, "c", t0)), after(device(), redeem(t0), enrolChallenge("c", t0)),
		after(device(), begin(mAdmin, t0), prove(fCert, corpAlice, "", t0), issue(fPasskey, "c", t0)),
		person(), after(person(), up, issue(fCode, "c", t0)), after(person(), enrolChallenge("c", t0)), after(person(), begin(mKiosk, t0)),
		after(person(), begin(mAdmin, t0), prove(fCert, corpBob, "", t0), issue(fPasskey, "c", t0)),
		personOnDevice(), after(personOnDevice(), up, issue(fCode, "c", t0)), after(personOnDevice(), enrolChallenge("c", t0)),
		after(personOnDevice(), begin(mKiosk, t0)), after(personOnDevice(), begin(mAdmin, t0), prove(fCert, corpBob, "", t0), issue(fPasskey, "c", t0)),
		after(authn.Guest{}, begin(mJob, t0)), after(device(), begin(mJob, t0)), after(person(), begin(mJob, t0)), after(personOnDevice(), begin(mJob, t0)),
		workload(), after(workload(), begin(mKiosk, t0)), after(workload(), begin(mJob, t0)), after(workload(), begin(mAdmin, t0), prove(fCert, corpAlice, "", t0), issue(fPasskey, "c", t0)),
		authn.Ended{Reason: authn.ReasonSignedOut, At: t0},
	}
}

// answering are states in which one request is answered: of a person, of a device and of a workload.
func answering() []authn.State {
	return []authn.State{after(authn.Guest{}, once(mService, corpAlice, t0, fCert, fToken)), after(authn.Guest{}, once(mSensor, lobby, t0, fKiosk)), after(authn.Guest{}, once(mCron, backup, t0, fJob, fRobot))}
}

// attempts are events of a kind, good and bad.
func attempts(k authn.EventKind) []authn.Event {
	at := t0.Add(time.Second)
	switch k {
	case authn.EventBegin:
		return []authn.Event{begin(mAdmin, at), begin(mKiosk, at), begin(mJob, at), begin(mAttendant, at)}
	case authn.EventOnce:
		all := []authn.Event{once(mService, corpAlice, at, fCert, fToken), once(mSensor, lobby, at, fKiosk), once(mCron, backup, at, fJob, fRobot), once(mAdmin, corpAlice, at, fCert, fPasskey)}
		refused := once(mService, corpAlice, at, fCert, fToken)
		refused.Check = &authn.Check{Subject: corpAlice, OnOffer: true, Refused: "suspended"}
		return append(all, refused)
	case authn.EventStepUp:
		return []authn.Event{authn.BeginStepUp{At: at, ID: "s", Steps: []authn.Step{one(fPasskey)}, Want: authn.Requirement{AAL: 2}}}
	case authn.EventRedeem:
		return []authn.Event{redeem(at)}
	case authn.EventChallenge:
		return []authn.Event{issue(fPasskey, "n", at), issue(fCode, "n", at), enrolChallenge("n", at)}
	case authn.EventProve:
		var all []authn.Event
		for _, f := range []authn.Factor{fCert, fPasskey, fCode, fKiosk, fJob} {
			for _, of := range []authn.Subject{corpAlice, corpBob, labsAlice, lobby, backup} {
				for _, c := range []string{"", "c"} {
					all = append(all, prove(f, of, c, at))
					refused := prove(f, of, c, at)
					refused.Check = &authn.Check{Subject: of, OnOffer: true, Refused: "suspended"}
					all = append(all, refused)
				}
			}
		}
		return all
	case authn.EventFail:
		var all []authn.Event
		for _, f := range []string{"passkey", "code"} {
			for _, c := range []string{"c", fmt.Sprint(authn.MaxFailures - 1)} {
				all = append(all, authn.Fail{At: at, Factor: f, Challenge: c, Reason: "wrong"})
			}
		}
		return all
	case authn.EventEnrol:
		return []authn.Event{authn.Enrolled{At: at, Challenge: "c", Factor: "passkey", Credential: "k"}}
	case authn.EventCancel:
		return []authn.Event{authn.Cancel{At: at}}
	case authn.EventSignOut:
		return []authn.Event{authn.SignOut{At: at}, authn.SignOut{At: at, All: true}}
	case authn.EventRevoke:
		return []authn.Event{authn.Revoke{At: at, Reason: "revoked"}}
	}
	return nil
}

// bytesOf is all that a state is: as it is stored, or, if it is of one request and no store takes it, as it is printed.
func bytesOf(t *testing.T, s authn.State) string {
	t.Helper()
	b, err := authn.Encode(s)
	if oneRequest(s) {
		if err == nil || b != nil {
			t.Fatalf("what one request has proven can be stored: %s", b)
		}
		return printed(s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func oneRequest(s authn.State) bool {
	a, ok := s.(authn.Authenticated)
	return ok && a.OneRequest()
}

// printed is a state of one request, for comparison.
func printed(s authn.State) string {
	text := fmt.Sprintf("%T %s", s, authn.PositionOf(s))
	for _, p := range principals(s) {
		text += fmt.Sprintf(" %+v", p)
	}
	if a, ok := s.(authn.Authenticated); ok && a.Running() != nil {
		text += fmt.Sprintf(" with %+v", a.Running())
	}
	return text
}

func TestTable(t *testing.T) {
	states := append(representatives(), answering()...)
	for _, from := range positions {
		if !slices.ContainsFunc(states, func(s authn.State) bool { return authn.PositionOf(s) == from }) {
			t.Errorf("no state is tried in position %q", from)
		}
		for _, on := range events {
			var allowed []authn.Position
			for _, r := range authn.Rules() {
				if r.From == from && r.On == on {
					allowed = r.To
				}
			}
			reached := map[authn.Position]bool{}
			for _, s := range states {
				if authn.PositionOf(s) != from {
					continue
				}
				for _, e := range attempts(on) {
					if e.Kind() != on {
						t.Fatalf("%T is not %s", e, on)
					}
					before := bytesOf(t, s)
					got, err := authn.Apply(s, e)
					if bytesOf(t, s) != before {
						t.Fatalf("%s on %s changed the state that it was given", from, on)
					}
					var te *authn.TransitionError
					if err != nil {
						if !errors.As(err, &te) || bytesOf(t, got.State) != before {
							t.Errorf("%s on %s: %v, and the state is not as it was", from, on, err)
						}
						continue
					}
					to := authn.PositionOf(got.State)
					reached[to] = true
					if !slices.Contains(allowed, to) {
						t.Errorf("%s on %s led to %s, which the table does not have", from, on, to)
					}
					if to == authn.AtOneRequest {
						if len(got.Effects) > 0 {
							t.Errorf("%s on %s asks for %+v, and there is no session to do it with", from, on, got.Effects)
						}
						bytesOf(t, got.State) // is no record
						continue
					}
					again, err := authn.Decode([]byte(bytesOf(t, got.State)))
					if err != nil || bytesOf(t, again) != bytesOf(t, got.State) {
						t.Errorf("%s on %s led to a state that is not restored as it was: %v", from, on, err)
					}
				}
			}
			for _, to := range allowed {
				if !reached[to] {
					t.Errorf("%s on %s never led to %s", from, on, to)
				}
			}
		}
	}
}

// docs/states.md is drawn from the table.
func TestStatesDocument(t *testing.T) {
	const file = "../docs/states.md"
	want := drawStates()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the table says: run go test ./authn -run TestStatesDocument -update", file)
	}
}

func drawStates() string {
	var b strings.Builder
	b.WriteString(`# States and events

Drawn from the table of the machine (` + "`authn.Rules`" + `) by a test, which also holds the machine to it. A pair of state and event that
has no row is refused, and leaves the state as it was.

- **guest**: nobody.
- **authenticating**: a login is running. It holds the method as it was when the login began.
- **pending**: let into one workflow and nothing else: enrolling a first passkey with an invitation.
- **device**, **person**, **person on device**, **workload**: authenticated. At most one thing runs inside: a step-up, another login, an
  enrolment, a workflow. In a workload's only another login does.
- **one request**: authenticated by what came with the request, for that request. It is never stored, and refuses every event; a
  session that the caller has as well goes on beside it.
- **ended**: a tombstone. It refuses every event.

A deadline needs no event: what has passed it is gone on the next look, authenticating and pending to guest, a person on a
device to the device, anything else authenticated to ended.

` + "```mermaid\nstateDiagram-v2\n    [*] --> guest\n")
	name := func(p authn.Position) string { return strings.ReplaceAll(string(p), " ", "_") }
	lines := map[string][]string{}
	var order []string
	for _, r := range authn.Rules() {
		for _, to := range r.To {
			if to == r.From {
				continue
			}
			key := "    " + name(r.From) + " --> " + name(to)
			if lines[key] == nil {
				order = append(order, key)
			}
			lines[key] = append(lines[key], string(r.On))
		}
	}
	for _, key := range order {
		fmt.Fprintf(&b, "%s: %s\n", key, strings.Join(lines[key], ", "))
	}
	b.WriteString("    ended --> [*]\n```\n\n| state | event | leads to | |\n| --- | --- | --- | --- |\n")
	for _, r := range authn.Rules() {
		to := make([]string, len(r.To))
		for i, p := range r.To {
			to[i] = string(p)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.From, r.On, strings.Join(to, ", "), r.Note)
	}
	return b.String()
}
