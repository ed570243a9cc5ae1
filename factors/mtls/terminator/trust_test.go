package terminator

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// watched serves requests, and keeps what was seen of the last one and what was left of it.
type watched struct {
	front   *Terminator
	seen    peer.Seen
	left    http.Header
	trailer http.Header
}

func (w *watched) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	w.seen = w.front.See(r)
	_, _ = io.Copy(io.Discard, r.Body)
	w.left, w.trailer = r.Header.Clone(), r.Trailer.Clone()
}

// serve runs a server with a handler on a listener until the test ends.
func serve(t *testing.T, h http.Handler, l net.Listener, change func(*http.Server)) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close()
	s.Listener = l
	if change != nil {
		change(s.Config)
	}
	if s.Config.TLSConfig != nil {
		s.TLS = s.Config.TLSConfig
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// send sends a request as it is written, and waits for the answer.
func send(t *testing.T, network, address, request string) {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

func head(h headers) string {
	s := "POST / HTTP/1.1\r\nHost: portal.example\r\n"
	for i := 0; i < len(h); i += 2 {
		s += h[i] + ": " + h[i+1] + "\r\n"
	}
	return s
}

func withTrust(rules ...Rule) Config {
	c := config(Nginx)
	c.Trust = rules
	return c
}

func wantTrust(t *testing.T, seen peer.Seen, want string) {
	t.Helper()
	if got := seen.Chain.Source().Trust; !seen.Chain.Present() || got != want {
		t.Errorf("chain %v, trusted by %q, want %q (refused %v, removed %v)", seen.Chain.Present(), got, want, seen.Refused, seen.Removed)
	}
}

func wantStranger(t *testing.T, seen peer.Seen) {
	t.Helper()
	if seen.Chain.Present() || seen.Refused != nil {
		t.Errorf("chain %v, refused %v", seen.Chain.Present(), seen.Refused)
	}
	wantRejection(t, seen.Removed, ReasonSender)
}

func TestTheSocketThatARequestCameInBy(t *testing.T) {
	w := newWorld(t)
	folder := t.TempDir()
	socket, other := filepath.Join(folder, "front.sock"), filepath.Join(folder, "other.sock")
	at := &watched{front: build(t, withTrust(Rule{Socket: socket}))}
	tcp := listen(t, "tcp", "127.0.0.1:0")
	for _, l := range []net.Listener{listen(t, "unix", socket), listen(t, "unix", other), tcp} {
		serve(t, at, l, nil)
	}
	sent := head(nginxOf(w.alice)) + "Content-Length: 0\r\n\r\n"
	send(t, "unix", socket, sent)
	wantTrust(t, at.seen, "socket "+socket)
	send(t, "unix", other, sent)
	wantStranger(t, at.seen)
	send(t, "tcp", tcp.Addr().String(), sent)
	wantStranger(t, at.seen)
}

// What a trailer says is there after the body, announced or not.
func TestTrailersAreRemoved(t *testing.T) {
	w := newWorld(t)
	l := listen(t, "tcp", "127.0.0.1:0")
	for name, front := range map[string]*Terminator{
		"of the terminator": builtFor(t, Nginx),
		"of a stranger":     build(t, withTrust(Rule{Addresses: networks("192.0.2.0/24")})),
	} {
		t.Run(name, func(t *testing.T) {
			at := &watched{front: front}
			l := listen(t, "tcp", "127.0.0.1:0")
			serve(t, at, l, nil)
			for _, announced := range []string{"", "Trailer: X-SSL-Client-Cert, X_SSL_Client_Verify, X-Sum\r\n"} {
				sent := head(nginxOf(w.alice)) + announced + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" +
					"X-SSL-Client-Cert: forged\r\nX_SSL_Client_Verify: SUCCESS\r\nX-Sum: 1\r\n\r\n"
				send(t, "tcp", l.Addr().String(), sent)
				if len(at.trailer) != 1 || at.trailer.Get("X-Sum") != "1" || len(at.left) != 0 {
					t.Errorf("announced %v: left are header %v, trailer %v", announced != "", at.left, at.trailer)
				}
			}
		})
	}
	t.Run("announced by a stranger and by nothing else", func(t *testing.T) {
		at := &watched{front: build(t, withTrust(Rule{Addresses: networks("192.0.2.0/24")}))}
		serve(t, at, l, nil)
		send(t, "tcp", l.Addr().String(), head(nil)+"Trailer: X-SSL-Client-Cert\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		wantStranger(t, at.seen)
	})
}

// late is a body that brings a trailer when it ends, as HTTP/3 does: nothing of the request says beforehand that there is one.
type late struct{ request *http.Request }

func (b late) Read([]byte) (int, error) {
	b.end()
	return 0, io.EOF
}

func (b late) Close() error {
	b.end()
	return nil
}

func (b late) end() {
	b.request.Trailer = http.Header{"X-Ssl-Client-Cert": {"forged"}, "X-Sum": {"1"}}
}

func TestTrailersThatNothingAnnouncesAreRemoved(t *testing.T) {
	for name, end := range map[string]func(io.ReadCloser) error{
		"read":   func(b io.ReadCloser) error { _, err := io.ReadAll(b); return err },
		"closed": io.ReadCloser.Close,
	} {
		r := request(nil)
		r.RemoteAddr, r.Method, r.Proto, r.ProtoMajor, r.ProtoMinor, r.ContentLength = "203.0.113.9:1", http.MethodPost, "HTTP/3.0", 3, 0, -1
		r.Body = late{r}
		builtFor(t, Nginx).See(r)
		if err := end(r.Body); err != nil || len(r.Trailer) != 1 || r.Trailer.Get("X-Sum") != "1" {
			t.Errorf("%s: left is %v, %v", name, r.Trailer, err)
		}
	}
}

// What is announced is gone before the body is read.
func TestAnnouncedTrailersAreRemovedAtOnce(t *testing.T) {
	r := request(nil)
	r.Trailer = http.Header{"X-Ssl-Client-Cert": nil, "X_ssl_client_verify": nil, "X-Sum": nil}
	builtFor(t, Nginx).See(r)
	if _, kept := r.Trailer["X-Sum"]; !kept || len(r.Trailer) != 1 {
		t.Errorf("left is %v", r.Trailer)
	}
}

func TestTheTerminatorsOwnCertificate(t *testing.T) {
	w := newWorld(t)
	proxies := mtlstest.NewCA(t, "Proxies")
	nginx := proxies.Issue(mtlstest.Leaf{CN: "nginx", URIs: []string{"spiffe://corp.example/nginx"}})
	pin := sha256.Sum256(nginx.Leaf.RawSubjectPublicKeyInfo)
	key := hex.EncodeToString(pin[:])
	byKey := Rule{Identity: &Identity{CAs: proxies.Pool(), Keys: []string{key}}}
	byID := Rule{Identity: &Identity{CAs: proxies.Pool(), IDs: []string{"spiffe://corp.example/nginx"}}}
	short := proxies.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/nginx"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	for _, c := range []struct {
		name    string
		rule    Rule
		present tls.Certificate
		trust   string // empty: a stranger
	}{
		{"pinned key", byKey, nginx, "certificate " + key},
		{"pinned id", byID, nginx, "certificate spiffe://corp.example/nginx"},
		{"a renewal with another key, pinned by id", byID, proxies.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/nginx"}}), "certificate spiffe://corp.example/nginx"},
		{"another key", byKey, proxies.Issue(mtlstest.Leaf{CN: "nginx"}), ""},
		{"another id", byID, proxies.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/nginx2"}}), ""},
		{"two ids", byID, proxies.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/nginx", "spiffe://corp.example/other"}}), ""},
		{"the id from another CA", byID, w.ca.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/nginx"}}), ""},
		{"the key, signed by itself", byKey, mtlstest.SelfSigned(t, mtlstest.Leaf{CN: "nginx", Key: mtlstest.NewKey(t)}), ""},
		{"for servers", byID, proxies.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/nginx"}, EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), ""},
		{"expired", byID, short, ""},
		{"a client of the portal", byKey, w.key, ""},
		{"none", byKey, tls.Certificate{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := &watched{front: build(t, withTrust(c.rule))}
			l := listen(t, "tcp", "127.0.0.1:0")
			serve(t, at, l, func(s *http.Server) {
				s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{w.ca.Server()}, ClientAuth: tls.RequestClientCert}
			})
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
				RootCAs: w.ca.Pool(), ServerName: "localhost",
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.present, nil },
			}}}
			defer client.CloseIdleConnections()
			for range 2 { // the second time it is remembered
				r, _ := http.NewRequest(http.MethodGet, "https://"+l.Addr().String(), nil)
				for i := 0; i < len(nginxOf(w.alice)); i += 2 {
					r.Header.Set(nginxOf(w.alice)[i], nginxOf(w.alice)[i+1])
				}
				res, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if c.trust == "" {
					wantStranger(t, at.seen)
					continue
				}
				wantTrust(t, at.seen, c.trust)
				if !at.seen.Chain.Leaf().Equal(w.alice) {
					t.Error("the chain is not the client's")
				}
			}
		})
	}
}

// pinned trusts a terminator by its SPIFFE id, at a time that the test moves, and sees requests that show a certificate.
func pinned(t *testing.T, proxies *mtlstest.CA, own tls.Certificate, now *time.Time) (front *Terminator, see func() peer.Seen) {
	c := withTrust(Rule{Identity: &Identity{CAs: proxies.Pool(), IDs: []string{"spiffe://corp.example/nginx"}}})
	c.Now = func() time.Time { return *now }
	front = build(t, c)
	alice, chain := newWorld(t).alice, mtlstest.Chain(t, own)
	return front, func() peer.Seen {
		r := request(nginxOf(alice))
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: chain}
		return front.See(r)
	}
}

// A certificate of the terminator's that was good once is verified again when its time is over.
func TestTheTerminatorsCertificateRunsOut(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	proxies := mtlstest.NewCA(t, "Proxies")
	own := proxies.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/nginx"}})
	front, see := pinned(t, proxies, own, &now)
	wantTrust(t, see(), "certificate spiffe://corp.example/nginx")
	now = own.Leaf.NotAfter.Add(time.Second)
	wantStranger(t, see())
	now = own.Leaf.NotBefore.Add(-time.Second)
	wantStranger(t, see())
	now = own.Leaf.NotAfter
	wantTrust(t, see(), "certificate spiffe://corp.example/nginx")
	t.Run("before its handshake is complete", func(t *testing.T) {
		r := request(nginxOf(w.alice))
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{own.Leaf}}
		wantStranger(t, front.See(r))
	})
}

