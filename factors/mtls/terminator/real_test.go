package terminator_test

import (
	"bytes"
	"cmp"
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
	t         *testing.T
	dir, addr string
	aliases   string // what comes of names that could pass for those of the terminator; empty: it drops them
	servers   *mtlstest.CA
	staff     *mtlstest.CA
}

// need skips without a program of Debian, unless everything is required.
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

func newFront(t *testing.T, format terminator.Format) *front {
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
	source, err := terminator.New(terminator.Config{Name: string(format), Format: format, Trust: []terminator.Rule{{Socket: f.file("portal.sock")}},
		Client: terminator.ClientAddress{Header: "X-Forwarded-For"}})
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
	server := &http.Server{Handler: mtls.Middleware(source)(http.HandlerFunc(say)), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = free.Addr().String()
	_ = free.Close()
	return f
}

func (f *front) file(name string) string { return filepath.Join(f.dir, name) }

// say answers whose certificate came, and which headers of certificates are left.
func say(w http.ResponseWriter, r *http.Request) {
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
	for name := range r.Header {
		if strings.Contains(strings.ToLower(name), "client") {
			fmt.Fprint(w, ", and a header ", name)
		}
	}
}

// configure writes a documented configuration with the addresses and files of the test.
func (f *front) configure(document string, others ...string) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../docs/deployment", document))
	if err != nil {
		f.t.Fatal(err)
	}
	pairs := append([]string{"/run/portal/portal.sock", f.file("portal.sock"), "/run/nginx.pid", f.file("nginx.pid"), "/etc/nginx/pki", f.dir, "/etc/haproxy/pki", f.dir}, others...)
	for i := 0; i < len(pairs); i += 2 {
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
func (f *front) ask(cert *tls.Certificate, http2 bool, header http.Header, sessions tls.ClientSessionCache) string {
	f.t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	conf := &tls.Config{RootCAs: f.servers.Pool(), ClientSessionCache: sessions}
	if cert != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	tr := &http.Transport{TLSClientConfig: conf, Protocols: protocols}
	defer tr.CloseIdleConnections()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "https://"+f.addr+"/", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	answer, err := tr.RoundTrip(r)
	if err != nil {
		return "no answer"
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		return "no answer"
	}
	return string(body)
}

// walk asks in all the ways that matter.
func (f *front) walk(forged func(victim string) http.Header, encode func(tls.Certificate) string) {
	good := f.staff.Issue(mtlstest.Leaf{CN: "alice"})
	unusual := f.staff.Intermediate("Issuing CA").Issue(mtlstest.Leaf{CN: "Zoë, \"the\" / CN=admin+x", URIs: []string{"spiffe://corp.example/a"}, UPNs: []string{"z@CORP"}})
	foreign := mtlstest.NewCA(f.t, "Staff CA").Issue(mtlstest.Leaf{CN: "alice"})
	past := f.staff.Issue(mtlstest.Leaf{CN: "alice", NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	victim := encode(f.staff.Issue(mtlstest.Leaf{CN: "victim"}))
	for _, http2 := range []bool{false, true} {
		for want, c := range map[string]*tls.Certificate{"alice": &good, "Zoë, \"the\" / CN=admin+x": &unusual, "none": nil} {
			if got := f.ask(c, http2, nil, nil); got != want {
				f.t.Errorf("%q, want %q", got, want)
			}
			if got := f.ask(c, http2, forged(victim), nil); got != cmp.Or(f.aliases, want) {
				f.t.Errorf("with another's certificate in headers: %q, want %q", got, want)
			}
		}
		for what, c := range map[string]*tls.Certificate{"another authority's": &foreign, "expired": &past} {
			if got := f.ask(c, http2, nil, nil); got != "no answer" && got != "none" {
				f.t.Errorf("%s: %q", what, got)
			}
		}
		sessions := tls.NewLRUClientSessionCache(4)
		for range 3 {
			if got := f.ask(&good, http2, nil, sessions); got != "alice" {
				f.t.Errorf("resumed: %q", got)
			}
		}
	}
	hop := http.Header{"X-Ssl-Client-Cert": {victim}, "X-Ssl-Client-Verify": {"SUCCESS"}}
	hop.Set("Connection", "X-SSL-Client-Verify, X-SSL-Client-Cert, X-SSL-Client-Used")
	for want, c := range map[string]*tls.Certificate{"alice": &good, "none": nil} {
		if got := f.ask(c, false, hop, nil); got != want {
			f.t.Errorf("with names that are to be dropped on the way: %q, want %q", got, want)
		}
	}
}

// everywhere is a certificate and a verdict under the names of the format, in spellings that could pass for them, and twice.
func everywhere(values map[string]string) func(victim string) http.Header {
	return func(victim string) http.Header {
		h := http.Header{}
		for name, value := range values {
			if value == "" {
				value = victim
			}
			for _, n := range []string{name, strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.ToLower(name)} {
				h[n] = append(h[n], value, value)
			}
		}
		h["Client-Cert"] = []string{":" + victim + ":"}
		return h
	}
}
