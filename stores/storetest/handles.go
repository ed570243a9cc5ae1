package storetest

import "github.com/sallyport-auth/sallyport/session"

func (c *check) byHandle(d session.Digest) []string {
	c.Helper()
	rows, err := c.s.ListSessions(c.ctx, session.Match{Handle: &d}, c.now, 0)
	c.must(err)
	return selectors(rows)
}

// handlesMove: what a row is found by follows its swaps, and goes with its end.
func handlesMove(c *check) {
	x, y := hash("x"), hash("y")
	r := c.stored("a", func(r *session.Row) { r.Index = session.Index{Handles: []session.Digest{x}} })
	for i, step := range []struct{ has, certificates []session.Digest }{
		{[]session.Digest{x}, nil},
		{[]session.Digest{x, y}, nil},
		{[]session.Digest{y, x}, []session.Digest{x}},
		{[]session.Digest{y, y}, []session.Digest{x}},
		{nil, []session.Digest{x, y}}, // a certificate is no handle
		{[]session.Digest{x}, []session.Digest{y}},
		{[]session.Digest{y}, []session.Digest{y}},
	} {
		w := swap(r, "moved")
		w.From, w.Index = uint64(i)+1, session.Index{Handles: step.has, Certificates: step.certificates}
		c.must(c.s.SwapSession(c.ctx, w))
		c.same("handles", c.read("a").Index.Handles, step.has)
		for _, d := range []session.Digest{x, y} {
			held := false
			for _, h := range step.has {
				held = held || h == d
			}
			if found := len(c.byHandle(d)) == 1; found != held {
				c.Fatalf("step %d: found by a handle: %v, want %v", i, found, held)
			}
		}
	}
	lost := swap(r, "lost")
	lost.Index = session.Index{Handles: []session.Digest{x}}
	c.refuses(c.s.SwapSession(c.ctx, lost), session.ErrConflict)
	c.same("after a swap that lost", c.byHandle(x), []string(nil))
	c.same("after a swap that lost", c.byHandle(y), []string{"a"})
}

// handlesEnd: an ended row is found by no handle, however it ended.
func handlesEnd(c *check) {
	x := hash("x")
	for how, end := range tombstone {
		r := c.stored(how, func(r *session.Row) { r.Index = session.Index{Tenant: "corp", Handles: []session.Digest{x}} })
		c.same("living", c.byHandle(x), []string{how})
		c.must(end(c, r))
		c.same("ended", c.byHandle(x), []string(nil))
		n, err := c.s.EndSessions(c.ctx, session.Match{Handle: &x}, c.in(60))
		c.must(err)
		c.same("ended again", n, 0)
		c.same("ended at", c.read(how).Ended, c.in(5))
	}
	c.stored("born dead", func(r *session.Row) { r.Ended = c.now; r.Index.Handles = []session.Digest{x} })
	c.same("ended", c.byHandle(x), []string(nil))
	c.clear()
	c.stored("by swap", func(r *session.Row) { r.Index.Handles = []session.Digest{x} }) // nothing is left that it could clash with
	c.same("anew", c.byHandle(x), []string{"by swap"})
}
