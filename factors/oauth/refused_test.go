package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

// claim lies in one claim.
func claim(name string, value any) func(*provider) {
	return func(p *provider) { p.claims = func(m map[string]any) { m[name] = value } }
}

// Each lie of a provider is refused for its own reason.
func TestLiesInTheIDToken(t *testing.T) {
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for name, tt := range map[string]struct {
		settings string
		lie      func(*provider)
		why      authn.Reason
	}{
		"another nonce":                      {"", claim("nonce", "another"), oauth.ReasonNonce},
		"no nonce":                           {"", claim("nonce", nil), oauth.ReasonNonce},
		"a nonce that is a number":           {"", claim("nonce", 7), oauth.ReasonNonce},
		"another issuer":                     {"", claim("iss", "https://other.example"), oauth.ReasonIssuer},
		"no issuer":                          {"", claim("iss", nil), oauth.ReasonIssuer},
		"an issuer with a slash":             {"", func(p *provider) { claim("iss", p.issuer+"/")(p) }, oauth.ReasonIssuer},
		"another audience":                   {"", claim("aud", "other"), oauth.ReasonAudience},
		"no audience":                        {"", claim("aud", nil), oauth.ReasonAudience},
		"a further audience":                 {"", claim("aud", []string{"portal", "other"}), oauth.ReasonAudience},
		"a further audience that is listed":  {"audiences: [other]", claim("aud", []string{"portal", "other"}), oauth.ReasonAzp},
		"another authorized party":           {"", claim("azp", "other"), oauth.ReasonAzp},
		"an authorized party that is empty":  {"", claim("azp", ""), oauth.ReasonAzp},
		"expired":                            {"", claim("exp", at(0)), oauth.ReasonExpired},
		"no end":                             {"", claim("exp", nil), oauth.ReasonExpired},
		"issued in the future":               {"", claim("iat", at(31*time.Second)), oauth.ReasonIssuedAt},
		"issued long ago":                    {"", claim("iat", at(-10*time.Minute-time.Second)), oauth.ReasonIssuedAt},
		"issued nobody knows when":           {"", claim("iat", nil), oauth.ReasonIssuedAt},
		"not good yet":                       {"", claim("nbf", at(time.Minute)), oauth.ReasonIssuedAt},
		"the hash of another access token":   {"", claim("at_hash", atHash("another")), oauth.ReasonAtHash},
		"a hash that is empty":               {"", claim("at_hash", ""), oauth.ReasonAtHash},
		"names nobody":                       {"", claim("sub", nil), oauth.ReasonSubject},
		"an empty subject":                   {"", claim("sub", ""), oauth.ReasonSubject},
		"a subject that is too long":         {"", claim("sub", strings.Repeat("a", 256)), oauth.ReasonSubject},
		"a subject with an unseen letter":    {"", claim("sub", "alice\u200b"), oauth.ReasonSubject},
		"a subject that is a number":         {"", claim("sub", 7), jose.ReasonClaimType},
		"a session that is no text":          {"", claim("sid", 7), jose.ReasonClaimType},
		"no time of signing in":              {"max_age: 5m", claim("auth_time", nil), oauth.ReasonAuthTime},
		"signed in too long ago":             {"max_age: 5m", claim("auth_time", at(-5*time.Minute-31*time.Second)), oauth.ReasonAuthTime},
		"signed in tomorrow":                 {"", claim("auth_time", at(time.Minute)), oauth.ReasonAuthTime},
		"a time that is a text":              {"", claim("auth_time", "1"), jose.ReasonClaimType},
		"another class":                      {"acr: [gold]", claim("acr", "silver"), oauth.ReasonACR},
		"no class":                           {"acr: [gold]", claim("acr", nil), oauth.ReasonACR},
		"a list of classes":                  {"acr: [gold]", claim("acr", []string{"gold"}), jose.ReasonClaimType},
		"a claim in another case":            {"", raw(payload(`{"aud":"portal","Aud":"other"}`)), jose.ReasonFolded},
		"events of a logout":                 {"", claim("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}), oauth.ReasonTokenType},
		"an access token":                    {"", typed("at+jwt"), oauth.ReasonTokenType},
		"a logout token":                     {"", typed("logout+jwt"), oauth.ReasonTokenType},
		"signed by another key":              {"", func(p *provider) { p.signer.key = newSigner(p.t, "").key }, jose.ReasonSignature},
		"signed by a key that nobody has":    {"", func(p *provider) { p.signer = newSigner(p.t, "two") }, oauth.ReasonKey},
		"unsigned":                           {"", raw(unsigned), jose.ReasonUnsigned},
		"signed with the secret":             {"", raw(func(s string) string { return header(s, `{"alg":"HS256","kid":"one"}`) }), jose.ReasonSymmetric},
		"an algorithm that is not listed":    {"algorithms: [RS256]", nil, jose.ReasonAlgorithm},
		"padding":                            {"", raw(func(s string) string { return s + "=" }), jose.ReasonEncoding},
		"something behind it":                {"", raw(func(s string) string { return s + ".e30" }), jose.ReasonNotCompact},
		"two algorithms":                     {"", raw(func(s string) string { return header(s, `{"alg":"ES256","alg":"ES256"}`) }), jose.ReasonDuplicate},
		"too large":                          {"", claim("padding", strings.Repeat("a", 40_000)), jose.ReasonTooLarge},
		"no ID token":                        {"", func(p *provider) { p.response = func(m map[string]any) { delete(m, "id_token") } }, oauth.ReasonNoIDToken},
		"userinfo of somebody else":          {"userinfo: on", func(p *provider) { p.userinfo = map[string]any{"sub": "bob-at-acme"} }, oauth.ReasonUserinfo},
		"userinfo of nobody":                 {"userinfo: on", func(p *provider) { p.userinfo = map[string]any{} }, oauth.ReasonUserinfo},
		"an attribute that is an object":     {"attributes: { groups: groups }", claim("groups", map[string]any{"a": 1}), oauth.ReasonClaim},
		"attributes without end":             {"attributes: { groups: groups }", claim("groups", strings.Repeat("a", 2000)), oauth.ReasonClaim},
		"an attribute with more than enough": {"attributes: { groups: groups }", claim("groups", make([]bool, 65)), oauth.ReasonClaim},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, tt.settings)
			linked := b.link2(alice)
			v := b.come(acme, nil)
			if tt.lie != nil {
				tt.lie(b.provider)
			}
			_, err := b.verify(v)
			if why := rejection(t, err); why != tt.why {
				t.Errorf("%s, want %s", why, tt.why)
			}
			if tt.lie == nil {
				return
			}
			b.honest()
			if got, err := b.verify(b.come(acme, nil)); err != nil || got.Evidence.Credential != linked {
				t.Errorf("once it tells the truth: %v", err)
			}
		})
	}
}

