package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/factors/oauth/oauthtest"
)

// partner is a company whose people use the portal.
type partner struct {
	id    string // of the tenant
	name  string
	users []oauthtest.User // of the demonstration's provider
}

// demoPassword is that of everybody at the demonstration's providers.
const demoPassword = "open-sesame"

// partners are the two of the demonstration. Both have an employee whom their provider calls u-1: that these are two people, only the
// tenant tells.
var partners = []partner{
	{"acme", "Acme", []oauthtest.User{
		{Name: "alice", Subject: "u-1", Password: demoPassword, FullName: "Alice Archer", Email: "alice@acme.example", EmailVerified: true, Groups: []string{"buyers"}},
		{Name: "arthur", Subject: "u-2", Password: demoPassword, FullName: "Arthur Ash", Email: "arthur@acme.example", Groups: []string{"logistics"}},
	}},
	{"globex", "Globex", []oauthtest.User{
		{Name: "gwen", Subject: "u-1", Password: demoPassword, FullName: "Gwen Gray", Email: "gwen@globex.example", EmailVerified: true, Groups: []string{"buyers"}},
		{Name: "alice", Subject: "u-2", Password: demoPassword, FullName: "Alice Gold", Email: "alice@globex.example", EmailVerified: true, Groups: []string{"auditors"}},
	}},
}

// provider is one that the policy names.
type provider struct {
	issuer string
	client string
	secret string // file; empty: the portal is a public client
	ca     string // file with its authority; empty: the system knows it
}

// line is the provider as the policy has it.
func (p provider) line() string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "{ issuer: %q, client_id: %q", p.issuer, p.client)
	if p.secret == "" {
		b.WriteString(", client_auth: none")
	} else {
		fmt.Fprintf(b, ", client_secret: { file: %q }", p.secret)
	}
	if p.ca != "" {
		fmt.Fprintf(b, ", ca: %q", p.ca)
	}
	b.WriteString(" }")
	return b.String()
}

// providers are those of the demonstration, on an address of their own: the portal's asks browsers for a certificate, and
// a provider's must not.
type providers struct {
	listener net.Listener
	server   *http.Server
	byTenant map[string]*oauthtest.Provider
}

const (
	clientID     = "partner-portal"
	firstPort    = 8454
	portFile     = "providers-port"
	factorName   = "partner-idp"
	signedOutURL = "/signed-out"
)

// listen opens the address of the providers, on this machine only. It stays the same from one start to the next, as people
// are known by their provider's address.
func listen(data string, fixed bool) (net.Listener, error) {
	file := filepath.Join(data, portFile)
	b, err := os.ReadFile(file)
	switch {
	case err == nil:
		port, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%s holds no port", file)
		}
		l, err := net.Listen("tcp", net.JoinHostPort("localhost", fmt.Sprint(port)))
		if err != nil {
			return nil, fmt.Errorf("the providers of the demonstration had their address at the last start (%s): %w", file, err)
		}
		return l, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	var l net.Listener
	if err = errors.New("any"); fixed {
		l, err = net.Listen("tcp", net.JoinHostPort("localhost", fmt.Sprint(firstPort)))
	}
	if err != nil {
		l, err = net.Listen("tcp", "localhost:0")
	}
	if err != nil {
		return nil, err
	}
	if err := write(file, fmt.Appendln(nil, l.Addr().(*net.TCPAddr).Port), 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// demoIssuer is how the demonstration's provider of a partner names itself.
func demoIssuer(l net.Listener, x partner) string {
	return fmt.Sprintf("https://localhost:%d/%s", l.Addr().(*net.TCPAddr).Port, x.id)
}

// newProviders makes the providers of the demonstration. All but the tenants in without get one.
func newProviders(l net.Listener, origins []string, certs pki, now func() time.Time, without string, secret string, log *slog.Logger) (*providers, error) {
	cert, err := tls.LoadX509KeyPair(certs.path("server.crt"), certs.path("server.key"))
	if err != nil {
		return nil, err
	}
	web, err := certs.client()
	if err != nil {
		return nil, err
	}
	out := &providers{listener: l, byTenant: map[string]*oauthtest.Provider{}}
	mux := http.NewServeMux()
	for _, x := range partners {
		if x.id == without {
			continue
		}
		client := oauthtest.Client{ID: clientID, Secret: secret, BackchannelLogoutURI: origins[0] + "/auth/factors/" + factorName + "/" + x.id + "/backchannel-logout"}
		for _, o := range origins {
			factor := o + "/auth/factors/" + factorName
			client.RedirectURIs = append(client.RedirectURIs, factor+"/callback", factor+"/"+x.id+"/callback")
			client.PostLogoutRedirectURIs = append(client.PostLogoutRedirectURIs, o+signedOutURL)
		}
		p := oauthtest.New(oauthtest.Config{Issuer: demoIssuer(l, x), Title: "Sign-in of " + x.name, Users: x.users, Now: now, HTTP: web, Clients: []oauthtest.Client{client}})
		mux.Handle("/"+x.id+"/", p)
		out.byTenant[x.id] = p
	}
	out.server = &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	return out, nil
}

// client is how a provider reaches the portal, to tell that somebody signed out.
func (p pki) client() (*http.Client, error) {
	ca, err := p.readCert("server-ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// serve serves until stop is called.
func (p *providers) serve() error {
	if err := p.server.ServeTLS(p.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (p *providers) stop(ctx context.Context) {
	if p.server.Shutdown(ctx) != nil {
		_ = p.server.Close()
	}
}
