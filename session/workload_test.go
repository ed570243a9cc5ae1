package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/session"
)

// withWorkloads is the policy with methods for programs: job yields a session, cron is of single requests.
var withWorkloads = []string{
	"  partner-cert:", "  job-cert: { kind: mtls, anchors: [corp, labs], identify: [{ from: san.uri, pattern: \"spiffe://test/{tenant}/job/{user}\" }], principal: workload }\n  partner-cert:",
	"  badge:     {", "  job:       { steps: [job-cert], session: { idle: 1h, absolute: 10h } }\n  cron:      { steps: [job-cert], each_request: true }\n  badge:     {",
	"  - { route: /badge/*", "  - { route: /jobs/*, methods: [job, cron, badge, kiosk, attendant] }\n  - { route: /badge/*",
}

// workshop is a world in which a person, a device and a workload have the same name.
func workshop(t *testing.T, edits ...string) *world {
	w := newWorld(t, append(edits[:len(edits):len(edits)], withWorkloads...)...)
	for _, u := range []session.NewUser{{Name: "alice", Class: authn.ClassWorkload}, {Name: "alice", Class: authn.ClassDevice}} {
		made, err := w.Operate("corp").CreateUser(context.Background(), u)
		must(t, err)
		w.users["corp/"+u.Class.String()+" alice"] = made
	}
	return w
}

