package jose

import (
	"encoding/base64"
	"strings"
	"unicode"
)

const (
	// MaxToken bounds a token where the caller says nothing else, in bytes.
	MaxToken = 16 << 10

	maxHeader = 8 << 10
	maxKid    = 256
)

// Token is a JWS in its compact serialization (RFC 7515 section 7.1), taken apart and not verified. Its slices belong to it.
type Token struct {
	Header    Header
	Payload   []byte
	Signed    []byte // what the signature is over
	Signature []byte
}

// Header is what the protected header says of the members that are understood here. The others are ignored, jku, x5u and
// x5c among them: no key is ever taken from a token.
type Header struct {
	Alg string // one of [Algorithms]
	Kid string // empty: none
	Typ string // empty: none. See [Header.Is]
	// JWK is the member jwk as it is written, nil where there is none. It is the sender's word, for a DPoP proof (RFC 9449
	// section 4.3), and no key for anything else.
	JWK []byte
}

// Is reports whether typ is this media type, which is written without "application/" (RFC 7515 section 4.1.9).
func (h Header) Is(typ string) bool { return strings.EqualFold(bareType(h.Typ), typ) }

func bareType(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) && !strings.Contains(typ[len(prefix):], "/") {
		return typ[len(prefix):]
	}
	return typ
}

var headerNames = []string{
	"alg", "b64", "crit", "cty", "enc", "jku", "jwk", "kid", "typ", "x5c", "x5t", "x5t#S256", "x5u", "zip",
}

// base64url without padding, and without bits at the end that say nothing.
var base64url = base64.RawURLEncoding.Strict()

// Parse takes a token of at most max bytes apart; 0 is [MaxToken]. Every error is a *[Fault].
func Parse(compact string, max int) (Token, error) {
	if max <= 0 {
		max = MaxToken
	}
	if len(compact) > max {
		return Token{}, fault(ReasonTooLarge)
	}
	if strings.HasPrefix(strings.TrimLeft(compact, " \t\r\n"), "{") {
		return Token{}, fault(ReasonSerialization)
	}
	switch strings.Count(compact, ".") {
	case 2:
	case 4:
		return Token{}, fault(ReasonEncrypted)
	default:
		return Token{}, fault(ReasonNotCompact)
	}
	if brokenLines(compact) {
		return Token{}, fault(ReasonEncoding)
	}
	first, last := strings.IndexByte(compact, '.'), strings.LastIndexByte(compact, '.')
	if base64url.DecodedLen(first) > maxHeader {
		return Token{}, fault(ReasonTooLarge)
	}
	return take(compact, first, last)
}

// take decodes the parts of compact, whose dots are at first and last.
func take(compact string, first, last int) (Token, error) {
	room := make([]byte, 0, len(compact)+base64url.DecodedLen(len(compact)))
	text := append(room, compact...)
	header, err := base64url.AppendDecode(text[len(text):], text[:first])
	if err != nil {
		return Token{}, fault(ReasonEncoding)
	}
	payload, err := base64url.AppendDecode(header[len(header):], text[first+1:last])
	if err != nil {
		return Token{}, fault(ReasonEncoding)
	}
	signature, err := base64url.AppendDecode(payload[len(payload):], text[last+1:])
	if err != nil {
		return Token{}, fault(ReasonEncoding)
	}
	t := Token{
		Payload:   payload[:len(payload):len(payload)],
		Signed:    text[:last:last],
		Signature: signature,
	}
	if t.Header, err = readHeader(header); err != nil {
		return Token{}, err
	}
	if len(signature) == 0 {
		return Token{}, fault(ReasonUnsigned)
	}
	return t, nil
}

func readHeader(b []byte) (Header, error) {
	o, err := readObject(string(b), headerNames, ReasonHeader)
	if err != nil {
		return Header{}, err
	}
	var h Header
	for _, m := range o {
		if err := h.read(m); err != nil {
			return Header{}, err
		}
	}
	if h.Alg == "" {
		return Header{}, fault(ReasonAlgorithm)
	}
	return h, nil
}

func (h *Header) read(m member) error {
	switch m.name {
	case "crit":
		return fault(ReasonCritical)
	case "b64":
		return fault(ReasonUnencoded)
	case "zip":
		return fault(ReasonCompressed)
	case "enc":
		return fault(ReasonEncrypted)
	case "jwk":
		if m.value[0] != '{' {
			return fault(ReasonHeaderMember)
		}
		h.JWK = []byte(m.value)
	case "alg", "kid", "typ", "cty":
		if m.value[0] != '"' {
			return fault(ReasonHeaderMember)
		}
		s, _ := unquote(m.value)
		return h.set(m.name, s)
	}
	return nil
}

func (h *Header) set(name, s string) error {
	switch name {
	case "alg":
		a := algorithmOf(s)
		if a == nil {
			return fault(whyNot(s))
		}
		h.Alg = a.name
	case "kid":
		if s == "" {
			return fault(ReasonHeaderMember)
		}
		if !goodKid(s) {
			return fault(ReasonKid)
		}
		h.Kid = s
	case "typ":
		h.Typ = s
	case "cty":
		if strings.EqualFold(bareType(s), "JWT") {
			return fault(ReasonNested)
		}
	}
	return nil
}

func goodKid(s string) bool {
	return len(s) <= maxKid && strings.IndexFunc(s, unicode.IsControl) < 0
}
