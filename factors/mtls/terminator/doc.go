// Package terminator reads the client certificate from the headers of whatever ends TLS in front of the program: nginx,
// HAProxy, Apache, Caddy, Traefik, Envoy, a load balancer of a cloud.
//
// A certificate is public. Whoever may send the header is whoever he likes, so two things must hold before one is read:
// the request comes from the terminator, by a [Rule] of [Config.Trust], and the terminator lets nobody else's header
// through. The first is checked here on every request, the second is the terminator's configuration.
//
// A [Terminator] is an [mtls.Source] and takes the place of mtls.FromTLS, for the listener that the terminator talks to
// and for no other:
//
//	front, err := terminator.New(terminator.Config{
//		Name:   "nginx",
//		Format: terminator.Nginx,
//		Trust:  []terminator.Rule{{Socket: "/run/portal/portal.sock"}},
//	})
//	router.Use(mtls.Middleware(front), sessions.Middleware)
//
// There is one reader for each format, and it takes one spelling of everything: what it does not expect is refused, and
// never taken for a request without a certificate. The factor then verifies the certificate as it does one of a
// handshake: it builds the path to its own anchors, whatever the terminator says.
package terminator
