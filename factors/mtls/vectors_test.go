package mtls

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
)

// readVectors reads a file of public test vectors, which are no part of this repository.
func readVectors(t *testing.T, file string, into any) {
	t.Helper()
	folder := os.Getenv("SALLYPORT_VECTORS")
	if folder == "" {
		folder = filepath.Join("..", "..", "..", "shared", "vectors")
	}
	text, err := os.ReadFile(filepath.Join(folder, file))
	if errors.Is(err, os.ErrNotExist) {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatalf("no vectors: set SALLYPORT_VECTORS to the folder that holds %s", file)
		}
		t.Skipf("no vectors: set SALLYPORT_VECTORS to the folder that holds %s", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// judge runs a chain through settings, factor and verifier. parsed says whether every certificate could be read at all.
func judge(t *testing.T, anchors, presented [][]byte, rule writtenRule, lists *revocation.Written, now time.Time) error {
	t.Helper()
	anchor := policy.Anchor{Name: "anchor", Tenant: "corp"}
	for _, der := range anchors {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		anchor.Certificates = append(anchor.Certificates, c)
	}
	var chain []*x509.Certificate
	for i, der := range presented {
		c, err := x509.ParseCertificate(der)
		if err != nil && i == 0 {
			return err
		}
		if err == nil {
			chain = append(chain, c)
		}
	}
	s, err := readSettings(plainSection{"device", []policy.Anchor{anchor}, written{Anchors: []string{"anchor"}, Identify: []writtenRule{rule}, Revocation: lists}})
	if err != nil {
		return err
	}
	f, err := Kind().Build(s, factors.Env{Directory: peopleOf(), Denials: &denyList{}})
	if err != nil {
		return err
	}
	_, err = verify(t, f, request(chain, now))
	return err
}

func fromPEM(t *testing.T, text string) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no PEM")
	}
	return block.Bytes
}

type limboCase struct {
	ID            string   `json:"id"`
	Trusted       []string `json:"trusted_certs"`
	Intermediates []string `json:"untrusted_intermediates"`
	Peer          string   `json:"peer_certificate"`
	At            string   `json:"validation_time"`
	Expected      string   `json:"expected_result"`
	CRLs          []string `json:"crls"`
	Name          *struct {
		Kind  string `json:"kind"`
		Value string `json:"value"`
	} `json:"expected_peer_name"`
}

func (c limboCase) run(t *testing.T, now time.Time) error {
	var anchors [][]byte
	for _, text := range c.Trusted {
		anchors = append(anchors, fromPEM(t, text))
	}
	presented := [][]byte{fromPEM(t, c.Peer)}
	for _, text := range c.Intermediates {
		presented = append(presented, fromPEM(t, text))
	}
	rule := writtenRule{From: "anchor"}
	if c.Name != nil && c.Name.Kind == "DNS" {
		rule = writtenRule{From: "san.dns", Pattern: c.Name.Value, Tenant: "corp"}
	}
	if c.At != "" {
		at, err := time.Parse(time.RFC3339Nano, c.At)
		if err != nil {
			t.Fatal(err)
		}
		now = at
	}
	return judge(t, anchors, presented, rule, c.lists(t), now)
}

