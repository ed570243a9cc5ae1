package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// A session that was renewed to another certificate still ends with the first one: with its CA's denial, and with its
// anchor.
func TestTieEndsWithTheOriginal(t *testing.T) {
	root, other, taker := mtlstest.NewCA(t, "Staff root"), mtlstest.NewCA(t, "Lab root"), mtlstest.NewCA(t, "Third root")
	a, b := root.Intermediate("A"), root.Intermediate("B")
	deep := a.Intermediate("Deep")
	aAgain := root.IntermediateFrom(mtlstest.Leaf{CN: "A", Key: a.Key})
	reissued := root.IntermediateFrom(mtlstest.Leaf{CN: "Staff root", Key: root.Key})
	key := mtlstest.NewKey(t)
	alice := mtlstest.Leaf{CN: "alice", Key: key}
	lab := policy.Anchor{Name: "lab", Tenant: "corp", Certificates: []*x509.Certificate{other.Certificate}}
	first := deep.Issue(alice)
	toB, toLab := b.Issue(alice), other.Issue(alice)

	deny := func(by factors.DenialBy, c *x509.Certificate) func(*fixture) {
		return func(x *fixture) { x.denials.deny(by, c) }
	}
	anchors := func(of ...policy.Anchor) func(*fixture) { return func(x *fixture) { x.anchors = of } }
	foreign := staffOf(root)
	foreign.Tenant = "acme"
	shared := staffOf(root)
	shared.Tenant, shared.Tenants = "", []string{"labs", "corp"}
	for _, c := range []struct {
		name    string
		renewed tls.Certificate
		change  func(*fixture)
		why     authn.Reason
	}{
		{"nothing", toB, func(*fixture) {}, ""},
		{"nothing, another anchor", toLab, func(*fixture) {}, ""},
		{"its CA denied by key", toB, deny(factors.DenyKey, deep.Certificate), factors.ReasonRevoked},
		{"its CA denied by itself", toB, deny(factors.DenyCertificate, deep.Certificate), factors.ReasonRevoked},
		{"its CA denied by serial", toB, deny(factors.DenySerial, deep.Certificate), factors.ReasonRevoked},
		{"its CA denied by subject", toB, deny(factors.DenySubject, deep.Certificate), factors.ReasonRevoked},
		{"the CA above denied", toB, deny(factors.DenyKey, a.Certificate), factors.ReasonRevoked},
		{"another certificate of the CA above denied", toB, deny(factors.DenyCertificate, aAgain.Certificate), ""},
		{"an unrelated CA denied", toLab, deny(factors.DenyKey, b.Certificate), ""},
		{"its anchor denied", toLab, deny(factors.DenyKey, root.Certificate), factors.ReasonRevoked},
		{"one certificate of its anchor denied", toLab, func(x *fixture) {
			x.anchors = []policy.Anchor{staffOf(root, reissued), lab}
			x.denials.deny(factors.DenyCertificate, root.Certificate)
		}, ""},
		{"all certificates of its anchor denied", toLab, func(x *fixture) {
			x.anchors = []policy.Anchor{staffOf(root, reissued), lab}
			x.denials.deny(factors.DenyCertificate, root.Certificate)
			x.denials.deny(factors.DenyCertificate, reissued.Certificate)
		}, factors.ReasonRevoked},
		{"its anchor gone", toLab, anchors(lab), ReasonUntrusted},
		{"its anchor has another CA", toLab, anchors(staffOf(taker), lab), ReasonUntrusted},
		{"its anchor has another CA, which renewed it", taker.Issue(alice), anchors(staffOf(taker), lab), ReasonUntrusted},
		{"its anchor has another CA beside its own", taker.Issue(alice), anchors(staffOf(taker, root), lab), ""},
		{"its anchor has the CA's new certificate", toB, anchors(staffOf(reissued), lab), ""},
		{"its anchor has another owner", toLab, anchors(foreign, lab), ReasonForeignTenant},
		{"its anchor is the portal's now", toLab, anchors(shared, lab), ""},
		{"its CA under another anchor's name", toLab, anchors(policy.Anchor{Name: "lab", Tenant: "corp", Certificates: staffOf(root, other).Certificates}), ReasonUntrusted},
	} {
		for _, bind := range []string{"key", "identity"} {
			if bind == "identity" && c.why == "" && len(c.renewed.Certificate) == 1 && c.renewed.Leaf.Issuer.CommonName == "Lab root" {
				continue // another anchor never carries on what is bound to an identity
			}
			t.Run(c.name+", "+bind, func(t *testing.T) {
				x := newFixture(staffOf(root), lab)
				w := written{Anchors: []string{"staff", "lab"}, Identify: byCommonName.Identify, Bind: bind}
				e, err := verify(t, x.factor(t, w), request(present(t, first), time.Now()))
				if err != nil {
					t.Fatal(err)
				}
				c.change(x)
				w.Anchors = nil
				for _, a := range x.anchors {
					if a.Tenant == "corp" || a.Tenants != nil || a.Name == "staff" {
						w.Anchors = append(w.Anchors, a.Name)
					}
				}
				f := x.factor(t, w)
				check := func(r factors.Request) error { return f.CheckTie(context.Background(), r, *e.Tie, e.Subject) }
				wantReason(t, check(request(present(t, c.renewed), time.Now())), c.why)
				if c.why == "" {
					return
				}
				// Whoever asks, and with whatever. What is denied is over; an anchor may be in the file again a moment later.
				for _, r := range []factors.Request{request(present(t, c.renewed), time.Now()), {Now: time.Now()}, request(present(t, mtlstest.SelfSigned(t, alice)), time.Now())} {
					err := check(r)
					wantReason(t, err, c.why)
					wantOver(t, err, c.why == factors.ReasonRevoked)
				}
			})
		}
	}
}

