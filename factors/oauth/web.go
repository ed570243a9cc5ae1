package oauth

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

const maxAnswer = 64 << 10 // bytes of a token response, of userinfo, of a pushed request

// web reaches one provider: with time limits and size limits, over TLS, through no proxy. It is safe for concurrent use.
type web struct {
	documents *http.Client // follows redirects on the same host
	calls     *http.Client // follows none
}

func newWeb(c *client) *web {
	conf := &tls.Config{RootCAs: c.roots}
	if c.proof.certificate != nil {
		// Shown whatever authorities the provider names: of Certificates only those that one of them issued would be.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.proof.certificate, nil }
	}
	base := elsewhere.Transport(conf, 4)
	return &web{
		documents: &http.Client{Transport: bounded{base, c.issuer, elsewhere.MaxDocument}, Timeout: elsewhere.CallTime, CheckRedirect: elsewhere.SameHost},
		calls: &http.Client{Transport: bounded{base, c.issuer, maxAnswer}, Timeout: elsewhere.CallTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
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
	if status != http.StatusOK || !elsewhere.IsJSON(kind) {
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
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode < 300 && !elsewhere.IsJSON(kind) {
		return nil, errors.New("the token response is no JSON")
	}
	if k.to.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(k.to.body))
	return resp, nil
}
