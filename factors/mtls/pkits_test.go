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

// The certificates of PKITS have no extended key usage, so the path builder is asked alone. Of the cases about revocation
// only the paths that must be good are run: lists are not read in this version.
func TestPKITS(t *testing.T) {
	var file struct {
		Anchor string            `json:"trust_anchor"`
		Certs  map[string]string `json:"certs"`
		Cases  []pkitsCase       `json:"cases"`
	}
	readVectors(t, "pkits/pkits.json", &file)
	parse := func(name string) (*x509.Certificate, error) {
		der, err := base64.StdEncoding.DecodeString(file.Certs[name])
		if err != nil {
			t.Fatal(err)
		}
		return x509.ParseCertificate(der)
	}
	root, err := parse(file.Anchor)
	if err != nil {
		t.Fatal(err)
	}
	trusted := newTrust([]policy.Anchor{{Name: "root", Tenant: "corp", Certificates: []*x509.Certificate{root}}}, nil)
	run := func(c pkitsCase) error {
		var presented []*x509.Certificate
		for i, name := range append([]string{c.Cert}, c.Chain...) {
			parsed, err := parse(name)
			if err != nil && i == 0 {
				return err
			}
			if err == nil {
				presented = append(presented, parsed)
			}
		}
		_, err := trusted.build(presented, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), x509.ExtKeyUsageAny)
		return err
	}
	good := 0
	for _, c := range file.Cases {
		if why, differs := pkitsDiffers[c.ID]; differs {
			if err := run(c); err == nil {
				t.Errorf("%s: taken, though it is listed as a difference: %s", c.ID, why)
			}
			continue
		}
		if c.Revocation && c.Expected != "SUCCESS" {
			continue
		}
		err := run(c)
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
