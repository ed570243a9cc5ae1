package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

func budget(key string, limit int) session.Budget {
	return session.Budget{Key: key, Limit: limit, Window: time.Minute}
}

// take takes an attempt and checks what came of it.
func (c *check) take(at int, wantOK bool, wantRetry int, budgets ...session.Budget) {
	c.Helper()
	ok, retry, err := c.s.TakeAttempt(c.ctx, budgets, c.in(at))
	c.must(err)
	c.same(fmt.Sprintf("allowed after %d s", at), ok, wantOK)
	if !ok {
		c.same("retry", retry, c.in(wantRetry))
	}
}

func attemptsCounted(c *check) {
	b := budget("corp/alice", 3)
	c.take(0, true, 0, b)
	c.take(10, true, 0, b)
	c.take(20, true, 0, b)
	c.take(30, false, 60, b) // the window began with the first attempt
	c.take(59, false, 60, b)
	c.take(60, true, 0, b) // and a new one begins with this
	c.take(61, true, 0, b)
	c.take(100, true, 0, b)
	c.take(119, false, 120, b)
	c.take(119, true, 0, budget("corp/bob", 3))
	c.take(200, true, 0, b) // after a pause a window begins late
	c.take(259, true, 0, b) // and lasts
	c.take(260, true, 0, b) // until its end
	c.take(261, true, 0, b) // and the next
	c.take(300, true, 0, b) // has as many
	c.take(301, false, 320, b)
	c.take(500, true, 0) // no budget, no limit
	if ok, retry, err := c.s.TakeAttempt(c.ctx, []session.Budget{budget("closed", 0)}, c.now); ok || err != nil || !retry.After(c.now) {
		c.Fatalf("a budget of nothing: %v, retry %v, %v", ok, retry, err)
	}
}

func attemptsAtOnce(c *check) {
	for round := range 5 {
		b := budget(fmt.Sprint("corp/", round), 5)
		var passed atomic.Int32
		errs := race(20, func(int) error {
			ok, _, err := c.s.TakeAttempt(c.ctx, []session.Budget{b}, c.now)
			if ok {
				passed.Add(1)
			}
			return err
		})
		c.must(errors.Join(errs...))
		c.same("passed", passed.Load(), 5)
	}
}

func attemptsAllOrNone(c *check) {
	user, source, tenant := budget("user", 2), budget("source", 5), budget("tenant", 3)
	source.Window = time.Hour
	c.take(0, true, 0, user, source, tenant)
	c.take(0, true, 0, user, source, tenant)
	for range 10 {
		c.take(1, false, 60, user, source, tenant) // counts nowhere
	}
	c.take(2, true, 0, source, tenant)
	c.take(3, false, 60, source, tenant)
	c.take(4, true, 0, source)
	c.take(5, true, 0, source)
	c.take(6, false, 3600, source)
	c.take(6, false, 3600, user, source, tenant) // the last of the full ones
	c.take(6, false, 3600, source, user)
	c.take(61, false, 3600, source, tenant)
	c.take(62, true, 0, tenant, user)
	c.take(62, true, 0, budget("twice", 2), budget("twice", 2)) // one attempt against one budget
	c.take(62, true, 0, budget("twice", 2))
	c.take(62, false, 122, budget("twice", 2))
}

// attemptsOverlap takes from two budgets in both orders at once: no deadlock, and neither budget is overdrawn.
func attemptsOverlap(c *check) {
	a, b := budget("a", 7), budget("b", 12)
	var both, alone atomic.Int32
	errs := race(60, func(i int) error {
		budgets, count := [][]session.Budget{{a, b}, {b, a}, {b}}[i%3], &both
		if len(budgets) == 1 {
			count = &alone
		}
		ok, _, err := c.s.TakeAttempt(c.ctx, budgets, c.now)
		if ok {
			count.Add(1)
		}
		return err
	})
	c.must(errors.Join(errs...))
	if both.Load() > 7 || both.Load()+alone.Load() != 12 {
		c.Fatalf("%d took both, %d took one", both.Load(), alone.Load())
	}
}

