package policy

import (
	"bytes"
	"context"
	"time"
)

// Watcher rereads a policy when its file, or any file that it names, has other content. It starts no goroutine. It is not
// safe for concurrent use.
type Watcher struct {
	kinds   []Kind
	current *Policy
	broken  map[string][]byte // sums of the files of the policy that was reported as broken; nil: none was
}

// NewWatcher watches the files of a policy that was loaded.
func NewWatcher(p *Policy, kinds ...Kind) *Watcher { return &Watcher{kinds: kinds, current: p} }

// Check looks at the files. It returns the new policy if they changed and are good. If they changed and are not, it
// returns the error, once for each content, and the old policy stays the one that is compared with.
func (w *Watcher) Check() (p *Policy, changed bool, err error) {
	switch {
	case unchanged(w.current.File, w.current.sums):
		w.broken = nil
		return w.current, false, nil
	case w.broken != nil && unchanged(w.current.File, w.broken):
		return w.current, false, nil
	}
	fresh, sums, err := load(w.current.File, w.kinds)
	if err == nil {
		err = fresh.follows(w.current)
	}
	if err != nil {
		w.broken = sums
		return w.current, false, err
	}
	w.current, w.broken = fresh, nil
	return fresh, true, nil
}

// unchanged reports whether all files have the content that they were read with.
func unchanged(policyFile string, sums map[string][]byte) bool {
	for path, sum := range sums {
		limit := int64(maxOtherFile)
		if path == policyFile {
			limit = maxPolicyFile
		}
		b, err := readBounded(path, limit)
		if !bytes.Equal(sum, sumOf(b, err)) {
			return false
		}
	}
	return true
}

// Run calls Check at every interval until ctx ends. use gets each new policy; if it fails the old one stays in force, report
// gets the error, as it does for files that are broken, and use gets the policy again at the next interval. An error that
// use gives again is not reported again.
func (w *Watcher) Run(ctx context.Context, every time.Duration, use func(*Policy) error, report func(error)) {
	t := time.NewTicker(every)
	defer t.Stop()
	var waiting *Policy // not in force yet
	var said string
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		p, changed, err := w.Check()
		if err != nil {
			report(err)
		}
		if changed {
			waiting, said = p, ""
		}
		if waiting == nil {
			continue
		}
		if err := use(waiting); err == nil {
			waiting = nil
		} else if said != err.Error() {
			said = err.Error()
			report(err)
		}
	}
}
