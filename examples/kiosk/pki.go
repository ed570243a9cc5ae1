package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// p12Password protects the .p12 files of the demo, so that they can be imported anywhere.
const p12Password = "sallyport"

// pki is the demo's certificates in a folder. What is there already is kept.
type pki struct {
	dir string
	now time.Time
	log *slog.Logger // nil: nothing is logged
}

// pair is a certificate and its key. The key is nil where somebody took it away, as one should with that of an
// authority.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// make makes what is missing: the certificate of this program, and the authority of the kiosks with a certificate for each.
func (p pki) make(host string, kiosks []string) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	serverCA, err := p.authority("server-ca", "Sallyport demo server CA")
	if err != nil {
		return err
	}
	if err := p.server(serverCA, host); err != nil {
		return err
	}
	ca, err := p.authority("kiosk-ca", "Sallyport demo kiosk CA")
	if err != nil {
		return err
	}
	for _, name := range kiosks {
		if err := p.device(ca, name); err != nil {
			return err
		}
	}
	return nil
}

func (p pki) path(name string) string { return filepath.Join(p.dir, name) }

// authority is a CA: from its files, or new.
func (p pki) authority(name, cn string) (pair, error) {
	t := &x509.Certificate{Subject: pkix.Name{CommonName: cn}, NotAfter: p.now.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true,
		MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	return p.keep(name, t, nil, func(own pair) bool { return own.cert.IsCA && p.now.Before(own.cert.NotAfter) })
}

// server is the certificate of this program. It is made anew when it does not cover the host, or soon ends.
func (p pki) server(ca pair, host string) error {
	names := []string{"localhost"}
	addrs := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if ip := net.ParseIP(host); ip != nil {
		addrs = append(addrs, ip)
	} else if !slices.Contains(names, host) {
		names = append(names, host)
	}
	t := &x509.Certificate{Subject: pkix.Name{CommonName: host}, NotAfter: p.now.AddDate(1, 0, 0), DNSNames: names, IPAddresses: addrs,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	own, err := p.keep("server", t, &ca, func(own pair) bool {
		c := own.cert
		return c.VerifyHostname(host) == nil && c.CheckSignatureFrom(ca.cert) == nil && p.now.AddDate(0, 0, 7).Before(c.NotAfter)
	})
	if err == nil && own.key == nil {
		_, err = p.issue("server", t, &ca)
	}
	return err
}

// device is the certificate of a kiosk, with a .p12 for its browser. It names the kiosk by a SPIFFE id, and nobody.
func (p pki) device(ca pair, name string) error {
	id := &url.URL{Scheme: "spiffe", Host: "corp.example", Path: "/" + tenant + "/kiosk/" + name}
	t := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotAfter: p.now.AddDate(1, 0, 0), URIs: []*url.URL{id},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	own, err := p.keep(name, t, &ca, func(own pair) bool {
		// One of this program's own is made anew where it can be, when it ended, or its authority did.
		ours := own.key != nil && ca.key != nil && bytes.Equal(own.cert.RawIssuer, ca.cert.RawSubject)
		return !ours || own.cert.CheckSignatureFrom(ca.cert) == nil && p.now.Before(own.cert.NotAfter)
	})
	if err != nil {
		return err
	}
	p.protect(name + ".p12")
	if _, err := os.Stat(p.path(name + ".p12")); own.key == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Three-key triple DES and SHA-1 are what every browser and system imports. The password is public anyway: what
	// protects the file is its mode.
	p12, err := pkcs12.LegacyDES.Encode(own.key, own.cert, []*x509.Certificate{ca.cert}, p12Password)
	if err != nil {
		return fmt.Errorf("%s.p12: %w", name, err)
	}
	return write(p.path(name+".p12"), p12, 0o600)
}

// keep reads a pair from its files if it is good, and otherwise makes it. A key without a certificate is what a kill may
// leave: the pair is made anew. A certificate without its key is kept, for somebody took the key away. Files that are
// there and broken are an error, for they may be somebody's.
func (p pki) keep(name string, t *x509.Certificate, ca *pair, good func(pair) bool) (pair, error) {
	own, err := p.read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p.issue(name, t, ca)
	case err != nil:
		return pair{}, err
	case good(own):
		return own, nil
	case ca == nil:
		return pair{}, fmt.Errorf("%s is no CA certificate that is still valid", p.path(name+".crt"))
	}
	return p.issue(name, t, ca)
}

// read reads a pair. Without a certificate there is none.
func (p pki) read(name string) (pair, error) {
	c, err := p.readCert(name + ".crt")
	if err != nil {
		return pair{}, err
	}
	p.protect(name + ".key")
	key, err := os.ReadFile(p.path(name + ".key"))
	if errors.Is(err, fs.ErrNotExist) {
		return pair{cert: c}, nil
	}
	if err != nil {
		return pair{}, err
	}
	block, _ := pem.Decode(key)
	if block == nil {
		return pair{}, fmt.Errorf("%s is not PEM", p.path(name+".key"))
	}
	private, err := parseKey(block)
	if err != nil {
		return pair{}, fmt.Errorf("%s is no ECDSA key that can be read", p.path(name+".key"))
	}
	if !private.PublicKey.Equal(c.PublicKey) {
		return pair{}, fmt.Errorf("%s does not belong to %s", p.path(name+".key"), p.path(name+".crt"))
	}
	return pair{c, private}, nil
}

// protect takes a file from everybody but its owner, and says so.
func (p pki) protect(file string) {
	info, err := os.Stat(p.path(file))
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return
	}
	err = os.Chmod(p.path(file), 0o600)
	switch {
	case p.log == nil:
	case err != nil:
		p.log.Warn("others can read a key", "file", p.path(file), "error", err)
	default:
		p.log.Warn("others could read a key until now: think about making a new one", "file", p.path(file))
	}
}

