package main

import (
	"crypto"
	_ "crypto/sha256" // of thumbprints
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const hash = crypto.SHA256

// tokenClaims are those of the demonstration's tokens.
type tokenClaims struct {
	Issuer       string       `json:"iss"`
	Subject      string       `json:"sub"`
	Audience     string       `json:"aud"`
	Client       string       `json:"client_id"`
	Scope        string       `json:"scope"`
	ID           string       `json:"jti"`
	Issued       int64        `json:"iat"`
	NotBefore    int64        `json:"nbf,omitempty"`
	Expires      int64        `json:"exp"`
	Confirmation confirmation `json:"cnf"`
}

type confirmation struct {
	Certificate string `json:"x5t#S256"`
}

var errNoToken = errors.New("this is no token that can be read")

// claimsOf reads what a token says, for its owner: nothing of it is verified.
func claimsOf(token string) (c tokenClaims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errNoToken
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return c, errNoToken
	}
	return c, nil
}

// readToken reads the token in a file that nobody else can read.
func readToken(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return "", err
	}
	if about.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others: whoever reads it has the token. Run: chmod 600 %s", file, quote(file))
	}
	b, err := io.ReadAll(io.LimitReader(f, 16<<10+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if token == "" || len(b) > 16<<10 {
		return "", fmt.Errorf("%s holds no token", file)
	}
	return token, nil
}
