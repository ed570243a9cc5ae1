package jose

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// FormatKey writes a key as a JWK for signatures.
func FormatKey(k Key) ([]byte, error) {
	p, err := partsOf(k.public)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Kid   string `json:"kid,omitzero"`
		Use   string `json:"use"`
		Alg   string `json:"alg,omitzero"`
		parts `json:",inline"`
	}{k.kid, "sig", k.alg, p})
}

// FormatSet writes keys as a JWK set (RFC 7517 section 5).
func FormatSet(keys []Key) ([]byte, error) {
	set := struct {
		Keys []jsontext.Value `json:"keys"`
	}{Keys: []jsontext.Value{}}
	for _, k := range keys {
		b, err := FormatKey(k)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, b)
	}
	return json.Marshal(set)
}
