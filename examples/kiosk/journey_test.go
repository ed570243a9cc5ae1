package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The certificate alone opens the kiosk; carol enrols at it, signs in above it and out; the kiosk stays.
func TestJourney(t *testing.T) {
	r := start(t, t.TempDir())
	b := r.at("kiosk-17")
	b.is("", "")
	b.get("/").leads(homePath)
	b.get(homePath).sees("kiosk-17", "Open this kiosk")
	b.open()
	b.is("kiosk-17", "")
	b.get(homePath).sees("Sign in with a passkey", "With your badge", "do nothing for 2 minutes")

	b.get("/enrol").sees("Invitation code")
	b.call("POST", "/auth/invitations/redeem", map[string]any{"code": r.invited}).wants(http.StatusOK, "")
	onboarding := b.call("GET", "/auth/session", nil).json()["onboarding"].(map[string]any)
	if onboarding["user"] != "carol" || onboarding["factors"].([]any)[0] != "passkey" {
		t.Errorf("the invitation opened %v", onboarding)
	}
	b.is("kiosk-17", "")
	b.answers("/auth/credentials/passkey", b.keys.Create).wants(http.StatusOK, "")
	b.is("kiosk-17", "") // the passkey is used in an ordinary login
	b.call("POST", "/auth/invitations/redeem", map[string]any{"code": r.invited}).wants(http.StatusUnauthorized, "invalid_credential")

	b.signIn().wants(http.StatusOK, "")
	b.is("kiosk-17", "carol")
	b.get(homePath).sees("Good to see you, <bdi>carol</bdi>", "Passkey", "AAL 2, phishing resistant", `data-idle="120"`)
	b.get("/enrol").leads(homePath)
	b.post(homePath+"/leave", nil).leads(homePath + "?left")
	b.is("kiosk-17", "")
	b.get(homePath+"?left").sees("Nothing of you is left", "Sign in with a passkey")

	// The button a second time finds nobody, and leaves the kiosk alone.
	b.post(homePath+"/leave", nil).leads(homePath + "?left")
	b.is("kiosk-17", "")
}

// A program opens the kiosk with one call, as the examples before it do.
func TestLoginByTheContract(t *testing.T) {
	r := start(t, t.TempDir())
	b := r.at("kiosk-18")
	state := b.call("POST", "/auth/login", map[string]any{}).wants(http.StatusOK, "").json()
	if p := state["principal"].(map[string]any); p["method"] != "kiosk" || p["user"] != "kiosk-18" || p["tenant"] != "corp" {
		t.Errorf("%v", state)
	}
	b.is("kiosk-18", "")
}

// A badge lets its owner in, with less assurance than a passkey.
func TestBadge(t *testing.T) {
	r := start(t, t.TempDir())
	b := r.at("kiosk-17").open()
	b.badge(r.number, r.pin).wants(http.StatusOK, "")
	b.is("kiosk-17", "carol")
	b.get(homePath).sees("Badge and PIN", "AAL 1 ")
	b.call("POST", "/auth/logout", nil).wants(http.StatusNoContent, "")
	b.is("kiosk-17", "")
}

// Who does nothing is signed out, whoever asks how long it is does something, and the kiosk stays.
func TestIdle(t *testing.T) {
	r, b := carol(t)
	r.wait(110 * time.Second)
	b.is("kiosk-17", "carol")
	r.wait(110 * time.Second)
	b.is("kiosk-17", "carol")
	r.wait(2 * time.Minute)
	b.is("kiosk-17", "")
	b.get(homePath).sees("Sign in with a passkey")
	b.signIn().wants(http.StatusOK, "")
	b.is("kiosk-17", "carol")
}

// However busy, nobody stays longer than the policy says.
func TestLongVisit(t *testing.T) {
	r, b := carol(t)
	for range 29 {
		r.wait(time.Minute)
		b.is("kiosk-17", "carol")
	}
	r.wait(time.Minute)
	b.is("kiosk-17", "")
}

