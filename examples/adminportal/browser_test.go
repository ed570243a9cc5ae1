package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// need skips a test whose programs are not installed, or fails it where everything must be.
func need(t *testing.T, debian string, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatalf("%s is missing: install the Debian packages %s", p, debian)
		}
		t.Skipf("%s is missing: install the Debian packages %s", p, debian)
	}
}

// running is a portal that serves in this process.
type running struct {
	t       *testing.T
	url     string
	data    string
	invited map[string]string
	ahead   atomic.Int64 // of the portal's clock, in nanoseconds
	stop    func() error
	log     string // file
}

// listen reads what the portal prints until it is ready, or has ended; then there is no url.
func (r *running) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for r.url == "" && lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 3 && words[0] == "invitation":
			r.invited[words[1]] = words[2]
		case len(words) == 2 && words[0] == "ready":
			r.url = words[1]
		}
	}
}

func (r *running) logged() string {
	r.t.Helper()
	b, err := os.ReadFile(r.log)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// start runs the portal and waits until it is ready.
func start(t *testing.T, data string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, data: data, invited: map[string]string{}, log: log.Name()}
	o, err := parse(append([]string{"-addr", "localhost:0", "-data", data}, args...), log)
	if err != nil {
		t.Fatal(err)
	}
	o.now = func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }
	go func() {
		done <- o.run(ctx, in, log)
		in.Close()
	}()
	r.listen(out)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if r.url == "" {
		cancel()
		t.Fatalf("the portal did not start: %v", <-done)
	}
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("the portal stopped with %v", err)
		}
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("the portal's log:\n%s", b)
		}
		log.Close()
	})
	return r
}

// managed is the policy that lets Chromium choose a certificate without asking. It is for the whole machine.
const managed = "/etc/chromium/policies/managed/sallyport-test.json"

// chromium starts a browser with the certificates of the .p12 files given, and gives its first tab a virtual
// authenticator.
func chromium(t *testing.T, r *running, p12 ...string) (context.Context, webauthn.AuthenticatorID) {
	t.Helper()
	need(t, "chromium libnss3-tools", "chromium", "certutil", "pk12util")
	home := t.TempDir()
	nss := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(nss, 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, "certutil", "-N", "-d", "sql:"+nss, "--empty-password")
	command(t, "certutil", "-A", "-d", "sql:"+nss, "-n", "server", "-t", "C,,", "-i", filepath.Join(r.data, "pki", "server-ca.crt"))
	for _, file := range p12 {
		command(t, "pk12util", "-d", "sql:"+nss, "-i", file, "-W", p12Password, "-K", "")
	}
	chooseCertificates(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU,
		chromedp.Env("HOME="+home), chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancelTab() })
	do(t, ctx, chromedp.Navigate("about:blank"), chromedp.EmulateViewport(1280, 900))
	if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	made, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		AutomaticPresenceSimulation: true, IsUserVerified: true}})
	if err != nil {
		t.Fatal(err)
	}
	return ctx, made.AuthenticatorID
}

// chooseCertificates writes the browser's policy: whatever certificate there is for localhost, take it.
func chooseCertificates(t *testing.T) {
	t.Helper()
	choice, _ := json.Marshal(map[string]any{"pattern": "https://localhost", "filter": map[string]any{}})
	policy, _ := json.Marshal(map[string]any{"AutoSelectCertificateForUrls": []string{string(choice)}})
	if err := os.MkdirAll(filepath.Dir(managed), 0o755); err != nil {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatal(err)
		}
		t.Skipf("the browser's policy cannot be written without root: %v", err)
	}
	if err := os.WriteFile(managed, policy, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(managed) })
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("%v; the page says:\n%s", err, pageText(ctx))
	}
}

func pageText(ctx context.Context) string {
	text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
	at, _ := chromedp.Run(ctx, chromedp.Location())
	return at + "\n" + text
}

// see waits until the page holds a text.
func see(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	seeIn(t, ctx, "body", text)
}

// seeIn waits until an element of the page holds a text.
func seeIn(t *testing.T, ctx context.Context, element, text string) {
	t.Helper()
	look := fmt.Sprintf("(document.querySelector(%q)?.innerText ?? '').includes(%q)", element, text)
	patience := time.Now().Add(time.Minute) // for machines that do much else
	for {
		found, err := chromedp.Run(ctx, chromedp.Evaluate[bool](look))
		if err == nil && found {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%q is not to be seen", text)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(patience) {
			t.Fatalf("%q is not to be seen; the page says:\n%s", text, pageText(ctx))
		}
	}
}

