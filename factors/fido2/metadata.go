package fido2

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	stdjson "encoding/json"

	"github.com/go-json-experiment/json"
	"github.com/go-webauthn/webauthn/metadata"
	"github.com/google/uuid"
)

// catalogue is what the FIDO Metadata Service, or a file like its, says of authenticators. The zero value knows none.
type catalogue struct {
	read   bool
	models map[uuid.UUID]*metadata.Entry
	keys   map[string]*metadata.Entry // of U2F models, which have no AAGUID: by identifier of the attestation key
}

// entries are what the metadata say of a model, or where it has no id, of those whose attestations are signed with one
// of these keys.
func (c *catalogue) entries(model uuid.UUID, keys []string) []*metadata.Entry {
	if entry := c.models[model]; entry != nil {
		return []*metadata.Entry{entry}
	}
	if model != uuid.Nil {
		return nil
	}
	var list []*metadata.Entry
	for _, key := range keys {
		if entry := c.keys[key]; entry != nil {
			list = append(list, entry)
		}
	}
	return list
}

// keyIdentifier is how the metadata name the key of a certificate.
func keyIdentifier(c *x509.Certificate) string {
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Bits      asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &key); err != nil {
		return ""
	}
	id := sha1.Sum(key.Bits.Bytes) // FIDO MDS 3 section 3.1.1; the chain is verified all the same
	return hex.EncodeToString(id[:])
}

// add makes an entry known. What several entries say of one model is taken together, and the worst of it holds.
func (c *catalogue) add(e metadata.Entry) {
	if e.AaGUID != uuid.Nil {
		c.models[e.AaGUID] = together(c.models[e.AaGUID], e)
	}
	for _, key := range e.AttestationCertificateKeyIdentifiers {
		key = strings.ToLower(key)
		c.keys[key] = together(c.keys[key], e)
	}
}

func together(had *metadata.Entry, e metadata.Entry) *metadata.Entry {
	if had == nil {
		return &e
	}
	hardware := inHardware([]*metadata.Entry{had, &e})
	e.StatusReports = slices.Concat(had.StatusReports, e.StatusReports)
	e.MetadataStatement.AttestationRootCertificates = slices.Concat(had.MetadataStatement.AttestationRootCertificates, e.MetadataStatement.AttestationRootCertificates)
	if !hardware {
		e.MetadataStatement.KeyProtection = nil
	}
	return &e
}

// salvage reads what it can of an entry that the library cannot read: which models it is about, and what is reported of
// them. Such models have no roots in the metadata and are not known to be hardware.
func salvage(in metadata.EntryJSON) (metadata.Entry, error) {
	e := metadata.Entry{AttestationCertificateKeyIdentifiers: in.AttestationCertificateKeyIdentifiers}
	if in.AaGUID != "" {
		var err error
		if e.AaGUID, err = uuid.Parse(in.AaGUID); err != nil {
			return e, fmt.Errorf("it speaks of a model %q, which is no AAGUID", printable(in.AaGUID))
		}
	}
	for _, report := range in.StatusReports {
		parsed, err := report.Parse()
		if err != nil {
			parsed = metadata.StatusReport{Status: report.Status} // in force, whatever its dates are
		}
		e.StatusReports = append(e.StatusReports, parsed)
	}
	return e, nil
}

// blobName is in the certificate that signs the BLOB of the FIDO Alliance. Its root signs many others.
const blobName = "mds.fidoalliance.org"

