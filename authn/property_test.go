package authn_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport-auth/sallyport/authn"
)

// pinned are methods beside those of the explorer: a choice between what is ambient and what is not, a tenant before its
// user, steps that name nobody, short lives.
var pinned = []authn.Method{mAdmin, mChoice, mKiosk, mAttendant, mJob,
	{Name: "partner", Steps: []authn.Step{one(known["partner-cert"]), one(known["partner-idp"])}, Session: authn.Lifetime{Absolute: 30 * time.Minute}},
	{Name: "mixed", Steps: []authn.Step{{AnyOf: []authn.Factor{fCert, fPasskey}}, one(fCode)}, Login: 3 * time.Minute},
	{Name: "three", Steps: []authn.Step{one(known["door-pin"]), one(fPasskey), one(known["smartkey"])}},
	{Name: "job of a person", Steps: []authn.Step{one(fCert), one(fJob)}},
	{Name: "job of a device", Steps: []authn.Step{{AnyOf: []authn.Factor{fJob, fKiosk}}}},
	{Name: "asked job", Steps: []authn.Step{one(fJob), one(known["door-pin"])}},
	{Name: "job on a kiosk", On: "kiosk", Steps: []authn.Step{one(fJob)}},
	{Name: "above a job", On: "job", Steps: []authn.Step{one(fPasskey)}},
	{Name: "again", Steps: []authn.Step{one(fCode), one(fCode)}},
	{Name: "terminal", Steps: []authn.Step{one(fKiosk)}},
	{Name: "tenant", Steps: []authn.Step{one(known["partner-cert"])}},
	{Name: "clerk", On: "kiosk", Steps: []authn.Step{one(known["door-pin"]), one(fPasskey)}, Session: authn.Lifetime{Absolute: 7 * time.Minute}},
	{Name: "api", Steps: []authn.Step{one(fCert), one(fCode)}, EachRequest: true},
}

// story is a random sequence of events, and what a witness knows of it.
type story struct {
	*rapid.T
	node     node
	was      string      // the node's state when it was handed out
	copied   authn.State // and restored from that
	told     []string
	methods  map[string]authn.Method     // by login id
	accepted map[string][]authn.Evidence // by login id
	subjects map[string]authn.Subject    // by login id
	ends     map[string]time.Time        // by what ends
	kept     []kept
	been     []string // where the story went
}

// kept is a state that was handed out once, and what it was then.
type kept struct {
	state authn.State
	was   string
}

func (s *story) fail(format string, args ...any) {
	s.Helper()
	last := s.told[max(0, len(s.told)-12):]
	text := fmt.Sprintf(format, args...) + "\nafter:"
	for _, line := range last {
		text += "\n  " + line
	}
	s.Fatalf("%s", text)
}

func (s *story) encoded(state authn.State) string {
	b, err := authn.Encode(state)
	if oneRequest(state) {
		if err == nil || b != nil {
			s.fail("what one request has proven can be stored: %s", b)
		}
		return printed(state)
	}
	if err != nil {
		s.fail("cannot encode: %v", err)
	}
	return string(b)
}

// restored is the state written down, and after a round through a store. It must be the same value.
func (s *story) restored(state authn.State) (string, authn.State) {
	b := s.encoded(state)
	if oneRequest(state) {
		return b, state
	}
	r, err := authn.Decode([]byte(b))
	if err != nil || !reflect.DeepEqual(r, state) {
		s.fail("the state is not restored as it was: %v\n%+v\n%+v", err, state, r)
	}
	return b, r
}

// goTo goes on from a state.
func (s *story) goTo(state authn.State) {
	s.node.state = state
	s.was, s.copied = s.restored(state)
}

// roll is a number below n, each as likely as the others: most generators prefer the small ones.
func (s *story) roll(what string, n int) int {
	sum := 0
	for i := 1; i < 4*n; i *= 2 {
		if coin.Draw(s.T, what) {
			sum += i
		}
	}
	return sum % n
}

var coin = rapid.Bool()

func pick[T any](s *story, what string, from ...T) T { return from[s.roll(what, len(from))] }

var subjects = []authn.Subject{corpAlice, corpBob, labsAlice, lobby, backup, {}, {Tenant: "corp"}, {Tenant: "labs"}, {User: "corp-alice"}, {Tenant: "corp", User: "corp-lobby"}}

