package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
)

const (
	readList = `SELECT value FROM lists WHERE name = ?`
	saveList = `INSERT INTO lists (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
)

// Lists keeps the lists of revoked certificates that a [revocation.Keeper] fetched, in the same file.
func (s *Store) Lists() revocation.Store { return lists{s} }

type lists struct{ store *Store }

// Load implements [revocation.Store].
func (l lists) Load(ctx context.Context, name string) ([]byte, error) {
	var value []byte
	err := l.store.read.QueryRowContext(ctx, readList, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return value, failed(ctx, "list", err)
}

// Save implements [revocation.Store].
func (l lists) Save(ctx context.Context, name string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	_, err := l.store.exec(ctx, "save list", saveList, name, value)
	return err
}
