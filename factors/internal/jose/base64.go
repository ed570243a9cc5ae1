package jose

import "strings"

// decodeText decodes base64url that stands in JSON, as strictly as a part of a token.
func decodeText(s string) ([]byte, error) {
	if brokenLines(s) {
		return nil, fault(ReasonEncoding)
	}
	return base64url.DecodeString(s)
}

// brokenLines reports whether s has the line breaks that the decoder of the standard library skips.
func brokenLines(s string) bool {
	return strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0
}
