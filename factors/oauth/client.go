package oauth

import (
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn"

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
)

// client is what this portal is at one provider.
type client struct {
	issuer     string
	id         string
	proof      proof
	scopes     []string
	unadvert   bool   // PKCE is used though the provider does not say that it knows it
	par        string // auto, required or off
	maxAge     time.Duration
	acr        []string
	strength   authn.Strength
	prompt     string
	user       string // claim that names a new user
	email      bool
	provision  bool
	attributes map[string]string // attribute to claim
	userinfo   bool
	roots      *x509.CertPool // nil: the system's
	redirect   string         // shared, own, or empty: as the provider identifies itself
	algorithms []string
	audiences  []string
	// Of plain OAuth 2.0.
	plain   *metadata
	subject string // claim
}

const (
	maxName       = 128 // bytes of the name of a tenant, a user, an attribute or a claim
	maxAttributes = 32
)

var (
	// defaultAlgorithms are those of ID tokens where the policy names none. Secrets that two parties share sign nothing here.
	defaultAlgorithms = []string{"RS256", "ES256", "EdDSA", "PS256"}
	knownAlgorithms   = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)

// readClient reads one client's settings, and what they name.
func readClient(r reader) (*client, error) {
	c := &client{issuer: r.in.Issuer, id: r.in.ClientID, maxAge: r.in.MaxAge, acr: r.in.ACR, audiences: r.in.Audiences,
		attributes: r.in.Attributes, strength: authn.Strength{Category: authn.Know}}
	for _, read := range []func(reader) error{c.readKind, c.readIdentity, c.readProof, c.readChoices, c.readScopes, c.readClasses,
		c.readAlgorithms, c.readUser, c.readAttributes, c.readRoots, c.readPlain} {
		if err := read(r); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// readKind refuses the keys of the other kind.
func (c *client) readKind(r reader) error {
	others, other := plainKeys, PlainKindName
	if r.kind == PlainKindName {
		others, other = connectKeys, KindName
	}
	for _, key := range others {
		if r.in.has(key) {
			return r.errorf(key, "is a setting of the kind %s", other)
		}
	}
	return nil
}

func (c *client) readIdentity(r reader) error {
	if c.issuer == "" {
		return r.errorf("issuer", "an issuer is wanted: the URL by which the provider names itself")
	}
	if err := checkIssuer(c.issuer); err != nil {
		return r.errorf("issuer", "%v", err)
	}
	if c.id == "" || !elsewhere.Printable(c.id, 1024) {
		return r.errorf("client_id", "a client_id is wanted: the name that the provider knows this portal by")
	}
	return nil
}

// readChoices reads what is one of a few words.
func (c *client) readChoices(r reader) (err error) {
	pkce, err := r.oneOf("pkce", r.in.PKCE, "required", "unadvertised")
	if err != nil {
		return err
	}
	c.unadvert = pkce == "unadvertised"
	if c.par, err = r.oneOf("par", r.in.PAR, "auto", "required", "off"); err != nil {
		return err
	}
	if c.prompt, err = r.oneOf("prompt", r.in.Prompt, "", "login", "consent", "select_account"); err != nil {
		return err
	}
	if c.redirect, err = r.oneOf("redirect", r.in.Redirect, "", "shared", "own"); err != nil {
		return err
	}
	if c.provision, err = r.onOff("provision", r.in.Provision); err != nil {
		return err
	}
	if c.userinfo, err = r.onOff("userinfo", r.in.Userinfo); err != nil {
		return err
	}
	email, err := r.oneOf("email", r.in.Email, "", "verified")
	c.email = email != ""
	return err
}

func (c *client) readScopes(r reader) error {
	if err := r.list("scopes", r.in.Scopes, isScope, "no scope (RFC 6749 section 3.3)"); err != nil {
		return err
	}
	if r.kind == KindName {
		c.scopes = []string{"openid"}
	}
	wanted := r.in.Scopes
	if c.email && r.kind == KindName {
		wanted = append(slices.Clip(wanted), "email")
	}
	for _, s := range wanted {
		if !slices.Contains(c.scopes, s) {
			c.scopes = append(c.scopes, s)
		}
	}
	return nil
}

// isScope reports a scope-token of RFC 6749 section 3.3.
func isScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c < '!' || c > '~' || c == '"' || c == '\\' })
}

