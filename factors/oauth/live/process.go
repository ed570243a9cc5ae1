package live

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is a provider that runs, in a process group of its own. It is told one line of JSON, says READY with the addresses
// it is reached at, and ends when its input does: also when whoever started it is gone.
type process struct {
	command *exec.Cmd
	input   io.WriteCloser
	ready   []string // what stands behind READY
	log     *lines
}

// patience is how long a provider may take to be ready on a machine that does much else.
const patience = time.Minute

// start starts a program, with variables besides those of the environment, and waits until it is ready.
func start(t testing.TB, told any, variables []string, program ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(program[0], program[1:]...), log: &lines{}}
	p.command.Stderr = p.log
	p.command.Env = append(os.Environ(), variables...)
	ownGroup(p.command)
	line, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.input = in
	out, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatalf("live: %v", err)
	}
	if _, err := in.Write(append(line, '\n')); err != nil {
		p.stop()
		t.Fatalf("live: %v\n%s", err, p.log)
	}
	if err := p.wait(out); err != nil {
		p.stop()
		t.Fatalf("live: %s: %v\n%s", program[0], err, p.log)
	}
	return p
}

// wait reads what the program prints until it is ready, and keeps reading behind its back.
func (p *process) wait(out io.Reader) error {
	late := time.AfterFunc(patience, func() { killGroup(p.command) })
	defer late.Stop()
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("it ended, or took more than %v: %w", patience, err)
		}
		if words := strings.Fields(line); len(words) > 1 && words[0] == "READY" {
			p.ready = words[1:]
			go func() { _, _ = io.Copy(p.log, r) }()
			return nil
		}
		_, _ = io.WriteString(p.log, line)
	}
}

// stop ends the process and all that it started, and waits until they are gone.
func (p *process) stop() {
	_ = p.input.Close()
	killGroup(p.command)
	_ = p.command.Wait()
}

// lines is what programs said.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

const maxLog = 1 << 20 // bytes

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len()+len(b) <= maxLog {
		l.text.Write(b)
	}
	return len(b), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