func typed(typ string) func(*provider) {
	return func(p *provider) { p.header = func(h *jose.Header) { h.Typ = typ } }
}

func raw(how func(string) string) func(*provider) { return func(p *provider) { p.idToken = how } }

func payload(text string) func(string) string {
	return func(s string) string {
		parts := strings.Split(s, ".")
		return parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + parts[2]
	}
}

func unsigned(s string) string {
	s = header(s, `{"alg":"none"}`)
	return s[:strings.LastIndexByte(s, '.')+1]
}

// What is refused in the response never reaches the provider: the code is not spent.
func TestResponsesThatAreRefused(t *testing.T) {
	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	add := func(name, value string) func(url.Values) { return func(q url.Values) { q.Add(name, value) } }
	del := func(name string) func(url.Values) { return func(q url.Values) { q.Del(name) } }
	for name, tt := range map[string]struct {
		how func(url.Values)
		why authn.Reason
	}{
		"another state":               {set("state", "another"), oauth.ReasonState},
		"no state":                    {del("state"), oauth.ReasonResponse},
		"two states":                  {add("state", "another"), oauth.ReasonResponse},
		"two codes":                   {add("code", "another"), oauth.ReasonResponse},
		"two issuers":                 {add("iss", "another"), oauth.ReasonResponse},
		"two errors":                  {func(q url.Values) { q.Del("code"); q["error"] = []string{"a", "b"} }, oauth.ReasonResponse},
		"no code":                     {del("code"), oauth.ReasonResponse},
		"an empty code":               {set("code", ""), oauth.ReasonResponse},
		"an error beside the code":    {set("error", "access_denied"), oauth.ReasonResponse},
		"an empty error beside it":    {set("error", ""), oauth.ReasonResponse},
		"another issuer":              {set("iss", "https://other.example"), oauth.ReasonResponseIssuer},
		"an empty issuer":             {set("iss", ""), oauth.ReasonResponseIssuer},
		"no issuer":                   {del("iss"), oauth.ReasonResponseIssuer},
		"an access token":             {set("access_token", "needle"), oauth.ReasonResponse},
		"an ID token":                 {set("id_token", "needle"), oauth.ReasonResponse},
		"a signed response":           {set("response", "needle"), oauth.ReasonResponse},
		"denied":                      {func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, oauth.ReasonDenied},
		"denied in unheard words":     {func(q url.Values) { q.Del("code"); q.Set("error", "needle") }, oauth.ReasonDenied},
		"denied by another":           {func(q url.Values) { q.Del("code"); q.Set("error", "x"); q.Set("iss", "x") }, oauth.ReasonResponseIssuer},
		"a control character":         {set("code", "a\x00"), oauth.ReasonResponse},
		"text that is not UTF-8":      {set("code", "\xff"), oauth.ReasonResponse},
		"more than eight kilobytes":   {set("padding", strings.Repeat("a", 8<<10)), oauth.ReasonResponse},
		"a state without end":         {set("state", strings.Repeat("a", 300)), oauth.ReasonResponse},
		"what nobody knows is let be": {set("padding", "x"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "")
			b.link(alice)
			before := b.provider.called("/token")
			_, err := b.verify(b.come(acme, tt.how))
			if tt.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if why := rejection(t, err); why != tt.why {
				t.Errorf("%s, want %s", why, tt.why)
			}
			if n := b.provider.called("/token"); n != before {
				t.Error("the token endpoint was called")
			}
			if strings.Contains(err.Error(), "needle") {
				t.Errorf("the error repeats the response: %v", err)
			}
		})
	}
}

