package fido2_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
)

// u2fMaker makes authenticators that attest as U2F does: the certificate of a batch names no model.
type u2fMaker struct {
	root, batch *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newU2FMaker(t *testing.T) *u2fMaker {
	t.Helper()
	newKey := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	rootKey := newKey()
	issue := func(template, parent *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
		template.NotBefore, template.NotAfter, template.BasicConstraintsValid = time.Now().Add(-time.Hour), time.Now().AddDate(5, 0, 0), true
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	m := &u2fMaker{key: newKey()}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "U2F Root"}}
	m.root = issue(root, root, rootKey.Public())
	m.batch = issue(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "U2F Batch"}}, m.root, m.key.Public())
	return m
}

// attest signs what U2F signs: the relying party, the client data, the credential's id and its key, and nothing else of
// the authenticator data.
func (m *u2fMaker) attest(toSign []byte, key crypto.Signer) (string, any, error) {
	const at = 32 + 1 + 4 + 16 // the length of the id
	auth, client := toSign[:len(toSign)-32], toSign[len(toSign)-32:]
	id := auth[at+2:][:binary.BigEndian.Uint16(auth[at:])]
	point, err := key.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		return "", nil, err
	}
	h := sha256.New()
	for _, part := range [][]byte{{0}, auth[:32], client, id, point} {
		h.Write(part)
	}
	signature, err := m.key.Sign(rand.Reader, h.Sum(nil), crypto.SHA256)
	return "fido-u2f", map[string]any{"sig": signature, "x5c": [][]byte{m.batch.Raw}}, err
}

// keyIdentifier is how the metadata name the batch.
func (m *u2fMaker) keyIdentifier() string {
	point, _ := m.key.PublicKey.Bytes()
	sum := sha1.Sum(point)
	return hex.EncodeToString(sum[:])
}

// says is an entry of the metadata for models under the maker's root, without the names of the models.
func (m *u2fMaker) says(family, protection, status string) map[string]any {
	return map[string]any{"timeOfLastStatusChange": "2020-01-01",
		"statusReports": []any{map[string]any{"status": status, "effectiveDate": "2020-01-01"}},
		"metadataStatement": map[string]any{"legalHeader": "none", "description": "a model", "authenticatorVersion": 1,
			"protocolFamily": family, "schema": 3, "attestationTypes": []string{"basic_full"}, "keyProtection": []string{protection},
			"attestationRootCertificates": []string{base64.StdEncoding.EncodeToString(m.root.Raw)}}}
}

func (m *u2fMaker) entry(protection, status string) map[string]any {
	e := m.says("u2f", protection, status)
	e["attestationCertificateKeyIdentifiers"] = []string{m.keyIdentifier()}
	return e
}

func blobOf(entries ...any) map[string]any {
	return map[string]any{"legalHeader": "none", "no": 1, "nextUpdate": "2099-01-01", "entries": entries}
}

// TestU2FNamesNoModel: nobody signs the model that stands beside a U2F statement.
func TestU2FNamesNoModel(t *testing.T) {
	m := newU2FMaker(t)
	const direct = ", attestation: direct, attestation_roots: [roots.pem]"
	b := newBench(t, "")
	b.now = time.Now()
	write(t, b.dir, "roots.pem", pemOf(m.root))
	b.use(direct + ", aaguids: { allow: [" + model.String() + "] }")
	_, err := b.tryEnrol(attesting(m.attest), b.alice)
	b.refused(err, fido2.ReasonAuthenticator)

	b.use(direct)
	a := attesting(m.attest)
	b.enrol(a, b.alice)
	v, err := b.login(a, authn.Subject{})
	if err != nil || !v.Evidence.Strength.Hardware {
		t.Fatalf("hardware by a root of the operator: %t, %v", v.Evidence.Strength.Hardware, err)
	}
	b.use(direct + ", aaguids: { allow: [" + model.String() + "] }")
	_, err = b.login(a, authn.Subject{})
	b.refused(err, fido2.ReasonAuthenticator)
}

