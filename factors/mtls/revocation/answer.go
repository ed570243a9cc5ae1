package revocation

import (
	"bytes"
	"crypto"
	"crypto/sha1" //nolint:gosec // names of issuers in questions and answers (RFC 6960 section 4.1.1); nothing rests on it
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

var (
	oidNonce   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidNoCheck = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
)

const nonceSize = 32 // octets (RFC 9654 section 2.1)

// answer is what a responder said about a certificate. It is never changed.
type answer struct {
	status     int // as golang.org/x/crypto/ocsp has it
	thisUpdate time.Time
	nextUpdate time.Time
	signer     *x509.Certificate // nil: the issuer itself signed it
}

// undated is how long an answer is good that does not say when the next one is due.
const undated = time.Hour

func (a *answer) freshUntil(maxAge time.Duration) time.Time {
	return earliest(a.nextUpdate, a.thisUpdate, maxAge)
}

// question makes the request about a certificate (RFC 6960 section 4.1.1), with a nonce.
func question(c, issuer *x509.Certificate, nonce []byte) ([]byte, error) {
	plain, err := ocsp.CreateRequest(c, issuer, nil)
	if err != nil {
		return nil, err
	}
	var request struct{ TBS asn1.RawValue }
	if _, err := asn1.Unmarshal(plain, &request); err != nil {
		return nil, err
	}
	value, err := asn1.Marshal(nonce)
	if err != nil {
		return nil, err
	}
	extensions, err := asn1.MarshalWithParams([]pkix.Extension{{Id: oidNonce, Value: value}}, "explicit,tag:2")
	if err != nil {
		return nil, err
	}
	tbs := asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(bytes.Clone(request.TBS.Bytes), extensions...)}
	return asn1.Marshal(struct{ TBS asn1.RawValue }{tbs})
}

// responseData is what of ResponseData (RFC 6960 section 4.2.1) golang.org/x/crypto/ocsp keeps for itself.
type responseData struct {
	Version    int `asn1:"optional,default:0,explicit,tag:0"`
	Responder  asn1.RawValue
	ProducedAt time.Time `asn1:"generalized"`
	Responses  []struct {
		ID struct {
			Hash      pkix.AlgorithmIdentifier
			Name, Key []byte
			Serial    *big.Int
		}
		Rest asn1.RawValue
		This time.Time        `asn1:"generalized"`
		Next asn1.RawValue    `asn1:"optional,tag:0"`
		Ext  []pkix.Extension `asn1:"explicit,tag:1,optional"`
	}
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

// asked is a question, for holding an answer to it.
type asked struct {
	certificate, issuer *x509.Certificate
	nonce               []byte
	needNonce           bool
}

// read verifies an answer. Every error is a [*Fault].
func (q asked) read(b []byte, now time.Time) (*answer, error) {
	r, err := ocsp.ParseResponse(b, nil)
	if err != nil {
		return nil, fault(ReasonMalformed, "%v", err)
	}
	var data responseData
	if rest, err := asn1.Unmarshal(r.TBSResponseData, &data); err != nil || len(rest) > 0 || len(data.Responses) != 1 {
		return nil, fault(ReasonMalformed, "not one answer")
	}
	a := &answer{status: r.Status, thisUpdate: r.ThisUpdate, nextUpdate: r.NextUpdate}
	if a.signer, err = q.signer(r, now); err != nil {
		return nil, err
	}
	if id := data.Responses[0].ID; !q.names(r.IssuerHash, id.Name, id.Key, id.Serial) {
		return nil, fault(ReasonOtherCertificate, "it is about another certificate")
	}
	if err := q.checkExtensions(data.Extensions); err != nil {
		return nil, err
	}
	if a.nextUpdate.IsZero() {
		a.nextUpdate = a.thisUpdate.Add(undated)
	}
	switch {
	case a.thisUpdate.After(now.Add(ahead)) || r.ProducedAt.After(now.Add(ahead)):
		return nil, fault(ReasonNotYet, "it begins %s", a.thisUpdate.UTC().Format(time.RFC3339))
	case !a.thisUpdate.Before(a.nextUpdate):
		return nil, fault(ReasonMalformed, "it ends before it begins")
	case !now.Before(a.nextUpdate):
		return nil, fault(ReasonExpired, "it ended %s", a.nextUpdate.UTC().Format(time.RFC3339))
	}
	return a, nil
}

// names compares name, key and serial number with those of the certificate that was asked for.
func (q asked) names(hash crypto.Hash, name, key []byte, serial *big.Int) bool {
	if !hash.Available() || serial == nil {
		return false
	}
	sum := func(b []byte) []byte { h := hash.New(); h.Write(b); return h.Sum(nil) }
	return serial.Cmp(q.certificate.SerialNumber) == 0 && bytes.Equal(name, sum(q.issuer.RawSubject)) && bytes.Equal(key, sum(keyBits(q.issuer)))
}

// keyBits are the bits of a certificate's key, without the algorithm (RFC 6960 section 4.1.1, issuerKeyHash).
func keyBits(c *x509.Certificate) []byte {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &info); err != nil {
		return nil
	}
	return info.Key.RightAlign()
}

