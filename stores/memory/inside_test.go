package memory

import (
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

// TestMemoryIsGivenBack: when everything has expired and was pruned, nothing of it is left, in no index either.
func TestMemoryIsGivenBack(t *testing.T) {
	s, ctx, now := New(), t.Context(), time.Now()
	late := now.Add(time.Hour)
	index := session.Index{Tenant: "corp", Person: "alice", Device: "kiosk", Certificates: []session.Digest{{1}, {2}}, Handles: []session.Digest{{1}, {3}}}
	budgets := []session.Budget{{Key: "b", Limit: 1, Window: time.Minute}}
	_, _, err := s.TakeAttempt(ctx, budgets, now)
	for _, err := range []error{
		err,
		s.Spend(ctx, "id", now),
		s.SetCutoff(ctx, session.Digest{1}, now, now),
		s.CreateSession(ctx, session.Row{Selector: "expires", Index: index, Expires: now}),
		s.CreateSession(ctx, session.Row{Selector: "moves", Index: index, Expires: now}),
		s.SwapSession(ctx, session.Swap{Selector: "moves", From: 1, Index: session.Index{Tenant: "labs"}}),
		s.CreateSession(ctx, session.Row{Selector: "ends by swap", Index: index, Expires: now}),
		s.SwapSession(ctx, session.Swap{Selector: "ends by swap", From: 1, Index: index, Ended: now}),
		s.CreateSession(ctx, session.Row{Selector: "ends", Index: index, Expires: now}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.EndSessions(ctx, session.Match{Selector: "ends"}, now); err != nil {
		t.Fatal(err)
	}
	for what, prune := range map[string]func() (int, error){
		"4 rows":   func() (int, error) { return s.PruneSessions(ctx, late) },
		"1 window": func() (int, error) { return s.PruneAttempts(ctx, late) },
		"1 id":     func() (int, error) { return s.PruneSpent(ctx, late) },
		"1 cutoff": func() (int, error) { return s.PruneCutoffs(ctx, late) },
	} {
		if n, err := prune(); err != nil || n != int(what[0]-'0') {
			t.Errorf("pruned %d, want %s: %v", n, what, err)
		}
	}
	rows := 0
	for i := range s.shards {
		rows += len(s.shards[i].rows)
	}
	if left := rows + len(s.index) + len(s.windows) + len(s.spent) + len(s.kept); left != 0 {
		t.Errorf("%d rows, %d index entries, %d windows, %d spent ids, %d cutoffs are left", rows, len(s.index), len(s.windows), len(s.spent), len(s.kept))
	}
}
