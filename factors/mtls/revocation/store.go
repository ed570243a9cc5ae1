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

	"github.com/sallyport-auth/sallyport/factors/internal/elsewhere"
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
func (f Folder) Load(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
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
func (f Folder) Save(ctx context.Context, name string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
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

// load takes in what the store has, once, before anything is looked up: nobody goes on without what is being read. A store
// that fails is asked again later. It errs only when ctx ends meanwhile.
func (s *source) load(ctx context.Context, now time.Time) error {
	if s.keeper.config.Store == nil || !s.unread(now) {
		return nil
	}
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-ctx.Done():
		return fmt.Errorf("revocation: %w", ctx.Err())
	}
	if !s.unread(now) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), elsewhere.TotalTime) // it is for the others too
	defer cancel()
	b, err := s.keeper.config.Store.Load(ctx, s.storedAs())
	loaded := err == nil
	if loaded {
		err = s.restore(now, b)
	}
	if err != nil {
		s.keeper.count(s.factor, ReasonNotStored)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded, s.reread = loaded, now.Add(retryEvery)
	return nil
}

// unread reports whether the store is to be asked.
func (s *source) unread(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.loaded && !now.Before(s.reread)
}

// restore reads pairs of a CA and a list of its. What is damaged is passed over, so that it takes nothing else with it.
func (s *source) restore(now time.Time, b []byte) (wrong error) {
	var issuer *x509.Certificate
	rest := b
	for block, more := pem.Decode(rest); block != nil; block, more = pem.Decode(rest) {
		rest = more
		if block.Type == "CERTIFICATE" {
			var err error
			if issuer, err = x509.ParseCertificate(block.Bytes); err != nil {
				issuer, wrong = nil, err
			}
			continue
		}
		l, err := ParseList(block.Bytes)
		switch {
		case err != nil:
			wrong = err
		case issuer == nil:
			wrong = fault(ReasonMalformed, "a stored list without its issuer")
		default:
			s.hold(now, l, issuer)
		}
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		wrong = fault(ReasonMalformed, "what was stored is damaged")
	}
	return wrong
}

// store saves what is held, unless the store may have something newer that it did not give yet.
func (s *source) store(ctx context.Context) {
	if s.keeper.config.Store == nil {
		return
	}
	all, loaded := s.everything()
	if !loaded {
		return
	}
	var b bytes.Buffer
	for _, h := range all {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: h.issuer.Raw}) // a buffer takes everything
		_ = pem.Encode(&b, &pem.Block{Type: "X509 CRL", Bytes: h.list.signed.Raw})
	}
	if b.Len() > maxStored || s.keeper.config.Store.Save(ctx, s.storedAs(), b.Bytes()) != nil {
		s.keeper.count(s.factor, ReasonNotStored)
	}
}

// everything is all that is held, and whether what the store had is part of it.
func (s *source) everything() (all []held, loaded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, lists := range s.held {
		all = append(all, lists...)
	}
	return all, s.loaded
}
