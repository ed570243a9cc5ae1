package fido2

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/google/uuid"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// Kind makes the factors of kind "fido2".
func Kind() factors.Kind { return kind{} }

type kind struct{}

func (kind) Name() string { return KindName }

// Settings is a section of the policy file, decoded.
type Settings struct {
	name             string
	userVerification protocol.UserVerificationRequirement
	deviceBound      bool
	attestation      protocol.ConveyancePreference
	roots            []*x509.Certificate
	metadata         catalogue
	allow, deny      []uuid.UUID
	parameters       []protocol.CredentialParameter
	timeout          time.Duration
	attachment       protocol.AuthenticatorAttachment
	rpName           string
}

type section struct {
	UserVerification string        `yaml:"user_verification"`
	DeviceBound      bool          `yaml:"device_bound"`
	Attestation      string        `yaml:"attestation"`
	Roots            []string      `yaml:"attestation_roots"`
	Metadata         string        `yaml:"metadata"`
	MetadataRoot     string        `yaml:"metadata_root"`
	AAGUIDs          aaguids       `yaml:"aaguids"`
	Algorithms       []string      `yaml:"algorithms"`
	Timeout          time.Duration `yaml:"timeout"`
	Attachment       string        `yaml:"authenticator_attachment"`
	RPName           string        `yaml:"rp_name"`
}

type aaguids struct {
	Allow []string `yaml:"allow"`
	Deny  []string `yaml:"deny"`
}

const (
	defaultTimeout = 5 * time.Minute
	minTimeout     = 10 * time.Second // to find the thing and to touch it
	maxTimeout     = 10 * time.Minute
)

var algorithms = map[string]webauthncose.COSEAlgorithmIdentifier{
	"ES256": webauthncose.AlgES256, "ES384": webauthncose.AlgES384, "ES512": webauthncose.AlgES512,
	"EdDSA": webauthncose.AlgEdDSA, "RS256": webauthncose.AlgRS256, "PS256": webauthncose.AlgPS256,
}

// Settings implements policy.Kind.
func (kind) Settings(s *policy.Section) (policy.Settings, error) {
	in := section{UserVerification: "required", Attestation: "none", Algorithms: []string{"ES256", "EdDSA", "RS256"}, Timeout: defaultTimeout}
	if err := s.Decode(&in); err != nil {
		return nil, err
	}
	out := &Settings{name: s.Name(), deviceBound: in.DeviceBound, timeout: in.Timeout, rpName: in.RPName,
		userVerification: protocol.UserVerificationRequirement(in.UserVerification), attestation: protocol.ConveyancePreference(in.Attestation),
		attachment: protocol.AuthenticatorAttachment(in.Attachment)}
	if err := out.check(s, in); err != nil {
		return nil, err
	}
	if err := out.readAlgorithms(s, in.Algorithms); err != nil {
		return nil, err
	}
	if err := out.readAAGUIDs(s, in.AAGUIDs); err != nil {
		return nil, err
	}
	if err := out.readTrust(s, in); err != nil {
		return nil, err
	}
	return out, nil
}

func (out *Settings) check(s *policy.Section, in section) error {
	if !slices.Contains([]string{"required", "preferred", "discouraged"}, in.UserVerification) {
		return s.Errorf("user_verification", "is required, preferred or discouraged")
	}
	if !slices.Contains([]string{"none", "direct", "enterprise"}, in.Attestation) {
		return s.Errorf("attestation", "is none, direct or enterprise")
	}
	if !slices.Contains([]string{"", "platform", "cross-platform"}, in.Attachment) {
		return s.Errorf("authenticator_attachment", "is platform or cross-platform")
	}
	if in.Timeout < minTimeout {
		return s.Errorf("timeout", "is %v at the least", minTimeout)
	}
	if in.Timeout > maxTimeout {
		return s.Errorf("timeout", "is %v at the most", maxTimeout)
	}
	if len(in.RPName) > 64 {
		return s.Errorf("rp_name", "is 64 bytes at the most")
	}
	if in.RPName != printable(in.RPName) || in.RPName != strings.TrimSpace(in.RPName) {
		return s.Errorf("rp_name", "has characters that cannot be seen, or a space at an end")
	}
	for _, o := range s.Origins() {
		if _, err := netip.ParseAddr(o.RPID); err == nil {
			return s.Errorf("", "browsers make no passkeys for an address: the origin %s needs a name", o.URL)
		}
	}
	return nil
}

