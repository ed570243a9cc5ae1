package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// ProbeConfig says where a [Probe] goes and what it has.
type ProbeConfig struct {
	// URL is the public address of the [ProbeRoute], with https: the one that clients come by.
	URL string
	// Token is that of the route.
	Token string
	// Roots are the authorities of the server's certificate. Nil: those of the system.
	Roots *x509.CertPool
	// Own is a client's certificate with its key, which the deployment accepts. Nil: what needs one is skipped.
	Own *tls.Certificate
	// Others are certificates of other people, without their keys, to be forged beside one that the probe makes itself. A
	// terminator that looks at certificates in headers may treat them otherwise. At most 7.
	Others []*x509.Certificate
	// Timeout is for each request. Zero: 10 seconds.
	Timeout time.Duration
	// Dial opens connections. Nil: those of a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now dates the certificates that the probe makes, and the server's is verified at it. Nil: time.Now.
	Now func() time.Time
}

// ProbeOutcome is what a check found.
type ProbeOutcome string

// Outcomes.
const (
	ProbePassed  ProbeOutcome = "passed"
	ProbeWarning ProbeOutcome = "warning" // it reached the program, and the program refused it
	ProbeFailed  ProbeOutcome = "failed"
	ProbeUnknown ProbeOutcome = "unknown" // the check could not tell
	ProbeSkipped ProbeOutcome = "skipped" // something that it needs was not given
)

// ProbeCheck is one check. Codes are stable; docs/terminators.md says what each means.
type ProbeCheck struct {
	Code    string       `json:"code"`
	Outcome ProbeOutcome `json:"outcome"`
	Says    string       `json:"says"` // one sentence: what was found, and what is to be done
}

// ProbeReport is what a probe found.
type ProbeReport struct {
	Checks []ProbeCheck `json:"checks"`
}

// Outcome is the worst of the checks: failed, unknown, warning, passed.
func (r ProbeReport) Outcome() ProbeOutcome {
	worst := ProbePassed
	for _, c := range r.Checks {
		if c.Outcome != ProbeSkipped && c.Outcome.rank() > worst.rank() {
			worst = c.Outcome
		}
	}
	return worst
}

// Err is nil if nothing failed and every check could tell.
func (r ProbeReport) Err() error {
	var all []error
	for _, c := range r.Checks {
		if c.Outcome == ProbeFailed || c.Outcome == ProbeUnknown {
			all = append(all, fmt.Errorf("mtls: probe: %s: %s: %s", c.Code, c.Outcome, c.Says))
		}
	}
	return errors.Join(all...)
}

func (o ProbeOutcome) rank() int {
	switch o {
	case ProbePassed, ProbeSkipped:
		return 0
	case ProbeWarning:
		return 1
	case ProbeUnknown:
		return 2
	}
	return 3
}

// Conditions under which a probe cannot run.
var (
	// ErrProbeConfig: something in the configuration is missing or malformed.
	ErrProbeConfig = errors.New("mtls: probe: configuration")
	// ErrProbeServer: the server's certificate is not trusted, so nothing was sent.
	ErrProbeServer = errors.New("mtls: probe: the server's certificate is not trusted")
	// ErrProbeRoute: what answers is not a [ProbeRoute] with this token behind the middleware.
	ErrProbeRoute = errors.New("mtls: probe: no answer of a probe route")
	// ErrProbeRefused: nobody gets in without a certificate, or not with the one given.
	ErrProbeRefused = errors.New("mtls: probe: refused on the way")
)

const defaultProbeTimeout = 10 * time.Second

