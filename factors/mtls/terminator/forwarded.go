package terminator

import (
	"bytes"
	"crypto/x509"
	"strings"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls"
)

// element is one element of X-Forwarded-Client-Cert, as far as it is read. Names are not: Envoy writes By, URI and DNS as
// they are in the certificate, without quotes.
type element struct{ hash, cert, chain string }

// decodeForwarded reads X-Forwarded-Client-Cert, which has exactly so many elements: one that a certificate's name smuggled
// in, or a client sent, is one too many. The first is the client's.
func decodeForwarded(v string, elements int, b Bounds, h *hints) ([]*x509.Certificate, error) {
	found, err := parseForwarded(v, elements)
	if err != nil {
		return nil, err
	}
	if len(found) != elements {
		return nil, malformed("%d elements, and not %d", len(found), elements)
	}
	e := found[0]
	switch {
	case e.cert == "" || e.hash == "":
		return nil, malformed("no Cert, or no Hash")
	case len(e.cert) > b.Certificate:
		return nil, factors.Reject(mtls.ReasonTooLarge, "over %d bytes of a certificate", b.Certificate)
	}
	leaf, err := PercentPEM.decode(e.cert)
	if err != nil {
		return nil, err
	}
	if e.hash != strings.ToLower(e.hash) || !hexHash.matches(e.hash, leaf) {
		return nil, factors.Reject(ReasonFingerprint, "Hash")
	}
	if e.chain == "" {
		return h.parse([][]byte{leaf})
	}
	ders, err := percentPEMs(e.chain, b)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(ders[0], leaf) {
		return nil, malformed("Chain does not begin with Cert")
	}
	return h.parse(ders)
}

// parseForwarded takes a header apart: elements between commas, pairs between semicolons, values perhaps in double quotes
// with backslashes.
func parseForwarded(v string, most int) ([]element, error) {
	var out []element
	for {
		if len(out) == most {
			return nil, malformed("more than %d elements", most)
		}
		e, rest, err := parseElement(v)
		if err != nil {
			return nil, err
		}
		if out = append(out, e); rest == "" {
			return out, nil
		}
		v = rest[1:] // behind the comma
	}
}

// parseElement reads one element; rest begins with the comma behind it.
func parseElement(v string) (e element, rest string, err error) {
	var seen [len(forwardedKeys)]bool
	for {
		key, after, found := strings.Cut(v, "=")
		if !found {
			return e, "", malformed("a pair without a value")
		}
		i, known := forwardedKey(key)
		if !known || seen[i] && !forwardedKeys[i].repeats {
			return e, "", malformed("a key that is unknown or there twice")
		}
		seen[i] = true
		value, after, err := parseValue(after)
		if err != nil {
			return e, "", err
		}
		if err := e.set(forwardedKeys[i].name, value); err != nil {
			return e, "", err
		}
		if after == "" || after[0] == ',' {
			return e, after, nil
		}
		v = after[1:] // behind the semicolon
	}
}

var forwardedKeys = [...]struct {
	name    string
	repeats bool
}{{"by", true}, {"hash", false}, {"cert", false}, {"chain", false}, {"subject", false}, {"uri", true}, {"dns", true}}

func forwardedKey(key string) (int, bool) {
	for i := range forwardedKeys {
		if folds(key, forwardedKeys[i].name) {
			return i, true
		}
	}
	return 0, false
}

// set keeps what is read. What is there is not empty.
func (e *element) set(key, value string) error {
	var field *string
	switch key {
	case "hash":
		field = &e.hash
	case "cert":
		field = &e.cert
	case "chain":
		field = &e.chain
	default:
		return nil
	}
	if *field = value; value == "" {
		return malformed("an empty %s", key)
	}
	return nil
}

// parseValue reads a value up to the semicolon, comma or end that follows it. A backslash and the byte behind it are one,
// and stand as they are: no value that is read has any.
func parseValue(v string) (value, rest string, err error) {
	if !strings.HasPrefix(v, `"`) {
		i := strings.IndexAny(v, `;,"`)
		switch {
		case i < 0:
			return v, "", nil
		case v[i] == '"':
			return "", "", malformed("a quote inside a value")
		}
		return v[:i], v[i:], nil
	}
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '"':
			if rest = v[i+1:]; rest != "" && rest[0] != ';' && rest[0] != ',' {
				return "", "", malformed("text after a quote")
			}
			return v[1:i], rest, nil
		}
	}
	return "", "", malformed("a quote without its end")
}
