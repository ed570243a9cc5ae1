package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// prepared is a portal that is put together and does not serve.
func prepared(t *testing.T, data string, ahead time.Duration, invite string) *portal {
	t.Helper()
	o := options{data: data, invite: invite, now: func() time.Time { return time.Now().Add(ahead) }}
	p, err := prepare(t.Context(), o, "localhost", "localhost:1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

func names(p *portal) string {
	var all []string
	for _, i := range p.invited {
		all = append(all, i.name)
	}
	return strings.Join(all, " ")
}

// Whatever ends a first start between making the invitations and printing them, the next start prints good ones.
func TestInvitationsThatNobodySaw(t *testing.T) {
	data := t.TempDir()
	p := prepared(t, data, 0, "")
	if names(p) != "alice bob" {
		t.Fatalf("invited at the first start: %q", names(p))
	}
	p.close()
	p = prepared(t, data, 0, "")
	if names(p) != "alice bob" {
		t.Fatalf("invited after a kill: %q", names(p))
	}
	p.announce(writer(func([]byte) (int, error) { return 0, errors.New("broken") }), "localhost:1")
	p.close()
	p = prepared(t, data, 0, "")
	if names(p) != "alice bob" {
		t.Fatalf("invited after standard output broke: %q", names(p))
	}
	p.close()
	r := start(t, data)
	alice := r.caller("alice")
	alice.enrol(r.invited["alice"])
	alice.login()
}

// Only whoever has no way in is invited again.
func TestInvitationsThatExpired(t *testing.T) {
	data := t.TempDir()
	r := start(t, data)
	alice := r.caller("alice")
	alice.enrol(r.invited["alice"])
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		ahead time.Duration
		want  string
	}{{0, ""}, {session.DefaultInvitationLife - time.Hour, ""}, {session.DefaultInvitationLife + time.Hour, "bob"}} {
		p := prepared(t, data, tt.ahead, "")
		if names(p) != tt.want {
			t.Errorf("after %v: invited %q, want %q", tt.ahead, names(p), tt.want)
		}
		p.announce(io.Discard, "localhost:1")
		p.close()
	}
	p := prepared(t, data, session.DefaultInvitationLife+time.Hour, "")
	if names(p) != "" {
		t.Errorf("invited a third time: %q", names(p))
	}
	op := p.engine.Operate(tenant)
	all, err := op.Invitations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := op.RevokeInvitation(t.Context(), all[0].ID); err != nil {
		t.Fatal(err)
	}
	p.close()
	if p := prepared(t, data, session.DefaultInvitationLife+time.Hour, ""); names(p) != "" {
		t.Errorf("invited after an administrator withdrew it: %q", names(p))
	}
}

// Whoever may start the program can invite anybody.
func TestInviteFromTheCommandLine(t *testing.T) {
	data := t.TempDir()
	r := start(t, data)
	alice := r.caller("alice")
	alice.enrol(r.invited["alice"])
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, data, "-invite", "alice")
	if len(r.invited) != 1 {
		t.Fatalf("invited: %v", r.invited)
	}
	alice = r.caller("alice") // another authenticator
	alice.enrol(r.invited["alice"])
	alice.login()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	o := options{addr: "localhost:0", data: data, invite: "eve", now: time.Now}
	if err := o.run(t.Context(), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), `there is no user "eve"`) {
		t.Errorf("an invitation for nobody: %v", err)
	}
}

// A signal is a clean end at every moment of a first start, and leaves nothing that the next cannot use.
func TestSignalDuringTheFirstStart(t *testing.T) {
	for moment := int64(0); moment <= 24; moment += 3 {
		data := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int64
		o := options{addr: "localhost:0", data: data, now: func() time.Time {
			if calls.Add(1) == moment {
				cancel()
			}
			return time.Now()
		}}
		if moment == 0 {
			cancel()
		}
		printed := false
		out := writer(func(b []byte) (int, error) { // at the latest it comes when all is done
			printed = true
			cancel()
			return len(b), nil
		})
		if err := o.run(ctx, out, io.Discard); err != nil {
			t.Errorf("moment %d: %v", moment, err)
		}
		cancel()
		p := prepared(t, data, 0, "")
		if got := names(p); got != "alice bob" && !printed {
			t.Errorf("moment %d: the next start invites %q, and nothing was printed", moment, got)
		}
		p.close()
	}
}

