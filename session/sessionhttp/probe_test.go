package sessionhttp_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// The route of a probe works among the others, behind the middleware of sessions.
func TestAProbeBehindTheSessions(t *testing.T) {
	p := newPortal(t)
	token := strings.Repeat("t", 32)
	route, err := mtls.ProbeRoute(token)
	must(t, err)
	p.page("/probe", route.ServeHTTP)
	servers := mtlstest.NewCA(t, "Server CA")
	server := httptest.NewUnstartedServer(p.router())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{servers.Server()}, ClientAuth: tls.RequestClientCert}
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	report, err := mtls.Probe(t.Context(), mtls.ProbeConfig{
		URL: p.origin + "/probe", Token: token, Roots: servers.Pool(), Own: p.certificate("alice"),
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("tcp", server.Listener.Addr().String())
		},
	})
	if err != nil || report.Outcome() != mtls.ProbePassed || len(report.Checks) < 20 {
		t.Errorf("%v, %+v", err, report)
	}
}
