package mtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Mode says what the handshake does about client certificates.
type Mode int

const (
	// Request asks for one, and takes none or any: the verifier decides, and a page can explain. The default.
	Request Mode = iota
	// VerifyIfGiven takes none, and ends the handshake with one that leads to no CA of ClientCAs.
	VerifyIfGiven
	// Require ends the handshake without a certificate that leads to a CA of ClientCAs.
	Require
)

// maxCAFile is the most bytes that a file of CA certificates may have.
const maxCAFile = 4 << 20

// ServerConfig makes the tls.Config of a server that asks for client certificates. Its fields are not changed once TLS was
// called; it must not be copied after that.
//
// In no mode does a handshake replace the verifier: a session that is resumed, or a connection that was made before a CA
// was removed, is known to be good only because the verifier looks again on each request.
type ServerConfig struct {
	// ClientCAs are PEM files. In mode Request they are only the hint that lets a browser offer the right certificates,
	// and may be left empty; the other modes need one.
	ClientCAs []string
	Mode      Mode

	// Hosts are the names (SNI, RFC 6066 section 3) whose connections are asked for other certificates than the rest, in lower
	// case. A TLS session that was begun under one name is verified anew by the files of the name that it is resumed under.
	// A browser may send requests for one host over a connection to another (RFC 9113 section 9.1.1): what is asked for here
	// helps people to choose, and the policy's factors decide.
	Hosts map[string]HostConfig

	// One of Certificates and GetCertificate must be set, as in tls.Config.
	Certificates   []tls.Certificate
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	MinVersion uint16           // zero: TLS 1.2, which is also the least
	NextProtos []string         // nil: HTTP/2 and HTTP/1.1
	Now        func() time.Time // nil: time.Now

	reload sync.Mutex
	state  atomic.Pointer[serverState] // what new connections are made with
}

// HostConfig is what ServerConfig has for all other names, for one.
type HostConfig struct {
	ClientCAs []string
	Mode      Mode
}

// serverState is a configuration for each name; that of "" is for all others.
type serverState map[string]*tls.Config

func (s serverState) of(name string) *tls.Config {
	if c, ok := s[strings.ToLower(name)]; ok {
		return c
	}
	return s[""]
}

// Errors of ServerConfig.
var (
	ErrNoClientCAs   = errors.New("mtls: this mode needs files of client CAs")
	ErrNoCertificate = errors.New("mtls: the server has no certificate")
	ErrTLSVersion    = errors.New("mtls: TLS before 1.2")
	ErrCAFile        = errors.New("mtls: not a file of CA certificates")
)

// TLS reads the files and makes the configuration. A file that is unreadable, empty, or holds anything but CA certificates
// is an error.
func (s *ServerConfig) TLS() (*tls.Config, error) {
	if err := s.Reload(); err != nil {
		return nil, err
	}
	outer := s.state.Load().of("").Clone()
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return s.state.Load().of(hello.ServerName), nil }
	return outer, nil
}

// Reload reads the files again. New connections use them, also ones that resume an older session. If anything is wrong
// with them, what was in force stays, and the error says so. Safe for concurrent use.
func (s *ServerConfig) Reload() error {
	s.reload.Lock()
	defer s.reload.Unlock()
	if err := s.check(); err != nil {
		return err
	}
	next := serverState{}
	for name, host := range s.hosts() {
		pool, err := poolOf(host.ClientCAs)
		if err != nil {
			return err
		}
		next[name] = s.config(name, host.Mode, pool)
	}
	s.state.Store(&next)
	return nil
}

// hosts are the names with what is asked for under them; that of "" is for all others.
func (s *ServerConfig) hosts() map[string]HostConfig {
	all := map[string]HostConfig{"": {s.ClientCAs, s.Mode}}
	maps.Copy(all, s.Hosts)
	return all
}

func poolOf(files []string) (*x509.CertPool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	for _, file := range files {
		authorities, err := readAuthorities(file)
		if err != nil {
			return nil, err
		}
		for _, c := range authorities {
			pool.AddCert(c)
		}
	}
	return pool, nil
}