func TestOneProgramPerFolder(t *testing.T) {
	data := t.TempDir()
	first := spawn(t, data, "localhost:0")
	before, err := os.ReadFile(filepath.Join(data, "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	second := program("-addr", "localhost:0", "-data", data)
	second.Stderr = &log
	err = second.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the second program ended with %v", err)
	}
	if line := strings.TrimSpace(log.String()); line != "adminportal: another adminportal uses the folder "+data {
		t.Errorf("it said %q", line)
	}
	if after, _ := os.ReadFile(filepath.Join(data, "policy.yaml")); !bytes.Equal(before, after) {
		t.Errorf("it changed the policy of the first")
	}
	first.caller("alice").want(200, "GET", "/auth/session", nil)
	// A kill gives the folder free.
	first.end(syscall.SIGKILL)
	spawn(t, data, "localhost:0").end(syscall.SIGTERM)
}

// Of two that start at once on an empty folder, one begins and the other says why not.
func TestTwoFirstStartsAtOnce(t *testing.T) {
	data := t.TempDir()
	type end struct {
		log string
		err error
	}
	ended := make(chan end, 2)
	ready := make(chan string, 2)
	ctx, stop := context.WithCancel(t.Context())
	for range 2 {
		go func() {
			var log bytes.Buffer
			o := options{addr: "localhost:0", data: data, now: time.Now}
			err := o.run(ctx, saying(ready), &log)
			ended <- end{log.String(), err}
		}()
	}
	var loser end
	var text string
	for range 2 {
		select {
		case loser = <-ended:
		case text = <-ready:
		}
	}
	if loser.err == nil || !strings.Contains(loser.err.Error(), "another adminportal uses the folder") {
		t.Errorf("the one that came too late: %v\n%s", loser.err, loser.log)
	}
	if !strings.Contains(text, "invitation alice ") || !strings.Contains(text, "ready https://localhost:") {
		t.Errorf("the other says %q", text)
	}
	stop()
	if last := <-ended; last.err != nil {
		t.Errorf("it ended with %v", last.err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func saying(to chan<- string) writer {
	return func(b []byte) (int, error) {
		to <- string(b)
		return len(b), nil
	}
}

// What is printed comes in one piece, so that a reader of the first line does not end the program with the second.
func TestAnnouncement(t *testing.T) {
	data := filepath.Join(t.TempDir(), "it's a folder")
	p := prepared(t, data, 0, "")
	said := make(chan string, 1)
	p.announce(saying(said), "localhost:1")
	text := <-said
	pki := filepath.Join(data, "pki")
	for _, want := range []string{"invitation alice " + p.invited[0].code + "\n", "\nready https://localhost:1\n", "Import " + pki + "/alice.p12", "Open https://localhost:1/enrol",
		`--key '` + strings.ReplaceAll(pki, "'", `'\''`) + `/alice.key' -X POST`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	p.close()
	p = prepared(t, data, 0, "")
	p.announce(saying(said), "localhost:1")
	if text := <-said; strings.Contains(text, "'s invitation") || !strings.Contains(text, "-invite NAME") || !strings.HasPrefix(text, "ready ") {
		t.Errorf("a restart says\n%s", text)
	}
}

// The curl line works as printed, in a folder whose name a shell would take apart.
func TestPrintedCommand(t *testing.T) {
	need(t, "curl", "curl", "sh")
	data := filepath.Join(t.TempDir(), "a b$c")
	r := start(t, data)
	p := &portal{data: data, policy: mustPolicy(t, data)}
	for line := range strings.Lines(p.announcement(addrOf(r.url))) {
		if strings.HasPrefix(line, "  curl ") {
			out, err := exec.Command("sh", "-c", strings.Replace(line, "curl ", "curl -sS ", 1)).CombinedOutput()
			if err != nil || !strings.Contains(string(out), `"next":["passkey"]`) {
				t.Errorf("%v: %s", err, out)
			}
			return
		}
	}
	t.Error("there is no command")
}

func mustPolicy(t *testing.T, data string) *policy.Policy {
	t.Helper()
	p, err := policy.Load(filepath.Join(data, "policy.yaml"), factors.PolicyKinds(kinds(nil))...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The program takes every policy that it writes.
func TestPolicyOfEveryAddress(t *testing.T) {
	data := t.TempDir()
	if err := (pki{dir: filepath.Join(data, "pki"), now: time.Now()}).make("localhost", nil); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"localhost:8443": "https://localhost:8443 localhost", "localhost:443": "https://localhost localhost", "LOCALHOST:9443": "https://localhost:9443 localhost",
		"Portal.Example:443": "https://portal.example portal.example", "127.0.0.1:443": "https://localhost localhost https://127.0.0.1 localhost",
		"[::1]:8443": "https://localhost:8443 localhost https://[::1]:8443 localhost", "[0:0:0:0:0:0:0:1]:443": "https://localhost localhost https://[::1] localhost",
		"[::ffff:127.0.0.1]:9": "https://localhost:9 localhost https://127.0.0.1:9 localhost",
		"0.0.0.0:8443":         "https://localhost:8443 localhost", ":8443": "https://localhost:8443 localhost",
	} {
		file := filepath.Join(data, "policy.yaml")
		if err := writePolicy(file, originHost(address(at))); err != nil {
			t.Fatal(err)
		}
		p, err := policy.Load(file, factors.PolicyKinds(kinds(nil))...)
		if err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		var got []string
		for _, o := range p.Origins {
			got = append(got, o.URL, o.RPID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", at, got, want)
		}
	}
}

// The next steps lead to where browsers make passkeys.
func TestNextStepsOfAnAddressOfNumbers(t *testing.T) {
	data := t.TempDir()
	o := options{data: data, now: time.Now}
	p, err := prepare(t.Context(), o, "127.0.0.1", "127.0.0.1:7", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	text := p.announcement("127.0.0.1:7")
	for _, want := range []string{"ready https://127.0.0.1:7\n", "Open https://localhost:7/enrol", "POST https://127.0.0.1:7/auth/login"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestWarningsOfThePolicyAreLogged(t *testing.T) {
	r := start(t, t.TempDir())
	r.edit(t, "methods:\n", "methods:\n  spare: { steps: [device, passkey] }\n")
	for !strings.Contains(r.logged(), `method \"spare\" is offered by no rule`) {
		if t.Context().Err() != nil {
			t.Fatal("no warning after the reload")
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if again := start(t, r.data); !strings.Contains(again.logged(), `method \"spare\" is offered by no rule`) {
		t.Errorf("no warning at the start:\n%s", again.logged())
	}
}

func TestOldEventsAreForgotten(t *testing.T) {
	data := t.TempDir()
	prepared(t, data, 0, "").close()
	for _, tt := range []struct {
		ahead time.Duration
		there bool
	}{{keepEvents - time.Hour, true}, {keepEvents + time.Hour, false}} {
		p := prepared(t, data, tt.ahead, "")
		p.forget(t.Context())
		events, err := p.engine.Operate(tenant).Events(t.Context(), session.EventFilter{What: session.TenantCreated})
		if err != nil || len(events) > 0 != tt.there {
			t.Errorf("after %v: %v %v", tt.ahead, events, err)
		}
		p.close()
	}
}
