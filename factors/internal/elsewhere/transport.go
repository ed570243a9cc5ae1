package elsewhere

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

const (
	CallTime  = 5 * time.Second  // one call to an issuer
	TotalTime = 10 * time.Second // all calls of one step or fetch

	MaxDocument  = 256 << 10 // bytes of metadata, and of a key set
	maxRedirects = 3         // of a document, on its own host
)

// Transport reaches an issuer: with time limits, over TLS, through no proxy, and keeps up to idle connections.
func Transport(conf *tls.Config, idle int) *http.Transport {
	conf.MinVersion = tls.VersionTLS12
	return &http.Transport{Proxy: nil, DialContext: (&net.Dialer{Timeout: CallTime}).DialContext, TLSClientConfig: conf,
		ForceAttemptHTTP2: true, TLSHandshakeTimeout: CallTime, ResponseHeaderTimeout: CallTime, MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost: idle, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
}

// SameHost is for CheckRedirect of a client that fetches documents.
func SameHost(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("too many redirects")
	}
	if first := via[0].URL; r.URL.Scheme != first.Scheme || r.URL.Host != first.Host {
		return errors.New("a redirect to another host")
	}
	return nil
}

// IsJSON reports a media type that metadata, key sets and answers of endpoints have.
func IsJSON(kind string) bool {
	return kind == "application/json" || kind == "application/jwk-set+json"
}
