package mtls

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// An anchor speaks for its own tenants only, also where another anchor certified its CA.
func TestTheNearestAnchorEndsThePath(t *testing.T) {
	staff, rest := mtlstest.NewCA(t, "Staff root"), mtlstest.NewCA(t, "Acme root")
	below := staff.Intermediate("Acme CA")
	sub := below.Intermediate("Acme Issuing CA")
	cross := staff.IntermediateFrom(mtlstest.Leaf{CN: "Acme root", Key: rest.Key})
	renamed := staff.IntermediateFrom(mtlstest.Leaf{CN: "Another name", Key: rest.Key})
	acme := func(cas ...*mtlstest.CA) policy.Anchor {
		a := policy.Anchor{Name: "acme", Tenant: "acme"}
		for _, ca := range cas {
			a.Certificates = append(a.Certificates, ca.Certificate)
		}
		return a
	}
	constant := []writtenRule{{From: "subject.cn", Pattern: "{user}", Tenant: "corp"}}
	captured := []writtenRule{{From: "subject.cn", Pattern: "{user}@{tenant}"}}
	for name, c := range map[string]struct {
		anchor policy.Anchor
		by     *mtlstest.CA
		with   []*x509.Certificate // presented beside what the CA gives
		used   []string            // anchors of the factor
	}{
		"below":                             {acme(below), below, nil, []string{"staff", "acme"}},
		"below, of another factor":          {acme(below), below, nil, []string{"staff"}},
		"one more below":                    {acme(below), sub, nil, []string{"staff", "acme"}},
		"one more below, of another factor": {acme(below), sub, nil, []string{"staff"}},
		"cross-certified":                   {acme(rest), rest, []*x509.Certificate{cross.Certificate}, []string{"staff", "acme"}},
		"cross-certified, other factor":     {acme(rest), rest, []*x509.Certificate{cross.Certificate}, []string{"staff"}},
		"its key under another name":        {acme(rest), renamed, nil, []string{"staff", "acme"}},
	} {
		for _, rules := range [][]writtenRule{constant, captured} {
			cn := "alice"
			if rules[0].Tenant == "" {
				cn = "alice@corp"
			}
			w := written{Anchors: c.used, Identify: rules}
			chain := append(present(t, c.by.Issue(mtlstest.Leaf{CN: cn})), c.with...)
			t.Run(name+", "+cn, func(t *testing.T) {
				want := ReasonForeignTenant
				if len(c.used) == 1 || c.by == renamed {
					want = ReasonUntrusted
				}
				_, err := verify(t, newFixture(staffOf(staff), c.anchor).factor(t, w), request(chain, time.Now()))
				wantReason(t, err, want)
				_, err = verify(t, newFixture(staffOf(staff), acme(mtlstest.NewCA(t, "Elsewhere"))).factor(t, w), request(chain, time.Now()))
				wantReason(t, err, "") // without the anchor, the path leads through the CA
			})
		}
	}

	x := newFixture(staffOf(staff), acme(below))
	ada := x.directory.users[key("corp", "alice", authn.ClassPerson)]
	ada.Tenant, ada.ID = "acme", "u-ada"
	x.directory.users[key("acme", "alice", authn.ClassPerson)] = ada
	w := written{Anchors: []string{"staff", "acme"}, Identify: captured}
	e, err := verify(t, x.factor(t, w), request(present(t, sub.Issue(mtlstest.Leaf{CN: "alice@acme"})), time.Now()))
	if err != nil || e.Subject != (authn.Subject{Tenant: "acme", User: "u-ada"}) || e.Tie.Anchor != "acme" {
		t.Errorf("its own tenant: %+v, %v", e.Subject, err)
	}
}

// A CA and one below it in the same anchor are one anchor.
func TestAuthoritiesOfOneAnchorAboveEachOther(t *testing.T) {
	root := mtlstest.NewCA(t, "Staff root")
	issuing := root.Intermediate("Staff Issuing CA")
	w := byCommonName
	for name, a := range map[string]policy.Anchor{"both": staffOf(root, issuing), "the lower": staffOf(issuing)} {
		for what, ca := range map[string]*mtlstest.CA{"issuing": issuing, "below": issuing.Intermediate("Site CA")} {
			_, err := verify(t, newFixture(a).factor(t, w), request(present(t, ca.Issue(mtlstest.Leaf{CN: "alice"})), time.Now()))
			if err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}
