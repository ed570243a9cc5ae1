// Package fido2test is an authenticator in software for tests: it answers the options of a relying party as a browser
// with a passkey would, and can be told to lie. It checks nothing that a browser would check beside the relying party id.
package fido2test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// Authenticator holds passkeys for one origin. Set its fields before a call to change what it says. It is not safe for
// concurrent use.
type Authenticator struct {
	Origin string // as browsers write it

	NotVerified    bool // the holder was not verified
	NotPresent     bool // the holder did not touch it
	BackupEligible bool // its passkeys can be copied
	BackedUp       bool // and were
	AAGUID         [16]byte
	Algorithm      webauthncose.COSEAlgorithmIdentifier // zero: ES256. Also EdDSA and RS256
	Counter        *uint32                              // the next counter to report; nil: one more than the last
	BadSignature   bool
	NoHandle       bool   // leave the user handle out
	Handle         []byte // report this user handle instead of the passkey's
	RPID           string // hash this relying party id instead of the one asked for
	Ceremony       string // report this type of client data instead of the one asked for
	CrossOrigin    bool   // say that it was asked from a frame
	Attest         Attest // how new passkeys are attested; nil: not at all
	// Rand is where ids of passkeys and keys for EdDSA come from; nil: crypto/rand. Keys of other algorithms are always
	// random.
	Rand         io.Reader
	ClientOrigin string // report this origin instead of Origin

	keys []*Passkey
}

// Passkey is one credential of an authenticator.
type Passkey struct {
	ID      []byte
	RPID    string
	Handle  []byte
	Counter uint32
	key     crypto.Signer
}

// Public is the passkey's public key.
func (k *Passkey) Public() crypto.PublicKey { return k.key.Public() }

// New makes an authenticator that verifies its holder and whose passkeys cannot be copied.
func New(origin string) *Authenticator { return &Authenticator{Origin: origin} }

// Passkeys are those it holds, oldest first.
func (a *Authenticator) Passkeys() []*Passkey { return a.keys }

// Forget removes all passkeys but the one with this id.
func (a *Authenticator) Forget(but []byte) {
	var kept []*Passkey
	for _, k := range a.keys {
		if bytes.Equal(k.ID, but) {
			kept = append(kept, k)
		}
	}
	a.keys = kept
}

