package terminator

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls"
)

// hashForm is how a fingerprint is written.
type hashForm int

const (
	hexHash hashForm = iota
	base64Hash
)

// decode makes certificates of what was sent, leaf first. All but the leaf are hints.
func (s *shape) decode(v sent, b Bounds, h *hints) ([]*x509.Certificate, error) {
	if s.elements > 0 {
		return decodeForwarded(v.leaf, s.elements, b, h)
	}
	ders, err := s.split(v, b)
	if err != nil {
		return nil, err
	}
	if s.hash != "" && !s.hashForm.matches(v.hash, ders[0]) {
		return nil, factors.Reject(ReasonFingerprint, "%s", s.hash)
	}
	if s.form != ChainWithLeaf {
		for _, der := range ders[1:] {
			if bytes.Equal(der, ders[0]) {
				return nil, malformed("the chain has the client's certificate in it")
			}
		}
	}
	return h.parse(ders)
}

// split takes the certificates apart, leaf first, each in DER.
func (s *shape) split(v sent, b Bounds) ([][]byte, error) {
	if s.form == ChainWithLeaf {
		if s.encoding == Base64 {
			return each(strings.Split(v.leaf, ","), Base64, b)
		}
		return percentPEMs(v.leaf, b)
	}
	ders, err := each([]string{v.leaf}, s.encoding, b)
	if err != nil || v.chain == "" {
		return ders, err
	}
	b.Certificates--
	var chain [][]byte
	switch s.form {
	case ChainList:
		members := strings.Split(v.chain, ",")
		for i := range members {
			members[i] = strings.Trim(members[i], " \t")
		}
		chain, err = each(members, ByteSequence, b)
	case ChainNumbered:
		chain, err = each(strings.Split(v.chain, between), s.encoding, b)
	case ChainConcatenated:
		chain, err = concatenated(v.chain, b)
	}
	return append(ders, chain...), err
}

// each decodes certificates that are written one by one.
func each(values []string, e Encoding, b Bounds) ([][]byte, error) {
	if len(values) > b.Certificates {
		return nil, tooMany(b)
	}
	ders := make([][]byte, 0, len(values)+2)
	for _, v := range values {
		if len(v) > b.Certificate {
			return nil, factors.Reject(mtls.ReasonTooLarge, "over %d bytes of a certificate", b.Certificate)
		}
		der, err := e.decode(v)
		if err != nil {
			return nil, err
		}
		ders = append(ders, der)
	}
	return ders, nil
}

func tooMany(b Bounds) error {
	return factors.Reject(mtls.ReasonTooLarge, "over %d certificates", b.Certificates)
}

// decode makes DER of one certificate.
func (e Encoding) decode(v string) ([]byte, error) {
	switch e {
	case Base64:
		return decodeBase64(v)
	case ByteSequence:
		if len(v) < 2 || v[0] != ':' || v[len(v)-1] != ':' {
			return nil, malformed("not a byte sequence")
		}
		return decodeBase64(v[1 : len(v)-1])
	case PercentPEM:
		text, err := unescape(v)
		if err != nil {
			return nil, err
		}
		return onePEM(text)
	case SpacedPEM:
		return spacedPEM(v)
	}
	return nil, malformed("no encoding")
}

// decodeBase64 reads the standard alphabet with padding, no bit more. encoding/base64 passes over line ends.
func decodeBase64(v string) ([]byte, error) {
	if v == "" || strings.ContainsAny(v, "\r\n") {
		return nil, malformed("not base64")
	}
	der, err := base64.StdEncoding.Strict().DecodeString(v)
	if err != nil {
		return nil, malformed("not base64")
	}
	return der, nil
}

// unescape takes percent encoding away, once. A plus is a plus.
func unescape(v string) (string, error) {
	text, err := url.PathUnescape(v)
	if err != nil || strings.Contains(text, "%") {
		return "", malformed("not percent encoding, or more than one")
	}
	return text, nil
}

func onePEM(text string) ([]byte, error) {
	ders, err := manyPEM(text, 1)
	if err != nil {
		return nil, err
	}
	return ders[0], nil
}

// manyPEM reads blocks that are written as encoding/pem writes them: it passes over text and broken blocks when it reads.
// The last line end is free.
func manyPEM(text string, most int) ([][]byte, error) {
	var ders [][]byte
	var again bytes.Buffer
	for rest := []byte(text); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			return nil, malformed("not PEM of a certificate")
		}
		if ders = append(ders, block.Bytes); len(ders) > most {
			return nil, malformed("more than %d certificates", most)
		}
		_ = pem.Encode(&again, block) // a bytes.Buffer takes everything
	}
	if len(ders) == 0 || strings.TrimSuffix(again.String(), "\n") != strings.TrimSuffix(text, "\n") {
		return nil, malformed("not PEM as it is written")
	}
	return ders, nil
}

func percentPEMs(v string, b Bounds) ([][]byte, error) {
	if strings.Count(v, "-----BEGIN") > b.Certificates {
		return nil, tooMany(b)
	}
	text, err := unescape(v)
	if err != nil {
		return nil, err
	}
	ders, err := manyPEM(text, b.Certificates)
	if err != nil {
		return nil, err
	}
	for _, der := range ders {
		if base64.StdEncoding.EncodedLen(len(der)) > b.Certificate {
			return nil, factors.Reject(mtls.ReasonTooLarge, "over %d bytes of a certificate", b.Certificate)
		}
	}
	return ders, nil
}

const (
	spacedBegin = "-----BEGIN CERTIFICATE----- "
	spacedEnd   = " -----END CERTIFICATE-----"
	pemLine     = 64 // characters of a line (RFC 7468 section 2)
)

// spacedPEM reads PEM with a space for each line end. The last one is free.
func spacedPEM(v string) ([]byte, error) {
	v = strings.TrimSuffix(v, " ")
	inner, begins := strings.CutPrefix(v, spacedBegin)
	inner, ends := strings.CutSuffix(inner, spacedEnd)
	if !begins || !ends {
		return nil, malformed("not PEM with spaces")
	}
	for i := pemLine; i < len(inner); i += pemLine + 1 {
		if inner[i] != ' ' {
			return nil, malformed("not PEM with spaces")
		}
	}
	body := strings.ReplaceAll(inner, " ", "")
	if lines := (len(body) + pemLine - 1) / pemLine; len(inner)-len(body) != lines-1 {
		return nil, malformed("not PEM with spaces")
	}
	return decodeBase64(body)
}

// concatenated reads base64 of one DER after the other.
func concatenated(v string, b Bounds) ([][]byte, error) {
	all, err := decodeBase64(v)
	if err != nil {
		return nil, err
	}
	var ders [][]byte
	for len(all) > 0 {
		var one asn1.RawValue
		rest, err := asn1.Unmarshal(all, &one)
		if err != nil {
			return nil, malformed("not one certificate after the other")
		}
		if ders = append(ders, one.FullBytes); len(ders) > b.Certificates {
			return nil, tooMany(b)
		}
		all = rest
	}
	return ders, nil
}

// matches reports whether a fingerprint is that of a certificate.
func (f hashForm) matches(v string, der []byte) bool {
	sum := sha256.Sum256(der)
	if f == base64Hash {
		return v == base64.StdEncoding.EncodeToString(sum[:])
	}
	return strings.EqualFold(v, hex.EncodeToString(sum[:]))
}