// someProof is evidence of a factor: most of the time such as a login would take, now and then a little off.
func (s *story) someProof(l authn.Login, f authn.Factor) authn.Event {
	of := l.Subject
	if f.Identifies < authn.IdentifiesUser {
		of = authn.Subject{}
	}
	if f.Identifies == authn.IdentifiesUser && of.User == "" {
		of = pick(s, "user", corpAlice, corpAlice, corpBob, labsAlice)
		switch f.Class {
		case authn.ClassDevice:
			of = lobby
		case authn.ClassWorkload:
			of = backup
		}
	}
	if f.Identifies == authn.IdentifiesTenant {
		of.Tenant = pick(s, "tenant", "corp", "labs")
	}
	off := s.roll("off", 20)
	if off == 7 {
		of = pick(s, "subject", subjects...)
	}
	e := prove(f, of, "", s.node.now)
	if !f.Ambient && l.Challenge != nil {
		e.Challenge = l.Challenge.ID
	}
	if leads, err := l.Subject.Narrow(of); err == nil {
		e.Check.Subject = leads
	}
	switch off {
	case 1:
		e.Evidence.At = e.At.Add(pick(s, "seen", -time.Hour, -time.Second, time.Second))
	case 2:
		e.Evidence.Key = pick(s, "secret", "one", "two")
	case 3, 8, 9, 10:
		e.Check = pick(s, "check", nil, &authn.Check{}, &authn.Check{Subject: e.Check.Subject}, &authn.Check{Subject: e.Check.Subject, OnOffer: true, Refused: "suspended"},
			&authn.Check{Subject: corpBob, OnOffer: true}, &authn.Check{Subject: e.Check.Subject, OnOffer: true, Floors: []authn.Requirement{{AAL: 2}, {Hardware: true}}})
	case 4:
		if coin.Draw(s.T, "kind") {
			e.Evidence.Tie = nil
		} else {
			e.Evidence.Kind = "other"
		}
	case 11, 12, 13, 14:
		e.Evidence.Credential = pick(s, "credential", "one", "two", "three")
		e.Evidence.Strength.UserVerified = e.Evidence.Strength.UserVerified && coin.Draw(s.T, "verified")
		e.Evidence.Strength.Hardware = e.Evidence.Strength.Hardware && coin.Draw(s.T, "in hardware")
	case 5, 6:
		e.Evidence.Expires = e.At.Add(pick(s, "expires", 0, time.Second, 4*time.Minute, 20*time.Minute, 48*time.Hour))
	}
	return e
}

// onward is an event that may well be taken where the story is.
func (s *story) onward(live authn.State) authn.Event {
	at := s.node.now
	id := fmt.Sprintf("S%d", s.node.logins)
	fresh := fmt.Sprintf("q%d", len(s.node.asked))
	asked := func(f authn.Factor) authn.Issue {
		e := issue(f, fresh, at)
		e.Challenge.Expires = at.Add(pick(s, "asked for", 5*time.Minute, 5*time.Minute, time.Second, time.Hour))
		return e
	}
	if l, ok := login(live); ok && s.roll("go on", 8) > 0 {
		step, _ := l.Next()
		f := pick(s, "factor", step.AnyOf...)
		switch {
		case f.Ambient || l.Challenge != nil && l.Challenge.Factor == f.Name && s.roll("answer", 4) > 0:
			return s.someProof(l, f)
		case l.Challenge != nil && s.roll("wrong", 2) == 0:
			return authn.Fail{At: at, Factor: l.Challenge.Factor, Challenge: l.Challenge.ID, Reason: "wrong"}
		}
		return asked(f)
	}
	if o, ok := onboarding(live); ok && s.roll("go on", 4) > 0 {
		if o.Challenge == nil {
			e := asked(pick(s, "factor", fPasskey, fCode))
			e.Enrolment = true
			return e
		}
		return s.enrolled(o.Challenge)
	}
	switch a, in := live.(authn.Authenticated); {
	case in && s.roll("out", 12) == 11:
		return pick[authn.Event](s, "out", authn.SignOut{At: at}, authn.SignOut{At: at}, authn.Cancel{At: at})
	case in && s.roll("stay", 4) > 0:
		if r, ok := a.Running().(authn.Enrolling); ok && s.roll("enrolled", 2) == 0 {
			return s.enrolled(&r.Challenge)
		}
		if s.roll("add", 4) == 3 {
			e := asked(fPasskey)
			e.Enrolment = true
			return e
		}
		e := authn.BeginStepUp{At: at, ID: id, Want: pick(s, "want", authn.Requirement{AAL: 1}, authn.Requirement{AAL: 2}, authn.Requirement{AAL: 3}, authn.Requirement{Factors: []string{"code"}, MaxAge: time.Minute})}
		for range 1 + s.roll("steps", 2) {
			e.Steps = append(e.Steps, pick(s, "step", one(fCode), one(fCert), one(known["smartkey"]), authn.Step{AnyOf: []authn.Factor{fPasskey, fCode}}))
		}
		e.Login = pick(s, "login time", 0, 0, time.Minute)
		return e
	case s.roll("invited", 6) == 5:
		r := redeem(at)
		r.ID = id
		if s.roll("expires", 2) == 1 {
			r.Evidence[0].Expires = at.Add(3 * time.Minute)
		}
		return r
	}
	return authn.Begin{At: at, ID: id, Method: pick(s, "method", pinned...)}
}

