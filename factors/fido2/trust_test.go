package fido2

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/uuid"
)

// chainWith is a leaf with one critical extension, and its root.
func chainWith(t *testing.T, ext pkix.Extension, now time.Time) (leaf, root *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(template, parent *x509.Certificate) *x509.Certificate {
		template.NotBefore, template.NotAfter, template.BasicConstraintsValid = now.Add(-time.Hour), now.Add(time.Hour), true
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	r := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "root"}}
	root = issue(r, r)
	return issue(&x509.Certificate{SerialNumber: big.NewInt(2), ExtraExtensions: []pkix.Extension{ext}}, root), root
}

// TestCriticalExtensions: a TPM's certificate names it in a critical extension (WebAuthn L3 section 8.3.1) that
// crypto/x509 does not read. Nothing else that is critical and unknown is let by.
func TestCriticalExtensions(t *testing.T) {
	now := time.Now()
	name, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		ext  pkix.Extension
		want bool
	}{
		{pkix.Extension{Id: oidSubjectAltName, Critical: true, Value: name}, true},
		{pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}, false},
	} {
		leaf, root := chainWith(t, tt.ext, now)
		if len(leaf.UnhandledCriticalExtensions) != 1 {
			t.Fatalf("%v is handled by crypto/x509", tt.ext.Id)
		}
		chain := chainOf(map[string]any{"x5c": []any{leaf.Raw}})
		if got := len(leadsTo(chain, []*x509.Certificate{root}, now)) == 1; got != tt.want {
			t.Errorf("%v: %t", tt.ext.Id, got)
		}
	}
}

func TestChainOf(t *testing.T) {
	leaf, _ := chainWith(t, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}, time.Now())
	long := make([]any, maxChain+1)
	for i := range long {
		long[i] = leaf.Raw
	}
	for name, statement := range map[string]map[string]any{
		"nothing":          nil,
		"no list":          {"x5c": leaf.Raw},
		"no bytes":         {"x5c": []any{"text"}},
		"no certificate":   {"x5c": []any{[]byte{0x30, 0}}},
		"bad intermediate": {"x5c": []any{leaf.Raw, []byte{0x30, 0}}},
		"too long":         {"x5c": long},
	} {
		if got := chainOf(statement); got != nil {
			t.Errorf("%s: %d certificates", name, len(got))
		}
	}
	if got := chainOf(map[string]any{"x5c": long[1:]}); len(got) != maxChain {
		t.Errorf("%d certificates", len(got))
	}
}

// TestModelsWithoutAAGUID: those of U2F are found by the key of their attestation certificate.
func TestModelsWithoutAAGUID(t *testing.T) {
	leaf, _ := chainWith(t, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}, time.Now())
	point, err := leaf.PublicKey.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	id := sha1.Sum(point)
	byKey, byModel := &metadata.Entry{}, &metadata.Entry{}
	model := uuid.MustParse("6a9b1c5e-0000-4000-8000-00000000f1d0")
	c := catalogue{read: true, keys: map[string]*metadata.Entry{hex.EncodeToString(id[:]): byKey}, models: map[uuid.UUID]*metadata.Entry{model: byModel}}
	keys := []string{keyIdentifier(leaf)}
	if !slices.Equal(c.entries(uuid.Nil, keys), []*metadata.Entry{byKey}) || !slices.Equal(c.entries(model, keys), []*metadata.Entry{byModel}) ||
		c.entries(uuid.Max, keys) != nil || c.entries(uuid.Nil, nil) != nil {
		t.Error("another entry")
	}
}

// TestBlobOfTheAlliance: the root of the FIDO Alliance's service signs many others, so the name counts.
func TestBlobOfTheAlliance(t *testing.T) {
	opts, err := blobTrust(nil)
	if err != nil || opts.DNSName != blobName {
		t.Fatalf("name %q, %v", opts.DNSName, err)
	}
	leaf, root := chainWith(t, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}, time.Now())
	opts.Roots.AddCert(root)
	header := `{"alg":"ES256","x5c":["` + base64.StdEncoding.EncodeToString(leaf.Raw) + `"]}`
	_, err = openBlob([]byte(base64.RawURLEncoding.EncodeToString([]byte(header))+".e30.AAAA"), opts)
	if err == nil || !strings.Contains(err.Error(), "does not lead to the root") {
		t.Errorf("of another name: %v", err)
	}
	if opts, err := blobTrust([]*x509.Certificate{root}); err != nil || opts.DNSName != "" {
		t.Errorf("with a root of one's own: name %q, %v", opts.DNSName, err)
	}
}

// TestFormatsWithCertificates: where a format has no certificates, those that somebody lays beside it count for nothing.
func TestFormatsWithCertificates(t *testing.T) {
	leaf, root := chainWith(t, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}, time.Now())
	statement := map[string]any{"x5c": []any{leaf.Raw}}
	s := &Settings{roots: []*x509.Certificate{root}}
	for format, want := range map[string]bool{"packed": true, "tpm": true, "android-key": true, "apple": true, "fido-u2f": true,
		"android-safetynet": false, "none": false, "compound": false, "": false, "x": false} {
		o := protocol.AttestationObject{Format: format, AttStatement: statement}
		if got := s.trust(o, time.Now()); got.model != want || got.hardware != want || (len(got.roots) == 1) != want {
			t.Errorf("%s: %+v", format, got)
		}
		o = protocol.AttestationObject{Format: "compound", SubStatements: []protocol.NonCompoundAttestationObject{{Format: format, AttStatement: statement}}}
		if got := s.trust(o, time.Now()); got.model != want || got.hardware != want {
			t.Errorf("%s within compound: %+v", format, got)
		}
	}
}
