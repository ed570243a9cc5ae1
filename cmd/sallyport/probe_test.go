package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/mtls/terminator"
)

const token = "0123456789abcdef0123456789abcdef"

// site is a program that reads a terminator's headers, without one in front of it: whatever a client sends is the
// terminator's, until a handler in front makes the headers as a terminator would.
type site struct {
	t        *testing.T
	url, dir string
}

func newSite(t *testing.T, front func(*http.Request)) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	staff, servers := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Server CA")
	source, err := terminator.New(terminator.Config{Name: "front", Format: terminator.Nginx,
		Trust: []terminator.Rule{{Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}})
	if err != nil {
		t.Fatal(err)
	}
	route, err := mtls.ProbeRoute(token)
	if err != nil {
		t.Fatal(err)
	}
	program := mtls.Middleware(source)(route)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/probe" {
			http.NotFound(w, r)
			return
		}
		front(r)
		program.ServeHTTP(w, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{servers.Server()}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: staff.Pool()}
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	s.url = server.URL + "/probe"

	cert, key := mtlstest.PEM(t, staff.Issue(mtlstest.Leaf{CN: "alice"}))
	other, _ := mtlstest.PEM(t, staff.Issue(mtlstest.Leaf{CN: "bob"}))
	s.write("ca.crt", servers.PEM())
	s.write("own.crt", cert)
	s.write("own.key", key)
	s.write("other.crt", other)
	s.write("token", []byte(token+"\n"))
	t.Setenv(probeTokenEnv, "")
	return s
}

// leak lets everything through.
func leak(r *http.Request) {
	if r.Header.Get("X-Ssl-Client-Verify") == "" {
		r.Header.Set("X-SSL-Client-Verify", "NONE")
	}
}

