package oauth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// What the browser is sent to the provider with.
func TestTheAuthorizationRequest(t *testing.T) {
	b := newBench(t, "scopes: [profile]\nemail: verified\nmax_age: 1h\nacr: [gold, silver]\nprompt: select_account")
	b.provider.metadata = func(m map[string]any) { m["authorization_endpoint"] = b.provider.server.URL + "/authorize?theme=dark" }
	query := func(age time.Duration) url.Values {
		r := b.request(acme)
		r.MaxAge = age
		u, err := url.Parse(b.challenge(r).RedirectTo)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query()
	}
	one, other := query(0), query(0)
	for name, want := range map[string]string{"response_type": "code", "client_id": "portal", "redirect_uri": origin + "/auth/factors/idp/callback",
		"scope": "openid profile email", "code_challenge_method": "S256", "max_age": "3600", "acr_values": "gold silver", "prompt": "select_account", "theme": "dark"} {
		if got := one[name]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(one.Get(name)) != 43 || one.Get(name) == other.Get(name) {
			t.Errorf("%s: %q, then %q", name, one.Get(name), other.Get(name))
		}
	}
	if one.Get("state") == one.Get("nonce") {
		t.Error("state and nonce are one")
	}
	for age, want := range map[time.Duration]string{5 * time.Minute: "300", 2 * time.Hour: "3600", time.Millisecond: "1"} {
		if got := query(age).Get("max_age"); got != want {
			t.Errorf("a step-up with %v asks for %s, want %s", age, got, want)
		}
	}
}

// The age that was asked for is pinned, and the one that holds when the answer comes counts too.
func TestMaximumAge(t *testing.T) {
	for name, tt := range map[string]struct {
		asked, now time.Duration
		since      time.Duration
		good       bool
	}{
		"young enough":            {time.Minute, 0, 45 * time.Second, true},
		"within the leeway":       {time.Minute, 0, 90 * time.Second, true},
		"too old":                 {time.Minute, 0, 91 * time.Second, false},
		"too old for the step-up": {0, time.Minute, 91 * time.Second, false},
		"nobody asks":             {0, 0, 24 * time.Hour, true},
	} {
		b := newBench(t, "")
		b.link(alice)
		r := b.request(acme)
		r.MaxAge = tt.asked
		c := b.challenge(r)
		b.provider.claims = claims(map[string]any{"auth_time": now.Add(-tt.since).Unix()})
		v := verificationOf(b, c, b.provider.signIn(c.RedirectTo))
		v.MaxAge = tt.now
		got, err := b.verify(v)
		if (err == nil) != tt.good || tt.good && !got.Evidence.Since.Equal(now.Add(-tt.since)) {
			t.Errorf("%s: %v, %v", name, got.Evidence.Since, err)
		}
	}
	b := newBench(t, "")
	b.link(alice)
	b.provider.claims = claims(map[string]any{"auth_time": nil})
	if got, err := b.verify(b.come(acme, nil)); err != nil || !got.Evidence.Since.Equal(time.Unix(0, 0)) {
		t.Errorf("nobody says when: %v, %v", got.Evidence.Since, err)
	}
}

// A pushed request leaves nothing in the address but its name.
func TestPushedRequests(t *testing.T) {
	p := newProvider(t)
	p.metadata = func(m map[string]any) { m["pushed_authorization_request_endpoint"] = p.server.URL + "/par" }
	section := "kind: oauth\nissuer: " + p.issuer + "\nclient_id: portal\nclient_secret: { file: secret }\nca: ca.pem\n"
	b := benchOf(t, p, section, nil)
	b.link(alice)
	u, err := url.Parse(b.challenge(b.request(acme)).RedirectTo)
	if err != nil || len(u.Query()) != 2 || u.Query().Get("client_id") != "portal" || u.Query().Get("request_uri") == "" {
		t.Errorf("%v, %v", u, err)
	}
	if p.form.Get("state") == "" || p.form.Get("code_challenge") == "" || p.form.Get("redirect_uri") == "" {
		t.Errorf("%v", p.form)
	}
	if _, err := b.verify(b.come(acme, nil)); err != nil {
		t.Error(err)
	}
	off := benchOf(t, p, section+"par: off", nil)
	if n := p.called("/par"); !strings.Contains(off.challenge(off.request(acme)).RedirectTo, "state=") || p.called("/par") != n {
		t.Error("par: off, and a request was pushed")
	}
	for name, answer := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, _ *http.Request) {
			p.answer(w, 400, map[string]any{"error": "invalid_request"})
		},
		"a page":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) },
		"no name":  func(w http.ResponseWriter, _ *http.Request) { p.answer(w, 201, map[string]any{}) },
		"an odd 1": func(w http.ResponseWriter, _ *http.Request) { p.answer(w, 201, map[string]any{"request_uri": "a\nb"}) },
		"a list":   func(w http.ResponseWriter, _ *http.Request) { p.answer(w, 201, []string{"a"}) },
	} {
		p.handle["/par"] = answer
		_, err := b.factor.Challenge(t.Context(), b.request(acme))
		broken(t, name, err)
	}
}

// What a challenge keeps stays small, and says nothing that the browser gets to see.
func TestWhatAChallengeKeeps(t *testing.T) {
	b := newBench(t, "")
	c := b.challenge(b.request(acme))
	var kept struct{ Verifier, Nonce, State string }
	if err := json.Unmarshal(c.Data, &kept); err != nil || len(c.Data) > 4<<10 || kept.Verifier == "" {
		t.Fatalf("%d bytes, %v", len(c.Data), err)
	}
	if strings.Contains(c.RedirectTo, kept.Verifier) || strings.Contains(string(c.Data), secret) {
		t.Error("the verifier is shown, or the secret is kept")
	}
	if c.Lifetime != 10*time.Minute || len(c.PublicKey) > 0 {
		t.Errorf("%+v", c)
	}
}

func TestAssurance(t *testing.T) {
	b := newBench(t, "acr: [gold]\nassurance: { aal: 2, phishing_resistant: true }")
	b.provider.claims = claims(map[string]any{"acr": "gold"})
	b.link(alice)
	got, err := b.verify(b.come(acme, nil))
	if err != nil {
		t.Fatal(err)
	}
	if a := assess(got.Evidence); a.AAL != 2 || !a.PhishingResistant || a.Hardware || a.UserVerified {
		t.Errorf("%+v", a)
	}
	b = newBench(t, "acr: [gold]")
	b.provider.claims = claims(map[string]any{"acr": "gold"})
	b.link(alice)
	if got, err = b.verify(b.come(acme, nil)); err != nil {
		t.Fatal(err)
	}
	if a := assess(got.Evidence); a.AAL != 1 || a.PhishingResistant {
		t.Errorf("the policy says nothing of what gold is worth: %+v", a)
	}
}
