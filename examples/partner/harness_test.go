package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// running is a portal that serves in this process.
type running struct {
	t    *testing.T
	url  string
	data string
	said string // on standard output, up to the ready line and all after it that came with it
	stop func() error
	log  string // file
}

// start runs the portal and waits until it is ready.
func start(t *testing.T, data string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := parse(append([]string{"-addr", "localhost:0", "-data", data}, args...), log)
	if err != nil {
		t.Fatal(err)
	}
	o.now = time.Now
	r := &running{t: t, data: data, log: log.Name()}
	said, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- o.run(ctx, once(said), log) }()
	select {
	case r.said = <-said:
	case err := <-done:
		cancel()
		t.Fatalf("the portal did not start: %v", err)
	}
	r.url = readyLine(r.said)
	r.stop = func() error {
		if ctx.Err() != nil {
			return nil
		}
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("the portal stopped with %v", err)
		}
		if t.Failed() {
			b, _ := os.ReadFile(r.log)
			t.Logf("the portal's log:\n%s", b)
		}
		log.Close()
	})
	return r
}

// once gives what is printed to whoever waits.
type once chan string

func (o once) Write(b []byte) (int, error) {
	o <- string(b)
	return len(b), nil
}

func readyLine(said string) string {
	lines := bufio.NewScanner(strings.NewReader(said))
	for lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			return at
		}
	}
	return ""
}

// surfer is somebody with a browser: cookies, and a certificate or none.
type surfer struct {
	t   *testing.T
	url string
	web *http.Client
}

// surfer opens a browser with a certificate of the portal's folder; an empty name is none.
func (r *running) surfer(name string) *surfer {
	r.t.Helper()
	ca, err := os.ReadFile(filepath.Join(r.data, "pki", "server-ca.crt"))
	if err != nil {
		r.t.Fatal(err)
	}
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AppendCertsFromPEM(ca)
	if name != "" {
		cert, err := tls.LoadX509KeyPair(filepath.Join(r.data, "pki", name+".crt"), filepath.Join(r.data, "pki", name+".key"))
		if err != nil {
			r.t.Fatal(err)
		}
		// Like a browser, whoever has one shows it wherever it is asked for.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &surfer{r.t, r.url, &http.Client{Transport: tr, Jar: jar}}
}

// answer is what came after all redirects.
type answer struct {
	status int
	at     *url.URL
	body   string
}

func (s *surfer) do(r *http.Request) answer {
	s.t.Helper()
	r.Header.Set("Accept", "text/html")
	res, err := s.web.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	got := answer{res.StatusCode, res.Request.URL, string(b)}
	if m := refresh.FindStringSubmatch(got.body); m != nil {
		return s.get(html.UnescapeString(m[1]))
	}
	return got
}

var (
	refresh  = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]*)"`)
	actionOf = regexp.MustCompile(`<form[^>]* method="post"(?: action="([^"]*)")?`)
	inputOf  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// get goes to an address, or a path of the portal.
func (s *surfer) get(address string) answer {
	s.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = s.url + address
	}
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(r)
}

// send sends the first form of a page whose action has a text in it, with what was typed.
func (s *surfer) send(a answer, action string, typed url.Values) answer {
	s.t.Helper()
	for _, part := range strings.Split(a.body, "</form>") {
		m := actionOf.FindStringSubmatch(part)
		if m == nil || !strings.Contains(m[1], action) {
			continue
		}
		form := url.Values{}
		for _, in := range inputOf.FindAllStringSubmatch(part, -1) {
			form.Set(html.UnescapeString(in[1]), html.UnescapeString(in[2]))
		}
		for name, v := range typed {
			form[name] = v
		}
		to, err := a.at.Parse(html.UnescapeString(m[1]))
		if err != nil {
			s.t.Fatal(err)
		}
		r, err := http.NewRequest(http.MethodPost, to.String(), strings.NewReader(form.Encode()))
		if err != nil {
			s.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", a.at.Scheme+"://"+a.at.Host)
		return s.do(r)
	}
	s.t.Fatalf("no form to %q in\n%s", action, a.body)
	return answer{}
}

// sees wants a text on a page.
func (s *surfer) sees(a answer, status int, texts ...string) answer {
	s.t.Helper()
	for _, text := range texts {
		if a.status != status || !strings.Contains(a.body, text) {
			s.t.Fatalf("%s: %d, want %d and %q in\n%s", a.at, a.status, status, text, a.body)
		}
	}
	return a
}

// provider goes from the portal to the provider's sign-in page.
func (s *surfer) provider() answer {
	s.t.Helper()
	return s.send(s.get("/login"), "/login", nil)
}

// signIn signs somebody in, and gives the page that they end at.
func (s *surfer) signIn(name string) answer {
	s.t.Helper()
	return s.send(s.sees(s.provider(), http.StatusOK, `name="password"`), "/sign-in", url.Values{"username": {name}, "password": {demoPassword}})
}

// whoami is what the portal says of the caller.
func (s *surfer) whoami() (int, map[string]any) {
	s.t.Helper()
	res, err := s.web.Get(s.url + "/portal/whoami")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	out := map[string]any{}
	_ = json.NewDecoder(res.Body).Decode(&out)
	return res.StatusCode, out
}

// is wants to be somebody of a tenant.
func (s *surfer) is(tenant, user string) map[string]any {
	s.t.Helper()
	status, got := s.whoami()
	if status != http.StatusOK || got["tenant"] != tenant || got["user"] != user {
		s.t.Fatalf("%d %v, want %s of %s", status, got, user, tenant)
	}
	return got
}

// nobody wants to be signed out.
func (s *surfer) nobody() {
	s.t.Helper()
	if status, got := s.whoami(); status != http.StatusUnauthorized {
		s.t.Fatalf("%d %v", status, got)
	}
}