func (s *ServerConfig) check() error {
	for name, h := range s.hosts() {
		switch {
		case h.Mode < Request || h.Mode > Require:
			return fmt.Errorf("mtls: mode %d is not known", h.Mode)
		case h.Mode != Request && len(h.ClientCAs) == 0:
			return ErrNoClientCAs
		case name != strings.ToLower(name) || strings.HasSuffix(name, "."):
			return fmt.Errorf("mtls: the host %q is written in lower case, without a dot at the end", name)
		}
	}
	if _, ok := s.Hosts[""]; ok {
		return errors.New("mtls: a host without a name")
	}
	switch {
	case len(s.Certificates) == 0 && s.GetCertificate == nil:
		return ErrNoCertificate
	case s.MinVersion != 0 && s.MinVersion < tls.VersionTLS12:
		return ErrTLSVersion
	}
	return nil
}

func (s *ServerConfig) config(name string, mode Mode, pool *x509.CertPool) *tls.Config {
	c := &tls.Config{
		Certificates:   slices.Clone(s.Certificates),
		GetCertificate: s.GetCertificate,
		ClientAuth:     [...]tls.ClientAuthType{tls.RequestClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert}[mode],
		ClientCAs:      pool,
		MinVersion:     max(s.MinVersion, tls.VersionTLS12),
		NextProtos:     slices.Clone(s.NextProtos),
		Time:           s.Now,
	}
	if s.NextProtos == nil {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	if mode != Request {
		c.VerifyConnection = func(cs tls.ConnectionState) error { return s.verifyResumed(cs, name, mode) }
	}
	return c
}

// verifyResumed verifies the certificate of a resumed session against the CAs of today. crypto/tls carries over what the
// first handshake verified, and a session ticket may come from a connection made under another configuration.
func (s *ServerConfig) verifyResumed(cs tls.ConnectionState, name string, mode Mode) error {
	if !cs.DidResume {
		return nil
	}
	if len(cs.PeerCertificates) == 0 {
		if mode == Require {
			return errResumed
		}
		return nil
	}
	options := x509.VerifyOptions{
		Roots:         s.state.Load().of(name).ClientCAs,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if s.Now != nil {
		options.CurrentTime = s.Now()
	}
	for _, c := range cs.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := cs.PeerCertificates[0].Verify(options); err != nil {
		return errResumed
	}
	return nil
}

var errResumed = errors.New("mtls: the certificate of the resumed session is no longer good")

// readAuthorities reads a PEM file that holds CA certificates, at least one, and no block that is anything else. Text before
// a block is let be (RFC 7468 section 5.2).
func readAuthorities(file string) ([]*x509.Certificate, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	lower := bytes.ToLower(text)
	begun, ended := bytes.Count(lower, []byte("-----begin")), bytes.Count(lower, []byte("-----end"))
	var out []*x509.Certificate
	for len(bytes.TrimSpace(text)) > 0 {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("%w: %s: something that is no block, behind block %d", ErrCAFile, file, len(out))
		}
		text = rest
		c, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return nil, fmt.Errorf("%w: %s: block %d is no certificate", ErrCAFile, file, len(out)+1)
		}
		if err := checkAuthority(c); err != nil {
			return nil, fmt.Errorf("%w: %s: block %d: %w", ErrCAFile, file, len(out)+1, err)
		}
		out = append(out, c)
	}
	// pem.Decode passes over blocks that are damaged.
	if len(out) == 0 || len(out) != begun || len(out) != ended {
		return nil, fmt.Errorf("%w: %s: %d of %d blocks can be read", ErrCAFile, file, len(out), max(begun, ended))
	}
	return out, nil
}

func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("mtls: client CAs: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCAFile+1))
	if err != nil {
		return nil, fmt.Errorf("mtls: client CAs: %w", err)
	}
	if len(text) > maxCAFile {
		return nil, fmt.Errorf("%w: %s: over %d bytes", ErrCAFile, file, maxCAFile)
	}
	return text, nil
}