// enrolled is the answer to a challenge of an enrolment, good or bad.
func (s *story) enrolled(c *authn.Challenge) authn.Event {
	if s.roll("wrong", 3) == 2 {
		return authn.Fail{At: s.node.now, Factor: c.Factor, Challenge: c.ID, Reason: "wrong"}
	}
	return authn.Enrolled{At: s.node.now, Factor: c.Factor, Challenge: c.ID}
}

func onboarding(s authn.State) (authn.Onboarding, bool) {
	switch s := s.(type) {
	case authn.Pending:
		return s.Onboarding, true
	case authn.Authenticated:
		o, ok := s.Running().(authn.Onboarding)
		return o, ok
	}
	return authn.Onboarding{}, false
}

// apply applies an event and holds what comes of it to everything that is true of any event anywhere.
func (s *story) apply(e authn.Event) (authn.Transition, bool) {
	state := s.node.state
	asked := written(e)
	got, err := authn.Apply(state, e)
	if s.encoded(state) != s.was || !reflect.DeepEqual(state, s.copied) {
		s.fail("Apply changed the state that it was given, by %T", e)
	}
	if is := written(e); is != asked {
		s.fail("Apply changed the event that it was given: %s\n%s", asked, is)
	}
	again, errAgain := authn.Apply(s.copied, e)
	if !reflect.DeepEqual(err, errAgain) || !reflect.DeepEqual(got, again) {
		s.fail("the restored state does something else with %T:\n%+v, %v\n%+v, %v", e, got, err, again, errAgain)
	}
	if err != nil {
		var te *authn.TransitionError
		if !errors.As(err, &te) || te.Reason == "" || te.Event != e.Kind() || len(got.Effects) > 0 || !reflect.DeepEqual(got.State, state) {
			s.fail("%v, and the state is not as it was, or the error says too little", err)
		}
		return got, false
	}
	live, _ := authn.At(state, s.node.now, time.Time{})
	if live.Kind() == authn.KindEnded {
		s.fail("what has ended took %T", e)
	}
	from, to := authn.PositionOf(live), authn.PositionOf(got.State)
	if !slices.ContainsFunc(authn.Rules(), func(r authn.Rule) bool { return r.From == from && r.On == e.Kind() && slices.Contains(r.To, to) }) {
		s.fail("%s on %s led to %s, which the table does not have", from, e.Kind(), to)
	}
	was, _ := s.restored(got.State)
	s.kept = append(s.kept, kept{got.State, was})
	return got, true
}

// written is all that an event says.
func written(e authn.Event) string {
	s := fmt.Sprintf("%+v", e)
	switch e := e.(type) {
	case authn.Prove:
		s += fmt.Sprintf(" %+v %+v", e.Check, e.Evidence.Tie)
	case authn.Once:
		s += fmt.Sprintf(" %+v", e.Check)
	}
	return s
}

