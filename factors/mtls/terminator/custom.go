package terminator

import "errors"

// Encoding is how one certificate is written.
type Encoding int

const (
	// Base64 is the certificate's DER in the standard alphabet of base64, with its padding (RFC 4648 section 4).
	Base64 Encoding = iota + 1
	// ByteSequence is the same between colons (RFC 9440 section 2.1, RFC 8941 section 3.3.5).
	ByteSequence
	// PercentPEM is PEM (RFC 7468 section 5) with percent encoding (RFC 3986 section 2.1), once.
	PercentPEM
	// SpacedPEM is PEM whose line ends are single spaces.
	SpacedPEM
)

// ChainForm is how the certificates beside the client's are written.
type ChainForm int

const (
	// NoChain: they are not sent.
	NoChain ChainForm = iota
	// ChainList is a list of byte sequences in a header of its own, on one line or several (RFC 9440 section 2.3).
	ChainList
	// ChainConcatenated is base64 of one DER after the other, in a header of its own.
	ChainConcatenated
	// ChainNumbered is a header for each certificate, numbered from 0, encoded as the client's is.
	ChainNumbered
	// ChainWithLeaf is the header of the client's certificate, which comes first: [Base64] with commas between them, or
	// [PercentPEM] with one block after the other.
	ChainWithLeaf
)

// None is the one spelling of "there is none".
type None struct {
	Sent  bool   // the header is sent all the same; false: it is not
	Value string // and has exactly this value, which may be empty
}

// Verdict is a header that the terminator sends on every request.
type Verdict struct {
	Header string
	OK     string // its exact value where there is a certificate and it is good
	None   string // its exact value where there is no certificate
	// Presence says that it tells whether there is a certificate, and not whether it is good: VerifiedHere does not excuse
	// another value then.
	Presence bool
}

// CustomFormat describes a format that is not one of the named ones. [Headers.Certificate] is required with it.
type CustomFormat struct {
	Encoding  Encoding
	None      None      // of the certificate's header
	Chain     ChainForm // needs Headers.Chain, unless it is [NoChain] or [ChainWithLeaf]
	ChainNone None      // of the chain's headers
	// Verdicts are read all of them. Empty: the format has none, so TerminatorVerifies or VerifiedHere is needed.
	Verdicts []Verdict
	// ChainLength is for [ChainNumbered]: how many headers there are, at most 9.
	ChainLength int
	// Fingerprint is a header with the SHA-256 of the certificate in hexadecimal, which must match. Empty: there is none.
	Fingerprint string
}

var errCustomFormat = errors.New("a custom format needs an Encoding and Headers.Certificate, and a chain needs Headers.Chain and a form that goes with the encoding")

// custom reads what the operator describes.
func custom(c *Config) (*shape, error) {
	f, h := c.Custom, c.Headers
	s := &shape{
		leaf: h.Certificate, encoding: f.Encoding, none: f.None, form: f.Chain, chainNone: f.ChainNone,
		verdicts: append([]Verdict(nil), f.Verdicts...), hash: f.Fingerprint, hashForm: hexHash,
	}
	apart := f.Chain != NoChain && f.Chain != ChainWithLeaf
	switch {
	case s.leaf == "" || f.Encoding < Base64 || f.Encoding > SpacedPEM || f.Chain < NoChain || f.Chain > ChainWithLeaf:
		return nil, errCustomFormat
	case apart != (h.Chain != ""), f.Chain == ChainWithLeaf && f.Encoding != Base64 && f.Encoding != PercentPEM:
		return nil, errCustomFormat
	case (f.Chain == ChainNumbered) != (f.ChainLength != 0) || f.ChainLength < 0 || f.ChainLength >= maxCertificates:
		return nil, errChainLength
	case f.Chain == ChainNumbered:
		s.chain, s.prefix = numbered(h.Chain, f.ChainLength), h.Chain
	case apart:
		s.chain = []string{h.Chain}
	}
	h.Certificate, h.Chain = "", ""
	return s, only(h)
}
