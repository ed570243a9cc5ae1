package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asProgram makes the test binary run as the portal itself.
const asProgram = "SALLYPORT_TEST_AS_PARTNER"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is the portal as a process of its own.
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

// spawn starts the portal as a process and waits until it is ready.
func spawn(t *testing.T, data, addr string, args ...string) *process {
	t.Helper()
	p := &process{running: &running{t: t, data: data}, cmd: program(append([]string{"-addr", addr, "-data", data}, args...)...)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.end(syscall.SIGKILL) })
	said := make([]byte, 8<<10)
	n, err := out.Read(said) // it comes in one piece
	if p.said = string(said[:n]); err != nil || readyLine(p.said) == "" {
		t.Fatalf("the portal did not start: %v\n%s", err, p.err.String())
	}
	p.url = readyLine(p.said)
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
	if line := strings.TrimSpace(log.String()); line != "partner: another partner portal uses the folder "+data {
		t.Errorf("it said %q", line)
	}
	if after, _ := os.ReadFile(filepath.Join(data, "policy.yaml")); !bytes.Equal(before, after) {
		t.Errorf("it changed the policy of the first")
	}
	// A kill gives the folder free, and the providers their address.
	issuer := first.issuer("acme")
	_ = first.end(syscall.SIGKILL)
	again := spawn(t, data, strings.TrimPrefix(first.url, "https://"))
	if got := again.issuer("acme"); got != issuer {
		t.Errorf("the provider moved from %s to %s", issuer, got)
	}
	if err := again.end(syscall.SIGTERM); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
