package policy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"time"
)

// Watcher rereads a policy when its file, or any file that it names, has other content. It starts no goroutine. It is not
// safe for concurrent use.
type Watcher struct {
	kinds   []Kind
	current *Policy
	broken  [sha256.Size]byte // the state of the files that was reported as broken
}

// NewWatcher watches the files of a policy that was loaded.
func NewWatcher(p *Policy, kinds ...Kind) *Watcher { return &Watcher{kinds: kinds, current: p} }

// Check looks at the files. It returns the new policy if they changed and are good. If they changed and are not, it
// returns the error, once for each content, and the old policy stays the one that is compared with.
func (w *Watcher) Check() (p *Policy, changed bool, err error) {
	state, same := w.look()
	if same || state == w.broken {
		return w.current, false, nil
	}
	fresh, err := Load(w.current.File, w.kinds...)
	if err != nil {
		w.broken = state
		return w.current, false, err
	}
	w.current, w.broken = fresh, [sha256.Size]byte{}
	return fresh, true, nil
}

// look compares the files with what was read. state tells one content of them from another.
func (w *Watcher) look() (state [sha256.Size]byte, same bool) {
	h := sha256.New()
	same = true
	for _, f := range w.current.Files {
		b, err := readBounded(f, maxOtherFile)
		if err != nil {
			b = []byte("unreadable: " + err.Error())
		}
		sum := sha256.Sum256(b)
		h.Write(sum[:])
		if !bytes.Equal(sum[:], w.current.sums[f]) {
			same = false
		}
	}
	h.Sum(state[:0])
	return state, same
}

// Run calls Check at every interval until ctx ends. use gets each new policy; if it fails the old one stays in force and
// report gets the error, as it does for files that are broken.
func (w *Watcher) Run(ctx context.Context, every time.Duration, use func(*Policy) error, report func(error)) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		p, changed, err := w.Check()
		if err == nil && changed {
			err = use(p)
		}
		if err != nil {
			report(err)
		}
	}
}