// follow goes on from what came of an event, and holds it to what the witness knows.
func (s *story) follow(live authn.State, e authn.Event, got authn.Transition) {
	_, refused := got.Refusal()
	switch e := e.(type) {
	case authn.Begin:
		s.methods[e.ID] = e.Method
	case authn.Prove:
		if l, ok := login(live); ok && !refused {
			s.accepted[l.ID] = append(slices.Clip(s.accepted[l.ID]), e.Evidence)
			if e.Evidence.At.Before(l.Began) || e.Evidence.At.After(e.At) {
				s.fail("evidence of another time was taken: %+v", e.Evidence)
			}
		}
		s.unspent(e.Challenge)
	case authn.Fail:
		s.unspent(e.Challenge)
	case authn.Enrolled:
		s.unspent(e.Challenge)
	case authn.SignOut:
		if a, ok := got.State.(authn.Authenticated); ok && a.Running() != nil {
			s.fail("signed out, and %T runs", a.Running())
		}
	}
	s.node.witness(s.node, live, e, refused)
	s.goTo(got.State)
	for _, p := range principals(got.State) {
		s.holds(p)
	}
	if l, ok := login(got.State); ok {
		s.notLater("login "+l.ID, l.Deadline)
		s.narrows(l.ID, l.Subject)
		limit := l.Method.Login
		if limit == 0 {
			limit = authn.DefaultLoginTime
		}
		if l.Deadline.After(l.Began.Add(limit)) || l.Challenge != nil && l.Challenge.Expires.After(l.Deadline) {
			s.fail("a login outlives its time, or its challenge the login: %+v", l)
		}
		if l.Failures < 0 || l.Failures >= authn.MaxFailures || len(l.Evidence) >= len(l.Method.Steps) {
			s.fail("a login that should have ended goes on: %+v", l)
		}
		for _, ev := range l.Evidence {
			if ev.Subject.Tenant != "" && ev.Subject.Tenant != l.Subject.Tenant || ev.Subject.User != "" && ev.Subject.User != l.Subject.User {
				s.fail("a login of %v has evidence of %v", l.Subject, ev.Subject)
			}
		}
	}
	if o, ok := onboarding(got.State); ok {
		s.notLater("login "+o.Login.ID, o.Login.Deadline)
		s.narrows(o.Login.ID, o.Login.Subject)
		if o.Challenge != nil && o.Challenge.Expires.After(o.Login.Deadline) {
			s.fail("a challenge outlives its workflow: %+v", o)
		}
	}
	if a, ok := got.State.(authn.Authenticated); ok {
		person, _ := a.Person()
		switch r := a.Running().(type) {
		case authn.StepUp:
			if r.Login.Deadline.After(person.Deadline) || r.Login.Subject != person.Subject {
				s.fail("a step-up outlives its person, or is another's: %+v", r)
			}
		case authn.Enrolling:
			if r.Challenge.Expires.After(person.Deadline) {
				s.fail("an enrolment outlives its person: %+v", r)
			}
		}
	}
	s.gains(live, e, got)
}

// unspent holds that a challenge is answered once.
func (s *story) unspent(challenge string) {
	if challenge != "" && s.node.spent[challenge] {
		s.fail("%q was answered twice", challenge)
	}
}

// gains holds that nobody is promoted without a good last look, that nobody inherits the application's values or whoever
// was signed on before, and that every gain brings a new secret.
func (s *story) gains(live authn.State, e authn.Event, got authn.Transition) {
	cleared := slices.Contains(got.Effects, authn.Effect(authn.ClearValues{}))
	rotated := slices.Contains(got.Effects, authn.Effect(authn.Rotate{}))
	before, after := authn.Authenticated{}, authn.Authenticated{}
	if a, ok := live.(authn.Authenticated); ok {
		before = a
	}
	if a, ok := got.State.(authn.Authenticated); ok {
		after = a
	}
	if was, is := before.Principal().Login, after.Principal().Login; was != is && (!cleared || is != "" && !rotated) {
		s.fail("%q has the values or the secret of %q", is, was)
	}
	was, is := principals(live), principals(got.State)
	for _, p := range is {
		old := slices.IndexFunc(was, func(q authn.Principal) bool { return q.Login == p.Login })
		grew := old < 0 || !reflect.DeepEqual(p.Added, was[old].Added)
		if !grew {
			if !reflect.DeepEqual(p, was[old]) {
				s.fail("%s changed: %+v\n%+v", p.Login, was[old], p)
			}
			continue
		}
		last, ok := e.(authn.Prove)
		if !ok || last.Check == nil || last.Check.Refused != "" || !last.Check.OnOffer || last.Check.Subject != p.Subject ||
			slices.ContainsFunc(last.Check.Floors, func(r authn.Requirement) bool { return !p.Meets(r, last.At) }) {
			s.fail("%s was promoted without a good last look", p.Login)
		}
		if !rotated {
			s.fail("%s grew and kept its secret", p.Login)
		}
		if old >= 0 {
			had, has := was[old].Assurance(), p.Assurance()
			if has.AAL < had.AAL || had.PhishingResistant && !has.PhishingResistant || had.Hardware && !has.Hardware || had.UserVerified && !has.UserVerified {
				s.fail("a step-up took from %s: %+v\n%+v", p.Login, was[old].All(), p.All())
			}
		}
		if a, ok := live.(authn.Authenticated); ok && old >= 0 {
			if up, ok := a.Running().(authn.StepUp); !ok || !p.Meets(up.Want, last.At) || p.Subject != was[old].Subject {
				s.fail("%s was stepped up to something else: %+v", p.Login, p.Added)
			}
		}
	}
	person, signedOn := after.Person()
	if w, program := after.Workload(); program {
		if _, device := after.Device(); signedOn || device || len(w.Added) > 0 || slices.ContainsFunc(w.Evidence, func(e authn.Evidence) bool { return !e.Ambient }) {
			s.fail("somebody is beside the workload %s, or it was asked for something", w.Login)
		}
		switch after.Running().(type) {
		case nil, authn.SignOn:
		default:
			s.fail("in the session of a workload runs %T", after.Running())
		}
	}
	device, beneath := after.Device()
	if old, _ := before.Device(); signedOn && beneath && (old.Login != device.Login || person.Method.On != device.Method.Name || person.Subject.Tenant != device.Subject.Tenant) {
		s.fail("%s is above the wrong device: %+v", person.Login, device)
	}
	if signedOn && !beneath && person.Method.On != "" {
		s.fail("%s lost its device", person.Login)
	}
	from, _ := login(live)
	if to, ok := login(got.State); ok && to.ID == from.ID && to.Subject != from.Subject && !rotated {
		s.fail("%s grew and kept its secret", to.ID)
	}
}

