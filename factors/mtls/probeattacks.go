package mtls

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/factors/internal/peer"
)

// probeAttack is one way to have a forged certificate, or a change of the terminator's own headers, arrive.
type probeAttack struct {
	code string
	// requests are the ways to do it. None: it does not go with these headers.
	requests func(forged []peer.Field, h *forgedHeaders) []probeRequest
	// excuses reports whether a refusal by the program is all that can be asked for.
	excuses func(*probeAnswer) bool
	advice  string
	http1   bool // it is not made with HTTP/2
}

const adviceReplace = "have the terminator set or remove these headers on every request, with and without a certificate, never add to them"

// reasonAlias is that of the package terminator.
const reasonAlias = "certificate_header_alias"

func refusedAlias(a *probeAnswer) bool { return a.Refused == reasonAlias }
func always(*probeAnswer) bool         { return true }
func never(*probeAnswer) bool          { return false }

var probeAttacks = []probeAttack{
	{"forged", spelled(func(s string) string { return s }), never, adviceReplace, false},
	{"forged_case", spelled(oddCase), never, adviceReplace, true},
	{"forged_doubled", doubled, never, adviceReplace, false},
	{"alias_underscore", spelled(with("_")), refusedAlias, "have the terminator drop names with underscores", false},
	{"alias_dot", spelled(with(".")), refusedAlias, "have the terminator drop names with dots", false},
	{"alias_other", spelled(with("~")), refusedAlias, "have the terminator drop names with anything but letters, digits and dashes", false},
	{"connection", hopByHop, always, "have the terminator drop what clients send as Connection before it sets its headers", true},
	{"trailer", inTrailer, never, "have the terminator drop trailers, or keep them apart from the header", true},
	{"secret", forgedSecret, never, "have the terminator set the secret header and never add to it", false},
}

// spelled sends the headers under other spellings of their names. Names that stay as they are make no attack of another
// spelling.
func spelled(spell func(string) string) func([]peer.Field, *forgedHeaders) []probeRequest {
	return func(forged []peer.Field, _ *forgedHeaders) []probeRequest {
		same := spell("-a") == "-a"
		var fields []peer.Field
		for _, f := range forged {
			if name := spell(f.Name); same || name != f.Name {
				fields = append(fields, peer.Field{Name: name, Value: f.Value})
			}
		}
		return requestWith(fields)
	}
}

func requestWith(fields []peer.Field) []probeRequest {
	if len(fields) == 0 {
		return nil
	}
	return []probeRequest{{fields: fields}}
}

func with(mark string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(s, "-", mark) }
}

// oddCase is a name in letters of both cases, as nobody writes it.
func oddCase(s string) string {
	out := []byte(strings.ToLower(s))
	for i := 1; i < len(out); i += 2 {
		out[i] = strings.ToUpper(string(out[i]))[0]
	}
	return string(out)
}

func doubled(forged []peer.Field, _ *forgedHeaders) []probeRequest {
	return requestWith(append(slices.Clone(forged), forged...))
}

// hopByHop names headers in Connection, so that a proxy takes them for the client's own and removes them (RFC 9110 section
// 7.6.1): all beside forged ones, and each for itself.
func hopByHop(forged []peer.Field, h *forgedHeaders) []probeRequest {
	out := []probeRequest{{fields: forged, connection: h.names()}}
	for _, name := range h.names() {
		out = append(out, probeRequest{connection: []string{name}})
	}
	return out
}

func inTrailer(forged []peer.Field, _ *forgedHeaders) []probeRequest {
	return []probeRequest{{fields: forged, trailer: true}}
}

func forgedSecret(_ []peer.Field, h *forgedHeaders) []probeRequest { return requestWith(h.secrets()) }

// attack makes one attack beside what is honest, with each forged certificate. The worst of what comes of it counts.
func (p *prober) attack(ctx context.Context, b probeBase, a probeAttack) {
	var worst *ProbeCheck
	if b.http2 && a.http1 {
		return
	}
	for i, f := range p.forged {
		for _, r := range a.requests(p.reads.with(f), &p.reads) {
			if i > 0 && len(r.fields) == 0 {
				continue // it was made with the first
			}
			r.cert, r.http2 = b.cert, b.http2
			outcome, says := p.judge(b, a, p.send(ctx, r))
			if worst == nil || outcome.rank() > worst.Outcome.rank() {
				worst = &ProbeCheck{b.prefix + a.code, outcome, says}
			}
		}
	}
	if worst != nil {
		p.report.Checks = append(p.report.Checks, *worst)
	}
}

// judge says what came of an attack.
func (p *prober) judge(b probeBase, a probeAttack, got probeGot) (ProbeOutcome, string) {
	switch {
	case got.stopped != "":
		return ProbePassed, "The request was refused on the way (" + got.stopped + ")."
	case got.closed && b.got.answer == nil:
		return ProbePassed, "The connection was closed, as without the attack."
	case got.err != nil:
		return ProbeUnknown, "The request had no answer: " + got.err.Error() + "."
	case got.answer.Known > knownStranger:
		return ProbeFailed, "A forged certificate arrived as the client's: whoever has anybody's certificate is logged in; " + a.advice + "."
	case !b.clean() && b.got.answer.like(got.answer):
		return ProbeUnknown, "Nothing can be told while an honest request does not arrive as it should: see " + b.code + "."
	case got.answer.Certificate && (b.want == knownNone || got.answer.Known != b.want):
		return ProbeFailed, "A certificate arrived that is not the client's; " + a.advice + "."
	}
	return p.judgeHarm(b, a, got.answer)
}

// judgeHarm says what came of an attack by which no certificate changed hands.
func (p *prober) judgeHarm(b probeBase, a probeAttack, got *probeAnswer) (ProbeOutcome, string) {
	what := ""
	switch {
	case got.Refused != "":
		what = "It reached the program, which refused it (" + got.Refused + ")"
	case got.Removed != "":
		what = "It reached the program, which did not take it for the terminator's (" + got.Removed + ")"
	case b.want != knownNone && !got.Certificate:
		what = "The client's own certificate did not arrive"
	case len(got.Left) > 0 && p.reads.ownTLS:
		return ProbePassed, "It arrived, and nothing reads it: the program takes certificates from its own handshakes."
	case len(got.Left) > 0:
		return ProbeFailed, fmt.Sprintf("Headers arrived and were not removed (%s); %s.", strings.Join(got.Left, ", "), a.advice)
	case !b.clean():
		what = "Something of it arrived, and what did not arrive honestly does now"
	default:
		return ProbePassed, "Nothing of it arrived."
	}
	if a.excuses(got) {
		return ProbeWarning, what + ", and nobody gained by it; " + a.advice + "."
	}
	return ProbeFailed, what + "; " + a.advice + "."
}

// like reports whether the same arrived.
func (a *probeAnswer) like(b *probeAnswer) bool {
	return a.Certificate == b.Certificate && a.Known == b.Known && a.Refused == b.Refused && a.Removed == b.Removed
}
