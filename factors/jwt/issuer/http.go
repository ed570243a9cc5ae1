package issuer

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// cached is how long verifiers may keep the key set, in seconds: less than a new key is published before it signs.
const cached = 600

// JWKS answers with the published keys.
func (i *Issuer) JWKS() http.Handler {
	return get(func() ([]byte, error) { return i.config.Keys.Published(i.config.Now()) })
}

// Metadata answers with the metadata of the issuer (RFC 8414 section 3), so that verifiers find the keys. jwks is the URL at
// which JWKS is served. Serve it at /.well-known/oauth-authorization-server of the issuer's host, before its path if it has
// one, and at its URL with /.well-known/openid-configuration behind it for verifiers that look there.
func (i *Issuer) Metadata(jwks string) http.Handler {
	return get(func() ([]byte, error) {
		return json.Marshal(map[string]any{"issuer": i.config.URL, "jwks_uri": jwks, "response_types_supported": []string{}, "grant_types_supported": []string{}})
	})
}

// get serves a document, or 503 where there is none.
func get(document func() ([]byte, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		b, err := document()
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(cached))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(b)
	})
}
