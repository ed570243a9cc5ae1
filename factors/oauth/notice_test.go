package oauth_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

// logout are the claims of a good logout token, changed.
func logout(change map[string]any) map[string]any {
	all := map[string]any{"jti": "1", "sid": "session-1", "sub": "alice-at-acme",
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
	for name, value := range change {
		all[name] = value
	}
	return all
}

func (b *bench) notice(tokens ...string) (factors.Over, error) {
	return b.factor.Notice(b.t.Context(), factors.Notice{Now: now, Tenant: "acme", Form: url.Values{"logout_token": tokens}})
}

func TestLogoutNotices(t *testing.T) {
	b := newBench(t, "")
	b.link(alice)
	got, err := b.verify(b.come(acme, nil))
	if err != nil {
		t.Fatal(err)
	}
	sid, sub := got.Evidence.Handles[0], got.Evidence.Handles[1]
	for name, tt := range map[string]struct {
		typ    string
		change map[string]any
		want   string
	}{
		"a session and its user": {"logout+jwt", nil, sid},
		"a session":              {"logout+jwt", map[string]any{"sub": nil}, sid},
		"a user":                 {"logout+jwt", map[string]any{"sid": nil}, sub},
		"without a type":         {"", nil, sid},
		"with a whole type":      {"application/logout+jwt", nil, sid},
	} {
		over, err := b.notice(b.provider.sign(tt.typ, logout(tt.change)))
		if err != nil || len(over.Handles) != 1 || over.Handles[0] != tt.want || over.ID == "" || over.Until.Before(now.Add(10*time.Minute)) {
			t.Errorf("%s: %+v, %v", name, over, err)
		}
	}
	one, _ := b.notice(b.provider.sign("logout+jwt", logout(nil)))
	other, _ := b.notice(b.provider.sign("logout+jwt", logout(map[string]any{"jti": "2"})))
	if again, _ := b.notice(b.provider.sign("logout+jwt", logout(nil))); again.ID != one.ID || other.ID == one.ID {
		t.Error("the id of a notice is not that of its jti")
	}
}

func TestNoticesThatAreRefused(t *testing.T) {
	const event = "http://schemas.openid.net/event/backchannel-logout"
	for name, tt := range map[string]struct {
		typ    string
		change map[string]any
		why    authn.Reason
	}{
		"another type":            {"at+jwt", nil, oauth.ReasonTokenType},
		"the type of an ID token": {"JWT", nil, oauth.ReasonTokenType},
		"a nonce":                 {"logout+jwt", map[string]any{"nonce": ""}, oauth.ReasonLogoutNonce},
		"no events":               {"logout+jwt", map[string]any{"events": nil}, oauth.ReasonEvents},
		"empty events":            {"logout+jwt", map[string]any{"events": map[string]any{}}, oauth.ReasonEvents},
		"another event":           {"logout+jwt", map[string]any{"events": map[string]any{"urn:other": map[string]any{}}}, oauth.ReasonEvents},
		"two events":              {"logout+jwt", map[string]any{"events": map[string]any{event: map[string]any{}, "urn:other": map[string]any{}}}, oauth.ReasonEvents},
		"an event that is a text": {"logout+jwt", map[string]any{"events": map[string]any{event: "x"}}, oauth.ReasonEvents},
		"events that are a list":  {"logout+jwt", map[string]any{"events": []string{event}}, jose.ReasonClaimType},
		"no jti":                  {"logout+jwt", map[string]any{"jti": nil}, oauth.ReasonLogoutID},
		"an empty jti":            {"logout+jwt", map[string]any{"jti": ""}, oauth.ReasonLogoutID},
		"about nobody":            {"logout+jwt", map[string]any{"sub": nil, "sid": nil}, oauth.ReasonLogoutAbout},
		"another issuer":          {"logout+jwt", map[string]any{"iss": "https://other.example"}, oauth.ReasonIssuer},
		"for somebody else":       {"logout+jwt", map[string]any{"aud": "other"}, oauth.ReasonAudience},
		"old":                     {"logout+jwt", map[string]any{"iat": now.Add(-11 * time.Minute).Unix()}, oauth.ReasonIssuedAt},
		"from the future":         {"logout+jwt", map[string]any{"iat": now.Add(time.Minute).Unix()}, oauth.ReasonIssuedAt},
		"no time":                 {"logout+jwt", map[string]any{"iat": nil}, oauth.ReasonIssuedAt},
		"expired":                 {"logout+jwt", map[string]any{"exp": now.Unix()}, oauth.ReasonExpired},
		"no end":                  {"logout+jwt", map[string]any{"exp": nil}, oauth.ReasonExpired},
		"an ID token":             {"", map[string]any{"events": nil, "nonce": "n"}, oauth.ReasonEvents},
	} {
		b := newBench(t, "")
		_, err := b.notice(b.provider.sign(tt.typ, logout(tt.change)))
		if why := rejection(t, err); why != tt.why {
			t.Errorf("%s: %s, want %s", name, why, tt.why)
		}
		if b.provider.called("/keys") > 0 {
			t.Errorf("%s: keys were fetched for what needs none to be refused", name)
		}
	}
}

func TestNoticesOfOthers(t *testing.T) {
	a, g := two(t, "", nil)
	good := a.provider.sign("logout+jwt", logout(nil))
	if _, err := a.notice(good); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		tokens []string
		why    authn.Reason
	}{
		"none": {nil, factors.ReasonMalformed}, "two": {[]string{good, good}, factors.ReasonMalformed},
		"another provider's": {[]string{g.provider.sign("logout+jwt", logout(nil))}, oauth.ReasonIssuer},
		"signed by another":  {[]string{g.provider.sign("logout+jwt", logout(map[string]any{"iss": a.provider.issuer}))}, jose.ReasonSignature},
		"no token":           {[]string{"x"}, jose.ReasonNotCompact},
		"unsigned":           {[]string{unsigned(good)}, jose.ReasonUnsigned},
		"without end":        {[]string{good + strings.Repeat("a", 40_000)}, jose.ReasonTooLarge},
	} {
		_, err := a.notice(tt.tokens...)
		if why := rejection(t, err); why != tt.why {
			t.Errorf("%s: %s, want %s", name, why, tt.why)
		}
	}
	for _, tenant := range []string{"", "globex", "other"} {
		_, err := a.factor.Notice(t.Context(), factors.Notice{Now: now, Tenant: tenant, Form: url.Values{"logout_token": {good}}})
		rejection(t, err)
	}
	a.provider.server.Close()
	later := now.Add(2 * time.Hour)
	_, err := a.factor.Notice(t.Context(), factors.Notice{Now: later, Tenant: "acme", Form: url.Values{"logout_token": {good}}})
	broken(t, "the provider is down", err)
}