// checkExtensions holds the answer to the nonce of the question (RFC 9654), and knows no critical extension.
func (q asked) checkExtensions(all []pkix.Extension) error {
	seen := false
	for _, e := range all {
		switch {
		case e.Id.Equal(oidNonce):
			var nonce []byte
			if rest, err := asn1.Unmarshal(e.Value, &nonce); err != nil || len(rest) > 0 || !bytes.Equal(nonce, q.nonce) {
				return fault(ReasonNonce, "its nonce is another one")
			}
			seen = true
		case e.Critical:
			return fault(ReasonUnsupported, "a critical extension that is not known: %v", e.Id)
		}
	}
	if q.needNonce && !seen {
		return fault(ReasonNonce, "it has no nonce")
	}
	return nil
}

// signer verifies who signed an answer: the issuer itself, which is nil, or whom the issuer let sign answers by a certificate
// of its own making, for that and valid now (RFC 6960 section 4.2.2.2).
func (q asked) signer(r *ocsp.Response, now time.Time) (*x509.Certificate, error) {
	by := q.issuer
	if r.Certificate != nil && !bytes.Equal(r.Certificate.Raw, q.issuer.Raw) {
		by = r.Certificate
	}
	switch {
	case !strongSignature(r.SignatureAlgorithm):
		return nil, fault(ReasonSignature, "its signature algorithm is too weak")
	case r.CheckSignatureFrom(by) != nil:
		return nil, fault(ReasonSignature, "not signed by the issuer's key")
	case !isResponder(r, by):
		return nil, fault(ReasonSignature, "the responder is another one than the signer")
	case by == q.issuer:
		return nil, nil
	case !bytes.Equal(by.RawIssuer, q.issuer.RawSubject) || !strongSignature(by.SignatureAlgorithm) || by.CheckSignatureFrom(q.issuer) != nil:
		return nil, fault(ReasonSignature, "the issuer did not certify the signer")
	case !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) || len(by.UnhandledCriticalExtensions) > 0:
		return nil, fault(ReasonSignature, "the signer may not sign answers")
	case by.KeyUsage != 0 && by.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return nil, fault(ReasonSignature, "the signer may not sign")
	case now.Before(by.NotBefore) || now.After(by.NotAfter):
		return nil, fault(ReasonSignature, "the signer's certificate is out of date")
	}
	return by, nil
}

// isResponder compares the responder's id with a certificate.
func isResponder(r *ocsp.Response, c *x509.Certificate) bool {
	if r.ResponderKeyHash != nil {
		sum := sha1.Sum(keyBits(c)) //nolint:gosec // see the import
		return bytes.Equal(r.ResponderKeyHash, sum[:])
	}
	return bytes.Equal(r.RawResponderName, c.RawSubject)
}

// unchecked reports whether a signer says that it need not be looked up itself (RFC 6960 section 4.2.2.2.1).
func unchecked(signer *x509.Certificate) bool {
	return slices.ContainsFunc(signer.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNoCheck) })
}
