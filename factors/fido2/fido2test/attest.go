package fido2test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// Attest makes the attestation statement of a new passkey (WebAuthn L3 section 8) for what is to be signed, the
// authenticator data followed by the hash of the client data, and the passkey's own key. The statement is a map, or for the
// format compound a list.
type Attest func(toSign []byte, key crypto.Signer) (format string, statement any, err error)

func (a *Authenticator) attested(auth, client []byte, key crypto.Signer) ([]byte, error) {
	format, statement := "none", any(map[string]any{})
	if a.Attest != nil {
		hash := sha256.Sum256(client)
		var err error
		if format, statement, err = a.Attest(append(bytes.Clone(auth), hash[:]...), key); err != nil {
			return nil, err
		}
	}
	return webauthncbor.Marshal(map[string]any{"fmt": format, "attStmt": statement, "authData": auth})
}

// Self attests with the passkey's own key, which must be ES256: it proves nothing of the model.
func Self(toSign []byte, key crypto.Signer) (string, any, error) {
	signature, err := sign(key, toSign)
	return "packed", map[string]any{"alg": int64(webauthncose.AlgES256), "sig": signature}, err
}

// Maker is a manufacturer of authenticators: a root, and a batch of authenticators that share an attestation key.
type Maker struct {
	Root *x509.Certificate

	rootKey *ecdsa.PrivateKey
	batch   *x509.Certificate
	key     *ecdsa.PrivateKey
}

// oidModel is the extension with the AAGUID of a model (WebAuthn L3 section 8.2.1).
var oidModel = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}

// NewMaker makes a manufacturer whose batch is of the model aaguid. Its certificates are valid from an hour before now,
// for ten years.
func NewMaker(aaguid [16]byte, now time.Time) (*Maker, error) {
	m := &Maker{}
	var err error
	if m.rootKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("fido2test: %w", err)
	}
	if m.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("fido2test: %w", err)
	}
	from, to := now.Add(-time.Hour), now.AddDate(10, 0, 0)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "Maker Root", Organization: []string{"Maker"}, Country: []string{"DE"}}}
	if m.Root, err = issue(root, root, m.rootKey.Public(), m.rootKey); err != nil {
		return nil, err
	}
	model, err := asn1.Marshal(aaguid[:])
	if err != nil {
		return nil, fmt.Errorf("fido2test: %w", err)
	}
	batch := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: to, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: oidModel, Value: model}},
		Subject: pkix.Name{CommonName: "Batch", Organization: []string{"Maker"}, Country: []string{"DE"},
			OrganizationalUnit: []string{"Authenticator Attestation"}}}
	m.batch, err = issue(batch, m.Root, m.key.Public(), m.rootKey)
	return m, err
}

func issue(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("fido2test: %w", err)
	}
	return x509.ParseCertificate(der)
}

// Packed attests in the format packed (WebAuthn L3 section 8.2).
func (m *Maker) Packed(toSign []byte, _ crypto.Signer) (string, any, error) {
	signature, err := sign(m.key, toSign)
	return "packed", map[string]any{"alg": int64(webauthncose.AlgES256), "sig": signature, "x5c": [][]byte{m.batch.Raw}}, err
}

// Compound attests twice, with the passkey's own key and with the batch's (WebAuthn L3 section 8.9).
func (m *Maker) Compound(toSign []byte, key crypto.Signer) (string, any, error) {
	list := []any{}
	for _, attest := range []Attest{Self, m.Packed} {
		format, statement, err := attest(toSign, key)
		if err != nil {
			return "", nil, err
		}
		list = append(list, map[string]any{"fmt": format, "attStmt": statement})
	}
	return "compound", list, nil
}
