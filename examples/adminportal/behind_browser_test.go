//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// startBehindNginx runs the script of examples/behind-nginx until it is ready.
func startBehindNginx(t *testing.T) *running {
	t.Helper()
	need(t, "nginx-light", "nginx")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	r := &running{t: t, data: t.TempDir(), invited: map[string]string{}}
	cmd := exec.Command("../behind-nginx/start.sh", "-addr", fmt.Sprint("localhost:", free.Addr().(*net.TCPAddr).Port), "-data", r.data)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.listen(out)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("start.sh said:\n%s", said.String())
		}
	})
	if r.url == "" {
		t.Fatal("it is not ready")
	}
	return r
}

// The browser's certificate goes to nginx, and its passkey through it.
func TestBrowserBehindNginx(t *testing.T) {
	r := startBehindNginx(t)
	ctx, _ := chromium(t, r, r.p12("alice"))
	do(t, ctx, chromedp.Navigate(r.url+"/"))
	see(t, ctx, "Certificate of alice")
	do(t, ctx, chromedp.Navigate(r.url+"/enrol"), chromedp.SendKeys(chromedp.CSS("#code"), r.invited["alice"]), chromedp.Click(chromedp.CSS("#redeem")))
	see(t, ctx, "Your passkey is ready")
	signIn(t, ctx)
	session := cookie(t, ctx)
	for name, want := range map[string]int{"alice": http.StatusOK, "bob": http.StatusUnauthorized, "": http.StatusUnauthorized} {
		if got := r.status(name, session, "/admin/whoami"); got != want {
			t.Errorf("the browser's session with the certificate %q: %d, want %d", name, got, want)
		}
	}
	// A form, which says from which origin it comes.
	do(t, ctx, chromedp.Click(chromedp.CSS("#sign-out")))
	see(t, ctx, "You are signed out")
}

func TestBrowserBehindNginxWithoutCertificate(t *testing.T) {
	r := startBehindNginx(t)
	ctx, _ := chromium(t, r)
	do(t, ctx, chromedp.Navigate(r.url+"/"))
	see(t, ctx, "Your browser showed no certificate")
}
