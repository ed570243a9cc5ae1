package oauthtest_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/oauth"
	"github.com/sallyport-auth/sallyport/factors/oauth/oauthtest"
)

// portal is a factor of this project at a provider: a client that is meant to fall for no lie.
type portal struct {
	t        *testing.T
	provider *oauthtest.Server
	known    *linked
	factor   *oauth.Factor
	origin   policy.Origin
}

// linked is a directory that knows one identity.
type linked struct {
	factors.Directory
	identity factors.Credential
}

func (l *linked) Credential(_ context.Context, tenant, factor, id string) (factors.Credential, error) {
	if c := l.identity; c.Tenant == tenant && c.Factor == factor && c.ID == id {
		return c, nil
	}
	return factors.Credential{}, factors.ErrNotFound
}

const section = `version: 1
origin: https://portal.example
factors:
  idp:
    kind: oauth
    tenant: acme
    issuer: ISSUER
    client_id: portal
    client_secret: { file: secret }
    userinfo: "on"
    acr: [gold]
    max_age: 1h
    attributes: { team: team }
methods:
  partner: { steps: [idp] }
rules:
  - { methods: [partner] }
`

func newProvider(t *testing.T) *oauthtest.Server {
	t.Helper()
	return oauthtest.Start(t, config(func(c *oauthtest.Config) {
		c.Clients[0].RedirectURIs = []string{"https://portal.example/auth/factors/idp/callback"}
	}))
}

