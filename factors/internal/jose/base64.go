package jose

import "strings"

// decodeText decodes base64url that stands in JSON, as strictly as a part of a token.
func decodeText(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, fault(ReasonEncoding)
	}
	return base64url.DecodeString(s)
}
