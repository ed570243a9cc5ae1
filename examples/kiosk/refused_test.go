package main

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

// nothing expects a browser to open no door with what it has: no kiosk, nobody on it, no form of a person.
func (b *browser) nothing() {
	b.t.Helper()
	b.is("", "")
	if state := b.call("GET", "/auth/session", nil).json(); state["state"] != "guest" || len(state) != 1 {
		b.t.Fatalf("the session is %v", state)
	}
	if page := b.get(homePath); strings.Contains(page.body, "carol") {
		b.t.Fatalf("the page shows\n%s", page.body)
	}
	b.call("POST", homePath+"/note", nil).wants(http.StatusUnauthorized, "not_authenticated")
	b.call("GET", "/auth/sessions", nil).wants(http.StatusUnauthorized, "not_authenticated")
	b.call("POST", "/auth/step-up", map[string]any{"factors": []string{"passkey"}}).wants(http.StatusUnauthorized, "not_authenticated")
}

// The session of a person on a kiosk is worth nothing without the certificate of the kiosk.
func TestPersonWithoutTheDevice(t *testing.T) {
	_, b := carol(t)
	b.twin().carrying("").nothing()
	b.twin().carrying("server").nothing() // no kiosk's
	b.is("kiosk-17", "carol")
}

// Nor is it on another kiosk, which has a certificate as good.
func TestPersonOnAnotherKiosk(t *testing.T) {
	r, b := carol(t)
	thief := b.twin().carrying("kiosk-18")
	thief.nothing()
	thief.begin("attendant").wants(http.StatusForbidden, "forbidden")
	own := r.at("kiosk-18").open()
	own.is("kiosk-18", "")
	b.carrying("kiosk-18").is("", "") // the same browser, carried to the other kiosk and back
	b.is("kiosk-17", "carol")
}

// A certificate of the same name by another authority is another certificate.
func TestForeignKiosk(t *testing.T) {
	r, b := carol(t)
	other := pki{dir: filepath.Join(t.TempDir(), "pki"), now: time.Now()}
	if err := other.make("localhost", devices); err != nil {
		t.Fatal(err)
	}
	foreign, err := tls.LoadX509KeyPair(other.path("kiosk-17.crt"), other.path("kiosk-17.key"))
	if err != nil {
		t.Fatal(err)
	}
	b.twin().showing(&foreign).nothing()
	fresh := r.at("").showing(&foreign)
	fresh.call("POST", "/auth/login", map[string]any{}).wants(http.StatusUnauthorized, "invalid_credential")
	fresh.get(homePath).sees("opens no kiosk here")
}

// When the device is over, so is the person on it.
func TestAfterTheEndOfTheDevice(t *testing.T) {
	shut := func(b *browser) {
		b.t.Helper()
		b.nothing()
		b.get(homePath).sees("opens no kiosk here")
		b.call("POST", "/auth/login", map[string]any{"method": "kiosk"}).wants(http.StatusUnauthorized, "invalid_credential")
		b.post(homePath+"/open", nil).wants(http.StatusUnauthorized, "")
		b.is("", "")
	}
	t.Run("suspended", func(t *testing.T) {
		r, b := carol(t)
		if err := r.operate().SetStatus(t.Context(), r.userID("kiosk-17"), session.Suspended); err != nil {
			t.Fatal(err)
		}
		b.nothing()
		b.post(homePath+"/open", nil).wants(http.StatusUnauthorized, "")
		b.nothing()
		if err := r.operate().SetStatus(t.Context(), r.userID("kiosk-17"), session.Active); err != nil {
			t.Fatal(err)
		}
		b.nothing() // the session does not come back
		b.open().is("kiosk-17", "")
	})
	t.Run("certificate denied", func(t *testing.T) {
		r, b := carol(t)
		leaf := r.certificate("kiosk-17").Leaf
		if err := r.operate().DenyCertificate(t.Context(), leaf, "stolen"); err != nil {
			t.Fatal(err)
		}
		shut(b)
		r.at("kiosk-18").open().is("kiosk-18", "")
	})
	t.Run("authority taken out of the policy", func(t *testing.T) {
		r, b := carol(t)
		other := pki{dir: filepath.Join(r.data, "other"), now: time.Now()}
		if err := other.make("localhost", nil); err != nil {
			t.Fatal(err)
		}
		r.edit("policy.yaml", "pki/kiosk-ca.crt", "other/kiosk-ca.crt")
		r.until("the policy is in force", func() bool { return b.call("GET", homePath+"/whoami", nil).status != http.StatusOK })
		shut(b)
	})
	t.Run("deadline", func(t *testing.T) {
		r, b := carol(t)
		for range 3 {
			r.wait(8*time.Hour - 30*time.Second)
			b.is("kiosk-17", "")
		}
		b.signIn().wants(http.StatusOK, "")
		b.is("kiosk-17", "carol")
		stolen := b.twin()
		r.wait(90 * time.Second) // neither idle nor the person's own deadline
		b.nothing()
		stolen.nothing()
		b.open().is("kiosk-17", "")
	})
	t.Run("certificate expired", func(t *testing.T) {
		r := start(t, t.TempDir())
		cert := r.shortLived("kiosk-17", 10*time.Minute)
		b := r.at("").showing(&cert)
		b.open().enrol(r.invited)
		r.wait(9 * time.Minute)
		b.signIn().wants(http.StatusOK, "")
		b.is("kiosk-17", "carol")
		r.wait(90 * time.Second)
		shut(b)
		b.carrying("kiosk-17").nothing()
	})
	t.Run("signed out with everything", func(t *testing.T) {
		_, b := carol(t)
		stolen := b.twin()
		b.call("POST", "/auth/logout", nil).wants(http.StatusNoContent, "")
		b.call("POST", "/auth/logout", nil).wants(http.StatusNoContent, "")
		b.nothing()
		stolen.nothing()
	})
}

