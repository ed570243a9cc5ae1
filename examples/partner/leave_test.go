package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who signs out here is still signed in at the provider, which then asks nothing.
func TestSignOutHere(t *testing.T) {
	r := start(t, t.TempDir())
	s := r.surfer("acme-gateway")
	home := s.signIn("alice")
	s.sees(s.send(home, "/logout", nil), http.StatusOK, "signed out of this portal")
	s.nobody()
	s.sees(s.provider(), http.StatusOK, "Good to see you, <bdi>alice</bdi>")
}

// Who signs out everywhere comes to the provider's page, and from there back.
func TestSignOutEverywhere(t *testing.T) {
	r := start(t, t.TempDir())
	s := r.surfer("acme-gateway")
	home := s.signIn("alice")
	page := s.sees(s.send(home, "/logout/everywhere", nil), http.StatusOK, "You are signed in as alice")
	s.nobody()
	end := s.sees(s.send(page, "/end-session", url.Values{"sure": {"yes"}}), http.StatusOK, "You are signed out")
	if end.at.Path != "/signed-out" || !strings.HasPrefix(end.at.String(), r.url) {
		t.Errorf("ended at %s", end.at)
	}
	s.sees(s.provider(), http.StatusOK, `name="password"`)
}

// Who signs out at the provider is signed out here.
func TestSignOutAtTheProvider(t *testing.T) {
	r := start(t, t.TempDir())
	alice, arthur := r.surfer("acme-gateway"), r.surfer("acme-gateway")
	alice.signIn("alice")
	arthur.signIn("arthur")
	issuer := r.issuer("acme")
	page := alice.sees(alice.get(issuer+"/end-session"), http.StatusOK, "You are signed in as alice")
	alice.sees(alice.send(page, "/end-session", url.Values{"sure": {"yes"}}), http.StatusOK, "You are signed out")
	alice.nobody()
	arthur.is("acme", "arthur")
}

// issuer is the demonstration's provider of a tenant, as printed.
func (r *running) issuer(tenant string) string {
	for line := range strings.Lines(r.said) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == tenant && words[len(words)-2] == "at" {
			return words[len(words)-1]
		}
	}
	r.t.Fatalf("no provider of %s in\n%s", tenant, r.said)
	return ""
}

// Users, their sessions and the provider's address survive a restart.
func TestRestart(t *testing.T) {
	data := t.TempDir()
	r := start(t, data)
	s := r.surfer("acme-gateway")
	s.signIn("alice")
	issuer := r.issuer("acme")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, data, "-addr", strings.TrimPrefix(r.url, "https://"))
	if got := again.issuer("acme"); got != issuer {
		t.Errorf("the provider moved from %s to %s", issuer, got)
	}
	s.is("acme", "alice")
	fresh := again.surfer("acme-gateway")
	fresh.signIn("alice")
	fresh.is("acme", "alice") // the same user, not a second one
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, portFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, _ := parse([]string{"-addr", "localhost:0", "-data", data}, os.Stderr)
	if err := o.run(t.Context(), once(make(chan string, 1)), os.Stderr); err == nil || !strings.Contains(err.Error(), "holds no port") {
		t.Errorf("%v", err)
	}
}
