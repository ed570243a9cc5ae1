//go:build unix

// Package behind holds the tests of start.sh.
package behind

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// site is the portal behind a real nginx, as start.sh starts it.
type site struct {
	t       *testing.T
	url     string
	data    string
	invited map[string]string
	cmd     *exec.Cmd
	ended   chan struct{}
	said    bytes.Buffer // on standard error; to be read when it has ended
}

// need skips without a program, unless everything is required.
func need(t *testing.T, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is missing: install the Debian package %s", program, debian)
	}
	t.Skipf("%s is missing: install the Debian package %s", program, debian)
}

// address is one on loopback that is free.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint("localhost:", l.Addr().(*net.TCPAddr).Port)
}

// launch runs the script until it says that it is ready, or ends; then there is no url.
func launch(t *testing.T, data, addr string, args ...string) *site {
	t.Helper()
	need(t, "nginx", "nginx-light")
	s := &site{t: t, data: data, invited: map[string]string{}, ended: make(chan struct{})}
	s.cmd = exec.Command("./start.sh", append([]string{"-addr", addr, "-data", data}, args...)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that all of it can be interrupted, as a terminal does
	s.cmd.Stderr = &s.said
	s.cmd.WaitDelay = time.Minute
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.interrupt()
		if t.Failed() {
			t.Logf("start.sh said:\n%s", s.said.String())
		}
	})
	lines := bufio.NewScanner(out)
	for s.url == "" && lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 3 && words[0] == "invitation":
			s.invited[words[1]] = words[2]
		case len(words) == 2 && words[0] == "ready":
			s.url = words[1]
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	return s
}

func start(t *testing.T) *site {
	t.Helper()
	s := launch(t, t.TempDir(), address(t))
	if s.url == "" {
		t.Fatalf("it is not ready: %v", s.wait())
	}
	return s
}

// wait waits until everything has ended, and gives the exit status.
func (s *site) wait() int {
	<-s.ended
	return s.cmd.ProcessState.ExitCode()
}

// interrupt is Ctrl-C.
func (s *site) interrupt() int {
	select {
	case <-s.ended:
	default:
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT)
	}
	return s.wait()
}

func (s *site) file(name string) string { return filepath.Join(s.data, name) }

// wantNothingLeft holds that neither program runs any more.
func (s *site) wantNothingLeft() {
	s.t.Helper()
	if _, err := os.Lstat(s.file("portal.sock")); !os.IsNotExist(err) {
		s.t.Errorf("the socket is still there: %v", err)
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "https://")); err == nil {
		c.Close()
		s.t.Error("somebody listens still")
	}
	if err := syscall.Kill(-s.cmd.Process.Pid, 0); err != syscall.ESRCH {
		s.t.Errorf("a process is left: %v", err)
	}
}

func TestCtrlCEndsBoth(t *testing.T) {
	s := start(t)
	info, err := os.Lstat(s.file("portal.sock"))
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket: %v %v", info, err)
	}
	if status := s.interrupt(); status != 130 {
		t.Errorf("exit status %d", status)
	}
	s.wantNothingLeft()
}

// child is the script's own process of a name.
func (s *site) child(name string) int {
	s.t.Helper()
	need(s.t, "ps", "procps")
	out, err := exec.Command("ps", "-o", "pid=,ppid=,comm=", "-A").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		var comm string
		if _, err := fmt.Sscan(line, &pid, &parent, &comm); err == nil && parent == s.cmd.Process.Pid && filepath.Base(comm) == name {
			return pid
		}
	}
	s.t.Fatalf("there is no process %s:\n%s", name, out)
	return 0
}

func TestOneTakesTheOtherAlong(t *testing.T) {
	for _, name := range []string{"nginx", "adminportal"} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			if err := syscall.Kill(s.child(name), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if status := s.wait(); status == 0 {
				t.Error("the exit status is 0")
			}
			s.wantNothingLeft()
		})
	}
}

// A second start goes on with what is there, also after everything was killed.
func TestStartsAgain(t *testing.T) {
	s := start(t)
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	s.wait()
	again := launch(t, s.data, strings.TrimPrefix(s.url, "https://"))
	if again.url != s.url || len(again.invited) != 0 {
		t.Errorf("ready at %q, invited %v", again.url, again.invited)
	}
}

func TestPortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := launch(t, t.TempDir(), fmt.Sprint("localhost:", l.Addr().(*net.TCPAddr).Port))
	if status := s.wait(); status == 0 || s.url != "" || !strings.Contains(s.said.String(), "Address already in use") {
		t.Errorf("exit status %d, ready %q:\n%s", status, s.url, s.said.String())
	}
	if len(s.invited) != 2 {
		t.Errorf("the invitations, which are made once, were not printed: %v", s.invited)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	for says, tt := range map[string]struct {
		env  string
		args []string
	}{
		"nginx-light":      {env: "NGINX=/nowhere/nginx"},
		"no name and port": {args: []string{"-addr", "8443"}},
		"needs a value":    {args: []string{"-data"}},
		"unknown argument": {args: []string{"extra"}},
	} {
		need(t, "nginx", "nginx-light")
		cmd := exec.Command("./start.sh", append([]string{"-addr", address(t), "-data", t.TempDir()}, tt.args...)...)
		cmd.Env = append(os.Environ(), tt.env)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), says) {
			t.Errorf("%v, want %q:\n%s", err, says, out)
		}
	}
}

// settings are the directives of a configuration that do not depend on the machine.
func settings(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch word, _, _ := strings.Cut(line, " "); word {
		case "", "#", "worker_processes", "pid", "listen", "server_name", "ssl_certificate", "ssl_certificate_key", "ssl_client_certificate", "proxy_pass", "}":
		default:
			if !strings.HasPrefix(line, "#") {
				out = append(out, line)
			}
		}
	}
	return out
}

// What is documented, and held by the tests of package terminator, is what runs here.
func TestConfigurationIsTheDocumentedOne(t *testing.T) {
	documented, err := os.ReadFile("../../docs/deployment/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("nginx.conf.template")
	if err != nil {
		t.Fatal(err)
	}
	want := settings(string(documented))
	if len(want) < 15 {
		t.Errorf("only %d directives are documented", len(want))
	}
	have := settings(string(own))
	for i := 0; i < len(have); {
		if word, _, _ := strings.Cut(have[i], " "); word == "error_log" || word == "access_log" || word == "@USER@" || strings.HasSuffix(word, "_temp_path") {
			have = append(have[:i], have[i+1:]...)
			continue
		}
		i++
	}
	if got, want := strings.Join(have, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("the template has\n%s\nand the documented configuration\n%s", got, want)
	}
}
