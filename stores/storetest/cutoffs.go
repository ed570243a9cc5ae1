package storetest

import (
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

func (c *check) setCutoff(key session.Digest, at, until int) {
	c.Helper()
	c.must(c.s.SetCutoff(c.ctx, key, c.in(at), c.in(until)))
}

func (c *check) cutoffIs(key session.Digest, want time.Time) {
	c.Helper()
	got, err := c.s.Cutoff(c.ctx, key)
	c.must(err)
	c.same("cutoff", got, want)
}

func (c *check) prunesCutoffs(at, want int) {
	c.Helper()
	n, err := c.s.PruneCutoffs(c.ctx, c.in(at))
	c.must(err)
	c.same("pruned", n, want)
}

// cutoffsMove: forward, never back, and each key's alone.
func cutoffsMove(c *check) {
	key, other := hash("key"), hash("key")
	other[len(other)-1]++
	c.cutoffIs(key, time.Time{})
	c.setCutoff(key, 5, 100)
	c.cutoffIs(key, c.in(5))
	c.cutoffIs(other, time.Time{})
	c.cutoffIs(session.Digest{}, time.Time{})
	c.setCutoff(key, 3, 100)
	c.cutoffIs(key, c.in(5))
	c.setCutoff(other, 1, 100)
	c.setCutoff(key, 9, 100)
	c.cutoffIs(key, c.in(9))
	c.cutoffIs(other, c.in(1))

	fine := c.in(9).Add(1234 * time.Microsecond)
	c.must(c.s.SetCutoff(c.ctx, key, fine.In(time.FixedZone("elsewhere", 3600)), c.in(100)))
	c.cutoffIs(key, fine)
	if err := c.s.SetCutoff(c.ctx, hash("never"), time.Time{}, c.in(100)); err == nil {
		c.Fatal("a cutoff at no time was set")
	}
	c.cutoffIs(hash("never"), time.Time{})
}

// cutoffsPrune: what was said to be kept longer is, whichever came first, and only what has passed is forgotten.
func cutoffsPrune(c *check) {
	shortened, extended, short := hash("shortened"), hash("extended"), hash("short")
	c.setCutoff(shortened, 1, 100)
	c.setCutoff(shortened, 2, 10)
	c.setCutoff(extended, 2, 10)
	c.setCutoff(extended, 1, 100) // an older moment, to be remembered longer
	c.setCutoff(short, 3, 10)
	c.prunesCutoffs(9, 0)
	c.cutoffIs(short, c.in(3))
	c.prunesCutoffs(11, 1)
	c.cutoffIs(short, time.Time{})
	c.cutoffIs(shortened, c.in(2))
	c.cutoffIs(extended, c.in(2))
	c.prunesCutoffs(99, 0)
	c.prunesCutoffs(101, 2)
	c.cutoffIs(shortened, time.Time{})
	c.cutoffIs(extended, time.Time{})
	c.prunesCutoffs(101, 0)
	c.setCutoff(short, 1, 200) // and begins anew
	c.cutoffIs(short, c.in(1))
}

// cutoffsRace: of fifty at once the latest holds, and is kept until the latest.
func cutoffsRace(c *check) {
	key := hash("key")
	errs := race(50, func(i int) error {
		return c.s.SetCutoff(c.ctx, key, c.in(i*37%50), c.in(100+i*13%50))
	})
	c.must(errors.Join(errs...))
	c.cutoffIs(key, c.in(49))
	c.prunesCutoffs(148, 0)
	c.prunesCutoffs(150, 1)
}
