package fido2

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/uuid"

	"github.com/sallyport-auth/sallyport/factors"
)

// trust is what an attestation proved.
type trust struct {
	model    bool // the authenticator is of the model that it says
	hardware bool // and that model keeps its keys in hardware
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
	if entry, known := s.metadata.models[id]; known {
		if err := metadata.ValidateStatusReportsAt(entry.StatusReports, nil, metadata.DefaultUndesiredAuthenticatorStatuses(), now); err != nil {
			return factors.Reject(ReasonAuthenticator, "model %s is reported as broken", id)
		}
	}
	if len(s.allow) > 0 && !r.Attested {
		return factors.Reject(ReasonAttestation, "its model was never proven")
	}
	return nil
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

// trust judges an attestation whose signatures the library has verified: by where its certificates lead.
func (s *Settings) trust(o protocol.AttestationObject, now time.Time) trust {
	if !s.trusting() {
		return trust{}
	}
	statements := []map[string]any{o.AttStatement}
	for _, sub := range o.SubStatements {
		statements = append(statements, sub.AttStatement)
	}
	id := modelID(o.AuthData.AttData.AAGUID)
	for _, statement := range statements {
		// A statement of SafetyNet has its certificates inside a token, and is none of these: it speaks of the phone's
		// software and not of where the key lies.
		chain := chainOf(statement)
		if len(chain) == 0 {
			continue
		}
		entry := s.metadata.entry(id, chain[0])
		if leadsTo(chain, s.roots, now) || entry != nil && leadsTo(chain, entry.MetadataStatement.AttestationRootCertificates, now) {
			return trust{model: true, hardware: inHardware(entry)}
		}
	}
	return trust{}
}

// inHardware reports whether a model keeps its keys in hardware. Of a model that the metadata do not know, the operator
// who configured its root says so.
func inHardware(entry *metadata.Entry) bool {
	if entry == nil {
		return true
	}
	kinds := entry.MetadataStatement.KeyProtection
	return !slices.Contains(kinds, "software") &&
		slices.ContainsFunc(kinds, func(k string) bool { return k == "hardware" || k == "tee" || k == "secure_element" })
}

// leadsTo reports whether a chain, leaf first, leads to one of the roots, or begins with it.
func leadsTo(chain, roots []*x509.Certificate, now time.Time) bool {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, root := range roots {
		if root.Equal(chain[0]) {
			return !now.Before(root.NotBefore) && !now.After(root.NotAfter)
		}
		opts.Roots.AddCert(root)
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(opts)
	return err == nil
}

const maxChain = 8

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
