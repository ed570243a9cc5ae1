//go:build !race

// The race detector makes pools forget, so that nothing can be counted under it.

package jose

import "testing"

func TestNewTokenAllocatesLittle(t *testing.T) {
	for _, alg := range benchAlgs {
		compact, s := benched(t, alg)
		got := testing.AllocsPerRun(100, func() {
			if err := newToken(compact, s, benchAlgs); err != nil {
				t.Fatal(err)
			}
		})
		if t.Logf("%s: %v allocations", alg, got); got > 20 {
			t.Errorf("%s: %v allocations, want at most 20: what is above needs some too", alg, got)
		}
	}
}