func TestCredentialsThatAreNoCallbacks(t *testing.T) {
	b := newBench(t, "")
	b.link(alice)
	v := b.come(acme, nil)
	var good struct{ Query string }
	if err := json.Unmarshal(v.Credential, &good); err != nil {
		t.Fatal(err)
	}
	quoted, _ := json.Marshal(good.Query)
	for name, credential := range map[string]string{
		"nothing": "", "null": "null", "empty": "{}", "a list": "[]", "the query alone": string(quoted), "no text": `{"query":7}`,
		"twice": `{"query":` + string(quoted) + `,"query":` + string(quoted) + `}`, "another name": `{"Query":` + string(quoted) + `}`,
		"more": `{"query":` + string(quoted) + `,"code":"x"}`, "behind it": string(v.Credential) + "{}",
	} {
		bad := v
		bad.Credential = json.RawMessage(credential)
		_, err := b.verify(bad)
		if why := rejection(t, err); why != factors.ReasonMalformed {
			t.Errorf("%s: %s", name, why)
		}
		if b.factor.Answers(bad.Credential, v.Challenge) {
			t.Errorf("%s: it answers", name)
		}
	}
	if !b.factor.Answers(v.Credential, v.Challenge) {
		t.Error("the good one does not answer")
	}
	if _, err := b.verify(v); err != nil {
		t.Error(err)
	}
}

// A code is good once, with the verifier of the login it was made for.
func TestCodesOfOthers(t *testing.T) {
	b := newBench(t, "")
	b.link(alice)
	v := b.come(acme, nil)
	other := b.come(acme, nil)
	query := func(v factors.Verification) url.Values {
		var c struct{ Query string }
		_ = json.Unmarshal(v.Credential, &c)
		q, _ := url.ParseQuery(c.Query)
		return q
	}
	stolen := query(v)
	stolen.Set("code", query(other).Get("code"))
	injected := v
	injected.Credential = returned(stolen.Encode(), "")
	_, err := b.verify(injected)
	if why := rejection(t, err); why != oauth.ReasonCode {
		t.Errorf("the code of another login: %s", why)
	}
	if _, err := b.verify(v); err != nil {
		t.Fatal(err)
	}
	_, err = b.verify(v)
	if why := rejection(t, err); why != oauth.ReasonCode {
		t.Errorf("a callback twice: %s", why)
	}
	v.Challenge = other.Challenge
	_, err = b.verify(v)
	if why := rejection(t, err); why != oauth.ReasonState {
		t.Errorf("a callback in another browser: %s", why)
	}
}