// guard does what a terminator does.
func guard(r *http.Request) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X") {
			delete(r.Header, name)
		}
	}
	r.Header.Set("X-SSL-Client-Verify", "NONE")
	if len(r.TLS.PeerCertificates) > 0 {
		r.Header.Set("X-SSL-Client-Verify", "SUCCESS")
		r.Header.Set("X-SSL-Client-Cert", url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.TLS.PeerCertificates[0].Raw}))))
	}
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name string, text []byte) {
	s.t.Helper()
	if err := os.WriteFile(s.file(name), text, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run runs the command. URL and the names of the site's files stand for these.
func (s *site) run(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	for i, a := range args {
		switch a {
		case "URL":
			args[i] = s.url
		case "ca.crt", "own.crt", "own.key", "other.crt", "token":
			args[i] = s.file(a)
		}
	}
	var out, errs bytes.Buffer
	code = run(s.t.Context(), args, &out, &errs)
	if strings.Contains(out.String()+errs.String(), token) {
		s.t.Errorf("%v: the token is in what it prints", args)
	}
	return code, out.String(), errs.String()
}

func TestProbeOfAGoodDeployment(t *testing.T) {
	s := newSite(t, guard)
	code, out, errs := s.run("probe", "-token-file", "token", "-ca", "ca.crt", "-client-cert", "own.crt", "-client-key", "own.key", "-cert", "other.crt", "URL")
	if code != 0 || errs != "" || !strings.Contains(out, "\npassed   own_forged ") || !strings.HasSuffix(out, " passed, 0 warnings, 0 failed, 0 unknown, 0 skipped\n") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	t.Setenv(probeTokenEnv, token)
	if code, out, errs = s.run("probe", "URL", "-ca", "ca.crt"); code != 0 || errs != "" || !strings.Contains(out, "\nskipped  own ") {
		t.Errorf("with the token in the environment, and flags at the end: exit code %d\n%s%s", code, out, errs)
	}
}

func TestProbeOfALeakyDeployment(t *testing.T) {
	s := newSite(t, leak)
	code, out, errs := s.run("probe", "-token-file", "token", "-ca", "ca.crt", "URL")
	if code != 1 || errs != "" || !strings.Contains(out, "\nfailed   forged ") || !strings.Contains(out, "\nwarning  alias_dot ") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	code, out, errs = s.run("probe", "-token-file", "token", "-ca", "ca.crt", "-json", "URL")
	var data struct {
		Outcome string
		Checks  []struct{ Code, Outcome, Says string }
	}
	if err := json.Unmarshal([]byte(out), &data); code != 1 || errs != "" || err != nil || data.Outcome != "failed" || len(data.Checks) < 10 || data.Checks[0].Code != "no_certificate" || data.Checks[0].Says == "" {
		t.Errorf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
}

func TestProbeThatCannotTell(t *testing.T) {
	s := newSite(t, func(r *http.Request) {
		if guard(r); r.Method == http.MethodPost {
			panic(http.ErrAbortHandler)
		}
	})
	code, out, errs := s.run("probe", "-token-file", "token", "-ca", "ca.crt", "URL")
	if code != 2 || errs != "" || !strings.Contains(out, "\nunknown  trailer ") || strings.Contains(out, "\nfailed") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// What keeps it from running is said on standard error, with what to do, and standard output stays empty.
func TestProbeThatCannotRun(t *testing.T) {
	s := newSite(t, guard)
	s.write("empty", nil)
	s.write("large", bytes.Repeat([]byte{'x'}, 2<<20))
	s.write("wrong", []byte(strings.Repeat("0", 32)))
	for want, args := range map[string][]string{
		"usage:":                             {},
		`no command "prove"`:                 {"prove"},
		"give one URL":                       {"probe", "-token-file", "token"},
		"not defined: -token":                {"probe", "-token", "x", "URL"},
		"no token":                           {"probe", "URL"},
		"$SALLYPORT_PROBE_TOKEN":             {"probe", "-token-file", s.file("empty"), "URL"},
		"over 1048576 bytes":                 {"probe", "-token-file", s.file("large"), "URL"},
		"no such file":                       {"probe", "-token-file", s.file("missing"), "URL"},
		"name its authority with -ca":        {"probe", "-token-file", "token", "URL"},
		"another token":                      {"probe", "-token-file", s.file("wrong"), "-ca", "ca.crt", "URL"},
		"none at this address":               {"probe", "-token-file", "token", "-ca", "ca.crt", strings.TrimSuffix(s.url, "probe")},
		"with https":                         {"probe", "-token-file", "token", strings.Replace(s.url, "https", "http", 1)},
		"no certificate in it":               {"probe", "-token-file", "token", "-ca", "own.key", "URL"},
		"go together":                        {"probe", "-token-file", "token", "-ca", "ca.crt", "-client-cert", "own.crt", "URL"},
		"not a certificate and its key":      {"probe", "-token-file", "token", "-ca", "ca.crt", "-client-cert", "other.crt", "-client-key", "own.key", "URL"},
		"does not begin with a certificate":  {"probe", "-token-file", "token", "-ca", "ca.crt", "-cert", "own.key", "URL"},
		"-timeout is more than nothing":      {"probe", "-token-file", "token", "-timeout", "0s", "URL"},
		"cannot connect":                     {"probe", "-token-file", "token", "https://127.0.0.1:1/"},
		"invalid value \"x\" for flag -time": {"probe", "-timeout", "x", "URL"},
	} {
		if code, out, errs := s.run(args...); code != 2 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestHelp(t *testing.T) {
	s := newSite(t, guard)
	if code, out, _ := s.run("help"); code != 0 || !strings.HasPrefix(out, "usage:") {
		t.Errorf("help: exit code %d, %s", code, out)
	}
	if code, _, errs := s.run("probe", "-h"); code != 0 || !strings.Contains(errs, "-client-key FILE") || !strings.Contains(errs, "Exit code:") {
		t.Errorf("probe -h: exit code %d, %s", code, errs)
	}
}