func attemptsGiven(c *check) {
	a, b := budget("a", 2), budget("b", 2)
	give := func(at int, budgets ...session.Budget) {
		c.Helper()
		c.must(c.s.GiveAttempt(c.ctx, budgets, c.in(at)))
	}
	c.take(0, true, 0, a, b)
	c.take(0, true, 0, a, b)
	give(1, a)
	c.take(2, true, 0, a)
	c.take(3, false, 60, a)
	c.take(3, false, 60, b)
	give(3, a, b)
	c.take(4, true, 0, a, b)
	c.take(4, false, 60, a)

	for range 10 {
		give(5, a, b) // never below zero
	}
	c.take(6, true, 0, a)
	c.take(6, true, 0, a)
	c.take(6, false, 60, a)

	give(60, a) // the window has passed
	next := budget("next", 1)
	c.take(0, true, 0, next)
	c.take(70, true, 0, next)
	give(0, next) // the one that was taken at 0, and not what was counted in the window after it
	c.take(71, false, 130, next)
	c.take(61, true, 0, a)
	c.take(61, true, 0, a)
	c.take(62, false, 121, a)
	give(62, budget("unknown", 2))
	c.take(62, true, 0, budget("unknown", 1))
	c.take(62, false, 122, budget("unknown", 1))
}

func attemptsPrune(c *check) {
	a, b := budget("a", 1), budget("b", 1)
	c.take(0, true, 0, a)
	c.take(30, true, 0, b)
	n, err := c.s.PruneAttempts(c.ctx, c.in(59))
	c.must(err)
	c.same("pruned", n, 0)
	n, err = c.s.PruneAttempts(c.ctx, c.in(70))
	c.must(err)
	c.same("pruned", n, 1)
	c.take(71, true, 0, a)
	c.take(71, false, 90, b)
}

// attemptsMalformed: a budget that can't be counted against refuses.
func attemptsMalformed(c *check) {
	good := budget("good", 1)
	for _, bad := range []session.Budget{
		{Limit: 5, Window: time.Minute},
		{Key: "no window", Limit: 5},
		{Key: "backwards", Limit: 5, Window: -time.Second},
		{Key: strings.Repeat("x", 513), Limit: 5, Window: time.Minute},
	} {
		if ok, _, err := c.s.TakeAttempt(c.ctx, []session.Budget{good, bad}, c.now); ok || err == nil {
			c.Fatalf("%+v was counted", bad)
		}
	}
	c.take(0, true, 0, good, budget(strings.Repeat("x", 512), 1))
}

func spendOnce(c *check) {
	c.must(c.s.Spend(c.ctx, "challenge/1", c.in(60)))
	c.refuses(c.s.Spend(c.ctx, "challenge/1", c.in(60)), session.ErrSpent)
	c.refuses(c.s.Spend(c.ctx, "challenge/1", c.in(600)), session.ErrSpent)
	c.must(c.s.Spend(c.ctx, "challenge/2", c.in(60)))
	if err := c.s.Spend(c.ctx, "", c.in(60)); err == nil {
		c.Fatal("nothing was spent")
	}
}

func spendRace(c *check) {
	for round := range 3 {
		errs := race(100, func(int) error { return c.s.Spend(c.ctx, fmt.Sprint("challenge/", round), c.in(60)) })
		c.oneWins(errs, session.ErrSpent)
	}
}

func spendPrune(c *check) {
	c.must(c.s.Spend(c.ctx, "short", c.in(10)))
	c.must(c.s.Spend(c.ctx, "long", c.in(100)))
	n, err := c.s.PruneSpent(c.ctx, c.in(9))
	c.must(err)
	c.same("pruned", n, 0)
	c.refuses(c.s.Spend(c.ctx, "short", c.in(10)), session.ErrSpent)
	n, err = c.s.PruneSpent(c.ctx, c.in(11))
	c.must(err)
	c.same("pruned", n, 1)
	c.refuses(c.s.Spend(c.ctx, "long", c.in(100)), session.ErrSpent)
	c.must(c.s.Spend(c.ctx, "short", c.in(200)))
}
