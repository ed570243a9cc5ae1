package live

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// Chromium is a browser without a window, with a home of its own.
type Chromium struct {
	t   testing.TB
	ctx context.Context
}

// StartChromium starts a browser that trusts an authority's servers, until the test ends.
func StartChromium(t testing.TB, ca *mtlstest.CA) *Chromium {
	t.Helper()
	for _, program := range []string{"chromium", "certutil"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program, "install the Debian packages chromium libnss3-tools")
		}
	}
	home := t.TempDir()
	trust(t, home, ca)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU,
		chromedp.Env("HOME="+home), chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancelTab() })
	c := &Chromium{t: t, ctx: ctx}
	c.Open("about:blank")
	return c
}

// trust makes a browser with this home trust an authority's servers.
func trust(t testing.TB, home string, ca *mtlstest.CA) {
	t.Helper()
	store := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "servers", "-t", "C,,", "-i", ca.File()}} {
		if out, err := exec.Command("certutil", append([]string{"-d", "sql:" + store}, arguments...)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil: %v\n%s", err, out)
		}
	}
}

// Open opens a page.
func (c *Chromium) Open(address string) {
	c.t.Helper()
	c.do(chromedp.Navigate(address))
}

// Type types into a field, chosen by a CSS selector.
func (c *Chromium) Type(field, text string) {
	c.t.Helper()
	c.do(chromedp.SendKeys(chromedp.CSS(field), text))
}

// Click clicks on what a CSS selector chooses.
func (c *Chromium) Click(on string) {
	c.t.Helper()
	c.do(chromedp.Click(chromedp.CSS(on)))
}

// See waits until the page holds a text.
func (c *Chromium) See(text string) {
	c.t.Helper()
	look := fmt.Sprintf("(document.querySelector('body')?.innerText ?? '').includes(%q)", text)
	for end := time.Now().Add(patience); ; {
		found, err := chromedp.Run(c.ctx, chromedp.Evaluate[bool](look))
		if err == nil && found {
			return
		}
		if c.ctx.Err() != nil || time.Now().After(end) {
			c.t.Fatalf("%q is not to be seen; the page says:\n%s", text, c.page())
		}
		time.Sleep(20 * time.Millisecond) // between two looks at a page of another process
	}
}

func (c *Chromium) do(steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	if err := chromedp.Do(c.ctx, steps...); err != nil {
		c.t.Fatalf("%v; the page says:\n%s", err, c.page())
	}
}

func (c *Chromium) page() string {
	text, _ := chromedp.Run(c.ctx, chromedp.Text(chromedp.CSS("body")))
	at, _ := chromedp.Run(c.ctx, chromedp.Location())
	return at + "\n" + text
}
