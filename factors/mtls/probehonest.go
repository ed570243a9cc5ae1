package mtls

import (
	"context"
	"crypto/tls"
)

// checkPlain judges the request without a certificate.
func (p *prober) checkPlain() {
	code, got := p.bases[0].code, p.bases[0].got
	switch a := got.answer; {
	case got.err != nil:
		p.add(code, ProbePassed, "Without a certificate the connection is closed.")
	case got.stopped != "":
		p.add(code, ProbePassed, "Without a certificate nobody gets in ("+got.stopped+").")
	case a.Certificate:
		p.add(code, ProbeFailed, "A certificate arrives that no client sent, such as the terminator's own: read the terminator's headers, and not mtls.FromTLS, on the listener that it talks to.")
	case a.Removed != "":
		p.add(code, ProbeFailed, adviseTrust(a))
	case a.Refused != "":
		p.add(code, ProbeFailed, "The program refuses what the terminator sends without a certificate ("+a.Refused+"): have it set every header of the format on every request, as the format has it.")
	default:
		p.add(code, ProbePassed, "Without a certificate none arrives.")
	}
}

func adviseTrust(a *probeAnswer) string {
	return "The program does not take the terminator for the terminator (" + a.Removed + "): correct its rules of trust, or what the terminator sends as its secret."
}

// checkOwn judges requests with the client's own certificate, over a new TLS session and a resumed one.
func (p *prober) checkOwn(ctx context.Context) {
	if p.Own == nil {
		p.add("own", ProbeSkipped, "Give a client's own certificate and key, and the checks are made with it too.")
		return
	}
	b := p.bases[1]
	outcome, says := judgeOwn(b.got)
	p.add(b.code, outcome, says)
	if outcome != ProbePassed {
		return
	}
	sessions := tls.NewLRUClientSessionCache(1)
	var got probeGot
	for range 2 {
		if got = p.send(ctx, probeRequest{cert: p.Own, sessions: sessions}); got.answer == nil {
			break
		}
	}
	switch outcome, says = judgeOwn(got); {
	case outcome == ProbePassed && !got.resumed:
		says = "TLS sessions are not resumed."
	case outcome == ProbeFailed:
		says = "On a resumed TLS session: " + says
	}
	p.add("own_resumed", outcome, says)
}

func judgeOwn(got probeGot) (ProbeOutcome, string) {
	switch a := got.answer; {
	case got.err != nil:
		return ProbeUnknown, "The request had no answer: " + got.err.Error() + "."
	case got.stopped != "":
		return ProbeFailed, "The own certificate is refused on the way (" + got.stopped + "): look at the authorities that the terminator verifies with."
	case a.Removed != "":
		return ProbeFailed, adviseTrust(a)
	case a.Refused != "":
		return ProbeFailed, "The program refuses what the terminator sends of the own certificate (" + a.Refused + "): have it write the headers as the format has them."
	case !a.Certificate:
		return ProbeFailed, "The own certificate does not arrive: have the terminator ask for one and send it in the headers of the format."
	case a.Known != knownOwn:
		return ProbeFailed, "Another certificate arrives instead of the own one: have the terminator send that of the client's handshake."
	}
	return ProbePassed, "The own certificate arrives."
}

// checkStranger shows a certificate of no authority in the handshake. Whether that may arrive is a matter of who verifies.
func (p *prober) checkStranger(ctx context.Context) {
	const code = "unverified"
	switch got := p.send(ctx, probeRequest{cert: &p.stranger}); {
	case got.stopped != "" || got.closed:
		p.add(code, ProbePassed, "A certificate of an unknown authority is refused on the way.")
	case got.err != nil:
		p.add(code, ProbeUnknown, "The request had no answer: "+got.err.Error()+".")
	case !p.bases[0].clean():
		p.add(code, ProbeUnknown, "Nothing can be told while an honest request does not arrive as it should: see no_certificate.")
	case got.answer.Refused != "":
		p.add(code, ProbeWarning, "A certificate of an unknown authority reaches the program, which refused it ("+got.answer.Refused+"); have the terminator end such handshakes.")
	case !got.answer.Certificate:
		p.add(code, ProbePassed, "A certificate of an unknown authority does not arrive.")
	case got.answer.Checked:
		p.add(code, ProbeFailed, "A certificate of an unknown authority arrives as verified: have the terminator verify, or set VerifiedHere.")
	default:
		p.add(code, ProbePassed, "A certificate of an unknown authority arrives as one that is verified by the program.")
	}
}

// checkHTTP2 judges an honest request with HTTP/2, and has attacks be made with it too. It is the one without a certificate,
// where that gets in.
func (p *prober) checkHTTP2(ctx context.Context) {
	b := p.bases[0]
	if b.got.answer == nil {
		b = p.bases[1]
	}
	first := b.got.answer
	b.code, b.prefix, b.http2 = "http2", "http2_", true
	switch b.got = p.send(ctx, probeRequest{cert: b.cert, http2: true}); {
	case b.got.err != nil:
		p.add(b.code, ProbeUnknown, "The request had no answer: "+b.got.err.Error()+".")
		return
	case b.got.answer != nil && !b.got.http2:
		p.add(b.code, ProbeSkipped, "HTTP/2 is not spoken.")
		return
	case b.got.answer == nil || !b.got.answer.like(first):
		p.add(b.code, ProbeFailed, "With HTTP/2 a request arrives otherwise than with HTTP/1.1: have both set up alike.")
	default:
		p.add(b.code, ProbePassed, "With HTTP/2 a request arrives as with HTTP/1.1.")
	}
	p.bases = append(p.bases, b)
}
