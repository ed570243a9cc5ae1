package fido2

import (
	"encoding/base64"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport-auth/sallyport/authn"
)

// record is what is stored of a credential: the credential record of WebAuthn L3 section 4, as far as it is needed.
type record struct {
	Version        int      `json:"v"`
	RPID           string   `json:"rp_id"`
	ID             []byte   `json:"id"`
	Handle         []byte   `json:"handle"`       // of its owner
	PublicKey      []byte   `json:"public_key"`   // a COSE key
	Key            string   `json:"key,omitzero"` // what evidence calls it; records of old have none
	Counter        uint32   `json:"counter"`
	BackupEligible bool     `json:"backup_eligible,omitzero"` // it can be copied; never unset
	BackedUp       bool     `json:"backed_up,omitzero"`       // and was, as last seen
	Verified       bool     `json:"verified,omitzero"`        // its holder was verified at least once
	AAGUID         []byte   `json:"aaguid,omitzero"`          // the model, as the authenticator says
	Format         string   `json:"attestation_format,omitzero"`
	Transports     []string `json:"transports,omitzero"` // hints for browsers
	// Attested says that the model was proven at enrolment, and Hardware that models of this sort keep keys in hardware.
	// Both count while one of the roots is trusted that the attestation led to.
	Attested  bool     `json:"attested,omitzero"`
	Hardware  bool     `json:"hardware,omitzero"`
	Roots     [][]byte `json:"attestation_roots,omitzero"` // hashes of their keys
	MakerKeys []string `json:"maker_keys,omitzero"`        // of a model without an AAGUID, as the metadata name them
}

const recordVersion = 1

var errRecord = errors.New("fido2: a stored credential cannot be read")

func (r record) encode() ([]byte, error) {
	r.Version = recordVersion
	return json.Marshal(r)
}

func decode(data []byte) (record, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil || r.Version != recordVersion || len(r.ID) == 0 || len(r.PublicKey) == 0 {
		return record{}, errRecord
	}
	return r, nil
}

// key is what evidence calls the public key.
func (r record) key() (string, error) {
	if r.Key != "" {
		return r.Key, nil
	}
	return nameOf(r.PublicKey)
}

// newRecord keeps what is needed of a credential that the library made.
func newRecord(rpID string, handle []byte, c *webauthn.Credential, t trust) record {
	r := record{RPID: rpID, ID: c.ID, Handle: handle, PublicKey: c.PublicKey, Counter: c.Authenticator.SignCount,
		BackupEligible: c.Flags.BackupEligible, BackedUp: c.Flags.BackupState, Verified: c.Flags.UserVerified,
		AAGUID: t.id[:], Format: c.AttestationFormat, Attested: t.model, Hardware: t.hardware, Roots: t.roots, MakerKeys: t.keys}
	for _, t := range c.Transport {
		if len(r.Transports) < maxTransports && len(t) <= maxTransport {
			r.Transports = append(r.Transports, string(t))
		}
	}
	return r
}

const (
	maxTransports = 8
	maxTransport  = 32 // bytes
)

// library is the record as the library wants it.
func (r record) library() webauthn.Credential {
	return webauthn.Credential{ID: r.ID, PublicKey: r.PublicKey, AttestationFormat: r.Format,
		Flags:         webauthn.CredentialFlags{UserVerified: r.Verified, BackupEligible: r.BackupEligible, BackupState: r.BackedUp},
		Authenticator: webauthn.Authenticator{AAGUID: r.AAGUID, SignCount: r.Counter}}
}

func (r record) descriptor() protocol.CredentialDescriptor {
	d := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: r.ID}
	for _, t := range r.Transports {
		d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
	}
	return d
}

// amr says where the key lies (RFC 8176 section 2): what can be copied is software.
func (r record) amr() []string {
	if r.BackupEligible {
		return []string{"swk", "user"}
	}
	return []string{"hwk", "user"}
}

// strength is what a passkey is worth whose holder was verified or not.
func (s *Settings) strength(r record, verified bool) authn.Strength {
	return authn.Strength{Category: authn.Have, PhishingResistant: true,
		UserVerified: verified && s.userVerification != protocol.VerificationDiscouraged,
		Hardware:     !r.BackupEligible && s.proven(r).hardware}
}

func credentialID(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
