package authn_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// A golden scenario is a script of events with what the machine makes of each written below it. Lines that begin with #
// are for readers. The others are:
//
//	method NAME: STEP, STEP; idle D; absolute D; login D; on METHOD; each-request
//	AT begin METHOD [id=ID]
//	AT once METHOD SUBJECT evidence=FACTOR,... [id=ID] [of=SUBJECT] [seen=AT] [expires=AT] [secret=KEY] [scopes=SCOPE,...]
//	    [untied] [much] [check=...] [floor=...]
//	AT answered                                  the request, which leaves nobody
//	AT step-up STEP... [want=REQUIREMENT] [login=D]
//	AT redeem METHOD SUBJECT INVITATION [evidence=FACTOR,... of=SUBJECT seen=AT expires=AT] [factors=FACTOR,...] [until=AT]
//	AT challenge FACTOR ID [until=AT]
//	AT enrol FACTOR ID [until=AT]                a challenge for a new credential
//	AT prove FACTOR SUBJECT [answers=ID] [seen=AT] [expires=AT] [secret=KEY] [kind=KIND] [untied] [much]
//	    [since=AT or never] [check=none|suspended|withdrawn|SUBJECT] [floor=REQUIREMENT]
//	AT fail FACTOR REASON [answers=ID]
//	AT enrolled FACTOR ID
//	AT cancel
//	AT sign-out [all]
//	AT revoke REASON
//	AT look [touched=AT]                         what is in force, without an event
//
// AT is the time since the scenario began. A STEP is a factor, or several with | between them. A SUBJECT is "nobody",
// "tenant", "tenant/user", "tenant/device:name" or "tenant/workload:name". A REQUIREMENT is a list of aalN, phishing-resistant, hardware,
// user-verified, age:D and factors, with commas. A prove carries a good check of the subject it leads to, unless it says
// something else.
//
// In what is written below, = is the state, + an effect, and ! a refusal that left the state as it was. A principal that
// is what it was one state before is not described again.

// known are the factors that scripts may use.
var known = func() map[string]authn.Factor {
	all := map[string]authn.Factor{}
	for _, f := range []authn.Factor{fCert, fPasskey, fCode, fKiosk, fJob,
		{Name: "partner-cert", Kind: "mtls", Ambient: true, Tied: true, Identifies: authn.IdentifiesTenant, Best: authn.Strength{Category: authn.Have, PhishingResistant: true}, AMR: []string{"swk"}},
		{Name: "partner-idp", Kind: "oauth", Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Know}, AMR: []string{"pwd"}},
		{Name: "smartkey", Kind: "fido2", Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have, PhishingResistant: true, Hardware: true, UserVerified: true}, AMR: []string{"hwk", "user"}},
		fToken, fRobot, {Name: "idle-token", Kind: "jwt", Ambient: true, Identifies: authn.IdentifiesUser},
		{Name: "door-pin", Kind: "typed", Identifies: authn.IdentifiesNothing, Best: authn.Strength{Category: authn.Know}, AMR: []string{"pin"}},
	} {
		all[f.Name] = f
	}
	return all
}()

// player plays one script.
type player struct {
	methods map[string]authn.Method
	state   authn.State // never written down
	stored  authn.State // the same, restored after each line
	logins  int
	shown   map[string]bool // what was written of the principals last
}

// words are the words of a line; what is taken of them is removed.
type words struct {
	at    time.Time
	plain []string
	named map[string]string
}

// complaint is a mistake in a script.
type complaint string

func mistake(format string, args ...any) { panic(complaint(fmt.Sprintf(format, args...))) }

func must[T any](v T, err error) T {
	if err != nil {
		mistake("%v", err)
	}
	return v
}

func moment(s string) time.Time { return t0.Add(must(time.ParseDuration(s))) }

func split(line string) *words {
	fields := strings.Fields(line)
	w := &words{at: moment(fields[0]), named: map[string]string{}}
	for _, f := range fields[1:] {
		if k, v, ok := strings.Cut(f, "="); ok {
			w.named[k] = v
		} else {
			w.plain = append(w.plain, f)
		}
	}
	return w
}

