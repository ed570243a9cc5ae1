package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
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

// managed is the policy that lets Chromium choose a certificate without asking. It is for the whole machine; of several such
// files the last by name counts, so all of them are about localhost.
const managed = "/etc/chromium/policies/managed/sallyport-test-kiosk.json"

// chromium starts a browser with a kiosk's certificate, and gives its first window a virtual authenticator.
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
	chooseCertificates(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU,
		chromedp.Env("HOME="+home), chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancelTab() })
	do(t, ctx, chromedp.Navigate("about:blank"), chromedp.EmulateViewport(1280, 900))
	if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportUsb, HasResidentKey: true, HasUserVerification: true,
		AutomaticPresenceSimulation: true, IsUserVerified: true}}); err != nil {
		t.Fatal(err)
	}
	return ctx
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

// evaluate runs a script in the page.
func evaluate[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v; the page says:\n%s", script, err, pageText(ctx))
	}
	return got
}

// until waits for a script to say true; errors are those of a page that is going away.
func until(t *testing.T, ctx context.Context, script string) {
	t.Helper()
	patience := time.Now().Add(40 * time.Second) // for machines that do much else
	for {
		if found, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script)); err == nil && found {
			return
		}
		if ctx.Err() != nil || time.Now().After(patience) {
			t.Fatalf("%s never was; the page says:\n%s", script, pageText(ctx))
		}
		time.Sleep(20 * time.Millisecond) // between two looks at a page of another process
	}
}

// see waits until the page holds a text.
func see(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	until(t, ctx, fmt.Sprintf("document.readyState == 'complete' && (document.body?.innerText ?? '').includes(%q)", text))
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
		if err := os.WriteFile(filepath.Join(dir, "kiosk-"+name+"-"+look.name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	do(t, ctx, chromedp.EmulateViewport(1280, 900))
}

// witness writes down what a window shows whenever a page of it comes to be seen, before the page can do anything about it.
func witness(t *testing.T, ctx context.Context) {
	t.Helper()
	const script = `addEventListener("pageshow", (e) => {
		const all = JSON.parse(localStorage.getItem("shown") || "[]");
		all.push({ kept: e.persisted, text: document.documentElement.innerText + " " + document.querySelector("textarea")?.value });
		localStorage.setItem("shown", JSON.stringify(all));
	}, { capture: true });`
	if _, err := chromedp.Call(ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
		t.Fatal(err)
	}
}

// shown is what a witness wrote down since it was last asked.
type shown struct {
	Kept bool // the page was one that the browser had kept as it was
	Text string
}

func sinceThen(t *testing.T, ctx context.Context) []shown {
	t.Helper()
	return evaluate[[]shown](t, ctx, `(() => { const all = JSON.parse(localStorage.getItem("shown") || "[]"); localStorage.removeItem("shown"); return all; })()`)
}

// enter enrols carol where nobody is signed in, and signs her in.
func enter(t *testing.T, ctx context.Context, r *running) {
	t.Helper()
	do(t, ctx, chromedp.Navigate(r.url+"/"))
	see(t, ctx, "Sign in with a passkey")
	do(t, ctx, chromedp.Navigate(r.url+"/enrol"), chromedp.SendKeys(chromedp.CSS("#code"), strings.ToLower(r.invited)), chromedp.Click(chromedp.CSS("#enrol button")))
	see(t, ctx, "Your passkey is ready. Now sign in with it.")
	signIn(t, ctx)
}

func signIn(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, chromedp.Click(chromedp.CSS(".use-passkey")))
	see(t, ctx, "Good to see you, carol")
}

// keep leaves a note on the page of the person.
func keep(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#note"), "parcel"), chromedp.Click(chromedp.CSS("#keep")))
	until(t, ctx, `performance.getEntriesByType("navigation")[0].type == "navigate" && document.readyState == "complete" && document.querySelector("#note")?.defaultValue == "parcel"`)
}

// The kiosk opens by itself; carol enrols, signs in, and out; the kiosk stays.
func TestBrowser(t *testing.T) {
	r := start(t, t.TempDir())
	ctx := chromium(t, r, "kiosk-17")
	do(t, ctx, chromedp.Navigate(r.url+"/"))
	see(t, ctx, "Sign in with a passkey")
	see(t, ctx, "kiosk-17")
	shoot(t, ctx, "device")

	do(t, ctx, chromedp.Click(chromedp.CSS(".aside a")))
	see(t, ctx, "Invitation code")
	shoot(t, ctx, "enrol")
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#code"), "WRONG-WRONG-WRONG"), chromedp.Click(chromedp.CSS("#enrol button")))
	see(t, ctx, "That was not accepted")
	do(t, ctx, chromedp.SetValue(chromedp.CSS("#code"), r.invited), chromedp.SendKeys(chromedp.CSS("#name"), "My key"), chromedp.Click(chromedp.CSS("#enrol button")))
	see(t, ctx, "Your passkey is ready. Now sign in with it.")
	signIn(t, ctx)
	see(t, ctx, "Signed out in 2:00 without use")
	keep(t, ctx)
	shoot(t, ctx, "person")
	if who := evaluate[map[string]any](t, ctx, `fetch("/kiosk/whoami").then(r => r.json())`); who["person"].(map[string]any)["user"] != "carol" || who["device"].(map[string]any)["user"] != "kiosk-17" {
		t.Errorf("whoami: %v", who)
	}
	do(t, ctx, chromedp.Click(chromedp.CSS("#sign-out")))
	see(t, ctx, "Nothing of you is left on this kiosk")
	shoot(t, ctx, "left")
	nothingStored(t, ctx)

	do(t, ctx, chromedp.SendKeys(chromedp.CSS("[name=number]"), r.number), chromedp.SendKeys(chromedp.CSS("[name=pin]"), "000000000000"), chromedp.Click(chromedp.CSS(".use-badge button")))
	see(t, ctx, "That was not accepted")
	shoot(t, ctx, "badge-refused")
	if left := evaluate[string](t, ctx, `document.querySelector("[name=number]").value + document.querySelector("[name=pin]").value`); left != "" {
		t.Errorf("what was typed is still there: %q", left)
	}
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("[name=number]"), r.number), chromedp.SendKeys(chromedp.CSS("[name=pin]"), r.pin), chromedp.Click(chromedp.CSS(".use-badge button")))
	see(t, ctx, "Good to see you, carol")
	see(t, ctx, "Badge and PIN")
	shoot(t, ctx, "badge")
	do(t, ctx, chromedp.Navigate(r.url+"/nothing"))
	see(t, ctx, "There is no such page")
	shoot(t, ctx, "nothing")
}

