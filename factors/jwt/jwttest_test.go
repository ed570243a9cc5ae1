package jwt

import (
	"os"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors/jwt/jwttest"
)

// What package jwttest makes for the tests of others is taken, and nothing that another issuer of it made.
func TestTokensForTheTestsOfOthers(t *testing.T) {
	clock := func() time.Time { return now }
	made, other := jwttest.New(t, issuer).At(clock), jwttest.New(t, issuer).At(clock)
	keys, err := os.ReadFile(made.File(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, world: newWorld(), signer: newKey(t)}
	b.load(basic+"bound_to_certificate: required\n", map[string]string{"keys.json": string(keys)})
	cert, _ := certificate(t)
	claims := map[string]any{"sub": "alice", "aud": audience}
	b.good("bound", over(bearer(made.Token(claims, cert)), cert))
	for what, token := range map[string]string{
		"another issuer's": other.Token(claims, cert), "bound to nothing": made.Token(claims, nil),
		"a claim left out": made.Token(map[string]any{"sub": "alice", "aud": audience, "jti": nil, "exp": nil}, cert),
	} {
		if _, err := b.verify(over(bearer(token), cert)); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}