// Probe checks a deployment from outside: it sends requests through the public address with a forged certificate in the
// headers that the program reads, which it learns from the program's [ProbeRoute], in every way that a client has, and
// says what arrived. An error says that it could not run. What it found is in the report, which a program can ask for
// [ProbeReport.Err] before it serves anybody.
//
// It makes some dozens of requests, one after the other, each over a connection of its own, with HTTP/1.1 and where the server
// speaks it HTTP/2, follows no redirect, and reads at most 128 KiB of each answer.
func Probe(ctx context.Context, c ProbeConfig) (ProbeReport, error) {
	p, err := newProber(c)
	if err != nil {
		return ProbeReport{}, err
	}
	if err := p.begin(ctx); err != nil {
		return ProbeReport{}, err
	}
	p.checkPlain()
	p.checkOwn(ctx)
	p.checkStranger(ctx)
	p.checkHTTP2(ctx)
	for _, b := range p.bases {
		for _, a := range probeAttacks {
			p.attack(ctx, b, a)
		}
	}
	return p.report, ctx.Err()
}

// prober is one run.
type prober struct {
	ProbeConfig
	url    *url.URL
	forged []forgery // the one that the probe made comes first
	// stranger is a certificate with its key that no authority signed.
	stranger tls.Certificate
	known    string // what the route is asked to tell apart: fingerprints, in the order of knownOwn
	reads    forgedHeaders
	bases    []probeBase
	report   ProbeReport
}

// What a known certificate is. Those behind are forged.
const (
	knownNone = iota
	knownOwn
	knownStranger
)

// probeBase is what is honest in a request, and what came of it alone.
type probeBase struct {
	code   string // of the check that it is
	prefix string // of the codes of attacks
	cert   *tls.Certificate
	http2  bool
	want   int // what is known of the certificate that should arrive
	got    probeGot
}

// clean reports whether what is honest arrived as it should.
func (b *probeBase) clean() bool {
	a := b.got.answer
	return a == nil || a.Refused == "" && a.Removed == "" && a.Known == b.want && a.Certificate == (b.want != knownNone)
}

func newProber(c ProbeConfig) (*prober, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" || !visible(u.RequestURI()+u.Host):
		return nil, fmt.Errorf("%w: the URL is that of the probe route, with https", ErrProbeConfig)
	case !goodProbeToken(c.Token):
		return nil, fmt.Errorf("%w: a token has 32 to 512 characters without spaces", ErrProbeConfig)
	case c.Own != nil && (len(c.Own.Certificate) == 0 || c.Own.PrivateKey == nil):
		return nil, fmt.Errorf("%w: the own certificate needs its key", ErrProbeConfig)
	case c.Timeout < 0:
		return nil, fmt.Errorf("%w: the timeout is negative", ErrProbeConfig)
	}
	p := &prober{ProbeConfig: c, url: u}
	if p.Timeout == 0 {
		p.Timeout = defaultProbeTimeout
	}
	if p.Dial == nil {
		p.Dial = new(net.Dialer).DialContext
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	return p, p.forge()
}

// begin finds out what arrives of honest requests, and what the program reads.
func (p *prober) begin(ctx context.Context) error {
	plain := p.send(ctx, probeRequest{})
	if plain.err != nil && !plain.closed {
		return plain.err
	}
	p.bases = []probeBase{{code: "no_certificate", want: knownNone, got: plain}}
	if p.Own != nil {
		p.bases = append(p.bases, probeBase{code: "own", prefix: "own_", cert: p.Own, want: knownOwn, got: p.send(ctx, probeRequest{cert: p.Own})})
	}
	for _, b := range p.bases {
		if b.got.answer != nil {
			return p.reads.take(b.got.answer.Reads)
		}
	}
	which, last := "without a certificate", p.bases[len(p.bases)-1].got
	if p.Own != nil {
		which = "with the own certificate"
	}
	switch {
	case last.closed:
		return fmt.Errorf("%w %s: the connection was closed", ErrProbeRefused, which)
	case last.err != nil:
		return last.err
	}
	return fmt.Errorf("%w %s: %s", ErrProbeRefused, which, last.stopped)
}

func (p *prober) add(code string, o ProbeOutcome, says string) {
	p.report.Checks = append(p.report.Checks, ProbeCheck{code, o, says})
}
