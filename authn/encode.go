package authn

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// ErrRecord reports a stored state that cannot be restored: unknown, damaged, or with evidence that does not satisfy its
// pinned method.
var ErrRecord = errors.New("authn: the stored state cannot be restored")

// HeaderSize is the length of the fixed header of an encoded state.
const HeaderSize = 128

// MaxRecord is how long an encoded state may be, in bytes.
const MaxRecord = 1 << 20

const (
	magic   = 'S'
	version = 1
)

// Header is the fixed start of an encoded state. A guard reads it without decoding what follows.
type Header struct {
	State   StateKind
	Running bool
	Person  PrincipalHeader
	// Unattended is the device or the workload.
	Unattended PrincipalHeader
	// Until is the deadline of what runs (a login, a workflow, a step-up); zero where nothing does.
	Until time.Time
	// Epoch is that of the policy which the newest principal was last checked against in full.
	Epoch uint64
}

// PrincipalHeader is what the header says of one principal.
type PrincipalHeader struct {
	Present           bool
	AAL               int
	PhishingResistant bool
	Hardware          bool
	UserVerified      bool
	Tied              bool
	Deadline          time.Time
	Idle              time.Duration
	Certificate       [16]byte // the first half of the tie's certificate digest
}

var stateCodes = map[StateKind]byte{KindGuest: 1, KindAuthenticating: 2, KindPending: 3, KindAuthenticated: 4, KindEnded: 5}

func (k StateKind) code() byte { return stateCodes[k] }

func kindOf(code byte) (StateKind, bool) {
	switch code {
	case 1:
		return KindGuest, true
	case 2:
		return KindAuthenticating, true
	case 3:
		return KindPending, true
	case 4:
		return KindAuthenticated, true
	case 5:
		return KindEnded, true
	}
	return "", false
}

// ReadHeader reads the header of an encoded state. It does not allocate.
func ReadHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize || b[0] != magic || b[1] != version {
		return Header{}, ErrRecord
	}
	kind, ok := kindOf(b[2])
	if !ok {
		return Header{}, ErrRecord
	}
	h := Header{State: kind, Running: b[3] != 0, Until: getTime(b[8:]), Epoch: binary.BigEndian.Uint64(b[16:])}
	h.Person.get(b[24:])
	h.Unattended.get(b[72:])
	return h, nil
}

func (p *PrincipalHeader) get(b []byte) {
	p.Present, p.AAL = b[0] != 0, int(b[1])
	p.PhishingResistant, p.Hardware, p.UserVerified, p.Tied = b[2]&1 != 0, b[2]&2 != 0, b[2]&4 != 0, b[2]&8 != 0
	p.Deadline = getTime(b[8:])
	p.Idle = time.Duration(binary.BigEndian.Uint64(b[16:]))
	copy(p.Certificate[:], b[24:40])
}

func (p *Principal) put(b []byte) {
	if p == nil {
		return
	}
	a := measure(p.All(), 0, time.Time{})
	b[0], b[1] = 1, byte(a.AAL)
	tie, tied := p.Tie()
	for i, on := range []bool{a.PhishingResistant, a.Hardware, a.UserVerified, tied} {
		if on {
			b[2] |= 1 << i
		}
	}
	putTime(b[8:], p.Deadline)
	binary.BigEndian.PutUint64(b[16:], uint64(p.Idle))
	copy(b[24:40], tie.Certificate[:sha256.Size/2])
}

// putTime writes the nanoseconds since 1970, zero for none. What is too late for that is written as the last time that
// is not.
func putTime(b []byte, t time.Time) {
	switch last := time.Unix(0, math.MaxInt64); {
	case t.IsZero():
	case t.After(last):
		binary.BigEndian.PutUint64(b, math.MaxInt64)
	default:
		binary.BigEndian.PutUint64(b, uint64(t.UnixNano()))
	}
}

