package main

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
	"github.com/sallyport-auth/sallyport/stores/sqlite"
)

// tenant is the company, attendant who looks after its kiosks.
const (
	tenant    = "corp"
	attendant = "carol"
)

// devices are the kiosks.
var devices = []string{"kiosk-17", "kiosk-18"}

//go:embed policy.yaml
var policyTemplate string

// site is the program, ready to serve.
type site struct {
	log      *slog.Logger
	kinds    []factors.Kind
	policy   *policy.Policy // at the start
	engine   *session.Engine
	sessions *sessionhttp.Sessions
	store    *sqlite.Store
	certs    pki
	tls      atomic.Pointer[tls.Config]
	data     string
	at       string // where it listens, as browsers write it
	lock     *os.File
	handouts []string // lines to be printed once
}

func (s *site) close() {
	if s.store != nil {
		s.store.Close()
	}
	s.lock.Close()
}

// prepare makes what is missing in the data folder and puts the site together.
func prepare(ctx context.Context, o options, at string, log *slog.Logger) (*site, error) {
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
	s := &site{log: log, data: data, at: at, lock: locked, kinds: []factors.Kind{mtls.Kind(), fido2.Kind(), badgeKind{}},
		certs: pki{dir: filepath.Join(data, "pki"), now: o.now(), log: log}}
	if err := s.assemble(ctx, o); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *site) assemble(ctx context.Context, o options) error {
	host, _, _ := net.SplitHostPort(s.at)
	if err := s.certs.make(host, devices); err != nil {
		return err
	}
	if err := s.makeBadge(o.iterations); err != nil {
		return err
	}
	if err := s.loadPolicy(o.policy); err != nil {
		return err
	}
	config, err := s.certs.tls(s.policy)
	if err != nil {
		return err
	}
	s.tls.Store(config)
	if s.store, err = sqlite.Open(ctx, filepath.Join(s.data, "kiosk.db")); err != nil {
		return err
	}
	if s.engine, err = session.New(session.Config{Policy: s.policy, Kinds: s.kinds, Store: s.store, Operator: tenant, Log: s.log, Now: o.now}); err != nil {
		return err
	}
	if s.sessions, err = sessionhttp.New(s.engine, sessionhttp.Config{LoginPage: homePath}); err != nil {
		return err
	}
	return s.populate(ctx)
}

// loadPolicy loads the demo's policy, which it writes where there is none, or another one if it is named.
func (s *site) loadPolicy(another string) error {
	file := filepath.Join(s.data, "policy.yaml")
	if err := writePolicy(file, originHost(s.at)); err != nil && (another == "" || !errors.Is(err, errNumbers)) {
		return err
	}
	if another != "" {
		file = another
	}
	var err error
	if s.policy, err = policy.Load(file, factors.PolicyKinds(s.kinds)...); err != nil {
		return err
	}
	s.warn(s.policy)
	if !slices.ContainsFunc(s.policy.Origins, func(o policy.Origin) bool { return o.URL == "https://"+originHost(s.at) }) {
		s.log.Warn("the policy's origin is not the address that this program was given: browsers must come by the origin", "origin", s.policy.Origins[0].URL, "addr", s.at)
	}
	return nil
}

// warn logs what is suspicious in a policy.
func (s *site) warn(pol *policy.Policy) {
	for _, w := range pol.Warnings() {
		s.log.Warn("the policy is good, but look at this", "warning", w.Error())
	}
}

// originHost is an address as it stands in an origin: browsers leave the port of https out.
func originHost(at string) string { return strings.TrimSuffix(at, ":443") }

// policyFor is the demo's policy for an address. Browsers make no passkeys for an address of numbers, so for the loopback
// ones that localhost stands for it comes first, and the address is another name of it.
func policyFor(at string) string {
	line := "origin: https://" + at
	u := url.URL{Host: at}
	if name := u.Hostname(); name == "127.0.0.1" || name == "::1" {
		local := "localhost"
		if u.Port() != "" {
			local += ":" + u.Port()
		}
		line = "origins: [https://" + local + ", { origin: \"https://" + at + "\", rp_id: localhost }]"
	}
	return strings.ReplaceAll(policyTemplate, "origin: {{origin}}", line)
}

// addressLine finds the address that a policy of this program was written for.
var addressLine = regexp.MustCompile(`(?m)^origin(?:: |s: .*origin: ")https://([^"\s]+)`)

var errNumbers = errors.New("browsers make no passkeys for an address of numbers: give a name, such as localhost")

// writePolicy writes the demo's policy. One that is there is kept, unless it is the demo's own, unchanged, for another
// address.
func writePolicy(file, at string) error {
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		m := addressLine.FindSubmatch(b)
		if m == nil || string(m[1]) == at || policyFor(string(m[1])) != string(b) {
			return nil
		}
	}
	if name := (&url.URL{Host: at}).Hostname(); net.ParseIP(name) != nil && name != "127.0.0.1" && name != "::1" {
		return fmt.Errorf("-addr %s: %w", at, errNumbers)
	}
	return write(file, []byte(policyFor(at)), 0o600)
}
