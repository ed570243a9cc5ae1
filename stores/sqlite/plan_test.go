package sqlite

import (
	"database/sql/driver"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

// TestNoScans runs the whole suite, then asks SQLite for the plan of every statement that it saw.
// schema is the text of all migrations.
func schema(t *testing.T) string {
	t.Helper()
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := fs.ReadFile(migrations, f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

func TestNoScans(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	record := func(query string) error {
		mu.Lock()
		defer mu.Unlock()
		seen[query] = true
		return nil
	}
	t.Run("suite", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) session.Store {
			s, err := open(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{}, func(c driver.Connector) driver.Connector {
				return tap{c, record}
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		})
	})
	s := opened(t, filepath.Join(t.TempDir(), "store.db"))
	looked := 0
	for query := range seen {
		verb, _, _ := strings.Cut(query, " ")
		if !strings.Contains("SELECT UPDATE DELETE INSERT", verb) || strings.Contains(query, "goose") || strings.Contains(query, "sqlite_schema") ||
			strings.Contains(schema(t), query) {
			continue
		}
		looked++
		steps := plan(t, s, query)
		for _, column := range []string{"person", "device"} {
			if strings.Contains(query, " AND "+column+" = ?") && !strings.Contains(query, "selector = ?") && !strings.Contains(strings.Join(steps, "\n"), column+"=?") {
				t.Errorf("not by %s: %s\n\t%s", column, query, steps)
			}
		}
		for _, step := range steps {
			whole := query == listTenants || query == listDenials // these are meant to give everything
			if strings.HasPrefix(step, "SCAN") && !whole && !strings.Contains(step, "json_each") && !strings.Contains(step, "CONSTANT ROW") {
				t.Errorf("%s\n\t%s", query, step)
			}
			if (strings.Contains(query, "session_certificates") || strings.Contains(query, "session_handles")) &&
				strings.Contains(step, "sessions_by_") && !strings.Contains(step, "sessions_by_id (id=?)") { // an id is one row
				t.Errorf("by a wider index: %s\n\t%s", query, step)
			}
		}
	}
	if looked < 60 {
		t.Errorf("only %d statements were seen", looked)
	}
}

func plan(t *testing.T, s *Store, query string) []string {
	t.Helper()
	args := make([]any, parameters(query))
	rows, err := s.write.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// parameters counts the values that a statement takes.
func parameters(query string) int {
	if !numbered.MatchString(query) {
		return strings.Count(query, "?")
	}
	highest := 0
	for _, found := range numbered.FindAllStringSubmatch(query, -1) {
		n, _ := strconv.Atoi(found[1])
		highest = max(highest, n)
	}
	return highest
}

var numbered = regexp.MustCompile(`\?(\d+)`)
