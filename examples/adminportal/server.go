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
	"os"
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
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

const (
	reloadEvery = 2 * time.Second
	pruneEvery  = time.Minute
	forgetEvery = time.Hour
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
	served := make(chan error, 1)
	if p.socket != "" {
		server.MaxHeaderBytes = headersBehind
		go func() { served <- server.Serve(l) }()
	} else {
		go func() { served <- server.ServeTLS(l, "", "") }()
	}
	if ctx.Err() == nil {
		p.announce(out, at)
	}
	select {
	case err = <-served:
	case <-ctx.Done():
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		if err = server.Shutdown(stopping); err != nil {
			err = server.Close()
		}
	}
	stopWork()
	background.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// announce says on standard output what scripts wait for and what people do next. Once it has, the invitations of the
// first start are out.
func (p *portal) announce(out io.Writer, at string) {
	_, err := io.WriteString(out, p.announcement(at)) // in one piece: nobody reads half of it
	if err == nil {
		err = p.setAnnounced()
	}
	if err != nil {
		p.log.Error("the next start prints the invitations again", "error", err)
	}
}

func (p *portal) announcement(at string) string {
	var b strings.Builder
	for _, i := range p.invited {
		fmt.Fprintf(&b, "invitation %s %s\n", i.name, i.code)
	}
	fmt.Fprintf(&b, "ready https://%s\n\n", at)
	if p.socket != "" {
		fmt.Fprintf(&b, "What ends TLS at that address sends its requests to %s.\n\n", p.socket)
	}
	dir := filepath.Join(p.data, "pki")
	site := p.policy.Origins[0].URL // where browsers make passkeys
	fmt.Fprintf(&b, "Next steps:\n")
	name := "alice"
	if len(p.invited) > 0 {
		name = p.invited[0].name
	}
	certificate := "the certificate of " + name
	if _, err := os.Stat(filepath.Join(dir, name+".p12")); err == nil {
		certificate = filepath.Join(dir, name+".p12")
	}
	if len(p.invited) > 0 {
		fmt.Fprintf(&b, "  1. Import %s into your browser (password %q), and trust %s.\n", certificate, p12Password, filepath.Join(dir, "server-ca.crt"))
		fmt.Fprintf(&b, "  2. Open %s/enrol, choose the certificate, and enter %s's invitation to add a passkey.\n", site, name)
		fmt.Fprintf(&b, "  3. Sign in.\n\n")
	} else {
		fmt.Fprintf(&b, "  1. A browser that has no certificate yet needs %s (password %q), and must trust %s.\n", certificate, p12Password, filepath.Join(dir, "server-ca.crt"))
		fmt.Fprintf(&b, "  2. Open %s, choose the certificate, and sign in with your passkey.\n", site)
		fmt.Fprintf(&b, "  3. Who has none needs an invitation: an administrator makes one on the page Users, or start this program with -invite NAME.\n\n")
	}
	if !p.hasOrigin(at) {
		at = strings.TrimPrefix(site, "https://")
	}
	fmt.Fprintf(&b, "Or look at it from a terminal:\n")
	fmt.Fprintf(&b, "  curl --cacert %s --cert %s --key %s -X POST https://%s/auth/login\n", quote(filepath.Join(dir, "server-ca.crt")),
		quote(filepath.Join(dir, "alice.crt")), quote(filepath.Join(dir, "alice.key")), at)
	fmt.Fprintf(&b, "It answers with a login that has passed the certificate; \"next\" is what it waits for. A passkey needs a browser from here on.\n")
	fmt.Fprintf(&b, "Leave --cert and --key out to be refused. GET /auth/session says who you are; docs/http.md has all calls.\n")
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
	prune, forget := time.NewTicker(pruneEvery), time.NewTicker(forgetEvery)
	defer prune.Stop()
	defer forget.Stop()
	p.forget(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-prune.C:
			if err := p.engine.Prune(ctx); err != nil && ctx.Err() == nil {
				p.log.Error("nothing was pruned", "error", err)
			}
		case <-forget.C:
			p.forget(ctx)
		}
	}
}

// forget deletes audit events that are older than they are kept.
func (p *portal) forget(ctx context.Context) {
	if err := p.engine.PruneEvents(ctx, keepEvents); err != nil && ctx.Err() == nil {
		p.log.Error("no audit events were forgotten", "error", err)
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
	pages.router = r
	r.Use(middleware.GetHead, secure)
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	r.Group(func(r chi.Router) {
		r.Use(mtls.Middleware(p.source), p.sessions.Middleware)
		r.NotFound(pages.notFound)
		r.MethodNotAllowed(pages.notAllowed)
		r.Get("/assets/*", pages.asset(static))
		r.Mount("/auth", p.sessions.Handler())
		if p.probe != nil {
			r.Handle("/probe", p.probe)
		}
		r.Get("/login", pages.login)
		r.Get("/enrol", pages.enrol)
		r.Post("/logout", pages.logout)
		r.Group(func(r chi.Router) {
			r.Use(pages.guard())
			r.Get("/", pages.home)
			r.Get("/account", pages.account)
			r.Post("/account/passkeys/{id}/name", pages.rename)
			r.Post("/account/sessions/{id}/end", pages.endOwn)
			r.Post("/account/sessions/end-others", pages.endOthers)
		})
		r.Group(func(r chi.Router) {
			r.Use(pages.guard(sessionhttp.Floor("admin")))
			r.Get("/admin/whoami", pages.whoami)
			r.Get("/admin", pages.admin(pages.users))
			r.Get("/admin/users", pages.admin(pages.users))
			r.Post("/admin/users", pages.admin(pages.createUser))
			r.Post("/admin/users/{id}/{do}", pages.admin(pages.changeUser))
			r.Get("/admin/invitations", pages.admin(pages.invitations))
			r.Post("/admin/invitations/{id}/withdraw", pages.admin(pages.withdraw))
			r.Get("/admin/sessions", pages.admin(pages.sessions))
			r.Post("/admin/sessions/{id}/end", pages.admin(pages.endSession))
			r.Get("/admin/certificates", pages.admin(pages.certificates))
			r.Post("/admin/certificates", pages.admin(pages.deny))
			r.Post("/admin/certificates/{id}/allow", pages.admin(pages.allow))
			r.Get("/admin/audit", pages.admin(pages.audit))
			r.Get("/admin/method", pages.admin(pages.method))
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

// admin runs a page of administration with the caller's own tenant, if the directory still calls them an administrator.
func (pg *pages) admin(do func(http.ResponseWriter, *http.Request, *session.Admin) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := sessionhttp.From(r.Context()).Administer(r.Context())
		if err == nil {
			err = do(w, r, a)
		}
		if err != nil {
			pg.fail(w, r, err)
		}
	}
}
