package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

// TestIndexesHoldTheLiving: an ended row leaves nothing in the indexes by certificate and handle, nor does one that is
// stored as ended.
func TestIndexesHoldTheLiving(t *testing.T) {
	s, ctx, now := opened(t, filepath.Join(t.TempDir(), "store.db")), t.Context(), time.Now()
	index := session.Index{Certificates: []session.Digest{{1}}, Handles: []session.Digest{{2}}}
	for _, r := range []session.Row{{Selector: "a"}, {Selector: "b", Ended: now}} {
		r.Index, r.Expires = index, now.Add(time.Hour)
		if err := s.CreateSession(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.EndSessions(ctx, session.Match{Selector: "a"}, now); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"session_certificates", "session_handles"} {
		var n int
		if err := s.read.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d are left, %v", table, n, err)
		}
	}
}
