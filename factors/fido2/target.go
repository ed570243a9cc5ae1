package fido2

import (
	"encoding/json"

	"github.com/go-webauthn/webauthn/protocol"
)

// Target is the id of the credential that an answer says it is about, as [factors.Credential] has it. It is empty where
// the answer does not say, or says more than an id can be. Nothing is looked up, and nothing of it is proven.
func (f *Factor) Target(credential json.RawMessage) string {
	var in struct {
		ID protocol.URLEncodedBase64 `json:"rawId"`
	}
	// It is read as Verify reads it, so that every spelling of an id gives the same.
	if strictly(credential, &in) != nil || len(in.ID) > maxCredentialID {
		return ""
	}
	return credentialID(in.ID)
}
