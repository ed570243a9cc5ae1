package authn_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// Every state comes back as the value it was, and its header says what it holds.
func TestEncodeRoundTrip(t *testing.T) {
	for _, s := range representatives() {
		b := bytesOf(t, s)
		got, err := authn.Decode([]byte(b))
		if err != nil {
			t.Errorf("%s: %v", authn.PositionOf(s), err)
			continue
		}
		if bytesOf(t, got) != b || authn.PositionOf(got) != authn.PositionOf(s) {
			t.Errorf("%s came back as %s", authn.PositionOf(s), authn.PositionOf(got))
		}
		h, err := authn.ReadHeader([]byte(b))
		if err != nil || h.State != s.Kind() {
			t.Fatalf("%s: header %+v, %v", authn.PositionOf(s), h, err)
		}
		a, ok := s.(authn.Authenticated)
		if !ok {
			if h.Person.Present || h.Unattended.Present {
				t.Errorf("the header of %s speaks of a principal", authn.PositionOf(s))
			}
			continue
		}
		if h.Running != (a.Running() != nil) || h.Until.IsZero() == h.Running {
			t.Errorf("%s: running %v until %v, and %T runs", authn.PositionOf(s), h.Running, h.Until, a.Running())
		}
		p, ok := a.Person()
		sameHeader(t, h.Person, p, ok)
		p, ok = a.Unattended()
		sameHeader(t, h.Unattended, p, ok)
	}
}

func sameHeader(t *testing.T, h authn.PrincipalHeader, p authn.Principal, present bool) {
	t.Helper()
	if !present {
		if h != (authn.PrincipalHeader{}) {
			t.Errorf("the header knows more of nobody: %+v", h)
		}
		return
	}
	a := p.Assurance()
	tie, tied := p.Tie()
	want := authn.PrincipalHeader{Present: true, AAL: a.AAL, PhishingResistant: a.PhishingResistant, Hardware: a.Hardware, UserVerified: a.UserVerified,
		Tied: tied, Deadline: p.Deadline, Idle: p.Idle, Certificate: [16]byte(tie.Certificate[:16])}
	if h != want {
		t.Errorf("header %+v\nwant   %+v", h, want)
	}
}

// refused says that a record must not be restored.
func refused(t *testing.T, b []byte) {
	t.Helper()
	if s, err := authn.Decode(b); s != nil || !errors.Is(err, authn.ErrRecord) {
		t.Errorf("restored %v, %v", s, err)
	}
}

// Whatever single byte of the header is changed, or whatever is cut off, the record is refused.
func TestDecodeRefusesAnotherHeader(t *testing.T) {
	for _, s := range representatives() {
		b := []byte(bytesOf(t, s))
		for i := range authn.HeaderSize {
			for _, bit := range []byte{1, 0x80} {
				changed := append([]byte(nil), b...)
				changed[i] ^= bit
				refused(t, changed)
			}
		}
		for _, n := range []int{0, 1, authn.HeaderSize - 1, authn.HeaderSize, len(b) - 1} {
			refused(t, b[:n])
		}
		refused(t, append(append([]byte(nil), b...), '{', '}'))
	}
}

// object is the body of a record, or a part of it, that a test takes apart.
type object = map[string]any

// part goes down into a body: by field or by position.
func part(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(object)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	return v
}

func at(v any, path ...any) object { return part(v, path...).(object) }