// The terminator's certificate is good no longer than the CAs above it.
func TestTheCAOfTheTerminatorRunsOut(t *testing.T) {
	now := time.Now()
	proxies := mtlstest.NewCA(t, "Proxies")
	issuing := proxies.IntermediateFrom(mtlstest.Leaf{CN: "Proxies of today", NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour)})
	own := issuing.Issue(mtlstest.Leaf{URIs: []string{"spiffe://corp.example/nginx"}})
	if !own.Leaf.NotAfter.After(issuing.Certificate.NotAfter) {
		t.Fatal("the certificate ends before its CA")
	}
	_, see := pinned(t, proxies, own, &now)
	wantTrust(t, see(), "certificate spiffe://corp.example/nginx")
	now = issuing.Certificate.NotAfter.Add(time.Second)
	wantStranger(t, see())
	now = issuing.Certificate.NotBefore.Add(-time.Second)
	wantStranger(t, see())
}

func TestTheSecretOfTheTerminator(t *testing.T) {
	w := newWorld(t)
	older, newer := strings.Repeat("a", 32), strings.Repeat("b", 64)
	front := build(t, withTrust(Rule{Secret: &Secret{Header: "X-Portal-Secret", Values: []string{newer, older}}}))
	for _, c := range []struct {
		name  string
		sent  headers
		trust string
	}{
		{"new", headers{"X-Portal-Secret", newer}, "secret X-Portal-Secret, value 1"},
		{"old", headers{"x-portal-secret", older}, "secret X-Portal-Secret, value 2"},
		{"wrong", headers{"X-Portal-Secret", strings.Repeat("a", 31) + "b"}, ""},
		{"the beginning of it", headers{"X-Portal-Secret", older[:31]}, ""},
		{"more than it", headers{"X-Portal-Secret", older + "a"}, ""},
		{"far more than it", headers{"X-Portal-Secret", strings.Repeat("a", 2000)}, ""},
		{"empty", headers{"X-Portal-Secret", ""}, ""},
		{"none", nil, ""},
		{"twice", headers{"X-Portal-Secret", older, "X-Portal-Secret", older}, ""},
		{"a wrong one in front", headers{"X-Portal-Secret", "x", "X-Portal-Secret", older}, ""},
		{"under another name", headers{"X_Portal_Secret", older}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(nginxOf(w.alice).with(c.sent...))
			seen := front.See(r)
			if c.trust == "" {
				wantStranger(t, seen)
			} else {
				wantTrust(t, seen, c.trust)
			}
			if len(r.Header) != 0 {
				t.Errorf("left in the request: %v", r.Header)
			}
		})
	}
	t.Run("a wrong one alone is noticed", func(t *testing.T) {
		wantStranger(t, front.See(request(headers{"X-Portal-Secret", "guess"})))
	})
}

