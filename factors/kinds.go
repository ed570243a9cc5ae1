package factors

import "github.com/sallyport-auth/sallyport/authn/policy"

// PolicyKinds are kinds as [policy.Load] takes them, so that a program names its kinds once:
//
//	kinds := []factors.Kind{mtls.Kind(), oauth.Kind()}
//	p, err := policy.Load("policy.yaml", factors.PolicyKinds(kinds)...)
func PolicyKinds(kinds []Kind) []policy.Kind {
	all := make([]policy.Kind, len(kinds))
	for i, k := range kinds {
		all[i] = k
	}
	return all
}
