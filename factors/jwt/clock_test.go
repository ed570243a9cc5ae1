package jwt

import (
	"testing"
	"time"
)

// Clocks of instances may differ by the leeway, as everywhere here. What one instance has spent and forgotten, another one whose clock
// is behind must not take again.
func TestProofReplayedOnAnInstanceWhoseClockIsBehind(t *testing.T) {
	b := newBench(t, "dpop: required\n")
	key := newKey(t)
	token := b.token(with(map[string]any{"cnf": map[string]any{"jkt": thumbprint(t, key)}}))
	first := b.proven(token, key, nil)
	b.good("the first use", first)
	// The instance with the right clock prunes, as engines do: what is kept until before now goes.
	ahead := now.Add(proofAge + defaultLeeway + time.Second)
	b.world.mu.Lock()
	for id, until := range b.world.used {
		if until.Before(ahead) {
			delete(b.world.used, id)
		}
	}
	b.world.mu.Unlock()
	second := first
	second.Now = ahead.Add(-defaultLeeway) // of the instance that is behind, at that moment
	b.refused("the second use, on another instance", second, ReasonProofReplayed)
}