// readMetadata reads a BLOB (FIDO MDS 3 section 3.1.7): a compact JWS whose certificates lead to one of roots, or where
// there are none, to the root of the FIDO Alliance's service. Nothing is fetched.
func readMetadata(blob []byte, roots []*x509.Certificate) (catalogue, error) {
	opts, err := blobTrust(roots)
	if err != nil {
		return catalogue{}, err
	}
	payload, err := openBlob(blob, opts)
	if err != nil {
		return catalogue{}, err
	}
	var in metadata.PayloadJSON
	if err := stdjson.Unmarshal(payload, &in); err != nil {
		return catalogue{}, errors.New("its payload is no metadata")
	}
	d, err := metadata.NewDecoder(metadata.WithIgnoreEntryParsingErrors())
	if err != nil {
		return catalogue{}, err
	}
	m, err := d.Parse(&in)
	if err != nil {
		return catalogue{}, errors.New("its payload is no metadata")
	}
	if len(m.Parsed.Entries) == 0 {
		return catalogue{}, errors.New("it knows no authenticator")
	}
	c := catalogue{read: true, models: map[uuid.UUID]*metadata.Entry{}, keys: map[string]*metadata.Entry{}}
	for _, entry := range m.Parsed.Entries {
		c.add(entry)
	}
	for _, unread := range m.Unparsed {
		entry, err := salvage(unread.EntryJSON)
		if err != nil {
			return catalogue{}, err
		}
		c.add(entry)
	}
	return c, nil
}

// blobTrust is whom a BLOB is believed.
func blobTrust(roots []*x509.Certificate) (x509.VerifyOptions, error) {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, root := range roots {
		opts.Roots.AddCert(root)
	}
	if len(roots) == 0 {
		root, err := certificate(metadata.ProductionMDSRoot)
		if err != nil {
			return opts, err
		}
		opts.Roots.AddCert(root)
		opts.DNSName = blobName
	}
	return opts, nil
}

type blobHeader struct {
	Algorithm string   `json:"alg"`
	Chain     []string `json:"x5c"`
}

// openBlob verifies a compact JWS and gives its payload.
func openBlob(blob []byte, opts x509.VerifyOptions) ([]byte, error) {
	signed, signature, ok := cutLast(bytes.TrimSpace(blob))
	if !ok {
		return nil, errors.New("it is no JWS")
	}
	first, second, ok := bytes.Cut(signed, []byte{'.'})
	if !ok || bytes.IndexByte(second, '.') >= 0 {
		return nil, errors.New("it is no JWS")
	}
	head, err := base64.RawURLEncoding.Strict().DecodeString(string(first))
	if err != nil {
		return nil, errors.New("its header is not base64url")
	}
	var h blobHeader
	if err := json.Unmarshal(head, &h); err != nil || len(h.Chain) == 0 || len(h.Chain) > maxChain {
		return nil, errors.New("its header names no certificates")
	}
	leaf, err := certificate(h.Chain[0])
	if err != nil {
		return nil, err
	}
	for _, text := range h.Chain[1:] {
		c, err := certificate(text)
		if err != nil {
			return nil, err
		}
		opts.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opts); err != nil {
		return nil, fmt.Errorf("its certificate does not lead to the root: %w", err)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(signature))
	if err != nil || !signedBy(leaf, h.Algorithm, signed, raw) {
		return nil, errors.New("its signature is wrong")
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(string(second))
	if err != nil {
		return nil, errors.New("its payload is not base64url")
	}
	return payload, nil
}

func cutLast(b []byte) (before, after []byte, ok bool) {
	i := bytes.LastIndexByte(b, '.')
	if i < 0 {
		return nil, nil, false
	}
	return b[:i], b[i+1:], true
}

// signedBy verifies a signature of RFC 7518 sections 3.3 and 3.4.
func signedBy(c *x509.Certificate, algorithm string, signed, signature []byte) bool {
	digest := sha256.Sum256(signed)
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return algorithm == "RS256" && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		const half = 32
		if algorithm != "ES256" || key.Curve.Params().BitSize != 8*half || len(signature) != 2*half {
			return false
		}
		return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
	}
	return false
}

// certificate reads one of a header's: base64 of DER.
func certificate(text string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("a certificate of it is not base64")
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errors.New("a certificate of it cannot be parsed")
	}
	return c, nil
}