// What a person's page keeps is theirs and goes with them, however they go.
func TestNothingIsLeft(t *testing.T) {
	for name, leave := range map[string]func(r *running, b *browser){
		"button":   func(_ *running, b *browser) { b.post(homePath+"/leave", nil).leads(homePath + "?left") },
		"contract": func(_ *running, b *browser) { b.call("POST", "/auth/logout", nil).wants(http.StatusNoContent, "") },
		"idle":     func(r *running, _ *browser) { r.wait(2 * time.Minute) },
		"ended by the operator, with the session of the kiosk": func(r *running, b *browser) {
			if err := r.operate().SetStatus(b.t.Context(), r.userID("carol"), "suspended"); err != nil {
				b.t.Fatal(err)
			}
			b.open()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, b := carol(t)
			dave := b.dave
			visit := visitOf(b.get(homePath))
			b.post(homePath+"/note", url.Values{"visit": {visit}, "note": {"parcel for <carol>"}}).leads(homePath)
			b.get(homePath).sees("parcel for &lt;carol&gt;")
			leave(r, b)
			gone(b.get(homePath), visit)
			b.is("kiosk-17", "")
			other := dave()
			gone(other.get(homePath), visit)
			other.signIn().wants(http.StatusOK, "")
			page := other.get(homePath)
			gone(page, visit)
			if visitOf(page) == visit {
				t.Error("a visit goes on as somebody else's")
			}
		})
	}
}

// gone expects nothing of carol in an answer.
func gone(a answer, visit string) {
	a.t.Helper()
	if text := strings.ToLower(a.body); strings.Contains(text, "carol") || strings.Contains(text, "parcel") || strings.Contains(a.body, visit) {
		a.t.Errorf("%s shows\n%s", a.asked, a.body)
	}
}

// A form that is sent again after its person has left does nothing, with the cookie of then or of now, nor does it for
// whoever has come since.
func TestReplayedForm(t *testing.T) {
	_, b := carol(t)
	fields := url.Values{"visit": {visitOf(b.get(homePath))}, "note": {"parcel for carol"}}
	then := b.twin()
	b.post(homePath+"/leave", nil).leads(homePath + "?left")
	then.post(homePath+"/note", fields).leads(homePath + "?unsent")
	then.is("", "")
	b.post(homePath+"/note", fields).leads(homePath + "?unsent")
	b.get(homePath + "?unsent").sees("was not kept")
	b.call("POST", homePath+"/note", nil).wants(http.StatusUnauthorized, "not_authenticated")
	dave := b.dave()
	dave.signIn().wants(http.StatusOK, "")
	dave.post(homePath+"/note", fields).leads(homePath + "?unsent")
	if page := dave.get(homePath); strings.Contains(page.body, "parcel") {
		t.Errorf("dave has carol's note:\n%s", page.body)
	}
}

// A sign-in that is sent again opens nothing: neither the answer to the passkey's challenge nor a PIN that was typed.
func TestReplayedSignIn(t *testing.T) {
	r := start(t, t.TempDir())
	b := r.at("kiosk-17").open()
	b.enrol(r.invited)
	pin := func(json.RawMessage) (json.RawMessage, error) { return json.Marshal(shownBadge{r.number, r.pin}) }
	for method, how := range map[string]func(json.RawMessage) (json.RawMessage, error){"attendant": b.keys.Get, "badge": pin} {
		var sent json.RawMessage
		factor := map[string]string{"attendant": "passkey", "badge": "badge"}[method]
		b.begin(method).wants(http.StatusOK, "")
		b.answers("/auth/factors/"+factor, func(options json.RawMessage) (_ json.RawMessage, err error) {
			sent, err = how(options)
			return sent, err
		}).wants(http.StatusOK, "")
		b.is("kiosk-17", "carol")
		b.post(homePath+"/leave", nil).leads(homePath + "?left")
		again := func() answer {
			return b.call("POST", "/auth/factors/"+factor+"/verify", map[string]any{"credential": sent})
		}
		again().wants(http.StatusConflict, "wrong_step")
		b.begin(method).wants(http.StatusOK, "")
		again().wants(http.StatusConflict, "wrong_step") // nothing was asked
		b.is("kiosk-17", "")
	}
}

