package terminator

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Rule tells the terminator from everybody else. All that is set must hold.
//
// In the order of preference: a socket that nobody else may open, a certificate of the terminator's own, a secret that it
// adds, and last the network that it calls from, where nobody else can call from there.
type Rule struct {
	// Socket is the path of the Unix socket that the request came in by, as net.Listen was given it. Who may call is then
	// what the file's permissions and those of its folders say: others must not be able to write to it. Abstract sockets
	// have no permissions and are refused.
	Socket string
	// Identity is that of the certificate which the terminator presents to this program.
	Identity *Identity
	// Secret is a header that only the terminator knows the value of.
	Secret *Secret
	// Addresses are networks that the TCP connection comes from. X-Forwarded-For has nothing to do with it.
	Addresses []netip.Prefix
}

// Secret is a header with a secret. It is removed from every request, whoever sent it.
type Secret struct {
	Header string
	// Values are those that are good, each of 32 to 512 bytes: the new one beside the old one while they change. Random
	// ones, as openssl rand -hex 32 makes them.
	Values []string
}

// Bounds of a secret, in bytes.
const (
	minSecret = 32
	maxSecret = 512
)

var (
	errEmptyRule = errors.New("a rule that asks for nothing trusts everybody")
	errSocket    = errors.New("a socket is the absolute path of a Unix socket")
	errAddresses = errors.New("addresses are networks without host bits, and none of them is everything")
	errSecret    = errors.New("a secret needs a header, and values of 32 to 512 characters without spaces")
)

// rule is a Rule, ready to be asked.
type rule struct {
	Rule
	identity *identity
	header   string
	secrets  [][sha256.Size]byte
	labels   []string // what is said of a request that it holds for, by the secret; one where there is none
}

func newRule(r Rule) (*rule, error) {
	out := &rule{Rule: r, labels: []string{""}}
	var said []string
	if r.Socket != "" {
		if !filepath.IsAbs(r.Socket) {
			return nil, errSocket
		}
		said = append(said, "socket "+r.Socket)
	}
	if r.Identity != nil {
		var err error
		if out.identity, err = newIdentity(r.Identity); err != nil {
			return nil, err
		}
		said = append(said, "certificate "+strings.Join(append(slices.Clone(r.Identity.Keys), r.Identity.IDs...), " or "))
	}
	if len(r.Addresses) > 0 {
		if err := checkNetworks(r.Addresses); err != nil {
			return nil, err
		}
		said = append(said, "address "+fmt.Sprint(r.Addresses))
	}
	if r.Secret == nil {
		out.labels[0] = strings.Join(said, ", ")
	} else if err := out.takeSecrets(r.Secret, said); err != nil {
		return nil, err
	}
	if out.labels[0] == "" {
		return nil, errEmptyRule
	}
	return out, nil
}

func checkNetworks(networks []netip.Prefix) error {
	for _, p := range networks {
		if !p.IsValid() || p.Bits() == 0 || p != p.Masked() || p.Addr().Is4In6() {
			return errAddresses
		}
	}
	return nil
}

func (r *rule) takeSecrets(s *Secret, said []string) (err error) {
	if r.header, err = canonical(s.Header); err != nil {
		return err
	}
	if len(s.Values) == 0 {
		return errSecret
	}
	r.labels = nil
	for i, v := range s.Values {
		if len(v) < minSecret || len(v) > maxSecret || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
			return errSecret
		}
		r.secrets = append(r.secrets, sha256.Sum256([]byte(v)))
		r.labels = append(r.labels, strings.Join(append(slices.Clone(said), fmt.Sprintf("secret %s, value %d", r.header, i+1)), ", "))
	}
	return nil
}

// holds reports whether a request is the terminator's by this rule, and what is to be said of it.
func (r *rule) holds(req *http.Request, peer netip.Addr, now func() time.Time) (string, bool) {
	which := 0
	switch {
	case r.Socket != "" && !cameBy(req, r.Socket):
		return "", false
	case len(r.Addresses) > 0 && !inside(r.Addresses, peer):
		return "", false
	}
	if r.secrets != nil {
		if which = r.secretOf(req.Header[r.header]); which < 0 {
			return "", false
		}
	}
	if r.identity != nil && !r.identity.is(req.TLS, now()) {
		return "", false
	}
	return r.labels[which], true
}

// cameBy reports whether a request came in by a Unix socket.
func cameBy(r *http.Request, socket string) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
	return ok && at.Name == socket
}

func inside(networks []netip.Prefix, a netip.Addr) bool {
	for _, p := range networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// secretOf finds out which of the secrets a header has, in a time that does not depend on it; -1: none.
func (r *rule) secretOf(values []string) int {
	if len(values) != 1 || len(values[0]) > maxSecret {
		return -1
	}
	var text [maxSecret]byte
	sum := sha256.Sum256(text[:copy(text[:], values[0])])
	which := -1
	for i := range r.secrets {
		which = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], r.secrets[i][:]), i, which)
	}
	return which
}
