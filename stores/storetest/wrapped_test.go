package storetest_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/memory"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// TestTransparent: a store that is wrapped and let alone is the same store.
func TestTransparent(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store {
		return storetest.Hooked(storetest.Faulty(memory.New(), func(string, int) storetest.Fault { return storetest.None }), nil, nil)
	})
}

// TestOperationNames: op is the name of the method, for every method.
func TestOperationNames(t *testing.T) {
	var seen []string
	s := reflect.ValueOf(storetest.Faulty(memory.New(), func(op string, n int) storetest.Fault {
		seen = append(seen, op)
		return storetest.Before
	}))
	contract := reflect.TypeFor[session.Store]()
	for i := range contract.NumMethod() {
		name := contract.Method(i).Name
		method := s.MethodByName(name)
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for j := 1; j < method.Type().NumIn() && !(method.Type().IsVariadic() && j == method.Type().NumIn()-1); j++ {
			args = append(args, reflect.Zero(method.Type().In(j)))
		}
		results := method.Call(args)
		err, _ := results[len(results)-1].Interface().(error)
		if !errors.Is(err, storetest.ErrFault) {
			t.Errorf("%s: got error %v", name, err)
		}
		if last := seen[len(seen)-1]; last != name {
			t.Errorf("%s calls itself %s", name, last)
		}
	}
}

func TestFaulty(t *testing.T) {
	below := memory.New()
	faults := map[int]storetest.Fault{1: storetest.Before, 3: storetest.After}
	s := storetest.Faulty(below, func(op string, n int) storetest.Fault {
		if op != "Spend" {
			return storetest.None
		}
		return faults[n]
	})
	spend := func(s session.Store, id string) error { return s.Spend(t.Context(), id, time.Now()) }
	for i, want := range []error{storetest.ErrFault, nil, storetest.ErrFault, session.ErrSpent} {
		id := []string{"a", "b", "c", "c"}[i]
		if err := spend(s, id); !errors.Is(err, want) {
			t.Errorf("call %d: got error %v, want %v", i+1, err, want)
		}
	}
	if err := spend(below, "a"); err != nil {
		t.Errorf("the store was asked by a call that failed before: %v", err)
	}
	if err := s.CreateTenant(t.Context(), session.Tenant{ID: "corp"}); err != nil {
		t.Errorf("another operation failed: %v", err)
	}
	s = storetest.Faulty(below, func(string, int) storetest.Fault { return storetest.After })
	if got, err := s.Tenant(t.Context(), "corp"); err == nil || got != (session.Tenant{}) {
		t.Errorf("a failed read answered %v, %v", got, err)
	}
}

// TestHooked forces both orders of a swap and a revocation that meet.
func TestHooked(t *testing.T) {
	now := time.Now()
	for name, want := range map[string]struct {
		swap  error
		calls []string
	}{
		"before": {session.ErrConflict, []string{"end", "SwapSession"}},
		"after":  {nil, []string{"SwapSession", "end"}},
	} {
		below := memory.New()
		row := session.Row{Selector: "a", Expires: now.Add(time.Hour)}
		if err := below.CreateSession(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		var calls []string
		end := func(string) {
			calls = append(calls, "end")
			if _, err := below.EndSessions(context.Background(), session.Match{Selector: "a"}, now); err != nil {
				t.Error(err)
			}
		}
		note := func(op string) { calls = append(calls, op) }
		var s session.Store
		if name == "before" {
			s = storetest.Hooked(below, end, note)
		} else {
			s = storetest.Hooked(below, note, end)
		}
		err := s.SwapSession(t.Context(), session.Swap{Selector: "a", From: 1, Expires: row.Expires})
		if !errors.Is(err, want.swap) || !slices.Equal(calls, want.calls) {
			t.Errorf("%s: got error %v, calls %v", name, err, calls)
		}
		if r, err := below.Session(t.Context(), "a", now); err != nil || r.Ended.IsZero() {
			t.Errorf("%s: the row lives: %v", name, err)
		}
	}
}