// nothingStored expects neither the browser's cache nor its stores to have anything of anybody.
func nothingStored(t *testing.T, ctx context.Context) {
	t.Helper()
	for path, want := range map[string]bool{"/assets/style.css": true, "/kiosk": false, "/kiosk/whoami": false, "/auth/session": false, "/kiosk?left": false} {
		if got := evaluate[bool](t, ctx, fmt.Sprintf(`fetch(%q, {cache: "only-if-cached", mode: "same-origin"}).then(r => r.ok, () => false)`, path)); got != want {
			t.Errorf("%s is cached: %v", path, got)
		}
	}
	if kept := evaluate[int](t, ctx, `localStorage.length + sessionStorage.length`); kept != 0 {
		t.Errorf("%d things are stored", kept)
	}
}

// Whoever comes after somebody and goes back sees nothing of them, however they left: the browser asks for every page anew,
// and what it has kept of one is empty.
func TestBrowserBack(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, ctx context.Context, r *running){
		"button": func(t *testing.T, ctx context.Context, _ *running) {
			do(t, ctx, chromedp.Click(chromedp.CSS("#sign-out")))
			see(t, ctx, "Nothing of you is left")
		},
		"idle, on another page": func(t *testing.T, ctx context.Context, r *running) {
			do(t, ctx, chromedp.Navigate(r.url+"/assets/icon.svg"))
			r.wait(3 * time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, t.TempDir())
			ctx := chromium(t, r, "kiosk-17")
			witness(t, ctx)
			enter(t, ctx, r)
			keep(t, ctx)
			if all := fmt.Sprint(sinceThen(t, ctx)); !strings.Contains(all, "carol") || !strings.Contains(all, "parcel") {
				t.Fatalf("the witness does not see who is there: %s", all)
			}
			leave(t, ctx, r)
			sinceThen(t, ctx)
			steps := evaluate[int](t, ctx, "history.length") - 2 // not to the empty page from before
			for back := 1; back <= steps; back++ {
				evaluate[bool](t, ctx, "history.back(), true")
				until(t, ctx, fmt.Sprintf("JSON.parse(localStorage.getItem('shown') || '[]').length >= %d", back))
				see(t, ctx, "First time here?")
			}
			all := sinceThen(t, ctx)
			if text := strings.ToLower(fmt.Sprint(all)); strings.Contains(text, "carol") || strings.Contains(text, "parcel") || len(all) < steps || steps < 2 {
				t.Errorf("going back showed %v", all)
			}
			if !all[0].Kept && strings.HasPrefix(name, "idle") {
				t.Error("the browser has kept no page: this test shows less than it should")
			}
		})
	}
}

