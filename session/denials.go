package session

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/factors"
)

// denialsFresh is how long a copy of the deny list may be used: a denial written by another instance arrives within it.
const denialsFresh = time.Second

// denials is the deny list in memory, read again from the store when it is older than denialsFresh. If that fails it
// refuses.
type denials struct {
	store DenyList
	mu    sync.Mutex
	list  map[factors.Denial]struct{} // By and Value only
	read  time.Time
}

// Denied implements factors.Denials.
func (d *denials) Denied(ctx context.Context, now time.Time, c *x509.Certificate) (bool, error) {
	list, err := d.fresh(ctx, now)
	if err != nil || len(list) == 0 {
		return false, err
	}
	for _, entry := range factors.CertificateDenials(c) {
		if _, ok := list[entry]; ok {
			return true, nil
		}
	}
	return false, nil
}

// DeniedDigest implements factors.Denials.
func (d *denials) DeniedDigest(ctx context.Context, now time.Time, certificate, key [sha256.Size]byte) (bool, error) {
	list, err := d.fresh(ctx, now)
	if err != nil || len(list) == 0 {
		return false, err
	}
	_, cert := list[factors.Denial{By: factors.DenyCertificate, Value: hex.EncodeToString(certificate[:])}]
	_, spki := list[factors.Denial{By: factors.DenyKey, Value: hex.EncodeToString(key[:])}]
	return cert || spki, nil
}

func (d *denials) fresh(ctx context.Context, now time.Time) (map[factors.Denial]struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if age := now.Sub(d.read); d.list != nil && age >= 0 && age < denialsFresh {
		return d.list, nil
	}
	entries, err := d.store.ListDenials(ctx)
	if err != nil {
		return nil, err
	}
	list := make(map[factors.Denial]struct{}, len(entries))
	for _, e := range entries {
		list[factors.Denial{By: e.By, Value: e.Value}] = struct{}{}
	}
	d.list, d.read = list, now
	return list, nil
}

// forget makes the next question read the store.
func (d *denials) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = nil
}

func parseDigest(s string) (Digest, bool) {
	var d Digest
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) || s != strings.ToLower(s) {
		return d, false
	}
	copy(d[:], b)
	return d, true
}

func goodDenial(d factors.Denial) bool {
	if len(d.Note) > 200 || !utf8.ValidString(d.Note) {
		return false
	}
	switch d.By {
	case factors.DenyCertificate, factors.DenyKey:
		_, ok := parseDigest(d.Value)
		return ok
	case factors.DenySerial:
		issuer, serial, found := strings.Cut(d.Value, ":")
		_, ok := parseDigest(issuer)
		return ok && found && serial != "" && len(serial) <= 64
	case factors.DenySubject:
		return d.Value != "" && len(d.Value) <= 1024
	}
	return false
}
