package authn_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// reason is why an event is refused, empty where it is not.
func reason(t *testing.T, s authn.State, e authn.Event) authn.Reason {
	t.Helper()
	_, err := authn.Apply(s, e)
	var te *authn.TransitionError
	if err != nil && !errors.As(err, &te) {
		t.Fatal(err)
	}
	if te == nil {
		return ""
	}
	return te.Reason
}

// A method lets somebody into a workflow only where it lets somebody in: on the device that it names, never by single
// requests; and what is invited is a person, in time.
func TestRedeemAsTheMethodSays(t *testing.T) {
	terminal := mKiosk
	terminal.Name = "terminal"
	aboveTerminal := after(authn.Guest{}, begin(terminal, t0), prove(fKiosk, lobby, "", t0))
	attendant := func(r *authn.Redeem) { r.Method, r.Evidence = mAttendant, nil }
	single := func(r *authn.Redeem) { r.Method.EachRequest = true }
	singleAbove := func(r *authn.Redeem) { attendant(r); r.Method.EachRequest = true }
	of := func(deadline time.Time) func(r *authn.Redeem) {
		return func(r *authn.Redeem) { r.Deadline = deadline }
	}
	box := func(r *authn.Redeem) {
		r.Subject, r.Method = lobby, authn.Method{Name: "boxes", Steps: []authn.Step{one(fKiosk), one(fPasskey)}}
		r.Evidence = []authn.Evidence{evidence(fKiosk, lobby, t0)}
	}
	for _, test := range []struct {
		name   string
		s      authn.State
		change func(r *authn.Redeem)
		want   authn.Reason
	}{
		{"as it should be", authn.Guest{}, func(*authn.Redeem) {}, ""},
		{"as it should be, above a device", device(), func(*authn.Redeem) {}, ""},
		{"on its device", device(), attendant, ""},
		{"on no device", authn.Guest{}, attendant, authn.ReasonNotOnOffer},
		{"on no device, amid a login", after(authn.Guest{}, begin(mAdmin, t0)), attendant, authn.ReasonNotOnOffer},
		{"on no device, amid a workflow", after(authn.Guest{}, redeem(t0)), attendant, authn.ReasonNotOnOffer},
		{"on another device", aboveTerminal, attendant, authn.ReasonNotOnOffer},
		{"by single requests", authn.Guest{}, single, authn.ReasonIllegal},
		{"by single requests above a device", device(), singleAbove, authn.ReasonIllegal},
		{"of a device", authn.Guest{}, box, authn.ReasonIllegal},
		{"of a device above a device", device(), box, authn.ReasonIllegal},
		{"with a reservation that is over", authn.Guest{}, of(t0), authn.ReasonExpired},
		{"with a reservation that is not over yet", authn.Guest{}, of(t0.Add(1)), ""},
	} {
		r := redeem(t0)
		test.change(&r)
		if got := reason(t, test.s, r); got != test.want {
			t.Errorf("%s: refused %q, want %q", test.name, got, test.want)
		}
	}
}

// Steps are passed in order, of time too: evidence from before that of the step before it is no answer to the open step.
func TestEvidenceInOrderOfTime(t *testing.T) {
	m := authn.Method{Name: "two", Steps: []authn.Step{one(fCert), one(fKiosk)}}
	m.Steps[1].AnyOf[0].Class = authn.ClassPerson
	second := func(seen time.Duration) authn.Prove {
		e := prove(fKiosk, corpAlice, "", t0.Add(time.Minute))
		e.Evidence.At = t0.Add(seen)
		return e
	}
	s := after(authn.Guest{}, begin(m, t0), prove(fCert, corpAlice, "", t0.Add(10*time.Second)))
	if got := reason(t, s, second(9*time.Second)); got != authn.ReasonWrongStep {
		t.Errorf("older evidence is refused %q", got)
	}
	if got := reason(t, s, second(10*time.Second)); got != "" {
		t.Errorf("evidence of the same moment is refused %q", got)
	}
}

// Evidence that binds a tenant which the login was not for ends the login, before its last step and inside a session, and
// leaves what was there.
func TestEvidenceThatEndsTheLogin(t *testing.T) {
	ends := prove(fCert, corpAlice, "", t0)
	ends.Ends = authn.ReasonNotOnOffer
	for name, c := range map[string]struct{ s, want authn.State }{
		"a guest's":                {after(authn.Guest{}, begin(mAdmin, t0)), authn.Guest{}},
		"inside a session":         {after(person(), begin(mAdmin, t0)), person()},
		"above a device":           {after(device(), begin(mAdmin, t0)), device()},
		"amid a person at a kiosk": {after(personOnDevice(), begin(mAdmin, t0)), personOnDevice()},
	} {
		tr, err := authn.Apply(c.s, ends)
		if err != nil {
			t.Fatal(name, err)
		}
		if why, refused := tr.Refusal(); !refused || why != authn.ReasonNotOnOffer {
			t.Errorf("%s: refused %v, %s", name, refused, why)
		}
		if !reflect.DeepEqual(tr.State, c.want) {
			t.Errorf("%s: %+v is left, want %+v", name, tr.State, c.want)
		}
	}
}