// edges are the moments at which something in the state ends.
func (s *story) edges() []time.Time {
	var all []time.Time
	for _, p := range principals(s.node.state) {
		all = append(all, p.Deadline)
	}
	if l, ok := login(s.node.state); ok {
		all = append(all, l.Deadline)
		if l.Challenge != nil {
			all = append(all, l.Challenge.Expires)
		}
	}
	if o, ok := onboarding(s.node.state); ok {
		all = append(all, o.Login.Deadline)
	}
	return slices.DeleteFunc(all, func(t time.Time) bool { return t.Before(s.node.now) })
}

// pass lets time pass, now and then to where something ends.
func (s *story) pass() {
	edges := s.edges()
	if len(edges) > 0 && s.roll("edge", 12) == 11 {
		edge := pick(s, "edge", edges...).Add(-pick(s, "before the edge", 0, 0, time.Nanosecond, time.Minute))
		if edge.After(s.node.now) {
			s.node.now = edge
		}
		return
	}
	s.node.now = s.node.now.Add(pick(s, "pause", 0, 0, 0, 0, 0, 0, 0, 0, 0, time.Second, time.Second, time.Second, time.Minute, 6*time.Minute, 11*time.Minute, 9*time.Hour, -time.Second))
}

// notLater holds that a deadline never grows.
func (s *story) notLater(what string, deadline time.Time) {
	if known, ok := s.ends[what]; ok && deadline.After(known) || deadline.IsZero() {
		s.fail("the deadline of %s went from %s to %s", what, known, deadline)
	}
	s.ends[what] = deadline
}

// narrows holds that what is known of a caller is never replaced.
func (s *story) narrows(id string, is authn.Subject) {
	was := s.subjects[id]
	if !is.Valid() || was.Tenant != "" && is.Tenant != was.Tenant || was.User != "" && is != was {
		s.fail("the subject of %s went from %v to %v", id, was, is)
	}
	s.subjects[id] = is
}

