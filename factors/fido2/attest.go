package fido2

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/uuid"

	"github.com/sallyport-auth/sallyport/factors"
)

// trust is what an attestation proved, and what must be kept to ask later whether it still does.
type trust struct {
	model    bool // the authenticator is of the model that it says
	hardware bool // and that model keeps its keys in hardware

	id    uuid.UUID // of the model
	keys  []string  // of the makers of models without an id, as the metadata name them
	roots [][]byte  // that it leads to: hashes of their keys
}

// permits holds a credential to what the policy says of models and of copies.
func (s *Settings) permits(r record, now time.Time) error {
	if s.deviceBound && r.BackupEligible {
		return factors.Reject(ReasonNotDeviceBound, "")
	}
	id := modelID(r.AAGUID)
	if slices.Contains(s.deny, id) || len(s.allow) > 0 && !slices.Contains(s.allow, id) {
		return factors.Reject(ReasonAuthenticator, "model %s", id)
	}
	for _, entry := range s.metadata.entries(id, r.MakerKeys) {
		if err := metadata.ValidateStatusReportsAt(entry.StatusReports, nil, metadata.DefaultUndesiredAuthenticatorStatuses(), now); err != nil {
			return factors.Reject(ReasonAuthenticator, "model %s is reported as broken", id)
		}
	}
	if len(s.allow) > 0 && !s.proven(r).model {
		return factors.Reject(ReasonAttestation, "its model is not proven")
	}
	return nil
}

// proven is what the attestation of a credential proves by the roots and metadata of now. It never becomes more than it
// was when it was judged.
func (s *Settings) proven(r record) trust {
	if !r.Attested {
		return trust{}
	}
	roots, entries := s.roots, s.metadata.entries(modelID(r.AAGUID), r.MakerKeys)
	for _, entry := range entries {
		roots = append(slices.Clip(roots), entry.MetadataStatement.AttestationRootCertificates...)
	}
	model := slices.ContainsFunc(roots, func(root *x509.Certificate) bool {
		hash := keyHash(root)
		return slices.ContainsFunc(r.Roots, func(had []byte) bool { return bytes.Equal(had, hash) })
	})
	return trust{model: model, hardware: model && r.Hardware && inHardware(entries)}
}

// keyHash stands for a root, and for the certificate that it renews.
func keyHash(c *x509.Certificate) []byte {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return sum[:]
}

func modelID(b []byte) uuid.UUID {
	id, err := uuid.FromBytes(b)
	if err != nil {
		return uuid.Nil
	}
	return id
}

// overlook drops an attestation that nobody asked for and that the library can hold only to roots (Google's, Apple's) or
// to a list of vendors (of TPMs) of its own. It would count for nothing. All others must verify, asked for or not.
func (s *Settings) overlook(o *protocol.AttestationObject) {
	if s.trusting() {
		return
	}
	switch protocol.AttestationFormat(o.Format) {
	case protocol.AttestationFormatAndroidKey, protocol.AttestationFormatApple, protocol.AttestationFormatAndroidSafetyNet,
		protocol.AttestationFormatTPM:
		o.Format, o.AttStatement = string(protocol.AttestationFormatNone), nil
	}
}

// statement is a part of an attestation.
type statement struct {
	format protocol.AttestationFormat
	body   map[string]any
}

func statements(o protocol.AttestationObject) []statement {
	list := []statement{{protocol.AttestationFormat(o.Format), o.AttStatement}}
	for _, sub := range o.SubStatements {
		list = append(list, statement{protocol.AttestationFormat(sub.Format), sub.AttStatement})
	}
	return list
}

// trust judges an attestation whose signatures the library has verified: by where its certificates lead.
func (s *Settings) trust(o protocol.AttestationObject, now time.Time) trust {
	list := statements(o)
	t := trust{id: modelID(o.AuthData.AttData.AAGUID)}
	if slices.ContainsFunc(list, func(st statement) bool { return st.format == protocol.AttestationFormatFIDOUniversalSecondFactor }) {
		t.id = uuid.Nil // U2F signs no model: what stands there is the client's
	}
	for _, st := range list {
		chain := st.chain()
		if len(chain) == 0 {
			continue
		}
		var key []string
		if id := keyIdentifier(chain[0]); t.id == uuid.Nil && len(t.keys) < maxChain {
			key = []string{id}
			t.keys = append(t.keys, id)
		}
		if t.model || !s.trusting() {
			continue
		}
		roots, entries := s.roots, s.metadata.entries(t.id, key)
		for _, entry := range entries {
			roots = append(slices.Clip(roots), entry.MetadataStatement.AttestationRootCertificates...)
		}
		t.roots = leadsTo(chain, roots, now)
		t.model = len(t.roots) > 0
		t.hardware = t.model && inHardware(entries)
	}
	return t
}

// inHardware reports whether a model keeps its keys in hardware. Of a model that the metadata do not know, the operator
// who configured its root says so.
func inHardware(entries []*metadata.Entry) bool {
	for _, entry := range entries {
		kinds := entry.MetadataStatement.KeyProtection
		if slices.Contains(kinds, "software") ||
			!slices.ContainsFunc(kinds, func(k string) bool { return k == "hardware" || k == "tee" || k == "secure_element" }) {
			return false
		}
	}
	return true
}

// leadsTo gives the roots that a chain, leaf first, leads to, or that it begins with: hashes of their keys.
func leadsTo(chain, roots []*x509.Certificate, now time.Time) [][]byte {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, root := range roots {
		if root.Equal(chain[0]) {
			if now.Before(root.NotBefore) || now.After(root.NotAfter) {
				return nil
			}
			return [][]byte{keyHash(root)}
		}
		opts.Roots.AddCert(root)
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	var hashes [][]byte
	paths, _ := chain[0].Verify(opts) // none if it leads nowhere
	for _, path := range paths {
		hash := keyHash(path[len(path)-1])
		if len(hashes) < maxChain && !slices.ContainsFunc(hashes, func(had []byte) bool { return bytes.Equal(had, hash) }) {
			hashes = append(hashes, hash)
		}
	}
	return hashes
}

const maxChain = 8

// certified are the formats whose statements have certificates. One of SafetyNet has them inside a token, and is none of
// these: it speaks of the phone's software and not of where the key lies. What lies beside a statement is not looked at.
var certified = []protocol.AttestationFormat{protocol.AttestationFormatPacked, protocol.AttestationFormatTPM,
	protocol.AttestationFormatAndroidKey, protocol.AttestationFormatApple, protocol.AttestationFormatFIDOUniversalSecondFactor}

func (st statement) chain() []*x509.Certificate {
	if !slices.Contains(certified, st.format) {
		return nil
	}
	return chainOf(st.body)
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// chainOf are the certificates of a statement.
func chainOf(statement map[string]any) []*x509.Certificate {
	x5c, ok := statement["x5c"].([]any)
	if !ok || len(x5c) > maxChain {
		return nil
	}
	var chain []*x509.Certificate
	for _, item := range x5c {
		der, ok := item.([]byte)
		if !ok {
			return nil
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil
		}
		chain = append(chain, c)
	}
	if len(chain) > 0 {
		// A TPM has its name in a critical extension, in a form that crypto/x509 does not read; the library did.
		chain[0].UnhandledCriticalExtensions = slices.DeleteFunc(chain[0].UnhandledCriticalExtensions, oidSubjectAltName.Equal)
	}
	return chain
}