// shoot takes pictures of the page in light, dark and narrow, where SALLYPORT_SCREENSHOTS names a folder for them.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("SALLYPORT_SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, look := range []struct {
		name, scheme string
		width        int64
	}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"narrow", "light", 390}} {
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}); err != nil {
			t.Fatal(err)
		}
		do(t, ctx, chromedp.EmulateViewport(look.width, 800))
		png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+look.name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	do(t, ctx, chromedp.EmulateViewport(1280, 900))
}

func (r *running) p12(name string) string { return filepath.Join(r.data, "pki", name+".p12") }

func TestBrowser(t *testing.T) {
	r := start(t, t.TempDir())
	ctx, _ := chromium(t, r, r.p12("alice"))

	// Enrol with the invitation.
	do(t, ctx, chromedp.Navigate(r.url+"/"))
	see(t, ctx, "Certificate of alice")
	shoot(t, ctx, "sign-in")
	do(t, ctx, chromedp.Navigate(r.url+"/enrol"))
	shoot(t, ctx, "enrol")
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#code"), "WRONG-WRONG-WRONG"), chromedp.Click(chromedp.CSS("#redeem")))
	see(t, ctx, "That was not accepted")
	shoot(t, ctx, "enrol-refused")
	do(t, ctx, chromedp.SetValue(chromedp.CSS("#code"), strings.ToLower(r.invited["alice"])), chromedp.SendKeys(chromedp.CSS("#name"), "First passkey"),
		chromedp.Click(chromedp.CSS("#redeem")))
	see(t, ctx, "Your passkey is ready. Now sign in with it.")
	see(t, ctx, "Sign in with a passkey")
	shoot(t, ctx, "enrolled")

	// Sign in, out, and in again.
	signIn(t, ctx)
	shoot(t, ctx, "home")
	do(t, ctx, chromedp.Click(chromedp.CSS("#sign-out")))
	see(t, ctx, "You are signed out")
	shoot(t, ctx, "signed-out")
	signIn(t, ctx)
	old := cookie(t, ctx)

	// The principal behind the floor.
	whoami, err := chromedp.Run(ctx, chromedp.Evaluate[map[string]any](`fetch("/admin/whoami").then(r => r.json())`, chromedp.EvalAwaitPromise))
	if err != nil || whoami["user"] != "alice" || whoami["tenant"] != "corp" || whoami["aal"] != 2.0 || whoami["phishing_resistant"] != true {
		t.Fatalf("whoami: %v %v", whoami, err)
	}

	// A second session of the same person: the first goes on without a browser.
	do(t, ctx, forget())
	do(t, ctx, chromedp.Navigate(r.url+"/login"))
	signIn(t, ctx)
	if got := r.status("alice", old, "/admin/whoami"); got != http.StatusOK {
		t.Fatalf("the first session: %d", got)
	}
	do(t, ctx, chromedp.Navigate(r.url+"/account"))
	see(t, ctx, "End all others")
	shoot(t, ctx, "account")
	do(t, ctx, chromedp.Click(chromedp.CSS(`[data-session] .row-do form button`)))
	see(t, ctx, "The session has ended")
	if got := r.status("alice", old, "/admin/whoami"); got != http.StatusUnauthorized {
		t.Fatalf("the session that was ended: %d", got)
	}

	// A second passkey, on another authenticator.
	second, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportUsb, HasResidentKey: true, HasUserVerification: true,
		AutomaticPresenceSimulation: true, IsUserVerified: true}})
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.Click(chromedp.CSS("#add-passkey")))
	see(t, ctx, "Passkey of")
	_ = second

	// Remove the first, with a step-up: six minutes on, the proof is too old.
	r.ahead.Add(int64(6 * time.Minute))
	remove := chromedp.CSS(`button[aria-label^="Remove the passkey First passkey"]`)
	do(t, ctx, chromedp.Click(remove))
	see(t, ctx, "Really remove?")
	do(t, ctx, chromedp.Click(remove))
	see(t, ctx, "This is your only passkey")
	shoot(t, ctx, "account-one-passkey")
	do(t, ctx, chromedp.Navigate(r.url+"/admin/audit?what=step_up.finished"))
	seeIn(t, ctx, ".audit tbody", "Stepped up")
	confirm(t, ctx, r)

	adminPages(t, ctx, r)
}

