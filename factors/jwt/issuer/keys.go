package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

const (
	algorithm = "ES256"
	// ahead is how long a new key is published before it signs, so that whoever verifies tokens has it by then.
	ahead = time.Hour
	// behind is how long a key is published after another one signs: longer than any token of it lives.
	behind = MaxLifetime + 10*time.Minute
	// reread is how old what is known of the folder may be.
	reread  = time.Minute
	maxKeys = 64
	maxFile = 16 << 10
	suffix  = ".pem"
)

// DefaultEvery is how often keys are replaced.
const DefaultEvery = 30 * 24 * time.Hour

// Keys are the keys of an issuer, in a folder that several processes may share. Which one signs and which are published
// follows from when each was made, so there is nothing that could be half written. It is safe for concurrent use.
//
// A key is published an hour before it signs, except the first, and until the last token that it may have signed is over.
type Keys struct {
	dir   string
	every time.Duration

	mu   sync.Mutex
	all  []signer // oldest first
	read time.Time
}

// signer is a key of the folder.
type signer struct {
	made    time.Time
	kid     string
	file    string
	private *ecdsa.PrivateKey
	public  jose.Key
}

// OpenKeys opens a folder of keys, makes it where it is missing, and makes the first key. every is how often keys are
// replaced; zero means DefaultEvery, and it is no less than a day. A folder or key that others can read is an error.
func OpenKeys(dir string, every time.Duration, now time.Time) (*Keys, error) {
	if every == 0 {
		every = DefaultEvery
	}
	if every < 24*time.Hour {
		return nil, errors.New("issuer: keys are replaced once a day at the most")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	k := &Keys{dir: dir, every: every}
	return k, k.Rotate(now)
}

// Rotate makes a new key where the newest is old enough, and removes those that are no longer published. Call it now and
// then, from one process or many: two that do it at once make a key too many, and that is all.
func (k *Keys) Rotate(now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(now); err != nil {
		return err
	}
	if len(k.all) == 0 || !now.Before(k.all[len(k.all)-1].made.Add(k.every)) {
		if err := k.create(now); err != nil {
			return err
		}
	}
	k.sweep(now)
	for _, old := range k.all {
		if !published(k.all, old, now) {
			if err := os.Remove(old.file); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("issuer: %w", err)
			}
		}
	}
	return k.load(now)
}

// sweep removes what a kill left behind while a key was being written.
func (k *Keys) sweep(now time.Time) {
	left, _ := filepath.Glob(filepath.Join(k.dir, ".new-*"))
	for _, file := range left {
		if about, err := os.Lstat(file); err == nil && now.Sub(about.ModTime()) > time.Hour {
			_ = os.Remove(file) // it is tried again
		}
	}
}

// signing is the key that signs now.
func (k *Keys) signing(now time.Time) (signer, error) {
	all, err := k.current(now)
	if err != nil {
		return signer{}, err
	}
	return all[signs(all, now)], nil
}

// Published are the keys that tokens may have been signed with, as a JWK set (RFC 7517 section 5).
func (k *Keys) Published(now time.Time) ([]byte, error) {
	all, err := k.current(now)
	if err != nil {
		return nil, err
	}
	var keys []jose.Key
	for _, s := range all {
		if published(all, s, now) {
			keys = append(keys, s.public)
		}
	}
	return jose.FormatSet(keys)
}

// current is what is in the folder, as it was not long ago. A folder that cannot be read, or is empty, is an error.
func (k *Keys) current(now time.Time) ([]signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := now.Sub(k.read); age < 0 || age >= reread || len(k.all) == 0 {
		if err := k.load(now); err != nil {
			return nil, err
		}
	}
	if len(k.all) == 0 {
		return nil, errors.New("issuer: there is no key")
	}
	return k.all, nil
}

// signs is the index of the key that signs: the newest that was published long enough, or else the oldest.
func signs(all []signer, now time.Time) int {
	for i := len(all) - 1; i > 0; i-- {
		if !now.Before(all[i].made.Add(ahead)) {
			return i
		}
	}
	return 0
}

// published reports whether a key is: until behind after a newer one began to sign.
func published(all []signer, s signer, now time.Time) bool {
	for _, newer := range all {
		if newer.made.After(s.made) && !now.Before(newer.made.Add(ahead+behind)) {
			return false
		}
	}
	return true
}

func (k *Keys) load(now time.Time) error {
	if err := private(k.dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	var all []signer
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok { // what a kill left has no such name
			continue
		}
		s, err := readKey(filepath.Join(k.dir, e.Name()), name)
		if errors.Is(err, os.ErrNotExist) { // another process has just removed it
			continue
		}
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	if len(all) > maxKeys {
		return fmt.Errorf("issuer: %s holds more than %d keys", k.dir, maxKeys)
	}
	slices.SortFunc(all, func(a, b signer) int {
		if c := a.made.Compare(b.made); c != 0 {
			return c
		}
		return strings.Compare(a.kid, b.kid)
	})
	k.all, k.read = all, now
	return nil
}

// private refuses what others can read.
func private(path string) error {
	about, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if about.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("issuer: %s must be its owner's alone: whoever reads it can mint tokens", path)
	}
	return nil
}

// readKey reads a key whose file is named after when it was made, in milliseconds, and its thumbprint.
func readKey(file, name string) (signer, error) {
	at, kid, ok := strings.Cut(name, ".")
	milli, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil {
		return signer{}, fmt.Errorf("issuer: %s is no key of this issuer's: take it away", file)
	}
	if err := private(file); err != nil {
		return signer{}, err
	}
	about, err := os.Stat(file)
	if err != nil || about.Size() > maxFile {
		return signer{}, errors.Join(err, fmt.Errorf("issuer: %s is no key", file))
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return signer{}, fmt.Errorf("issuer: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return signer{}, fmt.Errorf("issuer: %s is no PEM", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, isEC := parsed.(*ecdsa.PrivateKey)
	if err != nil || !isEC || key.Curve != elliptic.P256() {
		return signer{}, fmt.Errorf("issuer: %s is no key of P-256", file)
	}
	s, err := newSigner(key, time.UnixMilli(milli))
	if err != nil || s.kid != kid {
		return signer{}, errors.Join(err, fmt.Errorf("issuer: %s is not the key that its name says", file))
	}
	s.file = file
	return s, nil
}

func newSigner(key *ecdsa.PrivateKey, made time.Time) (signer, error) {
	print, err := jose.Thumbprint(key.Public())
	if err != nil {
		return signer{}, err
	}
	kid := base64.RawURLEncoding.EncodeToString(print[:])
	public, err := jose.NewKey(key.Public(), kid, algorithm)
	return signer{made: made, kid: kid, private: key, public: public}, err
}

// create writes a new key, whole or not at all.
func (k *Keys) create(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	s, err := newSigner(key, now)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	f, err := os.CreateTemp(k.dir, ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	defer os.Remove(f.Name())
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(k.dir, strconv.FormatInt(now.UnixMilli(), 10)+"."+s.kid+suffix)); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	return k.load(now)
}
