package oauth

import (
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

const (
	maxValues     = 64      // of one attribute
	maxValue      = 1024    // bytes of one
	maxProfile    = 8 << 10 // of all names and values together
	displayClaim  = "name"  // OpenID Connect Core section 5.1
	emailClaim    = "email" //
	verifiedClaim = "email_verified"
)

// facts are claims about one user, from the most to the least trusted source: the ID token, then userinfo.
type facts []jose.Claims

// raw is a claim as it is written, of the first source that has it.
func (f facts) raw(name string) jsontext.Value {
	for _, c := range f {
		if c.Has(name) {
			return jsontext.Value(c.Raw(name))
		}
	}
	return nil
}

// values are those of a claim: a text, a whole number, a truth value, or a list of such. None where it is missing or null.
func (f facts) values(name string) ([]string, error) {
	raw := f.raw(name)
	if len(raw) == 0 || raw.Kind() == 'n' {
		return nil, nil
	}
	items := []jsontext.Value{raw}
	if raw.Kind() == '[' {
		items = nil
		if json.Unmarshal(raw, &items) != nil || len(items) > maxValues {
			return nil, factors.Reject(ReasonClaim, "%s has more than %d values", name, maxValues)
		}
	}
	var all []string
	for _, item := range items {
		text, ok := scalar(item)
		if !ok {
			return nil, factors.Reject(ReasonClaim, "%s has a value that is no short text, whole number or truth value", name)
		}
		all = append(all, text)
	}
	return all, nil
}

func scalar(v jsontext.Value) (string, bool) {
	switch v.Kind() {
	case '"':
		var s string
		err := json.Unmarshal(v, &s)
		return s, err == nil && len(s) <= maxValue && !strings.ContainsFunc(s, unicode.IsControl)
	case '0':
		s := string(v)
		return s, len(s) <= 20 && strings.Trim(strings.TrimPrefix(s, "-"), "0123456789") == ""
	case 't', 'f':
		return string(v), true
	}
	return "", false
}

// email is the address that the provider says it has verified. A word for true is not enough, and neither is an address from
// another source than the one that vouches for it.
func (f facts) email() string {
	for _, c := range f {
		if !c.Has(emailClaim) {
			continue
		}
		address, _, err := c.String(emailClaim)
		verified, _, vErr := c.Bool(verifiedClaim)
		if err != nil || vErr != nil || !verified || !elsewhere.Printable(address, 254) {
			return ""
		}
		return address
	}
	return ""
}

// name is a claim that names one user.
func (f facts) name(claim string) (string, error) {
	if claim == emailClaim {
		if address := f.email(); elsewhere.Printable(address, maxName) {
			return address, nil
		}
		return "", factors.Reject(ReasonClaim, "there is no verified e-mail address to name the user by")
	}
	values, err := f.values(claim)
	if err != nil {
		return "", err
	}
	if len(values) != 1 || f.raw(claim).Kind() == '[' || !elsewhere.Printable(values[0], maxName) {
		return "", factors.Reject(ReasonClaim, "%s names nobody: it is missing, too long, or has what cannot be seen", claim)
	}
	return values[0], nil
}

// display is how the user likes to be called; empty where the provider does not say.
func (f facts) display() string {
	values, err := f.values(displayClaim)
	if err != nil || len(values) != 1 || !elsewhere.Printable(values[0], maxName) {
		return ""
	}
	return values[0]
}

// attributes are what the policy asks for, and nothing else.
func (f facts) attributes(c *client) (map[string][]string, error) {
	all, size := map[string][]string{}, 0
	for _, name := range sortedKeys(c.attributes) {
		values, err := f.values(c.attributes[name])
		if err != nil {
			return nil, err
		}
		if values != nil {
			all[name] = values
		}
	}
	if address := f.email(); c.email && address != "" {
		all[emailClaim] = []string{address}
	}
	for name, values := range all {
		size += len(name)
		for _, v := range values {
			size += len(v)
		}
	}
	if size > maxProfile {
		return nil, factors.Reject(ReasonClaim, "the attributes are more than %d bytes", maxProfile)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}
