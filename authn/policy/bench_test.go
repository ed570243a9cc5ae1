package policy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// fakeKind decodes a section that says outright what the factor can prove.
type fakeKind struct{ name string }

func (k fakeKind) Name() string { return k.name }

func (k fakeKind) Settings(s *Section) (Settings, error) {
	var in fakeSettings
	if err := s.Decode(&in); err != nil {
		return nil, err
	}
	for i, name := range in.Anchors {
		if !hasAnchor(s.Anchors(), name) {
			return nil, s.Errorf("anchors["+string(rune('0'+i))+"]", "there is no anchor %q", name)
		}
	}
	if in.Extra != "" {
		if _, err := s.ReadFile(in.Extra); err != nil {
			return nil, s.Errorf("extra", "cannot be read: %v", err)
		}
	}
	return &in, nil
}

func hasAnchor(anchors []Anchor, name string) bool {
	for _, a := range anchors {
		if a.Name == name {
			return true
		}
	}
	return false
}

type fakeSettings struct {
	Proves    string        `yaml:"proves"` // user, tenant or device; anything else: nothing
	Ambient   bool          `yaml:"ambient"`
	Resistant bool          `yaml:"resistant"`
	Verified  bool          `yaml:"verified"`
	Number    int           `yaml:"number"`
	Age       time.Duration `yaml:"age"`
	Anchors   []string      `yaml:"anchors"`
	Extra     string        `yaml:"extra"`
	Tied      bool          `yaml:"tied"`
	AtMost    bool          `yaml:"at_most"` // what it proves, it proves of some credentials only
	After     string        `yaml:"after"`   // tenant or user: what must be known before it
	Single    bool          `yaml:"single"`  // is worth nothing beyond a request
	PerTenant map[string]struct {
		Issuer string `yaml:"issuer"`
	} `yaml:"per_tenant"`
}

func (s *fakeSettings) Describe() authn.Factor {
	f := authn.Factor{Ambient: s.Ambient, Tied: s.Tied,
		Best: authn.Strength{Category: authn.Have, PhishingResistant: s.Resistant, UserVerified: s.Verified}}
	switch s.Proves {
	case "user":
		f.Identifies = authn.IdentifiesUser
	case "device":
		f.Identifies, f.Class = authn.IdentifiesUser, authn.ClassDevice
	case "workload":
		f.Identifies, f.Class = authn.IdentifiesUser, authn.ClassWorkload
	case "tenant":
		f.Identifies = authn.IdentifiesTenant
	}
	return f
}

// AtLeast implements Partial.
func (s *fakeSettings) AtLeast() authn.Identifies {
	if s.AtMost {
		return authn.IdentifiesNothing
	}
	return s.Describe().Identifies
}

// Place implements Placed.
func (s *fakeSettings) Place() Place {
	after := map[string]authn.Identifies{"tenant": authn.IdentifiesTenant, "user": authn.IdentifiesUser}
	return Place{After: after[s.After], EachRequest: s.Single}
}

// writeFile writes a file into a folder, made where it is missing.
func writeFile(t testing.TB, folder, name string, content []byte) {
	t.Helper()
	full := filepath.Join(folder, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// certificate makes a self-signed certificate in PEM.
func certificate(t testing.TB, isCA bool) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test"}, IsCA: isCA, BasicConstraintsValid: true,
		NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(1_900_000_000, 0),
	}, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test"}}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// baseText is a small policy that has one of everything; the broken ones differ from it in one place.
const baseText = `version: 1
origin: https://portal.example
anchors:
  staff: { ca: staff.crt, tenant: corp }
factors:
  cert: { kind: fake, proves: user, ambient: true, anchors: [staff] }
  org: { kind: fake, proves: tenant, ambient: true }
  box: { kind: fake, proves: device, ambient: true }
  key: { kind: fake, proves: user, resistant: true, verified: true }
methods:
  admin: { steps: [cert, key], session: { idle: 15m, absolute: 8h } }
  kiosk: { steps: [box] }
  desk: { steps: [key], on: kiosk }
  api: { steps: [cert], each_request: true }
rules:
  - { route: /kiosk/*, methods: [kiosk, desk] }
  - { methods: [admin, api] }
floors:
  - { name: admin, route: /admin/*, aal: 2, phishing_resistant: true }
limits:
  attempts: { per_credential: 3, window: 10m }
`

// folderWith makes a folder with the CA file that baseText names.
func folderWith(t testing.TB) string {
	t.Helper()
	folder := t.TempDir()
	writeFile(t, folder, "staff.crt", certificate(t, true))
	return folder
}

func parseIn(folder, text string) (*Policy, error) {
	return Parse(filepath.Join(folder, "policy.yaml"), []byte(text), fakeKind{"fake"})
}

func mustParse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := parseIn(folderWith(t), text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
