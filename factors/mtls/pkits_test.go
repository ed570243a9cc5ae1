package mtls

import (
	"crypto/x509"
	"encoding/base64"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn/policy"
)

type pkitsCase struct {
	ID         string   `json:"id"`
	Cert       string   `json:"cert"`
	Chain      []string `json:"chain"`
	CRLs       []string `json:"crls"`
	Expected   string   `json:"expected"`
	Revocation bool     `json:"revocation"`
}

// pkitsDiffers are paths that are good and that we refuse, and why.
var pkitsDiffers = map[string]string{
	"40104_valid_dsa_signatures_test4":                               "DSA",
	"40105_valid_dsa_parameter_inheritance_test5":                    "DSA",
	"40303_valid_name_chaining_whitespace_test3":                     chainedByBytes,
	"40304_valid_name_chaining_whitespace_test4":                     chainedByBytes,
	"40305_valid_name_chaining_capitalization_test5":                 chainedByBytes,
	"40310_valid_rollover_from_printablestring_to_utf8string_test10": chainedByBytes,
	"40311_valid_utf8string_case_insensitive_match_test11":           chainedByBytes,
	"40615_valid_self_issued_pathlenconstraint_test15":               selfIssued,
	"40617_valid_self_issued_pathlenconstraint_test17":               selfIssued,
	"41404_valid_distributionpoint_test4":                            distributionPoint,
	"41405_valid_distributionpoint_test5":                            distributionPoint,
	"41429_valid_crlissuer_test29":                                   distributionPoint,
}

const (
	chainedByBytes    = "crypto/x509 compares issuer and subject byte by byte."
	distributionPoint = "crypto/x509 does not read distribution points relative to their issuer."
)

// pkits is the suite.
type pkits struct {
	Anchor string            `json:"trust_anchor"`
	Certs  map[string]string `json:"certs"`
	CRLs   map[string]string `json:"crls"`
	Cases  []pkitsCase       `json:"cases"`
}

// readPKITS reads the suite, and gives trust in its anchor.
func readPKITS(t *testing.T) (pkits, trust) {
	t.Helper()
	var p pkits
	readVectors(t, "pkits/pkits.json", &p)
	root, err := p.certificate(p.Anchor)
	if err != nil {
		t.Fatal(err)
	}
	return p, newTrust([]policy.Anchor{{Name: "root", Tenant: "corp", Certificates: []*x509.Certificate{root}}}, nil)
}

func (p pkits) certificate(name string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(p.Certs[name])
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// now is when the suite is valid.
var pkitsTime = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// paths builds the paths of a case. The certificates have no extended key usage, so the path builder is asked alone.
func (p pkits) paths(c pkitsCase, trusted trust) ([]path, error) {
	var presented []*x509.Certificate
	for i, name := range append([]string{c.Cert}, c.Chain...) {
		parsed, err := p.certificate(name)
		if err != nil && i == 0 {
			return nil, err
		}
		if err == nil {
			presented = append(presented, parsed)
		}
	}
	return trusted.build(presented, pkitsTime, x509.ExtKeyUsageAny)
}

// Of the cases about revocation only the paths that must be good are run: their lists are TestPKITSLists'.
func TestPKITS(t *testing.T) {
	file, trusted := readPKITS(t)
	good := 0
	for _, c := range file.Cases {
		_, err := file.paths(c, trusted)
		if why, differs := pkitsDiffers[c.ID]; differs {
			if err == nil {
				t.Errorf("%s: taken, though it is listed as a difference: %s", c.ID, why)
			}
			continue
		}
		if c.Revocation && c.Expected != "SUCCESS" {
			continue
		}
		if (err == nil) != (c.Expected == "SUCCESS") {
			t.Errorf("%s: expected %s, got %v", c.ID, c.Expected, err)
		}
		if err == nil {
			good++
		}
	}
	if len(file.Cases) != 172 || good < 60 {
		t.Errorf("%d of %d are good", good, len(file.Cases))
	}
}
