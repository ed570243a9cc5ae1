package mtls

import (
	"context"
	"encoding/base64"
	"testing"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
)

// pkitsListsDiffer are the cases of which we think otherwise once lists are looked at, and why.
var pkitsListsDiffer = map[string]string{
	"40419_valid_separate_certificate_and_crl_keys_test19":  otherKey,
	"40501_valid_basic_self_issued_old_with_new_test1":      otherKey,
	"40504_valid_basic_self_issued_new_with_old_test4":      otherKey,
	"40506_valid_basic_self_issued_crl_signing_key_test6":   otherKey,
	"40906_valid_self_issued_require_explicit_policy_test6": otherKey,
	"41107_valid_self_issued_inhibit_policy_mapping_test7":  otherKey,
	"41207_valid_self_issued_inhibit_any_policy_test7":      otherKey,
	"41209_valid_self_issued_inhibit_any_policy_test9":      otherKey,
	"41407_valid_distributionpoint_test7":                   "Distribution points relative to their issuer are not read.",
	"41422_valid_idp_with_indirectcrl_test22":               indirectList,
	"41424_valid_idp_with_indirectcrl_test24":               indirectList,
	"41425_valid_idp_with_indirectcrl_test25":               indirectList,
	"41428_valid_crlissuer_test28":                          indirectList,
	"41430_valid_crlissuer_test30":                          indirectList,
	"41433_valid_crlissuer_test33":                          indirectList,
	"41505_valid_deltacrl_test5":                            "What a delta list takes back is revoked until a complete list leaves it out.",
}

const (
	otherKey     = "A list counts only where the very key signed it that signed the certificate."
	indirectList = "Indirect lists, which one CA makes for another, are refused."
)

// lists checks a case in full: a path, and the case's lists for all of it. A list that cannot be read is as good as none.
func (p pkits) lists(c pkitsCase, trusted trust) error {
	paths, err := p.paths(c, trusted)
	if err != nil {
		return err
	}
	var lists []*revocation.List
	for _, name := range append([]string{"TrustAnchorRootCRL.crl"}, c.CRLs...) {
		der, err := base64.StdEncoding.DecodeString(p.CRLs[name])
		if err != nil {
			return err
		}
		l, err2 := revocation.ParseList(der)
		if err2 != nil {
			err = err2
			continue
		}
		lists = append(lists, l)
	}
	checker := revocation.New(revocation.Config{}).Checker("device", &revocation.Settings{Files: []revocation.File{{Lists: lists}}})
	for _, path := range paths {
		var marks []factors.Marks
		for _, c := range path.chain {
			marks = append(marks, factors.MarksOf(c))
		}
		if _, err = checker.Check(context.Background(), pkitsTime, revocation.Path(path.chain, marks)); err == nil {
			return nil
		}
	}
	return err
}

func TestPKITSLists(t *testing.T) {
	file, trusted := readPKITS(t)
	good := 0
	for _, c := range file.Cases {
		err := file.lists(c, trusted)
		agrees := (err == nil) == (c.Expected == "SUCCESS")
		why, differs := pkitsListsDiffer[c.ID]
		if path, known := pkitsDiffers[c.ID]; known {
			why, differs = path, true
		}
		switch {
		case !agrees && !differs:
			t.Errorf("%s: expected %s, got %v", c.ID, c.Expected, err)
		case agrees && differs:
			t.Errorf("%s: agrees, though it is listed as a difference: %s", c.ID, why)
		}
		if err == nil {
			good++
		}
	}
	if len(file.Cases) != 172 || good != 47 {
		t.Errorf("%d of %d are good", good, len(file.Cases))
	}
}
