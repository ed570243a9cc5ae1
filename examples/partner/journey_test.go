package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The certificate names the company before anybody signs in, and the provider of that company the person.
func TestTenantThenUser(t *testing.T) {
	r := start(t, t.TempDir())
	s := r.surfer("acme-gateway")
	page := s.sees(s.get("/"), http.StatusOK, `<strong id="tenant"><bdi>Acme</bdi></strong>`, "Sign in at Acme")
	if strings.Contains(page.body, "alice") || page.at.Path != "/login" {
		t.Errorf("%s\n%s", page.at, page.body)
	}
	s.nobody()
	home := s.sees(s.signIn("alice"), http.StatusOK, "Good to see you, <bdi>alice</bdi>", "<bdi>Acme</bdi>", "alice@acme.example", "buyers")
	if home.at.Path != "/portal" {
		t.Errorf("ended at %s", home.at)
	}
	got := s.is("acme", "alice")
	if got["method"] != "partner" {
		t.Errorf("%v", got)
	}
	var names []string
	for _, f := range got["factors"].([]any) {
		names = append(names, f.(map[string]any)["name"].(string))
	}
	if strings.Join(names, " ") != "partner-cert partner-idp" {
		t.Errorf("%v", names)
	}
}

// One subject at two providers, and one name in two companies, are different people.
func TestSameNamesInTwoCompanies(t *testing.T) {
	r := start(t, t.TempDir())
	acme, globex := r.surfer("acme-gateway"), r.surfer("globex-gateway")
	acme.signIn("alice")
	globex.sees(globex.signIn("gwen"), http.StatusOK, "<bdi>Globex</bdi>", "gwen@globex.example")
	acme.is("acme", "alice")
	globex.is("globex", "gwen")
	other := r.surfer("globex-gateway")
	other.sees(other.signIn("alice"), http.StatusOK, "alice@globex.example")
	other.is("globex", "alice")
	other.sees(r.surfer("acme-gateway").signIn("gwen"), http.StatusUnauthorized, "do not belong together") // not at Acme's provider
}

// Who has no certificate gets no further, and learns what to do.
func TestWithoutCertificate(t *testing.T) {
	r := start(t, t.TempDir())
	s := r.surfer("")
	s.sees(s.get("/"), http.StatusOK, "Your browser showed no certificate", "<code>.p12</code>")
	res, err := s.web.Post(r.url+"/auth/login", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("%d", res.StatusCode)
	}
	// A certificate of this machine's that no partner's authority issued.
	s = r.surfer("server")
	s.sees(s.get("/login"), http.StatusOK, "is not that of a partner")
}

// The certificate of one company does not bring the sign-in at the other's provider to an end, nor go on with a session of it.
func TestForeignCertificate(t *testing.T) {
	r := start(t, t.TempDir())
	acme, globex := r.surfer("acme-gateway"), r.surfer("globex-gateway")
	acme.signIn("alice")
	globex.web.Jar = acme.web.Jar
	globex.nobody()
	acme = r.surfer("acme-gateway")
	page := acme.provider()
	globex = r.surfer("globex-gateway")
	globex.web.Jar = acme.web.Jar
	end := globex.send(page, "/sign-in", url.Values{"username": {"alice"}, "password": {demoPassword}})
	if end.at.Path != "/login" || end.at.Query().Get("error") == "" {
		t.Errorf("ended at %s", end.at)
	}
	globex.nobody()
	acme.nobody()
}

// Whoever signs in and does not want to comes back to where they began.
func TestCancelAtTheProvider(t *testing.T) {
	r := start(t, t.TempDir())
	s := r.surfer("acme-gateway")
	page := s.send(s.provider(), "/sign-in", url.Values{"cancel": {"yes"}})
	s.sees(page, http.StatusOK, "That sign-in was not accepted", "Sign in at Acme")
	s.sees(s.signIn("alice"), http.StatusOK, "Good to see you")
}

// An answer is good in the browser that asked, and once.
func TestCallbackElsewhereAndTwice(t *testing.T) {
	r := start(t, t.TempDir())
	s := r.surfer("acme-gateway")
	page := s.provider()
	var back *url.URL
	s.web.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
		if back = next.URL; strings.HasSuffix(back.Path, "/callback") {
			return http.ErrUseLastResponse
		}
		return nil
	}
	s.send(page, "/sign-in", url.Values{"username": {"alice"}, "password": {demoPassword}})
	s.web.CheckRedirect = nil
	other := r.surfer("acme-gateway")
	other.get("/login")
	if end := other.get(back.String()); end.at.Path != "/login" || end.at.Query().Get("error") == "" {
		t.Errorf("in another browser: %s", end.at)
	}
	other.nobody()
	s.sees(s.get(back.String()), http.StatusOK, "Good to see you")
	s.is("acme", "alice")
	again := s.get(back.String())
	if again.at.Query().Get("error") == "" && again.at.Path != "/portal" {
		t.Errorf("a second time: %s", again.at)
	}
	s.is("acme", "alice")
}
