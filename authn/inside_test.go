package authn_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// What a person above a device could have done a moment ago is refused because the person's time is over, not as if it had
// never been allowed.
func TestExpiredPersonAboveDevice(t *testing.T) {
	later := t0.Add(2 * time.Hour) // the attendant has an hour, the kiosk a day
	for _, e := range []authn.Event{
		authn.BeginStepUp{At: later, ID: "up", Steps: []authn.Step{one(fCode)}},
		enrolChallenge("e", later),
	} {
		_, err := authn.Apply(personOnDevice(), e)
		var te *authn.TransitionError
		if !errors.As(err, &te) || te.Reason != authn.ReasonExpired {
			t.Errorf("%s: %v", e.Kind(), err)
		}
	}
}

// Whoever comes after a person whose time was over at a kiosk does not find that person's values, whatever comes first.
func TestExpiredPersonLeavesNoValues(t *testing.T) {
	later := t0.Add(2 * time.Hour)
	signingOn := after(personOnDevice(), begin(mAdmin, t0.Add(55*time.Minute)))
	for _, test := range []struct {
		s authn.State
		e authn.Event
	}{
		{personOnDevice(), begin(mAttendant, later)},
		{personOnDevice(), redeem(later)},
		{personOnDevice(), authn.SignOut{At: later}},
		{signingOn, begin(mAttendant, t0.Add(61*time.Minute))},
	} {
		got, err := authn.Apply(test.s, test.e)
		if err != nil {
			t.Fatal(err)
		}
		if n := count(got.Effects, authn.ClearValues{}); n != 1 {
			t.Errorf("%s: %d times told to clear the values: %+v", test.e.Kind(), n, got.Effects)
		}
	}
	got, err := authn.Apply(device(), begin(mAttendant, later))
	if err != nil || count(got.Effects, authn.ClearValues{}) != 0 {
		t.Errorf("a device loses its values where nobody was: %+v, %v", got.Effects, err)
	}
}

func count(effects []authn.Effect, what authn.Effect) int {
	n := 0
	for _, e := range effects {
		if e == what {
			n++
		}
	}
	return n
}

// happened are the things that effects say of logins, by login.
func happened(effects []authn.Effect) map[string][]authn.Occurrence {
	all := map[string][]authn.Occurrence{}
	for _, e := range effects {
		if h, ok := e.(authn.Happened); ok {
			all[h.Login] = append(all[h.Login], h.What)
		}
	}
	return all
}

// An ended session says of everything that ran inside that it is over, and of every principal.
func TestEndSaysWhatRan(t *testing.T) {
	up := authn.BeginStepUp{At: t0, ID: "inside", Steps: []authn.Step{one(fCode)}}
	signOn := authn.Begin{At: t0, ID: "inside", Method: mAdmin}
	invited := redeem(t0)
	invited.ID = "inside"
	enrolling := enrolChallenge("c", t0)
	out, all, revoke := authn.SignOut{At: t0}, authn.SignOut{At: t0, All: true}, authn.Revoke{At: t0, Reason: "lost"}
	for _, test := range []struct {
		name   string
		s      authn.State
		runs   authn.Event
		e      authn.Event
		inside authn.Occurrence
		ends   []string
	}{
		{"step-up of a person", person(), up, out, authn.LoginCancelled, []string{"login of admin"}},
		{"sign-on above a person", person(), signOn, out, authn.LoginCancelled, []string{"login of admin"}},
		{"enrolment of a person", person(), enrolling, out, "", []string{"login of admin"}},
		{"step-up of a person who is revoked", person(), up, revoke, authn.LoginCancelled, []string{"login of admin"}},
		{"sign-on above a device", device(), signOn, out, authn.LoginCancelled, []string{"login of kiosk"}},
		{"workflow above a device", device(), invited, out, authn.WorkflowCancelled, []string{"login of kiosk"}},
		{"workflow above a device that is revoked", device(), invited, revoke, authn.WorkflowCancelled, []string{"login of kiosk"}},
		{"step-up of a person above a device", personOnDevice(), up, out, authn.LoginCancelled, []string{"login of attendant"}},
		{"sign-on above both", personOnDevice(), signOn, all, authn.LoginCancelled, []string{"login of attendant", "login of kiosk"}},
		{"sign-on above both that are revoked", personOnDevice(), signOn, revoke, authn.LoginCancelled, []string{"login of attendant", "login of kiosk"}},
	} {
		got, err := authn.Apply(after(test.s, test.runs), test.e)
		if err != nil {
			t.Fatal(err)
		}
		said := happened(got.Effects)
		var inside []authn.Occurrence
		if test.inside != "" {
			inside = []authn.Occurrence{test.inside}
		}
		if !slices.Equal(said["inside"], inside) {
			t.Errorf("%s: %v is said of what ran", test.name, said["inside"])
		}
		delete(said, "inside")
		for _, login := range test.ends {
			if !slices.Equal(said[login], []authn.Occurrence{authn.SessionEnded}) {
				t.Errorf("%s: %v is said of %s", test.name, said[login], login)
			}
		}
		if len(said) != len(test.ends) {
			t.Errorf("%s: more is said than ended: %v", test.name, said)
		}
	}
}

// The last of the failures that a login may have is one too many, whether the answer was wrong or somebody else's.
func TestTooManyFailuresByProof(t *testing.T) {
	up := authn.BeginStepUp{At: t0, ID: "up", Steps: []authn.Step{one(fCert)}}
	for _, test := range []struct {
		s    authn.State
		want authn.Occurrence
	}{
		{after(authn.Guest{}, begin(mAdmin, t0)), authn.LoginRefused},
		{after(person(), begin(mAdmin, t0)), authn.LoginRefused},
		{after(person(), up), authn.StepUpRefused},
	} {
		s := test.s
		for range authn.MaxFailures - 1 {
			s = after(s, authn.Fail{At: t0, Factor: "cert", Reason: "denied"})
		}
		got, err := authn.Apply(s, prove(fCert, authn.Subject{User: "nobody"}, "", t0))
		if err != nil {
			t.Fatal(err)
		}
		last, _ := got.Effects[len(got.Effects)-1].(authn.Happened)
		if why, _ := got.Refusal(); last.What != test.want || last.Reason != authn.ReasonTooManyFailures || why != authn.ReasonSubject {
			t.Errorf("the effects are %+v", got.Effects)
		}
	}
}

// A replaced kiosk session ends for both of its principals; a person who is followed by another ends alone.
func TestReplacedBothEnd(t *testing.T) {
	s := after(personOnDevice(), begin(mAdmin, t0), prove(fCert, corpBob, "", t0), issue(fPasskey, "c9", t0))
	ended := func(s authn.State) map[authn.Subject]int {
		t.Helper()
		got, err := authn.Apply(s, prove(fPasskey, corpBob, "c9", t0))
		if err != nil {
			t.Fatal(err)
		}
		all := map[authn.Subject]int{}
		for _, e := range got.Effects {
			if h, ok := e.(authn.Happened); ok && h.What == authn.SessionEnded {
				all[h.Subject]++
			}
		}
		return all
	}
	if all := ended(s); all[corpAlice] != 1 || all[lobby] != 1 {
		t.Errorf("ended: %v", all)
	}
	if all := ended(after(personOnDevice(), begin(mAttendant, t0), issue(fPasskey, "c9", t0))); all[corpAlice] != 1 || len(all) != 1 {
		t.Errorf("ended above a device that stays: %v", all)
	}
}
