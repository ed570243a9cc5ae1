package revocation

import (
	"crypto/sha256"
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sallyport-auth/sallyport/factors"
)

// body is a list taken apart: crypto/x509 reads the rest, and would make more than a kilobyte of every entry, of a list that
// anybody may have written.
type body struct {
	signed  []byte            // TBSCertList
	entries cryptobyte.String // revokedCertificates
	rest    []byte            // the list without its entries
}

// cutEntries takes a list apart (RFC 5280 section 5.1).
func cutEntries(der []byte) (body, bool) {
	var out body
	var list, head, tbs cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&list, tags.SEQUENCE) || !in.Empty() || !list.ReadASN1Element(&head, tags.SEQUENCE) {
		return body{}, false
	}
	out.signed = head
	if !head.ReadASN1(&tbs, tags.SEQUENCE) {
		return body{}, false
	}
	whole := tbs
	for _, tag := range []tags.Tag{tags.INTEGER, tags.SEQUENCE, tags.SEQUENCE} { // version, signature, issuer
		if !tbs.SkipASN1(tag) {
			return body{}, false
		}
	}
	for range 2 { // thisUpdate, nextUpdate
		if isTime(tbs) && !skipAny(&tbs) {
			return body{}, false
		}
	}
	before := whole[:len(whole)-len(tbs)]
	if tbs.PeekASN1Tag(tags.SEQUENCE) && !tbs.ReadASN1(&out.entries, tags.SEQUENCE) || !isOver(tbs, extensionsTag) || !isOver(list, tags.SEQUENCE, tags.BIT_STRING) {
		return body{}, false
	}
	var b cryptobyte.Builder
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(before)
			b.AddBytes(tbs)
		})
		b.AddBytes(list)
	})
	var err error
	out.rest, err = b.Bytes()
	return out, err == nil
}

var extensionsTag = tags.Tag(0).Constructed().ContextSpecific()

// isOver reports whether nothing is left but elements of these tags, or nothing at all.
func isOver(s cryptobyte.String, all ...tags.Tag) bool {
	if s.Empty() {
		return true
	}
	for _, tag := range all {
		if !s.SkipASN1(tag) {
			return false
		}
	}
	return s.Empty()
}

func isTime(s cryptobyte.String) bool {
	return s.PeekASN1Tag(tags.UTCTime) || s.PeekASN1Tag(tags.GeneralizedTime)
}

func skipAny(s *cryptobyte.String) bool {
	var value cryptobyte.String
	var tag tags.Tag
	return s.ReadAnyASN1Element(&value, &tag)
}

// readEntries keeps of each entry what it is found by. An entry that takes another back (removeFromCRL) means something in
// a delta list alone, where it revokes nothing; what it takes back is revoked until a complete list leaves it out. In a
// complete list it is an entry like others.
func (l *List) readEntries(entries cryptobyte.String) error {
	issuer := sha256.Sum256(l.issuer)
	l.revoked = map[[sha256.Size]byte]struct{}{}
	var serial big.Int
	for !entries.Empty() {
		var entry, extensions cryptobyte.String
		var limited bool
		if !entries.ReadASN1(&entry, tags.SEQUENCE) || !entry.ReadASN1Integer(&serial) || !isTime(entry) || !skipAny(&entry) ||
			!entry.ReadOptionalASN1(&extensions, &limited, tags.SEQUENCE) || !entry.Empty() {
			return fault(ReasonMalformed, "an entry cannot be read")
		}
		reason, err := readReason(extensions)
		if err != nil {
			return err
		}
		if l.delta && reason == removeFromCRL {
			continue
		}
		l.revoked[factors.SerialMark(issuer, &serial)] = struct{}{}
	}
	return nil
}

// readReason reads the extensions of an entry (RFC 5280 section 5.3): its reason is all that may be critical.
func readReason(extensions cryptobyte.String) (reason int, err error) {
	for !extensions.Empty() {
		var extension, value cryptobyte.String
		var id asn1.ObjectIdentifier
		critical := false
		if !extensions.ReadASN1(&extension, tags.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&id) ||
			extension.PeekASN1Tag(tags.BOOLEAN) && !extension.ReadASN1Boolean(&critical) ||
			!extension.ReadASN1(&value, tags.OCTET_STRING) || !extension.Empty() {
			return 0, fault(ReasonMalformed, "an extension of an entry cannot be read")
		}
		switch {
		case id.Equal(oidCertificateIssuer):
			return 0, fault(ReasonUnsupported, "it is an indirect list")
		case id.Equal(oidReasonCode) && (!value.ReadASN1Enum(&reason) || !value.Empty()):
			return 0, fault(ReasonMalformed, "a reason cannot be read")
		case critical && !id.Equal(oidReasonCode):
			return 0, fault(ReasonUnsupported, "an entry has a critical extension that is not known: %v", id)
		}
	}
	return reason, nil
}
