package terminator_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls/terminator"
)

// deployed is a terminator with its documented configuration.
type deployed struct {
	program, install string
	config           terminator.Config
	document         string
	address          string                     // where it listens, as the document has it
	replace          func(*front) []string      // further pairs, for this machine
	args             func(file string) []string // of the program
	aliases          string                     // what comes of names that could pass for those of the terminator; empty: it drops them
	verdicts         map[string]string
	encode           func(tls.Certificate) string
	faults           []fault
}

// fault is a mistake in the configuration, as pairs of what is replaced and by what.
type fault []string

// without is the mistake of leaving something out.
func without(text string) fault { return fault{text, ""} }

var nginx = deployed{
	program: "nginx", install: "the Debian package nginx-light",
	config: terminator.Config{Format: terminator.Nginx}, document: "nginx.conf", address: "listen 443 ssl",
	replace: func(f *front) []string {
		return []string{"/run/nginx.pid", f.file("nginx.pid"), "/etc/nginx/pki", f.dir}
	},
	args:     func(file string) []string { return []string{"-c", file, "-e", "stderr", "-g", "daemon off;"} },
	verdicts: map[string]string{"X-SSL-Client-Verify": "SUCCESS"},
	encode: func(c tls.Certificate) string {
		return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	},
	faults: []fault{
		without("proxy_set_header X-SSL-Client-Cert   $ssl_client_escaped_cert;"),
		without("proxy_set_header X-SSL-Client-Verify $ssl_client_verify;"),
		without(`proxy_set_header Client-Cert         "";`),
		{"$ssl_client_escaped_cert", "$ssl_client_cert"},
		{"ssl_verify_client optional", "ssl_verify_client optional_no_ca"},
		{"ssl_verify_client optional", "ssl_verify_client on"},
		{"underscores_in_headers off", "underscores_in_headers on"},
		{"location / {", "location / { proxy_set_header X-Own 1;"},
	},
}

var haproxy = deployed{
	program: "haproxy", install: "the Debian package haproxy",
	config: terminator.Config{Format: terminator.HAProxy}, document: "haproxy.cfg", address: "bind :443 ssl",
	replace:  func(f *front) []string { return []string{"/etc/haproxy/pki", f.dir} },
	args:     func(file string) []string { return []string{"-db", "-f", file} },
	verdicts: map[string]string{"X-SSL-Client-Verify": "0", "X-SSL-Client-Used": "1"},
	encode:   base64Of,
	faults: []fault{
		without("option http-restrict-req-hdr-names delete"),
		without("http-request del-header Client-Cert\n"),
		without("tune.bufsize 65536"),
		{"set-header X-SSL-Client-Cert ", "add-header X-SSL-Client-Cert "},
		{"set-header X-SSL-Client-Cert   %[ssl_c_der,base64]", "set-header X-SSL-Client-Cert %[ssl_c_der,base64] if { ssl_c_used }"},
		{"%[ssl_c_used]", "%[ssl_fc_has_crt]"},
		{"verify optional", "verify optional crt-ignore-err all"},
	},
}

var apache = deployed{
	program: "apache2", install: "the Debian package apache2",
	config: terminator.Config{Format: terminator.Apache}, document: "apache.conf", address: "Listen 443",
	replace:  func(f *front) []string { return []string{"/etc/apache2/pki", f.dir, "/run/apache2", f.dir} },
	args:     func(file string) []string { return []string{"-D", "FOREGROUND", "-f", file} },
	aliases:  "refused: " + string(terminator.ReasonAlias),
	verdicts: map[string]string{"X-SSL-Client-Verify": "SUCCESS"},
	encode: func(c tls.Certificate) string {
		return strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})), "\n", " ")
	},
	faults: []fault{
		without("RequestHeader unset Connection early"),
		without(`RequestHeader set X-SSL-Client-Cert   "%{SSL_CLIENT_CERT}s"`),
		without("RequestHeader unset Client-Cert\n"),
		{"RequestHeader set X-SSL-Client-Verify", "RequestHeader add X-SSL-Client-Verify"},
		{"SSLVerifyClient optional", "SSLVerifyClient optional_no_ca"},
	},
}

var caddy = deployed{
	program: "caddy", install: "go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9",
	config: terminator.Config{Format: terminator.Caddy, TerminatorVerifies: true}, document: "Caddyfile", address: "https://portal.example {",
	replace: func(f *front) []string { return []string{"/etc/caddy/pki", f.dir} },
	args:    func(file string) []string { return []string{"run", "--adapter", "caddyfile", "--config", file} },
	encode:  base64Of,
	faults: []fault{
		without("header_up X-SSL-Client-Cert {http.request.tls.client.certificate_der_base64}"),
		without("header_up -Client-Cert\n"),
		{"header_up X-SSL-Client-Cert", "header_up +X-SSL-Client-Cert"},
		{"header_up X-SSL-Client-Cert {http.request.tls.client.certificate_der_base64}", "",
			"reverse_proxy unix", "request_header X-SSL-Client-Cert {http.request.tls.client.certificate_der_base64}\n\treverse_proxy unix"},
		{"certificate_der_base64", "certificate_pem"},
		{"mode verify_if_given", "mode request"},
		{"mode verify_if_given", "mode require_and_verify"},
	},
}

func base64Of(c tls.Certificate) string { return base64.StdEncoding.EncodeToString(c.Certificate[0]) }

func TestBehindNginx(t *testing.T)   { nginx.test(t) }
func TestBehindHAProxy(t *testing.T) { haproxy.test(t) }
func TestBehindApache(t *testing.T)  { apache.test(t) }
func TestBehindCaddy(t *testing.T)   { caddy.test(t) }

// test holds the documented configuration, and that a mistake in it would be found.
func (d deployed) test(t *testing.T) {
	need(t, d.program, d.install)
	t.Run("as documented", func(t *testing.T) {
		f := d.start(t, nil)
		for _, q := range f.questions(d) {
			if got := f.ask(q); !q.wants(got) {
				t.Errorf("%v: %s, want %v", q, got, q.want)
			}
		}
	})
	for _, mistake := range d.faults {
		t.Run("fault "+mistake[0], func(t *testing.T) {
			f := d.start(t, mistake)
			for _, q := range f.questions(d) {
				if got := f.ask(q); !q.wants(got) {
					t.Logf("found by %v: %s", q, got)
					return
				}
			}
			t.Errorf("nothing shows that %q became %q", mistake[0], mistake[1])
		})
	}
}

// start starts it with a mistake; nil: none.
func (d deployed) start(t *testing.T, mistake fault) *front {
	t.Helper()
	f := newFront(t, d.config)
	at := strings.NewReplacer(":443", f.addr, "443", f.addr, "https://portal.example", "https://"+f.host).Replace(d.address)
	file := f.configure(d.document, append(append(append([]string{}, mistake...), d.address, at), d.replace(f)...)...)
	f.run(d.program, d.args(file)...)
	return f
}
