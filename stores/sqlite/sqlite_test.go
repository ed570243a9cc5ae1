package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

func opened(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store { return opened(t, filepath.Join(t.TempDir(), "store.db")) })
}
