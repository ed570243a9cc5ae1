package live_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
	"github.com/sallyport-auth/sallyport/factors/oauth/live"
)

// portal is what a provider sends browsers back to, and tells when somebody signed out.
type portal struct {
	t       testing.TB
	ca      *mtlstest.CA
	origin  string
	came    chan *url.URL   // callbacks
	notices chan url.Values // forms of back-channel logout
}

func newPortal(t testing.TB) *portal {
	t.Helper()
	p := &portal{t: t, ca: mtlstest.NewCA(t, "Servers"), came: make(chan *url.URL, 8), notices: make(chan url.Values, 8)}
	s := httptest.NewUnstartedServer(p)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{p.ca.Server()}}
	s.StartTLS()
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	p.origin = "https://localhost:" + u.Port()
	return p
}

func (p *portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/callback"):
		at := *r.URL
		at.Scheme, at.Host = "https", r.Host
		p.came <- &at
		fmt.Fprintln(w, "You are back at the portal.")
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/backchannel-logout"):
		if err := r.ParseForm(); err != nil {
			http.Error(w, "no form", http.StatusBadRequest)
			return
		}
		p.notices <- r.PostForm
	default:
		http.NotFound(w, r)
	}
}

// callback is the redirect URI, with the tenant in it if that is not empty.
func (p *portal) callback(tenant string) string {
	if tenant != "" {
		tenant += "/"
	}
	return p.origin + "/auth/factors/idp/" + tenant + "callback"
}

// client is a client that authenticates itself in some way, with further metadata.
func (p *portal) client(id, auth string, more live.Client) live.Client {
	c := live.Client{"client_id": id, "token_endpoint_auth_method": auth, "redirect_uris": []string{p.callback("")},
		"grant_types": []string{"authorization_code"}, "response_types": []string{"code"}, "post_logout_redirect_uris": []string{p.origin + "/"},
		"backchannel_logout_uri": p.origin + "/auth/factors/idp/acme/backchannel-logout", "backchannel_logout_session_required": true}
	if strings.HasPrefix(auth, "client_secret_") {
		c["client_secret"] = secret
	}
	maps.Copy(c, more)
	return c
}

// as is somebody with a cookie jar of their own.
func (p *portal) as(name string, more url.Values) walker {
	v := live.NewVisitor(p.t, p.ca)
	answers := live.As(name)
	maps.Copy(answers, more)
	return func(address string) *url.URL {
		p.t.Helper()
		return v.SignIn(address, answers)
	}
}

// start starts oidc-provider with one client, portal, which has a secret.
func (p *portal) start(more live.Client) *live.Provider {
	p.t.Helper()
	return live.Start(p.t, p.ca, live.Config{Clients: []live.Client{p.client("portal", "client_secret_basic", more)}, ACRs: []string{"gold", "silver"}})
}

// bench is the factor as that client, with further settings.
func (p *portal) bench(provider *live.Provider, more string) *bench {
	p.t.Helper()
	return newBench(p.t, p.origin, p.ca, "issuer: "+provider.Issuer+"\nclient_id: portal\nclient_secret: { file: secret }\n"+more, nil)
}
