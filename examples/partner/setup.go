package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/oauth"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
	"github.com/sallyport-auth/sallyport/stores/sqlite"
)

//go:embed policy.yaml
var policyTemplate string

// portal is the program, ready to serve.
type portal struct {
	log       *slog.Logger
	kinds     []factors.Kind
	policy    *policy.Policy // at the start
	engine    *session.Engine
	sessions  *sessionhttp.Sessions
	store     *sqlite.Store
	certs     pki
	tls       atomic.Pointer[tls.Config]
	data      string
	lock      *os.File
	providers *providers
	real      provider
}

func (p *portal) close() {
	if p.store != nil {
		p.store.Close()
	}
	if p.providers != nil {
		p.providers.listener.Close()
	}
	p.lock.Close()
}

// prepare makes what is missing in the data folder and puts the portal together.
func prepare(ctx context.Context, o options, host, at string, log *slog.Logger) (*portal, error) {
	data, err := filepath.Abs(o.data)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	locked, err := lock(data)
	if err != nil {
		return nil, err
	}
	p := &portal{log: log, data: data, lock: locked, kinds: kinds(), real: o.real, certs: pki{dir: filepath.Join(data, "pki"), now: o.now(), log: log}}
	if err := p.assemble(ctx, o, host, at); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *portal) assemble(ctx context.Context, o options, host, at string) error {
	if err := p.certs.make(host, partners); err != nil {
		return err
	}
	if err := p.providersAndPolicy(o, at); err != nil {
		return err
	}
	p.warn(p.policy)
	if !slices.ContainsFunc(p.policy.Origins, func(own policy.Origin) bool { return own.URL == origin(at) }) {
		p.log.Warn("the policy's origin is not the address that this program was given: browsers must come by the origin", "origin", p.policy.Origins[0].URL, "addr", at)
	}
	config, err := p.certs.tls(p.policy)
	if err != nil {
		return err
	}
	p.tls.Store(config)
	if p.store, err = sqlite.Open(ctx, filepath.Join(p.data, "portal.db")); err != nil {
		return err
	}
	if p.engine, err = session.New(session.Config{Policy: p.policy, Kinds: p.kinds, Store: p.store, Log: p.log, Now: o.now}); err != nil {
		return err
	}
	if p.sessions, err = sessionhttp.New(p.engine, sessionhttp.Config{LoginPage: "/login", SignedOutPage: signedOutURL}); err != nil {
		return err
	}
	for _, x := range partners {
		if err := p.engine.Operate(x.id).CreateTenant(ctx, x.name); err != nil && !errors.Is(err, session.ErrConflict) {
			return err
		}
	}
	return nil
}

// providersAndPolicy makes the policy that names the demonstration's providers, or reads another one, and the providers
// for its origins.
func (p *portal) providersAndPolicy(o options, at string) error {
	_, port, _ := net.SplitHostPort(o.addr)
	l, err := listen(p.data, port != "0")
	if err != nil {
		return err
	}
	secret, err := p.loadPolicy(o, at, l)
	if err != nil {
		l.Close()
		return err
	}
	without := ""
	if o.real.issuer != "" {
		without = partners[0].id
	}
	origins := []string{origin(at)}
	for _, own := range p.policy.Origins {
		if own.URL != origin(at) {
			origins = append(origins, own.URL)
		}
	}
	if p.providers, err = newProviders(l, origins, p.certs, o.now, without, secret, p.log); err != nil {
		l.Close()
	}
	return err
}

// loadPolicy writes the demonstration's policy and reads the one that is in force.
func (p *portal) loadPolicy(o options, at string, l net.Listener) (secret string, err error) {
	secret, secretFile, err := p.clientSecret()
	if err != nil {
		return "", err
	}
	lines := map[string]string{"{{origin}}": origin(at)}
	for i, x := range partners {
		named := provider{demoIssuer(l, x), clientID, secretFile, "pki/server-ca.crt"}
		if i == 0 && o.real.issuer != "" {
			named = o.real
		}
		lines["{{"+x.id+"}}"] = named.line()
	}
	file := filepath.Join(p.data, "policy.yaml")
	kept, err := writePolicy(file, lines)
	switch {
	case err != nil:
		return "", err
	case kept && o.real.issuer != "":
		return "", fmt.Errorf("-issuer: %s was changed by hand and is not written anew: name the provider in it, or take the file away", file)
	case kept && o.policy == "":
		p.log.Warn("the policy file was changed by hand and is used as it is: addresses and providers in it may be others than those of this start", "file", file)
	}
	if o.policy != "" {
		file = o.policy
	}
	p.policy, err = policy.Load(file, factors.PolicyKinds(p.kinds)...)
	return secret, err
}

// clientSecret is the secret that the portal shares with the demonstration's providers, and its file as the policy names it.
func (p *portal) clientSecret() (secret, name string, err error) {
	name = "client-secret"
	file := filepath.Join(p.data, name)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		b = fmt.Appendln(nil, rand.Text())
		err = write(file, b, 0o600)
	}
	return strings.TrimSpace(string(b)), name, err
}

// warn logs what is suspicious in a policy.
func (p *portal) warn(pol *policy.Policy) {
	for _, w := range pol.Warnings() {
		p.log.Warn("the policy is good, but look at this", "warning", w.Error())
	}
}

func kinds() []factors.Kind { return []factors.Kind{mtls.Kind(), oauth.Kind(), oauth.PlainKind()} }

// origin is an address as browsers write it: the port of https is left out.
func origin(at string) string { return "https://" + strings.TrimSuffix(at, ":443") }

const written = "# This program wrote what follows, and writes it anew when addresses change, as long as nobody else changes it: "

// writePolicy writes the demonstration's policy. One that somebody changed is kept.
func writePolicy(file string, lines map[string]string) (kept bool, err error) {
	text := policyTemplate
	for name, line := range lines {
		text = strings.ReplaceAll(text, name, line)
	}
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err == nil {
		first, rest, _ := bytes.Cut(b, []byte("\n"))
		if string(first) != written+digest(rest) {
			return true, nil
		}
	}
	return false, write(file, []byte(written+digest([]byte(text))+"\n"+text), 0o600)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
