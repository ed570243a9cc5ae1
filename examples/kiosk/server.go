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
func (s *site) tlsConfig() *tls.Config {
	c := s.tls.Load().Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.tls.Load(), nil }
	return c
}

// serve serves until ctx ends, then lets running requests finish.
func (s *site) serve(ctx context.Context, l net.Listener, out io.Writer) error {
	handler, err := s.routes()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, TLSConfig: s.tlsConfig(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return mtls.WithConn(ctx) }}
	var background sync.WaitGroup
	working, stopWork := context.WithCancel(ctx)
	background.Go(func() { s.watch(working) })
	background.Go(func() { s.prune(working) })
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(l, "", "") }()
	if ctx.Err() == nil {
		s.announce(out)
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

// announce says on standard output what scripts wait for and what people do next. Once it has, what the first start hands out
// is out.
func (s *site) announce(out io.Writer) {
	_, err := io.WriteString(out, s.announcement()) // in one piece: nobody reads half of it
	if err == nil && len(s.handouts) > 0 {
		err = s.setAnnounced()
	}
	if err != nil {
		s.log.Error("the next start prints another invitation", "error", err)
	}
}

func (s *site) announcement() string {
	var b strings.Builder
	dir, page := filepath.Join(s.data, "pki"), s.policy.Origins[0].URL // where browsers make passkeys
	for _, line := range s.handouts {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "ready https://%s\n\nNext steps:\n", s.at)
	fmt.Fprintf(&b, "  1. Import %s into the browser of the kiosk (password %q), and trust %s.\n", filepath.Join(dir, devices[0]+".p12"), p12Password, filepath.Join(dir, "server-ca.crt"))
	fmt.Fprintf(&b, "  2. Open %s and choose the certificate: the kiosk is there, and nobody has signed in.\n", page)
	if len(s.handouts) > 0 {
		fmt.Fprintf(&b, "  3. Enrol %s's passkey with the invitation, or sign in with the badge. Both are printed only now.\n\n", attendant)
	} else {
		fmt.Fprintf(&b, "  3. Sign in above it with %s's passkey or badge.\n\n", attendant)
	}
	kiosk := filepath.Join(dir, devices[0])
	fmt.Fprintf(&b, "Or look at it from a terminal:\n  curl --cacert %s --cert %s --key %s -X POST https://%s/auth/login\n", quote(filepath.Join(dir, "server-ca.crt")), quote(kiosk+".crt"), quote(kiosk+".key"), s.at)
	fmt.Fprintf(&b, "It answers with the session of the device. A person needs a browser from here on; docs/kiosk.md goes through it.\n")
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

// watch puts a changed policy in force, and with it changed badges.
func (s *site) watch(ctx context.Context) {
	policy.NewWatcher(s.policy, factors.PolicyKinds(s.kinds)...).Run(ctx, reloadEvery, func(fresh *policy.Policy) error {
		config, err := s.certs.tls(fresh)
		if err != nil {
			return err
		}
		if err := s.engine.SetPolicy(fresh); err != nil {
			return err
		}
		s.tls.Store(config)
		s.log.Info("the policy was reloaded", "file", fresh.File)
		s.warn(fresh)
		return nil
	}, func(err error) { s.log.Error("the policy was not reloaded: the old one stays in force", "error", err) })
}

func (s *site) prune(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := errors.Join(s.engine.Prune(ctx), s.engine.PruneEvents(ctx, keepEvents)); err != nil && ctx.Err() == nil {
			s.log.Error("nothing was pruned", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// homePath is the one page of the kiosk: what it shows depends on who is there.
const homePath = "/kiosk"

// routes is the whole site.
func (s *site) routes() (http.Handler, error) {
	pages, err := newPages(s)
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
		r.Use(mtls.Middleware(mtls.FromTLS()), s.sessions.Middleware)
		r.NotFound(pages.notFound)
		r.Get("/assets/*", pages.asset(static))
		r.Mount("/auth", s.sessions.Handler())
		r.Get("/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, homePath, http.StatusSeeOther) })
		r.Get(homePath, pages.home)
		r.Post(homePath+"/open", pages.open)
		r.Post(homePath+"/leave", pages.leave)
		r.Get("/enrol", pages.enrol)
		r.With(s.sessions.RequireDevice()).Get(homePath+"/whoami", pages.whoami)
		r.With(pages.person).Post(homePath+"/note", pages.note)
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
