package issuer

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 500_000_000, time.UTC)

const home = "https://portal.example"

// chain is a certificate's chain as a request carries it.
func chain(t *testing.T, name string) factors.PeerCertChain {
	t.Helper()
	c := mtlstest.NewCA(t, "corp").Issue(mtlstest.Leaf{CN: name, NotAfter: time.Now().AddDate(0, 0, 30)})
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return peer.New([]*x509.Certificate{leaf}, peer.Source{Name: "tls"}, nil)
}

// grant is a good one.
func grant(p factors.PeerCertChain) Grant {
	marks := factors.MarksOf(p.Leaf())
	device := authn.Evidence{Factor: "device", Kind: "mtls", Ambient: true, At: now.Add(-time.Hour), Strength: authn.Strength{Category: authn.Have},
		AMR: []string{"swk"}, Key: "spki:1", Tie: &authn.Tie{Bind: authn.BindKey, Certificate: marks.Certificate, Key: marks.Key}}
	passkey := authn.Evidence{Factor: "passkey", Kind: "fido2", At: now.Add(-time.Hour), Credential: "k",
		Strength: authn.Strength{Category: authn.Have, PhishingResistant: true, UserVerified: true}, AMR: []string{"hwk"}}
	return Grant{Session: "public-id", Peer: p, Audience: "api", Scopes: []string{"read"}, Principal: authn.Principal{Login: "l", Made: now.Add(-time.Hour),
		Subject: authn.Subject{Tenant: "corp", User: "u-1"}, Names: authn.Names{Tenant: "corp", User: "alice"}, Method: authn.Method{Name: "admin"},
		Evidence: []authn.Evidence{device, passkey}, Deadline: now.Add(time.Hour)}}
}