// holds says that a principal is what its login proved, step by step, by the method that was pinned, and no more.
func (s *story) holds(p authn.Principal) {
	if !reflect.DeepEqual(p.Method, s.methods[p.Login]) || p.Method.EachRequest {
		s.fail("the method of %s is not the one that it began with", p.Login)
	}
	if !reflect.DeepEqual(p.Evidence, s.accepted[p.Login]) || len(p.Evidence) != len(p.Method.Steps) {
		s.fail("the evidence of %s is not what it was handed: %+v\n%+v", p.Login, p.Evidence, s.accepted[p.Login])
	}
	var named authn.Subject
	secrets := map[string]bool{}
	for i, ev := range p.Evidence {
		f, ok := p.Method.Steps[i].Allows(ev.Factor)
		secret := ev.Key
		if secret == "" {
			secret = ev.Factor + "\x00" + ev.Credential
		}
		if !ok || ev.Kind != f.Kind || ev.Ambient != f.Ambient || secrets[secret] || f.Tied && ev.Tie == nil || i > 0 && ev.At.Before(p.Evidence[i-1].At) {
			s.fail("step %d of %s is not met by %+v", i+1, p.Login, ev)
		}
		secrets[secret] = true
		if named.Tenant == "" {
			named.Tenant = ev.Subject.Tenant
		}
		if named.User == "" {
			named.User, named.Class = ev.Subject.User, ev.Subject.Class
		}
		if ev.Subject.Tenant != "" && ev.Subject.Tenant != p.Subject.Tenant || ev.Subject.User != "" && ev.Subject.User != p.Subject.User {
			s.fail("%s of %v has evidence of %v", p.Login, p.Subject, ev.Subject)
		}
	}
	if named != p.Subject || named.User == "" {
		s.fail("%s is %v, and its evidence names %v", p.Login, p.Subject, named)
	}
	absolute := p.Method.Session.Absolute
	if absolute == 0 {
		absolute = authn.DefaultAbsolute
	}
	if p.Deadline.After(p.Made.Add(absolute)) || p.Idle != p.Method.Session.Idle {
		s.fail("%s lives longer than its method lets it", p.Login)
	}
	for _, ev := range p.All() {
		if !ev.Expires.IsZero() && p.Deadline.After(ev.Expires) {
			s.fail("%s lives longer than its evidence %+v", p.Login, ev)
		}
	}
	for i, ev := range p.Added {
		if slices.ContainsFunc(p.Added[:i], func(o authn.Evidence) bool {
			return o.Factor == ev.Factor && o.Credential == ev.Credential && o.Key == ev.Key && o.Strength == ev.Strength && !o.At.After(ev.At)
		}) || ev.At.Before(p.Made.Add(-time.Minute)) {
			s.fail("%s has added %+v", p.Login, p.Added)
		}
	}
	s.notLater("principal "+p.Login, p.Deadline)
	s.narrows(p.Login, p.Subject)
	s.notLater("making of "+p.Login, p.Made)
}

// decays holds that time takes away and never gives back, however it passes.
func (s *story) decays() {
	state, now := s.node.state, s.node.now
	length := func(what string) time.Duration {
		return pick(s, what, 0, time.Second, 2*time.Minute, 7*time.Minute, 20*time.Minute, 9*time.Hour, 30*time.Hour)
	}
	touched := now.Add(-length("not seen for"))
	soon := now.Add(length("soon"))
	later := soon.Add(length("later"))
	if edges := s.edges(); len(edges) > 0 && coin.Draw(s.T, "at the edge") {
		later = pick(s, "edge", edges...)
		soon = later.Add(-length("before the edge"))
	}
	if p := principals(state); len(p) > 0 && p[0].Idle > 0 && s.roll("idle", 4) == 0 {
		touched = later.Add(-p[0].Idle)
	}
	first, _ := authn.At(state, soon, touched)
	second, _ := authn.At(first, later, touched)
	direct, changed := authn.At(state, later, touched)
	if s.encoded(state) != s.was {
		s.fail("looking changed the state")
	}
	if _, ended := second.(authn.Ended); ended {
		if direct.Kind() != authn.KindEnded {
			s.fail("ended on the way, and not at once: %+v", direct)
		}
	} else if !reflect.DeepEqual(second, direct) {
		s.fail("looking on the way changes what is in force:\n%+v\n%+v", second, direct)
	}
	for _, p := range principals(direct) {
		if !later.Before(p.Deadline) || p.Idle > 0 && later.Sub(touched) >= p.Idle {
			s.fail("%s is in force after its end", p.Login)
		}
	}
	if l, ok := login(direct); ok && !later.Before(l.Deadline) {
		s.fail("%s goes on after its end", l.ID)
	}
	if changed {
		s.restored(direct)
	}
}

// openings are stories that begin where something has been done already.
var openings = [][]authn.Event{nil,
	{begin(mAdmin, t0), prove(fCert, corpAlice, "", t0), issue(fPasskey, "c1", t0), prove(fPasskey, corpAlice, "c1", t0)},
	{begin(mKiosk, t0), prove(fKiosk, lobby, "", t0)},
	{begin(mKiosk, t0), prove(fKiosk, lobby, "", t0), begin(mAttendant, t0), issue(fPasskey, "c2", t0), prove(fPasskey, corpAlice, "c2", t0)},
	{redeem(t0)},
	{begin(mJob, t0), prove(fJob, backup, "", t0)},
}