func TestTheNetworkOfTheTerminator(t *testing.T) {
	w := newWorld(t)
	front := build(t, withTrust(Rule{Addresses: networks("10.1.0.0/16", "2001:db8:1::/48")}))
	for remote, trusted := range map[string]bool{
		"10.1.2.3:4":                true,
		"[::ffff:10.1.2.3]:4":       true,
		"[2001:db8:1::7]:4":         true,
		"10.2.0.1:4":                false,
		"[2001:db8:2::7]:4":         false,
		"[fe80::1%eth0]:4":          false,
		"[2001:db8:1::7%eth0]:4":    false,
		"@":                         false,
		"":                          false,
		"10.1.2.3.evil.example:443": false,
	} {
		t.Run(remote, func(t *testing.T) {
			r := request(nginxOf(w.alice).with("X-Forwarded-For", "10.1.2.3", "Forwarded", "for=10.1.2.3", "X-Real-IP", "10.1.2.3"))
			r.RemoteAddr = remote
			if seen := front.See(r); trusted {
				wantTrust(t, seen, "address [10.1.0.0/16 2001:db8:1::/48]")
			} else {
				wantStranger(t, seen)
			}
		})
	}
}

func TestAllOfARuleMustHold(t *testing.T) {
	w := newWorld(t)
	secret := strings.Repeat("s", 32)
	both := Rule{Addresses: networks("127.0.0.0/8"), Secret: &Secret{Header: "X-Portal-Secret", Values: []string{secret}}}
	sent := nginxOf(w.alice).with("X-Portal-Secret", secret)
	wantTrust(t, build(t, withTrust(both)).See(request(sent)), "address [127.0.0.0/8], secret X-Portal-Secret, value 1")
	wantStranger(t, build(t, withTrust(both)).See(request(nginxOf(w.alice))))
	elsewhere := request(sent)
	elsewhere.RemoteAddr = "192.0.2.1:1234"
	wantStranger(t, build(t, withTrust(both)).See(elsewhere))

	either := build(t, withTrust(Rule{Addresses: networks("10.0.0.0/8")}, both))
	wantTrust(t, either.See(request(sent)), "address [127.0.0.0/8], secret X-Portal-Secret, value 1")
}

