package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
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

// managed is the policy that lets Chromium choose a certificate without asking. It is for the whole machine, and names this test's portal alone.
const managed = "/etc/chromium/policies/managed/sallyport-partner-test.json"

// chromium starts a browser with a partner's certificate.
func chromium(t *testing.T, r *running, name string) context.Context {
	t.Helper()
	need(t, "chromium libnss3-tools", "chromium", "certutil", "pk12util")
	home := t.TempDir()
	nss := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(nss, 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, "certutil", "-N", "-d", "sql:"+nss, "--empty-password")
	command(t, "certutil", "-A", "-d", "sql:"+nss, "-n", "server", "-t", "C,,", "-i", filepath.Join(r.data, "pki", "server-ca.crt"))
	if name != "" {
		command(t, "pk12util", "-d", "sql:"+nss, "-i", filepath.Join(r.data, "pki", name+".p12"), "-W", p12Password, "-K", "")
	}
	chooseCertificates(t, r.url)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU,
		chromedp.Env("HOME="+home), chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancelTab() })
	do(t, ctx, chromedp.Navigate("about:blank"), chromedp.EmulateViewport(1280, 900))
	return ctx
}

// chooseCertificates writes the browser's policy: whatever certificate there is for the portal, take it. Nothing is said of the
// providers: if they asked for one, the browser would ask its user, and wait.
func chooseCertificates(t *testing.T, portal string) {
	t.Helper()
	choice, _ := json.Marshal(map[string]any{"pattern": portal, "filter": map[string]any{}})
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
		text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
		at, _ := chromedp.Run(ctx, chromedp.Location())
		t.Fatalf("%v; the page says:\n%s\n%s", err, at, text)
	}
}

// see waits until the page holds a text.
func see(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	look := fmt.Sprintf("(document.querySelector('body')?.innerText ?? '').includes(%q)", text)
	patience := time.Now().Add(30 * time.Second) // for machines that do much else
	for {
		found, err := chromedp.Run(ctx, chromedp.Evaluate[bool](look))
		if err == nil && found {
			return
		}
		if ctx.Err() != nil || time.Now().After(patience) {
			said, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
			at, _ := chromedp.Run(ctx, chromedp.Location())
			t.Fatalf("%q is not to be seen; the page says:\n%s\n%s", text, at, said)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at a page of another process
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
		if err := os.WriteFile(filepath.Join(dir, "partner-"+name+"-"+look.name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	do(t, ctx, chromedp.EmulateViewport(1280, 900))
}

// A person signs in at the provider, here and back, without a question about certificates there, and signs out everywhere.
func TestBrowser(t *testing.T) {
	r := start(t, t.TempDir())
	ctx := chromium(t, r, "acme-gateway")
	do(t, ctx, chromedp.Navigate(r.url+"/"))
	see(t, ctx, "Sign in at Acme")
	shoot(t, ctx, "login")
	do(t, ctx, chromedp.Click(chromedp.CSS("#sign-in")))
	see(t, ctx, "to go on to “partner-portal”")
	shoot(t, ctx, "provider")
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#username"), "alice"), chromedp.SendKeys(chromedp.CSS("#password"), "wrong"), chromedp.Click(chromedp.CSS("button:not(.second)")))
	see(t, ctx, "do not belong together")
	shoot(t, ctx, "provider-wrong")
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#password"), demoPassword), chromedp.Click(chromedp.CSS("button:not(.second)")))
	see(t, ctx, "Good to see you, alice")
	shoot(t, ctx, "home")
	do(t, ctx, chromedp.Click(chromedp.CSS("#sign-out")))
	see(t, ctx, "You are signed out of this portal")
	shoot(t, ctx, "signed-out-here")
	do(t, ctx, chromedp.Navigate(r.url+"/login"), chromedp.Click(chromedp.CSS("#sign-in")))
	see(t, ctx, "Good to see you, alice") // the provider asked nothing
	do(t, ctx, chromedp.Click(chromedp.CSS("#sign-out-everywhere")))
	see(t, ctx, "You are signed in as alice")
	shoot(t, ctx, "provider-sign-out")
	do(t, ctx, chromedp.Click(chromedp.CSS("button")))
	see(t, ctx, "Close the browser to make it forget the certificate")
	at, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil || !strings.HasPrefix(at, r.url+"/signed-out") {
		t.Errorf("%s %v", at, err)
	}
	do(t, ctx, chromedp.Navigate(r.url+"/login"), chromedp.Click(chromedp.CSS("#sign-in")))
	see(t, ctx, "to go on to") // and now it asks
	do(t, ctx, chromedp.Click(chromedp.CSS("button.second")))
	see(t, ctx, "That sign-in was not accepted")
	shoot(t, ctx, "login-refused")
	do(t, ctx, chromedp.Navigate(r.url+"/nothing"))
	see(t, ctx, "There is no such page")
	shoot(t, ctx, "nothing")
}

// A browser without a certificate is told what to do.
func TestBrowserWithoutCertificate(t *testing.T) {
	r := start(t, t.TempDir())
	ctx := chromium(t, r, "")
	do(t, ctx, chromedp.Navigate(r.url+"/"))
	see(t, ctx, "Your browser showed no certificate")
	shoot(t, ctx, "login-without")
}
