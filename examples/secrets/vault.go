package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite"
)

var errNoSecret = errors.New("there is no such secret")

// secret is a value, and when it was written.
type secret struct {
	Name    string    `json:"name"`
	Value   string    `json:"value"`
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"updated_at"`
}

// vault keeps secrets encrypted with AES-256-GCM. The tenant and the name are authenticated with the value, so that one
// cannot be put in the place of another.
type vault struct {
	db   *sql.DB
	keys []vaultKey // the first encrypts; all decrypt
}

type vaultKey struct {
	id   string
	aead cipher.AEAD
}

const schema = `CREATE TABLE IF NOT EXISTS secrets (
	tenant TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
	PRIMARY KEY (tenant, name)) STRICT`

// openVault opens the database, and reads the keys from a file: one a line, in hexadecimal, the newest first. To rotate, put a
// new one before the others.
func openVault(ctx context.Context, file, keyFile string) (*vault, error) {
	keys, err := readKeys(keyFile)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600) // SQLite makes its other files as readable as this one
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return nil, err
	}
	dsn := "file:" + (&url.URL{Path: file}).EscapedPath() + "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", file, err), db.Close())
	}
	return &vault{db, keys}, nil
}

func readKeys(file string) ([]vaultKey, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		var key [32]byte
		if _, err := rand.Read(key[:]); err != nil {
			return nil, err
		}
		b = fmt.Appendf(nil, "%x\n", key)
		err = write(file, b, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if about, err := os.Stat(file); err != nil || about.Mode().Perm()&0o077 != 0 {
		return nil, errors.Join(err, fmt.Errorf("%s must be readable by its owner alone: run chmod 600 %s", file, quote(file)))
	}
	var keys []vaultKey
	for _, line := range strings.Fields(string(b)) {
		raw, err := hex.DecodeString(line)
		if err != nil || len(raw) != 32 {
			return nil, fmt.Errorf("%s holds a line that is no key of 32 bytes in hexadecimal", file)
		}
		block, err := aes.NewCipher(raw)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		id := sha256.Sum256(append([]byte("secrets key\x00"), raw...))
		keys = append(keys, vaultKey{hex.EncodeToString(id[:8]), aead})
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no key", file)
	}
	return keys, nil
}

// about is what is authenticated with a value.
func about(tenant, name string) []byte { return fmt.Appendf(nil, "%d:%s%s", len(tenant), tenant, name) }

// put writes a secret, and says whether it is new.
func (v *vault) put(ctx context.Context, tenant, name, value string, now time.Time) (s secret, created bool, err error) {
	k := v.keys[0]
	sealed := k.aead.Seal(nil, nil, []byte(value), about(tenant, name))
	var made int64
	err = v.db.QueryRowContext(ctx, `INSERT INTO secrets (tenant, name, key, value, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
		ON CONFLICT (tenant, name) DO UPDATE SET key = ?3, value = ?4, updated = max(?5, updated + 1) RETURNING created, updated`,
		tenant, name, k.id, sealed, now.UnixMicro()).Scan(&made, (*micro)(&s.Updated))
	s.Name, s.Created = name, time.UnixMicro(made).UTC()
	return s, s.Created.Equal(s.Updated), err
}

// micro is a time as it is stored.
type micro time.Time

// Scan implements sql.Scanner.
func (m *micro) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", v)
	}
	*m = micro(time.UnixMicro(n).UTC())
	return nil
}

// get reads a secret.
func (v *vault) get(ctx context.Context, tenant, name string) (secret, error) {
	s := secret{Name: name}
	var id string
	var sealed []byte
	err := v.db.QueryRowContext(ctx, `SELECT key, value, created, updated FROM secrets WHERE tenant = ? AND name = ?`, tenant, name).
		Scan(&id, &sealed, (*micro)(&s.Created), (*micro)(&s.Updated))
	if errors.Is(err, sql.ErrNoRows) {
		return s, errNoSecret
	}
	if err != nil {
		return s, err
	}
	for _, k := range v.keys {
		if k.id != id {
			continue
		}
		plain, err := k.aead.Open(nil, nil, sealed, about(tenant, name))
		if err != nil {
			return s, fmt.Errorf("the value stored for %s was changed, or is another one's", name)
		}
		s.Value = string(plain)
		return s, nil
	}
	return s, fmt.Errorf("the value stored for %s is encrypted with a key that is not in vault.key", name)
}

// list gives the names of a tenant, sorted.
func (v *vault) list(ctx context.Context, tenant string) ([]string, error) {
	rows, err := v.db.QueryContext(ctx, `SELECT name FROM secrets WHERE tenant = ? ORDER BY name`, tenant)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names := []string{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// remove removes a secret.
func (v *vault) remove(ctx context.Context, tenant, name string) error {
	done, err := v.db.ExecContext(ctx, `DELETE FROM secrets WHERE tenant = ? AND name = ?`, tenant, name)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errNoSecret)
	}
	return nil
}

func (v *vault) close() error { return v.db.Close() }
