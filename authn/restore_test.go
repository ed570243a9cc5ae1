package authn_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// restorable says whether a state that was put together by hand is restored.
func restorable(t *testing.T, s authn.State) bool {
	t.Helper()
	got, err := authn.Decode([]byte(bytesOf(t, s)))
	if err != nil && (got != nil || !errors.Is(err, authn.ErrRecord)) {
		t.Fatalf("%v with %v", got, err)
	}
	return err == nil
}

// A login that no event could have led to is not restored, whatever its evidence says.
func TestDecodeLogin(t *testing.T) {
	half := after(authn.Guest{}, begin(mAdmin, t0), prove(fCert, corpAlice, "", t0.Add(time.Second)), issue(fPasskey, "c", t0.Add(2*time.Second))).(authn.Authenticating).Login
	third := authn.Method{Name: "three", Steps: []authn.Step{one(fCert), one(fKiosk), one(fPasskey)}}
	third.Steps[1].AnyOf[0].Class = authn.ClassPerson
	two := after(authn.Guest{}, begin(third, t0), prove(fCert, corpAlice, "", t0.Add(time.Second)), prove(fKiosk, corpAlice, "", t0.Add(time.Second))).(authn.Authenticating).Login
	deadline := half.Deadline
	seen := func(at ...time.Time) func(l *authn.Login) {
		return func(l *authn.Login) {
			l.Evidence = append([]authn.Evidence(nil), l.Evidence...)
			for i := range at {
				l.Evidence[i].At = at[i]
			}
		}
	}
	asked := func(change func(c *authn.Challenge)) func(l *authn.Login) {
		return func(l *authn.Login) {
			c := *l.Challenge
			change(&c)
			l.Challenge = &c
		}
	}
	for _, test := range []struct {
		name   string
		login  authn.Login
		change func(l *authn.Login)
		want   bool
	}{
		{"as it was", half, func(*authn.Login) {}, true},
		{"as it was, after two steps", two, func(*authn.Login) {}, true},
		{"evidence of its first moment", half, seen(t0), true},
		{"evidence from before it began", half, seen(t0.Add(-1)), false},
		{"evidence of its last moment", half, seen(deadline.Add(-1)), true},
		{"evidence of its deadline", half, seen(deadline), false},
		{"evidence in the order of the steps", two, seen(t0, t0.Add(1)), true},
		{"evidence in another order", two, seen(t0.Add(1), t0), false},
		{"no id", half, func(l *authn.Login) { l.ID = "" }, false},
		{"a deadline that is later than its method allows", half, func(l *authn.Login) { l.Deadline = deadline.Add(1) }, false},
		{"a deadline as late as another method would allow", half, func(l *authn.Login) { l.Method.Login, l.Deadline = time.Hour, t0.Add(time.Hour) }, true},
		{"a later beginning", half, func(l *authn.Login) { l.Began = t0.Add(2 * time.Second) }, false},
		{"a method on a device that is not there", half, func(l *authn.Login) { l.Method.On = "kiosk" }, false},
		{"a method of single requests", half, func(l *authn.Login) { l.Method.EachRequest = true }, false},
		{"more failures than it may have", half, func(l *authn.Login) { l.Failures = authn.MaxFailures }, false},
		{"a challenge without id", half, asked(func(c *authn.Challenge) { c.ID = "" }), false},
		{"a challenge of a factor that the step does not have", half, asked(func(c *authn.Challenge) { c.Factor = "code" }), false},
		{"a challenge of the step before", half, asked(func(c *authn.Challenge) { c.Factor = "cert" }), false},
		{"a challenge of an ambient factor", two, func(l *authn.Login) {
			l.Evidence, l.Challenge = l.Evidence[:1], &authn.Challenge{ID: "c", Factor: "kiosk-cert", Issued: t0, Expires: deadline}
		}, false},
		{"a challenge that ends with it", half, asked(func(c *authn.Challenge) { c.Expires = deadline }), true},
		{"a challenge that outlives it", half, asked(func(c *authn.Challenge) { c.Expires = deadline.Add(1) }), false},
		{"a challenge that has no end", half, asked(func(c *authn.Challenge) { c.Expires = time.Time{} }), false},
	} {
		l := test.login
		test.change(&l)
		if restorable(t, authn.Authenticating{Login: l}) != test.want {
			t.Errorf("%s: restored: %v", test.name, !test.want)
		}
	}
}

