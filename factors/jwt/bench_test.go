package jwt

import (
	"testing"

	"github.com/sallyport-auth/sallyport/factors"
)

func BenchmarkSeenBefore(b *testing.B) {
	x := newBench(b, "")
	v := factors.Verification{Request: bearer(x.token(claims()))}
	ctx := b.Context()
	x.factor.env.Tokens = quiet{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.factor.Verify(ctx, v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	x := newBench(b, "")
	v := factors.Verification{Request: bearer(x.token(claims()))}
	ctx := b.Context()
	x.factor.env.Tokens = quiet{}
	b.ReportAllocs()
	for b.Loop() {
		clear(x.factor.verified.young)
		if _, err := x.factor.Verify(ctx, v); err != nil {
			b.Fatal(err)
		}
	}
}