// newPortal is one that knows nothing of the provider yet.
func newPortal(t *testing.T, s *oauthtest.Server, known *linked) *portal {
	t.Helper()
	folder := t.TempDir()
	text := strings.ReplaceAll(section, "ISSUER", s.Issuer)
	for name, content := range map[string]string{"policy.yaml": text, "secret": "s e:cret"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pol, err := policy.Load(filepath.Join(folder, "policy.yaml"), oauth.Kind())
	if err != nil {
		t.Fatal(err)
	}
	made, err := oauth.Kind().Build(pol.Factors[0].Settings, factors.Env{Policy: pol, Directory: known, Rand: rand.Reader, Base: "/auth"})
	if err != nil {
		t.Fatal(err)
	}
	return &portal{t, s, known, made.(*oauth.Factor), pol.Origins[0]}
}

func (p *portal) request() factors.Request {
	return factors.Request{Now: time.Now(), Origin: p.origin, Subject: authn.Subject{Tenant: "acme"}}
}

// link makes alice of the provider a user.
func (p *portal) link() {
	p.t.Helper()
	e := factors.Enrolment{Request: p.request(), User: factors.User{Tenant: "acme", ID: "u-1", Name: "alice"}}
	c, err := p.factor.EnrolChallenge(p.t.Context(), e)
	if err != nil {
		p.t.Fatal(err)
	}
	e.Credential = p.comesBack(p.t.Context(), c)
	e.Challenge = factors.Asked{ID: "challenge", Data: c.Data, Issued: e.Now, Expires: e.Now.Add(c.Lifetime)}
	if p.known.identity, err = p.factor.Enrol(p.t.Context(), e); err != nil {
		p.t.Fatal(err)
	}
	p.known.identity.Tenant, p.known.identity.User, p.known.identity.Factor = "acme", "u-1", "idp"
}

// comesBack is the credential of a browser in which alice signed in at the provider.
func (p *portal) comesBack(ctx context.Context, c factors.Challenge) json.RawMessage {
	p.t.Helper()
	back, err := p.provider.SignIn(ctx, c.RedirectTo, "alice")
	if err != nil {
		p.t.Fatal(err)
	}
	u, err := url.Parse(back)
	if err != nil {
		p.t.Fatal(err)
	}
	credential, err := json.Marshal(map[string]string{"query": u.RawQuery})
	if err != nil {
		p.t.Fatal(err)
	}
	return credential
}

// signIn is how a sign-in of alice ends.
func (p *portal) signIn(ctx context.Context) (factors.Verified, error) {
	r := p.request()
	c, err := p.factor.Challenge(ctx, r)
	if err != nil {
		return factors.Verified{}, err
	}
	return p.factor.Verify(ctx, factors.Verification{Request: r, Credential: p.comesBack(ctx, c),
		Challenge: factors.Asked{ID: "challenge", Data: c.Data, Issued: r.Now, Expires: r.Now.Add(c.Lifetime)}})
}

// meets are the reasons for which a client refuses each lie: without one the provider counts as down.
var meets = map[oauthtest.Fault]authn.Reason{
	oauthtest.IssuerOther: "oauth_response_issuer", oauthtest.IssuerMissing: "oauth_response_issuer", oauthtest.MixUp: "oauth_response_issuer",
	oauthtest.CodeOfAnotherSession: "oauth_code", oauthtest.StateTwice: "oauth_response", oauthtest.CodeTwice: "oauth_response", oauthtest.ErrorBesideCode: "oauth_response",
	oauthtest.NonceOther: "oauth_nonce", oauthtest.NonceMissing: "oauth_nonce", oauthtest.AZPForeign: "oauth_azp", oauthtest.AudienceExtra: "oauth_audience",
	oauthtest.AudienceOther: "oauth_audience", oauthtest.IssuerOfToken: "oauth_issuer", oauthtest.AtHashWrong: "oauth_at_hash", oauthtest.SubjectMissing: "oauth_subject",
	oauthtest.IssuedAtMissing: "oauth_issued_at", oauthtest.IssuedAtFuture: "oauth_issued_at", oauthtest.Expired: "oauth_expired",
	oauthtest.AuthTimeOld: "oauth_auth_time", oauthtest.AuthTimeMissing: "oauth_auth_time", oauthtest.ACROther: "oauth_acr", oauthtest.DuplicateClaim: "json_duplicate_name",
	oauthtest.AlgNone: "token_unsigned", oauthtest.HMACWithPublicKey: "token_symmetric", oauthtest.HMACWithSecret: "token_symmetric",
	oauthtest.KeyUnpublished: "oauth_key_unknown", oauthtest.KidOfAnother: "token_bad_signature", oauthtest.UserinfoOther: "oauth_userinfo", oauthtest.TokenRefused: "oauth_code",
}

// Every lie about a sign-in is refused by a client that checks, for its own reason, and the truth before and after is not.
func TestEveryLieIsFound(t *testing.T) {
	for _, f := range oauthtest.Faults() {
		if f.OfLogout() {
			continue
		}
		t.Run(string(f), func(t *testing.T) {
			p := newPortal(t, newProvider(t), &linked{})
			newPortal(t, p.provider, p.known).link() // what it learnt of the provider, p does not know
			p.provider.Lie(f)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if f == oauthtest.KeysSlow {
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			_, err := p.signIn(ctx)
			var r *factors.Rejection
			switch want := meets[f]; {
			case err == nil:
				t.Fatal("signed in")
			case errors.As(err, &r) && r.Reason != want, !errors.As(err, &r) && want != "":
				t.Errorf("%v, want %q", err, want)
			}
			p.provider.Lie(oauthtest.Honest)
			if _, err := newPortal(t, p.provider, p.known).signIn(t.Context()); err != nil {
				t.Errorf("the truth: %v", err)
			}
		})
	}
}

// Every lie about a logout is refused, and a true notice is not.
func TestEveryLieAboutALogoutIsFound(t *testing.T) {
	p := newPortal(t, newProvider(t), &linked{})
	notice := func() error {
		_, err := p.factor.Notice(t.Context(), factors.Notice{Now: time.Now(), Tenant: "acme", Form: url.Values{"logout_token": {p.provider.LogoutToken("portal", "alice", "a-session")}}})
		return err
	}
	want := map[oauthtest.Fault]authn.Reason{oauthtest.LogoutNonce: "oauth_logout_nonce", oauthtest.LogoutNoEvents: "oauth_logout_events", oauthtest.LogoutType: "oauth_token_type",
		oauthtest.LogoutNoID: "oauth_logout_id", oauthtest.LogoutExpired: "oauth_expired", oauthtest.LogoutAudience: "oauth_audience", oauthtest.LogoutUnsigned: "token_unsigned"}
	for _, f := range oauthtest.Faults() {
		if !f.OfLogout() {
			continue
		}
		p.provider.Lie(f)
		var r *factors.Rejection
		if err := notice(); !errors.As(err, &r) || r.Reason != want[f] {
			t.Errorf("%s: %v, want %q", f, err, want[f])
		}
		p.provider.Lie(oauthtest.Honest)
		if err := notice(); err != nil {
			t.Errorf("the truth after %s: %v", f, err)
		}
	}
}
