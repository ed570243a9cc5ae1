//go:build unix

package policy

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// To open a pipe that nobody writes to would block for ever.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	folder := folderWith(t)
	pipe := filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	checkText(t, folder, strings.Replace(baseText, "ca: staff.crt", "ca: ^pipe", 1), "is no regular file")
	checkText(t, folder, strings.Replace(baseText, "proves: tenant", "proves: tenant, extra: ^pipe", 1), "is no regular file")
	if _, err := Load(pipe, fakeKind{"fake"}); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("the policy itself: %v", err)
	}
}
