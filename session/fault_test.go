package session_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// calls counts the calls of the store that something makes.
func (w *world) calls(do func()) (n int) {
	w.before = func(string) { n++ }
	do()
	w.before = nil
	return n
}

// nth makes the nth call of any kind from now on fail, and says which it was.
func (w *world) nth(n int, how storetest.Fault) (op *string) {
	op = new(string)
	w.fail = func(o string) storetest.Fault {
		if n--; n != 0 {
			return storetest.None
		}
		*op = o
		return how
	}
	return op
}

// Every call of the store that every operation makes fails, before and after it took effect. The caller is told that
// nothing could be decided, or gets all that was asked for. Nothing is gained that is not in the audit log, and whatever
// broke off can be done again.
func TestEveryFault(t *testing.T) {
	for _, op := range operations() {
		w := newWorld(t)
		r := op.ready(w)
		total := w.calls(func() { must(t, r.act()) })
		for _, how := range []storetest.Fault{storetest.Before, storetest.After} {
			for n := 1; n <= total; n++ {
				t.Run(fmt.Sprintf("%s/%d of %d/%d", op.name, n, total, how), func(t *testing.T) {
					breakAt(t, op, n, how)
				})
			}
		}
	}
}

func breakAt(t *testing.T, op operation, n int, how storetest.Fault) {
	w := newWorld(t)
	r := op.ready(w)
	had := w.count("corp", r.event)
	broken := w.nth(n, how)
	err := r.act()
	w.fail = nil
	var down *session.UnavailableError
	if err != nil && !errors.As(err, &down) {
		t.Errorf("%s fails: %v", *broken, err)
	}
	gained := r.gained()
	if err == nil && !gained {
		t.Errorf("%s fails: it is said to be done and is not", *broken)
	}
	if gained && r.event != "" && w.count("corp", r.event) == had {
		t.Errorf("%s fails: a gain that the audit log knows nothing of", *broken)
	}
	if err != nil && r.again != nil {
		if err := r.again(); err != nil {
			t.Errorf("%s fails: it cannot be done again: %v", *broken, err)
		}
	}
}