func TestAStrangerIsRefusedWhereThatIsConfigured(t *testing.T) {
	w := newWorld(t)
	c := withTrust(Rule{Addresses: networks("192.0.2.0/24")})
	c.OnUntrusted = Refuse
	front := build(t, c)
	seen := front.See(request(nginxOf(w.alice)))
	wantRejection(t, seen.Refused, ReasonSender)
	if seen.Chain.Present() || seen.Removed != nil {
		t.Errorf("chain %v, removed %v", seen.Chain.Present(), seen.Removed)
	}
	if plain := front.See(request(headers{"Accept", "*/*"})); plain.Refused != nil || plain.Chain.Present() {
		t.Errorf("without the headers: chain %v, refused %v", plain.Chain.Present(), plain.Refused)
	}
}

// proxied is a listener that takes the PROXY protocol, version 1, as far as this test needs it.
type proxied struct{ net.Listener }

type proxiedConn struct {
	net.Conn
	in     *bufio.Reader
	client net.Addr
}

func (l proxied) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(line)
	return &proxiedConn{c, in, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(fields[2] + ":" + fields[4]))}, nil
}

func (c *proxiedConn) Read(b []byte) (int, error) { return c.in.Read(b) }
func (c *proxiedConn) RemoteAddr() net.Addr       { return c.client }