// single are methods of single requests, such that can be run and such that can't.
var single = []authn.Method{mService, mSensor, mCron,
	{Name: "partner api", Steps: []authn.Step{one(known["partner-cert"]), one(fToken), one(fRobot)}, Session: authn.Lifetime{Absolute: time.Minute}, EachRequest: true},
	{Name: "either", Steps: []authn.Step{{AnyOf: []authn.Factor{fCert, fToken}}, {AnyOf: []authn.Factor{fToken, fRobot}}}, EachRequest: true},
	{Name: "api", Steps: []authn.Step{one(fCert), one(fCode)}, EachRequest: true},
	{Name: "robots", Steps: []authn.Step{one(fRobot)}, EachRequest: true},
	{Name: "above", Steps: []authn.Step{one(fCert)}, On: "kiosk", EachRequest: true}, mAdmin}

// request is one that is to be authenticated by itself: most of the time such as may be, now and then a little off.
func (s *story) request() authn.Once {
	m := pick(s, "method", single...)
	e := authn.Once{At: s.node.now, ID: fmt.Sprintf("R%d", s.node.logins), Method: m}
	of := pick(s, "user", corpAlice, corpBob, labsAlice)
	switch {
	case m.Makes(authn.ClassDevice):
		of = lobby
	case m.Makes(authn.ClassWorkload):
		of = backup
	}
	var l authn.Login
	for _, step := range m.Steps {
		l.Subject = of
		p := s.someProof(l, pick(s, "factor", step.AnyOf...)).(authn.Prove)
		if f, _ := step.Allows(p.Evidence.Factor); f.Identifies == authn.IdentifiesTenant {
			p.Evidence.Subject = authn.Subject{Tenant: pick(s, "tenant", of.Tenant, of.Tenant, of.Tenant, "labs")}
		}
		e.Evidence, e.Check = append(e.Evidence, p.Evidence), p.Check
	}
	if e.Check != nil && s.roll("looked at", 12) > 0 {
		e.Check.Subject = of
	}
	switch s.roll("steps", 12) {
	case 0:
		e.Evidence = e.Evidence[1:]
	case 1:
		e.Evidence = append(e.Evidence, e.Evidence[0])
	case 2:
		slices.Reverse(e.Evidence)
	}
	return e
}

// beside authenticates a request by itself. The story goes on as if it had never been: what came of it takes no event and
// no store.
func (s *story) beside(live authn.State, e authn.Once) {
	got, taken := s.apply(e)
	if !taken {
		return
	}
	all := principals(got.State)
	if live.Kind() != authn.KindGuest || len(got.Effects) > 0 || len(all) != 1 || !oneRequest(got.State) {
		s.fail("%+v led from %T to %+v", e, live, got)
	}
	if why := unproven(all[0], e); why != "" {
		s.fail("a request was authenticated: %s", why)
	}
	for _, next := range append(s.node.moves(), s.request(), s.onward(live)) {
		if after, err := authn.Apply(got.State, next); err == nil || !reflect.DeepEqual(after.State, got.State) || len(after.Effects) > 0 {
			s.fail("%T happened to a request: %+v", next, after)
		}
	}
	s.been = append(s.been, string(authn.AtOneRequest)+" by "+e.Method.Name)
}

// tell applies an event and goes on from there.
func (s *story) tell(e authn.Event) {
	live, _ := authn.At(s.node.state, s.node.now, time.Time{})
	s.told = append(s.told, fmt.Sprintf("%s %s in %s: %+v", since(s.node.now), e.Kind(), authn.PositionOf(live), e))
	if got, taken := s.apply(e); taken {
		s.follow(live, e, got)
		if !slices.Contains(s.been, s.node.place()) {
			s.been = append(s.been, s.node.place())
		}
	}
}

// place is where the node is, and what runs there.
func (n node) place() string {
	place := string(authn.PositionOf(n.state))
	if a, ok := n.state.(authn.Authenticated); ok && a.Running() != nil {
		place += fmt.Sprintf(" with %T", a.Running())
	}
	for _, p := range principals(n.state) {
		if len(p.Added) > 0 {
			place += ", stepped up"
		}
	}
	return place
}

