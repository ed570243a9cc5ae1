package oauthtest

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Server is a provider with a server of its own.
type Server struct {
	*Provider
	// Server is what it is reached by. With TLS, Server.Certificate is what a client must trust, and Server.Client does.
	Server *httptest.Server
}

// Start starts a provider on this machine until the test ends. It sets the issuer: the address of the server, with the path of
// the Issuer in the configuration if that is not empty ("/idp/acme").
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	s := &Server{Server: httptest.NewUnstartedServer(http.HandlerFunc(http.NotFound))}
	s.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	scheme := "http://"
	if c.TLS {
		scheme = "https://"
		s.Server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	}
	c.Issuer = scheme + s.Server.Listener.Addr().String() + c.Issuer
	s.Provider = New(c)
	s.Server.Config.Handler = s.Provider
	if c.TLS {
		s.Server.StartTLS()
	} else {
		s.Server.Start()
	}
	t.Cleanup(func() {
		s.Release() // nobody keeps the server from closing
		s.Server.Close()
	})
	return s
}
