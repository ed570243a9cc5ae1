package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/jwt"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
	"github.com/sallyport-auth/sallyport/stores/sqlite"
)

const (
	tenant     = "corp"
	chores     = time.Minute
	keepEvents = 365 * 24 * time.Hour
	stopWithin = 5 * time.Second
)

const policyTemplate = `# Written by this program at its first start, and yours to change: restart it then.
version: 1
origin: %s
anchors:
  service: { ca: pki/service-ca.crt, tenant: corp }
factors:
  service-cert:
    kind: mtls
    anchors: [service]
    identify: [{ from: subject.cn, pattern: "{user}", tenant: corp }]
  api-token:
    kind: jwt
    issuer: ` + issuerName + `
    audience: ` + audience + `
    algorithms: [ES256]
    keys: { file: keys.json }
    bound_to_certificate: required
methods:
  api: { steps: [service-cert, api-token], each_request: true }
rules:
  - { methods: [api] }
`

// server is the store of secrets.
type server struct {
	addr string
	data string
	log  *slog.Logger
	now  func() time.Time

	certs  pki
	issuer *issuer
	engine *session.Engine
	api    *api
	ends   []func() error // in the order of their making
}

func parseServer(args []string, out io.Writer) (*server, error) {
	s := &server{now: time.Now}
	f := flag.NewFlagSet("secrets serve", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&s.addr, "addr", "localhost:8445", "where to listen")
	f.StringVar(&s.data, "data", "secrets-data", "the folder for certificates, policy, tokens, keys and databases")
	if err := f.Parse(args); err != nil {
		return nil, said(err)
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	_, _, err := net.SplitHostPort(s.addr)
	if err != nil {
		err = fmt.Errorf("-addr %s: %w", s.addr, err)
	}
	return s, err
}

// run serves until ctx ends.
func (s *server) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	s.log = slog.New(slog.NewTextHandler(stderr, nil))
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("%w. Name another address with -addr", err)
	}
	defer l.Close()
	host, _, _ := net.SplitHostPort(address(s.addr))
	at := net.JoinHostPort(host, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	defer func() {
		for _, end := range slices.Backward(s.ends) {
			err = errors.Join(err, end())
		}
	}()
	config, err := s.prepare(ctx, host, at)
	if err != nil {
		return err
	}
	return s.serve(ctx, l, config, at, stdout)
}

// prepare makes what is missing in the data folder and puts the server together.
func (s *server) prepare(ctx context.Context, host, at string) (*tls.Config, error) {
	var err error
	if s.data, err = filepath.Abs(s.data); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return nil, err
	}
	locked, err := lock(s.data)
	if err != nil {
		return nil, err
	}
	s.ends = append(s.ends, locked.Close)
	s.certs = pki{dir: filepath.Join(s.data, "pki"), now: s.now(), log: s.log}
	var programs []string
	for _, c := range clients {
		programs = append(programs, c.name)
	}
	if err := s.certs.make(host, programs); err != nil {
		return nil, err
	}
	if s.issuer, err = newIssuer(s.data); err != nil {
		return nil, err
	}
	if err := s.issuer.renew(s.certs, s.now()); err != nil {
		return nil, err
	}
	kinds := []factors.Kind{mtls.Kind(), jwt.Kind()}
	pol, err := s.policy(at)
	if err != nil {
		return nil, err
	}
	if err := s.assemble(ctx, pol, kinds); err != nil {
		return nil, err
	}
	return s.certs.tls(pol)
}

var originLine = regexp.MustCompile(`(?m)^origin: (\S+)$`)

// policy writes the policy if there is none, or it is this program's own, unchanged, for another address, and reads it.
func (s *server) policy(at string) (*policy.Policy, error) {
	file := filepath.Join(s.data, "policy.yaml")
	origin := "https://" + strings.TrimSuffix(at, ":443")
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if m := originLine.FindSubmatch(b); err != nil || m != nil && string(m[1]) != origin && fmt.Sprintf(policyTemplate, m[1]) == string(b) {
		if err := write(file, fmt.Appendf(nil, policyTemplate, origin), 0o600); err != nil {
			return nil, err
		}
	}
	pol, err := policy.Load(file, mtls.Kind(), jwt.Kind())
	if err != nil {
		return nil, err
	}
	for _, w := range pol.Warnings() {
		s.log.Warn("the policy is good, but look at this", "warning", w.Error())
	}
	if pol.Origins[0].URL != origin {
		s.log.Warn("the policy's origin is not the address that this program was given: clients must come by the origin", "origin", pol.Origins[0].URL, "addr", at)
	}
	return pol, nil
}

