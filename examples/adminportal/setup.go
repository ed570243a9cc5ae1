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
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
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
	source   mtls.Source  // of certificates
	probe    http.Handler // of the deployment; nil: there is no such route
	socket   string       // where to listen if something else ends TLS; empty: this program does
	certs    pki
	tls      atomic.Pointer[tls.Config]
	data     string
	lock     *os.File
	invited  []invited
}

// invited is a user and the code that is to be printed for them.
type invited struct{ name, code string }

func (p *portal) close() {
	p.store.Close()
	p.lock.Close()
}

// prepare makes what is missing in the data folder and puts the portal together.
func prepare(ctx context.Context, o options, host, at string, log *slog.Logger) (_ *portal, err error) {
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
	defer func() {
		if err != nil {
			locked.Close()
		}
	}()
	certs := pki{dir: filepath.Join(data, "pki"), now: o.now(), log: log}
	if err := certs.make(host, []string{"alice", "bob"}); err != nil {
		return nil, err
	}
	file := filepath.Join(data, "policy.yaml")
	if err := writePolicy(file, originHost(at)); err != nil && (o.policy == "" || !errors.Is(err, errNumbers)) {
		return nil, err
	}
	if o.policy != "" {
		file = o.policy
	}
	p := &portal{log: log, data: data, lock: locked, certs: certs}
	if p.source, p.socket, err = o.source(data); err != nil {
		return nil, err
	}
	if o.probe != "" {
		if p.probe, err = mtls.ProbeRoute(o.probe); err != nil {
			return nil, fmt.Errorf("SALLYPORT_PROBE_TOKEN: %w", err)
		}
	}
	if p.policy, err = policy.Load(file, factors.PolicyKinds(kinds(nil))...); err != nil {
		return nil, err
	}
	p.warn(p.policy)
	if !p.hasOrigin(at) {
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
	p.kinds = kinds(p.store.Lists())
	if p.engine, err = session.New(session.Config{Policy: p.policy, Kinds: p.kinds, Store: p.store, Operator: tenant, Log: log, Now: o.now}); err != nil {
		return nil, err
	}
	if p.sessions, err = sessionhttp.New(p.engine, sessionhttp.Config{LoginPage: "/login"}); err != nil {
		return nil, err
	}
	return p, p.populate(ctx, o.invite)
}

// hasOrigin reports whether the policy lets callers come by this address.
func (p *portal) hasOrigin(at string) bool {
	return slices.ContainsFunc(p.policy.Origins, func(o policy.Origin) bool { return o.URL == "https://"+originHost(at) })
}

// warn logs what is suspicious in a policy.
func (p *portal) warn(pol *policy.Policy) {
	for _, w := range pol.Warnings() {
		p.log.Warn("the policy is good, but look at this", "warning", w.Error())
	}
}

// kinds are the sorts of factors that a policy may have. Lists of revoked certificates that they fetch are kept in a store.
func kinds(lists revocation.Store) []factors.Kind {
	return []factors.Kind{mtls.KindWith(revocation.New(revocation.Config{Store: lists})), fido2.Kind()}
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

// announcedFile is there once the invitations of the first start were printed.
const announcedFile = "announced"

func (p *portal) announced() (bool, error) {
	_, err := os.Stat(filepath.Join(p.data, announcedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (p *portal) setAnnounced() error {
	if there, err := p.announced(); there || err != nil {
		return err
	}
	return write(filepath.Join(p.data, announcedFile), []byte("The invitations of the first users were printed.\nWithout this file whoever of them has no passkey is invited again.\n"), 0o600)
}

// populate makes the tenant and its first users, and invites them: codes that a kill kept from being printed are no use
// to anybody, so it does so until they were, and again for whoever let an invitation expire. It also invites the user
// that the command line names.
func (p *portal) populate(ctx context.Context, invite string) error {
	op := p.engine.Operate(tenant)
	if err := op.CreateTenant(ctx, "Corp"); err != nil && !errors.Is(err, session.ErrConflict) {
		return err
	}
	announced, err := p.announced()
	if err != nil {
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
		waits, err := p.waits(ctx, op, u, invitations, announced)
		if err != nil {
			return err
		}
		if !waits || n.Name == invite {
			continue
		}
		if err := os.Remove(filepath.Join(p.data, announcedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := p.invite(ctx, op, u); err != nil {
			return err
		}
	}
	if invite == "" {
		return nil
	}
	u, err := userNamed(ctx, op, invite)
	if err != nil {
		return fmt.Errorf("-invite: %w", err)
	}
	return p.invite(ctx, op, u)
}

// waits reports whether a user of the first start has no way in and must be invited.
func (p *portal) waits(ctx context.Context, op *session.Admin, u session.User, invitations []session.Invitation, announced bool) (bool, error) {
	if u.Status != session.Active {
		return false, nil
	}
	newest := true // they are listed newest first
	for _, i := range invitations {
		if i.User != u.ID {
			continue
		}
		if !i.Spent.IsZero() || newest && (i.By != "" || announced && (i.Open(p.engine.Now()) || !i.Revoked.IsZero())) {
			return false, nil // used, or the business of an administrator, or known to somebody, or taken back on purpose
		}
		newest = false
	}
	credentials, err := op.Credentials(ctx, u.ID)
	return len(credentials) == 0, err
}

func (p *portal) invite(ctx context.Context, op *session.Admin, u session.User) error {
	code, err := op.Invite(ctx, u.ID, 0)
	if err != nil {
		return err
	}
	p.invited = append(p.invited, invited{u.Name, code})
	return nil
}

// user is one of the first users, who is made where they are missing.
func (p *portal) user(ctx context.Context, op *session.Admin, n session.NewUser) (session.User, error) {
	u, err := op.CreateUser(ctx, n)
	if !errors.Is(err, session.ErrConflict) {
		return u, err
	}
	return userNamed(ctx, op, n.Name)
}

func userNamed(ctx context.Context, op *session.Admin, name string) (session.User, error) {
	users, err := op.Users(ctx)
	if err != nil {
		return session.User{}, err
	}
	for _, u := range users {
		if u.Name == name && u.Class == authn.ClassPerson {
			return u, nil
		}
	}
	return session.User{}, fmt.Errorf("there is no user %q", name)
}
