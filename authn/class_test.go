package authn_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
)

// A record from before there were workloads says true of a device and nothing of a person, and so do those of now. Of what it
// does not know a program makes nobody.
func TestClassInRecords(t *testing.T) {
	for text, want := range map[string]authn.Class{
		`{"tenant":"corp","user":"u"}`:                     authn.ClassPerson,
		`{"tenant":"corp","user":"u","device":true}`:       authn.ClassDevice,
		`{"tenant":"corp","user":"u","device":"workload"}`: authn.ClassWorkload,
	} {
		var s authn.Subject
		if err := json.Unmarshal([]byte(text), &s); err != nil || s.Class != want || !s.Valid() {
			t.Errorf("%s: %v, %v", text, s, err)
		}
		if b, err := json.Marshal(s); err != nil || string(b) != text {
			t.Errorf("%s is written as %s, %v", text, b, err)
		}
	}
	for _, value := range []string{`false`, `"person"`} {
		var s authn.Subject
		if err := json.Unmarshal([]byte(`{"tenant":"corp","user":"u","device":`+value+`}`), &s); err != nil || s.Class != authn.ClassPerson {
			t.Errorf("%s: %v, %v", value, s, err)
		}
	}
	for _, value := range []string{`"device"`, `"robot"`, `"Workload"`, `""`, `1`, `2`, `null`, `{}`, `[true]`} {
		s := authn.Subject{Tenant: "corp", User: "u", Class: authn.ClassPerson}
		if err := json.Unmarshal([]byte(`{"tenant":"corp","user":"u","device":`+value+`}`), &s); err == nil {
			t.Errorf("%s is read as %v", value, s)
		}
	}
	if b, err := json.Marshal(authn.Subject{Tenant: "corp", User: "u", Class: 3}); err == nil {
		t.Errorf("an unknown class is written as %s", b)
	}
}

// A stored session is refused where its class is unknown or another than its evidence says, however old it is.
func TestDecodeClass(t *testing.T) {
	for _, c := range []struct {
		s        authn.State
		old, now string
		good     bool
	}{
		{workload(), "", "", true},
		{workload(), `"device":"workload"`, `"device":"robot"`, false},
		{workload(), `"device":"workload"`, `"device":true`, true}, // all of it: then it is a device's
		{workload(), `"user":"corp-backup","device":"workload"`, `"user":"corp-backup","device":true`, false},
		{workload(), `,"device":"workload"`, ``, false},
		{device(), `"device":true`, `"device":"workload"`, true},
		{device(), `,"device":true`, ``, false},
		{personOnDevice(), `"device":true`, `"device":"workload"`, false},
	} {
		b := bytesOf(t, c.s)
		if c.old != "" && !strings.Contains(b, c.old) {
			t.Fatalf("the record has no %s", c.old)
		}
		got, err := authn.Decode([]byte(strings.ReplaceAll(b, c.old, c.now)))
		if c.old == "" {
			got, err = authn.Decode([]byte(b))
		}
		if (err == nil) != c.good {
			t.Errorf("%s for %s in %s: %v, %v", c.now, c.old, authn.PositionOf(c.s), got, err)
		}
	}
}

// Nothing runs inside the session of a workload but a login that would replace it.
func TestDecodeInsideAWorkload(t *testing.T) {
	whole := func(s authn.State, class string) []byte {
		return []byte(strings.ReplaceAll(bytesOf(t, s), `"device":true`, class))
	}
	inside := map[string]authn.State{
		"a sign-on":    after(device(), begin(mAttendant, t0)),
		"a workflow":   after(device(), redeem(t0)),
		"a login":      after(device(), begin(mAdmin, t0)),
		"of a program": after(device(), begin(mJob, t0)),
	}
	for name, s := range inside {
		if _, err := authn.Decode(whole(s, `"device":true`)); err != nil {
			t.Errorf("%s above a device: %v", name, err)
		}
		_, err := authn.Decode(whole(s, `"device":"workload"`))
		if (err == nil) != (name == "a login" || name == "of a program") {
			t.Errorf("%s in the session of a workload: %v", name, err)
		}
	}
}

func TestNarrowKeepsClassesApart(t *testing.T) {
	classes := []authn.Class{authn.ClassPerson, authn.ClassDevice, authn.ClassWorkload}
	for _, a := range append(classes, 3) {
		for _, b := range append(classes, 3) {
			s, more := authn.Subject{Tenant: "corp", User: "u", Class: a}, authn.Subject{Tenant: "corp", User: "u", Class: b}
			if _, err := s.Narrow(more); (err == nil) != (a == b && a.Known()) {
				t.Errorf("%s narrowed by %s: %v", a, b, err)
			}
		}
		if s := (authn.Subject{Tenant: "corp", Class: a}); s.Valid() != (a == authn.ClassPerson) {
			t.Errorf("a tenant of class %s is valid: %v", a, s.Valid())
		}
	}
}
