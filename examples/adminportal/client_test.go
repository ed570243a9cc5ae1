package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// client is a client with somebody's certificate; an empty name is none.
func (r *running) client(name string) *http.Client {
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
		c.Certificates = []tls.Certificate{cert}
	}
	tr := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// status asks for a path with a session cookie and somebody's certificate.
func (r *running) status(name, cookie, path string) int {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: "__Host-sallyport", Value: cookie})
	res, err := r.client(name).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func TestHealth(t *testing.T) {
	r := start(t, t.TempDir())
	res, err := r.client("").Get(r.url + "/healthz")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", res, err)
	}
	res.Body.Close()
}
