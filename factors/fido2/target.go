package fido2

import (
	"github.com/go-json-experiment/json"
	"github.com/go-webauthn/webauthn/protocol"

	stdjson "encoding/json"
)

// Target is the id of the credential that an answer says it is about, as [factors.Credential] has it. It is empty where
// the answer does not say, or says more than an id can be. Nothing is looked up, and nothing of it is proven.
func (f *Factor) Target(credential stdjson.RawMessage) string {
	var in struct {
		ID protocol.URLEncodedBase64 `json:"rawId"` // read as leniently as Verify does, so that spellings are one
	}
	if len(credential) > maxCredential || json.Unmarshal(credential, &in) != nil || len(in.ID) > maxCredentialID {
		return ""
	}
	return credentialID(in.ID)
}
