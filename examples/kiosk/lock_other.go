//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package main

import (
	"os"
	"path/filepath"
)

// lock holds nobody off here: take care yourself that one program uses a data folder.
func lock(data string) (*os.File, error) {
	return os.OpenFile(filepath.Join(data, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
}
