package terminator

import (
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/factors/internal/peer"
)

// Reads tells the headers that t reads, and how a good certificate is written in them, for mtls.Probe. It tells no secret.
func (t *Terminator) Reads() *peer.Reads {
	out := &peer.Reads{Fields: t.shape.good()}
	for _, rule := range t.rules {
		if rule.header != "" && !slices.Contains(out.Secrets, rule.header) {
			out.Secrets = append(out.Secrets, rule.header)
		}
	}
	return out
}

// good is what the headers of a good certificate have.
func (s *shape) good() []peer.Field {
	leaf, _ := s.encoding.words()
	out := []peer.Field{{Name: s.leaf, Value: leaf}}
	if s.elements > 0 {
		one := `Hash=` + peer.HexHash + `;Cert="` + peer.PercentPEM + `"`
		out[0].Value = strings.Repeat(one+",", s.elements-1) + one
	}
	if s.hash != "" {
		out = append(out, peer.Field{Name: s.hash, Value: s.hashForm.word()})
	}
	for _, v := range s.verdicts {
		out = append(out, peer.Field{Name: v.Header, Value: v.OK})
	}
	return append(out, s.goodChain()...)
}

// goodChain is a chain of one certificate, where it has headers of its own.
func (s *shape) goodChain() []peer.Field {
	encoding := s.encoding
	switch s.form {
	case ChainList:
		encoding = ByteSequence
	case ChainConcatenated:
		encoding = Base64
	case ChainNumbered:
	default:
		return nil
	}
	_, issuer := encoding.words()
	out := []peer.Field{{Name: s.chain[0], Value: issuer}}
	for _, name := range s.chain[1:] {
		if s.chainNone.Sent {
			out = append(out, peer.Field{Name: name, Value: s.chainNone.Value})
		}
	}
	return out
}

// words stand for a certificate that is encoded so, and for the one that signed it.
func (e Encoding) words() (leaf, issuer string) {
	switch e {
	case ByteSequence:
		return ":" + peer.Base64 + ":", ":" + peer.IssuerBase64 + ":"
	case PercentPEM:
		return peer.PercentPEM, peer.IssuerPercentPEM
	case SpacedPEM:
		return peer.SpacedPEM, peer.IssuerSpacedPEM
	}
	return peer.Base64, peer.IssuerBase64
}

// word stands for a fingerprint in this form.
func (f hashForm) word() string {
	if f == base64Hash {
		return peer.Base64Hash
	}
	return peer.HexHash
}
