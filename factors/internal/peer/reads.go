package peer

// Reads are the headers that a source of certificates reads: none where it reads the connection's own.
type Reads struct {
	// Fields are there with a good certificate.
	Fields []Field `json:"fields"`
	// Secrets are headers by whose value the terminator is told from others.
	Secrets []string `json:"secrets"`
}

// Field is a header and what it has with a good certificate: text, with the words below in place of what depends on the
// certificate.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Words in the value of a Field, for ways to write a certificate. An Issuer word is of the certificate that signed it.
const (
	Base64     = "{base64}"
	PercentPEM = "{percent-pem}"
	SpacedPEM  = "{spaced-pem}"
	HexHash    = "{sha256-hex}"
	Base64Hash = "{sha256-base64}"

	IssuerBase64     = "{issuer-base64}"
	IssuerPercentPEM = "{issuer-percent-pem}"
	IssuerSpacedPEM  = "{issuer-spaced-pem}"
)
