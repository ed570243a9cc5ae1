package jwt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"time"
)

const (
	callTime     = 5 * time.Second  // one call to an issuer
	totalTime    = 10 * time.Second // all calls of one fetch
	maxDocument  = 256 << 10        // bytes of metadata, and of a key set
	maxRedirects = 3                // on the same host
)

// web fetches documents of one issuer: with time limits and size limits, over TLS, through no proxy. It is safe for
// concurrent use.
type web struct {
	client *http.Client
	local  bool // the issuer is on this machine
}

// statusError is an answer that is no document.
type statusError struct {
	address string
	status  int
	kind    string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("jwt: %s: status %d, type %q, where a JSON document is wanted", e.address, e.status, e.kind)
}

func newWeb(roots *x509.CertPool, local bool) *web {
	base := &http.Transport{Proxy: nil, DialContext: (&net.Dialer{Timeout: callTime}).DialContext,
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		ForceAttemptHTTP2: true, TLSHandshakeTimeout: callTime, ResponseHeaderTimeout: callTime, MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	return &web{&http.Client{Transport: base, Timeout: callTime, CheckRedirect: sameHost}, local}
}

func sameHost(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("too many redirects")
	}
	if first := via[0].URL; r.URL.Scheme != first.Scheme || r.URL.Host != first.Host {
		return errors.New("a redirect to another host")
	}
	return nil
}

// document fetches a JSON document. Only an issuer on this machine has documents on it: else it could have this program call
// what listens for nobody but this machine.
func (w *web) document(ctx context.Context, address string) ([]byte, error) {
	if _, err := parseURL(address); err != nil {
		return nil, fmt.Errorf("jwt: the address of a document %w", err)
	}
	if isLocal(address) && !w.local {
		return nil, errors.New("jwt: a document on this machine, of an issuer elsewhere")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("jwt: the address of a document is none")
	}
	r.Header.Set("Accept", "application/json")
	resp, err := w.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("jwt: the issuer cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || kind != "application/json" && kind != "application/jwk-set+json" {
		return nil, &statusError{address, resp.StatusCode, kind}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("jwt: the issuer cannot be reached: %w", err)
	case len(body) > maxDocument:
		return nil, fmt.Errorf("jwt: %s: larger than %d bytes", address, maxDocument)
	}
	return body, nil
}

func isLocal(address string) bool {
	u, err := parseURL(address)
	return err == nil && isLoopback(u.Hostname())
}
