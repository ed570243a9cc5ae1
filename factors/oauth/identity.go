package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/factors"
)

// identity is who signed in, as the provider says.
type identity struct {
	tenant string
	issuer string
	sub    string
	sid    string // of the session there; empty: none
	since  time.Time
	facts  facts
}

// id names the credential that the identity is: in a tenant, an issuer's subject. Two tenants that use one provider have two
// credentials for one person, and so have two factors: a credential is named by its id alone.
func (i identity) id(factor string) string {
	return digest("oauth credential", factor, i.tenant, i.issuer, i.sub)
}

// key names the account behind credentials, whichever factor's they are.
func (i identity) key() string { return digest("oauth identity", i.tenant, i.issuer, i.sub) }

// name is the login name that a new user is to have: that of the claim, or the subject where the provider does not say. An
// e-mail address that the policy wants is never left out.
func (i identity) name(claim string) (string, error) {
	if raw := i.facts.raw(claim); claim != emailClaim && (len(raw) == 0 || raw.Kind() == 'n') {
		return i.sub, nil
	}
	return i.facts.name(claim)
}

// digest is a hash of some texts, each with its length before it.
func digest(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		put(h, t)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func put(h hash.Hash, s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }

// handles are the names by which the provider may end what was won with a sign-in (OpenID Connect Back-Channel Logout 1.0
// section 2.4): its session, and the user.
func handles(issuer, sid, sub string) []string {
	var all []string
	if sid != "" {
		all = append(all, "sid:"+issuer+"\x00"+sid)
	}
	if sub != "" {
		all = append(all, "sub:"+issuer+"\x00"+sub)
	}
	return all
}

// record is what is stored of an identity: what a credential of this factor is.
type record struct {
	Version    int                 `json:"v"`
	Issuer     string              `json:"issuer"`
	Subject    string              `json:"subject"`
	Display    string              `json:"display,omitzero"`
	Attributes map[string][]string `json:"attributes,omitzero"` // as of the last sign-in
}

const recordVersion = 1

// record reads what the policy asks for of the claims, and gives it as a credential stores it too.
func (i identity) record(c *client) (seen record, data []byte, err error) {
	seen = record{Version: recordVersion, Issuer: i.issuer, Subject: i.sub, Display: i.facts.display()}
	if seen.Attributes, err = i.facts.attributes(c); err != nil {
		return record{}, nil, err
	}
	if data, err = json.Marshal(seen, json.Deterministic(true)); err != nil {
		return record{}, nil, fmt.Errorf("oauth: %w", err)
	}
	return seen, data, nil
}

// isOf reports an error where a stored credential is not the identity that it was found by.
func (i identity) isOf(c factors.Credential) error {
	var r record
	if json.Unmarshal(c.Data, &r) != nil || r.Version != recordVersion || r.Issuer != i.issuer || r.Subject != i.sub {
		return errors.New("oauth: a stored credential cannot be read, or is another identity's")
	}
	return nil
}
