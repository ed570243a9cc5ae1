package jwt

import (
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/factortest"
)

func TestConformance(t *testing.T) {
	for name, more := range map[string]string{"user": "", "nothing": "identifies: nothing", "device": "principal: device", "workload": "principal: workload", "of a tenant": "tenant: corp",
		"bound": "bound_to_certificate: required"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, more)
			cert, sum := certificate(t)
			other, _ := certificate(t)
			bound := map[string]any{"cnf": map[string]any{"x5t#S256": sum}}
			token := b.token(with(bound))
			late := over(bearer(token), cert)
			late.Now = now.Add(2 * time.Hour)
			expired := b.token(with(map[string]any{"exp": now.Add(-time.Hour).Unix()}))
			b.world.denied[factors.TokenDigest(issuer, "denied")] = now
			denied := with(bound)
			denied["jti"] = "denied"
			factortest.Run(t, factortest.Suite{
				Factor: b.factor, Request: over(bearer(token), cert), Secrets: []string{token, expired, "needle-jti"},
				WrongRequests: map[string]factors.Request{
					"no token":            over(bearer(""), cert),
					"no certificate":      bearer(token),
					"another certificate": over(bearer(token), other),
					"expired since":       late,
					"expired":             over(bearer(expired), cert),
					"denied":              over(bearer(b.token(denied)), cert),
					"another key":         over(bearer(b.signed("at+jwt", "k1", newKey(t), with(bound))), cert),
					"half a token":        over(bearer(token[:len(token)/2]), cert),
				},
			})
		})
	}
}
