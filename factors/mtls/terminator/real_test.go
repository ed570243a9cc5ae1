package terminator_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/mtls/terminator"
)

// front is a real terminator with the documented configuration, and a program behind it that says whose certificate it saw.
type front struct {
	t       *testing.T
	dir     string
	addr    string // where it listens
	host    string // what clients call it
	servers *mtlstest.CA
	staff   *mtlstest.CA
}

// need skips without a program, unless everything is required.
func need(t *testing.T, program, install string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is missing: %s", program, install)
	}
	t.Skipf("%s is missing: %s", program, install)
}

// newFront makes the program behind a terminator whose format the configuration has.
func newFront(t *testing.T, c terminator.Config) *front {
	t.Helper()
	dir, err := os.MkdirTemp("", "front") // a Unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &front{t: t, dir: dir, servers: mtlstest.NewCA(t, "Server CA"), staff: mtlstest.NewCA(t, "Staff CA")}
	cert, key := mtlstest.PEM(t, f.servers.Server())
	for name, text := range map[string][]byte{"server.crt": cert, "server.key": key, "server.pem": append(bytes.Clone(cert), key...), "staff-ca.crt": f.staff.PEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.Name, c.Trust, c.Client.Header = string(c.Format), []terminator.Rule{{Socket: f.file("portal.sock")}}, "X-Forwarded-For"
	source, err := terminator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", f.file("portal.sock"))
	if err != nil {
		t.Fatal(err)
	}
	// Terminators give up root; the socket is for this test's only.
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(f.file("portal.sock"), 0o777)); err != nil {
		t.Fatal(err)
	}
	route, err := mtls.ProbeRoute(probeToken)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", say)
	mux.Handle("/probe", route)
	server := &http.Server{Handler: mtls.Middleware(source)(mux), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = free.Addr().String()
	f.host = fmt.Sprint("localhost:", free.Addr().(*net.TCPAddr).Port)
	_ = free.Close()
	return f
}

func (f *front) file(name string) string { return filepath.Join(f.dir, name) }

// say answers whose certificate came, and which headers and trailers of certificates are left.
func say(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // trailers come behind it
	chain, err := factors.PeerCertChainFrom(r.Context())
	var refused *factors.Rejection
	switch {
	case errors.As(err, &refused):
		fmt.Fprint(w, "refused: ", refused.Reason)
	case err != nil:
		fmt.Fprint(w, "refused")
	case !chain.Present():
		fmt.Fprint(w, "none")
	default:
		fmt.Fprint(w, chain.Leaf().Subject.CommonName)
	}
	for _, left := range []http.Header{r.Header, r.Trailer} {
		for name := range left {
			if strings.Contains(strings.ToLower(name), "client") {
				fmt.Fprint(w, ", and a header ", name)
			}
		}
	}
}

// configure writes a documented configuration, in which of each pair the first is replaced by the second.
func (f *front) configure(document string, pairs ...string) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../docs/deployment", document))
	if err != nil {
		f.t.Fatal(err)
	}
	pairs = append(pairs, "/run/portal/portal.sock", f.file("portal.sock"))
	for i := 0; i < len(pairs); i += 2 {
		if !bytes.Contains(text, []byte(pairs[i])) {
			f.t.Fatalf("%s does not have %q", document, pairs[i])
		}
		text = bytes.ReplaceAll(text, []byte(pairs[i]), []byte(pairs[i+1]))
	}
	file := f.file(document)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return file
}

// run starts the terminator and waits until it takes connections.
func (f *front) run(program string, args ...string) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), "HOME="+f.dir, "XDG_CONFIG_HOME="+f.dir, "XDG_DATA_HOME="+f.dir)
	cmd.WaitDelay = 10 * time.Second
	said := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	f.t.Cleanup(func() {
		cancel()
		<-done
		if f.t.Failed() {
			f.t.Logf("%s said:\n%s", program, said)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; {
		c, err := net.Dial("tcp", f.addr)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-done:
			f.t.Fatalf("%s ended", program)
		default:
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s does not listen: %v", program, err)
		}
	}
}

// ask makes a request over a connection of its own.
func (f *front) ask(q *question) string {
	f.t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!q.http2)
	protocols.SetHTTP2(q.http2)
	conf := &tls.Config{RootCAs: f.servers.Pool(), ClientSessionCache: q.sessions}
	if q.cert != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return q.cert, nil }
	}
	tr := &http.Transport{TLSClientConfig: conf, Protocols: protocols, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, f.addr)
	}}
	defer tr.CloseIdleConnections()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "https://"+f.host+"/", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	if q.trailer != nil {
		r.Method, r.Body, r.ContentLength, r.Trailer = http.MethodPost, io.NopCloser(strings.NewReader("body")), -1, q.trailer
	}
	if q.header != nil {
		r.Header = q.header
	}
	answer, err := tr.RoundTrip(r)
	if err != nil {
		return noAnswer
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		return noAnswer
	}
	return string(body)
}
