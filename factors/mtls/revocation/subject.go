package revocation

import (
	"crypto/sha256"
	"crypto/x509"

	"github.com/sallyport-auth/sallyport/factors"
)

// Subject is one certificate that is looked up: below an anchor, or one that only the marks were kept of.
type Subject struct {
	Marks  factors.Marks
	Issuer factors.Marks // Key and Subject are looked at
	CA     bool
	// Certificate and IssuerCertificate are nil where only the marks were kept. What was found out about it while they were
	// known is found again then, and nothing new can be asked for without them.
	Certificate, IssuerCertificate *x509.Certificate

	points [][]byte // names of its distribution points
}

// Path are the subjects of a verified path: all its certificates but the last, which is an anchor. marks are those of the
// chain.
func Path(chain []*x509.Certificate, marks []factors.Marks) []Subject {
	subjects := make([]Subject, 0, len(chain))
	for i, c := range chain[:len(chain)-1] {
		subjects = append(subjects, Subject{Marks: marks[i], Issuer: marks[i+1], CA: i > 0 || c.IsCA,
			Certificate: c, IssuerCertificate: chain[i+1], points: pointsOf(c)})
	}
	return subjects
}

// authority is a CA: a key and a name.
type authority struct{ key, name [sha256.Size]byte }

func authorityOf(m factors.Marks) authority { return authority{m.Key, m.Subject} }