// lists is a policy that wants the lists of the case looked at, where it has any.
func (c limboCase) lists(t *testing.T) *revocation.Written {
	if len(c.CRLs) == 0 {
		return nil
	}
	file := filepath.Join(t.TempDir(), "limbo.crl")
	if err := os.WriteFile(file, []byte(strings.Join(c.CRLs, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return &revocation.Written{CRL: []string{file}}
}

// limboDiffers are the cases of which we think otherwise, and why.
var limboDiffers = map[string]string{
	// Refused by them, taken by us.
	"pathlen::max-chain-depth-0-exhausted":                 noDepth,
	"pathlen::max-chain-depth-1-exhausted":                 noDepth,
	"rfc5280::aki::cross-signed-root-missing-aki":          anchorIsKey,
	"rfc5280::aki::leaf-missing-aki":                       "directly below an anchor there is no choice of issuers for a key identifier to make",
	"rfc5280::ski::root-missing-ski":                       anchorIsKey,
	"rfc5280::root-non-critical-basic-constraints":         anchorIsKey,
	"webpki::aki::root-with-aki-missing-keyidentifier":     anchorIsKey,
	"webpki::aki::root-with-aki-authoritycertissuer":       anchorIsKey,
	"webpki::aki::root-with-aki-authoritycertserialnumber": anchorIsKey,
	"webpki::aki::root-with-aki-all-fields":                anchorIsKey,
	"webpki::aki::root-with-aki-ski-mismatch":              anchorIsKey,
	"webpki::eku::root-has-eku":                            anchorIsKey + " It allows client authentication; one that does not is held against the path.",
	"rfc5280::nc::permitted-dns-match-noncritical":         "Constraints count whether they are critical or not; webpki::nc::permitted-dns-match-noncritical expects that.",
	"rfc5280::pc::ica-noncritical-pc":                      "They count whether they are critical or not, and the CAs of PKITS issue such.",
	"rfc5280::nc::invalid-dnsname-leading-period":          "A leading period permits less than the same constraint without it, so that nothing is let in by it.",
	"rfc5280::san::ip-in-dns":                              "The rule of this case reads no DNS name; one that does refuses it.",
	"webpki::cn::ipv4-hex-mismatch":                        commonName,
	"webpki::cn::ipv4-leading-zeros-mismatch":              commonName,
	"webpki::cn::ipv6-uppercase-mismatch":                  commonName,
	"webpki::cn::ipv6-uncompressed-mismatch":               commonName,
	"webpki::cn::ipv6-non-rfc5952-mismatch":                commonName,
	"webpki::cn::punycode-not-in-san":                      commonName,
	"webpki::cn::utf8-vs-punycode-mismatch":                commonName,
	"webpki::cn::case-mismatch":                            commonName,
	"webpki::eku::ee-critical-eku":                         "RFC 5280 section 4.2.1.12 lets the issuer choose.",
	"webpki::san::san-critical-with-nonempty-subject":      "RFC 5280 section 4.2.1.6 says SHOULD, and a critical extension that is read is no danger.",

	// Taken by them, refused by us.
	"pathlen::validation-ignores-pathlen-in-leaf": caAsLeaf,
	"rfc5280::ca-as-leaf":                         caAsLeaf,
	"rfc5280::eku::ee-without-eku":                "A login wants client authentication named; webpki::eku::ee-without-eku expects that.",
	"pathlen::self-issued-certs-pathlen":          selfIssued,
	"rfc5280::nc::permitted-self-issued":          selfIssued,
	"rfc5280::nc::permitted-dn-match":             unchecked,
	"rfc5280::nc::nc-forbids-othername-noop":      unchecked,
	"webpki::nc::nc-permits-dns-san-pattern":      wildcard,
	"webpki::san::leftmost-wildcard-san":          wildcard,
}

const (
	noDepth     = "There is no setting for the depth of a path, only the bound on what may be presented."
	anchorIsKey = "A trust anchor is a name and a key that the operator chose (RFC 5280 section 6.1.1 d)."
	commonName  = "That a common name must be one of the DNS names is a rule for web sites. The rule of this case reads no common name."
	caAsLeaf    = "A login refuses CA certificates as leaves; webpki::ca-as-leaf expects that."
	selfIssued  = "crypto/x509 counts self-issued intermediates like others, which refuses more."
	unchecked   = "Constraints of names that crypto/x509 does not check are refused, whether or not such a name is there."
	wildcard    = "A certificate that is to name one client names no pattern."
)

func TestLimbo(t *testing.T) {
	var file struct {
		Cases []limboCase `json:"testcases"`
	}
	readVectors(t, "limbo/limbo-client.json", &file)
	if len(file.Cases) < 180 {
		t.Fatalf("%d cases", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.ID, func(t *testing.T) {
			err := c.run(t, time.Now())
			agrees := (err == nil) == (c.Expected == "SUCCESS")
			why, differs := limboDiffers[c.ID]
			switch {
			case !agrees && !differs:
				t.Errorf("expected %s, got %v", c.Expected, err)
			case agrees && differs:
				t.Errorf("agrees, though it is listed as a difference: %s", why)
			}
		})
	}
}

// The cases are about building paths around bad intermediates, with leaves for servers and up to 36 certificates: the
// path builder is asked, without the bounds and the checks of the leaf.
func TestBetterTLS(t *testing.T) {
	var file struct {
		Root  string            `json:"trust_root"`
		Certs map[string]string `json:"certs"`
		Cases []struct {
			ID           int      `json:"id"`
			Certificates []string `json:"certificates"`
			Expected     string   `json:"expected"`
		} `json:"cases"`
	}
	readVectors(t, "bettertls/pathbuilding.json", &file)
	parse := func(text string) *x509.Certificate {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := parse(file.Root)
	trusted := newTrust([]policy.Anchor{{Name: "root", Tenant: "corp", Certificates: []*x509.Certificate{root}}}, nil)
	now := root.NotBefore.Add(root.NotAfter.Sub(root.NotBefore) / 2)
	good := 0
	for _, c := range file.Cases {
		var presented []*x509.Certificate
		for _, id := range c.Certificates {
			presented = append(presented, parse(file.Certs[id]))
		}
		_, err := trusted.build(presented, now, x509.ExtKeyUsageServerAuth)
		if (err == nil) != (c.Expected == "SUCCESS") {
			t.Errorf("%d: expected %s, got %v", c.ID, c.Expected, err)
		}
		if err == nil {
			good++
		}
	}
	if len(file.Cases) != 81 || good == 0 {
		t.Errorf("%d of %d are good", good, len(file.Cases))
	}
}

func parseAll(t *testing.T, ders ...[]byte) []*x509.Certificate {
	t.Helper()
	var out []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}
