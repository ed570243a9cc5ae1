package session_test

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// elsewherePolicy adds to the policy of a world the factors and methods of these tests: a sign-in elsewhere, and a token.
var elsewherePolicy = []string{
	"  code:    { kind: typed }\n", `  code:    { kind: typed }
  idp:     { kind: elsewhere, provision: true }
  invited: { kind: elsewhere }
  token:   { kind: token }
`,
	"  badge:     { steps: [device] }\n", `  badge:     { steps: [device] }
  visit:     { steps: [partner-cert, idp], session: { idle: 15m, absolute: 8h } }
  thorough:  { steps: [partner-cert, idp, passkey] }
  linked:    { steps: [partner-cert, invited] }
  service:   { steps: [device, token], each_request: true }
  legacy:    { steps: [device, token], each_request: true, insecure_allow_token_without_certificate: true }
`,
	"  - { route: /badge/*, methods: [badge] }\n", `  - { route: /badge/*, methods: [badge] }
  - { route: /visit/*, methods: [visit, thorough, linked, admin] }
  - { route: /v1/*, methods: [service] }
  - { route: /legacy/*, methods: [legacy] }
`,
}

// elsewhereKind is a kind of factor that sends the caller somewhere, who comes back with a state and says who they are
// there. It has no secrets: these tests are about the engine.
type elsewhereKind struct {
	mu   sync.Mutex
	next int
	hook func() // called when an answer is looked at
	down error
	age  time.Duration // that the last challenge was asked for with
}

type elsewhereSettings struct {
	name      string
	provision bool
}

func (k *elsewhereKind) Name() string { return "elsewhere" }

func (k *elsewhereKind) Settings(s *policy.Section) (policy.Settings, error) {
	var w struct {
		Provision bool `yaml:"provision"`
	}
	err := s.Decode(&w)
	return elsewhereSettings{s.Name(), w.Provision}, err
}

func (s elsewhereSettings) Describe() authn.Factor {
	return authn.Factor{Name: s.name, Kind: "elsewhere", Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Know}, AMR: []string{"elsewhere"}}
}

func (s elsewhereSettings) Place() policy.Place { return policy.Place{After: authn.IdentifiesTenant} }

func (k *elsewhereKind) Build(s policy.Settings, env factors.Env) (factors.Factor, error) {
	return &elsewhere{k, s.(elsewhereSettings), env}, nil
}

type elsewhere struct {
	kind     *elsewhereKind
	settings elsewhereSettings
	env      factors.Env
}

type elsewhereAnswer struct {
	State string `json:"state"`
	Sub   string `json:"sub"`
	Name  string `json:"name,omitempty"`
	SID   string `json:"sid,omitempty"`
	Lie   string `json:"lie,omitempty"` // another tenant, which the factor says it is
}

func (f *elsewhere) Describe() authn.Factor {
	d := f.settings.Describe()
	return d
}

func (f *elsewhere) challenge(purpose string) (factors.Challenge, error) {
	f.kind.mu.Lock()
	defer f.kind.mu.Unlock()
	if f.kind.down != nil {
		return factors.Challenge{}, f.kind.down
	}
	f.kind.next++
	state := purpose + "-" + string(rune('a'+f.kind.next%26)) + strings.Repeat("x", f.kind.next)
	return factors.Challenge{RedirectTo: "https://elsewhere.example/?state=" + state, Data: []byte(state)}, nil
}

func (f *elsewhere) Challenge(_ context.Context, r factors.Request) (factors.Challenge, error) {
	f.kind.age = r.MaxAge
	return f.challenge("login")
}

func (f *elsewhere) EnrolChallenge(context.Context, factors.Enrolment) (factors.Challenge, error) {
	return f.challenge("link")
}

func (f *elsewhere) Answers(credential json.RawMessage, asked factors.Asked) bool {
	var a elsewhereAnswer
	return json.Unmarshal(credential, &a) == nil && subtle.ConstantTimeCompare([]byte(a.State), asked.Data) == 1
}