func (out *Settings) readAlgorithms(s *policy.Section, names []string) error {
	for i, name := range names {
		alg, ok := algorithms[name]
		if !ok {
			return s.Errorf(fmt.Sprintf("algorithms[%d]", i), "is none of ES256, ES384, ES512, EdDSA, RS256, PS256")
		}
		if slices.Contains(names[:i], name) {
			return s.Errorf(fmt.Sprintf("algorithms[%d]", i), "is there already")
		}
		out.parameters = append(out.parameters, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: alg})
	}
	if len(out.parameters) == 0 {
		return s.Errorf("algorithms", "names none")
	}
	return nil
}

func (out *Settings) readAAGUIDs(s *policy.Section, in aaguids) error {
	for _, list := range []struct {
		name string
		from []string
		to   *[]uuid.UUID
	}{{"allow", in.Allow, &out.allow}, {"deny", in.Deny, &out.deny}} {
		for i, text := range list.from {
			at := fmt.Sprintf("aaguids.%s[%d]", list.name, i)
			id, err := uuid.Parse(text)
			if err != nil || id.String() != strings.ToLower(text) {
				return s.Errorf(at, "is no AAGUID")
			}
			if slices.Contains(out.allow, id) || slices.Contains(out.deny, id) {
				return s.Errorf(at, "is there already")
			}
			*list.to = append(*list.to, id)
		}
	}
	return nil
}

// readTrust reads what attestation is checked against.
func (out *Settings) readTrust(s *policy.Section, in section) error {
	for i, path := range in.Roots {
		roots, err := readCertificates(s, fmt.Sprintf("attestation_roots[%d]", i), path)
		if err != nil {
			return err
		}
		out.roots = append(out.roots, roots...)
	}
	if err := out.readMetadata(s, in); err != nil {
		return err
	}
	switch {
	case out.trusting() && in.Attestation == "none":
		return s.Errorf("attestation", "is none, so that the roots or metadata are never asked: write direct")
	case !out.trusting() && in.Attestation != "none":
		return s.Errorf("attestation", "needs attestation_roots or metadata to be checked against")
	case len(out.allow) > 0 && !out.trusting():
		return s.Errorf("aaguids.allow", "means nothing without attestation: anyone can claim a model")
	}
	return nil
}

func (out *Settings) readMetadata(s *policy.Section, in section) error {
	if in.Metadata == "" {
		if in.MetadataRoot != "" {
			return s.Errorf("metadata_root", "means nothing without metadata")
		}
		return nil
	}
	var roots []*x509.Certificate
	if in.MetadataRoot != "" {
		var err error
		if roots, err = readCertificates(s, "metadata_root", in.MetadataRoot); err != nil {
			return err
		}
	}
	b, err := s.ReadFile(in.Metadata)
	if err != nil {
		return s.Errorf("metadata", "cannot be read: %v", err)
	}
	if out.metadata, err = readMetadata(b, roots); err != nil {
		return s.Errorf("metadata", "is no metadata BLOB that verifies: %v", err)
	}
	return nil
}

func readCertificates(s *policy.Section, at, path string) ([]*x509.Certificate, error) {
	b, err := s.ReadFile(path)
	if err != nil {
		return nil, s.Errorf(at, "cannot be read: %v", err)
	}
	certs, err := certificates(b)
	if err != nil {
		return nil, s.Errorf(at, "%v", err)
	}
	return certs, nil
}

// certificates reads roots in PEM, as strictly as the CA files of the policy are read: only text before a block is let be.
func certificates(b []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	begun := bytes.Count(b, []byte("-----BEGIN"))
	for len(bytes.TrimSpace(b)) > 0 {
		block, rest := pem.Decode(b)
		if block == nil {
			return nil, errors.New("holds something that is no PEM certificate")
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s: only certificates belong there", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("holds a certificate that cannot be parsed")
		}
		if !c.BasicConstraintsValid || !c.IsCA {
			return nil, errors.New("holds a certificate that is not a CA's")
		}
		certs, b = append(certs, c), rest
	}
	if len(certs) == 0 {
		return nil, errors.New("holds no certificate")
	}
	if len(certs) != begun { // pem.Decode passes over what it cannot read
		return nil, errors.New("holds a damaged block")
	}
	return certs, nil
}

// trusting reports whether attestation is checked against anything.
func (out *Settings) trusting() bool { return len(out.roots) > 0 || out.metadata.read }

// Describe implements policy.Settings.
func (out *Settings) Describe() authn.Factor {
	amr := []string{"hwk", "swk", "user"}
	if out.deviceBound {
		amr = []string{"hwk", "user"}
	}
	return authn.Factor{Name: out.name, Kind: KindName, Identifies: authn.IdentifiesUser, AMR: amr,
		Best: authn.Strength{Category: authn.Have, PhishingResistant: true, Hardware: out.trusting(),
			UserVerified: out.userVerification != protocol.VerificationDiscouraged}}
}
