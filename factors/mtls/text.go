package mtls

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the most bytes that a name taken from a certificate may have.
const maxName = 256

// unseen are the characters that are not drawn, or that change how others are, and so let two names look alike.
var unseen = []*unicode.RangeTable{
	unicode.C, // control, format (zero-width, bidirectional), private use, surrogate
	unicode.Zl,
	unicode.Zp,
	unicode.Other_Default_Ignorable_Code_Point,
	unicode.Variation_Selector,
	unicode.Noncharacter_Code_Point,
}

// textFault says what is wrong with the characters of a name wherever in a certificate it stands; empty: nothing.
func textFault(s string) string {
	if !utf8.ValidString(s) {
		return "is not valid UTF-8"
	}
	for _, r := range s {
		switch {
		case unicode.In(r, unseen...):
			return "holds a control, zero-width or bidirectional character"
		case r != ' ' && unicode.Is(unicode.Zs, r), r == '\u2800': // BRAILLE PATTERN BLANK draws nothing
			return "holds a space that is not U+0020"
		case r == utf8.RuneError:
			return "holds a replacement character"
		}
	}
	return ""
}

// nameFault says why a name cannot be used to find somebody; empty: it can.
func nameFault(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > maxName:
		return "is longer than 256 bytes"
	case s[0] == ' ' || s[len(s)-1] == ' ':
		return "begins or ends with a space"
	}
	return textFault(s)
}

// asciiFault is for the IA5String of a SAN (RFC 5280 section 4.2.1.6).
func asciiFault(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "is not ASCII"
	}
	return ""
}

// dnsFault holds a DNS name to the preferred name syntax (RFC 1034 section 3.5), without wildcards: it is to name one.
func dnsFault(s string) string {
	if _, err := netip.ParseAddr(s); err == nil {
		return "is an address"
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "is no host name"
		}
		if strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			return "is no host name"
		}
	}
	return ""
}

// mailboxFault wants one "@" with something on both sides.
func mailboxFault(s string) string {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || domain == "" || strings.ContainsAny(domain, "@ ") || strings.HasSuffix(local, " ") {
		return "is no address"
	}
	return ""
}

// valueFault says why a value of a source cannot be used to find somebody; empty: it can.
func valueFault(from source, s string) string {
	if why := nameFault(s); why != "" {
		return why
	}
	switch from {
	case fromURI:
		return asciiFault(s)
	case fromDNS:
		return dnsFault(s)
	case fromEmail:
		if why := asciiFault(s); why != "" {
			return why
		}
		return mailboxFault(s)
	case fromUPN:
		return mailboxFault(s)
	}
	return ""
}
