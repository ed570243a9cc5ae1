package oauth

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	callTime  = 5 * time.Second  // one call to a provider
	totalTime = 10 * time.Second // all calls of one step

	maxAnswer   = 64 << 10  // bytes of a token response, of userinfo, of a pushed request
	maxDocument = 256 << 10 // of metadata, and of a key set

	maxRedirects = 3 // of a document, on its own host
)

// web reaches one provider: with time limits and size limits, over TLS, through no proxy. It is safe for concurrent use.
type web struct {
	documents *http.Client // follows redirects on the same host
	calls     *http.Client // follows none
}

func newWeb(c *client) *web {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.roots}
	if c.proof.certificate != nil {
		conf.Certificates = []tls.Certificate{*c.proof.certificate}
	}
	base := &http.Transport{Proxy: nil, DialContext: (&net.Dialer{Timeout: callTime}).DialContext, TLSClientConfig: conf,
		ForceAttemptHTTP2: true, TLSHandshakeTimeout: callTime, ResponseHeaderTimeout: callTime, MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	return &web{
		documents: &http.Client{Transport: bounded{base, c.issuer, maxDocument}, Timeout: callTime, CheckRedirect: sameHost},
		calls: &http.Client{Transport: bounded{base, c.issuer, maxAnswer}, Timeout: callTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
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

// bounded lets through what goes where the issuer may have endpoints, and reads answers whole, up to a size.
type bounded struct {
	base   http.RoundTripper
	issuer string
	most   int64
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkEndpoint(r.URL.String(), b.issuer); err != nil {
		return nil, fmt.Errorf("the address %w", err)
	}
	resp, err := b.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, b.most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > b.most {
		return nil, fmt.Errorf("the answer is larger than %d bytes", b.most)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// document fetches a JSON document.
func (w *web) document(ctx context.Context, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("oauth: the address of a document is none")
	}
	r.Header.Set("Accept", "application/json")
	status, kind, body, err := do(w.documents, r)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK || !isJSON(kind) {
		return nil, fmt.Errorf("oauth: %s: status %d, type %q, where a JSON document is wanted", address, status, kind)
	}
	return body, nil
}

// post sends a form.
func (w *web) post(ctx context.Context, address string, form url.Values, also func(*http.Request)) (status int, kind string, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, "", nil, errors.New("oauth: the address of an endpoint is none")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	also(r)
	return do(w.calls, r)
}

func do(client *http.Client, r *http.Request) (status int, kind string, body []byte, err error) {
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", nil, unreachable(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		return 0, "", nil, unreachable(err)
	}
	kind, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return resp.StatusCode, kind, body, nil
}

// isJSON reports a media type that metadata, keys and answers of endpoints have.
func isJSON(kind string) bool {
	return kind == "application/json" || kind == "application/jwk-set+json"
}

// unreachable says that a provider could not be asked. Addresses of providers have no secrets in them.
func unreachable(err error) error {
	return fmt.Errorf("oauth: the provider cannot be reached: %w", err)
}

// forLibrary is a context with which x/oauth2 calls the token endpoint as everything here does, and keeps the answer in a.
func (w *web) forLibrary(ctx context.Context, a *answer) context.Context {
	c := *w.calls
	c.Transport = keeping{w.calls.Transport, a}
	return context.WithValue(ctx, oauth2.HTTPClient, &c)
}

// answer is a token response as it came, so that it can be read more strictly than the library does.
type answer struct{ body []byte }

// keeping asks for JSON, takes nothing else for a success, and keeps it.
type keeping struct {
	base http.RoundTripper
	to   *answer
}

// RoundTrip implements http.RoundTripper.
func (k keeping) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Accept", "application/json")
	resp, err := k.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode < 300 && !isJSON(kind) {
		return nil, errors.New("the token response is no JSON")
	}
	if k.to.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(k.to.body))
	return resp, nil
}
