package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
	"github.com/sallyport-auth/sallyport/session"
)

// running is a site that serves in this process, or in another.
type running struct {
	t       *testing.T
	url     string
	data    string
	invited string // carol's code
	number  string // of carol's badge
	pin     string
	site    *site        // nil in another process
	ahead   atomic.Int64 // of the site's clock, in nanoseconds
	stop    func() error
}

func (r *running) wait(d time.Duration) { r.ahead.Add(int64(d)) }

// read takes a line of what the program prints, and reports whether it is the ready line.
func (r *running) read(line string) (ready bool) {
	words := strings.Fields(line)
	switch {
	case len(words) == 3 && words[0] == "invitation" && words[1] == attendant:
		r.invited = words[2]
	case len(words) == 5 && words[0] == "badge" && words[1] == attendant:
		r.number, r.pin = words[2], words[4]
	case len(words) == 2 && words[0] == "ready":
		r.url = words[1]
		return true
	}
	return false
}

// start runs the site and waits until it is ready. ahead is how far its clock is.
func start(t *testing.T, data string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, data: data}
	o, err := parse(append([]string{"-addr", "localhost:0", "-data", data}, args...), log)
	if err != nil {
		t.Fatal(err)
	}
	o.iterations = leastIterations
	o.now = func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }
	l, at, err := o.listen()
	if err != nil {
		t.Fatal(err)
	}
	if r.site, err = prepare(ctx, o, at, slog.New(slog.NewTextHandler(log, nil))); err != nil {
		t.Fatalf("the site did not start: %v", err)
	}
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- r.site.serve(ctx, l, in) }()
	lines := bufio.NewScanner(out)
	for lines.Scan() && !r.read(lines.Text()) {
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	r.stop = func() error {
		if ctx.Err() != nil {
			return nil
		}
		cancel()
		defer r.site.close()
		return <-done
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("the site stopped with %v", err)
		}
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("the site's log:\n%s", b)
		}
		log.Close()
	})
	return r
}

// edit replaces a piece of a file of the data folder.
func (r *running) edit(name, old, fresh string) {
	r.t.Helper()
	file := filepath.Join(r.data, name)
	b, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		r.t.Fatalf("%q is not in %s", old, name)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), old, fresh, 1)), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// until waits for something that the site does by itself, like reading its policy again.
func (r *running) until(what string, is func() bool) {
	r.t.Helper()
	for patience := time.Now().Add(30 * time.Second); !is(); { // for machines that do much else
		if time.Now().After(patience) {
			r.t.Fatalf("never: %s", what)
		}
		time.Sleep(20 * time.Millisecond) // between two looks
	}
}

func (r *running) operate() *session.Admin { return r.site.engine.Operate(tenant) }

// userID is the id of a person, or of a device.
func (r *running) userID(name string) string {
	r.t.Helper()
	users, err := r.operate().Users(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, u := range users {
		if u.Name == name {
			return u.ID
		}
	}
	r.t.Fatalf("there is no %s", name)
	return ""
}

// certificate is one of the folder.
func (r *running) certificate(name string) tls.Certificate {
	r.t.Helper()
	c, err := tls.LoadX509KeyPair(filepath.Join(r.data, "pki", name+".crt"), filepath.Join(r.data, "pki", name+".key"))
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// browser is a browser with cookies, and a certificate or none. keys are the passkeys of whoever stands before it.
type browser struct {
	r    *running
	t    *testing.T
	web  *http.Client
	keys *fido2test.Authenticator
}

// at is a fresh browser with a certificate of the folder; an empty name is none.
func (r *running) at(name string) *browser {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	b := &browser{r: r, t: r.t, keys: fido2test.New(r.url), web: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	return b.carrying(name)
}

// carrying is a browser with the same cookies and another certificate.
func (b *browser) carrying(name string) *browser {
	b.t.Helper()
	if name == "" {
		return b.showing(nil)
	}
	cert := b.r.certificate(name)
	return b.showing(&cert)
}

func (b *browser) showing(cert *tls.Certificate) *browser {
	b.t.Helper()
	ca, err := os.ReadFile(filepath.Join(b.r.data, "pki", "server-ca.crt"))
	if err != nil {
		b.t.Fatal(err)
	}
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AppendCertsFromPEM(ca)
	if cert != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	tr := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	b.t.Cleanup(tr.CloseIdleConnections)
	web := *b.web
	web.Transport = tr
	return &browser{b.r, b.t, &web, b.keys}
}

// twin is a copy of the browser, with the cookies of this moment: a thief's, or a request that is sent again.
func (b *browser) twin() *browser {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	at, err := url.Parse(b.r.url)
	if err != nil {
		b.t.Fatal(err)
	}
	var cookies []*http.Cookie
	for _, c := range b.web.Jar.Cookies(at) {
		cookies = append(cookies, &http.Cookie{Name: c.Name, Value: c.Value, Path: "/", Secure: true})
	}
	jar.SetCookies(at, cookies)
	web := *b.web
	web.Jar = jar
	return &browser{b.r, b.t, &web, b.keys}
}

// answer is what came back.
type answer struct {
	t      *testing.T
	asked  string
	status int
	header http.Header
	body   string
}

func (b *browser) send(req *http.Request) answer {
	b.t.Helper()
	res, err := b.web.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{b.t, req.Method + " " + req.URL.Path, res.StatusCode, res.Header, string(body)}
}

// call makes a call of the HTTP contract.
func (b *browser) call(method, path string, body any) answer {
	b.t.Helper()
	var content io.Reader
	if method != http.MethodGet && body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, b.r.url+path, content)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return b.send(req)
}

// get asks for a page, and post sends a form of one.
func (b *browser) get(path string) answer { b.t.Helper(); return b.form(http.MethodGet, path, nil) }

func (b *browser) post(path string, fields url.Values) answer {
	b.t.Helper()
	return b.form(http.MethodPost, path, fields)
}

func (b *browser) form(method, path string, fields url.Values) answer {
	b.t.Helper()
	req, err := http.NewRequest(method, b.r.url+path, strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "text/html")
	return b.send(req)
}

func (a answer) json() map[string]any {
	a.t.Helper()
	out := map[string]any{}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		a.t.Fatalf("%s: %v\n%s", a.asked, err, a.body)
	}
	return out
}

// wants expects a status and, of a problem document, its code.
func (a answer) wants(status int, code string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: %d %s, want %d", a.asked, a.status, a.body, status)
	}
	if code != "" && a.json()["code"] != code {
		a.t.Fatalf("%s: %s, want %s", a.asked, a.body, code)
	}
	return a
}

