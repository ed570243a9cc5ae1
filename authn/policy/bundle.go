package policy

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const (
	// maxBundle bounds the file of a trust bundle, in bytes.
	maxBundle = 1 << 20
	// maxBundleDepth bounds how deep its JSON goes: a key is a member of the second level, its certificates of the fourth.
	maxBundleDepth = 16
	// maxTrustDomain bounds the name of a trust domain, in bytes (SPIFFE-ID section 2.3).
	maxTrustDomain = 255
)

// trustDomain reads the name of a SPIFFE trust domain (SPIFFE-ID section 2.1), which no anchor before has.
func (r *reader) trustDomain(anchor string, p *positioned) (string, error) {
	if p == nil {
		return "", nil
	}
	td, err := spiffeid.TrustDomainFromString(p.text)
	if err != nil || td.Name() != p.text || len(p.text) > maxTrustDomain {
		return "", r.at(p.node, "anchor %q: a trust domain is a name such as corp.example, in lower case", anchor)
	}
	for _, o := range r.policy.Anchors {
		if o.TrustDomain == p.text {
			return "", r.at(p.node, "anchor %q: the trust domain %s is anchor %q's", anchor, p.text, o.Name)
		}
	}
	return p.text, nil
}

// bundleFile reads the trust bundle of an anchor.
func (r *reader) bundleFile(a *Anchor, p positioned) error {
	b, err := r.source.read(p.text)
	if err != nil {
		return r.at(p.node, "the bundle cannot be read: %v", err)
	}
	var why string
	if a.Certificates, a.sequence, why = readBundle(a.TrustDomain, b); why != "" {
		return r.at(p.node, "the bundle %s", why)
	}
	if at, ok := errors.AsType[*Error](r.at(p.node, "")); ok {
		a.at = *at
	}
	return nil
}

// readBundle reads a trust bundle (SPIFFE Trust Domain and Bundle section 4): its X.509 authorities, of which there is at
// least one, and its sequence number. Keys of other kinds are let be. The refresh hint is too: a file is looked at all the
// time.
func readBundle(domain string, b []byte) (authorities []*x509.Certificate, sequence *uint64, why string) {
	if len(b) > maxBundle {
		return nil, nil, fmt.Sprintf("is larger than %d bytes", maxBundle)
	}
	if why := looseJSON(b); why != "" {
		return nil, nil, why
	}
	td, err := spiffeid.TrustDomainFromString(domain)
	if err != nil {
		return nil, nil, "is of no trust domain"
	}
	bundle, err := spiffebundle.Parse(td, b)
	if err != nil {
		return nil, nil, "is no SPIFFE trust bundle: a JWK set whose x509-svid keys have one certificate each"
	}
	authorities = bundle.X509Authorities()
	if len(authorities) == 0 {
		return nil, nil, "has no X.509 authority"
	}
	for _, c := range authorities {
		if !c.BasicConstraintsValid || !c.IsCA {
			return nil, nil, "holds a certificate that is not a CA's"
		}
	}
	if n, ok := bundle.SequenceNumber(); ok {
		sequence = &n
	}
	return authorities, sequence, ""
}

// bundleNames are the members of a bundle and of its keys that mean something here. encoding/json takes other spellings for
// them too.
var bundleNames = []string{"keys", "spiffe_sequence", "spiffe_refresh_hint", "use", "kty", "x5c", "kid"}

// looseJSON says why b is not one JSON value that everybody reads in the same way (RFC 8259 section 4); empty: it is one.
// No object has two members of one name, in whichever case.
func looseJSON(b []byte) string {
	d := jsontext.NewDecoder(bytes.NewReader(b)) // which refuses a name twice, and what is no UTF-8
	var seen [maxBundleDepth + 1]map[string]bool // the names of the objects that are open
	for {
		depth := d.StackDepth()
		kind, n := d.StackIndex(depth)
		t, err := d.ReadToken()
		switch {
		case errors.Is(err, io.EOF) && depth == 0 && n == 1:
			return ""
		case err != nil, depth == 0 && n > 0:
			return "is not one JSON value that is read in one way only"
		case d.StackDepth() > maxBundleDepth:
			return "is too deep"
		case t.Kind() == '{':
			seen[d.StackDepth()] = map[string]bool{}
		case kind == '{' && n%2 == 0 && t.Kind() == '"':
			name, folded := t.String(), foldName(t.String())
			if folded == "d" || folded == "k" { // RFC 7518 section 6: d is the private part of a key, k a secret one
				return "holds a private key"
			}
			if seen[depth][folded] || name != folded && slices.Contains(bundleNames, folded) {
				return fmt.Sprintf("has a member %.40q that could be taken for another", name)
			}
			seen[depth][folded] = true
		}
	}
}

// foldName makes one of all spellings that encoding/json takes for one: letters that differ in case alone, among them "ſ" for
// "s" and the sign of kelvin for "k". ASCII comes out in lower case.
func foldName(name string) string {
	return strings.Map(func(c rune) rune {
		least := c
		for o := unicode.SimpleFold(c); o != c; o = unicode.SimpleFold(o) {
			least = min(least, o)
		}
		return unicode.ToLower(least)
	}, name)
}

// follows refuses a policy whose trust bundles are older than those of the one in force: whoever puts an old file back
// brings back authorities that were taken out of it.
func (p *Policy) follows(inForce *Policy) error {
	for _, a := range p.Anchors {
		for _, o := range inForce.Anchors {
			if a.Bundle == "" || o.Bundle == "" || a.TrustDomain != o.TrustDomain || o.sequence == nil {
				continue
			}
			e := a.at
			switch {
			case a.sequence == nil:
				e.Message = fmt.Sprintf("the bundle has no spiffe_sequence any more: the one in force has %d", *o.sequence)
				return &e
			case *a.sequence < *o.sequence:
				e.Message = fmt.Sprintf("the bundle is older than the one in force: its spiffe_sequence is %d, which was %d", *a.sequence, *o.sequence)
				return &e
			}
		}
	}
	return nil
}
