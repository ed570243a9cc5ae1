package mtls

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-auth/sallyport/factors/internal/peer"
)

// Bounds on what a probe reads, in bytes.
const (
	maxProbeResponse = 128 << 10 // all of it
	maxProbeAnswer   = 64 << 10  // the body
)

// probeRequest is a request as it is written, byte for byte.
type probeRequest struct {
	cert       *tls.Certificate // in the handshake; nil: none
	fields     []peer.Field     // under these very names
	connection []string         // further names in Connection
	trailer    bool             // the fields come behind the body
	http2      bool             // with HTTP/2, whose names are in lower case
	sessions   tls.ClientSessionCache
}

// probeGot is what came of a request: an answer of the route, or how it was refused on the way, or an error.
type probeGot struct {
	answer  *probeAnswer
	stopped string
	err     error
	closed  bool // the error is that the connection was closed
	resumed bool // the TLS session was
	http2   bool // HTTP/2 was agreed on
}

// send makes a request over a connection of its own.
func (p *prober) send(ctx context.Context, r probeRequest) probeGot {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	address := p.url.Host
	if p.url.Port() == "" {
		address = net.JoinHostPort(p.url.Hostname(), "443")
	}
	raw, err := p.Dial(ctx, "tcp", address)
	if err != nil {
		return probeGot{err: fmt.Errorf("mtls: probe: cannot connect: %w", err)}
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })()
	conn := tls.Client(raw, p.tls(r))
	if err := conn.HandshakeContext(ctx); err != nil {
		return failedWith(err)
	}
	state := conn.ConnectionState()
	exchange := p.exchange
	if state.NegotiatedProtocol == "h2" {
		exchange = p.exchange2
	}
	got := exchange(ctx, conn, r)
	got.resumed, got.http2 = state.DidResume, state.NegotiatedProtocol == "h2"
	return got
}

func (p *prober) tls(r probeRequest) *tls.Config {
	c := &tls.Config{
		RootCAs: p.Roots, ServerName: p.url.Hostname(), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
		ClientSessionCache: r.sessions, Time: p.Now,
	}
	if r.http2 {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	// The certificate is sent whatever the server says about authorities.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if r.cert == nil {
			return new(tls.Certificate), nil
		}
		return r.cert, nil
	}
	return c
}

// failedWith tells a refusal from everything else that goes wrong.
func failedWith(err error) probeGot {
	var distrust *tls.CertificateVerificationError
	var op *net.OpError
	var reset streamError
	switch {
	case errors.As(err, &distrust):
		return probeGot{err: fmt.Errorf("%w: %w", ErrProbeServer, distrust.Err)}
	case errors.As(err, &op) && op.Op == "remote error":
		return probeGot{stopped: "the handshake was refused: " + op.Err.Error()}
	case errors.As(err, &reset) && reset.Code == protocolError:
		return probeGot{stopped: "the stream was reset"}
	}
	closed := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	return probeGot{err: fmt.Errorf("mtls: probe: no answer: %w", err), closed: closed}
}

// streamError is how net/http tells that a stream of HTTP/2 was reset: it fills any struct with these fields.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// protocolError is PROTOCOL_ERROR (RFC 9113 section 7), which is how a request is refused without an answer.
const protocolError = 1

// Error implements error.
func (e streamError) Error() string { return "stream reset" }

// exchange writes a request and reads what comes back.
func (p *prober) exchange(_ context.Context, conn *tls.Conn, r probeRequest) probeGot {
	nonce := rand.Text()
	// A server may refuse before it has read all of a request: what it answers counts.
	_, writeErr := conn.Write(p.write(r, nonce))
	bounded := &io.LimitedReader{R: conn, N: maxProbeResponse}
	answer, err := readResponse(bufio.NewReader(bounded))
	if err != nil {
		if bounded.N <= 0 {
			return probeGot{err: fmt.Errorf("%w: an answer that is too long", ErrProbeRoute)}
		}
		if op := new(net.OpError); writeErr != nil && !(errors.As(err, &op) && op.Op == "remote error") {
			err = writeErr
		}
		return failedWith(err)
	}
	return readAnswer(answer, nonce)
}

// exchange2 does the same with HTTP/2.
func (p *prober) exchange2(ctx context.Context, conn *tls.Conn, r probeRequest) probeGot {
	nonce := rand.Text()
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	transport := &http.Transport{
		Protocols: protocols, DisableCompression: true, MaxResponseHeaderBytes: maxProbeResponse - maxProbeAnswer,
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	client, err := transport.NewClientConn(ctx, p.url.Scheme, conn.RemoteAddr().String()) // and not the transport, which tries again
	if err != nil {
		return failedWith(err)
	}
	defer client.Close()
	answer, err := client.RoundTrip(p.request(ctx, r, nonce))
	if err != nil {
		return failedWith(err)
	}
	return readAnswer(answer, nonce)
}

// request is the request for HTTP/2.
func (p *prober) request(ctx context.Context, r probeRequest, nonce string) *http.Request {
	out := (&http.Request{Method: http.MethodGet, URL: p.url, Host: p.url.Host, Header: http.Header{"User-Agent": {"sallyport-probe"}}}).WithContext(ctx)
	for _, f := range p.question(r, nonce) {
		out.Header[f.Name] = []string{f.Value}
	}
	for _, f := range r.fields {
		out.Header[f.Name] = append(out.Header[f.Name], f.Value)
	}
	return out
}

// question is what the route is asked.
func (p *prober) question(r probeRequest, nonce string) []peer.Field {
	out := []peer.Field{{Name: probeToken, Value: p.Token}, {Name: probeNonce, Value: nonce}, {Name: probeKnown, Value: p.known}}
	if names := r.names(); len(names) > 0 {
		out = append(out, peer.Field{Name: probeNames, Value: strings.Join(names, ",")})
	}
	return out
}

// names are those of the fields, once each.
func (r *probeRequest) names() []string {
	var out []string
	for _, f := range r.fields {
		if !slices.Contains(out, f.Name) {
			out = append(out, f.Name)
		}
	}
	return out
}

// write is the request in bytes, for HTTP/1.1.
func (p *prober) write(r probeRequest, nonce string) []byte {
	var out bytes.Buffer
	method := http.MethodGet
	if r.trailer {
		method = http.MethodPost
	}
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sallyport-probe\r\n", method, p.url.RequestURI(), p.url.Host)
	writeFields(&out, p.question(r, nonce))
	fmt.Fprintf(&out, "Connection: %s\r\n", strings.Join(append([]string{"close"}, r.connection...), ", "))
	if r.trailer {
		fmt.Fprintf(&out, "Transfer-Encoding: chunked\r\nTrailer: %s\r\n\r\n1\r\n-\r\n0\r\n", strings.Join(r.names(), ", "))
	}
	writeFields(&out, r.fields)
	out.WriteString("\r\n")
	return out.Bytes()
}

func writeFields(out *bytes.Buffer, fields []peer.Field) {
	for _, f := range fields {
		fmt.Fprintf(out, "%s: %s\r\n", f.Name, f.Value)
	}
}
