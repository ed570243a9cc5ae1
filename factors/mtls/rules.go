package mtls

import (
	"slices"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// rule maps certificates to names of a tenant and, where its pattern captures one, a user.
type rule struct {
	from    source
	pattern pattern // zero for fromAnchor
	tenant  string  // empty: the pattern captures it, or the anchor's owner
}

// named is what a certificate says about who it belongs to. The user is a login name; empty: it names a tenant only.
type named struct{ tenant, user string }

// mapping is a list of rules. The first that matches wins.
type mapping []rule

// identifies is the most that the rules can say.
func (m mapping) identifies() authn.Identifies {
	if slices.ContainsFunc(m, rule.namesUser) {
		return authn.IdentifiesUser
	}
	return authn.IdentifiesTenant
}

// alwaysUser reports whether every rule names a user.
func (m mapping) alwaysUser() bool {
	return !slices.ContainsFunc(m, func(r rule) bool { return !r.namesUser() })
}

func (r rule) namesUser() bool { return r.from != fromAnchor && r.pattern.captures("user") }

// apply maps the names of a certificate whose path ends in anchor. The error is a [*factors.Rejection].
func (m mapping) apply(n names, anchor policy.Anchor) (named, error) {
	for _, r := range m {
		who, ok, err := r.apply(n, anchor)
		switch {
		case err != nil:
			return named{}, err
		case !ok:
			continue
		case !anchor.MaySpeakFor(who.tenant):
			return named{}, factors.Reject(ReasonForeignTenant, "anchor %q may not speak for the tenant it names", anchor.Name)
		}
		return who, nil
	}
	return named{}, factors.Reject(ReasonUnmapped, "no rule matches")
}

func (r rule) apply(n names, anchor policy.Anchor) (named, bool, error) {
	if r.from == fromAnchor {
		return named{tenant: anchor.Tenant}, anchor.Tenant != "", nil
	}
	values := n[r.from]
	if len(values) == 0 {
		return named{}, false, nil
	}
	if len(values) > 1 {
		return named{}, false, factors.Reject(ReasonAmbiguous, "%d values of %s", len(values), r.from)
	}
	if why := valueFault(r.from, values[0]); why != "" {
		return named{}, false, factors.Reject(ReasonBadName, "its %s %s", r.from, why)
	}
	user, tenant, ok := r.pattern.match(values[0])
	if r.tenant != "" {
		tenant = r.tenant
	}
	return named{tenant, user}, ok, nil
}
