package sessionhttp

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"time"

	"github.com/alexedwards/scs/v2"
)

// newValues makes the session manager that applications keep their values in. It is a literal: scs.New starts a
// goroutine. It has no idle timeout, or every read would be a write.
func newValues() *scs.SessionManager {
	gob.Register(time.Time{}) // scs reads times, and gob does not know them by itself
	m := &scs.SessionManager{
		Store:    valueStore{},
		Codec:    codec{},
		Lifetime: century,
	}
	return m
}

// century is how long scs is told that its data lives: the engine's deadlines count, never scs's.
const century = 100 * 365 * 24 * time.Hour

func never() time.Time { return time.Now().Add(century) }

// contextKeyOf finds out under which key a session manager looks for its data.
func contextKeyOf(m *scs.SessionManager) any {
	r := &keyRecorder{Context: context.Background()}
	_, _ = m.Load(r, "")
	return r.key
}

type keyRecorder struct {
	context.Context
	key any
}

func (r *keyRecorder) Value(key any) any {
	if r.key == nil {
		r.key = key
	}
	return nil
}

// codec encodes values and leaves scs's deadline out.
type codec struct{}

// maxValues bounds the application's values of one session, encoded.
const maxValues = 64 << 10

var errValuesTooLarge = errors.New("sessionhttp: the values of a session are larger than 64 KiB")

func (codec) Encode(_ time.Time, values map[string]any) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(values); err != nil {
		return nil, err
	}
	if b.Len() > maxValues {
		return nil, errValuesTooLarge
	}
	return b.Bytes(), nil
}

func (codec) Decode(b []byte) (time.Time, map[string]any, error) {
	values := map[string]any{}
	if len(b) == 0 {
		return never(), values, nil
	}
	err := gob.NewDecoder(bytes.NewReader(b)).Decode(&values)
	return never(), values, err
}

// valueStore is the store that scs sees: the row that the middleware has read already. It has no authority: it cannot
// make, end or rotate a session, only replace the values of one that lives.
type valueStore struct{}

var errNoAuthority = errors.New("sessionhttp: scs values cannot end or renew a session; ask the engine")

func (valueStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	st, ok := ctx.Value(slotKey{}).(*slot)
	if !ok || token != st.token() {
		return nil, false, nil
	}
	return st.session.Values(), true, nil
}

func (valueStore) CommitCtx(ctx context.Context, _ string, b []byte, _ time.Time) error {
	st, ok := ctx.Value(slotKey{}).(*slot)
	if !ok {
		return errNoAuthority
	}
	return st.session.SaveValues(ctx, b)
}

func (valueStore) DeleteCtx(context.Context, string) error { return errNoAuthority }

func (valueStore) Find(string) ([]byte, bool, error)      { return nil, false, nil }
func (valueStore) Commit(string, []byte, time.Time) error { return errNoAuthority }
func (valueStore) Delete(string) error                    { return errNoAuthority }
