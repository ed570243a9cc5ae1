package main

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// folder makes the certificates of a first start.
func folder(t *testing.T) pki {
	t.Helper()
	p := pki{dir: filepath.Join(t.TempDir(), "pki"), now: time.Now()}
	again(t, p, "portal.example")
	return p
}

func again(t *testing.T, p pki, host string) {
	t.Helper()
	if err := p.make(host, []string{"alice", "bob"}); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, p pki) map[string]string {
	t.Helper()
	files, err := os.ReadDir(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(p.path(f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name()] = string(b)
	}
	return all
}

func cert(t *testing.T, p pki, name string) *x509.Certificate {
	t.Helper()
	own, err := p.read(name)
	if err != nil {
		t.Fatal(err)
	}
	return own.cert
}

func verify(t *testing.T, p pki, ca, name string, use x509.ExtKeyUsage) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(cert(t, p, ca))
	if _, err := cert(t, p, name).Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func TestCertificates(t *testing.T) {
	p := folder(t)
	verify(t, p, "server-ca", "server", x509.ExtKeyUsageServerAuth)
	for _, host := range []string{"portal.example", "localhost", "127.0.0.1", "::1"} {
		if err := cert(t, p, "server").VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"alice", "bob"} {
		verify(t, p, "staff-ca", name, x509.ExtKeyUsageClientAuth)
		c := cert(t, p, name)
		if c.Subject.CommonName != name || c.KeyUsage != x509.KeyUsageDigitalSignature || len(c.ExtKeyUsage) != 1 || c.IsCA {
			t.Errorf("%s: subject %q, usage %d %v", name, c.Subject, c.KeyUsage, c.ExtKeyUsage)
		}
		b, err := os.ReadFile(p.path(name + ".p12"))
		if err != nil {
			t.Fatal(err)
		}
		_, in, chain, err := pkcs12.DecodeChain(b, p12Password)
		if err != nil || !in.Equal(c) || len(chain) != 1 || !chain[0].Equal(cert(t, p, "staff-ca")) {
			t.Errorf("%s.p12: %v, %d certificates above", name, err, len(chain))
		}
	}
	for file := range contents(t, p) {
		info, err := os.Stat(p.path(file))
		if err != nil {
			t.Fatal(err)
		}
		if secret := !strings.HasSuffix(file, ".crt"); secret && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", file, info.Mode().Perm())
		}
	}
}

// What is there is kept, the server's certificate until it does not serve any more.
func TestCertificatesAreKept(t *testing.T) {
	p := folder(t)
	before := contents(t, p)
	again(t, p, "portal.example")
	for file, b := range contents(t, p) {
		if before[file] != b {
			t.Errorf("%s was made anew", file)
		}
	}
	again(t, p, "other.example")
	after := contents(t, p)
	if err := cert(t, p, "server").VerifyHostname("other.example"); err != nil {
		t.Error(err)
	}
	p.now = p.now.AddDate(0, 11, 28)
	again(t, p, "other.example")
	if got := contents(t, p); got["server.crt"] == after["server.crt"] || got["alice.crt"] != before["alice.crt"] {
		t.Error("near the end of its time the server's certificate, and no other, should be made anew")
	}
}

// A kill leaves some of the files. The next start makes a whole of them, wherever it hit.
func TestCertificatesAfterAKill(t *testing.T) {
	for _, name := range []string{"server-ca", "server", "staff-ca", "alice"} {
		p := folder(t)
		if err := os.Remove(p.path(name + ".crt")); err != nil {
			t.Fatal(err)
		}
		again(t, p, "portal.example")
		verify(t, p, "server-ca", "server", x509.ExtKeyUsageServerAuth)
		if name != "staff-ca" { // its people were made after it: a kill never leaves them without it
			verify(t, p, "staff-ca", "alice", x509.ExtKeyUsageClientAuth)
		}
	}
	p := folder(t)
	if err := os.Remove(p.path("bob.p12")); err != nil {
		t.Fatal(err)
	}
	before := contents(t, p)
	again(t, p, "portal.example")
	if after := contents(t, p); after["bob.p12"] == "" || after["bob.crt"] != before["bob.crt"] {
		t.Error("bob.p12 should be made of the pair that is there")
	}
}

