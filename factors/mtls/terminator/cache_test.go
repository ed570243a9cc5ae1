package terminator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// directory knows everybody in the tenant corp.
type directory struct{ factors.Directory }

func (directory) UserNamed(_ context.Context, tenant, name string, class authn.Class) (factors.User, error) {
	return factors.User{Tenant: tenant, ID: "u-" + name, Name: name, Class: class}, nil
}

// nobodyDenied is an empty deny list.
type nobodyDenied struct{}

func (nobodyDenied) Denied(context.Context, time.Time, string, factors.Marks) (bool, error) {
	return false, nil
}

// section is the section of a factor in a policy, as it is read from a file.
const section = `
version: 1
origin: https://portal.example
anchors: { staff: { ca: %s, tenant: corp } }
factors: { device: { kind: mtls, anchors: [staff], identify: [{ from: subject.cn, pattern: "{user}", tenant: corp }] } }
methods: { admin: { steps: [device] } }
rules: [{ methods: [admin] }]
`

// factorFor builds the factor mtls with one anchor.
func factorFor(t testing.TB, ca *mtlstest.CA) factors.Tied {
	t.Helper()
	p, err := policy.Parse("policy.yaml", []byte(fmt.Sprintf(section, ca.File())), mtls.Kind())
	if err != nil {
		t.Fatal(err)
	}
	built, err := mtls.Kind().Build(p.Factors[0].Settings, factors.Env{Directory: directory{}, Denials: nobodyDenied{}})
	if err != nil {
		t.Fatal(err)
	}
	return built.(factors.Tied)
}

// entered is a person whose certificate a terminator sent, and who is remembered.
type entered struct {
	world
	front    *Terminator
	factor   factors.Tied
	sent     headers
	evidence authn.Evidence
	now      time.Time
}

func enter(t testing.TB, c Config, sentOf func(world) headers) *entered {
	t.Helper()
	e := &entered{world: newWorld(t), front: build(t, c), now: time.Now()}
	e.factor, e.sent = factorFor(t, e.ca), sentOf(e.world)
	v, err := e.verify(t, e.sent)
	if err != nil {
		t.Fatal(err)
	}
	e.evidence = v
	if err := e.tie(e.sent); err != nil {
		t.Fatal(err)
	}
	return e
}

// verify has the factor verify what is sent.
func (e *entered) verify(t testing.TB, sent headers) (authn.Evidence, error) {
	t.Helper()
	chain, err := e.front.PeerCertChain(request(sent))
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.factor.Verify(context.Background(), factors.Verification{Request: factors.Request{Now: e.now, Peer: chain}})
	return out.Evidence, err
}

// tie asks whether what is sent carries the session on.
func (e *entered) tie(sent headers) error {
	chain, err := e.front.PeerCertChain(request(sent))
	if err != nil {
		return err
	}
	return e.factor.CheckTie(context.Background(), factors.Request{Now: e.now, Peer: chain}, *e.evidence.Tie, e.evidence.Subject)
}

// remembered is how many certificates are.
func (c *cache) remembered() int { return len(c.young) + len(c.old) }

// rfc9440Of sends a certificate with the one that issued it.
func rfc9440Of(w world, c *x509.Certificate) headers {
	return headers{"Client-Cert", sequence(c), "Client-Cert-Chain", sequence(w.issuing.Certificate)}
}

func sendsAlice(w world) headers { return rfc9440Of(w, w.alice) }

// again is a request that can be seen again and again: what is removed from it is put back.
type again struct {
	*http.Request
	sent http.Header
}

