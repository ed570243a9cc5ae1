package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/sqlite"
)

// asProgram makes the test binary run as the portal itself.
const asProgram = "SALLYPORT_TEST_AS_PORTAL"

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
func spawn(t *testing.T, data, addr string) *process {
	t.Helper()
	p := &process{running: &running{t: t, data: data, invited: map[string]string{}}, cmd: program("-addr", addr, "-data", data)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	p.listen(out)
	if p.url == "" {
		t.Fatalf("the portal did not start:\n%s", p.err.String())
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

// caller is somebody with a certificate, a cookie jar and an authenticator.
type caller struct {
	t      *testing.T
	url    string
	client *http.Client
	auth   *fido2test.Authenticator
}

func (r *running) caller(name string) *caller {
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	c := &caller{t: r.t, url: r.url, client: r.client(name), auth: fido2test.New(r.url)}
	c.client.Jar = jar
	return c
}

func (c *caller) call(method, path string, body any) (int, map[string]any) {
	c.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequest(method, c.url+path, bytes.NewReader(b))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	out := map[string]any{}
	_ = json.NewDecoder(res.Body).Decode(&out)
	return res.StatusCode, out
}

func (c *caller) want(status int, method, path string, body any) map[string]any {
	c.t.Helper()
	got, out := c.call(method, path, body)
	if got != status {
		c.t.Fatalf("%s %s: %d %v, want %d", method, path, got, out, status)
	}
	return out
}

func (c *caller) answer(path string, how func(json.RawMessage) (json.RawMessage, error)) map[string]any {
	c.t.Helper()
	asked := c.want(http.StatusOK, "POST", path+"/challenge", map[string]any{})
	options, _ := json.Marshal(asked["publicKey"])
	credential, err := how(options)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.want(http.StatusOK, "POST", path+"/verify", map[string]any{"credential": credential})
}

func (c *caller) enrol(code string) {
	c.t.Helper()
	c.want(http.StatusOK, "POST", "/auth/invitations/redeem", map[string]any{"code": code})
	c.answer("/auth/credentials/passkey", c.auth.Create)
}

func (c *caller) login() {
	c.t.Helper()
	c.want(http.StatusOK, "POST", "/auth/login", map[string]any{})
	if got := c.answer("/auth/factors/passkey", c.auth.Get); got["state"] != "authenticated" {
		c.t.Fatalf("%v", got)
	}
}

func addrOf(url string) string { return strings.TrimPrefix(url, "https://") }

func TestSessionsSurviveRestartAndKill(t *testing.T) {
	data := t.TempDir()
	p := spawn(t, data, "localhost:0")
	addr := addrOf(p.url)
	alice := p.caller("alice")
	alice.enrol(p.invited["alice"])
	alice.login()
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Fatalf("SIGTERM: %v\n%s", err, p.err.String())
	}
	for range 2 {
		p = spawn(t, data, addr)
		if len(p.invited) != 0 {
			t.Errorf("invitations again: %v", p.invited)
		}
		if who := alice.want(http.StatusOK, "GET", "/admin/whoami", nil); who["user"] != "alice" {
			t.Fatalf("%v", who)
		}
		p.end(syscall.SIGKILL)
	}
	store, err := sqlite.Open(t.Context(), filepath.Join(data, "portal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	made, err := store.Events(t.Context(), session.EventFilter{Tenant: tenant, What: session.UserCreated})
	if err != nil || len(made) != 2 {
		t.Errorf("the audit log has %d users made, %v", len(made), err)
	}
}

func TestKilledInTheMiddle(t *testing.T) {
	data := t.TempDir()
	p := spawn(t, data, "localhost:0")
	addr := addrOf(p.url)
	alice, bob := p.caller("alice"), p.caller("bob")
	// Bob is killed between redeeming and storing, Alice between the two steps of a login.
	bob.want(http.StatusOK, "POST", "/auth/invitations/redeem", map[string]any{"code": p.invited["bob"]})
	asked := bob.want(http.StatusOK, "POST", "/auth/credentials/passkey/challenge", map[string]any{})
	alice.enrol(p.invited["alice"])
	alice.want(http.StatusOK, "POST", "/auth/login", map[string]any{})
	invitation := p.invited["bob"]
	p.end(syscall.SIGKILL)

	p = spawn(t, data, addr)
	if got := alice.want(http.StatusOK, "GET", "/auth/session", nil); got["state"] != "authenticating" {
		t.Fatalf("alice's login: %v", got)
	}
	alice.answer("/auth/factors/passkey", alice.auth.Get)
	alice.want(http.StatusOK, "GET", "/admin/whoami", nil)
	options, _ := json.Marshal(asked["publicKey"])
	credential, err := bob.auth.Create(options)
	if err != nil {
		t.Fatal(err)
	}
	bob.want(http.StatusOK, "POST", "/auth/credentials/passkey/verify", map[string]any{"credential": credential})
	bob.want(http.StatusUnauthorized, "POST", "/auth/invitations/redeem", map[string]any{"code": invitation})
	bob.login()
	if status, _ := bob.call("GET", "/admin/users", nil); status != http.StatusForbidden {
		t.Errorf("bob on a page of administration: %d", status)
	}
	p.end(syscall.SIGKILL)
}

func TestOneClearLine(t *testing.T) {
	busy := start(t, t.TempDir())
	for _, tt := range []struct {
		name string
		args func(t *testing.T) []string
		says string
	}{
		{"taken port", func(t *testing.T) []string { return []string{"-addr", addrOf(busy.url), "-data", t.TempDir()} }, "address already in use"},
		{"folder that cannot be made", func(t *testing.T) []string {
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{"-addr", "localhost:0", "-data", filepath.Join(file, "data")}
		}, "not a directory"},
		{"broken policy", func(t *testing.T) []string {
			file := filepath.Join(t.TempDir(), "policy.yaml")
			if err := os.WriteFile(file, []byte("version: 1\norigin: https://localhost\nfactorz: {}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{"-addr", "localhost:0", "-data", t.TempDir(), "-policy", file}
		}, `policy.yaml:3:1: unknown key "factorz"`},
		{"broken certificate", func(t *testing.T) []string {
			data := t.TempDir()
			if err := os.MkdirAll(filepath.Join(data, "pki"), 0o700); err != nil {
				t.Fatal(err)
			}
			for _, f := range []string{"staff-ca.crt", "staff-ca.key"} {
				if err := os.WriteFile(filepath.Join(data, "pki", f), []byte("garbage"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			return []string{"-addr", "localhost:0", "-data", data}
		}, "staff-ca.crt"},
		{"address that has no passkeys", func(t *testing.T) []string { return []string{"-addr", "127.0.0.2:0", "-data", t.TempDir()} }, "give a name, such as localhost"},
		{"no such flag", func(*testing.T) []string { return []string{"extra"} }, `unknown argument "extra"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, log bytes.Buffer
			cmd := program(tt.args(t)...)
			cmd.Stdout, cmd.Stderr = &out, &log
			err := cmd.Run()
			var exit *exec.ExitError
			if e, ok := err.(*exec.ExitError); ok {
				exit = e
			}
			if exit == nil || exit.ExitCode() != 1 {
				t.Fatalf("ended with %v", err)
			}
			line := strings.TrimSpace(log.String())
			if !strings.HasPrefix(line, "adminportal: ") || strings.Contains(line, "\n") || !strings.Contains(line, tt.says) {
				t.Errorf("said %q, want one line with %q", line, tt.says)
			}
			if strings.Contains(out.String(), "ready") {
				t.Errorf("it said that it was ready")
			}
		})
	}
}

func TestKeyFilesAreTheOwners(t *testing.T) {
	r := start(t, t.TempDir())
	for _, name := range []string{"server", "server-ca", "staff-ca", "alice", "bob"} {
		for _, ext := range []string{".key", ".p12"} {
			info, err := os.Stat(filepath.Join(r.data, "pki", name+ext))
			if err != nil {
				if ext == ".p12" && name != "alice" && name != "bob" {
					continue
				}
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s%s has mode %v", name, ext, info.Mode())
			}
		}
	}
}

// edit replaces a piece of the policy file.
func (r *running) edit(t *testing.T, old, fresh string) {
	t.Helper()
	file := filepath.Join(r.data, "policy.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		t.Fatalf("%q is not in the policy", old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), old, fresh, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPolicyIsReloaded(t *testing.T) {
	r := start(t, t.TempDir())
	alice := r.caller("alice")
	alice.enrol(r.invited["alice"])
	alice.login()
	alice.want(http.StatusOK, "GET", "/admin/whoami", nil)
	r.edit(t, "aal: 2, phishing_resistant: true }", "aal: 2, phishing_resistant: true, max_age: 1s }")
	// The change takes effect within five seconds; how soon is the machine's business.
	for {
		status, body := alice.call("GET", "/admin/whoami", nil)
		if status == http.StatusUnauthorized {
			if body["code"] != "insufficient_user_authentication" {
				t.Fatalf("%v", body)
			}
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(fmt.Errorf("the floor did not rise: %d", status))
		}
	}
}

func TestAddressOfNumbers(t *testing.T) {
	p := spawn(t, t.TempDir(), "127.0.0.1:0")
	alice := p.caller("alice")
	alice.auth.Origin = p.url
	alice.enrol(p.invited["alice"])
	alice.login()
	alice.want(http.StatusOK, "GET", "/admin/whoami", nil)
}

func TestPolicyFollowsTheAddressUntilItIsEdited(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	for _, at := range []string{"localhost:1", "localhost:2", "127.0.0.1:3", "[::1]:4", "portal.example:5"} {
		if err := writePolicy(file, at); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(file); string(b) != policyFor(at) {
			t.Errorf("%s: the policy is for another address:\n%s", at, b)
		}
	}
	edited := strings.Replace(policyFor("portal.example:5"), "idle: 15m", "idle: 5m", 1)
	if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePolicy(file, "localhost:6"); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(file); string(b) != edited {
		t.Errorf("an edited policy was replaced")
	}
}
