package mtls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/factors/internal/peer"
)

// forgery is a certificate that a probe has no key of, and one that pretends to have signed it.
type forgery struct{ leaf, issuer []byte }

// forge makes the certificates of a run.
func (p *prober) forge() error {
	issuerKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	issuer := p.template("Sallyport probe CA")
	issuer.IsCA, issuer.KeyUsage, issuer.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	issuerDER, err := x509.CreateCertificate(rand.Reader, issuer, issuer, issuerKey.Public(), issuerKey)
	if err != nil {
		return err
	}
	forged, err := p.issue("sallyport-probe-forged", issuer, issuerKey)
	if err != nil {
		return err
	}
	if p.stranger, err = p.issue("sallyport-probe-stranger", issuer, issuerKey); err != nil {
		return err
	}
	p.forged = []forgery{{forged.Certificate[0], issuerDER}}
	known := []string{"-", fingerprint(p.stranger.Certificate[0]), fingerprint(forged.Certificate[0])}
	if p.Own != nil {
		known[0] = fingerprint(p.Own.Certificate[0])
	}
	for _, c := range p.Others {
		if f := fingerprint(c.Raw); slices.Contains(known, f) {
			return fmt.Errorf("%w: a certificate of somebody else's is the own one, or there twice", ErrProbeConfig)
		} else if known = append(known, f); len(known) > 10 {
			return fmt.Errorf("%w: more than 7 certificates of others", ErrProbeConfig)
		}
		p.forged = append(p.forged, forgery{c.Raw, issuerDER})
	}
	p.known = strings.Join(known, ",")
	return nil
}

func (p *prober) template(name string) *x509.Certificate {
	now := p.Now()
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes([]byte(rand.Text())[:16]), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

func (p *prober) issue(name string, issuer *x509.Certificate, signer crypto.Signer) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, p.template(name), issuer, key.Public(), signer)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// forgedHeaders are the headers that a probe forges.
type forgedHeaders struct {
	peer.Reads
	ownTLS bool // the program reads none: they are ones that are common
}

// common are headers that programs take certificates from.
var common = []peer.Field{
	{Name: "Client-Cert", Value: ":" + peer.Base64 + ":"},
	{Name: "X-SSL-Client-Cert", Value: peer.PercentPEM},
	{Name: "X-SSL-Client-Verify", Value: "SUCCESS"},
	{Name: "X-Forwarded-Client-Cert", Value: "Hash=" + peer.HexHash + `;Cert="` + peer.PercentPEM + `"`},
}

// Bounds on what a route may have a probe send.
const maxForgedHeaders, maxForgedName, maxForgedValue = 32, 100, 2048

// take takes what the route says that the program reads.
func (h *forgedHeaders) take(r *peer.Reads) error {
	if h.Reads = *r; len(h.Fields) == 0 {
		h.Fields, h.ownTLS = common, true
	}
	good := len(h.Fields)+len(h.Secrets) <= maxForgedHeaders
	for _, f := range h.Fields {
		good = good && goodName(f.Name) && len(f.Value) <= maxForgedValue && visible(strings.ReplaceAll(f.Value, " ", ""))
	}
	for _, s := range h.Secrets {
		good = good && goodName(s)
	}
	if !good {
		return fmt.Errorf("%w: it names headers that cannot be sent", ErrProbeRoute)
	}
	return nil
}

// goodName reports whether a header has this name, and none that HTTP or the probe itself needs.
func goodName(s string) bool {
	const token = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	key := http.CanonicalHeaderKey(s)
	return s != "" && len(s) <= maxForgedName && strings.Trim(s, token) == "" && !strings.HasPrefix(key, "Sallyport-Probe-") &&
		!slices.Contains([]string{"Connection", "Content-Length", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}, key)
}

// names are those of all headers.
func (h *forgedHeaders) names() []string {
	out := slices.Clone(h.Secrets)
	for _, f := range h.Fields {
		out = append(out, f.Name)
	}
	return out
}

// with is what the headers have with a forged certificate.
func (h *forgedHeaders) with(f forgery) []peer.Field {
	hash := sha256.Sum256(f.leaf)
	words := strings.NewReplacer(
		peer.Base64, base64.StdEncoding.EncodeToString(f.leaf), peer.IssuerBase64, base64.StdEncoding.EncodeToString(f.issuer),
		peer.PercentPEM, percentPEM(f.leaf), peer.IssuerPercentPEM, percentPEM(f.issuer),
		peer.SpacedPEM, spacedPEM(f.leaf), peer.IssuerSpacedPEM, spacedPEM(f.issuer),
		peer.HexHash, fingerprint(f.leaf), peer.Base64Hash, base64.StdEncoding.EncodeToString(hash[:]),
	)
	out := make([]peer.Field, 0, len(h.Fields))
	for _, field := range h.Fields {
		out = append(out, peer.Field{Name: field.Name, Value: words.Replace(field.Value)})
	}
	return out
}

// secrets are wrong ones.
func (h *forgedHeaders) secrets() (out []peer.Field) {
	for _, name := range h.Secrets {
		out = append(out, peer.Field{Name: name, Value: rand.Text() + rand.Text()})
	}
	return out
}

func onePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func percentPEM(der []byte) string {
	return strings.ReplaceAll(url.QueryEscape(onePEM(der)), "+", "%20")
}

func spacedPEM(der []byte) string {
	return strings.TrimSpace(strings.ReplaceAll(onePEM(der), "\n", " "))
}
