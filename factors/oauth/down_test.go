package oauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A provider that is not there, or not what it should be, decides nothing about anybody.
func TestProvidersThatCannotBeUsed(t *testing.T) {
	other := newProvider(t)
	says := func(body string) func(*provider) {
		return func(p *provider) {
			p.handle[wellKnown] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(body))
			}
		}
	}
	with := func(name string, value any) func(*provider) {
		return func(p *provider) { p.metadata = func(m map[string]any) { m[name] = value } }
	}
	redirect := func(to func(p *provider) string) func(*provider) {
		return func(p *provider) {
			p.handle[wellKnown] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to(p), http.StatusFound) }
		}
	}
	for name, how := range map[string]func(*provider){
		"it is down":             func(p *provider) { p.server.Close() },
		"its certificate is odd": func(p *provider) { p.server.TLS.Certificates = nil },
		"it is broken": func(p *provider) {
			p.handle[wellKnown] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }
		},
		"8 MB of metadata":         with("padding", strings.Repeat("a", 8<<20)),
		"a little too much":        with("padding", strings.Repeat("a", 256<<10)),
		"no JSON":                  says("<html>"),
		"a list":                   says("[]"),
		"two issuers":              func(p *provider) { says(`{"issuer":"` + p.issuer + `","issuer":"` + p.issuer + `"}`)(p) },
		"another issuer":           with("issuer", other.issuer),
		"an issuer with a slash":   func(p *provider) { with("issuer", p.issuer+"/")(p) },
		"no token endpoint":        with("token_endpoint", nil),
		"no keys":                  with("jwks_uri", nil),
		"an endpoint without TLS":  with("token_endpoint", "http://provider.example/token"),
		"an endpoint that is none": with("authorization_endpoint", "javascript:alert(1)"),
		"no PKCE":                  with("code_challenge_methods_supported", nil),
		"PKCE in the clear":        with("code_challenge_methods_supported", []string{"plain"}),
		"no algorithm in common":   with("id_token_signing_alg_values_supported", []string{"HS256", "none"}),
		"a redirect elsewhere":     redirect(func(*provider) string { return other.server.URL + wellKnown }),
		"a redirect to no TLS":     redirect(func(p *provider) string { return strings.Replace(p.server.URL, "https", "http", 1) + wellKnown }),
		"redirects without end":    redirect(func(p *provider) string { return p.server.URL + wellKnown }),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			ca := p.ca()
			if name != "its certificate is odd" {
				how(p)
			} else {
				_, _, c := clientCertificate(t)
				ca = pemOfCertificate(c.Raw)
			}
			b := benchOf(t, p, "kind: oauth\nissuer: "+p.issuer+"\nclient_id: portal\nclient_secret: { file: secret }\nca: ca2.pem", map[string]string{"ca2.pem": ca})
			_, err := b.factor.Challenge(t.Context(), b.request(acme))
			broken(t, name, err)
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if other.called(wellKnown) > 0 {
				t.Error("another host was called")
			}
		})
	}
}

const wellKnown = "/.well-known/openid-configuration"

func TestARedirectOnOneHostIsFollowed(t *testing.T) {
	b := newBench(t, "")
	about := b.provider.about()
	b.provider.handle[wellKnown] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/moved", http.StatusFound) }
	b.provider.handle["/moved"] = func(w http.ResponseWriter, _ *http.Request) { b.provider.answer(w, 200, about) }
	if _, err := b.factor.Challenge(t.Context(), b.request(acme)); err != nil {
		t.Error(err)
	}
}

func TestPKCEThatIsNotAdvertised(t *testing.T) {
	b := newBench(t, "pkce: unadvertised")
	b.provider.metadata = func(m map[string]any) { delete(m, "code_challenge_methods_supported") }
	if c := b.challenge(b.request(acme)); !strings.Contains(c.RedirectTo, "code_challenge_method=S256") {
		t.Error("it is not used")
	}
}

