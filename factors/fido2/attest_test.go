package fido2_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
)

var model = uuid.MustParse("6a9b1c5e-0000-4000-8000-00000000f1d0")

func newMaker(t *testing.T) *fido2test.Maker {
	t.Helper()
	// The library holds attestation certificates to the machine's clock, so they must be good by that one too.
	m, err := fido2test.NewMaker(model, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func attesting(attest fido2test.Attest) *fido2test.Authenticator {
	a := fido2test.New(origin)
	a.AAGUID, a.Attest = model, attest
	return a
}

func write(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func pemOf(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

func TestAttestation(t *testing.T) {
	maker, stranger := newMaker(t), newMaker(t)
	const direct = ", attestation: direct, attestation_roots: [roots.pem]"
	const listed = direct + ", aaguids: { allow: [6a9b1c5e-0000-4000-8000-00000000f1d0] }"
	damaged := func(toSign []byte, key crypto.Signer) (string, any, error) {
		return maker.Packed(append([]byte{1}, toSign...), key)
	}
	for _, tt := range []struct {
		name     string
		settings string
		attest   fido2test.Attest
		synced   bool
		hardware bool
		want     authn.Reason
	}{
		{"nobody asked", "", maker.Packed, false, false, ""},
		{"nobody asked, and it is damaged", "", damaged, false, false, fido2.ReasonAttestation},
		{"trusted", direct, maker.Packed, false, true, ""},
		{"trusted, of a model that syncs", direct, maker.Packed, true, false, ""},
		{"compound", direct, maker.Compound, false, true, ""},
		{"by itself", direct, fido2test.Self, false, false, ""},
		{"none", direct, nil, false, false, ""},
		{"of a stranger", direct, stranger.Packed, false, false, ""},
		{"damaged", direct, damaged, false, false, fido2.ReasonAttestation},
		{"listed", listed, maker.Packed, false, true, ""},
		{"listed, by itself", listed, fido2test.Self, false, false, fido2.ReasonAttestation},
		{"listed, none", listed, nil, false, false, fido2.ReasonAttestation},
		{"listed, of a stranger", listed, stranger.Packed, false, false, fido2.ReasonAttestation},
		{"another is listed", direct + ", aaguids: { allow: [00000000-0000-4000-8000-000000000001] }", maker.Packed, false, false, fido2.ReasonAuthenticator},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "")
			b.now = time.Now()
			write(t, b.dir, "roots.pem", pemOf(maker.Root))
			b.use(tt.settings)
			a := attesting(tt.attest)
			a.BackupEligible = tt.synced
			made, err := b.tryEnrol(a, b.alice)
			if tt.want != "" {
				b.refused(err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b.directory.credentials = append(b.directory.credentials, made)
			v, err := b.login(a, authn.Subject{})
			if err != nil {
				t.Fatal(err)
			}
			if v.Evidence.Strength.Hardware != tt.hardware || made.Best.Hardware != tt.hardware {
				t.Errorf("hardware: evidence %t, credential %t, want %t", v.Evidence.Strength.Hardware, made.Best.Hardware, tt.hardware)
			}
		})
	}
}

// TestAttestationExpired: certificates are held to the request's clock.
func TestAttestationExpired(t *testing.T) {
	maker := newMaker(t)
	b := newBench(t, "")
	write(t, b.dir, "roots.pem", pemOf(maker.Root))
	b.use(", attestation: direct, attestation_roots: [roots.pem]")
	b.now = time.Now().AddDate(20, 0, 0)
	made, err := b.tryEnrol(attesting(maker.Packed), b.alice)
	if err != nil || made.Best.Hardware {
		t.Fatalf("hardware: %t, %v", made.Best.Hardware, err)
	}
}

// TestHardwareIsWonOnlyWhileItCounts: a policy that asks no attestation gives nothing for one that was given before.
func TestHardwareIsWonOnlyWhileItCounts(t *testing.T) {
	maker := newMaker(t)
	b := newBench(t, "")
	b.now = time.Now()
	write(t, b.dir, "roots.pem", pemOf(maker.Root))
	b.use(", attestation: direct, attestation_roots: [roots.pem]")
	a := attesting(maker.Packed)
	b.enrol(a, b.alice)
	b.use("")
	v, err := b.login(a, authn.Subject{})
	if err != nil || v.Evidence.Strength.Hardware {
		t.Fatalf("hardware: %t, %v", v.Evidence.Strength.Hardware, err)
	}
	b.directory.credentials[0] = *v.Update
	b.use(", attestation: direct, attestation_roots: [roots.pem]")
	a.BackupEligible = true // it became one that can be copied
	v, err = b.login(a, authn.Subject{})
	if err != nil || v.Evidence.Strength.Hardware || v.Update.Best.Hardware || v.Evidence.AMR[0] != "swk" {
		t.Fatalf("%+v, %v", v.Evidence, err)
	}
}

// TestRootsThatAreGone: trust is in what is configured now. A maker whose root was taken out proves nothing any more.
func TestRootsThatAreGone(t *testing.T) {
	maker, other, s := newMaker(t), newMaker(t), newService(t, "metadata.example")
	known := entry(maker, "hardware", "FIDO_CERTIFIED")
	const (
		roots    = ", attestation: direct, attestation_roots: [roots.pem]"
		others   = ", attestation: direct, attestation_roots: [other.pem]"
		metadata = ", attestation: direct, metadata: blob.jwt, metadata_root: root.pem"
		another  = ", attestation: direct, metadata: another.jwt, metadata_root: root.pem"
		software = ", attestation: direct, metadata: software.jwt, metadata_root: root.pem"
		listed   = ", aaguids: { allow: [6a9b1c5e-0000-4000-8000-00000000f1d0] }"
	)
	for _, tt := range []struct {
		name        string
		before, now string
		hardware    bool
		model       bool
	}{
		{"still there", roots, roots, true, true},
		{"in the metadata now", roots, metadata, true, true},
		{"configured now", metadata, roots, true, true},
		{"gone", roots, others, false, false},
		{"gone from the metadata", metadata, another, false, false},
		{"gone with the metadata", metadata, others, false, false},
		{"in software, as was found out", metadata, software, false, true},
		{"in hardware, as was found out", software, metadata, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "")
			b.now = time.Now()
			write(t, b.dir, "roots.pem", pemOf(maker.Root))
			write(t, b.dir, "other.pem", pemOf(other.Root))
			write(t, b.dir, "root.pem", pemOf(s.root))
			write(t, b.dir, "blob.jwt", []byte(s.blob(known)))
			write(t, b.dir, "software.jwt", []byte(s.blob(entry(maker, "software", "FIDO_CERTIFIED"))))
			write(t, b.dir, "another.jwt", []byte(s.blob(entry(other, "hardware", "FIDO_CERTIFIED"))))
			b.use(tt.before)
			a := attesting(maker.Packed)
			b.enrol(a, b.alice)
			b.use(tt.now)
			v, err := b.login(a, authn.Subject{})
			if err != nil || v.Evidence.Strength.Hardware != tt.hardware || v.Update.Best.Hardware != tt.hardware {
				t.Fatalf("%+v, %v", v.Evidence.Strength, err)
			}
			b.directory.credentials[0] = *v.Update
			b.use(tt.now + listed)
			if _, err = b.login(a, authn.Subject{}); !tt.model {
				b.refused(err, fido2.ReasonAttestation)
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestModelsAreJudgedAtLoginToo(t *testing.T) {
	b := newBench(t, "")
	a := attesting(nil)
	b.enrol(a, b.alice)
	b.use(", aaguids: { deny: [6a9b1c5e-0000-4000-8000-00000000f1d0] }")
	_, err := b.login(a, authn.Subject{})
	b.refused(err, fido2.ReasonAuthenticator)
}

// service is a metadata service of our own.
type service struct {
	t    *testing.T
	root *x509.Certificate
	leaf *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newService(t *testing.T, name string) *service {
	t.Helper()
	s := &service{t: t}
	now := time.Now()
	newKey := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	issue := func(template, parent *x509.Certificate, public any, key any) *x509.Certificate {
		template.NotBefore, template.NotAfter, template.BasicConstraintsValid = now.Add(-time.Hour), now.Add(time.Hour), true
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	rootKey := newKey()
	s.key = newKey()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "metadata root"}}
	s.root = issue(root, root, rootKey.Public(), rootKey)
	s.leaf = issue(&x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name}}, s.root, s.key.Public(), rootKey)
	return s
}

func (s *service) blob(payload any) string {
	s.t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			s.t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signed := part(map[string]any{"alg": "ES256", "typ": "JWT", "x5c": []string{base64.StdEncoding.EncodeToString(s.leaf.Raw)}}) + "." + part(payload)
	digest := sha256.Sum256([]byte(signed))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		s.t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// entry is what a metadata service says of the maker's model.
func entry(maker *fido2test.Maker, protection, status string) map[string]any {
	return map[string]any{"legalHeader": "none", "no": 1, "nextUpdate": "2099-01-01", "entries": []any{map[string]any{
		"aaguid": model.String(), "timeOfLastStatusChange": "2020-01-01",
		"statusReports": []any{map[string]any{"status": status, "effectiveDate": "2020-01-01"}},
		"metadataStatement": map[string]any{"legalHeader": "none", "description": "a model", "aaguid": model.String(), "authenticatorVersion": 1,
			"protocolFamily": "fido2", "schema": 3, "attestationTypes": []string{"basic_full"}, "keyProtection": []string{protection},
			"attestationRootCertificates": []string{base64.StdEncoding.EncodeToString(maker.Root.Raw)}}}}}
}

func TestMetadata(t *testing.T) {
	maker, stranger, s := newMaker(t), newMaker(t), newService(t, "metadata.example")
	const settings = ", attestation: direct, metadata: blob.jwt, metadata_root: root.pem"
	for _, tt := range []struct {
		name       string
		protection string
		status     string
		attest     fido2test.Attest
		hardware   bool
		want       authn.Reason
	}{
		{"in hardware", "hardware", "FIDO_CERTIFIED", maker.Packed, true, ""},
		{"in software", "software", "FIDO_CERTIFIED", maker.Packed, false, ""},
		{"of a stranger", "hardware", "FIDO_CERTIFIED", stranger.Packed, false, ""},
		{"broken", "hardware", "USER_VERIFICATION_BYPASS", maker.Packed, false, fido2.ReasonAuthenticator},
		{"broken, says so without attestation", "hardware", "REVOKED", nil, false, fido2.ReasonAuthenticator},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "")
			b.now = time.Now()
			write(t, b.dir, "root.pem", pemOf(s.root))
			write(t, b.dir, "blob.jwt", []byte(s.blob(entry(maker, tt.protection, tt.status))+"\n"))
			b.use(settings)
			made, err := b.tryEnrol(attesting(tt.attest), b.alice)
			if tt.want != "" {
				b.refused(err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if made.Best.Hardware != tt.hardware {
				t.Errorf("hardware: %t", made.Best.Hardware)
			}
		})
	}
}

// TestMetadataThatCannotBeRead: an entry that the library cannot read speaks for its model as far as it can be read.
func TestMetadataThatCannotBeRead(t *testing.T) {
	maker, u2f, s := newMaker(t), newU2FMaker(t), newService(t, "metadata.example")
	const settings = ", attestation: direct, attestation_roots: [roots.pem], metadata: blob.jwt, metadata_root: root.pem"
	good := entry(newMaker(t), "hardware", "FIDO_CERTIFIED")["entries"].([]any)[0].(map[string]any)
	good["aaguid"] = "6a9b1c5e-0000-4000-8000-000000000002"
	said := func(status string) map[string]any {
		return entry(maker, "hardware", status)["entries"].([]any)[0].(map[string]any)
	}
	damaged := func(e map[string]any) map[string]any {
		e["metadataStatement"].(map[string]any)["attestationRootCertificates"] = []string{"AAAA"}
		return e
	}
	undated := said("REVOKED")
	undated["statusReports"].([]any)[0].(map[string]any)["effectiveDate"] = "yesterday"
	plain := fido2test.New(origin)
	plain.Attest = u2f.attest
	for _, tt := range []struct {
		name     string
		entries  []any
		by       *fido2test.Authenticator
		hardware bool
		want     authn.Reason
	}{
		{"revoked", []any{good, damaged(said("REVOKED"))}, attesting(maker.Packed), false, fido2.ReasonAuthenticator},
		{"revoked, at an unknown time", []any{good, undated}, attesting(maker.Packed), false, fido2.ReasonAuthenticator},
		{"nothing bad known", []any{good, damaged(said("FIDO_CERTIFIED"))}, attesting(maker.Packed), false, ""},
		{"revoked, without a model", []any{good, damaged(u2f.entry("hardware", "REVOKED"))}, plain, false, fido2.ReasonAuthenticator},
		{"revoked, and a good entry behind it", []any{said("REVOKED"), said("FIDO_CERTIFIED")}, attesting(maker.Packed), false, fido2.ReasonAuthenticator},
		{"damaged, and a good entry behind it", []any{damaged(said("FIDO_CERTIFIED")), said("FIDO_CERTIFIED")}, attesting(maker.Packed), false, ""},
		{"twice the same", []any{said("FIDO_CERTIFIED"), said("FIDO_CERTIFIED")}, attesting(maker.Packed), true, ""},
		{"another model", []any{good}, attesting(maker.Packed), true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "")
			b.now = time.Now()
			write(t, b.dir, "root.pem", pemOf(s.root))
			write(t, b.dir, "roots.pem", pemOf(maker.Root, u2f.root))
			write(t, b.dir, "blob.jwt", []byte(s.blob(blobOf(tt.entries...))))
			b.use(settings)
			made, err := b.tryEnrol(tt.by, b.alice)
			if tt.want != "" {
				b.refused(err, tt.want)
				return
			}
			if err != nil || made.Best.Hardware != tt.hardware {
				t.Fatalf("hardware %t, %v", made.Best.Hardware, err)
			}
		})
	}
	nameless := damaged(said("REVOKED"))
	nameless["aaguid"] = "6a9b1c5e-0000-4000-8000"
	dir := t.TempDir()
	write(t, dir, "root.pem", pemOf(s.root))
	write(t, dir, "roots.pem", pemOf(maker.Root))
	write(t, dir, "blob.jwt", []byte(s.blob(blobOf(good, nameless))))
	if _, err := parse(dir, settings); err == nil || !strings.Contains(err.Error(), "6a9b1c5e-0000-4000-8000") {
		t.Errorf("a model whose name cannot be read: %v", err)
	}
}

func TestSettingsRefused(t *testing.T) {
	maker, s, other := newMaker(t), newService(t, "mds.fidoalliance.org"), newService(t, "metadata.example")
	dir := t.TempDir()
	blob := s.blob(entry(maker, "hardware", "FIDO_CERTIFIED"))
	parts := strings.Split(blob, ".")
	write(t, dir, "root.pem", pemOf(s.root))
	write(t, dir, "other.pem", pemOf(other.root))
	write(t, dir, "empty.pem", nil)
	write(t, dir, "key.pem", []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	write(t, dir, "blob.jwt", []byte(blob))
	write(t, dir, "unsigned.jwt", []byte(parts[0]+"."+parts[1]+"."))
	write(t, dir, "mixed.jwt", []byte(parts[0]+"."+strings.Split(s.blob(entry(maker, "hardware", "REVOKED")), ".")[1]+"."+parts[2]))
	write(t, dir, "none.jwt", []byte("eyJhbGciOiJub25lIn0."+parts[1]+"."))
	good, bad := pemOf(maker.Root), pemOf(s.root)
	write(t, dir, "maker.pem", good)
	write(t, dir, "leaf.pem", pemOf(maker.Root, s.leaf))
	write(t, dir, "half.pem", append(slices.Clone(good), bad[:len(bad)/2]...))
	write(t, dir, "between.pem", slices.Concat(bad[:len(bad)/2], []byte("\n"), good))
	write(t, dir, "starred.pem", slices.Concat(bytes.ReplaceAll(bad, []byte("\n"), []byte("\n*")), good))
	write(t, dir, "trailing.pem", append(slices.Clone(good), "and so on\n"...))
	write(t, dir, "headless.pem", append(slices.Clone(good), bytes.TrimPrefix(bad, []byte("-----BEGIN CERTIFICATE-----"))...))
	write(t, dir, "unparsable.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	write(t, dir, "empty.jwt", []byte(s.blob(map[string]any{"no": 1, "nextUpdate": "2099-01-01", "entries": []any{}})))
	for _, tt := range []struct{ settings, want string }{
		{"user_verification: always", "user_verification: factor \"passkey\": is required, preferred or discouraged"},
		{"attestation: maybe", "attestation: factor \"passkey\": is none, direct or enterprise"},
		{"attestation: direct", "attestation: factor \"passkey\": needs attestation_roots or metadata"},
		{"attestation_roots: [root.pem]", "attestation: factor \"passkey\": is none, so that"},
		{"attestation: direct, attestation_roots: [gone.pem]", "attestation_roots[0]: factor \"passkey\": cannot be read"},
		{"attestation: direct, attestation_roots: [root.pem, empty.pem]", "attestation_roots[1]: factor \"passkey\": holds no certificate"},
		{"attestation: direct, attestation_roots: [key.pem]", "only certificates belong there"},
		{"attestation: direct, attestation_roots: [leaf.pem]", "not a CA's"},
		{"attestation: direct, attestation_roots: [half.pem]", "no PEM certificate"},
		{"attestation: direct, attestation_roots: [between.pem]", "damaged block"},
		{"attestation: direct, attestation_roots: [starred.pem]", "no PEM certificate"},
		{"attestation: direct, attestation_roots: [trailing.pem]", "no PEM certificate"},
		{"attestation: direct, attestation_roots: [headless.pem]", "no PEM certificate"},
		{"attestation: direct, attestation_roots: [unparsable.pem]", "cannot be parsed"},
		{"attestation: direct, metadata: blob.jwt, metadata_root: leaf.pem", "not a CA's"},
		{"attestation: direct, metadata: blob.jwt, metadata_root: half.pem", "no PEM certificate"},
		{"attestation: direct, metadata: blob.jwt", "does not lead to the root"},
		{"attestation: direct, metadata: blob.jwt, metadata_root: other.pem", "does not lead to the root"},
		{"attestation: direct, metadata: unsigned.jwt, metadata_root: root.pem", "its signature is wrong"},
		{"attestation: direct, metadata: mixed.jwt, metadata_root: root.pem", "its signature is wrong"},
		{"attestation: direct, metadata: none.jwt, metadata_root: root.pem", "its header names no certificates"},
		{"attestation: direct, metadata: empty.jwt, metadata_root: root.pem", "it knows no authenticator"},
		{"attestation: direct, metadata: root.pem, metadata_root: root.pem", "it is no JWS"},
		{"metadata_root: root.pem", "metadata_root: factor \"passkey\": means nothing without metadata"},
		{"aaguids: { allow: [6a9b1c5e-0000-4000-8000-00000000f1d0] }", "anyone can claim a model"},
		{"aaguids: { deny: [yubikey] }", "aaguids.deny[0]: factor \"passkey\": is no AAGUID"},
		{"aaguids: { deny: ['{6a9b1c5e-0000-4000-8000-00000000f1d0}'] }", "aaguids.deny[0]: factor \"passkey\": is no AAGUID"},
		{"aaguids: { deny: ['urn:uuid:6a9b1c5e-0000-4000-8000-00000000f1d0'] }", "aaguids.deny[0]: factor \"passkey\": is no AAGUID"},
		{"aaguids: { deny: [6a9b1c5e0000400080000000000 0f1d0] }", "aaguids.deny[0]: factor \"passkey\": is no AAGUID"},
		{"aaguids: { deny: ['x6a9b1c5e-0000-4000-8000-00000000f1d0x'] }", "aaguids.deny[0]: factor \"passkey\": is no AAGUID"},
		{"aaguids: { deny: [" + model.String() + ", " + strings.ToUpper(model.String()) + "] }", "aaguids.deny[1]: factor \"passkey\": is there already"},
		{"attestation: direct, attestation_roots: [maker.pem], aaguids: { allow: [" + model.String() + "], deny: [" + model.String() + "] }",
			"aaguids.deny[0]: factor \"passkey\": is there already"},
		{"algorithms: []", "algorithms"},
		{"algorithms: [ES256, RS256, ES256]", "algorithms[2]: factor \"passkey\": is there already"},
		{"timeout: 1ns", "timeout: factor \"passkey\": is 10s at the least"},
		{"timeout: 9s", "timeout: factor \"passkey\": is 10s at the least"},
		{"rp_name: \"a\\u202eb\"", "rp_name: factor \"passkey\": has characters that cannot be seen"},
		{"rp_name: \"a\\nb\"", "rp_name: factor \"passkey\": has characters that cannot be seen"},
		{"rp_name: \" a\"", "rp_name: factor \"passkey\": has characters that cannot be seen"},
		{"rp_name: \"  \"", "rp_name: factor \"passkey\": has characters that cannot be seen"},
		{"algorithms: [HS256]", "algorithms[0]: factor \"passkey\": is none of"},
		{"timeout: 11m", "timeout: factor \"passkey\": is 10m0s at the most"},
		{"authenticator_attachment: usb", "authenticator_attachment: factor \"passkey\": is platform or cross-platform"},
		{"rp_name: " + strings.Repeat("x", 65), "rp_name"},
		{"user_verifcation: required", "user_verifcation"},
	} {
		_, err := parse(dir, ", "+tt.settings)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "policy.yaml:") {
			t.Errorf("%s: got %v, want %q with a position", tt.settings, err, tt.want)
		}
	}
	write(t, dir, "named.pem", append([]byte("The maker's root\n"), good...))
	for _, settings := range []string{"attestation: direct, metadata: blob.jwt, metadata_root: root.pem",
		"attestation: direct, attestation_roots: [named.pem], rp_name: \"Portal von Müller & Söhne\", timeout: 10s"} {
		if _, err := parse(dir, ", "+settings); err != nil {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "roots.pem", pemOf(newMaker(t).Root))
	best := authn.Strength{Category: authn.Have, PhishingResistant: true, UserVerified: true}
	hard, unverified := best, best
	hard.Hardware, unverified.UserVerified = true, false
	for _, tt := range []struct {
		settings string
		best     authn.Strength
		amr      string
	}{
		{"", best, "[hwk swk user]"},
		{", user_verification: preferred", best, "[hwk swk user]"},
		{", user_verification: discouraged", unverified, "[hwk swk user]"},
		{", device_bound: true", best, "[hwk user]"},
		{", attestation: direct, attestation_roots: [roots.pem]", hard, "[hwk swk user]"},
	} {
		p, err := parse(dir, tt.settings)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Factors[0].Factor
		if got.Name != "passkey" || got.Kind != "fido2" || got.Best != tt.best || got.Identifies != authn.IdentifiesUser || got.Ambient ||
			fmt.Sprint(got.AMR) != tt.amr {
			t.Errorf("%s: %+v", tt.settings, got)
		}
	}
}

func parse(dir, settings string) (*policy.Policy, error) {
	return policy.Parse(filepath.Join(dir, "policy.yaml"), []byte(fmt.Sprintf(`version: 1
origins:
  - { origin: %s }
  - { origin: "https://portal.example:8443", rp_id: portal.example }
factors:
  passkey: { kind: fido2%s }
methods:
  m: { steps: [passkey] }
rules:
  - { methods: [m] }
`, origin, settings)), fido2.Kind())
}