// TestAnySequence tells random stories and holds the machine to what must be true of each.
func TestAnySequence(t *testing.T) {
	been := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		s := &story{T: rt, methods: map[string]authn.Method{}, accepted: map[string][]authn.Evidence{}, subjects: map[string]authn.Subject{}, ends: map[string]time.Time{},
			node: node{now: t0, spent: map[string]bool{}, seen: map[string]run{}}}
		s.goTo(authn.Guest{})
		for _, e := range pick(s, "opening", openings...) {
			s.tell(e)
		}
		for range rapid.IntRange(1, 24).Draw(rt, "events") {
			s.pass()
			live, _ := authn.At(s.node.state, s.node.now, time.Time{})
			if live.Kind() == authn.KindEnded {
				break
			}
			// Another event on the same state, that is not followed, must leave no trace in this story.
			if s.roll("fork", 3) == 0 {
				s.apply(s.onward(live))
			}
			if s.roll("beside", 6) == 0 {
				s.beside(live, s.request())
				was := s.node.state
				s.goTo(authn.Guest{})
				s.beside(authn.Guest{}, s.request())
				s.goTo(was)
			}
			e := s.onward(live)
			if s.roll("whatever", 5) == 0 {
				e = pick(s, "move", s.node.moves()...)
			}
			if once, ok := e.(authn.Once); ok {
				s.beside(live, once)
				continue
			}
			s.tell(e)
			if s.roll("look", 2) == 0 {
				s.decays()
			}
		}
		for _, k := range s.kept {
			if s.encoded(k.state) != k.was {
				s.fail("a state that was handed out has changed: %+v", k.state)
			}
		}
		for _, place := range s.been {
			been[place]++
		}
	})
	t.Logf("stories by where they went: %v", been)
}

// TestEndedIsTheEnd tells stories and ends them, by whatever ends one: nothing moves what has ended.
func TestEndedIsTheEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := &story{T: rt, node: node{now: t0, logins: 3, asked: []string{"c1", "c2"}}}
		start := pick(s, "state", representatives()...)
		end := pick[authn.Event](s, "end", authn.Revoke{At: t0, Reason: "revoked"}, authn.SignOut{At: t0, All: true}, nil)
		ended, _ := authn.At(start, t0.Add(48*time.Hour), time.Time{})
		if end != nil {
			got, err := authn.Apply(start, end)
			if err != nil {
				return // a guest has nothing to sign out of; what has ended does not end again
			}
			ended = got.State
		}
		if ended.Kind() != authn.KindEnded {
			if _, in := start.(authn.Authenticated); in || end != nil {
				rt.Fatalf("%T ended as %T", start, ended)
			}
			return
		}
		s.goTo(ended)
		for range rapid.IntRange(1, 10).Draw(rt, "events") {
			s.node.now = s.node.now.Add(pick(s, "pause", 0, time.Second, -time.Hour, 9*time.Hour))
			e := pick(s, "move", s.node.moves()...)
			if s.roll("onward", 2) == 1 {
				e = s.onward(authn.Guest{})
			}
			if got, taken := s.apply(e); taken || s.encoded(got.State) != s.was {
				s.fail("what has ended took %T", e)
			}
			if live, changed := authn.At(ended, s.node.now, t0); changed || s.encoded(live) != s.was {
				s.fail("what has ended changed with time")
			}
		}
	})
}

// TestForksShareNothing goes two ways from each state of a long login, and of a session that steps up again and again: what
// one way leads to is not changed by the other.
func TestForksShareNothing(t *testing.T) {
	long := authn.Method{Name: "long"}
	for i := range 9 {
		long.Steps = append(long.Steps, one(numbered(i)))
	}
	both := func(s authn.State, this, that authn.Event) authn.State {
		t.Helper()
		before := bytesOf(t, s)
		a := after(s, this)
		was := bytesOf(t, a)
		b := after(s, that)
		if bytesOf(t, s) != before || bytesOf(t, a) != was {
			t.Fatalf("%+v leaves its trace in a state that it was not applied to", that)
		}
		if bytesOf(t, b) == was {
			t.Fatalf("two ways lead to the same state: %s", was)
		}
		return a
	}
	of := func(i int, credential string) authn.Event {
		e := prove(numbered(i), corpAlice, "", t0)
		e.Evidence.Credential = credential
		return e
	}
	s := after(authn.Guest{}, begin(long, t0))
	for i := range long.Steps {
		s = both(s, of(i, "this"), of(i, "that"))
	}
	for i := range 12 {
		up := authn.BeginStepUp{At: t0, ID: fmt.Sprint("up ", i), Steps: []authn.Step{one(numbered(20 + i%5))}}
		s = after(s, up)
		s = both(s, of(20+i%5, fmt.Sprint("this ", i)), of(20+i%5, fmt.Sprint("that ", i)))
	}
}

// numbered is an ambient factor; there are as many as anybody wants.
func numbered(i int) authn.Factor {
	return authn.Factor{Name: fmt.Sprint("factor ", i), Kind: "jwt", Ambient: true, Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have}}
}