// A workflow that no invitation could have opened is not restored.
func TestDecodeWorkflow(t *testing.T) {
	open := after(authn.Guest{}, redeem(t0), enrolChallenge("c", t0)).(authn.Pending).Onboarding
	for _, test := range []struct {
		name   string
		change func(o *authn.Onboarding)
		want   bool
	}{
		{"as it was", func(*authn.Onboarding) {}, true},
		{"no invitation", func(o *authn.Onboarding) { o.Invitation = "" }, false},
		{"no factors", func(o *authn.Onboarding) { o.Factors = nil }, false},
		{"another workflow", func(o *authn.Onboarding) { o.Workflow = "administer" }, false},
		{"no id", func(o *authn.Onboarding) { o.Login.ID = "" }, false},
		{"a deadline that is too late", func(o *authn.Onboarding) { o.Login.Deadline = o.Login.Deadline.Add(1) }, false},
		{"a deadline after that of its evidence", func(o *authn.Onboarding) { o.Login.Evidence[0].Expires = o.Login.Deadline.Add(-1) }, false},
		{"a deadline as early as that of its evidence", func(o *authn.Onboarding) { o.Login.Evidence[0].Expires = o.Login.Deadline }, true},
		{"a device", func(o *authn.Onboarding) {
			o.Login.Subject, o.Login.Method, o.Login.Evidence = lobby, mKiosk, []authn.Evidence{evidence(fKiosk, lobby, t0)}
		}, false},
		{"a method on a device that is not there", func(o *authn.Onboarding) { o.Login.Method.On = "kiosk" }, false},
		{"a method of single requests", func(o *authn.Onboarding) { o.Login.Method.EachRequest = true }, false},
		{"evidence of another request", func(o *authn.Onboarding) { o.Login.Evidence[0].At = t0.Add(1) }, false},
		{"a challenge to enrol another factor", func(o *authn.Onboarding) { o.Challenge.Factor = "code" }, false},
		{"a challenge that outlives it", func(o *authn.Onboarding) { o.Challenge.Expires = o.Login.Deadline.Add(1) }, false},
		{"a challenge of a login beside it", func(o *authn.Onboarding) { o.Login.Challenge = o.Challenge }, false},
		{"failures", func(o *authn.Onboarding) { o.Login.Failures = 1 }, false},
	} {
		o := open
		c := *o.Challenge
		o.Challenge, o.Login.Evidence = &c, append([]authn.Evidence(nil), o.Login.Evidence...)
		test.change(&o)
		if restorable(t, authn.Pending{Onboarding: o}) != test.want {
			t.Errorf("%s: restored: %v", test.name, !test.want)
		}
	}
}

// tampered is the record of a state with another body, and the header that goes with it as far as the deadlines do.
func tampered(t *testing.T, s authn.State, change func(b object)) []byte {
	t.Helper()
	b := bodyOf(t, s)
	change(b)
	rest, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	record := append([]byte(bytesOf(t, s)[:authn.HeaderSize]), rest...)
	var in struct {
		Person, Device *authn.Principal
		StepUp         *authn.StepUp     `json:"step_up"`
		SignOn         *authn.SignOn     `json:"sign_on"`
		Enrolling      *authn.Enrolling  `json:"enrolling"`
		Onboarding     *authn.Onboarding `json:"onboarding"`
	}
	if err := json.Unmarshal(rest, &in); err != nil {
		t.Fatal(err)
	}
	put := func(at int, deadline time.Time) {
		n := uint64(0)
		if !deadline.IsZero() {
			n = uint64(deadline.UnixNano())
		}
		binary.BigEndian.PutUint64(record[at:], n)
	}
	for at, p := range map[int]*authn.Principal{24: in.Person, 72: in.Device} {
		if p != nil {
			put(at+8, p.Deadline)
			binary.BigEndian.PutUint64(record[at+16:], uint64(p.Idle))
		}
	}
	switch {
	case in.StepUp != nil:
		put(8, in.StepUp.Login.Deadline)
	case in.SignOn != nil:
		put(8, in.SignOn.Login.Deadline)
	case in.Enrolling != nil:
		put(8, in.Enrolling.Challenge.Expires)
	case in.Onboarding != nil:
		put(8, in.Onboarding.Login.Deadline)
	}
	return record
}

