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

func TestBehindNginx(t *testing.T) {
	need(t, "nginx", "nginx-light")
	f := newFront(t, terminator.Nginx)
	file := f.configure("nginx.conf", "listen 443 ssl", "listen "+f.addr+" ssl")
	f.run("nginx", "-p", f.dir, "-c", file, "-e", "stderr", "-g", "daemon off;")
	f.walk(everywhere(map[string]string{"X-SSL-Client-Cert": "", "X-SSL-Client-Verify": "SUCCESS"}), func(c tls.Certificate) string {
		return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	})
}

func TestBehindHAProxy(t *testing.T) {
	need(t, "haproxy", "haproxy")
	f := newFront(t, terminator.HAProxy)
	file := f.configure("haproxy.cfg", "bind :443 ssl", "bind "+f.addr+" ssl")
	f.run("haproxy", "-db", "-f", file)
	f.walk(everywhere(map[string]string{"X-SSL-Client-Cert": "", "X-SSL-Client-Verify": "0", "X-SSL-Client-Used": "1"}), func(c tls.Certificate) string {
		return base64.StdEncoding.EncodeToString(c.Certificate[0])
	})
}

func TestBehindApache(t *testing.T) {
	need(t, "apache2", "apache2")
	f := newFront(t, terminator.Apache)
	f.aliases = "refused: " + string(terminator.ReasonAlias)
	file := f.configure("apache.conf", "Listen 443", "Listen "+f.addr, "/etc/apache2/pki", f.dir, "/run/apache2", f.dir,
		"SSLStrictSNIVHostCheck on", "SSLStrictSNIVHostCheck off") // an address has no SNI
	f.run("apache2", "-D", "FOREGROUND", "-f", file)
	f.walk(everywhere(map[string]string{"X-SSL-Client-Cert": "", "X-SSL-Client-Verify": "SUCCESS"}), func(c tls.Certificate) string {
		return strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})), "\n", " ")
	})
}
