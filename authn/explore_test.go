package authn_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// node is a state that a sequence of events led to, and what a witness who saw all of them knows.
type node struct {
	state  authn.State
	now    time.Time
	trail  []string
	logins int             // begun so far
	asked  []string        // challenge ids, in order
	spent  map[string]bool // challenge ids that an answer was taken for
	seen   map[string]run  // by login id
}

// run is what the witness saw of one login.
type run struct {
	method   authn.Method
	start    authn.Subject
	began    time.Time
	accepted []authn.Evidence
}

func (n node) key(t *testing.T) string {
	return fmt.Sprint(n.now.Unix(), n.asked, n.spent, n.logins) + bytesOf(t, n.state)
}

// login is the login under way.
func login(s authn.State) (authn.Login, bool) {
	switch s := s.(type) {
	case authn.Authenticating:
		return s.Login, true
	case authn.Authenticated:
		switch r := s.Running().(type) {
		case authn.SignOn:
			return r.Login, true
		case authn.StepUp:
			return r.Login, true
		}
	}
	return authn.Login{}, false
}

func principals(s authn.State) []authn.Principal {
	a, ok := s.(authn.Authenticated)
	if !ok {
		return nil
	}
	var all []authn.Principal
	if p, ok := a.Person(); ok {
		all = append(all, p)
	}
	if p, ok := a.Unattended(); ok {
		all = append(all, p)
	}
	return all
}

// moves are the events that a node is tried with.
func (n node) moves() []authn.Event {
	at := n.now
	id := fmt.Sprintf("L%d", n.logins)
	var all []authn.Event
	for _, m := range []authn.Method{mAdmin, mChoice, mKiosk, mJob, mAttendant} {
		all = append(all, authn.Begin{At: at, ID: id, Method: m})
	}
	requests := n.requests()
	if live, _ := authn.At(n.state, n.now, time.Time{}); live.Kind() != authn.KindGuest {
		requests = requests[:3] // none of them is for a session, whatever it carries
	}
	all = append(all, requests...)
	all = append(all, authn.BeginStepUp{At: at, ID: id, Steps: []authn.Step{one(fCode)}, Want: authn.Requirement{Factors: []string{"code"}}})
	r := redeem(at)
	r.ID = id
	all = append(all, r, authn.Cancel{At: at}, authn.SignOut{At: at}, authn.SignOut{At: at, All: true}, authn.Revoke{At: at, Reason: "revoked"})
	fresh := fmt.Sprintf("x%d", len(n.asked))
	all = append(all, issue(fPasskey, fresh, at), issue(fCode, fresh, at), enrolChallenge(fresh, at))
	challenges := append([]string{""}, n.asked[max(0, len(n.asked)-2):]...)
	for _, c := range challenges {
		for _, of := range []authn.Subject{corpAlice, labsAlice} {
			for _, f := range []authn.Factor{fPasskey, fCode} {
				all = append(all, prove(f, of, c, at))
			}
		}
		all = append(all, authn.Fail{At: at, Factor: "passkey", Challenge: c, Reason: "wrong"}, authn.Enrolled{At: at, Challenge: c, Factor: "passkey", Credential: "k"})
	}
	for _, of := range []authn.Subject{corpAlice, corpBob, labsAlice} {
		all = append(all, prove(fCert, of, "", at))
	}
	all = append(all, prove(fKiosk, lobby, "", at), prove(fJob, backup, "", at))
	for _, f := range []authn.Factor{fPasskey, fCode} {
		last := ""
		if len(n.asked) > 0 {
			last = n.asked[len(n.asked)-1]
		}
		unchecked, suspended, low, old := prove(f, corpAlice, last, at), prove(f, corpAlice, last, at), prove(f, corpAlice, last, at), prove(f, corpAlice, last, at)
		unchecked.Check = nil
		suspended.Check = &authn.Check{Subject: corpAlice, OnOffer: true, Refused: "suspended"}
		low.Check = &authn.Check{Subject: corpAlice, OnOffer: true, Floors: []authn.Requirement{{AAL: 3}}}
		old.Evidence.Expires = at
		gone := prove(f, corpAlice, last, at)
		gone.Check = &authn.Check{Subject: corpAlice}
		all = append(all, unchecked, suspended, low, old, gone)
	}
	return all
}