func getTime(b []byte) time.Time {
	n := int64(binary.BigEndian.Uint64(b))
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// body is what follows the header, as JSON.
type body struct {
	Login      *Login      `json:"login,omitempty"`
	Onboarding *Onboarding `json:"onboarding,omitempty"`
	Person     *Principal  `json:"person,omitempty"`
	Device     *Principal  `json:"device,omitempty"` // or the workload
	StepUp     *StepUp     `json:"step_up,omitempty"`
	SignOn     *SignOn     `json:"sign_on,omitempty"`
	Enrolling  *Enrolling  `json:"enrolling,omitempty"`
	Ended      *Ended      `json:"ended,omitempty"`
}

// Encode writes a state for a store: the fixed header, then the rest. What is authenticated for one request, or is larger
// than [MaxRecord], is an error.
func Encode(s State) ([]byte, error) {
	var b body
	switch s := s.(type) {
	case Guest:
	case Authenticating:
		b.Login = &s.Login
	case Pending:
		b.Onboarding = &s.Onboarding
	case Authenticated:
		if s.OneRequest() {
			return nil, errors.New("authn: what one request has proven is not stored")
		}
		b.Person, b.Device = s.person, s.unattended
		switch r := s.running.(type) {
		case nil:
		case StepUp:
			b.StepUp = &r
		case SignOn:
			b.SignOn = &r
		case Enrolling:
			b.Enrolling = &r
		case Onboarding:
			b.Onboarding = &r
		default:
			return nil, fmt.Errorf("authn: cannot encode %T", r)
		}
	case Ended:
		b.Ended = &s
	default:
		return nil, fmt.Errorf("authn: cannot encode %T", s)
	}
	rest, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("authn: %w", err)
	}
	if HeaderSize+len(rest) > MaxRecord {
		return nil, fmt.Errorf("authn: a state of %d bytes is not stored", HeaderSize+len(rest))
	}
	out := make([]byte, HeaderSize, HeaderSize+len(rest))
	b.header((*[HeaderSize]byte)(out), s.Kind())
	return append(out, rest...), nil
}

// header writes what the fixed header says of a body.
func (b *body) header(out *[HeaderSize]byte, kind StateKind) {
	var until time.Time
	switch {
	case b.Login != nil:
		until = b.Login.Deadline
	case b.Onboarding != nil:
		until = b.Onboarding.Login.Deadline
	case b.StepUp != nil:
		until = b.StepUp.Login.Deadline
	case b.SignOn != nil:
		until = b.SignOn.Login.Deadline
	case b.Enrolling != nil:
		until = b.Enrolling.Challenge.Expires
	}
	out[0], out[1], out[2] = magic, version, kind.code()
	if b.Login != nil || b.Onboarding != nil || b.StepUp != nil || b.SignOn != nil || b.Enrolling != nil {
		out[3] = 1
	}
	putTime(out[8:], until)
	switch {
	case b.Person != nil:
		binary.BigEndian.PutUint64(out[16:], b.Person.Epoch)
	case b.Device != nil:
		binary.BigEndian.PutUint64(out[16:], b.Device.Epoch)
	}
	b.Person.put(out[24:])
	b.Device.put(out[72:])
}

// Decode restores a state. Restoring is not making: a record that no sequence of events leads to, because its evidence does
// not satisfy its pinned method step by step and in time, something in it outlives what bounds it, or it runs where it could
// not have been begun, is refused with [ErrRecord]; and so is one whose header tells another story than its body.
func Decode(b []byte) (State, error) {
	h, err := ReadHeader(b)
	if err != nil || len(b) > MaxRecord {
		return nil, ErrRecord
	}
	var in body
	if err := json.Unmarshal(b[HeaderSize:], &in); err != nil {
		return nil, ErrRecord
	}
	s, ok := in.state(h.State)
	if !ok {
		return nil, ErrRecord
	}
	var again [HeaderSize]byte
	if in.header(&again, h.State); again != [HeaderSize]byte(b) {
		return nil, ErrRecord
	}
	return s, nil
}

// state is the state that a body holds, if it holds that and nothing else.
func (b body) state(kind StateKind) (State, bool) {
	switch kind {
	case KindGuest:
		return Guest{}, b == body{}
	case KindAuthenticating:
		l := b.Login
		if l == nil || b != (body{Login: l}) || l.Method.On != "" || !l.sound(Subject{}) {
			return nil, false
		}
		return Authenticating{*l}, true
	case KindPending:
		o := b.Onboarding
		if o == nil || b != (body{Onboarding: o}) || !o.sound(nil) {
			return nil, false
		}
		return Pending{*o}, true
	case KindAuthenticated:
		return b.authenticated()
	case KindEnded:
		if b.Ended == nil || b != (body{Ended: b.Ended}) {
			return nil, false
		}
		return *b.Ended, true
	}
	return nil, false
}

