package authn_test

import (
	"errors"
	"fmt"
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

// steppedUp is a session after a step-up by one piece of evidence.
func steppedUp(t *testing.T, s authn.State, f authn.Factor, want authn.Requirement, change func(ev *authn.Evidence), at time.Time) authn.State {
	t.Helper()
	id := "up at " + at.String()
	s = after(s, authn.BeginStepUp{At: at, ID: id, Steps: []authn.Step{one(f)}, Want: want})
	e := prove(f, corpAlice, "", at)
	if !f.Ambient {
		s, e.Challenge = after(s, issue(f, id, at)), id
	}
	change(&e.Evidence)
	got, err := authn.Apply(s, e)
	if err != nil {
		t.Fatal(err)
	}
	if why, no := got.Refusal(); no {
		t.Fatalf("a step-up is refused: %s", why)
	}
	return got.State
}

func added(s authn.State) (credentials []string) {
	for _, ev := range s.(authn.Authenticated).Principal().Added {
		credentials = append(credentials, ev.Credential)
	}
	return credentials
}

func touch(ev *authn.Evidence) { ev.Strength.UserVerified = false }

// The same passkey, first touched and then used with a PIN, is worth what it is worth with the PIN.
func TestStepUpWithTheSameCredential(t *testing.T) {
	m := authn.Method{Name: "touch", Steps: []authn.Step{one(fPasskey)}}
	first := prove(fPasskey, corpAlice, "c1", t0)
	touch(&first.Evidence)
	s := after(authn.Guest{}, begin(m, t0), issue(fPasskey, "c1", t0), first)
	s = steppedUp(t, s, fPasskey, authn.Requirement{AAL: 2, UserVerified: true}, func(*authn.Evidence) {}, t0)
	if got, err := authn.Decode([]byte(bytesOf(t, s))); err != nil || got.(authn.Authenticated).Principal().Assurance().AAL != 2 {
		t.Errorf("restored as %+v, %v", got, err)
	}
}

// A step-up takes nothing away that an earlier one added: a weaker credential stands beside a stronger one, and so does a
// weaker showing of the same.
func TestStepUpTakesNothingAway(t *testing.T) {
	s := after(authn.Guest{}, begin(mChoice, t0), prove(fCert, corpAlice, "", t0), issue(fCode, "c1", t0), prove(fCode, corpAlice, "c1", t0))
	fKey := known["smartkey"]
	as := func(credential string, change ...func(ev *authn.Evidence)) func(ev *authn.Evidence) {
		return func(ev *authn.Evidence) {
			ev.Credential = credential
			for _, f := range change {
				f(ev)
			}
		}
	}
	soft := func(ev *authn.Evidence) { ev.Strength.Hardware = false }
	minute := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }
	fresh := authn.Requirement{MaxAge: time.Second}
	for i, test := range []struct {
		name   string
		change func(ev *authn.Evidence)
		want   []string
	}{
		{"a phone", as("phone", soft), []string{"phone"}},
		{"the phone again", as("phone", soft), []string{"phone"}},
		{"a key in hardware: the phone adds nothing to it", as("key"), []string{"key"}},
		{"the phone, the weaker of the two", as("phone", soft), []string{"key", "phone"}},
		{"the key, merely touched", as("key", touch), []string{"key", "phone", "key"}},
		{"the key, merely touched again", as("key", touch), []string{"key", "phone", "key"}},
		{"the key in full", as("key"), []string{"key"}},
	} {
		s = steppedUp(t, s, fKey, fresh, test.change, minute(i))
		p := s.(authn.Authenticated).Principal()
		if a := p.Assurance(); i >= 2 && (a.AAL != 3 || !a.Hardware) {
			t.Errorf("%s: %+v is left", test.name, a)
		}
		if got := added(s); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v is added, want %v", test.name, got, test.want)
		}
		if !p.AuthenticatedAt().Equal(minute(i)) {
			t.Errorf("%s: last acted at %v", test.name, p.AuthenticatedAt())
		}
	}
}

// What could be worth less by something else that is there is kept: a credential whose secret was shown as something known
// too, one that came when the factor was asked for where it now comes by itself, one that carries a tie, a newer one.
func TestStepUpKeepsWhatCounts(t *testing.T) {
	same := func(credential, key string) func(ev *authn.Evidence) {
		return func(ev *authn.Evidence) { ev.Credential, ev.Key = credential, key }
	}
	token := authn.Factor{Name: "token", Kind: "otp", Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have}}
	s := after(authn.Guest{}, begin(authn.Method{Name: "code", Steps: []authn.Step{one(fCode)}}, t0), issue(fCode, "c1", t0), func() authn.Event {
		e := prove(fCode, corpAlice, "c1", t0)
		e.Evidence.Key = "shared"
		return e
	}())
	s = steppedUp(t, s, token, authn.Requirement{AAL: 2}, same("apart", "apart"), t0)
	s = steppedUp(t, s, token, authn.Requirement{AAL: 2}, same("shared", "shared"), t0.Add(time.Minute))
	s = steppedUp(t, s, fCert, authn.Requirement{}, same("old certificate", "old"), t0.Add(2*time.Minute))
	s = steppedUp(t, s, fCert, authn.Requirement{}, same("new certificate", "new"), t0.Add(3*time.Minute))
	byItself := authn.Factor{Name: "token", Kind: "otp", Ambient: true, Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have}}
	s = steppedUp(t, s, byItself, authn.Requirement{}, same("apart", "apart"), t0.Add(4*time.Minute))
	s = steppedUp(t, s, byItself, authn.Requirement{}, same("a clock behind", "apart"), t0.Add(3*time.Minute))
	if got, want := added(s), []string{"apart", "shared", "old certificate", "new certificate", "apart", "a clock behind"}; !slices.Equal(got, want) {
		t.Errorf("added %v, want %v", got, want)
	}
	if a := s.(authn.Authenticated).Principal().Assurance(); a.AAL != 2 {
		t.Errorf("a step-up took assurance away: %+v", a)
	}
}

// However often somebody steps up, by whatever secrets, what is added stays small, and the newest is in it.
func TestStepUpsStayFew(t *testing.T) {
	plain := authn.Factor{Name: "token", Kind: "jwt", Ambient: true, Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have}}
	s := person()
	for i := range 20 {
		s = steppedUp(t, s, plain, authn.Requirement{}, func(ev *authn.Evidence) { ev.Credential = fmt.Sprint(i) }, t0.Add(time.Duration(i)*time.Second))
	}
	if got := added(s); !slices.Equal(got, []string{"19"}) {
		t.Errorf("added %v", got)
	}
	s = person()
	for i := range 100 {
		s = steppedUp(t, s, fCert, authn.Requirement{}, func(ev *authn.Evidence) { ev.Credential = fmt.Sprint(i) }, t0.Add(time.Duration(i)*time.Second))
	}
	if got := added(s); len(got) > 32 || got[len(got)-1] != "99" {
		t.Errorf("added %v", got)
	}
}
