package live

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// Visitor is somebody who signs in at a provider, without a browser: it keeps cookies, follows redirects within the
// provider, fills in the first form of each page, and stops where the provider sends it elsewhere.
type Visitor struct {
	t      testing.TB
	client *http.Client
}

const (
	maxPages = 8
	maxPage  = 1 << 20 // bytes
)

// NewVisitor makes a visitor whom no provider knows, and who trusts an authority's servers.
func NewVisitor(t testing.TB, ca *mtlstest.CA) *Visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &Visitor{t: t, client: &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Host != via[0].URL.Host || len(via) > maxPages {
				return http.ErrUseLastResponse
			}
			return nil
		}}}
}

// As are the answers of an account of [Provider].
func As(name string) url.Values { return url.Values{"username": {name}, "password": {Password}} }

// AsDex are the answers of an account of [Dex].
func AsDex(address string) url.Values { return url.Values{"login": {address}, "password": {Password}} }

// Go opens a page of a provider, gives the answers to each form that comes, and returns where the provider sends the browser
// in the end. An error says that the provider never did.
func (v *Visitor) Go(address string, answers url.Values) (*url.URL, error) {
	resp, err := v.client.Get(address)
	for range maxPages {
		if err != nil {
			return nil, err
		}
		var page string
		var back *url.URL
		if page, back, err = read(resp); err != nil || back != nil {
			return back, err
		}
		form, found := firstForm(page)
		if !found {
			return nil, fmt.Errorf("live: a page without a form at %s:\n%s", resp.Request.URL.Path, page)
		}
		to, bad := resp.Request.URL.Parse(form.action)
		if bad != nil {
			return nil, bad
		}
		for name, values := range answers {
			form.values[name] = values
		}
		resp, err = v.client.PostForm(to.String(), form.values)
	}
	return nil, errors.New("live: one page after another, and no end")
}

// SignIn is Go for somebody who is sent back for sure.
func (v *Visitor) SignIn(address string, answers url.Values) *url.URL {
	v.t.Helper()
	back, err := v.Go(address, answers)
	if err != nil {
		v.t.Fatal(err)
	}
	return back
}

// read reads a page, or where it sends the browser.
func read(resp *http.Response) (page string, elsewhere *url.URL, err error) {
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		to, err := resp.Location()
		return "", to, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &Refused{Status: resp.StatusCode, Page: string(b)}
	}
	return string(b), nil, err
}

// Refused says that a provider answered with a page of an error.
type Refused struct {
	Status int
	Page   string
}

func (r *Refused) Error() string { return fmt.Sprintf("live: status %d:\n%s", r.Status, r.Page) }