func (s *server) assemble(ctx context.Context, pol *policy.Policy, kinds []factors.Kind) error {
	store, err := sqlite.Open(ctx, filepath.Join(s.data, "service.db"))
	if err != nil {
		return err
	}
	s.ends = append(s.ends, store.Close)
	if s.engine, err = session.New(session.Config{Policy: pol, Kinds: kinds, Store: store, Log: s.log, Now: s.now, Operator: tenant}); err != nil {
		return err
	}
	sessions, err := sessionhttp.New(s.engine, sessionhttp.Config{})
	if err != nil {
		return err
	}
	op := s.engine.Operate(tenant)
	if err := op.CreateTenant(ctx, "Corp"); err != nil && !errors.Is(err, session.ErrConflict) {
		return err
	}
	if err := users(ctx, op); err != nil {
		return err
	}
	v, err := openVault(ctx, filepath.Join(s.data, "secrets.db"), filepath.Join(s.data, "vault.key"))
	if err != nil {
		return err
	}
	s.ends = append(s.ends, v.close)
	s.api = &api{vault: v, sessions: sessions, log: s.log, now: s.now}
	return nil
}

// users makes those that are missing. It looks first: an attempt is in the audit log, whether it makes a user or not.
func users(ctx context.Context, op *session.Admin) error {
	there, err := op.Users(ctx)
	if err != nil {
		return err
	}
	for _, c := range clients {
		if slices.ContainsFunc(there, func(u session.User) bool { return u.Name == c.name && u.Class == authn.ClassPerson }) {
			continue
		}
		if _, err := op.CreateUser(ctx, session.NewUser{Name: c.name}); err != nil {
			return err
		}
	}
	return nil
}

// tls is the configuration of the server: it asks for a certificate of the policy's anchors, and takes any or none, so that
// an answer can say what is missing.
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

func (s *server) serve(ctx context.Context, l net.Listener, config *tls.Config, at string, out io.Writer) error {
	web := &http.Server{Handler: s.api.routes(), TLSConfig: config, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return mtls.WithConn(ctx) }}
	var background sync.WaitGroup
	working, stopWork := context.WithCancel(ctx)
	background.Go(func() { s.chores(working) })
	served := make(chan error, 1)
	go func() { served <- web.ServeTLS(l, "", "") }()
	if _, err := io.WriteString(out, s.announcement(at)); err != nil { // in one piece: nobody reads half of it
		s.log.Error("nobody reads what this program prints", "error", err)
	}
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if e := web.Shutdown(stopping); e != nil {
		err = errors.Join(err, web.Close())
	}
	stopWork()
	background.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// chores renews tokens before they end, and forgets what is old.
func (s *server) chores(ctx context.Context) {
	tick := time.NewTicker(chores)
	defer tick.Stop()
	for {
		err := errors.Join(s.issuer.renew(s.certs, s.now()), s.engine.Prune(ctx), s.engine.PruneEvents(ctx, keepEvents))
		if err != nil && ctx.Err() == nil {
			s.log.Error("tokens could not be renewed, or nothing was pruned", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *server) announcement(at string) string {
	var b strings.Builder
	file := func(name string) string { return quote(filepath.Join(s.data, name)) }
	fmt.Fprintf(&b, "ready https://%s\n\n", at)
	fmt.Fprintf(&b, "Two programs may use it: writer (reads and writes) and reader (reads). Each has a certificate in %s and a token in %s.\n", file("pki"), file("tokens"))
	fmt.Fprintf(&b, "Tokens live for %v and are bound to the certificates; this program renews them before they end.\n\n", tokenLife)
	fmt.Fprintf(&b, "In another terminal, in this folder:\n")
	fmt.Fprintf(&b, "  echo 'correct horse' | go run ./examples/secrets put -server https://%s -data %s -as writer db-password\n", at, quote(s.data))
	fmt.Fprintf(&b, "  go run ./examples/secrets get -server https://%s -data %s -as reader db-password\n\n", at, quote(s.data))
	fmt.Fprintf(&b, "Or with curl:\n  curl --cacert %s --cert %s --key %s -H \"Authorization: Bearer $(cat %s)\" https://%s/v1/secrets\n",
		file("pki/server-ca.crt"), file("pki/reader.crt"), file("pki/reader.key"), file("tokens/reader.jwt"), at)
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

// address is where to listen as clients write it. Where the program listens everywhere the host is localhost.
func address(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.IsUnspecified():
		host = "localhost"
	case err == nil:
		host = ip.Unmap().String()
	}
	return net.JoinHostPort(strings.ToLower(host), port)
}
