package policy

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"reflect"
	"slices"
)

type anchorEntry struct {
	CA          positioned  `yaml:"ca"`
	Bundle      positioned  `yaml:"bundle"`
	TrustDomain *positioned `yaml:"trust_domain"`
	Tenant      filled      `yaml:"tenant"`
	Tenants     []filled    `yaml:"tenants"`
}

func (r *reader) anchors() error {
	for _, p := range r.in.Anchors.pairs {
		if err := r.named(p, "anchor"); err != nil {
			return err
		}
		a, err := r.anchor(p)
		if err != nil {
			return err
		}
		r.policy.Anchors = append(r.policy.Anchors, a)
	}
	return nil
}

func (r *reader) anchor(p pair) (Anchor, error) {
	var e anchorEntry
	if err := r.source.structure(p.value, reflect.ValueOf(&e).Elem()); err != nil {
		return Anchor{}, err
	}
	switch {
	case e.CA.text == "" && e.Bundle.text == "":
		return Anchor{}, r.at(p.at, "anchor %q: ca is missing: a file of CA certificates; or bundle: a SPIFFE trust bundle", p.key)
	case e.CA.text != "" && e.Bundle.text != "":
		return Anchor{}, r.at(e.Bundle.node, "anchor %q: give ca or bundle, not both", p.key)
	case e.Bundle.text != "" && e.TrustDomain == nil:
		return Anchor{}, r.at(e.Bundle.node, "anchor %q: trust_domain is missing: whose bundle this is", p.key)
	case e.Tenant != "" && len(e.Tenants) > 0:
		return Anchor{}, r.at(p.at, "anchor %q: give tenant (its owner) or tenants (that the portal's anchor speaks for), not both", p.key)
	}
	for i, tenant := range e.Tenants {
		if slices.Contains(e.Tenants[:i], tenant) {
			return Anchor{}, r.at(nodeAt(p.value, fmt.Sprintf("tenants[%d]", i)), "anchor %q: tenant %q is here twice", p.key, tenant)
		}
	}
	a := Anchor{Name: p.key, Tenant: string(e.Tenant), Tenants: texts(e.Tenants)}
	var err error
	if a.TrustDomain, err = r.trustDomain(p.key, e.TrustDomain); err != nil {
		return Anchor{}, err
	}
	if e.Bundle.text != "" {
		a.Bundle = r.source.resolve(e.Bundle.text)
		return a, r.bundleFile(&a, e.Bundle)
	}
	a.CA = r.source.resolve(e.CA.text)
	a.Certificates, err = r.caFile(e.CA)
	return a, err
}

func texts(list []filled) []string {
	var out []string
	for _, f := range list {
		out = append(out, string(f))
	}
	return out
}

func (r *reader) caFile(p positioned) ([]*x509.Certificate, error) {
	b, err := r.source.read(p.text)
	if err != nil {
		return nil, r.at(p.node, "the CA file cannot be read: %v", err)
	}
	certs, why := caCertificates(b)
	if why != "" {
		return nil, r.at(p.node, "%s", why)
	}
	return certs, nil
}

// caCertificates reads certificates in PEM. Text before each of them is let be, as RFC 7468 section 5.2 has it; what looks
// like a block and is not read is an error, for pem.Decode passes it over.
func caCertificates(b []byte) (certs []*x509.Certificate, why string) {
	lower := bytes.ToLower(b)
	begun, ended := bytes.Count(lower, []byte("-----begin")), bytes.Count(lower, []byte("-----end"))
	for len(bytes.TrimSpace(b)) > 0 {
		block, rest := pem.Decode(b)
		if block == nil {
			return nil, "the CA file holds something that is no PEM certificate"
		}
		if block.Type != "CERTIFICATE" {
			return nil, "the CA file holds a " + block.Type + ": only certificates belong there"
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, "the CA file holds a certificate that cannot be parsed"
		}
		if !c.BasicConstraintsValid || !c.IsCA {
			return nil, "the CA file holds a certificate that is not a CA's"
		}
		certs, b = append(certs, c), rest
	}
	if len(certs) == 0 {
		return nil, "the CA file is empty"
	}
	if len(certs) != begun || len(certs) != ended {
		return nil, "the CA file holds a damaged block"
	}
	return certs, ""
}
