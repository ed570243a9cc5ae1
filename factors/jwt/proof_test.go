package jwt

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

// Every part of a proof makes a difference (RFC 9449 section 4.3).
func TestProofs(t *testing.T) {
	b := newBench(t, "")
	holder := newKey(t)
	token := b.token(with(map[string]any{"cnf": map[string]any{"jkt": thumbprint(t, holder)}}))
	other := b.token(with(map[string]any{"jti": "other", "cnf": map[string]any{"jkt": thumbprint(t, holder)}}))
	set := func(name string, v any) func(map[string]any) { return func(c map[string]any) { c[name] = v } }
	drop := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	for name, c := range map[string]struct {
		how func(map[string]any)
		why authn.Reason
	}{
		"as it should be":           {nil, ""},
		"another method":            {set("htm", "POST"), ReasonProofMethod},
		"method in another case":    {set("htm", "get"), ReasonProofMethod},
		"no method":                 {drop("htm"), ReasonProof},
		"another address":           {set("htu", address+"b"), ReasonProofURL},
		"another host":              {set("htu", "https://evil.example/v1/secrets/a"), ReasonProofURL},
		"another scheme":            {set("htu", "http://portal.example/v1/secrets/a"), ReasonProofURL},
		"another port":              {set("htu", "https://portal.example:444/v1/secrets/a"), ReasonProofURL},
		"a user in the address":     {set("htu", "https://u@portal.example/v1/secrets/a"), ReasonProofURL},
		"an escaped slash":          {set("htu", "https://portal.example/v1/secrets%2Fa"), ReasonProofURL},
		"path in another case":      {set("htu", "https://portal.example/v1/Secrets/a"), ReasonProofURL},
		"no address":                {drop("htu"), ReasonProof},
		"a path alone":              {set("htu", "/v1/secrets/a"), ReasonProofURL},
		"host in another case":      {set("htu", "HTTPS://Portal.Example/v1/secrets/a"), ""},
		"with the port":             {set("htu", "https://portal.example:443/v1/secrets/a"), ""},
		"with a query":              {set("htu", address+"?a=b#c"), ""},
		"with a needless escape":    {set("htu", "https://portal.example/v1/%73ecrets/a"), ""},
		"of another token":          {set("ath", "x"), ReasonProofToken},
		"of no token":               {drop("ath"), ReasonProof},
		"no id":                     {drop("jti"), ReasonProof},
		"an empty id":               {set("jti", ""), ReasonProof},
		"an id that is a number":    {set("jti", 1), ReasonProof},
		"no time":                   {drop("iat"), ReasonProof},
		"old":                       {set("iat", now.Add(-91*time.Second).Unix()), ReasonProofTime},
		"old, but within":           {set("iat", now.Add(-90*time.Second).Unix()), ""},
		"from the future":           {set("iat", now.Add(31*time.Second).Unix()), ReasonProofTime},
		"from the future, within":   {set("iat", now.Add(30*time.Second).Unix()), ""},
		"an address that is a list": {set("htu", []string{address}), ReasonProof},
	} {
		r := b.proven(token, holder, c.how)
		if c.why == "" {
			b.good(name, r)
			continue
		}
		b.refused(name, r, c.why)
	}
	jwk, err := jose.FormatKey(named(t, holder, ""))
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte(strings.TrimSuffix(string(jwk), "}") + `,"d":"` + strings.Repeat("A", 43) + `"}`)
	b.good("a header made by hand", factors.Request{Now: now, Subject: corp, Carried: factors.Carried{Scheme: schemeDPoP, Token: token, Method: "GET", URL: address,
		Proof: b.proofOf(jose.Header{Typ: proofType, JWK: jwk}, token, holder, nil)}})
	swapped := b.proven(token, holder, nil)
	swapped.Carried.Token = other
	b.refused("for another token", swapped, ReasonProofToken)
	for name, c := range map[string]struct {
		how func(string) string
		why authn.Reason
	}{
		"no token":              {func(string) string { return "proof" }, ReasonProof},
		"the token itself":      {func(string) string { return token }, ReasonProof},
		"another signature":     {func(p string) string { return p[:strings.LastIndex(p, ".")+1] + strings.Repeat("A", 85) + "Q" }, ReasonProofSignature},
		"too large":             {func(p string) string { return p + strings.Repeat("A", maxProof) }, ReasonProof},
		"two of them":           {func(p string) string { return p + "," + p }, ReasonProof},
		"a space":               {func(p string) string { return p + " " }, ReasonProof},
		"another type":          {func(string) string { return b.proofOf(jose.Header{Typ: "JWT", JWK: jwk}, token, holder, nil) }, ReasonProof},
		"no type":               {func(string) string { return b.proofOf(jose.Header{JWK: jwk}, token, holder, nil) }, ReasonProof},
		"no key":                {func(string) string { return b.proofOf(jose.Header{Typ: proofType}, token, holder, nil) }, ReasonProof},
		"a key with its secret": {func(string) string { return b.proofOf(jose.Header{Typ: proofType, JWK: secret}, token, holder, nil) }, ReasonProof},
		"somebody else's key":   {func(string) string { return b.proofOf(jose.Header{Typ: proofType, JWK: jwk}, token, newKey(t), nil) }, ReasonProofSignature},
		"a shared secret": {func(p string) string {
			_, rest, _ := strings.Cut(p, ".")
			return encoded(`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`) + "." + rest
		}, ReasonProof},
	} {
		r := b.proven(token, holder, nil)
		r.Carried.Proof = c.how(r.Carried.Proof)
		b.refused(name, r, c.why)
	}
}

