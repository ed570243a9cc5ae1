package sessionhttp_test

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

// A live session ends, on its next request, with the authority of the trust bundle that vouched for its certificate; a broken
// or an old file changes nothing.
func TestAuthorityLeavesTheBundle(t *testing.T) {
	p := newPortal(t)
	old, next := mtlstest.NewCA(t, "Mesh 1"), mtlstest.NewCA(t, "Mesh 2")
	bundle := func(sequence int, cas ...*mtlstest.CA) {
		keys := []jose.JSONWebKey{}
		for _, ca := range cas {
			keys = append(keys, jose.JSONWebKey{Key: ca.Certificate.PublicKey, Certificates: []*x509.Certificate{ca.Certificate}, Use: "x509-svid"})
		}
		b, err := json.Marshal(map[string]any{"keys": keys, "spiffe_sequence": sequence})
		must(t, err)
		must(t, os.WriteFile(filepath.Join(p.dir, "corp.json"), b, 0o600))
	}
	bundle(1, old)
	text := strings.NewReplacer("ORIGIN", p.origin, "staff:  { ca: staff.crt, tenant: corp }", "staff:  { bundle: corp.json, trust_domain: corp.example, tenant: corp }").Replace(policyText)
	must(t, os.WriteFile(filepath.Join(p.dir, "policy.yaml"), []byte(text), 0o600))
	first, err := policy.Load(filepath.Join(p.dir, "policy.yaml"), kinds()[0], kinds()[1])
	must(t, err)
	must(t, p.engine.SetPolicy(first))
	watcher := policy.NewWatcher(first, kinds()[0], kinds()[1])
	reload := func(good bool) {
		t.Helper()
		now, changed, err := watcher.Check()
		if changed != good || (err == nil) != good {
			t.Fatalf("%v, %v", changed, err)
		}
		must(t, p.engine.SetPolicy(now))
	}

	p.guarded("/badge/x", p.sessions.Require())
	svid := old.Issue(mtlstest.Leaf{CN: "alice", URIs: []string{"spiffe://corp.example/alice"}, NotAfter: time.Now().AddDate(0, 0, 30)})
	b := p.browser(&svid)
	b.want(200, "POST", "/auth/login", map[string]any{"method": "badge", "return_to": "/badge/x"})
	b.get("/badge/x").wantIn()

	bundle(2, old, next)
	reload(true)
	b.get("/badge/x").wantIn()
	bundle(1, old)
	reload(false) // and operators are told
	b.get("/badge/x").wantIn()
	bundle(3)
	reload(false)
	b.get("/badge/x").wantIn()
	bundle(3, next)
	reload(true)
	b.get("/badge/x").wants(401, sessionhttp.CodeNotAuthenticated)
	if b.state() == "authenticated" {
		t.Error("the session lives without its authority")
	}
}
