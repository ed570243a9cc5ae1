package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

// asProgram makes the test binary run as the program itself.
const asProgram = "SALLYPORT_TEST_AS_KIOSK"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is the program as a process of its own.
type process struct {
	*running
	cmd *exec.Cmd
	err bytes.Buffer
}

func program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// spawn starts the program as a process and waits until it is ready.
func spawn(t *testing.T, data, addr string) *process {
	t.Helper()
	p := &process{running: &running{t: t, data: data}, cmd: program("-addr", addr, "-data", data)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.end(syscall.SIGKILL) })
	lines := bufio.NewScanner(out)
	for lines.Scan() && !p.read(lines.Text()) {
	}
	if p.url == "" {
		t.Fatalf("the program did not start:\n%s", p.err.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return p
}

// end sends a signal and waits; the error is the process's.
func (p *process) end(signal syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(signal)
	err := p.cmd.Wait()
	p.cmd = nil
	return err
}

// Both principals survive a restart and a kill. What was handed out is not handed out again.
func TestRestartAndKill(t *testing.T) {
	data := t.TempDir()
	p := spawn(t, data, "localhost:0")
	addr := strings.TrimPrefix(p.url, "https://")
	code, number, pin := p.invited, p.number, p.pin
	if code == "" || number == "" || pin == "" {
		t.Fatalf("handed out: %q %q %q", code, number, pin)
	}
	b := p.at("kiosk-17").open()
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Fatalf("SIGTERM: %v\n%s", err, p.err.String())
	}
	p = spawn(t, data, addr)
	if p.invited != "" || p.number != "" {
		t.Errorf("handed out again: %q %q", p.invited, p.number)
	}
	b.is("kiosk-17", "")
	b.enrol(code)
	b.signIn().wants(http.StatusOK, "")
	b.begin("badge").wants(http.StatusOK, "")
	_ = p.end(syscall.SIGKILL)
	p = spawn(t, data, addr)
	b.is("kiosk-17", "carol")
	b.post(homePath+"/leave", nil).leads(homePath + "?left")
	b.badge(number, pin).wants(http.StatusOK, "")
	b.is("kiosk-17", "carol")
	_ = p.end(syscall.SIGKILL)
}

func TestOneProgramPerFolder(t *testing.T) {
	data := t.TempDir()
	spawn(t, data, "localhost:0")
	before, err := os.ReadFile(filepath.Join(data, badgesFile))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := failure(t, "-addr", "localhost:0", "-data", data), "kiosk: another kiosk program uses the folder "+data; got != want {
		t.Errorf("it said %q", got)
	}
	if after, _ := os.ReadFile(filepath.Join(data, badgesFile)); !bytes.Equal(before, after) {
		t.Error("it changed the badges of the first")
	}
}

// failure is the one line in which the program says why it does not start.
func failure(t *testing.T, args ...string) string {
	t.Helper()
	var out, log bytes.Buffer
	cmd := program(args...)
	cmd.Stdout, cmd.Stderr = &out, &log
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	if strings.Contains(out.String(), "ready") {
		t.Error("it said that it was ready")
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	said := lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("it said more than one line: %q", line)
		}
	}
	return said
}

