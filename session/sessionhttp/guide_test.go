package sessionhttp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
	"github.com/sallyport-auth/sallyport/factors/mtls"
)

// block is a fenced block of a document: language, name of the file, text.
var block = regexp.MustCompile("(?ms)^```(\\w+)(?: (\\S+))?\n(.*?)^```$")

func readDoc(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(path)))
	must(t, err)
	return string(b)
}

// guide is the program of docs/embedding.md, written from the files that the page shows, for another port.
type guide struct {
	t                 *testing.T
	dir, addr, binary string
}

func newGuide(t *testing.T) *guide {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	must(t, err)
	g := &guide{t: t, dir: t.TempDir(), addr: fmt.Sprintf("localhost:%d", l.Addr().(*net.TCPAddr).Port)}
	must(t, l.Close())
	for _, b := range block.FindAllStringSubmatch(readDoc(t, "docs/embedding.md"), -1) {
		if b[2] == "" {
			continue
		}
		file := filepath.Join(g.dir, filepath.FromSlash(b[2]))
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		must(t, os.WriteFile(file, []byte(strings.ReplaceAll(b[3], "localhost:8443", g.addr)), 0o600))
	}
	g.binary = filepath.Join(g.dir, "portal")
	g.output(exec.Command("go", "build", "-o", g.binary, filepath.Join(g.dir, "main.go"))) // from here: in this module
	return g
}

// output runs a command to its end.
func (g *guide) output(c *exec.Cmd) string {
	g.t.Helper()
	var log strings.Builder
	c.Stderr = &log
	out, err := c.Output()
	if err != nil {
		g.t.Fatalf("%v: %v\n%s%s", c.Args, err, out, log.String())
	}
	return strings.TrimSpace(string(out))
}

func (g *guide) command(name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(g.t.Context(), name, args...)
	c.Dir = g.dir
	return c
}

// serve runs the program until the test ends.
func (g *guide) serve() {
	g.t.Helper()
	ctx, stop := context.WithCancel(g.t.Context())
	c := exec.CommandContext(ctx, g.binary)
	c.Dir = g.dir
	var log strings.Builder
	c.Stderr = &log
	out, err := c.StdoutPipe()
	must(g.t, err)
	must(g.t, c.Start())
	g.t.Cleanup(func() {
		stop()
		_ = c.Wait() // it was killed
		if g.t.Failed() {
			g.t.Logf("the program's log:\n%s", log.String())
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready https://"+g.addr+"\n" {
		g.t.Fatalf("%q, %v", line, err)
	}
}

// browser has the certificate of carol.
func (g *guide) browser() *browser {
	g.t.Helper()
	jar, err := cookiejar.New(nil)
	must(g.t, err)
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(g.dir, "pki", "server-ca.crt"))
	must(g.t, err)
	roots.AppendCertsFromPEM(pem)
	cert, err := tls.LoadX509KeyPair(filepath.Join(g.dir, "pki", "carol.crt"), filepath.Join(g.dir, "pki", "carol.key"))
	must(g.t, err)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}}
	g.t.Cleanup(tr.CloseIdleConnections)
	origin := "https://" + g.addr
	return &browser{p: &portal{t: g.t, origin: origin}, auth: fido2test.New(origin), client: &http.Client{Jar: jar, Transport: tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// The guide holds: its program compiles, its certificates are good, and its user gets in, with both factors only.
func TestGuide(t *testing.T) {
	g := newGuide(t)
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatal("openssl is missing: install the Debian package openssl")
		}
		t.Skip("openssl is missing: install the Debian package openssl")
	}
	g.output(g.command("sh", "-e", "pki.sh"))
	g.output(g.command(g.binary, "-invite", "carol"))
	code := g.output(g.command(g.binary, "-invite", "carol")) // a second one, for a user who is there
	g.serve()

	b := g.browser()
	page := b.send("GET", "/admin/keys", nil, func(r *http.Request) { r.Header.Set("Accept", "text/html") })
	if page.status != http.StatusSeeOther || page.header.Get("Location") != "/login?return_to=%2Fadmin%2Fkeys" {
		t.Errorf("%d to %q", page.status, page.header.Get("Location"))
	}
	for _, path := range []string{"/login", "/enrol", "/login.js"} {
		if got := b.get(path); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	b.enrol(code)
	b.want(200, "POST", "/auth/login", map[string]any{"return_to": "/admin/keys"})
	b.want(401, "GET", "/admin/keys", nil) // with the certificate alone
	b.answer(200)
	for visit := 1; visit <= 2; visit++ {
		if got := b.get("/admin/keys"); got.status != 200 || !strings.Contains(string(got.body), fmt.Sprintf("For carol of corp, visit %d.", visit)) {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if got := b.get("/admin/danger"); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	b.want(204, "POST", "/auth/logout", map[string]any{})
	b.want(401, "GET", "/admin/keys", nil)
}

// Every policy that the documents show from its first line to its last can be loaded, and has nothing suspicious.
func TestPoliciesOfTheDocuments(t *testing.T) {
	p := newPortal(t)
	for _, doc := range []string{"README.md", "docs/embedding.md", "docs/policy.md"} {
		found := 0
		for _, b := range block.FindAllStringSubmatch(readDoc(t, doc), -1) {
			if b[1] != "yaml" || !strings.HasPrefix(b[3], "version:") {
				continue
			}
			found++
			dir := t.TempDir()
			must(t, os.Mkdir(filepath.Join(dir, "pki"), 0o700))
			must(t, os.WriteFile(filepath.Join(dir, "pki", "staff-ca.crt"), p.staff.PEM(), 0o600))
			pol, err := policy.Parse(filepath.Join(dir, "policy.yaml"), []byte(b[3]), mtls.Kind(), fido2.Kind())
			if err != nil {
				t.Errorf("%s: %v", doc, err)
				continue
			}
			for _, w := range pol.Warnings() {
				t.Errorf("%s: %v", doc, w.Error())
			}
		}
		if found == 0 {
			t.Errorf("%s shows no whole policy", doc)
		}
	}
}