// shortLived is a further certificate of a kiosk.
func (r *running) shortLived(name string, life time.Duration) tls.Certificate {
	r.t.Helper()
	p := r.site.certs
	ca, err := p.read("kiosk-ca")
	if err != nil {
		r.t.Fatal(err)
	}
	like := r.certificate(name).Leaf
	t := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(life), URIs: like.URIs, KeyUsage: like.KeyUsage, ExtKeyUsage: like.ExtKeyUsage}
	if _, err := p.issue("short", t, &ca); err != nil {
		r.t.Fatal(err)
	}
	return r.certificate("short")
}

// Nobody signs in, or enrols, where no kiosk is open beneath them.
func TestPersonWithoutAKioskBeneath(t *testing.T) {
	r, there := carol(t)
	dave := there.dave // invited where carol's kiosk stands
	for name, b := range map[string]*browser{"its certificate alone": r.at("kiosk-17"), "no certificate": r.at(""), "a closed kiosk": there.twin().carrying("kiosk-18")} {
		b.keys = there.keys
		for _, method := range []string{"attendant", "badge"} {
			b.begin(method).wants(http.StatusForbidden, "forbidden")
		}
		b.call("POST", "/auth/factors/passkey/challenge", map[string]any{}).wants(http.StatusConflict, "wrong_step")
		b.call("POST", "/auth/factors/badge/verify", map[string]any{"credential": shownBadge{r.number, r.pin}}).wants(http.StatusConflict, "wrong_step")
		if status := b.call("POST", "/auth/invitations/redeem", map[string]any{"code": r.invited}).status; status < 400 {
			t.Errorf("%s: an invitation is taken: %d", name, status)
		}
		b.get("/enrol").leads(homePath)
		b.nothing()
	}
	there.post(homePath+"/leave", nil).leads(homePath + "?left")
	dave().signIn().wants(http.StatusOK, "")
}

// A login on a kiosk that was begun there is finished there, with its certificate.
func TestLoginMovedToAnotherKiosk(t *testing.T) {
	r, b := carol(t)
	b.post(homePath+"/leave", nil).leads(homePath + "?left")
	b.begin("attendant").wants(http.StatusOK, "")
	asked := b.call("POST", "/auth/factors/passkey/challenge", map[string]any{}).wants(http.StatusOK, "").json()
	options, _ := json.Marshal(asked["publicKey"])
	credential, err := b.keys.Get(options)
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]any{"credential": credential}
	b.twin().carrying("kiosk-18").call("POST", "/auth/factors/passkey/verify", body).wants(http.StatusConflict, "wrong_step")
	b.twin().carrying("").call("POST", "/auth/factors/passkey/verify", body).wants(http.StatusConflict, "wrong_step")
	other := r.at("kiosk-18").open()
	other.begin("attendant").wants(http.StatusOK, "")
	other.call("POST", "/auth/factors/passkey/challenge", map[string]any{}).wants(http.StatusOK, "")
	other.call("POST", "/auth/factors/passkey/verify", body).wants(http.StatusUnauthorized, "invalid_credential") // another challenge
	b.call("POST", "/auth/factors/passkey/verify", body).wants(http.StatusOK, "")
	b.is("kiosk-17", "carol")
}

