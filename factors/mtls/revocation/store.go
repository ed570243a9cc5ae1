package revocation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Store keeps fetched lists for the next start: a server of lists that is down then keeps nobody out, and no older list is
// taken for the newest. It is safe for concurrent use. What it gives is verified again, so it need not be trusted with
// more than being there.
type Store interface {
	// Load gives what was saved under a name; nil: nothing was.
	Load(ctx context.Context, name string) ([]byte, error)
	// Save puts a value in the place of what is there, wholly or not at all.
	Save(ctx context.Context, name string, value []byte) error
}

// Folder is a [Store] in a folder of the program's own, made with mode 0700 if it is not there.
type Folder string

// maxStored is the most bytes of a value.
const maxStored = 4 * MaxList

// Load implements [Store].
func (f Folder) Load(_ context.Context, name string) ([]byte, error) {
	file, err := os.Open(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("revocation: %w", err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxStored+1))
	if err == nil && len(b) > maxStored {
		err = errors.New("a stored list is too large")
	}
	if err != nil {
		return nil, fmt.Errorf("revocation: %w", err)
	}
	return b, nil
}

// Save implements [Store].
func (f Folder) Save(_ context.Context, name string, value []byte) error {
	if err := f.save(f.path(name), value); err != nil {
		return fmt.Errorf("revocation: %w", err)
	}
	return nil
}

func (f Folder) save(path string, value []byte) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(string(f), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(value)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func (f Folder) path(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(string(f), hex.EncodeToString(sum[:])+".pem")
}

// storedAs names a source in the store.
func (s *source) storedAs() string { return s.factor + "\n" + s.address }

// load takes in what the store has, once, before anything is fetched.
func (s *source) load(ctx context.Context, now time.Time) {
	if s.keeper.config.Store == nil {
		return
	}
	s.mu.Lock()
	loaded := s.loaded
	s.loaded = true
	s.mu.Unlock()
	if loaded {
		return
	}
	b, err := s.keeper.config.Store.Load(ctx, s.storedAs())
	if err == nil {
		err = s.restore(now, b)
	}
	if err != nil {
		s.keeper.count(s.factor, ReasonNotStored)
	}
}

// restore reads pairs of a CA and a list of its.
func (s *source) restore(now time.Time, b []byte) error {
	var issuer *x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		var err error
		if block.Type == "CERTIFICATE" {
			issuer, err = x509.ParseCertificate(block.Bytes)
		} else if issuer == nil {
			err = fault(ReasonMalformed, "a stored list without its issuer")
		} else {
			var l *List
			if l, err = ParseList(block.Bytes); err == nil {
				s.hold(now, l, issuer)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// store saves what is held.
func (s *source) store(ctx context.Context) {
	if s.keeper.config.Store == nil {
		return
	}
	var all []held
	s.mu.Lock()
	for _, lists := range s.held {
		all = append(all, lists...)
	}
	s.mu.Unlock()
	var b bytes.Buffer
	for _, h := range all {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: h.issuer.Raw}) // a buffer takes everything
		_ = pem.Encode(&b, &pem.Block{Type: "X509 CRL", Bytes: h.list.signed.Raw})
	}
	if b.Len() > maxStored || s.keeper.config.Store.Save(ctx, s.storedAs(), b.Bytes()) != nil {
		s.keeper.count(s.factor, ReasonNotStored)
	}
}