type creationOptions struct {
	Challenge string `json:"challenge"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
}

type requestOptions struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	Allow     []struct {
		ID string `json:"id"`
	} `json:"allowCredentials"`
}

var encoding = base64.RawURLEncoding

// Create answers creation options with a new passkey, in the form of PublicKeyCredential.toJSON.
func (a *Authenticator) Create(publicKey json.RawMessage) (json.RawMessage, error) {
	var o creationOptions
	if err := json.Unmarshal(publicKey, &o); err != nil {
		return nil, fmt.Errorf("fido2test: %w", err)
	}
	handle, err := encoding.DecodeString(o.User.ID)
	if err != nil {
		return nil, fmt.Errorf("fido2test: user id: %w", err)
	}
	key, cose, err := newKey(a.Algorithm, a.random())
	if err != nil {
		return nil, fmt.Errorf("fido2test: %w", err)
	}
	k := &Passkey{ID: make([]byte, 32), RPID: o.RP.ID, Handle: handle, key: key}
	if _, err := io.ReadFull(a.random(), k.ID); err != nil {
		return nil, fmt.Errorf("fido2test: %w", err)
	}
	auth := a.authData(k, 0x40)
	auth = append(auth, a.AAGUID[:]...)
	auth = binary.BigEndian.AppendUint16(auth, uint16(len(k.ID)))
	auth = append(append(auth, k.ID...), cose...)
	client := a.clientData("webauthn.create", o.Challenge)
	object, err := a.attested(auth, client, key)
	if err != nil {
		return nil, fmt.Errorf("fido2test: %w", err)
	}
	a.keys = append(a.keys, k)
	return answer(k.ID, map[string]any{
		"clientDataJSON": encoding.EncodeToString(client), "attestationObject": encoding.EncodeToString(object),
		"transports": []string{"internal"}})
}

// Get answers request options with an assertion by the newest passkey that fits, in the form of
// PublicKeyCredential.toJSON.
func (a *Authenticator) Get(publicKey json.RawMessage) (json.RawMessage, error) {
	var o requestOptions
	if err := json.Unmarshal(publicKey, &o); err != nil {
		return nil, fmt.Errorf("fido2test: %w", err)
	}
	k := a.choose(o)
	if k == nil {
		return nil, errors.New("fido2test: no passkey fits")
	}
	client := a.clientData("webauthn.get", o.Challenge)
	auth := a.authData(k, 0)
	hash := sha256.Sum256(client)
	signature, err := sign(k.key, append(bytes.Clone(auth), hash[:]...))
	if err != nil {
		return nil, fmt.Errorf("fido2test: %w", err)
	}
	if a.BadSignature {
		signature[len(signature)-1] ^= 1
	}
	response := map[string]any{"clientDataJSON": encoding.EncodeToString(client), "authenticatorData": encoding.EncodeToString(auth),
		"signature": encoding.EncodeToString(signature)}
	handle := k.Handle
	if a.Handle != nil {
		handle = a.Handle
	}
	if !a.NoHandle {
		response["userHandle"] = encoding.EncodeToString(handle)
	}
	return answer(k.ID, response)
}

func (a *Authenticator) choose(o requestOptions) *Passkey {
	for i := len(a.keys) - 1; i >= 0; i-- {
		k := a.keys[i]
		if k.RPID != o.RPID {
			continue
		}
		if len(o.Allow) == 0 {
			return k
		}
		for _, allowed := range o.Allow {
			if allowed.ID == encoding.EncodeToString(k.ID) {
				return k
			}
		}
	}
	return nil
}

func answer(id []byte, response map[string]any) (json.RawMessage, error) {
	text := encoding.EncodeToString(id)
	return json.Marshal(map[string]any{"id": text, "rawId": text, "type": "public-key", "authenticatorAttachment": "platform",
		"clientExtensionResults": map[string]any{}, "response": response})
}

func (a *Authenticator) clientData(kind, challenge string) []byte {
	origin := a.Origin
	if a.ClientOrigin != "" {
		origin = a.ClientOrigin
	}
	if a.Ceremony != "" {
		kind = a.Ceremony
	}
	b, _ := json.Marshal(struct {
		Type        string `json:"type"`
		Challenge   string `json:"challenge"`
		Origin      string `json:"origin"`
		CrossOrigin bool   `json:"crossOrigin"`
	}{kind, challenge, origin, a.CrossOrigin})
	return b
}

// authData is the authenticator data (WebAuthn L3 section 6.1) up to the counter.
func (a *Authenticator) authData(k *Passkey, flags byte) []byte {
	for _, f := range []struct {
		on  bool
		bit byte
	}{{!a.NotPresent, 0x01}, {!a.NotVerified, 0x04}, {a.BackupEligible, 0x08}, {a.BackedUp, 0x10}} {
		if f.on {
			flags |= f.bit
		}
	}
	k.Counter++
	if a.Counter != nil {
		k.Counter = *a.Counter
	}
	id := k.RPID
	if a.RPID != "" {
		id = a.RPID
	}
	hash := sha256.Sum256([]byte(id))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), k.Counter)
}

func (a *Authenticator) random() io.Reader {
	if a.Rand == nil {
		return rand.Reader
	}
	return a.Rand
}

func newKey(alg webauthncose.COSEAlgorithmIdentifier, random io.Reader) (crypto.Signer, []byte, error) {
	switch alg {
	case 0, webauthncose.AlgES256:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			return nil, nil, err
		}
		cose, err := webauthncbor.Marshal(map[int]any{1: 2, 3: int64(webauthncose.AlgES256), -1: 1, -2: point[1:33], -3: point[33:]})
		return key, cose, err
	case webauthncose.AlgEdDSA:
		seed := make([]byte, ed25519.SeedSize)
		if _, err := io.ReadFull(random, seed); err != nil {
			return nil, nil, err
		}
		key := ed25519.NewKeyFromSeed(seed)
		public := key.Public().(ed25519.PublicKey)
		cose, err := webauthncbor.Marshal(map[int]any{1: 1, 3: int64(webauthncose.AlgEdDSA), -1: 6, -2: []byte(public)})
		return key, cose, err
	case webauthncose.AlgRS256:
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, nil, err
		}
		cose, err := webauthncbor.Marshal(map[int]any{1: 3, 3: int64(webauthncose.AlgRS256), -1: key.N.Bytes(), -2: big3(key.E)})
		return key, cose, err
	}
	return nil, nil, fmt.Errorf("no such algorithm: %d", alg)
}

func big3(e int) []byte { return []byte{byte(e >> 16), byte(e >> 8), byte(e)} }

func sign(key crypto.Signer, message []byte) ([]byte, error) {
	if _, ok := key.(ed25519.PrivateKey); ok {
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	hash := sha256.Sum256(message)
	return key.Sign(rand.Reader, hash[:], crypto.SHA256)
}
