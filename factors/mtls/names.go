package mtls

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
)

// source is a place in a certificate that a rule reads.
type source string

const (
	fromCommonName source = "subject.cn"
	fromURI        source = "san.uri"
	fromDNS        source = "san.dns"
	fromEmail      source = "san.email"
	fromUPN        source = "san.upn"
	fromAnchor     source = "anchor"
)

var sources = []source{fromCommonName, fromURI, fromDNS, fromEmail, fromUPN, fromAnchor}

// maxSANs bounds the entries of a SAN, so that checking name constraints cannot be made slow.
const maxSANs = 64

// maxNames bounds the RDNs of a subject.
const maxNames = 64

var (
	oidSubjectAltName      = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNameConstraints     = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidKeyUsage            = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidCommonName          = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidUserPrincipalName   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	errSubject             = errors.New("mtls: the subject is malformed")
	errSAN                 = errors.New("mtls: the subjectAltName is malformed")
	errTooManyNames        = errors.New("mtls: too many names")
	errNameType            = errors.New("mtls: a name has a string type that is not read")
	errUserPrincipalName   = errors.New("mtls: a user principal name is malformed")
	generalNameDirectories = []int{3, 4, 5, 7, 8} // x400Address, directoryName, ediPartyName, iPAddress, registeredID
)

// names are the values of a certificate that can name somebody, in the order and spelling of the certificate.
type names map[source][]string

// readNames takes the names out of the certificate's own bytes: crypto/x509 keeps one common name of several, knows no
// user principal names, and prints URIs anew.
func readNames(c *x509.Certificate) (names, error) {
	out := names{}
	if err := out.readSubject(c.RawSubject); err != nil {
		return nil, err
	}
	for _, e := range c.Extensions {
		if e.Id.Equal(oidSubjectAltName) {
			if err := out.readSAN(e.Value); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// attribute is AttributeTypeAndValue (RFC 5280 section 4.1.2.4).
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// attributes is RelativeDistinguishedName; encoding/asn1 reads a type of this name as a SET OF.
type attributesSET []attribute

// readSubject collects every CN, also several of one RDN.
func (n names) readSubject(der []byte) error {
	var subject []attributesSET
	if rest, err := asn1.Unmarshal(der, &subject); err != nil || len(rest) > 0 {
		return errSubject
	}
	count := 0
	for _, rdn := range subject {
		if count += len(rdn); count > maxNames {
			return errTooManyNames
		}
		for _, a := range rdn {
			if !a.Type.Equal(oidCommonName) {
				continue
			}
			text, err := directoryString(a.Value)
			if err != nil {
				return err
			}
			n[fromCommonName] = append(n[fromCommonName], text)
		}
	}
	return nil
}

// directoryString reads the two forms that RFC 5280 section 4.1.2.4 lets conforming CAs use.
func directoryString(v asn1.RawValue) (string, error) {
	if v.Class != asn1.ClassUniversal || v.IsCompound || (v.Tag != asn1.TagUTF8String && v.Tag != asn1.TagPrintableString) {
		return "", errNameType
	}
	return string(v.Bytes), nil
}

// readSAN reads a GeneralNames (RFC 5280 section 4.2.1.6).
func (n names) readSAN(der []byte) error {
	var general []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &general); err != nil || len(rest) > 0 || len(general) == 0 {
		return errSAN
	}
	if len(general) > maxSANs {
		return errTooManyNames
	}
	for _, g := range general {
		if g.Class != asn1.ClassContextSpecific {
			return errSAN
		}
		if err := n.readGeneralName(g); err != nil {
			return err
		}
	}
	return nil
}

func (n names) readGeneralName(g asn1.RawValue) error {
	text := map[int]source{1: fromEmail, 2: fromDNS, 6: fromURI}
	if from, ok := text[g.Tag]; ok {
		if g.IsCompound {
			return errSAN
		}
		n[from] = append(n[from], string(g.Bytes))
		return nil
	}
	if g.Tag == 0 && g.IsCompound {
		return n.readOtherName(g.Bytes)
	}
	if !slices.Contains(generalNameDirectories, g.Tag) {
		return errSAN
	}
	return nil
}

// readOtherName reads AnotherName and keeps it if it is a user principal name, which is a UTF8String.
func (n names) readOtherName(der []byte) error {
	var id asn1.ObjectIdentifier
	rest, err := asn1.Unmarshal(der, &id)
	if err != nil {
		return errSAN
	}
	var value, text asn1.RawValue
	if rest, err = asn1.Unmarshal(rest, &value); err != nil || len(rest) > 0 ||
		value.Class != asn1.ClassContextSpecific || value.Tag != 0 || !value.IsCompound {
		return errSAN
	}
	if !id.Equal(oidUserPrincipalName) {
		return nil
	}
	rest, err = asn1.Unmarshal(value.Bytes, &text)
	if err != nil || len(rest) > 0 || text.Class != asn1.ClassUniversal || text.Tag != asn1.TagUTF8String || text.IsCompound {
		return errUserPrincipalName
	}
	n[fromUPN] = append(n[fromUPN], string(text.Bytes))
	return nil
}

// fault says what is wrong with any of the names, whether a rule reads it or not: a certificate that holds characters
// made to deceive is refused as a whole.
func (n names) fault() string {
	for _, from := range sources {
		for _, s := range n[from] {
			if why := textFault(s); why != "" {
				return "a " + string(from) + " " + why
			}
		}
	}
	return ""
}