// With its header untouched, a body whose evidence does not satisfy what it says it did is refused.
func TestDecodeRefusesAnotherStory(t *testing.T) {
	onDevice := personOnDevice()
	half := after(authn.Guest{}, begin(mAdmin, t0), prove(fCert, corpAlice, "", t0))
	up := authn.BeginStepUp{At: t0, ID: "up", Steps: []authn.Step{one(fCode), one(fPasskey)}, Want: authn.Requirement{AAL: 2}}
	steppingUp := after(person(), up, issue(fCode, "c", t0), prove(fCode, corpAlice, "c", t0))
	signingOn := after(device(), begin(mAttendant, t0))
	enrolling := after(person(), enrolChallenge("c", t0))
	pending := after(authn.Guest{}, redeem(t0))
	for _, test := range []struct {
		name   string
		state  authn.State
		tamper func(b object)
	}{
		{"evidence of one step only", person(), func(b object) { at(b, "person")["evidence"] = part(b, "person", "evidence").([]any)[:1] }},
		{"no evidence", person(), func(b object) { at(b, "person")["evidence"] = nil }},
		{"evidence in another order", person(), func(b object) { e := part(b, "person", "evidence").([]any); e[0], e[1] = e[1], e[0] }},
		{"one piece for both steps", person(), func(b object) { e := part(b, "person", "evidence").([]any); e[1] = e[0] }},
		{"a factor that the step does not have", person(), func(b object) { at(b, "person", "evidence", 1)["factor"] = "code" }},
		{"another kind", person(), func(b object) { at(b, "person", "evidence", 1)["kind"] = "typed" }},
		{"ambient where it was not", person(), func(b object) { at(b, "person", "evidence", 1)["ambient"] = true }},
		{"without its tie", person(), func(b object) { delete(at(b, "person", "evidence", 0), "tie") }},
		{"evidence of another tenant", person(), func(b object) { at(b, "person", "evidence", 1, "subject")["tenant"] = "labs" }},
		{"evidence of another user", person(), func(b object) { at(b, "person", "evidence", 1, "subject")["user"] = "corp-bob" }},
		{"evidence of a device", person(), func(b object) { at(b, "person", "evidence", 1, "subject")["device"] = true }},
		{"another subject than its evidence", person(), func(b object) { at(b, "person", "subject")["user"] = "corp-bob" }},
		{"no subject", person(), func(b object) { at(b, "person")["subject"] = object{} }},
		{"evidence with one secret", person(), func(b object) {
			at(b, "person", "evidence", 0)["key"], at(b, "person", "evidence", 1)["key"] = "k", "k"
		}},
		{"a method without steps", person(), func(b object) { at(b, "person", "method")["steps"] = nil }},
		{"a deadline moved", person(), func(b object) { at(b, "person")["deadline"] = t0.Add(48 * time.Hour) }},
		{"more assurance", person(), func(b object) { at(b, "person", "evidence", 1, "strength")["hardware"] = true }},
		{"added evidence of another user", person(), func(b object) {
			at(b, "person")["added"] = []any{evidence(fCert, corpBob, t0)}
		}},
		{"a person without the device of its method", onDevice, func(b object) { delete(b, "device") }},
		{"a person above a device of another method", onDevice, func(b object) { at(b, "device", "method")["name"] = "other" }},
		{"a person of a method that needs no device above one", onDevice, func(b object) { delete(at(b, "person", "method"), "on") }},
		{"a device in another tenant", onDevice, func(b object) {
			at(b, "device", "subject")["tenant"], at(b, "device", "evidence", 0, "subject")["tenant"] = "labs", "labs"
		}},
		{"nobody", person(), func(b object) { delete(b, "person") }},
		{"a person where the device was", person(), func(b object) { b["device"] = b["person"]; delete(b, "person") }},
		{"two tombstones", authn.Ended{Reason: "x", At: t0}, func(b object) { delete(b, "ended") }},
		{"a guest with a principal", authn.Guest{}, func(b object) { b["login"] = object{} }},
		{"a login that passed every step", half, func(b object) {
			steps := part(b, "login", "method", "steps").([]any)
			at(b, "login", "method")["steps"] = steps[:1]
		}},
		{"a login with evidence of a later step", half, func(b object) {
			steps := part(b, "login", "method", "steps").([]any)
			steps[0], steps[1] = steps[1], steps[0]
		}},
		{"a login with another subject than its evidence", half, func(b object) { at(b, "login", "subject")["user"] = "corp-bob" }},
		{"a login with a principal beside it", half, func(b object) { b["person"] = bodyOf(t, person())["person"] }},
		{"a step-up of another subject", steppingUp, func(b object) { at(b, "step_up", "login", "subject")["user"] = "corp-bob" }},
		{"a step-up with another's evidence", steppingUp, func(b object) { at(b, "step_up", "login", "evidence", 0, "subject")["user"] = "corp-bob" }},
		{"two things running", steppingUp, func(b object) { b["enrolling"] = bodyOf(t, enrolling)["enrolling"] }},
		{"a step-up of a device", signingOn, func(b object) { b["step_up"] = b["sign_on"]; delete(b, "sign_on") }},
		{"an enrolment of a device", signingOn, func(b object) {
			delete(b, "sign_on")
			b["enrolling"] = object{"challenge": object{"id": "c", "factor": "passkey", "issued": t0, "expires": t0.Add(authn.DefaultLoginTime)}}
		}},
		{"a sign-on above another device", signingOn, func(b object) { at(b, "sign_on", "login", "method")["on"] = "other" }},
		{"a workflow of nobody", pending, func(b object) { at(b, "onboarding", "login")["subject"] = object{} }},
		{"a workflow with another's evidence", pending, func(b object) { at(b, "onboarding", "login", "evidence", 0, "subject")["user"] = "corp-bob" }},
		{"a workflow without its evidence", pending, func(b object) { at(b, "onboarding", "login")["evidence"] = nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := bodyOf(t, test.state)
			test.tamper(b)
			rest, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			refused(t, append([]byte(bytesOf(t, test.state)[:authn.HeaderSize]), rest...))
		})
	}
}