// A proof is good once, whichever instance gets it, and whoever else uses the same id.
func TestAProofIsGoodOnce(t *testing.T) {
	b := newBench(t, "")
	holder, second := newKey(t), newKey(t)
	token := b.token(with(map[string]any{"cnf": map[string]any{"jkt": thumbprint(t, holder)}}))
	r := b.proven(token, holder, nil)
	b.good("first", r)
	b.refused("again", r, ReasonProofReplayed)
	here := b.factor
	b.factor = b.instance()
	b.refused("on another instance", r, ReasonProofReplayed)
	b.good("another proof there", b.proven(token, holder, nil))
	b.factor = here
	id := func(c map[string]any) { c["jti"] = "the same" }
	others := b.token(with(map[string]any{"cnf": map[string]any{"jkt": thumbprint(t, second)}}))
	b.good("an id", b.proven(token, holder, id))
	b.good("the same id of somebody else", b.proven(others, second, id))
	b.refused("the same id in another proof", b.proven(token, holder, func(c map[string]any) { id(c); c["iat"] = now.Unix() - 1 }), ReasonProofReplayed)
	for name, until := range b.world.used {
		if !strings.HasPrefix(name, "jwt:dpop:") || until.Before(now.Add(proofAge)) {
			t.Errorf("%s is remembered until %v", name, until)
		}
	}
}

// What is refused for another reason does not spend the proof, and of many at once one is good.
func TestAProofIsSpentLast(t *testing.T) {
	b := newBench(t, "")
	holder := newKey(t)
	token := b.token(with(map[string]any{"cnf": map[string]any{"jkt": thumbprint(t, holder)}}))
	r := b.proven(token, holder, nil)
	b.world.broken = errors.New("down")
	b.broken("nothing answers", r)
	b.world.broken = nil
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 16 {
		wg.Go(func() {
			_, err := b.factor.Verify(t.Context(), factors.Verification{Request: r})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			} else if no := (*factors.Rejection)(nil); !errors.As(err, &no) || no.Reason != ReasonProofReplayed {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if taken != 1 {
		t.Errorf("%d of 16 were taken", taken)
	}
}
