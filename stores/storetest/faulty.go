package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/sallyport-auth/sallyport/session"
)

// Fault says how a call fails.
type Fault int

const (
	None   Fault = iota // it does not
	Before              // the store was never asked
	After               // the store did it, and the answer was lost
)

// ErrFault is what a call answers that was made to fail, wrapped. It is none of the errors that a store answers by contract.
var ErrFault = errors.New("storetest: injected fault")

// Faulty makes calls of a store fail. fail is asked once for each call: op is the name of the method, n
// counts the calls of that method from 1. The store it returns is safe for concurrent use if fail is.
func Faulty(s session.Store, fail func(op string, n int) Fault) session.Store {
	var mu sync.Mutex
	calls := map[string]int{}
	count := func(op string) int {
		mu.Lock()
		defer mu.Unlock()
		calls[op]++
		return calls[op]
	}
	return wrapped{s, func(op string, call func() error) error {
		switch fail(op, count(op)) {
		case None:
			return call()
		case Before:
			return fmt.Errorf("%w before %s", ErrFault, op)
		case After:
			_ = call()
			return fmt.Errorf("%w after %s", ErrFault, op)
		}
		return fmt.Errorf("%w: an unknown fault in %s", ErrFault, op)
	}}
}

// Hooked calls before and after, where they are not nil, around each call of a store, on the goroutine of the call; op is
// the name of the method. They may use the store beneath (s itself), and so force any interleaving of two operations:
// what before does happens just before the call takes effect, what after does just after it.
func Hooked(s session.Store, before, after func(op string)) session.Store {
	return wrapped{s, func(op string, call func() error) error {
		if before != nil {
			before(op)
		}
		if after != nil {
			defer after(op)
		}
		return call()
	}}
}