// Whatever keeps the program from starting, it says so in one line.
func TestOneClearLine(t *testing.T) {
	busy := spawn(t, t.TempDir(), "localhost:0")
	file := func(t *testing.T, name, text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"taken port":                      {[]string{"-addr", strings.TrimPrefix(busy.url, "https://"), "-data", t.TempDir()}, "address already in use. Name another address with -addr"},
		"no address":                      {[]string{"-addr", "localhost", "-data", t.TempDir()}, "-addr localhost: address localhost: missing port"},
		"folder that cannot be made":      {[]string{"-addr", "localhost:0", "-data", file(t, "file", "") + "/data"}, "not a directory"},
		"broken policy":                   {[]string{"-addr", "localhost:0", "-data", t.TempDir(), "-policy", file(t, "policy.yaml", "version: 1\norigin: https://localhost\nfactorz: {}\n")}, `policy.yaml:3:1: unknown key "factorz"`},
		"broken certificate":              {[]string{"-addr", "localhost:0", "-data", filepath.Dir(filepath.Dir(file(t, "pki/kiosk-ca.crt", "garbage")))}, "kiosk-ca.crt is not PEM"},
		"broken policy in the folder":     {[]string{"-addr", "localhost:0", "-data", filepath.Dir(file(t, "policy.yaml", "nothing"))}, "policy.yaml"},
		"address that has no passkeys":    {[]string{"-addr", "127.0.0.2:0", "-data", t.TempDir()}, "give a name, such as localhost"},
		"something that it does not know": {[]string{"extra"}, `unknown argument "extra"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := failure(t, tt.args...); !strings.HasPrefix(got, "kiosk: ") || !strings.Contains(got, tt.says) {
				t.Errorf("it said %q, want %q", got, tt.says)
			}
		})
	}
}

// prepared is a site that is put together and does not serve.
func prepared(t *testing.T, data string, ahead time.Duration) *site {
	t.Helper()
	s, err := prepare(t.Context(), options{data: data, iterations: leastIterations, now: func() time.Time { return time.Now().Add(ahead) }}, "localhost:1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

// Whatever ends a first start before it has printed what it hands out, the next one prints it; and an invitation that expired
// is made anew as long as it was not used.
func TestHandedOutOnce(t *testing.T) {
	data := t.TempDir()
	for _, tt := range []struct {
		ahead time.Duration
		out   io.Writer
		want  string
	}{
		{0, nil, "badge invitation"}, {0, broken{}, "badge invitation"}, {0, io.Discard, "badge invitation"}, {0, io.Discard, ""},
		{session.DefaultInvitationLife - time.Hour, io.Discard, ""}, {session.DefaultInvitationLife + time.Hour, io.Discard, "invitation"},
		{session.DefaultInvitationLife + time.Hour, io.Discard, ""},
	} {
		s := prepared(t, data, tt.ahead)
		var got []string
		for _, line := range s.handouts {
			got = append(got, strings.Fields(line)[0])
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("after %v it hands out %q, want %q", tt.ahead, got, tt.want)
		}
		if tt.out != nil {
			s.announce(tt.out)
		}
		s.close()
	}
}

// Keys and PINs are their owner's. The certificates name the kiosks as the policy reads them.
func TestFiles(t *testing.T) {
	r := start(t, t.TempDir())
	for _, name := range []string{"pki/server.key", "pki/server-ca.key", "pki/kiosk-ca.key", "pki/kiosk-17.key", "pki/kiosk-17.p12", "pki/kiosk-18.key", "pki/kiosk-18.p12", badgesFile, "policy.yaml"} {
		if info, err := os.Stat(filepath.Join(r.data, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	for _, name := range devices {
		leaf := r.certificate(name).Leaf
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "spiffe://corp.example/corp/kiosk/"+name {
			t.Errorf("%s is %v", name, leaf.URIs)
		}
	}
	if b, err := os.ReadFile(filepath.Join(r.data, badgesFile)); err != nil || bytes.Contains(b, []byte(r.pin)) {
		t.Errorf("the PIN is in the file: %v", err)
	}
}

func TestPolicyFollowsTheAddressUntilItIsEdited(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	for _, at := range []string{"localhost:1", "localhost:2", "127.0.0.1:3", "[::1]:4", "kiosk.example:5"} {
		if err := writePolicy(file, at); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(file); string(b) != policyFor(at) {
			t.Errorf("%s: the policy is for another address:\n%s", at, b)
		}
	}
	edited := strings.Replace(policyFor("kiosk.example:5"), "idle: 2m", "idle: 5m", 1)
	if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePolicy(file, "localhost:6"); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(file); string(b) != edited {
		t.Error("an edited policy was replaced")
	}
}

// A browser that comes by the address of numbers finds the kiosk too.
func TestAddressOfNumbers(t *testing.T) {
	p := spawn(t, t.TempDir(), "127.0.0.1:0")
	b := p.at("kiosk-17").open()
	b.enrol(p.invited)
	b.signIn().wants(http.StatusOK, "")
	b.is("kiosk-17", "carol")
}