// Guesses at a badge lock that badge at that kiosk, and nothing else.
func TestGuessedBadge(t *testing.T) {
	r, here := carol(t)
	here.post(homePath+"/leave", nil).leads(homePath + "?left")
	r.addBadge("4711", "carol", "246810")
	r.until("the second badge is in force", func() bool {
		r.wait(15 * time.Minute) // the attempts made so far are forgotten
		return here.badge("4711", "246810").status == http.StatusOK
	})
	here.post(homePath+"/leave", nil).leads(homePath + "?left")
	wrong := "000000"
	if r.pin == wrong {
		wrong = "000001"
	}
	refused := here.badge(r.number, wrong).wants(http.StatusUnauthorized, "invalid_credential")
	if unknown := here.badge("9999999", wrong); unknown.status != refused.status || unknown.body != refused.body {
		t.Errorf("a badge that there is not is told apart: %s %s", refused.body, unknown.body)
	}
	for range 4 {
		here.badge(r.number, wrong).wants(http.StatusUnauthorized, "invalid_credential")
	}
	for _, pin := range []string{wrong, r.pin} {
		if a := here.badge(r.number, pin).wants(http.StatusTooManyRequests, "locked"); a.header.Get("Retry-After") == "" {
			t.Error("it does not say for how long")
		}
	}
	here.is("kiosk-17", "")

	// Another badge, the passkey of the same person, and the same badge at another kiosk.
	here.badge("4711", "246810").wants(http.StatusOK, "")
	here.post(homePath+"/leave", nil).leads(homePath + "?left")
	here.signIn().wants(http.StatusOK, "")
	here.post(homePath+"/leave", nil).leads(homePath + "?left")
	there := r.at("kiosk-18").open()
	there.badge(r.number, r.pin).wants(http.StatusOK, "")
	there.is("kiosk-18", "carol")

	r.wait(15 * time.Minute)
	here.badge(r.number, r.pin).wants(http.StatusOK, "")
}

// addBadge puts a further badge into the file.
func (r *running) addBadge(number, user, pin string) {
	r.t.Helper()
	file := filepath.Join(r.data, badgesFile)
	text, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	book, err := parseBadges(text)
	if err != nil {
		r.t.Fatal(err)
	}
	b := badge{Number: number, User: user, Salt: make([]byte, 16)}
	if b.Hash, err = derive(pin, b.Salt, book.Iterations); err != nil {
		r.t.Fatal(err)
	}
	book.Badges = append(book.Badges, b)
	if text, err = json.Marshal(book); err != nil {
		r.t.Fatal(err)
	}
	if err := write(file, text, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// A badge that was taken out of the file opens nothing.
func TestBadgeTakenBack(t *testing.T) {
	r := start(t, t.TempDir())
	b := r.at("kiosk-17").open()
	b.badge(r.number, r.pin).wants(http.StatusOK, "")
	b.post(homePath+"/leave", nil).leads(homePath + "?left")
	r.edit(badgesFile, `"user": "carol"`, `"user": "nobody"`)
	r.until("the file is in force", func() bool {
		in := b.badge(r.number, r.pin).status == http.StatusOK
		b.post(homePath+"/leave", nil).leads(homePath + "?left")
		return !in
	})
	b.badge(r.number, r.pin).wants(http.StatusUnauthorized, "invalid_credential")
}

// Other sites' forms do nothing here.
func TestFormOfAnotherSite(t *testing.T) {
	r, b := carol(t)
	for _, path := range []string{homePath + "/leave", homePath + "/note", homePath + "/open"} {
		req, err := http.NewRequest(http.MethodPost, r.url+path, strings.NewReader(url.Values{}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		req.Header.Set("Origin", "https://evil.example")
		b.send(req).wants(http.StatusForbidden, "")
	}
	b.is("kiosk-17", "carol")
}
