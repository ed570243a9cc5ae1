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
		var page page
		var back *url.URL
		if page, back, err = read(resp, err); err != nil || back != nil {
			return back, err
		}
		resp, err = v.client.PostForm(page.to, page.filledIn(answers))
	}
	if err == nil {
		resp.Body.Close()
	}
	return nil, errors.New("live: one page after another, and no end")
}

// Page is a page with a form that was not sent yet.
type Page struct{ page }

// Open opens a page of a provider.
func (v *Visitor) Open(address string) Page {
	v.t.Helper()
	page, back, err := read(v.client.Get(address))
	if err == nil && back != nil {
		err = fmt.Errorf("live: sent on to %s", back)
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return Page{page}
}

// Send sends the form of a page with answers. It returns where that leads, nil for another page.
func (v *Visitor) Send(p Page, answers url.Values) (*url.URL, error) {
	_, back, err := read(v.client.PostForm(p.to, p.filledIn(answers)))
	return back, err
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
func read(resp *http.Response, err error) (in page, elsewhere *url.URL, _ error) {
	if err != nil {
		return in, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		to, err := resp.Location()
		return in, to, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return in, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return in, nil, &Refused{Status: resp.StatusCode, Page: string(b)}
	}
	in, err = parsePage(resp.Request.URL, string(b))
	return in, nil, err
}

// Refused says that a provider answered with a page of an error.
type Refused struct {
	Status int
	Page   string
}

func (r *Refused) Error() string { return fmt.Sprintf("live: status %d:\n%s", r.Status, r.Page) }
