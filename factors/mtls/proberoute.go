package mtls

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/peer"
)

// Headers of what a probe asks.
const (
	probeToken = "Sallyport-Probe-Token"
	probeNonce = "Sallyport-Probe-Nonce" // comes back, so that no answer is another request's
	probeNames = "Sallyport-Probe-Names" // of headers to look for, with commas
	probeKnown = "Sallyport-Probe-Known" // fingerprints of certificates to tell apart, with commas
)

// Bounds on a probe's token and on what it asks.
const (
	minProbeToken, maxProbeToken = 32, 512
	maxProbeQuestion             = 8 << 10
	maxProbeBody                 = 64 << 10
)

// probeVersion is that of the answer.
const probeVersion = 1

var errProbeToken = errors.New("mtls: a probe's token has 32 to 512 characters without spaces")

// probeAnswer is what arrived at the program. It has no value of any header, and nothing of any certificate.
type probeAnswer struct {
	Version     int         `json:"sallyport_probe"`
	Nonce       string      `json:"nonce"`
	Reads       *peer.Reads `json:"reads"`       // null: no middleware looked at the request
	Certificate bool        `json:"certificate"` // there is a chain
	Known       int         `json:"known"`       // which of the certificates asked about it is, from 1; 0: none of them
	Source      string      `json:"source"`      // of the chain
	Checked     bool        `json:"checked"`     // the source verified it, by its own word
	Refused     string      `json:"refused"`     // the reason why a certificate was refused
	Removed     string      `json:"removed"`     // the reason why headers were removed
	Left        []string    `json:"left"`        // names asked about that are still in the header or the trailer
}

// ProbeRoute is the program's side of [Probe]: a handler that says what arrived of a request. It belongs behind the
// [Middleware] that the program's own routes are behind, and is reached as they are:
//
//	route, err := mtls.ProbeRoute(token)
//	router.Use(mtls.Middleware(front))
//	router.Handle("/probe", route)
//
// It answers to whoever shows the token, of 32 to 512 characters without spaces, and with 404 to everybody else. The
// answer says whether a certificate arrived, whether it is one that the asker named by its SHA-256, from which source it is, the reasons
// why certificates were refused or removed, the names of the headers that the source reads, and which names that the asker
// gave are still in the request. It has nothing of a certificate, and is not to be stored.
func ProbeRoute(token string) (http.Handler, error) {
	if !goodProbeToken(token) {
		return nil, errProbeToken
	}
	return &probeRoute{sha256.Sum256([]byte(token))}, nil
}

func goodProbeToken(token string) bool {
	return len(token) >= minProbeToken && len(token) <= maxProbeToken && visible(token)
}

// visible reports whether all of s are characters of ASCII that can be seen.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

type probeRoute struct{ token [sha256.Size]byte }

// ServeHTTP implements http.Handler.
func (p *probeRoute) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	nonce, ok := asked(r.Header, probeNonce)
	if !ok || !p.admits(r.Header[probeToken]) || r.Method != http.MethodGet && r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxProbeBody)) // the trailer is behind it
	body, err := json.Marshal(arrived(r, nonce))
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body)
}

// admits compares in a time that does not depend on the token.
func (p *probeRoute) admits(values []string) bool {
	if len(values) != 1 || len(values[0]) > maxProbeToken {
		return false
	}
	sum := sha256.Sum256([]byte(values[0]))
	return subtle.ConstantTimeCompare(sum[:], p.token[:]) == 1
}

// asked reads a header of the question, which is there once.
func asked(h http.Header, name string) (string, bool) {
	values := h[name]
	if len(values) != 1 || len(values[0]) > maxProbeQuestion {
		return "", false
	}
	return values[0], true
}

// arrived is what there is to say of a request whose body has been read.
func arrived(r *http.Request, nonce string) *probeAnswer {
	seen := peer.From(r.Context())
	out := &probeAnswer{
		Version: probeVersion, Nonce: nonce, Reads: seen.Reads, Refused: reasonOf(seen.Refused), Removed: reasonOf(seen.Removed),
	}
	if leaf := seen.Chain.Leaf(); leaf != nil {
		known, _ := asked(r.Header, probeKnown)
		out.Certificate, out.Known = true, place(fingerprint(leaf.Raw), known)
		out.Source, out.Checked = seen.Chain.Source().Name, seen.Chain.Source().Checked
	}
	names, _ := asked(r.Header, probeNames)
	for name := range strings.SplitSeq(names, ",") {
		if len(r.Header.Values(name))+len(r.Trailer.Values(name)) > 0 {
			out.Left = append(out.Left, name)
		}
	}
	return out
}

// place is where in a list s is, from 1; 0: nowhere.
func place(s, list string) int {
	i := 0
	for other := range strings.SplitSeq(list, ",") {
		if i++; other == s {
			return i
		}
	}
	return 0
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// reasonOf is the code of a refusal.
func reasonOf(err error) string {
	var rejected *factors.Rejection
	switch {
	case err == nil:
		return ""
	case errors.As(err, &rejected):
		return string(rejected.Reason)
	}
	return "unreadable"
}
