package main

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// behindClient is what ends TLS in front of the portal: it calls by the socket.
func behindClient(t *testing.T, socket string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// pathEscaped is a certificate as nginx writes it.
func pathEscaped(t *testing.T, r *running, name string) string {
	t.Helper()
	c, err := pki{dir: filepath.Join(r.data, "pki")}.readCert(name + ".crt")
	if err != nil {
		t.Fatal(err)
	}
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
}

func TestBehindListensOnASocketOfItsOwn(t *testing.T) {
	data := t.TempDir()
	socket := filepath.Join(data, "portal.sock")
	for range 2 { // the second start finds what the first left, as after a kill
		r := start(t, data, "-addr", "localhost:8443", "-behind", "nginx")
		if r.url != "https://localhost:8443" {
			t.Errorf("ready at %s", r.url)
		}
		info, err := os.Lstat(socket)
		if err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Fatalf("the socket: %v %v", info.Mode(), err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(socket); !os.IsNotExist(err) {
			t.Errorf("the socket is still there: %v", err)
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	}
}

// The certificate of the header is believed from the socket, with a verdict, and there is no other way in.
func TestBehindReadsTheHeader(t *testing.T) {
	r := start(t, t.TempDir(), "-addr", "localhost:8443", "-behind", "nginx")
	client := behindClient(t, filepath.Join(r.data, "portal.sock"))
	alice := pathEscaped(t, r, "alice")
	for want, h := range map[string]http.Header{
		"Certificate of <strong><bdi>alice": {"X-Ssl-Client-Cert": {alice}, "X-Ssl-Client-Verify": {"SUCCESS"}},
		"showed no certificate":             {"X-Ssl-Client-Verify": {"NONE"}},
		"does not open this portal":         {"X-Ssl-Client-Cert": {alice}},
	} {
		req, err := http.NewRequest(http.MethodGet, "http://localhost:8443/login", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = h
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%v %v, want %q:\n%s", res.Status, err, want, body)
		}
	}
}

func TestBehindIsRefused(t *testing.T) {
	taken := start(t, t.TempDir(), "-addr", "localhost:8443", "-behind", "nginx")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, args := range map[string][]string{
		"means nothing without":        {"-socket", "portal.sock"},
		"port that browsers see":       {"-addr", "localhost:0", "-behind", "nginx"},
		"no verdict":                   {"-addr", "localhost:8443", "-behind", "caddy"},
		`"NGINX"`:                      {"-addr", "localhost:8443", "-behind", "NGINX"},
		"somebody listens there":       {"-addr", "localhost:8443", "-behind", "nginx", "-socket", filepath.Join(taken.data, "portal.sock")},
		"bind: address already in use": {"-addr", "localhost:8443", "-behind", "nginx", "-socket", file},
	} {
		o, err := parse(append(args, "-data", t.TempDir()), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		o.now = time.Now
		ctx, cancel := context.WithCancel(t.Context())
		ready := writer(func(b []byte) (int, error) { cancel(); return len(b), nil })
		if err := o.run(ctx, ready, io.Discard); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q", args, err, says)
		}
		cancel()
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "somebody's" {
		t.Errorf("a file that is no socket: %q %v", b, err)
	}
}

func TestProbeRoute(t *testing.T) {
	for token, status := range map[string]int{"": http.StatusNotFound, strings.Repeat("t", 32): http.StatusNotFound} {
		t.Setenv("SALLYPORT_PROBE_TOKEN", token)
		r := start(t, t.TempDir())
		res, err := r.client("").Get(r.url + "/probe")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("token %q: a stranger gets %s", token, res.Status)
		}
	}
	t.Setenv("SALLYPORT_PROBE_TOKEN", "short")
	o, err := parse([]string{"-data", t.TempDir(), "-addr", "localhost:0"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.run(t.Context(), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "SALLYPORT_PROBE_TOKEN") {
		t.Errorf("a short token: %v", err)
	}
}
