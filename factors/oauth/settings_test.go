package oauth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

const (
	base  = "kind: oauth\nissuer: https://idp.example\nclient_id: portal\nclient_secret: { file: secret }\n"
	plain = "kind: oauth2\nissuer: https://idp.example\nclient_id: portal\nclient_secret: { file: secret }\n" +
		"authorization_endpoint: https://idp.example/a\ntoken_endpoint: https://idp.example/t\nuserinfo_endpoint: https://idp.example/u\n"
)

// TestSettingsThatAreRefused: what stands where the caret is, and what is said about it.
func TestSettingsThatAreRefused(t *testing.T) {
	_, files := keys(t)
	certificate, key, _ := clientCertificate(t)
	for name, content := range map[string]string{"tls.crt": certificate, "tls.key": key, "empty": "\n", "lines": "a\nb\n", "text": "no PEM"} {
		files[name] = content
	}
	t.Setenv("SALLYPORT_TEST_EMPTY", "")
	with := func(more string) string { return base + more }
	without := func(key, instead string) string {
		var kept []string
		for _, line := range strings.Split(strings.TrimSpace(base), "\n") {
			if !strings.HasPrefix(line, key+":") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\n") + "\n" + instead
	}
	for _, tt := range []struct{ section, says string }{
		{with("^secrets: x"), "unknown key"},
		{with("^client_id: x"), "already defined"},
		{without("issuer", "pkce: required"), "an issuer is wanted"},
		{without("issuer", "issuer: ^http://idp.example"), "is no https URL"},
		{without("issuer", "issuer: ^idp.example"), "is no URL"},
		{without("issuer", "issuer: ^https://idp.example?a=b"), "no query"},
		{without("issuer", "issuer: ^\"https://idp.example#a\""), "a fragment"},
		{without("issuer", "issuer: ^https://me@idp.example"), "has a user"},
		{without("issuer", "issuer: ^\"https://idp.example \""), "is no URL"},
		{without("client_id", ""), "a client_id is wanted"},
		{without("client_secret", ""), "client_secret is wanted with client_auth: basic"},
		{without("client_secret", "client_secret: ^needle"), "mapping is wanted"},
		{without("client_secret", "client_secret: ^{}"), "never the secret itself"},
		{without("client_secret", "client_secret: ^{ env: A, file: B }"), "never the secret itself"},
		{without("client_secret", "client_secret: ^{ env: SALLYPORT_TEST_EMPTY }"), "is empty"},
		{without("client_secret", "client_secret: ^{ file: empty }"), "is empty"},
		{without("client_secret", "client_secret: ^{ file: lines }"), "more than one line"},
		{without("client_secret", "client_secret: { file: ^missing }"), "cannot be read"},
		{with("client_auth: ^bearer"), "must be one of"},
		{with("client_auth: none"), "means nothing with client_auth: none"},
		{without("client_secret", "client_auth: private_key_jwt"), "client_key is wanted"},
		{without("client_secret", "client_auth: private_key_jwt\nclient_key: ^text"), "is not one private key in PEM"},
		{without("client_secret", "client_auth: private_key_jwt\nclient_key: ^missing"), "cannot be read"},
		{without("client_secret", "client_auth: private_key_jwt\nclient_key: ec.key\nassertion_audience: ^me"), "must be one of"},
		{without("client_secret", "client_auth: tls_client_auth\nclient_key: tls.key"), "client_certificate is wanted"},
		{without("client_secret", "client_auth: tls_client_auth\nclient_key: ec.key\nclient_certificate: ^tls.crt"), "no certificate in PEM with the key"},
		{with("client_key: ^ec.key"), "means nothing with client_auth: basic"},
		{with("scopes: [^\"a b\"]"), "is no scope"},
		{with("scopes: [a, ^a]"), "is there already"},
		{with("scopes: ^[]"), "names none"},
		{with("pkce: ^off"), "must be one of"},
		{with("par: ^on"), "must be one of"},
		{with("max_age: ^0s"), "not a duration"},
		{with("max_age: ^1ms"), "a second at the least"},
		{with("acr: [^\"a b\"]"), "no acr value"},
		{with("prompt: ^none"), "must be one of"},
		{with("user: ^{}"), "needs claim"},
		{with("user: { claim: ^email }"), "only with email: verified"},
		{with("email: ^any"), "must be one of"},
		{with("provision: ^\"yes\""), "must be one of"},
		{with("provision: ^true"), "text is wanted"},
		{with("attributes: { mail: ^email }"), "only with email: verified"},
		{with("email: verified\nattributes: { email: ^upn }"), "is what email: verified fills"},
		{with("attributes: { \"\": ^a }"), "is no name"},
		{with("userinfo: ^maybe"), "must be one of"},
		{with("ca: ^missing.pem"), "cannot be read"},
		{with("ca: ^text"), "no certificate in PEM"},
		{with("ca: ^ec.key"), "something else than certificates"},
		{with("redirect: ^mine"), "must be one of"},
		{with("algorithms: [^HS256]"), "is none of"},
		{with("algorithms: [^none]"), "is none of"},
		{with("audiences: [^portal]"), "no further audience"},
		{with("assurance: ^{ aal: 2 }"), "needs acr"},
		{with("acr: [a]\nassurance: { aal: ^3 }"), "is 1 or 2"},
		{with("acr: [a]\nassurance: { aal: 1, phishing_resistant: ^true }"), "needs aal: 2"},
		{with("token_endpoint: ^https://idp.example/t"), "is a setting of the kind oauth2"},
		{plain + "max_age: ^5m", "is a setting of the kind oauth"},
		{plain + "algorithms: ^[RS256]", "is a setting of the kind oauth"},
		{strings.Replace(plain, "https://idp.example/t", "^http://idp.example/t", 1), "is no https URL"},
		{strings.Replace(plain, "https://idp.example/t", "^https://127.0.0.1/t", 1), "an endpoint on this machine"},
		{with("per_tenant: ^{}"), "names no tenant"},
		{with("tenant: ^acme\nper_tenant: { acme: {} }"), "means nothing beside per_tenant"},
		{with("per_tenant: { acme: { ^tenant: acme } }"), "cannot name tenants again"},
		{with("per_tenant: { acme: { issuer: ^http://idp.example } }"), "is no https URL"},
		{without("issuer", "per_tenant: { acme: { ^pkce: required } }"), "an issuer is wanted"},
		{with("prompt: ^none\nper_tenant: { acme: {} }"), "must be one of"},
	} {
		before, after, marked := strings.Cut(tt.section, "^")
		_, err := load(t, before+after, files)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s\n%v, want %q", tt.section, err, tt.says)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the secret is in %v", err)
		}
		if e, ok := err.(*policy.Error); marked && (!ok || e.Line != 6+strings.Count(before, "\n") || !atColumn(e.Column, before)) {
			t.Errorf("%s\nline %d column %d: %v", tt.section, e.Line, e.Column, err)
		}
	}
}

