package mtls

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

const testProbeToken = "0123456789abcdef0123456789abcdef"

func newProbeRoute(t *testing.T) http.Handler {
	t.Helper()
	route, err := ProbeRoute(testProbeToken)
	if err != nil {
		t.Fatal(err)
	}
	return route
}

// question is a request that the route answers.
func question(method string) *http.Request {
	r := httptest.NewRequest(method, "https://portal.example/probe", nil)
	r.Header.Set(probeToken, testProbeToken)
	r.Header.Set(probeNonce, "nonce")
	return r
}

// seenBy is the answer of the route to a request, of which this was seen.
func seenBy(t *testing.T, r *http.Request, seen peer.Seen) (probeAnswer, *httptest.ResponseRecorder) {
	t.Helper()
	w := httptest.NewRecorder()
	newProbeRoute(t).ServeHTTP(w, r.WithContext(peer.With(r.Context(), seen)))
	var a probeAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusOK {
		t.Fatalf("status %d, %v", w.Code, err)
	}
	return a, w
}

func TestProbeRouteIsNotThereWithoutItsToken(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"no token":          func(r *http.Request) { r.Header.Del(probeToken) },
		"an empty one":      func(r *http.Request) { r.Header.Set(probeToken, "") },
		"another":           func(r *http.Request) { r.Header.Set(probeToken, strings.Repeat("0", 32)) },
		"a part of it":      func(r *http.Request) { r.Header.Set(probeToken, testProbeToken[:31]) },
		"more than it":      func(r *http.Request) { r.Header.Set(probeToken, testProbeToken+"0") },
		"twice":             func(r *http.Request) { r.Header.Add(probeToken, testProbeToken) },
		"another beside it": func(r *http.Request) { r.Header[probeToken] = []string{"x", testProbeToken} },
		"in another header": func(r *http.Request) {
			r.Header.Del(probeToken)
			r.Header.Set("Authorization", "Bearer "+testProbeToken)
		},
		"too long":           func(r *http.Request) { r.Header.Set(probeToken, strings.Repeat("0", 1<<20)) },
		"no nonce":           func(r *http.Request) { r.Header.Del(probeNonce) },
		"a nonce too long":   func(r *http.Request) { r.Header.Set(probeNonce, strings.Repeat("n", 9<<10)) },
		"another method":     func(r *http.Request) { r.Method = http.MethodPut },
		"the preflight's":    func(r *http.Request) { r.Method = http.MethodOptions },
		"the token as query": func(r *http.Request) { r.Header.Del(probeToken); r.URL.RawQuery = "token=" + testProbeToken },
	} {
		r := question(http.MethodGet)
		change(r)
		w := httptest.NewRecorder()
		newProbeRoute(t).ServeHTTP(w, r)
		absent := httptest.NewRecorder()
		http.NotFound(absent, r)
		if w.Code != http.StatusNotFound || w.Body.String() != absent.Body.String() || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, %q", name, w.Code, w.Body)
		}
	}
}

func TestProbeRouteNeedsAToken(t *testing.T) {
	for _, token := range []string{"", "short", testProbeToken[:31], testProbeToken + " ", testProbeToken + "\n", testProbeToken + "ä", strings.Repeat("0", 513)} {
		if _, err := ProbeRoute(token); err == nil {
			t.Errorf("%q is taken", token)
		}
	}
	for _, token := range []string{testProbeToken, strings.Repeat("0", 512)} {
		if _, err := ProbeRoute(token); err != nil {
			t.Error(err)
		}
	}
}

func TestProbeRouteTellsWhatArrived(t *testing.T) {
	cert := mtlstest.NewCA(t, "Staff CA").Issue(mtlstest.Leaf{CN: "alice"})
	chain := peer.New(mtlstest.Chain(t, cert), peer.Source{Name: "front", Checked: true}, nil)
	reads := &peer.Reads{Fields: []peer.Field{{Name: "X-Cert", Value: peer.Base64}}, Secrets: []string{"X-Secret"}}
	r := question(http.MethodGet)
	r.Header.Set(probeKnown, "-,"+fingerprint(cert.Certificate[0]))

	a, w := seenBy(t, r, peer.Seen{Chain: chain, Reads: reads})
	if !a.Certificate || a.Known != 2 || a.Source != "front" || !a.Checked || a.Nonce != "nonce" || a.Version != 1 || len(a.Reads.Fields) != 1 || len(a.Reads.Secrets) != 1 {
		t.Errorf("%+v", a)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v", w.Header())
	}
	for _, secret := range []string{testProbeToken, "alice", base64.StdEncoding.EncodeToString(cert.Certificate[0])[:40], fingerprint(cert.Certificate[0])} {
		if bytes.Contains(w.Body.Bytes(), []byte(secret)) {
			t.Errorf("the answer holds %q", secret)
		}
	}

	if a, _ = seenBy(t, r, peer.Seen{Refused: factors.Reject(ReasonTooLarge, "of a secret"), Reads: reads}); a.Refused != string(ReasonTooLarge) || a.Certificate {
		t.Errorf("refused: %+v", a)
	}
	if a, _ = seenBy(t, r, peer.Seen{Removed: factors.Reject("certificate_sender_untrusted", "of a secret"), Reads: reads}); a.Removed != "certificate_sender_untrusted" {
		t.Errorf("removed: %+v", a)
	}
	if a, _ = seenBy(t, r, peer.Seen{Refused: io.EOF}); a.Refused != "unreadable" || a.Reads != nil {
		t.Errorf("without a middleware: %+v", a)
	}
	r.Header.Set(probeKnown, strings.Repeat("0", 64))
	if a, _ = seenBy(t, r, peer.Seen{Chain: chain, Reads: reads}); !a.Certificate || a.Known != 0 {
		t.Errorf("an unknown certificate: %+v", a)
	}
}

// Names that were asked about, and no others; never a value; those of the trailer too.
func TestProbeRouteTellsTheNamesThatAreLeft(t *testing.T) {
	server := httptest.NewServer(Middleware(FromTLS())(newProbeRoute(t)))
	defer server.Close()
	r, err := http.NewRequest(http.MethodPost, server.URL, io.MultiReader(strings.NewReader("-"))) // of unknown length
	if err != nil {
		t.Fatal(err)
	}
	r.Header = question(http.MethodPost).Header
	r.Header["X_cert"] = []string{"value-of-a-header"}
	r.Header.Set("X-Other", "value-of-another")
	r.Header.Set(probeNames, "X_CERT,X-Missing,x-TRAILED,")
	r.Trailer = http.Header{"X-Trailed": {"value-of-a-trailer"}}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a probeAnswer
	if err := json.Unmarshal(body, &a); err != nil || !slices.Equal(a.Left, []string{"X_CERT", "x-TRAILED"}) || a.Reads == nil || bytes.Contains(body, []byte("value-of")) {
		t.Errorf("%v: %s", err, body)
	}
}