// requests are such as are to be authenticated by themselves: good ones, and each thing that can be wrong with one.
func (n node) requests() []authn.Event {
	good := func(change func(*authn.Once)) authn.Event {
		e := once(mService, corpAlice, n.now, fCert, fToken)
		e.ID = fmt.Sprintf("R%d", n.logins)
		change(&e)
		return e
	}
	interactive := authn.Method{Name: "service", Steps: []authn.Step{one(fCert), {AnyOf: []authn.Factor{fToken, fCode}}}, EachRequest: true}
	return []authn.Event{
		good(func(*authn.Once) {}),
		good(func(e *authn.Once) { *e = once(mSensor, lobby, n.now, fKiosk) }),
		good(func(e *authn.Once) { e.Method.EachRequest = false }),
		good(func(e *authn.Once) { e.Method.On = "kiosk" }),
		good(func(e *authn.Once) { e.Method = interactive }),
		good(func(e *authn.Once) { e.ID = "" }),
		good(func(e *authn.Once) { e.Evidence = e.Evidence[:1] }),
		good(func(e *authn.Once) { e.Evidence = e.Evidence[1:] }),
		good(func(e *authn.Once) { e.Evidence[0], e.Evidence[1] = e.Evidence[1], e.Evidence[0] }),
		good(func(e *authn.Once) { e.Evidence = append(e.Evidence, e.Evidence[1]) }),
		good(func(e *authn.Once) { e.Evidence[1].Subject = corpBob }),
		good(func(e *authn.Once) { e.Evidence[1].Subject = labsAlice }),
		good(func(e *authn.Once) { e.Evidence[1].At = e.At.Add(-1) }),
		good(func(e *authn.Once) { e.Evidence[0].At = e.At.Add(1) }),
		good(func(e *authn.Once) { e.Evidence[1].Expires = e.At }),
		good(func(e *authn.Once) { e.Evidence[0].Tie = nil }),
		good(func(e *authn.Once) { e.Check = nil }),
		good(func(e *authn.Once) { e.Check.OnOffer = false }),
		good(func(e *authn.Once) { e.Check.Refused = "suspended" }),
		good(func(e *authn.Once) { e.Check.Subject = corpBob }),
		good(func(e *authn.Once) { e.Check.Floors = []authn.Requirement{{AAL: 2}} }),
	}
}

// step applies an event and checks every invariant that a pure machine can hold. It reports whether anything came of it.
func (n node) step(t *testing.T, e authn.Event) (node, bool) {
	complain := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("%s\nafter:\n  %s\n  %T %+v", fmt.Sprintf(format, args...), strings.Join(n.trail, "\n  "), e, e)
	}
	live, _ := authn.At(n.state, n.now, time.Time{})
	got, err := authn.Apply(n.state, e)
	if err != nil {
		if bytesOf(t, got.State) != bytesOf(t, n.state) {
			complain("a refused event changed the state")
		}
		return node{}, false
	}
	if _, over := live.(authn.Ended); over {
		complain("an ended session took an event")
	}
	next := node{state: got.State, now: n.now, trail: append(slices.Clip(n.trail), fmt.Sprintf("%s %+v", e.Kind(), e)), logins: n.logins, asked: n.asked, spent: n.spent, seen: n.seen}
	why, refused := got.Refusal()
	next.witness(n, live, e, refused)
	if e, ok := e.(authn.Once); ok {
		if live.Kind() != authn.KindGuest || len(got.Effects) > 0 {
			complain("a request was authenticated in state %s, with %v", live.Kind(), got.Effects)
		}
		all := principals(got.State)
		if len(all) != 1 || !oneRequest(got.State) {
			complain("a request came of %v", all)
		}
		if why := unproven(all[0], e); why != "" {
			complain("a request was authenticated: %s", why)
		}
		bytesOf(t, got.State) // is no record
		next.decays(t, complain)
		return next, true
	}
	if oneRequest(live) || oneRequest(got.State) {
		complain("what was one request's took part in a session")
	}
	if p, ok := e.(authn.Prove); ok && !p.Evidence.Ambient {
		if n.spent[p.Challenge] {
			complain("the challenge %q was taken twice", p.Challenge)
		}
	}
	rotated := slices.Contains(got.Effects, authn.Effect(authn.Rotate{}))
	before, after := principals(live), principals(got.State)
	for _, p := range after {
		old, known := authn.Principal{}, false
		for _, q := range before {
			if q.Login == p.Login && q.Subject == p.Subject {
				old, known = q, true
			}
		}
		if !known {
			next.justified(complain, e, p)
			if !rotated {
				complain("a principal came without a new secret")
			}
			continue
		}
		if p.Deadline.After(old.Deadline) || !p.Made.Equal(old.Made) || !slices.EqualFunc(p.Evidence, old.Evidence, same) {
			complain("a principal that was there changed more than it may")
		}
		if len(p.Added) != len(old.Added) && (e.Kind() != authn.EventProve || refused || !rotated) {
			complain("a principal grew without a step-up")
		}
	}
	if refused && why == "" {
		complain("a refusal without a reason")
	}
	was, _ := login(live)
	if is, running := login(got.State); running && is.ID == was.ID {
		if was.Subject.Tenant != "" && is.Subject.Tenant != was.Subject.Tenant || was.Subject.User != "" && is.Subject != was.Subject {
			complain("the subject was replaced")
		}
		if is.Subject != was.Subject && !rotated {
			complain("the subject grew without a new secret")
		}
		if is.Deadline.After(was.Deadline) {
			complain("the login's deadline was stretched")
		}
	}
	restored, err := authn.Decode([]byte(bytesOf(t, got.State)))
	if err != nil || bytesOf(t, restored) != bytesOf(t, got.State) {
		complain("the state is not restored as it was: %v", err)
	}
	next.decays(t, complain)
	return next, true
}