// When a pair is made anew, no moment is left at which a certificate lies beside a key that is not its own.
func TestCertificateGoesFirst(t *testing.T) {
	p := folder(t)
	ca, err := p.read("server-ca")
	if err != nil {
		t.Fatal(err)
	}
	// The key cannot be written: as if the program had been killed just there.
	if err := os.Remove(p.path("server.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(p.path("server.key"), "in-the-way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := p.issue("server", &x509.Certificate{}, &ca); err == nil {
		t.Fatal("the key could be written")
	}
	if _, err := os.Stat(p.path("server.crt")); err == nil {
		t.Error("the certificate of the key before is still there")
	}
	if err := os.RemoveAll(p.path("server.key")); err != nil {
		t.Fatal(err)
	}
	again(t, p, "other.example")
	verify(t, p, "server-ca", "server", x509.ExtKeyUsageServerAuth)
}

// The key of an authority is best kept elsewhere. Taking it away changes nothing, until it is needed.
func TestKeyTakenAway(t *testing.T) {
	p := folder(t)
	for _, key := range []string{"staff-ca.key", "server-ca.key", "alice.key"} {
		if err := os.Remove(p.path(key)); err != nil {
			t.Fatal(err)
		}
	}
	before := contents(t, p)
	again(t, p, "portal.example")
	after := contents(t, p)
	if len(after) != len(before) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
	for file, b := range before {
		if !bytes.Equal([]byte(after[file]), []byte(b)) {
			t.Errorf("%s changed", file)
		}
	}
	if err := p.make("other.example", nil); err == nil || !strings.Contains(err.Error(), "server.crt must be made") {
		t.Errorf("a certificate for another host without its authority's key: %v", err)
	}
}

func TestCertificatesBroken(t *testing.T) {
	for _, file := range []string{"server-ca.crt", "server.crt", "server.key", "staff-ca.key", "alice.crt"} {
		p := folder(t)
		if err := os.WriteFile(p.path(file), []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.make("portal.example", []string{"alice"}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("with a broken %s: %v", file, err)
		}
	}
	p := folder(t)
	b, _ := os.ReadFile(p.path("bob.key"))
	if err := os.WriteFile(p.path("alice.key"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.make("portal.example", []string{"alice"}); err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("with somebody else's key: %v", err)
	}
	p = folder(t)
	p.now = p.now.AddDate(11, 0, 0)
	if err := p.make("portal.example", nil); err == nil || !strings.Contains(err.Error(), "server-ca.crt") {
		t.Errorf("with an authority past its time: %v", err)
	}
}

// A new authority is no use while the certificates are those of the old one.
func TestNewAuthorityNewCertificates(t *testing.T) {
	p := folder(t)
	before := contents(t, p)
	for _, file := range []string{"staff-ca.crt", "staff-ca.key"} {
		if err := os.Remove(p.path(file)); err != nil {
			t.Fatal(err)
		}
	}
	again(t, p, "portal.example")
	for _, name := range []string{"alice", "bob"} {
		verify(t, p, "staff-ca", name, x509.ExtKeyUsageClientAuth)
		after := contents(t, p)
		if after[name+".p12"] == before[name+".p12"] {
			t.Errorf("%s.p12 is the old one", name)
		}
		_, held, _, err := pkcs12.DecodeChain([]byte(after[name+".p12"]), p12Password)
		if err != nil || !held.Equal(cert(t, p, name)) {
			t.Errorf("%s.p12 holds another certificate: %v", name, err)
		}
	}
	p.now = p.now.AddDate(1, 1, 0)
	again(t, p, "portal.example")
	if c := cert(t, p, "alice"); !p.now.Before(c.NotAfter) {
		t.Errorf("an expired certificate was kept")
	}
}

// What somebody put there is theirs, whoever issued it.
func TestCertificatesOfOthersAreKept(t *testing.T) {
	p, other := folder(t), pki{dir: filepath.Join(t.TempDir(), "pki"), now: time.Now()}
	if err := os.MkdirAll(other.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ca, err := other.authority("ca", "A CA of the company's own")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.person(ca, "alice"); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"alice.crt", "alice.key", "alice.p12"} {
		b, err := os.ReadFile(other.path(file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.path(file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := contents(t, p)
	again(t, p, "portal.example")
	if after := contents(t, p); after["alice.crt"] != before["alice.crt"] || after["alice.key"] != before["alice.key"] {
		t.Errorf("the certificate of another authority was replaced")
	}
}

func TestKeysThatOthersCanRead(t *testing.T) {
	p := folder(t)
	var log bytes.Buffer
	p.log = slog.New(slog.NewTextHandler(&log, nil))
	for _, file := range []string{"alice.key", "staff-ca.key", "server.key", "bob.p12"} {
		if err := os.Chmod(p.path(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	again(t, p, "portal.example")
	for _, file := range []string{"alice.key", "staff-ca.key", "server.key", "bob.p12"} {
		info, err := os.Stat(p.path(file))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", file, info.Mode(), err)
		}
		if !strings.Contains(log.String(), file) {
			t.Errorf("no word of %s in the log:\n%s", file, log.String())
		}
	}
	log.Reset()
	again(t, p, "portal.example")
	if log.Len() > 0 {
		t.Errorf("it says of good files: %s", log.String())
	}
}