// A session that no event could have led to is not restored: neither its principals nor what runs inside.
func TestDecodeSession(t *testing.T) {
	made := t0.Add(time.Minute)
	plain := after(authn.Guest{}, begin(mAdmin, t0), prove(fCert, corpAlice, "", t0), issue(fPasskey, "c1", t0), prove(fPasskey, corpAlice, "c1", made))
	more := steppedUp(t, plain, fCode, authn.Requirement{}, func(*authn.Evidence) {}, t0.Add(time.Hour))
	up := after(plain, authn.BeginStepUp{At: made, ID: "up", Steps: []authn.Step{one(fCode)}}, issue(fCode, "c", made))
	signOn := after(device(), begin(mAttendant, made), issue(fPasskey, "c", made))
	enrolling := after(plain, enrolChallenge("c", made))
	invitation := redeem(made)
	invitation.Method, invitation.Evidence = mAttendant, nil
	workflow := after(device(), invitation, enrolChallenge("c", made))
	end := made.Add(8 * time.Hour)
	for _, test := range []struct {
		name   string
		s      authn.State
		path   []any
		field  string
		value  any
		wanted bool
	}{
		{"a person as it was", plain, []any{"person"}, "login", "login of admin", true},
		{"without the login that made it", plain, []any{"person"}, "login", "", false},
		{"by a method of single requests", plain, []any{"person", "method"}, "each_request", true, false},
		{"evidence as old as its login may be", plain, []any{"person", "evidence", 0}, "at", made.Add(1 - authn.DefaultLoginTime), true},
		{"evidence older than its login may be", plain, []any{"person", "evidence", 0}, "at", made.Add(-authn.DefaultLoginTime), false},
		{"steps in another order", plain, []any{"person", "evidence", 0}, "at", made.Add(1), false},
		{"evidence from after it was made", plain, []any{"person", "evidence", 1}, "at", made.Add(1), false},
		{"made before its evidence", plain, []any{"person"}, "made", t0.Add(1), false},
		{"made long after", plain, []any{"person"}, "made", t0.Add(authn.DefaultLoginTime), false},
		{"an earlier deadline", plain, []any{"person"}, "deadline", end.Add(-1), true},
		{"a later deadline", plain, []any{"person"}, "deadline", end.Add(1), false},
		{"evidence that lasts as long", plain, []any{"person", "evidence", 0}, "expires", end, true},
		{"evidence that does not last as long", plain, []any{"person", "evidence", 0}, "expires", end.Add(-1), false},
		{"another idle limit than its method's", plain, []any{"person"}, "idle", int64(time.Hour), false},

		{"stepped up as it was", more, []any{"person", "added", 0}, "at", t0.Add(time.Hour), true},
		{"added evidence from after its end", more, []any{"person", "added", 0}, "at", end, false},
		{"added evidence that does not last as long", more, []any{"person", "added", 0}, "expires", end.Add(-1), false},
		{"added evidence that was over", more, []any{"person", "added", 0}, "expires", t0.Add(time.Hour), false},
		{"added evidence of no factor", more, []any{"person", "added", 0}, "factor", "", false},

		{"a step-up as it was", up, []any{"step_up", "login"}, "id", "up", true},
		{"a step-up without id", up, []any{"step_up", "login"}, "id", "", false},
		{"a step-up with another name", up, []any{"step_up", "login", "method"}, "name", "admin", false},
		{"a step-up on a device", up, []any{"step_up", "login", "method"}, "on", "kiosk", false},
		{"a step-up of single requests", up, []any{"step_up", "login", "method"}, "each_request", true, false},
		{"a step-up with a session of its own", up, []any{"step_up", "login", "method"}, "session", object{"idle": 1}, false},
		{"a step-up that takes too long", up, []any{"step_up", "login"}, "deadline", made.Add(authn.DefaultLoginTime + 1), false},
		{"a step-up that outlives its person", up, []any{"person"}, "deadline", made.Add(authn.DefaultLoginTime - 1), false},
		{"a step-up with a challenge of another factor", up, []any{"step_up", "login", "challenge"}, "factor", "passkey", false},

		{"a sign-on as it was", signOn, []any{"sign_on", "login"}, "id", "login of attendant", true},
		{"a sign-on without id", signOn, []any{"sign_on", "login"}, "id", "", false},
		{"a sign-on by single requests", signOn, []any{"sign_on", "login", "method"}, "each_request", true, false},
		{"a sign-on that takes too long", signOn, []any{"sign_on", "login"}, "deadline", made.Add(authn.DefaultLoginTime + 1), false},

		{"an enrolment as it was", enrolling, []any{"enrolling", "challenge"}, "expires", end, true},
		{"an enrolment that outlives its person", enrolling, []any{"enrolling", "challenge"}, "expires", end.Add(1), false},
		{"an enrolment without an end", enrolling, []any{"enrolling", "challenge"}, "expires", time.Time{}, false},
		{"an enrolment of no factor", enrolling, []any{"enrolling", "challenge"}, "factor", "", false},
		{"an enrolment without id", enrolling, []any{"enrolling", "challenge"}, "id", "", false},

		{"a workflow as it was", workflow, []any{"onboarding"}, "invitation", "i", true},
		{"a workflow above another device", workflow, []any{"onboarding", "login", "method"}, "on", "terminal", false},
		{"a workflow without invitation", workflow, []any{"onboarding"}, "invitation", "", false},
	} {
		b := tampered(t, test.s, func(b object) { at(b, test.path...)[test.field] = test.value })
		if _, err := authn.Decode(b); (err == nil) != test.wanted {
			t.Errorf("%s: restored: %v", test.name, !test.wanted)
		}
	}
	b := tampered(t, more, func(b object) {
		added := part(b, "person", "added").([]any)
		for range 32 {
			added = append(added, added[0])
		}
		at(b, "person")["added"] = added
	})
	if _, err := authn.Decode(b); err == nil {
		t.Error("a person with more added than step-ups leave is restored")
	}
}