func TestPushedRequestsAsThePolicyWants(t *testing.T) {
	b := newBench(t, "par: required")
	_, err := b.factor.Challenge(t.Context(), b.request(acme))
	broken(t, "required, and the provider takes none", err)
	b = newBench(t, "par: off")
	b.provider.metadata = func(m map[string]any) {
		m["pushed_authorization_request_endpoint"], m["require_pushed_authorization_requests"] = b.provider.issuer+"/par", true
	}
	_, err = b.factor.Challenge(t.Context(), b.request(acme))
	broken(t, "off, and the provider takes no others", err)
}

// Once the provider is back, everything goes on: the failure was not kept.
func TestAProviderThatComesBack(t *testing.T) {
	b := newBench(t, "")
	b.provider.handle[wellKnown] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	_, err := b.factor.Challenge(t.Context(), b.request(acme))
	broken(t, "down", err)
	delete(b.provider.handle, wellKnown)
	b.link(alice)
	if _, err := b.verify(b.come(acme, nil)); err != nil {
		t.Error(err)
	}
}

// A callback while the provider is down is no fault of the caller, and neither is one whose keys come too slowly.
func TestProvidersThatFailOnTheWayBack(t *testing.T) {
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	for path, settings := range map[string]string{"/token": "", "/keys": "", "/userinfo": "userinfo: on"} {
		for how, handler := range map[string]http.HandlerFunc{"down": down, "slow": nil,
			"too much": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"keys":[],"access_token":"a","token_type":"Bearer","sub":"alice-at-acme","p":"` + strings.Repeat("a", 300<<10) + `"}`))
			}} {
			b := newBench(t, settings)
			v := b.come(acme, nil)
			b.provider.handle[path] = handler
			ctx, cancel := context.WithCancel(t.Context())
			release := make(chan struct{})
			if how == "slow" {
				b.provider.handle[path] = func(http.ResponseWriter, *http.Request) { cancel(); <-release }
			}
			_, err := b.factor.Verify(ctx, v)
			broken(t, path+" "+how, err)
			cancel()
			close(release)
		}
	}
	b := newBench(t, "")
	v := b.come(acme, func(q url.Values) { delete(q, "code"); q["error"] = []string{"temporarily_unavailable"} })
	_, err := b.verify(v)
	broken(t, "the provider says that it is down", err)
}

// An issuer on this machine may have no TLS, for tests and demonstrations. No other one, and none sends us to this machine.
func TestPlainHTTPOnThisMachine(t *testing.T) {
	p := newProvider(t)
	p.server.Close()
	p.server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.server.Close)
	p.issuer = p.server.URL
	pol, err := load(t, "kind: oauth\nissuer: "+p.issuer+"\nclient_id: portal\nclient_auth: none", nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, provider: p, directory: &directory{}, origin: pol.Origins[0]}
	b.factor = build(t, pol, b.directory)
	b.link(alice)
	if _, err := b.verify(b.come(acme, nil)); err != nil {
		t.Error(err)
	}
}

// The clock is the request's: metadata are fetched again after an hour, and not before.
func TestMetadataLastAnHour(t *testing.T) {
	b := newBench(t, "")
	for _, tt := range []struct {
		after time.Duration
		calls int
	}{{0, 1}, {time.Hour - time.Second, 1}, {time.Hour, 2}, {2 * time.Hour, 3}} {
		r := b.request(acme)
		r.Now = now.Add(tt.after)
		if _, err := b.factor.Challenge(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if n := b.provider.called(wellKnown); n != tt.calls {
			t.Errorf("after %v fetched %d times, want %d", tt.after, n, tt.calls)
		}
	}
	b.provider.server.Close()
	r := b.request(acme)
	r.Now = now.Add(4 * time.Hour)
	_, err := b.factor.Challenge(t.Context(), r)
	broken(t, "old metadata of a provider that is down", err)
}