// leads expects to be sent on.
func (a answer) leads(to string) answer {
	a.t.Helper()
	if a.wants(http.StatusSeeOther, ""); a.header.Get("Location") != to {
		a.t.Fatalf("%s leads to %s, want %s", a.asked, a.header.Get("Location"), to)
	}
	return a
}

func (a answer) sees(texts ...string) answer {
	a.t.Helper()
	for _, text := range texts {
		if a.wants(http.StatusOK, ""); !strings.Contains(a.body, text) {
			a.t.Fatalf("%s: %q is not in\n%s", a.asked, text, a.body)
		}
	}
	return a
}

// open opens the kiosk as its page does.
func (b *browser) open() *browser {
	b.t.Helper()
	b.get(homePath).sees("data-by-itself")
	b.post(homePath+"/open", nil).leads(homePath + "?opened")
	return b
}

func (b *browser) begin(method string) answer {
	b.t.Helper()
	return b.call("POST", "/auth/login", map[string]any{"method": method})
}

// answers answers the challenge at a path of the contract.
func (b *browser) answers(path string, how func(json.RawMessage) (json.RawMessage, error)) answer {
	b.t.Helper()
	asked := b.call("POST", path+"/challenge", map[string]any{}).wants(http.StatusOK, "")
	options, _ := json.Marshal(asked.json()["publicKey"])
	credential, err := how(options)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.call("POST", path+"/verify", map[string]any{"credential": credential})
}

// enrol redeems an invitation and adds a passkey.
func (b *browser) enrol(code string) {
	b.t.Helper()
	b.call("POST", "/auth/invitations/redeem", map[string]any{"code": code}).wants(http.StatusOK, "")
	b.answers("/auth/credentials/passkey", b.keys.Create).wants(http.StatusOK, "")
}

func (b *browser) signIn() answer {
	b.t.Helper()
	b.begin("attendant").wants(http.StatusOK, "")
	return b.answers("/auth/factors/passkey", b.keys.Get)
}

func (b *browser) badge(number, pin string) answer {
	b.t.Helper()
	b.begin("badge").wants(http.StatusOK, "")
	return b.answers("/auth/factors/badge", func(json.RawMessage) (json.RawMessage, error) {
		return json.Marshal(shownBadge{number, pin})
	})
}

// is expects to find a device and a person, empty for none, where the kiosk says who is there and in the contract.
func (b *browser) is(device, person string) {
	b.t.Helper()
	if device == "" {
		b.call("GET", homePath+"/whoami", nil).wants(http.StatusUnauthorized, "not_authenticated")
		return
	}
	who := b.call("GET", homePath+"/whoami", nil).wants(http.StatusOK, "").json()
	state := b.call("GET", "/auth/session", nil).wants(http.StatusOK, "").json()
	below, above := state["principal"], any(nil)
	if state["device"] != nil {
		below, above = state["device"], state["principal"]
	}
	if got, want := fmt.Sprint(who["device"], who["person"]), fmt.Sprint(below, above); got != want || len(who) != 2 {
		b.t.Fatalf("whoami says\n%s\nthe session\n%s", got, want)
	}
	name := func(principal any) string {
		p, _ := principal.(map[string]any)
		user, _ := p["user"].(string)
		return user
	}
	if name(below) != device || name(above) != person {
		b.t.Fatalf("here are %q and %q, want %q and %q", name(below), name(above), device, person)
	}
}

// visitOf is what the page of a person sends with its forms.
func visitOf(a answer) string {
	a.t.Helper()
	m := regexp.MustCompile(`name="visit" value="([^"]+)"`).FindStringSubmatch(a.sees("Good to see you").body)
	if m == nil {
		a.t.Fatalf("no visit in\n%s", a.body)
	}
	return m[1]
}

// carol is a kiosk at which carol has enrolled her passkey and signed in.
func carol(t *testing.T) (*running, *browser) {
	t.Helper()
	r := start(t, t.TempDir())
	b := r.at("kiosk-17").open()
	b.enrol(r.invited)
	b.signIn().wants(http.StatusOK, "")
	b.is("kiosk-17", "carol")
	return r, b
}

// dave is somebody else with a passkey, at the same browser.
func (b *browser) dave() *browser {
	b.t.Helper()
	op := b.r.operate()
	u, err := op.CreateUser(b.t.Context(), session.NewUser{Name: "dave"})
	if err != nil {
		b.t.Fatal(err)
	}
	code, err := op.Invite(b.t.Context(), u.ID, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	other := *b
	other.keys = fido2test.New(b.r.url)
	other.enrol(code)
	return &other
}