// readClasses reads the authentication context classes, and what the policy takes a sign-in of one of them for.
func (c *client) readClasses(r reader) error {
	if err := r.list("acr", c.acr, func(s string) bool { return elsewhere.Printable(s, 256) && !strings.Contains(s, " ") }, "no acr value"); err != nil {
		return err
	}
	if r.in.MaxAge != 0 && r.in.MaxAge < time.Second {
		return r.errorf("max_age", "is a second at the least")
	}
	a := r.in.Assurance
	switch {
	case a == nil:
		return nil
	case len(c.acr) == 0:
		return r.errorf("assurance", "needs acr: without one the provider says nothing about how somebody signed in")
	case a.AAL != 1 && a.AAL != 2:
		return r.errorf("assurance.aal", "is 1 or 2: that a key lies in hardware cannot be seen from here")
	case a.PhishingResistant && a.AAL != 2:
		return r.errorf("assurance.phishing_resistant", "needs aal: 2")
	}
	if a.AAL == 2 {
		c.strength = authn.Strength{Category: authn.Know | authn.Have, PhishingResistant: a.PhishingResistant}
	}
	return nil
}

func (c *client) readAlgorithms(r reader) error {
	known := func(s string) bool { return slices.Contains(knownAlgorithms, s) }
	if err := r.list("algorithms", r.in.Algorithms, known, "none of "+strings.Join(knownAlgorithms, ", ")); err != nil {
		return err
	}
	if c.algorithms = r.in.Algorithms; c.algorithms == nil {
		c.algorithms = defaultAlgorithms
	}
	return r.list("audiences", c.audiences, func(s string) bool { return elsewhere.Printable(s, 1024) && s != c.id }, "no further audience")
}

func (c *client) readUser(r reader) error {
	c.subject, c.user = "sub", "sub"
	if r.in.Subject != "" {
		c.subject, c.user = r.in.Subject, r.in.Subject
	}
	if r.in.User != nil {
		c.user = r.in.User.Claim
	}
	if !elsewhere.Printable(c.subject, maxName) {
		return r.errorf("subject", "is no name of a claim")
	}
	if !elsewhere.Printable(c.user, maxName) {
		return r.errorf("user", "needs claim, the name of a claim")
	}
	if c.user == "email" && !c.email {
		return r.errorf("user.claim", "e-mail addresses are read only with email: verified")
	}
	return nil
}

func (c *client) readAttributes(r reader) error {
	if len(c.attributes) > maxAttributes {
		return r.errorf("attributes", "are %d at the most", maxAttributes)
	}
	for _, name := range sortedKeys(c.attributes) {
		claim := c.attributes[name]
		switch {
		case !elsewhere.Printable(name, maxName) || !elsewhere.Printable(claim, maxName):
			return r.errorf("attributes."+name, "is no name of an attribute, or of a claim")
		case claim == "email":
			return r.errorf("attributes."+name, "e-mail addresses are read only with email: verified")
		case name == "email" && c.email:
			return r.errorf("attributes."+name, "is what email: verified fills")
		}
	}
	return nil
}

func (c *client) readPlain(r reader) error {
	if r.kind != PlainKindName {
		return nil
	}
	c.plain = &metadata{Issuer: c.issuer, Authorization: r.in.Authorization, Token: r.in.Token, Userinfo: r.in.UserinfoPage}
	for _, e := range []struct{ key, url string }{{"authorization_endpoint", c.plain.Authorization}, {"token_endpoint", c.plain.Token},
		{"userinfo_endpoint", c.plain.Userinfo}} {
		if e.url == "" {
			return r.errorf(e.key, "%s is wanted: these providers publish none", e.key)
		}
		if err := checkEndpoint(e.url, c.issuer); err != nil {
			return r.errorf(e.key, "%v", err)
		}
	}
	return nil
}
