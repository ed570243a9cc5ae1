package revocation

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

// maxAnswer is the most bytes of a responder's answer.
const maxAnswer = 64 << 10

// web reaches servers of lists and responders, with limits on time and size. It is safe for concurrent use.
type web struct{ client *http.Client }

func newWeb(t http.RoundTripper) *web {
	if t == nil {
		t = elsewhere.Transport(&tls.Config{}, 2)
	}
	return &web{&http.Client{Transport: t, CheckRedirect: elsewhere.SameHost}}
}

// lists fetches what is at an address. Plain http is usual: a list is signed.
func (w *web) lists(ctx context.Context, address string) ([]*List, error) {
	ctx, cancel := context.WithTimeout(ctx, elsewhere.TotalTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fault(ReasonUnreachable, "%s: no address", address)
	}
	b, err := w.do(r, MaxList)
	if err != nil {
		return nil, err
	}
	return ParseLists(b)
}

// ask asks a responder (RFC 6960 appendix A.1).
func (w *web) ask(ctx context.Context, address string, question []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(question))
	if err != nil {
		return nil, fault(ReasonUnreachable, "%s: no address", address)
	}
	r.Header.Set("Content-Type", "application/ocsp-request")
	r.Header.Set("Accept", "application/ocsp-response")
	return w.do(r, maxAnswer)
}

func (w *web) do(r *http.Request, most int64) ([]byte, error) {
	resp, err := w.client.Do(r)
	if err != nil {
		return nil, fault(ReasonUnreachable, "%v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fault(ReasonUnreachable, "%s: status %d", r.URL, resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return nil, fault(ReasonUnreachable, "%s: %v", r.URL, err)
	case int64(len(b)) > most:
		return nil, fault(ReasonTooLarge, "%s: over %d bytes", r.URL, most)
	}
	return b, nil
}

// parseAddress holds an address to http or https, without a user or a fragment.
func parseAddress(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || !elsewhere.Printable(text, elsewhere.MaxURL) || u.Hostname() == "":
		return errors.New("is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("is no http or https URL")
	case u.User != nil || u.Fragment != "":
		return errors.New("has a user or a fragment, which has no place in it")
	}
	return nil
}