// TestU2FWithinCompound: another statement beside it does not make it one that names a model.
func TestU2FWithinCompound(t *testing.T) {
	m := newU2FMaker(t)
	b := newBench(t, "")
	b.now = time.Now()
	write(t, b.dir, "roots.pem", pemOf(m.root))
	b.use(", attestation: direct, attestation_roots: [roots.pem], aaguids: { allow: [" + model.String() + "] }")
	_, err := b.tryEnrol(attesting(func(toSign []byte, key crypto.Signer) (string, any, error) {
		list := []any{}
		for _, attest := range []fido2test.Attest{fido2test.Self, m.attest} {
			format, statement, err := attest(toSign, key)
			if err != nil {
				return "", nil, err
			}
			list = append(list, map[string]any{"fmt": format, "attStmt": statement})
		}
		return "compound", list, nil
	}), b.alice)
	b.refused(err, fido2.ReasonAuthenticator)
}

// TestU2FInTheMetadata: models without an AAGUID are in the metadata by the key of their batch.
func TestU2FInTheMetadata(t *testing.T) {
	m, s := newU2FMaker(t), newService(t, "metadata.example")
	listed := m.says("fido2", "hardware", "FIDO_CERTIFIED")
	listed["aaguid"] = model.String()
	listed["metadataStatement"].(map[string]any)["aaguid"] = model.String()
	for _, tt := range []struct {
		name     string
		entry    map[string]any
		claims   bool // another model, which is in hardware and has the same root
		hardware bool
		want     authn.Reason
	}{
		{"in hardware", m.entry("hardware", "FIDO_CERTIFIED"), false, true, ""},
		{"in software", m.entry("software", "FIDO_CERTIFIED"), false, false, ""},
		{"in software, claims another model", m.entry("software", "FIDO_CERTIFIED"), true, false, ""},
		{"revoked", m.entry("hardware", "REVOKED"), false, false, fido2.ReasonAuthenticator},
		{"revoked, claims another model", m.entry("hardware", "REVOKED"), true, false, fido2.ReasonAuthenticator},
		{"its attestation key leaked", m.entry("hardware", "ATTESTATION_KEY_COMPROMISE"), false, false, fido2.ReasonAuthenticator},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "")
			b.now = time.Now()
			write(t, b.dir, "root.pem", pemOf(s.root))
			write(t, b.dir, "blob.jwt", []byte(s.blob(blobOf(listed, tt.entry))))
			b.use(", attestation: direct, metadata: blob.jwt, metadata_root: root.pem")
			a := fido2test.New(origin)
			a.Attest = m.attest
			if tt.claims {
				a.AAGUID = model
			}
			made, err := b.tryEnrol(a, b.alice)
			if tt.want != "" {
				b.refused(err, tt.want)
				return
			}
			if err != nil || made.Best.Hardware != tt.hardware {
				t.Fatalf("hardware %t, %v", made.Best.Hardware, err)
			}
		})
	}
}

// TestU2FBreaksLater: what the metadata come to say of a batch is held against logins too, also where nothing was
// asked for when the passkey was enrolled.
func TestU2FBreaksLater(t *testing.T) {
	m, s := newU2FMaker(t), newService(t, "metadata.example")
	const settings = ", attestation: direct, metadata: blob.jwt, metadata_root: root.pem"
	for _, before := range []string{settings, ""} {
		b := newBench(t, "")
		b.now = time.Now()
		write(t, b.dir, "root.pem", pemOf(s.root))
		write(t, b.dir, "blob.jwt", []byte(s.blob(blobOf(m.entry("hardware", "FIDO_CERTIFIED")))))
		b.use(before)
		a := fido2test.New(origin)
		a.Attest = m.attest
		b.enrol(a, b.alice)
		b.use(settings)
		v, err := b.login(a, authn.Subject{})
		if err != nil {
			t.Fatal(err)
		}
		b.directory.credentials[0] = *v.Update
		write(t, b.dir, "blob.jwt", []byte(s.blob(blobOf(m.entry("hardware", "REVOKED")))))
		b.use(settings)
		_, err = b.login(a, authn.Subject{})
		b.refused(err, fido2.ReasonAuthenticator)
	}
}
