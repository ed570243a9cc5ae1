package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/sallyport-auth/sallyport/stores/storetest"
)

func BenchmarkStore(b *testing.B) {
	for name, o := range map[string]Options{"full": {}, "normal": {LoseLastCommitsInPowerCut: true}} {
		b.Run(name, func(b *testing.B) {
			s, err := OpenWith(b.Context(), filepath.Join(b.TempDir(), "store.db"), o)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			storetest.Bench(b, s)
		})
	}
}
