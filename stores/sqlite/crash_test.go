package sqlite

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// The child of the crash test finds its file and its round here.
const (
	crashFile  = "SALLYPORT_CRASH_FILE"
	crashRound = "SALLYPORT_CRASH_ROUND"
)

// crashTime is the time of everything that the child writes.
var crashTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestCrash kills a program in the middle of its writes, again and again, on one file. Each time the file opens, is
// sound, holds all that was acknowledged, and nothing by halves.
func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	var acknowledged []string
	// After 3, 12, 21, … acknowledgements an enrolment is next, after 6, 15, 24, … a user is provisioned: these write the
	// most at once.
	for round, acks := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 3, 12, 21, 30, 39, 48, 6, 15, 24, 33, 42, 51, 3, 12, 6, 15, 400, 1001} {
		acknowledged = append(acknowledged, crash(t, path, round, acks)...)
		s := opened(t, path)
		if err := s.Check(t.Context()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, ack := range acknowledged {
			if err := found(t.Context(), s, ack); err != nil {
				t.Fatalf("round %d: %q was acknowledged: %v", round, ack, err)
			}
		}
		for n := range acks/len(crashSteps) + 3 {
			whole(t, s, fmt.Sprintf("%d-%d", round, n))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// crash runs the child until it has acknowledged so many steps, kills it, and hands back all that it acknowledged.
func crash(t *testing.T, path string, round, acks int) []string {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashFile+"="+path, fmt.Sprintf("%s=%d", crashRound, round))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var all []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		all = append(all, lines.Text())
		if len(all) == acks {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("round %d: the child was not killed: %v, after %q", round, err, all)
	}
	return all
}

// crashStep is one write of the child, and what must be there once it is acknowledged.
type crashStep struct {
	name  string
	do    func(ctx context.Context, s *Store, id string) error
	check func(ctx context.Context, s *Store, id string) error
}

var crashSteps = []crashStep{
	{"login", func(ctx context.Context, s *Store, id string) error {
		return s.CreateSession(ctx, session.Row{
			Selector: id, State: []byte("login"), Values: []byte("values"), Created: crashTime, Expires: crashTime.Add(time.Hour),
			Index: session.Index{Tenant: "corp", Certificates: []session.Digest{sha256.Sum256([]byte(id))},
				Handles: []session.Digest{handleOf(id)}},
		})
	}, row(func(r session.Row) bool { return r.Version >= 1 })},
	{"user", func(ctx context.Context, s *Store, id string) error {
		err := s.CreateUser(ctx, session.User{User: factors.User{Tenant: "corp", ID: id, Name: id, Handle: []byte(id)}})
		if err != nil {
			return err
		}
		return s.CreateInvitation(ctx, session.Invitation{
			ID: id, CodeHash: sha256.Sum256([]byte(id)), Tenant: "corp", User: id, Created: crashTime, Expires: crashTime.Add(time.Hour),
		})
	}, func(ctx context.Context, s *Store, id string) error {
		_, err := s.InvitationByCode(ctx, sha256.Sum256([]byte(id)))
		return err
	}},
	{"hold", func(ctx context.Context, s *Store, id string) error {
		return s.HoldInvitation(ctx, id, "login of "+id, crashTime)
	}, func(ctx context.Context, s *Store, id string) error {
		i, err := s.InvitationByCode(ctx, sha256.Sum256([]byte(id)))
		return errors.Join(err, expect(i.Holder == "login of "+id))
	}},
	{"enrol", func(ctx context.Context, s *Store, id string) error {
		return s.Enrol(ctx, session.Enrolled{
			Credential: factors.Credential{Tenant: "corp", User: id, Factor: "passkey", ID: id, Data: make([]byte, 2000)},
			Invitation: id, Holder: "login of " + id, At: crashTime,
		})
	}, func(ctx context.Context, s *Store, id string) error {
		_, err := s.Credential(ctx, "corp", "passkey", id)
		return err
	}},
	{"swap", func(ctx context.Context, s *Store, id string) error {
		return s.SwapSession(ctx, session.Swap{
			Selector: id, From: 1, State: make([]byte, 3000), SecretHash: &session.Digest{1}, Expires: crashTime.Add(time.Hour),
			Index: session.Index{Tenant: "corp", Person: id, Certificates: []session.Digest{{2}}, Handles: []session.Digest{{3}}},
		})
	}, row(func(r session.Row) bool { return r.Version == 2 && r.Rotation == 1 && r.Index.Person != "" })},
	{"spend", func(ctx context.Context, s *Store, id string) error { return s.Spend(ctx, id, crashTime) },
		func(ctx context.Context, s *Store, id string) error {
			if err := s.Spend(ctx, id, crashTime); !errors.Is(err, session.ErrSpent) {
				return fmt.Errorf("spent again: %w", err)
			}
			return nil
		}},
	{"provision", func(ctx context.Context, s *Store, id string) error {
		name := "provisioned " + id
		return s.Provision(ctx, session.Provisioned{
			User:       session.User{User: factors.User{Tenant: "corp", ID: name, Name: name, Handle: []byte(name)}},
			Credential: factors.Credential{Tenant: "corp", User: name, Factor: "oidc", ID: name, Data: make([]byte, 2000)},
		})
	}, func(ctx context.Context, s *Store, id string) error {
		_, err := s.Credential(ctx, "corp", "oidc", "provisioned "+id)
		return err
	}},
	{"cutoff", func(ctx context.Context, s *Store, id string) error {
		return s.SetCutoff(ctx, handleOf(id), crashTime, crashTime.Add(time.Hour))
	}, func(ctx context.Context, s *Store, id string) error {
		at, err := s.Cutoff(ctx, handleOf(id))
		return errors.Join(err, expect(at.Equal(crashTime)))
	}},
	{"end", func(ctx context.Context, s *Store, id string) error {
		_, err := s.EndSessions(ctx, session.Match{Tenant: "corp", Person: id}, crashTime)
		return err
	}, row(func(r session.Row) bool { return !r.Ended.IsZero() })},
}

func handleOf(id string) session.Digest { return sha256.Sum256([]byte("handle of " + id)) }

func row(good func(r session.Row) bool) func(ctx context.Context, s *Store, id string) error {
	return func(ctx context.Context, s *Store, id string) error {
		r, err := s.Session(ctx, id, crashTime)
		return errors.Join(err, expect(good(r)))
	}
}

func expect(good bool) error {
	if !good {
		return errors.New("it is not there")
	}
	return nil
}

func found(ctx context.Context, s *Store, ack string) error {
	var name, id string
	if _, err := fmt.Sscan(ack, &name, &id); err != nil {
		return err
	}
	for _, step := range crashSteps {
		if step.name == name {
			return step.check(ctx, s, id)
		}
	}
	return errors.New("no such step")
}

// whole checks that what belongs together is there together, or not at all.
func whole(t *testing.T, s *Store, id string) {
	t.Helper()
	ctx := t.Context()
	own, err := s.Credentials(ctx, "corp", id, "")
	if err != nil {
		t.Fatal(err)
	}
	i, err := s.InvitationByCode(ctx, sha256.Sum256([]byte(id)))
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Fatal(err)
	}
	u, err := s.User(ctx, "corp", id)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Fatal(err)
	}
	if enrolled := len(own) == 1; enrolled == i.Spent.IsZero() || enrolled != (u.Epoch == 1) {
		t.Errorf("%s: %d credentials, invitation spent at %v, epoch %d", id, len(own), i.Spent, u.Epoch)
	}
	_, err = s.User(ctx, "corp", "provisioned "+id)
	_, credErr := s.Credential(ctx, "corp", "oidc", "provisioned "+id)
	if (err == nil) != (credErr == nil) {
		t.Errorf("%s: provisioned by halves: user %v, credential %v", id, err, credErr)
	}
	r, err := s.Session(ctx, id, crashTime)
	if errors.Is(err, session.ErrNotFound) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []session.Digest{sha256.Sum256([]byte(id)), handleOf(id), {2}, {3}} {
		rows, err := s.ListSessions(ctx, session.Match{Certificate: &d, Tenant: "corp"}, crashTime, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		more, err := s.ListSessions(ctx, session.Match{Handle: &d, Tenant: "corp"}, crashTime, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		listed := false
		for _, other := range append(rows, more...) {
			listed = listed || other.Selector == id
		}
		if tied := r.Ended.IsZero() && (r.Index.Certificates[0] == d || r.Index.Handles[0] == d); tied != listed {
			t.Errorf("%s: tied to a certificate or handle: %v, found by it: %v", id, tied, listed)
		}
	}
}

// TestMain runs the tests, or the program that TestCrash kills.
func TestMain(m *testing.M) {
	if path := os.Getenv(crashFile); path != "" {
		fmt.Fprintln(os.Stderr, "sqlite: the child of the crash test:", write(context.Background(), path))
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// write goes through the steps with one id after another until it fails: nobody listens any more, or worse.
func write(ctx context.Context, path string) error {
	s, err := Open(ctx, path)
	if err != nil {
		return err
	}
	if err := s.CreateTenant(ctx, session.Tenant{ID: "corp"}); err != nil && !errors.Is(err, session.ErrConflict) {
		return err
	}
	for n := 0; ; n++ {
		id := fmt.Sprintf("%s-%d", os.Getenv(crashRound), n)
		for _, step := range crashSteps {
			if err := step.do(ctx, s, id); err != nil {
				return fmt.Errorf("%s %s: %w", step.name, id, err)
			}
			if _, err := fmt.Println(step.name, id); err != nil {
				return err
			}
		}
	}
}