// unproven says what is wrong with a principal that a request is said to have proven; empty: nothing.
func unproven(p authn.Principal, e authn.Once) string {
	m := e.Method
	if !m.EachRequest || m.On != "" || len(e.Evidence) != len(m.Steps) || len(p.Evidence) != len(m.Steps) || len(p.Added) > 0 || !p.Made.Equal(e.At) || p.Login != e.ID || e.ID == "" {
		return "not by all steps of a method of single requests, now"
	}
	if c := e.Check; c == nil || !c.OnOffer || c.Refused != "" || c.Subject != p.Subject || slices.ContainsFunc(c.Floors, func(r authn.Requirement) bool { return !p.Meets(r, e.At) }) {
		return "without a good look"
	}
	var named authn.Subject
	for i, ev := range e.Evidence {
		f, ok := m.Steps[i].Allows(ev.Factor)
		if !ok || !f.Ambient || !ev.Ambient || f.Kind != ev.Kind || f.Tied && ev.Tie == nil || !ev.At.Equal(e.At) || !same(ev, p.Evidence[i]) {
			return fmt.Sprintf("step %d is not met by %+v", i+1, ev)
		}
		for _, other := range m.Steps[i].AnyOf {
			if !other.Ambient {
				return "by a method that may ask something"
			}
		}
		if !ev.Expires.IsZero() && (!e.At.Before(ev.Expires) || p.Deadline.After(ev.Expires)) {
			return "with evidence that is over, or before the principal is"
		}
		if ev.Subject.Tenant != "" && ev.Subject.Tenant != p.Subject.Tenant || ev.Subject.User != "" && ev.Subject != p.Subject {
			return fmt.Sprintf("as %v, with evidence of %v", p.Subject, ev.Subject)
		}
		if ev.Subject.User != "" {
			named = ev.Subject
		}
		for _, o := range e.Evidence[:i] {
			if o.Key != "" && o.Key == ev.Key || o.Key == ev.Key && o.Factor == ev.Factor && o.Credential == ev.Credential {
				return "with one secret for two steps"
			}
		}
	}
	if named != p.Subject || named.User == "" {
		return fmt.Sprintf("as %v, and the evidence names %v", p.Subject, named)
	}
	return ""
}

func same(a, b authn.Evidence) bool {
	return a.Factor == b.Factor && a.Credential == b.Credential && a.At.Equal(b.At) && a.Subject == b.Subject
}

// witness writes down what the event means to somebody who does not know the machine.
func (n *node) witness(from node, live authn.State, e authn.Event, refused bool) {
	n.spent, n.seen = map[string]bool{}, map[string]run{}
	for k := range from.spent {
		n.spent[k] = true
	}
	for k, v := range from.seen {
		n.seen[k] = v
	}
	switch e := e.(type) {
	case authn.Begin:
		r := run{method: e.Method, began: e.At}
		if a, ok := live.(authn.Authenticated); ok && e.Method.On != "" {
			d, _ := a.Device()
			r.start.Tenant = d.Subject.Tenant
		}
		n.seen[e.ID] = r
		n.logins++
	case authn.BeginStepUp, authn.Redeem:
		n.logins++
	case authn.Issue:
		n.asked = append(slices.Clip(n.asked), e.Challenge.ID)
	case authn.Fail:
		n.spent[e.Challenge] = e.Challenge != ""
	case authn.Enrolled:
		n.spent[e.Challenge] = true
	case authn.Prove:
		if e.Challenge != "" {
			n.spent[e.Challenge] = true
		}
		if l, ok := login(live); ok && !refused {
			r := n.seen[l.ID]
			r.accepted = append(slices.Clip(r.accepted), e.Evidence)
			n.seen[l.ID] = r
		}
	}
}