func (f *elsewhere) read(credential json.RawMessage, asked factors.Asked, purpose string) (a elsewhereAnswer, err error) {
	f.kind.mu.Lock()
	hook, down := f.kind.hook, f.kind.down
	f.kind.mu.Unlock()
	if hook != nil {
		hook()
	}
	if down != nil {
		return a, down
	}
	if json.Unmarshal(credential, &a) != nil || a.Sub == "" || a.State != string(asked.Data) || !strings.HasPrefix(a.State, purpose) {
		return a, factors.Reject("elsewhere_refused", "")
	}
	return a, nil
}

func (f *elsewhere) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	a, err := f.read(v.Credential, v.Challenge, "login-")
	if err != nil {
		return factors.Verified{}, err
	}
	tenant := cmp.Or(a.Lie, v.Subject.Tenant)
	e := authn.Evidence{Subject: authn.Subject{Tenant: tenant}, Credential: tenant + "/" + a.Sub, Key: "elsewhere:" + a.Sub, At: v.Now,
		Strength: authn.Strength{Category: authn.Know}, AMR: []string{"elsewhere"}, Issuer: "https://elsewhere.example", Handles: []string{"sub:" + a.Sub}}
	if a.SID != "" {
		e.Handles = append(e.Handles, "sid:"+a.SID)
	}
	c, err := f.env.Directory.Credential(ctx, tenant, f.settings.name, e.Credential)
	switch {
	case err == nil:
		e.Subject.User = c.User
		return factors.Verified{Evidence: e}, nil
	case !errors.Is(err, factors.ErrNotFound):
		return factors.Verified{}, err
	case !f.settings.provision:
		return factors.Verified{}, factors.Reject(factors.ReasonUserUnknown, "")
	}
	return factors.Verified{Evidence: e, Provision: &factors.Provision{Name: cmp.Or(a.Name, a.Sub), Display: a.Sub,
		Credential: factors.Credential{ID: e.Credential, Best: e.Strength}}}, nil
}

func (f *elsewhere) Enrol(_ context.Context, e factors.Enrolment) (factors.Credential, error) {
	a, err := f.read(e.Credential, e.Challenge, "link-")
	return factors.Credential{ID: e.User.Tenant + "/" + a.Sub, Best: authn.Strength{Category: authn.Know}}, err
}

func (f *elsewhere) Notice(_ context.Context, n factors.Notice) (factors.Over, error) {
	if n.Form.Get("handle") == "" {
		return factors.Over{}, factors.Reject("elsewhere_notice", "")
	}
	return factors.Over{ID: n.Form.Get("id"), Until: n.Now.Add(time.Minute), Handles: n.Form["handle"], Final: strings.HasPrefix(n.Form.Get("handle"), "sid:")}, nil
}

func (f *elsewhere) SignOutURL(_ context.Context, e authn.Evidence, returnTo string) (string, error) {
	return "https://elsewhere.example/out?to=" + returnTo + "&issuer=" + e.Issuer, nil
}

// tokenKind is a kind of factor whose credential is the token of a request: "user:scope,scope", or "tenant/user:..." of
// somebody in particular. It forges nothing: whatever it says is taken.
type tokenKind struct {
	nonce string
	once  bool        // a proof is spent, as real ones are
	env   factors.Env // that the engine gave
}

type tokenSettings struct{ name string }

func (k *tokenKind) Name() string { return "token" }

func (k *tokenKind) Settings(s *policy.Section) (policy.Settings, error) {
	return tokenSettings{s.Name()}, s.Decode(&struct{}{})
}

func (s tokenSettings) Describe() authn.Factor {
	return authn.Factor{Name: s.name, Kind: "token", Ambient: true, Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have}}
}

func (s tokenSettings) Place() policy.Place { return policy.Place{EachRequest: true} }

func (k *tokenKind) Build(s policy.Settings, env factors.Env) (factors.Factor, error) {
	k.env = env
	return &token{k, s.(tokenSettings), env}, nil
}

