package oauth

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
)

// A fetch outlives the caller who began it: the others get what comes of it.
func TestAFetchOutlivesItsCaller(t *testing.T) {
	var c cached[int]
	now := time.Unix(1e9, 0)
	started, release, calls := make(chan struct{}), make(chan struct{}), 0
	fetch := func(ctx context.Context) (int, error) {
		calls++
		close(started)
		<-release
		return 7, ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, _, err := c.get(ctx, now, fetch)
		gone <- err
	}()
	<-started
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) || errors.As(err, new(*factors.Rejection)) {
		t.Errorf("the caller who left: %v", err)
	}
	close(release)
	if v, generation, err := c.get(t.Context(), now, fetch); v != 7 || generation != 1 || err != nil || calls != 1 {
		t.Errorf("the others: %d of generation %d, %v, after %d calls", v, generation, err, calls)
	}
}

// What is fetched ahead of time by one is there for the next who has seen the old value, without another fetch.
func TestANewerValueIsSharedByGeneration(t *testing.T) {
	var c cached[int]
	now, calls := time.Unix(1e9, 0), 0
	fetch := func(context.Context) (int, error) { calls++; return calls, nil }
	_, seen, err := c.get(t.Context(), now, fetch)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if v, is, err := c.newer(t.Context(), now, seen, fetch); v != 2 || !is || err != nil {
			t.Errorf("%d, %t, %v", v, is, err)
		}
	}
	if _, is, err := c.newer(t.Context(), now.Add(9*time.Second), seen+1, fetch); is || err != nil || calls != 2 {
		t.Errorf("again within ten seconds: %t, %v, %d calls", is, err, calls)
	}
	if v, is, err := c.newer(t.Context(), now.Add(10*time.Second), seen+1, fetch); v != 3 || !is || err != nil {
		t.Errorf("after ten seconds: %d, %t, %v", v, is, err)
	}
}