// job is a program with a certificate of its own.
func (w *world) job() *browser {
	w.t.Helper()
	b := w.browser("")
	b.present(w.pki.corp.Issue(mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://test/corp/job/alice"}, NotAfter: time.Now().AddDate(0, 0, 30)}))
	b.route = "/jobs/x"
	return b
}

// running is a program that has a session.
func (w *world) running() *browser {
	w.t.Helper()
	b := w.job()
	must(w.t, b.begin("job", returning("/jobs/x")))
	return b
}

func (w *world) theJob() session.User { return w.user("corp/workload alice") }

// Whoever is there passes the check of their own class, and of no other.
func TestClassesPassTheirOwnCheck(t *testing.T) {
	w := workshop(t)
	person, device, above := w.browser("corp/alice"), w.browser("corp/lobby"), atKiosk(w, "corp/alice")
	must(t, person.begin("badge", returning("/badge/x")))
	must(t, device.begin("kiosk", returning("/kiosk/x")))
	job := w.running()
	once, err := w.job().ask("/jobs/x", "")
	must(t, err)
	on := func(b *browser) *session.Session { b.route = "/jobs/x"; return b.open() }
	for name, c := range map[string]struct {
		s                        *session.Session
		person, device, workload bool
	}{
		"a guest":                 {on(w.job()), false, false, false},
		"a person":                {on(person), true, false, false},
		"a device":                {on(device), false, true, false},
		"a person above a device": {on(above), true, true, false},
		"a workload":              {on(job), false, false, true},
		"a workload, one request": {once, false, false, true},
	} {
		for what, err := range map[string]struct {
			got  error
			want bool
		}{"person": {c.s.Allows(), c.person}, "device": {c.s.AllowsDevice(), c.device}, "workload": {c.s.AllowsWorkload(), c.workload}} {
			if (err.got == nil) != err.want || err.got != nil && !errors.Is(err.got, session.ErrNotAuthenticated) {
				t.Errorf("%s as a %s: %v", name, what, err.got)
			}
		}
	}
	a := job.open().State().(authn.Authenticated)
	if p, ok := a.Workload(); !ok || p.Subject != w.theJob().Subject() || p.Subject.Class != authn.ClassWorkload || p.Names.User != "alice" {
		t.Errorf("the workload is %+v", p)
	}
	wantAs[*session.InsufficientError](t, job.open().AllowsWorkload(authn.Requirement{AAL: 2}))
}

// Nothing that is for people can be done by a program, or be given to one.
func TestNothingOfPeopleForWorkloads(t *testing.T) {
	w := workshop(t)
	ctx, job, op, id := context.Background(), w.running(), w.Operate("corp"), w.theJob().ID
	before := job.open().State()
	for name, err := range map[string]error{
		"a step-up":             job.stepUp(authn.Requirement{Factors: []string{"code"}}),
		"a step-up to anything": job.stepUp(authn.Requirement{AAL: 2}),
		"an enrolment":          func() error { _, err := job.enrolChallenge("passkey"); return err }(),
		"an invitation":         job.redeem(w.invite("corp/bob")),
		"administration":        job.administer(func(ctx context.Context, a *session.Admin) error { _, err := a.Users(ctx); return err }),
		"a token":               job.do(func(ctx context.Context, s *session.Session) error { _, err := s.Grant(ctx); return err }),
		"credentials":           job.do(func(ctx context.Context, s *session.Session) error { _, err := s.Credentials(ctx); return err }),
		"a sign-on above it":    job.begin("attendant", returning("/jobs/x")),
		"to be invited":         func() error { _, err := op.Invite(ctx, id, 0); return err }(),
		"to administer":         op.SetAdmin(ctx, id, true),
		"to be administrator from the start": func() error {
			_, err := op.CreateUser(ctx, session.NewUser{Name: "root", Class: authn.ClassWorkload, Admin: true})
			return err
		}(),
		"to be of no class": func() error { _, err := op.CreateUser(ctx, session.NewUser{Name: "x", Class: 3}); return err }(),
	} {
		if err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	if u, err := op.User(ctx, id); err != nil || u.Admin {
		t.Errorf("%+v, %v", u, err)
	}
	after := job.open().State()
	was, _ := before.(authn.Authenticated).Workload()
	if is, ok := after.(authn.Authenticated).Workload(); !ok || is.Login != was.Login || after.(authn.Authenticated).Running() != nil {
		t.Errorf("the session is %+v", after)
	}
}

// An invitation that a store holds for a workload, whoever made it, is nobody's.
func TestInvitationOfAWorkload(t *testing.T) {
	w := workshop(t)
	code := w.invite("corp/alice")
	u := w.theJob()
	mine, err := w.store.Invitations(context.Background(), "corp")
	must(t, err)
	forged := mine[0]
	forged.ID, forged.User = "forged", u.ID
	forged.CodeHash[0]++
	must(t, w.store.CreateInvitation(context.Background(), forged))
	if err := w.browser("").redeem(code); err == nil {
		t.Error("without the certificate of the method")
	}
	job := w.job()
	wantErr(t, job.redeem(code), session.ErrInvalidCredential) // it is the person's, of the same name
	job.wantState(authn.KindGuest)
}

// The session of a workload is held to its certificate, its user and its time, as everybody's.
func TestWorkloadSessionEnds(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		end  func(w *world, b *browser)
		over bool // also where what was done is undone
	}{
		"nothing":             {func(*world, *browser) {}, false},
		"another certificate": {func(w *world, b *browser) { b.chain = w.job().chain }, false},
		"no certificate":      {func(w *world, b *browser) { b.chain = nil }, false},
		"a person's":          {func(w *world, b *browser) { b.present(w.certificate("corp/alice")) }, false},
		"denied":              {func(w *world, b *browser) { must(w.t, w.Operate("corp").DenyCertificate(ctx, b.chain[0], "")) }, true},
		"suspended": {func(w *world, b *browser) {
			must(w.t, w.Operate("corp").SetStatus(ctx, w.theJob().ID, session.Suspended))
		}, true},
		"ended": {func(w *world, b *browser) {
			if n, err := w.Operate("corp").EndUserSessions(ctx, w.theJob().ID); n != 1 || err != nil {
				w.t.Errorf("%d ended, %v", n, err)
			}
		}, true},
		"idle":          {func(w *world, b *browser) { w.wait(time.Hour) }, true},
		"out of time":   {func(w *world, b *browser) { w.active(b, 10*time.Hour) }, true},
		"signed out":    {func(w *world, b *browser) { must(w.t, b.signOut(false)) }, true},
		"not on offer":  {func(w *world, b *browser) { w.setPolicy() }, false},
		"another class": {func(w *world, b *browser) { w.setPolicy(asDevices()...) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := workshop(t)
			b := w.running()
			if name == "nothing" {
				w.active(b, 9*time.Hour) // it is seen, and so it is not idle
			}
			chain := b.chain
			c.end(w, b)
			if err := b.open().AllowsWorkload(); (err == nil) != (name == "nothing") {
				t.Errorf("allowed: %v", err)
			}
			if b.open().AllowsDevice() == nil || b.open().Allows() == nil {
				t.Error("it is somebody else now")
			}
			b.chain = chain
			if err := b.open().AllowsWorkload(); c.over && err == nil {
				t.Error("it lives")
			}
		})
	}
}

// asDevices is the policy in which the factor names devices instead.
func asDevices() []string {
	edits := append([]string(nil), withWorkloads...)
	return append(edits, "principal: workload", "principal: device")
}

// active lets time pass with a request every half hour.
func (w *world) active(b *browser, d time.Duration) {
	for ; d > 0; d -= 30 * time.Minute {
		b.open()
		w.wait(30 * time.Minute)
	}
}

// A person and a device of the same name keep their sessions when the workload's end, and the log tells them apart.
func TestEndingAWorkloadEndsNobodyElse(t *testing.T) {
	w := workshop(t)
	person, job := w.browser("corp/alice"), w.running()
	must(t, person.begin("badge", returning("/badge/x")))
	person.route = "/badge/x"
	must(t, w.Operate("corp").SetStatus(context.Background(), w.theJob().ID, session.Suspended))
	must(t, person.open().Allows())
	wantErr(t, job.begin("job", returning("/jobs/x")), session.ErrInvalidCredential)
	e := w.wantEvent("corp", session.SessionRevoked, session.ReasonUserSuspended)
	if e.Class != authn.ClassWorkload || e.User != w.theJob().ID || e.Name != "alice" {
		t.Errorf("the log has %+v", e)
	}
	for _, e := range w.events("corp") { // what is done to it and what it does
		if e.User != "" && (e.Class == authn.ClassWorkload) != (e.User == w.theJob().ID) {
			t.Errorf("the log has %+v", e)
		}
	}
	wantErr(t, func() error { _, err := w.job().ask("/jobs/x", ""); return err }(), session.ErrInvalidCredential)
}

// A login of a person that is begun in the session of a workload replaces it, when it is complete and not before, and takes
// nothing over from it.
func TestPersonReplacesAWorkload(t *testing.T) {
	w := workshop(t)
	k := w.passkey("corp/alice")
	b := w.running()
	must(t, b.begin("bare", returning("/open/x")))
	must(t, b.open().AllowsWorkload())
	if _, person := b.open().Person(); person {
		t.Error("a person is there before the login is complete")
	}
	must(t, b.prove(k))
	a := b.open().State().(authn.Authenticated)
	if _, there := a.Unattended(); there {
		t.Error("the workload is there still")
	}
	p, ok := a.Person()
	if _, tied := p.Tie(); !ok || tied || p.Subject != w.user("corp/alice").Subject() {
		t.Errorf("the person is %+v", p)
	}
}

// What rests on a workload's session asks whether it lives, by the workload's own id and login.
func TestSessionsOfWorkloadsAreLive(t *testing.T) {
	w := workshop(t, elsewherePolicy...)
	job := w.running()
	p, _ := job.open().State().(authn.Authenticated).Workload()
	id := job.open().ID() + "." + p.Login
	for who, want := range map[string]bool{"corp/workload alice": true, "corp/device alice": false, "corp/alice": false} {
		if got := liveAs(t, w, who, id); got != want {
			t.Errorf("%s: %v", who, got)
		}
	}
	must(t, job.signOut(false))
	if liveAs(t, w, "corp/workload alice", id) {
		t.Error("it lives after its end")
	}
}

// impostor is a kind of factor that says of everybody that they are a user, by id and of the class that it describes.
type impostor struct {
	id    *string
	class authn.Class
}

func (impostor) Name() string { return "impostor" }
func (k impostor) Settings(s *policy.Section) (policy.Settings, error) {
	return k, s.Decode(&struct{}{})
}
func (k impostor) Build(policy.Settings, factors.Env) (factors.Factor, error) { return k, nil }
func (k impostor) Describe() authn.Factor {
	return authn.Factor{Name: "impostor", Kind: "impostor", Ambient: true, Identifies: authn.IdentifiesUser, Class: k.class, Best: authn.Strength{Category: authn.Have}}
}
func (k impostor) Verify(_ context.Context, v factors.Verification) (factors.Verified, error) {
	return factors.Verified{Evidence: authn.Evidence{Subject: authn.Subject{Tenant: "corp", User: *k.id, Class: k.class}, Credential: "x", Key: "x",
		Strength: authn.Strength{Category: authn.Have}, At: v.Now}}, nil
}

// Whatever a factor says, a user is of the class that the directory has: an id of another class is nobody's.
func TestFactorThatNamesAnotherClass(t *testing.T) {
	const text = `version: 1
origin: https://portal.example
factors:
  impostor: { kind: impostor }
methods:
  in:   { steps: [impostor] }
  each: { steps: [impostor], each_request: true }
rules:
  - { methods: [in, each] }
`
	ids := []string{"corp/alice", "corp/device alice", "corp/workload alice"}
	for class := range authn.Class(3) {
		w, id := workshop(t), ""
		kind := impostor{&id, class}
		p, err := policy.Parse("policy.yaml", []byte(text), kind)
		must(t, err)
		w.Engine, err = session.New(session.Config{Policy: p, Kinds: []factors.Kind{kind}, Store: w.store, Now: w.clock})
		must(t, err)
		for i, who := range ids {
			id = w.user(who).ID
			b := w.browser("")
			if err := b.begin("in"); (err == nil) != (i == int(class)) {
				t.Errorf("%s as a %s: %v", who, class, err)
			}
			if s, err := w.browser("").ask("/x", ""); (err == nil) != (i == int(class)) || err != nil && s.State().Kind() != authn.KindGuest {
				t.Errorf("%s as a %s, one request: %v", who, class, err)
			}
		}
	}
}

// Nobody steps up by what names a program.
func TestNoStepUpToAWorkload(t *testing.T) {
	w := workshop(t)
	wantErr(t, w.login("corp/alice").stepUp(authn.Requirement{Factors: []string{"job-cert"}}), session.ErrForbidden)
}
