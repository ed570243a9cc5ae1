package mtls

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// A certificate with a SPIFFE ID is an X.509-SVID, or nothing.
func TestSPIFFE(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f := newFixture(staffOf(ca)).factor(t, written{Anchors: []string{"staff"}, Identify: []writtenRule{
		{From: "san.uri", Pattern: "spiffe://corp.example/corp/staff/{user}", Tenant: "corp"}, {From: "subject.cn", Pattern: "{user}", Tenant: "corp"}}})
	for name, c := range map[string]struct {
		leaf mtlstest.Leaf
		why  string
	}{
		"good":                {mtlstest.Leaf{URIs: []string{"spiffe://corp.example/corp/staff/alice"}}, ""},
		"another URI":         {mtlstest.Leaf{CN: "alice", URIs: []string{"urn:uuid:1"}}, ""},
		"two of them":         {mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://corp.example/a", "spiffe://corp.example/b"}}, string(ReasonAmbiguous)},
		"beside another":      {mtlstest.Leaf{CN: "alice", URIs: []string{"urn:uuid:1", "spiffe://corp.example/a"}}, string(ReasonAmbiguous)},
		"a whole domain":      {mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://corp.example"}}, string(ReasonBadName)},
		"a domain in capital": {mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://CORP.example/corp/staff/alice"}}, string(ReasonBadName)},
		"a scheme in capital": {mtlstest.Leaf{CN: "alice", URIs: []string{"SPIFFE://corp.example/corp/staff/alice"}}, string(ReasonBadName)},
		"a port":              {mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://corp.example:8443/a"}}, string(ReasonBadName)},
		"a user":              {mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://x@corp.example/a"}}, string(ReasonBadName)},
		"a query":             {mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://corp.example/a?b"}}, string(ReasonBadName)},
		"dots":                {mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://corp.example/a/../b"}}, string(ReasonBadName)},
		"a slash at the end":  {mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://corp.example/a/"}}, string(ReasonBadName)},
		"no authority":        {mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe:corp"}}, string(ReasonBadName)},
	} {
		e, err := verify(t, f, request(present(t, ca.Issue(c.leaf)), time.Now()))
		if c.why == "" {
			if err != nil || e.Names.User != "alice" {
				t.Errorf("%s: %+v, %v", name, e.Names, err)
			}
			continue
		}
		if r, ok := errors.AsType[*factors.Rejection](err); !ok || string(r.Reason) != c.why {
			t.Errorf("%s: %v, want %s", name, err, c.why)
		}
	}
}

// The published list of ids: each is read or refused as it says.
func TestSPIFFEVectors(t *testing.T) {
	var file struct {
		Tests    []spiffeCase `json:"go_spiffe_tests"`
		Standard []spiffeCase `json:"standard"`
	}
	readVectors(t, "spiffe/ids.json", &file)
	good := 0
	for _, c := range append(file.Tests, file.Standard...) {
		_, err := parseSPIFFE(c.ID)
		if c.Expected == "EITHER" {
			continue
		}
		if (err == nil) != (c.Expected == "SUCCESS") {
			t.Errorf("%q (%s): %v, want %s", c.ID, c.Why, err, c.Expected)
		}
		if err == nil {
			good++
		}
	}
	if good < 50 {
		t.Errorf("%d are good", good)
	}
}

type spiffeCase struct{ ID, Expected, Why string }

// It matters to no rule that reads another name, and is held to the rules all the same.
func TestSPIFFEThatNoRuleReads(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff CA")
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	for why, uris := range map[authn.Reason][]string{"": {"spiffe://corp.example/a"}, ReasonAmbiguous: {"spiffe://corp.example/a", "urn:b"}, ReasonBadName: {"spiffe://corp.example/a/."}} {
		_, err := verify(t, f, request(present(t, ca.Issue(mtlstest.Leaf{CN: "alice", URIs: uris})), time.Now()))
		wantReason(t, err, why)
	}
	for n, good := range map[int]bool{maxSPIFFE: true, maxSPIFFE + 1: false} {
		id := "spiffe://corp.example/"
		if _, err := parseSPIFFE(id + strings.Repeat("a", n-len(id))); (err == nil) != good {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
