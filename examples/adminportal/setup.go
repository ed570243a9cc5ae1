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

// tenant is the company.
const tenant = "corp"

//go:embed policy.yaml
var policyTemplate string

// portal is the program, ready to serve.
type portal struct {
	log      *slog.Logger
	kinds    []factors.Kind
	policy   *policy.Policy
	engine   *session.Engine
	sessions *sessionhttp.Sessions
	store    *sqlite.Store
	certs    pki
	tls      atomic.Pointer[tls.Config]
	data     string
	invited  []invited
}

// invited is a user of the first start and the code for them.
type invited struct{ name, code string }

// prepare makes what is missing in the data folder and puts the portal together.
func prepare(ctx context.Context, o options, host, at string, log *slog.Logger) (_ *portal, err error) {
	data, err := filepath.Abs(o.data)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	certs := pki{dir: filepath.Join(data, "pki"), now: o.now()}
	if err := certs.make(host, []string{"alice", "bob"}); err != nil {
		return nil, err
	}
	file := filepath.Join(data, "policy.yaml")
	if err := writePolicy(file, at); err != nil {
		return nil, err
	}
	if o.policy != "" {
		file = o.policy
	}
	p := &portal{log: log, data: data, certs: certs, kinds: []factors.Kind{mtls.Kind(), fido2.Kind()}}
	if p.policy, err = policy.Load(file, policyKinds(p.kinds)...); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(p.policy.Origins, func(o policy.Origin) bool { return o.URL == "https://"+at }) {
		log.Warn("the policy's origin is not the address that this program was given: browsers must come by the origin", "origin", p.policy.Origins[0].URL, "addr", at)
	}
	config, err := certs.tls(p.policy)
	if err != nil {
		return nil, err
	}
	p.tls.Store(config)
	if p.store, err = sqlite.Open(ctx, filepath.Join(data, "portal.db")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.store.Close()
		}
	}()
	if p.engine, err = session.New(session.Config{Policy: p.policy, Kinds: p.kinds, Store: p.store, Log: log, Now: o.now}); err != nil {
		return nil, err
	}
	if p.sessions, err = sessionhttp.New(p.engine, sessionhttp.Config{LoginPage: "/login"}); err != nil {
		return nil, err
	}
	return p, p.populate(ctx)
}

func policyKinds(kinds []factors.Kind) []policy.Kind {
	var all []policy.Kind
	for _, k := range kinds {
		all = append(all, k)
	}
	return all
}

// policyFor is the demo's policy for an address. Browsers make no passkeys for an address of numbers, so for the loopback
// ones localhost comes first and the address is another name of it.
func policyFor(at string) string {
	line := "origin: https://" + at
	if host, port, err := net.SplitHostPort(at); err == nil && net.ParseIP(host).IsLoopback() {
		line = "origins: [https://localhost:" + port + ", { origin: \"https://" + at + "\", rp_id: localhost }]"
	}
	return strings.ReplaceAll(policyTemplate, "origin: {{origin}}", line)
}

// addressLine finds the address that a policy of this program was written for.
var addressLine = regexp.MustCompile(`(?m)^origin(?:: |s: .*origin: ")https://([^"\s]+)`)

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
	return write(file, []byte(policyFor(at)), 0o600)
}

// populate makes the tenant and its first users, and invites those who were never invited.
func (p *portal) populate(ctx context.Context) error {
	op := p.engine.Operate(tenant)
	if err := op.CreateTenant(ctx, "Corp"); err != nil && !errors.Is(err, session.ErrConflict) {
		return err
	}
	invitations, err := op.Invitations(ctx)
	if err != nil {
		return err
	}
	for _, n := range []session.NewUser{{Name: "alice", Display: "Alice Archer", Admin: true}, {Name: "bob", Display: "Bob Baker"}} {
		u, err := p.user(ctx, op, n)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(invitations, func(i session.Invitation) bool { return i.User == u.ID }) {
			continue
		}
		code, err := op.Invite(ctx, u.ID, 0)
		if err != nil {
			return err
		}
		p.invited = append(p.invited, invited{n.Name, code})
	}
	return nil
}

func (p *portal) user(ctx context.Context, op *session.Admin, n session.NewUser) (session.User, error) {
	u, err := op.CreateUser(ctx, n)
	if !errors.Is(err, session.ErrConflict) {
		return u, err
	}
	users, err := op.Users(ctx)
	if err != nil {
		return u, err
	}
	for _, u := range users {
		if u.Name == n.Name && !u.Device {
			return u, nil
		}
	}
	return u, fmt.Errorf("user %q is neither there nor can be made", n.Name)
}
