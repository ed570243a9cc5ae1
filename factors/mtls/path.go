package mtls

import (
	"cmp"
	"crypto/x509"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/authn/policy"
	"github.com/sallyport-auth/sallyport/factors"
)

// maxPaths is how many paths to anchors are looked at for one certificate.
const maxPaths = 8

// trust is a set of anchors to which paths are built.
type trust struct {
	anchors []policy.Anchor
	owners  map[string]string // SubjectPublicKeyInfo of every anchor of the policy to the anchor's name
	domains map[string]string // trust domain of every anchor of the policy to the anchor's name
	roots   *x509.CertPool
	marks   *marks
}

// maxMarks bounds how many intermediates' marks are remembered.
const maxMarks = 256

// marks remembers those of anchors and, where the same value comes again, of intermediates that a path led through.
type marks struct {
	mu      sync.RWMutex
	anchors map[*x509.Certificate]factors.Marks
	others  map[*x509.Certificate]factors.Marks
}

func (m *marks) of(c *x509.Certificate) factors.Marks {
	if known, ok := m.anchors[c]; ok {
		return known
	}
	m.mu.RLock()
	known, ok := m.others[c]
	m.mu.RUnlock()
	if ok {
		return known
	}
	known = factors.MarksOf(c)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.others == nil || len(m.others) >= maxMarks {
		m.others = map[*x509.Certificate]factors.Marks{}
	}
	m.others[c] = known
	return known
}

// newTrust is trust in anchors, which are some of all that the policy has.
func newTrust(anchors, all []policy.Anchor) trust {
	t := trust{anchors: anchors, owners: map[string]string{}, domains: map[string]string{}, roots: x509.NewCertPool(), marks: &marks{anchors: map[*x509.Certificate]factors.Marks{}}}
	for _, a := range slices.Concat(all, anchors) { // where two share a key, the one that counts here
		if a.TrustDomain != "" {
			t.domains[a.TrustDomain] = a.Name
		}
		for _, c := range a.Certificates {
			t.owners[string(c.RawSubjectPublicKeyInfo)] = a.Name
		}
	}
	for _, a := range anchors {
		for _, c := range a.Certificates {
			t.roots.AddCert(c)
			t.marks.anchors[c] = factors.MarksOf(c)
		}
	}
	return t
}

// path leads from a leaf to an anchor.
type path struct {
	chain     []*x509.Certificate // leaf first, a certificate of the anchor last
	anchor    policy.Anchor
	notBefore time.Time // the latest of the chain
	notAfter  time.Time // the earliest
}

// paths builds the paths for TLS client authentication that are valid now. presented is leaf first, all others are
// hints. There is at least one path, or the error is a [*factors.Rejection].
func (t trust) paths(presented []*x509.Certificate, now time.Time) ([]path, error) {
	leaf := presented[0]
	if t.isAnchor(leaf) {
		return nil, factors.Reject(ReasonUntrusted, "it is a trust anchor itself")
	}
	if err := checkLeaf(leaf); err != nil {
		return nil, err
	}
	return t.build(presented, now, x509.ExtKeyUsageClientAuth)
}

// build is paths for a leaf that was checked.
func (t trust) build(presented []*x509.Certificate, now time.Time, usage x509.ExtKeyUsage) ([]path, error) {
	leaf := presented[0]
	hints, dropped := usable(presented[1:])
	options := x509.VerifyOptions{
		Roots:         t.roots,
		Intermediates: hints,
		CurrentTime:   now.Truncate(time.Second),
		KeyUsages:     []x509.ExtKeyUsage{usage},
	}
	chains, err := readable(leaf).Verify(options)
	if err != nil {
		return nil, untrusted(leaf, options, err, dropped)
	}
	paths := t.ending(leaf, slices.DeleteFunc(slices.Clone(chains), func(c []*x509.Certificate) bool { return !issuersNamed(c) }))
	if len(paths) == 0 && len(t.ending(leaf, chains)) > 0 {
		return nil, factors.Reject(ReasonNonconforming, "a certificate of its path has no authority key identifier")
	}
	if nearest := t.through(chains); len(paths) == 0 && nearest != "" {
		return nil, factors.Reject(ReasonUntrusted, "its path ends in anchor %q, the nearest, and not in one above that", nearest)
	}
	if len(paths) == 0 {
		return nil, factors.Reject(ReasonUntrusted, "no path ends in an anchor of this factor")
	}
	return paths, nil
}

