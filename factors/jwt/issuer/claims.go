package issuer

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// claims are those of a token (RFC 9068 section 2.2).
type claims struct {
	Issuer        string        `json:"iss"`
	Subject       string        `json:"sub"` // the login name
	Tenant        string        `json:"tenant"`
	Audience      string        `json:"aud"`
	Expires       int64         `json:"exp"`
	Issued        int64         `json:"iat"`
	ID            string        `json:"jti"`
	Client        string        `json:"client_id"`
	Session       string        `json:"sid"`
	Authenticated *int64        `json:"auth_time,omitempty"`
	ACR           string        `json:"acr"`
	AMR           []string      `json:"amr"`
	Scope         string        `json:"scope,omitempty"`
	Confirmation  *confirmation `json:"cnf,omitempty"`
}

// confirmation is what a token is bound to (RFC 8705 section 3.1).
type confirmation struct {
	Certificate string `json:"x5t#S256"`
}

func (i *Issuer) claims(g Grant, now time.Time) claims {
	p := &g.Principal
	a := p.Assurance()
	c := claims{Issuer: i.config.URL, Subject: p.Names.User, Tenant: p.Subject.Tenant, Audience: g.Audience, Issued: now.Unix(), Client: i.config.URL,
		Session: g.Session + "." + p.Login, ACR: "aal" + strconv.Itoa(a.AAL), AMR: a.AMR, Scope: strings.Join(g.Scopes, " "), Authenticated: shownAt(p)}
	life := i.config.Lifetime
	if g.Lifetime > 0 && g.Lifetime < life {
		life = g.Lifetime
	}
	ends := now.Add(life)
	for _, at := range append(expiries(p), p.Deadline) {
		if !at.IsZero() && at.Before(ends) {
			ends = at
		}
	}
	c.Expires = ends.Unix() // the fraction of a second is cut: never later
	if g.Peer.Present() {
		mark := factors.MarksOf(g.Peer.Leaf()).Certificate
		c.Confirmation = &confirmation{base64.RawURLEncoding.EncodeToString(mark[:])}
	}
	return c
}

func expiries(p *authn.Principal) []time.Time {
	var all []time.Time
	for _, e := range p.All() {
		all = append(all, e.Expires)
	}
	return all
}

// shownAt is when the person last showed a credential, as the evidence has it: a token never makes it look fresher. It is
// nil where nobody says.
func shownAt(p *authn.Principal) *int64 {
	var last *int64
	for _, e := range p.All() {
		at := e.At
		if !e.Since.IsZero() && e.Since.Before(at) {
			at = e.Since
		}
		if n := at.Unix(); !e.Ambient && n > 0 && (last == nil || n > *last) {
			last = &n
		}
	}
	return last
}