func TestSignOut(t *testing.T) {
	b := newBench(t, "")
	b.link(alice)
	got, err := b.verify(b.come(acme, nil))
	if err != nil {
		t.Fatal(err)
	}
	to, err := b.factor.SignOutURL(t.Context(), got.Evidence, origin+"/")
	want := b.provider.issuer + "/end?client_id=portal&from=here&post_logout_redirect_uri=" + url.QueryEscape(origin+"/")
	if err != nil || to != want {
		t.Errorf("%s, %v, want %s", to, err, want)
	}
	e := got.Evidence
	e.Issuer = "https://former.example"
	if to, err := b.factor.SignOutURL(t.Context(), e, origin+"/"); err != nil || to != "" {
		t.Errorf("at a provider that is no longer there: %q, %v", to, err)
	}
	b = newBench(t, "")
	b.provider.metadata = func(m map[string]any) { delete(m, "end_session_endpoint") }
	e.Issuer = b.provider.issuer
	if to, err := b.factor.SignOutURL(t.Context(), e, origin+"/"); err != nil || to != "" {
		t.Errorf("at a provider without such a page: %q, %v", to, err)
	}
}

// A provider speaks for the tenants that the policy gives it.
func TestNoticesForAnotherTenant(t *testing.T) {
	b := newBench(t, "tenant: globex")
	_, err := b.notice(b.provider.sign("logout+jwt", logout(nil)))
	if why := rejection(t, err); why != oauth.ReasonTenant {
		t.Error(why)
	}
}
