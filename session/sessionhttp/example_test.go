package sessionhttp_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
	"github.com/sallyport-auth/sallyport/stores/sqlite"
)

// The admin portal in short: the certificate of the machine, then a passkey, and a page behind the floor "admin".
func Example() {
	ctx := context.Background()
	p, err := policy.Load("policy.yaml", mtls.Kind(), fido2.Kind())
	if err != nil {
		log.Fatal(err)
	}
	store, err := sqlite.Open(ctx, "portal.db")
	if err != nil {
		log.Fatal(err)
	}
	engine, err := session.New(session.Config{Policy: p, Kinds: []factors.Kind{mtls.Kind(), fido2.Kind()}, Store: store})
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := sessionhttp.New(engine, sessionhttp.Config{LoginPage: "/login"})
	if err != nil {
		log.Fatal(err)
	}

	r := chi.NewRouter()
	r.Use(mtls.Middleware(mtls.FromTLS()), sessions.Middleware)
	r.Mount("/auth", sessions.Handler())
	r.With(sessions.Require(sessionhttp.Floor("admin"))).Get("/admin/keys", listKeys)

	// The handshake asks for a certificate and takes any: the verifier decides, and a page can explain.
	certificate, err := tls.LoadX509KeyPair("server.crt", "server.key")
	if err != nil {
		log.Fatal(err)
	}
	handshake := &mtls.ServerConfig{ClientCAs: []string{"staff-ca.crt"}, Certificates: []tls.Certificate{certificate}}
	config, err := handshake.TLS()
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "localhost:8443", Handler: r, TLSConfig: config,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return mtls.WithConn(ctx) }}
	log.Fatal(server.ListenAndServeTLS("", ""))
}

func listKeys(w http.ResponseWriter, r *http.Request) {
	who, _ := sessionhttp.Principal(r.Context())
	fmt.Fprintf(w, "keys, for %s of %s\n", who.Names.User, who.Names.Tenant)
}
