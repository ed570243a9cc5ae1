package main

import (
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls"
)

const (
	reloadEvery = 2 * time.Second
	pruneEvery  = time.Minute
	keepEvents  = 365 * 24 * time.Hour
	stopWithin  = 5 * time.Second
)

//go:embed assets
var assets embed.FS

// tls is the configuration of the server: it asks browsers for a certificate of the policy's anchors, and takes any or
// none, so that a page can explain what is missing.
func (p pki) tls(pol *policy.Policy) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(p.path("server.crt"), p.path("server.key"))
	if err != nil {
		return nil, err
	}
	c := &mtls.ServerConfig{Mode: mtls.Request, Certificates: []tls.Certificate{cert}}
	for _, a := range pol.Anchors {
		c.ClientCAs = append(c.ClientCAs, a.CA)
	}
	return c.TLS()
}

// tlsConfig is the configuration in force at each handshake: a new policy may name other anchors.
func (p *portal) tlsConfig() *tls.Config {
	c := p.tls.Load().Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return p.tls.Load(), nil }
	return c
}

// serve serves until ctx ends, then lets running requests finish.
func (p *portal) serve(ctx context.Context, l net.Listener, at string, out io.Writer) error {
	handler, err := p.routes()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, TLSConfig: p.tlsConfig(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return mtls.WithConn(ctx) }}
	var background sync.WaitGroup
	working, stopWork := context.WithCancel(ctx)
	background.Go(func() { p.watch(working) })
	background.Go(func() { p.prune(working) })
	served := make(chan error, 2)
	go func() { served <- server.ServeTLS(l, "", "") }()
	go func() { served <- p.providers.serve() }()
	if ctx.Err() == nil {
		if _, err := io.WriteString(out, p.announcement(at)); err != nil { // in one piece: nobody reads half of it
			p.log.Error("nobody reads what this program prints", "error", err)
		}
	}
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if e := server.Shutdown(stopping); e != nil {
		err = errors.Join(err, server.Close())
	}
	p.providers.stop(stopping)
	stopWork()
	background.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (p *portal) announcement(at string) string {
	var b strings.Builder
	dir, site := filepath.Join(p.data, "pki"), p.policy.Origins[0].URL
	fmt.Fprintf(&b, "ready https://%s\n\n", at)
	fmt.Fprintf(&b, "People at the providers of the demonstration (password %q for all):\n", demoPassword)
	for _, x := range partners {
		own := p.providers.byTenant[x.id]
		if own == nil {
			fmt.Fprintf(&b, "  %-8s whoever %s knows\n", x.id, p.real.issuer)
			continue
		}
		var names []string
		for _, u := range x.users {
			names = append(names, u.Name)
		}
		fmt.Fprintf(&b, "  %-8s %-16s at %s\n", x.id, strings.Join(names, ", "), own.Issuer)
	}
	if p.real.issuer != "" {
		factor := site + "/auth/factors/" + factorName
		fmt.Fprintf(&b, "\nRegister at %s:\n  redirect URIs            %s/callback\n                           %s/acme/callback\n", p.real.issuer, factor, factor)
		fmt.Fprintf(&b, "  back-channel logout URI  %s/acme/backchannel-logout\n  post-logout redirect URI %s%s\n", factor, site, signedOutURL)
	}
	fmt.Fprintf(&b, "\nNext steps:\n  1. Import %s into your browser (password %q), and trust %s.\n", filepath.Join(dir, "acme-gateway.p12"), p12Password, filepath.Join(dir, "server-ca.crt"))
	fmt.Fprintf(&b, "  2. Open %s, choose the certificate, and sign in at Acme's provider.\n", site)
	fmt.Fprintf(&b, "  3. Do the same with globex-gateway.p12 in another browser: it is another company, whoever is called alice there.\n\n")
	fmt.Fprintf(&b, "Or look at it from a terminal:\n  curl --cacert %s --cert %s --key %s -X POST %s/auth/login\n", quote(filepath.Join(dir, "server-ca.crt")),
		quote(filepath.Join(dir, "acme-gateway.crt")), quote(filepath.Join(dir, "acme-gateway.key")), site)
	fmt.Fprintf(&b, "It answers with a login in which the certificate has named the tenant; \"next\" is what it waits for.\n")
	return b.String()
}

// plain matches what a shell takes as it is.
var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote writes a word for a shell.
func quote(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// watch puts a changed policy in force.
func (p *portal) watch(ctx context.Context) {
	policy.NewWatcher(p.policy, factors.PolicyKinds(p.kinds)...).Run(ctx, reloadEvery, func(fresh *policy.Policy) error {
		config, err := p.certs.tls(fresh)
		if err != nil {
			return err
		}
		if err := p.engine.SetPolicy(fresh); err != nil {
			return err
		}
		p.tls.Store(config)
		p.log.Info("the policy was reloaded", "file", fresh.File)
		p.warn(fresh)
		return nil
	}, func(err error) { p.log.Error("the policy was not reloaded: the old one stays in force", "error", err) })
}

func (p *portal) prune(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := errors.Join(p.engine.Prune(ctx), p.engine.PruneEvents(ctx, keepEvents)); err != nil && ctx.Err() == nil {
			p.log.Error("nothing was pruned", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// routes is the whole site.
func (p *portal) routes() (http.Handler, error) {
	pages, err := newPages(p)
	if err != nil {
		return nil, err
	}
	static, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, err
	}
	r := chi.NewRouter()
	r.Use(middleware.GetHead, secure)
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	r.Group(func(r chi.Router) {
		r.Use(mtls.Middleware(mtls.FromTLS()), p.sessions.Middleware)
		r.NotFound(pages.notFound)
		r.Get("/assets/*", pages.asset(static))
		r.Mount("/auth", p.sessions.Handler())
		r.Get("/login", pages.login)
		r.Post("/login", pages.begin)
		r.Post("/logout", pages.signOut)
		r.Post("/logout/everywhere", pages.signOutEverywhere)
		r.Get(signedOutURL, pages.signedOut)
		r.Get("/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/portal", http.StatusSeeOther) })
		r.Group(func(r chi.Router) {
			r.Use(p.sessions.Require())
			r.Get("/portal", pages.home)
			r.Get("/portal/whoami", pages.whoami)
		})
	})
	return r, nil
}

// secure sets what every answer carries, also those that no session is opened for.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Strict-Transport-Security", "max-age=31536000")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// asset serves the files of the site. Browsers may keep them for a while: nothing in them is about anybody.
func (pg *pages) asset(static fs.FS) http.HandlerFunc {
	files := http.StripPrefix("/assets/", http.FileServerFS(static))
	return func(w http.ResponseWriter, r *http.Request) {
		if info, err := fs.Stat(static, chi.URLParam(r, "*")); err != nil || info.IsDir() {
			pg.notFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=300")
		files.ServeHTTP(w, r)
	}
}
