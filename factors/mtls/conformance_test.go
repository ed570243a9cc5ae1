package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/factortest"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

func TestConformance(t *testing.T) {
	staff, strangers := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Staff CA")
	cn := byCommonName
	tenant := written{Anchors: []string{"staff"}, Identify: []writtenRule{{From: "anchor"}}}
	for name, s := range map[string]struct {
		written written
		renewed bool // the same user's certificate with another key carries a session on
	}{
		"bound to the key":         {written: cn},
		"bound to the certificate": {written: written{Anchors: cn.Anchors, Identify: cn.Identify, Bind: "certificate"}},
		"bound to the identity":    {written: written{Anchors: cn.Anchors, Identify: cn.Identify, Bind: "identity"}, renewed: true},
		"tenant alone":             {written: tenant},
		"workload":                 {written: written{Anchors: cn.Anchors, Identify: cn.Identify, Principal: "workload"}},
		"device":                   {written: written{Anchors: cn.Anchors, Identify: cn.Identify, Principal: "device"}},
		"enrolled":                 {written: written{Anchors: cn.Anchors, Identify: cn.Identify, Enrolled: "required"}},
	} {
		t.Run(name, func(t *testing.T) {
			fix := newFixture(staffOf(staff))
			if name == "tenant alone" {
				fix = newFixture(policy.Anchor{Name: "staff", Tenant: "corp", Certificates: staffOf(staff).Certificates})
			}
			now := time.Now()
			ask := func(c tls.Certificate) factors.Request { return request(present(t, c), now) }
			holder, other := alice.Name, bob.Name
			for _, u := range []factors.User{kiosk, job} {
				if s.written.Principal == u.Class.String() {
					holder, other = u.Name, "hall"
					fix.directory.users[key("corp", other, u.Class)] = factors.User{Tenant: "corp", ID: "x-hall", Name: other, Class: u.Class}
				}
			}
			good, foreign, denied := staff.Issue(mtlstest.Leaf{CN: holder}), staff.Issue(mtlstest.Leaf{CN: other}), staff.Issue(mtlstest.Leaf{CN: holder})
			fix.denials.deny(factors.DenyCertificate, denied.Leaf)
			suite := factortest.Suite{
				Factor: fix.factor(t, s.written), Request: ask(good),
				WrongRequests: map[string]factors.Request{
					"a CA of the same name":   ask(strangers.Issue(mtlstest.Leaf{CN: holder})),
					"signed by itself":        ask(mtlstest.SelfSigned(t, mtlstest.Leaf{CN: holder})),
					"expired":                 ask(staff.Issue(mtlstest.Leaf{CN: holder, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)})),
					"not valid yet":           ask(staff.Issue(mtlstest.Leaf{CN: holder, NotBefore: now.Add(time.Hour)})),
					"for servers":             ask(staff.Issue(mtlstest.Leaf{CN: holder, EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})),
					"denied":                  ask(denied),
					"before the handshake":    {Now: now, Peer: peer.New(present(t, good), peer.Source{Name: SourceTLS, Early: true}, nil)},
					"a chain of nothing":      {Now: now, Peer: peer.New(nil, tlsSource, nil)},
					"an authority, no client": {Now: now, Peer: peer.New([]*x509.Certificate{staff.Certificate}, tlsSource, nil)},
				},
				OtherRequests: map[string]factors.Request{"another's": ask(foreign)},
			}
			if !s.renewed {
				suite.OtherRequests["another key"] = ask(staff.Issue(mtlstest.Leaf{CN: holder}))
			}
			if name != "tenant alone" {
				suite.WrongRequests["of nobody"] = ask(staff.Issue(mtlstest.Leaf{CN: "mallory"}))
			}
			if s.written.Enrolled != "" {
				mustEnrol(t, &suite, fix, staff)
				suite.WrongRequests["not enrolled"] = ask(staff.Issue(mtlstest.Leaf{CN: holder}))
			}
			factortest.Run(t, suite)
		})
	}
}

// mustEnrol completes a suite for a factor whose certificates must be enrolled, and enrols those that are to be good.
func mustEnrol(t *testing.T, s *factortest.Suite, fix *fixture, staff *mtlstest.CA) {
	t.Helper()
	store := func(c factors.Credential) error {
		fix.directory.mu.Lock()
		defer fix.directory.mu.Unlock()
		fix.directory.credentials[c.Tenant+"/"+c.Factor+"/"+c.ID] = c
		return nil
	}
	enrol := func(r factors.Request, u factors.User) {
		t.Helper()
		c, err := s.Factor.(factors.Enroller).Enrol(t.Context(), factors.Enrolment{Request: r, User: u})
		if err != nil {
			t.Fatal(err)
		}
		c.Tenant, c.User, c.Factor = u.Tenant, u.ID, s.Factor.Describe().Name
		if err := store(c); err != nil {
			t.Fatal(err)
		}
	}
	enrol(s.Request, alice)
	enrol(s.OtherRequests["another's"], bob)
	enrol(s.OtherRequests["another key"], alice)
	fresh := request(present(t, staff.Issue(mtlstest.Leaf{CN: alice.Name})), s.Request.Now)
	s.Enrolling = &factortest.Enrolling{
		Enrolment: factors.Enrolment{Request: fresh, User: alice}, Store: store,
		Refused: map[string]factors.Enrolment{"another's certificate": {Request: fresh, User: bob}},
	}
	for name, r := range s.WrongRequests {
		s.Enrolling.Refused[name] = factors.Enrolment{Request: r, User: alice}
	}
}