// Behind the PROXY protocol RemoteAddr is what anybody writes into its header; the range means the peer.
func TestTheNetworkMeansThePeerBehindTheProxyProtocol(t *testing.T) {
	w := newWorld(t)
	handing := func(s *http.Server) {
		s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			return WithPeer(ctx, c.(*proxiedConn).Conn.RemoteAddr())
		}
	}
	for _, c := range []struct {
		name    string
		range_  string
		client  string
		handing func(*http.Server)
		trusted bool
	}{
		{"the peer is the terminator", "127.0.0.0/8", "203.0.113.7", handing, true},
		{"the client claims to be it", "10.1.0.0/16", "10.1.0.1", handing, false},
		{"nobody says who the peer is", "10.1.0.0/16", "10.1.0.1", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := withTrust(Rule{Addresses: networks(c.range_)})
			cfg.ProxyProtocol = true
			at := &watched{front: build(t, cfg)}
			l := listen(t, "tcp", "127.0.0.1:0")
			serve(t, at, proxied{l}, c.handing)
			send(t, "tcp", l.Addr().String(), fmt.Sprintf("PROXY TCP4 %s 127.0.0.1 1000 443\r\n", c.client)+head(nginxOf(w.alice))+"Content-Length: 0\r\n\r\n")
			if c.trusted {
				wantTrust(t, at.seen, "address [127.0.0.0/8]")
				if at.seen.Client.IsValid() {
					t.Errorf("the client is %v, and not what RemoteAddr says", at.seen.Client)
				}
				return
			}
			wantStranger(t, at.seen)
			if c.handing != nil && at.seen.Client.String() != "127.0.0.1" {
				t.Errorf("a stranger chose his address: %v", at.seen.Client)
			}
		})
	}
}

func TestWithPeerTakesAddressesOnly(t *testing.T) {
	w := newWorld(t)
	front := build(t, withTrust(Rule{Addresses: networks("127.0.0.0/8")}))
	for name, a := range map[string]net.Addr{"nothing": nil, "a socket": &net.UnixAddr{Name: "/x", Net: "unix"}, "another": &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}} {
		r := request(nginxOf(w.alice))
		seen := front.See(r.WithContext(WithPeer(r.Context(), a)))
		if seen.Chain.Present() {
			t.Errorf("%s: trusted", name)
		}
	}
}

// Where the listener takes the PROXY protocol, an address that nobody vouches for is in no network.
func TestAnAddressOfTheProxyProtocolIsNobodys(t *testing.T) {
	w := newWorld(t)
	cfg := withTrust(Rule{Addresses: networks("10.1.0.0/16")})
	r := request(nginxOf(w.alice))
	r.RemoteAddr = "10.1.0.1:1000"
	wantTrust(t, build(t, cfg).See(r), "address [10.1.0.0/16]")
	cfg.ProxyProtocol = true
	r = request(nginxOf(w.alice))
	r.RemoteAddr = "10.1.0.1:1000"
	wantStranger(t, build(t, cfg).See(r))
}