// marksOf are the marks of a path, those of its leaf being known.
func (t trust) marksOf(chain []*x509.Certificate, leaf factors.Marks) []factors.Marks {
	marks := make([]factors.Marks, len(chain))
	marks[0] = leaf
	for i, c := range chain[1:] {
		marks[i+1] = t.marks.of(c)
	}
	return marks
}

func (t trust) isAnchor(c *x509.Certificate) bool {
	return slices.ContainsFunc(t.anchors, func(a policy.Anchor) bool {
		return slices.ContainsFunc(a.Certificates, func(o *x509.Certificate) bool { return sameCertificate(o, c) })
	})
}

// usable are the intermediates that a path may lead through, and why the first of the others was left out. Leaving them
// out before the path is built lets a path around them be found. Where there are none the pool is nil.
func usable(presented []*x509.Certificate) (pool *x509.CertPool, dropped error) {
	for _, c := range presented {
		if err := checkIntermediate(c); err != nil {
			dropped = cmp.Or(dropped, err)
			continue
		}
		if pool == nil {
			pool = x509.NewCertPool()
		}
		pool.AddCert(c)
	}
	return pool, dropped
}

// untrusted says why no path was found. That a certificate is out of date is said only of one that is good otherwise: a
// forged one is forged first.
func untrusted(leaf *x509.Certificate, options x509.VerifyOptions, err error, dropped error) error {
	now := options.CurrentTime
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		options.CurrentTime = leaf.NotBefore
		if now.After(leaf.NotAfter) {
			options.CurrentTime = leaf.NotAfter
		}
		if _, err := readable(leaf).Verify(options); err == nil {
			if now.After(leaf.NotAfter) {
				return factors.Reject(ReasonExpired, "it ended %s", leaf.NotAfter.UTC().Format(time.RFC3339))
			}
			return factors.Reject(ReasonNotYetValid, "it begins %s", leaf.NotBefore.UTC().Format(time.RFC3339))
		}
	}
	if rejection, ok := errors.AsType[*factors.Rejection](dropped); ok {
		return rejection
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.IncompatibleUsage {
		return factors.Reject(ReasonNotForClients, "a CA of its path may not sign certificates for clients")
	}
	return factors.Reject(ReasonUntrusted, "no path leads to an anchor of this factor")
}

// ending makes paths of the chains that end in an anchor. The leaf is the one presented, not a copy.
func (t trust) ending(leaf *x509.Certificate, chains [][]*x509.Certificate) []path {
	var paths []path
	for _, chain := range chains {
		if len(chain) < 2 || len(paths) == maxPaths {
			continue
		}
		last := chain[len(chain)-1]
		for _, a := range t.anchors {
			if t.nearest(chain, a.Name) != "" {
				continue
			}
			if slices.ContainsFunc(a.Certificates, func(o *x509.Certificate) bool { return sameCertificate(o, last) }) {
				paths = append(paths, newPath(leaf, chain, a))
				break
			}
		}
	}
	return paths
}

// nearest is the anchor, other than the one named, whose key a chain leads through; empty: there is none. The nearest
// anchor ends a path, so that a CA that is an anchor of its own speaks for its own tenants only, whoever else vouches for
// it.
func (t trust) nearest(chain []*x509.Certificate, than string) string {
	for _, c := range chain[1 : len(chain)-1] {
		if owner, ok := t.owners[string(c.RawSubjectPublicKeyInfo)]; ok && owner != than {
			return owner
		}
	}
	return ""
}

// through is the nearest anchor of the first chain that leads through one.
func (t trust) through(chains [][]*x509.Certificate) string {
	for _, chain := range chains {
		if len(chain) < 2 {
			continue
		}
		if name := t.nearest(chain, ""); name != "" {
			return name
		}
	}
	return ""
}

func newPath(leaf *x509.Certificate, chain []*x509.Certificate, anchor policy.Anchor) path {
	p := path{chain: slices.Clone(chain), anchor: anchor, notBefore: leaf.NotBefore, notAfter: leaf.NotAfter}
	p.chain[0] = leaf
	for _, c := range chain {
		if c.NotBefore.After(p.notBefore) {
			p.notBefore = c.NotBefore
		}
		if c.NotAfter.Before(p.notAfter) {
			p.notAfter = c.NotAfter
		}
	}
	return p
}
