package jwt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
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
	base := elsewhere.Transport(&tls.Config{RootCAs: roots}, 1)
	return &web{&http.Client{Transport: base, Timeout: elsewhere.CallTime, CheckRedirect: elsewhere.SameHost}, local}
}

// document fetches a JSON document. Only an issuer on this machine has documents on it: else it could have this program call
// what listens for nobody but this machine.
func (w *web) document(ctx context.Context, address string) ([]byte, error) {
	if _, err := elsewhere.ParseURL(address); err != nil {
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
	if resp.StatusCode != http.StatusOK || !elsewhere.IsJSON(kind) {
		return nil, &statusError{address, resp.StatusCode, kind}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, elsewhere.MaxDocument+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("jwt: the issuer cannot be reached: %w", err)
	case len(body) > elsewhere.MaxDocument:
		return nil, fmt.Errorf("jwt: %s: larger than %d bytes", address, elsewhere.MaxDocument)
	}
	return body, nil
}

func isLocal(address string) bool {
	u, err := elsewhere.ParseURL(address)
	return err == nil && elsewhere.IsLoopback(u.Hostname())
}
