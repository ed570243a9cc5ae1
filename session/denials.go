package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/factors"
)

// denialsFresh is how long a copy of the deny list may be used: a denial written by another instance arrives within it.
const denialsFresh = time.Second

// denials is the deny list in memory, read again from the store when it is older than denialsFresh. If that fails it
// refuses.
type denials struct {
	store   DenyList
	list    atomic.Pointer[denialList]
	turn    chan struct{} // whoever reads the store; of size one
	mu      sync.Mutex    // for putting a list in force, and for changes
	changes uint64        // made here
	lists   atomic.Uint64 // read so far
	trials  atomic.Int64  // denials that are being tried, each in the context of one request alone
}

// trialKey is the context's key of a denial that counts for one question, as if it were on the list.
type trialKey struct{}

// try asks what a denial would do.
func (d *denials) try(ctx context.Context, entry factors.Denial, ask func(context.Context) error) error {
	d.trials.Add(1)
	defer d.trials.Add(-1)
	return ask(context.WithValue(ctx, trialKey{}, denialMark{entry.Tenant, entry.By, markOf(entry)}))
}

type denialList struct {
	version uint64
	entries map[denialMark]time.Time // when each was made
	read    time.Time
}

// denialMark is an entry as it is looked up: the digest is that of [factors.Marks].
type denialMark struct {
	tenant string
	by     factors.DenialBy
	digest Digest
}

func newDenials(store DenyList) *denials {
	return &denials{store: store, turn: make(chan struct{}, 1)}
}

// Denied implements factors.Denials.
func (d *denials) Denied(ctx context.Context, now time.Time, tenant string, m factors.Marks) (bool, error) {
	list, err := d.fresh(ctx, now)
	if err != nil {
		return false, err
	}
	tried, trying := denialMark{}, d.trials.Load() > 0
	if trying {
		tried, trying = ctx.Value(trialKey{}).(denialMark)
	}
	if len(list.entries) == 0 && !trying {
		return false, nil
	}
	for _, mark := range [...]denialMark{{by: factors.DenyCertificate, digest: m.Certificate}, {by: factors.DenyKey, digest: m.Key},
		{by: factors.DenySerial, digest: m.Serial}, {by: factors.DenySubject, digest: m.Subject}} {
		_, everywhere := list.entries[mark]
		mark.tenant = tenant
		if trying && (mark == tried || tried.tenant == "" && mark.by == tried.by && mark.digest == tried.digest) {
			return true, nil
		}
		if _, here := list.entries[mark]; here || everywhere {
			return true, nil
		}
	}
	return false, nil
}

// DenialsVersion implements factors.DenialsVersion. While a denial is tried there is none.
func (d *denials) DenialsVersion(now time.Time) (uint64, bool) {
	l := d.list.Load()
	if !l.fresh(now) || d.trials.Load() > 0 {
		return 0, false
	}
	return l.version, true
}

// TokenDenied implements factors.TokenDenials.
func (d *denials) TokenDenied(ctx context.Context, now time.Time, tenant string, m factors.TokenMarks) (bool, error) {
	list, err := d.fresh(ctx, now)
	if err != nil || len(list.entries) == 0 {
		return false, err
	}
	for _, of := range [...]string{"", tenant} {
		if _, denied := list.entries[denialMark{of, factors.DenyToken, m.ID}]; denied && m.ID != (Digest{}) {
			return true, nil
		}
		made, denied := list.entries[denialMark{of, factors.DenyTokenSubject, m.Subject}]
		if denied && m.Subject != (Digest{}) && (made.IsZero() || !m.Issued.After(made)) {
			return true, nil
		}
	}
	return false, nil
}

func (l *denialList) fresh(now time.Time) bool {
	if l == nil {
		return false
	}
	age := now.Sub(l.read)
	return age >= 0 && age < denialsFresh
}

// fresh is the list as it was less than denialsFresh ago. One caller at a time reads the store; the others wait for it as
// long as their contexts allow.
func (d *denials) fresh(ctx context.Context, now time.Time) (*denialList, error) {
	if l := d.list.Load(); l.fresh(now) {
		return l, nil
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l := d.list.Load(); l.fresh(now) {
		return l, nil
	}
	before := d.changed()
	entries, err := d.store.ListDenials(ctx)
	if err != nil {
		return nil, err
	}
	l := &denialList{version: d.lists.Add(1), entries: make(map[denialMark]time.Time, len(entries)), read: now}
	for _, e := range entries {
		mark := denialMark{e.Tenant, e.By, markOf(e)}
		if made, known := l.entries[mark]; !known || e.Created.After(made) {
			l.entries[mark] = e.Created
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changes == before { // otherwise it may be older than the change, and good for this question alone
		d.list.Store(l)
	}
	return l, nil
}

func (d *denials) changed() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

// forget makes the next question read the store.
func (d *denials) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
	d.list.Store(nil)
}

func markOf(e factors.Denial) Digest {
	switch e.By {
	case factors.DenyCertificate, factors.DenyKey, factors.DenyToken, factors.DenyTokenSubject:
		digest, _ := parseDigest(e.Value)
		return digest
	}
	return sha256.Sum256([]byte(e.Value))
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

// goodSerial reports whether a serial number is written as it is looked for: hexadecimal, in lower case, without zeros
// before it.
func goodSerial(s string) bool {
	return s != "" && len(s) <= 64 && (s == "0" || s[0] != '0') && strings.Trim(s, "0123456789abcdef") == ""
}

const attributeName = ".0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func goodDenial(d factors.Denial) bool {
	if len(d.Note) > 200 || !utf8.ValidString(d.Note) {
		return false
	}
	switch d.By {
	case factors.DenyCertificate, factors.DenyKey, factors.DenyToken, factors.DenyTokenSubject:
		_, ok := parseDigest(d.Value)
		return ok
	case factors.DenySerial:
		issuer, serial, found := strings.Cut(d.Value, ":")
		_, ok := parseDigest(issuer)
		return ok && found && goodSerial(serial)
	case factors.DenySubject:
		// As CertificateDenials writes it: "CN=alice,O=Acme".
		name, _, found := strings.Cut(d.Value, "=")
		return found && len(d.Value) <= 1024 && strings.Trim(name, attributeName) == "" && !strings.Contains(d.Value, ", ")
	}
	return false
}
