package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asProgram makes the test binary run as the program itself.
const asProgram = "SALLYPORT_TEST_AS_SECRETS"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// process is the server as a process of its own.
type process struct {
	*running
	cmd *exec.Cmd
	err bytes.Buffer
}

// spawn starts the server as a process and waits until it is ready.
func spawn(t *testing.T, data, addr string) *process {
	t.Helper()
	p := &process{running: &running{t: t, data: data}, cmd: program("serve", "-addr", addr, "-data", data)}
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
	lines.Scan()
	ready := false
	if p.url, ready = strings.CutPrefix(lines.Text(), "ready "); !ready {
		t.Fatalf("the server did not start:\n%s", p.err.String())
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

// asClient runs a command of the client as a process.
func (p *process) asClient(stdin string, args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	cmd := program(append([]string{args[0], "-server", p.url, "-data", p.data}, args[1:]...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestKilledServerKeepsWhatItAnswered(t *testing.T) {
	p := spawn(t, t.TempDir(), "localhost:0")
	if _, errs, code := p.asClient("correct horse\n", "put", "name"); code != 0 {
		t.Fatal(code, errs)
	}
	token, err := os.ReadFile(filepath.Join(p.data, "tokens/reader.jwt"))
	if err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimPrefix(p.url, "https://")
	_ = p.end(syscall.SIGKILL)
	if !strings.Contains(p.err.String(), "user.created") {
		t.Fatalf("the first start made no users:\n%s", p.err.String())
	}
	p = spawn(t, p.data, addr)
	if out, errs, code := p.asClient("", "get", "-as", "reader", "name"); code != 0 || out != "correct horse\n" {
		t.Errorf("%d, %q, %s", code, out, errs)
	}
	if again, err := os.ReadFile(filepath.Join(p.data, "tokens/reader.jwt")); err != nil || !bytes.Equal(again, token) {
		t.Errorf("the token is another one: %v", err)
	}
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if log := p.err.String(); strings.Contains(log, "user.created") || strings.Contains(log, "tenant.created") || strings.Contains(log, "correct horse") || strings.Contains(log, "eyJ") {
		t.Errorf("the second start logs what it should not:\n%s", log)
	}
}

func TestCommandsEndWithACodeAndOneLine(t *testing.T) {
	p := spawn(t, t.TempDir(), "localhost:0")
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"refused":          {[]string{"put", "-as", "reader", "name"}, 1, "needs secrets:write"},
		"nothing there":    {[]string{"get", "name"}, 1, "no such secret"},
		"no command known": {[]string{"burn"}, 2, "usage:"},
		"help":             {[]string{"list", "-h"}, 0, "Usage of secrets list"},
		"a bad flag":       {[]string{"list", "-burn"}, 2, "flag provided but not defined"},
	} {
		out, errs, code := p.asClient("x", c.args...)
		if code != c.code || out != "" || !strings.Contains(errs, c.says) || code == 1 && strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: %d, %q, %q", name, code, out, errs)
		}
	}
	if _, errs, code := p.asClient("", "list", "-server", "https://localhost:1"); code != 1 || !strings.Contains(errs, "cannot be reached") {
		t.Errorf("%d, %s", code, errs)
	}
}

func TestFilesOfTheServerAreItsOwners(t *testing.T) {
	p := spawn(t, t.TempDir(), "localhost:0")
	for _, name := range []string{"vault.key", "issuer.key", "secrets.db", "service.db", "policy.yaml", "tokens", "tokens/writer.jwt", "tokens/reader.jwt", "pki", "pki/service-ca.key", "pki/writer.key", "pki/reader.p12"} {
		about, err := os.Stat(filepath.Join(p.data, name))
		if err != nil {
			t.Error(err)
		} else if about.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", name, about.Mode())
		}
	}
	b, err := os.ReadFile(filepath.Join(p.data, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(b, &set); err != nil || len(set.Keys) != 1 || set.Keys[0]["d"] != nil {
		t.Errorf("the published keys: %v", err)
	}
}
