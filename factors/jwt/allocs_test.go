//go:build !race

// The race detector makes pools forget, so that nothing can be counted under it.

package jwt

import (
	"testing"

	"github.com/sallyport-auth/sallyport/factors"
)

func TestHitsDoNotAllocate(t *testing.T) {
	for name, more := range map[string]string{"a user": "", "of a live session": "session: live", "nothing": "identifies: nothing"} {
		b, r := remembered(t, more, map[string]any{"sid": "s1", "cnf": nil})
		v := factors.Verification{Request: r}
		ctx := t.Context()
		f := b.factor
		f.env.Live, f.env.Tokens = quiet{}, quiet{}
		if n := testing.AllocsPerRun(100, func() {
			if _, err := f.Verify(ctx, v); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	b := newBench(t, "bound_to_certificate: required")
	cert, sum := certificate(t)
	v := factors.Verification{Request: over(bearer(b.token(with(map[string]any{"cnf": map[string]any{"x5t#S256": sum}}))), cert)}
	b.good("bound", v.Request)
	b.factor.env.Tokens = quiet{}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = b.factor.Verify(ctx, v) }); n != 0 {
		t.Errorf("bound to a certificate: %v allocations", n)
	}
}

// A new token costs what its signature does, and little more.
func TestNewTokensAllocateLittle(t *testing.T) {
	b := newBench(t, "")
	v := factors.Verification{Request: bearer(b.token(claims()))}
	b.good("once", v.Request)
	b.factor.env.Tokens = quiet{}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		clear(b.factor.verified.young)
		_, _ = b.factor.Verify(ctx, v)
	}); n > 25 {
		t.Errorf("%v allocations", n)
	}
}