// What the challenge pinned is held against the request that answers.
func TestChallengesOfOthers(t *testing.T) {
	b := newBench(t, "")
	b.link(alice)
	elsewhere := b.request(acme)
	elsewhere.Origin.URL = "https://other.example"
	partner := b.request(acme)
	partner.Origin.Tenant = "globex"
	for name, tt := range map[string]struct {
		request factors.Request
		why     authn.Reason
	}{
		"another origin":           {elsewhere, oauth.ReasonChallenge},
		"the origin of another":    {partner, oauth.ReasonTenant},
		"another tenant":           {b.request(authn.Subject{Tenant: "globex"}), oauth.ReasonChallenge},
		"no tenant":                {b.request(authn.Subject{}), oauth.ReasonTenant},
		"somebody else's identity": {b.request(bob.Subject()), oauth.ReasonForeignUser},
		"a device's":               {b.request(authn.Subject{Tenant: "acme", User: "u-alice", Class: authn.ClassDevice}), oauth.ReasonForeignUser},
		"a workload's":             {b.request(authn.Subject{Tenant: "acme", User: "u-alice", Class: authn.ClassWorkload}), oauth.ReasonForeignUser},
	} {
		v := b.come(acme, nil)
		v.Request = tt.request
		_, err := b.verify(v)
		if why := rejection(t, err); why != tt.why {
			t.Errorf("%s: %s, want %s", name, why, tt.why)
		}
	}
	v := b.come(alice.Subject(), nil)
	v.Request = b.request(bob.Subject())
	_, err := b.verify(v)
	if why := rejection(t, err); why != oauth.ReasonChallenge {
		t.Errorf("a challenge of somebody who was known: %s", why)
	}
}

// What the token endpoint says sorts into what is the caller's fault and what is not.
func TestTokenEndpoint(t *testing.T) {
	says := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	const js = "application/json"
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		why    authn.Reason // empty: nobody's fault who calls
	}{
		"invalid grant":       {says(400, js, `{"error":"invalid_grant"}`), oauth.ReasonCode},
		"an invalid request":  {says(400, js, `{"error":"invalid_request"}`), oauth.ReasonCode},
		"forbidden":           {says(403, "text/html", "no"), oauth.ReasonCode},
		"an invalid client":   {says(401, js, `{"error":"invalid_client"}`), ""},
		"too many":            {says(429, js, `{}`), ""},
		"broken":              {says(500, js, `{"error":"invalid_grant"}`), ""},
		"a redirect":          {says(307, js, `{}`), ""},
		"no JSON":             {says(200, "text/html", `{"access_token":"a"}`), ""},
		"a form":              {says(200, "application/x-www-form-urlencoded", "access_token=a&token_type=Bearer"), ""},
		"half of it":          {says(200, js, `{"access_token":"a"`), ""},
		"twice":               {says(200, js, `{"access_token":"a","access_token":"b","token_type":"Bearer"}`), ""},
		"in another case":     {says(200, js, `{"access_token":"a","Access_Token":"b","token_type":"Bearer"}`), ""},
		"no token":            {says(200, js, `{"token_type":"Bearer"}`), ""},
		"another type":        {says(200, js, `{"access_token":"a","token_type":"mac"}`), ""},
		"more than 64 KiB":    {says(200, js, `{"access_token":"a","token_type":"Bearer","p":"`+strings.Repeat("a", 64<<10)+`"}`), ""},
		"an ID token, a list": {says(200, js, `{"access_token":"a","token_type":"Bearer","id_token":["a"]}`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "")
			b.link(alice)
			b.provider.handle["/token"] = tt.answer
			_, err := b.verify(b.come(acme, nil))
			if tt.why == "" {
				broken(t, name, err)
			} else if why := rejection(t, err); why != tt.why {
				t.Errorf("%s, want %s", why, tt.why)
			}
			if b.provider.called("/elsewhere") > 0 {
				t.Error("a redirect was followed")
			}
			if n := b.provider.called("/token"); n != 2 { // one of them for the link
				t.Errorf("the token endpoint was called %d times", n)
			}
		})
	}
}
