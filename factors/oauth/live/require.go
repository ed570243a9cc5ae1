package live

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Password is that of all accounts, at every provider.
const Password = "correct horse battery staple"

// missing skips a test that needs something that is not installed, or fails it where everything must be.
func missing(t testing.TB, what, fix string) {
	t.Helper()
	if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is missing: %s", what, fix)
	}
	t.Skipf("%s is missing: %s", what, fix)
}

const install = "run factors/oauth/live/install.sh"

// folder is where a part of this package lies, wherever in the module the test runs.
func folder(t testing.TB, part string) string {
	t.Helper()
	at, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if f := filepath.Join(at, "factors", "oauth", "live", part); exists(f) {
			return f
		}
		up := filepath.Dir(at)
		if up == at {
			t.Fatalf("live: no folder %s above the test", part)
		}
		at = up
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// cache is the folder that install.sh puts programs into.
func cache(t testing.TB) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "sallyport")
}

// node is a Node that runs oidc-provider: install.sh's where it had to install one, otherwise that of the path.
func node(t testing.TB) string {
	t.Helper()
	if own := filepath.Join(cache(t), "node", "node_modules", "node", "bin", "node"); exists(own) {
		return own
	}
	found, err := exec.LookPath("node")
	if err != nil {
		missing(t, "node", "install the Debian packages nodejs npm, and "+install)
	}
	return found
}

// dexProgram is dex as install.sh built it from the sources that are here now.
func dexProgram(t testing.TB) string {
	t.Helper()
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		b, err := os.ReadFile(filepath.Join(folder(t, "dex"), name))
		if err != nil {
			t.Fatal(err)
		}
		h.Write(b)
	}
	program := filepath.Join(cache(t), fmt.Sprintf("dex-%s", hex.EncodeToString(h.Sum(nil))[:16]))
	if !exists(program) {
		missing(t, "dex", install)
	}
	return program
}
