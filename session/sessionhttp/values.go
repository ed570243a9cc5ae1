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
	m := &scs.SessionManager{
		Store:    valueStore{},
		Codec:    codec{},
		Lifetime: 100 * 365 * 24 * time.Hour, // the engine's deadlines count, never this one
	}
	return m
}

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
	err := gob.NewDecoder(bytes.NewReader(b)).Decode(&values)
	return time.Now().Add(100 * 365 * 24 * time.Hour), values, err
}

// valueStore is the store that scs sees: the row that the middleware has read already. It has no authority: it cannot
// make, end or rotate a session, only replace the values of one that lives.
type valueStore struct{}

var errNoAuthority = errors.New("sessionhttp: scs values cannot end or renew a session; ask the engine")

func (valueStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	st, ok := ctx.Value(slotKey{}).(*slot)
	if !ok || token == "" || token != st.session.ID() {
		return nil, false, nil
	}
	values := st.session.Values()
	return values, len(values) > 0, nil
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
