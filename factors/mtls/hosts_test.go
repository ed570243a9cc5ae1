package mtls

import (
	"crypto/tls"
	"net/http"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// oneSession offers the same TLS session under every name, as a client may that means no good.
type oneSession struct {
	mu    sync.Mutex
	state *tls.ClientSessionState
}

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state, o.state != nil
}

func (o *oneSession) Put(_ string, s *tls.ClientSessionState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = s
}

// Each name asks for certificates of its own, and a session that was begun under one is worth nothing under another.
func TestHostsOfTheirOwn(t *testing.T) {
	staff, partner := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Partner CA")
	config := &ServerConfig{Hosts: map[string]HostConfig{
		"staff.example":   {ClientCAs: []string{staff.File()}, Mode: Require},
		"partner.example": {ClientCAs: []string{partner.File()}, Mode: Require},
	}}
	p := newPortal(t, config, newFixture(staffOf(staff, partner)).factor(t, byCommonName))
	alice, bob := staff.Issue(mtlstest.Leaf{CN: "alice"}), partner.Issue(mtlstest.Leaf{CN: "bob"})
	at := func(w wire, name string, cert *tls.Certificate, sessions tls.ClientSessionCache) string {
		c := p.client(w, cert)
		conf := c.Transport.(*http.Transport).TLSClientConfig
		conf.ServerName, conf.ClientSessionCache = name, sessions
		conf.InsecureSkipVerify = true // the server's certificate is for its address
		return p.get(c)
	}
	eachWire(t, func(t *testing.T, w wire) {
		for _, c := range []struct {
			name string
			cert *tls.Certificate
			want string
		}{
			{"staff.example", &alice, "alice"}, {"STAFF.example", &alice, "alice"}, {"staff.example", &bob, "handshake"}, {"staff.example", nil, "handshake"},
			{"partner.example", &bob, "bob"}, {"partner.example", &alice, "handshake"},
			{"elsewhere.example", &alice, "alice"}, {"elsewhere.example", nil, string(factors.ReasonNoCertificate)},
		} {
			want := c.want
			if want != "handshake" {
				want += " " + w.proto()
			}
			if got := at(w, c.name, c.cert, nil); got != want {
				t.Errorf("%s: %q, want %q", c.name, got, want)
			}
		}
		sessions := new(oneSession)
		for _, want := range []string{"alice " + w.proto(), "alice resumed " + w.proto()} {
			if got := at(w, "staff.example", &alice, sessions); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		if got := at(w, "partner.example", &alice, sessions); got != "handshake" {
			t.Errorf("a session of another name: %q", got)
		}
	})
}

// crypto/tls looks at the roots of a resumed session by itself in this version of Go; this holds without it too.
func TestHostsVerifyResumedSessionsByTheirOwnFiles(t *testing.T) {
	staff, partner := mtlstest.NewCA(t, "Staff CA"), mtlstest.NewCA(t, "Partner CA")
	s := &ServerConfig{Certificates: []tls.Certificate{staff.Server()}, Hosts: map[string]HostConfig{
		"staff.example":   {ClientCAs: []string{staff.File()}, Mode: Require},
		"partner.example": {ClientCAs: []string{partner.File()}, Mode: VerifyIfGiven},
	}}
	config, err := s.TLS()
	if err != nil {
		t.Fatal(err)
	}
	chain := present(t, staff.Issue(mtlstest.Leaf{CN: "alice"}))
	for name, good := range map[string]bool{"staff.example": true, "STAFF.example": true, "partner.example": false, "Partner.example": false} {
		c, err := config.GetConfigForClient(&tls.ClientHelloInfo{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.VerifyConnection(tls.ConnectionState{DidResume: true, PeerCertificates: chain}); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, h := range map[string]HostConfig{"Staff.example": {}, "staff.example.": {}, "": {}, "x.example": {Mode: Require}, "y.example": {Mode: 9}} {
		bad := &ServerConfig{Certificates: s.Certificates, Hosts: map[string]HostConfig{name: h}}
		if _, err := bad.TLS(); err == nil {
			t.Errorf("%q %+v is taken", name, h)
		}
	}
}