func (b body) authenticated() (State, bool) {
	if b.Person == nil && b.Device == nil {
		return nil, false
	}
	if b.Person.ofOneRequest() || b.Device.ofOneRequest() {
		return nil, false
	}
	if b.Person != nil && (b.Person.Subject.Class != ClassPerson || b.Person.sound() != "") {
		return nil, false
	}
	if b.Device != nil && (b.Device.Subject.Class == ClassPerson || b.Device.sound() != "") {
		return nil, false
	}
	if b.Person != nil && (b.Person.Method.On != "") != (b.Device != nil) {
		return nil, false
	}
	if b.Person != nil && b.Device != nil && (b.Person.Subject.Tenant != b.Device.Subject.Tenant || !b.Person.Method.above(b.Device)) {
		return nil, false
	}
	a := Authenticated{person: b.Person, unattended: b.Device}
	ok := true
	only := body{Person: b.Person, Device: b.Device}
	switch {
	case b.StepUp != nil:
		a.running, only.StepUp = *b.StepUp, b.StepUp
		ok = a.person != nil && b.StepUp.sound(a.person)
	case b.SignOn != nil:
		a.running, only.SignOn = *b.SignOn, b.SignOn
		ok = a.soundSignOn(&b.SignOn.Login)
	case b.Enrolling != nil:
		a.running, only.Enrolling = *b.Enrolling, b.Enrolling
		ok = a.person != nil && b.Enrolling.Challenge.sound(a.person.Deadline)
	case b.Onboarding != nil:
		a.running, only.Onboarding = *b.Onboarding, b.Onboarding
		ok = a.person == nil && a.unattended.Subject.Class == ClassDevice && b.Onboarding.sound(a.unattended) && b.Onboarding.Login.Subject.Tenant == a.unattended.Subject.Tenant
	}
	return a, ok && b == only
}

func (a Authenticated) soundSignOn(l *Login) bool {
	var start Subject
	if l.Method.On != "" {
		if !l.Method.above(a.unattended) {
			return false
		}
		start.Tenant = a.unattended.Subject.Tenant
	}
	return l.sound(start)
}

// sound reports whether a stored step-up is one of that person.
func (s *StepUp) sound(person *Principal) bool {
	l := &s.Login
	m := Method{Name: stepUpName, Steps: l.Method.Steps, Login: l.Method.Login}
	return l.Method.same(&m) && !l.Deadline.After(person.Deadline) && l.sound(person.Subject)
}

// same compares all of two methods but their steps.
func (m *Method) same(o *Method) bool {
	return m.Name == o.Name && m.Session == o.Session && m.Login == o.Login && m.On == o.On && m.EachRequest == o.EachRequest
}

// sound reports whether a stored login under way is one that [Apply] could have left: its evidence satisfies the steps
// passed, from start it leads to the login's subject, a step is left, and what is open is a challenge of that step.
func (l *Login) sound(start Subject) bool {
	step, ok := l.Next()
	if !ok || !l.leadsTo(start) {
		return false
	}
	if l.Challenge == nil {
		return true
	}
	f, ok := step.Allows(l.Challenge.Factor)
	return ok && !f.Ambient && l.Challenge.sound(l.Deadline)
}

// leadsTo is sound for a login that may have no step left: each piece of evidence is that of a step, from after the one
// before it, between the login's beginning and its deadline.
func (l *Login) leadsTo(start Subject) bool {
	if l.ID == "" || l.Method.Check() != nil || l.Method.EachRequest || len(l.Evidence) > len(l.Method.Steps) || l.Failures < 0 || l.Failures >= MaxFailures ||
		l.Deadline.After(l.Began.Add(l.Method.loginTime())) {
		return false
	}
	seen := l.Began
	for i := range l.Evidence {
		ev := &l.Evidence[i]
		if l.Method.Steps[i].accepts(*ev, seen, ev.At) != "" || !ev.At.Before(l.Deadline) || shown(l.Evidence[:i], ev) {
			return false
		}
		seen = ev.At
		var err error
		if start, err = start.Narrow(ev.Subject); err != nil {
			return false
		}
	}
	return start == l.Subject
}

// sound reports whether a stored challenge is one that could be open in something with that deadline.
func (c *Challenge) sound(deadline time.Time) bool {
	return c.ID != "" && c.Factor != "" && !c.Expires.IsZero() && !c.Expires.After(deadline)
}

// sound reports whether a stored workflow is one that [Apply] could have opened above the device, or where there is none:
// exactly the leading ambient steps of its method are proven, with one request, of the invited user.
func (o *Onboarding) sound(device *Principal) bool {
	l := &o.Login
	if o.Workflow != WorkflowEnrol || o.Invitation == "" || len(o.Factors) == 0 || l.Subject.User == "" || l.Subject.Class != ClassPerson || l.Challenge != nil || l.Failures != 0 ||
		!l.Method.above(device) || !l.leadsTo(l.Subject) || len(l.Evidence) != l.Method.leading() {
		return false
	}
	for i := range l.Evidence {
		if ev := &l.Evidence[i]; !ev.At.Equal(l.Began) || !ev.lasts(l.Deadline) {
			return false
		}
	}
	return o.Challenge == nil || slices.Contains(o.Factors, o.Challenge.Factor) && o.Challenge.sound(l.Deadline)
}
