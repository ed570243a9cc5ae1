package policy

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func loadIn(t *testing.T, folder string) *Policy {
	t.Helper()
	writeFile(t, folder, "policy.yaml", []byte(strings.Replace(baseText, "proves: tenant", "proves: tenant, extra: extra.txt", 1)))
	writeFile(t, folder, "extra.txt", []byte("one"))
	p, err := Load(filepath.Join(folder, "policy.yaml"), fakeKind{"fake"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func expect(t *testing.T, w *Watcher, wantChanged bool, wantErr string) *Policy {
	t.Helper()
	p, changed, err := w.Check()
	if changed != wantChanged || (err != nil) != (wantErr != "") || err != nil && !strings.Contains(err.Error(), wantErr) || p == nil {
		t.Fatalf("%v, %v, want %v, %q", changed, err, wantChanged, wantErr)
	}
	return p
}

func TestWatcher(t *testing.T) {
	folder := folderWith(t)
	first := loadIn(t, folder)
	w := NewWatcher(first, fakeKind{"fake"})
	if expect(t, w, false, "") != first {
		t.Error("another policy")
	}

	epochs := map[uint64]bool{first.Epoch: true}
	for name, content := range map[string][]byte{"policy.yaml": []byte(baseText + "# more\n" + "\n"), "staff.crt": certificate(t, true), "extra.txt": []byte("two")} {
		w := NewWatcher(loadIn(t, folder), fakeKind{"fake"})
		writeFile(t, folder, name, content)
		p := expect(t, w, true, "")
		if epochs[p.Epoch] {
			t.Errorf("%s: the epoch was there before", name)
		}
		epochs[p.Epoch] = true
		if expect(t, w, false, "") != p {
			t.Errorf("%s: the new policy is not kept", name)
		}
	}
}

func TestWatcherKeepsTheOldPolicy(t *testing.T) {
	folder := folderWith(t)
	first := loadIn(t, folder)
	w := NewWatcher(first, fakeKind{"fake"})
	good := strings.Replace(baseText, "aal: 2", "aal: 1", 1)

	for _, text := range []string{"", "version: 2\n", "version: [\n", strings.Replace(baseText, "aal: 2", "aal: 4", 1), "#" + strings.Repeat("x", maxPolicyFile)} {
		writeFile(t, folder, "policy.yaml", []byte(text))
		if expect(t, w, false, "policy: ") != first {
			t.Fatal("a broken file replaced the policy")
		}
		expect(t, w, false, "") // reported once
		expect(t, w, false, "")
	}
	writeFile(t, folder, "policy.yaml", []byte(good))
	second := expect(t, w, true, "")

	writeFile(t, folder, "staff.crt", []byte("broken"))
	expect(t, w, false, "no PEM certificate")
	expect(t, w, false, "")
	writeFile(t, folder, "staff.crt", []byte("broken otherwise"))
	expect(t, w, false, "no PEM certificate")
	writeFile(t, folder, "staff.crt", certificate(t, true))
	third := expect(t, w, true, "")
	if third == second || third.Epoch == second.Epoch {
		t.Error("the CA file is not part of the policy")
	}
}

func TestWatcherRepairedToWhatItWas(t *testing.T) {
	folder := folderWith(t)
	first := loadIn(t, folder)
	text := strings.Replace(baseText, "proves: tenant", "proves: tenant, extra: extra.txt", 1)
	w := NewWatcher(first, fakeKind{"fake"})
	writeFile(t, folder, "policy.yaml", []byte("broken"))
	expect(t, w, false, "a policy is a mapping")
	writeFile(t, folder, "policy.yaml", []byte(text))
	if expect(t, w, false, "") != first {
		t.Error("another policy")
	}
	writeFile(t, folder, "policy.yaml", []byte("broken"))
	expect(t, w, false, "a policy is a mapping") // broken anew
}

// A new policy may name files that are repaired without the policy itself being changed again.
func TestWatcherSeesAFileThatOnlyTheBrokenPolicyNames(t *testing.T) {
	folder := folderWith(t)
	w := NewWatcher(loadIn(t, folder), fakeKind{"fake"})
	writeFile(t, folder, "policy.yaml", []byte(strings.Replace(baseText, "proves: tenant", "proves: tenant, extra: later.txt", 1)))
	expect(t, w, false, "later.txt")
	expect(t, w, false, "")
	writeFile(t, folder, "later.txt", []byte("here"))
	expect(t, w, true, "")
}

func TestRun(t *testing.T) {
	folder := folderWith(t)
	w := NewWatcher(loadIn(t, folder), fakeKind{"fake"})
	writeFile(t, folder, "extra.txt", []byte("two"))
	ctx, stop := context.WithCancel(t.Context())
	refused := errors.New("refused")
	var used *Policy
	var reported error
	w.Run(ctx, time.Microsecond, func(p *Policy) error { used = p; return refused }, func(err error) { reported = err; stop() })
	if used == nil || !errors.Is(reported, refused) {
		t.Errorf("%v, %v", used, reported)
	}
}

// A good file is in force once it can be, whatever failed before.
func TestRunTriesAgain(t *testing.T) {
	folder := folderWith(t)
	w := NewWatcher(loadIn(t, folder), fakeKind{"fake"})
	writeFile(t, folder, "extra.txt", []byte("two"))
	ctx, stop := context.WithCancel(t.Context())
	away, worse := errors.New("the store is away"), errors.New("the disk is full")
	fails := []error{away, away, worse, away, nil, away, away, nil}
	var tried []*Policy
	var reported []error
	w.Run(ctx, time.Microsecond, func(p *Policy) error {
		err := fails[len(tried)]
		if tried = append(tried, p); len(tried) == 5 {
			writeFile(t, folder, "extra.txt", []byte("three"))
		}
		if len(tried) == len(fails) {
			stop()
		}
		return err
	}, func(err error) { reported = append(reported, err) })
	if want := []error{away, worse, away, away}; !slices.Equal(reported, want) {
		t.Errorf("reported %v, want %v", reported, want)
	}
	for i, p := range tried {
		if first := tried[i/5*5]; p != first {
			t.Errorf("try %d is of another policy", i+1)
		}
	}
	if tried[0].Epoch == tried[5].Epoch {
		t.Error("the second change is not seen")
	}
}

// While a policy that could not be used waits, another may take its place.
func TestRunTriesTheNewest(t *testing.T) {
	folder := folderWith(t)
	first := loadIn(t, folder)
	w := NewWatcher(first, fakeKind{"fake"})
	writeFile(t, folder, "extra.txt", []byte("two"))
	ctx, stop := context.WithCancel(t.Context())
	var tried []*Policy
	w.Run(ctx, time.Microsecond, func(p *Policy) error {
		if tried = append(tried, p); len(tried) == 1 {
			writeFile(t, folder, "extra.txt", []byte("one"))
			return errors.New("away")
		}
		stop()
		return nil
	}, func(error) {})
	if len(tried) != 2 || tried[1].Epoch != first.Epoch {
		t.Errorf("%d tries; the last is not what the files say", len(tried))
	}
}