func wantOver(t *testing.T, err error, want bool) {
	t.Helper()
	if rejection, ok := errors.AsType[*factors.Rejection](err); !ok || rejection.Over != want {
		t.Errorf("got %#v, want it over: %v", err, want)
	}
}

// What is wrong with the request in hand says nothing of the session: its holder may come back with the right one.
func TestTieOutlivesWrongRequests(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff root")
	x := newFixture(staffOf(ca))
	f := x.factor(t, byCommonName)
	key := mtlstest.NewKey(t)
	first, again := ca.Issue(mtlstest.Leaf{CN: "alice", Key: key}), ca.Issue(mtlstest.Leaf{CN: "alice", Key: key})
	e, err := verify(t, f, request(present(t, first), time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	x.denials.deny(factors.DenyCertificate, again.Leaf)
	now := time.Now()
	for name, r := range map[string]factors.Request{
		"nothing":             {Now: now},
		"another key":         request(present(t, ca.Issue(mtlstest.Leaf{CN: "alice"})), now),
		"another CA":          request(present(t, mtlstest.NewCA(t, "Staff root").Issue(mtlstest.Leaf{CN: "alice", Key: key})), now),
		"another name":        request(present(t, ca.Issue(mtlstest.Leaf{CN: "bob", Key: key})), now),
		"a renewal denied":    request(present(t, again), now),
		"a renewal that ends": request(present(t, ca.Issue(mtlstest.Leaf{CN: "alice", Key: key, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)})), now),
		"early data":          {Now: now, Peer: peer.New(present(t, first), peer.Source{Name: SourceTLS, Early: true}, nil)},
		"another source":      {Now: now, Peer: peer.New(present(t, first), peer.Source{Name: "nginx"}, nil)},
	} {
		t.Run(name, func(t *testing.T) { wantOver(t, f.CheckTie(context.Background(), r, *e.Tie, e.Subject), false) })
	}
	if err := f.CheckTie(context.Background(), request(present(t, first), now), *e.Tie, e.Subject); err != nil {
		t.Error(err)
	}
}

// A tie that was cut, or that is of no certificate, holds nothing.
func TestTieOfNothing(t *testing.T) {
	ca := mtlstest.NewCA(t, "Staff root")
	f := newFixture(staffOf(ca)).factor(t, byCommonName)
	r := request(present(t, ca.Intermediate("A").Issue(mtlstest.Leaf{CN: "alice"})), time.Now())
	e, err := verify(t, f, r)
	if err != nil || len(e.Tie.Issuers) != marksSize {
		t.Fatal(err, len(e.Tie.Issuers))
	}
	for name, cut := range map[string]func(*authn.Tie){
		"no root":           func(tie *authn.Tie) { tie.Root = [32]byte{} },
		"another root":      func(tie *authn.Tie) { tie.Root[31]++ },
		"another name":      func(tie *authn.Tie) { tie.Anchor = "stuff" },
		"a piece of issuer": func(tie *authn.Tie) { tie.Issuers = tie.Issuers[1:] },
	} {
		tie := *e.Tie
		cut(&tie)
		err := f.CheckTie(context.Background(), r, tie, e.Subject)
		if err == nil {
			t.Errorf("%s: the tie holds", name)
			continue
		}
		wantReason(t, err, ReasonUntrusted)
	}
}
