package terminator

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls"
)

// shape is what a format reads. Names of headers are canonical once it is complete.
type shape struct {
	leaf     string // the header of the client's certificate
	none     None
	encoding Encoding
	elements int // of X-Forwarded-Client-Cert; zero: the format is another

	form      ChainForm
	chain     []string // headers of a chain apart
	chainNone None
	prefix    string // of numbered headers

	verdicts []Verdict
	hash     string // header with the fingerprint; empty: none
	hashForm hashForm

	foreign []string // headers that another mode of the terminator sends
	others  []string // headers to be removed and not read

	unverified bool // the terminator passes on what it did not verify
	excused    bool // verdicts need not be good
}

var (
	errHeaderName = errors.New("not the name of a header that a terminator could set")
	errSameHeader = errors.New("one header has two meanings")
	errVerdict    = errors.New("a verdict that is the same with and without a certificate says nothing: one at least must differ")
)

// reserved are headers that mean something else to every program.
var reserved = []string{"Authorization", "Connection", "Content-Length", "Cookie", "Early-Data", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// token are the characters of a header's name (RFC 9110 section 5.6.2).
const token = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func canonical(name string) (string, error) {
	c := http.CanonicalHeaderKey(name)
	if name == "" || len(name) > maxName || strings.Trim(name, token) != "" || slices.Contains(reserved, c) {
		return "", fmt.Errorf("%q: %w", name, errHeaderName)
	}
	return c, nil
}

// complete makes the names canonical and checks them.
func (s *shape) complete() error {
	var err error
	for _, name := range s.names() {
		if *name == "" {
			continue
		}
		if *name, err = canonical(*name); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(s.verdicts, func(v Verdict) bool { return v.Header == "" }) {
		return errHeaderName
	}
	if s.judged() && !slices.ContainsFunc(s.verdicts, func(v Verdict) bool { return v.OK != v.None }) {
		return errVerdict
	}
	return nil
}

// names are all headers that are the terminator's.
func (s *shape) names() []*string {
	names := []*string{&s.leaf, &s.hash}
	for i := range s.verdicts {
		names = append(names, &s.verdicts[i].Header)
	}
	for _, list := range [][]string{s.chain, s.foreign, s.others} {
		for i := range list {
			names = append(names, &list[i])
		}
	}
	return names
}

// judged reports whether the terminator sends its verdict.
func (s *shape) judged() bool {
	return slices.ContainsFunc(s.verdicts, func(v Verdict) bool { return !v.Presence })
}

// sent is what a terminator sent about a certificate, as it stands in the headers. It is what parsed certificates are
// remembered by.
type sent struct{ leaf, chain, hash string }

// read takes what was sent out of the headers: the zero sent where the client has no certificate.
func (s *shape) read(h http.Header, b Bounds) (sent, error) {
	if s.size(h) > b.All {
		return sent{}, factors.Reject(mtls.ReasonTooLarge, "over %d bytes of headers", b.All)
	}
	for _, name := range s.foreign {
		if len(h[name]) > 0 {
			return sent{}, factors.Reject(ReasonContradiction, "%s is of another mode of the terminator", name)
		}
	}
	leaf, present, err := one(h, s.leaf, s.none)
	if err != nil {
		return sent{}, err
	}
	if err := s.checkVerdicts(h, present); err != nil {
		return sent{}, err
	}
	out := sent{leaf: leaf}
	if s.hash != "" {
		var has bool
		if out.hash, has, err = one(h, s.hash, s.none); err != nil {
			return sent{}, err
		} else if has != present {
			return sent{}, factors.Reject(ReasonContradiction, "%s goes with a certificate", s.hash)
		}
	}
	if out.chain, err = s.readChain(h); err != nil {
		return sent{}, err
	}
	switch {
	case !present && out.chain != "":
		return sent{}, factors.Reject(ReasonContradiction, "a chain without a certificate of the client")
	case !present:
		return sent{}, nil
	case s.form != ChainWithLeaf && s.elements == 0 && len(leaf) > b.Certificate:
		return sent{}, factors.Reject(mtls.ReasonTooLarge, "over %d bytes of a certificate", b.Certificate)
	case leaf == "":
		return sent{}, malformed("%s is empty", s.leaf)
	}
	return out, nil
}

// size is how many bytes the values of the terminator's headers have.
func (s *shape) size(h http.Header) int {
	n := valuesSize(h[s.leaf]) + valuesSize(h[s.hash])
	for i := range s.verdicts {
		n += valuesSize(h[s.verdicts[i].Header])
	}
	for _, name := range s.chain {
		n += valuesSize(h[name])
	}
	return n
}

func valuesSize(values []string) (n int) {
	for _, v := range values {
		n += len(v)
	}
	return n
}

// one reads a header that occurs once, or not at all where that means that there is none.
func one(h http.Header, name string, none None) (value string, present bool, err error) {
	values := h[name]
	switch {
	case len(values) > 1:
		return "", false, factors.Reject(ReasonRepeated, "%s, %d times", name, len(values))
	case len(values) == 0 && none.Sent:
		return "", false, factors.Reject(ReasonMissing, "%s", name)
	case len(values) == 0:
		return "", false, nil
	case none.Sent && values[0] == none.Value:
		return "", false, nil
	}
	return values[0], true, nil
}

// checkVerdicts wants every verdict there, and good where there is a certificate.
func (s *shape) checkVerdicts(h http.Header, present bool) error {
	for i := range s.verdicts {
		v := &s.verdicts[i]
		switch values := h[v.Header]; {
		case len(values) == 0:
			return factors.Reject(ReasonMissing, "%s", v.Header)
		case len(values) > 1:
			return factors.Reject(ReasonRepeated, "%s, %d times", v.Header, len(values))
		case !present && values[0] != v.None:
			return factors.Reject(ReasonContradiction, "%s speaks of a certificate, and there is none", v.Header)
		case present && values[0] != v.OK && v.Presence:
			return factors.Reject(ReasonContradiction, "%s speaks of no certificate, and there is one", v.Header)
		case present && values[0] != v.OK && !s.excused:
			return factors.Reject(ReasonNotVerified, "%s", v.Header)
		}
	}
	return nil
}

// readChain reads the headers of a chain apart. Where it is in several, they are put together by a byte that no value has.
func (s *shape) readChain(h http.Header) (string, error) {
	switch s.form {
	case ChainList:
		values := h[s.chain[0]]
		switch {
		case s.chainNone.Sent:
			v, _, err := one(h, s.chain[0], s.chainNone)
			return v, err
		case len(values) == 0:
			return "", nil
		case len(values) == 1 && values[0] == "":
			return "", malformed("%s is empty", s.chain[0])
		case len(values) == 1:
			return values[0], nil
		}
		return strings.Join(values, ","), nil
	case ChainConcatenated:
		v, present, err := one(h, s.chain[0], s.chainNone)
		if err == nil && present && v == "" {
			err = malformed("%s is empty", s.chain[0])
		}
		return v, err
	case ChainNumbered:
		return s.readNumbered(h)
	}
	return "", nil
}

// readNumbered reads a chain with a header for each certificate. None may be missing before one that is there.
func (s *shape) readNumbered(h http.Header) (string, error) {
	chain, ended := "", false
	for _, name := range s.chain {
		v, present, err := one(h, name, s.chainNone)
		switch {
		case err != nil:
			return "", err
		case !present:
			ended = true
		case ended:
			return "", malformed("%s follows a gap", name)
		case v == "":
			return "", malformed("%s is empty", name)
		case chain == "":
			chain = v
		default:
			chain += between + v
		}
	}
	return chain, nil
}

// between stands between the values of several headers. No header has it.
const between = "\n"

// malformed rejects what is not written as the format has it. The message holds nothing of what was sent.
func malformed(format string, args ...any) error {
	return factors.Reject(ReasonMalformed, format, args...)
}
