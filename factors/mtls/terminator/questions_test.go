package terminator_test

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// question is a request, and what may be answered.
type question struct {
	what            string
	cert            *tls.Certificate
	http2           bool
	header, trailer http.Header
	sessions        tls.ClientSessionCache
	want            []string
}

func (q *question) String() string { return fmt.Sprintf("%s (HTTP/2: %t)", q.what, q.http2) }

const (
	noAnswer = "no answer" // the terminator ends the handshake, or answers itself
	refused  = "refused"   // for whatever reason
)

func (q *question) wants(got string) bool {
	return slices.ContainsFunc(q.want, func(w string) bool {
		return got == w || w == refused && strings.HasPrefix(got, "refused: ") && !strings.Contains(got, "and a header")
	})
}

// questions are requests in all the ways that matter.
func (f *front) questions(d deployed) (all []*question) {
	clients := f.clients()
	victim := d.encode(f.staff.Issue(mtlstest.Leaf{CN: "victim"}))
	once := http.Header{"X-Ssl-Client-Cert": {victim}}
	for name, value := range d.verdicts {
		once.Set(name, value)
	}
	for _, http2 := range []bool{false, true} {
		ask := func(what string, cert *tls.Certificate, want ...string) *question {
			q := &question{what: what, cert: cert, http2: http2, want: want}
			all = append(all, q)
			return q
		}
		for name, c := range clients {
			ask("the certificate of "+name, c, name)
		}
		ask("another authority's certificate", f.foreign(), noAnswer, "none")
		ask("an expired certificate", f.past(), noAnswer, "none")
		ask("a certificate that is too large", f.sized("huge", 46<<10), noAnswer, refused)
		for _, name := range []string{"alice", "none"} {
			c := clients[name]
			ask(name+" with another's certificate in headers", c, cmp.Or(d.aliases, name)).header = d.forged(victim)
			trailing := ask(name+" with another's certificate in trailers", c, name)
			trailing.trailer = once
			if http2 { // nginx 1.22 knows no trailers there and ends the connection
				trailing.want = append(trailing.want, noAnswer)
				continue
			}
			hop := once.Clone()
			hop.Set("Connection", strings.Join(slices.Sorted(maps.Keys(once)), ", "))
			ask(name+" with names that are to be dropped on the way", c, name).header = hop
		}
		sessions := tls.NewLRUClientSessionCache(4)
		for range 3 {
			ask("a resumed session", clients["alice"], "alice").sessions = sessions
		}
	}
	return all
}

// clients are certificates that get through, and none.
func (f *front) clients() map[string]*tls.Certificate {
	f.t.Helper()
	out := map[string]*tls.Certificate{"none": nil, "large": f.sized("large", 13<<10)}
	unusual := f.staff.Intermediate("Issuing CA").Issue(mtlstest.Leaf{CN: `Zoë, "the" / CN=admin+x`, URIs: []string{"spiffe://corp.example/a"}, UPNs: []string{"z@CORP"}})
	out[unusual.Leaf.Subject.CommonName] = &unusual
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, l := range []mtlstest.Leaf{{CN: "alice"}, {CN: "rsa", Key: rsaKey(f.t)}, {CN: "ed25519", Key: edwards}} {
		c := f.staff.Issue(l)
		out[l.CN] = &c
	}
	return out
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sized has names of so many bytes.
func (f *front) sized(cn string, bytes int) *tls.Certificate {
	l := mtlstest.Leaf{CN: cn}
	for i := range bytes / 64 {
		l.URIs = append(l.URIs, fmt.Sprintf("https://corp.example/%s%04d", strings.Repeat("x", 37), i))
	}
	c := f.staff.Issue(l)
	return &c
}

func (f *front) foreign() *tls.Certificate {
	c := mtlstest.NewCA(f.t, "Staff CA").Issue(mtlstest.Leaf{CN: "alice"})
	return &c
}

func (f *front) past() *tls.Certificate {
	c := f.staff.Issue(mtlstest.Leaf{CN: "alice", NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	return &c
}

// forged is a certificate and good verdicts under the names of the format, in spellings that could pass for them, and twice.
func (d deployed) forged(victim string) http.Header {
	h := http.Header{"Client-Cert": {":" + victim + ":"}}
	add := func(name, value string) {
		for _, n := range []string{name, strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.ToLower(name)} {
			h[n] = append(h[n], value, value)
		}
	}
	add("X-SSL-Client-Cert", victim)
	for name, value := range d.verdicts {
		add(name, value)
	}
	return h
}