// later puts the clock of a page ahead, which it looks at every second.
func later(t *testing.T, ctx context.Context, d time.Duration) {
	t.Helper()
	evaluate[bool](t, ctx, fmt.Sprintf("(() => { const now = Date.now; Date.now = () => now() + %d; return true; })()", d.Milliseconds()))
}

// Every window of the browser shows the same visit, and none shows one that is over. Who uses one window is not signed out by
// the clock of another.
func TestBrowserWindows(t *testing.T) {
	r := start(t, t.TempDir())
	first := chromium(t, r, "kiosk-17")
	enter(t, first, r)
	keep(t, first)
	second, closeTab := chromedp.NewContext(first)
	t.Cleanup(closeTab)
	do(t, second, chromedp.Navigate(r.url+"/kiosk"))
	see(t, second, "Good to see you, carol")

	later(t, second, 100*time.Second)
	until(t, second, `document.querySelector(".clock.soon") != null`)
	do(t, first, chromedp.Click(chromedp.CSS("#stay")))
	until(t, second, `document.querySelector(".clock:not(.soon)") != null`)

	do(t, first, chromedp.Click(chromedp.CSS("#sign-out")))
	see(t, first, "Nothing of you is left")
	see(t, second, "Sign in with a passkey")
	signIn(t, first)
	see(t, second, "Good to see you, carol")
	if note := evaluate[string](t, second, `document.querySelector("#note").value`); note != "" {
		t.Errorf("the note of the visit before is there: %q", note)
	}
}

// Who does nothing is signed out by the page, without a request that would count as doing something; and what was typed and
// not sent goes too.
func TestBrowserIdle(t *testing.T) {
	r := start(t, t.TempDir())
	ctx := chromium(t, r, "kiosk-17")
	enter(t, ctx, r)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#note"), "parcel"))
	later(t, ctx, 95*time.Second)
	until(t, ctx, `document.querySelector(".clock.soon") != null`)
	shoot(t, ctx, "soon")
	later(t, ctx, 30*time.Second)
	see(t, ctx, "Signed out, because the kiosk was not used")
	shoot(t, ctx, "idle")
	state := evaluate[map[string]any](t, ctx, `fetch("/auth/session").then(r => r.json())`)
	if state["device"] != nil || state["principal"].(map[string]any)["user"] != "kiosk-17" {
		t.Errorf("the session is %v", state)
	}

	signIn(t, ctx) // on whatever page
	do(t, ctx, chromedp.Navigate(r.url+"/nothing"))
	see(t, ctx, "There is no such page")
	later(t, ctx, 125*time.Second)
	see(t, ctx, "Signed out, because the kiosk was not used")

	do(t, ctx, chromedp.SendKeys(chromedp.CSS("[name=number]"), r.number))
	later(t, ctx, 125*time.Second)
	until(t, ctx, `document.querySelector("[name=number]").value == ""`)
	do(t, ctx, chromedp.Navigate(r.url+"/enrol"), chromedp.SendKeys(chromedp.CSS("#code"), "AAAAA"))
	later(t, ctx, 125*time.Second)
	see(t, ctx, "Sign in with a passkey")
}

// Without a certificate, or with one that is no good, the page says what to do.
func TestBrowserClosed(t *testing.T) {
	r := start(t, t.TempDir())
	ctx := chromium(t, r, "")
	do(t, ctx, chromedp.Navigate(r.url+"/"))
	see(t, ctx, "The browser showed no certificate")
	shoot(t, ctx, "no-certificate")
	if err := r.operate().DenyCertificate(t.Context(), r.certificate("kiosk-18").Leaf, "stolen"); err != nil {
		t.Fatal(err)
	}
	ctx = chromium(t, r, "kiosk-18")
	do(t, ctx, chromedp.Navigate(r.url+"/"))
	see(t, ctx, "kiosk-18 opens no kiosk here")
	shoot(t, ctx, "denied")
	r.until("the page has tried it, and the reason is in the audit log", func() bool {
		events, err := r.operate().Events(t.Context(), session.EventFilter{Portal: true, What: authn.FactorFailed})
		return err == nil && slices.ContainsFunc(events, func(e session.Event) bool { return e.Reason == factors.ReasonRevoked })
	})
}
