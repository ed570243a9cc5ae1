package storetest_test

import (
	"path/filepath"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

func TestListsInAFolder(t *testing.T) {
	storetest.RunLists(t, func(t *testing.T) revocation.Store { return revocation.Folder(filepath.Join(t.TempDir(), "lists")) })
}