// bodyOf is the body of a state's record. Put together again without a change it is restored.
func bodyOf(t *testing.T, s authn.State) object {
	t.Helper()
	var b object
	record := bytesOf(t, s)
	if err := json.Unmarshal([]byte(record[authn.HeaderSize:]), &b); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := authn.Decode(append([]byte(record[:authn.HeaderSize]), again...)); err != nil || bytesOf(t, got) != record {
		t.Fatalf("a record written anew is not restored: %v", err)
	}
	return b
}

// A deadline that the header has no room for is never read as one that has passed long ago, or as none.
func TestHeaderOfAFarDeadline(t *testing.T) {
	forever := mAdmin
	forever.Session.Absolute = 1<<63 - 1
	s := after(authn.Guest{}, begin(forever, t0), prove(fCert, corpAlice, "", t0), issue(fPasskey, "c1", t0), prove(fPasskey, corpAlice, "c1", t0))
	h, err := authn.ReadHeader([]byte(bytesOf(t, s)))
	if err != nil || h.Person.Deadline.Year() < 2262 {
		t.Errorf("the deadline in the header is %v, %v", h.Person.Deadline, err)
	}
}

// FuzzDecode: no record makes Decode or the machine panic, and what is restored is restored the same again.
func FuzzDecode(f *testing.F) {
	for _, s := range representatives() {
		b, err := authn.Encode(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:authn.HeaderSize], string(b[authn.HeaderSize:]))
	}
	f.Fuzz(func(t *testing.T, header []byte, body string) {
		s, err := authn.Decode(append(header[:len(header):len(header)], body...))
		if err != nil {
			if s != nil || !errors.Is(err, authn.ErrRecord) {
				t.Fatalf("%v with %v", s, err)
			}
			return
		}
		b := bytesOf(t, s)
		again, err := authn.Decode([]byte(b))
		if err != nil || bytesOf(t, again) != b || !strings.HasPrefix(b, string(header[:min(len(header), authn.HeaderSize)])) {
			t.Fatalf("restored as another: %v", err)
		}
		for _, k := range events {
			for _, e := range attempts(k) {
				if next, err := authn.Apply(s, e); err == nil {
					bytesOf(t, next.State)
				}
			}
		}
	})
}