// Whoever signs in while somebody else is still there takes nothing over.
func TestSignInAboveSomebodyElse(t *testing.T) {
	r := start(t, t.TempDir())
	b := r.at("kiosk-17").open()
	b.enrol(r.invited)
	dave := b.dave()
	b.signIn().wants(http.StatusOK, "")
	visit := visitOf(b.get(homePath))
	b.post(homePath+"/note", url.Values{"visit": {visit}, "note": {"parcel for carol"}}).leads(homePath)
	carols := b.twin()
	dave.begin("attendant").wants(http.StatusOK, "")
	dave.is("kiosk-17", "carol") // until he has proven who he is
	dave.answers("/auth/factors/passkey", dave.keys.Get).wants(http.StatusOK, "")
	dave.is("kiosk-17", "dave")
	gone(dave.get(homePath), visit)
	carols.is("", "")
	dave.post(homePath+"/leave", nil).leads(homePath + "?left")
	dave.is("kiosk-17", "")
	gone(dave.get(homePath), visit)
}

// The second window of the browser has the same session: what one window does, the other finds.
func TestSecondWindow(t *testing.T) {
	_, b := carol(t)
	second := b.carrying("kiosk-17")
	second.get(homePath).sees("carol")
	b.post(homePath+"/leave", nil).leads(homePath + "?left")
	gone(second.get(homePath), "no visit")
	second.is("kiosk-17", "")
}

// What somebody began and walked away from does not wait for whoever comes next.
func TestAbandoned(t *testing.T) {
	r := start(t, t.TempDir())
	b := r.at("kiosk-17").open()
	b.call("POST", "/auth/invitations/redeem", map[string]any{"code": r.invited}).wants(http.StatusOK, "")
	gone(b.get(homePath), "no visit")
	b.call("POST", "/auth/credentials/passkey/challenge", map[string]any{}).wants(http.StatusUnauthorized, "")
	b.enrol(r.invited) // it was not spent
	b.begin("attendant").wants(http.StatusOK, "")
	b.get(homePath)
	b.call("POST", "/auth/factors/passkey/challenge", map[string]any{}).wants(http.StatusConflict, "wrong_step")
}

// No answer about anybody may be kept by a browser or anything between.
func TestHeaders(t *testing.T) {
	_, b := carol(t)
	for _, path := range []string{"/healthz", "/", homePath, homePath + "/whoami", "/enrol", "/nothing", "/auth/session", "/auth/nothing", "/assets/nothing", "/assets/style.css"} {
		a := b.get(path)
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=31536000"} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if got := a.header.Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors 'none'") {
			t.Errorf("%s: Content-Security-Policy is %q", path, got)
		}
		want := "no-store"
		if path == "/assets/style.css" {
			want = "public, max-age=300"
		}
		if got := a.header.Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control is %q", path, got)
		}
	}
}

// The pages follow the policy: its names, and what it no longer offers.
func TestPagesFollowThePolicy(t *testing.T) {
	r, b := carol(t)
	r.edit("policy.yaml", "attendant: {", "keeper: {")
	r.edit("policy.yaml", "badge: { steps: [badge], on: kiosk, session: { idle: 2m", "badge: { steps: [badge], on: kiosk, session: { idle: 1m")
	r.edit("policy.yaml", "[kiosk, attendant, badge]", "[kiosk, keeper, badge]")
	r.until("carol's method is gone, and she with it", func() bool { return strings.Contains(b.get(homePath).body, `data-method="keeper"`) })
	b.get(homePath).sees("do nothing for a minute")
	who := b.call("GET", homePath+"/whoami", nil).wants(http.StatusOK, "").json()
	if who["person"] != nil || who["device"] == nil {
		t.Errorf("%v", who)
	}
}
