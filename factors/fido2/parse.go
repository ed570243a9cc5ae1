package fido2

import (
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-webauthn/webauthn/protocol"

	"github.com/sallyport-auth/sallyport/factors"
)

const (
	maxCredential   = 64 << 10 // bytes that a caller may send
	maxCredentialID = 1023     // bytes, WebAuthn L3 section 7.1
)

// parseAssertion reads what PublicKeyCredential.toJSON gives after get().
func parseAssertion(b []byte) (*protocol.ParsedCredentialAssertionData, error) {
	var in protocol.CredentialAssertionResponse
	if err := strictly(b, &in); err != nil {
		return nil, err
	}
	parsed, err := in.Parse()
	if err != nil || parsed == nil || len(parsed.RawID) > maxCredentialID || len(parsed.Response.UserHandle) > maxHandle {
		return nil, malformed()
	}
	return parsed, clientData(in.AssertionResponse.ClientDataJSON, &parsed.Response.CollectedClientData)
}

// parseCreation reads what PublicKeyCredential.toJSON gives after create().
func parseCreation(b []byte) (*protocol.ParsedCredentialCreationData, error) {
	var in protocol.CredentialCreationResponse
	if err := strictly(b, &in); err != nil {
		return nil, err
	}
	parsed, err := in.Parse()
	if err != nil || parsed == nil || len(parsed.RawID) > maxCredentialID {
		return nil, malformed()
	}
	return parsed, clientData(in.AttestationResponse.ClientDataJSON, &parsed.Response.CollectedClientData)
}

const maxHandle = 64 // bytes, WebAuthn L3 section 5.4.3

// strictly decodes one JSON value and nothing behind it: valid UTF-8, no name twice, none in another case. Names that it
// does not know are passed over, as browsers add some.
func strictly(b []byte, into any) error {
	if len(b) > maxCredential {
		return factors.Reject(factors.ReasonMalformed, "larger than %d bytes", maxCredential)
	}
	if err := json.Unmarshal(b, into, encoded); err != nil {
		return malformed()
	}
	return nil
}

// encoded reads base64url as the library does, with or without padding, and with fewer detours.
var encoded = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, into *protocol.URLEncodedBase64) error {
	token, err := d.ReadToken()
	if err != nil || token.Kind() == 'n' {
		return err
	}
	if token.Kind() != '"' {
		return malformed()
	}
	*into, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(token.String(), "="))
	return err
}))

// clientData reads what the client signed once more, strictly: the library takes "Origin" for "origin", and the last of two.
func clientData(b []byte, into *protocol.CollectedClientData) error {
	var in protocol.CollectedClientData
	if err := json.Unmarshal(b, &in); err != nil {
		return malformed()
	}
	*into = in
	return nil
}

func malformed() error { return factors.Reject(factors.ReasonMalformed, "") }
