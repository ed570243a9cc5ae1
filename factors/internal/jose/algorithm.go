package jose

import (
	"crypto"
	"crypto/elliptic"
	"slices"
	"strings"

	_ "crypto/sha256" // the hashes of the table
	_ "crypto/sha512"

	"github.com/sallyport-auth/sallyport/authn"
)

type family int

const (
	pkcs1 family = iota + 1
	pss
	ecdsaRaw
	eddsa
)

// algorithm is a signature algorithm of RFC 7518 section 3.1 or RFC 8037 section 3.1.
type algorithm struct {
	name   string
	family family
	hash   crypto.Hash
	curve  elliptic.Curve // for ECDSA
}

var algorithms = []algorithm{
	{"ES256", ecdsaRaw, crypto.SHA256, elliptic.P256()},
	{"RS256", pkcs1, crypto.SHA256, nil},
	{"EdDSA", eddsa, 0, nil},
	{"PS256", pss, crypto.SHA256, nil},
	{"ES384", ecdsaRaw, crypto.SHA384, elliptic.P384()},
	{"ES512", ecdsaRaw, crypto.SHA512, elliptic.P521()},
	{"RS384", pkcs1, crypto.SHA384, nil},
	{"RS512", pkcs1, crypto.SHA512, nil},
	{"PS384", pss, crypto.SHA384, nil},
	{"PS512", pss, crypto.SHA512, nil},
}

// Algorithms are the names of all algorithms that exist here.
func Algorithms() []string {
	var all []string
	for _, a := range algorithms {
		all = append(all, a.name)
	}
	slices.Sort(all)
	return all
}

func algorithmOf(name string) *algorithm {
	for i := range algorithms {
		if algorithms[i].name == name {
			return &algorithms[i]
		}
	}
	return nil
}

// whyNot says why there is no algorithm of a name.
func whyNot(name string) authn.Reason {
	switch bare := strings.ToUpper(strings.TrimSpace(name)); {
	case bare == "NONE":
		return ReasonUnsigned
	case strings.HasPrefix(bare, "HS"):
		return ReasonSymmetric
	default:
		return ReasonAlgorithm
	}
}
