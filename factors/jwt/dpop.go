package jwt

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

const (
	proofType = "dpop+jwt"
	proofAge  = time.Minute // how long after it was made a proof is taken
	maxProof  = 8 << 10     // bytes
)

// checkProof verifies a DPoP proof (RFC 9449 section 4.3) by the holder of the key with a thumbprint. Whether it was used
// before is for spend to say.
func (f *Factor) checkProof(r factors.Request, key digest) (spent, error) {
	s, c := f.settings, r.Carried
	if c.Proof == "" {
		return spent{}, factors.Reject(ReasonProofMissing, "")
	}
	claims, err := verifyProof(c.Proof, key)
	if err != nil {
		return spent{}, err
	}
	if err := checkAbout(claims, c); err != nil {
		return spent{}, err
	}
	made, present, err := claims.Time("iat")
	switch {
	case err != nil || !present:
		return spent{}, factors.Reject(ReasonProof, "iat")
	case made.After(r.Now.Add(s.leeway)) || r.Now.Sub(made) > proofAge+s.leeway:
		return spent{}, factors.Reject(ReasonProofTime, "")
	}
	id, err := proofText(claims, "jti")
	if err != nil {
		return spent{}, err
	}
	// Kept for longer than it is taken anywhere: another instance's clock may be behind, and another factor's leeway larger.
	return spent{key, id, made.Add(proofAge + 2*maxLeeway)}, f.checkNonce(r, claims)
}

// checkNonce wants a nonce of this factor's in a proof that is good otherwise. A rejection brings one along: whoever holds
// the key tries again with it (RFC 9449 section 8).
func (f *Factor) checkNonce(r factors.Request, claims jose.Claims) error {
	if f.nonces == nil {
		return nil
	}
	nonce, present, err := claims.String("nonce")
	if err == nil && present && f.nonces.good(nonce, r.Now, f.settings.leeway) {
		return nil
	}
	return &factors.Rejection{Reason: ReasonProofNonce, Nonce: f.nonces.fresh(r.Now)}
}

// verifyProof checks the form, the key and the signature of a proof.
func verifyProof(proof string, key digest) (jose.Claims, error) {
	t, err := jose.Parse(proof, maxProof)
	if err != nil {
		return jose.Claims{}, badProof(err)
	}
	if !t.Header.Is(proofType) {
		return jose.Claims{}, factors.Reject(ReasonProof, "it is another kind of token")
	}
	k, err := jose.ParseKey(t.Header.JWK)
	if err != nil {
		return jose.Claims{}, badProof(err)
	}
	if err := jose.Verify(t, k, jose.Algorithms()); err != nil {
		return jose.Claims{}, factors.Reject(ReasonProofSignature, "")
	}
	if sum := k.Thumbprint(); subtle.ConstantTimeCompare(sum[:], key[:]) != 1 {
		return jose.Claims{}, factors.Reject(ReasonProofKey, "")
	}
	c, err := jose.ParseClaims(t.Payload)
	if err != nil {
		return jose.Claims{}, badProof(err)
	}
	return c, nil
}

// badProof makes a rejection that says what of the form of a proof is wrong.
func badProof(err error) error { return factors.Reject(ReasonProof, "%v", err) }

// checkAbout holds a proof to the request and the token.
func checkAbout(claims jose.Claims, c factors.Carried) error {
	method, err := proofText(claims, "htm")
	if err != nil {
		return err
	}
	address, err := proofText(claims, "htu")
	if err != nil {
		return err
	}
	hash, err := proofText(claims, "ath")
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(c.Token))
	of := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case method != c.Method:
		return factors.Reject(ReasonProofMethod, "")
	case !sameAddress(address, c.URL):
		return factors.Reject(ReasonProofURL, "")
	case subtle.ConstantTimeCompare([]byte(hash), []byte(of)) != 1:
		return factors.Reject(ReasonProofToken, "")
	}
	return nil
}

func proofText(c jose.Claims, name string) (string, error) {
	text, present, err := c.String(name)
	if err != nil || !present || text == "" || len(text) > maxURI {
		return "", factors.Reject(ReasonProof, "%s", name)
	}
	return text, nil
}

// sameAddress compares an htu with the address of a request, without query and fragment, and however scheme, host, default
// port and unreserved characters are written (RFC 9449 section 4.3, RFC 3986 sections 6.2.2 and 6.2.3).
func sameAddress(claimed, actual string) bool {
	a, ok := normal(claimed)
	b, fine := normal(actual)
	return ok && fine && a == b
}

func normal(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", false
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + unescaped(path), true
}

// unescaped undoes the escapes of characters that need none, and writes the others in capitals (RFC 3986 section 6.2.2).
func unescaped(path string) string {
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		b, err := hex.DecodeString(path[min(i+1, len(path)):min(i+3, len(path))])
		switch {
		case path[i] != '%' || err != nil || len(b) != 1:
			out.WriteByte(path[i])
			continue
		case isUnreserved(b[0]):
			out.WriteByte(b[0])
		default:
			out.WriteString(strings.ToUpper(path[i : i+3]))
		}
		i += 2
	}
	return out.String()
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// spent is what of a proof is used once.
type spent struct {
	key   digest
	id    string
	until time.Time // when it could not be used any more
}

// spend uses a proof. It goes by its key and its jti alone, so that it is spent whichever factor and instance it came to.
func (f *Factor) spend(ctx context.Context, p spent) error {
	sum := sha256.Sum256(append(p.key[:], p.id...))
	first, err := f.env.Once.Use(ctx, KindName+":dpop:"+hex.EncodeToString(sum[:]), p.until)
	if err != nil {
		return fmt.Errorf("jwt: cannot say whether a proof was used before: %w", err)
	}
	if !first {
		return factors.Reject(ReasonProofReplayed, "")
	}
	return nil
}
