package sessionhttp_test

import "testing"

// The whole way of a person through the portal, by the calls of the contract alone.
func TestJourney(t *testing.T) {
	p := newPortal(t)
	b := p.person("alice")
	if got := b.want(200, "GET", "/auth/session", nil); got["state"] != "guest" {
		t.Fatalf("%v", got)
	}
	b.want(401, "GET", "/admin/whoami", nil)
	b.enrol(p.invite("alice"))
	if got := b.want(200, "POST", "/auth/login", nil); got["state"] != "authenticating" {
		t.Fatalf("%v", got)
	}
	b.want(401, "GET", "/admin/whoami", nil)
	b.want(401, "GET", "/auth/sessions", nil)
	if got := b.answer(200); got["state"] != "authenticated" {
		t.Fatalf("%v", got)
	}
	who := b.want(200, "GET", "/admin/whoami", nil)
	if who["user"] != "alice" || who["aal"] != 2.0 || who["phishing_resistant"] != true {
		t.Fatalf("%v", who)
	}
	second := b.addPasskey("second")
	if got := b.want(200, "GET", "/auth/credentials", nil); len(got["credentials"].([]any)) != 2 {
		t.Fatalf("%v", got)
	}
	if got := b.want(200, "POST", "/auth/step-up", map[string]any{"factors": []string{"passkey"}}); got["step_up"] == nil || got["state"] != "authenticated" {
		t.Fatalf("%v", got)
	}
	b.answer(200)
	b.want(204, "DELETE", "/auth/credentials/"+second["id"].(string), nil)
	other := p.browser(b.cert)
	other.auth = b.auth
	b.auth.Forget(b.auth.Passkeys()[0].ID)
	other.login()
	list := b.want(200, "GET", "/auth/sessions", nil)["sessions"].([]any)
	if len(list) != 2 {
		t.Fatalf("%v", list)
	}
	for _, s := range list {
		if s := s.(map[string]any); s["current"] == false {
			b.want(204, "DELETE", "/auth/sessions/"+s["id"].(string), nil)
		}
	}
	other.want(401, "GET", "/admin/whoami", nil)
	b.want(204, "POST", "/auth/logout", nil)
	b.want(401, "GET", "/admin/whoami", nil)
}