func newIssuer(t *testing.T) *Issuer {
	t.Helper()
	keys, err := OpenKeys(filepath.Join(t.TempDir(), "keys"), 0, now)
	if err != nil {
		t.Fatal(err)
	}
	i, err := New(Config{URL: home, Keys: keys, Audiences: []string{"api"}, Scopes: []string{"read", "write"}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// read verifies a token with published keys, and gives what it says.
func read(t *testing.T, i *Issuer, token string, at time.Time) map[string]any {
	t.Helper()
	b, err := i.config.Keys.Published(at)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.ParseSet(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.Parse(token, 0)
	if err != nil {
		t.Fatal(err)
	}
	keys := set.For(parsed.Header)
	if len(keys) != 1 || !parsed.Header.Is("at+jwt") {
		t.Fatalf("%d keys, typ %q", len(keys), parsed.Header.Typ)
	}
	if err := jose.Verify(parsed, keys[0], []string{algorithm}); err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(parsed.Payload, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTokenSaysWhatTheSessionHasShown(t *testing.T) {
	i, p := newIssuer(t), chain(t, "alice")
	token, err := i.Mint(context.Background(), grant(p))
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, i, token.Text, now)
	for name, want := range map[string]any{"iss": home, "sub": "alice", "tenant": "corp", "aud": "api", "scope": "read", "sid": "public-id.l", "acr": "aal2", "jti": token.ID,
		"iat": float64(now.Unix()), "exp": float64(now.Add(DefaultLifetime).Unix()), "auth_time": float64(now.Add(-time.Hour).Unix())} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	cnf, _ := got["cnf"].(map[string]any)
	if len(cnf) != 1 || len(cnf["x5t#S256"].(string)) != 43 || !token.Expires.Equal(now.Add(DefaultLifetime).Truncate(time.Second)) {
		t.Errorf("cnf %v, expires %v", cnf, token.Expires)
	}
	again, err := i.Mint(context.Background(), grant(p))
	if err != nil || again.ID == token.ID {
		t.Errorf("the next has the same id: %v", err)
	}
}

func TestTokenEndsWithWhatItRestsOn(t *testing.T) {
	i, p := newIssuer(t), chain(t, "alice")
	soon := now.Add(time.Minute)
	for name, edit := range map[string]func(*Grant){
		"the session":        func(g *Grant) { g.Principal.Deadline = soon },
		"its evidence":       func(g *Grant) { g.Principal.Evidence[0].Expires = soon },
		"what a step-up has": func(g *Grant) { g.Principal.Added = []authn.Evidence{{Factor: "x", At: now, Expires: soon}} },
		"what was asked for": func(g *Grant) { g.Lifetime = time.Minute },
	} {
		g := grant(p)
		edit(&g)
		token, err := i.Mint(context.Background(), g)
		if err != nil || !token.Expires.Equal(soon.Truncate(time.Second)) {
			t.Errorf("%s: %v, %v", name, token.Expires, err)
		}
	}
	g := grant(p)
	g.Lifetime = 24 * time.Hour
	if token, err := i.Mint(context.Background(), g); err != nil || token.Expires.After(now.Add(DefaultLifetime)) {
		t.Errorf("asked for a day: %v, %v", token.Expires, err)
	}
}

func TestAuthTimeIsNeverFresherThanTheEvidence(t *testing.T) {
	i, p := newIssuer(t), chain(t, "alice")
	for name, c := range map[string]struct {
		since time.Time
		want  any
	}{
		"here":                        {time.Time{}, float64(now.Add(-time.Hour).Unix())},
		"elsewhere, earlier":          {now.Add(-5 * time.Hour), float64(now.Add(-5 * time.Hour).Unix())},
		"elsewhere, and nobody knows": {time.Unix(0, 0), nil},
		"elsewhere, in the future":    {now.Add(time.Hour), float64(now.Add(-time.Hour).Unix())},
	} {
		g := grant(p)
		g.Principal.Evidence[1].Since = c.since
		token, err := i.Mint(context.Background(), g)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, i, token.Text, now)["auth_time"]; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestNothingIsMinted(t *testing.T) {
	i, p, other := newIssuer(t), chain(t, "alice"), chain(t, "alice")
	for name, c := range map[string]struct {
		edit func(*Grant)
		want error
	}{
		"from a request alone":       {func(g *Grant) { g.Principal.Method.EachRequest = true }, ErrRequestAlone},
		"for nobody":                 {func(g *Grant) { g.Principal = authn.Principal{} }, ErrNobody},
		"for nobody by name":         {func(g *Grant) { g.Principal.Names.User = "" }, ErrNobody},
		"without a session":          {func(g *Grant) { g.Session = "" }, ErrNobody},
		"after the session":          {func(g *Grant) { g.Principal.Deadline = now }, ErrOver},
		"after its evidence":         {func(g *Grant) { g.Principal.Evidence[1].Expires = now.Add(-time.Minute) }, ErrOver},
		"in its last moment":         {func(g *Grant) { g.Principal.Evidence[0].Expires = now.Add(time.Second) }, ErrOver},
		"with a tie of another sort": {func(g *Grant) { g.Principal.Evidence[0].Tie.Bind = "odd" }, ErrCertificate},
		"for another audience":       {func(g *Grant) { g.Audience = "other" }, ErrAudience},
		"for none":                   {func(g *Grant) { g.Audience = "" }, ErrAudience},
		"for another scope":          {func(g *Grant) { g.Scopes = []string{"read", "all"} }, ErrScope},
		"for two scopes in one":      {func(g *Grant) { g.Scopes = []string{"read write"} }, ErrScope},
		"without the certificate":    {func(g *Grant) { g.Peer = factors.PeerCertChain{} }, ErrCertificate},
		"with another certificate":   {func(g *Grant) { g.Peer = other }, ErrCertificate},
		"with a renewed certificate": {func(g *Grant) { g.Principal.Evidence[0].Tie.Bind = authn.BindCertificate; g.Peer = other }, ErrCertificate},
	} {
		g := grant(p)
		c.edit(&g)
		if token, err := i.Mint(context.Background(), g); !errors.Is(err, c.want) || token.Text != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	gone, leave := context.WithCancel(context.Background())
	leave()
	if token, err := i.Mint(gone, grant(p)); !errors.Is(err, context.Canceled) || token.Text != "" {
		t.Errorf("for a caller who went away: %v", err)
	}
	g := grant(p)
	g.Principal.Evidence[0].Tie, g.Peer = nil, factors.PeerCertChain{}
	token, err := i.Mint(context.Background(), g)
	if err != nil || read(t, i, token.Text, now)["cnf"] != nil {
		t.Errorf("where nothing is tied: %v", err)
	}
}

func TestIssuersThatCannotBe(t *testing.T) {
	keys := newIssuer(t).config.Keys
	good := Config{URL: home, Keys: keys, Audiences: []string{"api"}}
	for name, edit := range map[string]func(*Config){
		"http": func(c *Config) { c.URL = "http://portal.example" }, "a query": func(c *Config) { c.URL += "?x" }, "a slash": func(c *Config) { c.URL += "/" },
		"no host": func(c *Config) { c.URL = "https:///x" }, "no keys": func(c *Config) { c.Keys = nil }, "no audience": func(c *Config) { c.Audiences = nil },
		"an empty audience": func(c *Config) { c.Audiences = []string{""} }, "too long a life": func(c *Config) { c.Lifetime = MaxLifetime + 1 },
		"a negative life": func(c *Config) { c.Lifetime = -1 }, "a scope of two words": func(c *Config) { c.Scopes = []string{"a b"} },
	} {
		c := good
		edit(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

// kids are the names of the published keys.
func kids(t *testing.T, k *Keys, at time.Time) (all []string) {
	t.Helper()
	b, err := k.Published(at)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), `"d"`) {
		t.Fatal("a private key is published")
	}
	set, err := jose.ParseSet(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		all = append(all, key.Kid())
	}
	return all
}

func TestKeysOverlap(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	day := 24 * time.Hour
	k, err := OpenKeys(dir, day, now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := OpenKeys(dir, day, now) // of another process
	if err != nil {
		t.Fatal(err)
	}
	signs := func(k *Keys, at time.Time) string {
		t.Helper()
		s, err := k.signing(at)
		if err != nil {
			t.Fatal(err)
		}
		return s.kid
	}
	first := signs(k, now)
	if signs(other, now) != first {
		t.Fatal("two processes sign with two keys")
	}
	rotate := func(at time.Time) {
		t.Helper()
		if err := k.Rotate(at); err != nil {
			t.Fatal(err)
		}
	}
	rotate(now.Add(day - time.Second))
	if n := len(kids(t, k, now.Add(day-time.Second))); n != 1 {
		t.Fatalf("%d keys", n)
	}
	made := now.Add(day)
	rotate(made)
	for at, c := range map[time.Duration]struct {
		published int
		old       bool // it signs
	}{0: {2, true}, ahead - time.Second: {2, true}, ahead: {2, false}, ahead + behind - time.Second: {2, false}, ahead + behind: {1, false}} {
		for _, k := range []*Keys{k, other} {
			moment := made.Add(at)
			if _, err := k.current(moment.Add(reread)); err != nil { // it has looked since
				t.Fatal(err)
			}
			if n := len(kids(t, k, moment)); n != c.published || (signs(k, moment) == first) != c.old {
				t.Errorf("%v after: %d published, the old one signs: %v", at, n, signs(k, moment) == first)
			}
		}
	}
	rotate(made.Add(ahead + behind))
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files are left", len(entries))
	}
}

// What a kill left of a key that was being written goes; what may be another process's of this moment stays.
func TestLeftoversOfAKillGo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	keys, err := OpenKeys(dir, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	old, young := filepath.Join(dir, ".new-1"), filepath.Join(dir, ".new-2")
	for file, at := range map[string]time.Time{old: now.Add(-2 * time.Hour), young: now.Add(-time.Minute)} {
		if err := errors.Join(os.WriteFile(file, []byte("half a key"), 0o600), os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := keys.Rotate(now); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old one: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("the young one: %v", err)
	}
}

func TestFoldersThatAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(dir, file string) error{
		"others can look into it": func(dir, _ string) error { return os.Chmod(dir, 0o755) },
		"others can read a key":   func(_, file string) error { return os.Chmod(file, 0o640) },
		"a damaged key":           func(_, file string) error { return os.WriteFile(file, []byte("x"), 0o600) },
		"another key's name":      func(dir, file string) error { return os.Rename(file, filepath.Join(dir, "1700000000000.abc.pem")) },
		"a strange file":          func(dir, _ string) error { return os.WriteFile(filepath.Join(dir, "mine.pem"), nil, 0o600) },
		"it is gone":              func(dir, _ string) error { return os.RemoveAll(dir) },
	} {
		dir := filepath.Join(t.TempDir(), "keys")
		k, err := OpenKeys(dir, 0, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(dir, k.all[0].file); err != nil {
			t.Fatal(err)
		}
		if err := k.Rotate(now); err == nil {
			t.Errorf("%s: taken", name)
		}
		if _, err := k.signing(now.Add(reread)); err == nil {
			t.Errorf("%s: it signs", name)
		}
	}
	// What a kill left is no key.
	dir := filepath.Join(t.TempDir(), "keys")
	k, err := OpenKeys(dir, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".new-123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(now); err != nil {
		t.Error(err)
	}
	if _, err := OpenKeys(dir, time.Hour, now); err == nil {
		t.Error("keys are replaced every hour")
	}
}

func TestManyMintAndRotate(t *testing.T) {
	i, p := newIssuer(t), chain(t, "alice")
	ids := sync.Map{}
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			if n%4 == 0 {
				if err := i.config.Keys.Rotate(now.Add(time.Duration(n) * 24 * time.Hour)); err != nil {
					t.Error(err)
				}
				return
			}
			token, err := i.Mint(context.Background(), grant(p))
			if err != nil {
				t.Error(err)
			}
			if _, twice := ids.LoadOrStore(token.ID, true); twice {
				t.Error("an id twice")
			}
		})
	}
	wg.Wait()
}

func TestWhatVerifiersFind(t *testing.T) {
	i := newIssuer(t)
	w := httptest.NewRecorder()
	i.Metadata(home+"/jwks").ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	var about map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &about); err != nil || about["issuer"] != home || about["jwks_uri"] != home+"/jwks" {
		t.Errorf("%v, %v", about, err)
	}
	if grants, ok := about["grant_types_supported"].([]any); !ok || len(grants) != 0 {
		t.Errorf("grants %v: without the member there would be two (RFC 8414 section 2)", grants)
	}
	w = httptest.NewRecorder()
	i.JWKS().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if set, err := jose.ParseSet(w.Body.Bytes(), 0); err != nil || len(set.Keys) != 1 || w.Header().Get("Cache-Control") != "public, max-age=600" {
		t.Errorf("%v, %v", err, w.Header())
	}
	w = httptest.NewRecorder()
	i.JWKS().ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
	if err := os.RemoveAll(i.config.Keys.dir); err != nil {
		t.Fatal(err)
	}
	i.config.Now = func() time.Time { return now.Add(time.Hour) }
	w = httptest.NewRecorder()
	i.JWKS().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 503 {
		t.Errorf("without keys: %d", w.Code)
	}
}
