package oauthtest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// idToken makes the ID token of a grant (OpenID Connect Core section 2), or one that lies.
func (p *Provider) idToken(g *grant, access string) string {
	now := p.now()
	claims := g.user.claims(g.request.scopes, p.config.Plain)
	maps.Copy(claims, map[string]any{"iss": p.Issuer, "aud": g.request.client.ID, "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(),
		"auth_time": g.browser.at.Unix(), "sid": g.browser.sid, "at_hash": p.half(access), "amr": g.user.AMR})
	if len(g.user.AMR) == 0 {
		claims["amr"] = []string{"pwd"}
	}
	if g.request.nonce != "" {
		claims["nonce"] = g.request.nonce
	}
	if g.user.ACR != "" {
		claims["acr"] = g.user.ACR
	}
	p.lieInClaims(claims, now)
	return p.sign("", p.written(claims), g.request.client.Secret)
}

// half is the left half of a hash (OpenID Connect Core section 3.1.3.6); for EdDSA with Ed25519 that of SHA-512.
func (p *Provider) half(access string) string {
	if p.config.Algorithm == "EdDSA" {
		sum := sha512.Sum512([]byte(access))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// written is the payload of a token.
func (p *Provider) written(claims map[string]any) []byte {
	b, err := json.Marshal(claims)
	if err != nil {
		panic(err) // a claim of the configuration is no JSON
	}
	if p.lies(DuplicateClaim) {
		b = append(bytes.TrimSuffix(b, []byte("}")), `,"sub":"somebody-else"}`...)
	}
	return b
}

func (p *Provider) lieInClaims(c map[string]any, now time.Time) {
	p.mu.Lock()
	lie := p.lie
	p.mu.Unlock()
	switch lie {
	case NonceOther:
		c["nonce"] = "another-nonce"
	case NonceMissing:
		delete(c, "nonce")
	case AZPForeign:
		c["azp"] = "another-client"
	case AudienceExtra:
		c["aud"], c["azp"] = []any{c["aud"], "another-client"}, c["aud"]
	case AudienceOther:
		c["aud"] = "another-client"
	case IssuerOfToken:
		c["iss"] = another
	case AtHashWrong:
		c["at_hash"] = p.half("another access token")
	case SubjectMissing:
		delete(c, "sub")
	case IssuedAtMissing:
		delete(c, "iat")
	case IssuedAtFuture:
		c["iat"], c["exp"] = now.Add(time.Hour).Unix(), now.Add(2*time.Hour).Unix()
	case Expired:
		c["exp"] = now.Add(-time.Hour).Unix()
	case AuthTimeOld:
		c["auth_time"] = now.AddDate(-1, 0, 0).Unix()
	case AuthTimeMissing:
		delete(c, "auth_time")
	case ACROther:
		c["acr"] = "another-class"
	}
}

// claims are those about a user that scopes open (OpenID Connect Core section 5.4).
func (u *User) claims(scopes []string, plain bool) map[string]any {
	has := func(scope string) bool { return plain || slices.Contains(scopes, scope) }
	c := map[string]any{}
	if has("profile") {
		maps.Copy(c, u.Claims)
		c["preferred_username"] = u.Name
		if u.FullName != "" {
			c["name"] = u.FullName
		}
	}
	if has("email") && u.Email != "" {
		c["email"], c["email_verified"] = u.Email, u.EmailVerified
	}
	if (has("groups") || has("profile")) && u.Groups != nil {
		c["groups"] = u.Groups
	}
	c["sub"] = u.subject()
	return c
}

// userinfo is the userinfo endpoint (OpenID Connect Core section 5.3).
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	access, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	g, there := p.access.get(access, p.now())
	p.mu.Unlock()
	if !ok || !there {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	claims := g.user.claims(g.request.scopes, p.config.Plain)
	if p.lies(UserinfoOther) {
		claims["sub"] = "somebody-else"
	}
	answer(w, http.StatusOK, claims)
}

// LogoutToken makes a logout token for a client (OpenID Connect Back-Channel Logout section 2.4), or one that lies. An empty sid
// leaves the session out: then it is about all sessions of the user. It panics where there is no such user or client.
func (p *Provider) LogoutToken(client, user, sid string) string {
	c, known := p.clients[client]
	u, there := p.users[user]
	if !known || !there {
		panic("oauthtest: a logout token for nobody")
	}
	now := p.now()
	claims := map[string]any{"iss": p.Issuer, "aud": client, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": rand.Text(), "sub": u.subject(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
	if sid != "" {
		claims["sid"] = sid
	}
	typ := "logout+jwt"
	p.mu.Lock()
	lie := p.lie
	p.mu.Unlock()
	switch lie {
	case LogoutNonce:
		claims["nonce"] = "a-nonce"
	case LogoutNoEvents:
		delete(claims, "events")
	case LogoutType:
		typ = "at+jwt"
	case LogoutNoID:
		delete(claims, "jti")
	case LogoutExpired:
		claims["iat"], claims["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
	case LogoutAudience:
		claims["aud"] = "another-client"
	}
	b, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return p.sign(typ, b, c.Secret)
}