// justified holds a principal that is new to what was seen of its login.
func (n *node) justified(complain func(string, ...any), e authn.Event, p authn.Principal) {
	last, ok := e.(authn.Prove)
	if !ok || last.Check == nil || last.Check.Refused != "" || !last.Check.OnOffer || last.Check.Subject != p.Subject || len(last.Check.Floors) > 0 {
		complain("a principal came without a good last look")
	}
	r, ok := n.seen[p.Login]
	if !ok || len(r.accepted) != len(r.method.Steps) {
		complain("a principal came of a login that nobody saw to the end: %d of %d steps", len(r.accepted), len(r.method.Steps))
	}
	subject := r.start
	for i, ev := range r.accepted {
		if _, allowed := r.method.Steps[i].Allows(ev.Factor); !allowed || ev.At.Before(r.began) || !ev.At.Before(r.began.Add(authn.DefaultLoginTime)) {
			complain("step %d was passed by %s at %s", i+1, ev.Factor, ev.At)
		}
		if subject.Tenant != "" && ev.Subject.Tenant != subject.Tenant || subject.User != "" && ev.Subject != subject {
			complain("evidence of two subjects: %v and %v", subject, ev.Subject)
		}
		subject = ev.Subject
	}
	if subject != p.Subject {
		complain("the principal is %v, and the evidence names %v", p.Subject, subject)
	}
}

// decays checks that time takes away and never gives back.
func (n *node) decays(t *testing.T, complain func(string, ...any)) {
	count := len(principals(n.state))
	for _, d := range []time.Duration{0, 6 * time.Minute, 11 * time.Minute, 61 * time.Minute, 9 * time.Hour, 25 * time.Hour} {
		later, _ := authn.At(n.state, n.now.Add(d), time.Time{})
		again, changed := authn.At(later, n.now.Add(d), time.Time{})
		if changed || bytesOf(t, again) != bytesOf(t, later) {
			complain("what is in force after %v is not in force", d)
		}
		if left := len(principals(later)); left > count {
			complain("time brought a principal back")
		} else {
			count = left
		}
	}
}

var exploreDepth = flag.Int("depth", 3, "how many events TestEverySequence puts after one another")

// TestEverySequence goes through all sequences of events up to a depth, from nobody and from each kind of session, with
// every deadline passing at every point.
func TestEverySequence(t *testing.T) {
	depth := *exploreDepth
	if testing.Short() {
		depth = min(depth, 2)
	}
	frontier := []node{{state: authn.Guest{}, now: t0, spent: map[string]bool{}, seen: map[string]run{}}}
	for _, s := range []authn.State{device(), person(), personOnDevice()} {
		seen := map[string]run{}
		frontier = append(frontier, node{state: s, now: t0, logins: 9, asked: []string{"c1", "c2"}, spent: map[string]bool{"c1": true, "c2": true}, seen: seen})
	}
	visited, reached, tried := map[string]bool{}, map[authn.Position]bool{}, 0
	for d := 0; d < depth && len(frontier) > 0; d++ {
		var next []node
		for _, n := range frontier {
			for _, jump := range []time.Duration{0, 6 * time.Minute, 11 * time.Minute, 9 * time.Hour} {
				later := n
				later.now = n.now.Add(jump)
				if jump > 0 {
					later.trail = append(slices.Clip(n.trail), "after "+jump.String())
				}
				for _, e := range later.moves() {
					tried++
					m, ok := later.step(t, e)
					if !ok {
						continue
					}
					if k := m.key(t); !visited[k] {
						visited[k] = true
						reached[authn.PositionOf(m.state)] = true
						next = append(next, m)
					}
				}
			}
		}
		t.Logf("depth %d: %d states, %d events tried", d+1, len(visited), tried)
		frontier = next
	}
	for _, p := range positions {
		if !reached[p] {
			t.Errorf("no sequence led to %q", p)
		}
	}
}