// atColumn reports whether an error is at the caret, or somewhere before it on its line, as of flow mappings.
func atColumn(column int, before string) bool {
	line := before[strings.LastIndexByte(before, '\n')+1:]
	return column > 4 && column <= 5+len(line)
}

func TestSettings(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_SECRET", secret)
	for _, section := range []string{base, plain, plain + "subject: id\nuser: { claim: login }\nprovision: on",
		base + "provision: on\nuserinfo: on\nemail: verified\npar: auto\npkce: required\nredirect: own",
		"kind: oauth\nuser: { claim: sub }\nclient_id: portal\nper_tenant:\n  acme:   { issuer: https://idp.acme.example, client_secret: { env: SALLYPORT_TEST_SECRET } }\n" +
			"  globex: { issuer: https://login.globex.example, client_secret: { file: secret } }"} {
		p, err := load(t, section, nil)
		if err != nil {
			t.Errorf("%s\n%v", section, err)
			continue
		}
		for _, f := range p.Factors {
			if text := fmt.Sprintf("%v %+v %#v", f.Settings, f.Settings, f.Settings); strings.Contains(text, secret) {
				t.Error("settings print the secret")
			}
		}
	}
}

// What a factor can prove at best, and where it may stand, follow from all of its tenants.
func TestDescriptionAndPlace(t *testing.T) {
	for section, want := range map[string]struct {
		best  authn.Strength
		after authn.Identifies
	}{
		base:                                 {authn.Strength{Category: authn.Know}, authn.IdentifiesTenant},
		base + "tenant: acme":                {authn.Strength{Category: authn.Know}, authn.IdentifiesNothing},
		base + "tenant: acme\nprovision: on": {authn.Strength{Category: authn.Know}, authn.IdentifiesTenant},
		base + "per_tenant: { acme: {}, globex: { acr: [a], assurance: { aal: 2, phishing_resistant: true } } }": {
			authn.Strength{Category: authn.Know | authn.Have, PhishingResistant: true}, authn.IdentifiesTenant},
	} {
		p, err := load(t, section, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range p.Factors {
			if f.Name != "idp" {
				continue
			}
			if f.Best != want.best || f.Identifies != authn.IdentifiesUser || f.Ambient || f.Class != authn.ClassPerson || f.Tied {
				t.Errorf("%s\n%+v", section, f.Factor)
			}
			if place := f.Settings.(policy.Placed).Place(); place.After != want.after || place.EachRequest {
				t.Errorf("%s\n%+v", section, place)
			}
		}
	}
}

func FuzzSettings(f *testing.F) {
	for _, s := range []string{base, plain, base + "per_tenant: { acme: {} }", base + "acr: [a]\nassurance: { aal: 2 }", base + "attributes: { a: b }"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, section string) {
		p, err := load(t, section, nil)
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the secret is in %v", err)
			}
			return
		}
		for _, factor := range p.Factors {
			if s, ok := factor.Settings.(*oauth.Settings); ok && (s.Describe().Best.Hardware || s.Describe().Identifies != authn.IdentifiesUser) {
				t.Errorf("%+v", s.Describe())
			}
		}
	})
}