// confirm sends a form that a floor holds up: a page asks for a fresh proof, and what was typed is there again.
func confirm(t *testing.T, ctx context.Context, r *running) {
	t.Helper()
	do(t, ctx, chromedp.Navigate(r.url+"/admin/users"), chromedp.SendKeys(chromedp.CSS("#name"), "dave"), chromedp.SendKeys(chromedp.CSS("#display"), "Dave Dyer"))
	file := filepath.Join(r.data, "policy.yaml")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r.edit(t, "phishing_resistant: true }", "phishing_resistant: true, factors: [passkey], max_age: 10m }")
	r.ahead.Add(int64(11 * time.Minute))
	for asked := false; !asked; {
		asked, err = chromedp.Run(ctx, chromedp.Evaluate[bool](`fetch("/admin/whoami").then(r => r.status == 401)`, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
	}
	do(t, ctx, chromedp.Click(chromedp.CSS("#add-user button")))
	see(t, ctx, "That was not done yet")
	shoot(t, ctx, "step-up")
	do(t, ctx, chromedp.Click(chromedp.CSS("#use-passkey")))
	see(t, ctx, "Add a user")
	typed, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("#name").value + "/" + document.querySelector("#display").value`))
	if err != nil || typed != "dave/Dave Dyer" {
		t.Errorf("after the step-up the form holds %q: %v", typed, err)
	}
	if err := os.WriteFile(file, before, 0o600); err != nil {
		t.Fatal(err)
	}
}

func signIn(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, chromedp.WaitVisible(chromedp.CSS("#use-passkey")), chromedp.Click(chromedp.CSS("#use-passkey")))
	see(t, ctx, "Good to see you, alice")
}

func cookie(t *testing.T, ctx context.Context) string {
	t.Helper()
	got, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range got.Cookies {
		if c.Name == "__Host-sallyport" {
			if !c.Secure || !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax {
				t.Errorf("cookie attributes: %+v", c)
			}
			return c.Value
		}
	}
	t.Fatal("there is no session cookie")
	return ""
}

func forget() chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
		return chromedp.Void{}, err
	}
}

// adminPages goes through the administration.
func adminPages(t *testing.T, ctx context.Context, r *running) {
	t.Helper()
	do(t, ctx, chromedp.Navigate(r.url+"/admin/users"))
	see(t, ctx, "Add a user")
	shoot(t, ctx, "users")
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#name"), "carol"), chromedp.SendKeys(chromedp.CSS("#display"), "Carol Cooper"),
		chromedp.Click(chromedp.CSS("#add-user button")))
	see(t, ctx, "Invitation for carol")
	// Where a form says what page it came from, it also says from which origin: browsers without Sec-Fetch-Site need that.
	if from, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.referrer")); err != nil || !strings.HasPrefix(from, r.url) {
		t.Errorf("the form came from %q, %v", from, err)
	}
	shoot(t, ctx, "invited")
	do(t, ctx, chromedp.Navigate(r.url+"/admin/invitations"))
	see(t, ctx, "carol")
	shoot(t, ctx, "invitations")
	do(t, ctx, chromedp.Navigate(r.url+"/admin/sessions"))
	see(t, ctx, "this one")
	shoot(t, ctx, "sessions")
	do(t, ctx, chromedp.Navigate(r.url+"/admin/certificates"))
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#certificate"), strings.Repeat("ab", 32)), chromedp.SendKeys(chromedp.CSS("#note"), "lost laptop"),
		chromedp.Click(chromedp.CSS("#deny")), chromedp.Click(chromedp.CSS("#deny[data-asked]")))
	see(t, ctx, "The certificate is denied")
	shoot(t, ctx, "certificates")
	do(t, ctx, chromedp.Navigate(r.url+"/admin/audit"))
	seeIn(t, ctx, ".audit tbody", "Signed in")
	shoot(t, ctx, "audit")
	do(t, ctx, chromedp.Navigate(r.url+"/admin/audit?what=credential.removed"))
	seeIn(t, ctx, ".audit tbody", "Credential removed")
	do(t, ctx, chromedp.Navigate(r.url+"/admin/method"))
	see(t, ctx, "Floors")
	shoot(t, ctx, "method")
	do(t, ctx, chromedp.Navigate(r.url+"/admin/nothing-here"))
	see(t, ctx, "Nothing here")
	shoot(t, ctx, "not-found")
}

// The pages work with the names that a policy gives.
// Going back after the session has ended shows nothing of it, though the browser has kept the page.
func TestBrowserBack(t *testing.T) {
	r := start(t, t.TempDir())
	ctx, _ := chromium(t, r, r.p12("alice"))
	do(t, ctx, chromedp.Navigate(r.url+"/enrol"), chromedp.SendKeys(chromedp.CSS("#code"), r.invited["alice"]), chromedp.Click(chromedp.CSS("#redeem")))
	see(t, ctx, "Your passkey is ready")
	signIn(t, ctx)
	do(t, ctx, chromedp.Navigate(r.url+"/account"))
	see(t, ctx, "This is your only passkey")
	do(t, ctx, chromedp.Navigate(r.url+"/assets/icon.svg"))
	r.ahead.Add(int64(20 * time.Minute)) // idle
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("history.back(), true")); err != nil {
		t.Fatal(err)
	}
	see(t, ctx, "Sign in with a passkey")
}

func TestBrowserWithOtherNames(t *testing.T) {
	data := t.TempDir()
	r := start(t, data)
	ctx, _ := chromium(t, r, r.p12("alice"))
	file := filepath.Join(data, "policy.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("  passkey:\n", "  key:\n", "[device, passkey]", "[device, key]").Replace(string(b))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	alice := r.caller("alice")
	for body := ""; !strings.Contains(body, `data-passkeys="key"`); {
		_, body, _ = alice.page("/login", nil)
		if ctx.Err() != nil {
			t.Fatalf("the page does not know the name:\n%s", body)
		}
	}
	do(t, ctx, chromedp.Navigate(r.url+"/enrol"), chromedp.SendKeys(chromedp.CSS("#code"), r.invited["alice"]), chromedp.Click(chromedp.CSS("#redeem")))
	see(t, ctx, "Your passkey is ready")
	signIn(t, ctx)
	r.ahead.Add(int64(6 * time.Minute))
	do(t, ctx, chromedp.Navigate(r.url+"/account"), chromedp.SendKeys(chromedp.CSS("#new-name"), "Another"), chromedp.Click(chromedp.CSS("#add-passkey")))
	see(t, ctx, "This device has a passkey for you already") // after the step-up
	do(t, ctx, chromedp.Navigate(r.url+"/admin/audit?what=step_up.finished"))
	seeIn(t, ctx, ".audit tbody", "Stepped up")
}

func TestBrowserWithoutCertificate(t *testing.T) {
	r := start(t, t.TempDir())
	ctx, _ := chromium(t, r)
	do(t, ctx, chromedp.Navigate(r.url+"/"))
	see(t, ctx, "Your browser showed no certificate")
	shoot(t, ctx, "no-certificate")
	do(t, ctx, chromedp.Navigate(r.url+"/enrol"))
	see(t, ctx, "The code that your administrator gave you")
	shoot(t, ctx, "enrol-no-certificate")
}

func TestBrowserWithForeignCertificate(t *testing.T) {
	r := start(t, t.TempDir())
	other := pki{dir: filepath.Join(t.TempDir(), "pki"), now: time.Now()}
	if err := other.make("localhost", []string{"alice"}); err != nil {
		t.Fatal(err)
	}
	ctx, _ := chromium(t, r, other.path("alice.p12"))
	do(t, ctx, chromedp.Navigate(r.url+"/"))
	// Two authorities of the same name: the browser offers it, and the portal must tell them apart by the key.
	see(t, ctx, "does not open this portal")
	shoot(t, ctx, "foreign-certificate")
	// The page tried it, and the administrator finds the reason.
	alice := r.caller("alice")
	alice.enrol(r.invited["alice"])
	alice.login()
	for found := false; !found; {
		_, body, _ := alice.page("/admin/audit?portal=1", nil)
		found = strings.Contains(body, "<code>certificate_untrusted</code>")
		if ctx.Err() != nil {
			t.Fatalf("the reason is not in the trail:\n%s", body)
		}
	}
}