func (p pki) readCert(file string) (*x509.Certificate, error) {
	b, err := os.ReadFile(p.path(file))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", p.path(file))
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.path(file), err)
	}
	return c, nil
}

var errNotECDSA = errors.New("not an ECDSA key")

// parseKey reads a key as this program writes it (PKCS #8), or as openssl ecparam does (SEC 1).
func parseKey(block *pem.Block) (*ecdsa.PrivateKey, error) {
	if block.Type == "EC PRIVATE KEY" {
		return x509.ParseECPrivateKey(block.Bytes)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if private, ok := k.(*ecdsa.PrivateKey); ok {
		return private, nil
	}
	return nil, errNotECDSA
}

func (p pki) issue(name string, t *x509.Certificate, ca *pair) (pair, error) {
	if ca != nil && ca.key == nil {
		return pair{}, fmt.Errorf("%s must be made, and the key of the authority %q is not there", p.path(name+".crt"), ca.cert.Subject.CommonName)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126)); err != nil {
		return pair{}, err
	}
	t.NotBefore = p.now.Add(-time.Hour)
	signer := pair{t, key}
	if ca != nil {
		signer = *ca
	}
	der, err := x509.CreateCertificate(rand.Reader, t, signer.cert, key.Public(), signer.key)
	if err != nil {
		return pair{}, fmt.Errorf("%s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, fmt.Errorf("%s: %w", name, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, fmt.Errorf("%s: %w", name, err)
	}
	// The certificate goes first and comes last: with it there, the pair is whole.
	for _, old := range []string{name + ".crt", name + ".p12"} {
		if err := os.Remove(p.path(old)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return pair{}, err
		}
	}
	if err := write(p.path(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600); err != nil {
		return pair{}, err
	}
	return pair{cert, key}, write(p.path(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// write writes a file whole or not at all.
func write(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = bytes.NewReader(content).WriteTo(f)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