type token struct {
	kind     *tokenKind
	settings tokenSettings
	env      factors.Env
}

func (f *token) Describe() authn.Factor { return f.settings.Describe() }

func (f *token) Verify(ctx context.Context, v factors.Verification) (factors.Verified, error) {
	switch {
	case v.Carried.Refused != "":
		return factors.Verified{}, factors.Reject(v.Carried.Refused, "")
	case v.Carried.Token == "":
		return factors.Verified{}, factors.Reject(factors.ReasonNoToken, "")
	case f.kind.nonce != "" && v.Carried.Proof != f.kind.nonce:
		return factors.Verified{}, &factors.Rejection{Reason: "token_nonce", Nonce: f.kind.nonce}
	}
	name, scopes, _ := strings.Cut(v.Carried.Token, ":")
	tenant, user, found := strings.Cut(name, "/")
	if !found {
		tenant, user = "corp", name
	}
	marks := factors.TokenMarks{ID: factors.TokenDigest("issuer", v.Carried.Token), Subject: factors.TokenDigest("issuer", user), Issued: v.Now.Add(-time.Minute)}
	if denied, err := f.env.Tokens.TokenDenied(ctx, v.Now, tenant, marks); denied || err != nil {
		if err != nil {
			return factors.Verified{}, err
		}
		return factors.Verified{}, factors.Reject(factors.ReasonRevoked, "")
	}
	u, err := f.env.Directory.UserNamed(ctx, tenant, user, authn.ClassPerson)
	if errors.Is(err, factors.ErrNotFound) {
		return factors.Verified{}, factors.Reject(factors.ReasonUserUnknown, "")
	}
	if f.kind.once && v.Carried.Scheme == "DPoP" {
		if first, err := f.env.Once.Use(ctx, "proof:"+v.Carried.Proof, v.Now.Add(time.Minute)); err != nil || !first {
			return factors.Verified{}, cmp.Or(err, factors.Reject("proof_replayed", ""))
		}
	}
	return factors.Verified{Evidence: authn.Evidence{Subject: u.Subject(), Names: authn.Names{Tenant: tenant, User: u.Name}, Credential: name, Key: "token:" + name,
		Strength: authn.Strength{Category: authn.Have}, At: v.Now, Expires: v.Now.Add(time.Hour), Scopes: strings.Split(scopes, ",")}}, err
}

// toElsewhere sends the browser elsewhere, and gives the state that it must come back with.
func (b *browser) toElsewhere(factor string) string {
	b.w.t.Helper()
	asked, err := b.challenge(factor)
	must(b.w.t, err)
	_, state, _ := strings.Cut(asked.RedirectTo, "state=")
	return state
}

// comeBack brings an answer from elsewhere.
func (b *browser) comeBack(factor string, a elsewhereAnswer) (came session.Returned, err error) {
	b.w.t.Helper()
	credential, _ := json.Marshal(a)
	err = b.do(func(ctx context.Context, s *session.Session) error {
		var err error
		came, err = s.Return(ctx, factor, credential)
		return err
	})
	return came, err
}

// visit signs in elsewhere as sub.
func (b *browser) visit(sub, sid string) error {
	b.w.t.Helper()
	must(b.w.t, b.begin("visit", returning("/visit/home")))
	_, err := b.comeBack("idp", elsewhereAnswer{State: b.toElsewhere("idp"), Sub: sub, SID: sid})
	return err
}

// link links an identity elsewhere to a user.
func (w *world) link(who, sub string) {
	w.t.Helper()
	u := w.account(who)
	must(w.t, w.store.Enrol(context.Background(), session.Enrolled{At: w.clock(), Epoch: u.Epoch, Credential: factors.Credential{Tenant: u.Tenant, User: u.ID,
		Factor: "invited", Kind: "elsewhere", ID: u.Tenant + "/" + sub, Name: "elsewhere", Created: w.clock(), Version: 1}}))
}