func newAgain(h headers) *again {
	r := request(h.with("Accept", "text/html", "User-Agent", "Mozilla/5.0", "Accept-Encoding", "gzip", "Accept-Language", "en", "Cookie", "a=b",
		"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "X-Forwarded-For", "203.0.113.7"))
	return &again{r, r.Header.Clone()}
}

func (a *again) put() {
	for name, values := range a.sent {
		a.Header[name] = values
	}
}

func TestACertificateSeenBeforeCostsNoAllocation(t *testing.T) {
	secret := strings.Repeat("s", 32)
	for name, c := range map[string]struct {
		rule  Rule
		extra headers
	}{
		"by network": {Rule{Addresses: networks("127.0.0.0/8")}, nil},
		"by secret":  {Rule{Secret: &Secret{Header: "X-Secret", Values: []string{secret, secret + "2"}}}, headers{"X-Secret", secret}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(RFC9440)
			cfg.Trust, cfg.Client.Header = []Rule{c.rule}, "X-Forwarded-For"
			e := enter(t, cfg, func(w world) headers { return sendsAlice(w).with(c.extra...) })
			r := newAgain(e.sent)
			n := testing.AllocsPerRun(1000, func() {
				r.put()
				e.seenAgain(t, r)
			})
			if n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	t.Run("by certificate", func(t *testing.T) {
		proxies := mtlstest.NewCA(t, "Proxies")
		own := proxies.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/nginx"}})
		front := build(t, withTrust(Rule{Identity: &Identity{CAs: proxies.Pool(), IDs: []string{"spiffe://corp.example/nginx"}}}))
		r := newAgain(headers{verdict, "NONE"})
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{own.Leaf}}
		n := testing.AllocsPerRun(1000, func() {
			r.put()
			if seen := front.See(r.Request); seen.Removed != nil || seen.Refused != nil {
				t.Fatal(seen)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func (e *entered) seenAgain(t testing.TB, r *again) {
	seen := e.front.See(r.Request)
	if err := e.factor.CheckTie(context.Background(), factors.Request{Now: e.now, Peer: seen.Chain}, *e.evidence.Tie, e.evidence.Subject); err != nil {
		t.Fatal(err, seen.Refused, seen.Removed)
	}
}

func TestForgedCertificatesPushNobodyOut(t *testing.T) {
	e := enter(t, config(RFC9440), sendsAlice)
	e.front.known.most = 4
	for range 50 {
		forged := mtlstest.SelfSigned(t, mtlstest.Leaf{CN: "alice"}).Leaf
		if _, err := e.verify(t, rfc9440Of(e.world, forged)); err == nil {
			t.Fatal("a forged certificate is taken")
		}
	}
	if n := e.front.known.remembered(); n != 1 {
		t.Errorf("%d certificates are remembered, and one is good", n)
	}
	if k := e.front.known.find(sent{leaf: sequence(e.alice), chain: sequence(e.issuing.Certificate)}); k == nil || !k.certificates[0].Equal(e.alice) {
		t.Error("the good one was forgotten")
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	one := func(i int) sent { return sent{leaf: fmt.Sprintf("%0100d", i)} }
	for name, c := range map[string]*cache{
		"by number": {young: map[sent]*known{}, most: 10, full: 1 << 20},
		"by bytes":  {young: map[sent]*known{}, most: 1 << 20, full: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			often := c.add(one(0), nil)
			often.memo.Store("", "")
			for i := range 1000 {
				c.add(one(i+1), nil).memo.Store("", "")
				if c.remembered() > 20 {
					t.Fatalf("%d are remembered", c.remembered())
				}
				if c.find(one(0)) != often {
					t.Fatalf("what is asked for again and again is forgotten after %d", i)
				}
			}
			if c.find(one(1)) != nil {
				t.Error("what nobody asked for is not forgotten")
			}
		})
	}
}

// That a certificate is remembered says nothing of who sends it now, nor of what else is sent.
func TestWhatIsRememberedIsOfWhatWasSent(t *testing.T) {
	t.Run("the sender", func(t *testing.T) {
		e := enter(t, config(RFC9440), sendsAlice)
		r := request(e.sent)
		r.RemoteAddr = "192.0.2.1:1234"
		wantStranger(t, e.front.See(r))
	})
	t.Run("the verdict", func(t *testing.T) {
		c := config(Nginx)
		e := enter(t, c, func(w world) headers {
			direct := w.ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf
			return nginxOf(direct)
		})
		wantReason(t, e.front, request(e.sent.without(verdict)), ReasonMissing)
		wantReason(t, e.front, request(e.sent.without(verdict).with(verdict, "FAILED:revoked")), ReasonNotVerified)
	})
	t.Run("the fingerprint", func(t *testing.T) {
		e := enter(t, config(GCP), func(w world) headers { return gcpOf(w.ca.Issue(mtlstest.Leaf{CN: "alice"}).Leaf) })
		wantReason(t, e.front, request(e.sent.without("X-Client-Cert-Hash").with("X-Client-Cert-Hash", base64HashOf(e.bob))), ReasonFingerprint)
	})
	t.Run("another certificate", func(t *testing.T) {
		e := enter(t, config(RFC9440), sendsAlice)
		wantRejection(t, e.tie(rfc9440Of(e.world, e.bob)), factors.ReasonTieBroken)
	})
	t.Run("without the chain that leads to the anchor", func(t *testing.T) {
		e := enter(t, config(RFC9440), sendsAlice)
		wantRejection(t, e.tie(headers{"Client-Cert", sequence(e.alice)}), mtls.ReasonUntrusted)
	})
	t.Run("the time", func(t *testing.T) {
		e := enter(t, config(RFC9440), sendsAlice)
		e.now = e.alice.NotAfter.Add(time.Minute)
		wantRejection(t, e.tie(e.sent), mtls.ReasonExpired)
	})
	t.Run("the CA: the factor is built anew", func(t *testing.T) {
		e := enter(t, config(RFC9440), sendsAlice)
		e.factor = factorFor(t, mtlstest.NewCA(t, "Other CA"))
		wantRejection(t, e.tie(e.sent), mtls.ReasonUntrusted)
	})
}

// A session that began with a handshake here does not go on with a header, nor with that of another terminator.
func TestASessionStaysWithItsSource(t *testing.T) {
	e := enter(t, config(RFC9440), sendsAlice)
	other := config(RFC9440)
	other.Name = "other"
	e.front = build(t, other)
	wantRejection(t, e.tie(e.sent), mtls.ReasonOtherSource)
	r := request(nil)
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: mtlstest.Chain(t, e.key)}
	chain, err := mtls.FromTLS().PeerCertChain(r)
	if err != nil {
		t.Fatal(err)
	}
	err = e.factor.CheckTie(context.Background(), factors.Request{Now: e.now, Peer: chain}, *e.evidence.Tie, e.evidence.Subject)
	wantRejection(t, err, mtls.ReasonOtherSource)
}

// What can be a replay proves nothing.
func TestEarlyDataProvesNothing(t *testing.T) {
	e := enter(t, config(RFC9440), sendsAlice)
	wantRejection(t, e.tie(e.sent.with("Early-Data", "1")), mtls.ReasonEarlyData)
}