func (w *words) next() string {
	if len(w.plain) == 0 {
		mistake("a word is missing")
	}
	s := w.plain[0]
	w.plain = w.plain[1:]
	return s
}

func (w *words) flag(s string) bool {
	i := slices.Index(w.plain, s)
	if i >= 0 {
		w.plain = slices.Delete(w.plain, i, i+1)
	}
	return i >= 0
}

func (w *words) option(k string) (string, bool) {
	v, ok := w.named[k]
	delete(w.named, k)
	return v, ok
}

func (w *words) time(k string, otherwise time.Time) time.Time {
	if v, ok := w.option(k); ok {
		return moment(v)
	}
	return otherwise
}

func (w *words) list(k string) []string {
	if v, ok := w.option(k); ok && v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

func factor(name string) authn.Factor {
	f, ok := known[name]
	if !ok {
		mistake("there is no factor %q", name)
	}
	return f
}

func stepOf(s string) (step authn.Step) {
	for _, name := range strings.Split(s, "|") {
		step.AnyOf = append(step.AnyOf, factor(name))
	}
	return step
}

func subjectOf(s string) (of authn.Subject) {
	if s == "nobody" {
		return of
	}
	of.Tenant, of.User, _ = strings.Cut(s, "/")
	for prefix, class := range map[string]authn.Class{"device:": authn.ClassDevice, "workload:": authn.ClassWorkload} {
		if name, ok := strings.CutPrefix(of.User, prefix); ok {
			of.User, of.Class = name, class
		}
	}
	return of
}

func requirementOf(all []string) (r authn.Requirement) {
	for _, s := range all {
		switch {
		case s == "phishing-resistant":
			r.PhishingResistant = true
		case s == "hardware":
			r.Hardware = true
		case s == "user-verified":
			r.UserVerified = true
		case strings.HasPrefix(s, "aal"):
			r.AAL = must(strconv.Atoi(s[3:]))
		case strings.HasPrefix(s, "age:"):
			r.MaxAge = must(time.ParseDuration(s[4:]))
		default:
			r.Factors = append(r.Factors, factor(s).Name)
		}
	}
	return r
}

// method takes a declaration.
func (p *player) method(line string) {
	name, rest, ok := strings.Cut(line, ":")
	if !ok {
		mistake("a method is NAME: STEPS")
	}
	m := authn.Method{Name: name}
	for i, part := range strings.Split(rest, ";") {
		if i == 0 {
			for _, s := range strings.Split(part, ",") {
				m.Steps = append(m.Steps, stepOf(strings.TrimSpace(s)))
			}
			continue
		}
		key, value, _ := strings.Cut(strings.TrimSpace(part), " ")
		switch key {
		case "idle":
			m.Session.Idle = must(time.ParseDuration(value))
		case "absolute":
			m.Session.Absolute = must(time.ParseDuration(value))
		case "login":
			m.Login = must(time.ParseDuration(value))
		case "on":
			m.On = value
		case "each-request":
			m.EachRequest = true
		default:
			mistake("a method has no %q", key)
		}
	}
	p.methods[name] = m
}

func (p *player) known(name string) authn.Method {
	m, ok := p.methods[name]
	if !ok {
		mistake("there is no method %q", name)
	}
	return m
}

// event is what a line says, nil for a look.
func (p *player) event(w *words) authn.Event {
	id := func() string {
		p.logins++
		if id, ok := w.option("id"); ok {
			return id
		}
		return fmt.Sprintf("L%d", p.logins)
	}
	switch word := w.next(); word {
	case "begin":
		return authn.Begin{At: w.at, ID: id(), Method: p.known(w.next())}
	case "once":
		return p.once(w, id())
	case "step-up":
		e := authn.BeginStepUp{At: w.at, ID: id(), Want: requirementOf(w.list("want"))}
		for len(w.plain) > 0 {
			e.Steps = append(e.Steps, stepOf(w.next()))
		}
		if d, ok := w.option("login"); ok {
			e.Login = must(time.ParseDuration(d))
		}
		return e
	case "redeem":
		e := authn.Redeem{At: w.at, ID: id(), Method: p.known(w.next())}
		e.Subject, e.Invitation = subjectOf(w.next()), w.next()
		of := e.Subject
		if s, ok := w.option("of"); ok {
			of = subjectOf(s)
		}
		seen, expires := w.time("seen", w.at), w.time("expires", time.Time{})
		for _, name := range w.list("evidence") {
			ev := evidence(factor(name), of, seen)
			ev.Expires = expires
			e.Evidence = append(e.Evidence, ev)
		}
		e.Names = authn.Names{Tenant: e.Subject.Tenant, User: e.Subject.User}
		e.Factors, e.Deadline = w.list("factors"), w.time("until", time.Time{})
		return e
	case "challenge", "enrol":
		c := authn.Challenge{Factor: w.next(), ID: w.next(), Issued: w.at, Expires: w.time("until", w.at.Add(5*time.Minute))}
		return authn.Issue{At: w.at, Challenge: c, Enrolment: word == "enrol"}
	case "prove":
		return p.prove(w)
	case "fail":
		e := authn.Fail{At: w.at, Factor: w.next(), Reason: authn.Reason(w.next())}
		e.Challenge, _ = w.option("answers")
		return e
	case "enrolled":
		e := authn.Enrolled{At: w.at, Factor: w.next(), Challenge: w.next()}
		e.Credential = "new " + e.Factor
		return e
	case "cancel":
		return authn.Cancel{At: w.at}
	case "sign-out":
		return authn.SignOut{At: w.at, All: w.flag("all")}
	case "revoke":
		return authn.Revoke{At: w.at, Reason: authn.Reason(w.next())}
	case "look":
		return nil
	default:
		mistake("there is no %q", word)
		return nil
	}
}

func (p *player) prove(w *words) authn.Event {
	ev := evidence(factor(w.next()), subjectOf(w.next()), w.time("seen", w.at))
	ev.Expires = w.time("expires", time.Time{})
	ev.Key, _ = w.option("secret")
	if kind, ok := w.option("kind"); ok {
		ev.Kind = kind
	}
	if w.flag("untied") {
		ev.Tie = nil
	}
	if w.flag("much") {
		ev.Handles = much
	}
	switch s, ok := w.option("since"); {
	case ok && s == "never":
		ev.Since = time.Unix(0, 0).UTC()
	case ok:
		ev.Since = moment(s)
	}
	e := authn.Prove{At: w.at, Evidence: ev}
	e.Challenge, _ = w.option("answers")
	live, _ := authn.At(p.state, w.at, time.Time{})
	l, _ := login(live)
	leads, err := l.Subject.Narrow(ev.Subject)
	if err != nil {
		leads = ev.Subject
	}
	e.Check = w.check(leads)
	return e
}

// much is more than evidence may say.
var much = slices.Repeat([]string{strings.Repeat("h", 100)}, 200)

// check is the last look at a subject.
func (w *words) check(of authn.Subject) *authn.Check {
	c := &authn.Check{Subject: of, OnOffer: true}
	switch check, ok := w.option("check"); {
	case !ok:
	case check == "none":
		c = nil
	case check == "suspended":
		c.Refused = "suspended"
	case check == "withdrawn":
		c.OnOffer = false
	default:
		c.Subject = subjectOf(check)
	}
	if floor := w.list("floor"); floor != nil {
		c.Floors = []authn.Requirement{requirementOf(floor)}
	}
	return c
}

func (p *player) once(w *words, id string) authn.Event {
	e := authn.Once{At: w.at, ID: id, Method: p.known(w.next())}
	subject := subjectOf(w.next())
	of := subject
	if s, ok := w.option("of"); ok {
		of = subjectOf(s)
	}
	seen, expires, untied, large := w.time("seen", w.at), w.time("expires", time.Time{}), w.flag("untied"), w.flag("much")
	secret, _ := w.option("secret")
	scopes := w.list("scopes")
	for i, name := range w.list("evidence") {
		f := factor(name)
		said := subject
		if i > 0 {
			said = of
		}
		switch f.Identifies {
		case authn.IdentifiesNothing:
			said = authn.Subject{}
		case authn.IdentifiesTenant:
			said = authn.Subject{Tenant: said.Tenant}
		}
		ev := evidence(f, said, seen)
		ev.Expires, ev.Key = expires, secret
		if untied {
			ev.Tie = nil
		}
		if large {
			ev.Handles = much
		}
		if f.Kind == "jwt" {
			ev.Scopes = scopes
		}
		e.Evidence = append(e.Evidence, ev)
	}
	e.Check = w.check(subject)
	return e
}

// play plays a script and returns it with what came of each line, and the rows of the table that it went through.
func play(t *testing.T, script string) (transcript string, rows map[string]bool) {
	p := &player{methods: map[string]authn.Method{}, state: authn.Guest{}, stored: authn.Guest{}}
	rows = map[string]bool{}
	var out []string
	last := t0
	for i, line := range strings.Split(script, "\n") {
		if strings.HasPrefix(line, "    ") {
			continue // what came of it when it was last written down
		}
		out = append(out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		func() {
			defer func() {
				switch r := recover().(type) {
				case nil:
				case complaint:
					t.Fatalf("line %d: %s: %s", i+1, line, string(r))
				default:
					panic(r)
				}
			}()
			if declared, ok := strings.CutPrefix(line, "method "); ok {
				p.method(declared)
				return
			}
			w := split(line)
			if w.at.Before(last) {
				mistake("time goes back")
			}
			last = w.at
			if w.flag("answered") {
				if !oneRequest(p.state) {
					mistake("nothing is being answered")
				}
				p.state, p.stored = authn.Guest{}, authn.Guest{}
				return
			}
			e := p.event(w)
			touched := w.time("touched", time.Time{})
			if len(w.plain) > 0 || len(w.named) > 0 {
				mistake("what is %v %v?", w.plain, w.named)
			}
			for _, s := range p.line(t, fmt.Sprintf("line %d: %s", i+1, line), e, w.at, touched, rows) {
				out = append(out, "    "+s)
			}
		}()
	}
	return strings.Join(out, "\n"), rows
}

// line applies what a line says to both states, holds them against each other, and describes what came of it.
func (p *player) line(t *testing.T, where string, e authn.Event, at, touched time.Time, rows map[string]bool) []string {
	t.Helper()
	before, copied := bytesOf(t, p.state), restore(t, p.state)
	if e == nil {
		live, _ := authn.At(p.state, at, touched)
		again, _ := authn.At(p.stored, at, touched)
		if !reflect.DeepEqual(live, again) {
			t.Fatalf("%s: the restored state decays to another one", where)
		}
		p.state, p.stored = live, restore(t, live)
		return p.describe(live)
	}
	live, _ := authn.At(p.state, at, time.Time{})
	from := authn.PositionOf(live)
	got, err := authn.Apply(p.state, e)
	again, errAgain := authn.Apply(p.stored, e)
	if !reflect.DeepEqual(err, errAgain) || !reflect.DeepEqual(got, again) {
		t.Fatalf("%s: the restored state does something else:\n%+v, %v\n%+v, %v", where, got, err, again, errAgain)
	}
	if bytesOf(t, p.state) != before || !reflect.DeepEqual(p.state, copied) {
		t.Fatalf("%s: the state that was given has changed", where)
	}
	if err != nil {
		var te *authn.TransitionError
		if !errors.As(err, &te) || len(got.Effects) > 0 || !reflect.DeepEqual(got.State, p.state) {
			t.Fatalf("%s: %v, and the state is not as it was", where, err)
		}
		return []string{fmt.Sprintf("! %s: %s in state %s", te.Reason, te.Event, te.State)}
	}
	rows[fmt.Sprintf("%s on %s to %s", from, e.Kind(), authn.PositionOf(got.State))] = true
	p.state, p.stored = got.State, restore(t, got.State)
	out := p.describe(got.State)
	for _, effect := range got.Effects {
		out = append(out, "+ "+effectText(effect))
	}
	return out
}

// restore is the state after a round through a store. It must be the same value.
func restore(t *testing.T, s authn.State) authn.State {
	t.Helper()
	written := bytesOf(t, s)
	if oneRequest(s) {
		return s // there is no such round
	}
	r, err := authn.Decode([]byte(written))
	if err != nil || !reflect.DeepEqual(r, s) {
		t.Fatalf("the state is not restored as it was: %v\n%+v\n%+v", err, s, r)
	}
	return r
}

// since is a time as scripts write it.
func since(at time.Time) string {
	s := at.Sub(t0).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

func subjectText(s authn.Subject) string {
	switch {
	case s == authn.Subject{}:
		return "nobody"
	case s.User == "":
		return s.Tenant
	case s.Class != authn.ClassPerson:
		return s.Tenant + "/" + s.Class.String() + ":" + s.User
	default:
		return s.Tenant + "/" + s.User
	}
}

func orNone(all []string, between string) string {
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, between)
}

func (p *player) describe(s authn.State) []string {
	out := []string{"= " + string(authn.PositionOf(s))}
	last := p.shown
	p.shown = map[string]bool{}
	principal := func(what string, of authn.Principal, there bool) {
		if !there {
			return
		}
		lines := principalText(what, of)
		text := strings.Join(lines, "\n")
		p.shown[text] = true
		if last[text] {
			lines = []string{"  " + what + " as before"}
		}
		out = append(out, lines...)
	}
	switch s := s.(type) {
	case authn.Authenticating:
		out = append(out, loginText("login", s.Login)...)
	case authn.Pending:
		out = append(out, onboardingText(s.Onboarding)...)
	case authn.Ended:
		out[0] += fmt.Sprintf(" at %s: %s", since(s.At), s.Reason)
	case authn.Authenticated:
		person, ok := s.Person()
		principal("person", person, ok)
		device, ok := s.Device()
		principal("device", device, ok)
		workload, ok := s.Workload()
		principal("workload", workload, ok)
		switch r := s.Running().(type) {
		case authn.StepUp:
			out = append(out, loginText("step-up", r.Login)...)
		case authn.SignOn:
			out = append(out, loginText("sign-on", r.Login)...)
		case authn.Enrolling:
			out = append(out, "  enrolling", challengeText(&r.Challenge))
		case authn.Onboarding:
			out = append(out, onboardingText(r)...)
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

func loginText(what string, l authn.Login) []string {
	next, ok := l.Next()
	names := "-"
	if ok {
		names = strings.Join(next.Names(), " or ")
	}
	failures := ""
	if l.Failures > 0 {
		failures = fmt.Sprintf(", failures %d", l.Failures)
	}
	return []string{fmt.Sprintf("  %s %s by %s: %s, done %s, next %s%s, until %s", what, l.ID, l.Method.Name, subjectText(l.Subject), orNone(l.Done(), " "), names, failures, since(l.Deadline)),
		challengeText(l.Challenge)}
}

func onboardingText(o authn.Onboarding) []string {
	return []string{fmt.Sprintf("  %s %s by %s: %s with %s, done %s, next %s, until %s", o.Workflow, o.Login.ID, o.Login.Method.Name, subjectText(o.Login.Subject), o.Invitation,
		orNone(o.Login.Done(), " "), strings.Join(o.Factors, " or "), since(o.Login.Deadline)), challengeText(o.Challenge)}
}

func challengeText(c *authn.Challenge) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("  challenge %s of %s until %s", c.ID, c.Factor, since(c.Expires))
}

func principalText(what string, p authn.Principal) []string {
	proven := make([]string, 0, len(p.All()))
	for i, e := range p.All() {
		s := e.Factor + "@" + since(e.At)
		switch {
		case e.Since.IsZero():
		case e.Since.Equal(time.Unix(0, 0)):
			s += "(nobody knows since when)"
		default:
			s += "(since " + since(e.Since) + ")"
		}
		if i >= len(p.Evidence) {
			s = "added " + s
		}
		proven = append(proven, s)
	}
	idle := ""
	if p.Idle > 0 {
		idle = ", idle " + since(t0.Add(p.Idle))
	}
	if scopes := p.Scopes(); len(scopes) > 0 {
		idle += ", may " + strings.Join(scopes, " ")
	}
	a := p.Assurance()
	worth := fmt.Sprintf("  %s aal %d", strings.Repeat(" ", len(what)), a.AAL)
	for _, is := range []struct {
		so   bool
		what string
	}{{a.PhishingResistant, "phishing-resistant"}, {a.Hardware, "hardware"}, {a.UserVerified, "user-verified"}} {
		if is.so {
			worth += ", " + is.what
		}
	}
	return []string{fmt.Sprintf("  %s %s by %s (%s), made %s, until %s%s", what, subjectText(p.Subject), p.Method.Name, p.Login, since(p.Made), since(p.Deadline), idle),
		fmt.Sprintf("%s, amr %s, proven %s, acted %s", worth, orNone(a.AMR, " "), strings.Join(proven, " "), since(p.AuthenticatedAt()))}
}

func effectText(e authn.Effect) string {
	switch e := e.(type) {
	case authn.Rotate:
		return "rotate"
	case authn.ClearValues:
		return "clear values"
	case authn.Refused:
		return "no: " + string(e.Reason)
	case authn.Happened:
		s := string(e.What)
		if e.Factor != "" {
			s += " " + e.Factor
		}
		s += fmt.Sprintf(" %s by %s (%s)", subjectText(e.Subject), e.Method, e.Login)
		if e == (authn.Happened{What: e.What, Reason: e.Reason}) {
			s = string(e.What)
		}
		if e.Reason != "" {
			s += ": " + string(e.Reason)
		}
		return s
	default:
		return fmt.Sprintf("%T", e)
	}
}

// TestGolden plays every scenario and holds the transcript to the one written down. With -update it is written anew, to
// be read before it is believed. Together the scenarios go through every row of the table and show every code.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenario found: %v", err)
	}
	gone, played := map[string]bool{}, 0
	var transcripts strings.Builder
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, rows := play(t, string(want))
			played++
			maps.Copy(gone, rows)
			transcripts.WriteString(got)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Error(difference(string(want), got))
			}
		})
	}
	if played < len(files) {
		return // only some were asked for, or one broke off
	}
	for _, r := range authn.Rules() {
		for _, to := range r.To {
			if row := fmt.Sprintf("%s on %s to %s", r.From, r.On, to); !gone[row] {
				t.Errorf("no scenario goes from %s", row)
			}
		}
	}
	for _, code := range codes(t) {
		shown := func(s string) bool { return strings.Contains(transcripts.String(), s) }
		if !shown(": "+code+"\n") && !shown("! "+code+": ") && !shown("+ "+code+" ") {
			t.Errorf("no scenario shows %q", code)
		}
	}
}

// codes are the reasons and occurrences that the machine has words for.
func codes(t *testing.T) (all []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if kind := typeName(v.Type); kind != "Reason" && kind != "Occurrence" {
				continue
			}
			code, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, code)
		}
	}
	if len(all) < 30 {
		t.Fatalf("only %d codes found", len(all))
	}
	return all
}

// difference shows where two transcripts part, with the line that was played there.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	played := ""
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b || i >= len(w) || i >= len(g) {
			return fmt.Sprintf("line %d, below %q:\nwritten %s\nplayed  %s", i+1, played, a, b)
		}
		if !strings.HasPrefix(b, "    ") {
			played = b
		}
	}
	return ""
}
